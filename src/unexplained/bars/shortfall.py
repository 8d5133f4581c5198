"""How much of what a claim loses can be a clumsy substitution's, and how much is wrong at least.

L is the loss (nats per token), * means after the same refit of the later weights over a condition:

    D = L(nothing) − L(intact)                 what the component is worth
    f = 1 − (L(c) − L(intact)) / D             recovered by the claim c; f* likewise, all of them refitted
    H = max(0, L(c) − L(nothing))              harm that silence would undo
    S = min(L(c), L(nothing)) − L(intact)      the shortfall
    W = L*(c) − L*(intact)                     wrong, at least;  clumsiness, at most: S − W
    (f* − max(f, 0)) · D                       clumsiness, at least;  wrong, at most: S less that

Nothing is clipped: a bound below 0 or above S says that it binds nothing, or that the two sides do not
meet. What for certain falls short of nothing has no parts, and all bounds are refused; the second pair
also where the claim, refitted, for certain does better than the components (f* > 1): what refits learn is
then in no proportion. Both pairs lean. A refit that is too weak leaves losses that it could have undone,
so W is too large; one that learns the component anew from the text makes W too small and f* too large,
over a wrong claim as over nothing. The second pair takes that relearning as in proportion: f* counts what
is kept of what *nothing* loses after the same refit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from unexplained.bars.paired import paired
from unexplained.bars.recovered import INTACT, increase, recovered
from unexplained.bars.recovered import ROUNDING as FLOOR
from unexplained.errors import MeasurementError
from unexplained.estimators import jackknifed, laid_out, over_runs
from unexplained.intervals import of_estimate
from unexplained.ledger import ALL, NATS, Ledger
from unexplained.record import Number
from unexplained.shares import percent
from unexplained.stats import SHARE, Settings, fraction, too_few, written

FEWEST_SEEDS = 3
"""Refits of every condition."""
NONE = "the claim falls short of nothing, which has no parts"


@dataclass(frozen=True)
class Shortfall:
    """A claim's shortfall and what bounds its two parts; see the module."""

    damage: Number
    recovered: Number
    harm: Number
    shortfall: Number
    damage_refitted: Number
    """D*: what nothing still costs after the refit."""
    recovered_refitted: Number
    """f*."""
    wrong_least: Number
    clumsy_most: Number
    clumsy_least: Number
    wrong_most: Number


@dataclass(frozen=True)
class _Means:
    """Losses by document of the named conditions; of refitted ones by seed."""

    tokens: np.ndarray
    plain: Mapping[str, np.ndarray]
    refitted: Mapping[str, np.ndarray]
    """(seed, document)."""
    settings: Settings

    def value(self, made_of: Callable[..., float], seeds: Sequence[int] | None = None) -> float:
        return self._made(made_of, self.tokens.sum(), lambda column: column.sum(), seeds)

    def number(self, made_of: Callable[..., float], unit: str = NATS) -> Number:
        """A function of mean losses, with its interval over documents and seeds of the refit."""
        value, some = self.value(made_of), self.tokens > 0
        if why := too_few(self.tokens):
            return Number(value=value, unit=unit, bare=why)
        left = np.array([self._without(int(i), made_of) for i in np.flatnonzero(some)])
        low, high = of_estimate(value, value - left, self.tokens[some], self.settings.level)
        if not self.refitted:
            return Number(value=value, low=low, high=high, unit=unit)
        return self._over_seeds(value, low, high, made_of, unit)

    def _without(self, document: int, made_of: Callable[..., float]) -> float:
        """Its value with a document left out."""

        def total(column: np.ndarray) -> float:
            return float(column.sum() - column[document])

        return self._made(made_of, total(self.tokens), total, None)

    def _over_seeds(
        self, value: float, low: float, high: float, made_of: Callable[..., float], unit: str
    ) -> Number:
        draws = laid_out(value, low, high, self.tokens, level=self.settings.level)
        many = len(next(iter(self.refitted.values())))
        without = [self.value(made_of, [s for s in range(many) if s != i]) for i in range(many)]
        error, freedom = jackknifed(without)
        return over_runs(
            value, draws, error, freedom, self.tokens, settings=self.settings, unit=unit
        )

    def _made(
        self,
        made_of: Callable[..., float],
        tokens: float,
        total: Callable[[np.ndarray], float],
        seeds: Sequence[int] | None,
    ) -> float:
        plain = {name: total(column) / tokens for name, column in self.plain.items()}
        chosen = slice(None) if seeds is None else list(seeds)
        starred = {
            name: total(columns[chosen].mean(0)) / tokens for name, columns in self.refitted.items()
        }
        return float(made_of(plain, starred))

    def worth(self) -> Number:
        """D*: what nothing still costs after the refit."""
        return self.number(lambda plain, refitted: refitted["nothing"] - refitted[INTACT])

    def kept(self, name: str) -> Number:
        """f* of a refitted condition; refused where what nothing still costs is within noise."""
        mean = {one: columns.mean(0) for one, columns in self.refitted.items()}
        top, bottom = mean["nothing"] - mean[name], mean["nothing"] - mean[INTACT]
        found = fraction(
            top, bottom, self.tokens, what="what nothing costs after the refit",
            settings=self.settings, floor=FLOOR, exact=name in (INTACT, "nothing"),
        )  # fmt: skip
        if found.value is None or name in (INTACT, "nothing"):
            return found
        worth = self.worth()
        if worth.low is not None and worth.low <= 0:
            why = f"what nothing costs after the refit is {written(worth)} {NATS}: other seeds may have none"
            return Number(value=None, unit=SHARE, refused=why)
        low, high = (found.value if end is None else end for end in (found.low, found.high))

        def made_of(plain: Mapping[str, float], starred: Mapping[str, float]) -> float:
            return _kept(starred, name)

        return self._over_seeds(found.value, low, high, made_of, SHARE)


