"""How numbers are written, everywhere: the interval decides how many digits mean something.

| what | written |
|---|---|
| nats, bits and plain numbers | as many decimals as give the interval's width two digits; two at least of one below 30 |
| the same below 0.1 | four decimals at least |
| shares | percent, by the same rule |
| a number that was refused | the word `refused`, never 0 |
| a magnitude of a million or more | 1.2 × 10⁶ |
| a p-value | two digits, below 10⁻¹⁶ `< 10⁻¹⁶` |
| training compute | 1.2 × 10⁶ at any size; a share of it keeps two digits of each end |

A share that is not exactly 0 or 1 is never rounded to 0% or 100%, nor the end of an interval to 0 or 100%.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from unexplained.record.base import Number
from unexplained.record.blocks import Cell, Style

METHODS = {
    "mech": "mechanistic",
    "high-level": "high-level",
    "internals": "internals",
    "black-box": "black-box",
}
"""Item 107's tags of how something was come by, in words."""
REFUSED = "refused"
MISSING = "–"
"""What stands where nothing was measured."""
MINUS = "−"
MOST_DECIMALS = 6
HUGE = 1e6
ROUNDING = 1e-12
"""A width that is no more than this share of the value is none."""
LEAST_CHANCE = 1e-16
"""Below this no test of documents knows a p-value."""
SMALL, WIDE = 0.1, 30.0
"""Below this, losses keep at least four decimals, so that a column of small damages lines up; an interval that
is as wide as the second asks for none."""
_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


@dataclass(frozen=True)
class Shown:
    """A number ready to be printed."""

    value: str
    interval: str = ""
    """`[low, high]`, or `[low, ∞)` where it is open; empty where there is no interval."""
    refused: bool = False

    def __str__(self) -> str:
        return f"{self.value} {self.interval}".strip()


def show(number: Number | None, *, share: bool | None = None) -> Shown:
    """Write a number with its interval.

    Args:
        number: What to write; None where nothing was measured.
        share: Write it in percent; by default where its unit is `share`.

    >>> str(show(Number(value=0.0141, low=0.0098, high=0.0187, unit="nats per token")))
    '0.0141 [0.0098, 0.0187]'
    >>> str(show(Number(value=-3.2, low=-5.1, high=-1.9, unit="share")))
    '−320% [−510%, −190%]'
    >>> str(show(Number(value=None, refused="too few documents")))
    'refused'
    """
    percent = (number is not None and number.unit == "share") if share is None else share
    factor, sign = (100.0, "%") if percent else (1.0, "")
    places = _places(number, factor, percent)
    return _shown(number, lambda value: _fixed(value * factor, places) + sign)


def cell(value: Cell, style: Style = "plain") -> Shown:
    """Write what stands in a cell, in its column's style.

    >>> str(cell(50_800)), str(cell(3.14159)), str(cell("a word")), str(cell(None))
    ('50,800', '3.142', 'a word', '–')
    >>> str(cell(4e11, "compute")), str(cell(0.23, "signed")), str(cell(0.05, "share"))
    ('4.0 × 10¹¹', '+0.2300', '5%')
    """
    match value:
        case None:
            return Shown(MISSING)
        case str():
            return Shown(value)
        case Number():
            # A denominator below shares is no share.
            other = value.unit and not value.unit.startswith(("share", "times"))
            return _NUMBERS["plain" if other and style in _SHARES else style](value)
        case int():
            return Shown(count(value))
        case float():
            return Shown(_BARE[style](value))


def unit(value: Cell, style: Style = "plain") -> str:
    """The unit to be written after a number that no heading tells it of; empty where it says it itself.

    >>> unit(Number(value=2.9, unit="nats per token")), unit(Number(value=0.3, unit="share"), "share")
    ('nats per token', '')
    """
    if not isinstance(value, Number) or value.value is None:
        return ""
    says_itself = style not in ("plain", "compute") or value.unit in ("share", "times")
    return "" if says_itself else value.unit


def points(number: Number | None) -> Shown:
    """Write a difference of two shares, in percentage points and with its sign.

    >>> str(points(Number(value=-0.053, low=-0.188, high=0.061, unit="share")))
    '−5 [−19, +6]'
    >>> str(points(Number(value=0.02, low=-0.1, unit="share")))
    '+2 [−10, ∞)'
    """
    places = _places(number, 100.0, True)
    return _shown(number, lambda value: _signed(value * 100, places))


def compute(number: Number | None) -> Shown:
    """Write a compute in FLOPs, of which nothing is known but that it is above 0 at an open end.

    >>> str(compute(Number(value=2.4e12, low=1.9e12, high=3.14e13)))
    '2.4 × 10¹² [1.9 × 10¹², 3.1 × 10¹³]'
    >>> str(compute(Number(value=2.4e12, high=3.14e13))), str(compute(Number(value=2.4e12, low=2e12)))
    ('2.4 × 10¹² (0, 3.1 × 10¹³]', '2.4 × 10¹² [2.0 × 10¹², ∞)')
    """
    return _shown(number, power, least="0")


