"""A small record of every registered instrument, measured once in a test run: what laws hold of."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from torch import Tensor

import unexplained as ux
from unexplained.bars import splits
from unexplained.record import Record
from unexplained.study import CASEBOOK, INSTRUMENTS, Instrument

LEAN = ux.Settings(resamples=100)
NAMES = sorted(INSTRUMENTS.all())
CASES = sorted(CASEBOOK.all())
WHERE = {"induction": "attention-2", "paths": "attention-2", "weight-decode": "attention-2",
         "induction-emergence": "attention-2",
         "induction-counterexamples": "attention-2"}  # fmt: skip
"""Models of cases and instruments whose components no rung has."""
ON = {"induction": "repeats"}
"""Texts of cases that would add another to those that they are given."""
LITTLE: dict[str, Any] = {
    "gated": False,
    "singles": 1,
    "task": ["repeats"],
    "seeds": False,
    "source": "pydocs",
    "documents": 6,
    "characters": 200,
    "sites": "L0.H0 L0.H1",
    "steps": 8,
}
"""What is asked of an instrument that has such a parameter, so that it takes a second or two."""


@ux.explanation(gives="value", reads=["tokens"])
def even(view: ux.View) -> Tensor:
    """The token's number is even: what a label is measured with."""
    return view.tokens % 2 == 0


WIDTH = 32
"""Of rung-2: what explanations hold must be written there."""


@ux.explanation(gives="value", reads=["tokens"], name="whether it is even")
def held(view: ux.View) -> Tensor:
    """The embedding holds whether the token's number is even, and nothing else."""
    return (view.tokens % 2 == 0).float()[..., None].expand(-1, -1, WIDTH)


@ux.explanation(gives="pattern", reads=[], intermediates={"embed": held}, name="the like")
def alike(view: ux.View) -> Tensor:
    """Attends evenly to what is embedded alike: a claim with an intermediate."""
    found = view.site("embed")[..., 0]
    return ux.patterns.evenly((found[:, :, None] == found[:, None, :]).tril())


@cache
def model(name: str = "rung-2") -> ux.Subject:
    """A rung that ships."""
    return ux.load(name, device="cpu")


@cache
def words(pairs: bool = False, of: str = "rung-2", name: str = "pydocs") -> ux.Text:
    """A few short documents, or pairs of prompts."""
    if pairs:
        return ux.pairs("agreement", model(of), pairs=12, fit_pairs=4)
    return ux.text(name, model(of), documents=12, fit_documents=12, block=32)


def called(one: Instrument, *, do: Callable[..., Any] | None = None, **how: Any) -> Any:
    """An instrument, or what is to be done in its place, with little to do and by default otherwise.

    On rungs that are not the model itself.
    """
    positional = {p.name for p in one.parameters if p.positional}
    names = {p.name for p in one.parameters}
    if one.models:
        how[one.models] = ["rung-1", "rung-2", "rung-3"]
    else:
        how["subject"] = model(WHERE.get(one.name, "rung-2"))
    if "weak" in positional:
        how["weak"] = model("rung-1")
    if "explanations" in names - positional:
        rules = ("strict_induction", "previous_token")
        how.setdefault("explanations", [ux.LIBRARY.get(rule) for rule in rules])
    if "label" in names:
        how.setdefault("label", [even])
        how.setdefault("sites", "L0.N0 L0.N1")
    if one.name == "shortfall":
        how.setdefault("claim", [alike])
    if "narrow" in names:
        how.setdefault("narrow", str(languages()))
    if one.texts is not None:
        of, name = WHERE.get(one.name, "rung-2"), ON.get(one.name, "pydocs")
        how["text"] = words(one.texts.pairs, of, name)
    little = {key: value for key, value in LITTLE.items() if key in names}
    # Of so few steps no refit is strong, and then none is made.
    with mock.patch.object(splits, "STRONG", 0.0):
        return (do or one)(**{"settings": LEAN, **little, **how})


@cache
def languages() -> Path:
    """A file whose documents are half of small French words and half of small English ones."""
    draw, path = random.Random(0), folder() / "languages.jsonl"
    kinds = [
        ["le", "les", "des", "sur", "ces"],
        ["the", "of", "and", "to", "is", "that", "for", "with", "not", "by", "from"],
    ]
    own = path.with_suffix(f".{os.getpid()}")  # another process may be reading it
    with own.open("w", encoding="utf-8") as file:
        for number in range(80):
            halves = [" ".join(draw.choices(kinds[(number + i) % 2], k=24)) for i in (0, 1)]
            file.write(json.dumps({"text": " ".join(halves)}) + "\n")
    return own.replace(path)


def folder() -> Path:
    """Where what was measured for `record_of` is kept, for all processes of a test run."""
    return Path(os.environ["UNEXPLAINED_MEASURED"])


@cache
def record_of(name: str) -> Record:
    """The record that an instrument or a case gives, measured in this process."""
    one = CASEBOOK.get(name) if name in CASES else INSTRUMENTS.get(name)
    record: Record = called(one, folder=folder())
    return record
