"""A head of which only some paths are kept: of its queries, its keys and its values, each by where it comes from.

The paths of a head's scores are products: what a query holds by one chain of heads times what a key
holds by another. "The induction term" is one of them (Elhage and others 2021): the token itself as the
query, the token before as a previous-token head wrote it as the key, and the token itself as the value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from unexplained.circuits.expansion import Chain, Expanded, expand, kept, name_of, require_paths
from unexplained.evaluate import Program
from unexplained.evaluate.arrays import ArrayWork
from unexplained.evaluate.conditions import tensor_digest
from unexplained.evaluate.evaluate import BATCH_TOKENS
from unexplained.evaluate.runner import Workers, in_process, measured
from unexplained.hashing import digest
from unexplained.progress import Count
from unexplained.sites import Site
from unexplained.subject import Batch, Edit, Local, Subject
from unexplained.subject.ambient import neutrally
from unexplained.subject.attention import pattern as attend
from unexplained.text import Text


@dataclass(frozen=True)
class StreamPart:
    """What of the stream a query, a key or a value is made of."""

    chains: tuple[Chain, ...] | None
    """None: all of it."""
    biases: bool = False
    """With what comes from no token: biases of the layers before, and the projection's own."""

    def __str__(self) -> str:
        if self.chains is None:
            return "all"
        return " + ".join([*map(name_of, self.chains), *(["biases"] if self.biases else [])])


EVERYTHING = StreamPart(None)


@dataclass(frozen=True)
class PathTerm:
    """Which paths are kept."""

    name: str
    says: str
    query: StreamPart
    key: StreamPart
    value: StreamPart
    without: bool = False
    """All of the scores but the product of query and key is kept, in the place of it alone."""

    def __str__(self) -> str:
        return f"{self.query} × {self.key}, {self.value}, {self.without}"


class Multiplied:
    """One batch, multiplied out; what parts of the stream are as queries, keys and values is computed once."""

    def __init__(self, subject: Subject, batch: Batch) -> None:
        shape = subject.shape
        self.subject, self.batch = subject, batch
        self.done = subject.run(
            batch, keep=kept(shape.layers, shape.heads), keep_scales=True,
            keep_streams=range(shape.layers),
        )  # fmt: skip
        self.expanded: Expanded = expand(subject, self.done)
        self._known: dict[tuple[int, StreamPart], dict[Site, Tensor]] = {}

    def values(self, part: StreamPart, site: Site, which: str) -> Tensor:
        """A head's `q`, `k` (rotated) or `v` of a part of the stream before its layer, (batch, position, size)."""
        found = self._read(part, site.layer)[site.at(which)]
        if part.chains is None or part.biases:
            return found
        # The projections' own biases come with whatever is read: taken off, only the chains are left.
        return found - self._read(StreamPart(()), site.layer)[site.at(which)]

    def _read(self, part: StreamPart, layer: int) -> dict[Site, Tensor]:
        """By the model's own projections and rotation, with the scales of the intact pass."""
        if (layer, part) not in self._known:
            stream = self._stream(part, layer)
            edits = [] if stream is None else [Edit(Site(layer, "resid_pre"), _putting(stream))]
            heads = range(self.subject.shape.heads)
            keep = [Site(layer, "H", head, which) for head in heads for which in ("q", "k", "v")]
            done = self.subject.run(
                self.batch, edits, keep=keep, resume=self.done.resume(layer), held=self.done.scales
            )
            self._known[layer, part] = done.values
        return self._known[layer, part]

    def _stream(self, part: StreamPart, layer: int) -> Tensor | None:
        if part.chains is None:
            return None
        before, biases = self.expanded.before[layer], self.expanded.biases[layer]
        found = [before[chain] for chain in part.chains if chain in before]
        return sum(found, biases if part.biases else torch.zeros_like(biases))

    def kept(self, term: PathTerm, site: Site) -> tuple[Tensor, Tensor]:
        """A head's pattern and values with only some paths kept."""
        query, key = self.values(term.query, site, "q"), self.values(term.key, site, "k")
        if term.without:
            query = torch.cat([self.values(EVERYTHING, site, "q"), query], -1)
            key = torch.cat([self.values(EVERYTHING, site, "k"), -key], -1)
        scaling = scaling_of(self.subject, site.layer)
        return attend(query, key, None, scaling, None), self.values(term.value, site, "v")


def scaling_of(subject: Subject, layer: int) -> float:
    """What scores are multiplied by in a layer."""
    anatomy = subject.anatomy
    module: Any = anatomy.layers[layer].get_submodule(anatomy.architecture.attention)
    return float(getattr(module, "scaling", anatomy.shape.head_size**-0.5))


