"""One condition held against every bar: each baseline, and each rung of a ladder of weaker models.

Which weaker models an explained model is worth is a matter of paired differences on the same
tokens; nothing here is a pass mark.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

import numpy as np

from unexplained.bars.gap import Base, damage_from, gap_score, recovered_from, weak_share
from unexplained.bars.measures import measure_of
from unexplained.bars.paired import Paired, paired
from unexplained.bars.recovered import INTACT, increase, loss
from unexplained.bars.thresholds import distances, nines
from unexplained.errors import MeasurementError
from unexplained.estimators.seeds import Scatter, other_runs
from unexplained.ledger import ALL, Ledger
from unexplained.record import Number
from unexplained.record.bars import Bars, BaselineBar, Comparison, RungBar, Standing, Ties
from unexplained.stats import Settings, difference_per_token, too_few

BEYOND_EACH_END = 10
"""Resamples that lie beyond each end of an adjusted interval, at least; more are drawn for it."""


@dataclass(frozen=True)
class Seeds:
    """Other training runs of weaker models: a source of variation beside documents."""

    runs: Mapping[str, tuple[str, ...]]
    """By weaker model, the conditions of all its runs, its own among them."""
    scatter: Scatter
    """Of one run's log loss."""
    says: str = ""
    """What it was estimated from."""


class Where(TypedDict):
    """What all numbers of one table share."""

    intact: str
    stratum: tuple[str, str]
    settings: Settings


def ties_with(
    ledger: Ledger,
    condition: str,
    rungs: Sequence[str],
    *,
    stratum: tuple[str, str] = ALL,
    seeds: Seeds | None = None,
    settings: Settings,
) -> Ties:
    """Which weaker models a condition cannot be told from, which it beats, which beat it.

    Each comparison is the difference of two losses per token, paired by document. With K rungs each
    interval is taken at 1 − (1 − level)/K, so that by Bonferroni's inequality all K hold the truth
    at once with at least the level. This asks nothing of how the comparisons depend on each other,
    nor that the ladder be in order, and is a little cautious for it. A difference below the floor of
    `measure_of("loss")` is a tie however regular: it is rounding.

    With `seeds` a weaker model stands for all runs like it: its loss is the mean over those that
    were measured, and what others would have been is in the interval (`estimators.seeds`), so that
    a run that came out lucky decides nothing. The condition is itself and no other run of its model.

    A tie is no proof of equality: on a short text everything ties. Read the interval's width.

    Args:
        ledger: Holds the condition and the rungs, on the same tokens.
        condition: The model with explanations in it.
        rungs: The weaker models' conditions, in any order.
        stratum: Which tokens.
        seeds: Other runs of the weaker models; those that it does not name are taken as they are.
        settings: Level of all comparisons together, resamples and seed.

    Raises:
        MeasurementError: There are no rungs or one twice, a condition or the stratum was not
            measured, or on different tokens.
    """
    _some_once(f"The place of '{condition}' on a ladder", rungs)
    weak = _weaker(ledger, rungs, stratum, seeds)
    read = paired(ledger, "loss", (condition, *rungs), stratum)
    return _placed(condition, read.columns[0], weak, read, settings, seeds)


def ties_at(
    ledger: Ledger,
    share: float,
    base: Base,
    rungs: Sequence[str],
    *,
    intact: str = INTACT,
    stratum: tuple[str, str] = ALL,
    seeds: Seeds | None = None,
    settings: Settings,
) -> Ties:
    """Where on a measured ladder an explanation that recovered `share` of a baseline would stand.

    The calculator for claims such as "98% explained": L_base − f (L_base − L_full) compared with
    each rung as in `ties_with`. At f = r of a rung the difference from it is 0. Its place follows
    from losses alone; its interval supposes that the shortfall is spread over documents as the
    baseline's damage is, and a real explanation's need not be.

    Args:
        ledger: The losses, by condition, document and stratum, as `evaluate` gives them.
        share: The f that the explanation recovered.
        base: Of what it recovered that: a condition's name, or `Uniform`.
        rungs: Conditions of the ladder's models.
        intact: The condition of the model without edits.
        stratum: Which tokens: a stratum's name and value; `("all", "all")` is all of them.
        seeds: What other training runs scatter by.
        settings: Level and seed of intervals.

    Raises:
        MeasurementError: As for `ties_with`.
    """
    name = f"{share:.6g} recovered of '{base}'"
    _some_once(f"The place of {name} on a ladder", rungs)
    named = (base,) if isinstance(base, str) else ()
    read = paired(ledger, "loss", (intact, *rungs, *named), stratum)
    whole = read.columns[0]
    worst = read.columns[-1] if isinstance(base, str) else base.nats * read.tokens
    losses = worst - share * (worst - whole)
    weak = _weaker(ledger, rungs, stratum, seeds)
    return _placed(name, losses, weak, read, settings, seeds)


