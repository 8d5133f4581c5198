"""A shortfall as it is shown: its two bounds, the repairs, and what refitting recovers over what is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from unexplained.bars import steps
from unexplained.bars.steps import Followed
from unexplained.record import Number
from unexplained.record.blocks import (
    Answer,
    AnswerRow,
    Cell,
    Chart,
    Column,
    Forest,
    Point,
    Prose,
    Role,
    Row,
    Ruler,
    Section,
    Series,
    Table,
    Track,
)
from unexplained.record.format import written
from unexplained.shares import percent

if TYPE_CHECKING:
    import numpy as np

    from unexplained.bars.shortfall import Shortfall

DAMAGED = "damaged"
"""What is refitted to tell how strong a refit is."""
STRONG = 0.9
"""Of a damage to the later weights themselves a refit must undo so much, or it is too weak to say anything."""
BIASES = (
    "Both pairs of bounds lean. A refit that is too weak leaves what it could have undone, so that too much "
    "counts as wrong at least, as does what a refit learns of a few documents by heart; one that learns the components' work anew from the text makes that too "
    "little. The other pair takes such learning to be in proportion to what is still lost. Norms that are "
    "held leak how large the components were at every token. Later layers can learn to read what is claimed in other "
    "coordinates: right information in wrong ones counts as clumsily put in, and what the claim gives of the variance of "
    "what the components write says how far its own are theirs. Intermediate results are claimed in the "
    "components' own coordinates: up to a fixed map, twice and three times a value are one claim. A claim that is "
    "wrong inside and made good again at its end is seen only where it says what it claims on the way "
    "(@explanation(…, intermediates={…}))."
)


@dataclass(frozen=True)
class Mended:
    """What a claim recovers after a repair that needs no training."""

    key: str
    name: str
    says: str
    recovered: Number
    control: Number | None = None
    """What the same repair recovers of no claim, or of a wrong one."""
    wrong: str = ""
    """Which."""


@dataclass(frozen=True)
class After:
    """Something that the later weights were refitted over."""

    what: str
    says: str
    before: Number
    """Loss (nats per token)."""
    after: Number
    kept: Number
    """f*: share of what nothing costs after the same refit that is not lost."""
    beyond: Number | None
    """How much more it loses than the claim, both refitted (nats per token)."""
    stopped: tuple[int, ...]
    """After how many steps each seed was best."""


@dataclass(frozen=True)
class ShortfallFindings:
    """Everything that a shortfall measures."""

    split: Shortfall
    mended: tuple[Mended, ...]
    unsplit: str = ""
    """Why nothing was refitted over the claim; empty where it was."""
    own: Number | None = None
    """Share of the variance of what the components write that the claim gives, in their own coordinates."""
    strength: float | None = None
    """Of a damage to the later weights, how much a refit undoes; None where that was not tried."""
    steps: Sequence[int] | np.ndarray = ()
    """(look,)"""
    looks: Mapping[str, np.ndarray] = field(default_factory=dict)
    """(look,) of each: losses on the third part, means over seeds (nats per token); also of the damaged
    later weights over the intact model."""
    after: tuple[After, ...] = ()
    followed: tuple[Followed, ...] = ()
    """The claim's intermediates, each against its own site."""

    @property
    def undoes(self) -> Number:
        """The strength as it is shown: of one seed, so it has no interval."""
        why = f"not tried: {self.unsplit}" if self.strength is None else ""
        return Number(value=self.strength, unit="share", refused=why)


WRONG = {"random": "random numbers", "elsewhere": "the claim elsewhere"}
"""What is refitted that is wrong for certain, in words."""


def too_weak(strength: float) -> str:
    """Why refits of some strength say nothing; empty where they are strong enough."""
    if strength >= STRONG:
        return ""
    return (
        f"the refit is too weak: of a damage to the later weights themselves it undoes "
        f"{strength:.1%}, and it takes {STRONG:.0%}: give more --steps on more --fit-documents, or another --rate"
    )


_BOUNDS = (
    ("wrong-least", "Wrong, at least", "left after a refit of later layers", "wrong_least"),
    ("wrong-most", "Wrong, at most", "if refits relearn in proportion", "wrong_most"),
    (
        "clumsy-least",
        "Clumsily put in, at least",
        "if refits relearn in proportion",
        "clumsy_least",
    ),
    ("clumsy-most", "Clumsily put in, at most", "made up by refitting", "clumsy_most"),
)


