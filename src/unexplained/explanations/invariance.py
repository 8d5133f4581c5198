"""What a rule does not depend on, found by trying, and the control that can therefore tell.

A control computes the explanation on something that it should not be right about. On another
document a rule that reads positions alone says what it says here: that control cannot tell, and
one at other positions can. What a control leaves as it was is measured on the fit part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from unexplained.evaluate import Activations
from unexplained.explanations.fit import sayer, stands_at
from unexplained.explanations.protocol import Explanation
from unexplained.explanations.stand_in import Control
from unexplained.sites import Shape, Site
from unexplained.subject import Local

SHUFFLED = 0.05
"""Of what a rule says, how much may be the same on another document for that to be its control."""

TELLS = 0.25
"""Of what a rule says, how much may be the same under any control."""

SAME = 0.999
"""What is as much the same as this does not depend on what was changed."""


def control_of(
    explanation: Explanation,
    sites: Sequence[Site],
    shape: Shape,
    activations: Activations,
    seed: int,
) -> Control:
    """The control that can tell: on another document, or there and at other positions as well.

    Raises:
        ExplanationError: The explanation raised, or looked ahead.
    """
    on_another, moved = explanation.on_shuffled(), explanation.on_shuffled(moved=True)
    reads = explanation.reads == ("tokens",)
    stakes = {site: _at_stake(site, activations) for site in sites}
    if reads:  # what it says is then the same wherever its answer has one shape
        kinds = {"H" if site.part == "H" else site.is_number: site for site in reversed(sites)}
        stakes = {site: stakes[site] for site in kinds.values()}
    whole = sum(stakes.values())

    def kept(control: Explanation) -> float:
        return sum(
            (stake / whole if whole > 0 else 1 / len(stakes))
            * same(explanation, control, [site], shape, activations, seed)
            for site, stake in stakes.items()
            if stake > 0 or whole == 0
        )

    tokens = kept(on_another)
    places = 0.0 if tokens < SHUFFLED else kept(moved)
    if tokens >= SAME:
        depends = "nothing" if places >= SAME else "positions alone"
    elif not reads:
        depends = "the model's own values"
    elif all(in_any_order(explanation, site, shape, activations) for site in stakes):
        depends = "which tokens came before, in any order"
    else:
        depends = "tokens and their order"
    if tokens < SHUFFLED or tokens <= places:
        found, left = on_another, tokens
    else:
        found, left = moved, places
    return Control(found if left < TELLS else None, depends, left)


def _at_stake(site: Site, activations: Activations) -> float:
    """How much a component's value varies about its mean: nothing is at stake where it is always the same."""
    value = activations.flat(site.at("z") if site.part == "H" else site).double()
    return float((value - value.mean(0)).square().sum())


def same(
    explanation: Explanation,
    control: Explanation,
    sites: Sequence[Site],
    shape: Shape,
    activations: Activations,
    seed: int,
) -> float:
    """How much of what an explanation says its control says too, between 0 and 1.

    Of patterns the share of attention that both put in the same place (the first position, which
    has only itself to attend to, left out); of values their agreement about the mean of each.
    """
    ours: list[Tensor] = []
    theirs: list[Tensor] = []
    for site in sites:
        for one, into in ((explanation, ours), (control, theirs)):
            say = sayer(one, site, shape, activations, seed)
            into += [
                _rows(say(local), local, one.gives)
                for local in activations.at(stands_at(one, site))
            ]
    if explanation.gives == "pattern":
        both = sum(float(torch.minimum(a, b).sum()) for a, b in zip(ours, theirs, strict=True))
        whole = sum(float(a.sum()) for a in ours)
        return both / whole if whole > 0 else 1.0
    a, b = (torch.cat(x).double() for x in (ours, theirs))
    a, b = a - a.mean(0), b - b.mean(0)
    spread = float((a * a).sum() + (b * b).sum())
    return max(0.0, 1 - float((a - b).pow(2).sum()) / spread) if spread > 0 else 1.0


def _rows(said: Tensor, local: Local, gives: str) -> Tensor:
    if gives == "pattern":
        said = said.clone()
        said[:, 0] = 0
        return said * local.batch.valid[..., None]
    return (
        said[local.batch.valid].flatten(1) if said.dim() > 2 else said[local.batch.valid][:, None]
    )


def in_any_order(
    explanation: Explanation, site: Site, shape: Shape, activations: Activations
) -> bool:
    """Whether what it says at the end of documents is the same with earlier tokens out of order.

    The first token stays, and a pattern moves with the tokens.
    """
    for local, order in _reordered(activations, stands_at(explanation, site)):
        first = explanation(local, shape)
        moved = replace(local, batch=replace(local.batch, tokens=local.tokens.gather(1, order)))
        other = explanation(moved, shape)
        last = local.batch.valid.sum(-1) - 1
        row = torch.arange(len(last), device=last.device)
        before, after = first[row, last], other[row, last]
        if explanation.gives == "pattern":
            before = before.gather(1, order)
        if not torch.allclose(before, after, rtol=1e-4, atol=1e-5 * float(before.abs().max())):
            return False
    return True


def _reordered(activations: Activations, site: Site) -> Iterator[tuple[Local, Tensor]]:
    draw = torch.Generator().manual_seed(0)
    for local in activations.at(site):
        order = torch.arange(local.tokens.shape[1]).repeat(len(local.tokens), 1)
        for row, length in enumerate(local.batch.valid.sum(-1).tolist()):
            if length > 3:
                order[row, 1 : length - 1] = 1 + torch.randperm(length - 2, generator=draw)
        yield local, order.to(local.tokens.device)
