"""What all records share: numbers that can be refused, and what is needed to find a result again.

A number that could not be given is not 0.0: its `value` is null and `refused` says why, with
the number of tokens that it would take.
"""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Frozen(BaseModel):
    """Data that does not change once it is measured, and has no fields but those that are named."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Number(Frozen):
    """A quantity with its interval; refused by name when it would mean nothing.

    Raises:
        ValueError: There is neither a value nor a reason, or one of its parts is NaN or infinite.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    """`nats per token`, `share`, `bits`, …"""
    refused: str = ""
    """Why there is no value."""
    bare: str = ""
    """Why the value has no interval, where that is known."""
    tokens_needed: int | None = None
    """At the present estimate, how many tokens would make the denominator distinguishable from 0."""

    @model_validator(mode="after")
    def _require_reason(self) -> Number:
        if self.value is None and not self.refused.strip():
            raise ValueError("a number that has no value must say why")
        for part in (self.value, self.low, self.high):
            if part is not None and not math.isfinite(part):
                raise ValueError(f"a number with the part {part}: an end that is open is None")
        return self

    @property
    def unsaid(self) -> bool:
        """Whether there is a reason to be given: for no value, or for a value without interval."""
        return self.value is None or bool(self.bare and self.low is None and self.high is None)

    @property
    def above_zero(self) -> bool:
        """Whether the whole interval lies above 0; False where that end is open, or it was refused."""
        return self.low is not None and self.low > 0

    @property
    def not_above_zero(self) -> bool:
        """Whether none of the interval lies above 0; False where that end is open, or it was refused."""
        return self.high is not None and self.high <= 0

    @property
    def below_zero(self) -> bool:
        """Whether the whole interval lies below 0; False where that end is open, or it was refused."""
        return self.high is not None and self.high < 0


class Header(Frozen):
    """What every result has: a verdict, and what is needed to find it again."""

    title: str
    verdict: str
    """One sentence in words; never a bare "pass"."""
    subject: str
    subject_fingerprint: str
    subject_notes: tuple[str, ...] = ()
    """Architecture, size, precision decision, tokenizer facts."""
    others: dict[str, str] = Field(default_factory=dict)
    """Other models that were given to be measured beside it, by name: their fingerprints."""
    ledgers: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """What was measured, where it was kept: by text (and model, of another one), the digests of its
    ledgers (`Ledger.kept`), by which `unexplained diff` pairs documents."""
    level: float = 0.95
    resamples: int
    seed: int
    command: str
    versions: dict[str, str]
    machine: dict[str, str]
    measured: str
    """ISO date and time of the measurement."""
    seconds: float
    took: dict[str, float] = Field(default_factory=dict)
    """Of these the seconds of some parts, by name. Here alone, so that blocks of two runs are the same."""

    @property
    def lasted(self) -> str:
        """How long it took, in words."""
        parts = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.took.items())
        return f"{self.seconds:.0f} s" + (f", of which {parts}" if parts else "")
