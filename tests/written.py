"""Model folders and GGUF files of tiny models, with whatever fault one likes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFWriter
from safetensors.torch import load_file, save_file
from torch import Tensor

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

_GGUF = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}  # fmt: skip


def _gguf_name(name: str) -> str:
    if not name.startswith("model.layers."):
        return {
            "model.embed_tokens.weight": "token_embd.weight",
            "model.norm.weight": "output_norm.weight",
            "lm_head.weight": "output.weight",
        }[name]
    layer, _, rest = name.removeprefix("model.layers.").partition(".")
    module, _, kind = rest.rpartition(".")
    return f"blk.{layer}.{_GGUF[module]}.{kind}"


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
    architecture: str = "llama",
) -> Path:
    """The tiny Llama as llama.cpp's converter writes it; `settings` come on top, as they are."""
    model = tiny_model("llama")
    config: Any = model.config
    writer = GGUFWriter(path, architecture)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    for key, value in (settings or {}).items():
        if isinstance(value, str):
            writer.add_string(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        else:
            writer.add_float32(key, value)
    for name, tensor in model.state_dict().items():
        array = tensor.float().numpy()
        if "q_proj" in name or "k_proj" in name:
            heads = config.num_attention_heads if "q_proj" in name else config.num_key_value_heads
            array = _interleaved(array, heads)
        if keep(_gguf_name(name)):
            writer.add_tensor(_gguf_name(name), array)
    for name, array in (extra or {}).items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
