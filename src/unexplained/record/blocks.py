"""What an instrument shows, as data: blocks. Drawers know blocks and no instrument.

Tables and checks *own* numbers: each `Number` stands in one labelled cell, and where it stands is its
id (`section/table/row/column`, in keys, not in words that may be rewritten). Pictures (`Forest`,
`Grid`, `Chart`, `Compute`, `Network`) own none: they point at cells of tables of their own section, so that what
is drawn and what is written cannot differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from unexplained.record.base import Frozen, Number
from unexplained.record.documents import Attention as Attention
from unexplained.record.documents import Example as Example
from unexplained.record.documents import Token as Token
from unexplained.record.documents import Tokens as Tokens
from unexplained.record.documents import Weights as Weights
from unexplained.record.keys import Key, Reference, below, step
from unexplained.record.networks import Link as Link
from unexplained.record.networks import Network as Network
from unexplained.record.networks import Node as Node

Role = Literal[
    "",
    "intact",
    "ablation",
    "explanation",
    "fitted",
    "baseline",
    "control",
    "twin",
    "weaker",
    "candidate",
]
"""What a row stands for: drawers give it a colour, never a meaning of its own."""

Style = Literal["plain", "share", "points", "compute", "portion", "signed"]
"""How numbers are written (`report.format`): by their unit, in percent, as percentage points, as FLOPs,
as a share of any order of magnitude, with their sign."""

Cell: TypeAlias = Number | int | float | str | None
"""A number that can be refused; a count; a bare number, which has no interval; words; nothing."""


class Prose(Frozen):
    """A paragraph. Its numbers were written when it was: what can be refused belongs in a table."""

    block: Literal["prose"] = "prose"
    words: str
    manner: Literal["text", "aside", "quote"] = "text"
    source: str = ""
    """Of a quotation: who said it, and where."""


class Column(Frozen):
    """A column of a table."""

    key: Key
    heading: str
    note: str = ""
    """Small print under the heading."""
    group: str = ""
    """A heading over this column and those beside it of the same group."""
    style: Style = "plain"
    words: bool = False
    """It holds words, which are aligned to the left."""
    gauge: bool = False
    """Cells between 0 and 1 have a small bar beside the number."""


class Row(Frozen):
    """A row of a table, under the name that stands at its left."""

    key: Key
    name: str
    note: str = ""
    role: Role = ""
    cells: tuple[Cell, ...]


class Table(Frozen):
    """Numbers in labelled cells."""

    block: Literal["table"] = "table"
    key: Key
    title: str = ""
    caption: str = ""
    corner: str = ""
    """Heading of the names at the left."""
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    folded: bool = False
    """Shown when asked for: on a page by a click, in the terminal by `--full`."""
    shaded: bool = False
    """Cells are coloured by the share that they hold."""
    facts: bool = False
    """One column without a heading: a list of facts."""

    def at(self, row: str, column: str) -> Reference:
        """Reference to a cell.

        Raises:
            KeyError: There is no such row or column.
        """
        row, column = step(row), step(column)
        if row not in {r.key for r in self.rows} or column not in {c.key for c in self.columns}:
            raise KeyError(f"{row}/{column}")
        return f"{self.key}/{row}/{column}"


class AnswerRow(Frozen):
    """A row of an answer: a name, and where its numbers stand."""

    name: str
    note: str = ""
    role: Role = ""
    cells: tuple[Reference | None, ...]
    """From the record's beginning: `section/table/row/column`; None where there is none."""
    style: Style = "plain"
    """How numbers of `beside` are written, with their unit; others are as their column says."""


class Answer(Frozen):
    """What is shown first: about ten rows that answer what was asked, and the picture that shows it.

    It owns no number: like a picture it points at cells, so that it cannot differ from them.
    """

    block: Literal["answer"] = "answer"
    key: Key = "answer"
    corner: str = ""
    """Heading of the names at the left."""
    columns: tuple[Column, ...]
    rows: tuple[AnswerRow, ...] = Field(max_length=12)
    beside: tuple[AnswerRow, ...] = ()
    """Single numbers in units of their own: denominators of the shares above, a slope over the rows."""
    picture: Reference = ""
    """Id of the picture that shows the answer; empty where there is none."""
    says: str = ""
    """What stands beneath the rows, such as what their notes mean."""


class Track(Frozen):
    """A line of a forest: a name, and where its numbers lie."""

    name: str
    note: str = ""
    tag: str = ""
    """A word of warning beside the name."""
    role: Role = ""
    group: str = ""
    """Heading over this line and those below it of the same group."""
    marks: tuple[Reference, ...]
    """What is drawn with its interval: one, or two that are compared."""
    others: tuple[Reference, ...] = ()
    """What is drawn as a stroke beside it."""


class Forest(Frozen):
    """Numbers with their intervals, one above the other on one axis."""

    block: Literal["forest"] = "forest"
    key: Key
    title: str = ""
    caption: str = ""
    share: bool = True
    """The axis runs from 0 to 100%; otherwise from 0, in the numbers' unit."""
    bars: tuple[float, ...] = ()
    """Faint lines; none is a pass mark."""
    tracks: tuple[Track, ...]


