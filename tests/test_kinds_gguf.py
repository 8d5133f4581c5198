"""GGUF files: part of a model, and tensors and settings that transformers drops on the way.

transformers 5.23 maps the settings it knows and is silent about all others, ties the unembedding
where a file has none, and draws at random what is missing. The right numbers are those of the
same weights in memory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import PreTrainedModel

from kinds import loss, measured, plain, plain_loss, refused, right_or_refused
from tiny import tiny_model
from written import from_gguf, write_gguf


def test_a_gguf_file_is_the_model(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf")
    right_or_refused(lambda: measured(from_gguf(path)), plain(tiny_model("llama")), "")


@pytest.mark.parametrize("count", [2, 4])
def test_one_file_of_a_split_gguf_is_refused(count: int, tmp_path: Path) -> None:
    path = write_gguf(
        tmp_path / f"tiny-00001-of-{count:05d}.gguf",
        settings={"split.no": 0, "split.count": count, "split.tensors.count": 30},
        keep=lambda name: "blk.2" not in name,
    )
    refused(lambda: measured(from_gguf(path)), r"split|part|file|blk\.2|layers\.2")


def test_a_split_gguf_whose_part_ends_before_the_unembedding_is_not_taken_for_tied(
    tmp_path: Path,
) -> None:
    """Without `output.weight` the loader ties the unembedding to the embedding."""
    path = write_gguf(
        tmp_path / "tiny-00001-of-00002.gguf",
        settings={"split.no": 0, "split.count": 2, "split.tensors.count": 30},
        keep=lambda name: name != "output.weight",
    )
    refused(lambda: measured(from_gguf(path)), r"split|part|output|lm_head")


def test_a_gguf_with_split_settings_and_all_tensors_is_right(tmp_path: Path) -> None:
    """Merged again, as llama.cpp's tool leaves it: one part of one."""
    path = write_gguf(
        tmp_path / "tiny.gguf",
        settings={"split.no": 0, "split.count": 1, "split.tensors.count": 30},
    )
    right_or_refused(lambda: measured(from_gguf(path)), plain(tiny_model("llama")), "")


