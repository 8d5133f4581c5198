"""What all records share: numbers that can be refused, and what is needed to find a result again.

A number that could not be given is not 0.0: its `value` is null and `refused` says why, with
the number of tokens that it would take.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from unexplained.errors import RecordError

FORMAT = 1
"""Version of the record format; raised when a field changes its meaning."""


class Frozen(BaseModel):
    """Data that does not change once it is measured, and has no fields but those that are named."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Number(Frozen):
    """A quantity with its interval; refused by name when it would mean nothing."""

    value: float | None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    """`nats per token`, `share`, `bits`, …"""
    refused: str = ""
    """Why there is no value."""
    tokens_needed: int | None = None
    """At the present estimate, how many tokens would make the denominator distinguishable from 0."""


class Record(Frozen):
    """What every kind of record has: a verdict, and what is needed to find it again."""

    format: int = FORMAT
    kind: str
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


def write_whole(path: Path, text: str, what: str) -> Path:
    """Write a file that appears under its name only when it is complete, and return its path.

    Raises:
        RecordError: It cannot be written there.
    """
    # Not made of the file's own name: that may be as long as a name can be.
    part = path.parent / f".{uuid.uuid4().hex}.part"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except (OSError, ValueError) as error:
        with suppress(OSError, ValueError):
            part.unlink()
        raise _unwritable(path, what, error) from None
    return path


def require_writable(path: Path, what: str) -> None:
    """Find out before a long measurement, not after it, that a file cannot be written.

    Raises:
        RecordError: It cannot.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            mode = path.stat().st_mode
            if stat.S_ISDIR(mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            if not stat.S_ISREG(mode):
                raise OSError(errno.EINVAL, "It is a device or a pipe")
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except (OSError, ValueError) as error:
        raise _unwritable(path, what, error) from None


def require_apart(paths: Mapping[str, Path | None]) -> None:
    """Refuse two outputs of one name: the second would replace the first.

    Args:
        paths: What is written there, such as `report` → its path; None where nothing is.

    Raises:
        RecordError: Two are the same file.
    """
    known: dict[str, str] = {}
    for what, path in paths.items():
        if path is None:
            continue
        other = known.setdefault(os.path.realpath(path), what)
        if other != what:
            raise RecordError(
                f"The {other} and the {what}",
                f"both would be {path}",
                "Give each a file of its own.",
            )


def _unwritable(path: Path, what: str, error: OSError | ValueError) -> RecordError:
    return RecordError(
        f"The {what} {path}",
        f"it cannot be written ({getattr(error, 'strerror', None) or error})",
        "Give the path of a file in a folder that you may write to.",
    )
