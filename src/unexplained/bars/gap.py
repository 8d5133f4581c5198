"""Bars that a weaker model sets: the gap score, and the weaker model's own share.

L_full is the loss of the strong model, L_sub of the strong model with explanations in it, L_weak
of a weaker model, L_base of a baseline, all in nats per token over the same tokens. With

    f = (L_base − L_sub) / (L_base − L_full)      recovered, against the baseline
    r = (L_base − L_weak) / (L_base − L_full)     the same for the weaker model
    g = (L_weak − L_sub) / (L_weak − L_full)      the gap score

L_base drops out of (f − r) / (1 − r) = g: the gap score is f on another scale. For a fixed r < 1 it
grows with f, so it never changes which of two explanations is better, only how far both are from 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from unexplained.bars.paired import paired
from unexplained.bars.recovered import INTACT, ROUNDING, cost_of, increase, recovered
from unexplained.errors import MeasurementError
from unexplained.ledger import ALL, Ledger
from unexplained.record import Number
from unexplained.stats import Settings, difference_per_token, fraction


@dataclass(frozen=True)
class Uniform:
    """Every token of the vocabulary equally likely: a baseline that needs no condition.

    Raises:
        MeasurementError: The vocabulary has fewer than two tokens.

    >>> round(Uniform(50_257).nats, 3)
    10.825
    """

    vocabulary: int

    def __post_init__(self) -> None:
        if self.vocabulary < 2:
            raise MeasurementError(
                f"A uniform baseline over {self.vocabulary} tokens",
                "there is nothing to predict",
                "Give the number of tokens that the model can predict.",
            )

    @property
    def nats(self) -> float:
        """ln(vocabulary): its loss on every token (nats)."""
        return math.log(self.vocabulary)

    def __str__(self) -> str:
        return "uniform"


Base = str | Uniform
"""A baseline: the name of a condition, or a constant."""


def rescaled(recovered: float, share: float) -> float:
    """The gap score (f − r) / (1 − r) of an f, given the weaker model's own r.

    Buck's remark that the gap score "is just a rescaling" is this line. It misleads only where f
    and r are against different baselines, or over different tokens.

    Args:
        recovered: The f of what is scored.
        share: The weaker model's own f, r.

    Raises:
        MeasurementError: r is 1 or more: the weaker model is not weaker.

    >>> round(rescaled(0.99, 0.98), 9)
    0.5
    """
    if share >= 1:
        raise MeasurementError(
            f"A gap score with a weaker model at r = {share}",
            "that model has recovered all there is, so it leaves no gap",
            "Choose a model whose loss is above the strong one's.",
        )
    return (recovered - share) / (1 - share)


def needed(score: float, share: float) -> float:
    """The f that it takes for a gap score g: r + g (1 − r), `rescaled` turned round.

    Args:
        score: The gap score that is wanted, g.
        share: The weaker model's own f, r.

    >>> round(needed(0.5, 0.98), 9)
    0.99
    """
    return share + score * (1 - share)


def recovered_from(
    ledger: Ledger,
    condition: str,
    base: Base,
    *,
    intact: str = INTACT,
    stratum: tuple[str, str] = ALL,
    settings: Settings,
) -> Number:
    """Recovered, f = (L_base − L_sub) / (L_base − L_full), from a condition or from uniform.

    For a condition it is `recovered`. It flatters where the baseline is far off: from uniform or a
    mean-ablated model most of the way is what any small model knows.

    Args:
        ledger: The losses, by condition, document and stratum, as `evaluate` gives them.
        condition: The name of the condition that is read (an explanation, say).
        base: A condition's name, or `Uniform`.
        intact: The condition of the model without edits.
        stratum: Which tokens: a stratum's name and value; `("all", "all")` is all of them.
        settings: Level and seed of intervals.

    Raises:
        MeasurementError: A condition or the stratum was not measured, or on different tokens.
    """
    if isinstance(base, str):
        return recovered(ledger, condition, base, intact=intact, stratum=stratum, settings=settings)
    read = paired(ledger, "loss", (condition, intact), stratum)
    changed, whole = read.columns
    constant = base.nats * read.tokens
    return fraction(
        constant - changed,
        constant - whole,
        read.tokens,
        what=cost_of(str(base)),
        if_negative="the model does worse than guessing, so there is nothing to recover",
        settings=settings,
        unit=read.unit,
        floor=ROUNDING,
        exact=condition == intact,
    )


def damage_from(
    ledger: Ledger,
    base: Base,
    *,
    intact: str = INTACT,
    stratum: tuple[str, str] = ALL,
    settings: Settings,
) -> Number:
    """L_base − L_full (nats per token): the denominator of `recovered_from`.

    Args:
        ledger: The losses, by condition, document and stratum, as `evaluate` gives them.
        base: A condition's name, or `Uniform`.
        intact: The condition of the model without edits.
        stratum: Which tokens: a stratum's name and value; `("all", "all")` is all of them.
        settings: Level and seed of intervals.

    Raises:
        MeasurementError: A condition or the stratum was not measured, or on different tokens.
    """
    if isinstance(base, str):
        return increase(ledger, base, intact=intact, stratum=stratum, settings=settings)
    read = paired(ledger, "loss", (intact,), stratum)
    return difference_per_token(
        base.nats * read.tokens, read.columns[0], read.tokens, settings=settings
    )


def weak_share(
    ledger: Ledger,
    weak: str,
    base: Base,
    *,
    intact: str = INTACT,
    stratum: tuple[str, str] = ALL,
    settings: Settings,
) -> Number:
    """The f of a weaker model offered as explanation, r = (L_base − L_weak) / (L_base − L_full).

    An explained model with f below r is worse than the weaker model. After Ryan Greenblatt: "If
    you have <98% perf explained (on webtext relative to unigram or bigram baseline), then you
    degrade from GPT4 perf to GPT3.5 perf". How high r is depends on the baseline as much as on the
    models, so give it for several.

    Args:
        ledger: The losses, by condition, document and stratum, as `evaluate` gives them.
        weak: The condition of the weaker model's predictions.
        base: A condition's name, or `Uniform`.
        intact: The condition of the model without edits.
        stratum: Which tokens: a stratum's name and value; `("all", "all")` is all of them.
        settings: Level and seed of intervals.

    Raises:
        MeasurementError: A condition or the stratum was not measured, or on different tokens.
    """
    return recovered_from(ledger, weak, base, intact=intact, stratum=stratum, settings=settings)


def gap_score(
    ledger: Ledger,
    condition: str,
    weak: str,
    *,
    intact: str = INTACT,
    stratum: tuple[str, str] = ALL,
    settings: Settings,
) -> Number:
    """Share of the gap to a weaker model that is kept, (L_weak − L_sub) / (L_weak − L_full).

    After Neel Nanda: "explaining x% of the difference between GPT-4 and GPT-2". 1 does as well as
    the strong model, 0 as well as the weaker one, below 0 worse; neither is a limit. Refused by name
    where the gap is within noise of zero or negative. Its interval is that of its own ratio of sums,
    not f's interval rescaled: r is uncertain too, and on the same documents.

    It misleads as to what was explained: half the gap may be kept by explaining half of what sets
    the strong model apart, or by breaking much of what both know and keeping more of the rest.

    Args:
        ledger: The losses, by condition, document and stratum, as `evaluate` gives them.
        condition: The name of the condition that is read (an explanation, say).
        weak: The condition of the weaker model's predictions.
        intact: The condition of the model without edits.
        stratum: Which tokens: a stratum's name and value; `("all", "all")` is all of them.
        settings: Level and seed of intervals.

    Raises:
        MeasurementError: A condition or the stratum was not measured, or on different tokens.
    """
    read = paired(ledger, "loss", (weak, condition, intact), stratum)
    weaker, changed, whole = read.columns
    return fraction(
        weaker - changed,
        weaker - whole,
        read.tokens,
        what=f"gap to '{weak}'",
        if_negative="the weaker model has the lower loss, so there is no gap to keep",
        settings=settings,
        unit=read.unit,
        floor=ROUNDING,
        exact=condition in (weak, intact),
    )
