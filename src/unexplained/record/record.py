"""A record: a header and blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from pydantic import Field, model_validator

from unexplained.errors import RecordError, near_matches
from unexplained.record.base import Header, Number
from unexplained.record.blocks import Block, cells, require_whole

BLOCKS_FORMAT: Final = 2
"""Version of the format of records that are made of blocks."""


class Record(Header):
    """What an instrument found: who asked what of which model, and blocks.

    Raises:
        ValueError: Two numbers have one id, or a picture points at none (`blocks.require_whole`).
    """

    format: Literal[2] = BLOCKS_FORMAT
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
