"""Rotary embeddings that depend on length.

The right number of a document is that of a fresh model to which this document alone is given:
neither what was measured before nor the padding of its batch has a say.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from kinds import (
    eager,
    loss,
    measured,
    opened,
    plain,
    plain_logit_difference,
    plain_loss,
    right_or_refused,
    text_of,
    whole_circuit,
)
from tiny import CONFIGS, tiny_model
from unexplained.subject import Batch
from unexplained.text import Text

Settings = dict[str, Any]

LENGTH = "rope|rotary|length|position"


def model_of(architecture: str, **settings: Any) -> Any:
    """The tiny model's weights under other settings."""
    kind, plain_settings = CONFIGS[architecture]
    model = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(kind, **plain_settings | settings), dtype=torch.float32
    )
    model.load_state_dict(tiny_model(architecture).state_dict())
    return model.eval()


def rope(kind: str, **more: Any) -> Settings:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 10000.0, **more}}


LONG = {
    "short_factor": [1.0, 1.1, 1.3, 1.7],
    "long_factor": [1.0, 2.0, 4.0, 8.0],
    "original_max_position_embeddings": 16,
}

FIXED: dict[str, tuple[str, Settings]] = {
    "linear": ("llama", rope("linear", factor=4.0)),
    "yarn": ("llama", rope("yarn", factor=4.0, original_max_position_embeddings=16)),
    "llama3": (
        "llama",
        rope(
            "llama3",
            factor=8.0,
            low_freq_factor=1.0,
            high_freq_factor=4.0,
            original_max_position_embeddings=16,
        ),
    ),
    "another base": ("llama", rope("default") | {"max_position_embeddings": 12}),
    "a part of each head": ("gpt_neox", {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}}),
    "Qwen with yarn": ("qwen2", rope("yarn", factor=2.0, original_max_position_embeddings=32)),
    "Phi with a part of each head": ("phi3", {"partial_rotary_factor": 0.5} | rope("default", partial_rotary_factor=0.5)),
}  # fmt: skip

BY_LENGTH: dict[str, tuple[str, Settings]] = {
    "dynamic": ("llama", rope("dynamic", factor=4.0) | {"max_position_embeddings": 16}),
    "dynamic, Qwen": ("qwen2", rope("dynamic", factor=2.0) | {"max_position_embeddings": 16}),
    "longrope": ("phi3", rope("longrope", **LONG) | {"original_max_position_embeddings": 16}),
    "longrope, Llama": ("llama", rope("longrope", factor=4.0, **LONG)),
}


def made(case: tuple[str, Settings]) -> Any:
    architecture, settings = case
    return model_of(architecture, **settings)


def each_alone(case: tuple[str, Settings], text: Text) -> dict[str, float]:
    """The intact loss, a fresh model for each document."""
    total, count = 0.0, 0
    for block in text.eval:
        one = Text(**{**vars(text), "eval": (block,)})
        number = len(block.tokens) - 1
        total += plain_loss(made(case), one)["intact"] * number
        count += number
    return {"intact": total / count}


@pytest.mark.parametrize("name", FIXED)
def test_frequencies_that_do_not_depend_on_length_are_followed(name: str) -> None:
    text = text_of(40, 9, 33, 7)
    right = plain(made(FIXED[name]), text)
    right_or_refused(lambda: measured(opened(made(FIXED[name])), text), right, "")


@pytest.mark.parametrize("name", FIXED)
def test_pairs_under_fixed_frequencies_are_followed(name: str) -> None:
    right = plain_logit_difference(made(FIXED[name]))
    right_or_refused(lambda: whole_circuit(opened(made(FIXED[name]))), right, "", within=1e-4)


@pytest.mark.parametrize("name", BY_LENGTH)
def test_within_the_first_positions_length_makes_no_difference(name: str) -> None:
    text = text_of(12, 9, 15, 7)
    right = each_alone(BY_LENGTH[name], text)
    right_or_refused(lambda: loss(opened(made(BY_LENGTH[name])), text), right, "dynamic|longrope")


@pytest.mark.parametrize("name", BY_LENGTH)
def test_a_document_beyond_the_first_positions_is_right_or_refused(name: str) -> None:
    text = text_of(40)
    right = each_alone(BY_LENGTH[name], text)
    right_or_refused(lambda: loss(opened(made(BY_LENGTH[name])), text), right, LENGTH)


@pytest.mark.parametrize("name", BY_LENGTH)
def test_short_documents_are_not_measured_under_the_frequencies_of_long_ones(name: str) -> None:
    """They are in one batch, padded to the longest."""
    text = text_of(40, 9, 33, 14)
    right = each_alone(BY_LENGTH[name], text)
    right_or_refused(lambda: loss(opened(made(BY_LENGTH[name])), text), right, LENGTH)


