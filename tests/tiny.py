"""Tiny random models of every architecture, for laws that must hold whatever the weights are."""

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
from unexplained.subject.architectures import ARCHITECTURES

VOCABULARY = 61

TINY = {
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
"""Settings that every architecture has, by the names that Llama's have."""

CONFIGS: dict[str, tuple[str, dict[str, object]]] = {
    kind.removesuffix("_text"): (kind, {**TINY, **architecture.tiny})
    for kind, architecture in ARCHITECTURES.all().items()
}
"""A tiny model of every registered architecture: its type and its settings."""
CONFIGS["gpt_neox, sequential"] = (
    "gpt_neox",
    CONFIGS["gpt_neox"][1] | {"use_parallel_residual": False},
)
COVERED = {"gemma3", "gpt_neox, sequential", "llama", "mistral", "qwen2", "qwen3_moe", "smollm3"}
"""Those of which others have every mechanism: soft caps besides post-norms and windows (Gemma 2),
multipliers besides all that is Llama's (Granite), layer norms and no parallel blocks (OPT)."""
VARIED = [name for name in CONFIGS if name not in COVERED]
"""The architectures that laws run on which take long."""
ADDITIVE = [
    name for name, (kind, _) in CONFIGS.items() if not ARCHITECTURES.get(kind).mlp_post_norm
]
"""Those whose components add to the stream as they are, without a norm in between."""
VARIED_ADDITIVE = [name for name in VARIED if name in ADDITIVE]


def tiny_model(name: str, seed: int = 0, **changed: object) -> PreTrainedModel:
    """A random model with weights large enough that every site matters."""
    kind, settings = CONFIGS[name]
    config = AutoConfig.for_model(kind, **settings | changed)
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


def there(subject: Subject, where: str) -> str:
    """Addresses without those of neurons, where they have none (mixtures of experts)."""
    return " ".join(one for one in where.split() if ".N" not in one or subject.shape.neurons)


def tokens(batch: int = 3, length: int = 12, seed: int = 1) -> torch.Tensor:
    """Random tokens."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, VOCABULARY, (batch, length), generator=generator)
