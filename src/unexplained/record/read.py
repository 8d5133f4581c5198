"""Record files, read strictly."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from unexplained.errors import RecordError, near_matches
from unexplained.files import read_json
from unexplained.record.assay import AssayRecord
from unexplained.record.base import FORMAT, READING, Header, KindRecord
from unexplained.record.circuit import CircuitRecord
from unexplained.record.family import FamilyRecord
from unexplained.record.record import BLOCKS_FORMAT, Record
from unexplained.record.rewrite import RewriteRecord, SizesRecord
from unexplained.record.sweep import SweepRecord
from unexplained.record.tasks import TasksRecord

KINDS: dict[str, type[KindRecord]] = {
    "assay": AssayRecord,
    "circuit": CircuitRecord,
    "family": FamilyRecord,
    "rewrite": RewriteRecord,
    "sizes": SizesRecord,
    "sweep": SweepRecord,
    "tasks": TasksRecord,
}


def load_record(path: str | Path) -> Header:
    """Read a record file.

    Raises:
        RecordError: The file is missing, a folder or a pipe, not JSON, not a record of this format,
            or holds NaN or infinity.
    """
    path = Path(path)
    asked = f"The record {path}"
    data = read_json(path, asked, RecordError, bounded=True)
    found = data.get("format") if isinstance(data, dict) else None
    if not isinstance(data, dict) or found not in (FORMAT, BLOCKS_FORMAT):
        raise RecordError(
            asked,
            f"its format is {found!r} and this version reads formats {FORMAT} and {BLOCKS_FORMAT}",
            "Measure again, or read it with the version that wrote it.",
        )
    kind = data.get("kind")
    if found == FORMAT and (not isinstance(kind, str) or kind not in KINDS):
        raise RecordError(asked, f"its kind is {kind!r}", near_matches(str(kind), KINDS))
    reader: type[Header] = Record if found == BLOCKS_FORMAT else KINDS[str(kind)]
    try:
        # Strictly: true is not 1.0, and "0.5" no number.
        return reader.model_validate_json(json.dumps(data), strict=True, context={READING: True})
    except RecursionError:
        raise RecordError(asked, "it is nested deeper than any record") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RecordError(asked, f"the field {where} is wrong ({first['msg']})") from None
