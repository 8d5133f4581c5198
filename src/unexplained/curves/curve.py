"""Loss against training compute: one law with a floor, and the surface it is the edge of."""

from __future__ import annotations

import math
from dataclasses import dataclass

from unexplained.errors import CurveError
from unexplained.stats import NATS


@dataclass(frozen=True)
class Curve:
    """L(C) = E + A·C^(−α): what loss training buys, C in FLOPs.

    The methods are the bare formula, at any compute: `loss_at` and `compute_of` are what minds the
    range that it was fitted on. Losses of different tokenizers are not comparable in nats per
    token, nor are those of different texts in any unit; `tokens` and `says` name them.

    Raises:
        CurveError: A number is not finite, E is negative, or A or α is not positive.

    >>> cerebras = Curve("cerebras", 0.5066, 5.984e22**0.0737, 0.0737)
    >>> round(cerebras.loss(2.6e18), 3)
    2.603
    """

    name: str
    floor: float
    """E: the loss that no compute gets below."""
    scale: float
    """A, with C in FLOPs."""
    exponent: float
    """α."""
    fitted: tuple[float, float] | None = None
    """Least and greatest training compute that it was fitted on; None where that is not known."""
    unit: str = NATS
    tokens: str = ""
    """Whose tokens, or what else a loss must share to be compared."""
    source: str = ""
    says: str = ""
    spread: float = 0.0
    """Standard deviation of the log losses of single runs around it; 0 where that is not known."""

    def __post_init__(self) -> None:
        numbers = (self.floor, self.scale, self.exponent, self.spread)
        asked = f"A curve {self.name!r} of E {self.floor}, A {self.scale}, α {self.exponent}"
        if not all(math.isfinite(number) for number in numbers):
            raise CurveError(asked, "a number is not finite")
        if min(self.floor, self.spread) < 0 or min(self.scale, self.exponent) <= 0:
            raise CurveError(asked, "E or the spread is below 0, or A or α is not above 0")
        require_range(asked, self.fitted)

    @property
    def ceiling(self) -> float:
        """The greatest loss: there is none."""
        return math.inf

    def loss(self, compute: float) -> float:
        """L at a compute in FLOPs, in `unit`.

        Raises:
            CurveError: The compute is not positive and finite.
        """
        positive(f"The loss of {self.name!r}", compute=compute)
        return self.floor + self._above(compute)

    def compute(self, loss: float) -> float:
        """The FLOPs that buy a loss: (A / (L − E))^(1/α).

        It misleads near the floor, where the smallest error of a loss is orders of magnitude of
        compute.

        Raises:
            CurveError: The loss is not above E, or not finite.

        >>> round(Curve("hand", 1.0, 10.0, 0.5).compute(1.1), 6)  # 0.1 is 10 / sqrt(10,000)
        10000.0
        """
        asked = f"The compute at which {self.name!r} has a loss of {loss:.6g} {self.unit}"
        if not math.isfinite(loss):
            raise CurveError(asked, "it is not finite")
        if loss <= self.floor:
            found = f"no compute gets to or below its floor of {self.floor:.6g}"
            raise CurveError(asked, found)
        power = (math.log(self.scale) - math.log(loss - self.floor)) / self.exponent
        return math.exp(power) if power < 709 else math.inf

    def slope(self, compute: float) -> float:
        """dL/d ln C at a compute in FLOPs: −α·A·C^(−α), in `unit` per e-fold of compute.

        Its inverse is what one more nat of loss is in e-folds of compute.

        Raises:
            CurveError: The compute is not positive and finite.
        """
        positive(f"The slope of {self.name!r}", compute=compute)
        return -self.exponent * self._above(compute)

    def _above(self, compute: float) -> float:
        return math.exp(math.log(self.scale) - self.exponent * math.log(compute))


