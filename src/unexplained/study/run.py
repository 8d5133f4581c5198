"""A run: of which model, on which texts, under which settings, and who does the work where."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypedDict

from unexplained.bars.cards import CLAIMS, Card
from unexplained.bars.reading import Reading
from unexplained.bars.recovered import INTACT
from unexplained.errors import MeasurementError, TextError
from unexplained.evaluate import Activations, Other, evaluate, observe
from unexplained.evaluate.conditions import distinct, key
from unexplained.evaluate.evaluate import BATCH_TOKENS, Workers, in_process
from unexplained.evaluate.job import MEMORY, Needs
from unexplained.evaluate.rehearsal import Rehearsal
from unexplained.ledger import Ledger
from unexplained.progress import Count, Progress
from unexplained.record.blocks import Check
from unexplained.sites import Site
from unexplained.stats import Settings
from unexplained.study.arm import Arm
from unexplained.study.provenance import measured_by, of_model
from unexplained.subject import Subject
from unexplained.text import Text


@dataclass
class _Trace:
    """What a run came by on its way: it is written into the record's header."""

    others: dict[str, str] = field(default_factory=dict)
    """Other models by name, with their fingerprints."""
    observed: list[tuple[str, frozenset[Site], Activations]] = field(default_factory=list)
    last: dict[str, Any] = field(default_factory=dict)
    """What a record says of the last model, of a run without one of its own: not the model itself,
    so that it does not stay open beside the next."""
    took: dict[str, float] = field(default_factory=dict)
    """Seconds of some parts, by name."""
    ledgers: dict[str, list[str]] = field(default_factory=dict)
    """Digests of what was measured and kept, by text and model."""
    controlled: set[tuple[str, str]] = field(default_factory=set)
    """Texts and claims that were measured with their controls."""
    checks: list[Check] = field(default_factory=list)
    """What these controls gave: in the record, whether the instrument shows them or not."""


class WorkOptions(TypedDict):
    """What whoever has work done takes besides the work."""

    folder: Path | None
    workers: Workers
    progress: Count