@pytest.mark.parametrize(
    "tensor", ["blk.1.ffn_up.weight", "output_norm.weight", "token_embd.weight"]
)
def test_a_gguf_that_lacks_a_tensor_is_refused_by_name(tensor: str, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", keep=lambda name: name != tensor)
    refused(lambda: measured(from_gguf(path)), r"ffn_up|up_proj|norm|token_embd|embed_tokens")


def test_a_tied_gguf_is_the_tied_model(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", keep=lambda name: name != "output.weight")
    fresh = tiny_model("llama")
    fresh.lm_head.weight = fresh.model.embed_tokens.weight
    right_or_refused(lambda: measured(from_gguf(path)), plain(fresh), "")


EXTRA = {
    "frequencies of rotary embeddings": (
        {"rope_freqs.weight": np.array([1, 2, 4, 8], np.float32)},
        "rope_freqs",
    ),
    "biases of queries": (
        {f"blk.{i}.attn_q.bias": np.ones(32, np.float32) for i in range(3)},
        r"attn_q\.bias|q_proj\.bias|bias",
    ),
    "biases of outputs": (
        {f"blk.{i}.attn_output.bias": np.ones(32, np.float32) for i in range(3)},
        "bias",
    ),
    "norms of queries": (
        {f"blk.{i}.attn_q_norm.weight": np.full(8, 2, np.float32) for i in range(3)},
        "attn_q_norm|q_norm",
    ),
    "a bias of the unembedding": ({"output.bias": np.ones(61, np.float32)}, r"output\.bias|bias"),
    "a layer more than is counted": (
        {"blk.3.attn_q.weight": np.ones((32, 32), np.float32)},
        r"blk\.3|layers\.3",
    ),
}


@pytest.mark.parametrize("name", EXTRA)
def test_a_tensor_of_a_gguf_that_would_be_dropped_is_refused_by_name(
    name: str, tmp_path: Path
) -> None:
    extra, words = EXTRA[name]
    path = write_gguf(tmp_path / "tiny.gguf", extra=extra)
    refused(lambda: measured(from_gguf(path)), words)


def test_frequencies_that_are_all_one_change_nothing_and_may_be_dropped(tmp_path: Path) -> None:
    extra = {"rope_freqs.weight": np.ones(4, np.float32)}
    path = write_gguf(tmp_path / "tiny.gguf", extra=extra)
    right_or_refused(lambda: measured(from_gguf(path)), plain(tiny_model("llama")), "rope_freqs")


DROPPED = {
    "linear scaling of positions": (
        {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0},
        "rope|scaling",
    ),
    "YaRN": (
        {
            "llama.rope.scaling.type": "yarn",
            "llama.rope.scaling.factor": 4.0,
            "llama.rope.scaling.original_context_length": 16,
        },
        "rope|scaling|yarn",
    ),
    "scaling of positions in the old form": ({"llama.rope.scale_linear": 4.0}, "rope|scale"),
    "a window": ({"llama.attention.sliding_window": 4}, "window"),
    "a cap on logits": ({"llama.final_logit_softcapping": 1.0}, "softcap"),
    "a cap on attention": ({"llama.attn_logit_softcapping": 1.0}, "softcap"),
    "a scale of attention": ({"llama.attention.scale": 1.0}, "scale"),
    "a scale of logits": ({"llama.logit_scale": 0.5}, "scale"),
    "a scale of embeddings": ({"llama.embedding_scale": 3.0}, "scale"),
    "attention that is not causal": ({"llama.attention.causal": 0}, "causal"),
    "experts": ({"llama.expert_count": 4, "llama.expert_used_count": 2}, "expert"),
}


@pytest.mark.parametrize("name", DROPPED)
def test_a_setting_of_a_gguf_that_would_be_dropped_is_refused_by_name(
    name: str, tmp_path: Path
) -> None:
    settings, words = DROPPED[name]
    path = write_gguf(tmp_path / "tiny.gguf", settings=settings)
    refused(lambda: measured(from_gguf(path)), words)


HARMLESS = {
    "no scaling of positions": {"llama.rope.scaling.type": "none"},
    "names and licences": {"general.license": "apache-2.0", "general.author": "nobody"},
    "what a tokenizer does": {"tokenizer.ggml.add_bos_token": 1, "tokenizer.chat_template": "…"},
    "the head's width, said again": {
        "llama.attention.key_length": 8, "llama.attention.value_length": 8,
    },
    "how it was quantised": {"general.quantization_version": 2, "general.file_type": 0},
}  # fmt: skip


@pytest.mark.parametrize("name", HARMLESS)
def test_a_harmless_setting_of_a_gguf_is_no_reason_to_refuse(name: str, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", settings=HARMLESS[name])
    right_or_refused(lambda: measured(from_gguf(path)), plain(tiny_model("llama")), "")


def test_another_base_of_frequencies_in_a_gguf_is_followed(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", settings={"llama.rope.freq_base": 500.0})
    config = tiny_model("llama").config
    config.rope_parameters = {"rope_type": "default", "rope_theta": 500.0}
    fresh = type(tiny_model("llama"))(config)
    fresh.load_state_dict(tiny_model("llama").state_dict())
    right_or_refused(lambda: measured(from_gguf(path)), plain(fresh), "freq_base|rope")


LARGE = {
    "gemma2": {
        "head_dim": 256, "query_pre_attn_scalar": 256, "attn_logit_softcapping": 50.0,
        "final_logit_softcapping": 30.0,
    },
    "qwen3_moe": {"moe_intermediate_size": 768, "norm_topk_prob": True},
}  # fmt: skip
"""What transformers takes for a GGUF whatever the file says: that of the models that have files."""


def _saved(name: str, path: Path, **how: Any) -> tuple[Path, PreTrainedModel]:
    """A tiny model of an architecture that has its own entries, as a file."""
    model = tiny_model(name, **LARGE[name] | how.pop("changed", {}))
    config: Any = model.config
    said: dict[str, Any] = {
        "gemma2.attention.key_length": config.head_dim,
        "gemma2.attention.value_length": config.head_dim,
        "gemma2.attention.sliding_window": config.sliding_window,
        "gemma2.attn_logit_softcapping": config.attn_logit_softcapping,
        "gemma2.final_logit_softcapping": config.final_logit_softcapping,
    } if name == "gemma2" else {
        "qwen3moe.attention.key_length": config.head_dim,
        "qwen3moe.attention.value_length": config.head_dim,
        "qwen3moe.expert_count": config.num_experts,
        "qwen3moe.expert_used_count": config.num_experts_per_tok,
        "qwen3moe.expert_feed_forward_length": config.moe_intermediate_size,
    }  # fmt: skip
    return write_gguf(path / "tiny.gguf", model=model, settings=said, **how), model


@pytest.mark.parametrize("name", LARGE)
def test_a_gguf_of_an_architecture_with_entries_of_its_own_is_the_model(
    name: str, tmp_path: Path
) -> None:
    """Soft caps, windows and experts: entries that transformers passes over and has by default."""
    path, model = _saved(name, tmp_path)
    right_or_refused(lambda: loss(from_gguf(path)), plain_loss(model), "")


@pytest.mark.parametrize(
    ("name", "changed", "words"),
    [
        ("gemma2", {"attn_logit_softcapping": 20.0}, r"attn_logit_softcapping \(20"),
        ("gemma2", {"final_logit_softcapping": 5.0}, r"final_logit_softcapping \(5"),
        ("gemma2", {"head_dim": 128, "query_pre_attn_scalar": 144}, "query_pre_attn_scalar"),
        ("qwen3_moe", {"moe_intermediate_size": 24}, "expert|sizes?|shape"),
    ],
)
def test_what_a_gguf_says_otherwise_than_the_default_is_refused_by_name(
    name: str, changed: dict[str, Any], words: str, tmp_path: Path
) -> None:
    path, _ = _saved(name, tmp_path, changed=changed)
    refused(lambda: from_gguf(path), words)


@pytest.mark.parametrize("part", ["gate", "up", "down"])
def test_a_gguf_without_a_third_of_the_experts_is_refused(part: str, tmp_path: Path) -> None:
    """Transformers makes zeros of it, and says nothing."""
    name = f"blk.1.ffn_{part}_exps.weight"
    path, _ = _saved("qwen3_moe", tmp_path, keep=lambda one: one != name)
    refused(lambda: from_gguf(path), f"ffn_{part}_exps|experts.{part}|mlp.experts")
