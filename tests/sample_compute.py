"""The ladder and the bars of the hand-made record. Every number here is invented."""

from __future__ import annotations

import math

from sample_rows import HOSTILE_NAME, nats, refused, share
from unexplained.record import Bars, Explained, Number, Scale, ShareKind
from unexplained.record.bars import BaselineBar, Comparison, RungBar, Standing, Ties
from unexplained.record.compute import CurvePoint, FittedBend, FittedLaw, LeftOutRung, RungPoint

FLOOR, SCALE, EXPONENT = 1.80, 4.951, 0.1468
COMPUTES = tuple(4e11 * 3.0**i for i in range(6))
WRONG = {0: 0.012, 2: -0.02, 3: 0.016, 5: -0.01}
"""How far rungs lie off the curve, in nats."""
BELOW_FLOOR = (
    "a loss of 1.741 is at or below the curve's floor of 1.8 nats per token: no compute buys it"
)
FAR = "a loss of 10.8 is 2,140 times below the curve's range"
NO_RUN = "its own training run is not published"
ADJUSTED = 0.9917
"""Six comparisons at 95% together."""
LEVELS = (0.5, 0.8, 0.9, 0.98, 0.99)


def loss_at(compute: float) -> float:
    """The curve that the record claims."""
    return FLOOR + math.exp(SCALE - EXPONENT * math.log(compute))


def compute_of(loss: float) -> float:
    """The same, backwards."""
    return math.exp((SCALE - math.log(loss - FLOOR)) / EXPONENT)


def flops(value: float, low: float | None, high: float | None) -> Number:
    """A compute."""
    return Number(value=value, low=low, high=high, unit="FLOPs")


def no_flops(reason: str) -> Number:
    """A compute that could not be given."""
    return Number(value=None, unit="FLOPs", refused=reason)


def portion(value: float, times: float = 1.4) -> Number:
    """A share of compute with an interval of a factor either way."""
    return share(value, value / times, value * times)


def explained(
    condition: str,
    loss: float,
    shares: dict[ShareKind, Number],
    *,
    equals: Number | None = None,
    note: str = "",
) -> Explained:
    """A condition, where the curve has it unless something else is said."""
    if equals is None:
        value = compute_of(loss)
        equals = flops(value, value / 1.5, value * 1.6)
    return Explained(
        condition=condition,
        loss=nats(loss, loss - 0.03, loss + 0.03),
        equals=equals,
        shares=shares,
        note=note,
    )


def rungs() -> tuple[RungPoint, ...]:
    """Six rungs, the first three from three seeds each."""
    found = []
    for i, compute in enumerate(COMPUTES):
        for seed in range(3 if i < 3 else 1):
            loss = loss_at(compute) + WRONG.get(i, 0.0) + (0.0, 0.021, -0.017)[seed]
            found.append(
                RungPoint(
                    name=f"rung-{i + 1}" + (f"-seed-{seed}" if seed else ""),
                    rung=i + 1,
                    seed=seed,
                    compute=compute,
                    parameters=round(math.sqrt(compute / 120)),
                    tokens=round(20 * math.sqrt(compute / 120)),
                    loss=nats(loss, loss - 0.045, loss + 0.045),
                )
            )
    return tuple(found)


def law() -> FittedLaw:
    """The curve, with a band that widens towards its ends."""
    line = []
    for i in range(33):
        compute = 2e11 * (1.3e15 / 2e11) ** (i / 32)
        width = 0.02 + 0.05 * abs(i - 12) ** 1.5 / 64
        loss = loss_at(compute)
        line.append(CurvePoint(compute=compute, loss=loss, low=loss - width, high=loss + width))
    return FittedLaw(
        floor=nats(FLOOR, 1.21, 2.18),
        exponent=Number(value=EXPONENT, low=0.118, high=0.183),
        scale=SCALE,
        least=COMPUTES[0],
        greatest=COMPUTES[-1],
        noise=0.0061,
        line=tuple(line),
        left_out=0.0082,
    )


