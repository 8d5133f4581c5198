"""Small charts of the narrow tasks: accuracy against fraction recovered, placed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unexplained.record import Number, TasksRecord
from unexplained.record import format as fmt
from unexplained.record.tasks import Task, TaskPoint
from unexplained.report import narrow
from unexplained.report.charts import Axis, axis_over, fraction_axis
from unexplained.report.placing import Spot, apart, finite, from_top, paths, shortened, spot

GAP = 11.0
"""Percent of a panel's height between two names."""
STEP = 8.0
"""The same between two numbers of components."""


@dataclass(frozen=True)
class Level:
    """An accuracy that does not depend on how many are replaced."""

    words: str
    kind: str
    """`intact`, `rung` or `ablated`."""
    y: float
    label: float
    hover: str


@dataclass(frozen=True)
class Panel:
    """One task: accuracy upwards, fraction recovered across, one mark for every count."""

    task: Task
    x: Axis
    y: Axis
    lines: tuple[str, ...]
    spots: tuple[tuple[int, Spot, float], ...]
    """With the number of components replaced, and the height at which that is written."""
    levels: tuple[Level, ...]
    even: tuple[float, float, float, float] | None
    """Left, lower, right and upper end of the line on which accuracy is kept as loss is."""
    omitted: tuple[int, ...]
    """Counts that are not drawn, because a number was refused."""

    def from_top(self, accuracy: float) -> float:
        """Height of an accuracy, in percent from above."""
        return from_top(self.y, accuracy)


def panels(record: TasksRecord) -> tuple[Panel, ...]:
    """A panel for every task of which anything can be drawn; all have the same axis across."""
    drawn = [point.recovered for task in record.tasks for point in task.points if _there(point)]
    whole = fraction_axis(drawn)
    x = Axis(whole.low, whole.high, tuple(t for t in (0.0, 0.5, 1.0) if t <= whole.high))
    return tuple(
        _panel(task, record.reference, x)
        for task in record.tasks
        if any(_there(point) for point in task.points)
    )


def _there(point: TaskPoint) -> bool:
    return finite(point.recovered) is not None and finite(point.accuracy) is not None


def _panel(task: Task, reference: str, x: Axis) -> Panel:
    held = _held(task, reference)
    there = [point for point in task.points if _there(point)]
    highest = [finite(number) or 0.0 for _, _, number in held]
    highest += [
        end for p in there for end in (p.accuracy.value, p.accuracy.high) if end is not None
    ]
    bare = axis_over(0.0, max(highest) * 1.06 or 1.0)
    y = Axis(bare.low, bare.high, bare.ticks)
    spots = [(point.count, _spot(task, point, x, y)) for point in there]
    ends = (finite(task.ablated), finite(task.accuracy))
    return Panel(
        task,
        x,
        y,
        paths(
            (_across(x, p.recovered.value or 0.0), from_top(y, p.accuracy.value or 0.0))
            for p in there
        ),
        _written([(count, one) for count, one in spots if one is not None]),
        _levels(held, y),
        None
        if ends[0] is None or ends[1] is None
        else (x.at(0.0), from_top(y, ends[0]), x.at(1.0), from_top(y, ends[1])),
        tuple(point.count for point in task.points if not _there(point)),
    )


def _written(spots: Sequence[tuple[int, Spot]]) -> tuple[tuple[int, Spot, float], ...]:
    """Every mark with a height for its number: its own, or as near as there is room."""
    ordered = sorted(spots, key=lambda item: (item[1].y, item[0]))
    heights = apart([one.y for _, one in ordered], STEP)
    return tuple((count, one, y) for (count, one), y in zip(ordered, heights, strict=True))


def _across(x: Axis, value: float) -> float:
    """Place of a fraction, not pulled to the edge."""
    return round(min(max(100 * (value - x.low) / (x.high - x.low), -1e4), 1e4), 2)


def _spot(task: Task, point: TaskPoint, x: Axis, y: Axis) -> Spot | None:
    value = point.recovered.value or 0.0
    hover = (
        f"{task.name}, {point.count:,} replaced: f {fmt.show(point.recovered)}, accuracy "
        f"{fmt.show(point.accuracy)}"
    )
    if point.kept is not None:
        hover += f", {fmt.show(point.kept)} of the model's"
    placed = spot(x.at(value), point.accuracy, y, hover)
    if placed is None:
        return None
    side = "left" if value < x.low else "right" if value > x.high else ""
    return Spot(placed.x, placed.y, placed.low, placed.high, side,
                fmt.show(point.recovered).value, hover)  # fmt: skip


def _held(task: Task, reference: str) -> list[tuple[str, str, Number]]:
    """Words, kind and accuracy of the level lines, the highest first."""
    every = [("model", "intact", task.accuracy), ("ablated", "ablated", task.ablated)]
    other = narrow.weak(task, reference)
    if other is not None:
        every.append(("".join(shortened(reference)), "rung", other))
    given = [item for item in every if finite(item[2]) is not None]
    return sorted(given, key=lambda item: -(item[2].value or 0.0))


def _levels(held: Sequence[tuple[str, str, Number]], y: Axis) -> tuple[Level, ...]:
    heights = [from_top(y, number.value or 0.0) for _, _, number in held]
    return tuple(
        Level(words, kind, height, label, f"{words}: accuracy {fmt.show(number)}")
        for (words, kind, number), height, label in zip(
            held, heights, apart(heights, GAP), strict=True
        )
    )
