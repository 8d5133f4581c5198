"""Model folders and GGUF files of tiny models, with whatever fault one likes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFWriter
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel

from tiny import tiny_model, tiny_tokenizer
from unexplained.subject import Subject, load

Weights = dict[str, Tensor]
Settings = dict[str, Any]


def same(things: Any) -> Any:
    """No fault."""
    return things


def write_folder(
    folder: Path,
    name: str = "llama",
    *,
    weights: Callable[[Weights], Weights] = same,
    settings: Callable[[Settings], Settings] = same,
    tokenizer: bool = True,
) -> Path:
    """A folder as `save_pretrained` leaves it, its weights and settings passed through functions."""
    folder.mkdir(parents=True, exist_ok=True)
    model = tiny_model(name)
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    tied = {
        key for key in model.state_dict() if model.config.tie_word_embeddings and "lm_head" in key
    }
    plain = {key: value.clone() for key, value in model.state_dict().items() if key not in tied}
    save_file(weights(plain), folder / "model.safetensors", metadata={"format": "pt"})
    path = folder / "config.json"
    path.write_text(json.dumps(settings(json.loads(path.read_text()))))
    if tokenizer:
        tiny_tokenizer().save_pretrained(folder)
    return folder


def write_shards(folder: Path, name: str = "llama", *, shards: int = 3) -> dict[str, str]:
    """The same in several files with an index; returns the index's map from tensor to file."""
    write_folder(folder, name)
    whole = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(whole)
    files = {
        name: f"model-{i % shards + 1:05d}-of-{shards:05d}.safetensors"
        for i, name in enumerate(names)
    }
    for file in set(files.values()):
        some = {name: whole[name] for name in names if files[name] == file}
        save_file(some, folder / file, metadata={"format": "pt"})
    write_index(folder, files)
    return files


def write_index(folder: Path, files: Mapping[str, str]) -> None:
    """The index of a sharded checkpoint."""
    index = {"metadata": {"total_size": 1}, "weight_map": dict(files)}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def from_folder(folder: Path, **how: Any) -> Subject:
    """The folder opened with its own tokenizer, on the CPU."""
    return load(folder, device="cpu", **how)


def from_gguf(path: Path) -> Subject:
    """The file opened with our tokenizer, on the CPU."""
    return load(path, tokenizer=tiny_tokenizer(), device="cpu")


# --- GGUF -------------------------------------------------------------------------------------------

_LLAMA = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}  # fmt: skip
_GGUF = {
    "llama": _LLAMA,
    "gemma2": _LLAMA | {
        "post_attention_layernorm": "post_attention_norm",
        "pre_feedforward_layernorm": "ffn_norm",
        "post_feedforward_layernorm": "post_ffw_norm",
    },
    "qwen3_moe": _LLAMA | {
        "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
        "mlp.gate": "ffn_gate_inp",
    },
}  # fmt: skip
"""Names of llama.cpp's converter, by type of model."""
_ARCHITECTURES = {"qwen3_moe": "qwen3moe"}


def _gguf_tensors(model: PreTrainedModel) -> Iterator[tuple[str, np.ndarray]]:
    """The weights as llama.cpp's converter names and turns them."""
    config: Any = model.config
    for name, tensor in model.state_dict().items():
        array = tensor.float().numpy()
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        if config.model_type == "gemma2" and "norm" in name:
            array = array + 1
        if config.model_type == "llama" and ("q_proj" in name or "k_proj" in name):
            heads = config.num_attention_heads if "q_proj" in name else config.num_key_value_heads
            array = _interleaved(array, heads)
        if not name.startswith("model.layers."):
            yield (
                {
                    "model.embed_tokens.weight": "token_embd.weight",
                    "model.norm.weight": "output_norm.weight",
                    "lm_head.weight": "output.weight",
                }[name],
                array,
            )
            continue
        layer, _, rest = name.removeprefix("model.layers.").partition(".")
        if rest == "mlp.experts.gate_up_proj":
            half = array.shape[1] // 2
            yield f"blk.{layer}.ffn_gate_exps.weight", np.ascontiguousarray(array[:, :half])
            yield f"blk.{layer}.ffn_up_exps.weight", np.ascontiguousarray(array[:, half:])
        elif rest == "mlp.experts.down_proj":
            yield f"blk.{layer}.ffn_down_exps.weight", array
        else:
            module, _, kind = rest.rpartition(".")
            yield f"blk.{layer}.{_GGUF[config.model_type][module]}.{kind}", array


def _interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """llama.cpp's order of a head's rows: pairs that turn together stand side by side."""
    rows = weight.reshape(heads, 2, weight.shape[0] // heads // 2, -1)
    return np.ascontiguousarray(rows.swapaxes(1, 2).reshape(weight.shape))


def write_gguf(
    path: Path,
    *,
    settings: Mapping[str, Any] | None = None,
    extra: Mapping[str, np.ndarray] | None = None,
    keep: Callable[[str], bool] = lambda name: True,
    architecture: str = "",
    model: PreTrainedModel | None = None,
) -> Path:
    """The tiny Llama, or a model, as llama.cpp's converter writes it; `settings` come on top."""
    model = model or tiny_model("llama")
    config: Any = model.config
    kind = config.model_type
    writer = GGUFWriter(path, architecture or _ARCHITECTURES.get(kind, kind))
    writer.add_context_length(config.max_position_embeddings)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    for key, value in (settings or {}).items():
        if isinstance(value, str):
            writer.add_string(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        else:
            writer.add_float32(key, value)
    for name, array in _gguf_tensors(model):
        if keep(name):
            writer.add_tensor(name, array)
    for name, array in (extra or {}).items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
