"""`@case`: a claim of the field's becomes an instrument of the casebook, with what would refute it. No torch.

A case asks instruments by their public doors, on the run that it is given (`Instrument.within`), and
shows their records as its parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unexplained.errors import MeasurementError
from unexplained.registry import Registry
from unexplained.study.given import Texts
from unexplained.study.instrument import Function, Instrument, Yielded, parameters_of

if TYPE_CHECKING:
    from unexplained.record import Record
    from unexplained.record.blocks import Answer, AnswerRow, Row, Section
    from unexplained.study.run import Run


@dataclass(frozen=True)
class CaseCard:
    """What every case says of itself, in a sentence or two each."""

    claim: str
    """What is claimed."""
    source: str
    """By whom: authors, year, title."""
    candidates: str
    """How the components that it is about are found in any model."""
    measured: str
    published: str
    """The numbers that were published, with the model that they are of."""
    refuted: str
    """What would refute it."""
    twin: str
    """What stands beside it of a model with random weights; or why nothing does."""

    def rows(self) -> tuple[Row, ...]:
        """What it says, line by line."""
        from unexplained.record.blocks import fact

        return (
            fact("claim", "Claimed", self.claim),
            fact("source", "By", self.source),
            fact("candidates", "Which components", self.candidates),
            fact("measured", "Measured", self.measured),
            fact("published", "Published", self.published),
            fact("refuted", "What would refute it", self.refuted),
            fact("twin", "Random weights", self.twin),
        )

    def section(self) -> Section:
        """The card as a part of the record."""
        from unexplained.record.blocks import Section, facts

        return Section(key="case", title="The case", blocks=(facts("card", *self.rows()),))


@dataclass(frozen=True, repr=False)
class Case(Instrument):
    """An instrument of the casebook: called as a function, it gives a record."""

    card: CaseCard

    @property
    def in_python(self) -> str:
        """How it is called in code."""
        return f"ux.CASEBOOK.get({self.name!r})"

    def _yielded(self, run: Run, given: Mapping[str, Any]) -> list[Yielded]:
        return [*super()._yielded(run, given), self.card.section()]


CASEBOOK: Registry[Case] = Registry("case", "unexplained.casebook", MeasurementError)


def case(
    name: str,
    card: CaseCard,
    *,
    texts: Texts | None = Texts(),  # noqa: B008  (frozen)
    before: Callable[[Mapping[str, Any]], None] = lambda given: None,
) -> Callable[[Function], Case]:
    """Register a function as a case of the casebook.

    Args:
        name: Under which it is called, such as `copy-suppression`.
        card: What is claimed, by whom, and what would refute it; shown in every record.
        texts: What it measures on unless something else is said.
        before: As of `instrument`.
    """

    def register(function: Function) -> Case:
        made = Case(name, function, texts, None, "", parameters_of(function), before, card)
        return CASEBOOK.add(name, made)

    return register


def part(key: str, title: str, record: Record) -> Section:
    """A record that an instrument gave within the case, as a section: its answer is the case's matter.

    Args:
        key: The name of the part, with which the ids of its numbers begin.
        title: The section's heading.
        record: What the instrument gave.
    """
    from unexplained.record.blocks import Answer, Section

    blocks = tuple(block for block in record.blocks if not isinstance(block, Answer))
    return Section(key=key, title=title, blocks=blocks)


def answer_of(key: str, record: Record) -> Answer:
    """The answer of a record that is a part of the case under that key.

    Args:
        key: The name of the part.
        record: What the instrument gave.

    Raises:
        MeasurementError: The record has none.
    """
    from unexplained.record.blocks import Answer
    from unexplained.record.keys import below

    found = next((block for block in record.blocks if isinstance(block, Answer)), None)
    if found is None:
        raise MeasurementError(
            f"The answer of {record.instrument}", "its record has none", "Write the case's own."
        )

    def moved(row: AnswerRow) -> AnswerRow:
        cells = tuple(None if cell is None else below(key, cell) for cell in row.cells)
        return row.model_copy(update={"cells": cells})

    return found.model_copy(update={
        "rows": tuple(map(moved, found.rows)), "beside": tuple(map(moved, found.beside)),
        "picture": found.picture and below(key, found.picture),
    })  # fmt: skip


def no_candidates(
    case: str,
    model: str,
    looked_for: str,
    best: str,
    do: str = "Try a larger model, or name components of your own to the instrument itself.",
) -> MeasurementError:
    """The error for a case whose components do not exist in a model.

    Args:
        case: Its name.
        model: The model's name.
        looked_for: What a component would have to be.
        best: The nearest that there is, with its number.
        do: What may help.
    """
    return MeasurementError(
        f"The case '{case}' in {model}",
        f"it has none of what the case is about: {looked_for}; the nearest is {best}",
        do,
    )
