"""Everything that is measured batch by batch besides losses: small, of several batches, as bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

import unexplained as ux
from exact import TEXT as PAIRED
from kinds import text_of
from tiny import tiny_subject
from unexplained.ablations import ABLATIONS, record_for
from unexplained.circuits import attribute_edges, attribute_nodes, edge_sizes, magnitude
from unexplained.evaluate import observe
from unexplained.subject import Subject
from unexplained.text import Text

RUNNING = text_of(12, 12, 9, 9, 7, 11)
BATCH, PAIRS_BATCH = 24, 20
"""Two documents to a batch: three batches of running text, and of pairs."""
magnitude.BATCH_TOKENS = PAIRS_BATCH


@cache
def subject() -> Subject:
    return tiny_subject("llama")


def fills(text: Text, *names: str) -> Mapping[Any, Any]:
    """One site for each ablation."""
    found = {}
    for site, name in zip(subject().sites("L0.H1 L1.mlp L2.H0"), names, strict=True):
        kind = ABLATIONS.get(name)
        recorded = record_for(kind, subject(), text, [site])
        found[site] = kind.fit(recorded, [site], 0)
    return found


def nodes(**how: Any) -> bytes:
    given = fills(RUNNING, "zero", "mean", "resample")
    return attribute_nodes(subject(), RUNNING, given, batch_tokens=BATCH, **how).values.tobytes()


def nodes_of_pairs(**how: Any) -> bytes:
    given = fills(PAIRED, "patch", "patch", "patch")
    found = attribute_nodes(
        subject(), PAIRED, given, method="atp*", batch_tokens=PAIRS_BATCH, **how
    )
    return found.values.tobytes()


def edges(**how: Any) -> bytes:
    found = attribute_edges(
        subject(), PAIRED, method="eap-ig-inputs", steps=2, batch_pairs=2, **how
    )
    return found.mean.tobytes() + found.error.tobytes()


def sizes(**how: Any) -> bytes:
    return edge_sizes(subject(), PAIRED, **how).tobytes()


def readings(**how: Any) -> bytes:
    sites = subject().sites("L1.H2.pattern L0.H0.q L2.H3.z L1.mlp L2.N3 embed final")
    found = observe(subject(), RUNNING, sites, batch_tokens=BATCH, **how)
    return b"".join(values[site].numpy().tobytes() for _, values in found.batches for site in sites)


def heads(**how: Any) -> bytes:
    found = ux.head_scores(subject(), RUNNING, batch_tokens=BATCH, **how)
    numbers = [(one.induction, one.previous_token, one.duplicate_token) for one in found]
    return " ".join(one.site for one in found).encode() + np.array(numbers).tobytes()


KINDS: dict[str, Callable[..., bytes]] = {
    "nodes": nodes, "nodes of pairs": nodes_of_pairs, "edges": edges, "sizes": sizes,
    "readings": readings, "heads": heads,
}  # fmt: skip
BATCHES = 3


@cache
def right(kind: str) -> bytes:
    """Uninterrupted and kept nowhere."""
    return KINDS[kind]()
