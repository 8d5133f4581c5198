"""A finished unit as files, and whether what is found is that unit.

Sums and per-token rows are Parquet, which anybody can open. Each says in its metadata what it
holds and carries a seal (`whole`); the sums name the per-token rows that belong to them by theirs.
Nothing of a file is parsed before its seal holds.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from unexplained.hashing import digest
from unexplained.ledger import ALL, COLUMNS, SCHEMA, Ledger
from unexplained.whole import BLANK, seal

_ABOUT = b"unexplained"
LEAST = -1e-3
"""Nats per token: float32 sums of what is nought can be below it by a rounding."""


@dataclass(frozen=True)
class Asked:
    """What a unit must have, whoever measured it."""

    unit: str
    documents: tuple[tuple[str, int], ...]
    """Of every block in order: its document, and how many of its tokens are scored."""
    columns: frozenset[str]
    """What is measured of every condition; `error` of some."""
    strata: Mapping[str, str] = field(default_factory=dict)
    """Families of the user's that it holds besides, and a digest of their labels."""


def packed(table: pa.Table, about: Mapping[str, Any], kept_as: str) -> bytes:
    """A table as a sealed Parquet file that says what it is."""
    text = json.dumps(dict(about), sort_keys=True).encode()
    into = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({_ABOUT: text, b"seal": BLANK}), into)
    return seal(into.getvalue(), kept_as)


def unpacked(data: bytes, schema: pa.Schema) -> tuple[pa.Table, dict[str, Any]]:
    """The table of a file whose seal holds, and what it says that it is.

    Raises:
        ValueError, KeyError, pa.ArrowException: It is none of ours all the same.
    """
    table = pq.read_table(pa.BufferReader(data))
    about = json.loads((table.schema.metadata or {})[_ABOUT])
    table = table.replace_schema_metadata()
    if not table.schema.equals(schema) or not isinstance(about, dict):
        raise ValueError("its columns are others")
    return table, about


def mark_of(data: bytes) -> str:
    """By which the per-token rows of a unit are known to its sums."""
    return hashlib.sha256(data).hexdigest()


def stem(unit: str, conditions: Sequence[str], strata: Mapping[str, str]) -> str:
    """What a unit's file is called: by what it is of and all that it holds."""
    return (
        f"{unit}-{digest(*conditions, *(part for pair in sorted(strata.items()) for part in pair))}"
    )


def without(ledger: Ledger, families: Collection[str]) -> Ledger:
    """The rows of a unit but for some families of strata."""
    if not families:
        return ledger
    gone = pc.is_in(ledger.table["family"], value_set=pa.array(sorted(families), pa.string()))
    return Ledger(ledger.table.filter(pc.invert(gone)), ledger.tokens)


def stem_of(path: Path) -> str:
    """A unit file's name without its endings."""
    return path.name.removesuffix(".parquet").removesuffix(".tokens")


def fault(ledger: Ledger, keys: Sequence[str], asked: Asked) -> str:
    """Why rows cannot be those of the unit that is asked about; "" if they can.

    The seal says that a file is what was written; this, that what was written is a whole unit.
    """
    table = ledger.table
    if set(ledger.conditions) != set(keys):
        return "it holds other conditions"
    if any(table[name].null_count for name in SCHEMA.names[:5]):
        return "rows of it do not say what they are of"
    tokens = table["tokens"].to_numpy()
    if (tokens < 1).any():
        return "rows of it have no tokens"
    first: list[Any] = []
    for key in ledger.conditions:
        rows = ledger.only([key]).table
        layout = rows.select(SCHEMA.names[1:5]).to_pylist()
        first = first or layout
        whole = [(r["document"], r["tokens"]) for r in layout if (r["family"], r["label"]) == ALL]
        if layout != first or tuple(whole) != asked.documents:
            return "rows of it are missing, doubled or of other documents"
        for column in COLUMNS:
            if why := _fault_of(rows, column, asked):
                return why
    return _fault_of_tokens(ledger.tokens, set(keys), asked)


def _fault_of(rows: pa.Table, column: str, asked: Asked) -> str:
    """What is wrong with a column of one condition."""
    values, missing = rows[column], rows[column].null_count
    wanted = column in asked.columns
    if missing not in (0, rows.num_rows) or (
        column != "error" and wanted != (missing == 0) and rows.num_rows
    ):
        return f"its {column} is not there" if wanted else f"it has a {column} that nobody measured"
    if missing:
        return ""
    numbers = values.to_numpy().astype(np.float64)
    tokens = rows["tokens"].to_numpy()
    sound = np.isfinite(numbers)
    if column in ("loss", "kl", "error"):
        sound &= numbers >= LEAST * tokens
    elif column != "margin":
        sound &= (numbers >= 0) & (numbers <= tokens)
    return "" if sound.all() else f"its {column} is out of range"


def _fault_of_tokens(table: pa.Table, keys: set[str], asked: Asked) -> str:
    """What is wrong with the per-token rows."""
    found: dict[str, list[tuple[str, int]]] = {}
    for row in table.to_pylist():
        if None in row.values() or len(row["loss"]) != len(row["predicted"]):
            return "per-token rows of it are not whole"
        found.setdefault(row["condition"], []).append((row["document"], len(row["loss"])))
    if not found.keys() <= keys or any(tuple(f) != asked.documents for f in found.values()):
        return "per-token rows of it are missing, doubled or of other documents"
    return ""
