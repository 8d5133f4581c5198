"""Node attribution: what ablating each site alone would do, to first order, for all sites at once.

`atp` (attribution patching, Nanda 2023): Σ (fill − value) · ∂m/∂value, over positions and width,
at the intact model. Three passes' work for all sites, whatever the fills.

`atp*` (Kramár, Lieberum, Shah and Nanda 2024, arXiv:2403.00745) repairs two ways in which it
misses sites that matter:

- Saturation. Where a softmax is saturated its gradient is near zero though the effect of another
  query is not. For `q` and `k` the pattern is computed again exactly, and only what follows from
  it is linearised: Σ (new pattern − pattern) v · ∂m/∂z.
- Cancellation. A direct effect and one through later layers can cancel in the gradient and not in
  truth. GradDrop: with c_l the attribution when the gradient through the outputs of layer l's
  attention and MLP is dropped, 1/(L − 1) Σ_l |c_l|. A component's own layer gives 0 and is not
  counted; for the stream itself no layer is its own and it is the mean of all L. The result has
  no sign, and is no estimate of the size of an effect but a score to rank by; sums over documents
  are of absolute values.

Both mislead where the fill is far from the value and the model is not near linear between them:
in an ablation to zero more than in patching, and in early layers more than in late ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unexplained.ablations import Fill, value_site
from unexplained.circuits import measures
from unexplained.circuits.graph import CircuitError
from unexplained.circuits.measures import Metric
from unexplained.circuits.methods import NodeMethod
from unexplained.evaluate.arrays import ArrayWork
from unexplained.evaluate.batches import BatchPlan, Scored
from unexplained.evaluate.conditions import now
from unexplained.evaluate.runner import Workers, in_process, measured
from unexplained.evaluate.work import Task, pass_bytes
from unexplained.progress import Count
from unexplained.sites import FINAL_LAYER, Site
from unexplained.subject import Edit, Local, Pass, Subject
from unexplained.subject.ambient import neutrally
from unexplained.subject.gradients import PartName, Tape, record_layer
from unexplained.text import Text

BATCH_TOKENS = 1024
"""Padded tokens at a time. One layer's tape is held, and every site's fill less its value."""

_STREAM: dict[str, PartName] = {"resid_pre": "stream", "embed": "stream", "resid_mid": "mid"}
_PARTS: dict[str, PartName] = {
    **_STREAM, "attn": "attn", "mlp": "mlp", "N": "neurons",
    "q": "q", "k": "k", "v": "v", "z": "z", "pattern": "z", "out": "out",
}  # fmt: skip
"""Where on a tape the gradient is taken, by part or by a head's value."""


@dataclass(frozen=True, eq=False)
class NodeScores:
    """Attributions of sites by document, sums over its scored predictions (as in a ledger)."""

    sites: tuple[Site, ...]
    documents: tuple[str, ...]
    """Units of resampling, in the order in which they first come in the text."""
    values: NDArray[np.float64]
    """(document, site): the estimated change of the measure, in nats or logits."""
    method: NodeMethod
    measure: Metric


@neutrally
def attribute_nodes(
    subject: Subject,
    text: Text,
    fills: Mapping[Site, Fill],
    *,
    method: NodeMethod = "atp",
    measure: Metric | None = None,
    part: Literal["eval", "fit"] = "eval",
    batch_tokens: int = BATCH_TOKENS,
    folder: Path | None = None,
    workers: Workers = in_process,
    progress: Count = lambda done, total: None,
) -> NodeScores:
    """Estimate what each fill in its site's place would do, one at a time.

    Args:
        subject: The model, of any architecture.
        text: Running text or pairs.
        fills: Site → what would stand there; a fill of several sites may be given for each of
            them. On pairs the ablation `patch` gives the corrupted prompt's values.
        method: `atp*` goes back through the layers about L/2 times instead of once.
        measure: What would change; None means the loss on running text, the logit difference on pairs.
        part: Where it is estimated.
        batch_tokens: Padded tokens at a time.
        folder: What is finished is kept here and found again; nothing is kept if None.
        workers: Who does the work: this process, or those of a cluster.
        progress: Told (batches done, batches in all).

    Raises:
        CircuitError: A fill has no edit of its site; the logit difference of running text; `kl`, whose
            gradient at the intact model is zero; `atp*` in a model of one layer.
        SiteError: A site that the model does not have.
        MeasurementError: The model is in half precision; a fill was fitted to another one; a score is
            NaN or infinite; or as `evaluate` where there is a folder.
    """
    subject.require_full_precision("Attribution to nodes")
    measure = measure or ("logit difference" if text.pairs else "loss")
    edits = {site: _edit(site, fill) for site, fill in fills.items()}
    if measure == "kl":
        raise CircuitError(
            "Attribution by the KL divergence",
            "it is least at the intact model, so its gradient there is zero",
            "Use measure='loss', or 'logit difference' on pairs.",
        )
    if method == "atp*" and subject.shape.layers < 2:
        raise CircuitError("GradDrop in a model of one layer", "no other layer is left to drop")
    work = _Attribution(
        subject=subject, text=text, part=part, batch_tokens=batch_tokens, edits=edits,
        conditions=tuple(now(fill.condition(str(site))) for site, fill in fills.items()),
        method=method, measure=measure, after_prefix=all(f.after_prefix for f in fills.values()),
    )  # fmt: skip
    found = measured(work, folder=folder, workers=workers, progress=progress)
    blocks = text.blocks(part, work.what)
    units = {unit: i for i, unit in enumerate(dict.fromkeys(block.unit for block in blocks))}
    values = np.zeros((len(units), len(fills)))
    for some, arrays in zip(work.plans, found, strict=True):
        for block, row in zip(some.blocks, arrays["scores"].numpy(), strict=True):
            values[units[block.unit]] += row
    return NodeScores(tuple(fills), tuple(units), values, method, measure)


