"""The call that made a record, as code with its explanations': how to find it again from Python."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

from unexplained.explanations import LIBRARY, Explanation
from unexplained.explanations.description import source_of
from unexplained.subject import Subject
from unexplained.text import Text

if TYPE_CHECKING:
    from unexplained.study.instrument import Instrument
    from unexplained.study.run import Run

PLAIN = (str, int, float, bool, type(None), Path)


def called(one: Instrument, run: Run, given: Mapping[str, Any]) -> str:
    """Code that calls an instrument again: what is by default is left out.

    Sizes of texts are those that were measured; their fingerprints stand beside the call on the page.
    """
    before: dict[str, None] = {}
    parts = [] if run.model is None else ["subject"]
    code = [] if run.model is None else [f"subject = ux.load({run.model.name!r})"]
    names = []
    for i, text in enumerate(run.texts if one.texts is not None else ()):
        names.append("text" if len(run.texts) == 1 else f"text_{i + 1}")
        code.append(f"{names[-1]} = {_text(text)}")
    texts = [names[0]] if len(names) == 1 else [f"({', '.join(names)})"] * bool(names)
    options = []
    for parameter in one.parameters:
        value = given[parameter.name]
        written = _value(value, before)
        if parameter.positional:
            parts.append(written)
        elif not _default(value, parameter.default):
            options.append(f"{parameter.name}={written}")
    if run.settings.seed:
        options.append(f"settings=ux.Settings(seed={run.settings.seed})")
    code.append(f"record = {one.in_python}({', '.join([*parts, *texts, *options])})")
    return "\n".join(["import unexplained as ux", *before, *code])


def _default(value: Any, default: Any) -> bool:
    """Whether it is what nobody asked for; arrays and models never are."""
    return value is default or (isinstance(value, (*PLAIN, tuple)) and value == default)


def _text(text: Text) -> str:
    kind, counts = ("pairs", "fit_pairs") if text.pairs else ("documents", "fit_documents")
    made = "ux.pairs" if text.pairs else "ux.text"
    block = "" if text.pairs else f", block={text.block}"
    return (
        f"{made}({text.name!r}, subject, {kind}={len(text.eval)}, {counts}={len(text.fit)}{block})"
    )


def _value(value: Any, before: dict[str, None]) -> str:
    """A value as code; what it needs to be defined goes before."""
    if isinstance(value, PLAIN):
        return repr(str(value) if isinstance(value, Path) else value)
    if isinstance(value, Subject):
        return f"ux.load({value.name!r})"
    if isinstance(value, Explanation):
        return _explanation(value, before)
    if isinstance(value, Mapping):
        items = (f"{_value(k, before)}: {_value(v, before)}" for k, v in value.items())
        return f"{{{', '.join(items)}}}"
    if isinstance(value, list | tuple):
        inner = ", ".join(_value(one, before) for one in value)
        return f"[{inner}]" if isinstance(value, list) else f"({inner}{',' * (len(value) == 1)})"
    return f"...  # {getattr(value, 'name', type(value).__name__)}"


def _explanation(one: Explanation, before: dict[str, None]) -> str:
    known = next((n for n, e in LIBRARY.all().items() if e.function is one.function), None)
    if known is not None:
        name = f"ux.LIBRARY.get({known!r})"
    else:
        name = one.function.__name__
        before.setdefault("\n".join(_code(one)))
    return name + {"gate": ".gated()", "affine": ".affine()"}.get(one.readout, "")


def _code(one: Explanation) -> Iterator[str]:
    """As its author wrote it; without a file, what is counted of it, which lacks the decorator."""
    try:
        yield f"\n{dedent(inspect.getsource(one.function)).rstrip()}\n"
    except (OSError, TypeError):
        yield f"\n@ux.explanation(gives={one.gives!r}, reads={list(one.reads)!r})"
        yield f"{source_of(one.function).text}\n"
