"""What the benchmarks of sweeps share: the model, texts, heads; timing, memory, arithmetic."""

from __future__ import annotations

import copy
import ctypes
import gc
import platform
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

import unexplained as ux
from plain_eap import exact_norms
from unexplained.ablations.mean import mean_of
from unexplained.evaluate import Activations, observe
from unexplained.sites import Shape, Site
from unexplained.study.provenance import machine, versions
from unexplained.subject.packaged import packaged_folder
from unexplained.subject.quiet import quiet
from unexplained.text import Pair, Text

MODEL = "smollm2-135m"
SEED = 0
PEER_PACKAGES = ("transformer-lens", "nnsight", "pyvene")

NAMES = (("Mary", "John"), ("Anna", "Paul"), ("Tom", "James"), ("Sarah", "David"))
PLACES = (("store", "drink"), ("park", "ball"), ("school", "book"), ("office", "letter"))
PROMPT = "So when {first} and {second} went to the {place}, {subject} gave a {thing} to"
LENGTH, SHARED = 15, 10
"""Tokens of every prompt, and how many of them a prompt and its corruption share."""

SPARE = 16.0
"""See `tolerance`."""


@dataclass(frozen=True)
class Tool:
    """A tool made ready: what is timed, and how what it gives is put into the common form."""

    run: Callable[[], Any]
    tidy: Callable[[Any], list[Tensor]] = lambda found: [found]
    conditions: int | None = None
    """How many conditions a run measures, where that is not what the work's peers measure."""


class Work:
    """The model, the texts, the heads that the peers measure and what is put in their place.

    Args:
        small: A size for trying the script, not for timing: 3 heads, 2 documents of 32 tokens.
        device: Where every tool runs.
        step: Ours measures every so many heads, and those of the peers: shorter rounds, so that
            tools meet the same state of a machine that others use too.
    """

    def __init__(self, small: bool = False, device: str = "cpu", step: int = 1) -> None:
        self.small, self.device = small, torch.device(device)
        self.subject = ux.load(MODEL, device=device)
        self.folder = packaged_folder(MODEL)[0]
        shape = self.subject.shape
        layers = range(1, shape.layers, 13) if small else range(0, shape.layers, 3)
        self.heads = [(layer, (5 * layer) % shape.heads) for layer in layers]
        every = [(layer, head) for layer in range(shape.layers) for head in range(shape.heads)]
        some = {*every[::step], *self.heads}
        self.all_heads = self.heads if small else [head for head in every if head in some]
        """What ours measures."""

    def model(self, dtype: torch.dtype = torch.float32) -> Any:
        """A copy of the model of its own, as a user of transformers loads it.

        In float64 it is the reference, and its norms, which would round to float32, are replaced.
        """
        if dtype == torch.float32:
            return copy.deepcopy(self._loaded).to(self.device)
        with quiet():
            model = AutoModelForCausalLM.from_pretrained(self.folder, dtype=dtype).eval()
        return exact_norms(model.to(self.device))

    @cached_property
    def _loaded(self) -> Any:
        with quiet():
            return AutoModelForCausalLM.from_pretrained(self.folder, dtype=torch.float32).eval()

    @cached_property
    def text(self) -> Text:
        """8 documents x 128 tokens."""
        documents, block = (2, 32) if self.small else (8, 128)
        text = ux.text("pydocs", self.subject, documents=documents, fit_documents=8, block=block)
        if {len(b.tokens) for b in text.eval} != {block}:
            raise SystemExit(f"the documents must have {block} tokens each")
        return text

    @cached_property
    def tokens(self) -> Tensor:
        """(document, position) int64."""
        return self._ids([block.tokens for block in self.text.eval])

    @cached_property
    def recorded(self) -> Activations:
        """What means are taken over."""
        sites = [self.site(*head) for head in self.all_heads]
        return observe(self.subject, self.text, sites)

    @cached_property
    def means(self) -> dict[tuple[int, int], Tensor]:
        """Each head's mean z, (head size,)."""
        return {
            head: mean_of(self.recorded, self.site(*head)).to(self.device)
            for head in self.all_heads
        }

    def site(self, layer: int, head: int) -> Site:
        """A head's z."""
        return self.subject.sites(f"L{layer}.H{head}.z")[0]

    @cached_property
    def pairs(self) -> Text:
        """8 indirect-object prompts (4 and their role-swaps), each with its corruption.

        They share 10 of 15 tokens, of which the first is no special one.
        """
        return pairs_text(self.subject)

    @cached_property
    def clean(self) -> Tensor:
        """(pair, position) int64."""
        return self._ids([block.tokens for block in self.pairs.eval])

    @cached_property
    def corrupted(self) -> Tensor:
        """(pair, position) int64."""
        return self._ids([pair.corrupted for pair in self._pairs])

    @cached_property
    def answers(self) -> Tensor:
        """The right and the wrong name of every pair, (pair, 2) int64."""
        return self._ids([np.array([pair.answer, pair.wrong]) for pair in self._pairs])

    def _ids(self, rows: Sequence[np.ndarray]) -> Tensor:
        return torch.tensor(np.stack(rows)).long().to(self.device)

    @property
    def _pairs(self) -> list[Pair]:
        return [block for block in self.pairs.eval if isinstance(block, Pair)]

    def logit_differences(self, logits: Tensor) -> Tensor:
        """Logit differences (pair,) from the last position's logits (pair, vocabulary)."""
        chosen = logits.gather(1, self.answers)
        return chosen[:, 0] - chosen[:, 1]

    def where(self, head: tuple[int, int]) -> int:
        """The row of a head in what ours measures."""
        return self.all_heads.index(head)

    def subset(self, found: Tensor) -> list[Tensor]:
        """The rows of the heads that the peers measure too."""
        return [found[[self.where(head) for head in self.heads]]]


