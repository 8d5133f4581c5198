"""What an explanation reads of the model costs what computes it: the trivial one loses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from test_assay import make_text, subject_of
from tiny import VARIED, VOCABULARY, tiny_model, tiny_subject, tiny_tokenizer
from unexplained.evaluate import observe
from unexplained.explanations import LIBRARY, Explanation, explanation, fit
from unexplained.explanations.ends import IDENTITY
from unexplained.explanations.fit import sites_to_observe
from unexplained.explanations.lent import lent
from unexplained.record import Description
from unexplained.subject import Subject, load
from unexplained.testbeds.planted import names


def description(subject: Subject, one: Explanation, where: str) -> Description:
    rows, more = (np.random.default_rng(i).integers(0, 20, (4, 12)) for i in (0, 1))
    text = make_text("random", subject, rows, more)
    sites = subject.sites(where)
    seen = observe(subject, text, sites_to_observe(one, sites, subject.shape))
    return fit(one.at(where), subject.shape, seen, 0).description


@pytest.mark.parametrize("name", [*names(), *VARIED])
def test_the_component_as_its_own_explanation_loses_on_complexity(name: str) -> None:
    subject = subject_of(name)[0] if name in names() else tiny_subject(name)
    for where in ("L1.H0", "L0.H0 L0.H1 L1.H1"):
        itself = description(subject, IDENTITY, where)
        for rule in LIBRARY.all().values():
            for one in (rule, rule.gated(), rule.affine()):
                stated = description(subject, one, where)
                assert stated.bits < itself.bits, one.name


def reader(*reads: str, gives: str = "z") -> Explanation:
    def function(view: Any) -> Any:
        return view.z

    function.__doc__ = "A claim."
    return explanation(gives=gives, reads=["z", *reads])(function)


def test_what_is_read_costs_its_matrices_once_as_counted_by_hand() -> None:
    # llama: width 32, 4 heads of 8 on 2 keys, 48 neurons in a gated MLP, 61 tokens; no biases.
    shape = tiny_subject("llama").shape
    head, mlp, attention = 32 * 8, 3 * 32 * 48, 32 * 32 * 2 + 32 * 16 * 2

    def found(where: str, *reads: str) -> int:
        sites = tiny_subject("llama").sites(where)
        return lent(reader(*reads).reads, sites, shape)

    assert found("L1.H0") == 3 * head
    assert found("L1.H0", "pattern", "q") == 3 * head
    assert found("L1.H0", "out") == 4 * head
    assert found("L1.H0 L1.H1") == 2 * head + 2 * head  # one key head serves both
    assert found("L1.H1 L1.H2") == 6 * head
    assert found("L1.H0", "L0.mlp") == 3 * head + mlp
    assert found("L1.H0", "L0.N3") == 3 * head + 2 * 32
    assert found("L1.H0", "L0.N3", "L0.mlp") == 3 * head + mlp
    assert found("L1.H0", "L1.resid_pre") == 3 * head + 61 * 32 + attention + mlp
    assert found("L1.H0", "L0.resid_mid", "L0.H2.z") == 3 * head + 61 * 32 + attention
    assert found("L1.H0", "embed") == 3 * head + 61 * 32
    # gpt2 has biases: 8 for each of three projections.
    plain = tiny_subject("gpt2")
    assert lent(reader().reads, plain.sites("L1.H0"), plain.shape) == 3 * (head + 8)


@pytest.mark.parametrize("architecture", VARIED)
def test_all_parts_together_are_the_model_but_for_its_norms(architecture: str) -> None:
    subject = tiny_subject(architecture)
    parts, model = subject.shape.parameters, subject.anatomy.model
    assert parts is not None
    body = {id(p): p.numel() for n, p in subject.anatomy.body.named_parameters()
            if "norm" not in n and "ln_" not in n}  # fmt: skip
    layers = subject.shape.layers * (parts.attention + parts.mlp)
    assert parts.embedding + layers == sum(body.values())
    assert parts.bits == 8 * next(model.parameters()).element_size()


def test_a_model_in_half_precision_lends_half_as_much() -> None:
    half = load(tiny_model("llama").to(torch.bfloat16), tokenizer=tiny_tokenizer(), device="cpu")
    whole = tiny_subject("llama")
    found = [description(one, IDENTITY, "L1.H0") for one in (half, whole)]
    assert found[0].lent == found[1].lent == 3 * 32 * 8
    assert [one.lent_bits for one in found] == [16 * 768, 32 * 768]
    assert found[1].bits == found[1].code_bits + 32 * 768
    assert VOCABULARY == 61


def test_a_rule_that_reads_tokens_alone_is_as_long_as_it_was() -> None:
    subject = tiny_subject("llama")
    found = description(subject, LIBRARY.get("strict_induction"), "L1.H0")
    assert found.code_bits == 2672
    assert (found.lent, found.bits) == (0, 2672 + 32 * 8)
