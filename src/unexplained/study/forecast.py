"""What a measurement would take: told before it is made, or instead of it. No torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from unexplained.record.format import count
from unexplained.telling import gigabytes, span

if TYPE_CHECKING:
    from unexplained.evaluate.rehearsal import Stage
    from unexplained.study.run import Run

SHOWN = 8
"""Stages that are told by name: those that take longest."""


@dataclass(frozen=True)
class Forecast:
    """What would be measured, the expected time, and the most memory that the process would hold.

    Time and memory are estimates: a little was timed on the model, the rest is proportion. Both
    were within a factor of two of what was measured (`benchmarks/forecasts.py`); other work on the machine is
    not foreseen. Where later stages depend on what is found, they are counted as if it were usual.
    """

    stages: tuple[Stage, ...]
    seconds: float
    """From here on, with the model loaded."""
    bytes: float

    @classmethod
    def of(cls, run: Run, do: Callable[[Run], object]) -> Forecast:
        """What doing something with a run would take: it is gone through with workers who do nothing."""
        from unexplained.evaluate.rehearsal import Rehearsal

        rehearsal = Rehearsal(run.workers)
        do(run.rehearsed(rehearsal))
        return cls(tuple(rehearsal.stages), rehearsal.seconds, rehearsal.bytes)

    @property
    def sentence(self) -> str:
        """Time and memory in a line."""
        return (
            f"Expected: about {span(self.seconds)}, and {gigabytes(self.bytes)} of memory at most."
        )

    def __str__(self) -> str:
        return "\n".join(["What would be measured:", *self._lines(), self.sentence])

    def as_json(self) -> str:
        """The same as JSON."""
        return json.dumps(asdict(self), indent=1)

    def _lines(self) -> Iterator[str]:
        """The stages that take longest in the order in which they come, and what is left."""
        longest = sorted(self.stages, key=lambda stage: -stage.seconds)[:SHOWN]
        for stage in self.stages:
            if stage in longest:
                yield f"- {stage.what}: about {span(stage.seconds)}"
                yield f"  {_counts(stage)}{_kept(stage)}"
        if left := [stage for stage in self.stages if stage not in longest]:
            took = span(sum(stage.seconds for stage in left))
            yield f"- {len(left)} others, shorter than these: about {took}"
        found = sum(stage.kept for stage in self.stages)
        if not found:
            yield "Nothing of it is kept from earlier."


def _counts(stage: Stage) -> str:
    many = f"{stage.conditions} conditions on " if stage.conditions > 1 else ""
    units = stage.units if stage.documents != 1 else stage.units.removesuffix("s")
    return f"{many}{stage.documents} {units}, {count(stage.tokens)} tokens"


def _kept(stage: Stage) -> str:
    if not stage.kept:
        return ""
    return ", all kept" if stage.kept == stage.total else f", {stage.kept / stage.total:.0%} kept"
