"""How often the intervals of fitted curves hold the truth, on planted curves.

    python benchmarks/curve_coverage.py [--repeats 100] [--out results/curve_coverage.json]

Every world is a true curve, rungs spread over a range of compute, and noise from run to run. Its
runs are drawn again and again, a curve is fitted, and its intervals at 95% are asked for what is
known: the loss and the compute at three places between rungs, the share of compute of two losses,
and one decade beyond. `methods` holds other ways to make the draws against ours, in a few worlds.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from unexplained.assays.provenance import machine, versions
from unexplained.curves import (
    CURVES,
    Curve,
    FittedCurve,
    Point,
    compute_of,
    fit_curve,
    leave_one_out,
    loss_at,
    share,
)
from unexplained.curves.solve import solve
from unexplained.errors import CurveError
from unexplained.record import Number
from unexplained.stats import NATS, Settings

SEED = 0
RESAMPLES = 300
LEAST = 1e16
PLACES = (0.2, 0.5, 0.85)
"""Where inside the range the truth is asked for, as shares of its logarithm; never at a rung."""
TRUTHS = {
    **CURVES,
    # A ladder of tiny models: 1.5 nats above a floor of 2 at the least compute, and bent.
    "bent": Curve("bent", 2.0, 1.5 * LEAST**0.35, 0.35),
}


@dataclass(frozen=True)
class World:
    """What is planted."""

    truth: str
    rungs: int
    decades: float
    noise: float
    """Of one run's log loss."""
    seeds: tuple[int, ...] = ()
    """Models per rung; one each where it is empty."""
    misfit: float = 0.0
    """Of a rung's log loss, shared by its seeds."""

    @property
    def compute(self) -> np.ndarray:
        """FLOPs of the rungs."""
        return LEAST * 10 ** np.linspace(0, self.decades, self.rungs)

    def draws(self) -> np.random.Generator:
        """Of its own, so that worlds are independent and methods see the same runs."""
        return np.random.default_rng([SEED, crc32(repr(self).encode())])

    def points(self, rng: np.random.Generator) -> list[Point]:
        """One draw of its models."""
        points = []
        for at, compute in enumerate(self.compute):
            off = self.misfit * rng.standard_normal()
            for seed in range(self.seeds[at] if self.seeds else 1):
                log = np.log(TRUTHS[self.truth].loss(compute)) + off
                loss = float(np.exp(log + self.noise * rng.standard_normal()))
                points.append(Point(float(compute), loss, str(at), seed))
        return points


