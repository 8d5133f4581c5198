"""Scores on the tokens that set a strong model apart, and on the rest.

Neel Nanda: the difference "comes from a few crucial places where GPT-4 gets it right and GPT-3.5 gets
it wrong". An explanation may then be judged there. Beware of regression to the mean: on tokens
chosen by the losses that are then scored, l_strong is low by chance and l_weak high. The gap is too
large there. An explained model shares the strong one's chance, so its shortfall stays as it is, and its
gap score comes out near 1 whatever it is; f is off as far as an ablation does not share that chance.
Choose by other models, with `crucial`: another seed of each, or other rungs. `recovered_on` refuses a
choice by the models that it scores.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from unexplained.bars.recovered import INTACT, ROUNDING
from unexplained.bars.tokens import TokenLosses, token_losses
from unexplained.errors import MeasurementError
from unexplained.ledger import Ledger
from unexplained.record import Number
from unexplained.record.bars import CrucialPart, OnCrucial
from unexplained.stats import Settings, difference_per_token, fraction, mean_per_token


@dataclass(frozen=True, eq=False)
class Crucial:
    """Some of the tokens of a text, and whose losses chose them.

    Made by `crucial`, or by hand from whatever is known beforehand, such as a stratum of the text.

    >>> masks = {"a": np.array([True, False]), "b": np.array([False])}
    >>> Crucial("names of people", (), masks).says
    'names of people'
    """

    says: str
    by: tuple[str, ...]
    """Conditions whose losses chose; none where the choice looked at no loss."""
    masks: Mapping[str, np.ndarray]
    """Of every document, which of its predicted tokens are chosen."""


def crucial(ledger: Ledger, strong: str, weak: str, *, share: float = 0.05) -> Crucial:
    """The tokens where one model is furthest ahead of another.

    Score them with other models than these. A `share` is of all tokens of the text, so a document
    may have none. Equal gaps are taken in the order of documents' hashes.

    Args:
        ledger: Holds both models' losses per token.
        strong: Condition of a strong model, of another seed than the one that is scored.
        weak: Condition of a weaker one, likewise.
        share: How many of the tokens, between 0 and 1; rounded up to a whole token.

    Raises:
        MeasurementError: The share is not between 0 and 1, or the losses were not kept.
    """
    if not 0 < share < 1:
        raise MeasurementError(
            f"The crucial share {share:g} of the tokens",
            "a share lies between 0 and 1",
            "Write 0.05 for 5%.",
        )
    read = token_losses(ledger, (strong, weak))
    d = read.losses[weak] - read.losses[strong]
    mask = np.zeros(d.size, dtype=bool)
    # Less a little: 0.07 · 100 is not 7 but a hair above it.
    count = math.ceil(share * d.size - 1e-9)
    mask[np.argsort(-d, kind="stable")[:count]] = True
    says = f"the {100 * share:.3g}% of tokens where '{strong}' is furthest ahead of '{weak}'"
    return Crucial(says, (strong, weak), read.split(mask))


def recovered_on(
    ledger: Ledger,
    condition: str,
    ablation: str,
    chosen: Crucial,
    *,
    weak: str | None = None,
    intact: str = INTACT,
    settings: Settings,
) -> OnCrucial:
    """Give f, and the gap score, on the chosen tokens alone and on the rest.

    Args:
        ledger: Holds the losses per token of all conditions named.
        condition: The model with explanations in it.
        ablation: The condition that f is measured from.
        chosen: The tokens, chosen by none of these conditions.
        weak: A weaker model, for the gap score.
        intact: The condition of the strong model.
        settings: Level, resamples and seed.

    Raises:
        MeasurementError: A scored condition is one of those that chose the tokens, losses were not
            kept, or the tokens were chosen on another text.
    """
    scored = (condition, ablation, intact, *((weak,) if weak is not None else ()))
    both = [name for name in scored if name in chosen.by]
    if both:
        raise MeasurementError(
            f"Scores on {chosen.says}",
            f"'{both[0]}' would be scored on tokens that its own losses chose",
            "Choose by another seed of each model, or by other rungs of the ladder.",
        )
    read = token_losses(ledger, scored)
    mask = read.joined(chosen.masks)
    names = _Names(condition, ablation, intact, weak)
    return OnCrucial(
        condition=condition,
        ablation=ablation,
        weak=weak,
        says=chosen.says,
        chosen_by=chosen.by,
        crucial=_part(read, mask, "the crucial tokens", names, settings),
        rest=_part(read, ~mask, "the rest", names, settings),
    )


@dataclass(frozen=True)
class _Names:
    condition: str
    ablation: str
    intact: str
    weak: str | None


def _part(
    read: TokenLosses, some: np.ndarray, of: str, names: _Names, settings: Settings
) -> CrucialPart:
    tokens = read.summed(some)
    sums = {name: read.summed(losses * some) for name, losses in read.losses.items()}
    harm = sums[names.ablation] - sums[names.intact]
    whole = read.summed(read.losses[names.ablation] - read.losses[names.intact])
    gap: Number | None = None
    score: Number | None = None
    if names.weak is not None:
        weaker = sums[names.weak]
        gap = difference_per_token(weaker, sums[names.intact], tokens, settings=settings)
        score = fraction(
            weaker - sums[names.condition],
            weaker - sums[names.intact],
            tokens,
            what=f"gap to '{names.weak}' on {of}",
            if_negative="the weaker model has the lower loss, so there is no gap to keep",
            settings=settings,
            floor=ROUNDING,
            exact=names.condition in (names.weak, names.intact),
        )
    lower = "the ablation lowers the loss, so there is no damage to recover"
    return CrucialPart(
        tokens=int(tokens.sum()),
        share=float(some.mean()),
        damage=mean_per_token(harm, tokens, settings=settings),
        carries=fraction(
            harm,
            whole,
            read.tokens,
            what=f"damage of '{names.ablation}'",
            if_negative=lower,
            settings=settings,
            floor=ROUNDING,
        ),
        recovered=fraction(
            sums[names.ablation] - sums[names.condition],
            harm,
            tokens,
            what=f"damage of '{names.ablation}' on {of}",
            if_negative=lower,
            settings=settings,
            floor=ROUNDING,
            exact=names.condition in (names.ablation, names.intact),
        ),
        gap=gap,
        score=score,
    )
