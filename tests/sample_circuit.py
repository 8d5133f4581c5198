"""A hand-made circuit record. Every number here is invented; none was measured."""

from __future__ import annotations

from collections.abc import Sequence

from sample_rows import HOSTILE_DOMAIN, HOSTILE_NAME, refused, share
from unexplained.bars.by_size import Curves, answer, kept_section
from unexplained.bars.cards import Card
from unexplained.bars.scores import EdgeScore, greatest
from unexplained.record import Number, Record
from unexplained.record.bars import KeptAt, KeptCurve
from unexplained.record.blocks import Block, Prose, Row, Section, facts

EDGES = 100_000
SHARES = (0.0002, 0.001, 0.01, 0.1, 0.5, 1.0)
UNIT = "logits per pair"
WITHIN = (
    "the denominator (logit difference of the clean less that of the corrupted prompts) is 0.2 [−0.1, 0.5] "
    "logits per pair, within noise of zero"
)


def logits(value: float, spread: float = 0.4) -> Number:
    """A logit difference."""
    return Number(value=value, low=value - spread, high=value + spread, unit=UNIT)


def point(share_of_edges: float, kept: float | None) -> KeptAt:
    """Circuits of that size; None: what they keep is refused."""
    spread = 0.0 if share_of_edges == 1 else 0.08
    number = refused(WITHIN, 400) if kept is None else share(kept, kept - spread, kept + spread)
    return KeptAt(edges=round(share_of_edges * EDGES), share=share_of_edges,
                  logit_difference=logits(5 * (kept or 0) - 1), kept=number)  # fmt: skip


def curve(
    name: str, kept: Sequence[float | None], role: str = "", shares: Sequence[float] = SHARES,
    **more: object,
) -> tuple[Card, KeptCurve]:  # fmt: skip
    """An order, with what it keeps at every size."""
    points = [point(at, value) for at, value in zip(shares, kept, strict=True)]
    fields = {"edges": EDGES, "points": points, "area": 0.951, "distance": 0.082, "knee": 50_000,
              "knee_by_value": 10_000}  # fmt: skip
    card = Card.model_validate({"name": name, "says": f"what {name} does", "role": role})
    return card, KeptCurve.model_validate(fields | more)


def curves() -> Curves:
    """Four orders of six sizes, one of them refused."""
    return [
        curve("eap-ig-inputs", (0.06, 0.42, 0.84, 1.12, 1.04, 1.0), knee=10_000, knee_by_value=1_000),
        curve("eap", (0.02, 0.11, 0.55, 0.88, 0.97, 1.0)),
        curve("magnitude", (0.01, -0.07, None, 0.31, 0.9, 1.0), "baseline",
              area=None, distance=None, knee_by_value=50_000),
        curve("random", (-0.01, -0.02, -0.2, -0.9, -0.4, 1.0), "baseline",
              knee=100_000, knee_by_value=100_000),
    ]  # fmt: skip


TOP = (
    EdgeScore("L9.H1 → logits", -1.2345, 0.12),
    EdgeScore("input → L0.H3.q", 0.4021, 0.15),
    EdgeScore("L0.mlp → L5.H5.k", -0.21, 0.14),
)


def twin_section() -> Section:
    """The same with random weights."""
    nothing = curve("eap", (None,) * 2, shares=SHARES[2:4], area=None, distance=None, knee=None,
                    knee_by_value=None)  # fmt: skip
    blocks = (
        Prose(words="On 16 pairs: Nothing."),
        facts("facts", Row(key="gap", name="Clean less corrupted", cells=(logits(0.03),))),
        kept_section([nothing], 8, keeps=0.8, folded=True),
        greatest(TOP[2:], EDGES, "eap-ig-inputs", by="absolute", folded=True),
    )
    return Section(key="twin", title="The same with random weights", blocks=blocks)


def sample_circuit(
    lines: Curves | None = None, top: Sequence[EdgeScore] = TOP, *, twin: bool = False
) -> Record:
    """A whole record, as the instrument puts it together."""
    rows = (
        Row(key="model", name="Model", cells=(HOSTILE_NAME,)),
        Row(key="pairs", name="Pairs of prompts", cells=(64,)),
        Row(key="accuracy", name="Prefers the answer", note="of pairs", cells=(share(0.97, 0.91, 1.0),)),
        Row(key="gap", name="Clean less corrupted: what shares are divided by", cells=(logits(5.0, 0.6),)),
    )  # fmt: skip
    blocks: list[Block] = [
        answer(lines or curves(), keeps=0.8, of="64 pairs of prompts"),
        facts("facts", *rows),
        kept_section(lines or curves(), 32, keeps=0.8),
        greatest(top, EDGES, "eap-ig-inputs", by="absolute"),
        *([twin_section()] if twin else []),
        Prose(words="Names that are one token only: 64 of 100.", manner="aside"),
    ]
    return Record(
        instrument="circuit",
        title=f"Circuits for ioi in {HOSTILE_NAME}",
        verdict="Of the 100,000 edges, the smallest measured circuits that keep 80% of ioi: "
        "1,000 by eap-ig-inputs (84% [76%, 92%]).",
        subject=HOSTILE_NAME,
        subject_fingerprint="c0ffee",
        sheet={f"Pairs {HOSTILE_DOMAIN}": "deadbeef"},
        units="orbits",
        needed="pairs",
        blocks=tuple(blocks),
        resamples=2000,
        seed=0,
        command="unexplained circuit model ioi",
        versions={"unexplained": "0.1.0"},
        machine={"cores": "2"},
        measured="2026-11-24T12:00:00+00:00",
        seconds=12.0,
    )


def sample_small_circuit() -> Record:
    """Two orders of two sizes and the twin, for what is tried with every number of it."""
    some = [
        (card, one.model_copy(update={"points": one.points[2:4]})) for card, one in curves()[1:3]
    ]
    return sample_circuit(some, TOP[1:], twin=True)
