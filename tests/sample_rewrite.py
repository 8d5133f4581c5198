"""Hand-made records of a rewriting and of sizes. Every number here is invented."""

from __future__ import annotations

from sample_compute import bars, explained, web_scale
from sample_rows import HOSTILE_NAME, nats, refused, share
from unexplained.record import Description, Number, RewriteRecord
from unexplained.record.bars import Comparison, Standing, Ties
from unexplained.record.rewrite import BreakEven, Choice, ProgramRow, Step

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
        draw=draw,
        count=COUNTS[i],
        explained=near(mine),
        ablated=near(mean),
        recovered=refused(NO_DAMAGE, 52_000)
        if (draw, i) == (0, 0)
        else share(kept, kept - 0.04, kept + 0.04),
        place=place(mine),
    )


def program(name: str, loss: float, fitted: int = 0) -> ProgramRow:
    """A written program, with its control."""
    bases = {"uniform": 10.8027, "unigram": 7.1, "bigram": 5.031}
    return ProgramRow(
        name=name,
        says=f"What {name} says.",
        description=Description(code_bits=2_448, parameters=fitted // 32, parameter_bits=fitted),
        bars=bars(name, loss, bases, INTACT, "between rung-2 and rung-3"),
        shuffled=bars(f"{name}, shuffled", 9.6, bases, INTACT, "below all"),
    )


def sample_rewrite() -> RewriteRecord:
    """Two orders over ten components, a loss far beyond the chart, a hostile program."""
    sites = [f"L{i // 5}.H{i % 5}" for i in range(10)]
    scale = web_scale()
    whole = explained("explained: " + " ".join(sites), 5.1, {})
    return RewriteRecord(
        title="model rewritten",
        verdict="With all 10 components replaced the loss rises by 2.186 nats per token to 5.100.",
        subject="model",
        subject_fingerprint="c0ffee",
        text="webmix",
        text_fingerprint="deadbeef",
        text_notes=("Twelve documents too short were dropped.",),
        documents=40,
        tokens=5_080,
        components=10,
        intact=near(INTACT),
        tables={"uniform": near(10.8027, 0.0), "unigram": near(7.1), "bigram": near(5.031)},
        rungs={name: near(loss) for name, loss in RUNGS.items()},
        choices=tuple(
            Choice(
                site=site,
                explanation="mean" if i % 3 == 0 else HOSTILE_NAME if i == 1 else "previous token",
                increase=0.02 * i - 0.01,
                mean=0.03 * i + 0.005,
            )
            for i, site in enumerate(sites)
        ),
        bits=31_200,
        steps=tuple(step(draw, i) for draw in EXPLAINED for i in range(len(COUNTS))),
        break_even=tuple(
            BreakEven(rung=name, loss=near(loss), counts=counts, certain=certain)
            for (name, loss), counts, certain in zip(
                RUNGS.items(),
                ((8, 8), (4, 4), (2, 2), (0, 0)),
                ((8, 8), (4, 2), (2, 1), (0, 0)),
                strict=True,
            )
        ),
        programs=(program("bigram and copy", 3.9, 7_913_312), program(HOSTILE_NAME, 4.3)),
        scale=scale.model_copy(update={"explained": (whole, *scale.explained)}),
        itself={name: f"ties with {name}" for name in RUNGS},
        resamples=2000,
        seed=0,
        command="unexplained rewrite model",
        versions={"unexplained": "0.1.0"},
        machine={"cores": "2"},
        measured="2026-11-26T12:00:00+00:00",
        seconds=12.0,
    )
