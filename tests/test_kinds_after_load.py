"""Someone else's change after `load`: right, or refused by name.

Every change is made to a model that was opened up and to a fresh one; the right numbers are
those of the fresh one by plain Hugging Face (`kinds.plain`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import eager_mask

from changes import ATTENTION, LLAMA_CHANGES, OTHER_CHANGES, Change, for_plain
from kinds import (
    measured,
    opened,
    plain,
    plain_logit_difference,
    refused,
    right_or_refused,
    whole_circuit,
)
from tiny import tiny_model, tokens
from unexplained.sites import Site
from unexplained.subject import Batch, Edit


@pytest.fixture(autouse=True)
def the_attention_registries_as_they_were() -> Iterator[None]:
    """Put back what tests register under our name."""
    attention, mask = (
        interface._global_mapping.get("unexplained")
        for interface in (AttentionInterface, AttentionMaskInterface)
    )
    yield
    AttentionInterface.register("unexplained", attention)
    AttentionMaskInterface.register("unexplained", mask)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("name", LLAMA_CHANGES)
def test_a_change_after_load_is_measured_as_it_is_or_refused(name: str) -> None:
    change, words = LLAMA_CHANGES[name]
    model, fresh = tiny_model("llama"), tiny_model("llama")
    subject = opened(model)
    measured(subject)  # whatever is found once and kept has been found
    change(model)
    for_plain(name)(fresh)
    right_or_refused(lambda: measured(subject), plain(fresh), words)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("name", LLAMA_CHANGES)
def test_a_model_that_others_have_changed_is_opened_as_it_is_or_refused(name: str) -> None:
    change, words = LLAMA_CHANGES[name]
    model, fresh = tiny_model("llama"), tiny_model("llama")
    change(model)
    for_plain(name)(fresh)
    right_or_refused(lambda: measured(opened(model)), plain(fresh), words)


def dropouts(model: Any) -> None:
    model.train()


def one_dropout(model: Any) -> None:
    """Dropout kept on at one place, as Monte-Carlo dropout does."""
    model.transformer.h[1].mlp.dropout.train()


@pytest.mark.parametrize("name", OTHER_CHANGES)
def test_a_change_in_another_architecture_is_measured_as_it_is_or_refused(name: str) -> None:
    architecture, change, words = OTHER_CHANGES[name]
    model, fresh = tiny_model(architecture), tiny_model(architecture)
    subject = opened(model)
    measured(subject)
    change(model)
    change(fresh)
    right_or_refused(lambda: measured(subject), plain(fresh), words)


@pytest.mark.parametrize("change", [dropouts, one_dropout])
def test_dropout_switched_on_after_load_never_makes_numbers_random(change: Change) -> None:
    model = tiny_model("gpt2")
    subject = opened(model)
    change(model)
    right_or_refused(lambda: measured(subject), plain(tiny_model("gpt2")), "train|dropout")


def test_half_precision_after_load_is_said_or_refused() -> None:
    model = tiny_model("llama")
    subject = opened(model)
    model.bfloat16()
    # bfloat16 keeps 8 bits: 3 layers of losses near 6 are within 6 · 2^-8 · a few.
    right_or_refused(
        lambda: measured(subject), plain(tiny_model("llama")), "half|bfloat16|float16", within=0.1
    )
    assert any("half precision" in note for note in opened(model).notes)


def test_weights_that_went_to_meta_after_load_are_refused() -> None:
    model = tiny_model("llama")
    subject = opened(model)
    model.to("meta")
    refused(lambda: measured(subject), "meta")


@pytest.mark.parametrize("which", ["attention", "mask"])
def test_another_function_under_our_name_is_noticed(which: str) -> None:
    subject = opened(tiny_model("llama"))
    if which == "attention":
        AttentionInterface.register("unexplained", sdpa_attention_forward)
    else:
        AttentionMaskInterface.register("unexplained", eager_mask)
    right_or_refused(lambda: measured(subject), plain(tiny_model("llama")), ATTENTION)


def test_an_attention_that_is_exchanged_in_the_middle_of_a_pass_is_noticed() -> None:
    """By an edit of the user's own: the check at the beginning has passed."""
    model = tiny_model("llama")
    subject = opened(model)

    def meddle(local: Any) -> None:
        model.set_attn_implementation("eager")

    edits = [
        Edit(Site(0, "mlp"), meddle),
        Edit(Site(1, "H", 2, "z"), lambda local: torch.zeros_like(local.value)),
    ]
    fresh = opened(tiny_model("llama"))
    right = fresh.run(Batch.of(tokens()), edits[1:]).normed
    right_or_refused(
        lambda: {
            "difference": float((subject.run(Batch.of(tokens()), edits).normed - right).abs().max())
        },
        {"difference": 0.0},
        ATTENTION,
    )


def test_one_model_under_two_subjects_gives_both_the_right_numbers() -> None:
    model = tiny_model("llama")
    right = plain(tiny_model("llama"))
    first, second = opened(model), opened(model)
    for subject in (first, second, first):
        right_or_refused(lambda subject=subject: measured(subject), right, "")


def test_closing_one_of_two_subjects_of_a_model_leaves_no_wrong_number() -> None:
    model = tiny_model("llama")
    first, second = opened(model), opened(model)
    first.close()
    right_or_refused(lambda: measured(second), plain(tiny_model("llama")), f"{ATTENTION}|closed")
    refused(lambda: measured(first), "closed")


def test_generating_between_two_measurements_changes_nothing() -> None:
    model = tiny_model("llama")
    subject = opened(model)
    model.generate(
        tokens(1, 4), max_new_tokens=3, do_sample=False, pad_token_id=0, eos_token_id=None
    )
    right_or_refused(lambda: measured(subject), plain(tiny_model("llama")), "")


# --- pairs: circuits read weights by themselves ---------------------------------------------------

CIRCUIT_CHANGES = [
    "an output layer is wrapped, its weight still shows",
    "an output layer's forward is patched",
    "a hook on an output layer",
    "a hook on a layer",
    "a hook on an MLP",
    "a steering vector",
    "a layer of another model",
    "the unembedding of another model",
    "a hook on the whole model",
    "another attention is chosen: eager",
    "weights edited through .data",
]


@pytest.mark.parametrize("name", CIRCUIT_CHANGES)
def test_the_circuit_of_all_edges_is_the_changed_model_or_refused(name: str) -> None:
    change, words = LLAMA_CHANGES[name]
    model, fresh = tiny_model("llama"), tiny_model("llama")
    subject = opened(model)
    whole_circuit(subject)
    change(model)
    change(fresh)
    right_or_refused(
        lambda: whole_circuit(subject), plain_logit_difference(fresh), words, within=1e-4
    )
