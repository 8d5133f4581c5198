"""What documents with tails do to tests of zero, control variates, the factor and the largest rise.

    python benchmarks/tails_coverage.py      # writes results/tails_coverage.json, some minutes

Everywhere `before` is the method of up to November 2026 (a plain t test, the expanded percentile
interval of resampled documents, the interval of one rise as if it had been asked for) and `now` the
package's own. Documents have lognormal lengths, σ = 0.8; effects per token have mean 0 and standard
deviation 1 unless said.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import stdtr
from scipy.stats import false_discovery_control

from unexplained.bars.accuracy import Accuracies
from unexplained.bars.concentration import _factor, inverse
from unexplained.bars.tokens import TokenLosses
from unexplained.estimators import at_random, p_values, with_control
from unexplained.intervals import left_out
from unexplained.ledger import ALL, SCHEMA, Ledger
from unexplained.record import Number
from unexplained.stats import Settings, ends, fraction, mean_per_token, times_drawn

COUNTS = (8, 16, 48, 135)
SETTINGS = Settings(resamples=1000)
TEXTS, FEW_TEXTS = 4000, 400
Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


def lognormal(sigma: float, side: int = 1) -> Draw:
    """Of mean 0 and standard deviation 1, its tail to one side."""
    mean = math.exp(sigma**2 / 2)
    deviation = mean * math.sqrt(math.expm1(sigma**2))
    return lambda rng, shape: side * (rng.lognormal(0, sigma, shape) - mean) / deviation


KINDS: dict[str, Draw] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "Student t, 3 degrees": lambda rng, shape: rng.standard_t(3, shape) / math.sqrt(3),
    "lognormal, σ = 0.5": lognormal(0.5),
    "lognormal, σ = 1.0": lognormal(1.0),
    "lognormal, σ = 1.5": lognormal(1.5),
    "left-skewed, σ = 0.5": lognormal(0.5, -1),
    "left-skewed, σ = 1.0": lognormal(1.0, -1),
    "left-skewed, σ = 1.5": lognormal(1.5, -1),
}


def plain_t(totals: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """p-values of Student's t with the jackknife's standard error."""
    n, falls = tokens.shape[-1], left_out(totals, tokens)
    mean, error = totals.sum(-1) / tokens.sum(-1), np.sqrt((n - 1) / n * (falls**2).sum(-1))
    return np.asarray(2 * stdtr(n - 1, -np.abs(mean) / error))


def false_alarms(kind: str, n: int, rng: np.random.Generator) -> dict[str, Any]:
    """How often a mean of nothing is told from zero at 5%, equal lengths and unequal, the worse."""
    found = {"before": [], "now": []}  # type: dict[str, list[float]]
    for tokens in (np.ones(n), None):
        rows = KINDS[kind](rng, (TEXTS, n))
        some = [tokens if tokens is not None else rng.lognormal(0, 0.8, n) for _ in range(40)]
        for name, test in (("before", plain_t), ("now", p_values)):
            told = [
                (test(part * sizes, sizes) < 0.05).mean()
                for part, sizes in zip(np.split(rows, 40), some, strict=True)
            ]
            found[name].append(float(np.mean(told)))
    return {"kind": kind, "n": n, **{name: max(values) for name, values in found.items()}}


def false_shares(n: int, rng: np.random.Generator) -> dict[str, Any]:
    """The same of two accuracies that are equal on average, both of rare successes in few documents."""
    hard = rng.beta(0.3, 2, (2, TEXTS, n))
    right = rng.binomial(40, hard)
    tokens = np.full(n, 40.0)
    rows = (right[0] - right[1]).astype(float)
    now = p_values(rows, tokens, share=True) < 0.05
    return {"kind": "accuracies", "n": n, "before": float((plain_t(rows, tokens) < 0.05).mean()),
            "now": float(now.mean())}  # fmt: skip


def sweep_of(kind: str, n: int, rng: np.random.Generator) -> dict[str, Any]:
    """False discoveries among 100 components that share half of their variance, 85 of them nothing."""
    effect = np.concatenate([np.zeros(85), np.linspace(0.3, 1.2, 15)])
    rates: dict[str, list[float]] = {"before": [], "now": []}
    power: dict[str, list[float]] = {"before": [], "now": []}
    for _ in range(200):
        # Half of each document's effect is everybody's: the tail as well.
        rows = np.sqrt(0.5) * (KINDS[kind](rng, (n,)) + KINDS[kind](rng, (100, n)))
        rows = rows + effect[:, None]
        for name, test in (("before", plain_t), ("now", p_values)):
            told = false_discovery_control(test(rows, np.ones(n))) < 0.05
            rates[name].append(told[:85].sum() / max(told.sum(), 1))
            power[name].append(told[85:].mean())
    return {"kind": kind, "n": n, "rate": {k: float(np.mean(v)) for k, v in rates.items()},
            "found": {k: float(np.mean(v)) for k, v in power.items()}}  # fmt: skip


def control(kind: str, n: int, rho: float, rng: np.random.Generator) -> dict[str, Any]:
    """Coverage of a control variate's interval, and how often nothing is told from zero."""
    held: dict[str, list[bool]] = {"before": [], "now": [], "told": []}
    for _ in range(FEW_TEXTS):
        tokens = np.round(100 * rng.lognormal(0, 0.8, 10 * n)) + 1
        like, unlike = KINDS[kind](rng, (10 * n,)), KINDS[kind](rng, (10 * n,))
        truth = (rho * like + math.sqrt(1 - rho**2) * unlike) * tokens
        chosen = at_random(n, 10 * n, seed=int(rng.integers(2**31)))
        approx = (2 * like - 5) * tokens
        one = with_control(truth[chosen], approx, tokens, chosen, settings=SETTINGS)
        held["now"].append(_holds(one.number, 0.0))
        held["told"].append(one.p is not None and one.p < 0.05)
        # Without its approximation the former interval was that of resampled documents.
        plain = _resampled(truth[chosen], tokens[chosen])
        held["before"].append(_holds(plain, 0.0))
    return {"kind": kind, "n": n, "correlation": rho, "held": {
        name: float(np.mean(held[name])) for name in ("before", "now")
    }, "told": float(np.mean(held["told"]))}  # fmt: skip


