"""A model of attention alone, multiplied out into paths (Elhage and others 2021).

Given where every head attends and what every norm multiplies by, such a model is linear in its
embeddings: its logits are a sum over chains of heads, from the direct path, through each head alone,
to each pair of heads of two layers, and a term of biases. A sum of what was multiplied out explains
nothing by itself: patterns and scales were made by all of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unexplained.circuits.graph import CircuitError
from unexplained.evaluate.arrays import ArrayWork
from unexplained.evaluate.evaluate import BATCH_TOKENS
from unexplained.evaluate.runner import Workers, in_process, measured
from unexplained.progress import Count
from unexplained.sites import Site
from unexplained.subject import Pass, Subject
from unexplained.subject.ambient import neutrally
from unexplained.subject.anatomy import Anatomy
from unexplained.text import Text

Chain = tuple[Site, ...]
"""Heads of rising layers, the value of each read by the next; () is the direct path."""
MOST = 512
"""Paths at most: they are as many as heads of a layer and one, to the power of layers."""
ROUNDING = 1e-3
"""Of the greatest logit: by more than this arithmetic in another order does not move a sum of all terms."""


def name_of(chain: Chain) -> str:
    """A path in words.

    >>> name_of(()), name_of((Site(0, "H", 1), Site(1, "H", 2)))
    ('direct', 'L0.H1 → L1.H2')
    """
    return " → ".join(map(str, chain)) or "direct"


def chains(layers: int, heads: int) -> tuple[Chain, ...]:
    """Every path, shortest first.

    >>> len(chains(2, 4)), len(chains(3, 2))
    (25, 27)
    """
    found: list[Chain] = []
    for length in range(layers + 1):
        for through in combinations(range(layers), length):
            for of in product(range(heads), repeat=length):
                found.append(
                    tuple(Site(layer, "H", head) for layer, head in zip(through, of, strict=True))
                )
    return tuple(found)


def require_paths(subject: Subject, *, least: int = 1) -> None:
    """Refuse a model whose logits are no sum over chains of heads, or with fewer layers, or heads in each, than `least`.

    Raises:
        CircuitError: It has MLPs, norms after its blocks or soft caps, or there are too many chains.
    """
    anatomy, shape = subject.anatomy, subject.shape
    asked = f"The paths of {subject.name}"
    config: Any = anatomy.model.config
    loud = [layer for layer in range(shape.layers) if not _is_silent(anatomy, layer)]
    if loud:
        raise CircuitError(
            asked, f"its MLPs write something, the first in layer {loud[0]}: what they do is no product of matrices",
            "Take a model of attention alone, such as attention-2, whose MLPs are zero.",
        )  # fmt: skip
    if anatomy.architecture.attention_post_norm or getattr(config, "final_logit_softcapping", None):
        raise CircuitError(
            asked, "a norm after its blocks, or a cap of its logits, stands between heads and logits",
            "Take a model whose heads add to the stream as they are.",
        )  # fmt: skip
    if shape.layers < least:
        raise CircuitError(
            asked, "it has one layer, and no head reads what another wrote",
            "Take a model of two layers.",
        )  # fmt: skip
    if shape.heads < least:
        raise CircuitError(
            asked, "each of its layers has one head, and a control takes another in that one's place",
            "Take a model of two heads in a layer.",
        )  # fmt: skip
    count = (1 + shape.heads) ** shape.layers
    if count > MOST:
        raise CircuitError(
            asked, f"{shape.layers} layers of {shape.heads} heads make {count:,} of them",
            f"At most {MOST:,} are multiplied out: two or three layers.",
        )  # fmt: skip


def _is_silent(anatomy: Anatomy, layer: int) -> bool:
    """Whether a layer's MLP adds nothing, whatever it reads."""
    if not anatomy.architecture.neuron_output:
        return False
    last = anatomy.neuron_output(layer)
    return not any(bool(weight.any()) for weight in last.parameters())


@dataclass(frozen=True)
class Expanded:
    """One batch multiplied out: what every path and the biases have written, before every layer and at the end."""

    done: Pass
    """The pass whose patterns and scales are given."""
    before: tuple[Mapping[Chain, Tensor], ...]
    """By layer, (batch, position, width) of every path that ends before it; last what the final norm reads."""
    biases: tuple[Tensor, ...]
    """The same of all that does not come from an embedding."""


def kept(layers: int, heads: int) -> list[Site]:
    """The sites of a pass that an expansion needs; `keep_scales` besides."""
    every = [Site(layer, "H", head, "pattern") for layer in range(layers) for head in range(heads)]
    return [Site(-1, "embed"), *every]


