"""A command for every instrument, made from what it says of its parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args, get_origin

import typer

from unexplained.cli.outputs import Outputs, say_forecast
from unexplained.cli.shared import (
    AcceptTerms,
    BlockSize,
    Cluster,
    Device,
    Documents,
    DryRun,
    Dtype,
    FitDocuments,
    Full,
    Json,
    Kind,
    Memory,
    ModelArgument,
    Of,
    Out,
    Quiet,
    RecordFile,
    Report,
    Seed,
    TextName,
    between,
    kept,
    require_explanations,
    require_models,
    require_stand_ins,
    require_texts,
    shared_ledgers,
)
from unexplained.cli.shared import RunFolder as RunFolder
from unexplained.console import Visible
from unexplained.errors import require_once
from unexplained.study import Claims, Instrument, Models
from unexplained.study.given import Members, Option, OwnFamily, PythonOnly, Rungs, Texts
from unexplained.study.instrument import Parameter
from unexplained.telling import ProgressBars

if TYPE_CHECKING:
    from unexplained.evaluate.evaluate import Workers
    from unexplained.subject import Subject
    from unexplained.text import Text

T = TypeVar("T")

WorkerCount = Annotated[int, typer.Option(min=0, help="Processes on Ray; 0 is this one.")]
Behaviour = Annotated[str, typer.Option(help="A behaviour such as ioi, or a .jsonl file of pairs.")]
PairCount = Annotated[int, typer.Option(min=2, help="Pairs to measure on, role-swaps included.")]
FitPairs = Annotated[int, typer.Option(min=2, help="Other pairs, to fit and to choose on.")]
Several = Annotated[
    list[str] | None,
    typer.Option(
        help="webmix, pydocs, handbook, parallel, repeats (always of 16 documents), or a file; may be given again."
    ),
]
REPEATS = {"documents": 16, "fit_documents": 32}
"""Of several texts the one of repeated tokens is small: its documents are all alike."""


def command_of(one: Instrument) -> Callable[..., None]:
    """The function that typer calls, with a parameter for each of the instrument's."""

    def command(context: typer.Context, **given: Any) -> None:
        _call(one, context, given)

    kinds = inspect.Parameter
    ours: list[tuple[str, Any, Any]] = [("context", typer.Context, kinds.empty)]
    if not one.models:
        ours.append(("model", ModelArgument, kinds.empty if one.model is None else one.model))
    ours += [
        (p.name, _annotated(p), _default(p))
        for p in one.parameters
        if not isinstance(p.given, PythonOnly)
    ]
    ours += [] if one.texts is None else _texts(one.texts)
    ours += [] if one.priced else [("family", _no_family(one), None)]
    ours += [
        ("seed", Seed, 0),
        ("out", Out, Path("runs")),
        ("report", Report, None),
        ("record", RecordFile, None),
        ("run", RunFolder, None),
        ("workers", WorkerCount, 0),
        ("cluster", Cluster, ""),
        ("memory", Memory, 4.0),
        ("device", Device, ""),
        ("dtype", Dtype, Kind.float32),
        ("accept_terms", AcceptTerms, False),
        ("full", Full, False),
        ("section", Of, ""),
        ("quiet", Quiet, False),
        ("json", Json, False),
        ("dry_run", DryRun, False),
    ]
    command.__name__ = one.name
    command.__annotations__ = {name: hint for name, hint, _ in ours}
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [kinds(name, kinds.KEYWORD_ONLY, default=default, annotation=hint)
         for name, hint, default in ours]
    )  # fmt: skip
    return command


def _no_family(one: Instrument) -> Any:
    """The option of an instrument that has no place for a family: it says why."""

    def refuse(given: list[str] | None) -> None:
        if given:
            one.unpriced.refuse(one.name)

    says = f"Not taken: {one.unpriced.why}."
    return Annotated[list[str] | None, typer.Option(help=says, callback=refuse, expose_value=False)]


def _texts(texts: Texts) -> list[tuple[str, Any, Any]]:
    """The options that say on what is measured."""
    if texts.pairs:
        return [
            ("text", Behaviour, texts.name),
            ("pairs", PairCount, texts.documents),
            ("fit_pairs", FitPairs, texts.fit_documents),
        ]
    documents: Any = Documents
    if texts.fewest > 1:
        documents = Annotated[int, typer.Option(min=texts.fewest, help=texts.why)]
    return [
        ("text", Several if texts.many else TextName, None if texts.many else texts.name),
        ("documents", documents, texts.documents),
        ("fit_documents", FitDocuments, texts.fit_documents),
        ("block", BlockSize, texts.block),
    ]


