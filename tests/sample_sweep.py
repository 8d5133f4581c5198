"""Hand-made sweeps. Every number here is invented; none was measured."""

from __future__ import annotations

from sample_rows import HOSTILE_DOMAIN, HOSTILE_NAME, nats, refused
from unexplained.record import Effect, Joint, Number, SweepRecord
from unexplained.record.sweep import Estimation

LOGITS = "logits per pair"


def effect(site: str, value: float, q: float) -> Effect:
    """A component that changes the loss by so much."""
    return Effect(site=site, change=nats(value, value - 0.001, value + 0.001),
                  kl=nats(abs(value), 0, abs(value) + 0.001), p=q / 4, q=q)  # fmt: skip


def joint(*sites: str, by: float) -> Joint:
    """Components that together do so much more than each alone."""
    return Joint(sites=sites, together=nats(0.05, 0.04, 0.06), summed=nats(0.05 - by, 0, 0.06),
                 interaction=nats(by, by - 0.01, by + 0.01))  # fmt: skip


def sample_sweep() -> SweepRecord:
    """Four heads of two layers on running text, and the same with random weights."""
    record = SweepRecord(
        title=f"Mean ablation of L*.H* in {HOSTILE_NAME}",
        verdict="On webmix, 3 of 4 components are told from no effect.",
        subject=HOSTILE_NAME,
        subject_fingerprint="c0ffee",
        ablation="mean",
        text=HOSTILE_DOMAIN,
        text_fingerprint="deadbeef",
        text_notes=("Blocks begin with ordinary text.",),
        documents=40,
        tokens=5_080,
        fit_documents=20,
        intact=nats(3.1, 3.0, 3.2),
        effects=(
            effect("L0.H0", 0.0141, 0.001),
            effect("L0.H1", -0.0062, 0.02),
            effect("L1.H0", 0.0003, 0.6),
            effect("L1.H1", 0.031, 0.0001),
        ),
        rate=0.05,
        chosen_on=20,
        reported_on=20,
        joints=(joint("L1.H1", "L0.H0", by=0.012),),
        pairs=(
            joint("L1.H1", "L0.H0", by=0.012),
            joint("L1.H1", "L0.H1", by=-0.02).model_copy(update={"interaction": refused()}),
            joint("L0.H0", "L0.H1", by=0.001),
        ),
        resamples=2000,
        seed=0,
        command="unexplained sweep model",
        versions={"unexplained": "0.1.0"},
        machine={"cores": "2"},
        measured="2026-11-24T12:00:00+00:00",
        seconds=12.0,
    )
    twin = {
        "subject": f"{HOSTILE_NAME}, random weights", "subject_fingerprint": "0ff1ce",
        "verdict": "On webmix, 0 of 4 components are told from no effect.",
        "documents": 16, "tokens": 2_032, "intact": nats(10.8, 10.7, 10.9), "seconds": 12.3,
        "effects": tuple(effect(e.site, 0.0001 * i, 0.9) for i, e in enumerate(record.effects)),
        "joints": (), "pairs": (), "text_fingerprint": "feedbee",
    }  # fmt: skip
    return record.model_copy(update={"twin": record.model_copy(update=twin)})


def sample_sweep_of_pairs() -> SweepRecord:
    """Three heads patched on pairs of prompts, by a race that let one go."""
    record = sample_sweep()

    def logits(value: float, spread: float = 0.5) -> Number:
        return Number(value=value, low=value - spread, high=value + spread, unit=LOGITS)

    first, second, lost, _ = (
        one.model_copy(update={"kl": None, "change": logits(change)})
        for one, change in zip(record.effects, (-1.5, 0.9, 0.2, 0.0), strict=True)
    )
    share = Number(value=0.31, low=0.2, high=0.4, unit="share")
    effects = (
        first.model_copy(update={"share": share, "ranks": (2, 9), "measured": "fresh documents"}),
        second.model_copy(update={"ranks": (1, 1), "measured": "control variate", "gain": 2.5}),
        lost.model_copy(update={"p": None, "q": None, "measured": "chosen on"}),
    )
    return record.model_copy(
        update={
            "pairs_of_prompts": True, "measure": "logit difference", "ablation": "patch",
            "intact": logits(2.5), "corrupted": logits(-2.5), "effects": effects,
            "accuracy": Number(value=0.97, low=0.88, high=1, unit="share"), "twin": None,
            "floor": 1e-5,
            "estimation": Estimation(
                method="race", says="A race: what could be strong was measured on the rest.",
                exact=90, whole=120, missed=Number(value=0.02, low=0.0, high=0.09, unit="share"),
            ),
        }
    )  # fmt: skip
