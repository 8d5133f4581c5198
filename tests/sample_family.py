"""A hand-made record of a family measured by byte. Every number here is invented."""

from __future__ import annotations

from sample_compute import FAR, explained, no_flops, web_scale
from sample_rows import HOSTILE_NAME, nats
from unexplained.record import FamilyRecord, Number
from unexplained.record.family import FamilyModel

BITS = "bits per byte"


def per_byte(number: Number) -> Number:
    """A loss in the family's unit."""
    return number.model_copy(update={"unit": BITS})


def sample_family() -> FamilyRecord:
    """Ten runs of six rungs, one model placed between them and one that is beyond them."""
    ladder = web_scale()
    rungs = tuple(r.model_copy(update={"loss": per_byte(r.loss)}) for r in ladder.rungs)
    placed = (
        explained(HOSTILE_NAME, 3.3, {}, note="the loss is not distinguishable from the floor"),
        explained("org/uniform", 8.0, {}, equals=no_flops(FAR)),
    )
    placed = tuple(one.model_copy(update={"loss": per_byte(one.loss)}) for one in placed)
    computes = {r.name: (r.compute, r.loss) for r in rungs}
    computes |= {one.condition: (None, one.loss) for one in placed}
    return FamilyRecord(
        title="Loss by byte of a family",
        verdict="A curve through six rungs; two models are placed on it.",
        subject="org/uniform",
        subject_fingerprint="c0ffee",
        text="pydocs",
        text_notes=("Twelve documents too short were dropped.",),
        text_fingerprints={name: f"{i:04x}" for i, name in enumerate(computes)},
        documents=40,
        bytes=61_000,
        models=tuple(
            FamilyModel(
                name=name,
                fingerprint=f"f{i:03x}",
                compute=compute,
                parameters=100_000 * (i + 1),
                vocabulary=2_048,
                tokens=20_000 + i,
                nats_per_token=2.9 - 0.1 * i,
                bits_per_byte=loss,
            )
            for i, (name, (compute, loss)) in enumerate(computes.items())
        ),
        scale=ladder.model_copy(
            update={
                "unit": BITS,
                "rungs": rungs,
                "left": tuple(
                    left.model_copy(update={"loss": nats(2.0 + i, 1.9 + i, 2.1 + i)})
                    for i, left in enumerate(ladder.left)
                ),
                "subject": None,
                "explained": placed,
            }
        ),
        resamples=2000,
        seed=0,
        command="unexplained bars curve",
        versions={"unexplained": "0.1.0"},
        machine={"cores": "2"},
        measured="2026-11-26T12:00:00+00:00",
        seconds=12.0,
    )
