"""A subspace as blocks: what a value kept on some directions recovers, beside others of as many."""

from __future__ import annotations

from dataclasses import dataclass

from unexplained.bars.reading import Reading
from unexplained.bars.scales import answered
from unexplained.record import Number, Scale
from unexplained.record.blocks import Answer, AnswerRow, Column, Prose, Role, Row, Section, Table
from unexplained.record.format import written
from unexplained.shares import percent, untold
from unexplained.stats import SHARE

TINY = 1e-6
"""A share below this is the rounding of two losses that are the same."""
SAYS = {
    "claim": "",
    "most": "as many, those in which it varies most",
    "middle": "half of the draws recover less",
    "best": "of all draws",
    "read": "the part of each direction that what reads the value reads",
    "unread": "the part that is hardly read, by itself",
    "zero": "the rest zero, not its mean",
    "noise": "the rest Gaussian noise of its mean and covariance",
    "another": "the rest from another document",
}
NAMES = {
    "claim": "These directions", "most": "Of most variance", "middle": "Random, the middle one",
    "best": "Random, the best one", "read": "These, as far as read", "unread": "These, what is hardly read",
    "zero": "The rest at zero", "noise": "The rest as noise", "another": "The rest of another document",
}  # fmt: skip
ROLES: dict[str, Role] = {
    "claim": "fitted", "zero": "fitted", "noise": "fitted", "another": "fitted", "read": "fitted",
}  # fmt: skip


@dataclass(frozen=True)
class MeasuredSubspace:
    """A subspace that was measured."""

    key: str
    arm: str
    rank: int
    variance: float | None
    """Share of the value's variance on the fit part."""