def _annotated(parameter: Parameter) -> Any:
    """Its type on the command line, with its help and bounds."""
    given = parameter.given
    names = [given.option] if given.option else []
    bounds: dict[str, Any] = {}
    if isinstance(given, Models) and isinstance(parameter.default, tuple):
        bounds["metavar"] = " ".join("ABCDEF"[: len(parameter.default)])
    if isinstance(given, Option):
        bounds = {k: v for k, v in (("min", given.least), ("max", given.most)) if v is not None}
        if given.between:
            low, high = given.between
            bounds |= {"callback": between(low, high), "metavar": f"{low:g}<x<{high:g}"}
    if parameter.positional and not given.option and isinstance(given, Option | Rungs | Members):
        return Annotated[_type(parameter), typer.Argument(help=given.help, **bounds)]
    return Annotated[_type(parameter), typer.Option(*names, help=given.help, **bounds)]


def _type(parameter: Parameter) -> Any:
    if isinstance(parameter.given, Claims | Rungs | Members):
        return list[str] if _default(parameter) is inspect.Parameter.empty else list[str] | None
    if isinstance(parameter.given, Models):
        default = parameter.default
        several = isinstance(default, tuple)
        return tuple[(str,) * len(default)] if several else str  # type: ignore[misc]
    if get_origin(parameter.type) is Literal:
        return _choice(parameter.name, get_args(parameter.type))
    if get_origin(parameter.type) in (list, Sequence):
        (item,) = get_args(parameter.type)
        words = get_args(item)
        one: Any = _choice(parameter.name, words) if words else item
        return list.__class_getitem__(one) | None
    return parameter.type


@cache
def _choice(name: str, words: tuple[str, ...]) -> Any:
    choice: Any = StrEnum(name, {word.replace(" ", "_").replace("-", "_"): word for word in words})  # type: ignore[misc]
    return choice


def _default(parameter: Parameter) -> Any:
    listed = get_origin(parameter.type) in (list, Sequence)
    if listed or isinstance(parameter.given, Claims | Rungs):
        return None
    if isinstance(parameter.given, Members):
        return inspect.Parameter.empty if parameter.positional else None
    if get_origin(parameter.type) is Literal:
        return _type(parameter)(parameter.default)
    absent = parameter.default is None and (
        parameter.positional or isinstance(parameter.given, Models)
    )
    return inspect.Parameter.empty if absent else parameter.default


def _call(one: Instrument, context: typer.Context, given: Mapping[str, Any]) -> None:
    """Names first, then models and texts, then the measurement: nobody waits in vain."""
    from unexplained.opening import opening

    files = {p.name: given[p.name] for p in one.parameters if p.type == Path | None}
    with opening(given["device"] or None, given["dtype"].value):
        if given["dry_run"]:
            with ProgressBars() as progress:
                forecast = _asked(one, context, given, progress, one.dry_run)
            say_forecast(forecast, json=given["json"], notes=one.notes(given))
            return
        bars = ProgressBars(Visible(stderr=True, quiet=given["quiet"]))
        with _outputs(one, given).writing(**files) as made, bars as progress:
            made.append(_asked(one, context, given, progress, one))


def _asked(
    one: Instrument,
    context: typer.Context,
    given: Mapping[str, Any],
    progress: ProgressBars,
    do: Callable[..., T],
) -> T:
    """What an instrument gives, measured or foretold, for what was asked on the command line."""
    import unexplained as ux
    from unexplained.evaluate.evaluate import require_memory
    from unexplained.study.asked import require_folder

    mine = {p.name: _bare(given[p.name]) for p in one.parameters if p.name in given}
    names = _named_texts(one, given)
    require_texts(*names, pairs=None if one.texts is None else one.texts.pairs)
    require_memory(given["memory"] * 1e9)
    if not given["dry_run"]:
        require_folder(given["run"])
    _require_names(one, given.get("model"), mine)
    one.require({**mine, "text": " ".join(names)})
    if given["workers"] or given["cluster"]:
        from unexplained.evaluate.ray_session import import_ray

        import_ray()
    subject = None
    if not one.models:
        subject = ux.load(given["model"], accept_terms=given["accept_terms"])
    values = _values(one, mine, subject, given["accept_terms"])
    texts = _read(one, names, given, mine, subject or _first(values[one.models]))
    values |= _claims(one, mine, subject, texts)
    first = [values.pop(p.name) for p in one.parameters if p.positional]
    before = [] if subject is None else [subject]
    after = [] if one.texts is None else [texts if one.texts.many else texts[0]]
    how = {"settings": ux.Settings(seed=given["seed"]), "memory": given["memory"] * 1e9}
    found = _fingerprints(subject, texts)
    place = (
        nullcontext(given["run"] or shared_ledgers())
        if given["dry_run"]
        else kept(context, given["run"], **found)
    )
    with place as folder, _workers(given) as who:
        return do(
            *before, *first, *after, **values, **how, folder=folder, workers=who, say=progress
        )