@dataclass(frozen=True, kw_only=True)
class _Attribution(ArrayWork):
    """Scores of every row of a batch, one for each fill."""

    what: ClassVar[str] = "Attribution to components"

    edits: Mapping[Site, Edit]
    """What each of the conditions puts in its own site."""
    method: NodeMethod
    measure: Metric
    after_prefix: bool
    """All fills change nothing before the first position at which the prompts of a pair differ."""

    @property
    def asked(self) -> tuple[str, ...]:
        """Method, measure and sites."""
        return self.method, self.measure, *map(str, self.edits)

    def shapes(self, number: int) -> dict[str, tuple[int, ...]]:
        """(row, site)."""
        return {"scores": (len(self.plans[number].blocks), len(self.edits))}

    def held(self, tasks: Sequence[Task]) -> float:
        """Streams of all layers, what the fills would change, and one layer's tape."""
        shape = self.subject.shape
        most = 0.0
        for size in (self.plans[task.batch].size for task in tasks):
            wide = math.prod(size) * shape.width * self.item
            changes = sum(site.part != "H" for site in self.edits) * wide
            changes += len(self.edits) * math.prod(size) * shape.head_size * self.item
            tape = 2 * pass_bytes(shape, *size, self.item)
            most = max(most, shape.layers * wide + changes + tape)
        return most

    def arrays(self, number: int) -> dict[str, Tensor]:
        """Forwards once and back."""
        some = self.plans[number]
        start = some.shared if self.after_prefix else 0
        batch = _Batch(self.subject, some, self.edits, self.measure, self.method, start)
        with self.subject.undisturbed(), torch.no_grad():
            return {"scores": batch.attributions()}


def _edit(site: Site, fill: Fill) -> Edit:
    found = [edit for edit in fill.edits if edit.where == value_site(site)]
    if len(found) != 1:
        raise CircuitError(
            f"The fill of {site}",
            f"'{fill.name}' has {len(found)} edits there, of {len(fill.edits)} in all",
            "Fit an ablation with this site among its sites.",
        )
    return found[0]