def bounds(found: ShortfallFindings) -> Section:
    """What the components are worth, what the claim falls short of, and the bounds."""
    split = found.split

    def row(key: str, name: str, number: Cell, note: str = "", role: Role = "") -> Row:
        return Row(key=key, name=name, note=note, role=role, cells=(number,))

    rows = [
        row("worth", "The components are worth", split.damage, "nothing said less intact", "ablation"),
        row("recovered", "The claim recovers of it", split.recovered, "", "explanation"),
        row("short", "It falls short by", split.shortfall, "not more than saying nothing does", "explanation"),
        row("harm", "And does harm that silence undoes", split.harm, "the claim less nothing said: a difference, told sooner than a share", "explanation"),
        *([row("own", "Of the variance of what they write", found.own, "given by the claim as it stands", "explanation")]
          if found.own else []),
        *(row(key, name, getattr(split, of), note, "fitted")
          for key, name, note, of in _BOUNDS),
        row("worth-after", "Worth after refitting both", split.damage_refitted, "", "ablation"),
        row("recovered-after", "The claim recovers of that", split.recovered_refitted, "", "fitted"),
    ]  # fmt: skip
    table = Table(
        key="parts",
        columns=(Column(key="is", heading="Nats per token or share"),),
        rows=tuple(rows),
    )
    tracks = tuple(
        Track(name=name, note=note, role="fitted", marks=(f"parts/{key}/is",))
        for key, name, note, _ in (("short", "Falls short by", "", ""), *_BOUNDS)
    )
    return Section(
        key="bounds",
        title="Wrong, or clumsily put in",
        blocks=(
            Forest(key="split", title="Parts of the shortfall", share=False, tracks=tracks),
            table,
            Prose(words=BIASES, manner="aside"),
        ),
    )


def mended(repairs: Sequence[Mended]) -> Section:
    """Repairs without training, each beside what the same recovers of no claim."""
    table = Table(
        key="repairs",
        corner="Repair",
        columns=(
            Column(key="recovered", heading="The claim recovers", style="share"),
            Column(key="control", heading="The same without it", style="share"),
        ),
        rows=tuple(
            Row(key=one.key, name=one.name, note=one.wrong and f"without: {one.wrong}",
                role="fitted" if i else "explanation", cells=(one.recovered, one.control))
            for i, one in enumerate(repairs)
        ),
    )  # fmt: skip
    says = " ".join(f"{one.name.capitalize()}: {one.says}" for one in repairs[1:])
    return Section(
        key="mended", title="Repairs that need no training", blocks=(table, Prose(words=says))
    )


def refitted(found: ShortfallFindings, how: str) -> Section:
    """What is lost after refitting the later weights over the claim and over all else, or why nothing was."""
    title, way = "Later weights refitted", _looks(found) if found.looks else ()
    if found.unsplit:
        words = f"Nothing was refitted over the claim ({found.unsplit})."
        return Section(key="refitted", title=title, blocks=(Prose(words=words), *way))
    table = Table(
        key="refits",
        corner="Refitted over",
        columns=(
            Column(key="before", heading="Loss before", note="nats per token"),
            Column(key="after", heading="Loss after", note="nats per token"),
            Column(key="kept", heading="Recovers of what nothing costs then", style="share"),
            Column(key="beyond", heading="More than the claim then", note="nats per token"),
            Column(key="stopped", heading="Steps", note="best, by seed", words=True),
        ),
        rows=tuple(
            Row(key=one.what, name=one.what, note=one.says, role=_ROLES.get(one.what, "control"),
                cells=(one.before, one.after, one.kept, one.beyond, ", ".join(map(str, one.stopped))))
            for one in found.after
        ),
    )  # fmt: skip
    words = (
        f"Refitted: {how}. The same batches and steps for everything, losses on documents that nothing was "
        "fitted to. What is refitted over the intact model adapts to the text alone; over nothing it learns "
        "the components' work anew as far as it can. The claim is refitted over as it was stated: the repairs "
        "that need no training are not added to it."
    )
    return Section(
        key="refitted",
        title=title,
        blocks=(Prose(words=words), table, *way),
    )


_ROLES: dict[str, Role] = {"intact": "intact", "nothing": "ablation", "claim": "fitted"}


def _looks(found: ShortfallFindings) -> tuple[Chart, Table]:
    """The way there, on documents of the fit part that are not trained on."""
    looks, steps = found.looks, list(map(int, found.steps))
    rows = tuple(
        Row(
            key=f"step-{step}",
            name=f"{step:,}",
            cells=tuple(
                Number(value=float(one[i]), unit="nats per token") for one in looks.values()
            ),
        )
        for i, step in enumerate(steps)
    )
    table = Table(
        key="looks", title="Losses on the way", corner="Steps", folded=True,
        caption="Nats per token on documents of the fit part that say when to stop; means over seeds. "
        "Damaged: the later weights were made worse first, and the components are intact.",
        columns=tuple(Column(key=name, heading=name) for name in looks), rows=rows,
    )  # fmt: skip
    series = tuple(
        Series(name=name, role=_ROLES.get(name, "control"), hue=i,
               points=tuple(Point(x=float(step), y=f"looks/step-{step}/{name}") for step in steps))
        for i, name in enumerate(looks)
    )  # fmt: skip
    chart = Chart(
        key="way", title="Losses as the later weights are refitted",
        across=Ruler(label="steps"), up=Ruler(label="nats per token"), series=series,
    )  # fmt: skip
    return chart, table


