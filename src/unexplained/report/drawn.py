"""What drawers are given: a header, blocks, and every number by its id."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module

from unexplained.record import Header, KindRecord, Number, Record
from unexplained.record import format as fmt
from unexplained.record.blocks import Block, Check, Checks, below, require_whole, walk

EXACT = ("the component itself", "no explanation")
"""Controls that have to come out exactly, whatever is claimed."""


BLOCKS = frozenset({"assay", "circuit", "sweep"})
"""Kinds of records of format 1 that are drawn by their blocks."""


@dataclass(frozen=True)
class Shown:
    """What a record of an older kind shows, before its instrument yields blocks itself."""

    instrument: str
    blocks: Sequence[Block]
    sheet: dict[str, str] = field(default_factory=dict)
    needed: str = "tokens"
    units: str = "documents"


@dataclass(frozen=True)
class Drawn:
    """A record ready to be drawn."""

    record: Header
    instrument: str
    blocks: tuple[Block, ...]
    numbers: dict[str, Number]
    sheet: dict[str, str]
    """What was measured on, by name."""
    needed: str
    """What `tokens_needed` counts."""
    units: str
    """What intervals are over."""

    def at(self, above: str, reference: str) -> Number:
        """The number that a picture in a section points at."""
        return self.numbers[below(above, reference)]

    @property
    def checks(self) -> tuple[Check, ...]:
        """All controls, wherever they stand."""
        found = (block for _, block in walk(self.blocks) if isinstance(block, Checks))
        return tuple(check for block in found for check in block.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        """The controls that did not hold."""
        return tuple(check for check in self.checks if not check.holds)

    @property
    def alarm(self) -> str:
        """What failed controls leave standing; empty where none failed."""
        if not self.failed:
            return ""
        if any(check.name in EXACT for check in self.failed):
            return (
                "What has to come out exactly did not, so the instrument is at fault: no number "
                "here can be relied on until that is understood."
            )
        return (
            "Where the claim should not be right it recovers something too, so that much of its "
            "own score is no evidence for it. Ablations, baselines and other claims stand."
        )


def drawn(record: Header) -> Drawn:
    """A record of either format, ready to be drawn."""
    if isinstance(record, Record):
        found = Shown(record.instrument, record.blocks, record.sheet, record.needed, record.units)
    else:
        assert isinstance(record, KindRecord)
        home = import_module(f"unexplained.report.shown.{record.kind}")
        show: Callable[[Header], Shown] = home.shown
        found = show(record)
    return Drawn(
        record,
        found.instrument,
        tuple(found.blocks),
        require_whole(found.blocks),
        found.sheet,
        found.needed,
        found.units,
    )


class Notes:
    """Why numbers were refused, numbered as they are written.

    Whoever writes a refused number asks for its note, so no reason can be forgotten.
    """

    def __init__(self, needed: str = "tokens") -> None:
        self._needed = needed
        self._known: dict[str, int] = {}

    def of(self, number: Number) -> int:
        """The number of the note that says why."""
        return self._known.setdefault(self.reason(number), len(self._known) + 1)

    def reason(self, number: Number) -> str:
        """Why, and how much it would take."""
        return fmt.refusal(number, self._needed)

    def items(self) -> tuple[tuple[int, str], ...]:
        """All notes that were asked for."""
        return tuple((note, reason) for reason, note in self._known.items())
