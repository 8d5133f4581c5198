"""The frozen results of what users run, as JSON. Reports are drawn from them alone. No torch.

`base` is what all share; each kind of record has a file of its own.
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from unexplained.errors import RecordError, near_matches
from unexplained.files import read_json
from unexplained.record.assay import AssayRecord as AssayRecord
from unexplained.record.assay import ContextGain as ContextGain
from unexplained.record.assay import Crux as Crux
from unexplained.record.assay import Description as Description
from unexplained.record.assay import Factor as Factor
from unexplained.record.assay import HeadScore as HeadScore
from unexplained.record.assay import Kind as Kind
from unexplained.record.assay import Method as Method
from unexplained.record.assay import Row as Row
from unexplained.record.assay import Stratum as Stratum
from unexplained.record.assay import TextResult as TextResult
from unexplained.record.bars import Bars as Bars
from unexplained.record.base import FORMAT as FORMAT
from unexplained.record.base import READING as READING
from unexplained.record.base import Header as Header
from unexplained.record.base import KindRecord as KindRecord
from unexplained.record.base import Number as Number
from unexplained.record.blocks import Check as Check
from unexplained.record.blocks import Example as Example
from unexplained.record.blocks import Token as Token
from unexplained.record.circuit import CircuitRecord as CircuitRecord
from unexplained.record.circuit import Curve as Curve
from unexplained.record.circuit import EdgeScore as EdgeScore
from unexplained.record.circuit import Point as Point
from unexplained.record.compute import Explained as Explained
from unexplained.record.compute import Scale as Scale
from unexplained.record.compute import ShareKind as ShareKind
from unexplained.record.family import FamilyRecord as FamilyRecord
from unexplained.record.gap import GapRecord as GapRecord
from unexplained.record.record import BLOCKS_FORMAT as BLOCKS_FORMAT
from unexplained.record.record import Record as Record
from unexplained.record.rewrite import RewriteRecord as RewriteRecord
from unexplained.record.rewrite import SizesRecord as SizesRecord
from unexplained.record.sweep import Effect as Effect
from unexplained.record.sweep import Estimation as Estimation
from unexplained.record.sweep import Joint as Joint
from unexplained.record.sweep import SweepRecord as SweepRecord
from unexplained.record.tables import Counted as Counted
from unexplained.record.tasks import TasksRecord as TasksRecord

KINDS: dict[str, type[KindRecord]] = {
    "assay": AssayRecord,
    "circuit": CircuitRecord,
    "family": FamilyRecord,
    "gap": GapRecord,
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
