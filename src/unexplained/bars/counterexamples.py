"""Where a component helps or harms and a claim does not: the predictions that the claim leaves.

Neel Nanda of copy suppression: "random samples from the top 5% of times the head improved loss, after
filtering out copy suppression algorithmically" (L212 of the dialogue; McDougall and others 2023). A
prediction's help is its loss with the component ablated less its loss intact; its harm is the negative.
The claim explains a prediction if it keeps a stated share of that, the claim in the component's place.

Losses are functions of model and text, so the same call chooses the same predictions. Which are among
the greatest share is a matter of the documents: each document's bar is that of the other half of them,
so that no document is among those that raised its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from unexplained.bars.recovered import INTACT, ROUNDING
from unexplained.bars.tokens import TokenLosses, token_losses
from unexplained.ledger import Ledger
from unexplained.record import Number
from unexplained.shares import within
from unexplained.stats import SHARE, Settings, difference_per_token, fraction, mean_per_token

SIDES: tuple[HelpOrHarm, ...] = ("help", "harm")
LEAST = 1e-5
"""Nats: what moves a prediction's loss by less moves its last digits."""
HelpOrHarm = Literal["help", "harm"]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class LeftByClaim:
    """What a claim leaves of a component's help, or of its harm."""

    total: Number
    """Over all predictions that it helps (harms), nats per predicted token."""
    helped: Number
    """How many of all predictions those are."""
    chosen: int
    """How many of them are among the greatest."""
    carries: Number
    """What these hold of the total."""
    explained: Number
    """At how many of these the claim keeps enough."""
    kept: Number
    """What the claim keeps of their sum, either sign."""
    left: Number
    """What those that are left hold of the total."""
    everywhere: Number
    """The same of all predictions that it helps, not of the greatest alone."""


@dataclass(frozen=True, eq=False)
class Hunt:
    """What a claim leaves, and which predictions those are."""

    sides: Mapping[HelpOrHarm, LeftByClaim]
    net: Number
    """Help less harm: the damage of the ablation (nats per token)."""
    bars: tuple[float, float]
    """Help from which on a prediction is chosen (nats), in either half of the documents."""
    helps: Mapping[str, NDArray[np.float64]]
    """Of every document, each prediction's help (nats)."""
    chosen: Mapping[str, Mask]
    """Those that it helps most."""
    left: Mapping[str, Mask]
    """Those of them that the claim does not explain."""


def hunted(
    ledger: Ledger,
    claim: str,
    ablation: str,
    *,
    top: float,
    keeps: float,
    settings: Settings,
    intact: str = INTACT,
) -> Hunt:
    """Choose the predictions that a component helps and harms most, and see which a claim explains.

    Shares are of sums over documents; their intervals resample documents and take the bars as given.
    What a claim keeps of a prediction by chance counts as kept: see what the same claim keeps on
    another document.

    Args:
        ledger: Holds the losses per token of all three.
        claim: The condition with the claim in the component's place.
        ablation: The condition without the component.
        top: Share of all predictions that are chosen, of those that are helped at all.
        keeps: Share of a prediction's help that makes it explained.
        settings: Level, resamples and seed.
        intact: The model as it is.

    Raises:
        MeasurementError: Losses were not kept token by token.
    """
    read = token_losses(ledger, (intact, ablation, claim))
    helps = read.losses[ablation] - read.losses[intact]
    kept = read.losses[ablation] - read.losses[claim]
    sides: dict[HelpOrHarm, LeftByClaim] = {}
    chosen: dict[HelpOrHarm, Mask] = {}
    bars: dict[HelpOrHarm, tuple[float, float]] = {}
    for side, sign in zip(SIDES, (1, -1), strict=True):
        bars[side] = _bars(sign * helps, read.at, top)
        chosen[side] = sign * helps >= np.array(bars[side])[read.at % 2]
        sides[side] = _left(read, sign * helps, sign * kept, chosen[side], side, keeps, settings)
    whole = {name: read.summed(losses) for name, losses in read.losses.items()}
    left = chosen["help"] & (kept < keeps * helps)
    return Hunt(
        sides,
        difference_per_token(whole[ablation], whole[intact], read.tokens, settings=settings),
        bars["help"], read.split(helps), read.split(chosen["help"]), read.split(left),
    )  # fmt: skip


def _bars(gain: NDArray[np.float64], at: NDArray[np.int64], top: float) -> tuple[float, float]:
    """Where the greatest share begins, for documents of even and of odd place: each by the others."""
    halves = [gain[at % 2 == other] for other in (1, 0)]
    # Predictions that gain the same but for rounding stand or fall together.
    first, second = (
        max(LEAST, float(np.quantile(half, 1 - top)) - LEAST) if half.size else np.inf
        for half in halves
    )
    return first, second


def _left(
    read: TokenLosses,
    gain: NDArray[np.float64],
    kept: NDArray[np.float64],
    chosen: Mask,
    side: HelpOrHarm,
    keeps: float,
    settings: Settings,
) -> LeftByClaim:
    """One side; `gain` and `kept` are of its sign."""
    tokens, positive = read.tokens, np.maximum(gain, 0)
    missed = kept < keeps * gain
    counts = read.summed(chosen.astype(float))

    def share(some: NDArray[np.float64], of: NDArray[np.float64], what: str) -> Number:
        sums = read.summed(some), read.summed(of), tokens
        return fraction(*sums, what=what, settings=settings, floor=ROUNDING)

    def part(which: Mask) -> Number:
        return within(share(positive * which, positive, f"all {side}"), 0, 1)

    return LeftByClaim(
        total=mean_per_token(read.summed(positive), tokens, settings=settings),
        helped=_part(read.summed((gain > LEAST).astype(float)), tokens, settings),
        chosen=int(counts.sum()),
        carries=part(chosen),
        explained=_part(read.summed((chosen & ~missed).astype(float)), counts, settings),
        kept=share(kept * chosen, gain * chosen, f"{side} where it is greatest"),
        left=part(chosen & missed),
        everywhere=part(missed),
    )  # fmt: skip


def _part(some: NDArray[np.float64], of: NDArray[np.float64], settings: Settings) -> Number:
    """How many of the predictions of every document, whole numbers as a ledger counts them."""
    counts = of.astype(np.int64)
    return mean_per_token(some, counts, settings=settings, unit=SHARE)


def by_stratum(
    hunt: Hunt, labels: Mapping[str, NDArray[np.str_]], settings: Settings
) -> dict[str, tuple[int, int, int, Number]]:
    """By a stratum of predictions: how many there are, chosen and left, and of all help what is left.

    Args:
        hunt: What was found.
        labels: Of every document each prediction's label.
        settings: Level, resamples and seed.
    """
    documents = list(hunt.helps)
    every = np.array([np.maximum(hunt.helps[one], 0).sum() for one in documents])
    tokens = np.array([len(hunt.helps[one]) for one in documents])
    found = {}
    for label in sorted({str(one) for some in labels.values() for one in some}):
        mine = {one: np.asarray(labels[one]) == label for one in documents}
        left = {one: hunt.left[one] & mine[one] for one in documents}
        help_left = np.array([hunt.helps[one][left[one]].sum() for one in documents])
        count = [sum(int(some.sum()) for some in which) for which in (
            mine.values(), (hunt.chosen[one] & mine[one] for one in documents), left.values())]  # fmt: skip
        share = fraction(
            help_left, every, tokens, what="all help", settings=settings, floor=ROUNDING
        )
        found[label] = (count[0], count[1], count[2], within(share, 0, 1))
    return found
