"""A neuron under a label: what it is put at where the label says yes, and where it says no.

The claim gives what the label predicts: the mean of the activation where it says yes and where it says
no (an affine map of what it says). What is left, and either half of it, is kept or taken out alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from unexplained.evaluate import Edited
from unexplained.evaluate.conditions import tensor_digest
from unexplained.explanations.labels import says_yes
from unexplained.explanations.protocol import Explanation
from unexplained.hashing import digest
from unexplained.record.bars import KeptVariation
from unexplained.repairs.noise import ValueOf, remade
from unexplained.sites import Shape, Site
from unexplained.subject import Edit, Local


def keeping(
    name: str,
    kept: KeptVariation,
    claim: Edited,
    label: Explanation,
    means: Mapping[Site, Tensor],
    shape: Shape,
) -> Edited:
    """The claim with some of what it leaves out kept.

    Args:
        name: What the condition is called.
        kept: What is kept.
        claim: What the label predicts, in the neurons' place.
        label: The label itself.
        means: Of every neuron the value that says nothing: the residual is put on it.
        shape: The model's sizes.
    """

    def make(edit: Edit) -> tuple[ValueOf, list[Tensor]]:
        mean = means[edit.site]

        def given(local: Local) -> Tensor:
            said = edit(local)
            assert said is not None  # a label gives a number at every token
            if kept == "residual":
                return mean.to(said) + local.value.to(said) - said
            where = says_yes(label, local, shape) == (kept == "yes")
            return torch.where(where, local.value.to(said), said)

        return given, [mean]

    return remade(name, f"keeping {kept}", claim, make, 0)


def constant(name: str, values: Mapping[Site, Tensor], fitted_on: str) -> Edited:
    """Neurons put at constants."""

    def put(value: Tensor) -> ValueOf:
        return lambda local: value.to(local.value).expand_as(local.value)

    mark = digest("constants", *map(str, values), tensor_digest(list(values.values())))
    edits = tuple(Edit(site, put(value)) for site, value in values.items())
    return Edited(name, edits, mark, fitted_on=fitted_on)