def _holds(number: Number, truth: float) -> bool:
    low = -math.inf if number.low is None else number.low
    return low <= truth <= (math.inf if number.high is None else number.high)


def _resampled(total: np.ndarray, tokens: np.ndarray) -> Number:
    """The expanded percentile interval of a mean."""
    drawn = times_drawn(tokens.size, SETTINGS.resamples, 0) @ np.stack([total, tokens], axis=1)
    value = float(total.sum() / tokens.sum())
    low, high = ends(drawn[:, 0] / drawn[:, 1], value, tokens, SETTINGS.level)
    return Number(value=value, low=low, high=high)


SCALES: dict[str, tuple[Draw, float]] = {
    "normal, 0.3": (lambda rng, shape: 1 + 0.3 * rng.normal(size=shape), 1.09),
    "Student t, 3 degrees, 0.5": (
        lambda rng, shape: 1 + 0.5 * rng.standard_t(3, shape) / math.sqrt(3), 1.25,
    ),
    "lognormal, σ = 0.5": (
        lambda rng, shape: rng.lognormal(-0.125, 0.5, shape), math.exp(0.25),
    ),
    "lognormal, σ = 1.0": (lambda rng, shape: rng.lognormal(-0.5, 1, shape), math.e),
    "left-skewed, σ = 0.5": (
        lambda rng, shape: 2 - rng.lognormal(-0.125, 0.5, shape), math.exp(0.25),
    ),
}  # fmt: skip
"""Of each document's gap per token, mean 1, with its mean square."""
TOKENS: dict[str, tuple[Draw, float]] = {
    "even": (lambda rng, shape: np.ones(shape), 1.0),
    "exponential": (lambda rng, shape: rng.exponential(1, shape), 2.0),
    "one in 20 has it": (lambda rng, shape: 20.0 * (rng.random(shape) < 0.05), 20.0),
}
"""Of each token's part in it, mean 1, with its mean square."""


