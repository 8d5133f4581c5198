"""The chart of a rewriting: loss against how many components are replaced, placed.

Explained and mean-ablated models of every random order, and level lines for what they are to be
held against: the intact model, weaker models and tables. See `plots` for how it is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from unexplained.record import Number, RewriteRecord
from unexplained.record import format as fmt
from unexplained.record.rewrite import Step
from unexplained.report.charts import Axis, axis_over
from unexplained.report.placing import (
    Doublings,
    Spot,
    apart,
    finite,
    from_top,
    paths,
    shortened,
    spot,
)

COLOURS = 4
"""Colours and shapes of random orders in the style sheet, before they come again."""
ROOM = 1.0
"""How far above and below the explained models the axis goes for what they are held against, in
their own height."""
PIECES = 8
"""Ticks on the axis of losses, about."""
LEAST = 1.0
"""Nats per token that this is at least, so that what is near is seen where nothing changes."""


@dataclass(frozen=True)
class Order:
    """One random order, placed."""

    draw: int
    hue: int
    shape: int
    explained: tuple[str, ...]
    """Corners `x,y …`."""
    ablated: tuple[str, ...]
    dots: tuple[Spot, ...]
    """The explained models."""
    crosses: tuple[Spot, ...]
    """The mean-ablated ones."""


@dataclass(frozen=True)
class Level:
    """A loss that does not depend on how many are replaced, drawn as a level line."""

    name: str
    kind: str
    """`intact`, `rung` or `table`."""
    loss: Number
    y: float
    label: float
    """Height of its name at the right."""
    first: str
    rest: str
    """Its name, what a telephone shows of it and what it leaves out."""


@dataclass(frozen=True)
class Plot:
    """A rewriting, placed."""

    x: Doublings
    y: Axis
    orders: tuple[Order, ...]
    levels: tuple[Level, ...]
    """The highest loss first."""
    outside: tuple[tuple[str, Number], ...]
    """What is too far above or below to be drawn."""

    def from_top(self, loss: float) -> float:
        """Height of a loss, in percent from above."""
        return from_top(self.y, loss)


def plot(record: RewriteRecord) -> Plot | None:
    """Place everything; None where nothing can be drawn."""
    drawn = [v for step in record.steps if (v := finite(step.explained)) is not None]
    if not drawn:
        return None
    held = _held(record)
    x = Doublings(max(step.count for step in record.steps))
    y = _losses(drawn, [v for step in record.steps if (v := finite(step.ablated)) is not None],
                [v for _, _, number in held if (v := finite(number)) is not None])  # fmt: skip
    draws = dict.fromkeys(step.draw for step in record.steps)
    orders = tuple(
        _order(i, [step for step in record.steps if step.draw == draw], x, y)
        for i, draw in enumerate(draws)
    )
    inside = [item for item in held if 0 <= from_top(y, finite(item[2]) or 0.0) <= 100]
    outside = tuple(
        (name, number) for name, kind, number in held if (name, kind, number) not in inside
    )
    return Plot(x, y, orders, _levels(inside, y), outside)


def _held(record: RewriteRecord) -> list[tuple[str, str, Number]]:
    """Name, kind and loss of what is drawn as a level line, the highest loss first."""
    every = [("intact", "intact", record.intact)]
    every += [(name, "rung", number) for name, number in record.rungs.items()]
    every += [(name, "table", number) for name, number in record.tables.items()]
    given = [item for item in every if finite(item[2]) is not None]
    return sorted(given, key=lambda item: -(item[2].value or 0.0))


def _losses(explained: Sequence[float], ablated: Sequence[float], held: Sequence[float]) -> Axis:
    """The explained models, and of the rest what is not far above or below them.

    >>> _losses([4.0, 5.0], [30.0], [3.5, 11.0, 5.4]).ticks
    (3.5, 4.0, 4.5, 5.0)
    """
    low, high = min(explained), max(explained)
    room = max((high - low) * ROOM, LEAST)
    near = [v for v in (*ablated, *held) if low - room <= v <= high + room]
    low, high = min([low, *near]), max([high, *near])
    margin = (high - low) * 0.05 or 0.1
    return axis_over(low - margin, high + margin, PIECES)


def _order(i: int, steps: Sequence[Step], x: Doublings, y: Axis) -> Order:
    ordered = sorted(steps, key=lambda step: step.count)

    def corners(of: Callable[[Step], Number]) -> Iterable[tuple[float, float] | None]:
        for step in ordered:
            value = finite(of(step))
            yield None if value is None else (x.at(step.count), from_top(y, value))

    def dots(of: Callable[[Step], Number], words: str) -> tuple[Spot, ...]:
        found = (
            spot(
                x.at(s.count),
                of(s),
                y,
                f"{_said(s)} {words}: loss {fmt.show(of(s))}{_place(s, words)}",
            )
            for s in ordered
        )
        return tuple(one for one in found if one is not None)

    return Order(
        steps[0].draw,
        i % COLOURS,
        # The second time round a colour comes with another shape.
        (i + i // COLOURS) % COLOURS,
        paths(corners(lambda s: s.explained)),
        paths(corners(lambda s: s.ablated)),
        dots(lambda s: s.explained, "explained"),
        dots(lambda s: s.ablated, "mean-ablated"),
    )


def _said(step: Step) -> str:
    return f"random order {step.draw + 1}, {step.count:,} component{'s' * (step.count != 1)}"


def _place(step: Step, words: str) -> str:
    return f"; {step.place.place}" if step.place and words == "explained" else ""


def _levels(inside: Sequence[tuple[str, str, Number]], y: Axis) -> tuple[Level, ...]:
    heights = [from_top(y, number.value or 0.0) for _, _, number in inside]
    return tuple(
        Level(name, kind, number, height, label, *shortened(name))
        for (name, kind, number), height, label in zip(inside, heights, apart(heights), strict=True)
    )
