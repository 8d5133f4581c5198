"""What a page shows first, and the lines below it that open."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from unexplained.record.blocks import Answer, Block, Forest, Grid, Section, Table, Track
from unexplained.record.ids import walk
from unexplained.record.keys import below
from unexplained.report.drawn import Drawn
from unexplained.report.tables import answered


@dataclass(frozen=True)
class First:
    """An answer, with what is drawn beside its rows and below them."""

    table: Table
    refused: str
    """What was refused in every row, in a sentence."""
    says: str
    """What stands beneath the rows."""
    lines: str
    """Of which column the lines are, where there are others."""
    divided: int
    """From which row on there are denominators."""
    homes: tuple[str, ...]
    """Of each row: the id of the table that its numbers stand in."""
    tracks: tuple[Track | None, ...]
    """Of each row: its line of the forest, where the picture is one that marks the rows' numbers."""
    beside: Forest | None
    """These lines."""
    picture: Block | None
    """Any other picture."""
    above: str
    """The section that the picture stands in."""
    moved: str
    """Id of the picture, where all of it is drawn here: its section leads here instead."""


def first(drawn: Drawn) -> First | None:
    """What is shown first; None where the record says no answer."""
    answer = drawn.answer
    if answer is None:
        return None
    rows = (*answer.rows, *answer.beside)
    table, refused = drawn.told(answered(answer, lambda cell: drawn.at("", cell)))
    above, picture = _picture(drawn, answer.picture)
    marked = {}
    beside, whole = None, not isinstance(picture, Grid)
    if isinstance(picture, Forest):
        cells = {cell for row in rows for cell in row.cells}
        lines = [t for t in picture.tracks if cells & {below(above, mark) for mark in t.marks}]
        marked = {below(above, mark): line for line in reversed(lines) for mark in line.marks}
        shown = picture.model_copy(update={"tracks": tuple(lines)})
        # What is said beside a line stands in its section alone: there it stays, then.
        said = any(track.tag or track.note for track in picture.tracks)
        whole = len(shown.tracks) == len(picture.tracks) and not said
        # Where no line is of the answer's numbers, the forest is of others.
        beside, picture = (shown, None) if lines else (None, None)
    return First(
        table,
        refused,
        answer.says,
        _lines_of(answer, set(marked)),
        len(answer.rows),
        tuple(next((c.rsplit("/", 2)[0] for c in row.cells if c), "") for row in rows),
        tuple(next((marked[c] for c in row.cells if c in marked), None) for row in rows),
        beside,
        picture,
        above,
        answer.picture if whole else "",
    )


def _lines_of(answer: Answer, marked: set[str]) -> str:
    """The heading of the one column that lines are drawn of; empty where they are of all."""
    rows = (*answer.rows, *answer.beside)
    drawn = {i for row in rows for i, cell in enumerate(row.cells) if cell in marked}
    if len(drawn) != 1 or len(answer.columns) == 1:
        return ""
    return answer.columns[drawn.pop()].heading


def _picture(drawn: Drawn, wanted: str) -> tuple[str, Block | None]:
    """The block of an id, and the section that it stands in."""
    for above, block in walk(drawn.record.blocks):
        if wanted and below(above, getattr(block, "key", "")) == wanted:
            return above, block
    return "", None


@dataclass(frozen=True)
class Fold:
    """A line of the page that opens: a section, or what stands between two."""

    id: str
    title: str
    blocks: tuple[Block, ...]
    above: str
    """The section in which they stand."""
    inner: tuple[tuple[str, str], ...] = ()
    """Ids and titles of the sections inside."""


def folds(blocks: Iterable[Block]) -> tuple[Fold, ...]:
    """Sections, and what stands between them under headings of its own."""
    found: list[Fold] = []
    for block in blocks:
        if isinstance(block, Answer):
            continue
        title = getattr(block, "title", "")
        if isinstance(block, Section):
            found.append(Fold(block.key, title, block.blocks, block.key, tuple(_inner(block))))
        elif title or not found or not found[-1].id.startswith("/"):
            # No key has a slash, so these ids are nobody else's.
            title = title or ("Notes" if found else "What was measured")
            found.append(Fold(f"/{len(found)}", title, (block,), ""))
        else:
            found[-1] = replace(found[-1], blocks=(*found[-1].blocks, block))
    return tuple(found)


def _inner(section: Section, above: str = "") -> Iterable[tuple[str, str]]:
    home = below(above, section.key)
    for block in section.blocks:
        if isinstance(block, Section):
            yield below(home, block.key), block.title
            yield from _inner(block, home)


def sections(blocks: tuple[Block, ...]) -> Iterator[tuple[str, Fold | Section]]:
    """What can be asked for by name: the page's lines, and the sections inside them, under their ids."""
    yield from ((fold.id, fold) for fold in folds(blocks))
    for above, block in walk(blocks):
        if isinstance(block, Section) and above:
            yield below(above, block.key), block