def bars_of(
    ledger: Ledger,
    conditions: Sequence[str],
    baselines: Sequence[Base],
    rungs: Sequence[str] = (),
    *,
    intact: str = INTACT,
    stratum: tuple[str, str] = ALL,
    seeds: Seeds | None = None,
    settings: Settings,
) -> tuple[Bars, ...]:
    """Every bar for conditions: f against each baseline, gap score against each weaker model.

    Beside them each weaker model's own r per baseline, which is where f would have to be to do as
    well. A bigram table or a small model can be a condition: it scores high against an ablation
    and not above 0 against the rungs.

    Args:
        ledger: Holds the conditions, the intact model, and all that is named.
        conditions: What is held against the bars.
        baselines: Conditions (ablations, unigram, bigram) or `Uniform(vocabulary)`.
        rungs: Conditions of weaker models, in any order.
        intact: The condition of the strong model.
        stratum: Which tokens.
        seeds: See `ties_with`; the place among rungs alone is of all their runs.
        settings: Level, resamples and seed. Only the place among rungs is adjusted for their number.

    Raises:
        MeasurementError: There are no baselines, something is named twice, a condition or the
            stratum was not measured, or on different tokens.
    """
    asked = f"The bars of '{', '.join(conditions)}'"
    _some_once(asked, [str(base) for base in baselines], what="baseline")
    here: Where = {"intact": intact, "stratum": stratum, "settings": settings}
    damages = {base: damage_from(ledger, base, **here) for base in baselines}
    places: dict[str, Ties] = {}
    ordered: list[_Rung] = []
    if rungs:
        _some_once(asked, rungs)
        weak = _weaker(ledger, rungs, stratum, seeds)
        for name in conditions:
            read = paired(ledger, "loss", (name, *rungs), stratum)
            places[name] = _placed(name, read.columns[0], weak, read, settings, seeds)
        ordered = [_rung(ledger, one.rung, damages, here, seeds) for one in weak]
    return tuple(
        Bars(
            condition=name,
            partition=stratum[0],
            label=stratum[1],
            tokens=int(ledger.sums(name, stratum).tokens.sum()),
            loss=loss(ledger, name, stratum=stratum, settings=settings),
            baselines=tuple(
                _against_baseline(ledger, name, base, damage, here)
                for base, damage in damages.items()
            ),
            rungs=tuple(_against_rung(ledger, name, rung, here) for rung in ordered),
            place=places.get(name),
        )
        for name in conditions
    )


def _against_baseline(
    ledger: Ledger, condition: str, base: Base, damage: Number, here: Where
) -> BaselineBar:
    share = recovered_from(ledger, condition, base, **here)
    return BaselineBar(
        baseline=str(base),
        damage=damage,
        recovered=share,
        distances=distances(share),
        nines=nines(share),
    )


@dataclass(frozen=True)
class _Rung:
    """A weaker model's own numbers, of which none depends on what is held against it."""

    name: str
    loss: Number
    gap: Number
    within: bool
    """Whether the gap to it is within what other runs of it scatter by."""
    share: Mapping[str, Number]
    other: Callable[[Number, float], Number]
    """A number for other runs too; the second is what a nat more of its loss adds to the number."""


def _rung(
    ledger: Ledger, rung: str, damages: Mapping[Base, Number], here: Where, seeds: Seeds | None
) -> _Rung:
    """Where its runs' scatter is known, of runs like it."""
    own = loss(ledger, rung, stratum=here["stratum"], settings=here["settings"])
    tokens = paired(ledger, "loss", (rung,), here["stratum"]).tokens
    known = seeds is not None and rung in seeds.runs and own.value is not None
    off = (own.value or 0.0) * (seeds.scatter.deviation or 0.0) if known and seeds else 0.0

    def other(number: Number, moves: float) -> Number:
        if not off or seeds is None or number.value is None:
            return number
        return other_runs(number, abs(moves) * off, seeds.scatter.freedom, tokens, here["settings"])

    gap = increase(ledger, rung, **here)
    above = other(gap, 1.0)
    shares = {}
    for base, cost in damages.items():
        share = weak_share(ledger, rung, base, **here)
        shares[str(base)] = other(share, 1 / cost.value) if cost.value else share
    open_below = above.low is None and above.high is not None
    within = open_below or (above.low is not None and above.low <= 0)
    return _Rung(rung, own, gap, within, shares, other)


