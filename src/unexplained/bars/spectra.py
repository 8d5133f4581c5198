"""A spectrum of heads as it is shown: effective numbers in the heads' own basis, rotated, and of random weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unexplained.record import Number
from unexplained.record.blocks import (
    Answer,
    AnswerRow,
    Column,
    Prose,
    Role,
    Row,
    Section,
    Table,
)
from unexplained.record.format import written
from unexplained.shares import untold

COLUMNS = (
    ("effective", "As if of so many heads"),
    ("times", "Times as many"),
    ("within", "Of a layer, so many"),
    ("within-times", "Times as many there"),
)
SHOWN = ("effective", "times")
FIRST = ("divergence", "damage", "induction")
"""Scores that the answer shows."""
OWN, ROTATED, TWIN = "own", "rotated", "twin"
SAYS = {OWN: "the heads", ROTATED: "rotated", TWIN: "random weights"}
ROLES: dict[str, Role] = {OWN: "intact", ROTATED: "control", TWIN: "twin"}
LONG = {ROTATED: "The heads of each layer rotated into each other", TWIN: "With random weights"}


@dataclass(frozen=True)
class Spectrum:
    """Effective numbers of one score in one basis."""

    key: str
    score: str
    """What is scored, in words."""
    basis: str
    effective: Number
    times: Number | None
    """As many as the heads' own."""
    within: Number
    within_times: Number | None

    @property
    def name(self) -> str:
        """Score and basis."""
        return f"{self.score}: {SAYS[self.basis]}"

    @property
    def row(self) -> str:
        """Key of its row."""
        return f"{self.key}-{self.basis}"


def answer(found: Sequence[Spectrum]) -> Answer:
    """How many heads it is as if of, and how many times as many in another basis and untrained."""
    return Answer(
        corner="Score",
        columns=tuple(Column(key=k, heading=h) for k, h in COLUMNS if k in SHOWN),
        rows=tuple(
            AnswerRow(
                name=one.name, role=ROLES[one.basis],
                cells=tuple(f"spectrum/numbers/{one.row}/{k}" if k == "effective" or one.times else None
                            for k in SHOWN),
            )
            for one in found
            if one.key in FIRST
        ),
        says="n where n heads do the same, 1 where one does all. Times as many as the model's own: above 1, "
        "what was learned is more concentrated.",
    )  # fmt: skip


def numbers(found: Sequence[Spectrum], rotations: int) -> Section:
    """Everything, over all heads and within layers."""
    words = (
        "Effective number: (Σa)² ÷ Σa² over the heads' scores a, every product of two different documents, "
        "so that what noise adds to a square is left out. Of a layer: Σ over layers of (Σa)² ÷ Σa², the "
        "heads of one layer compared with each other alone. Divergence: KL divergence from the intact model "
        "when the head alone is mean-ablated, which is never negative; damage: the loss that this costs, of "
        "either sign; scores: attention on repeated random tokens. Rotated: the concatenated z of a layer's "
        f"heads turned by a random orthogonal matrix ({rotations} of them) and the output weights turned "
        "back: the same model, in which a block of as many dimensions as a head is ablated. Blocks have no "
        "pattern, so no score."
    )
    rows = tuple(
        Row(key=one.row, name=one.name, role=ROLES[one.basis],
            cells=(one.effective, one.times, one.within, one.within_times))
        for one in found
    )  # fmt: skip
    return Section(
        key="spectrum",
        title="Effective numbers of heads",
        blocks=(
            Prose(words=words),
            Table(key="numbers", corner="Score", rows=rows,
                  columns=tuple(Column(key=k, heading=h) for k, h in COLUMNS)),
        ),
    )  # fmt: skip


def verdict(found: Sequence[Spectrum], heads: int) -> str:
    """In plain words, of the first score."""
    first, *others = [one for one in found if one.key == found[0].key]
    what = first.score.lower()
    if why := untold(first.effective):
        return f"On how few of {heads} heads {what} rests is refused: {why}."
    said = [f"By {what} the {heads} heads are as if {written(first.effective)} equal ones did all."]
    beside = {one.basis: one.times for one in others if one.times}
    said += [
        f"{LONG[basis]}: refused ({why})." if (why := untold(times)) else
        f"{LONG[basis]}: {written(times)} times as many."
        for basis, times in beside.items()
    ]  # fmt: skip
    told = {basis: _told(times) for basis, times in beside.items() if not untold(times)}
    for words in ("More concentrated than", "Less concentrated than", "Not told from"):
        if those := [SAYS[basis] for basis, says in told.items() if says == words]:
            said.append(f"{words} {' and '.join(those)}.")
    return " ".join(said)


def _told(times: Number) -> str:
    """What the heads are beside a basis of so many times as many."""
    if times.low is not None and times.low > 1:
        return "More concentrated than"
    if times.high is not None and times.high < 1:
        return "Less concentrated than"
    return "Not told from"
