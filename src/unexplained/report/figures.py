"""A block as a matplotlib figure that a paper can restyle: `record.figure("curve/chart")`.

The page draws the same blocks in HTML; here are plain axes with labels and no style of our own, so
that `matplotlib.rc` and style sheets hold. Refused numbers are left out and named below the axes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from textwrap import fill
from typing import TYPE_CHECKING, Any

from unexplained import visible
from unexplained.errors import RecordError, near_matches
from unexplained.record import Number, Record
from unexplained.record.blocks import (
    Answer,
    Attention,
    Block,
    Chart,
    Checks,
    Compute,
    Forest,
    Grid,
    Network,
    Prose,
    Section,
    Table,
    Tokens,
)
from unexplained.record.ids import walk
from unexplained.record.keys import below
from unexplained.report import network
from unexplained.report.charts import fraction_axis, mark
from unexplained.report.rulers import Find

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Named = tuple[str, Number]
NOTE = 90
"""Characters of a line of a note."""
HEIGHT = 0.32
"""Inches for each line of names."""
SCALES = {"even": "linear", "doubling": "log", "tenfold": "log"}


def figure(record: Record, where: str = "") -> Figure:
    """A figure of one block.

    Args:
        record: Whose block it is.
        where: Its id, such as `curve/chart`; of the picture that shows the answer if none is given.

    Raises:
        RecordError: There is no such block (with near matches), it holds no number, or matplotlib is
            not installed.
    """
    try:
        from unexplained.report.shown import FigureShown
    except ImportError as error:
        raise RecordError(
            "A figure of a record",
            f"matplotlib cannot be imported ({error})",
            "pip install 'unexplained[figures]'",
        ) from error
    above, block = _block(record, where)
    numbers = dict(record.numbers())
    made = FigureShown(layout="constrained")
    axes = made.add_subplot()
    _draw(made, axes, block, lambda reference: numbers[below(above, reference)], above)
    if title := getattr(block, "title", "") or _section(record, above):
        made.suptitle(
            _plain(title), fontsize="large"
        )  # over names too, which may take half the width
    return made


def _section(record: Record, where: str) -> str:
    """The title of the section that a block stands in: it says of what its numbers are."""
    every = (
        (below(home, one.key), one) for home, one in walk(record.blocks) if isinstance(one, Section)
    )
    return next((one.title for home, one in every if home == where), "")


def _block(record: Record, where: str) -> tuple[str, Block]:
    known = {
        below(above, block.key): (above, block)
        for above, block in walk(record.blocks)
        if not isinstance(block, Prose | Section)
        and not (isinstance(block, Table) and not _first_column(block))
    }
    first = next(iter(record.blocks), None)
    if not where and isinstance(first, Answer):
        where = first.picture or first.key
    if where not in known:
        raise RecordError(
            f"A figure of '{where}'",
            f"the {record.instrument} '{record.title}' has no block of that id with numbers",
            near_matches(where, known),
        )
    return known[where]


def _draw(made: Figure, axes: Axes, block: Block, find: Find, above: str) -> None:
    match block:
        case Answer():
            several = len(block.columns) > 1
            named = [
                (f"{row.name}, {column.heading}" if several else row.name, find(cell))
                for row in block.rows
                for column, cell in zip(block.columns, row.cells, strict=True)
                if cell is not None
            ]
            _intervals(made, axes, named)
        case Table():
            _intervals(made, axes, _first_column(block))
        case Checks():
            found = [(f"{c.name} ({c.text})", c.found) for c in block.checks]
            _intervals(made, axes, found)
        case Forest():
            named = [(t.name, find(mark)) for t in block.tracks for mark in t.marks]
            drawn = _intervals(made, axes, named)
            if block.share:
                _within(axes, drawn)
        case Grid():
            _grid(made, axes, block, find)
        case Chart():
            _chart(axes, block, find)
        case Compute():
            _compute(axes, block, find)
        case Network():
            _network(made, axes, block, find)
        case Tokens():
            _tokens(made, axes, block)
        case Attention():
            _attention(made, axes, block)


def _plain(words: str) -> str:
    """Words of any origin: controls visible, and no mathematics read from dollar signs."""
    return visible.line(words).replace("$", r"\$")


def _first_column(table: Table) -> list[Named]:
    """The numbers of the first column that has any; where none has an interval, bare ones."""
    bare: list[Named] = []
    for i in range(len(table.columns)):
        cells = [(row.name, row.cells[i]) for row in table.rows]
        found = [(name, cell) for name, cell in cells if isinstance(cell, Number)]
        if found:
            return found
        bare = bare or [
            (name, Number(value=float(cell)))
            for name, cell in cells
            if isinstance(cell, int | float)
        ]
    return bare


def _intervals(made: Figure, axes: Axes, named: Sequence[Named]) -> list[Number]:
    """One line a number of the first's unit, the first on top; the numbers that have a line."""
    unit = next((n.unit for _, n in named if n.value is not None), "")
    other = [name for name, n in named if n.value is not None and n.unit != unit]
    named = [(name, n) for name, n in named if n.value is None or n.unit == unit]
    made.set_figheight(max(1.5, 1.0 + HEIGHT * len(named)))
    shown = [(i, n) for i, (_, n) in enumerate(named) if n.value is not None]
    if shown:
        values = [n.value or 0.0 for _, n in shown]
        axes.errorbar(
            values, [i for i, _ in shown], xerr=_ends(n for _, n in shown), fmt="o", capsize=2
        )
        axes.set_xlabel(unit)
    else:
        _nothing(axes)
    axes.axvline(0, linewidth=0.8, color="0.6", zorder=0)
    axes.set_yticks(range(len(named)), [_plain(name) for name, _ in named])
    axes.set_ylim(len(named) - 0.5, -0.5)
    _left_out(axes, [name for name, n in named if n.value is None])
    _left_out(axes, other, "of another unit")
    return [n for _, n in named]