@dataclass(frozen=True)
class SubspaceFindings:
    """Everything that was measured of a subspace."""

    read: Reading
    rows: tuple[MeasuredSubspace, ...]
    outside: tuple[tuple[str, str], ...]
    """Key and arm of the claim with something else outside."""
    nothing: str
    """The arm of saying nothing of the components."""
    word: str
    """What the value is called."""
    size: int
    """Directions that it has."""
    on: str
    """The claim's directions, in words."""
    unread: tuple[int, ...] | None
    """Of every value how many directions are hardly read; None where that is not asked."""
    scale: Scale | None = None
    """The claim among a family of the user's own."""

    def _arms(self, key: str) -> list[MeasuredSubspace]:
        return [one for one in self.rows if one.key == key]

    @property
    def claim(self) -> MeasuredSubspace:
        """What is claimed."""
        return self.rows[0]

    @property
    def base(self) -> str:
        """The value at its mean; of a component's whole value that is mean ablation."""
        found = self._arms("mean")
        return found[0].arm if found else self.nothing

    @property
    def parted(self) -> bool:
        """Whether the value is one of several that a component has."""
        return self.base != self.nothing

    @property
    def draws(self) -> list[tuple[MeasuredSubspace, Number]]:
        """Random subspaces, those that recover least first."""
        drawn = [(one, self.read.recovered(one.arm, self.base)) for one in self._arms("random")]
        return sorted(drawn, key=lambda one: one[1].value or 0.0)

    @property
    def shown(self) -> list[MeasuredSubspace]:
        """One row for each kind, of draws the middle and the best."""
        drawn = [one for one, _ in self.draws]
        random = [("middle", drawn[len(drawn) // 2]), ("best", drawn[-1])]
        parts = [
            self.claim, *self._arms("most"),
            *(MeasuredSubspace(key, one.arm, one.rank, one.variance) for key, one in random),
            *self._arms("read"), *self._arms("unread"), *self._arms("zero"),
        ]  # fmt: skip
        return [
            *parts,
            *(MeasuredSubspace(key, name, self.claim.rank, None) for key, name in self.outside),
        ]

    @property
    def as_good(self) -> int | None:
        """How many draws recover what the claim does, or more; None where that is refused."""
        mine = self.read.recovered(self.claim.arm, self.base).value
        if mine is None:
            return None
        return sum(1 for _, one in self.draws if one.value is not None and one.value >= mine)

    @property
    def hidden(self) -> Number | None:
        """What the claim recovers beyond its part that is read; None where all is read or none is asked."""
        parts = self._arms("read")
        return self.read.regained(parts[0].arm, self.claim.arm, self.base) if parts else None

    def answer(self) -> Answer:
        """The claim beside all else."""
        columns = [Column(key="value", heading=f"Of {self.word}", style="share")]
        columns += [Column(key="whole", heading="Of the component", style="share")] * self.parted
        return Answer(
            corner=f"{self.claim.rank} of {self.size} directions",
            columns=tuple(columns),
            rows=tuple(
                AnswerRow(name=NAMES[one.key], note=SAYS[one.key] if one.key != "claim" else self.on,
                          role=ROLES.get(one.key, "control"),
                          cells=tuple(f"subspace/kept/{one.key}/{c.key}" for c in columns))
                for one in self.shown
            ),
            beside=tuple(answered(self.scale, self.claim.arm, len(columns))),
            says=f"Share of what {self.word} is worth that is recovered: 0 is {self.word} at its mean, 1 the model.",
        )  # fmt: skip

    def table(self) -> Section:
        """What is recovered, and of how much variance."""
        columns = [
            Column(key="value", heading=f"Of {self.word}", note="against its mean", style="share"),
            Column(key="whole", heading="Of the component", note="against mean ablation", style="share"),
            Column(key="loss", heading="Loss over the model's", note="nats per token"),
            Column(key="variance", heading="Of its variance", note="on the fit part", style="share"),
        ]  # fmt: skip
        if not self.parted:
            del columns[1]

        def cells(one: MeasuredSubspace) -> dict[str, Number | None]:
            kept = None if one.variance is None else Number(value=one.variance, unit=SHARE)
            return {
                "value": self.read.recovered(one.arm, self.base),
                "whole": self.read.recovered(one.arm, self.nothing),
                "loss": self.read.increase(one.arm),
                "variance": kept,
            }

        rows = []
        for one in self.shown:
            made = cells(one)
            rows.append(
                Row(key=one.key, name=NAMES[one.key], note=SAYS[one.key], role=ROLES.get(one.key, "control"),
                    cells=tuple(made[c.key] for c in columns))
            )  # fmt: skip
        table = Table(key="kept", corner="Kept", columns=tuple(columns), rows=tuple(rows))
        return Section(
            key="subspace",
            title="The value on some directions",
            blocks=(table, Prose(words=self._notes), self._drawn()),
        )

    def _drawn(self) -> Table:
        """Every random subspace."""
        return Table(
            key="drawn", title="Random directions, draw by draw", corner="Draw", folded=True,
            columns=(Column(key="value", heading=f"Of {self.word}", style="share"),
                     Column(key="variance", heading="Of its variance", style="share")),
            rows=tuple(
                Row(key=f"draw-{i}", name=str(i + 1), role="control",
                    cells=(number, Number(value=one.variance, unit=SHARE)))
                for i, (one, number) in enumerate(self.draws)
            ),
        )  # fmt: skip

    @property
    def _notes(self) -> str:
        reads = {
            "the query": "the matrix of its keys", "the key": "the matrix of its queries",
        }.get(self.word, "its output matrix")  # fmt: skip
        if self.unread is None:
            asked = "Everything later reads this value, so whether a direction is read is not asked here."
        elif not any(self.unread):
            asked = f"What reads it ({reads}) reads all {self.size} directions."
        else:
            many = ", ".join(map(str, self.unread))
            asked = (
                f"Of the {self.size} directions {many} are hardly read by {reads}: together they hold under 1% of its "
                "squared weights. A direction with a part in them can seem to matter because that part varies "
                "with something while the other part, which is read, does not (Makelov, Lange and Nanda 2023): "
                "so each part is measured alone."
            )
        return f"Everything is kept about the mean of the fit part; queries and keys are taken before rotary embedding. {asked}"

    def worth(self) -> Number:
        """What the value at its mean costs."""
        return self.read.damage(self.base)

    def verdict(self, where: str) -> str:
        """In two or three sentences."""
        read, claim = self.read, self.claim
        kept = read.recovered(claim.arm, self.base)
        said = f"{self.word.capitalize()} of {where} on {claim.rank} of {self.size} directions ({self.on})"
        if why := untold(kept):
            return f"{said}: what it recovers is refused: {why}."
        said += f" recovers {percent(kept)} of what {self.word} is worth ({written(self.worth())} nats per token)"
        whole = read.recovered(claim.arm, self.nothing)
        if self.parted and not untold(whole):
            said += f" and {percent(whole)} of what the component is worth"
        middle, best = self.draws[len(self.draws) // 2][1], self.draws[-1][1]
        if not untold(middle) and not untold(best):
            said += f"; random directions {_share(middle)} (the best of {len(self.draws)}: {_share(best)})"
        most = [read.recovered(one.arm, self.base) for one in self._arms("most")]
        said += "".join(
            f"; those of most variance {_share(one)}" for one in most if not untold(one)
        )
        return f"{said}. {self._told()}".strip()

    def _told(self) -> str:
        said = []
        if self.as_good is not None:
            many = sum(one.value is not None for _, one in self.draws)
            by_chance = (1 + self.as_good) / (1 + many) > 1 - self.read.settings.level
            told = ": these are not told from random directions" * by_chance
            if many and (self.as_good or by_chance):
                some = f"{self.as_good or 'None'} of {many} random draws do{'es' * (not self.as_good)} as well"
                few = ", and that of so few says nothing" * (not self.as_good)
                said.append(f"{some}{few}{told}.")
        hidden = self.hidden
        if hidden is not None and hidden.above_zero:
            said.append(
                f"{percent(hidden)} goes through directions that are hardly read: as far as they are read, "
                "they recover that much less."
            )
        return " ".join(said)


def _share(number: Number) -> str:
    """In percent; a share that is rounding is none."""
    tiny = number.value is not None and abs(number.value) < TINY
    return percent(number.model_copy(update={"value": 0.0}) if tiny else number)
