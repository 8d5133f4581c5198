"""The frozen result of an assay, as JSON. Reports are drawn from it alone. No torch.

A number that could not be given is not 0.0: its `value` is null and `refused` says why, with
the number of tokens that it would take.
"""

from __future__ import annotations

import errno
import json
import os
import tempfile
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from unexplained.errors import RecordError, near_matches

FORMAT = 1
"""Version of the record format; raised when a field changes its meaning."""

Kind = Literal["intact", "ablation", "explanation", "fitted", "baseline", "control", "twin"]
Method = Literal["mech", "high-level", "internals", "black-box"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Number(_Frozen):
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


class Stratum(_Frozen):
    """An explanation's row on one part of the tokens."""

    family: str
    """Which way of cutting the text: `recurrence`, `position`, `domain`, …"""
    label: str
    tokens: int
    loss: Number
    damage: Number
    """Loss of the reference ablation minus loss of the intact model: the denominator."""
    recovered: Number


class Description(_Frozen):
    """How long the explanation is (docs/description-length.md)."""

    code_bits: int
    parameters: int
    parameter_bits: int

    @property
    def bits(self) -> int:
        """Bits of code and of fitted parameters together."""
        return self.code_bits + self.parameter_bits


class Row(_Frozen):
    """One condition of the assay: an explanation, an ablation, a baseline or a control."""

    name: str
    kind: Kind
    says: str
    """The claim in one English sentence (an explanation's docstring)."""
    method: Method
    """Item 107's tag: mechanistic, high-level, other internals, black-box."""
    reads: tuple[str, ...] = ()
    """What it was given: `tokens`, or the model's own values; the latter make it weaker."""
    leaves: tuple[str, ...] = ()
    """What it leaves to the model: for a pattern, the model's own values and output matrix."""
    loss: Number
    increase: Number
    """Loss minus the intact model's, paired by document."""
    kl: Number
    agreement: Number
    """Share of tokens whose top-1 prediction is the intact model's."""
    recovered: dict[str, Number] = {}
    """Fraction of the ablation's damage recovered, for every ablation: (L_abl − L_sub)/(L_abl − L_full)."""
    damage: dict[str, Number] = {}
    """Its own denominators, where they are not the text's: a twin, or one head of several alone."""
    direct: dict[str, Number] = {}
    """The same for the direct effect alone: `norm free` and `norm frozen`, against the mean ablation."""
    variance: Number | None = None
    """Share of the variance of the heads' outputs explained, on the intact run."""
    bars: dict[str, Number] = {}
    """Recovered minus each bar (0.5, 0.8, …). No bar is a pass mark."""
    nines: Number | None = None
    """−log10(1 − recovered): 2 means 99%."""
    description: Description | None = None
    strata: tuple[Stratum, ...] = ()


class Token(_Frozen):
    """A token in the token view."""

    text: str
    """Raw text: escape it."""
    intact: float | None
    """Loss of this token under the intact model (nats); null for the first token."""
    explained: float | None
    ablated: float | None
    intact_says: str = ""
    explained_says: str = ""
    """Top-1 prediction for this token under the explanation: raw text, escape it."""
    label: str = ""
    """The token's `recurrence` stratum."""


class Example(_Frozen):
    """A document of the eval part where an explanation is furthest off."""

    document: str
    domain: str
    row: str
    """Name of the explanation that is shown."""
    excess: float
    """Loss under the explanation minus the intact loss (nats per token), in this document."""
    tokens: tuple[Token, ...]


class Factor(_Frozen):
    """Where against how much: the 2 x 2 of the rule's and the model's own placement and amount."""

    where: Literal["rule", "own"]
    amount: Literal["all", "own"]
    row: str
    recovered: Number


class ContextGain(_Frozen):
    """How much lower the loss is where there is more earlier text to use (nats per token)."""

    family: str
    early: str
    """Label of the tokens with little context."""
    late: str
    gain: dict[str, Number]
    """Loss at `early` minus loss at `late`, by row; the intact model first."""
    lost: dict[str, Number]
    """The intact model's gain minus the row's."""


class TextResult(_Frozen):
    """The assay on one text."""

    name: str
    documents: int
    tokens: int
    """Predicted tokens in the eval part."""
    block: int
    """Greatest number of tokens in a block."""
    fit_documents: int
    fit_tokens: int
    fingerprint: str
    composition: dict[str, int]
    """Eval documents per domain."""
    notes: tuple[str, ...] = ()
    damage: dict[str, Number] = {}
    """What each ablation costs (nats per token): the denominators."""
    rows: tuple[Row, ...]
    factors: tuple[Factor, ...] = ()
    context: ContextGain | None = None
    singles: tuple[Row, ...] = ()
    """Each head alone, where that was asked for."""
    examples: tuple[Example, ...] = ()

    def row(self, name: str) -> Row:
        """The row with that name.

        Raises:
            KeyError: There is none.
        """
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(name)


class HeadScore(_Frozen):
    """Behavioural scores of a head on repeated random tokens, beside the random-weight twin's."""

    site: str
    induction: float
    previous_token: float
    duplicate_token: float
    twin_induction: float | None = None
    gain_lost: Number | None = None
    """Gain in context lost on repeated tokens when this head alone is mean-ablated; null where
    that was not measured."""


class Check(_Frozen):
    """A control with what it had to give and what it gave."""

    name: str
    text: str
    expected: str
    found: Number
    holds: bool


class Crux(_Frozen):
    """Which statement of the founding dialogue a number bears on."""

    speaker: str
    statement: str
    bearing: str


class Record(_Frozen):
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


class AssayRecord(Record):
    """Everything that an assay found."""

    kind: Literal["assay"] = "assay"
    sites: tuple[str, ...]
    reference: str
    """The ablation that strata, bars and nines are measured against."""
    heads: tuple[HeadScore, ...] = ()
    texts: tuple[TextResult, ...]
    checks: tuple[Check, ...]
    cruxes: tuple[Crux, ...] = ()

    def _repr_html_(self) -> str:
        from unexplained.report import notebook_html

        return notebook_html(self)


class Effect(_Frozen):
    """What ablating one component costs."""

    site: str
    increase: Number
    """Loss minus the intact model's, paired by document (nats per token)."""
    kl: Number
    p: float
    """Two-sided p-value of no effect on the loss, before correction."""
    q: float
    """The same after correction for the number of components (Benjamini and Hochberg 1995)."""


class Joint(_Frozen):
    """Several components ablated together, against the sum of each alone."""

    sites: tuple[str, ...]
    together: Number
    """Increase in loss with all of them ablated (nats per token)."""
    summed: Number
    """Sum of their single increases on the same documents."""
    interaction: Number
    """`together` minus `summed`. Above 0 they stand in for each other; below 0 they cancel, or
    one works through the other."""


class SweepRecord(Record):
    """What every component of a set costs when it is ablated, and how the strongest interact."""

    kind: Literal["sweep"] = "sweep"
    ablation: str
    text: str
    text_fingerprint: str
    documents: int
    tokens: int
    """Predicted tokens in the eval part."""
    fit_documents: int
    loss: Number
    """Of the intact model."""
    effects: tuple[Effect, ...]
    """In the order of the model."""
    rate: float
    """False discovery rate: the expected share of components without effect among those that are
    told from zero."""
    chosen_on: int
    """Documents that chose the strongest components."""
    reported_on: int
    """Other documents, on which those are measured together."""
    joints: tuple[Joint, ...] = ()
    """The strongest 2, 3, 5, … together."""
    pairs: tuple[Joint, ...] = ()
    """The strongest, two at a time."""

    @property
    def strongest(self) -> tuple[Effect, ...]:
        """Effects by size, either way, greatest first."""
        return tuple(sorted(self.effects, key=lambda e: -abs(e.increase.value or 0.0)))


def write_whole(path: Path, text: str, what: str) -> Path:
    """Write a file that appears under its name only when it is complete, and return its path.

    Raises:
        RecordError: It cannot be written there.
    """
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
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
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise _unwritable(path, what, error) from None


def _unwritable(path: Path, what: str, error: OSError) -> RecordError:
    return RecordError(
        f"The {what} {path}",
        f"it cannot be written ({error.strerror})",
        "Give the path of a file in a folder that you may write to.",
    )


def load_record(path: str | Path) -> AssayRecord | SweepRecord:
    """Read a record file.

    Raises:
        RecordError: The file is missing, not JSON, or not a record of this format.
    """
    path = Path(path)
    asked = f"The record {path}"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecordError(asked, "there is no such file") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise RecordError(asked, f"it is not JSON ({error})") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        found = data.get("format") if isinstance(data, dict) else None
        raise RecordError(
            asked,
            f"its format is {found!r} and this version reads format {FORMAT}",
            "Measure again, or read it with the version that wrote it.",
        )
    known: dict[object, type[AssayRecord] | type[SweepRecord]] = {
        "assay": AssayRecord,
        "sweep": SweepRecord,
    }
    if data.get("kind") not in known:
        raise RecordError(
            asked,
            f"its kind is {data.get('kind')!r}",
            near_matches(str(data.get("kind")), map(str, known)),
        )
    try:
        return known[data["kind"]].model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RecordError(asked, f"the field {where} is wrong ({first['msg']})") from None
