"""The family that losses on a text are placed among: members with the same tokens, or by byte.

Where every member has the model's tokenizer they are conditions like any other, on the same tokens.
Else all losses are read in bits per byte of the same characters: `read` gives a reading whose ledger
holds those, of the model's own conditions and of the members, so that every bar and the scale of
compute are the same arithmetic on either.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import pyarrow as pa

from unexplained.ablations import ABLATIONS
from unexplained.bars.reading import Reading
from unexplained.bars.recovered import INTACT
from unexplained.bars.rungs import Seeds
from unexplained.errors import MeasurementError, TextError, require_different
from unexplained.evaluate import Other
from unexplained.ladder.conditions import on_ladder, require_unseen
from unexplained.ladder.family import Family, shipped_beside
from unexplained.ladder.members import Member
from unexplained.ladder.scale import scale_of
from unexplained.ladder.scatter import seeds_of
from unexplained.ledger import ALL, BITS, SCHEMA, TOKEN_SCHEMA, Ledger
from unexplained.opening import NOW, opening
from unexplained.record.compute import Scale
from unexplained.sites import Shape
from unexplained.study import arms
from unexplained.study.arm import Arm
from unexplained.study.asked import TAKEN, require_apart
from unexplained.study.run import Run
from unexplained.subject import Subject
from unexplained.subject.shipped import NOTE
from unexplained.text.alike import Alike, alike_to
from unexplained.text.tokens import Encoder


class KeptModel(NamedTuple):
    """What is kept of a model while others are open."""

    name: str
    tokenizer: object
    shape: Shape
    fingerprint: str
    parameters: int
    longest: int | None
    """Positions that it has; None where its configuration does not say."""
    shipped: bool

    @classmethod
    def of(cls, name: str, subject: Subject) -> KeptModel:
        """A model under the name that it was given with."""
        model = subject.anatomy.model
        return cls(
            name=name,
            tokenizer=subject.tokenizer,
            shape=subject.shape,
            fingerprint=subject.fingerprint,
            parameters=sum(weight.numel() for weight in model.parameters()),
            longest=getattr(model.config, "max_position_embeddings", None),
            shipped=NOTE in subject.notes,
        )


def opened(run: Run, members: Sequence[Member]) -> list[KeptModel]:
    """Every model of some, one open at a time."""
    found = []
    for number, member in enumerate(members):
        found.append(KeptModel.of(member.name, member.open()))
        run.say("reading tokenizers", number + 1, len(members))
    return found


def require_positions(models: Sequence[KeptModel], cut: Alike) -> None:
    """Refuse beginnings that are longer than a model can read.

    Raises:
        TextError: One is.
    """
    for one, text in zip(models, cut.texts, strict=True):
        if one.longest is not None and text.block > one.longest:
            raise TextError(
                f"The beginnings of {text.name} under the tokenizer of {one.name}",
                f"the longest has {text.block} tokens and the model {one.longest} positions",
                "Give fewer characters.",
            )


def by_byte(ledger: Ledger, cut: Alike, number: int, names: Mapping[str, str]) -> Ledger:
    """What was measured token by token, in bits per byte of the same characters.

    Args:
        ledger: Of one model, with the losses of every token.
        cut: The same characters for several.
        number: Which of them it is.
        names: Under which name a condition goes on, where that is another.
    """
    stretches = cut.stretches(number)
    rows = []
    for kept in ledger.tokens.to_pylist():
        if kept["document"] in stretches:
            where, size = stretches[kept["document"]]
            rows.append({
                "condition": names.get(kept["condition"], kept["condition"]),
                "document": kept["document"], "partition": ALL[0], "label": ALL[1], "tokens": size,
                "loss": math.fsum(kept["loss"][where]) / math.log(2),
            })  # fmt: skip
    return Ledger(pa.Table.from_pylist(rows, schema=SCHEMA), TOKEN_SCHEMA.empty_table(), BITS)


def member_by_byte(run: Run, member: Member, cut: Alike, number: int) -> Ledger:
    """A member's own losses by byte. Its model is open for as long as this takes."""
    there = run.of(member.open()).on(cut.texts[number])
    return by_byte(there.measure(tokens=[INTACT]).ledger, cut, number, {INTACT: member.name})


