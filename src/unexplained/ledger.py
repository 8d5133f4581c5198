"""What measuring conditions on a text gives: sums per condition, document and stratum. No torch.

A row says: under this condition, in this document, over the tokens with this label, so many
tokens were predicted and their losses (nats), KL divergences from the intact model (nats), top-1
agreements with it and so on add up to this. Everything reported is arithmetic on such rows, so a
ratio is always a ratio of sums and documents are always there to be resampled.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from unexplained.errors import MeasurementError, near_matches
from unexplained.hashing import digest
from unexplained.whole import BLANK, read_sealed, seal, write_flushed

NATS = "nats per token"
BITS = "bits per byte"
"""What losses are in where tokenizers differ: `tokens` are then the bytes of the same characters."""

Floats = NDArray[np.float64]

StratumKey = tuple[str, str]
"""Partition and label."""

ALL: StratumKey = ("all", "all")
"""The stratum that holds every token: partition `all`, label `all`."""

SCHEMA = pa.schema(
    [
        ("condition", pa.string()),
        ("document", pa.string()),
        ("partition", pa.string()),
        ("label", pa.string()),
        ("tokens", pa.int64()),
        ("loss", pa.float64()),
        ("kl", pa.float64()),
        ("agree", pa.int64()),
        ("correct", pa.int64()),
        ("logit_difference", pa.float64()),
        ("preferred", pa.int64()),
        ("error", pa.float64()),
    ]
)
"""`correct`: top-1 predictions that are the target. Of pairs of prompts only: `logit_difference`, logit of
the answer minus logit of the wrong answer, and `preferred`, how often that is above 0. `error`:
squared error at the edited sites in the intact run. All are sums, and null where not asked for;
where the logit difference alone was asked for, so are loss, kl, agree and correct."""

COLUMNS = ("loss", "kl", "agree", "correct", "logit_difference", "preferred", "error")
"""What is summed, besides the number of tokens."""

TOKEN_SCHEMA = pa.schema(
    [
        ("condition", pa.string()),
        ("document", pa.string()),
        ("loss", pa.list_(pa.float32())),
        ("predicted", pa.list_(pa.int32())),
    ]
)
"""Per predicted token, in order: the loss and the top-1 prediction."""


@dataclass(frozen=True)
class Sums:
    """One condition on one stratum: an array entry per document, in the ledger's document order.

    What was not measured is NaN.
    """

    condition: str
    documents: tuple[str, ...]
    tokens: np.ndarray
    loss: np.ndarray
    kl: np.ndarray
    agree: np.ndarray
    correct: np.ndarray
    logit_difference: np.ndarray
    preferred: np.ndarray
    error: np.ndarray

    def per_token(self, column: str = "loss") -> float:
        """The column's total divided by the number of tokens (nats per token for losses)."""
        return float(getattr(self, column).sum() / self.tokens.sum())


