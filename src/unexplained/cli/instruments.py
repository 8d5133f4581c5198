"""A command for every instrument, made from what it says of its parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import typer

from unexplained.cli.progress import Progress
from unexplained.cli.shared import (
    BlockSize,
    Documents,
    FitDocuments,
    Model,
    RecordFile,
    Report,
    Seed,
    Terms,
    TextName,
    app,
    kept,
    read_text,
    require_explanations,
    require_models,
    require_same,
    require_texts,
    writing,
)
from unexplained.cli.shared import Run as RunFolder
from unexplained.errors import MeasurementError, require_once
from unexplained.study import INSTRUMENTS, Claims, Instrument, Models
from unexplained.study.given import Option, PythonOnly
from unexplained.study.instrument import Parameter

if TYPE_CHECKING:
    from unexplained.evaluate.evaluate import Workers
    from unexplained.subject import Subject
    from unexplained.text import Text

Count = Annotated[int, typer.Option(min=0, help="Processes on Ray; 0 is this one.")]
Cluster = Annotated[str, typer.Option(help="Address of a Ray cluster.")]
Memory = Annotated[
    float, typer.Option(help="Gigabytes of streams that may be held; the rest is computed again.")
]


def add_commands() -> None:
    """Register a command for every instrument in its folder."""
    for name, one in INSTRUMENTS.all().items():
        app.command(name, help=one.help)(command_of(one))


def command_of(one: Instrument) -> Callable[..., None]:
    """The function that typer calls, with a parameter for each of the instrument's."""

    def command(context: typer.Context, **given: Any) -> None:
        _call(one, context, given)

    kinds = inspect.Parameter
    asked = [p for p in one.parameters if not isinstance(p.given, PythonOnly)]
    ours: list[tuple[str, Any, Any]] = [
        ("context", typer.Context, kinds.empty),
        ("model", Model, kinds.empty if one.model is None else one.model),
        *((p.name, _annotated(p), _default(p)) for p in asked),
        ("text", TextName, one.texts.name),
        ("documents", Documents, one.texts.documents),
        ("fit_documents", FitDocuments, one.texts.fit_documents),
        ("block", BlockSize, one.texts.block),
        ("seed", Seed, 0),
        ("report", Report, Path(f"{one.name}.html")),
        ("record", RecordFile, Path(f"{one.name}.json")),
        ("run", RunFolder, None),
        ("workers", Count, 0),
        ("cluster", Cluster, ""),
        ("memory", Memory, 4.0),
        ("accept_terms", Terms, False),
    ]
    command.__name__ = one.name
    command.__annotations__ = {name: hint for name, hint, _ in ours}
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [kinds(name, kinds.KEYWORD_ONLY, default=default, annotation=hint)
         for name, hint, default in ours]
    )  # fmt: skip
    return command


def _annotated(parameter: Parameter) -> Any:
    """Its type on the command line, with its help and bounds."""
    given = parameter.given
    names = [given.option] if given.option else []
    bounds: dict[str, Any] = {}
    if isinstance(given, Option):
        bounds = {k: v for k, v in (("min", given.least), ("max", given.most)) if v is not None}
    if parameter.positional and isinstance(given, Option):
        return Annotated[_type(parameter), typer.Argument(help=given.help, **bounds)]
    return Annotated[_type(parameter), typer.Option(*names, help=given.help, **bounds)]


def _type(parameter: Parameter) -> Any:
    if isinstance(parameter.given, Claims):
        return list[str] | None
    if isinstance(parameter.given, Models):
        default = parameter.default
        several = isinstance(default, tuple)
        return tuple[(str,) * len(default)] if several else str  # type: ignore[misc]
    if get_origin(parameter.type) is Literal:
        words = get_args(parameter.type)
        return StrEnum(parameter.name, {word.replace(" ", "_"): word for word in words})
    return parameter.type


