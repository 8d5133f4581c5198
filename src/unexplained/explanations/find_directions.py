"""Directions by what a user writes: a number, a file, tokens, another head, a draw."""

from __future__ import annotations

import importlib.util
import inspect
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from unexplained import files
from unexplained.errors import ExplanationError, UnexplainedError
from unexplained.explanations.directions import (
    Directions,
    GivenDirections,
    LogitDirections,
    Principal,
    Random,
    WrittenBy,
)
from unexplained.explanations.given import raised
from unexplained.explanations.protocol import Explanation
from unexplained.sites import Site
from unexplained.subject import Subject

WAYS = (
    "Write a number (those in which it varies most), tokens:[262, 290], head:L0.H4:8, random:8, "
    "a .npy or .safetensors file, or my.py:function."
)


def find_directions(about: str, subject: Subject | None = None) -> Directions:
    """Directions by what is written.

    Args:
        about: `8`; `tokens:["the", 290]` (texts of tokens, where a model is given, or ids);
            `head:L0.H4:8`; `random:8` or `random:8:3` for draw 3; `file.npy`; `file.safetensors` or
            `file.safetensors:name`; `my.py:function`, which takes nothing or the model and gives a
            table with one direction a row.
        subject: The model, whose tokenizer cuts texts.

    Raises:
        ExplanationError: There are none of that kind, or what is there is no table of finite numbers.
    """
    kind, _, rest = about.strip().partition(":")
    if kind.isdecimal() and not rest:
        return Principal(int(kind))
    if kind == "tokens":
        return LogitDirections(_tokens(rest, subject))
    if kind == "random":
        rank, _, seed = rest.partition(":")
        return Random(_rank(rank, about), _count(seed or "0", about))
    if kind == "head":
        head, _, rank = rest.partition(":")
        return WrittenBy(_head(head, about), _rank(rank or "1", about))
    # A path may have a colon of its own.
    path, _, name = about.rpartition(":") if Path(about).suffix not in _READERS else (about, "", "")
    if Path(path).suffix in _READERS or Path(path).suffix == ".py":
        label = Path(path).name + (f":{name}" if name else "")
        return GivenDirections.of(_read(Path(path), name, subject), label)
    raise ExplanationError(f"The directions '{about}'", "they are of no kind that is known", WAYS)


def require_directions(about: str) -> None:
    """Refuse what is no directions, as far as that can be told without a model.

    Raises:
        ExplanationError: As `find_directions`.
    """
    path = about.rpartition(":")[0] or about
    if path.endswith(".py"):
        files.require_regular(Path(path), f"The directions of {path}", ExplanationError)
    elif not about.strip().startswith("tokens:"):
        find_directions(about)


def _read(path: Path, name: str, subject: Subject | None) -> Any:
    asked = f"The directions of {path}"
    files.require_regular(path, asked, ExplanationError)
    return (
        _called(path, name, subject) if path.suffix == ".py" else _READERS[path.suffix](path, name)
    )


def _npy(path: Path, name: str) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ExplanationError(
            f"The directions of {path}", f"it is no array of numbers ({files.said(error)})",
            "Write it by numpy.save, of numbers alone.",
        ) from error  # fmt: skip


def _safetensors(path: Path, name: str) -> Any:
    asked = f"The directions of {path}"
    try:
        found = load_file(path)
    except (SafetensorError, OSError, TypeError, ValueError, KeyError) as error:
        raise ExplanationError(asked, f"it cannot be read ({files.said(error)})") from error
    if not name and len(found) == 1:
        name = next(iter(found))
    if name not in found:
        what = f"it has no tensor '{name}'" if name else f"it has {len(found)} tensors"
        raise ExplanationError(
            asked, what, f"Name one of {', '.join(sorted(found)) or 'none'}: {path.name}:NAME."
        )
    return found[name].double().numpy() if not found[name].is_complex() else found[name].numpy()


_READERS = {".npy": _npy, ".safetensors": _safetensors}