def _against_rung(ledger: Ledger, condition: str, rung: _Rung, here: Where) -> RungBar:
    """The weaker model's own numbers, and the gap score."""
    score = gap_score(ledger, condition, rung.name, **here)
    if score.value is not None and condition not in (rung.name, here["intact"]):
        if rung.within:
            why = f"the gap to '{rung.name}' is within what other runs of it scatter by"
            score = Number(value=None, unit=score.unit, refused=why)
        elif rung.gap.value:
            score = rung.other(score, (1 - (score.value or 0.0)) / rung.gap.value)
    return RungBar(
        rung=rung.name, loss=rung.loss, gap=rung.gap, score=score, share=dict(rung.share)
    )


@dataclass(frozen=True)
class _Weak:
    """A weaker model's losses by document, the mean over its runs."""

    rung: str
    losses: np.ndarray
    runs: int
    known: bool
    """Whether its runs' scatter is known."""


def _weaker(
    ledger: Ledger, rungs: Sequence[str], stratum: tuple[str, str], seeds: Seeds | None
) -> list[_Weak]:
    """Every weaker model, weakest first."""
    found = []
    for rung in rungs:
        names = seeds.runs.get(rung, ()) if seeds else ()
        columns = paired(ledger, "loss", names or (rung,), stratum).columns
        found.append(_Weak(rung, np.mean(columns, axis=0), len(columns), bool(names)))
    return sorted(found, key=lambda one: -float(one.losses.sum()))


def _placed(
    condition: str,
    losses: np.ndarray,
    weaker: Sequence[_Weak],
    read: Paired,
    settings: Settings,
    seeds: Seeds | None,
) -> Ties:
    """Compare one column of losses with each rung's, weakest rung first."""
    tokens = read.tokens
    tail = (1 - settings.level) / len(weaker)
    resamples = max(settings.resamples, math.ceil(2 * BEYOND_EACH_END / tail))
    each = replace(settings, level=1 - tail, resamples=resamples)
    comparisons = []
    for one in weaker:
        difference = difference_per_token(losses, one.losses, tokens, settings=each, unit=read.unit)
        if seeds is not None and one.known and not too_few(tokens):
            difference = _over_runs(difference, one, tokens, each, seeds.scatter)
        same = np.array_equal(losses, one.losses)
        standing = _standing(difference, same, few=bool(too_few(tokens)))
        comparisons.append(
            Comparison(rung=one.rung, difference=difference, standing=standing, runs=one.runs)
        )
    return Ties(
        condition=condition,
        comparisons=tuple(comparisons),
        place=_place(comparisons),
        level=settings.level,
        each=each.level,
        scatter=seeds.says if seeds is not None and any(one.known for one in weaker) else "",
    )


def _over_runs(
    difference: Number,
    weak: _Weak,
    tokens: np.ndarray,
    settings: Settings,
    scatter: Scatter,
) -> Number:
    """The difference with an interval for other documents and other runs of the weaker model."""
    per_token = float(weak.losses.sum() / tokens.sum())
    error = per_token * (scatter.deviation or 0.0) / math.sqrt(weak.runs)
    return other_runs(difference, error, scatter.freedom, tokens, settings)


def _standing(difference: Number, same: bool, *, few: bool) -> Standing:
    if difference.value is None:
        return "unknown"
    # What no document moves is no finding unless it is rounding; of few documents nothing is.
    if (difference.low is None or difference.high is None) and (
        few or abs(difference.value) >= measure_of("loss", pairs=False).floor
    ):
        return "ties" if same else "unknown"
    if abs(difference.value) < measure_of("loss", pairs=False).floor:
        return "ties"
    if difference.below_zero:
        return "beats"
    return "loses" if difference.above_zero else "ties"


def _place(comparisons: Sequence[Comparison]) -> str:
    """A few words for where the condition stands; the weakest rung comes first."""

    def named(standing: Standing) -> list[str]:
        return [one.rung for one in comparisons if one.standing == standing]

    ties, beaten, better = named("ties"), named("beats"), named("loses")
    if ties:
        return "ties with " + " and ".join(ties)
    if named("unknown"):
        return "not placed: there is no interval"
    if beaten and better:
        return f"between {beaten[-1]} and {better[0]}"
    return "above all" if beaten else "below all"


def _some_once(asked: str, names: Sequence[str], *, what: str = "rung") -> None:
    """Refuse an empty list and a name that is there twice."""
    if not names:
        raise MeasurementError(asked, f"no {what} was given", f"Name at least one {what}.")
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        found = f"'{twice[0]}' is there twice"
        raise MeasurementError(asked, found, f"Name every {what} once.")
