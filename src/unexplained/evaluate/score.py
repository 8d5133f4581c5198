"""Losses from final streams, a block of the vocabulary at a time.

The logits of a batch are never held at once (9 x 4096 x 49,152 floats would be 7 GB). All
positions of a batch go through one block of the vocabulary together, so the block's rows of the
unembedding are read once and its logits stay in the processor's cache while losses, divergences
and top-1 predictions are read off them. What is carried from block to block is a running maximum
and sums relative to it (the online softmax of Milakov and Gimelshein, arXiv:1805.02867).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

LogitsOf = Callable[[slice], Tensor]
"""Logits (or log probabilities) of all rows for a slice of the vocabulary, (rows, columns)."""

BLOCK = {"cpu": 1024, "cuda": 16384}
"""Columns at a time: on a CPU small enough for the cache, on a GPU large enough to fill it."""


@dataclass(frozen=True)
class Scores:
    """Per predicted token; None where it was not asked for.

    Loss and KL from the intact model (nats), top-1 prediction, and of pairs the logit difference: logit of
    the answer minus logit of the wrong one.
    """

    loss: Tensor | None
    kl: Tensor | None
    predicted: Tensor | None
    logit_difference: Tensor | None = None

    @property
    def sound(self) -> Tensor:
        """Which tokens have finite numbers, every one that was asked for."""
        given = [one for one in (self.loss, self.kl, self.logit_difference) if one is not None]
        return torch.isfinite(torch.stack(given)).all(0)


class _Softmax:
    """Running maximum, sum of exponentials relative to it, and where the maximum is."""

    def __init__(self, targets: Tensor) -> None:
        rows = targets.shape[0]
        self.targets = targets
        self.highest = torch.full((rows,), -torch.inf, device=targets.device)
        self.total = torch.zeros(rows, dtype=torch.float64, device=targets.device)
        self.predicted = torch.zeros(rows, dtype=torch.long, device=targets.device)
        self.at_target = torch.zeros(rows, device=targets.device)

    def see(self, logits: Tensor, start: int) -> tuple[Tensor, Tensor]:
        """Take in a block; returns its exponentials and the factor that older sums shrink by."""
        here, where = logits.max(-1)
        higher = here > self.highest
        now = torch.where(higher, here, self.highest)
        # Where all that was seen is ruled out (−∞), −∞ less −∞ would be no number.
        base = now.masked_fill(now == -torch.inf, 0.0)
        shrink = (self.highest - base).exp_().double()
        self.predicted = torch.where(higher, where + start, self.predicted)
        self.highest = now
        exponentials = (logits - base[:, None]).exp_()
        self.total = self.total * shrink + exponentials.sum(-1)
        place = self.targets - start
        inside = (place >= 0) & (place < logits.shape[-1])
        found = logits.gather(-1, place.clamp(0, logits.shape[-1] - 1)[:, None])[:, 0]
        self.at_target = torch.where(inside, found, self.at_target)
        return exponentials, shrink

    @property
    def normaliser(self) -> Tensor:
        """Log Σ exp over all blocks seen, float64."""
        return self.total.log() + self.highest

    @property
    def loss(self) -> Tensor:
        """−log softmax at the target, float64."""
        return self.normaliser - self.at_target


def logit_differences(logits: Callable[[Tensor], Tensor], targets: Tensor, wrong: Tensor) -> Tensor:
    """Logit of the answer minus logit of the wrong one, (n,) float64, from two columns alone.

    Args:
        logits: The logits of every row for its own k columns, from (n, k) column numbers.
        targets: (n,) the answers.
        wrong: (n,) what they are held against.
    """
    two = logits(torch.stack([targets, wrong], dim=-1)).double()
    return two[:, 0] - two[:, 1]


def score(
    intact: LogitsOf, conditions: Mapping[str, LogitsOf], targets: Tensor, vocabulary: int
) -> dict[str, Scores]:
    """Score conditions against the targets and against the intact model.

    A condition's numbers do not depend on which others are scored beside it, to the last bit.

    Args:
        intact: The intact model's logits by block.
        conditions: Every condition's logits by block.
        targets: (n,) the tokens that were to be predicted.
        vocabulary: How many columns there are.

    Returns:
        Scores for every condition and, under the name `intact`, for the intact model. KL is
        sum_w p(w) log p(w)/q(w) with p the intact model; the intact model's own is exactly 0.
        Logits may be −∞: a word with p(w) = 0 adds 0 to the KL, and one that only the condition
        rules out makes it infinite, as it makes the loss of a target.
    """
    base = _Softmax(targets)
    running = {name: _Softmax(targets) for name in conditions}
    # Σ exp(z_p − max) (z_p − z_q): the difference is small where KL is, p·z_p and p·z_q are not.
    apart = {name: torch.zeros_like(base.total) for name in conditions}
    missing = {name: torch.zeros_like(base.total, dtype=torch.bool) for name in conditions}
    width = BLOCK.get(targets.device.type, BLOCK["cuda"])
    for start in range(0, vocabulary, width):
        columns = slice(start, min(start + width, vocabulary))
        whole = intact(columns).float()
        weights, shrink = base.see(whole, start)
        moved = {}
        for name, columns_of in conditions.items():
            logits = columns_of(columns).float()
            running[name].see(logits, start)
            moved[name] = torch.sub(whole, logits).mul_(weights).sum(-1)
        # Looked for once a block, in sums: a pass over the columns would slow every sweep.
        if moved and not torch.isfinite(torch.stack(list(moved.values()))).all():
            for name, columns_of in conditions.items():
                logits = columns_of(columns).float()
                moved[name], none = _ruled_out(whole, logits, weights, moved[name])
                missing[name] |= none
        for name, change in moved.items():
            apart[name] = apart[name] * shrink + change
    scores = {"intact": Scores(base.loss, torch.zeros_like(base.loss), base.predicted)}
    for name, state in running.items():
        kl = apart[name] / base.total + (state.normaliser - base.normaliser)
        kl = kl.masked_fill(missing[name], torch.inf)
        scores[name] = Scores(state.loss, kl, state.predicted)
    return scores


def _ruled_out(
    whole: Tensor, logits: Tensor, weights: Tensor, moved: Tensor
) -> tuple[Tensor, Tensor]:
    """Σ weight (z_p − z_q) of a block where some logits are −∞, and in which rows the KL is infinite.

    A row without a −∞ keeps the number that it has, so that its bits do not depend on the others.
    """
    nothing, never = whole == -torch.inf, logits == -torch.inf
    change = (whole.double() - logits.double()).masked_fill_(nothing | never, 0.0)
    careful = change.mul_(weights).sum(-1)
    some = (nothing | never).any(-1)
    return torch.where(some, careful, moved), (never & ~nothing).any(-1)