def _kept(losses: Mapping[str, float], name: str) -> float:
    """1 − (L(name) − L(intact)) / (L(nothing) − L(intact))."""
    return 1 - (losses[name] - losses[INTACT]) / (losses["nothing"] - losses[INTACT])


RefitsBySeed = Mapping[str, Sequence[str]]
"""For `intact`, `nothing` and every claim the conditions refitted with one seed each, in one order."""


def _means(
    ledger: Ledger, plain: Mapping[str, str], refits: RefitsBySeed, settings: Settings
) -> _Means:
    counts = {len(names) for names in refits.values()}
    if refits and (len(counts) != 1 or min(counts) < FEWEST_SEEDS):
        raise MeasurementError(
            "A shortfall", f"conditions were refitted {sorted(counts)} times",
            f"Refit all of them with the same {FEWEST_SEEDS} seeds or more.",
        )  # fmt: skip
    every = (*plain.values(), *(name for names in refits.values() for name in names))
    read = paired(ledger, "loss", tuple(every), ALL)
    columns = dict(zip(every, read.columns, strict=True))
    return _Means(
        read.tokens,
        {name: columns[condition] for name, condition in plain.items()},
        {name: np.stack([columns[one] for one in names]) for name, names in refits.items()},
        settings,
    )


def shortfall(
    ledger: Ledger,
    claim: str,
    nothing: str,
    refits: RefitsBySeed,
    *,
    settings: Settings,
    unsplit: str = "",
) -> Shortfall:
    """Split what a claim loses; see the module.

    Intervals are for other documents, in pairs, and other seeds of the refit together: those of
    documents are a jackknife's with tails counted, seeds scatter as their jackknife says.

    Args:
        ledger: Holds all conditions.
        claim: The claim's condition.
        nothing: That of saying nothing of the component.
        refits: Of `intact`, `nothing` and `claim`, see `RefitsBySeed`.
        settings: Level, resamples and seed.
        unsplit: Why nothing was refitted, and all that a refit would tell is refused; then `refits` is not read.

    Raises:
        MeasurementError: There are fewer than three seeds; a condition was not measured.
    """
    plain = {INTACT: INTACT, "nothing": nothing, "claim": claim}
    read = _means(ledger, plain, {} if unsplit else refits, settings)
    worth = increase(ledger, nothing, settings=settings)
    kept = recovered(ledger, claim, nothing, settings=settings)
    starred = _refused(unsplit, SHARE) if unsplit else read.kept("claim")
    short = read.number(lambda L, R: _shortfall(L))
    none = unsplit or (NONE if short.not_above_zero else "")
    out_of_proportion = none or kept.refused or starred.refused or _better(starred)

    def bound(why: str, made_of: Callable[..., float]) -> Number:
        return _refused(why, NATS) if why else read.number(made_of)

    return Shortfall(
        damage=worth,
        recovered=kept,
        harm=_above_zero(increase(ledger, claim, intact=nothing, settings=settings)),
        shortfall=short,
        damage_refitted=_refused(unsplit, NATS) if unsplit else read.worth(),
        recovered_refitted=starred,
        wrong_least=bound(none, lambda L, R: _wrong(R)),
        clumsy_most=bound(none, lambda L, R: _shortfall(L) - _wrong(R)),
        clumsy_least=bound(out_of_proportion, _clumsy),
        wrong_most=bound(out_of_proportion, lambda L, R: _shortfall(L) - _clumsy(L, R)),
    )


