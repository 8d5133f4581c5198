"""Models in half precision: what is fitted is so in float32, what overflows is named, nothing is NaN."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import unexplained as ux
from assayed import checks_of, of_row
from test_assay import make_text, own_cache, texts_of  # noqa: F401  (own_cache is a fixture)
from tiny import VARIED, tiny_model, tiny_tokenizer
from unexplained.errors import MeasurementError, SubjectError
from unexplained.evaluate import Edited, evaluate, observe
from unexplained.evaluate.activations import Activations
from unexplained.evaluate.conditions import tensor_digest
from unexplained.explanations import fit
from unexplained.explanations.fit import sites_to_observe
from unexplained.subject import Batch, Edit, Local, Subject, load
from unexplained.testbeds import planted
from unexplained.testbeds.texts import repeated
from unexplained.text import Text

SETTINGS = ux.Settings(resamples=200)
HALVES = [torch.bfloat16, torch.float16]
STRICT = ux.LIBRARY.get("strict_induction")


def opened(name: str, kind: torch.dtype, factor: float = 1.0) -> Subject:
    model = tiny_model(name)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= factor
    return ux.load(model.to(kind), tokenizer=tiny_tokenizer(), device="cpu", name=name)


def copies(subject: Subject, documents: int = 8) -> Text:
    tokens = repeated(np.random.default_rng(3), 2 * documents, 10)
    return make_text("copies", subject, tokens[documents:], tokens[:documents], second_copy=11)


def numbers(found: Any) -> list[float]:
    if isinstance(found, dict):
        return [number for value in found.values() for number in numbers(value)]
    if isinstance(found, list):
        return [number for value in found for number in numbers(value)]
    return [found] if isinstance(found, float) else []


@pytest.mark.parametrize("kind", HALVES, ids=str)
@pytest.mark.parametrize("name", VARIED)
def test_an_assay_of_every_architecture_in_half_precision_has_only_numbers_and_its_controls_hold(
    name: str, kind: torch.dtype
) -> None:
    subject = opened(name, kind)
    record = ux.assay(subject, "L1.H0 L2.H3", copies(subject), settings=SETTINGS, singles=0)
    assert all(map(math.isfinite, numbers(json.loads(record.model_dump_json()))))
    held = {check.name: check.holds for check in checks_of(record)}
    assert held["the component itself"] and held["no explanation"]
    assert any("half precision" in note for note in record.subject_notes)


@pytest.mark.parametrize("kind", HALVES, ids=str)
def test_the_true_explanation_of_a_planted_head_scores_1_in_half_precision(
    kind: torch.dtype,
) -> None:
    plant = planted("strict_induction")
    subject = ux.load(plant.model.to(kind), tokenizer=plant.tokenizer, device="cpu", name="half")
    # The other head of its layer writes nothing.
    record = ux.assay(
        subject, "L1.H0 L1.H1", texts_of(subject)[0], settings=SETTINGS, twin=False, singles=0
    )
    for name in ("strict induction, rest first", "own placement"):
        found = of_row(record, name, "against mean").value
        assert found == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("kind", HALVES, ids=str)
def test_readouts_are_fitted_as_on_the_same_values_in_float32(kind: torch.dtype) -> None:
    subject = opened("llama", kind)
    text, sites = copies(subject), subject.sites("L1.H0")
    own = ux.LIBRARY.get("own_placement")
    for one in (own.affine(), own.gated(), STRICT.affine().on_shuffled()):
        needed = sites_to_observe(one, sites, subject.shape)
        narrow = observe(subject, text, needed)
        wide = Activations(
            tuple((b, {s: v.float() for s, v in values.items()}) for b, values in narrow.batches)
        )
        said = []
        for recorded in (narrow, wide):
            (edit,) = fit(one.at(sites), subject.shape, recorded, 0).edits
            local = next(recorded.at(sites[0]))
            new = edit.function(local)
            assert new is not None and new.dtype == torch.float32
            said.append(new)
        # The mean is rounded to the model's type, as mean ablation's is.
        torch.testing.assert_close(*said, rtol=2e-2, atol=2e-2)
        assert edit(next(narrow.at(sites[0]))).dtype == kind  # type: ignore[union-attr]


def test_what_overflows_float16_is_named_with_the_advice_and_is_never_a_number() -> None:
    subject = opened("llama", torch.float16)
    with torch.no_grad():
        subject.anatomy.layers[0].mlp.down_proj.weight.mul_(10_000.0)
    text = copies(subject)
    for run, where in (
        (lambda: observe(subject, text, subject.sites("L0.mlp L1.H0.z")), "L0.mlp"),
        (lambda: evaluate(subject, text, []), "intact"),
        (lambda: ux.head_scores(subject, text), "L1.H0.pattern"),
        (lambda: ux.assay(subject, "L1.H0-1", text, settings=SETTINGS, singles=0), ""),
        (lambda: ux.assay(subject, "L1.H0-1", text, settings=SETTINGS, singles=0, twin=False), ""),
    ):
        with pytest.raises(MeasurementError) as error:
            run()
        assert "float32" in error.value.do and "NaN or infin" in error.value.found
        assert where in error.value.asked


def test_experts_that_rounding_chooses_are_refused_and_one_is_told_to_use_float32() -> None:
    """Routers that hardly prefer an expert: another order of sums sends tokens elsewhere."""
    model = tiny_model("mixtral")
    with torch.no_grad():
        for layer in model.model.layers:
            gate = layer.mlp.gate.weight
            gate.copy_(gate[:1] + 0.002 * gate)
    load(model, tokenizer=tiny_tokenizer(), device="cpu").close()
    with pytest.raises(SubjectError, match=r"logits are others.*other experts.*float32"):
        load(model.to(torch.bfloat16), tokenizer=tiny_tokenizer(), device="cpu")


def test_an_edit_beyond_the_range_of_the_models_type_is_refused() -> None:
    subject = opened("gpt2", torch.float16)
    for size, refused in ((6e4, False), (7e4, True)):

        def large(local: Local, size: float = size) -> torch.Tensor:
            return torch.full(local.value.shape, size)

        edit = Edit(subject.sites("L1.N3")[0], large)
        batch = Batch.of(torch.arange(8)[None])
        if refused:
            with pytest.raises(MeasurementError, match=r"beyond the range of float16.*float32"):
                subject.run(batch, [edit])
        else:
            subject.run(batch, [edit])


def test_squared_errors_at_edited_sites_are_summed_in_float32() -> None:
    """300² is beyond float16: 32 entries of 300 have the squared length 2,880,000."""
    subject = opened("llama", torch.float16)
    site = subject.sites("L1.mlp")[0]
    made = Edit(site, lambda local: local.value + 300.0)
    condition = Edited("more (direct)", (made,), "more", "direct")
    with torch.no_grad():
        batch = Batch.of(torch.arange(8)[None])
        found = subject.run(batch, direct=[condition.edits]).direct[0].error
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, torch.full_like(found, 2_880_000), rtol=0.02, atol=0)


def test_tensors_of_every_type_have_a_digest_of_their_bytes() -> None:
    kinds = [torch.bfloat16, torch.float16, torch.float32, torch.float64, torch.int64, torch.bool]
    marks = {tensor_digest([torch.ones(2, 3).to(kind)]) for kind in kinds}
    assert len(marks) == len(kinds)
    one = torch.ones(4, dtype=torch.bfloat16)
    other = one.clone()
    other[2] = 1.0078125  # the next number
    assert tensor_digest([one]) != tensor_digest([other])
    assert tensor_digest([torch.tensor(2.0)]) != tensor_digest([torch.tensor([2.0])])


def test_a_model_in_float64_keeps_its_type() -> None:
    subject = opened("llama", torch.float64)
    sites = subject.sites("L1.H0")
    recorded = observe(subject, copies(subject), sites_to_observe(STRICT, sites, subject.shape))
    (edit,) = fit(STRICT.affine().at(sites), subject.shape, recorded, 0).edits
    new = edit.function(next(recorded.at(sites[0])))
    assert new is not None and new.dtype == torch.float64
    assert replace(subject, name="x").shape == subject.shape