def _nothing(axes: Axes) -> None:
    axes.text(
        0.5, 0.5, "every number was refused", ha="center", va="center", transform=axes.transAxes
    )


def _within(axes: Axes, numbers: Sequence[Number]) -> None:
    """The page's axis of shares, in percent; what lies beyond it is an arrow at the edge."""
    axis = fraction_axis(numbers)
    axes.set_xlim(axis.low, axis.high)
    axes.set_xticks(axis.ticks, [f"{100 * tick:.0f}%".replace("-", "−") for tick in axis.ticks])
    axes.set_xlabel("")
    for y, number in enumerate(numbers):
        placed = mark(number, axis)
        if placed is not None and placed.beyond:
            left = placed.beyond == "left"
            edge, sign = (axis.low, "<") if left else (axis.high, ">")
            axes.plot([edge], [y], marker=sign, color="C0", clip_on=False)


def _ends(numbers: Iterable[Number]) -> list[list[float]]:
    """How far below and above its value each interval reaches; nothing where there is none."""
    pairs = [
        (
            max(0.0, n.value - n.low) if n.value is not None and n.low is not None else 0.0,
            max(0.0, n.high - n.value) if n.value is not None and n.high is not None else 0.0,
        )
        for n in numbers
    ]
    return [[low for low, _ in pairs], [high for _, high in pairs]]


def _left_out(axes: Axes, names: Sequence[str], why: str = "refused") -> None:
    """A note below the figure: as wide as it is, so that it takes no room of the axes."""
    if names:
        made = axes.figure
        words = fill(_plain(f"{why}: {', '.join(names)}"), NOTE)
        known = made.get_supxlabel()
        made.supxlabel(
            f"{known}\n{words}".strip(), x=0.01, ha="left", fontsize="small", multialignment="left"
        )