def _refused(why: str, unit: str) -> Number:
    return Number(value=None, unit=unit, refused=why)


def _better(starred: Number) -> str:
    """Why nothing is taken in proportion where the claim for certain does better than the components refitted."""
    if starred.low is None or starred.low <= 1:
        return ""
    return (
        f"after the refit the claim recovers {percent(starred)} of what the components are worth then, so that "
        "what refits learn is in no proportion to what is lost"
    )


def _above_zero(number: Number) -> Number:
    """max(0, x) of what x is: its ends go with it, so that a 0 here may be more elsewhere."""
    ends = {name: getattr(number, name) for name in ("value", "low", "high")}
    return number.model_copy(
        update={name: None if end is None else max(end, 0.0) for name, end in ends.items()}
    )


def _shortfall(losses: Mapping[str, float]) -> float:
    return min(losses["claim"], losses["nothing"]) - losses[INTACT]


def _wrong(refitted: Mapping[str, float]) -> float:
    return refitted["claim"] - refitted[INTACT]


def _clumsy(losses: Mapping[str, float], refitted: Mapping[str, float]) -> float:
    worth = losses["nothing"] - losses[INTACT]
    return (_kept(refitted, "claim") - max(_kept(losses, "claim"), 0.0)) * worth


def unsplit(ledger: Ledger, claim: str, nothing: str, *, settings: Settings) -> str:
    """Why a shortfall has no parts, told before anything is refitted; empty where it may have some.

    Args:
        ledger: Holds the intact model, the claim and nothing.
        claim: The claim's condition.
        nothing: That of saying nothing of the component.
        settings: Level, resamples and seed.
    """
    split = shortfall(ledger, claim, nothing, {}, settings=settings, unsplit="nothing is refitted")
    return split.recovered.refused or (NONE if split.shortfall.not_above_zero else "")


class AfterRefit(NamedTuple):
    """What one of those that were refitted comes to."""

    loss: Number
    """Nats per token."""
    kept: Number
    """f*."""
    beyond: Number | None
    """How much more it loses than the claim refitted does, in nats per token; None of the claim itself."""


def of_refitted(
    ledger: Ledger, refits: RefitsBySeed, *, settings: Settings
) -> dict[str, AfterRefit]:
    """Of everything that was refitted the loss after it, f*, and how much more it loses than the claim.

    Of what is wrong for certain f* says how far a refit relearns over it, beyond what it does over nothing.
    Where that loses no more than the claim does, refitted, the refit made up for both alike.

    Args:
        ledger: The losses, by condition, document and stratum, as `evaluate` gives them.
        refits: By what was refitted (`intact`, `nothing`, `claim`, …) the conditions of its
            refits, one for each seed.
        settings: Level and seed of intervals.
    """
    read = _means(ledger, {}, refits, settings)

    def loss(name: str) -> Number:
        return read.number(lambda plain, refitted: refitted[name])

    def beyond(name: str) -> Number | None:
        return (
            read.number(lambda plain, refitted: refitted[name] - refitted["claim"])
            if name != "claim"
            else None
        )

    return {name: AfterRefit(loss(name), read.kept(name), beyond(name)) for name in refits}


def strength(damaged: np.ndarray, intact: np.ndarray) -> float:
    """How much of a damage to the later weights themselves a refit undoes, on documents that it stops by.

    1 − (L*(damaged) − L*(intact)) / (L(damaged) − L(intact)), of losses as they were looked at on the
    way: before the first step and at the best look.

    Args:
        damaged: Losses on the way of a refit over damaged later weights (nats per token).
        intact: The same over the later weights as they are.

    >>> strength(np.array([2.0, 1.2, 1.0]), np.array([1.0, 0.95, 0.9]))
    0.9
    """
    done = float(damaged[0] - intact[0])
    # Where nothing could be damaged nothing was tried.
    return 1 - float(damaged.min() - intact.min()) / done if done > 0 else 0.0
