"""What a planted model is, and the registry that finds the files that make them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from unexplained.errors import SubjectError, near_matches
from unexplained.explanations import LIBRARY, Explanation, View, explanation
from unexplained.sites import Site
from unexplained.testbeds.testbed import TESTBEDS, Testbed, TextMaker
from unexplained.testbeds.vocabulary import VOCABULARY, FloatArray, IntArray, make_tokenizer
from unexplained.testbeds.weights import Head, assemble

AttentionRule = Callable[[IntArray], FloatArray]
"""Tokens (document, position), BOS at position 0 and nowhere else, to attention patterns
(document, position, position): row t says how position t spreads its attention."""


@dataclass(frozen=True)
class Planted:
    """A model whose planted head is known, because somebody wrote its weights."""

    name: str
    model: LlamaForCausalLM
    """Float32, on the CPU, in evaluation mode; a new one for every call of `planted`."""
    tokenizer: PreTrainedTokenizerFast
    vocabulary: tuple[str, ...]
    """Token texts by id."""
    truth: str
    """What the planted head does, in one sentence."""
    sites: tuple[Site, ...]
    """The planted head, or heads that all attend by one rule."""
    rule: AttentionRule
    """The truth as code: the planted head's attention pattern."""
    notes: Mapping[Site, str]
    """What the other heads do; a head that is not named is dead."""
    circuit: frozenset[str]
    """The edges that the model's behaviour on its pairs runs through; empty where none is stated."""

    def save(self, folder: str | Path) -> Path:
        """Write safetensors, configuration and tokenizer; return the folder.

        `AutoModelForCausalLM.from_pretrained(folder)` gives the same logits, bit for bit.
        """
        folder = Path(folder)
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        return folder


@dataclass(frozen=True)
class Plan:
    """What a testbed's file says; `planted` builds it."""

    truth: str
    sites: tuple[Site, ...]
    heads: Mapping[Site, Head]
    rule: AttentionRule
    notes: Mapping[Site, str]
    text: TextMaker
    """What to ask on."""
    decoys: tuple[str, ...] = ()
    """Explanations of the library that are wrong here."""
    held_at: tuple[Site, ...] = ()
    """As in `Testbed`."""
    worth: bool = True
    """As in `Testbed`."""
    circuit: frozenset[str] = frozenset()


_PLANS: dict[str, Callable[[], Plan]] = {}


def register(make: Callable[[], Plan]) -> Callable[[], Plan]:
    """Make a function that returns a `Plan` known under its own name.

    Args:
        make: Its name is the model's.

    Raises:
        SubjectError: Another function has that name already.
    """
    name = make.__name__
    if name in _PLANS:
        raise SubjectError(f"A planted model '{name}'", "there is one of that name already")
    _PLANS[name] = make
    TESTBEDS.add(name, partial(_testbed, name))
    return make


def _testbed(name: str) -> Testbed:
    """The testbed of a plan: its rule, put in the place of the planted heads, is the truth."""
    plan = _plan(name)
    return Testbed(
        name=name,
        says=plan.truth,
        model=lambda: (assemble(plan.heads), make_tokenizer()),
        text=plan.text,
        sites=plan.sites,
        truth=_as_explanation(plan.rule, plan.truth),
        decoys=tuple(LIBRARY.get(one) for one in plan.decoys),
        held_at=plan.held_at,
        worth=plan.worth,
    )


def _as_explanation(rule: AttentionRule, says: str) -> Explanation:
    """A rule as a claim about the head's attention pattern."""

    def truth(view: View) -> Tensor:
        pattern = rule(view.tokens.cpu().numpy().astype(np.int64))
        return torch.from_numpy(pattern).float().to(view.tokens.device)

    truth.__doc__ = says
    return explanation(gives="pattern", reads=["tokens"], rest="first", name="the truth")(truth)


def names() -> tuple[str, ...]:
    """Names of the planted models, in alphabetical order.

    >>> names()[:4]
    ('cancelling', 'empty', 'half_induction', 'mediation')
    """
    package = importlib.import_module(__package__)
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{__package__}.{module.name}")
    return tuple(sorted(_PLANS))


def planted(name: str) -> Planted:
    """Build a planted model.

    Args:
        name: A planted model's (docs/planted-models.md).

    Raises:
        SubjectError: There is none of that name.

    >>> str(planted("strict_induction").sites[0])
    'L1.H0'
    """
    plan = _plan(name)
    return Planted(
        name=name,
        model=assemble(plan.heads),
        tokenizer=make_tokenizer(),
        vocabulary=VOCABULARY,
        truth=plan.truth,
        sites=plan.sites,
        rule=plan.rule,
        notes=plan.notes,
        circuit=plan.circuit,
    )


def circuit(name: str) -> frozenset[str]:
    """The edges that a planted model's behaviour runs through, named as in `circuits.Graph`.

    Which edges those are depends on how the prompts of a pair differ: docs/planted-models.md says
    on which pairs.

    Args:
        name: A planted model's (docs/planted-models.md).

    Raises:
        SubjectError: There is no such model, or no circuit is stated for it.

    >>> len(circuit("soft_induction"))
    5
    """
    edges = _plan(name).circuit
    if not edges:
        known = [other for other in names() if _PLANS[other]().circuit]
        raise SubjectError(
            f"The circuit of the planted model '{name}'",
            "none is stated",
            f"One is for {', '.join(known)}.",
        )
    return edges


def _plan(name: str) -> Plan:
    known = names()
    if name not in known:
        raise SubjectError(
            f"The planted model '{name}'", "there is none of that name", near_matches(name, known)
        )
    return _PLANS[name]()