def _grid(made: Figure, axes: Axes, block: Grid, find: Find) -> None:
    """Cells coloured by their value; a frame where one is told from zero."""
    nan = float("nan")
    values = [
        [nan if c is None or find(c).value is None else find(c).value for c in row.cells]
        for row in block.rows
    ]
    known = [abs(v) for row in values for v in row if v is not None and v == v]
    most = max(known, default=1.0) or 1.0
    image = axes.imshow(values, cmap="RdBu_r", vmin=-most, vmax=most, aspect="auto")  # type: ignore[arg-type]
    axes.set_xticks(range(len(block.columns)), [_plain(name) for name in block.columns])
    axes.set_yticks(range(len(block.rows)), [_plain(row.name) for row in block.rows])
    axes.set_xlabel(_plain(block.corner))
    unit = next((find(c).unit for row in block.rows for c in row.cells if c), "")
    made.colorbar(image, ax=axes, label=unit)
    framed = set(block.framed)
    spots = [
        (x, y)
        for y, row in enumerate(block.rows)
        for x, cell in enumerate(row.cells)
        if cell in framed
    ]
    axes.scatter([x for x, _ in spots], [y for _, y in spots], marker="s", s=60, facecolors="none",
                 edgecolors="0.1")  # fmt: skip


def _network(made: Figure, axes: Axes, block: Network, find: Find) -> None:
    """Nodes from below upwards, and arrows as thick as their numbers are large."""
    placed = network.plot(block, find)
    axes.set_axis_off()
    if placed is None:
        axes.text(0.5, 0.5, "every number was refused", ha="center", transform=axes.transAxes)
        return
    made.set_size_inches(max(5.0, placed.width / 80), max(3.0, placed.height / 80))
    for arrow in placed.arrows:
        colour = "0.6" if arrow.faint else "C0" if arrow.falls else "C1"
        xs, ys = zip(*arrow.points, strict=True)
        axes.plot(xs, ys, color=colour, linewidth=0.7 * arrow.width, alpha=0.8, zorder=1)
    for spot in placed.spots:
        axes.text(spot.x, spot.y, _plain(spot.name), ha="center", va="center", fontsize="small",
                  bbox={"boxstyle": "round", "facecolor": "white", "edgecolor": "0.6"})  # fmt: skip
        for part, x in spot.ports:
            axes.text(x, spot.y + 17, part, ha="center", va="center", fontsize="x-small")
    axes.set_xlim(0, placed.width)
    axes.set_ylim(placed.height, 0)
    axes.annotate(
        _plain(f"blue: {block.signs[0]}\norange: {block.signs[1]}"), (0, 0), (0, -6), va="top",
        xycoords="axes fraction", textcoords="offset points", fontsize="small",
    )  # fmt: skip


def _chart(axes: Axes, block: Chart, find: Find) -> None:
    left: list[str] = []
    for one in block.series:
        points = [(_across(p.x, find), find(p.y)) for p in one.points]
        shown = [(x, n) for x, n in points if n.value is not None and x is not None]
        left += [one.name] if len(shown) < len(points) else []
        if not shown:
            continue
        xs, numbers = [x for x, _ in shown], [n for _, n in shown]
        ys = [n.value or 0.0 for n in numbers]
        line = ("--" if one.dashed else "-") if one.joined else ""
        if one.band:
            (drawn,) = axes.plot(
                xs, ys, marker="o", markersize=3, linestyle=line, label=_plain(one.name)
            )
            low = [n.value if n.low is None else n.low for n in numbers]
            high = [n.value if n.high is None else n.high for n in numbers]
            axes.fill_between(xs, low, high, alpha=0.2, color=drawn.get_color(), linewidth=0)  # type: ignore[arg-type]
        else:
            axes.errorbar(xs, ys, yerr=_ends(numbers), marker="o", markersize=3, capsize=2,
                          linestyle=line or "none", label=_plain(one.name))  # fmt: skip
    for level in block.levels:
        value = find(level.y).value
        if value is not None:
            axes.axhline(value, linestyle=":", linewidth=1, label=_plain(level.name))
    if block.line is not None:
        x0, y0, x1, y1 = block.line
        axes.plot(
            [x0, x1], [y0, y1], color="0.6", linewidth=1, label=_plain(block.line_name) or None
        )
    axes.set_xscale(SCALES[block.across.spacing])
    axes.set_yscale(SCALES[block.up.spacing])
    axes.set_xlabel(_plain(block.across.label))
    axes.set_ylabel(_plain(block.up.label))
    if not axes.get_legend_handles_labels()[0]:
        _nothing(axes)
    elif len(block.series) + len(block.levels) > 1:
        axes.legend(fontsize="small")
    _left_out(axes, left)


