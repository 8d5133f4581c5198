"""What templates draw blocks with: numbers found, written, placed; notes taken."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from operator import attrgetter

from unexplained.record import Number
from unexplained.record import format as fmt
from unexplained.record.blocks import (
    Block,
    Cell,
    Chart,
    Checks,
    Column,
    Compute,
    Forest,
    Grid,
    Network,
    Style,
    Table,
    Track,
)
from unexplained.record.format import Shown
from unexplained.record.ids import walk
from unexplained.record.keys import below
from unexplained.report import curveplot, network, plots
from unexplained.report.charts import LinearAxis, fraction_axis, nats_axis
from unexplained.report.drawn import Drawn, Notes
from unexplained.report.screen import First, Fold, first, folds


@dataclass(frozen=True)
class PlacedForest:
    """A forest, placed: its axis, and its lines under their headings."""

    axis: LinearAxis
    groups: tuple[tuple[str, tuple[Track, ...]], ...]


@dataclass(frozen=True)
class Shade:
    """A cell of a grid."""

    words: str
    depth: int
    """From 0 to 10: the square root of its share of the largest, so that small ones show."""
    falls: bool
    framed: bool
    hover: str


@dataclass(frozen=True)
class Shades:
    """A grid, placed."""

    rows: tuple[tuple[str, tuple[Shade | None, ...]], ...]
    most: float
    """The largest change either way, in the numbers' unit."""
    step: float
    """What cells are written in: the power of ten that gives the largest two digits."""
    unit: str


class Pen:
    """Draws one record: every refused number that it writes has its note taken."""

    def __init__(self, drawn: Drawn) -> None:
        self.drawn = drawn
        self.notes = Notes(drawn.record.needed)

    @property
    def level(self) -> str:
        """The level of intervals, in percent."""
        return fmt.tick(self.drawn.record.level, share=True)

    def shown(self, cell: Cell, style: Style = "plain") -> Shown:
        """A cell as it is written."""
        return fmt.cell(cell, style)

    def note(self, cell: Cell) -> int | None:
        """The note of a refused number, or of one without interval."""
        return self.notes.of(cell) if isinstance(cell, Number) and cell.unsaid else None

    def at(self, above: str, reference: str) -> Number:
        """The number that a picture points at."""
        return self.drawn.at(above, reference)

    def forest(self, block: Forest, above: str) -> PlacedForest:
        """The axis of a forest over all that is drawn on it, and its lines by heading."""
        every = [self.at(above, mark) for track in block.tracks for mark in track.marks]
        axis = fraction_axis(every) if block.share else nats_axis(every)
        headings = dict.fromkeys(track.group for track in block.tracks)
        groups = tuple(
            (heading, tuple(t for t in block.tracks if t.group == heading)) for heading in headings
        )
        return PlacedForest(axis, groups)

    def grid(self, block: Grid, above: str) -> Shades:
        """The cells of a grid with their shades."""
        every = [self.at(above, c) for row in block.rows for c in row.cells if c is not None]
        most = max((abs(n.value or 0.0) for n in every), default=0.0)
        step = 10.0 ** (math.floor(math.log10(most)) - 1) if most else 1.0
        framed = frozenset(block.framed)

        def shade(reference: str, where: str) -> Shade:
            number = self.at(above, reference)
            value = number.value or 0.0
            words = f"{round(value / step, 1) + 0.0:.1f}".replace("-", fmt.MINUS)
            return Shade(
                fmt.REFUSED if number.value is None else words,
                round(10 * (abs(value) / most) ** 0.5) if most else 0,
                value < 0,
                reference in framed,
                f"{where}: {fmt.show(number)} {number.unit}"
                + ("" if reference in framed else ", not distinguishable from zero"),
            )

        rows = tuple(
            (
                row.name,
                tuple(
                    None if c is None else shade(c, f"{block.corner} {row.name}, {column}".strip())
                    for c, column in zip(row.cells, block.columns, strict=True)
                ),
            )
            for row in block.rows
        )
        return Shades(rows, most, step, next((n.unit for n in every), ""))

    def plot(self, block: Chart, above: str) -> plots.ChartPlot | None:
        """A chart, placed."""
        return plots.plot(block, lambda reference: self.at(above, reference))

    def network(self, block: Network, above: str) -> network.NetworkPlot | None:
        """A network, placed."""
        return network.plot(block, lambda reference: self.at(above, reference))

    def curve(self, block: Compute, above: str) -> curveplot.CurvePlot | None:
        """Loss against training compute, placed."""
        return curveplot.plot(block, lambda reference: self.at(above, reference))

    def groups(self, table: Table) -> tuple[tuple[str, tuple[Column, ...]], ...]:
        """Columns that stand side by side under one heading, or under none."""
        return tuple(
            (one, tuple(some)) for one, some in groupby(table.columns, attrgetter("group"))
        )

    def runs(self, blocks: Iterable[Block]) -> tuple[tuple[bool, tuple[Block, ...]], ...]:
        """Blocks, small charts that follow each other together."""
        some = groupby(blocks, lambda block: isinstance(block, Chart) and block.small)
        return tuple((small, tuple(run)) for small, run in some)

    def below(self, above: str, key: str) -> str:
        """The id of what stands under a key."""
        return below(above, key)

    @cached_property
    def first(self) -> First | None:
        """What the page shows first."""
        return first(self.drawn)

    @property
    def controls(self) -> str:
        """The id of the first table of controls; empty where there is none."""
        blocks = walk(self.drawn.record.blocks)
        return next((below(a, b.key) for a, b in blocks if isinstance(b, Checks)), "")

    @property
    def folds(self) -> tuple[Fold, ...]:
        """The lines below the first screen."""
        return folds(self.drawn.record.blocks)