SINGLE = tuple(
    World(truth, rungs, decades, noise)
    for truth in ("kaplan", "cerebras", "hoffmann", "bent")
    for rungs, decades in ((5, 2.0), (6, 2.5), (8, 3.0))
    for noise in (0.003, 0.01)
)
SEEDED = tuple(
    World(truth, 6, 2.5, noise, seeds)
    for truth in ("cerebras", "bent")
    for noise in (0.003, 0.01)
    for seeds in ((3, 3, 1, 1, 1, 1), (2, 2, 2, 2, 2, 2))
)
MISFIT = tuple(
    World(truth, 6, 2.5, 0.003, seeds, misfit=0.005)
    for truth in ("cerebras", "bent")
    for seeds in ((3, 3, 1, 1, 1, 1), (3, 3, 3, 3, 3, 3))
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
    groups = {"one seed": SINGLE, "several seeds": SEEDED, "misfit": MISFIT}
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
    found["methods"] = methods(asked.repeats)
    found["leave one out"] = left_out(asked.repeats // 4)
    found |= {
        "cpu_seconds": round(time.process_time() - start),
        "versions": versions(),
        "machine": machine(),
    }
    asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(
        json.dumps({key: found[key] for key in ("summary", "methods", "leave one out")}, indent=1)
    )


def fitted(world: World, repeats: int, fit: Callable[[list[Point], int], FittedCurve]) -> Any:
    """Yield a fitted curve per draw of a world; None where it is refused."""
    rng = world.draws()
    for repeat in range(repeats):
        try:
            yield fit(world.points(rng), repeat)
        except CurveError:
            yield None


def ours(points: list[Point], seed: int) -> FittedCurve:
    """The product's own fit."""
    return fit_curve(points, Settings(resamples=RESAMPLES, seed=seed))


def measured(
    world: World, repeats: int, fit: Callable[[list[Point], int], FittedCurve] = ours
) -> dict[str, Any]:
    """Shares of the intervals that hold the truth, and how long they are."""
    truth = TRUTHS[world.truth]
    inside = [float(LEAST * 10 ** (world.decades * place)) for place in PLACES]
    beyond = float(LEAST * 10 ** (world.decades + 1))
    hits: dict[str, list[float]] = {}
    lengths, endless, refused = [], 0, 0
    for curve in fitted(world, repeats, fit):
        if curve is None:
            refused += 1
            continue
        one = once(curve, truth, inside, beyond)
        middle = one.pop("middle")
        lengths.append(np.inf if middle.high is None else middle.high / middle.low)
        endless += middle.high is None
        for what, hit in one.items():
            hits.setdefault(what, []).append(hit)
    return {
        **{what: round(float(np.mean(hit)), 4) for what, hit in hits.items()},
        "median high / low of compute": round(float(np.median(lengths)), 3),
        "without upper end": endless,
        "refused": refused,
    }


def once(curve: FittedCurve, truth: Curve, inside: list[float], beyond: float) -> dict[str, Any]:
    """What one fitted curve's intervals hold."""
    numbers = [Number(value=truth.loss(compute), unit=NATS) for compute in inside]
    losses = [loss_at(curve, compute).loss for compute in inside]
    computes = [compute_of(curve, number, extrapolate=True).compute for number in numbers]
    ratio = share(curve, numbers[0], numbers[-1], extrapolate=True).share
    far = loss_at(curve, beyond, extrapolate=True).loss
    return {
        "loss inside": np.mean([holds(n, t.value) for n, t in zip(losses, numbers, strict=True)]),
        "compute inside": np.mean([holds(n, t) for n, t in zip(computes, inside, strict=True)]),
        "share inside": holds(ratio, inside[0] / inside[-1]),
        "loss a decade beyond": holds(far, truth.loss(beyond)),
        "middle": computes[1],
    }


def holds(number: Number, truth: float) -> bool:
    """Whether the interval holds it; a refusal where the truth has a value is a miss."""
    if number.value is None or number.low is None:
        return False
    return number.low <= truth <= (np.inf if number.high is None else number.high)


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean, least and greatest coverage over worlds."""
    kinds = [what for what in rows[0] if "inside" in what or "beyond" in what]
    return {
        what: {
            "mean": round(float(np.mean([row[what] for row in rows])), 3),
            "least": min(row[what] for row in rows),
            "greatest": max(row[what] for row in rows),
        }
        for what in kinds
    }


def methods(repeats: int) -> list[dict[str, Any]]:
    """Other ways to draw, in two worlds of each size."""
    rows = []
    for world in (World("cerebras", 5, 2.0, 0.003), World("cerebras", 8, 3.0, 0.01)):
        for name, draw in METHODS.items():
            fit = lambda points, seed, draw=draw: redrawn(points, seed, draw)  # noqa: E731
            some = min(repeats, 60) if draw is pairs else repeats
            rows.append({"method": name, "world": asdict(world), **measured(world, some, fit)})
            print(rows[-1], flush=True)
    return rows


Draw = Callable[[np.ndarray, np.ndarray, np.ndarray, np.random.Generator], Any]


def redrawn(points: list[Point], seed: int, draw: Draw) -> FittedCurve:
    """Our fit with other draws."""
    curve = fit_curve(points, Settings(resamples=40, seed=seed))
    logs = np.log([point.compute for point in points])
    losses = np.log([point.loss for point in points])
    fit = np.log([curve.curve.loss(point.compute) for point in points])
    found = draw(logs, losses, fit, np.random.default_rng(seed))
    draws = np.stack([found.floor, np.exp(found.log_scale), found.alpha], axis=1)
    return replace(curve, draws=draws)


def parametric(logs: np.ndarray, losses: np.ndarray, fit: np.ndarray, rng: Any) -> Any:
    """Normal noise of the estimated spread, that spread taken for the true one."""
    spread = np.sqrt(((losses - fit) ** 2).sum() / (fit.size - 3))
    noise = spread * rng.standard_normal((RESAMPLES, fit.size))
    return solve(fit + noise, logs, np.ones(fit.size), steps=20)


def wild(logs: np.ndarray, losses: np.ndarray, fit: np.ndarray, rng: Any) -> Any:
    """Residuals with random signs, scaled for degrees of freedom."""
    left = (losses - fit) * np.sqrt(fit.size / (fit.size - 3))
    signs = rng.choice([-1.0, 1.0], (RESAMPLES, fit.size))
    return solve(fit + left * signs, logs, np.ones(fit.size), steps=20)


def pairs(logs: np.ndarray, losses: np.ndarray, fit: np.ndarray, rng: Any) -> Any:
    """Rungs with replacement; fewer draws, as each is a problem of its own."""
    chosen = rng.integers(0, fit.size, (60, fit.size))
    times = [np.bincount(row, minlength=fit.size) + 1e-9 for row in chosen]
    found = [solve(losses[None], logs, weights, steps=20) for weights in times]
    return type(found[0])(*(np.concatenate(column) for column in zip(*found, strict=True)))


METHODS = {"parametric": parametric, "wild": wild, "rungs with replacement": pairs}


def left_out(repeats: int) -> list[dict[str, Any]]:
    """Coverage of `leave_one_out`, of runs that scatter."""
    rows = []
    for world in (World("cerebras", 6, 2.5, 0.003), World("bent", 8, 3.0, 0.01)):
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
