"""Where a gap between two models lives: on a few crucial tokens, or a little on every one.

d = l_weak − l_strong is the gap of one token (nats). Its net sum is what all bars divide by; here
tokens are put in order and the share of the net gap that the first so many carry is drawn: the
concentration curve of Kakwani, whose case of a d in order of itself is the Lorenz curve.

Beware of choosing by what is scored. Put in order of d itself, noise looks concentrated: a gap of
0.1 nats on every token, with independent noise of 1 nat, has 2% of the tokens carrying half of it
and a Gini index of 5.6 instead of 0. So tokens are put in order by a second pair of models (another
seed of each, or other rungs of the ladder) and scored by the first. With noise that the pairs do
not share, such an order never shows more concentration than is there: of all orders, the one by the
expected gap itself makes the expected curve highest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from unexplained.bars.measures import measure_of
from unexplained.bars.tokens import TokenLosses, token_losses
from unexplained.errors import MeasurementError
from unexplained.estimators.tails import ends_of
from unexplained.intervals import ROUNDING, apart, shape
from unexplained.ledger import Ledger
from unexplained.record import Number
from unexplained.record.bars import Concentration, GapPoint, NearZero
from unexplained.shares import within
from unexplained.stats import (
    FEWEST_DOCUMENTS,
    NATS,
    SHARE,
    Settings,
    difference_per_token,
    ends,
    fraction,
    mean_per_token,
    times_drawn,
    too_few,
)

NEAR_ZERO = (0.01, 0.1, 0.5)
"""Losses (nats) below which a token counts as all but certain: probabilities of 99, 90 and 61%."""
GRID = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0)
"""Shares of the tokens at which the curve is given."""
CARRIED = (0.5, 0.8, 1.0)
"""Shares of the net gap of which is said how few tokens carry them."""

TIMES = "times"
AGAINST = "the two pairs' gaps do not go together: one is large where the other is small"

FAR = 30.0
"""Logarithm of a factor beyond which its interval has no end."""
MOST_TIMES = 100.0
"""An interval that tails make longer than so many times says nothing, and could not be drawn."""

OWN = (
    "The tokens are in the order of the losses that are scored, and in such an order noise alone "
    "looks concentrated: an upper bound. Choose by a second pair of models for a fair one."
)
CROSS = (
    "The tokens are in the order of another pair's gap, so chance differences of the scored pair "
    "count for nothing: curve and index are lower bounds of how concentrated the gap is. The "
    "share that carries all of it is where the curve first touches 1, which chance brings forward."
)


def concentration(
    ledger: Ledger,
    strong: str,
    weak: str,
    *,
    chosen_by: tuple[str, str] | None = None,
    settings: Settings,
) -> Concentration:
    """How few tokens carry the gap between two models.

    `factor` and `effective` are what tells a concentrated gap from a diffuse one whatever the noise on
    single tokens, as long as the two pairs do not share it: E[d d′] has no term in independent
    noise. Curve and index by a second pair are lower bounds of concentration, by the pair itself upper
    ones. All are of the *net* gap, so tokens where the strong model is worse take away from it,
    the curve can rise above 1 and the index too; `bounded` (Raffinetti, Siletti and Vernizzi, 2015)
    divides by Σ|d| instead. Intervals resample documents and put the drawn tokens in order anew; that
    of the factor is a t interval with its documents' tails in it.

    It misleads where the two pairs share what is no ability: seeds that saw their training text in
    the same order share noise. And tokens differ in what they can show: a loss that is near zero in
    the weaker model leaves no gap to carry.

    Cost: 10 to 20 seconds for 200,000 tokens at 2,000 resamples on a busy core.

    Args:
        ledger: Holds the losses per token of all models named.
        strong: The strong model's condition.
        weak: The weaker model's.
        chosen_by: A second strong and weaker model whose gap puts the tokens in order; None for the
            scored pair itself, which flatters.
        settings: Level, resamples and seed.

    Raises:
        MeasurementError: The second pair shares a model with the first, or losses were not kept.

    A gap of 2 nats on one token in four, in each of six documents:

    >>> import pyarrow as pa
    >>> from unexplained.ledger import TOKEN_SCHEMA
    >>> one = {"predicted": [0] * 4}
    >>> rows = [
    ...     {"condition": name, "document": str(i), "loss": [3.0, 3.0, 3.0, last], **one}
    ...     for name, last in (("intact", 3.0), ("rung 1", 5.0)) for i in range(6)
    ... ]
    >>> ledger = Ledger(Ledger.empty().table, pa.Table.from_pylist(rows, schema=TOKEN_SCHEMA))
    >>> concentration(ledger, "intact", "rung 1", settings=Settings()).effective.value
    0.25
    """
    own = chosen_by is None
    first, second = chosen_by or (strong, weak)
    read = token_losses(ledger, (strong, weak, first, second))
    if not own:
        _require_others(read, (strong, weak), (first, second))
    d = read.losses[weak] - read.losses[strong]
    other = d if own else read.losses[second] - read.losses[first]
    floor = measure_of("loss", pairs=False).floor

    def mean(values: np.ndarray, unit: str = NATS) -> Number:
        return mean_per_token(read.summed(values), read.tokens, settings=settings, unit=unit)

    stands = net_of(read, d, strong, weak, settings)
    chooser = net_of(read, other, first, second, settings)
    spread = _spread(read, d, other, stands, settings)
    factor = _factor(read, d, other, stands if stands.value is None else chooser, settings)
    return Concentration(
        strong=strong,
        weak=weak,
        chosen_by=(first, second),
        own=own,
        caution=OWN if own else CROSS,
        documents=int(np.count_nonzero(read.tokens)),
        tokens=d.size,
        gap=mean(d),
        gained=within(mean(np.maximum(d, 0)), least=0),
        given_back=within(mean(np.maximum(-d, 0)), least=0),
        worse=mean(d < -floor, SHARE),
        near_zero=_near_zero(read, strong, weak, settings),
        curve=spread.curve,
        carrying=spread.carrying,
        index=spread.index,
        bounded=spread.bounded,
        factor=factor,
        effective=inverse(factor),
    )


@dataclass(frozen=True, eq=False)
class _Order:
    """Tokens in the chooser's order, highest first, with what is needed to draw them again."""

    d: np.ndarray
    at: np.ndarray
    starts: np.ndarray
    """Where each run of equal choosers begins: such tokens are taken together, evenly."""

    @classmethod
    def of(cls, d: np.ndarray, other: np.ndarray, at: np.ndarray) -> _Order:
        order = np.argsort(-other, kind="stable")
        ranked = other[order]
        starts = np.flatnonzero(np.concatenate(([True], ranked[1:] != ranked[:-1])))
        return cls(d[order], at[order], starts)

    def measured(self, times: np.ndarray) -> np.ndarray:
        """With each document taken so many times: [2 · area, net, curve on `GRID`, `CARRIED`].

        Area between curve and diagonal and curve are in sums of d, not yet shares of the net.
        """
        weights = times[self.at]
        counts, sums = weights, weights * self.d
        if self.starts.size < self.d.size:
            counts, sums = (np.add.reduceat(one, self.starts) for one in (counts, sums))
        x = np.concatenate(([0.0], np.cumsum(counts)))
        y = np.concatenate(([0.0], np.cumsum(sums)))
        net = y[-1]
        x /= x[-1]
        area = ((y[1:] + y[:-1]) * np.diff(x)).sum() - net
        carried = [_first(x, y, share * net) if net > 0 else 0.0 for share in CARRIED]
        return np.array([area, net, *np.interp(GRID, x, y), *carried])


