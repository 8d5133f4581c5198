"""What all kinds of sweeps share: what was asked for, how it is measured, the strongest together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import combinations
from pathlib import Path

from unexplained.ablations import ABLATIONS, Ablation, record_for
from unexplained.bars.effects import joint, name_of
from unexplained.bars.measures import Measure
from unexplained.errors import TextError
from unexplained.evaluate import Activations, Condition, Edited, evaluate
from unexplained.evaluate.evaluate import BATCH_TOKENS, Workers, require_memory
from unexplained.evaluate.job import Job
from unexplained.ledger import Ledger
from unexplained.progress import Progress
from unexplained.record import Effect, Estimation, Joint
from unexplained.sites import Site
from unexplained.stats import Settings
from unexplained.study.asked import existing, require_fill, require_folder, require_tokens
from unexplained.study.gate import gate, require_behaviour
from unexplained.subject import Subject
from unexplained.text import Text

TOGETHER = (2, 3, 5, 10)
"""How many of the strongest are ablated together."""

FEWEST = 10
"""Documents that a sweep needs: five to choose on, five to report on."""


@dataclass(frozen=True)
class Sweeping:
    """What a sweep was asked for, and how it measures."""

    subject: Subject
    asked: str
    """The components as they were written."""
    text: Text
    ablation: str
    measure: Measure
    settings: Settings
    folder: Path | None
    workers: Workers
    memory: float
    say: Progress

    @cached_property
    def sites(self) -> tuple[Site, ...]:
        """The components."""
        return existing(self.subject, self.asked)

    @property
    def kind(self) -> Ablation:
        """What stands in their place."""
        return ABLATIONS.get(self.ablation)

    @cached_property
    def recorded(self) -> Activations:
        """What fills are fitted to."""
        return record_for(
            self.kind, self.subject, self.text, self.sites,
            partial(self.say, f"reading what '{self.ablation}' is fitted on"),
            folder=self.folder, workers=self.workers,
        )  # fmt: skip

    def require_possible(self) -> None:
        """Check what was asked for before anything is run; see `sweep` for what is refused."""
        _ = self.kind  # raises where there is none of that name
        require_memory(self.memory)
        require_fill(self.ablation, self.sites, self.text)
        self.subject.require_full_precision("A sweep")
        require_tokens(self.subject, self.text, "eval")
        if len(self.text.units) < FEWEST:
            paired = self.text.pairs
            orbit = max(Counter(block.unit for block in self.text.eval).values(), default=1)
            least = FEWEST * max(orbit // 2, 1)  # a pair counts with its role-swap
            given = f"pairs={2 * least}" if paired else f"documents={least}"
            raise TextError(
                f"A sweep over {len(self.text.units)} {'orbits of pairs' if paired else 'documents'}",
                "the strongest components are chosen on one half and reported on the other",
                f"Use at least {FEWEST} ({given}; --documents {least}).",
            )
        if self.kind.fits_on == "fit":
            self.text.blocks("fit", f"{self.ablation.capitalize()} ablation")
            require_tokens(self.subject, self.text, "fit")
        self._require_room()
        require_folder(self.folder, self.subject)

    def _require_room(self) -> None:
        """Refuse a budget of memory that does not hold one component on one batch."""
        stand_in = Edited("any", (), "any", after_prefix=self.ablation == "patch")
        for part in (self.text, *self.text.halves()):
            job = Job(
                subject=self.subject, text=part, part="eval", conditions=(stand_in,),
                keep_tokens=frozenset(), measure=self.measure.needs, batch_tokens=BATCH_TOKENS,
                memory=self.memory,
            )  # fmt: skip
            for number in range(len(job.plans)):
                job.layout(number)

    def require_behaviour(self, *, gated: bool) -> None:
        """Run the intact model on pairs, and refuse a behaviour that it does not have."""
        if self.text.pairs and gated:
            found = gate(self.subject, self.text, settings=self.settings, folder=self.folder)
            require_behaviour(found, self.subject, self.text)

    def condition(self, group: tuple[Site, ...]) -> Condition:
        """Some components ablated together."""
        return self.kind.fit(self.recorded, group, self.settings.seed).condition(name_of(group))

    def measured(self, text: Text, groups: Sequence[tuple[Site, ...]], what: str) -> Ledger:
        """The conditions of some groups on some documents."""
        return evaluate(
            self.subject, text, [self.condition(group) for group in groups],
            measure=self.measure.needs, folder=self.folder, workers=self.workers,
            memory=self.memory, progress=partial(self.say, what),
        )  # fmt: skip


def together(
    job: Sweeping, reporting: Text, alone: Ledger, strongest: Sequence[Site], pairs: int
) -> tuple[tuple[Joint, ...], tuple[Joint, ...]]:
    """The strongest ablated together and in pairs, on documents that did not choose them."""
    sets = [tuple(strongest[:count]) for count in TOGETHER if count <= len(strongest)]
    couples = list(combinations(strongest[:pairs], 2))
    groups = list(dict.fromkeys([*sets, *couples]))
    both = job.measured(reporting, groups, "ablating the strongest together")
    ledger = Ledger.concat([alone, both.only([name_of(group) for group in groups])])
    found = {group: joint(ledger, group, job.measure, job.settings) for group in groups}
    return tuple(found[group] for group in sets), tuple(found[group] for group in couples)


@dataclass(frozen=True)
class Swept:
    """What a way of sweeping found."""

    effects: tuple[Effect, ...]
    ledger: Ledger
    """With the intact model on the documents that were run."""
    joints: tuple[Joint, ...]
    pairs: tuple[Joint, ...]
    chosen_on: int
    reported_on: int
    estimation: Estimation | None = None