def pairs_text(subject: Any) -> Text:
    """The pairs as a text; the corruption names the other person as the one who gives.

    Raises:
        SystemExit: The tokenizer does not give the lengths that the benchmark is stated for.
    """
    pairs = [
        _pair(subject, names, place, swap)
        for names, place in zip(NAMES, PLACES, strict=True)
        for swap in (False, True)
    ]
    if {(len(pair.tokens), pair.shared) for pair in pairs} != {(LENGTH, SHARED)}:
        raise SystemExit(f"the prompts must have {LENGTH} tokens, of which {SHARED} are shared")
    return Text(
        name="indirect object, 8 pairs",
        eval=tuple(pairs),
        fit=(),
        pool=lambda: iter(()),
        pool_fingerprint="",
        block=LENGTH,
        vocabulary=subject.shape.vocabulary,
        fingerprint=_hash(*(pair.document for pair in pairs)),
        notes=(),
        composition={"indirect object": len(pairs)},
    )


def _pair(subject: Any, names: tuple[str, str], place: tuple[str, str], swap: bool) -> Pair:
    giver, other = names if swap else names[::-1]
    clean, corrupted = (
        PROMPT.format(
            first=names[0], second=names[1], place=place[0], thing=place[1], subject=subject_name
        )
        for subject_name in (giver, other)
    )

    def ids(words: str) -> list[int]:
        found: list[int] = subject.tokenizer(words, add_special_tokens=False)["input_ids"]
        return found

    (answer,), (wrong,) = ids(f" {other}"), ids(f" {giver}")
    return Pair(
        document=_hash(clean, corrupted),
        domain="indirect object",
        tokens=np.array(ids(clean), dtype=np.int32),
        corrupted=np.array(ids(corrupted), dtype=np.int32),
        answer=answer,
        wrong=wrong,
        orbit=_hash(clean, corrupted),  # a unit of its own: pairs are compared one by one
    )


def _hash(*words: str) -> str:
    return sha256("\n".join(words).encode()).hexdigest()[:16]


# --- measuring ------------------------------------------------------------------------------------


def difference(found: Sequence[Tensor], exact: Sequence[Tensor]) -> float:
    """Greatest absolute difference over lists of tensors, in float64."""
    return max(_differences(found, exact))


def relative(found: Sequence[Tensor], exact: Sequence[Tensor]) -> float:
    """Greatest difference of a tensor over its own greatest value."""
    scales = [float(b.abs().max()) for b in exact]
    return max(d / s for d, s in zip(_differences(found, exact), scales, strict=True))


def _differences(found: Sequence[Tensor], exact: Sequence[Tensor]) -> list[float]:
    for a, b in zip(found, exact, strict=True):
        if a.shape != b.shape:
            raise SystemExit(f"an answer has shape {tuple(a.shape)} instead of {tuple(b.shape)}")
    return [
        float((a.double().cpu() - b.cpu()).abs().max().nan_to_num(nan=float("inf")))
        for a, b in zip(found, exact, strict=True)
    ]


def tolerance(shape: Shape) -> float:
    """How far float32 may lie from float64, relative to a tensor's greatest value.

    About 12 roundings a layer that add up like a random walk, each of float32's epsilon, and
    `SPARE` times that (attention's fused kernel rounds more often than is counted). A wrong head
    is further away than this for most heads, though not for those whose effect is about nothing.
    """
    return float(SPARE * torch.finfo(torch.float32).eps * (12 * shape.layers) ** 0.5)


def timed(tool: Tool) -> tuple[float, Any]:
    """Seconds of one run, and what it gave."""
    gc.collect()
    finish()
    start = time.perf_counter()
    found = tool.run()
    finish()
    return time.perf_counter() - start, found