def portion(number: Number | None) -> Shown:
    """Write a share that can be of any order of magnitude: two digits of each end, at least.

    >>> str(portion(Number(value=3e-4, low=2e-5, high=0.0211)))
    '0.030% [0.0020%, 2.1%]'
    >>> str(portion(Number(value=0.447, low=0.312, high=0.561))), str(portion(Number(value=3e-9)))
    ('45% [31%, 56%]', '3.0 × 10⁻⁷%')
    """
    width = None if number is None else _width(number, 100.0)
    known = 0 if not width or not math.isfinite(width) else 1 - math.floor(math.log10(width))
    return _shown(number, lambda value: _percent(value, known), least="0")


def written(number: Number, *, scale: float = 1.0, spec: str = ".2g", mark: str = "") -> str:
    """Write a value with its interval, minus signs as minus signs; of a refused one, why.

    An estimate and the ends of its interval have the same decimals, those that they have in a table.

    >>> written(Number(value=-0.00034, low=-0.0011, high=0.0006))
    '−0.0003 [−0.0011, 0.0006]'
    >>> written(Number(value=0.0521, low=0.0356, high=0.0685, unit="nats per token"))
    '0.0521 [0.0356, 0.0685]'
    >>> written(Number(value=0.312, low=0.25, high=0.37), scale=100, spec=".1f", mark="%")
    '31.2% [25.0%, 37.0%]'
    """
    width = _width(number, scale) if spec.endswith("g") else None
    even = width is not None and ROUNDING * abs((number.value or 0.0) * scale) < width < math.inf
    places = _places(number, scale, mark == "%")

    def write(value: float) -> str:
        if even and math.isfinite(value):
            return _fixed(value * scale, places) + mark
        text = f"{value * scale:{spec.replace('.', ',.') if ',' not in spec else spec}}"
        if float(text.replace(",", "")) == 0:  # rounded to nothing it has no sign
            text = text.replace("-", "")
        return f"{_times_ten(text)}{mark}".replace("-", MINUS)

    return f"refused: {number.refused}" if number.value is None else str(_shown(number, write))


def power(value: float) -> str:
    """Write a number with two digits and a power of ten.

    >>> power(4.02e11), power(9.96e11), power(1e13), power(-8.5), power(0.0)
    ('4.0 × 10¹¹', '1.0 × 10¹²', '1.0 × 10¹³', '−8.5', '0')
    """
    if value == 0 or not math.isfinite(value):
        return "not finite" if value else "0"
    return _times_ten(f"{value:.1e}").replace("-", MINUS)


def _times_ten(text: str) -> str:
    """What Python writes with an `e`, with a power of ten."""
    mantissa, _, exponent = text.partition("e")
    if not exponent:
        return text
    return f"{mantissa} × {ten(int(exponent))}" if int(exponent) else mantissa


def ten(exponent: int) -> str:
    """Write a power of ten.

    >>> ten(12), ten(-3)
    ('10¹²', '10⁻³')
    """
    return "10" + str(exponent).translate(_SUPERSCRIPT)


def refusal(number: Number, needed: str = "tokens") -> str:
    """Say why a number was refused and how many tokens, or pairs, it would take; or why it has no interval.

    >>> refusal(Number(value=None, refused="within noise of zero", tokens_needed=1_240_000))
    'within noise of zero; it takes at least about 1.2 million tokens'
    """
    if number.tokens_needed is None or number.value is not None:
        return number.refused or f"no interval: {number.bare}"
    return f"{number.refused}; it takes at least about {count(number.tokens_needed)} {needed}"


def count(number: int) -> str:
    """Write a count: in full below a million, in words above.

    >>> count(50_800), count(2_400_000), count(3_000_000_000)
    ('50,800', '2.4 million', '3 billion')
    """
    for size, word in ((10**9, "billion"), (10**6, "million")):
        if abs(number) >= size:
            return f"{number / size:,.1f}".removesuffix(".0") + f" {word}"
    return f"{number:,}"


def nats(value: float | None) -> str:
    """Write a single loss, which has no interval.

    >>> nats(3.14159), nats(-0.00042), nats(None)
    ('3.142', '−0.00042', '–')
    """
    return MISSING if value is None else _fixed(value, _decimals(value, None, False))


def signed(value: float) -> str:
    """Write a difference with its sign.

    >>> signed(0.231), signed(-2.4)
    ('+0.2310', '−2.400')
    """
    return _signed(value, _decimals(value, None, False))


def chance(p: float) -> str:
    """Write a p-value with two digits: it is never 0, and far out it is known to no digit.

    >>> chance(0.0123), chance(3e-7), chance(0.0), chance(1.0)
    ('0.012', '3 × 10⁻⁷', '< 10⁻¹⁶', '1')
    """
    if p < LEAST_CHANCE:
        return f"< {ten(round(math.log10(LEAST_CHANCE)))}"
    text = f"{p:.2g}"
    return _times_ten(text) if p == 1 or text != "1" else f"{p:.4g}"


def tick(value: float, *, share: bool) -> str:
    """Write a round number on an axis.

    >>> tick(-0.25, share=True), tick(0.005, share=False), tick(11.6, share=True)
    ('−25%', '0.005', '1,160%')
    """
    scaled = value * 100 if share else value
    text = f"{scaled:,g}" if 1e-4 <= abs(scaled) < HUGE or not scaled else power(scaled)
    return text.replace("-", MINUS) + "%" * share


