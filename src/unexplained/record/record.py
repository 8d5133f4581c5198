"""A record: a header and blocks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import Field, model_validator

from unexplained.errors import RecordError, near_matches
from unexplained.places import write_whole
from unexplained.record import frame
from unexplained.record.base import Frozen, Header, Number
from unexplained.record.blocks import Block
from unexplained.record.ids import cells, require_whole

LONGEST: Final = 200
"""Letters of a record in one line."""
FORMAT: Final = 2
"""Version of the format of records; raised when a field changes its meaning."""


if TYPE_CHECKING:
    import pyarrow as pa


class _Kept(Frozen):
    """The last of a record's bases, so that its field is the first."""

    format: Literal[2] = FORMAT
    """First in the file, by which `places` knows a record from a file of somebody else's."""


class Record(Header, _Kept):
    """What an instrument found: who asked what of which model, and blocks.

    Raises:
        ValueError: Two numbers have one id, or a picture points at none (`blocks.require_whole`).
    """

    instrument: str
    """The name under which the registry has it."""
    sheet: dict[str, str] = Field(default_factory=dict)
    """What was measured on, by name: fingerprints of texts and the like."""
    units: Literal["documents", "orbits"] = "documents"
    """What intervals are over."""
    needed: Literal["tokens", "pairs"] = "tokens"
    """What `tokens_needed` of a refused number counts."""
    blocks: tuple[Block, ...]

    @model_validator(mode="after")
    def _require_whole(self) -> Record:
        require_whole(self.blocks)
        return self

    def numbers(self) -> Iterator[tuple[str, Number]]:
        """Every number with its id, in the order in which they are shown."""
        return cells(self.blocks)

    def __getitem__(self, where: str) -> Number:
        """The number of that id.

        Raises:
            RecordError: There is none (with near matches).
        """
        known = dict(self.numbers())
        if where not in known:
            raise RecordError(f"The number '{where}'", f"the {self.instrument} '{self.title}' has "
                              "none of that id", near_matches(where, known))  # fmt: skip
        return known[where]

    def to_arrow(self) -> pa.Table:
        """Every number as a row of an Arrow table (`record.frame`)."""
        return frame.to_arrow(self)

    def to_pandas(self) -> Any:
        """Every number as a row of a data frame, its id the index (RecordError without pandas)."""
        return frame.to_pandas(self)

    def figure(self, where: str = "") -> Any:
        """A matplotlib figure of a block: a picture, or a table's numbers with their intervals.

        Args:
            where: The block's id, such as `curve/chart`; the picture of the answer if none is given.

        Raises:
            RecordError: There is no such block (with near matches), or no matplotlib.
        """
        from unexplained.report.figures import figure

        return figure(self, where)

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

    def __repr__(self) -> str:
        words = f"<{self.instrument} of {self.subject}: {' '.join(self.verdict.split())}>"
        return words if len(words) <= LONGEST else f"{words[: LONGEST - 2]}…>"

    def __str__(self) -> str:
        from unexplained.report import text_table

        return text_table(self)

    def _repr_html_(self) -> str:
        from unexplained.report import notebook_html

        return notebook_html(self)