@pytest.mark.parametrize("name", BY_LENGTH)
@pytest.mark.parametrize("before", [(60,), (9, 60), (60, 9)])
def test_what_was_measured_before_has_no_say(name: str, before: tuple[int, ...]) -> None:
    """`dynamic` keeps the frequencies of the longest sequence until a short one comes."""
    text = text_of(33)
    right = each_alone(BY_LENGTH[name], text)

    def number() -> dict[str, float]:
        subject = opened(made(BY_LENGTH[name]))
        for length in before:
            loss(subject, text_of(length, seed=8))
        return loss(subject, text)

    right_or_refused(number, right, LENGTH)


@pytest.mark.parametrize("name", BY_LENGTH)
def test_what_the_caller_ran_before_has_no_say(name: str) -> None:
    text = text_of(33)
    right = each_alone(BY_LENGTH[name], text)

    def number() -> dict[str, float]:
        model = made(BY_LENGTH[name])
        with torch.no_grad():
            model(input_ids=torch.zeros(1, 60, dtype=torch.long), use_cache=False)
        return loss(opened(model), text)

    right_or_refused(number, right, LENGTH)


@pytest.mark.parametrize("name", BY_LENGTH)
def test_a_resumed_pass_and_the_intact_one_have_the_same_frequencies(name: str) -> None:
    """The conditions of a batch resume from kept streams, with kept rotary embeddings."""
    text = text_of(33, 33)
    right = plain(made(BY_LENGTH[name]), text)
    right_or_refused(lambda: measured(opened(made(BY_LENGTH[name])), text), right, LENGTH)


def long_pairs() -> Text:
    """Pairs that share a beginning within the first positions and end beyond them."""
    from dataclasses import replace

    from exact import pair
    from exact import text_of as pairs_of

    def longer(number: int) -> Any:
        return pair(number, 24, 10)

    pairs = pairs_of(*(longer(i) for i in range(4)))
    return replace(pairs, name="long pairs", fingerprint="long pairs")


@pytest.mark.parametrize("name", BY_LENGTH)
def test_pairs_that_begin_alike_are_whole_prompts_or_refused(name: str) -> None:
    """The shared beginning is run alone, which is shorter than the prompt."""
    from unexplained.evaluate import evaluate

    text = long_pairs()
    logit_differences = []
    for pair in text.eval:
        model = eager(made(BY_LENGTH[name]))
        with torch.no_grad():
            ids = torch.as_tensor(pair.tokens[None].astype("int64"))
            last = model(input_ids=ids, use_cache=False).logits[0, -1]
        logit_differences.append(float(last[pair.answer] - last[pair.wrong]))

    def number() -> dict[str, float]:
        subject = opened(made(BY_LENGTH[name]))
        ledger = evaluate(subject, text, [], measure="logit difference")
        return {"intact": ledger.sums("intact").per_token("logit_difference")}

    right_or_refused(
        number, {"intact": sum(logit_differences) / len(logit_differences)}, LENGTH, within=1e-4
    )


@pytest.mark.parametrize("name", BY_LENGTH)
def test_a_prefix_of_another_length_is_the_whole_prompt_or_refused(name: str) -> None:
    tokens = torch.as_tensor(text_of(24).eval[0].tokens[None].astype("int64"))

    def number() -> dict[str, float]:
        whole = opened(made(BY_LENGTH[name])).run(Batch.of(tokens)).normed[:, 10:]
        subject = opened(made(BY_LENGTH[name]))
        prefix = subject.prefix(tokens[:, :10])
        rest = subject.run(Batch.of(tokens).since(10), prefix=prefix).normed
        return {"difference": float((rest - whole).abs().max())}

    right_or_refused(number, {"difference": 0.0}, LENGTH, within=1e-4)


@pytest.mark.parametrize("name", ["dynamic", "longrope"])
def test_kept_results_do_not_depend_on_the_order_in_which_texts_came(
    name: str, tmp_path: Path
) -> None:
    short, long = text_of(14), text_of(60)
    right = each_alone(BY_LENGTH[name], short)

    def number() -> dict[str, float]:
        subject = opened(made(BY_LENGTH[name]))
        measured(subject, long, folder=tmp_path)
        return {"intact": measured(subject, short, folder=tmp_path)["intact"]}

    right_or_refused(number, right, LENGTH)


def test_the_yardstick_sees_that_length_matters() -> None:
    """The checks can fail: beyond the first positions, company in a batch moves the loss."""
    for name in ("dynamic", "longrope"):
        model = made(BY_LENGTH[name])
        text = text_of(14)
        alone = plain_loss(model, text)["intact"]
        ids = torch.as_tensor(text.eval[0].tokens[None].astype("int64"))
        padded = torch.cat([ids, torch.zeros(1, 46, dtype=torch.long)], 1)
        with torch.no_grad():
            logits = model(input_ids=padded, use_cache=False).logits[0, :13]
        together = torch.nn.functional.cross_entropy(logits, ids[0, 1:]).item()
        assert abs(alone - together) > 1e-3, name
