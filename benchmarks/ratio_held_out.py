"""Do intervals of ratios hold in designs by which they were not tuned? Asked of the package itself.

    python benchmarks/ratio_held_out.py

Damages that `ratio_designs` has not (gamma, Weibull, Pareto, Laplace, Gumbel, chi-squared), explained
evenly, worse or better where they are large, or otherwise where the ablation helps. A cell's `unseen` is
the chance that a text has no document of the kind that is explained otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from unexplained.stats import Settings, fraction
from unexplained.study.provenance import machine, versions

HERE = Path(__file__).parent
SEED, MANY = 7, 2_000_000
TEXTS = {8: 500, 16: 500, 48: 400, 135: 300}
EMPTIES = 600
Draw = Callable[[np.random.Generator, int], np.ndarray]

DAMAGES: dict[str, Draw] = {
    "gamma, shape 0.5": lambda rng, n: rng.gamma(0.5, 2, n),
    "gamma, shape 2": lambda rng, n: rng.gamma(2, 0.5, n),
    "Weibull, 0.7": lambda rng, n: rng.weibull(0.7, n),
    "Pareto, 3": lambda rng, n: rng.pareto(3, n),
    "Pareto, 2.2": lambda rng, n: rng.pareto(2.2, n),
    "Laplace + 1": lambda rng, n: 1 + rng.laplace(0, 1, n),
    "Gumbel": lambda rng, n: rng.gumbel(0.6, 1, n),
    "1.5 − Gumbel": lambda rng, n: 1.5 - rng.gumbel(0, 1, n),
    "3 − chi-squared": lambda rng, n: 3 - rng.chisquare(2, n),
    "exponential": lambda rng, n: rng.exponential(1, n),
}
EXPLAINED: dict[str, tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]] = {
    "evenly": (lambda x: np.full_like(x, 0.7), lambda x: np.full(x.shape, True)),
    "worse where large": (lambda x: 0.9 / (1 + np.exp(np.minimum(2 * (x - 1), 50))), lambda x: x > 1),
    "below 0 above 2": (lambda x: np.where(x > 2, -0.5, 0.95), lambda x: x > 2),
    "better where large": (lambda x: 1 - 0.8 * np.exp(-np.maximum(x, 0)), lambda x: x < 0.5),
}  # fmt: skip


def lengths(rng: np.random.Generator, n: int, uneven: bool) -> np.ndarray:
    """Tokens of the documents."""
    if not uneven:
        return np.full(n, 127.0)
    found: np.ndarray = np.clip(rng.lognormal(4.5, 0.7, n), 8, 2000).round()
    return found


def covered(damage: str, explained: str, uneven: bool, n: int) -> dict[str, object]:
    """How often a ratio is printed, and holds the truth among those printed."""
    rng = np.random.default_rng([SEED, n, uneven, *damage.encode(), *explained.encode()])
    draw, (share, otherwise) = DAMAGES[damage], EXPLAINED[explained]
    many = draw(rng, MANY)
    truth = float((share(many) * many).mean() / many.mean())
    held = printed = 0
    for _ in range(TEXTS[n]):
        x, tokens = draw(rng, n), lengths(rng, n, uneven)
        noise = rng.normal(0, 0.2, n)
        found = fraction((share(x) * x + noise) * 0.02 * tokens, 0.02 * x * tokens, tokens,
                         what="damage", settings=Settings())  # fmt: skip
        if found.low is not None and found.high is not None:
            printed += 1
            held += found.low <= truth <= found.high
    return {"damage": damage, "explained": explained, "uneven": uneven, "documents": n,
            "truth": truth, "texts": TEXTS[n], "printed": printed, "held": held,
            "unseen": float((1 - otherwise(many).mean()) ** n)}  # fmt: skip


def accepted(damage: str, sign: int, n: int) -> dict[str, object]:
    """How often a denominator without expectation is divided by."""
    rng = np.random.default_rng([SEED, n, sign + 1, *damage.encode()])
    mean = DAMAGES[damage](rng, MANY).mean()
    count = 0
    for _ in range(EMPTIES):
        tokens = lengths(rng, n, True)
        total = sign * (DAMAGES[damage](rng, n) - mean) * tokens
        found = fraction(0.5 * total + rng.normal(0, 1, n), total, tokens, what="damage",
                         settings=Settings())  # fmt: skip
        count += found.value is not None
    return {"damage": damage, "sign": sign, "documents": n, "texts": EMPTIES, "accepted": count}


def main() -> None:
    """Measure all cells, print those that fall short, write `results/ratio_held_out.json`."""
    cells = [covered(d, e, u, n) for d in DAMAGES for e in EXPLAINED for u in (False, True)
             for n in TEXTS]  # fmt: skip
    empty = [
        accepted(d, s, n) for d in DAMAGES if d != "Pareto, 2.2" for s in (1, -1) for n in TEXTS
    ]
    about = {"seed": SEED, "versions": versions(), "machine": machine()}
    path = HERE / "results" / "ratio_held_out.json"
    path.write_text(json.dumps(about | {"cells": cells, "empty": empty}, indent=0) + "\n", "utf-8")
    seen = [c for c in cells if c["unseen"] <= 0.05 and c["printed"] >= 0.05 * c["texts"]]  # type: ignore[operator]
    short = [c for c in seen if c["held"] < 0.93 * c["printed"]]  # type: ignore[operator]
    print(f"{len(short)} of {len(seen)} cells below 93%")
    for cell in short:
        print({k: v for k, v in cell.items() if k != "truth"})
    print("accepted above 5%:", [e for e in empty if e["accepted"] > 0.05 * EMPTIES])  # type: ignore[operator]


if __name__ == "__main__":
    main()
