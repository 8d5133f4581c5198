"""What documents with tails do to tests of zero, control variates, the factor and the largest rise.

    python benchmarks/tails_coverage.py [--only factor]   # writes results/tails_coverage.json, some minutes

Everywhere `before` is the method of up to November 2026 (a plain t test, the expanded percentile
interval of resampled documents, the interval of one rise as if it had been asked for) and `now` the
package's own. Documents have lognormal lengths, σ = 0.8; effects per token have mean 0 and standard
deviation 1 unless said.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from scipy.special import stdtr
from scipy.stats import false_discovery_control

import unexplained as ux
from unexplained.bars.accuracy import Accuracies
from unexplained.bars.concentration import _factor, inverse, net_of
from unexplained.bars.tokens import TokenLosses, token_losses
from unexplained.estimators import at_random, p_values, with_control
from unexplained.estimators import control as control_variates
from unexplained.evaluate.conditions import AnotherModel, Other
from unexplained.fetch import cache_folder
from unexplained.intervals import left_out
from unexplained.ledger import ALL, SCHEMA, Ledger
from unexplained.record import Number
from unexplained.stats import Settings, ends, fraction, mean_per_token, times_drawn

COUNTS = (8, 16, 48, 135)
SETTINGS = Settings(resamples=1000)
TEXTS, FEW_TEXTS, GAIN_TEXTS = 4000, 1000, 2500
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


def gain(kind: str, n: int, rho: float, rng: np.random.Generator) -> dict[str, Any]:
    """Variance with a control variate over that of the exact part, slopes as they are and made cautious."""
    found: dict[str, list[float]] = {"alone": [], "slopes of the others": [], "as used": []}
    for _ in range(GAIN_TEXTS):
        tokens = np.round(100 * rng.lognormal(0, 0.8, 10 * n)) + 1
        like, unlike = KINDS[kind](rng, (10 * n,)), KINDS[kind](rng, (10 * n,))
        exact = (rho * like + math.sqrt(1 - rho**2) * unlike) * tokens
        chosen = at_random(n, 10 * n, seed=int(rng.integers(2**31)))
        found["alone"].append(exact[chosen].sum() / tokens[chosen].sum())
        for name, caution in (("slopes of the others", 0.0), ("as used", control_variates.CAUTION)):
            with mock.patch.object(control_variates, "CAUTION", caution):
                one = with_control(
                    exact[chosen], (2 * like - 5) * tokens, tokens, chosen, settings=SETTINGS
                )
            assert one.number.value is not None
            found[name].append(one.number.value)
    squares = {name: float(np.mean(np.square(values))) for name, values in found.items()}
    return {"kind": kind, "n": n, "correlation": rho} | {
        name: round(square / squares["alone"], 3) for name, square in squares.items()
    }


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
    held = _Held(square * mean_square)
    for _ in range(FEW_TEXTS // 2):
        tokens = np.maximum(4, np.round(64 * rng.lognormal(0, 0.5, n))).astype(int)
        at = np.repeat(np.arange(n), tokens)
        gap = sizes(rng, (n,))[at] * parts(rng, (at.size,))
        held.ask(at, *(gap + rng.normal(size=at.size) for _ in range(2)))
    return {"documents": scale, "tokens": kind, "n": n, **held.shares()}


class _Held:
    """How often intervals of the factor hold this truth: resampled documents, now, and of the share."""

    def __init__(self, truth: float) -> None:
        self.truth = truth
        self.found: dict[str, list[bool]] = {"before": [], "now": [], "share": []}
        self.wider: list[float] = []

    def ask(self, at: np.ndarray, one: np.ndarray, two: np.ndarray) -> None:
        """Of two pairs' gaps by token, which lie in these documents."""
        documents = int(at[-1]) + 1
        read = TokenLosses(tuple(map(str, range(documents))), at, {})
        net = [read.summed(d) for d in (one, two)]
        stands = [net_of(read, d, "strong", "weak", SETTINGS) for d in (one, two)]
        if any(number.value is None for number in stands):
            return
        found = _factor(read, one, two, stands[0], SETTINGS)
        self.found["now"].append(_holds(found, self.truth))
        share = inverse(found)
        if share.low is not None and (share.low > 0.01 or share.high != 1.0):
            self.found["share"].append(_holds(share, 1 / self.truth))
        columns = np.stack([read.tokens, read.summed(one * two), *net], axis=1)
        times = times_drawn(documents, SETTINGS.resamples, 0) @ columns
        both = times[:, 2] * times[:, 3]
        ratios = np.where((times[:, 2:] > 0).all(1), times[:, 0] * times[:, 1] / both, np.inf)
        low, high = ends(ratios, found.value or 0.0, read.tokens, SETTINGS.level)
        self.found["before"].append(low <= self.truth <= high)
        if found.high is not None and found.low is not None and high > low:
            self.wider.append((found.high - found.low) / (high - low))

    def shares(self) -> dict[str, Any]:
        """What a cell says of it."""
        held = {name: float(np.mean(some)) if some else None for name, some in self.found.items()}
        wide = round(float(np.median(self.wider)), 3) if self.wider else None
        return {"texts": len(self.found["now"]), "says something": len(self.found["share"]),
                "times as wide": wide, **held}  # fmt: skip


