"""A hunt as it is shown: what a claim leaves of help and harm, beside what is no explanation, and by stratum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
    fact,
)
from unexplained.record.format import written
from unexplained.shares import percent, stated, untold

if TYPE_CHECKING:
    from unexplained.bars.counterexamples import Hunt

COLUMNS = (
    ("total", "In all", "plain"),
    ("helped", "Predictions", "share"),
    ("chosen", "Chosen", "plain"),
    ("carries", "They hold", "share"),
    ("explained", "Explained", "share"),
    ("kept", "Kept of their sum", "share"),
    ("left", "Left", "share"),
    ("everywhere", "Left anywhere", "share"),
)
"""Fields of `Left`, their headings and how they are written."""
SHOWN = ("explained", "left")
VERB = {"help": "helps", "harm": "harms"}


@dataclass(frozen=True)
class Hunted:
    """What stood in the component's place, and what it left."""

    key: str
    name: str
    note: str
    role: Role
    hunt: Hunt

    @property
    def short(self) -> str:
        """Its name beside the claim's, of which it is the same."""
        return self.name.removeprefix("the same, ").removeprefix("the same ")


@dataclass(frozen=True)
class HuntFindings:
    """A claim and what stands beside it."""

    where: str
    """The components, in words."""
    rows: tuple[Hunted, ...]
    """The claim first."""
    top: float
    keeps: float

    @property
    def claim(self) -> Hunted:
        """The claim."""
        return self.rows[0]


def answer(found: HuntFindings, claimed: str = "") -> Answer:
    """Of help and harm what the claim and what is none explain, and what they leave.

    Args:
        found: What was measured.
        claimed: What the claim says.
    """
    return Answer(
        corner="The component",
        columns=tuple(Column(key=k, heading=h, style=s) for k, h, s in COLUMNS if k in SHOWN),  # type: ignore[arg-type]
        rows=tuple(
            AnswerRow(
                name=f"{VERB[side]}: {one.short}", role=one.role,
                cells=tuple(f"sides/{side}/{one.key}/{k}" for k in SHOWN),
            )
            for side in VERB
            for one in found.rows
        ),
        beside=(AnswerRow(name="Help less harm", cells=("facts/net/is", None)),),
        says=f"Explained: of the {stated(found.top)} of predictions helped (harmed) most, those of which at "
        f"least {stated(found.keeps)} is kept. Left: what the others hold of all help (harm). "
        f"{claimed}".strip(),
    )  # fmt: skip


def sides(found: HuntFindings) -> Section:
    """Everything that was counted, help and harm apart."""

    def table(side: str) -> Table:
        return Table(
            key=side,
            title=side.capitalize(),
            corner="In the component's place",
            columns=tuple(Column(key=k, heading=h, style=s) for k, h, s in COLUMNS),  # type: ignore[arg-type]
            rows=tuple(
                Row(key=one.key, name=one.name, note=one.note, role=one.role,
                    cells=tuple(getattr(one.hunt.sides[side], k) for k, *_ in COLUMNS))  # type: ignore[index]
                for one in found.rows
            ),
        )  # fmt: skip

    words = (
        "A prediction's help is its loss with the component ablated less its loss intact, its harm the "
        "negative; both are added up over predictions apart, in nats per token of the text. Chosen are the "
        f"predictions with the greatest {stated(found.top)} of help (harm), the bar of every document "
        "being that of the other half of the documents. The claim explains one if with the claim in the "
        f"component's place at least {stated(found.keeps)} of it is kept; the others are left. What is no "
        "explanation explains some by chance, as the rows beneath the claim show."
    )
    return Section(
        key="sides",
        title="Help and harm",
        blocks=(Prose(words=words), *(table(side) for side in VERB)),
    )


def strata(
    found: Mapping[str, Mapping[str, tuple[int, int, int, Number]]],
) -> Section:
    """Where the predictions are that are left, by partition."""
    columns = (
        Column(key="predictions", heading="Predictions"),
        Column(key="chosen", heading="Helped most"),
        Column(key="left", heading="Left"),
        Column(key="share", heading="Left, of all help", style="share"),
    )
    return Section(
        key="strata",
        title="Where what is left stands",
        blocks=tuple(
            Table(
                key=partition, title=partition, corner="Stratum", columns=columns,
                rows=tuple(Row(key=label, name=label, cells=cells) for label, cells in labels.items()),
            )
            for partition, labels in found.items()
            if len(labels) > 1
        ),
    )  # fmt: skip


def facts_of(found: HuntFindings) -> Sequence[Row]:
    """What was chosen by, and the net of help and harm."""
    low, high = found.claim.hunt.bars
    return (
        fact("top", "Chosen", stated(found.top), "of predictions, those helped (harmed) most"),
        fact("bars", "A prediction is chosen from", f"{low:.3g} and {high:.3g} nats of help",
             "in either half of the documents"),
        fact("keeps", "Explained from", stated(found.keeps), "of a prediction's help (harm) kept"),
        fact("net", "Help less harm", found.claim.hunt.net, "what ablating costs"),
    )  # fmt: skip


def _no_help(found: HuntFindings) -> str:
    """Where no prediction is helped: what is harmed, and whether the claim explains that."""
    harm = found.claim.hunt.sides["harm"]
    if not harm.chosen:
        return f"Of {found.where} no prediction of this text is helped or harmed: there is nothing to explain."
    if why := untold(harm.total):
        said = f"its harm is refused: {why}"
    else:
        said = f"it harms by {written(harm.total)} nats per token in all"
    explained = (
        f"how much of it {found.claim.name} explains is refused: {why}"
        if (why := untold(harm.explained))
        else f"of the {harm.chosen:,} predictions harmed most {found.claim.name} explains {percent(harm.explained)}"
    )
    return f"Of {found.where} no prediction of this text is helped; {said}, and {explained}."


def verdict(found: HuntFindings) -> str:
    """In plain words."""
    claim, beside = found.claim, next((one for one in found.rows if one.role == "control"), None)
    side, harm = (claim.hunt.sides[one] for one in ("help", "harm"))
    if not side.chosen:
        return _no_help(found)
    if why := untold(side.total) or untold(harm.total):
        said = [f"The help of {found.where} is refused: {why}"]
    else:
        said = [f"The help of {found.where} is {written(side.total)} nats per token in all, the harm "
                f"{written(harm.total)}"]  # fmt: skip
    chance = beside and beside.hunt.sides["help"].explained
    if why := untold(side.explained):
        said.append(f"How much of it {claim.name} explains is refused: {why}")
    else:
        said.append(f"Of the {side.chosen:,} predictions helped most {claim.name} explains "
                    f"{percent(side.explained)}")  # fmt: skip
        if chance and not untold(chance):
            said.append(f"On another document or at other positions it explains {percent(chance)}")
    if why := untold(side.left):
        said.append(f"What the rest of these hold of all help is refused: {why}")
    else:
        said.append(f"The rest of these hold {percent(side.left)} of all help")
    if not untold(side.everywhere):
        said.append(
            f"All that it does not explain, there and elsewhere, {percent(side.everywhere)}"
        )
    return ". ".join(said) + "."