def _first(x: np.ndarray, y: np.ndarray, target: float) -> float:
    """The least x at which the line through the points reaches a positive target."""
    i = int(np.argmax(y >= target))
    return float(x[i - 1] + (x[i] - x[i - 1]) * (target - y[i - 1]) / (y[i] - y[i - 1]))


@dataclass(frozen=True)
class _Spread:
    curve: tuple[GapPoint, ...]
    carrying: dict[str, Number]
    index: Number
    bounded: Number


def _spread(
    read: TokenLosses, d: np.ndarray, other: np.ndarray, stands: Number, settings: Settings
) -> _Spread:
    """Curve and areas with intervals; all but `bounded` refused where the net gap does not stand."""
    order, tokens = _Order.of(d, other, read.at), read.tokens
    sizes = read.summed(np.abs(d))
    times = _drawn(read, settings)
    values = order.measured(np.ones(tokens.size))
    draws = np.stack([order.measured(row) for row in times]) if times.size else np.empty((0, 0))
    first, last = 2 + len(GRID), 2 + len(GRID) + len(CARRIED)

    def share(column: int) -> Number:
        """A column as share of the net gap."""
        if stands.value is None:
            return stands
        drawn = _ratio(draws[:, column], draws[:, 1]) if draws.size else None
        return _number(float(values[column] / values[1]), drawn, tokens, settings)

    def carrying(column: int) -> Number:
        if stands.value is None:
            return stands
        drawn = draws[:, column] if draws.size else None
        return _number(float(values[column]), drawn, tokens, settings)

    bounded = Number(value=None, unit=SHARE, refused="no token differs between the two models")
    if sizes.any():
        drawn = _ratio(draws[:, 0], times @ sizes) if draws.size else None
        bounded = _number(float(values[0] / sizes.sum()), drawn, tokens, settings)
    return _Spread(
        curve=tuple(GapPoint(tokens=at, carries=share(2 + i)) for i, at in enumerate(GRID)),
        carrying={
            f"{share:g}": carrying(column)
            for share, column in zip(CARRIED, range(first, last), strict=True)
        },
        index=share(0),
        bounded=bounded,
    )


