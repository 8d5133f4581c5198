"""Hand-made records of a rewriting and of sizes. Every number here is invented."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sample_compute import bars, explained, web_scale
from sample_rows import HOSTILE_NAME, nats, refused, share
from unexplained.bars import replaced, scales
from unexplained.bars.cards import Card
from unexplained.bars.orders import Step
from unexplained.bars.standing import standing
from unexplained.instruments import rewrite
from unexplained.record import Counted, Description, Number, Record
from unexplained.record.bars import Comparison, Standing, Ties
from unexplained.record.blocks import Prose, Row, Section, facts
from unexplained.study.choosing import Choice

INTACT = 2.9142
RUNGS = {"rung-1": 4.81, "rung-2": 4.02, "rung-3": 3.52, "rung-6": 2.41}
EXPLAINED = {0: (3.0, 3.2, 3.9, 4.4, 5.1), 1: (2.95, 3.6, 4.1, 4.6, 5.1)}
ABLATED = {0: (3.1, 3.7, 5.2, 6.0, 42.0), 1: (3.0, 4.4, 5.4, 6.3, 42.0)}
COUNTS = (1, 2, 4, 8, 10)
NO_DAMAGE = "the denominator (damage of mean ablation) is within noise of zero"


def near(value: float, width: float = 0.06) -> Number:
    """A loss with an interval."""
    return nats(value, value - width, value + width)


def place(loss: float) -> Ties:
    """Where a loss stands among the rungs; two that differ by 0.1 cannot be told apart."""

    def standing(gap: float) -> Standing:
        return "ties" if abs(gap) < 0.1 else "loses" if gap > 0 else "beats"

    comparisons = tuple(
        Comparison(rung=name, difference=near(loss - rung), standing=standing(loss - rung))
        for name, rung in RUNGS.items()
    )
    better = [c.rung for c in comparisons if c.standing == "beats"]
    return Ties(
        condition="explained",
        comparisons=comparisons,
        place=f"better than {better[-1]}" if better else "below all",
        level=0.95,
        each=0.9875,
    )


def step(draw: int, i: int) -> Step:
    """A step of an order; the first of the first is refused."""
    mine, mean = EXPLAINED[draw][i], ABLATED[draw][i]
    kept = (mean - mine) / (mean - INTACT)
    return Step(
        order=draw,
        count=COUNTS[i],
        explained=near(mine),
        ablated=near(mean),
        recovered=refused(NO_DAMAGE, 52_000)
        if (draw, i) == (0, 0)
        else share(kept, kept - 0.04, kept + 0.04),
        place=place(mine),
    )


def program(name: str, fitted: int = 0, fit_tokens: int | None = None) -> Card:
    """The card of a written program."""
    return Card(
        name=name,
        role="explanation",
        says=f"What {name} says.",
        description=Description(code_bits=2_448, parameters=fitted // 32, parameter_bits=fitted),
        fit_tokens=fit_tokens,
    )


def programs(fit_tokens: int | None = None) -> tuple[Section, Section]:
    """Two written programs: their lengths, and the bars for them and for their controls."""
    bases = {"uniform": 10.8027, "unigram": 7.1, "bigram": 5.031}
    found = []
    for name, loss in (("bigram and copy", 3.9), (HOSTILE_NAME, 4.3)):
        found.append(bars(name, loss, bases, INTACT, "between rung-2 and rung-3"))
        found.append(bars(f"{name}, shuffled", 9.6, bases, INTACT, "below all"))
    cards = [program("bigram and copy", 7_913_312, fit_tokens), program(HOSTILE_NAME)]
    return rewrite._programs(cards), standing(found)


def choices(times: int = 1) -> Section:
    """What was chosen for ten components, or several times as many."""
    return rewrite._choices([
        Choice(
            site=f"L{i // 5}.H{i % 5}" + (f".{again}" if times > 1 else ""),
            explanation="mean" if i % 3 == 0 else HOSTILE_NAME if i == 1 else "previous token",
            increase=0.02 * i - 0.01,
            mean=0.03 * i + 0.005,
        )
        for again in range(times)
        for i in range(10)
    ])  # fmt: skip


def steps(placed: bool = True) -> list[Step]:
    """All steps of both orders."""
    every = [step(draw, i) for draw in EXPLAINED for i in range(len(COUNTS))]
    return every if placed else [replace(one, place=None) for one in every]


def sample_rewrite(
    *,
    bare: bool = False,
    tables: Sequence[Counted] = (),
    fit_tokens: int | None = None,
    times: int = 1,
) -> Record:
    """Two orders over ten components, a loss far beyond the chart, a hostile program.

    Args:
        bare: Without weaker models, programs and the scale of training compute.
        tables: What the n-gram tables were counted on.
        fit_tokens: On how many tokens the first program was calibrated.
        times: How often ten components were chosen for.
    """
    rungs = {} if bare else {name: near(loss) for name, loss in RUNGS.items()}
    known = {"uniform": near(10.8027, 0.0), "unigram": near(7.1), "bigram": near(5.031)}
    every, scale, name = steps(not bare), web_scale(), rewrite.everything(10, "explained")
    placed = scale.model_copy(update={"explained": (explained(name, 5.1, {}), *scale.explained)})
    lengths, among = programs(fit_tokens)
    itself = {name: f"ties with {name}" for name in RUNGS}
    return Record(
        instrument="rewrite",
        title="model rewritten",
        verdict="With all 10 components replaced the loss rises by 2.186 nats per token to 5.100.",
        subject="model",
        subject_fingerprint="c0ffee",
        sheet={"Text webmix": "deadbeef"},
        blocks=(
            replaced.answer(every, rewrite._against(known, rungs, near(INTACT), tables)),
            facts("facts", Row(key="text", name="Text", cells=("webmix",)),
                  Row(key="bits", name="Description length of all explanations",
                      cells=("31,200 bits",))),
            replaced.losses(every, rewrite._against(known, rungs, near(INTACT), tables)),
            *(() if bare else (
                replaced.break_even(every, rungs, itself, near(INTACT)),
                lengths,
                scales.compute(placed, {name: "explanation", "bigram and copy": "explanation"}),
                among,
            )),
            choices(times),
            Prose(words="Twelve documents too short were dropped.", manner="aside"),
        ),
        resamples=2000,
        seed=0,
        command="unexplained rewrite model",
        versions={"unexplained": "0.1.0"},
        machine={"cores": "2"},
        measured="2026-11-26T12:00:00+00:00",
        seconds=12.0,
    )  # fmt: skip
