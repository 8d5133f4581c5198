"""Heads of another basis as arms: the concatenated z of a layer's heads, rotated, and each block ablated.

With z rotated and the output weights rotated back the layer writes the same, so nothing in the function
of the model says which basis is the heads' own, but for how attention makes z. What ablating a block of
the rotated basis does is what a head's worth of dimensions does that was not chosen by training.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from unexplained.ablations.mean import mean_of
from unexplained.circuits.composition import evenly_turned
from unexplained.evaluate import Edited
from unexplained.evaluate.conditions import tensor_digest
from unexplained.hashing import digest
from unexplained.sites import Site
from unexplained.study.arm import Arm, arm
from unexplained.study.run import Run
from unexplained.subject import Edit, Local

SAYS = "Nothing is claimed: the mean over the fit part, of as many dimensions as a head has, at random."


def rotated(run: Run, heads: Sequence[Site], draw: int) -> list[Arm]:
    """As many arms as heads, in their order, named by `name_of`: blocks of each layer's z, rotated.

    Args:
        run: The model, and a text with a fit part for the means.
        heads: Whole heads; those of one layer are rotated into each other.
        draw: Which rotation: an orthogonal matrix for every layer, uniformly drawn.
    """
    layers: dict[int, list[Site]] = defaultdict(list)
    for head in heads:
        layers[head.layer].append(head.at("z"))
    seen = run.observe([site for sites in layers.values() for site in sites])
    made: dict[Site, Edited] = {}
    for layer, sites in layers.items():
        means = torch.cat([mean_of(seen, site) for site in sites])
        turn = orthogonal(len(means), run.settings.seed, draw, layer).to(means)
        for part, (site, rows) in enumerate(zip(sites, turn.chunk(len(sites)), strict=True)):
            edits = tuple(Edit(own, _without(i, sites, means, rows), tuple(sites))
                          for i, own in enumerate(sites))  # fmt: skip
            mark = digest("rotated", *map(str, sites), str(part), tensor_digest([means, rows]))
            made[site] = Edited(name_of(site.component, draw), edits, mark, fitted_on=seen.model)
    return [
        arm(made[head.at("z")], role="control", says=SAYS, method="internals") for head in heads
    ]


def name_of(head: Site, draw: int) -> str:
    """What the arm is called that stands for a head in a rotated basis."""
    return f"{head}, rotated {draw + 1}"


def orthogonal(size: int, *seeds: int) -> Tensor:
    """A uniformly drawn orthogonal matrix (size, size) in float64."""
    seed = int(digest("rotation", *map(str, seeds))[:12], 16)
    draw = torch.Generator().manual_seed(seed)
    return evenly_turned(torch.randn(size, size, generator=draw, dtype=torch.float64))


def _without(
    head: int, sites: Sequence[Site], means: Tensor, rows: Tensor
) -> Callable[[Local], Tensor]:
    """A head's z without what the block holds of it beyond the mean; `rows` (block, all heads' z)."""
    size = len(means) // len(sites)
    own = rows[:, head * size : (head + 1) * size]

    def function(local: Local) -> Tensor:
        z = torch.cat([local.elsewhere(site) for site in sites], -1)
        return local.value - ((z - means) @ rows.T) @ own

    return function