def _outputs(one: Instrument, given: Mapping[str, Any]) -> Outputs:
    """Where its page and record go: named after the instrument and its model."""
    words = [Path(str(given["model"])).name] if given.get("model") else given.get(one.models) or []
    where = {
        name: given[name]
        for name in ("out", "report", "record", "full", "section", "quiet", "json")
    }
    return Outputs.named("-".join([one.name, *words[:1]]), **where)


def _bare(value: Any) -> Any:
    """What a choice is called."""
    if isinstance(value, list | tuple):
        return type(value)(map(_bare, value))
    return value.value if isinstance(value, StrEnum) else value


def _fingerprints(subject: Subject | None, texts: Sequence[Text]) -> dict[str, str]:
    """What a folder of one run depends on and its options do not say."""
    found = {"words": " ".join(text.fingerprint for text in texts)} if texts else {}
    return found if subject is None else {"weights": subject.fingerprint, **found}


def _first(models: Any) -> Subject | None:
    """The first of the models of an instrument that is given several: its tokenizer cuts the text."""
    found: Subject | None = next(iter(models)) if isinstance(models, Mapping) else None
    return found


def _named_texts(one: Instrument, given: Mapping[str, Any]) -> list[str]:
    if one.texts is None:
        return []
    name = given["text"]
    return [name] if isinstance(name, str) else list(name or [one.texts.name])


def _read(
    one: Instrument,
    names: Sequence[str],
    given: Mapping[str, Any],
    mine: Mapping[str, Any],
    subject: Subject | None,
) -> list[Text]:
    """The texts, cut by the model's tokenizer."""
    import unexplained as ux
    from unexplained.text.named import read_text

    if one.texts is None or subject is None:
        return []
    if one.texts.pairs:
        counts = {"pairs": given["pairs"], "fit_pairs": given["fit_pairs"]}
        return [ux.pairs(name, subject, **counts, seed=given["seed"]) for name in names]
    sizes = {name: given[name] for name in ("documents", "fit_documents", "block", "seed")}
    fits = one.texts.fits(mine)
    return [
        read_text(name, subject, **sizes, fits=fits)
        if name != "repeats" or not one.texts.many
        else read_text(name, subject, **{**sizes, **REPEATS})
        for name in names
    ]


def _require_names(one: Instrument, model: str | None, given: Mapping[str, Any]) -> None:
    """Refuse names of nothing before anything is loaded."""
    models = [] if model is None else [model]
    for p in one.parameters:
        value = given.get(p.name)
        if isinstance(p.given, OwnFamily) and value:  # the model itself may be in it
            require_models(*(one.name for one in p.given.resolved(value, given).members))
        elif isinstance(p.given, Models | Members) and value:
            names = [value] if isinstance(value, str) else list(value)
            priced = isinstance(p.given, Rungs | Members)  # MODEL=FLOPS
            models += [(priced and one.rpartition("=")[0]) or one for one in names]
        elif isinstance(p.given, Claims) and p.given.early:
            p.given.require(value)
        elif isinstance(p.given, Claims):
            require_explanations(*(value or ()))
    require_once("model", models)
    if len(models) > 1:  # one alone is refused by whoever loads it
        require_models(*models)


def _values(
    one: Instrument, given: Mapping[str, Any], subject: Subject | None, accept_terms: bool
) -> dict[str, Any]:
    """What the instrument gets: models loaded, each once, and plain values."""
    from unexplained.subject import load

    known = {} if subject is None else {subject.name: subject}

    def loaded(name: str) -> Subject:
        if name not in known:
            known[name] = load(name, accept_terms=accept_terms)
        return known[name]

    values: dict[str, Any] = {}
    for p in one.parameters:
        if p.name not in given or isinstance(p.given, Claims):
            continue
        value = given[p.name]
        if value is None and not isinstance(p.given, Rungs | Members):
            value = p.default
        if isinstance(p.given, Rungs | Members):
            value = p.given.resolved(value, given)
        elif isinstance(p.given, Models) and value:
            value = loaded(value) if isinstance(value, str) else tuple(map(loaded, value))
        values[p.name] = value
    return values


def _claims(
    one: Instrument, given: Mapping[str, Any], subject: Subject | None, texts: Sequence[Text]
) -> dict[str, Any]:
    """Explanations that were named, those of files only if they say the same in a fresh process."""
    text = texts[0] if len(texts) == 1 else None
    return {
        p.name: require_stand_ins(given[p.name], subject, text)
        for p in one.parameters
        if isinstance(p.given, Claims) and given.get(p.name) and subject is not None
    }


@contextmanager
def _workers(given: Mapping[str, Any]) -> Iterator[Workers]:
    """This process, or workers on Ray that stay for the whole run."""
    from unexplained.evaluate.evaluate import in_process

    if not given["workers"] and not given["cluster"]:
        yield in_process
        return
    from unexplained.evaluate.cluster import ray_workers

    with ray_workers(address=given["cluster"] or None, workers=given["workers"] or None) as found:
        yield found
