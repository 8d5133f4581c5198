"""How often the interval of a slope over sizes holds the slope, where runs and documents vary.

    python benchmarks/seed_coverage.py       # writes results/seed_coverage.json, some minutes

Each world has sizes with so many runs, a true slope, runs that scatter about the line by their
seed, and documents that are easy or hard for all runs and a little for each. `alone` is the interval
over documents, which holds the models fixed.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from unexplained.estimators import over_runs, slope_over
from unexplained.stats import Settings

TRUTH, DOCUMENTS, WORLDS, RESAMPLES = -0.05, 48, 1000, 400
COUNTS = ((3, 3, 3, 3, 1, 1), (3, 3, 3, 3), (2, 2, 1), (2, 2, 2), (1, 1, 1, 1, 1, 1))
GROWTH = (1.0, 3.0, 1 / 3)
"""Scatter at the largest size over that at the smallest."""


def world(counts: tuple[int, ...], scatter: float, growth: float, seed: int) -> tuple[bool, ...]:
    """Whether the interval over documents and runs, and that over documents, hold the truth."""
    rng, settings = np.random.default_rng(seed), Settings(resamples=RESAMPLES, seed=seed)
    x = np.repeat(np.arange(len(counts), dtype=float), counts)
    runs = TRUTH * x + rng.normal(size=x.size) * scatter * growth ** (x / (len(counts) - 1))
    each = runs[:, None] + 0.1 * rng.normal(size=(x.size, DOCUMENTS)) + rng.normal(size=DOCUMENTS)
    times = rng.multinomial(DOCUMENTS, np.full(DOCUMENTS, 1 / DOCUMENTS), RESAMPLES)
    draws, tokens = each @ times.T / DOCUMENTS, np.ones(DOCUMENTS)
    both = slope_over(x, each.mean(1), draws, tokens, settings=settings).number
    centred = (x - x.mean()) / ((x - x.mean()) ** 2).sum()
    alone = over_runs(
        float(centred @ each.mean(1)), centred @ draws, 0.0, 1, tokens, settings=settings
    )
    held = [(n.low or 0.0) <= TRUTH <= (n.high or 0.0) for n in (both, alone)]
    return tuple(held)


def main() -> None:
    """Simulate all cells and write them."""
    cells = []
    for counts in COUNTS:
        for scatter in (0.02, 0.08):
            for growth in GROWTH if counts == COUNTS[0] else (1.0,):
                held = np.mean([world(counts, scatter, growth, i) for i in range(WORLDS)], axis=0)
                cells.append({"runs": counts, "scatter": scatter, "growth": growth,
                              "held": held[0], "alone": held[1]})  # fmt: skip
                print(cells[-1], flush=True)
    about = {
        "slope": TRUTH,
        "documents": DOCUMENTS,
        "worlds": WORLDS,
        "level": 0.95,
        "cells": cells,
    }
    path = Path(__file__).parent / "results" / "seed_coverage.json"
    path.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
