"""What a GGUF file says, held against what transformers takes from it.

transformers reads the entries and tensors that it knows and passes over the others without a
word. An entry that is passed over is a setting that is dropped (scaled rotary embeddings, capped
logits), and what comes out is the loss of another model.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from gguf import GGUFReader
from torch import nn
from transformers.integrations.ggml import GGUF_CONFIG_MAPPING
from transformers.modeling_gguf_pytorch_utils import TENSOR_PROCESSORS as PROCESSORS
from transformers.modeling_gguf_pytorch_utils import TensorProcessor, get_gguf_hf_weights_map

from unexplained.errors import SubjectError

_NO_MATTER = {
    "vocab_size", "context_length", "tensor_data_layout", "attention.key_length",
    "attention.value_length",
}  # fmt: skip
"""Entries of an architecture that shapes of weights say again, or that change no prediction."""

_IDLE: dict[str, tuple[object, ...]] = {
    "rope.scaling.type": ("none",),
    "rope.scaling.factor": (1.0, 0.0),
    "attention.causal": (True,),
    "attention.sliding_window": (0,),
    "expert_count": (0,),
    "expert_used_count": (0,),
    "logit_scale": (0.0, 1.0),
    "attn_logit_softcapping": (0.0,),
    "final_logit_softcapping": (0.0,),
}
"""Values with which an entry that is passed over says nothing."""

_FROM_ELSEWHERE = {
    "attn_logit_softcapping": "attn_logit_softcapping",
    "final_logit_softcapping": "final_logit_softcapping",
    "expert_feed_forward_length": "moe_intermediate_size",
}
"""Entries that are passed over, and the settings that have a value all the same: their default."""


def require_whole(path: Path) -> None:
    """Refuse one file of several, before it is read.

    Raises:
        SubjectError: The file is no GGUF, or says that it is a part.
    """
    reader = _reader(path)
    count = int(_value(reader, "split.count") or 1)
    if count > 1:
        number = int(_value(reader, "split.no") or 0) + 1
        raise SubjectError(
            f"The GGUF file {path}",
            f"it is part {number} of {count} of a model",
            "Join them first (llama-gguf-split --merge), and give the whole file.",
        )
    stated = _value(reader, "split.tensors.count")
    if stated is not None and int(stated) != len(reader.tensors):
        raise SubjectError(
            f"The GGUF file {path}",
            f"it says that it has {int(stated)} tensors and has {len(reader.tensors)}",
            "Is it whole?",
        )


def require_read(path: Path, model: nn.Module) -> None:
    """Refuse a file of which something was passed over that a prediction depends on.

    Raises:
        SubjectError: The tensors or entries that are not in the model, or what is in it by default.
    """
    reader = _reader(path)
    architecture = str(_value(reader, "general.architecture"))
    _require_said(path, reader, model)
    left = _unread_entries(reader, architecture, model) + _unread_tensors(
        reader, architecture, model
    )
    if left:
        raise SubjectError(
            f"The GGUF file {path}",
            f"transformers passes over what it says in {', '.join(left[:4])}"
            + (f" and {len(left) - 4} more" if len(left) > 4 else ""),
            "The model would be another one. Give the original checkpoint in safetensors.",
        )


def _require_said(path: Path, reader: GGUFReader, model: nn.Module) -> None:
    """Refuse a model that depends on what no entry says, or on a third of experts that is not there."""
    config: Any = model.config
    scale, size = getattr(config, "query_pre_attn_scalar", None), getattr(config, "head_dim", None)
    if scale != size and scale is not None:
        raise SubjectError(
            f"The GGUF file {path}",
            f"it does not say how attention scores are scaled (query_pre_attn_scalar): transformers "
            f"takes {scale}, which is so where heads have {scale} numbers, and these have {size}",
            "The model would be another one. Give the original checkpoint in safetensors.",
        )
    held = {tensor.name for tensor in reader.tensors}
    for name in sorted(held):
        for part in ("gate", "up", "down"):  # one that is missing would be zeros
            other = re.sub(r"ffn_(gate|up|down)_exps", f"ffn_{part}_exps", name)
            if other not in held:
                raise SubjectError(
                    f"The GGUF file {path}", f"it has {name} and no {other}", "Is it whole?"
                )


def _unread_entries(reader: GGUFReader, architecture: str, model: nn.Module) -> list[str]:
    config: Any = model.config
    kind = str(config.model_type)
    known: dict[str, str | None] = {}
    for name in (architecture, kind, kind.removesuffix("_text")):
        known = known or GGUF_CONFIG_MAPPING.get(name, {})
    left = []
    for entry in reader.fields:
        prefix, _, name = entry.partition(".")
        if prefix != architecture or known.get(name) is not None or name in _NO_MATTER:
            continue
        value = _value(reader, entry)
        if value not in (*_IDLE.get(name, ()), *_as_is(name, reader, architecture, config)):
            left.append(f"{entry} ({value})")
    return left


def _as_is(name: str, reader: GGUFReader, architecture: str, config: Any) -> tuple[object, ...]:
    """Values with which an entry says what is so without it."""
    if name == "rope.dimension_count":
        heads = config.num_attention_heads
        return (getattr(config, "head_dim", None) or config.hidden_size // heads,)
    if name == "rope.scaling.original_context_length":
        return (_value(reader, f"{architecture}.context_length"),)
    return (getattr(config, _FROM_ELSEWHERE.get(name, ""), None),)


def _unread_tensors(reader: GGUFReader, architecture: str, model: nn.Module) -> list[str]:
    config: Any = model.config
    processor = PROCESSORS.get(architecture, TensorProcessor)(config=config.to_dict())
    names = get_gguf_hf_weights_map(model, processor)
    experts = {f"{name}.weight" for name in names if name.endswith("_exps")}  # named without it
    return [f"the tensor {t.name}" for t in reader.tensors if t.name not in {*names, *experts}]


def _reader(path: Path) -> GGUFReader:
    try:
        return GGUFReader(path)
    except Exception as error:  # a file of others may be damaged in any way
        first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise SubjectError(
            f"The GGUF file {path}", f"it cannot be read ({first})", "Is it whole, and a GGUF file?"
        ) from error


def _value(reader: GGUFReader, entry: str) -> Any:
    field = reader.get_field(entry)
    return None if field is None else field.contents()
