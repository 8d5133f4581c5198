"""What all kinds of sweeps share: what was asked for, how it is measured, the strongest together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import torch

from unexplained.ablations import ABLATIONS, Ablation, record_for
from unexplained.assays.effects import joint, name_of
from unexplained.assays.gate import gate, require_behaviour
from unexplained.bars.measures import Measure, measure_of
from unexplained.errors import MeasurementError, TextError
from unexplained.evaluate import Activations, Condition, evaluate
from unexplained.evaluate.evaluate import Workers
from unexplained.ledger import Ledger
from unexplained.record import Effect, Estimation, Joint
from unexplained.sites import Site
from unexplained.stats import Settings
from unexplained.subject import Subject
from unexplained.text import Text

TOGETHER = (2, 3, 5, 10)
"""How many of the strongest are ablated together."""

FEWEST = 10
"""Documents that a sweep needs: five to choose on, five to report on."""

Say = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Sweeping:
    """What a sweep was asked for, and how it measures."""

    subject: Subject
    asked: str
    """The components as they were written."""
    text: Text
    kind: Ablation
    ablation: str
    measure: Measure
    settings: Settings
    folder: Path | None
    workers: Workers
    memory: float
    say: Say
    recorded: Activations

    def condition(self, group: tuple[Site, ...]) -> Condition:
        """Some components ablated together."""
        return self.kind.fit(self.recorded, group, self.settings.seed).condition(name_of(group))

    def measured(self, text: Text, groups: Sequence[tuple[Site, ...]], what: str) -> Ledger:
        """The conditions of some groups on some documents."""
        return evaluate(
            self.subject, text, [self.condition(group) for group in groups],
            measure=self.measure.needs, folder=self.folder, workers=self.workers,
            memory=self.memory, progress=lambda done, total: self.say(what, done, total),
        )  # fmt: skip


def prepared(
    subject: Subject,
    sites: str,
    text: Text,
    ablation: str,
    measure: str,
    gated: bool,
    settings: Settings,
    folder: Path | None,
    workers: Workers,
    memory: float,
    say: Say,
) -> Sweeping:
    """Check what was asked for and record what the ablation is fitted on."""
    kind, asked = ABLATIONS.get(ablation), measure_of(measure, pairs=text.pairs)
    where = subject.sites(sites)
    require_whole_numbers(subject)
    if len(text.units) < FEWEST:
        raise TextError(
            f"A sweep over {len(text.units)} documents",
            "the strongest components are chosen on one half and reported on the other",
            f"Use at least {FEWEST} documents (of pairs: twice as many, each with its swap).",
        )
    if text.pairs and gated:
        require_behaviour(gate(subject, text, settings=settings, folder=folder), subject, text)
    recorded = record_for(
        kind, subject, text, where,
        lambda done, total: say(f"reading what '{ablation}' is fitted on", done, total),
    )  # fmt: skip
    return Sweeping(
        subject,
        sites,
        text,
        kind,
        ablation,
        asked,
        settings,
        folder,
        workers,
        memory,
        say,
        recorded,
    )


def require_whole_numbers(subject: Subject) -> None:
    """Refuse half precision, whose rounding is of the size of single components' effects.

    Raises:
        MeasurementError: The weights are not float32 or wider.
    """
    kind = next(subject.anatomy.model.parameters()).dtype
    if torch.finfo(kind).bits < 32:
        raise MeasurementError(
            f"A sweep of {subject.name} in {str(kind).removeprefix('torch.')}",
            "in half precision the effect of a single head has moved by up to 0.004 nats per "
            "token, where effects were −0.004 to 0.0185",
            "Load it in float32.",
        )


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
