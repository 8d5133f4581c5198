"""How far a recovered fraction is from each bar that people have named. No bar is a pass mark."""

from __future__ import annotations

import math

from unexplained.record import Number

BARS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999)
"""Bars named in the debate that this package serves; nobody agrees on one."""


def distances(recovered: Number) -> dict[str, Number]:
    """Recovered minus each bar, the interval moved along; refused where `recovered` is.

    Args:
        recovered: A share, as `recovered` gives it.

    >>> found = distances(Number(value=0.75, low=0.625, high=0.875, unit="share"))
    >>> found["0.5"].value, found["0.5"].low, found["0.5"].high
    (0.25, 0.125, 0.375)
    """
    return {str(bar): _moved(recovered, bar) for bar in BARS}


def nines(recovered: Number) -> Number:
    """−log10(1 − recovered): 1 means 90%, 2 means 99%; its interval by the same transform.

    `high` is None, without end, where the interval of `recovered` reaches 1. Refused where
    `recovered` is refused or is 1 or more.

    Args:
        recovered: A share, as `recovered` gives it.

    >>> round(nines(Number(value=0.99, low=0.9, high=1.01)).value, 12)
    2.0
    >>> nines(Number(value=1.0, low=1.0, high=1.0)).refused
    'recovered is 1 or more: nines have no end'
    """
    unit = "nines"
    if recovered.value is None:
        return recovered.model_copy(update={"unit": unit})
    if recovered.value >= 1:
        return Number(value=None, unit=unit, refused="recovered is 1 or more: nines have no end")
    return Number(
        value=_nines(recovered.value),
        low=None if recovered.low is None else _nines(recovered.low),
        high=None if recovered.high is None else _nines(recovered.high),
        unit=unit,
    )


def _nines(share: float) -> float | None:
    # log1p keeps the digits of small shares; adding 0.0 turns −0.0 into 0.0.
    return -math.log1p(-share) / math.log(10) + 0.0 if share < 1 else None


def _moved(number: Number, by: float) -> Number:
    if number.value is None:
        return number
    return number.model_copy(
        update={
            "value": number.value - by,
            "low": None if number.low is None else number.low - by,
            "high": None if number.high is None else number.high - by,
        }
    )