def part(value: float) -> str:
    """Write an exact share, of all edges or tokens, to two digits; only all of them are 100%.

    >>> part(0.0002), part(0.01234), part(0.9996), part(1.0)
    ('0.02%', '1.2%', '99.96%', '100%')
    """
    digits = 2
    while value < 1 and float(f"{value:.{digits}g}") >= 1 and digits < 12:
        digits += 1
    return tick(float(f"{value:.{digits}g}"), share=True)


def in_short(names: Sequence[str], *, most: int = 8) -> str:
    """The first names, and how many more there are.

    >>> in_short(("L1.H0", "L1.H1", "L1.H2"), most=2)
    'L1.H0, L1.H1 and 1 more'
    """
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"


def _shown(
    number: Number | None, write: Callable[[float], str], *, least: str = f"{MINUS}∞"
) -> Shown:
    """A value and its interval, each written for itself; an end that is open goes to `least` or to ∞."""
    if number is None:
        return Shown(MISSING)
    if number.value is None:
        return Shown(REFUSED, refused=True)
    value, low, high = write(number.value), number.low, number.high
    if low is None and high is None:
        return Shown(value)
    # Nines have no upper end where the share's interval reaches 1.
    start = f"({least}" if low is None else f"[{write(low)}"
    return Shown(value, f"{start}, ∞)" if high is None else f"{start}, {write(high)}]")


def _percent(value: float, known: int) -> str:
    """A share in percent with so many decimals, and more where two digits take more."""
    percent = value * 100
    if percent in (0, 100) or not math.isfinite(percent):
        return _fixed(percent, 0) + "%"
    digits = 1 - math.floor(math.log10(abs(percent)))
    if digits > MOST_DECIMALS:
        return power(percent) + "%"
    places = min(max(known, digits, 0), MOST_DECIMALS)
    while places < MOST_DECIMALS and round(percent, places) == 100:
        places += 1
    return _fixed(percent, places) + "%"


def _width(number: Number, factor: float) -> float | None:
    """The interval's width; twice the known half where one end is open."""
    value, low, high = number.value, number.low, number.high
    if low is not None and high is not None:
        return (high - low) * factor
    if value is not None and low is not None:
        return 2 * (value - low) * factor
    if value is not None and high is not None:
        return 2 * (high - value) * factor
    return None


def _signed(value: float, places: int) -> str:
    text = _fixed(value, places)
    return text if text.startswith(MINUS) or not any(c in "123456789" for c in text) else f"+{text}"


def _places(number: Number | None, factor: float, percent: bool) -> int:
    """Decimals of a number and of its ends."""
    if number is None or number.value is None:
        return 0
    places = _decimals(number.value * factor, _width(number, factor), percent)
    bounds = (0, 100) if percent else (0,)
    known = (number.low, number.high, number.value if percent else None)
    told = [x * factor for x in known if x is not None]
    told = [x for x in told if math.isfinite(x) and round(x, MOST_DECIMALS) not in bounds]
    # 99.97% must not read as 100%, nor an end of 0.2% as 0%, where so many decimals can tell.
    while places < MOST_DECIMALS and any(round(x, places) in bounds for x in told):
        places += 1
    return places


def _decimals(value: float, width: float | None, percent: bool) -> int:
    # A width that is only rounding says nothing about digits.
    if width is not None and ROUNDING * abs(value) < width < math.inf:
        places = 1 - math.floor(math.log10(width))
        if not percent:
            small = 0 < abs(value) < SMALL and width < SMALL
            places = max(places, 4 if small else 2 * (width < WIDE))
    elif percent:
        places = 0 if value == round(value) else 1
    elif value == 0 or not math.isfinite(value):
        places = 0 if value == 0 else 1
    elif abs(value) >= 0.001:
        places = 4 - max(0, math.floor(math.log10(abs(value))) + 1)
    else:
        places = 1 - math.floor(math.log10(abs(value)))
    return min(max(places, 0), MOST_DECIMALS)


def _fixed(value: float, places: int) -> str:
    if not math.isfinite(value):
        return "not finite"
    tiny = value != 0 and abs(value) < 10**-MOST_DECIMALS and places >= MOST_DECIMALS
    text = power(abs(value)) if abs(value) >= HUGE or tiny else f"{abs(value):,.{places}f}"
    nothing = not any(c in "123456789" for c in text)
    return text if value >= 0 or nothing else MINUS + text


_SHARES: tuple[Style, ...] = ("share", "points", "portion")
_NUMBERS: dict[Style, Callable[[Number | None], Shown]] = {
    "plain": show,
    "share": lambda number: show(number, share=True),
    "points": points,
    "compute": compute,
    "portion": portion,
    "signed": show,
}
_BARE: dict[Style, Callable[[float], str]] = {
    "plain": nats,
    "share": part,
    "points": lambda value: _signed(value * 100, 1),
    "compute": power,
    "portion": part,
    "signed": signed,
}