def _factor(
    read: TokenLosses, d: np.ndarray, other: np.ndarray, stands: Number, settings: Settings
) -> Number:
    """N Σ d d′ / (Σ d Σ d′), at least 1 where d′ is d (Cauchy and Schwarz).

    A jackknife of its logarithm: it is a second moment, whose documents have longer tails than
    those of a mean, so its interval is lengthened for them (`longer_by`).
    """
    if stands.value is None:
        return stands.model_copy(update={"unit": TIMES})
    some = read.tokens > 0
    columns = np.stack([read.summed(one)[some] for one in (d * other, d, other)])
    tokens = read.tokens[some]
    value = float(_factors(columns.sum(1), tokens.sum()))
    if tokens.size < FEWEST_DOCUMENTS:
        return Number(value=value, unit=TIMES)
    left = _factors(columns.sum(1, keepdims=True) - columns, tokens.sum() - tokens)
    times = longer_by(columns, tokens)
    if value > 0 and (left > 0).all():
        falls = (math.log(value) - np.log(left)) * times
        low, high = ends_of(math.log(value), falls, tokens, settings.level, rounding=ROUNDING)
        found = Number(
            value=value, unit=TIMES, low=math.exp(low), high=math.exp(high) if high < FAR else None
        )
    else:
        falls, rounding = (value - left) * times, ROUNDING * abs(value)
        low, high = ends_of(value, falls, tokens, settings.level, rounding=rounding)
        found = Number(value=value, low=low, high=high, unit=TIMES)
    return within(found, least=1) if other is d else found


