"""What documents show of an estimate: by how much it falls without each, what they are worth, how skewed they are."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy.special import stdtrit

SHOWN = 32
"""So many documents show a tail below 0 if there is one that matters."""

SCANTY = 16
"""Fewer documents than these show next to nothing of a tail."""

PLENTY = 48
"""With fewer documents the tails of a denominator are hardly seen, and moderate ones count too."""

TINY = np.finfo(float).tiny

ROUNDING = 1e-13
"""Scatter below this share of what scatters is that of sums of doubles."""


def left_out(total: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """By how much sum(total) / sum(tokens) falls as a document is left out: (…, document)."""
    whole = tokens.sum(-1, keepdims=True)
    value = total.sum(-1, keepdims=True) / whole
    return np.asarray((total - value * tokens) / (whole - tokens))


def error_of(total: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Jackknife standard error of sums (…, document), in their unit."""
    n, falls = tokens.shape[-1], left_out(total, tokens)
    return np.asarray(np.sqrt((n - 1) / n * (falls * falls).sum(-1)) * tokens.sum(-1))


def worth(falls: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """How many documents of one length these are worth to an estimate: (…).

    As many as there are, but for how much more unequal their lengths make what they contribute:
    (Σ|f|)² / Σ f² over the same of f per token. Where the rate does not go with the length that is
    (Σ t)² / Σ t² of all (Kish 1965); fewer where it rises with it, and all of them where sums are alike.

    Args:
        falls: (…, document) by how much the estimate falls as a document is left out.
        tokens: (…, document) all above 0.

    >>> worth(np.array([-1.0, 3.0, -2.0]), np.ones(3)), worth(np.array([1.0, -1.0]), np.array([1.0, 9.0]))
    (array(3.), array(2.))
    >>> worth(np.tile([10.0, -10.0, 1.0, -1.0], 10), np.tile([10.0, 10.0, 1.0, 1.0], 10)).round(1)
    np.float64(24.0)
    """
    most = falls.shape[-1]
    if tokens.min() == tokens.max():
        return np.full(falls.shape[:-1], float(most))
    sums, rates = (
        np.abs(f).sum(-1) ** 2 / np.maximum((f * f).sum(-1), TINY) for f in (falls, falls / tokens)
    )
    share = sums / np.maximum(rates, 1.0)
    return np.asarray(np.where(sums > 0, np.minimum(most * share, most), most))


def fewer(than: int, documents: np.ndarray | float) -> np.ndarray:
    """0 of so many documents or more, 1 of half as many and fewer."""
    return np.asarray(np.clip(than / documents - 1, 0.0, 1.0))


def unseen(documents: float, level: float) -> float:
    """Share of a kind of document that so many may all lack: 1 − ((1 − level)/2)^(1/n).

    >>> round(unseen(8, 0.95), 2), round(unseen(135, 0.95), 3)
    (0.37, 0.027)
    """
    return float(-math.expm1(math.log((1 - level) / 2) / documents))


def quantile(documents: float, level: float) -> float:
    """Of Student's t, two-sided."""
    return -float(stdtrit(documents - 1, (1 - level) / 2))


def shape(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """L-skewness and skewness along the last axis; 0 where nothing varies by more than rounding."""
    mean, scale, third = l_moments(x)
    size = np.abs(x).max(-1)
    centred = x - mean[..., None]
    squares = centred * centred
    variance = squares.mean(-1)
    cubes = np.einsum("...i,...i->...", squares, centred) / x.shape[-1]
    varies = (scale > ROUNDING * size) & (variance > 0)
    tau = np.divide(third, scale, out=np.zeros_like(scale), where=varies)
    gamma = np.divide(cubes, variance**1.5, out=np.zeros_like(scale), where=varies)
    return tau, gamma


def l_moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """λ₁, λ₂ and λ₃ along the last axis, unbiased (Hosking 1990, equation 2.5 and below)."""
    first, second, third = np.moveaxis(np.sort(x, axis=-1) @ _weights(x.shape[-1]), -1, 0)
    return first, second, third


@lru_cache(maxsize=8)
def _weights(n: int) -> np.ndarray:
    """What sorted values count for in each L-moment, (n, 3): shifted Legendre polynomials of rank."""
    place = np.arange(n)
    once, twice = place / (n - 1), place * (place - 1) / ((n - 1) * (n - 2))
    weights = np.stack([np.ones(n), 2 * once - 1, 6 * twice - 6 * once + 1], axis=1) / n
    weights.flags.writeable = False
    return weights