def bend() -> FittedBend:
    """A curve that bends, through the middle of the law and a little below it elsewhere."""
    middle = 6.2e12
    found = FittedBend(
        form="bend",
        middle=middle,
        log_loss=math.log(loss_at(middle)),
        exponent=Number(value=0.0713, low=0.069, high=0.0738),
        bends=Number(value=-0.0012, low=-0.0031, high=0.0007),
        noise=0.0068,
        line=(),
        left_out=0.0117,
    )
    line = [
        CurvePoint(
            compute=c, loss=found.loss(c), low=found.loss(c) - 0.03, high=found.loss(c) + 0.03
        )
        for c in COMPUTES
    ]
    return found.model_copy(update={"line": tuple(line)})


def left_out() -> tuple[LeftOutRung, ...]:
    """Each rung against the others; the third is missed, the last has no upper end."""
    found = []
    for i, compute in enumerate(COMPUTES):
        loss = loss_at(compute) + WRONG.get(i, 0.0)
        value = compute * (1.04, 1.11, 1.44, 0.92, 0.97, 1.31)[i]
        predicted = loss + 0.004 * (i - 2)
        found.append(
            LeftOutRung(
                rung=f"rung-{i + 1}",
                loss=nats(loss, loss - 0.045, loss + 0.045),
                predicted=nats(predicted, predicted - 0.06, predicted + 0.06),
                compute=compute,
                equals=flops(value, value / 1.3, None if i == 5 else value * 1.3),
                outside=i in (0, 5),
            )
        )
    return tuple(found)


def web_scale() -> Scale:
    """Shares of several orders of magnitude, extrapolated, open and refused places."""
    whole = compute_of(2.9142)
    return Scale(
        says="Six models of 24 to 128 dimensions, trained on the fit part's tokens.",
        rungs=rungs(),
        law=law(),
        bend=bend(),
        scatter="runs of a rung scatter by 0.6% of a loss on this text, which is in the intervals",
        left=left_out(),
        subject=explained("intact", 2.9142, {"frontier": share(1.0, 1.0, 1.0)}),
        explained=(
            explained(
                "strict induction",
                3.61,
                {
                    "frontier": portion(compute_of(3.61) / whole),
                    "bend": portion(compute_of(3.61) / whole * 0.8),
                    "own run": portion(3e-4, 3.0),
                    "annealed": portion(2.1e-5),
                    "data": refused(NO_RUN, None),
                },
            ),
            explained(
                "strict induction, own amount",
                3.17,
                {"frontier": portion(compute_of(3.17) / whole), "own run": portion(0.0041)},
                equals=flops(compute_of(3.17), compute_of(3.17) / 2.2, None),
                note="the loss is not distinguishable from the floor: no upper end",
            ),
            explained(HOSTILE_NAME, 3.66, {"frontier": portion(compute_of(3.66) / whole)}),
            explained("affine map", 3.38, {"frontier": portion(compute_of(3.38) / whole)}),
            explained("mean", 4.41, {"frontier": portion(compute_of(4.41) / whole)}),
            explained("shuffled tokens", 4.46, {"frontier": portion(compute_of(4.46) / whole)}),
            explained("bigram", 5.031, {"frontier": portion(compute_of(5.031) / whole, 2.0)}),
            explained(
                "affine map, shuffled",
                7.2,
                {"frontier": portion(compute_of(7.2) / whole, 4.0)},
                note="extrapolated far below the ladder",
            ),
            explained("uniform", 10.8027, {"frontier": refused(FAR, None)}, equals=no_flops(FAR)),
            explained(
                "own output",
                1.741,
                {"frontier": refused(BELOW_FLOOR, None)},
                equals=no_flops(BELOW_FLOOR),
            ),
        ),
    )