def expand(subject: Subject, done: Pass) -> Expanded:
    """Multiply out a pass that kept the sites of `kept` and its scales."""
    anatomy, shape = subject.anatomy, subject.shape
    parts: dict[Chain, Tensor] = {(): done.values[Site(-1, "embed")]}
    bias = torch.zeros_like(parts[()])
    before, biases = [dict(parts)], [bias]
    for layer in range(shape.layers):
        read = _Reader.of(anatomy, layer, done)
        more: dict[Chain, Tensor] = {}
        for head in range(shape.heads):
            pattern = done.values[Site(layer, "H", head, "pattern")]
            for chain, part in parts.items():
                more[*chain, Site(layer, "H", head)] = read.through(head, pattern, part)
            bias = bias + read.through(head, pattern, biases[-1], constant=True)
        parts = parts | more
        before.append(parts)
        biases.append(bias + read.output_bias)
        bias = biases[-1]
    return Expanded(done, tuple(before), tuple(biases))


@dataclass(frozen=True)
class _Reader:
    """A layer's attention as a linear map, its patterns and its norm's scale given."""

    anatomy: Anatomy
    norm: nn.Module | None
    scale: Tensor | None
    gain: Tensor | None
    values: Tensor
    """(key head, head size, width)."""
    value_bias: Tensor | None
    outputs: Tensor
    """(head, head size, width)."""
    output_bias: Tensor

    @classmethod
    def of(cls, anatomy: Anatomy, layer: int, done: Pass) -> _Reader:
        path = anatomy.architecture.attention_norm
        norm = anatomy.attention_norm(layer) if path else None
        module: Any = anatomy.projection(layer, "v")
        last: Any = anatomy.head_output(layer)
        bias = getattr(module, "bias", None)
        written = getattr(last, "bias", None)
        zeros = done.stream.new_zeros(anatomy.shape.width)
        return cls(
            anatomy, norm, done.scales[layer, path] if path else None,
            None if norm is None else anatomy.norm_frame(norm, done.stream)[2],
            anatomy.projection_weight(layer, "v"),
            None if bias is None else anatomy.projected("v", bias.detach()),
            anatomy.head_weights(layer),
            zeros if written is None else written.detach() * anatomy.residual_scale,
        )  # fmt: skip

    def through(
        self, head: int, pattern: Tensor, part: Tensor, *, constant: bool = False
    ) -> Tensor:
        """What a head writes of a part of the stream; with `constant` of biases on the way too."""
        key = head * len(self.values) // self.anatomy.shape.heads
        normed = scaled(self.anatomy, self.norm, self.scale, part, constant=constant)
        value = normed @ self.values[key].T
        if constant and self.value_bias is not None:
            value = value + self.value_bias[key]
        written: Tensor = (pattern @ value) @ self.outputs[head]
        return written


def scaled(
    anatomy: Anatomy,
    norm: nn.Module | None,
    scale: Tensor | None,
    part: Tensor,
    *,
    constant: bool = False,
) -> Tensor:
    """A part of the stream through a norm whose scale is given; with `constant` its bias too."""
    if norm is None or scale is None:
        return part
    centred, _, gain = anatomy.norm_frame(norm, part)
    bias: Tensor | None = getattr(norm, "bias", None)
    found: Tensor = centred * scale * gain
    return found + bias.detach() if constant and bias is not None else found


BIASES = "biases"


@dataclass(frozen=True)
class Terms:
    """What every path adds to the right token's logit, and what its absence costs, by prediction."""

    names: tuple[str, ...]
    """Of the terms: paths as `name_of` has them, and `biases`."""
    units: tuple[str, ...]
    """Of every document the unit of resampling."""
    right: tuple[NDArray[np.float64], ...]
    """By document, (prediction, term): the right token's logit less the mean over the vocabulary."""
    without: tuple[NDArray[np.float64], ...]
    """By document, (prediction, term): nats lost when the term alone is left out, patterns and scales as they are."""
    error: float
    """Greatest difference between the sum of all terms and the model's own logits, over all predictions."""
    logit: float
    """Greatest size of these logits, beside which that is to be read."""


@neutrally
def terms(
    subject: Subject,
    text: Text,
    *,
    batch_tokens: int = BATCH_TOKENS,
    folder: Path | None = None,
    workers: Workers = in_process,
    progress: Count = lambda done, total: None,
) -> Terms:
    """All terms of a model's logits on the eval part of a text.

    Raises:
        CircuitError: The model is none that can be multiplied out, or its terms do not add up to its logits.
        UnexplainedError: As `evaluate`.
    """
    require_paths(subject)
    work = _Terms(subject=subject, text=text, part="eval", batch_tokens=batch_tokens)
    found = measured(work, folder=folder, workers=workers, progress=progress)
    right, without, units = [], [], []
    error = logit = 0.0
    for some, arrays in zip(work.plans, found, strict=True):
        cuts = np.cumsum([len(block.targets) for block in some.blocks])[:-1]
        right += np.split(arrays["right"].double().numpy(), cuts)
        without += np.split(arrays["without"].double().numpy(), cuts)
        units += [block.unit for block in some.blocks]
        error = max(error, float(arrays["checked"][0]))
        logit = max(logit, float(arrays["checked"][1]))
    if error > ROUNDING * logit and not getattr(workers, "imagines", False):
        raise CircuitError(
            f"The paths of {subject.name}",
            f"they add up to its logits, of up to {logit:.3g}, but for {error:.3g}: it does something "
            "that is no chain of heads",
            "Take another model of attention alone.",
        )
    return Terms(work.terms, tuple(units), tuple(right), tuple(without), error, logit)


