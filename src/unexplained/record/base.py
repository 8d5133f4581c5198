"""What all records share: numbers that can be refused, and what is needed to find a result again.

A number that could not be given is not 0.0: its `value` is null and `refused` says why, with
the number of tokens that it would take.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, model_validator

from unexplained.places import write_whole

READING = "reading"
"""Key of the validation context in which a kept record is read."""

FORMAT = 1
"""Version of the record format; raised when a field changes its meaning."""


class Frozen(BaseModel):
    """Data that does not change once it is measured, and has no fields but those that are named."""

    model_config = ConfigDict(frozen=True, extra="forbid")


UNRECORDED = "no reason was recorded"
"""Stands in old records for the reason of a refusal that had none."""


class Number(Frozen):
    """A quantity with its interval; refused by name when it would mean nothing.

    Raises:
        ValueError: There is neither a value nor a reason. (In a record that is read, `UNRECORDED`
            takes the place of the reason: older versions could write such.)
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    """`nats per token`, `share`, `bits`, …"""
    refused: str = ""
    """Why there is no value."""
    tokens_needed: int | None = None
    """At the present estimate, how many tokens would make the denominator distinguishable from 0."""

    @model_validator(mode="after")
    def _require_reason(self, info: ValidationInfo) -> Number:
        if self.value is None and not self.refused.strip():
            if not (info.context or {}).get(READING):
                raise ValueError("a number that has no value must say why")
            return self.model_copy(update={"refused": UNRECORDED})
        return self


class Header(Frozen):
    """What every record has: a verdict, and what is needed to find it again."""

    format: int = FORMAT
    """First in the file, by which `places` knows a record from a file of somebody else's."""
    title: str
    verdict: str
    """One sentence in words; never a bare "pass"."""
    subject: str
    subject_fingerprint: str
    subject_notes: tuple[str, ...] = ()
    """Architecture, size, precision decision, tokenizer facts."""
    others: dict[str, str] = Field(default_factory=dict)
    """Other models that were given to be measured beside it, by name: their fingerprints."""
    level: float = 0.95
    resamples: int
    seed: int
    command: str
    versions: dict[str, str]
    machine: dict[str, str]
    measured: str
    """ISO date and time of the measurement."""
    seconds: float

    def to_json(self) -> str:
        """The record as indented JSON."""
        return self.model_dump_json(indent=1) + "\n"

    def save(self, path: str | Path) -> Path:
        """Write the record as JSON and return the path (RecordError where it cannot be written)."""
        return write_whole(Path(path), self.to_json(), "record")

    def report(self, path: str | Path) -> Path:
        """Draw the record as one self-contained HTML page and return the path."""
        from unexplained.report import write_report

        return write_report(self, Path(path))

    def __str__(self) -> str:
        from unexplained.report import text_table

        return text_table(self)

    def _repr_html_(self) -> str:
        from unexplained.report import notebook_html

        return notebook_html(self)


class KindRecord(Header):
    """A record with fields of its own for every kind (format 1)."""

    kind: str
