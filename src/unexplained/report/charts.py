"""Where things stand on an axis. The page draws with boxes placed in percent of the axis' width.

An axis covers what is worth telling apart. What lies outside is not pulled in: its mark sits at
the edge, flagged, and the page draws an arrow there beside the number.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from unexplained import visible
from unexplained.record import Example, Number
from unexplained.record import format as fmt

EXCESS_STEPS = (0.1, 0.5, 1.5, 4.0)
"""Nats at which a token's colour changes."""


@dataclass(frozen=True)
class LinearAxis:
    """A linear axis."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def at(self, value: float) -> float:
        """Position in percent of the width, from 0 to 100; values outside sit at the edge.

        >>> LinearAxis(0.0, 2.0, ()).at(0.5), LinearAxis(0.0, 2.0, ()).at(7.0)
        (25.0, 100.0)
        """
        share = (value - self.low) / (self.high - self.low)
        return round(100 * min(max(share, 0.0), 1.0), 2)


UNIT = LinearAxis(0.0, 1.0, (0.0, 1.0))
"""The axis of the gauges in table cells."""


@dataclass(frozen=True)
class PlacedTick:
    """A number placed on an axis."""

    at: float
    low: float
    """Left end of the interval, in percent of the width; `at` where there is no interval."""
    high: float
    beyond: str
    """`left` or `right` where the value itself lies outside of the axis, else empty."""
    bar: tuple[float, float]
    """Left end and width of the bar from zero to the value."""


def mark(number: Number | None, axis: LinearAxis) -> PlacedTick | None:
    """Place a number; None where there is no value to place.

    >>> mark(Number(value=-3.2, low=-5.1, high=0.5), LinearAxis(-0.5, 1.5, ()))
    PlacedTick(at=0.0, low=0.0, high=50.0, beyond='left', bar=(0.0, 25.0))
    """
    if number is None or number.value is None or not math.isfinite(number.value):
        return None
    value = number.value
    at, zero = axis.at(value), axis.at(0.0)
    return PlacedTick(
        at,
        at if number.low is None else axis.at(number.low),
        at if number.high is None else axis.at(number.high),
        "left" if value < axis.low else "right" if value > axis.high else "",
        (min(at, zero), round(abs(at - zero), 2)),
    )


def fraction_axis(numbers: Iterable[Number | None]) -> LinearAxis:
    """An axis for fractions recovered: 0 and 1 and what is near them, at most −0.5 to 1.5.

    >>> fraction_axis([Number(value=-3.2), Number(value=0.4)])
    LinearAxis(low=-0.15, high=1.15, ticks=(0.0, 0.25, 0.5, 0.75, 1.0))
    """
    near = [
        end
        for number in numbers
        if number is not None and number.value is not None and -0.5 <= number.value <= 1.5
        for end in (number.value, number.low, number.high)
        if end is not None
    ]
    low = max(-0.5, min([-0.1, *near]) - 0.05)
    high = min(1.5, max([1.1, *near]) + 0.05)
    # A label at the very edge would stick out of a narrow page.
    edge = (high - low) * 0.04
    ticks = [step / 4 for step in range(-2, 7) if low + edge <= step / 4 <= high - edge]
    return LinearAxis(round(low, 4), round(high, 4), tuple(ticks))


def nats_axis(numbers: Iterable[Number | None]) -> LinearAxis:
    """An axis from zero (or below) over all values, with round ticks.

    >>> nats_axis([Number(value=0.0141, low=0.0098, high=0.0187)]).ticks
    (0.0, 0.005, 0.01, 0.015)
    """
    ends = [
        end
        for number in numbers
        if number is not None and number.value is not None
        for end in (number.value, number.low, number.high)
        if end is not None and math.isfinite(end)
    ]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    if high == low:
        high = low + 1.0
    margin = (high - low) * 0.04
    return axis_over(low - margin * (low < 0), high + margin)


def axis_over(low: float, high: float, pieces: int = 4) -> LinearAxis:
    """An axis from one value to another, with round ticks that cut it into about so many pieces.

    >>> axis_over(2.9, 5.2).ticks
    (3.0, 4.0, 5.0)
    """
    step = _round_step((high - low) / pieces)
    first, last = math.ceil(low / step), math.floor(high / step)
    return LinearAxis(low, high, tuple(round(i * step, 12) for i in range(first, last + 1)))


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return float(next(size * power for size in (1, 2, 2.5, 5, 10) if size * power >= rough * 0.999))


def excess_class(intact: float | None, explained: float | None) -> str:
    """The colour class of a token: `w1` … `w4` worse, `b1` … `b4` better, `same`, or `none`.

    >>> excess_class(1.0, 3.0), excess_class(1.0, 0.8), excess_class(1.0, 1.05)
    ('w3', 'b1', 'same')
    """
    if intact is None or explained is None:
        return "none"
    excess = explained - intact
    level = sum(abs(excess) >= step for step in EXCESS_STEPS)
    return f"{'w' if excess > 0 else 'b'}{level}" if level else "same"


def furthest(examples: Sequence[Example]) -> list[Example]:
    """Documents, those first where an explanation is furthest off, each row's together."""
    rows = list(dict.fromkeys(one.row for one in examples))
    return sorted(examples, key=lambda one: (rows.index(one.row), -one.excess))


def about(example: Example) -> str:
    """What is said of the token that an example is about: losses, and what was predicted in its place."""
    token = example.tokens[example.at or 0]
    losses = {"intact": token.intact, "explained": token.explained, "ablated": token.ablated}
    guesses = {"the model": token.intact_says, "the explanation": token.explained_says}
    parts = (
        "loss " + ", ".join(f"{name} {fmt.nats(loss)}" for name, loss in losses.items()),
        *(f"{who} said {visible.token(text, spaces=True)}" for who, text in guesses.items()),
        token.label,
    )
    return "; ".join(filter(None, parts))


def worst(example: Example, most: int = 5) -> list[int]:
    """Where in a document the explanation's loss exceeds the intact one most, from the worst on."""
    if example.at is not None:
        return [example.at]
    excess = {
        i: token.explained - token.intact
        for i, token in enumerate(example.tokens)
        if token.intact is not None and token.explained is not None
    }
    there = [i for i in sorted(excess, key=lambda i: -excess[i]) if excess[i] >= EXCESS_STEPS[0]]
    return there[:most]


def heat(number: Number | None) -> str:
    """The shade of a share: `h0` … `h10` in tenths, `below` and `above` outside of 0 to 1.

    >>> heat(Number(value=0.447)), heat(Number(value=-0.2)), heat(None)
    ('h4', 'below', 'none')
    """
    if number is None or number.value is None:
        return "none"
    if number.value < 0:
        return "below"
    return "above" if number.value > 1 else f"h{round(number.value * 10)}"
