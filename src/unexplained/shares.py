"""What lies between bounds: intervals kept within them, and shares in words.

An interval that leaves its bounds, an accuracy of 104% or a divergence below 0, holds what cannot
be. Where the bound is a theorem about the quantity, not a habit of its values, ending there loses
nothing: an interval and its part within the bounds hold the truth equally often.
"""

from __future__ import annotations

import math

from unexplained.record import Number
from unexplained.record.format import written
from unexplained.settings import FEWEST_DOCUMENTS

SHARE = "share"

FEW = "too few documents for an interval"

FINE = 0.05
"""An interval of a share that is shorter than this takes a decimal of the percentage."""

MOST_DECIMALS = 6

ROUNDING = 1e-5
"""By so much sums of rounded numbers come out beyond a bound."""


def within(number: Number, least: float | None = None, most: float | None = None) -> Number:
    """The number with an interval that does not leave the bounds of what it estimates.

    An end that is open is the bound. A value beyond one by no more than rounding is the bound; one
    that is further out was measured of something else, and is refused.

    Args:
        number: What was measured.
        least: Nothing can be below it, by a theorem.
        most: Nothing can be above it.

    >>> number = within(Number(value=0.02, low=-0.1, high=0.14, unit="nats per token"), least=0)
    >>> number.low, number.high
    (0.0, 0.14)
    >>> within(Number(value=-3.0, low=-4.0, high=-2.0), least=0).refused
    'it came out at −3, and nothing of its kind is below 0: what was measured is something else'
    """
    if number.value is None:
        return number
    if why := _beyond(number.value, least, most):
        return Number(value=None, unit=number.unit, refused=why)
    value = min(
        max(number.value, -math.inf if least is None else least), math.inf if most is None else most
    )
    if number.low is None and number.high is None:
        return number.model_copy(update={"value": value})
    low, high = number.low, number.high
    if least is not None:
        low = float(least) if low is None else max(low, float(least))
        high = None if high is None else max(high, float(least))
    if most is not None:
        high = float(most) if high is None else min(high, float(most))
        low = None if low is None else min(low, float(most))
    return number.model_copy(update={"value": value, "low": low, "high": high})


def _beyond(value: float, least: float | None, most: float | None) -> str:
    """Why a value that is out of its bounds by more than rounding is none."""
    for bound, side, off in ((least, "below", -1), (most, "above", 1)):
        if bound is not None and off * (value - bound) > ROUNDING:
            stated = f"{value:.3g}".replace("-", "−")
            return (
                f"it came out at {stated}, and nothing of its kind is {side} {bound:g}: "
                "what was measured is something else"
            )
    return ""


def told(share: Number, documents: int) -> Number:
    """The share, refused where there are fewer documents than an interval takes.

    A loss of three documents is still what these three cost. A percentage of them reads as one of
    a text, which it is not.

    >>> told(Number(value=1.0, unit="share"), 3).refused
    'too few documents for an interval (3; it takes 5)'
    """
    if share.value is None or documents >= FEWEST_DOCUMENTS:
        return share
    why = f"{FEW} ({documents}; it takes {FEWEST_DOCUMENTS})"
    return Number(value=None, unit=share.unit or SHARE, refused=why)


def untold(number: Number) -> str:
    """Why a number has no place in a sentence, which needs its interval; empty where it has one.

    >>> untold(Number(value=None, refused="within noise")), untold(Number(value=0.3, low=0.2, high=0.4))
    ('within noise', '')
    >>> untold(Number(value=0.0, bare="it is the same in every document"))
    'it is the same in every document'
    """
    bare = number.low is None and number.high is None
    return number.refused or ((number.bare or FEW) if number.value is None or bare else "")


def percent(number: Number, *, interval: bool = True) -> str:
    """A share in per cent with its interval, or why there is none: no share stands without one.

    No digit that the interval makes meaningless, but what is not all or none never reads as it:
    99.96% is not rounded to 100%, nor 0.04% to 0%.

    >>> percent(Number(value=0.9996, low=0.8, high=1.0))
    '99.96% [80.00%, 100.00%]'
    >>> percent(Number(value=0.312, low=0.25, high=0.37))
    '31% [25%, 37%]'
    >>> percent(Number(value=0.312))
    '(refused: too few documents for an interval)'
    """
    if why := untold(number):
        return f"(refused: {why})"
    shown = [end for end in (number.value, number.low, number.high) if end is not None]
    fine = number.low is not None and number.high is not None and number.high - number.low < FINE
    decimals = max(decimals_of(end, least=int(fine)) for end in shown)
    one = number if interval else Number(value=number.value)
    return written(one, scale=100, spec=f".{decimals}f", mark="%")


def in_percent(share: float) -> str:
    """A share that was counted, not estimated.

    >>> in_percent(0.5), in_percent(0.9996), in_percent(1.0)
    ('50%', '99.96%', '100%')
    """
    return f"{100 * share:.{decimals_of(share)}f}%"


def stated(share: float) -> str:
    """A share that somebody asked for: as it was given, not rounded.

    >>> stated(0.05), stated(0.025), stated(0.00001)
    ('5%', '2.5%', '0.001%')
    """
    return f"{100 * share:.12g}%"


def decimals_of(share: float, *, least: int = 0) -> int:
    """Decimals of a percentage that does not read as all or none unless it is.

    >>> decimals_of(0.5), decimals_of(0.9996), decimals_of(0.0004), decimals_of(1.0), decimals_of(1 - 1e-12)
    (0, 2, 2, 0, 0)
    """
    decimals = least
    if round(100 * share, MOST_DECIMALS) in (0.0, 100.0):
        return decimals  # no decimal that is written tells it apart
    while (
        decimals < MOST_DECIMALS
        and share not in (0.0, 1.0)
        and round(100 * share, decimals) in (0.0, 100.0)
    ):
        decimals += 1
    return decimals