def answer(found: ShortfallFindings, claimed: str = "", how: str = "") -> Answer:
    """The parts, and whether the controls stay low.

    Args:
        found: What was measured.
        claimed: What the claim says.
        how: What was refitted, and for how long: what is wrong is so by that refit.
    """
    columns = (Column(key="is", heading="Nats per token or share"),)

    def row(name: str, cell: str, note: str = "", role: Role = "") -> AnswerRow:
        return AnswerRow(name=name, note=note, role=role, cells=(cell,))

    wrong = [one for one in found.after if one.what in WRONG]
    return Answer(
        corner="Part",
        columns=columns,
        rows=(
            row("The components are worth", "bounds/parts/worth/is", role="ablation"),
            row("The claim recovers", "bounds/parts/recovered/is", role="explanation"),
            row("It falls short by", "bounds/parts/short/is", role="explanation"),
            *([row("And does harm that silence undoes", "bounds/parts/harm/is", role="explanation")]
              if found.split.harm.above_zero else []),
            *(row(name, f"bounds/parts/{key}/is", note, "fitted") for key, name, note, _ in _BOUNDS),
            row("The claim recovers, refitted", "bounds/parts/recovered-after/is", role="fitted"),
            *(row(f"{one.what.capitalize()}, refitted", f"refitted/refits/{one.what}/kept", role="control")
              for one in wrong),
            *(row("Of its intermediates, least", f"steps/sites/{one.key}/share", one.at, "explanation")
              for one in [steps.least(found.followed)] if one),
        ),
        picture="bounds/split",
        says=(f"{claimed}" if found.unsplit else
              f"Refitted: {how}, over the claim as over nothing; the unembedding stays. Shares are of what nothing costs then. {claimed}"
        ).strip(),
    )  # fmt: skip


def verdict(found: ShortfallFindings, claim: str, where: str) -> str:
    """In a sentence or two, of numbers that stand alone; then how its intermediates stand."""
    return _end(found, claim, where) + steps.said(found.followed)


def _end(found: ShortfallFindings, claim: str, where: str) -> str:
    split = found.split
    if split.recovered.value is None:
        return f"{claim.capitalize()} at {where}: nothing can be split ({split.recovered.refused})."
    said = f"{claim.capitalize()} recovers {percent(split.recovered)} of what {where} is worth"
    said += f" ({written(split.damage)} nats per token)"
    if split.shortfall.not_above_zero:
        return f"{said}: it falls short of nothing, so there is nothing to split."
    if found.unsplit:
        return f"{said}. What of the rest is wrong cannot be told ({found.unsplit})."
    if not split.shortfall.above_zero:
        return f"{said}, and falls short of it by no more than noise would."
    wrong, clumsy = split.wrong_least, split.clumsy_least
    parts = []
    if wrong.above_zero:
        parts.append(_wrong(wrong, split.clumsy_most))
    if clumsy.above_zero:
        parts.append(
            f"at least {written(clumsy)} is clumsy substitution, which a refit undoes beyond what it relearns over nothing"
        )
    elif clumsy.refused:
        parts.append(f"how much is clumsy substitution at least is refused ({clumsy.refused})")
    if not parts:
        parts.append("neither part is told from none")
    if clumsy.below_zero:
        parts.append(
            "refitted it recovers less of what is lost then, so that bounds in proportion do not hold"
        )
    recoded = _recoded(found.own) if clumsy.above_zero and found.own else ""
    harm = ""
    if split.harm.above_zero:
        harm = f" Besides it does {written(split.harm)} of harm, and what a refit leaves of that counts as wrong too."
    return (
        f"{said}. Of the {written(split.shortfall)} that it falls short, {'; '.join(parts)}.{recoded}{harm}"
        f"{_beside_wrong(found.after)}"
    )


def _recoded(own: Number) -> str:
    """What a refit makes up may be a recoding: how far the claim is right in the components' own coordinates."""
    told = f"is refused ({own.refused})" if own.value is None else f"is {percent(own)}"
    return (
        " A refit learns to read other coordinates, too: what the claim gives of the variance of what the "
        f"components write, in their own, {told}."
    )


def _beside_wrong(after: Sequence[After]) -> str:
    """What a refit makes of what is wrong for certain, where the claim is not told to be better."""
    found = {one.what: one.beyond for one in after if one.what in WRONG and one.beyond}
    better = [WRONG[what] for what, beyond in found.items() if beyond.below_zero]
    same = [
        WRONG[what]
        for what, beyond in found.items()
        if not beyond.above_zero and not beyond.below_zero
    ]
    said = ""
    if better:
        said += f" Refitted the same way, {' and '.join(better)} lose less than it does."
    if same:
        said += (
            f" Refitted the same way, it is not told from {' or '.join(same)}: what a refit makes up "
            "says nothing for it."
        )
    return said


def _wrong(wrong: Number, made_up: Number) -> str:
    """What is wrong at least, and whether refitting is told to make up any of the rest."""
    if made_up.not_above_zero:
        return f"all counts as wrong: a refit of later layers leaves {written(wrong)}, no less"
    if not made_up.above_zero:
        return f"at least {written(wrong)} is wrong: a refit of later layers is not told to make up any"
    return f"at least {written(wrong)} is wrong: a refit of later layers does not make it up"
