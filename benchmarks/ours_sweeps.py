"""Our side of `sweeps.py`: the public API, nothing else.

Every function takes the `Work` and gives a `Tool`: `run` is what is timed, with everything that a
user would wait for (also the intact pass), and `tidy` puts what it gave into the peers' form.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

import unexplained as ux
from common import Tool, Work
from unexplained.ablations import ABLATIONS, record_for
from unexplained.ablations.mean import Mean
from unexplained.circuits import EdgeScores, attribute_edges
from unexplained.evaluate.conditions import Condition
from unexplained.ledger import Ledger
from unexplained.sites import Site
from unexplained.subject import Batch


def ours_w1(work: Work) -> Tool:
    """Mean-ablate every head of `work.all_heads`: losses (head, document).

    All conditions at once, with everything that `evaluate` measures: also KL, agreement, strata.
    """
    fills = [Mean().fit(work.recorded, [work.site(*head)], 0) for head in work.all_heads]
    names = [str(work.site(*head)) for head in work.all_heads]
    conditions: list[Condition] = [f.condition(n) for f, n in zip(fills, names, strict=True)]
    ux.evaluate(work.subject, work.text, conditions[:1])

    def tidy(ledger: Any) -> list[Tensor]:
        place = {document: i for i, document in enumerate(ledger.documents)}
        order = [place[block.document] for block in work.text.eval]
        sums = [ledger.sums(name).loss for name in names]
        return work.subset(torch.tensor([[float(loss[i]) for i in order] for loss in sums]))

    return Tool(lambda: ux.evaluate(work.subject, work.text, conditions), tidy)


def ours_w2(work: Work) -> Tool:
    """Patch the whole z of every head of `work.all_heads` from the corrupted prompts.

    The corrupted prompts are run inside what is timed, as a user's would be.
    """
    patch = ABLATIONS.get("patch")
    sites = [work.site(*head) for head in work.all_heads]

    def run() -> Ledger:
        recorded = record_for(patch, work.subject, work.pairs, sites)
        conditions = [patch.fit(recorded, [site], 0).condition(str(site)) for site in sites]
        return ux.evaluate(work.subject, work.pairs, conditions, measure="logit difference")

    def tidy(ledger: Ledger) -> list[Tensor]:
        place = {document: i for i, document in enumerate(ledger.documents)}
        order = [place[block.unit] for block in work.pairs.eval]
        logit_differences = [
            ledger.sums(str(site)).logit_difference[order].tolist() for site in sites
        ]
        return work.subset(torch.tensor(logit_differences, dtype=torch.float64))

    ux.evaluate(work.subject, work.pairs, [], measure="logit difference")
    return Tool(run, tidy)


def ours_w3(work: Work, steps: int) -> Tool:
    """Scores of all edges of `work.pairs`; `steps` 0 is EAP, else EAP-IG (inputs)."""

    def run() -> EdgeScores:
        method: Literal["eap", "eap-ig-inputs"] = "eap-ig-inputs" if steps else "eap"
        return attribute_edges(work.subject, work.pairs, method=method, steps=steps or 1)

    def tidy(scores: EdgeScores) -> list[Tensor]:
        found = torch.from_numpy(scores.graph.matrix(scores.mean)).nan_to_num()
        return [found]

    return Tool(run, tidy)


def ours_w4(work: Work) -> Tool:
    """Read all streams before layers and every head's z on `work.tokens`."""
    shape, subject = work.subject.shape, work.subject
    layers, heads = range(shape.layers), range(shape.heads)
    streams = [Site(layer, "resid_pre") for layer in layers]
    zs = [[Site(layer, "H", head, "z") for head in heads] for layer in layers]
    wanted = [*streams, *(z for row in zs for z in row)]
    batch = Batch.of(work.tokens)
    subject.run(Batch.of(work.tokens[:1]), keep=wanted)

    def tidy(values: dict[Site, Tensor]) -> list[Tensor]:
        joined = [torch.cat([values[z] for z in row], -1) for row in zs]
        return [values[site] for site in streams] + joined

    return Tool(lambda: subject.run(batch, keep=wanted).values, tidy)
