"""The record of a circuit: which edges carry a behaviour, and how much a circuit of each size keeps."""

from __future__ import annotations

from typing import Literal

from unexplained.record.assay import Method
from unexplained.record.base import Frozen, KindRecord, Number


class Point(Frozen):
    """A circuit of one size."""

    edges: int
    share: float
    """Of all edges."""
    margin: Number
    """Logit difference under the circuit (logits per pair)."""
    kept: Number
    """(m(circuit) − m(corrupted)) / (m(clean) − m(corrupted)): 1 is the whole behaviour. Neither 0
    nor 1 is a limit."""


class Curve(Frozen):
    """One way of ordering the edges, and what its first so many keep."""

    name: str
    says: str
    kind: Literal["attribution", "baseline"]
    points: tuple[Point, ...]
    area: float | None
    """∫ kept over the share of edges (MIB's CPR, `bars.areas`): above 1 some circuits overshoot. Null
    where a size of MIB's was not measured."""
    distance: float | None
    """∫ |1 − kept| (MIB's CMD): 0 is a circuit that keeps everything at every size."""
    knee: int | None
    """Edges of the smallest measured circuit that keeps 80% with its whole interval, as does every
    larger one; null: none short of the whole model."""
    knee_by_value: int | None
    """The same by the values alone."""
    draws: int = 1
    """Of a random order: how many were averaged."""
    tag: Method = "internals"
    """Item 107's tag: attributions and magnitudes look inside, a random order at nothing."""


class EdgeScore(Frozen):
    """An edge with its attribution: an estimate of what corrupting it alone would change."""

    name: str
    score: float
    error: float
    """Standard error over orbits of pairs."""


class CircuitRecord(KindRecord):
    """Size against recovery for a behaviour."""

    kind: Literal["circuit"] = "circuit"
    text: str
    text_fingerprint: str
    text_notes: tuple[str, ...] = ()
    pairs: int
    """Pairs that circuits are measured on."""
    orbits: int
    """Pairs with their role-swaps: what intervals are over."""
    fit_pairs: int
    """Other pairs, on which edges were scored."""
    edges: int
    clean: Number
    corrupted: Number
    gap: Number
    """Clean less corrupted: the denominator of every share."""
    accuracy: Number
    by: Literal["absolute", "signed"]
    """How edges are ranked."""
    curves: tuple[Curve, ...]
    top: tuple[EdgeScore, ...]
    """The edges with the greatest scores of the first method."""
    method: str
    """The first method."""
    twin: CircuitRecord | None = None
    """The same attributions on a model with random weights and few pairs, against its own margins;
    its `seconds` are its own. Null where it was left out, and in records that did not have it."""

    def curve(self, name: str) -> Curve:
        """The curve of that name.

        Raises:
            KeyError: There is none.
        """
        for curve in self.curves:
            if curve.name == name:
                return curve
        raise KeyError(name)
