"""A hand-made circuit record. Every number here is invented; none was measured."""

from __future__ import annotations

from sample_rows import HOSTILE_DOMAIN, HOSTILE_NAME, refused
from unexplained.record import CircuitRecord, Curve, EdgeScore, Number, Point

EDGES = 100_000
SHARES = (0.0002, 0.001, 0.01, 0.1, 0.5, 1.0)
UNIT = "logits per pair"
WITHIN = (
    "the denominator (margin of the clean less that of the corrupted prompts) is 0.2 [−0.1, 0.5] "
    "logits per pair, within noise of zero"
)


def logits(value: float, spread: float = 0.4) -> Number:
    """A margin."""
    return Number(value=value, low=value - spread, high=value + spread, unit=UNIT)


def point(share: float, kept: float | None, spread: float = 0.08) -> Point:
    """A circuit of that size; None: what it keeps is refused."""
    number = (
        refused(WITHIN, 400)
        if kept is None
        else Number(value=kept, low=kept - spread, high=kept + spread, unit="share")
    )
    return Point(
        edges=round(share * EDGES), share=share, margin=logits(5 * (kept or 0) - 1), kept=number
    )


def curve(name: str, kept: tuple[float | None, ...], kind: str = "attribution", **more: object) -> Curve:  # fmt: skip
    """An order, with what it keeps at every size."""
    points = [
        point(share, value, 0.0 if share == 1 else 0.08)
        for share, value in zip(SHARES, kept, strict=True)
    ]
    fields = {
        "name": name, "says": f"what {name} does", "kind": kind, "points": points,
        "area": 0.951, "distance": 0.082, "knee": 50_000, "knee_by_value": 10_000,
    }  # fmt: skip
    return Curve.model_validate(fields | more)


def sample_circuit() -> CircuitRecord:
    """Four orders of six sizes, one of them refused, and the same with random weights."""
    record = CircuitRecord(
        title=f"Circuits for ioi in {HOSTILE_NAME}",
        verdict="Of the 100,000 edges, the smallest measured circuits that keep 80% of ioi: "
        "1,000 by eap-ig-inputs (84% [76%, 92%]).",
        subject=HOSTILE_NAME,
        subject_fingerprint="c0ffee",
        text=HOSTILE_DOMAIN,
        text_fingerprint="deadbeef",
        text_notes=("Names that are one token only: 64 of 100.",),
        pairs=64,
        orbits=32,
        fit_pairs=48,
        edges=EDGES,
        clean=logits(4.1),
        corrupted=logits(-0.9),
        gap=logits(5.0, 0.6),
        accuracy=Number(value=0.97, low=0.91, high=1.0, unit="share"),
        by="absolute",
        curves=(
            curve("eap-ig-inputs", (0.06, 0.42, 0.84, 1.12, 1.04, 1.0), knee=10_000, knee_by_value=1_000),
            curve("eap", (0.02, 0.11, 0.55, 0.88, 0.97, 1.0)),
            curve("magnitude", (0.01, -0.07, None, 0.31, 0.9, 1.0), "baseline",
                  area=None, distance=None, knee_by_value=50_000),
            curve("random", (-0.01, -0.02, -0.2, -0.9, -0.4, 1.0), "baseline",
                  knee=100_000, knee_by_value=100_000, draws=5),
        ),
        top=(
            EdgeScore(name="a9.h1->logits", score=-1.2345, error=0.12),
            EdgeScore(name="input->a0.h3<q>", score=0.4021, error=0.15),
            EdgeScore(name="m0->a5.h5<k>", score=-0.21, error=0.14),
        ),
        method="eap-ig-inputs",
        resamples=2000,
        seed=0,
        command="unexplained circuit model ioi",
        versions={"unexplained": "0.1.0"},
        machine={"cores": "2"},
        measured="2026-11-24T12:00:00+00:00",
        seconds=12.0,
    )  # fmt: skip
    twin = {
        "subject": f"{HOSTILE_NAME}, random weights", "subject_fingerprint": "0ff1ce",
        "verdict": "Nothing.", "text_fingerprint": "feedbee", "pairs": 16, "orbits": 8,
        "fit_pairs": 12, "clean": logits(0.02), "corrupted": logits(-0.01), "gap": logits(0.03),
        "accuracy": Number(value=0.5, low=0.3, high=0.7, unit="share"), "seconds": 3.5,
        "curves": (curve("eap", (None,) * 6, area=None, distance=None, knee=None,
                         knee_by_value=None),),
        "top": record.top[2:],
    }  # fmt: skip
    return record.model_copy(update={"twin": record.model_copy(update=twin)})


def sample_small_circuit() -> CircuitRecord:
    """The same with two orders of two sizes, for what is tried with every number of it."""

    def small(record: CircuitRecord, which: slice) -> CircuitRecord:
        curves = (
            one.model_copy(update={"points": one.points[2:4]}) for one in record.curves[which]
        )
        return record.model_copy(update={"curves": tuple(curves), "top": record.top[1:]})

    record = sample_circuit()
    assert record.twin is not None
    twin = small(record.twin, slice(1)).model_copy(update={"top": record.twin.top})
    return small(record, slice(1, 3)).model_copy(update={"twin": twin})
