"""A hand-made record of where a gap lives. Every number here is invented."""

from __future__ import annotations

from sample_rows import HOSTILE_DOMAIN, HOSTILE_NAME, nats, refused, share
from unexplained.bars import spread as of_gap
from unexplained.instruments import gap
from unexplained.record import Number, Record
from unexplained.record.bars import (
    Concentration,
    CrucialPart,
    GapPoint,
    NearZero,
    OnCrucial,
    OverRuns,
)
from unexplained.record.blocks import Column, Prose, Row, Table

AT = (0.01, 0.1, 0.3, 0.5, 0.9, 1.0)
FAIR = (0.05, 0.25, 0.5, 0.7, 0.96, 1.0)
FLATTERED = (0.15, 0.8, 1.5, 1.8, 1.4, 1.0)
WEAK = "rung <b>3</b>"
SECOND = ("rung 4, seed 1", "rung 3, seed 1")
CROSS, OWN = "These are lower bounds.", "This is an upper bound: noise looks concentrated."
SAYS = "the 5% of tokens where 'rung 4, seed 1' is furthest ahead of 'rung 3, seed 1'"


def around(value: float, spread: float) -> Number:
    """A share with its interval."""
    return share(value, value - spread, value + spread)


def curve(carries: tuple[float | None, ...], spread: float = 0.02) -> tuple[GapPoint, ...]:
    """Points of a curve; None is a refused one."""
    return tuple(
        GapPoint(
            tokens=at,
            carries=refused() if value is None else around(value, 0.0 if at == 1 else spread),
        )
        for at, value in zip(AT, carries, strict=True)
    )


def spread(own: bool = False) -> Concentration:
    """The gap in the order of the second pair, or in the models' own."""
    return Concentration(
        strong="intact",
        weak=WEAK,
        chosen_by=("intact", WEAK) if own else SECOND,
        own=own,
        caution=OWN if own else CROSS,
        documents=96,
        tokens=12_192,
        gap=nats(0.263, 0.239, 0.289),
        gained=nats(0.504, 0.487, 0.523),
        given_back=nats(0.241, 0.228, 0.254),
        worse=share(0.386, 0.375, 0.397),
        near_zero=(
            NearZero(
                below=0.1,
                weak=share(0.0029, 0.0014, 0.0047),
                strong=share(0.0072, 0.0051, 0.0097),
                more=share(0.0043, 0.0029, 0.0059),
            ),
            NearZero(
                below=0.5,
                weak=share(0.022, 0.017, 0.028),
                strong=share(0.038, 0.031, 0.045),
                more=share(0.016, 0.012, 0.019),
            ),
        ),
        curve=curve(FLATTERED if own else FAIR),
        carrying={
            "0.5": around(0.046, 0.005) if own else around(0.3, 0.03),
            "0.8": around(0.101, 0.01) if own else around(0.63, 0.06),
            "1": around(0.131, 0.016) if own else share(0.97, 0.87, 1.0),
        },
        index=around(2.04, 0.19) if own else around(0.36, 0.06),
        bounded=around(0.721, 0.005) if own else around(0.129, 0.02),
        factor=Number(value=15.91, low=13.27, high=19.21, unit="times")
        if own
        else Number(value=3.03, low=2.64, high=3.45, unit="times"),
        effective=share(0.063, 0.052, 0.075) if own else share(0.33, 0.29, 0.379),
    )


def claim(name: str = HOSTILE_NAME) -> OnCrucial:
    """An explanation that recovers little, and less than nothing on the rest."""
    return OnCrucial(
        condition=name,
        ablation="mean",
        weak=WEAK,
        says=SAYS,
        chosen_by=SECOND,
        crucial=CrucialPart(
            tokens=610,
            share=0.05,
            damage=nats(5.62, 5.32, 5.9),
            carries=around(0.075, 0.009),
            recovered=around(0.033, 0.02),
            gap=nats(0.86, 0.68, 1.01),
            score=around(-5.34, 1.2),
        ),
        rest=CrucialPart(
            tokens=11_582,
            share=0.95,
            damage=nats(3.64, 3.49, 3.81),
            carries=around(0.925, 0.009),
            recovered=around(-0.032, 0.022),
            gap=nats(0.231, 0.208, 0.256),
            score=refused(),
        ),
    )


def sample_gap(runs: OverRuns | None = None) -> Record:
    """The whole record, as the instrument puts it together."""
    one, two = spread(), spread(own=True)
    facts = Table(
        key="facts", facts=True, columns=(Column(key="is", heading=""),),
        rows=(
            Row(key="weak", name="Weaker model", cells=(WEAK,)),
            Row(key="strong-loss", name="Loss of the strong model", cells=(nats(4.29, 4.21, 4.36),)),
            Row(key="gap", name="Net gap", cells=(one.gap,)),
            Row(key="text", name="Text", cells=(HOSTILE_DOMAIN,)),
        ),
    )  # fmt: skip
    over = () if runs is None else (gap._runs(runs),)
    return Record(
        instrument="gap",
        title=f"Where the gap of {HOSTILE_NAME} to {WEAK} lives",
        verdict="The gap of 0.263 nats per token is as concentrated as if 33% [29%, 38%] of the "
        "tokens carried all of it evenly.",
        subject=HOSTILE_NAME,
        subject_fingerprint="c0ffee",
        sheet={f"Text {HOSTILE_DOMAIN}": "deadbeef"},
        blocks=(
            gap._answer(one, runs),
            facts,
            Prose(words=gap._over_runs(runs, HOSTILE_NAME, WEAK)),
            *over,
            of_gap.curve(one, two),
            of_gap.orders(one, two, SECOND),
            of_gap.signs(one, HOSTILE_NAME, WEAK),
            of_gap.crucial([claim()], ["L0.H0", "L0.H1"]),
            Prose(words="The tokenizer adds <|start|>.", manner="aside"),
        ),
        resamples=2000,
        seed=0,
        command="unexplained gap",
        versions={"unexplained": "0.1.0"},
        machine={"cores": "2"},
        measured="2026-11-26T12:00:00+00:00",
        seconds=3.0,
    )