def _across(x: float | str, find: Find) -> float | None:
    return find(x).value if isinstance(x, str) else x


def _compute(axes: Axes, block: Compute, find: Find) -> None:
    """Loss against training compute: curves, rungs, and what lies on them."""
    for name, curve in (("law", block.law), ("bend", block.bend)):
        if curve:
            axes.plot([p.compute for p in curve], [p.loss for p in curve], label=name,
                      linewidth=1.5 if name == block.chosen else 0.8)  # fmt: skip
    for name, some in (("rungs", block.rungs), ("conditions", block.conditions)):
        points = [(_across(one.compute, find), find(one.loss), one.name) for one in some]
        shown = [(x, n, name) for x, n, name in points if x is not None and n.value is not None]
        if shown:
            axes.errorbar([x for x, _, _ in shown], [n.value or 0.0 for _, n, _ in shown],
                          yerr=_ends(n for _, n, _ in shown), fmt="o" if name == "rungs" else "s",
                          markersize=4, capsize=2, linestyle="none", label=name)  # fmt: skip
        for x, n, label in shown:
            axes.annotate(_plain(label), (x, n.value or 0.0), (4, 4), textcoords="offset points",
                          fontsize="x-small")  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlabel("training compute, FLOPs")
    axes.set_ylabel(f"loss, {block.unit}")
    axes.legend(fontsize="small")


def _tokens(made: Figure, axes: Axes, block: Tokens) -> None:
    """Of the first document, every token's loss under the explanation less that of the model."""
    tokens: Sequence[Any] = block.examples[0].tokens if block.examples else ()
    known = [t for t in tokens if t.intact is not None and t.explained is not None]
    made.set_figwidth(max(6.4, 0.16 * len(known)))
    axes.bar(range(len(known)), [t.explained - t.intact for t in known])
    words = partial(visible.token, spaces=True)
    axes.set_xticks(range(len(known)), [words(t.text).replace("$", r"\$") for t in known],
                    rotation=90, fontsize="x-small")  # fmt: skip
    axes.set_ylabel("excess loss, nats")


def _attention(made: Figure, axes: Axes, block: Attention) -> None:
    """Panels side by side: from each token down, to those before it across."""
    names = [visible.token(text, spaces=True).replace("$", r"\$") for text in block.tokens]
    many, blank = len(names), float("nan")
    made.set_size_inches(0.2 * (many + 2) * len(block.panels) + 2, 0.2 * many + 2)
    rows = [
        [w for p in block.panels for w in (*p.rows[i], *[blank] * (many + 1 - len(p.rows[i])))]
        for i in range(many)
    ]
    axes.imshow(rows, cmap="Greys", vmin=0, vmax=1)
    starts = [i * (many + 1) for i in range(len(block.panels))]
    axes.set_xticks([start + j for start in starts for j in range(many)], names * len(starts),
                    rotation=90, fontsize="x-small")  # fmt: skip
    axes.set_yticks(range(many), names, fontsize="x-small")
    axes.set_xlabel(" | ".join(_plain(panel.name) for panel in block.panels))