def _default(parameter: Parameter) -> Any:
    if isinstance(parameter.given, Claims):
        return None
    if get_origin(parameter.type) is Literal:
        return _type(parameter)(parameter.default)
    return inspect.Parameter.empty if parameter.default is None else parameter.default


def _call(one: Instrument, context: typer.Context, given: Mapping[str, Any]) -> None:
    """Names first, then models and texts, then the measurement: nobody waits in vain."""
    import unexplained as ux

    folder = kept(context, given["run"])
    with (
        writing(given["report"], given["record"]) as made,
        Progress() as progress,
        folder as place,
        _workers(given["workers"], given["cluster"]) as who,
    ):
        mine = {p.name: given[p.name] for p in one.parameters if p.name in given}
        require_texts(given["text"], pairs=one.texts.pairs)
        _require_names(one, given["model"], mine)
        subject = ux.load(given["model"], accept_terms=given["accept_terms"])
        values = _values(one, mine, subject)
        text = read_text(
            given["text"], subject, seed=given["seed"], block=given["block"],
            documents=given["documents"], fit_documents=given["fit_documents"],
        )  # fmt: skip
        values |= _claims(one, mine, subject, text)
        positional = [values.pop(p.name) for p in one.parameters if p.positional]
        made.append(
            one(
                subject, *positional, text, **values, settings=ux.Settings(seed=given["seed"]),
                folder=place, workers=who, memory=given["memory"] * 1e9, say=progress,
            )
        )  # fmt: skip


def _require_names(one: Instrument, model: str, given: Mapping[str, Any]) -> None:
    """Refuse names of nothing before anything is loaded."""
    models = [model]
    for p in one.parameters:
        value = given.get(p.name)
        if isinstance(p.given, Models) and value:
            names = [value] if isinstance(value, str) else list(value)
            _require_apart(p, names)
            models += names
        elif isinstance(p.given, Claims):
            require_explanations(*(value or ()))
    require_once("model", models)
    require_models(*models)


def _require_apart(parameter: Parameter, names: Sequence[str]) -> None:
    """An option that takes several names swallows the next option where one is missing."""
    option = parameter.given.option or f"--{parameter.name.replace('_', '-')}"
    for name in names:
        if len(names) > 1 and (name.startswith("--") or "," in name):
            raise MeasurementError(
                f"{option} {' '.join(names)}",
                f"'{name}' is no name of a model, and it takes {len(names)}",
                f"Write {option} {' '.join('ABCDEF'[: len(names)])}, with a blank between them.",
            )


def _values(one: Instrument, given: Mapping[str, Any], subject: Subject) -> dict[str, Any]:
    """What the instrument gets: models loaded, each once, and plain values."""
    known = {subject.name: subject}

    def loaded(name: str) -> Subject:
        from unexplained.subject import load

        return known.setdefault(name, load(name)) if name not in known else known[name]

    values: dict[str, Any] = {}
    for p in one.parameters:
        if p.name not in given or isinstance(p.given, Claims):
            continue
        value = given[p.name]
        if isinstance(p.given, Models):
            value = loaded(value) if isinstance(value, str) else tuple(map(loaded, value))
        values[p.name] = value.value if isinstance(value, StrEnum) else value
    return values


def _claims(
    one: Instrument, given: Mapping[str, Any], subject: Subject, text: Text
) -> dict[str, Any]:
    """Explanations that were named, those of files only if they say the same in a fresh process."""
    return {
        p.name: require_same(given[p.name], subject, text)
        for p in one.parameters
        if isinstance(p.given, Claims) and given.get(p.name)
    }


@contextmanager
def _workers(count: int, cluster: str) -> Iterator[Workers]:
    """This process, or workers on Ray that stay for the whole run."""
    from unexplained.evaluate.evaluate import in_process

    if not count and not cluster:
        yield in_process
        return
    from unexplained.evaluate.cluster import ray_workers
    from unexplained.evaluate.rayside import import_ray

    import_ray()
    with ray_workers(address=cluster or None, workers=count or None) as found:
        yield found