@dataclass(frozen=True)
class Ledger:
    """Rows as in `SCHEMA`, and per-token rows as in `TOKEN_SCHEMA` where they were asked for."""

    table: pa.Table
    tokens: pa.Table
    unit: str = NATS
    """Of losses, divided by `tokens`."""

    @classmethod
    def empty(cls) -> Ledger:
        """A ledger without rows."""
        return cls(SCHEMA.empty_table(), TOKEN_SCHEMA.empty_table())

    @classmethod
    def concat(cls, ledgers: Iterable[Ledger]) -> Ledger:
        """One ledger with the rows of all, in order."""
        parts = list(ledgers)
        if not parts:
            return cls.empty()
        return cls(
            pa.concat_tables([part.table for part in parts]),
            pa.concat_tables([part.tokens for part in parts]),
            _one_unit(parts),
        )

    @cached_property
    def conditions(self) -> tuple[str, ...]:
        """Names of the conditions, in the order in which they were measured."""
        return tuple(pc.unique(self.table["condition"]).to_pylist())

    @cached_property
    def documents(self) -> tuple[str, ...]:
        """Hashes of the documents, in the order of the text."""
        return tuple(pc.unique(self.table["document"]).to_pylist())

    @cached_property
    def strata(self) -> tuple[tuple[str, str], ...]:
        """(partition, label) pairs, `ALL` first."""
        found = {stratum for _, stratum in self._index}
        return tuple(sorted(found, key=lambda pair: (pair != ALL, pair)))

    @cached_property
    def _index(self) -> dict[tuple[str, tuple[str, str]], np.ndarray]:
        """Row numbers by condition and stratum: a record reads hundreds of them."""
        columns = [_coded(self.table[name]) for name in ("condition", "partition", "label")]
        codes = np.stack([codes for codes, _ in columns])
        order = np.lexsort(codes[::-1])
        changes = np.flatnonzero((codes[:, order[1:]] != codes[:, order[:-1]]).any(0)) + 1
        groups = np.split(order, changes) if len(order) else []
        found = {}
        for rows in groups:
            condition, partition, label = (names[codes[rows[0]]] for codes, names in columns)
            found[condition, (partition, label)] = rows
        return found

    @cached_property
    def _columns(self) -> dict[str, np.ndarray]:
        """The numeric columns, and every row's document as its place in `documents`."""
        numbers = {name: self.table[name].to_numpy() for name in ("tokens", *COLUMNS)}
        return numbers | {"document": _coded(self.table["document"])[0]}

    def sums(self, condition: str, stratum: tuple[str, str] = ALL) -> Sums:
        """The sums of one condition on one stratum, zero where a document has no such token.

        Raises:
            MeasurementError: The condition was not measured.
        """
        if condition not in self.conditions:
            raise MeasurementError(
                f"The losses of '{condition}'",
                "this ledger does not have that condition",
                near_matches(condition, self.conditions),
            )
        rows = self._index.get((condition, stratum), np.empty(0, dtype=np.int64))
        at = self._columns["document"][rows]

        def column(name: str) -> np.ndarray:
            values = self._columns[name]
            total: np.ndarray = np.zeros(len(self.documents), dtype=values.dtype)
            np.add.at(total, at, values[rows])
            return total

        return Sums(
            condition, self.documents, column("tokens"), **{name: column(name) for name in COLUMNS}
        )

    def token_rows(self, condition: str, document: str) -> tuple[list[float], list[int]]:
        """Loss and top-1 prediction of every predicted token of a document, if they were kept."""
        mask = pc.and_(
            pc.equal(self.tokens["condition"], condition),
            pc.equal(self.tokens["document"], document),
        )
        rows = self.tokens.filter(mask)
        if rows.num_rows == 0:
            return [], []
        return rows["loss"][0].as_py(), rows["predicted"][0].as_py()

    def only(self, conditions: Sequence[str]) -> Ledger:
        """The rows of some conditions."""
        wanted = pa.array(list(conditions), pa.string())
        return Ledger(
            self.table.filter(pc.is_in(self.table["condition"], value_set=wanted)),
            self.tokens.filter(pc.is_in(self.tokens["condition"], value_set=wanted)),
            self.unit,
        )

    def also(self, names: Mapping[str, str]) -> Ledger:
        """The same with a condition's rows under other names too: name → the measured one's."""
        parts = [self]
        for name, measured in names.items():
            if name != measured:
                one = self.only([measured])
                rows, per_token = _called(one.table, name), _called(one.tokens, name)
                parts.append(Ledger(rows, per_token, self.unit))
        return Ledger.concat(parts)

    def write(self, path: Path) -> None:
        """Write `<path>.parquet` (and `<path>.tokens.parquet` if there are per-token rows)."""
        rows, per_token = _files(path)
        pq.write_table(self.table, rows)
        if self.tokens.num_rows:
            pq.write_table(self.tokens, per_token)
        else:
            per_token.unlink(missing_ok=True)  # else `read` would join an older ledger's to this

    @classmethod
    def read(cls, path: Path) -> Ledger:
        """Read what `write` wrote."""
        rows, per_token = _files(path)
        return cls(
            pq.read_table(rows, schema=SCHEMA),
            pq.read_table(per_token, schema=TOKEN_SCHEMA)
            if per_token.exists()
            else TOKEN_SCHEMA.empty_table(),
        )

    def keep(self, folder: Path) -> str:
        """Write the sums into a folder under their digest, and give it; per-token rows are left out.

        Raises:
            OSError: They cannot be written.
        """
        about = {b"unit": self.unit.encode(), b"seal": BLANK}
        into = io.BytesIO()
        pq.write_table(self.table.replace_schema_metadata(about), into, compression="zstd")
        name = digest(into.getvalue())
        place = _kept(folder, name)
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            write_flushed(place, seal(into.getvalue(), name))
        return name

    @classmethod
    def kept(cls, folder: Path, name: str) -> Ledger | None:
        """What was kept under a digest; None where there is nothing, or not what was written."""
        data = read_sealed(_kept(folder, name), name, "what it was for goes without it")
        if data is None:
            return None
        table = pq.read_table(pa.BufferReader(data))
        unit = table.schema.metadata[b"unit"].decode()
        return cls(table.replace_schema_metadata(), TOKEN_SCHEMA.empty_table(), unit)


def _kept(folder: Path, name: str) -> Path:
    return folder / "readings" / f"{name}.parquet"


def _one_unit(parts: Sequence[Ledger]) -> str:
    """The unit that all parts have.

    Raises:
        MeasurementError: They differ.
    """
    units = dict.fromkeys(part.unit for part in parts)
    if len(units) > 1:
        raise MeasurementError("Losses in one ledger", f"they are in {' and in '.join(units)}")
    return next(iter(units))


def _called(table: pa.Table, name: str) -> pa.Table:
    at = table.schema.get_field_index("condition")
    field = table.schema.field(at)
    return table.set_column(at, field, pa.array([name] * len(table)).cast(field.type))


def _coded(column: pa.ChunkedArray) -> tuple[np.ndarray, list[str]]:
    """A column of strings as numbers, and the string of each number, in order of appearance."""
    coded = column.combine_chunks().dictionary_encode()
    return coded.indices.to_numpy(), coded.dictionary.to_pylist()


def _files(path: Path) -> tuple[Path, Path]:
    # Not with_suffix, which would write `run-0.5` and `run-0.8` to the same file.
    stem = path.name.removesuffix(".parquet")
    return path.with_name(stem + ".parquet"), path.with_name(stem + ".tokens.parquet")
