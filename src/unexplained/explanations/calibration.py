"""How sure a program may be: two numbers, fitted on the fit part."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import brentq, minimize_scalar
from torch import Tensor

from unexplained.evaluate.conditions import tensor_digest
from unexplained.text.ngrams import NGram

SHARPEST = 1e3
"""Inverse temperatures are looked for between 1 / SHARPEST and SHARPEST."""

STEPS = 25
"""Inverse temperatures that are tried, evenly in the logarithm, before the best is refined."""

ROWS = 512
"""Rows that go through a softmax together."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """P(w) = (1 − mix) softmax(sharpness · z)(w) + mix · unigram(w), with z what the program gives.

    A fitted part: both numbers and the whole unigram table count in the description length, and
    what they recover alone is shown by the same fitted over the shuffled program.
    """

    sharpness: float
    """The inverse temperature."""
    mix: float
    """The unigram table's share, above 0 and at most 1."""
    unigram: NGram
    tokens: int = 0
    """On how many tokens of the fit part both were fitted."""

    @property
    def parameters(self) -> int:
        """Fitted numbers."""
        return 2 + self.unigram.parameters

    @property
    def fingerprint(self) -> str:
        """Of the two numbers and the table."""
        table = tensor_digest([self.unigram.lower])
        return f"{self.sharpness!r} {self.mix!r} {self.unigram.fingerprint} {table}"

    def log_probs(self, logits: Tensor) -> Tensor:
        """Natural logs of probabilities from a program's logits, both (n, vocabulary).

        A logit may be −∞; every result is finite.
        """
        own = (self.sharpness * logits).log_softmax(-1)
        if self.mix == 1:
            return self.unigram.lower.expand_as(own).clone()  # of the table, whoever writes to it
        return torch.logaddexp(own + math.log1p(-self.mix), self.unigram.lower + math.log(self.mix))


def calibrate(logits: Tensor, targets: Tensor, unigram: NGram) -> Calibration:
    """Find the two numbers with the greatest likelihood of some tokens.

    To the tokens' log likelihood log(mix) is added, as if there were one more token, which the
    program had ruled out: otherwise a rule that happens never to fail here would be trusted
    without limit, and its first failure elsewhere would cost an infinite loss. For each inverse
    temperature the best mix is found exactly, since the sum is concave in it; the temperature by
    trying `STEPS` values and refining the best by Brent's method. Where several are equally good
    (a rule that gives 0 and −∞ is the same at all) it stays 1.

    Args:
        logits: (n, vocabulary) what the program gives.
        targets: (n,) the tokens that came.
        unigram: The table to mix in.
    """
    table = unigram.lower.double()[targets].exp().numpy()

    def at(exponent: float) -> tuple[float, float]:
        return _best_mix(_probability(logits, targets, math.exp(exponent)), table)

    edge = math.log(SHARPEST)
    tried = np.linspace(-edge, edge, STEPS).tolist()
    scores = [at(exponent)[0] for exponent in tried]
    best = int(np.argmax(scores))
    inner = minimize_scalar(
        lambda exponent: -at(exponent)[0],
        bounds=(tried[max(best - 1, 0)], tried[min(best + 1, STEPS - 1)]),
        method="bounded",
        options={"xatol": 1e-6},
    )
    # The program as it is comes first: another must be better by more than rounding.
    chosen = 0.0
    for exponent in (tried[best], float(inner.x)):
        if at(exponent)[0] > at(chosen)[0] + 1e-9 * len(targets):
            chosen = exponent
    return Calibration(math.exp(chosen), at(chosen)[1], unigram, len(targets))


def _probability(logits: Tensor, targets: Tensor, sharpness: float) -> np.ndarray:
    """What softmax(sharpness · logits) gives to the targets, (n,) float64."""
    found = []
    for start in range(0, len(targets), ROWS):
        some = slice(start, start + ROWS)
        log_probs = (sharpness * logits[some]).log_softmax(-1)
        found.append(log_probs.gather(-1, targets[some, None])[:, 0].double().exp())
    return np.asarray(torch.cat(found).numpy())


def _best_mix(own: np.ndarray, table: np.ndarray) -> tuple[float, float]:
    """The mix with the greatest Σ log((1 − mix) own + mix table) + log(mix), and that sum."""

    def slope(mix: float) -> float:
        return float(((table - own) / (own + mix * (table - own))).sum() + 1 / mix)

    # No token takes more than 1 / (1 − mix) from the slope: here 1 / mix outweighs them all.
    low = 1 / (2 * (1 + len(own)))
    mix = 1.0 if slope(1.0) >= 0 else float(brentq(slope, low, 1.0, xtol=1e-12))
    return float(np.log((1 - mix) * own + mix * table).sum() + math.log(mix)), mix