@dataclass(frozen=True)
class Surface:
    """L(N, D) = E + A/N^α + B/D^β: N parameters, D training tokens (Hoffmann et al., eq. 2).

    It misleads where data are repeated or tokens are of another tokenizer.

    Raises:
        CurveError: A number is not finite, E is negative, or another is not positive.
    """

    name: str
    floor: float
    """E."""
    size_scale: float
    """A."""
    data_scale: float
    """B."""
    size_exponent: float
    """α."""
    data_exponent: float
    """β."""
    unit: str = NATS
    tokens: str = ""
    source: str = ""
    says: str = ""
    fitted: tuple[float, float] | None = None
    """Least and greatest training compute of the runs (FLOPs); None where that is not known."""
    sizes: tuple[float, float] | None = None
    """Least and greatest parameters."""
    tokens_seen: tuple[float, float] | None = None
    """Least and greatest training tokens."""

    def __post_init__(self) -> None:
        rest = (self.size_scale, self.data_scale, self.size_exponent, self.data_exponent)
        asked = f"A surface {self.name!r} of E {self.floor}, A, B, α, β {rest}"
        if not all(math.isfinite(number) for number in (self.floor, *rest)):
            raise CurveError(asked, "a number is not finite")
        if self.floor < 0 or min(rest) <= 0:
            raise CurveError(asked, "E is below 0 or another number is not above 0")
        for one in (self.fitted, self.sizes, self.tokens_seen):
            require_range(asked, one)

    def extrapolates(self, size: float, data: float) -> bool:
        """Whether N parameters on D tokens are outside of what it was fitted on, as far as known.

        Args:
            size: N, parameters.
            data: D, tokens.
        """
        asked = ((size, self.sizes), (data, self.tokens_seen), (6 * size * data, self.fitted))
        return any(not one[0] <= at <= one[1] for at, one in asked if one is not None)

    def loss(self, size: float, data: float) -> float:
        """L of N parameters trained on D tokens.

        Args:
            size: N.
            data: D.

        Raises:
            CurveError: One of them is not positive and finite.
        """
        positive(f"The loss of {self.name!r}", parameters=size, tokens=data)
        by_size = self.size_scale * size**-self.size_exponent
        by_data = self.data_scale * data**-self.data_exponent
        return float(self.floor + by_size + by_data)

    def optimal(self, compute: float) -> tuple[float, float]:
        """The N and D with the least loss for a compute in FLOPs, C = 6ND (Hoffmann, eq. 4).

        N = G (C/6)^(β/(α+β)) and D = (C/6)^(α/(α+β)) / G, with G = (αA / βB)^(1/(α+β)).

        Raises:
            CurveError: The compute is not positive and finite.
        """
        positive(f"The best size by {self.name!r}", compute=compute)
        total = self.size_exponent + self.data_exponent
        share = self.data_exponent / total
        size = self._balance() * (compute / 6) ** share
        return size, compute / (6 * size)

    def frontier(self) -> Curve:
        """The loss at the best N and D for each compute: a `Curve`, exactly.

        With N and D of `optimal` put in, both terms fall as C^(−αβ/(α+β)), so E stays and
        A' = 6^γ (A G^(−α) + B G^β) with γ = αβ/(α+β).
        """
        total = self.size_exponent + self.data_exponent
        exponent = self.size_exponent * self.data_exponent / total
        balance = self._balance()
        at_one = (
            self.size_scale * balance**-self.size_exponent
            + self.data_scale * balance**self.data_exponent
        )
        return Curve(
            name=self.name,
            floor=self.floor,
            scale=6**exponent * at_one,
            exponent=exponent,
            fitted=self.fitted,
            unit=self.unit,
            tokens=self.tokens,
            source=self.source,
            says=self.says,
        )

    def data_for(self, size: float, loss: float) -> float:
        """The tokens D on which a model of N parameters gets to a loss.

        Divided by what the model did see this is the *fixed-size* data share: another quantity
        than the frontier's ratio of compute, and mostly a very different number.

        Args:
            size: N.
            loss: The loss, in nats per token.

        Raises:
            CurveError: No amount of data takes a model of this size to that loss.
        """
        positive(f"The data that {self.name!r} needs", parameters=size, loss=loss)
        least = self.floor + self.size_scale * size**-self.size_exponent
        if loss <= least:
            asked = f"The data for {size:.3g} parameters to a loss of {loss:.6g} {self.unit}"
            found = f"by {self.name!r} no data take that size to or below {least:.6g}"
            raise CurveError(asked, found, "Ask for a larger model or a higher loss.")
        return float((self.data_scale / (loss - least)) ** (1 / self.data_exponent))

    def _balance(self) -> float:
        """G of `optimal`."""
        ratio = (self.size_exponent * self.size_scale) / (self.data_exponent * self.data_scale)
        return float(ratio ** (1 / (self.size_exponent + self.data_exponent)))


def bits_per_byte(nats_per_token: float, bytes_per_token: float) -> float:
    """Turn a loss per token into one per byte, which tokenizers share.

    Args:
        nats_per_token: The loss.
        bytes_per_token: UTF-8 bytes of the *same* text divided by its tokens. The number of
            another text misleads: code and prose differ by a third.

    Raises:
        CurveError: The loss is not finite, or the bytes are not positive.

    >>> round(bits_per_byte(1.741, 3.952), 3)  # Pythia-12B on the Pile
    0.636
    """
    positive("Bits per byte", bytes_per_token=bytes_per_token)
    if not math.isfinite(nats_per_token):
        raise CurveError("Bits per byte", f"the loss is {nats_per_token}")
    return nats_per_token / (math.log(2) * bytes_per_token)


def require_range(asked: str, fitted: tuple[float, float] | None) -> None:
    """Refuse a fitted range that is not one of positive numbers."""
    if fitted is not None and not 0 < fitted[0] <= fitted[1] < math.inf:
        raise CurveError(asked, f"its range {fitted} is not one of positive numbers")


def positive(asked: str, **numbers: float) -> None:
    """Refuse what is not positive and finite, by its name."""
    for what, number in numbers.items():
        if not (math.isfinite(number) and number > 0):
            raise CurveError(asked, f"{what.replace('_', ' ')} {number} is not positive and finite")
