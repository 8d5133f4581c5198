"""`@instrument`: a function that is given a run and yields blocks becomes all that users meet.

It is the Python function, the command with its options and their help, the record and the page, and it
stands under the laws that hold for all of them: a new file in `instruments/` is enough. No torch.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, get_args, get_origin

from unexplained.errors import MeasurementError, UnexplainedError
from unexplained.places import SHARED, Shared
from unexplained.progress import Progress, silent
from unexplained.registry import Registry
from unexplained.settings import Settings
from unexplained.study.given import Given, Option, OwnFamily, Texts, Unpriced

if TYPE_CHECKING:
    from unexplained.evaluate.evaluate import Workers
    from unexplained.record import Record
    from unexplained.record.blocks import Block, Checks
    from unexplained.study.forecast import Forecast
    from unexplained.study.run import Run
    from unexplained.subject import Subject
    from unexplained.text import Text

INSTRUMENTS: Registry[Instrument] = Registry(
    "instrument", "unexplained.instruments", MeasurementError
)


@dataclass(frozen=True)
class Headline:
    """What an instrument yields beside its blocks, once: what was asked, and the answer."""

    title: str
    verdict: str
    """One or two sentences in words; never a bare "pass"."""
    sheet: dict[str, str] = field(default_factory=dict)
    """What was measured on besides the run's texts, by name: fingerprints and the like."""


Yielded: TypeAlias = "Block | Headline"
Function: TypeAlias = "Callable[..., Iterator[Yielded]]"


@dataclass(frozen=True)
class Parameter:
    """A parameter of an instrument besides the run."""

    name: str
    given: Given
    type: Any
    """As it is written, without what it is annotated with; Any where it is of a room with torch."""
    default: Any
    positional: bool


