"""How often the intervals of fitted curves hold the truth, on planted ladders, straight and bent.

    python benchmarks/curve_coverage.py [--repeats 100] [--out results/curve_coverage.json]

Every world is a true curve, rungs a factor of three apart, and noise from run to run. Its runs are drawn
again and again, curves are fitted, and their intervals at 95% are asked for what is known: the
loss at three places between rungs, at both end rungs, three times beyond either and a decade
beyond, the compute at the three places, and the share of compute of two losses. Every number is
there three times: by the curve that is chosen (`chosen`), by the law alone, as before there was a
choice (`law`), and, in `before`, as measured by the version without one. `runs` does the same for
shares read between rungs and for places among them, where training runs are a source of variation.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from unexplained.curves import (
    CURVES,
    FittedCurve,
    TrainedPoint,
    compute_of,
    fit_curve,
    leave_one_out,
    loss_at,
    share,
)
from unexplained.errors import CurveError
from unexplained.estimators.seeds import scatter_of
from unexplained.ladder.own import share_between_rungs
from unexplained.ladder.scale import ROOM
from unexplained.ladder.scatter import moved_runs
from unexplained.record import Number
from unexplained.stats import NATS, Settings
from unexplained.study.provenance import machine, versions

SEED = 0
RESAMPLES = 300
LEAST = 4e11
PLACES = (0.2, 0.5, 0.85)
"""Where inside the range the truth is asked for, as shares of its logarithm; never at a rung."""
MIDDLE = 6e12
TRUTHS: dict[str, Callable[[float], float]] = {
    # Straight or flattening: laws that others published, at the loss of their own ranges, and a floor.
    "kaplan": CURVES["kaplan"].loss,
    "cerebras": lambda c: CURVES["cerebras"].loss(c * 2.5e4),
    "hoffmann": lambda c: CURVES["hoffmann"].loss(c * 2.5e6),
    "floor of 2": lambda c: 2 + 1.5 * (c / LEAST) ** -0.35,
    # Bent. Quadratic: as fitted to the ladder that ships.
    "quadratic": lambda c: math.exp(
        1.5254 - 0.06446 * math.log(c / 3.33e12) - 0.00341 * math.log(c / 3.33e12) ** 2
    ),
    # A smoothly broken power law (Caballero et al., 2210.14891, eq. 1): from 0.055 to 0.095.
    "broken": lambda c: 4.4 * (c / MIDDLE) ** -0.055 * ((1 + c / MIDDLE) / 2) ** -0.04,
    # Straight in ln C itself.
    "logarithmic": lambda c: 5.2 - 0.3 * math.log(c / LEAST),
    # Flat before the first rung.
    "shifted": lambda c: 5.2 * ((c + LEAST) / (2 * LEAST)) ** -0.08,
}
BENT = ("quadratic", "broken", "logarithmic", "shifted")


@dataclass(frozen=True)
class World:
    """What is planted."""

    truth: str
    rungs: int
    noise: float
    """Of one run's log loss."""
    seeds: tuple[int, ...] = ()
    """Models per rung; one each where it is empty."""
    misfit: float = 0.0
    """Of a rung's log loss, shared by its seeds."""

    @property
    def compute(self) -> np.ndarray:
        """FLOPs of the rungs."""
        return LEAST * 3.0 ** np.arange(self.rungs)

    def draws(self) -> np.random.Generator:
        """Of its own, so that worlds are independent and methods see the same runs."""
        return np.random.default_rng([SEED, crc32(repr(self).encode())])

    def points(self, rng: np.random.Generator) -> list[TrainedPoint]:
        """One draw of its models."""
        points = []
        for at, compute in enumerate(self.compute):
            off = self.misfit * rng.standard_normal()
            for seed in range(self.seeds[at] if self.seeds else 1):
                log = np.log(TRUTHS[self.truth](float(compute))) + off
                loss = float(np.exp(log + self.noise * rng.standard_normal()))
                points.append(TrainedPoint(float(compute), loss, str(at), seed))
        return points


AS_SHIPPED = tuple(World(truth, 6, 0.008, (3, 3, 3, 3, 1, 1)) for truth in TRUTHS)
SINGLE = tuple(World(truth, 6, 0.003) for truth in TRUTHS)
LONGER = tuple(
    World(truth, 8, 0.008) for truth in ("cerebras", "floor of 2", "quadratic", "broken")
)
MISFIT = tuple(
    World(truth, 6, 0.003, (3, 3, 3, 3, 1, 1), misfit=0.005) for truth in ("cerebras", "quadratic")
)


