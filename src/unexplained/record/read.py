"""Record files, read strictly."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from unexplained.errors import RecordError
from unexplained.files import read_json
from unexplained.record.record import FORMAT, Record


def load_record(path: str | Path) -> Record:
    """Read a record file.

    Args:
        path: A record's JSON, as `record.save` or a command's `--record` wrote it.

    Raises:
        RecordError: The file is missing, a folder or a pipe, not JSON, not a record of this format,
            or holds NaN or infinity.
    """
    path = Path(path)
    asked = f"The record {path}"
    data = read_json(path, asked, RecordError, bounded=True)
    if not isinstance(data, dict) or "format" not in data:
        raise RecordError(asked, "it is no record", "Give a file that an instrument wrote.")
    found = data.get("format")
    if isinstance(found, bool) or found != FORMAT:
        raise RecordError(
            asked,
            f"its format is {found!r} and this version reads format {FORMAT}",
            "Draw it with the version that wrote it, or measure again.",
        )
    try:
        # Strictly: true is not 1.0, and "0.5" no number.
        return Record.model_validate_json(json.dumps(data), strict=True)
    except RecursionError:
        raise RecordError(asked, "it is nested deeper than any record") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RecordError(asked, f"the field {where} is wrong ({first['msg']})") from None
