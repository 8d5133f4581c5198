"""Losses of a finished unit as files, and whether what is found is that unit.

Sums and per-token rows are Parquet, which anybody can open. Each says in its metadata what it
holds and carries a seal (`whole`); the sums name the per-token rows that belong to them by theirs.
Nothing of a file is parsed before its seal holds. Rows are kept under what a condition *is* (its
key), not its name.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from unexplained.evaluate.store import Store
from unexplained.hashing import digest
from unexplained.ledger import ALL, COLUMNS, SCHEMA, TOKEN_SCHEMA, Ledger
from unexplained.whole import BLANK

_ABOUT = b"unexplained"
LEAST = -1e-3
"""Nats per token: float32 sums of what is nought can be below it by a rounding."""


@dataclass(frozen=True)
class Required:
    """What a unit must have, whoever measured it."""

    unit: str
    documents: tuple[tuple[str, int], ...]
    """Of every block in order: its document, and how many of its tokens are scored."""
    columns: frozenset[str]
    """What is measured of every condition; `error` of some."""
    strata: Mapping[str, str] = field(default_factory=dict)
    """Partitions of the user's that it holds besides, and a digest of their labels."""


def load(
    store: Store, asked: Required, keys: Mapping[str, str], want_tokens: Iterable[str]
) -> Ledger:
    """What is known of a unit, for conditions given as key -> name.

    A condition whose per-token rows are wanted counts as known only if they were kept. Files
    that are not what was written are set aside.
    """
    found: dict[str, Ledger] = {}
    needs_tokens = set(want_tokens)
    for path in store.units(f"{asked.unit}-*[0-9a-f].parquet"):
        ledger = _read(store, path, asked)
        kept = set(ledger.tokens["condition"].unique().to_pylist())
        for condition in ledger.conditions:
            name = keys.get(condition)
            if name and condition not in found and (name not in needs_tokens or condition in kept):
                found[condition] = _renamed(ledger.only([condition]), name)
    return Ledger.concat(found[key] for key in keys if key in found)


def _read(store: Store, path: Path, asked: Required) -> Ledger:
    """The rows of a unit's file; none where it is not what was written."""
    data = store.read(path.name)
    if data is None:
        return Ledger.empty()
    try:
        table, about = unpacked(data, SCHEMA)
        rows = TOKEN_SCHEMA.empty_table()
        if about["tokens"]:
            more = store.read(f"{stem_of(path)}.tokens.parquet")
            if more is None or mark_of(more) != about["tokens"]:
                raise ValueError("its per-token rows are not those that were written with it")
            rows, _ = unpacked(more, TOKEN_SCHEMA)
        ledger, held = Ledger(table, rows), about["strata"]
        called = stem(about["unit"], about["conditions"], held)
        why = "" if called == stem_of(path) else "it is another unit's"
        why = why or fault(ledger, about["conditions"], asked)
    except (ValueError, KeyError, TypeError, pa.ArrowException) as error:
        why = str(error)
    if why:
        store.reject(path.name, why)
        return Ledger.empty()
    if not asked.strata.items() <= held.items():
        return Ledger.empty()  # it is whole, and does not hold all that is wanted
    return without(ledger, held.keys() - asked.strata.keys())


def save(
    store: Store,
    unit: str,
    ledger: Ledger,
    keys: Mapping[str, str],
    strata: Mapping[str, str] | None = None,
) -> None:
    """Keep a unit's rows, for conditions given as name -> key.

    `strata`: the partitions of the user's that the rows hold, as in `Required`.
    """
    renamed = Ledger.concat(_renamed(ledger.only([name]), keys[name]) for name in ledger.conditions)
    conditions = sorted(keys.values())
    held = dict(strata or {})
    called = stem(unit, conditions, held)
    about = {"unit": unit, "conditions": conditions, "strata": held,
             "circumstances": dict(store.describes)}  # fmt: skip
    tokens = b""
    if renamed.tokens.num_rows:
        # First, so that sums are never there without the per-token rows that belong to them.
        tokens = store.write(f"{called}.tokens.parquet", packed(renamed.tokens, about))
    more = {"tokens": mark_of(tokens) if tokens else ""}
    store.write(f"{called}.parquet", packed(renamed.table, about | more))


def packed(table: pa.Table, about: Mapping[str, Any]) -> bytes:
    """A table as a Parquet file that says what it is, to be sealed."""
    text = json.dumps(dict(about), sort_keys=True).encode()
    into = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({_ABOUT: text, b"seal": BLANK}), into)
    return into.getvalue()


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


def without(ledger: Ledger, partitions: Collection[str]) -> Ledger:
    """The rows of a unit but for some partitions."""
    if not partitions:
        return ledger
    gone = pc.is_in(ledger.table["partition"], value_set=pa.array(sorted(partitions), pa.string()))
    return Ledger(ledger.table.filter(pc.invert(gone)), ledger.tokens)


def stem_of(path: Path) -> str:
    """A unit file's name without its endings."""
    return path.name.removesuffix(".parquet").removesuffix(".tokens")


def fault(ledger: Ledger, keys: Sequence[str], asked: Required) -> str:
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
        whole = [
            (r["document"], r["tokens"]) for r in layout if (r["partition"], r["label"]) == ALL
        ]
        if layout != first or tuple(whole) != asked.documents:
            return "rows of it are missing, doubled or of other documents"
        for column in COLUMNS:
            if why := _fault_of(rows, column, asked):
                return why
    return _fault_of_tokens(ledger.tokens, set(keys), asked)


def _fault_of(rows: pa.Table, column: str, asked: Required) -> str:
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
    elif column != "logit_difference":
        sound &= (numbers >= 0) & (numbers <= tokens)
    return "" if sound.all() else f"its {column} is out of range"


def _fault_of_tokens(table: pa.Table, keys: set[str], asked: Required) -> str:
    """What is wrong with the per-token rows."""
    found: dict[str, list[tuple[str, int]]] = {}
    for row in table.to_pylist():
        if None in row.values() or len(row["loss"]) != len(row["predicted"]):
            return "per-token rows of it are not whole"
        found.setdefault(row["condition"], []).append((row["document"], len(row["loss"])))
    if not found.keys() <= keys or any(tuple(f) != asked.documents for f in found.values()):
        return "per-token rows of it are missing, doubled or of other documents"
    return ""


def _renamed(ledger: Ledger, name: str) -> Ledger:
    def renamed(table: pa.Table, schema: pa.Schema) -> pa.Table:
        column = pa.array([name] * table.num_rows, pa.string())
        return table.set_column(0, schema.field("condition"), column)

    return Ledger(renamed(ledger.table, SCHEMA), renamed(ledger.tokens, TOKEN_SCHEMA))