@dataclass(frozen=True)
class Run:
    """What an instrument is given: it says what is measured, and the run measures it."""

    model: Subject | None
    """None: the instrument opens models of its own."""
    texts: tuple[Text, ...]
    settings: Settings
    folder: Path | None = None
    """Where finished work is kept and found again; nothing is kept if None."""
    workers: Workers = in_process
    """Who does the work: this process, or those of a cluster."""
    memory: float = MEMORY
    """Bytes of streams that a worker may hold."""
    say: Progress = lambda what, done, total: None
    started: float = field(default_factory=time.perf_counter)
    _trace: _Trace = field(default_factory=_Trace, repr=False)
    _whose: str = ""
    """Which of several models this is of, as the rest of a control's name."""

    def __post_init__(self) -> None:
        """Refuse texts of one name: what is measured on them is told apart by it.

        Raises:
            TextError: Two are called the same.
        """
        names = [text.name for text in self.texts]
        if twice := next((name for name in names if names.count(name) > 1), ""):
            raise TextError(
                f"{len(names)} texts", f"{names.count(twice)} of them are called {twice}",
                "Give each a name of its own: rename a file, or leave out the text that is there twice.",
            )  # fmt: skip

    @property
    def subject(self) -> Subject:
        """The model.

        Raises:
            MeasurementError: The run has none of its own.
        """
        if self.model is None:
            raise MeasurementError("The model of this run", "it has none of its own")
        return self.model

    @property
    def text(self) -> Text:
        """The text of a run that is on one.

        Raises:
            MeasurementError: It is on several.
        """
        if len(self.texts) != 1:
            raise MeasurementError(
                "The text of this run", f"it is on {len(self.texts)}", "Take one with `on`."
            )
        return self.texts[0]

    @property
    def imagined(self) -> bool:
        """Whether what it measures is made up, to see what it would take: nothing is written then."""
        return bool(getattr(self.workers, "imagines", False))

    def rehearsed(self, by: Rehearsal) -> Run:
        """The same run by workers who do nothing; it leaves no trace in this one."""
        return replace(self, workers=by, say=by.say, _trace=_Trace())

    def on(self, *texts: Text) -> Run:
        """The same run on one or several `texts`; what it measures is of the whole run."""
        return replace(self, texts=texts)

    def of(self, subject: Subject) -> Run:
        """The same run of another `subject`, which progress names; nothing is read again of the others."""
        if self.model is None:
            self._trace.last.update(of_model(subject))
        return replace(
            self,
            model=subject,
            say=lambda what, done, total: self.say(f"{subject.name}: {what}", done, total),
            _trace=replace(self._trace, observed=[], controlled=set()),
            _whose=f" in {subject.name}",
        )

    def each_text(self) -> Iterator[Run]:
        """The run on each of its texts."""
        return (self.on(text) for text in self.texts)

    def how(self, said: str) -> WorkOptions:
        """Who does some work, where it is kept, and what is `said` of it by progress."""
        return WorkOptions(
            folder=self.folder, workers=self.workers, progress=partial(self.say, said)
        )

    def measure(
        self,
        *arms: Arm,
        part: Literal["eval", "fit"] = "eval",
        tokens: Iterable[str] | Literal["every"] = (),
        needs: Needs = "all",
        batch_tokens: int = BATCH_TOKENS,
        what: str = "",
    ) -> Reading:
        """Measure arms on the run's text, the intact model and every claim's controls beside them.

        Args:
            arms: What is measured.
            part: `fit` only for looking at how well something fitted its own data.
            tokens: Names of arms whose losses are kept token by token, and `intact`; or `every`.
            needs: "logit difference" computes of pairs of prompts the logit difference alone.
            batch_tokens: Padded tokens per batch; part of what a result depends on, in the low bits.
            what: What progress calls it.

        Raises:
            MeasurementError: A claim has no controls, and belongs to none that has (`Card.of`).
            UnexplainedError: As `evaluate`.
        """
        self._require_controls(arms)
        every = _once([*arms, *(control for one in arms for control in one.controls)])
        conditions = [c for one in every for c in one.conditions.values()]
        self.beside({c.name: c.predictor.fingerprint for c in conditions
                     if isinstance(c, Other) and hasattr(c.predictor, "subject")})  # fmt: skip
        # A claim may be the very code of a control, or of another claim: it is measured once.
        once, names = distinct(conditions)
        wanted = {one.name: one.card.condition for one in every}
        named = (INTACT, *wanted) if tokens == "every" else tokens
        kept = {names.get(name, name) for name in (wanted.get(t, t) for t in named)}
        ledger = evaluate(
            self.subject,
            self.text,
            once,
            part=part,
            measure=needs,
            keep_tokens=tuple(kept),
            batch_tokens=batch_tokens,
            memory=self.memory,
            **self.how(what or f"measuring on {self.text.name}"),
        ).also(names)
        self._keep(ledger, f"{self.text.name}{' (fit)' if part == 'fit' else ''}{self._whose}")
        cards = tuple(_measured_as(one.card, names) for one in every)
        read = Reading(ledger, cards, self.settings, self.text.name)
        self._trace.checks += [
            check.model_copy(update={"name": check.name + self._whose}) for check in read.checks()
        ]
        return read

    def _keep(self, ledger: Ledger, what: str) -> None:
        """Keep what was measured, so that the record can name it; where that fails, it names nothing."""
        if self.folder is not None and not self.imagined:
            with suppress(OSError):
                kept = ledger.keep(self.folder)
                if kept not in (known := self._trace.ledgers.setdefault(what, [])):
                    known.append(kept)

    def _require_controls(self, arms: Sequence[Arm]) -> None:
        """Refuse claims without controls; those measured before on this text count too."""
        text, known = self.text.name, self._trace.controlled
        known |= {(text, one.name) for one in arms if one.controls}
        for one in arms:
            mine = one.card.role in CLAIMS and not one.controls
            if mine and (text, one.card.of) not in known:
                raise MeasurementError(
                    f"The claim '{one.name}'",
                    "it is measured without controls",
                    "Make it by arms.claims, arms.replaced, arms.program, or arms.circuits with an order at random; or say by `of` to which claim "
                    "measured with its controls it belongs.",
                )

    @property
    def checks(self) -> tuple[Check, ...]:
        """What all controls gave that were measured, each once."""
        return tuple({(one.name, one.text): one for one in self._trace.checks}.values())

    def observe(
        self, sites: Sequence[Site], *, part: Literal["eval", "fit"] = "fit"
    ) -> Activations:
        """The intact model's values on a part of the text; read once for a whole run.

        Args:
            sites: At which components.
            part: The text's eval or fit part.

        Raises:
            UnexplainedError: As `observe`.
        """
        wanted = frozenset(sites)
        mark = f"{self.subject.remembered} {self.text.fingerprint} {part}"
        for known, there, found in self._trace.observed:
            if known == mark and wanted <= there:
                return found
        found = observe(
            self.subject, self.text, list(dict.fromkeys(sites)), part=part,
            **self.how(f"reading the {part} part of {self.text.name}"),
        )  # fmt: skip
        self._trace.observed.append((mark, wanted, found))
        return found

    def beside(self, others: Mapping[str, str]) -> None:
        """Have the record name `others`, models that were measured too: name → fingerprint."""
        self._trace.others.update(others)

    def header(self) -> dict[str, Any]:
        """The fields of a record that say how to find it again."""
        model = self._trace.last or of_model(self.subject)
        took = {what: round(seconds, 1) for what, seconds in self._trace.took.items()}
        found = measured_by(self.settings, self.started, self._trace.others)
        kept = {what: tuple(digests) for what, digests in self._trace.ledgers.items()}
        return model | found | {"ledgers": kept, "took": took}

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Put into the record's header how long `what` took, of all seconds."""
        started, took = time.perf_counter(), self._trace.took
        try:
            yield
        finally:
            took[what] = took.get(what, 0.0) + time.perf_counter() - started

    @property
    def sheet(self) -> dict[str, str]:
        """Fingerprints of what was measured on."""
        return {f"Text {text.name}": text.fingerprint for text in self.texts}


def _measured_as(card: Card, names: Mapping[str, str]) -> Card:
    """The card with the names under which its conditions were measured: so it is known which are one."""
    return card.model_copy(update={"effects": {e: names[c] for e, c in card.effects.items()}})


def _once(arms: Sequence[Arm]) -> list[Arm]:
    """Every arm once: claims of the same components share the controls that claim nothing."""
    found: dict[str, Arm] = {}
    for one in arms:
        known = found.setdefault(one.name, one)
        if known is not one and {k: key(c) for k, c in known.conditions.items()} != {
            k: key(c) for k, c in one.conditions.items()
        }:
            raise MeasurementError(
                f"The arm '{one.name}'", "two that differ have that name", "Rename one of them."
            )
    return list(found.values())
