"""The layers after a site, run from a kept stream with weights of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from transformers.pytorch_utils import Conv1D

from unexplained.subject import Resume
from unexplained.subject.anatomy import Anatomy
from unexplained.subject.passing import own_hook, passing
from unexplained.subject.placed import first_of

LayerWeights = Mapping[str, Tensor]
"""By name: `L5.mlp.down_proj.weight`, `norm.weight`; of low-rank changes `….left` and `….right`."""

NORM = "norm"
"""What the final norm's weights are named by."""


@dataclass(frozen=True)
class Later:
    """The layers from one on, and the final norm. The unembedding stays the model's own.

    It is left alone because in most models it is the embedding too, which what comes before the
    site reads.
    """

    anatomy: Anatomy
    first: int

    @property
    def modules(self) -> dict[str, nn.Module]:
        """Layers and final norm by the name that their weights begin with."""
        layers = self.anatomy.layers[self.first :]
        named = {f"L{self.first + i}": layer for i, layer in enumerate(layers)}
        return named | {NORM: self.anatomy.final_norm}

    def weights(self) -> dict[str, Tensor]:
        """All weights there, as they are."""
        return {
            f"{where}.{name}": weight.detach()
            for where, module in self.modules.items()
            for name, weight in module.named_parameters()
        }

    def matrices(self) -> dict[str, nn.Module]:
        """The linear maps there by name: what a change of low rank is added to. Experts are none."""
        return {
            f"{where}.{name}": one
            for where, module in self.modules.items()
            for name, one in module.named_modules()
            if isinstance(one, nn.Linear | Conv1D)
        }

    def normed(self, start: Resume, changed: LayerWeights) -> Tensor:
        """The final norm's output (batch, position, width) from the stream before the first of the layers.

        Args:
            start: The kept stream; only here may it be taken up.
            changed: Weights in the place of the model's own, or changes of low rank to matrices;
                what is not named stays. Gradients reach them.
        """
        assert start.layer == self.first
        stream = start.stream
        with passing(self), self._with_low_rank(changed):
            for layer in range(self.first, len(self.anatomy.layers)):
                args, kwargs = start.arguments[layer]
                own = _under(changed, f"L{layer}")
                module = self.anatomy.layers[layer]
                stream = first_of(functional_call(module, own, (stream, *args), kwargs))
            normed: Tensor = functional_call(
                self.anatomy.final_norm, _under(changed, NORM), (stream,)
            )
        return normed

    @contextmanager
    def _with_low_rank(self, changed: LayerWeights) -> Iterator[None]:
        with ExitStack() as hooks:
            for name, module in self.matrices().items():
                if f"{name}.left" in changed:
                    hook = _adding(changed[f"{name}.left"], changed[f"{name}.right"])
                    handle = module.register_forward_hook(own_hook(self, hook))
                    hooks.callback(handle.remove)
            yield


def _under(changed: LayerWeights, where: str) -> dict[str, Tensor]:
    """The weights of one module, by its own names."""
    start = f"{where}."
    return {
        name.removeprefix(start): weight
        for name, weight in changed.items()
        if name.startswith(start) and not name.endswith((".left", ".right"))
    }


def _adding(left: Tensor, right: Tensor) -> Any:
    """A hook that adds to what a linear map gives: `x · right · left`, of low rank."""

    def hook(module: nn.Module, seen: tuple[Tensor, ...], given: Tensor) -> Tensor:
        return given + (seen[0] @ right) @ left

    return hook


def low_rank(later: Later, rank: int) -> dict[str, Tensor]:
    """Changes of so low a rank to every matrix, all of them nothing at first (Hu et al. 2021, LoRA).

    They begin along the inputs that a matrix itself passes on most, its principal directions (Meng et
    al. 2024, PiSSA): of drawn directions most lead to nothing, and a hundred steps do not find out which.
    """
    found: dict[str, Tensor] = {}
    for name, module in later.matrices().items():
        weight = _by_input(module)
        left, _, _ = torch.linalg.svd(weight.double(), full_matrices=False)
        found[f"{name}.right"] = left[:, :rank].to(weight).contiguous()
        found[f"{name}.left"] = weight.new_zeros(rank, weight.shape[1])
    return found


def principal(later: Later, name: str, right: Tensor) -> Tensor:
    """What a matrix itself makes of some orthogonal input directions: as the left side of a change."""
    return right.T @ _by_input(later.matrices()[name])


def _by_input(module: nn.Module) -> Tensor:
    """A linear map's weights (input, output), whichever way its architecture keeps them."""
    weight = module.get_parameter("weight").detach()
    return weight.T if isinstance(module, nn.Linear) else weight
