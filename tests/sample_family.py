"""A hand-made record of a family measured by byte. Every number here is invented."""

from __future__ import annotations

from sample_compute import FAR, explained, no_flops, web_scale
from sample_rows import HOSTILE_NAME, nats
from unexplained.instruments import family
from unexplained.instruments.family import Loss
from unexplained.record import Number, Record, Scale
from unexplained.record.blocks import Prose, Row, facts
from unexplained.study import sheet

BITS = "bits per byte"


def per_byte(number: Number) -> Number:
    """A loss in the family's unit."""
    return number.model_copy(update={"unit": BITS})


def by_byte() -> Scale:
    """Ten runs of six rungs, one model placed between them and one that is beyond them."""
    ladder = web_scale()
    placed = (
        explained(HOSTILE_NAME, 3.3, {}, note="the loss is not distinguishable from the floor"),
        explained("org/uniform", 8.0, {}, equals=no_flops(FAR)),
    )
    changed = {
        "unit": BITS,
        "rungs": tuple(r.model_copy(update={"loss": per_byte(r.loss)}) for r in ladder.rungs),
        "left": tuple(
            left.model_copy(update={"loss": nats(2.0 + i, 1.9 + i, 2.1 + i)})
            for i, left in enumerate(ladder.left)
        ),
        "subject": None,
        "explained": tuple(one.model_copy(update={"loss": per_byte(one.loss)}) for one in placed),
    }
    return ladder.model_copy(update=changed)


def sample_family(scale: Scale | None = None) -> Record:
    """The whole record, as the instrument puts it together."""
    scale = scale or by_byte()
    known = [(rung.name, rung.compute, rung.loss) for rung in scale.rungs]
    known += [(one.condition, None, one.loss) for one in scale.explained]  # type: ignore[misc]
    found = [
        Loss(name, compute, loss, 2.9 - 0.1 * i, 20_000 + i, 2_048, 100_000 * (i + 1))
        for i, (name, compute, loss) in enumerate(known)
    ]
    names = [one.name for one in found]
    return Record(
        instrument="family",
        title="Loss by byte of a family",
        verdict=family._verdict(found[: len(scale.rungs)], scale),
        subject=names[-1],
        subject_fingerprint="c0ffee",
        sheet={f"Text of {name}": f"{i:04x}" for i, name in enumerate(names)},
        blocks=(
            family._answer(found, scale),
            facts("facts", sheet.of_models(names), Row(key="text", name="Text", cells=("pydocs",))),
            family._by_byte(found, scale),
            family._on_the_curve(scale),
            Prose(words="Twelve documents too short were dropped.", manner="aside"),
        ),
        resamples=2000,
        seed=0,
        command="unexplained bars curve",
        versions={"unexplained": "0.1.0"},
        machine={"cores": "2"},
        measured="2026-11-26T12:00:00+00:00",
        seconds=12.0,
    )
