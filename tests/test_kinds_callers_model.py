"""What `load` does to a model of the caller's own, and the way back."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kinds import (
    TEXT,
    eager,
    measured,
    opened,
    plain,
    plain_loss,
    refused,
    right_or_refused,
    snapshot,
)
from tiny import tiny_model, tiny_tokenizer, tokens
from unexplained.errors import SubjectError
from unexplained.subject import load
from written import from_folder, write_folder


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """Torch's generator is put back."""
    with torch.random.fork_rng(devices=[]):
        yield


def state(model: Any) -> dict[str, object]:
    """All that a caller can see of a model of their own."""
    return {
        "attention": model.config._attn_implementation,
        "training": {name: module.training for name, module in model.named_modules()},
        "gradients": {name: p.requires_grad for name, p in model.named_parameters()},
        "devices": {name: str(p.device) for name, p in model.named_parameters()},
        "dtypes": {name: p.dtype for name, p in model.named_parameters()},
        "parameters": {name: id(p) for name, p in model.named_parameters()},
        "modules": {name: id(module) for name, module in model.named_modules()},
        "forwards": {name: "forward" in vars(module) for name, module in model.named_modules()},
        "hooks": {
            name: (
                len(module._forward_hooks),
                len(module._forward_pre_hooks),
                len(module._backward_hooks),
            )
            for name, module in model.named_modules()
        },
        "configuration": json.dumps(model.config.to_dict(), sort_keys=True, default=str),
    }


@pytest.fixture
def trained() -> Any:
    """A model in the middle of training: one part in train mode, some gradients off."""
    model = tiny_model("gpt2")
    model.train()
    model.transformer.h[0].eval()
    model.transformer.wte.weight.requires_grad_(False)
    model.set_attn_implementation("eager")
    return model


def closed(subject: Any) -> None:
    assert hasattr(subject, "close"), "there is no way back from load"
    subject.close()


def test_closing_gives_the_callers_model_back_as_it_was(trained: Any) -> None:
    before = state(trained)
    subject = opened(trained)
    measured(subject)
    closed(subject)
    assert state(trained) == before


def test_leaving_a_with_block_gives_the_model_back_also_after_an_error(trained: Any) -> None:
    before, subject = state(trained), opened(trained)
    assert hasattr(subject, "__enter__"), "a subject is no context manager"
    with pytest.raises(ZeroDivisionError), subject:
        1 / 0  # noqa: B018
    assert state(trained) == before


def test_weights_are_the_very_same_after_load_and_after_measuring() -> None:
    model = tiny_model("llama")
    before = snapshot(model)
    measured(opened(model))
    after = snapshot(model)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_load_that_is_refused_leaves_the_callers_model_as_it_was(trained: Any) -> None:
    before = state(trained)
    with pytest.raises(SubjectError):
        load(trained, tokenizer=tiny_tokenizer(200), device="cpu")
    assert state(trained) == before


def test_closing_two_subjects_in_either_order_gives_the_model_back() -> None:
    for first_closed in (0, 1):
        model = tiny_model("gpt2")
        model.train()
        model.set_attn_implementation("eager")
        before = state(model)
        subjects = [opened(model), opened(model)]
        whole = measured(subjects[1 - first_closed])
        closed(subjects[first_closed])
        assert measured(subjects[1 - first_closed]) == whole  # still open
        closed(subjects[1 - first_closed])
        assert state(model) == before, first_closed


def test_closing_twice_does_no_harm(trained: Any) -> None:
    before, subject = state(trained), opened(trained)
    closed(subject)
    closed(subject)
    assert state(trained) == before


def test_what_the_caller_changed_while_it_was_open_stays_after_closing() -> None:
    model = tiny_model("llama")
    subject = opened(model)
    model.set_attn_implementation("sdpa")
    with torch.no_grad():
        model.lm_head.weight.mul_(2)
    changed = model.lm_head.weight.clone()
    closed(subject)
    assert model.config._attn_implementation == "sdpa"
    assert torch.equal(model.lm_head.weight, changed)


def test_a_closed_subject_measures_nothing() -> None:
    subject = opened(tiny_model("llama"))
    closed(subject)
    refused(lambda: measured(subject), "closed")


def test_the_callers_own_calls_after_closing_are_as_before(trained: Any) -> None:
    """Attention weights are to be had again: our attention gives none."""
    trained.eval()
    with torch.no_grad():
        before = trained(input_ids=tokens(), output_attentions=True)
        subject = opened(trained)
        measured(subject)
        closed(subject)
        after = trained(input_ids=tokens(), output_attentions=True)
    assert torch.equal(before.logits, after.logits)
    assert after.attentions[0] is not None
    assert torch.equal(before.attentions[1], after.attentions[1])


def test_load_and_measuring_leave_torchs_random_numbers_where_they_were() -> None:
    model = tiny_model("llama")
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    measured(opened(model))
    assert torch.equal(torch.rand(3), expected)


def test_loading_from_a_folder_leaves_torchs_random_numbers_where_they_were(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model")
    torch.manual_seed(7)
    np.random.seed(7)  # noqa: NPY002
    expected = torch.rand(3), np.random.rand()  # noqa: NPY002
    torch.manual_seed(7)
    np.random.seed(7)  # noqa: NPY002
    from_folder(folder)
    assert torch.equal(torch.rand(3), expected[0])
    assert np.random.rand() == expected[1]  # noqa: NPY002


def test_a_model_saved_while_it_is_open_can_be_read_by_others(tmp_path: Path) -> None:
    """Nothing of ours is written into its configuration."""
    model = tiny_model("llama")
    opened(model)
    model.config.save_pretrained(tmp_path)
    assert "unexplained" not in (tmp_path / "config.json").read_text()


def test_a_copy_of_an_open_model_is_a_model() -> None:
    model = tiny_model("llama")
    opened(model)
    right_or_refused(lambda: plain(copy.deepcopy(model)), plain(tiny_model("llama")), "")


def test_an_optimizer_made_before_load_still_trains_the_model() -> None:
    """Parameters keep their identity where the device does not change."""
    model = tiny_model("llama")
    step = torch.optim.SGD(model.parameters(), lr=0.1)
    subject = opened(model)
    model.train()
    before = model.lm_head.weight.detach().clone()
    model(input_ids=tokens(), labels=tokens()).loss.backward()
    step.step()
    assert not torch.equal(model.lm_head.weight, before)
    model.eval()
    fresh = tiny_model("llama")
    fresh.load_state_dict(model.state_dict())
    right_or_refused(lambda: measured(subject), plain(fresh), "")


def test_the_yardstick_of_this_file_is_the_model_itself() -> None:
    """The checks can fail: two ways of asking plain Hugging Face agree, and doubling shows."""
    model = tiny_model("llama")
    right = plain_loss(model, TEXT)["intact"]
    assert right == plain(eager(tiny_model("llama")), TEXT)["intact"]
    with torch.no_grad():
        model.lm_head.weight.mul_(2)
    assert abs(plain_loss(model, TEXT)["intact"] - right) > 0.1