def main() -> None:
    """Measure and write one JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "curve_coverage.json"
    )
    asked = parser.parse_args()
    start = time.process_time()
    before = json.loads(asked.out.read_text(encoding="utf-8")) if asked.out.exists() else {}
    groups = {
        "as shipped": AS_SHIPPED, "one seed": SINGLE, "longer": LONGER, "misfit": MISFIT
    }  # fmt: skip
    found: dict[str, Any] = {
        "what": __doc__.partition("\n")[0],
        "level": 0.95,
        "seed": SEED,
        "resamples": RESAMPLES,
        "repeats": asked.repeats,
        "places": PLACES,
        "worlds": {},
        "summary": {},
    }
    for group, worlds in groups.items():
        rows = []
        for world in worlds:
            rows.append({"world": asdict(world), **measured(world, asked.repeats)})
            print(group, rows[-1], flush=True)
        found["worlds"][group] = rows
        found["summary"][group] = summary(rows)
    found["runs"] = [runs(truth, 5 * asked.repeats) for truth in ("cerebras", "quadratic")]
    found["leave one out"] = left_out(asked.repeats // 4)
    # The version before fitted the law alone, in other worlds: what it found is kept as it was.
    found["before"] = before.get("before") or {
        key: before[key] for key in ("what", "repeats", "summary", "methods", "leave one out")
        if key in before
    }  # fmt: skip
    found |= {
        "cpu_seconds": round(time.process_time() - start),
        "versions": versions(),
        "machine": machine(),
    }
    asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({key: found[key] for key in ("summary", "runs", "leave one out")}, indent=1))


def measured(world: World, repeats: int) -> dict[str, Any]:
    """Shares of the intervals that hold the truth, and how long they are."""
    truth, rng = TRUTHS[world.truth], world.draws()
    hits: dict[str, dict[str, list[float]]] = {"chosen": {}, "law": {}}
    lengths: dict[str, list[float]] = {"chosen": [], "law": []}
    forms: list[str] = []
    refused = 0
    for repeat in range(repeats):
        try:
            curve = fit_curve(world.points(rng), Settings(resamples=RESAMPLES, seed=repeat))
        except CurveError:
            refused += 1
            continue
        forms.append(curve.form)
        for which, one in (("chosen", curve), ("law", curve.only("law"))):
            found, length = once(one, truth, float(world.compute[-1]))
            lengths[which].append(length)
            for what, hit in found.items():
                hits[which].setdefault(what, []).append(hit)
    shown = {
        which: {
            **{what: round(float(np.nanmean(hit)), 3) for what, hit in found.items()},
            "refused three times beyond": int(np.isnan(found["loss three times beyond"]).sum()),
            "median ln(high / low) of the share": round(float(np.median(lengths[which])), 3),
        }
        for which, found in hits.items()
    }
    return {
        **shown,
        "forms": {form: round(forms.count(form) / len(forms), 3) for form in sorted(set(forms))},
        "no ladder": refused,
    }


def once(
    curve: FittedCurve, truth: Callable[[float], float], top: float
) -> tuple[dict[str, float], float]:
    """What one fitted curve's intervals hold, and how long that of the share is."""
    inside = [float(LEAST * (top / LEAST) ** place) for place in PLACES]
    ends = {"loss at the least rung": LEAST, "loss at the greatest rung": top}
    far = {"loss three times beyond": 3 * top, "loss a decade beyond": 10 * top,
           "loss a third of the least": LEAST / 3}  # fmt: skip
    losses = [Number(value=truth(compute), unit=NATS) for compute in inside]
    pairs = list(zip(inside, losses, strict=True))
    ratio = share(curve, losses[0], losses[-1], extrapolate=True).share
    found = {
        "loss inside": np.mean([holds(loss_at(curve, c).loss, truth(c)) for c in inside]),
        "compute inside": np.mean(
            [holds(compute_of(curve, loss, extrapolate=True).compute, c) for c, loss in pairs]
        ),
        "share inside": holds(ratio, inside[0] / inside[-1]),
        **{what: holds(loss_at(curve, c).loss, truth(c)) for what, c in ends.items()},
        **{
            what: holds(loss_at(curve, c, extrapolate=True).loss, truth(c))
            for what, c in far.items()
        },
    }
    length = math.inf
    if ratio.low and ratio.high is not None:
        length = math.log(ratio.high / ratio.low)
    return {what: float(hit) for what, hit in found.items()}, length