def _called(path: Path, name: str, subject: Subject | None) -> Any:
    """What the user's function gives: the only code of others that is run here."""
    asked = f"The directions of {path}"
    spec = importlib.util.spec_from_file_location(f"_directions_of_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        function = _function(module, name, asked)
        takes = _takes(function, name, asked)
        if takes and subject is None:
            raise ExplanationError(
                asked, f"'{name}' takes the model, and none is open here",
                "Give it to unexplained subspace, or write a function that takes nothing.",
            )  # fmt: skip
        found = function(subject) if takes else function()
    except UnexplainedError:
        raise
    except (Exception, SystemExit) as error:  # the user's own code may raise anything
        raise raised(asked, error, str(path), "A function takes the model, or nothing.") from error
    return found.detach().cpu().double().numpy() if isinstance(found, Tensor) else found


def _function(module: ModuleType, name: str, asked: str) -> Callable[..., Any]:
    function = getattr(module, name, None)
    if isinstance(function, Explanation):
        raise ExplanationError(
            asked, f"'{name}' is an explanation, and says no directions",
            "Give it as --explanation or --label, or write a function that gives one direction a row.",
        )  # fmt: skip
    if not callable(function):
        known = [one for one, value in vars(module).items() if inspect.isfunction(value)]
        raise ExplanationError(
            asked, f"it has no function '{name}'", f"It has {', '.join(known) or 'none'}."
        )
    found: Callable[..., Any] = function
    return found


def _takes(function: Callable[..., Any], name: str, asked: str) -> bool:
    """Whether a function of the user's takes the model; what has a default of its own is not given."""
    kinds = inspect.Parameter
    needed = [
        one for one in inspect.signature(function).parameters.values()
        if one.default is kinds.empty and one.kind not in (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD)
    ]  # fmt: skip
    if len(needed) > 1 or any(one.kind is kinds.KEYWORD_ONLY for one in needed):
        raise ExplanationError(
            asked, f"'{name}' takes {', '.join(one.name for one in needed)}",
            "Write a function that takes nothing, or the model alone.",
        )  # fmt: skip
    return bool(needed)


def _tokens(written: str, subject: Subject | None) -> tuple[int, ...]:
    asked = f"The tokens {written}"
    try:
        found = json.loads(written)
    except ValueError:
        found = None
    if not isinstance(found, list) or not found:
        raise ExplanationError(asked, "it is no list of tokens", 'Write tokens:[" the", 290].')
    return tuple(token for one in found for token in _ids(one, asked, subject))


def _ids(one: Any, asked: str, subject: Subject | None) -> Sequence[int]:
    if isinstance(one, int) and not isinstance(one, bool):
        return [one]
    if not isinstance(one, str):
        raise ExplanationError(
            asked, f"{json.dumps(one)} is no token", 'Write tokens:[" the", 290].'
        )
    if subject is None:
        raise ExplanationError(
            asked, "texts of tokens take a model's tokenizer, and none is open here",
            "Give ids, or ask unexplained subspace.",
        )  # fmt: skip
    try:
        ids: list[int] = subject.tokenizer.encode(one, add_special_tokens=False)
    except Exception as error:  # tokenizers raise what their authors chose
        raise ExplanationError(
            asked, f"the tokenizer of {subject.name} does not know '{one}' ({files.said(error)})",
            "Give a text that is a token of its, or the token's id.",
        ) from error  # fmt: skip
    if len(ids) != 1:
        raise ExplanationError(
            asked, f"'{one}' is {len(ids)} tokens of {subject.name}",
            'Give one token each; most words begin with a space: " the".',
        )  # fmt: skip
    return ids


def _head(written: str, about: str) -> Site:
    layer, _, head = written.partition(".")
    if not (
        layer[:1] == "L" and head[:1] == "H" and layer[1:].isdecimal() and head[1:].isdecimal()
    ):
        raise ExplanationError(
            f"The directions '{about}'", f"'{written}' is no head", "Write head:L0.H4:8."
        )
    return Site(int(layer[1:]), "H", int(head[1:]))


def _rank(written: str, about: str) -> int:
    rank = _count(written, about)
    if not rank:
        raise ExplanationError(f"The directions '{about}'", "they are none", "Take one or more.")
    return rank


def _count(written: str, about: str) -> int:
    if not written.isdecimal():
        raise ExplanationError(f"The directions '{about}'", f"'{written}' is no number", WAYS)
    return int(written)
