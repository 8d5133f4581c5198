"""How much of an ablation's damage a condition undoes, and the plain numbers beside it.

L_full is the loss of the intact model, L_abl of the model with the component ablated, L_sub of
the model with the explanation in the component's place, all in nats per token over the same
tokens. Recovered is (L_abl − L_sub) / (L_abl − L_full): 1 where the explanation does as well as
the component, 0 where it does as well as the ablation. Neither is a limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from unexplained.bars.measures import measure_of
from unexplained.bars.paired import paired
from unexplained.ledger import ALL, Ledger
from unexplained.record import Number
from unexplained.record.counts import TABLES
from unexplained.shares import within
from unexplained.stats import SHARE, Settings, difference_per_token, fraction, mean_per_token

INTACT = "intact"
"""The condition of the model as it is."""

ROUNDING = measure_of("loss", pairs=False).floor
"""Damage below this (nats per token) is none: the norm's last digits, not what was ablated."""


UNSEEN = 1e-6
"""A share of the damage that is below this in every document is none."""

SameAs = Mapping[str, str]
"""Conditions that are another by construction, such as the component as its own explanation."""
NONE_ALIKE: SameAs = MappingProxyType({})


def same(alike: SameAs, one: str, other: str) -> bool:
    """Whether two conditions are one by construction; that they gave the same is no proof of it."""
    return alike.get(one, one) == alike.get(other, other)


def loss(
    ledger: Ledger, condition: str, *, stratum: tuple[str, str] = ALL, settings: Settings
) -> Number:
    """Mean loss of a condition (nats per token).

    Raises:
        MeasurementError: The condition or the stratum was not measured.
    """
    read = paired(ledger, "loss", (condition,), stratum)
    found = mean_per_token(read.columns[0], read.tokens, settings=settings, unit=read.unit)
    return within(found, least=0)


def kl(
    ledger: Ledger,
    condition: str,
    *,
    intact: str = INTACT,
    stratum: tuple[str, str] = ALL,
    settings: Settings,
    alike: SameAs = NONE_ALIKE,
) -> Number:
    """Mean KL divergence of a condition's predictions from the intact model's (nats per token).

    Unlike the loss it counts every change, also those that happen to help.

    Raises:
        MeasurementError: The condition or the stratum was not measured.
    """
    read = paired(ledger, "kl", (condition,), stratum)
    exact = same(alike, condition, intact)
    found = mean_per_token(read.columns[0], read.tokens, settings=settings, exact=exact)
    return within(found, least=0)


def agreement(
    ledger: Ledger,
    condition: str,
    *,
    intact: str = INTACT,
    stratum: tuple[str, str] = ALL,
    settings: Settings,
    alike: SameAs = NONE_ALIKE,
) -> Number:
    """Share of tokens whose top-1 prediction is the intact model's; faithful is not right.

    Raises:
        MeasurementError: The condition or the stratum was not measured.
    """
    read = paired(ledger, "agree", (condition,), stratum)
    exact = same(alike, condition, intact)
    return mean_per_token(read.columns[0], read.tokens, settings=settings, unit=SHARE, exact=exact)


def reliability(
    ledger: Ledger, condition: str, *, stratum: tuple[str, str] = ALL, settings: Settings
) -> Number:
    """Share of tokens whose top-1 prediction is the text's own.

    How often a condition is right, apart from faithfulness (`agreement`, `kl`, `recovered`): what
    imitates a poor model perfectly is faithful and unreliable, and what corrects it the opposite.

    Raises:
        MeasurementError: The condition or the stratum was not measured.
    """
    read = paired(ledger, "correct", (condition,), stratum)
    return mean_per_token(read.columns[0], read.tokens, settings=settings, unit=SHARE)


def increase(
    ledger: Ledger,
    condition: str,
    *,
    intact: str = INTACT,
    stratum: tuple[str, str] = ALL,
    settings: Settings,
    alike: SameAs = NONE_ALIKE,
) -> Number:
    """Loss of a condition minus the intact model's, paired by document (nats per token).

    Raises:
        MeasurementError: A condition or the stratum was not measured, or on different tokens.
    """
    read = paired(ledger, "loss", (condition, intact), stratum)
    changed, whole = read.columns
    exact = same(alike, condition, intact)
    return difference_per_token(
        changed, whole, read.tokens, settings=settings, unit=read.unit, exact=exact
    )


def damage(
    ledger: Ledger,
    ablation: str,
    *,
    intact: str = INTACT,
    stratum: tuple[str, str] = ALL,
    settings: Settings,
) -> Number:
    """L_abl − L_full (nats per token): what the ablation costs, the denominator of `recovered`.

    Raises:
        MeasurementError: A condition or the stratum was not measured, or on different tokens.
    """
    return increase(ledger, ablation, intact=intact, stratum=stratum, settings=settings)


