"""Planted documents for `ratio_coverage.py`: damages, how well they are explained, what is noise.

Damage per token is a function of a uniform variable, so that its mean and the true fraction (a
ratio of expectations) are integrals over that variable, and nothing is estimated.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import ndtri, stdtrit

Curve = Callable[[np.ndarray], np.ndarray]

FINE = (np.arange(2_000_000) + 0.5) / 2_000_000
"""Where integrals over the uniform variable are taken."""

GOLDEN = (5**0.5 - 1) / 2
"""Of a lattice of two variables."""


def lognormal(sigma: float) -> Curve:
    """Mean 1."""
    return lambda u: np.exp(sigma * ndtri(u) - sigma**2 / 2)


def left(sigma: float) -> Curve:
    """2 − lognormal: mean 1, and rare documents far below."""
    return lambda u: 2 - lognormal(sigma)(1 - u)


def rare(share: float, sign: float = 1.0) -> Curve:
    """A share of the documents has any, lognormal, σ = 0.5; the others have noise."""

    def curve(u: np.ndarray) -> np.ndarray:
        some, inner, rest = _split(u, share)
        return np.where(some, sign * lognormal(0.5)(inner) / share, 0.05 * ndtri(rest))

    return curve


def outliers(share: float, *, one_sided: bool) -> Curve:
    """Normal, and a share of the documents ten times as far out."""

    def curve(u: np.ndarray) -> np.ndarray:
        some, inner, rest = _split(u, share)
        far = 10 * (np.abs(ndtri(inner)) if one_sided else ndtri(inner))
        return 1 + 0.5 * np.where(some, far, ndtri(rest))

    return curve


def bimodal(u: np.ndarray) -> np.ndarray:
    """Half of the documents 0.2, half 1.8."""
    some, inner, rest = _split(u, 0.5)
    return np.where(some, 1.8, 0.2) + 0.1 * ndtri(np.where(some, inner, rest))


def _split(u: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    some = u > 1 - share
    inside = np.clip((u - (1 - share)) / share, 1e-12, 1 - 1e-12)
    return some, inside, np.clip(u / (1 - share), 1e-12, 1 - 1e-12)


DAMAGE: dict[str, Curve] = {
    "normal": lambda u: 1 + 0.5 * ndtri(u),
    "uniform": lambda u: 0.5 + u,
    "Student t, 3 degrees": lambda u: 1 + 0.35 * stdtrit(3, u),
    **{f"lognormal, σ = {s}": lognormal(s) for s in (0.5, 1.0, 1.5, 2.0)},
    **{f"left-skewed, σ = {s}": left(s) for s in (0.5, 1.0, 1.5, 2.0)},
    "one in 5 has any": rare(0.2),
    "one in 20 has any": rare(0.05),
    "one in 5 far below": rare(0.2, -1),
    "one in 20 far below": rare(0.05, -1),
    "2% outliers above": outliers(0.02, one_sided=True),
    "5% outliers": outliers(0.05, one_sided=False),
    "two heaps": bimodal,
}
RARE = {
    "one in 5 has any": 0.2, "one in 20 has any": 0.05, "one in 5 far below": 0.2,
    "one in 20 far below": 0.05, "2% outliers above": 0.02, "5% outliers": 0.05,
}  # fmt: skip

EXPLAINED: dict[str, float | Curve] = {
    **{f"{r}": r for r in (-1.0, 0.0, 0.3, 0.7, 1.0, 1.2)},
    "0.9 down to 0.2": lambda rank: 0.9 - 0.7 * rank,
    "0.9 down to −1": lambda rank: 0.9 - 1.9 * rank,
    "0.2 up to 0.9": lambda rank: 0.2 + 0.7 * rank,
    "0.9, largest half 0.2": lambda rank: np.where(rank < 0.5, 0.9, 0.2),
    "0.9, largest fifth 0.2": lambda rank: np.where(rank < 0.8, 0.9, 0.2),
    "0.9, largest fifth −1": lambda rank: np.where(rank < 0.8, 0.9, -1.0),
}
STEPS = {"0.9, largest half 0.2": 0.5, "0.9, largest fifth 0.2": 0.2, "0.9, largest fifth −1": 0.2}


SPREAD: dict[str, Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]] = {
    "normal": lambda rng, cells: rng.standard_normal(cells),
    "Student t": lambda rng, cells: rng.standard_t(3, cells) / np.sqrt(3),
    **{
        f"{name}, σ = {s}": lambda rng, cells, s=s, sign=sign: sign
        * (np.exp(s * rng.standard_normal(cells)) - np.exp(s**2 / 2))
        / np.sqrt(np.exp(2 * s**2) - np.exp(s**2))
        for s in (1.0, 1.5)
        for name, sign in (("lognormal", 1), ("left-skewed", -1))
    },
}  # fmt: skip
"""Noise: mean 0, standard deviation 1."""


@lru_cache(maxsize=8)
def _known(damage: str, with_length: float, lengths: float, turned: bool) -> tuple[np.ndarray, ...]:
    """Damage per token and tokens over a lattice of both variables, and both in order."""
    values = DAMAGE[damage](FINE) * (-1 if turned else 1)
    if not with_length:
        return values, np.ones_like(values), np.sort(values)[::200]
    tokens = np.exp(lengths * ndtri(np.mod(FINE.size * FINE * GOLDEN, 1.0)))
    values = values * tokens**with_length
    return values, tokens, np.sort(values)[::200]


@dataclass(frozen=True)
class Design:
    """Documents of one kind."""

    damage: str
    explained: str = "0.7"
    """Which share of a document's damage: one for all, or by the rank of the damage per token."""
    noise: str = "independent"
    """Of the numerator: `independent`, `proportional` to the damage, or that of the damage
    itself, `shared` or `opposed`."""
    size: float = 0.3
    errors: float | None = None
    """True damage in standard errors of its mean, at any number of documents; 0 is empty."""
    lengths: float = 0.8
    """σ of lognormal document lengths."""
    with_length: float = 0.0
    """Damage per token is times the document's length to this power."""
    spread: str = "normal"
    """Of the noise."""
    turned: bool = False
    """Damage is turned around, so that its tail is below."""

    @property
    def kind(self) -> str:
        """The row of the tables that it belongs to."""
        if self.with_length:
            return f"{self.damage}, times length to the power {self.with_length:g}".replace(
                "-", "−"
            )
        if self.spread in ("normal", "Student t") and self.size < 1:
            return self.damage
        return f"{self.noise} noise, {self.spread}"

    def known(self) -> tuple[np.ndarray, ...]:
        """Damage per token and tokens of very many documents, and the former in order."""
        return _known(self.damage, self.with_length, self.lengths, self.turned)

    def moved(self, documents: int) -> float:
        """What is added to the damage so that it has its size in standard errors."""
        if self.errors is None:
            return 0.0
        values, tokens, _ = self.known()
        mean = float((values * tokens).sum() / tokens.sum())
        spread = float(np.sqrt(np.mean(((values - mean) * tokens) ** 2)) / tokens.mean())
        return self.errors * spread / np.sqrt(documents) - mean

    def truth(self, documents: int) -> float | None:
        """The ratio of expectations; None where there is no damage."""
        if self.errors == 0:
            return None
        share = EXPLAINED[self.explained]
        if not callable(share):
            return share
        values, tokens, _ = self.known()
        damage = (values + self.moved(documents)) * tokens
        return float((share(self.rank(values)) * damage).mean() / damage.mean())

    def unseen(self, documents: int) -> float:
        """Chance that a text has no document of the rare kind that decides."""
        share = RARE.get(self.damage, STEPS.get(self.explained, 1.0))
        return float((1 - share) ** documents)

    def rank(self, values: np.ndarray) -> np.ndarray:
        """Share of documents with less damage per token."""
        ordered = self.known()[2]
        return np.asarray(np.interp(values, ordered, np.linspace(0, 1, ordered.size)))

    def draw(
        self, documents: int, texts: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Numerator, denominator and tokens, (text, document) each."""
        cells = (texts, documents)
        tokens = np.exp(self.lengths * rng.standard_normal(cells))
        values = DAMAGE[self.damage](np.clip(rng.random(cells), 1e-15, 1 - 1e-15))
        values = values * tokens**self.with_length * (-1 if self.turned else 1)
        share = EXPLAINED[self.explained]
        part = share(self.rank(values)) if callable(share) else share
        damage = values + self.moved(documents)
        noise = self.size * SPREAD[self.spread](rng, cells)
        if self.noise == "proportional":
            noise = noise * np.abs(damage)
        top = part * damage + (-noise if self.noise == "opposed" else noise)
        bottom = damage + noise if self.noise in ("shared", "opposed") else damage
        return top * tokens, bottom * tokens, tokens


def designs() -> Sequence[Design]:
    """All that are tried."""
    found = []
    for damage in DAMAGE:
        if "below" not in damage:
            found.append(Design(damage))
            for explained in ("0.9 down to 0.2", "0.9 down to −1"):
                found.append(Design(damage, explained, size=0.05))
                found.append(Design(damage, explained, size=0.05, lengths=0.0))
            found.append(Design(damage, "0.9 down to 0.2", "proportional"))
            found.append(Design(damage, "0.2 up to 0.9", size=0.05))
            found += [Design(damage, step, size=0.05) for step in STEPS]
        found += [Design(damage, errors=0, lengths=lengths) for lengths in (0.0, 0.8)]
    for damage in ("normal", "lognormal, σ = 1.0"):
        for share in ("-1.0", "0.0", "0.3", "1.0", "1.2"):
            found += [
                Design(damage, share, noise, spread=spread)
                for noise, spread in (
                    ("independent", "normal"), ("independent", "Student t"), ("proportional", "normal"),
                    ("shared", "normal"), ("opposed", "normal"),
                )
                if (share, noise) not in (("-1.0", "opposed"), ("1.0", "shared"))  # identities
            ]  # fmt: skip
    for damage in ("normal", "Student t, 3 degrees", "lognormal, σ = 1.0", "left-skewed, σ = 1.0"):
        found += [Design(damage, errors=errors) for errors in (1, 2, 3)]
    return [*found, *noisy(), *with_lengths()]


def noisy() -> Sequence[Design]:
    """Large noise or with a tail: in proportion to the damage, in the damage itself, or by itself."""
    return [
        Design(damage, "0.7", noise, size, spread=spread, lengths=0.0)
        for damage in ("normal", "lognormal, σ = 1.0")
        for noise in ("independent", "proportional", "shared", "opposed")
        for size in (0.3, 1.0)
        for spread in SPREAD
        if "σ" in spread or (size, noise) == (1.0, "proportional")
    ]


def with_lengths() -> Sequence[Design]:
    """Damage per token that goes with the length of a document."""
    found = []
    for damage in ("normal", "lognormal, σ = 0.5"):
        for power, lengths in itertools.product((0.7, -0.5, -1.0), (0.8, 1.0)):
            kind: dict[str, float] = {"lengths": lengths, "with_length": power}
            found += [
                Design(damage, explained, size=0.05, **kind)
                for explained in ("0.7", "0.9 down to 0.2", "0.9 down to −1", "0.2 up to 0.9")
            ]
            found.append(Design(damage, "0.9 down to 0.2", "proportional", **kind))
            found += [Design(damage, errors=0, turned=turned, **kind) for turned in (False, True)]
    return found