def holds(number: Number, truth: float) -> float:
    """Whether the interval holds it: 1 or 0; NaN for a refusal."""
    if number.value is None or number.low is None:
        return math.nan
    return float(number.low <= truth <= (np.inf if number.high is None else number.high))


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean, least and greatest coverage over worlds, straight and bent ones apart."""
    found: dict[str, Any] = {}
    for kind in ("straight", "bent"):
        some = [row for row in rows if (row["world"]["truth"] in BENT) == (kind == "bent")]
        for which in ("chosen", "law"):
            found[f"{kind}, {which}"] = {
                what: {
                    "mean": round(float(np.mean([row[which][what] for row in some])), 3),
                    "least": min(row[which][what] for row in some),
                    "greatest": max(row[which][what] for row in some),
                }
                for what in some[0][which]
                if what.startswith(("loss", "compute", "share"))
            }
    return found


def runs(truth: str, repeats: int) -> dict[str, Any]:
    """Shares between rungs with runs as variation and without, of losses that are known exactly.

    `runs too` is what the package does; `seeds resampled` draws the seeds of a rung with replacement
    where there are several and adds the pooled scatter where there is one.

    The truth is read between the rungs' own true losses, so that what a straight line between two of
    them misses of a curve is not counted.
    """
    world = World(truth, 6, 0.008, (3, 3, 3, 3, 1, 1))
    rng, compute = world.draws(), world.compute
    true = np.array([TRUTHS[truth](float(c)) for c in compute])
    explained, model = math.exp((math.log(true[1]) + math.log(true[2])) / 2), float(true[4])
    wanted = math.sqrt(compute[1] * compute[2]) / compute[4]
    hits: dict[str, list[float]] = {"documents alone": [], "runs too": [], "seeds resampled": []}
    for repeat in range(repeats):
        settings = Settings(resamples=RESAMPLES, seed=repeat)
        logs = [
            np.log(loss) + world.noise * rng.standard_normal(count)
            for loss, count in zip(true, world.seeds, strict=True)
        ]
        means = np.array([log.mean() for log in logs])
        if (np.diff(means) >= 0).any() or not means[0] > math.log(explained) > means[-1]:
            continue
        scatter = scatter_of(logs)
        moved = {
            "documents alone": np.zeros((6, RESAMPLES)),
            "runs too": moved_runs(scatter, world.seeds, settings),
        }
        moved["seeds resampled"] = np.stack(
            [
                rng.choice(log, (RESAMPLES, log.size)).mean(1) - log.mean() if log.size > 1 else by
                for log, by in zip(logs, moved["runs too"], strict=True)
            ]
        )
        for how, by in moved.items():
            found = share_between_rungs(
                compute, np.exp(means), np.exp(means[:, None] + by),
                (explained, np.full(RESAMPLES, explained)), (model, np.full(RESAMPLES, model)),
                settings=settings, room=ROOM * (scatter.deviation or 0.0),
            )  # fmt: skip
            hits[how].append(holds(found, wanted))
    return {
        "truth": truth,
        "world": asdict(world),
        **{how: round(float(np.nanmean(hit)), 3) for how, hit in hits.items()},
    }


def left_out(repeats: int) -> list[dict[str, Any]]:
    """Coverage of `leave_one_out`, of runs that scatter."""
    rows = []
    for world in (World("cerebras", 6, 0.003), World("quadratic", 6, 0.008, (3, 3, 3, 3, 1, 1))):
        rng = world.draws()
        hits: dict[str, list[bool]] = {"inner": [], "end": [], "inner compute": []}
        for repeat in range(repeats):
            settings = Settings(resamples=RESAMPLES, seed=repeat)
            try:
                rungs = leave_one_out(world.points(rng), settings)
            except CurveError:
                continue
            for rung in rungs:
                hits["end" if rung.extrapolated else "inner"].append(bool(rung.covered))
                if not rung.extrapolated and rung.compute_covered is not None:
                    hits["inner compute"].append(rung.compute_covered)
        rows.append(
            {"world": asdict(world), **{k: round(float(np.mean(v)), 3) for k, v in hits.items()}}
        )
        print(rows[-1], flush=True)
    return rows


if __name__ == "__main__":
    main()