@dataclass(frozen=True)
class KeptPaths:
    """Makes conditions in which of some heads only some paths are kept.

    What else a head writes is put at its mean over the fit part, so that with no path kept this is mean
    ablation, and with all of them the model.
    """

    means: dict[tuple[str, Site], Tensor]
    """By term and head: the mean of z less that of what is kept of it."""
    _last: list[tuple[object, Batch, Multiplied]]

    def condition(self, name: str, term: PathTerm, sites: Sequence[Site]) -> Program:
        """The model with only a term of some heads kept."""
        means = [self.means[str(term), site] for site in sites]

        def run(subject: Subject, batch: Batch) -> Tensor:
            opened = self._opened(subject, batch)
            edits: list[Edit] = []
            for site, mean in zip(sites, means, strict=True):
                pattern, values = opened.kept(term, site)
                edits += [
                    Edit(site.at("pattern"), _putting(pattern)), Edit(site.at("v"), _putting(values)),
                    Edit(site.at("z"), _adding(mean)),
                ]  # fmt: skip
            first = min(site.layer for site in sites)
            return subject.run(batch, edits, resume=opened.done.resume(first)).normed

        return Program(
            name, run, digest("kept paths", str(term), *map(str, sites), tensor_digest(means))
        )

    def _opened(self, subject: Subject, batch: Batch) -> Multiplied:
        counters = subject.counters()
        if not self._last or self._last[0][0] != counters or self._last[0][1] is not batch:
            self._last[:] = [(counters, batch, Multiplied(subject, batch))]
        return self._last[0][2]


def _putting(value: Tensor) -> Callable[[Local], Tensor]:
    return lambda local: value


def _adding(value: Tensor) -> Callable[[Local], Tensor]:
    return lambda local: local.value + value.to(local.value.dtype)


@neutrally
def keeping(
    subject: Subject,
    text: Text,
    terms: Sequence[PathTerm],
    sites: Sequence[Site],
    *,
    folder: Path | None = None,
    workers: Workers = in_process,
    progress: Count = lambda done, total: None,
) -> KeptPaths:
    """Fit the means of some terms at some heads on the fit part of a text.

    Raises:
        CircuitError: The model is none that can be multiplied out.
        UnexplainedError: As `evaluate`.
    """
    require_paths(subject)
    work = _Means(
        subject=subject, text=text, part="fit", batch_tokens=BATCH_TOKENS,
        kept=tuple(terms), sites=tuple(sites),
    )  # fmt: skip
    total, count = torch.zeros(1), 0.0
    for arrays in measured(work, folder=folder, workers=workers, progress=progress):
        total = total + arrays["sums"]
        count += float(arrays["count"][0])
    means = {
        (str(term), site): (total[i, j] / count).float().to(subject.device)
        for i, term in enumerate(terms)
        for j, site in enumerate(sites)
    }
    return KeptPaths(means, [])


@dataclass(frozen=True, kw_only=True)
class _Means(ArrayWork):
    """Sums of what is left out of every head's z."""

    what: ClassVar[str] = "What paths leave out"
    kept: tuple[PathTerm, ...]
    sites: tuple[Site, ...]

    @cached_property
    def asked(self) -> tuple[str, ...]:  # type: ignore[override]
        """Terms and heads."""
        return ("kept paths", *map(str, self.kept), *map(str, self.sites))

    def shapes(self, number: int) -> dict[str, tuple[int, ...]]:
        """(term, head, head size), and the tokens."""
        size = self.subject.shape.head_size
        return {"sums": (len(self.kept), len(self.sites), size), "count": (1,)}

    def arrays(self, number: int) -> dict[str, Tensor]:
        """Every term of every head, less the head's own z."""
        batch = self.plans[number].batch(self.subject.device)
        sums = torch.zeros(self.shapes(number)["sums"], dtype=torch.float64)
        with torch.no_grad():
            opened = Multiplied(self.subject, batch)
            for j, site in enumerate(self.sites):
                whole = opened.done.values[site.at("pattern")] @ opened.values(
                    EVERYTHING, site, "v"
                )
                for i, term in enumerate(self.kept):
                    pattern, values = opened.kept(term, site)
                    left = (whole - pattern @ values)[batch.valid]
                    sums[i, j] = left.double().sum(0).cpu()
        return {"sums": sums, "count": batch.valid.sum().double()[None].cpu()}
