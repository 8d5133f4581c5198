"""Where losses stand on a scale of training compute. Five kinds of share, never mixed."""

from __future__ import annotations

from typing import Literal

from unexplained.record.base import Frozen, Number

ShareKind = Literal["frontier", "between rungs", "own run", "annealed", "data"]
"""`frontier`: C*(L_h)/C*(L_m), compute at which compute-optimal models reach the loss of the
explained model, by that at which they reach the model's own. `between rungs`: the same, read straight
between neighbouring rungs and not off a law: where the two differ the law is at fault. `own run`: share of the model's own
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


class CurvePoint(Frozen):
    """The fitted curve at one compute."""

    compute: float
    loss: float
    low: float
    high: float


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
    noise: float
    """Scatter of single runs about the curve, as a share of a loss: the seeds' own where the law fits,
    mostly the law's misfit where it does not."""
    line: tuple[CurvePoint, ...]
    """For drawing."""


class Left(Frozen):
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
    """Compute at which the frontier reaches its loss (FLOPs)."""
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
    refused: str = ""
    """Why there is no curve."""
    left: tuple[Left, ...] = ()
    subject: Explained | None
    """The intact model itself."""
    explained: tuple[Explained, ...]