@dataclass
class _Batch:
    """One batch: what the fills would change, then back through the layers."""

    subject: Subject
    plan: BatchPlan
    edits: Mapping[Site, Edit]
    measure: Metric
    method: NodeMethod
    start: int
    """The first position that is run: before it no fill changes anything."""
    new: dict[Site, Tensor] = field(default_factory=dict)
    """What the fill puts there, where the pattern is to be computed from it."""
    moved: dict[Site, Tensor] = field(default_factory=dict)
    """Fill less value."""

    def attributions(self) -> Tensor:
        """(row, site), float64, on the CPU."""
        done, scored = self._look()
        at_end = measures.gradient(self.subject, done.normed, scored, self.measure)
        found = {
            site: self._all_dropped(self._dot(site, at_end))
            for site in self.edits
            if site.layer == FINAL_LAYER
        }
        found |= self._back(done, self._through_final_norm(done, at_end))
        rows = len(self.plan.blocks)
        zero = torch.zeros(rows, dtype=torch.float64)
        # A fill that left its site alone was never seen to change anything.
        columns = [found.get(site, zero).cpu() for site in self.edits]
        return torch.stack(columns, -1) if columns else zero.new_zeros(rows, 0)

    def _look(self) -> tuple[Pass, Scored]:
        """One intact pass on which every fill is asked what it would put."""
        device = self.subject.device
        whole, scored = self.plan.batch(device), self.plan.scored(device)
        prefix = self.subject.prefix(whole.tokens[:, : self.start]) if self.start else None
        done = self.subject.run(
            whole.since(self.start),
            [self._looker(site, edit) for site, edit in self.edits.items()],
            keep_streams=range(self.subject.shape.layers),
            prefix=prefix,
        )
        return done, Scored(scored.where[:, self.start :], scored.targets, scored.wrong)

    def _looker(self, site: Site, edit: Edit) -> Edit:
        def look(local: Local) -> None:
            new = edit(local)
            if new is None:
                return
            if self._by_pattern(edit.where):
                self.new[site] = new
            else:
                self.moved[site] = new - local.value

        return Edit(edit.site, look, edit.reads)

    def _by_pattern(self, where: Site) -> bool:
        """Whether the change of z is computed exactly."""
        return where.value in (("pattern", "q", "k") if self.method == "atp*" else ("pattern",))

    def _through_final_norm(self, done: Pass, at_end: Tensor) -> Tensor:
        with torch.enable_grad():
            leaf = done.stream.detach().requires_grad_()
            normed = self.subject.anatomy.final_norm(leaf)
            (found,) = torch.autograd.grad(normed, leaf, at_end)
        return found

    def _back(self, done: Pass, gradient: Tensor) -> dict[Site, Tensor]:
        """Back through the layers, each recorded when its turn comes."""
        found: dict[Site, Tensor] = {}
        dropped: dict[int, Tensor] = {}
        for layer in reversed(range(self.subject.shape.layers)):
            sites = [site for site in self.edits if max(site.layer, 0) == layer]
            tape = record_layer(self.subject.anatomy, done.resume(layer))
            self._patterns(sites, tape)
            sites = [site for site in sites if site in self.moved]
            wanted = tuple(dict.fromkeys(["stream", *map(self._part, sites)]))
            wanted = tuple(name for name in wanted if name != "post")
            variants = dropped if self.method == "atp*" else {}
            got = tape.back(gradient, wanted, keep=bool(variants))  # type: ignore[arg-type]
            plain = self._dots(sites, {**got, "post": gradient})
            if self.method == "atp*":
                total = self._without_dropping(plain, sites, layer, gradient)
                for number, (other, at_post) in enumerate(variants.items()):
                    keep = number + 1 < len(variants)
                    back = tape.back(at_post, wanted, keep=keep)  # type: ignore[arg-type]
                    for site, value in self._dots(sites, {**back, "post": at_post}).items():
                        total[site] += value.abs()
                    dropped[other] = back["stream"]
                dropped[layer] = gradient
                plain = {site: value / self._counted(site) for site, value in total.items()}
            found |= plain
            gradient = got["stream"]
        return found

    def _patterns(self, sites: Sequence[Site], tape: Tape) -> None:
        """How z changes with the pattern that a fill gives or leads to."""
        for site in sites:
            if site in self.new:
                values, head = tape.heads.fork(), site.index
                values.set(head, "pattern", values.get(head, "pattern"))
                before = values.get(head, "z")
                values.set(head, value_site(site).value, self.new.pop(site))
                self.moved[site] = values.get(head, "z") - before

    def _part(self, site: Site) -> PartName:
        if site.part == "resid_post":
            return "post"
        where = value_site(site)
        return "z" if self._by_pattern(where) else _PARTS[where.value or where.part]

    def _dots(
        self, sites: Sequence[Site], gradients: Mapping[PartName, Tensor]
    ) -> dict[Site, Tensor]:
        return {site: self._dot(site, gradients[self._part(site)]) for site in sites}

    def _dot(self, site: Site, gradient: Tensor) -> Tensor:
        """Σ (fill − value) · gradient, (row,) float64."""
        if site.part == "N":
            gradient = gradient[..., site.index]
        elif site.part == "H" and value_site(site).value != "out":
            part = self._part(site)
            gradient = gradient[:, :, site.index] if part == "z" else gradient[:, site.index]
        if site not in self.moved:
            return torch.zeros(len(gradient), dtype=torch.float64, device=gradient.device)
        return (self.moved[site] * gradient).flatten(1).sum(-1, dtype=torch.float64)

    # --- GradDrop -----------------------------------------------------------------------------

    def _without_dropping(
        self, plain: Mapping[Site, Tensor], sites: Sequence[Site], layer: int, at_post: Tensor
    ) -> dict[Site, Tensor]:
        """Σ_l |c_l| over the layers up to this one: the earlier ones change nothing here."""
        total = {site: value.abs() * layer for site, value in plain.items()}
        for site in sites:
            if site.part == "resid_post":
                total[site] += plain[site].abs()
            elif site.part in _STREAM:
                # With this layer's outputs dropped, the gradient passes along the stream alone.
                total[site] += self._dot(site, at_post).abs()
        return total

    def _counted(self, site: Site) -> int:
        """Over how many layers the mean is."""
        layers = self.subject.shape.layers
        return layers if site.part in _STREAM or site.part == "resid_post" else layers - 1

    def _all_dropped(self, value: Tensor) -> Tensor:
        """For the final norm's output, after which no layer comes."""
        return value.abs() if self.method == "atp*" else value
