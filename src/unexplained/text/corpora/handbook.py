"""The Debian administrator's handbook in English, French, German and Spanish, passage by passage (Debian `debian-handbook`).

Its translations have every paragraph of the original at the same place, but many are not translated: a
third of the French text is English. A paragraph is taken only if it is translated in all of the languages:
if at most half of its words stand in the English one. What is left is cut into passages of `PASSAGE`
characters or more in English, the same in every language. The passages of a page, in all languages, are
one unit, in one part. A document's domain is its language.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path

from unexplained.errors import TextError
from unexplained.fetch import Package, ensure
from unexplained.text.document import Corpus, Document, deduplicate, document
from unexplained.text.draw import Parts, Request, draw

LANGUAGES = {"English": "en-US", "French": "fr-FR", "German": "de-DE", "Spanish": "es-ES"}
"""Domain → the name of its folder; the first is the original."""
_DATA = "usr/share/doc/debian-handbook/html/"

PACKAGE = Package(
    name="debian-handbook",
    version="11.20220922",
    filename="debian-handbook_11.20220922_all.deb",
    sha256="3d5dbeac1f1afc9c094eab9d0f701f6ecff99c4927d5a4794cf6c85678134faa",
    size=34_758_056,
    members=tuple(f"{_DATA}{name}/*.html" for name in LANGUAGES.values()),
    licence="GPL-2.0+ or CC-BY-SA-3.0",
    licence_url="https://debian-handbook.info/get/",
    index="Debian",
)
PASSAGE = 600
"""Characters of the English of a passage, at least."""
TRANSLATED = 0.5
"""Of a translated paragraph's words at most so many are the original's: names, commands, addresses."""
SHORTEST = 40
"""Characters below which a paragraph is left out: of few words nothing tells the language."""


def parts(request: Request) -> Parts:
    """Draw passages; every language has the same weight, and the same pages come first in all."""
    return draw(request, corpus())


def corpus() -> Corpus:
    """All passages in all languages; reading takes some seconds.

    Raises:
        FetchError: The package cannot be fetched.
        TextError: The translations do not have the original's paragraphs.
    """
    return select(ensure(PACKAGE) / _DATA)


def select(folder: Path) -> Corpus:
    """The translated passages of the unpacked pages.

    Raises:
        TextError: A translation lacks pages or paragraphs of the original.
    """
    read = {name: _pages(folder / there) for name, there in LANGUAGES.items()}
    original = read[next(iter(LANGUAGES))]
    found: list[Document] = []
    kept = 0
    for page in original:
        rows = _rows(read, page)
        translated = [row for row in rows if is_translated(list(row.values()))]
        kept += len(translated)
        for name in LANGUAGES:
            found += [
                document("\n".join(row[name] for row in some), name, {"page": page},
                         original=f"handbook {page}")
                for some in _passages(translated)
            ]  # fmt: skip
    total = sum(map(len, original.values()))
    documents, _ = deduplicate(found)
    note = (
        f"Texts of {PACKAGE} ({PACKAGE.licence}): of {total:,} paragraphs the {kept:,} that are translated in "
        f"all of {', '.join(LANGUAGES)} and have {SHORTEST} characters; each page is one unit."
    )
    return Corpus(documents, dict.fromkeys(LANGUAGES, 1.0), (note,))


def is_translated(versions: Sequence[str]) -> bool:
    """Whether all versions of a paragraph but the first, the original, are in other words.

    >>> is_translated(["Run the command apt update as root.", "Lancez la commande apt update en tant que root."])
    True
    >>> is_translated(["See Chapter 4 for the details of it.", "See Chapitre 4 for the details of it."])
    False
    """
    original, *others = (Counter(_words(version)) for version in versions)
    return all((own & original).total() <= TRANSLATED * own.total() for own in others)


def _words(paragraph: str) -> list[str]:
    return re.findall(r"\w+", paragraph.lower())


def _rows(read: Mapping[str, Mapping[str, Sequence[str]]], page: str) -> list[dict[str, str]]:
    """Every paragraph of a page in all languages, but for short ones."""
    paragraphs = {name: pages.get(page, ()) for name, pages in read.items()}
    counts = {name: len(some) for name, some in paragraphs.items()}
    if len(set(counts.values())) > 1:
        raise TextError(
            f"The page {page} of {PACKAGE}", f"its translations differ in length: {counts}"
        )
    rows = [
        dict(zip(paragraphs, row, strict=True)) for row in zip(*paragraphs.values(), strict=True)
    ]
    return [row for row in rows if min(map(len, row.values())) >= SHORTEST]


def _passages(rows: Sequence[dict[str, str]]) -> Iterator[list[dict[str, str]]]:
    """Runs of paragraphs that are long enough in the original; what is left of a page goes to its last."""
    first = next(iter(LANGUAGES))
    passages: list[list[dict[str, str]]] = []
    some: list[dict[str, str]] = []
    for row in rows:
        some.append(row)
        if sum(len(one[first]) for one in some) >= PASSAGE:
            passages.append(some)
            some = []
    if passages:
        passages[-1] += some
    return iter(passages)


def _pages(folder: Path) -> dict[str, list[str]]:
    found = {}
    for path in sorted(folder.glob("*.html")):
        reader = _Paragraphs()
        reader.feed(path.read_text(encoding="utf-8"))
        found[path.stem] = reader.found
    return found


class _Paragraphs(HTMLParser):
    """The text of every outermost `<div class="para">`."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._depth = 0
        self._since = 0
        """Depth of the paragraph that is open, 0 for none."""
        self._text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "div":
            self._depth += 1
            if not self._since and dict(attrs).get("class") == "para":
                self._since, self._text = self._depth, []

    def handle_endtag(self, tag: str) -> None:
        if tag == "div":
            if self._since == self._depth:
                self.found.append(" ".join("".join(self._text).split()))
                self._since = 0
            self._depth -= 1

    def handle_data(self, data: str) -> None:
        if self._since:
            self._text.append(data)
