"""Kept results: what is found again in a folder is of this very model as it is now, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import GenerationConfig

from changes import LLAMA_CHANGES, Change, edited_data, for_plain
from kinds import (
    NUMBERS,
    PAIRS,
    TEXT,
    measured,
    opened,
    plain,
    plain_loss,
    right_or_refused,
    text_of,
)
from tiny import VOCABULARY, tiny_model

KEPT = [
    "weights edited through .data",
    "weights with new .data",
    "a new parameter",
    "weights edited through numpy",
    "an optimizer's step",
    "another state dict",
    "an unembedding tied to the embedding",
    "rotary frequencies",
    "a norm's epsilon",
    "an attention's scale",
    "another activation",
    "an MLP of another model",
    "an MLP is wrapped",
    "a layer of another model",
    "a hook on a layer",
    "a hook on the embedding",
    "a hook on an MLP",
    "a steering vector",
    "a layer's forward is patched",
    "a norm's forward is patched",
    "an output layer with a parametrised weight",
    "an output layer that was pruned",
    "another attention is chosen: eager",
    "weights in float64",
    "a layer that stands twice",
    "weights changed and changed back",
]


@pytest.mark.parametrize("name", KEPT)
def test_what_was_kept_before_a_change_is_not_given_after_it(name: str, tmp_path: Path) -> None:
    change, words = LLAMA_CHANGES[name]
    model, fresh = tiny_model("llama"), tiny_model("llama")
    subject = opened(model)
    measured(subject, folder=tmp_path)
    change(model)
    for_plain(name)(fresh)
    right_or_refused(lambda: measured(subject, folder=tmp_path), plain(fresh), words)


@pytest.mark.parametrize("name", KEPT)
def test_what_was_kept_of_one_model_is_not_given_for_another(name: str, tmp_path: Path) -> None:
    """Changed before it was opened up, measured into the folder of the unchanged one."""
    change, words = LLAMA_CHANGES[name]
    measured(opened(tiny_model("llama")), folder=tmp_path)
    model, fresh = tiny_model("llama"), tiny_model("llama")
    change(model)
    for_plain(name)(fresh)
    right_or_refused(lambda: measured(opened(model), folder=tmp_path), plain(fresh), words)


def test_the_fingerprint_is_that_of_the_weights_as_they_are_now() -> None:
    model = tiny_model("llama")
    subject = opened(model)
    before = subject.fingerprint
    edited_data(model)
    fresh = tiny_model("llama")
    edited_data(fresh)
    assert subject.fingerprint == opened(fresh).fingerprint != before


@pytest.mark.parametrize(
    "change",
    [
        lambda model: setattr(model, "generation_config", GenerationConfig(max_new_tokens=7)),
        lambda model: setattr(model.config, "_name_or_path", "elsewhere"),
        lambda model: model.requires_grad_(False),
        lambda model: model.config.__dict__.update(use_cache=False),
        lambda model: setattr(model, "note", "of the user's own"),
    ],
)
def test_what_moves_no_number_throws_nothing_away(change: Change, tmp_path: Path) -> None:
    model = tiny_model("llama")
    subject = opened(model)
    first = measured(subject, folder=tmp_path)
    change(model)
    begun: list[int] = []
    second = measured(
        subject, folder=tmp_path, progress=lambda done, total: begun.append(total - done)
    )
    assert second == first
    assert begun == [0], "measured again although nothing that counts has changed"


def test_numbers_of_two_texts_in_one_folder_are_kept_apart(tmp_path: Path) -> None:
    subject, other_text = opened(tiny_model("llama")), text_of(12, 9, 12, 7, seed=6)
    measured(subject, folder=tmp_path)
    right_or_refused(
        lambda: measured(subject, other_text, folder=tmp_path),
        plain(tiny_model("llama"), other_text),
        "",
    )


def test_weights_that_change_while_a_ledger_is_measured_are_noticed() -> None:
    """By a progress function: half of the rows would be of one model and half of another."""
    model = tiny_model("llama")
    subject = opened(model)
    right = plain(tiny_model("llama"))

    def train(done: int, total: int) -> None:
        with torch.no_grad():
            model.lm_head.weight.mul_(1.5)

    right_or_refused(
        lambda: measured(subject, batch_tokens=24, progress=train), right, "changed|while|since"
    )


def test_the_texts_and_numbers_of_this_file_would_show_a_change() -> None:
    """The checks can fail: every number moves when weights do."""
    fresh = tiny_model("llama")
    before = plain(fresh)
    edited_data(fresh)
    after = plain(fresh)
    assert min(abs(after[name] - before[name]) for name in NUMBERS if name != "mlp total") > 1e-3
    assert len(TEXT.eval) == 4 and len(PAIRS.eval) == 5 and VOCABULARY == 61
    assert plain_loss(fresh)["intact"] == after["intact"]
