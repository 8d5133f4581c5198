"""The numbers of a record as a table of columns: what other tools read."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from unexplained.errors import RecordError
from unexplained.record.blocks import Checks, Section, Table
from unexplained.record.ids import walk
from unexplained.record.keys import below

if TYPE_CHECKING:
    import pyarrow as pa

    from unexplained.record.record import Record


def to_arrow(record: Record) -> pa.Table:
    """A row for each number, in the order in which they are shown.

    Returns:
        Columns `id`, `name` and `column` (words of the row and of the column that it stands in),
        `value`, `low`, `high` (null where there is none), `unit`, `refused` (why there is no value,
        else empty) and `tokens_needed`.
    """
    import pyarrow as pa

    words = _words(record)
    rows = [
        {"id": where, "name": words[where][0], "column": words[where][1], "value": n.value,
         "low": n.low, "high": n.high, "unit": n.unit, "refused": n.refused,
         "tokens_needed": n.tokens_needed}
        for where, n in record.numbers()
    ]  # fmt: skip
    text, number = pa.string(), pa.float64()
    kinds = {"id": text, "name": text, "column": text, "value": number, "low": number,
             "high": number, "unit": text, "refused": text, "tokens_needed": pa.int64()}  # fmt: skip
    return pa.Table.from_pylist(rows, schema=pa.schema(kinds.items()))


def to_pandas(record: Record) -> Any:
    """The same as a data frame with the ids as its index.

    Raises:
        RecordError: pandas is not installed.
    """
    try:
        importlib.import_module("pandas")
    except ImportError as error:
        raise RecordError(
            "A data frame of a record",
            f"pandas cannot be imported ({error})",
            "pip install 'unexplained[pandas]', or take to_arrow().",
        ) from error
    return to_arrow(record).to_pandas().set_index("id")


def titles(record: Record) -> dict[str, str]:
    """By id, the number in words: its section where it stands in one, its row and its column."""
    sections = {
        below(above, block.key): block.title
        for above, block in walk(record.blocks)
        if isinstance(block, Section)
    }
    return {
        where: ", ".join(filter(None, (_section(where, sections), name, column)))
        for where, (name, column) in _words(record).items()
    }


def _section(where: str, sections: dict[str, str]) -> str:
    """Titles of the sections above a number, the outermost first."""
    steps = where.split("/")
    above = ("/".join(steps[:i]) for i in range(1, len(steps)))
    return " · ".join(sections[one] for one in above if sections.get(one))


def _words(record: Record) -> dict[str, tuple[str, str]]:
    """By id, what the row and the column of a number are called."""
    found: dict[str, tuple[str, str]] = {}
    for above, block in walk(record.blocks):
        if isinstance(block, Table):
            home = below(above, block.key)
            for row in block.rows:
                for column in block.columns:
                    heading = (
                        f"{column.group}: {column.heading}" if column.group else column.heading
                    )
                    found[f"{home}/{row.key}/{column.key}"] = (row.name, heading)
        elif isinstance(block, Checks):
            for where, check in block.found(above):
                found[where] = (check.name, check.text)
    return found