def _factors(sums: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """The factor of sums over documents (d d′, d, d′; …); not defined where a gap is none."""
    product, first, second = sums
    both = np.where((first > 0) & (second > 0), first * second, np.nan)
    return np.asarray(np.nan_to_num(tokens * product / both, nan=-1.0))


def longer_by(columns: np.ndarray, tokens: np.ndarray) -> float:
    """How many times longer the interval of the factor is for the tails of what it is made of.

    Columns are the products, then every gap. Tails are those of all gaps, which it divides by, as for every ratio (`intervals.apart`); and those of
    the products, exp(3 τ²) of their L-skewness. Found by simulation (`docs/statistics.md`).
    """
    product, *nets = columns
    skew = float(shape((product / tokens)[None])[0][0])
    gaps = max(float(apart(one, tokens)) for one in nets)
    return min(gaps * math.exp(3 * skew**2), MOST_TIMES)


def inverse(factor: Number) -> Number:
    """1 / factor, the share of the tokens that would carry a gap evenly, within 0 and 1.

    Where both pairs expect the same gap μ of each token the factor is the mean of μ² over the
    square of the mean of μ, so it is at least 1 (Cauchy and Schwarz) and the share at most 1: what
    is beyond is chance, and left out. It is refused where the factor is told to be below 1, so
    that the two gaps go against each other. An interval of 0% to 100% is not refused: where one is
    printed only if it is short, those that are printed hold the truth less often than they say.
    """
    if factor.value is None:
        return factor.model_copy(update={"unit": SHARE})
    if factor.value <= 0 or (factor.high is not None and factor.high < 1):
        return Number(value=None, unit=SHARE, refused=AGAINST)
    value = min(1 / factor.value, 1.0)
    if factor.low is None and factor.high is None:
        return Number(value=value, unit=SHARE)
    low = 0.0 if factor.high is None else min(1 / factor.high, 1.0)
    high = 1.0 if factor.low is None or factor.low <= 1 else 1 / factor.low
    return Number(value=value, low=low, high=high, unit=SHARE)


def _near_zero(
    read: TokenLosses, strong: str, weak: str, settings: Settings
) -> tuple[NearZero, ...]:
    def at(below: float) -> NearZero:
        few, many = (read.summed(read.losses[name] < below) for name in (weak, strong))
        tokens = read.tokens
        return NearZero(
            below=below,
            weak=mean_per_token(few, tokens, settings=settings, unit=SHARE),
            strong=mean_per_token(many, tokens, settings=settings, unit=SHARE),
            more=within(
                difference_per_token(many, few, tokens, settings=settings, unit=SHARE), -1, 1
            ),
        )

    return tuple(at(below) for below in NEAR_ZERO)


def net_of(read: TokenLosses, d: np.ndarray, strong: str, weak: str, settings: Settings) -> Number:
    """1 where the net gap of two models can be divided by, else the refusal."""
    net = read.summed(d)
    return fraction(
        net,
        net,
        read.tokens,
        what=f"gap from '{strong}' to '{weak}'",
        if_negative="the model called weaker has the lower loss, so there is no gap to spread",
        settings=settings,
        floor=measure_of("loss", pairs=False).floor,
        exact=True,
    )


def _require_others(read: TokenLosses, scored: tuple[str, str], chosen_by: tuple[str, str]) -> None:
    """Refuse a second pair that shares a model with the first, by name or by its losses."""
    for one in scored:
        for other in chosen_by:
            if one == other or np.array_equal(read.losses[one], read.losses[other]):
                raise MeasurementError(
                    f"The gap from '{scored[0]}' to '{scored[1]}' over tokens chosen by "
                    f"'{chosen_by[0]}' and '{chosen_by[1]}'",
                    f"'{one}' would be scored on tokens that "
                    + ("it chose itself" if one == other else f"'{other}', the same model, chose"),
                    "Choose by another seed of each model, or by other rungs of the ladder.",
                )


def _drawn(read: TokenLosses, settings: Settings) -> np.ndarray:
    """How often each document is in each resample; none where there are too few documents."""
    if too_few(read.tokens):
        return np.empty((0, 0))
    return times_drawn(len(read.documents), settings.resamples, settings.seed)


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Divide as `stats.fraction` does: a denominator that is not positive counts as an infinite ratio."""
    ratios: np.ndarray = np.copysign(np.inf, top)
    np.divide(top, bottom, out=ratios, where=bottom > 0)
    return ratios


def _number(
    value: float,
    drawn: np.ndarray | None,
    tokens: np.ndarray,
    settings: Settings,
    *,
    unit: str = SHARE,
) -> Number:
    if drawn is None:
        return Number(value=value, unit=unit)
    low, high = ends(drawn, value, tokens, settings.level)
    return Number(
        value=value,
        low=low if math.isfinite(low) else None,
        high=high if math.isfinite(high) else None,
        unit=unit,
    )