@dataclass(frozen=True)
class Instrument:
    """What users run: called as a function, it gives a record."""

    name: str
    function: Function
    texts: Texts | None
    """On what it measures where nothing else is said; None: it reads texts of its own."""
    model: str | None
    """Which model the command takes where none is named; None: one has to be named."""
    models: str
    """The parameter that holds its models, where it is given no single one."""
    parameters: tuple[Parameter, ...]
    before: Callable[[Mapping[str, Any]], None]
    """Refuses, of plain values and names, what cannot be, before a model is loaded."""
    precise: str = field(default="", kw_only=True)
    """What of it half precision would drown in rounding; empty: nothing."""
    unpriced: Unpriced = field(default=Unpriced(), kw_only=True)
    """What it says to a family of the user's own, unless it has a parameter for one."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__.lower()} {self.name}: {self.help}>"[:200]

    @property
    def in_python(self) -> str:
        """How it is called in code."""
        return f"ux.{self.name}"

    @property
    def priced(self) -> bool:
        """Whether it places losses among the models of a family."""
        return any(isinstance(one.given, OwnFamily) for one in self.parameters)

    @property
    def help(self) -> str:
        """The first paragraph of its docstring."""
        return " ".join((inspect.getdoc(self.function) or "").partition("\n\n")[0].split())

    @property
    def __signature__(self) -> inspect.Signature:
        """Subject, what is positional, text; then the rest and how it is to be run."""
        from unexplained.record import Record

        kinds = inspect.Parameter
        mine = [
            kinds(p.name, kinds.POSITIONAL_OR_KEYWORD if p.positional else kinds.KEYWORD_ONLY,
                  default=kinds.empty if p.positional else p.default)
            for p in self.parameters
        ]  # fmt: skip
        first = [] if self.models else [kinds("subject", kinds.POSITIONAL_OR_KEYWORD)]
        then = [] if self.texts is None else [kinds("text", kinds.POSITIONAL_OR_KEYWORD)]
        how = [
            kinds(p.name, kinds.KEYWORD_ONLY, default=p.default)
            for p in inspect.signature(self._run).parameters.values()
            if p.kind is kinds.KEYWORD_ONLY
        ]
        positional = [p for p in mine if p.kind is kinds.POSITIONAL_OR_KEYWORD]
        rest = [p for p in mine if p.kind is kinds.KEYWORD_ONLY]
        return inspect.Signature(
            [*first, *positional, *then, *rest, *how], return_annotation=Record
        )

    def __call__(self, *args: Any, **given: Any) -> Record:
        """Measure, and give the record.

        Raises:
            UnexplainedError: As the instrument says, before anything is run where it can be told.
            TypeError: As of any function that is called wrongly.
        """
        subject, text, mine, how = self._bound(args, given)
        return self._record(subject, text, mine, **how)

    def within(self, run: Run, **given: Any) -> Record:
        """Measure as a part of another run: on its model and texts, kept in its folder, told as its.

        Args:
            run: The run that this is a part of.
            given: The instrument's own parameters, by name; the rest is by default.

        Raises:
            UnexplainedError: As the instrument says.
            TypeError: A parameter is not known.
        """
        mine = {p.name: p.default for p in self.parameters}
        if unknown := given.keys() - mine.keys():
            raise TypeError(f"{self.name} has no parameter {', '.join(sorted(unknown))}")
        given = mine | given
        return self._of(run, self._yielded(run, given), given)

    def dry_run(self, *args: Any, **given: Any) -> Forecast:
        """What the same call would measure, how long it would take and hold; nothing is measured or kept.

        A little is run all the same, on the model itself: that is timed.

        Args:
            *args: As the call's.
            **given: As the call's.

        Raises:
            UnexplainedError: As the call itself, of what can be told before anything is run.
            TypeError: As of any function that is called wrongly.
        """
        from unexplained.subject.ambient import neutrally

        subject, text, mine, how = self._bound(args, given)
        return neutrally(self._foretold)(self._run(subject, text, **how), mine)

    def _bound(
        self, args: tuple[Any, ...], given: Mapping[str, Any]
    ) -> tuple[Subject | None, Any, dict[str, Any], dict[str, Any]]:
        """Subject, texts, the instrument's own parameters, and how it is to be run."""
        if "family" in given and not self.priced:
            self.unpriced.refuse(self.name)
        bound = self.__signature__.bind(*args, **given)
        bound.apply_defaults()
        asked = dict(bound.arguments)
        subject, text = asked.pop("subject", None), asked.pop("text", ())
        mine = {p.name: asked.pop(p.name) for p in self.parameters}
        return subject, text, mine, asked

    def _run(
        self,
        subject: Subject | None,
        text: Text | tuple[Text, ...],
        *,
        settings: Settings = Settings(),  # noqa: B008  (frozen)
        folder: Path | Shared | None = SHARED,
        workers: Workers | None = None,
        memory: float | None = None,
        say: Progress | None = None,
    ) -> Run:
        from unexplained.evaluate.evaluate import in_process, require_memory
        from unexplained.evaluate.job import MEMORY
        from unexplained.fetch import kept_in
        from unexplained.study.run import Run

        require_memory(memory := MEMORY if memory is None else memory)
        texts = tuple(text) if isinstance(text, tuple | list) else (text,)
        place, doing = kept_in(folder), workers or in_process
        return Run(subject, texts, settings, place, doing, memory, say or silent)

    def require(self, written: Mapping[str, Any]) -> None:
        """Refuse what can be told before a model is loaded, of options as they were written and `text`."""
        from unexplained.opening import require_full_precision

        if self.precise:
            require_full_precision(self.precise)
        self.before(written)

    def _yielded(self, run: Run, given: Mapping[str, Any]) -> list[Yielded]:
        if self.precise:
            run.subject.require_full_precision(self.precise)
        text = run.texts[0] if len(run.texts) == 1 else None
        there = {"subject": run.model, "text": text, **given}
        resolved = {p.name: p.given.resolved(given[p.name], there) for p in self.parameters}
        return list(self.function(run, **resolved))

    def notes(self, given: Mapping[str, Any]) -> list[str]:
        """What is to be said before anything is measured: which computes a family of the user's own has."""
        found = (one.given.resolved(given.get(one.name), given) for one in self.parameters
                 if isinstance(one.given, OwnFamily))  # fmt: skip
        return [family.says for family in found if family is not None]

    def _foretold(self, run: Run, given: Mapping[str, Any]) -> Forecast:
        """Go through it with workers who do nothing."""
        from unexplained.study.forecast import Forecast

        return Forecast.of(run, lambda there: self._yielded(there, given))

    def _record(
        self,
        subject: Subject | None,
        text: Text | tuple[Text, ...],
        given: Mapping[str, Any],
        **how: Any,
    ) -> Record:
        from unexplained.evaluate.rehearsal import Foretelling
        from unexplained.study.asked import require_folder
        from unexplained.subject.ambient import neutrally
        from unexplained.telling import telling

        @neutrally
        def measured(say: Progress) -> Record:
            run = self._run(subject, text, **how | {"say": say})
            require_folder(run.folder, *([] if subject is None else [subject]))
            if note := getattr(say, "note", None):
                for words in self.notes(given):
                    note(words)
                told = partial(_foretell, partial(self._foretold, run, given), note)
                run = replace(run, workers=Foretelling(run.workers, told))
            return self._of(run, self._yielded(run, given), given)

        with telling(how["say"]) as told:
            return measured(told)

    def _of(self, run: Run, yielded: list[Yielded], given: Mapping[str, Any]) -> Record:
        """The record of what an instrument yielded."""
        from unexplained.record import Record
        from unexplained.study.call import called
        from unexplained.study.provenance import command

        headlines = [one for one in yielded if isinstance(one, Headline)]
        if len(headlines) != 1:
            raise MeasurementError(
                f"The record of {self.name}",
                f"it has {len(headlines)} headlines",
                "An instrument yields one Headline, with its title and its verdict.",
            )
        blocks = [one for one in yielded if not isinstance(one, Headline)]
        sheet = {k: v for one in headlines for k, v in one.sheet.items()}
        pairs = bool(run.texts) and all(text.pairs for text in run.texts)
        return Record(
            instrument=self.name,
            title=headlines[0].title,
            verdict=headlines[0].verdict,
            sheet=run.sheet | sheet,
            units="orbits" if pairs else "documents",
            needed="pairs" if pairs else "tokens",
            blocks=(*blocks, *_controls(run, blocks)),
            **{**run.header(), "command": command() or called(self, run, given)},
        )