def cost_of(base: str) -> str:
    """What a denominator from this condition is called: a table of counts damages nothing."""
    return f"gap to '{base}'" if base in TABLES else f"damage of '{base}'"


def no_cost(base: str) -> str:
    """Why nothing can be recovered from a condition with a lower loss than the model's."""
    if base in TABLES:
        return "the table has the lower loss, so the model knows nothing beyond it to recover"
    return "the ablation lowers the loss, so there is no damage to recover"


def regained(
    ledger: Ledger,
    before: str,
    after: str,
    ablation: str,
    *,
    intact: str = INTACT,
    stratum: tuple[str, str] = ALL,
    settings: Settings,
    alike: SameAs = NONE_ALIKE,
) -> Number:
    """(L_before − L_after) / (L_abl − L_full): share of the damage undone by a change.

    As the difference of two recovered fractions with the same denominator it is a ratio of sums
    itself, so its interval is paired.

    Args:
        ledger: The losses, by condition, document and stratum, as `evaluate` gives them.
        before: The condition before the change.
        after: The condition after it.
        ablation: The condition in which the component is ablated.
        intact: The condition of the model without edits.
        stratum: Which tokens: a stratum's name and value; `("all", "all")` is all of them.
        settings: Level and seed of intervals.
        alike: Conditions that are another by construction, and so exactly equal.

    Raises:
        MeasurementError: A condition or the stratum was not measured, or on different tokens.
    """
    read = paired(ledger, "loss", (before, after, ablation, intact), stratum)
    worse, better, ablated, whole = read.columns
    damage = ablated - whole
    return fraction(
        _unrounded(worse - better, damage, read.tokens),
        damage,
        read.tokens,
        what=cost_of(ablation),
        if_negative=no_cost(ablation),
        floor=ROUNDING,
        settings=settings,
        unit=read.unit,
        exact=same(alike, before, after)
        or (same(alike, before, ablation) and same(alike, after, intact)),
    )


def _unrounded(change: np.ndarray, damage: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """A change that is none, or all of the damage, but for rounding in every document: without the rounding.

    Rounding is what no share shows (`UNSEEN` of the damage), if it is so little in nats too. That two are
    the same here is no proof that they are on other documents: there is an interval still.
    """
    least = UNSEEN * abs(float(damage.sum())) / max(float(tokens.sum()), 1.0)
    for exact in (np.zeros_like(damage), damage):
        if (np.abs(change - exact) <= min(least, ROUNDING) * tokens).all():
            return exact
    return change


def recovered(
    ledger: Ledger,
    condition: str,
    ablation: str,
    *,
    intact: str = INTACT,
    stratum: tuple[str, str] = ALL,
    settings: Settings,
    alike: SameAs = NONE_ALIKE,
) -> Number:
    """(L_abl − L_sub) / (L_abl − L_full): share of the ablation's damage that is recovered.

    Refused by name when the damage is within noise of zero or negative (`stats.fraction`). It
    misleads where the ablation does more than remove the component (a zero that throws the
    residual stream off): its damage then prices the throw, and any sane stand-in recovers most
    of it. Hence several ablations side by side.

    Raises:
        MeasurementError: A condition or the stratum was not measured, or on different tokens.
    """
    return regained(
        ledger,
        ablation,
        condition,
        ablation,
        intact=intact,
        stratum=stratum,
        settings=settings,
        alike=alike,
    )


def variance_explained(
    ledger: Ledger,
    condition: str,
    mean: str,
    *,
    stratum: tuple[str, str] = ALL,
    settings: Settings,
    alike: SameAs = NONE_ALIKE,
) -> Number:
    """1 − Σ error(condition) / Σ error(mean): share of the variance of the outputs explained.

    Errors are squared distances at the edited sites' outputs in the intact run. The mean is the
    one fitted on the fit part, so on other text its error holds the shift between the parts too.

    Args:
        ledger: The losses, by condition, document and stratum, as `evaluate` gives them.
        condition: The name of the condition that is read (an explanation, say).
        mean: The condition of the mean ablation.
        stratum: Which tokens: a stratum's name and value; `("all", "all")` is all of them.
        settings: Level and seed of intervals.
        alike: Conditions that are another by construction, and so exactly equal.

    Raises:
        MeasurementError: A condition or the stratum was not measured, the errors were not asked
            for, or two conditions were measured on different tokens.
    """
    read = paired(ledger, "error", (condition, mean), stratum)
    explained, unexplained = read.columns
    found = fraction(
        unexplained - explained,
        unexplained,
        read.tokens,
        what=f"squared error of '{mean}'",
        unit="squared error per token",
        settings=settings,
        exact=same(alike, condition, mean) or same(alike, condition, INTACT),
    )
    return within(found, most=1)  # no squared error is below 0