@dataclass(frozen=True)
class Axis:
    """A family beside the model of a run, on its text."""

    run: Run
    family: Family
    others: tuple[Other, ...] = ()
    """Members that are measured on the same tokens."""
    cut: Alike | None = None
    """The same characters for the model, then every member; None where all have the same tokens."""

    @property
    def arms(self) -> list[Arm]:
        """What is to be measured beside everything."""
        return [arms.model(one) for one in self.others]

    @property
    def compared(self) -> list[str]:
        """Members that bars are set with; of a rung its first run."""
        return self.family.compared if self.others or self.cut else []

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out where characters had to be the same."""
        return () if self.cut is None else tuple(f"By byte: {one}" for one in self.cut.notes)

    def tokens(self, *names: str) -> Iterable[str] | Literal["every"]:
        """Arms that are to be kept token by token: those asked for, or all where tokenizers differ."""
        return names if self.cut is None else "every"

    def read(self, read: Reading) -> Reading:
        """A reading in which all that was measured stands beside all members."""
        if self.cut is None:
            return read
        mine = by_byte(read.ledger, self.cut, 0, {})
        if taken := {one.name for one in self.family.members} & set(mine.conditions):
            raise MeasurementError(
                f"The model '{taken.pop()}' of the family", "the name stands for something else",
                "Give it another: Member(name, …).",
            )  # fmt: skip
        parts = [
            member_by_byte(self.run, one, self.cut, number)
            for number, one in enumerate(self.family.members, start=1)
            if one.name != self.family.itself
        ]
        return replace(read, ledger=Ledger.concat([mine, *parts]))

    def seeds(self, read: Reading) -> Seeds | None:
        """What is known of how runs of a rung scatter."""
        return seeds_of(read.ledger, self.family)

    def scale(self, read: Reading, names: Sequence[str]) -> Scale | None:
        """The intact model and some arms on the scale of training compute; None without a family.

        Args:
            read: As `read` gave it.
            names: Arms.
        """
        if not self.family.members:
            return None
        return scale_of(
            read.ledger, self.run.subject, names, self.family, settings=self.run.settings
        )


def axis_of(run: Run, family: Family | None = None, *, tokens: str = "") -> Axis:
    """The axis of a run on one text: the family that was given, or the ladder where tokens are its own.

    Args:
        run: On one text.
        family: The user's own; None where none was given.
        tokens: Who compares tokens and not losses alone; then other tokenizers are refused.

    Raises:
        MeasurementError: Two members are one model, the name of one is taken, or tokenizers differ
            and must not; or the text is of what the ladder was trained on.
        TextError: The same characters cannot be cut for all.
    """
    subject, text = run.subject, run.text
    if family is None:
        if not on_ladder(subject):
            return Axis(run, Family(()))
        require_unseen(text)
        ladder = shipped_beside(subject)
        return Axis(run, ladder, ladder.others(str(subject.device)))
    require_apart(family, [*TAKEN, *ABLATIONS.all()])
    device = str(subject.device)
    with opening(device, NOW.get().dtype):
        known = opened(run, family.members)
    require_different((one.name, one.fingerprint) for one in known)
    if any(one.shipped for one in known):
        require_unseen(text)
    itself = next((one.name for one in known if one.fingerprint == subject.fingerprint), "")
    members = tuple(
        replace(member, parameters=one.parameters, open=_on(member, device))
        for member, one in zip(family.members, known, strict=True)
    )
    mine = replace(family, members=members, itself=itself)
    own_tokens = Encoder(subject).fingerprint
    differ = [one.name for one in known if Encoder(one).fingerprint != own_tokens]
    if not differ and not family.by_byte:
        return Axis(run, mine, mine.others(device))
    if tokens:
        raise MeasurementError(
            f"The family of {', '.join(differ) or 'models by byte'} beside {subject.name}",
            f"{tokens} token by token, and their tokens differ",
            "Give models with the model's own tokenizer.",
        )
    own = KeptModel.of(subject.name, subject)
    cut = alike_to(text, [own, *known])
    require_positions([own, *known], cut)
    run.beside({one.name: f"model {one.fingerprint}" for one in known if one.name != itself})
    return Axis(run, mine, cut=cut)


def axis_beside(run: Run, family: Family | None) -> Axis:
    """A family that was given, and no ladder where none was.

    Raises:
        UnexplainedError: As `axis_of`.
    """
    return Axis(run, Family(())) if family is None else axis_of(run, family)


def _on(member: Member, device: str) -> Callable[[], Subject]:
    """Opens a member where the model is."""

    def there() -> Subject:
        with opening(device, NOW.get().dtype):
            return member.open()

    return there