WEBMIX = 768, 600
"""Documents of the population, and texts that are drawn of it."""
PAIRS = ("rung-4", "rung-3", "rung-4-seed-1", "rung-3-seed-1")


def webmix_gaps() -> tuple[np.ndarray, np.ndarray]:
    """Losses by token of two pairs of the ladder, (4, token), and where documents end."""
    subject = ux.load(PAIRS[0])
    text = ux.text("webmix", subject, documents=WEBMIX[0], fit_documents=64)
    beside = [Other(name, AnotherModel(ux.load(name))) for name in PAIRS[1:]]
    ledger = ux.evaluate(
        subject, text, beside, keep_tokens=["intact", *PAIRS[1:]], folder=cache_folder() / "ledgers"
    )
    read = token_losses(ledger, ["intact", *PAIRS[1:]])
    losses = np.stack([read.losses[name] for name in ("intact", *PAIRS[1:])])
    return losses, np.cumsum(read.tokens)[:-1].astype(int)


def webmix(n: int, rng: np.random.Generator) -> dict[str, Any]:
    """Coverage of the factor over documents of `webmix`, drawn again; the truth is all of them."""
    losses, bounds = webmix_gaps()
    one, two = losses[1] - losses[0], losses[3] - losses[2]
    held = _Held(float(one.size * (one @ two) / (one.sum() * two.sum())))
    first, second = (np.split(d, bounds) for d in (one, two))
    for _ in range(WEBMIX[1]):
        drawn = rng.integers(0, len(first), n)
        at = np.repeat(np.arange(n), [first[i].size for i in drawn])
        held.ask(at, *(np.concatenate([d[i] for i in drawn]) for d in (first, second)))
    return {"documents": "webmix", "n": n, "truth": held.truth, **held.shares()}


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


CELLS: dict[str, Callable[[np.random.Generator], list[dict[str, Any]]]] = {
    "told from zero": lambda rng: [
        *(false_alarms(kind, n, rng) for kind in KINDS for n in COUNTS),
        *(false_shares(n, rng) for n in COUNTS),
    ],
    "sweeps": lambda rng: [
        sweep_of(kind, n, rng) for kind in KINDS for n in (10, 16, 30, 48, 100)
    ],
    "control": lambda rng: [
        control(kind, n, rho, rng) for kind in KINDS for n in COUNTS[:3] for rho in (0.0, -0.9)
    ],
    "gain": lambda rng: [
        gain(kind, n, rho, rng)
        for kind in ("normal", "Student t, 3 degrees", "lognormal, σ = 1.0")
        for rho in (0.0, 0.3, -0.9, 0.99) for n in (8, 16, 40)
    ],
    "factor": lambda rng: [
        factor(scale, kind, n, rng) for scale in SCALES for kind in TOKENS for n in COUNTS
    ],
    "factor on webmix": lambda rng: [webmix(n, rng) for n in COUNTS],
    "largest rise": lambda rng: [
        rise(rises, n, rng)
        for rises in ((0.1,) * 5, (0.05, 0.2, 0.05), (0.02, 0.02, 0.4)) for n in COUNTS
    ],
    "bits per byte": lambda rng: [bits(sigma, n, rng) for sigma in (0.1, 0.3, 0.6) for n in COUNTS],
}  # fmt: skip


def main() -> None:
    """Simulate the cells asked for and write them beside the others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=CELLS, nargs="*", default=list(CELLS))
    path = Path(__file__).parent / "results" / "tails_coverage.json"
    about = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    about |= {"level": SETTINGS.level, "texts": TEXTS, "few": FEW_TEXTS}
    for name in parser.parse_args().only:
        rng = np.random.default_rng([0, list(CELLS).index(name)])
        about[name] = CELLS[name](rng)
        print(*((name, row) for row in about[name]), sep="\n", flush=True)
    path.write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
