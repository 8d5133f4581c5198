"""A hand-made record of narrow tasks. Every number here is invented."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sample_rows import HOSTILE_DOMAIN, nats, refused, share
from unexplained.bars import narrow
from unexplained.bars.tasks import OnTask, TaskStep
from unexplained.record import Number, Record

COUNTS = (1, 2, 4, 6)
ORDER = ("L0.H1", "L1.H0", "L0.H0", "L1.H2", "L0.H2", "L1.H1")
FEW = "too few documents for an interval (2; it takes 5)"
NO_ROOM = (
    "the denominator (the model's accuracy minus that of the ablation) is within noise of zero"
)
NO_GAP = "the weaker model is right more often, so there is no gap to keep"


def near(value: float, width: float = 0.02) -> Number:
    """A share with an interval."""
    return share(value, value - width, value + width)


def steps(
    kept: tuple[float, ...], right: tuple[float, ...], whole: float = 0.5
) -> dict[int, TaskStep]:
    """The steps of a task: fraction recovered and accuracy."""
    return {
        count: TaskStep(
            loss=nats(3.0 + 0.4 * i, 2.9 + 0.4 * i, 3.1 + 0.4 * i),
            recovered=near(f),
            accuracy=near(accuracy),
            kept=near(accuracy / whole),
            gap=near(4 * accuracy - 1) if accuracy > 0.3 else refused(NO_GAP, None),
        )
        for i, (count, f, accuracy) in enumerate(zip(COUNTS, kept, right, strict=True))
    }


def on_scale(accuracy: float, whole: float, ablated: float) -> Number:
    """An accuracy between that of the ablation and the model's."""
    room = whole - ablated
    return near((accuracy - ablated) / room, 0.02 / room) if room > 0.05 else refused(NO_ROOM, None)


def task(
    name: str, accuracy: float, ablated: float, steps: dict[int, TaskStep], rise: Number
) -> OnTask:
    """A task of which three weaker models do a quarter, a half and three quarters."""
    return OnTask(
        name=name,
        says=f"What {name} is.",
        unit="tokens",
        tokens=6_096,
        loss=nats(2.8, 2.7, 2.9),
        accuracy=near(accuracy),
        ablated=near(ablated, 0.01),
        weaker={
            f"rung-{i}": (nats(5.0 - i, 4.9 - i, 5.1 - i), near(accuracy * i / 4))
            for i in (1, 2, 3)
        },
        steps=steps,
        by_accuracy=on_scale(steps[COUNTS[-1]].accuracy.value or 0.0, accuracy, ablated),
        rise=rise,
        rise_at="rung-2 and rung-3",
        better=0.0137 if name == "repeats" else None,
    )


def measured() -> list[OnTask]:
    """One task where accuracy follows loss, one where it does not, and two that are refused."""
    even = task("webmix", 0.5, 0.1, steps((0.9, 0.8, 0.6, 0.5), (0.48, 0.44, 0.36, 0.3)), near(0.4))
    fragile = task(
        "repeats", 0.7, 0.0, steps((1.86, 1.2, 0.9, 0.6), (0.68, 0.6, 0.5, 0.07), 0.7), near(0.95)
    )
    # One number of a task refused, and every fraction of another.
    worse = task(
        "news", 0.4, 0.05, steps((0.4, 0.3, -3.2, 0.2), (0.35, 0.3, 0.2, 0.1)), refused(FEW, None)
    )
    hole = {2: replace(worse.steps[2], recovered=refused())}
    bare = task(HOSTILE_DOMAIN, 0.3, 0.29, steps((0.1,) * 4, (0.295,) * 4), refused(FEW, None))
    gone = {n: replace(step, recovered=refused(FEW, None)) for n, step in bare.steps.items()}
    return [
        even,
        fragile,
        replace(worse, steps=worse.steps | hole),
        replace(bare, steps=gone),
    ]


def sample_tasks(found: Sequence[OnTask] = (), reference: str = "rung-3") -> Record:
    """The whole record, as the instrument puts it together."""
    every = found or measured()
    return Record(
        instrument="tasks",
        title="Narrow tasks of model",
        verdict="On webmix, with all components replaced, f = 50% and 30.0% are right of 50.0%.",
        subject="model",
        subject_fingerprint="c0ffee",
        blocks=(
            narrow.answer(every),
            narrow.part(every, reference),
            narrow.accuracy(every, ORDER, reference),
        ),
        resamples=2000,
        seed=0,
        command="unexplained tasks model",
        versions={"unexplained": "0.1.0"},
        machine={"cores": "2"},
        measured="2026-11-26T12:00:00+00:00",
        seconds=12.0,
    )
