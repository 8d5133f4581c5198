"""Hand-made sweeps. Every number here is invented; none was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from sample_rows import HOSTILE_DOMAIN, HOSTILE_NAME, nats, refused
from unexplained.bars import Effect, Joint
from unexplained.bars.effects import Estimation, Swept
from unexplained.bars.joints import Together
from unexplained.bars.measures import measure_of
from unexplained.instruments import sweep
from unexplained.record import Number, Record

LOGITS = "logits per pair"


def effect(site: str, value: float, q: float) -> Effect:
    """A component that changes the loss by so much."""
    return Effect(site=site, change=nats(value, value - 0.001, value + 0.001),
                  kl=nats(abs(value), 0, abs(value) + 0.001), p=q / 4, q=q)  # fmt: skip


def joint(*sites: str, by: float) -> Joint:
    """Components that together do so much more than each alone."""
    return Joint(sites=sites, together=nats(0.05, 0.04, 0.06), summed=nats(0.05 - by, 0, 0.06),
                 interaction=nats(by, by - 0.01, by + 0.01))  # fmt: skip


EFFECTS = (
    effect("L0.H0", 0.0141, 0.001),
    effect("L0.H1", -0.0062, 0.02),
    effect("L1.H0", 0.0003, 0.6),
    effect("L1.H1", 0.031, 0.0001),
)


def asked(pairs: bool = False, *, small: bool = False) -> Any:
    """What was asked for; of the random weights if small."""
    name = f"{HOSTILE_NAME}, random weights" if small else HOSTILE_NAME
    documents = 16 if small else 40
    text = SimpleNamespace(
        name=HOSTILE_DOMAIN, fingerprint="feedbee" if small else "deadbeef", pairs=pairs,
        notes=("Blocks begin with ordinary text.",), units=tuple(map(str, range(documents))),
        fit=("",) * 20, predicted=127 * documents,
    )  # fmt: skip
    run = SimpleNamespace(
        subject=SimpleNamespace(name=name, fingerprint="0ff1ce" if small else "c0ffee"),
        settings=SimpleNamespace(level=0.95), sheet={f"Text {text.name}": text.fingerprint},
    )  # fmt: skip
    measure = measure_of("logit difference" if pairs else "loss", pairs=pairs)
    return SimpleNamespace(
        run=run, text=text, ablation="patch" if pairs else "mean", measure=measure
    )


def swept() -> Swept:
    """Four heads of two layers on running text."""
    couples = (
        joint("L1.H1", "L0.H0", by=0.012),
        replace(joint("L1.H1", "L0.H1", by=-0.02), interaction=refused()),
        joint("L0.H0", "L0.H1", by=0.001),
    )
    strongest = (joint("L1.H1", "L0.H0", by=0.012),)
    return Swept(
        measure=asked().measure, effects=EFFECTS, intact=nats(3.1, 3.0, 3.2),
        together=Together(strongest, couples, chosen_on=20, reported_on=20),
    )  # fmt: skip


def random_weights() -> sweep.TwinSweep:
    """The same with random weights."""
    effects = tuple(effect(e.site, 0.0001 * i, 0.9) for i, e in enumerate(EFFECTS))
    found = Swept(asked().measure, effects, nats(10.8, 10.7, 10.9))
    return sweep.TwinSweep(asked(small=True), found)


def swept_of_pairs() -> Swept:
    """Three heads patched on pairs of prompts, by a race that let one go."""

    def logits(value: float, spread: float = 0.5) -> Number:
        return Number(value=value, low=value - spread, high=value + spread, unit=LOGITS)

    first, second, lost = (
        replace(one, kl=None, change=logits(change))
        for one, change in zip(EFFECTS, (-1.5, 0.9, 0.2), strict=False)
    )
    share = Number(value=0.31, low=0.2, high=0.4, unit="share")
    return Swept(
        measure=asked(True).measure,
        effects=(
            replace(first, share=share, ranks=(2, 9), measured="fresh documents"),
            replace(second, ranks=(1, 1), measured="control variate", gain=2.5),
            replace(lost, p=None, q=None, measured="chosen on"),
        ),
        intact=logits(2.5), corrupted=logits(-2.5),
        accuracy=Number(value=0.97, low=0.88, high=1, unit="share"),
        together=swept().together,
        estimation=Estimation(
            method="race", says="A race: what could be strong was measured on the rest.",
            exact=90, whole=120, missed=Number(value=0.02, low=0.0, high=0.09, unit="share"),
        ),
    )  # fmt: skip


def record_of(found: Swept, twin: sweep.TwinSweep | None, *, pairs: bool = False) -> Record:
    """What the instrument shows of it."""
    return Record(
        instrument="sweep",
        title=f"Mean ablation of L*.H* in {HOSTILE_NAME}",
        verdict="On webmix, 3 of 4 components are told from no effect.",
        subject=HOSTILE_NAME,
        subject_fingerprint="c0ffee",
        sheet=sweep._sheet(asked(pairs), twin),
        units="orbits" if pairs else "documents",
        needed="pairs" if pairs else "tokens",
        blocks=tuple(sweep.blocks(asked(pairs), found, twin)),
        resamples=2000,
        seed=0,
        command="unexplained sweep model",
        versions={"unexplained": "0.1.0"},
        machine={"cores": "2"},
        measured="2026-11-24T12:00:00+00:00",
        seconds=12.0,
    )


def sample_sweep(effects: Sequence[Effect] = EFFECTS, *, twin: bool = True) -> Record:
    """Components on running text, and the same with random weights."""
    found = replace(swept(), effects=tuple(effects))
    return record_of(found, random_weights() if twin else None)


def sample_sweep_of_pairs(effects: Sequence[Effect] = ()) -> Record:
    """Components patched on pairs of prompts."""
    found = swept_of_pairs()
    return record_of(replace(found, effects=tuple(effects) or found.effects), None, pairs=True)
