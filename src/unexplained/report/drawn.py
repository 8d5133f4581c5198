"""What drawers are given: a header, blocks, and every number by its id."""

from __future__ import annotations

from dataclasses import dataclass

from unexplained.record import Number, Record
from unexplained.record import format as fmt
from unexplained.record.blocks import Answer, Check, Checks, Table
from unexplained.record.ids import require_whole, walk
from unexplained.record.keys import below
from unexplained.report.tables import without_refused

EXACT = ("the component itself", "no explanation")
"""Controls that have to come out exactly, whatever is claimed."""


@dataclass(frozen=True)
class Drawn:
    """A record ready to be drawn."""

    record: Record
    numbers: dict[str, Number]

    def at(self, above: str, reference: str) -> Number:
        """The number that a picture in a section points at."""
        return self.numbers[below(above, reference)]

    def told(self, table: Table) -> tuple[Table, str]:
        """A table without what was refused throughout, and a sentence that says so."""
        return without_refused(table, self.record.needed)

    @property
    def answer(self) -> Answer | None:
        """What is shown first."""
        first = next(iter(self.record.blocks), None)
        return first if isinstance(first, Answer) else None

    @property
    def checks(self) -> tuple[Check, ...]:
        """All controls, wherever they stand."""
        found = (block for _, block in walk(self.record.blocks) if isinstance(block, Checks))
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


def drawn(record: Record) -> Drawn:
    """A record, ready to be drawn."""
    return Drawn(record, require_whole(record.blocks))


class Notes:
    """Why numbers were refused, numbered as they are written.

    Whoever writes a refused number asks for its note, so no reason can be forgotten.
    """

    def __init__(self, needed: str = "tokens") -> None:
        self.needed = needed
        self._known: dict[str, int] = {}

    def of(self, number: Number) -> int:
        """The number of the note that says why."""
        return self._known.setdefault(self.reason(number), len(self._known) + 1)

    def reason(self, number: Number) -> str:
        """Why, and how much it would take."""
        return fmt.refusal(number, self.needed)

    def items(self) -> tuple[tuple[int, str], ...]:
        """All notes that were asked for."""
        return tuple((note, reason) for reason, note in self._known.items())
