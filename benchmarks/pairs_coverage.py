"""How often the interval of the factor over three pairs of runs holds it (`bars.over_pairs`).

    python benchmarks/pairs_coverage.py       # writes results/pairs_coverage.json, some minutes

A document's gap is lognormal, σ = 1, its tokens' exponential, and every pair adds noise of its own:
the factor is E[μ²] / E[μ]² = 2 e.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np

from unexplained.bars import runs
from unexplained.bars.tokens import TokenLosses
from unexplained.stats import Settings
from unexplained.study.provenance import machine, versions

TEXTS, TOKENS, PAIRS, SEED = 400, 20, 3, 7
TRUTH = 2 * math.e


def cell(documents: int) -> dict[str, float]:
    """Of one number of documents."""
    rng, found = np.random.default_rng([SEED, documents]), []
    at = np.repeat(np.arange(documents), TOKENS)
    read = TokenLosses(tuple(f"d{i}" for i in range(documents)), at, {})
    for seed in range(TEXTS):
        effect = rng.lognormal(-0.5, 1.0, documents)[at] * rng.exponential(1.0, at.size)
        gaps = 0.3 * effect + 0.2 * rng.standard_normal((PAIRS, at.size))
        if (gaps.sum(1) > 0).all():
            found.append(runs._factor(read, gaps, Settings(seed=seed)))
    printed = [one for one in found if one.value is not None and one.low is not None]
    held = [one.low <= TRUTH <= (one.high or math.inf) for one in printed]
    return {"documents": documents, "texts": TEXTS, "printed": len(printed),
            "held": round(float(np.mean(held)), 4)}  # fmt: skip


def main() -> None:
    """Measure, print and write."""
    cells = [cell(documents) for documents in (8, 16, 48)]
    print(*cells, sep="\n")
    about = {"seed": SEED, "truth": TRUTH, "versions": versions(), "machine": machine()}
    path = Path(__file__).parent / "results" / "pairs_coverage.json"
    path.write_text(json.dumps(about | {"cells": cells}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
