"""Packages of translations made up, as the real ones are laid out: no test fetches those."""

from __future__ import annotations

from pathlib import Path

from unexplained.text.corpora import handbook, parallel


def declaration(
    folder: Path, articles: int = parallel.ARTICLES, more: str = "", *, length: int = 1
) -> Path:
    """Every language's file, one article less than it says: the preamble is the first."""
    folder.mkdir(parents=True, exist_ok=True)
    for language, name in parallel.LANGUAGES.items():
        body = "".join(
            f'<article data-number="{n}"><h2>{n}</h2><p>{language} says {n}{f"{more} {n} in {language}" * (length - 1)}'
            "</p><ol><li>&amp; this</li></ol></article>"
            for n in range(1, articles)
        )
        preamble = f"<header><h2>x</h2><p>{language} begins{more * (length - 1)}</p></header>"
        (folder / f"{name}.html").write_text(f"<h1>t</h1>{preamble}{body}", encoding="utf-8")
    return folder


SAID = {
    "en-US": "The page {n} was written first, and part {i} of it is about packages of number {n}{i}. ",
    "fr-FR": "Ceci traduit une feuille {n}, dont la partie {i} parle des paquets du chiffre {n}{i}. ",
    "de-DE": "Diese Seite {n} ist eine Übersetzung, ihr Teil {i} handelt von Paketen mit Nummer {n}{i}. ",
    "es-ES": "Esta hoja {n} viene traducida, su parte {i} habla sobre los paquetes con cifra {n}{i}. ",
}


def pages(folder: Path, many: int = 60) -> Path:
    """The handbook's pages in its languages, two passages each."""
    for name, said in SAID.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for n in range(many):
            body = "".join(f'<div class="para">{said.format(n=n, i=i) * 5}</div>' for i in range(4))
            (folder / name / f"page-{n}.html").write_text(body, encoding="utf-8")
    return folder


def packages(folder: Path) -> None:
    """Both, where their packages would be unpacked."""
    declaration(folder / parallel._DATA, more=" and more of it,", length=12)
    pages(folder / handbook._DATA)