def _controls(run: Run, blocks: list[Block]) -> Iterator[Checks]:
    """What the controls of claims gave, but for those that the instrument shows itself."""
    from unexplained.record.blocks import Checks
    from unexplained.record.ids import walk

    there = [block for _, block in walk(tuple(blocks)) if isinstance(block, Checks)]
    shown = {(check.name, check.text) for block in there for check in block.checks}
    if rest := tuple(one for one in run.checks if (one.name, one.text) not in shown):
        caption = "Conditions whose result is known beforehand, measured beside every claim."
        taken = any(getattr(block, "key", "") == "controls" for block in blocks)
        yield Checks(key="other-controls" if taken else "controls", caption=caption, checks=rest)


def _foretell(foretold: Callable[[], Forecast], note: Callable[[str], None]) -> None:
    """Say what a run takes that takes long; where that cannot be found out, the run goes on all the same."""
    try:
        forecast = foretold()
    except UnexplainedError:
        return  # what is wrong is said where it is measured
    except Exception as error:  # a forecast must not cost what it is of
        note(f"What it takes could not be foretold ({type(error).__name__}).")
        return
    if forecast.seconds > LONG:
        note(forecast.sentence)


LONG = 60.0
"""Seconds that nobody waits without having been told."""


def instrument(
    name: str,
    *,
    texts: Texts | None = Texts(),  # noqa: B008  (frozen)
    model: str | None = None,
    models: str = "",
    before: Callable[[Mapping[str, Any]], None] = lambda given: None,
    precise: str = "",
    unpriced: Unpriced = Unpriced(),  # noqa: B008  (frozen)
) -> Callable[[Function], Instrument]:
    """Register a function as an instrument.

    Args:
        name: Under which it is called, in Python and on the command line.
        texts: What it measures on unless something else is said.
        model: Which model the command takes where none is named.
        models: The parameter that holds its models, of an instrument that is given no single one.
        before: Given the options as they were written and `text`, refuses what cannot be, before a
            model is loaded.
        precise: What of it is refused in half precision, before a model is loaded and of one that is.
        unpriced: Why it takes no family of models, and what to do; of one that takes none.
    """

    def register(function: Function) -> Instrument:
        parts = (texts, model, models, parameters_of(function), before)
        made = Instrument(name, function, *parts, precise=precise, unpriced=unpriced)
        return INSTRUMENTS.add(name, made)

    return register


def parameters_of(function: Function) -> tuple[Parameter, ...]:
    """Everything after the run; keywords are options, the rest stands before the text."""
    return tuple(_parameters(function))


def _parameters(function: Function) -> Iterator[Parameter]:
    kinds = inspect.Parameter
    hints = _hints(function)
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        hint = hints.get(parameter.name, Any)
        given: Given = Option()
        bare = hint
        if get_origin(hint) is Annotated:
            bare, *told = get_args(hint)
            given = next((one for one in told if isinstance(one, Given)), given)
        default = given.default if parameter.default is kinds.empty else parameter.default
        yield Parameter(
            parameter.name, given, bare, default,
            parameter.kind is kinds.POSITIONAL_OR_KEYWORD,
        )  # fmt: skip


class _Unknown:
    """Stands in an annotation for what is not imported, and for all that is asked of it."""

    def __getattr__(self, name: str) -> _Unknown:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __getitem__(self, item: object) -> _Unknown:
        return self

    def __or__(self, other: object) -> _Unknown:
        return self

    __ror__ = __or__

    def __call__(self) -> None:
        """Typing takes what can be called for a type."""


def _hints(function: Function) -> dict[str, Any]:
    """Annotations; what is imported for the type checker alone, because it needs torch, is not known."""
    missing: dict[str, Any] = {}
    while True:
        try:
            return typing.get_type_hints(function, localns=missing, include_extras=True)
        except NameError as error:
            missing[str(error.name)] = _Unknown()
