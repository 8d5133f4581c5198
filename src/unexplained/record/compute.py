"""Where losses stand on a scale of training compute. Six kinds of share, never mixed."""

from __future__ import annotations

import math
from typing import Literal

from unexplained.record.base import Frozen, Number
from unexplained.record.blocks import CurvePoint as CurvePoint

ShareKind = Literal["frontier", "bend", "between rungs", "own run", "annealed", "data"]
"""`frontier`: C*(L_h)/C*(L_m), compute at which compute-optimal models reach the loss of the
explained model, by that at which they reach the model's own, by the law. `bend`: the same by the curve
that bends. `between rungs`: the same, read straight
between neighbouring rungs and not off a curve: where they differ a curve is at fault. `own run`: share of the model's own
training steps after which it was as good, its rate still high. `annealed`: share of its steps that
take the same size there when the rate is brought to zero. `data`: the same from a surface
L(N, D) fitted to other sizes too. They differ by orders of magnitude."""


class RungPoint(Frozen):
    """A model of the ladder on this text."""

    name: str
    rung: int
    seed: int
    compute: float
    """Training FLOPs."""
    parameters: int
    tokens: int
    """Tokens of training; 0 where that is not known."""
    loss: Number
    """On this text, in the scale's unit."""


class FittedLaw(Frozen):
    """L(C) = E + A·C^(−α) through the rungs."""

    floor: Number
    """E, in the scale's unit."""
    exponent: Number
    """α."""
    scale: float
    """ln A, for C in FLOPs."""
    least: float
    """Smallest compute that it was fitted on (FLOPs)."""
    greatest: float
    noise: float | None
    """Scatter of single runs about the curve, as a share of a loss: the seeds' own where the law fits,
    mostly the law's misfit where it does not; None where no rung is left over to tell it from."""
    line: tuple[CurvePoint, ...]
    """For drawing."""
    left_out: float | None = None
    """How far off each rung is foretold from the others, root mean square as a share of a loss."""


class FittedBend(Frozen):
    """A curve through the rungs whose exponent moves with compute."""

    form: Literal["bend", "shift"]
    """`bend`: ln L = ℓ − α·u + c·u², u = ln(C / middle). `shift`: L = A·(C + C₀)^(−α)."""
    middle: float
    """Compute at which ln L is `log_loss` (FLOPs)."""
    log_loss: float
    """ℓ."""
    exponent: Number
    """α; of a bend at the middle."""
    bends: Number
    """c of a bend, C₀ of a shift (FLOPs)."""
    noise: float | None
    """Scatter of single runs about it, as a share of a loss; as of the law."""
    line: tuple[CurvePoint, ...]
    """For drawing."""
    left_out: float | None
    """As of the law."""

    def loss(self, compute: float) -> float:
        """The bare formula, in the scale's unit."""
        alpha, third = self.exponent.value or 0.0, self.bends.value or 0.0
        if self.form == "shift":
            ratio = (compute + third) / (self.middle + third)
            return math.exp(self.log_loss - alpha * math.log(ratio))
        u = math.log(compute / self.middle)
        return math.exp(min(self.log_loss - alpha * u + third * u * u, 700.0))


class LeftOutRung(Frozen):
    """One rung left out, and what the others say of it."""

    rung: str
    loss: Number
    """As measured: the geometric mean over its seeds."""
    predicted: Number
    """By the curve through the other rungs."""
    compute: float
    equals: Number
    """The compute that the other rungs' curve gives for its loss (FLOPs)."""
    outside: bool
    """It is the first or the last: the others have to be extrapolated."""


class Explained(Frozen):
    """One condition on the scale of compute."""

    condition: str
    loss: Number
    equals: Number
    """Compute at which the frontier reaches its loss (FLOPs), by the curve that was chosen."""
    shares: dict[ShareKind, Number]
    """Share of the model's training compute that is explained, by kind."""
    note: str = ""
    """Extrapolated, beyond the floor, …"""


class Scale(Frozen):
    """The ladder on one text, and every condition's place on it."""

    says: str
    """What the ladder is and what the subject is on it."""
    unit: str = "nats per token"
    """Of all losses; `bits per byte` where tokenizers differ."""
    rungs: tuple[RungPoint, ...]
    law: FittedLaw | None
    bend: FittedBend | None = None
    """The better of two curves that bend; None with too few rungs, and in old records."""
    form: Literal["law", "bend"] = "law"
    """Which was chosen, by foretelling each rung from the others: `equals` and `left` are by it."""
    scatter: str = ""
    """What is known of the scatter of training runs, and from how many."""
    refused: str = ""
    """Why there is no curve."""
    left: tuple[LeftOutRung, ...] = ()
    subject: Explained | None
    """The intact model itself."""
    explained: tuple[Explained, ...]

    @property
    def kind(self) -> ShareKind:
        """The share of the frontier by the curve that was chosen."""
        return "bend" if self.form == "bend" else "frontier"

    def extrapolated(self, one: Explained, kind: ShareKind | None = None) -> bool:
        """Whether a condition's compute, or a share made of it, lies beyond the curve's range.

        A share of the frontier is one place on the curve over another, so it is as far out as
        the further of the two; the other kinds are read between what was measured.

        Args:
            one: The condition.
            kind: The share's kind; None asks for the compute alone.
        """

        def beyond(placed: Explained | None) -> bool:
            value = placed.equals.value if placed else None
            return (
                self.law is not None
                and value is not None
                and math.isfinite(value)
                and not self.law.least <= value <= self.law.greatest
            )

        if kind is None:
            return beyond(one)
        found = one.shares.get(kind)
        if found is None or found.value is None or kind not in ("frontier", "bend"):
            return False
        # What has no place on the curve that was chosen lies beyond it, by whatever other it has a share.
        nowhere = self.law is not None and one.equals.value is None
        return nowhere or beyond(one) or beyond(self.subject)