def finish() -> None:
    """Wait for what a GPU still has to do."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def peak(subject: Any, size: int, ours: bool = True, repeats: int = 5) -> list[float]:
    """Measured float32 operations per second of a square product, several times.

    `ours` sends it where the engine sends its products; otherwise it is torch's default.
    """
    generator = torch.Generator().manual_seed(SEED)
    x, w = torch.randn(2, size, size, generator=generator).to(subject.device)
    found = []
    with subject.precision.applied() if ours else nullcontext():
        torch.nn.functional.linear(x, w)
        for _ in range(repeats):
            finish()
            start = time.perf_counter()
            torch.nn.functional.linear(x, w)
            finish()
            found.append(2 * size**3 / (time.perf_counter() - start))
    return found


def forget() -> None:
    """Give freed memory back to the system and forget the peak so far (Linux, glibc)."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def found_again(subject: Any) -> dict[str, Any]:
    """Seed, versions and machine."""
    return {
        "seed": SEED,
        "versions": versions() | {name: _version(name) for name in PEER_PACKAGES},
        "machine": machine() | {"architecture": platform.machine()},
        "matrix products": f"{subject.precision.setting} ({subject.precision.why})",
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


# --- operations that the work needs (2 for a multiplication and an addition) ------------------------


@dataclass(frozen=True)
class Operations:
    """Of one layer at some positions of some rows; attention looks at itself and before only."""

    query_key_value: int
    scores: int
    """Queries on keys and weights on values."""
    output: int
    mlp: int

    @property
    def attention(self) -> int:
        """All of it."""
        return self.query_key_value + self.scores + self.output

    @property
    def layer(self) -> int:
        """The whole layer."""
        return self.attention + self.mlp


def operations(shape: Shape, rows: int, positions: range) -> Operations:
    """Of one Llama layer (three matrices in the MLP)."""
    tokens, size = rows * len(positions), shape.head_size
    return Operations(
        query_key_value=2 * tokens * shape.width * size * (shape.heads + 2 * shape.key_heads),
        scores=4 * rows * shape.heads * size * sum(position + 1 for position in positions),
        output=2 * tokens * shape.width * size * shape.heads,
        mlp=2 * tokens * 3 * shape.width * shape.neurons,
    )


def suffixes(shape: Shape, heads: Sequence[tuple[int, int]], one: Operations, tokens: int) -> int:
    """Every head edited in turn: its part of the output matrix, its layer's MLP, the layers after."""
    edit = 2 * tokens * shape.head_size * shape.width
    return sum(edit + one.mlp + (shape.layers - 1 - layer) * one.layer for layer, _ in heads)


def ablating(work: Work) -> int:
    """W1: one intact pass, and for every head its suffix and the logits of what is predicted."""
    shape, (rows, length) = work.subject.shape, work.tokens.shape
    one = operations(shape, rows, range(length))
    logits = 2 * rows * (length - 1) * shape.width * shape.vocabulary
    return (
        shape.layers * one.layer
        + suffixes(shape, work.all_heads, one, rows * length)
        + len(work.all_heads) * logits
    )


def patching(work: Work) -> int:
    """W2: every beginning and every prompt once, then every head's suffix.

    Two rows of the unembedding at the last position.
    """
    shape, rows = work.subject.shape, len(work.clean)
    rest = range(SHARED, LENGTH)
    one = operations(shape, rows, rest)
    return (
        once(work, rows)
        + shape.layers * one.layer
        + suffixes(shape, work.all_heads, one, rows * len(rest))
        + len(work.all_heads) * rows * 4 * shape.width
    )


def edges(shape: Shape) -> int:
    """Sources before every query, key, value, MLP and the logits: 123,211 for 30 layers of 9 heads."""
    before = [1 + layer * (shape.heads + 1) for layer in range(shape.layers + 1)]
    heads = sum(3 * shape.heads * sources for sources in before[:-1])
    return heads + sum(sources + shape.heads for sources in before[:-1]) + before[-1]


def once(work: Work, but: int) -> int:
    """The pairs' beginnings and prompts once each, but for so many of the prompts."""
    beginnings = len(work.clean[:, :SHARED].unique(dim=0))
    prompts = len(torch.cat([work.clean, work.corrupted]).unique(dim=0))
    shape, rest = work.subject.shape, range(SHARED, LENGTH)
    prefix = operations(shape, beginnings, range(SHARED)).layer
    return shape.layers * (prefix + operations(shape, prompts - but, rest).layer)


def attributing(work: Work, steps: int) -> int:
    """W3: passes at the positions that differ, gradients of inputs, one product for all edges.

    Every beginning and every prompt once: of a pair and its role-swap, each is the other's
    corrupted prompt. `steps` 0 is EAP: both prompts forward, the clean one backward. Otherwise
    EAP-IG: the points between both ends too (the last is the clean prompt), all points backward.
    In the backward pass the keys and values of every query head have a gradient of their own.
    """
    shape, rows = work.subject.shape, len(work.clean)
    rest = range(SHARED, LENGTH)
    tokens = rows * len(rest)
    one = operations(shape, rows, rest)
    gradients = 6 * tokens * shape.width * shape.head_size * shape.heads
    backward = gradients + 2 * one.scores + one.output + one.mlp
    points = max(steps, 1)
    return (
        once(work, rows)
        + shape.layers * points * (one.layer + backward)
        + 2 * edges(shape) * tokens * shape.width
    )


def reading(work: Work) -> int:
    """W4: all layers up to the last one's z."""
    shape, (rows, length) = work.subject.shape, work.tokens.shape
    one = operations(shape, rows, range(length))
    return shape.layers * one.layer - one.output - one.mlp