def _against(name: str, loss: float, base: float, whole: float) -> BaselineBar:
    kept = (base - loss) / (base - whole)
    number = share(kept, kept - 0.02, kept + 0.02)
    return BaselineBar(
        baseline=name,
        damage=nats(base - whole, base - whole - 0.08, base - whole + 0.08),
        recovered=number,
        distances={
            str(bar): share(kept - bar, kept - bar - 0.02, kept - bar + 0.02) for bar in LEVELS
        },
        nines=Number(value=-math.log10(1 - kept)) if kept < 1 else refused("it is 100%", None),
    )


def _rung(i: int, loss: float, bases: dict[str, float], whole: float) -> RungBar:
    weak = loss_at(COMPUTES[i])
    kept = (weak - loss) / (weak - whole)
    closed = {name: (base - weak) / (base - whole) for name, base in bases.items()}
    return RungBar(
        rung=f"rung-{i + 1}",
        loss=nats(weak, weak - 0.05, weak + 0.05),
        gap=nats(weak - whole, weak - whole - 0.04, weak - whole + 0.04),
        score=share(kept, kept - 0.06, kept + 0.06),
        share={name: share(r, r - 0.015, r + 0.015) for name, r in closed.items()},
    )


def _place(condition: str, loss: float, place: str) -> Ties:
    comparisons = []
    for i, compute in enumerate(COMPUTES):
        gap = loss - loss_at(compute)
        standing: Standing = "ties" if abs(gap) < 0.05 else "loses" if gap > 0 else "beats"
        comparisons.append(
            Comparison(
                rung=f"rung-{i + 1}",
                difference=nats(gap, gap - 0.05, gap + 0.05),
                standing=standing,
            )
        )
    return Ties(
        condition=condition,
        comparisons=tuple(comparisons),
        place=place,
        level=0.95,
        each=ADJUSTED,
    )


def bars(
    condition: str,
    loss: float,
    bases: dict[str, float],
    whole: float,
    place: str = "",
    stratum: tuple[str, str] = ("all", "all"),
) -> Bars:
    """A condition held against baselines, and against the six rungs where a place is given."""
    return Bars(
        condition=condition,
        partition=stratum[0],
        label=stratum[1],
        tokens=50_800 if stratum[0] == "all" else 11_390,
        loss=nats(loss, loss - 0.05, loss + 0.05),
        baselines=tuple(_against(name, loss, base, whole) for name, base in bases.items()),
        rungs=tuple(_rung(i, loss, bases, whole) for i in range(6)) if place else (),
        place=_place(condition, loss, place) if place else None,
    )


def web_bars() -> tuple[Bars, ...]:
    """Three conditions and a baseline among weaker models, and one of them on some tokens."""
    bases = {"uniform": 10.8027, "bigram": 5.031, "mean": 4.41}
    cut = ("recurrence", "recurs, continuation repeats")
    return (
        bars("strict induction", 3.61, bases, 2.9142, "between rung-3 and rung-4"),
        bars("strict induction, own amount", 3.17, bases, 2.9142, "ties with rung-5 and rung-6"),
        bars(HOSTILE_NAME, 3.66, bases, 2.9142, "between rung-3 and rung-4"),
        bars("bigram", 5.031, {"uniform": 10.8027}, 2.9142, "below all"),
        bars("strict induction", 3.3, bases, 2.2, "above all", cut),
    )


def repeats_bars() -> tuple[Bars, ...]:
    """A text without a ladder: baselines alone, one of them refused."""
    whole = bars("strict induction", 6.1915, {"uniform": 10.8027, "mean": 7.4262}, 6.1)
    noise = whole.baselines[0].model_copy(
        update={
            "baseline": "bigram",
            "damage": nats(0.01, -0.02, 0.04),
            "recovered": refused("the denominator is within noise of zero", 88_000),
            "nines": refused("the denominator is within noise of zero", 88_000),
            "distances": {},
        }
    )
    return (whole.model_copy(update={"baselines": (*whole.baselines, noise)}),)