def factor(scale: str, kind: str, n: int, rng: np.random.Generator) -> dict[str, Any]:
    """Coverage of the concentration factor, and of the effective share where it is printed."""
    sizes, square = SCALES[scale]
    parts, mean_square = TOKENS[kind]
    truth, held = square * mean_square, {"before": [], "now": [], "share": []}  # type: ignore[var-annotated]
    for _ in range(FEW_TEXTS // 2):
        tokens = np.maximum(4, np.round(64 * rng.lognormal(0, 0.5, n))).astype(int)
        at = np.repeat(np.arange(n), tokens)
        gap = sizes(rng, (n,))[at] * parts(rng, (at.size,))
        one, two = (gap + rng.normal(size=at.size) for _ in range(2))
        read = TokenLosses(tuple(map(str, range(n))), at, {})
        net = [read.summed(d) for d in (one, two)]
        stands = [fraction(d, d, tokens, what="gap", settings=SETTINGS) for d in net]
        if any(number.value is None for number in stands):
            continue
        found = _factor(read, one, two, stands[0], SETTINGS)
        held["now"].append(_holds(found, truth))
        share = inverse(found)
        if share.low is not None and (share.low > 0.01 or share.high != 1.0):
            held["share"].append(_holds(share, 1 / truth))
        columns = np.stack([tokens, read.summed(one * two), *net], axis=1)
        times = times_drawn(n, SETTINGS.resamples, 0) @ columns
        both = times[:, 2] * times[:, 3]
        ratios = np.where((times[:, 2:] > 0).all(1), times[:, 0] * times[:, 1] / both, np.inf)
        low, high = ends(ratios, found.value or 0.0, tokens, SETTINGS.level)
        held["before"].append(low <= truth <= high)
    return {"documents": scale, "tokens": kind, "n": n, "texts": len(held["now"]),
            "says something": len(held["share"]),
            **{name: float(np.mean(some)) if some else None for name, some in held.items()}}  # fmt: skip


def rise(rises: tuple[float, ...], n: int, rng: np.random.Generator) -> dict[str, Any]:
    """Coverage of the largest rise of accuracy as a share of the whole."""
    import pyarrow as pa

    ladder = [*map(str, range(len(rises))), "intact"]
    truth, held = max(rises) / sum(rises), {"before": [], "now": []}  # type: ignore[var-annotated]
    for _ in range(FEW_TEXTS // 2):
        # Whether a token is right from some rung on depends on how hard it is, and its document.
        shift = rng.normal(0, 0.05, n)
        hard = rng.random((n, 40))
        edges = 0.1 + np.concatenate([[0.0], np.cumsum(rises)])
        right = np.array([(hard < edge + shift[:, None]).sum(1) for edge in edges])
        rows = [(name, f"{i:03d}", *ALL, 40, 0.0, 0.0, 0, int(right[k, i]), *[None] * 3)
                for k, name in enumerate(ladder) for i in range(n)]  # fmt: skip
        table = pa.table([list(c) for c in zip(*rows, strict=True)], schema=SCHEMA)
        ledger = Ledger(table, Ledger.empty().tokens)
        number, _ = Accuracies(ledger, SETTINGS).largest_rise(ladder[:-1])
        if number.low is None:
            continue
        held["now"].append(_holds(number, truth))
        steps = np.diff(right, axis=0).astype(float)
        at = int(steps.sum(1).argmax())
        plain = fraction(steps[at], (right[-1] - right[0]).astype(float), np.full(n, 40.0),
                         what="rise", settings=SETTINGS)  # fmt: skip
        held["before"].append(_holds(plain, truth))
    return {"rises": rises, "n": n, "printed": len(held["now"]),
            **{name: float(np.mean(some)) if some else None for name, some in held.items()}}  # fmt: skip


def bits(sigma: float, n: int, rng: np.random.Generator) -> dict[str, Any]:
    """Coverage of bits per byte: a mean of what is lognormal by document."""
    held: dict[str, list[bool]] = {"before": [], "now": []}
    for _ in range(FEW_TEXTS):
        sizes = np.round(500 * rng.lognormal(0, 0.5, n))
        total = rng.lognormal(-(sigma**2) / 2, sigma, n) * sizes
        held["before"].append(_holds(_resampled(total, sizes), 1.0))
        held["now"].append(_holds(mean_per_token(total, sizes, settings=SETTINGS), 1.0))
    return {"sigma": sigma, "n": n, **{k: float(np.mean(v)) for k, v in held.items()}}


def main() -> None:
    """Simulate all cells and write them."""
    rng = np.random.default_rng(0)
    cells = {
        "told from zero": [false_alarms(kind, n, rng) for kind in KINDS for n in COUNTS]
        + [false_shares(n, rng) for n in COUNTS],
        "sweeps": [sweep_of(kind, n, rng) for kind in KINDS for n in (10, 16, 30, 48, 100)],
        "control": [
            control(kind, n, rho, rng)
            for kind in KINDS for n in COUNTS[:3] for rho in (0.0, -0.9)
        ],
        "factor": [
            factor(scale, kind, n, rng) for scale in SCALES for kind in TOKENS for n in COUNTS
        ],
        "largest rise": [
            rise(rises, n, rng)
            for rises in ((0.1,) * 5, (0.05, 0.2, 0.05), (0.02, 0.02, 0.4)) for n in COUNTS
        ],
        "bits per byte": [bits(sigma, n, rng) for sigma in (0.1, 0.3, 0.6) for n in COUNTS],
    }  # fmt: skip
    about = {"level": SETTINGS.level, "texts": TEXTS, "few": FEW_TEXTS, **cells}
    path = Path(__file__).parent / "results" / "tails_coverage.json"
    path.write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for name, rows in cells.items():
        for row in rows:
            print(name, row)


if __name__ == "__main__":
    main()