@dataclass(frozen=True, kw_only=True)
class _Terms(ArrayWork):
    """All terms on a batch."""

    what: ClassVar[str] = "The paths of a model"
    asked: ClassVar[tuple[str, ...]] = ("paths",)

    @cached_property
    def terms(self) -> tuple[str, ...]:
        """Names of the terms, in order."""
        shape = self.subject.shape
        return (*map(name_of, chains(shape.layers, shape.heads)), BIASES)

    def shapes(self, number: int) -> dict[str, tuple[int, ...]]:
        """(prediction, term), twice, and the check's two numbers."""
        sizes = (sum(len(block.targets) for block in self.plans[number].blocks), len(self.terms))
        return {"right": sizes, "without": sizes, "checked": (2,)}

    def arrays(self, number: int) -> dict[str, Tensor]:
        """One pass, multiplied out."""
        subject, shape = self.subject, self.subject.shape
        batch = self.plans[number].batch(subject.device)
        scored = self.plans[number].scored(subject.device)
        with torch.no_grad():
            done = subject.run(batch, keep=kept(shape.layers, shape.heads), keep_scales=True)
            normed = final_terms(subject, expand(subject, done))
            read = [one[scored.where] for one in normed]
            right = torch.stack([_above(subject, one, scored.targets) for one in read], -1)
            without, error, most = _without(
                subject, read, done.normed[scored.where], scored.targets
            )
        return {
            "right": right.float(),
            "without": without.float(),
            "checked": torch.tensor([error, most]),
        }


def final_terms(subject: Subject, expanded: Expanded) -> list[Tensor]:
    """What the unembedding reads of every term, (batch, position, width), in the order of `_Terms.terms`."""
    anatomy, shape = subject.anatomy, subject.shape
    norm = anatomy.final_norm
    scale = expanded.done.scales[shape.layers, anatomy.architecture.final_norm]
    parts = expanded.before[-1]
    found = [scaled(anatomy, norm, scale, parts[one]) for one in chains(shape.layers, shape.heads)]
    return [*found, scaled(anatomy, norm, scale, expanded.biases[-1], constant=True)]


def _unembedded(subject: Subject, normed: Tensor, *, constant: bool) -> Tensor:
    """All logits of a term, (…, vocabulary); those of the biases with the unembedding's own."""
    anatomy = subject.anatomy
    weight, bias = anatomy.unembed.weight, anatomy.unembed.bias
    assert isinstance(weight, Tensor)
    added = bias.detach() if constant and isinstance(bias, Tensor) else None
    logits = nn.functional.linear(normed, weight.detach(), added)
    return logits / anatomy.architecture.logits_divisor(anatomy.model.config)


def _above(subject: Subject, normed: Tensor, targets: Tensor) -> Tensor:
    """The right token's logit of a term less the mean of all, (prediction,); a constant unembedding bias apart."""
    weight = subject.anatomy.unembed.weight
    assert isinstance(weight, Tensor)
    rows = weight.detach()[targets] - weight.detach().mean(0)
    divisor = subject.anatomy.architecture.logits_divisor(subject.anatomy.model.config)
    return (normed * rows).sum(-1) / divisor


def _without(
    subject: Subject, read: Sequence[Tensor], normed: Tensor, targets: Tensor
) -> tuple[Tensor, float, float]:
    """Losses without each term less the loss, (prediction, term); the greatest error of the sum, and logit."""
    found = torch.zeros(len(targets), len(read))
    error = most = 0.0
    last = len(read) - 1
    step = max(1, math.floor(2e7 / subject.shape.vocabulary))
    for start in range(0, len(targets), step):
        rows = slice(start, start + step)
        logits = subject.logits(normed[rows])
        loss = nn.functional.cross_entropy(logits, targets[rows], reduction="none")
        total = torch.zeros_like(logits)
        for i, one in enumerate(read):
            term = _unembedded(subject, one[rows], constant=i == last)
            total += term
            less = nn.functional.cross_entropy(logits - term, targets[rows], reduction="none")
            found[rows, i] = (less - loss).cpu()
        error = max(error, float((total - logits).abs().max()))
        most = max(most, float(logits.abs().max()))
    return found, error, most
