"""Tiny random models of every family, for laws that must hold whatever the weights are."""

from __future__ import annotations

from functools import cache

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from unexplained.subject import Subject, load

VOCABULARY = 61

_LLAMA = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": None,
    "bos_token_id": 0,
    "eos_token_id": 0,
}

CONFIGS: dict[str, tuple[str, dict[str, object]]] = {
    "llama": ("llama", _LLAMA),
    "mistral": ("mistral", _LLAMA | {"sliding_window": 7}),
    "qwen2": ("qwen2", _LLAMA),
    "qwen3": ("qwen3", _LLAMA | {"head_dim": 16}),
    "phi3": ("phi3", _LLAMA),
    "gemma3": ("gemma3_text", _LLAMA | {"head_dim": 16, "sliding_window": 5}),
    "gpt2": (
        "gpt2",
        {"vocab_size": VOCABULARY, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64},
    ),
    "gpt_neox": (
        "gpt_neox",
        {k: v for k, v in _LLAMA.items() if k != "num_key_value_heads"},
    ),
    "gpt_neox, sequential": (
        "gpt_neox",
        {k: v for k, v in _LLAMA.items() if k != "num_key_value_heads"}
        | {"use_parallel_residual": False},
    ),
}


def tiny_model(name: str, seed: int = 0) -> PreTrainedModel:
    """A random model with weights large enough that every site matters."""
    kind, settings = CONFIGS[name]
    config = AutoConfig.for_model(kind, **settings)
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return model


@cache
def tiny_tokenizer(size: int = VOCABULARY) -> PreTrainedTokenizerBase:
    """Words t0 … t60, one token each."""
    words = {f"t{i}": i for i in range(size)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="t0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="t0")


def tiny_subject(name: str) -> Subject:
    """A tiny random model, opened up."""
    return load(tiny_model(name), tokenizer=tiny_tokenizer(), device="cpu")


def tokens(batch: int = 3, length: int = 12, seed: int = 1) -> torch.Tensor:
    """Random tokens."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, VOCABULARY, (batch, length), generator=generator)