class GridRow(Frozen):
    """A row of a grid; None where there is no such component."""

    name: str
    cells: tuple[Reference | None, ...]


class Grid(Frozen):
    """A heat map: one small cell for each number, darker where it is larger."""

    block: Literal["grid"] = "grid"
    key: Key
    title: str = ""
    caption: str = ""
    corner: str = ""
    columns: tuple[str, ...]
    rows: tuple[GridRow, ...]
    framed: tuple[Reference, ...] = ()
    """Cells that are told from zero."""


class Ruler(Frozen):
    """An axis of a chart."""

    label: str
    spacing: Literal["even", "doubling", "tenfold"] = "even"
    """What has the same length: a step, every doubling, every factor of ten."""
    written: Literal["plain", "share", "count", "power"] = "plain"
    solid: tuple[float, ...] = ()
    """Where the lines of reference are."""
    least: float | None = None
    """End beyond which nothing is drawn to scale: marks sit there with an arrow."""
    most: float | None = None
    whole: int | None = None
    """Of an axis of shares: of how many, whose counts stand below the ticks."""


class Point(Frozen):
    """A point of a chart."""

    x: float | Reference
    y: Reference
    label: str = ""
    ring: Literal["", "solid", "dotted"] = ""


class Series(Frozen):
    """Points that belong together."""

    name: str
    says: str = ""
    tag: str = ""
    role: Role = ""
    hue: int = 0
    dashed: bool = False
    joined: bool = True
    band: bool = False
    """Intervals are drawn as a band; otherwise as a line through each point."""
    start: tuple[float, float] | None = None
    """A point where the line begins that is so by definition."""
    points: tuple[Point, ...]


class Level(Frozen):
    """A number that does not change across the chart."""

    name: str
    y: Reference
    role: Role = ""


class Chart(Frozen):
    """Numbers against something: curves, or single points."""

    block: Literal["chart"] = "chart"
    key: Key
    title: str = ""
    caption: str = ""
    across: Ruler
    up: Ruler
    series: tuple[Series, ...]
    levels: tuple[Level, ...] = ()
    line: tuple[float, float, float, float] | None = None
    """A straight line from one place to another, in the axes' units."""
    line_name: str = ""
    small: bool = False
    """One of several side by side."""


class CurvePoint(Frozen):
    """A fitted curve at one compute; without an interval where only its formula reaches."""

    compute: float
    loss: float
    low: float | None = None
    high: float | None = None


class OnCurve(Frozen):
    """A loss on the axis of training compute."""

    name: str
    role: Role = ""
    loss: Reference
    compute: float | Reference
    """FLOPs that were spent, or a reference to those that the curve gives for the loss."""
    extrapolated: bool = False
    rung: int | None = None
    """Of a model of the ladder: its number there."""


class Compute(Frozen):
    """Loss against training compute: rungs, the curves through them, and what lies on them."""

    block: Literal["compute"] = "compute"
    key: Key
    title: str = ""
    caption: str = ""
    unit: str
    law: tuple[CurvePoint, ...] = ()
    bend: tuple[CurvePoint, ...] = ()
    chosen: Literal["law", "bend"] = "law"
    """The curve on which conditions were placed."""
    fitted: tuple[float, float] | None = None
    """From which to which compute the curves were fitted (FLOPs)."""
    rungs: tuple[OnCurve, ...]
    conditions: tuple[OnCurve, ...] = ()


class Check(Frozen):
    """A control with what it had to give and what it gave."""

    name: str
    text: str
    expected: str
    found: Number
    holds: bool
    applies: bool = True
    """False where no control of this kind can tell, or its number is refused: nothing could fail."""


class Checks(Frozen):
    """Conditions whose result is known beforehand."""

    block: Literal["checks"] = "checks"
    key: Key
    title: str = "Controls"
    caption: str = ""
    checks: tuple[Check, ...]

    def found(self, above: str) -> Iterator[tuple[str, Check]]:
        """Every check under the id of its number."""
        home = below(above, self.key)
        for check in self.checks:
            yield f"{home}/{step(check.name)}/{step(check.text)}", check


class Section(Frozen):
    """Blocks under one heading."""

    block: Literal["section"] = "section"
    key: Key
    title: str
    folded: bool = False
    blocks: tuple[Block, ...]


Block: TypeAlias = Annotated[
    Answer
    | Section
    | Prose
    | Table
    | Forest
    | Grid
    | Chart
    | Compute
    | Network
    | Tokens
    | Attention
    | Checks,
    Field(discriminator="block"),
]
Section.model_rebuild()


def fact(key: str, name: str, cell: Cell, note: str = "") -> Row:
    """A row of one cell."""
    return Row(key=key, name=name, note=note, cells=(cell,))


def facts(key: str, *rows: Row, title: str = "", style: Style = "plain") -> Table:
    """A list of the facts that there are: a table of one column without a heading."""
    column = Column(key="is", heading="", style=style)
    known = tuple(row for row in rows if row.cells[0] is not None)
    return Table(key=key, title=title, facts=True, columns=(column,), rows=known)
