"""Weights that are absent or unused, a part of a model, settings dropped on the way.

A tensor that a model needs and a file lacks is drawn at random by the loader, so its numbers
depend on torch's seed: nothing but a refusal that names the tensor is right. What a file has
beside is harmless only where it is known to be (buffers that the model makes itself).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from kinds import TEXT, measured, plain, refused, right_or_refused
from tiny import tiny_model
from written import (
    Settings,
    Weights,
    from_folder,
    same,
    write_folder,
    write_index,
    write_shards,
)

LAYER_2 = "model.layers.2."


def without(*parts: str) -> Callable[[Weights], Weights]:
    return lambda weights: {
        name: value for name, value in weights.items() if not any(part in name for part in parts)
    }


def prefixed(prefix: str) -> Callable[[Weights], Weights]:
    return lambda weights: {prefix + name: value for name, value in weights.items()}


def renamed(old: str, new: str) -> Callable[[Weights], Weights]:
    return lambda weights: {name.replace(old, new): value for name, value in weights.items()}


def plus(name: str, *shape: int) -> Callable[[Weights], Weights]:
    return lambda weights: weights | {name: torch.ones(shape)}


def biases(weights: Weights) -> Weights:
    """Biases of queries that the configuration denies."""
    return weights | {f"model.layers.{i}.self_attn.q_proj.bias": torch.ones(32) for i in range(3)}


def adapters(weights: Weights) -> Weights:
    """An adapter saved into the model's own file."""
    path = "model.layers.0.self_attn.o_proj"
    return weights | {
        f"{path}.lora_A.weight": torch.ones(2, 32),
        f"{path}.lora_B.weight": torch.ones(32, 2),
    }


def wrapped_names(weights: Weights) -> Weights:
    """As peft names a base model's tensors."""
    return {
        name.replace("o_proj.weight", "o_proj.base_layer.weight"): v for name, v in weights.items()
    }


def misshapen(weights: Weights) -> Weights:
    return weights | {"lm_head.weight": torch.zeros(70, 32)}


def quantised(weights: Weights) -> Weights:
    """Whole numbers of 8 bits with a scale of their own, and no word of it in the configuration."""
    name = "model.layers.0.mlp.down_proj.weight"
    scale = weights[name].abs().max() / 127
    return weights | {
        name: (weights[name] / scale).round().to(torch.int8),
        f"{name}_scale": scale[None],
    }


def whole_numbers(weights: Weights) -> Weights:
    """The same without even a scale: transformers casts whole numbers to floats and says nothing."""
    name = "model.layers.0.mlp.down_proj.weight"
    return weights | {name: (weights[name] * 100).round().to(torch.int8)}


def eight_bit_floats(weights: Weights) -> Weights:
    name = "model.layers.0.mlp.down_proj.weight"
    return weights | {
        name: (weights[name] * 50).to(torch.float8_e4m3fn),
        f"{name}_scale_inv": torch.tensor([0.02]),
    }


def not_numbers(weights: Weights) -> Weights:
    weights["model.layers.1.mlp.up_proj.weight"][3, 4] = torch.nan
    return weights


def infinite(weights: Weights) -> Weights:
    weights["model.layers.1.mlp.up_proj.weight"][3, 4] = torch.inf
    return weights


def parametrised(weights: Weights) -> Weights:
    """As weight normalisation saves a matrix."""
    name = "model.layers.1.mlp.down_proj"
    weight = weights.pop(f"{name}.weight")
    return weights | {
        f"{name}.parametrizations.weight.original0": weight.norm(dim=1, keepdim=True),
        f"{name}.parametrizations.weight.original1": weight,
    }


def setting(**new: object) -> Callable[[Settings], Settings]:
    return lambda settings: settings | new


ABSENT: dict[str, tuple[Callable[[Weights], Weights], Callable[[Settings], Settings], str]] = {
    "no unembedding, and not tied": (without("lm_head"), same, "lm_head.weight"),
    "no final norm": (without("model.norm"), same, r"model\.norm\.weight"),
    "no embedding, and not tied": (without("embed_tokens"), same, "embed_tokens"),
    "one matrix missing": (without("layers.1.mlp.up_proj"), same, r"layers\.1\.mlp\.up_proj"),
    "a layer missing": (without("layers.2."), same, r"layers\.2\."),
    "more layers in the configuration": (same, setting(num_hidden_layers=4), r"layers\.3\."),
    "fewer layers in the configuration": (same, setting(num_hidden_layers=2), r"layers\.2\."),
    "names of a compiled model": (prefixed("_orig_mod."), same, "_orig_mod"),
    "names of a parallel model": (prefixed("module."), same, r"module\."),
    "names of an adapter library": (prefixed("base_model.model."), same, r"base_model"),
    "names of adapted layers": (wrapped_names, same, "base_layer|o_proj"),
    "one matrix misspelt": (renamed("1.mlp.up_proj", "1.mlp.w3"), same, r"w3|up_proj"),
    "biases that the configuration denies": (biases, same, r"q_proj\.bias"),
    "biases that the weights lack": (same, setting(attention_bias=True), r"q_proj\.bias|bias"),
    "an adapter in the file": (adapters, same, "lora"),
    "a matrix of the wrong shape": (misshapen, same, "lm_head|70"),
    "another width in the configuration": (same, setting(intermediate_size=40), "mlp|40|48|size"),
    "another vocabulary in the configuration": (
        same,
        setting(vocab_size=64),
        "embed|lm_head|64|size",
    ),
    "whole numbers with a scale": (quantised, same, "int8|whole|scale|quanti"),
    "whole numbers without a scale": (whole_numbers, same, "int8|whole|quanti"),
    "eight-bit floats with a scale": (eight_bit_floats, same, "float8|scale|quanti"),
    "a weight that is no number": (not_numbers, same, r"nan|not a number|finite|up_proj"),
    "a weight that is infinite": (infinite, same, r"inf|finite|up_proj"),
    "a matrix that is parametrised": (parametrised, same, "down_proj|parametriz"),
    "no weights at all": (
        lambda weights: {"nothing": torch.zeros(1)},
        same,
        "nothing|missing|lack",
    ),
}


@pytest.mark.parametrize("name", ABSENT)
def test_weights_that_are_absent_or_unused_are_refused_by_name(name: str, tmp_path: Path) -> None:
    weights, settings, words = ABSENT[name]
    folder = write_folder(tmp_path / "model", weights=weights, settings=settings)
    refused(lambda: measured(from_folder(folder)), words)


def test_many_absent_tensors_are_named_in_a_message_that_can_be_read(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", weights=prefixed("_orig_mod."))
    try:
        from_folder(folder)
    except Exception as error:
        assert len(str(error)) < 1500
    else:
        raise AssertionError("accepted in silence")


# --- what is legitimate: right, and never refused ---------------------------------------------------


def float16(weights: Weights) -> Weights:
    return {name: value.half() for name, value in weights.items()}


def inverse_frequencies(weights: Weights) -> Weights:
    """Saved by transformers up to 4.31; made by the model itself since."""
    return weights | {
        f"model.layers.{i}.self_attn.rotary_emb.inv_freq": torch.ones(4) for i in range(3)
    }


def masks_of_gpt2(weights: Weights) -> Weights:
    """As in the checkpoints of GPT-2 on the hub."""
    return weights | {
        f"transformer.h.{i}.attn.{name}": value
        for i in range(3)
        for name, value in (
            ("bias", torch.ones(64, 64).tril().view(1, 1, 64, 64)),
            ("masked_bias", torch.tensor(-1e4)),
        )
    }


def masks_of_neox(weights: Weights) -> Weights:
    """As in the checkpoints of Pythia on the hub."""
    masks: Weights = {}
    for i in range(3):
        path = f"gpt_neox.layers.{i}.attention"
        masks[f"{path}.bias"] = torch.ones(64, 64).tril().view(1, 1, 64, 64)
        masks[f"{path}.masked_bias"] = torch.tensor(-1e9)
        masks[f"{path}.rotary_emb.inv_freq"] = torch.ones(1)
    return weights | masks


LEGITIMATE = {
    "a plain folder": ("llama", same, same),
    "GPT-2, tied and saved without its unembedding": ("gpt2", same, same),
    "Gemma, tied and saved without its unembedding": ("gemma3", same, same),
    "rotary frequencies of an old transformers": ("llama", inverse_frequencies, same),
    "GPT-2's masks": ("gpt2", masks_of_gpt2, same),
    "GPT-2 named without its prefix": ("gpt2", lambda w: {k.removeprefix("transformer."): v for k, v in w.items()}, same),
    "GPT-NeoX's masks": ("gpt_neox", masks_of_neox, same),
    "a prefix that transformers strips": ("llama", prefixed("model."), same),
    "biases of queries, keys and values": ("qwen2", same, same),
    "a window": ("mistral", same, same),
    "a configuration without architectures": ("llama", same, lambda s: {k: v for k, v in s.items() if k != "architectures"}),
    "settings nobody knows": ("llama", same, setting(my_note="of the user's own")),
}  # fmt: skip


@pytest.mark.parametrize("name", LEGITIMATE)
def test_what_is_legitimate_opens_and_gives_plain_hugging_faces_numbers(
    name: str, tmp_path: Path
) -> None:
    architecture, weights, settings = LEGITIMATE[name]
    folder = write_folder(tmp_path / "model", architecture, weights=weights, settings=settings)
    right_or_refused(lambda: measured(from_folder(folder)), plain(tiny_model(architecture)), "")


def test_half_precision_on_disk_is_read_as_float32(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", weights=float16, settings=setting(dtype="float16"))
    right_or_refused(
        lambda: measured(from_folder(folder)), plain(tiny_model("llama").half().float()), ""
    )


def test_a_tied_llama_without_its_unembedding_is_the_tied_model(tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path / "model", weights=without("lm_head"), settings=setting(tie_word_embeddings=True)
    )
    fresh = tiny_model("llama")
    fresh.lm_head.weight = fresh.model.embed_tokens.weight
    right_or_refused(lambda: measured(from_folder(folder)), plain(fresh), "")


def test_a_tied_llama_without_its_embedding_is_the_tied_model(tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path / "model",
        weights=without("embed_tokens"),
        settings=setting(tie_word_embeddings=True),
    )
    fresh = tiny_model("llama")
    fresh.model.embed_tokens.weight = fresh.lm_head.weight
    right_or_refused(lambda: measured(from_folder(folder)), plain(fresh), "")


def test_a_tied_llama_with_another_unembedding_in_its_file_has_that_or_is_refused(
    tmp_path: Path,
) -> None:
    """Transformers unties it and says nothing; other programs would use the embedding."""
    folder = write_folder(tmp_path / "model", settings=setting(tie_word_embeddings=True))
    right_or_refused(
        lambda: measured(from_folder(folder)), plain(tiny_model("llama")), "tied|tie|lm_head"
    )


# --- part of a model ----------------------------------------------------------------------------------


def test_shards_with_a_right_index_are_the_model(tmp_path: Path) -> None:
    write_shards(tmp_path / "model")
    right_or_refused(
        lambda: measured(from_folder(tmp_path / "model")), plain(tiny_model("llama")), ""
    )


def test_a_shard_that_is_missing_is_refused_by_name(tmp_path: Path) -> None:
    write_shards(tmp_path / "model")
    (tmp_path / "model" / "model-00002-of-00003.safetensors").unlink()
    refused(lambda: from_folder(tmp_path / "model"), "00002-of-00003")


def test_an_index_that_lacks_a_tensor_is_refused_by_name(tmp_path: Path) -> None:
    files = write_shards(tmp_path / "model")
    write_index(tmp_path / "model", {k: v for k, v in files.items() if k != "lm_head.weight"})
    refused(lambda: from_folder(tmp_path / "model"), "lm_head")


def test_an_index_that_names_the_wrong_file_is_refused_or_right(tmp_path: Path) -> None:
    files = write_shards(tmp_path / "model")
    wrong = next(file for file in set(files.values()) if file != files["lm_head.weight"])
    write_index(tmp_path / "model", files | {"lm_head.weight": wrong})
    right_or_refused(
        lambda: measured(from_folder(tmp_path / "model")), plain(tiny_model("llama")), "lm_head"
    )


def test_an_index_that_names_a_tensor_that_is_nowhere_is_right_or_refused(tmp_path: Path) -> None:
    files = write_shards(tmp_path / "model")
    write_index(
        tmp_path / "model", files | {"model.layers.7.mlp.up_proj.weight": files["lm_head.weight"]}
    )
    right_or_refused(
        lambda: measured(from_folder(tmp_path / "model")), plain(tiny_model("llama")), r"layers\.7"
    )


def test_an_index_that_is_no_json_is_refused(tmp_path: Path) -> None:
    write_shards(tmp_path / "model")
    (tmp_path / "model" / "model.safetensors.index.json").write_text("{")
    refused(lambda: from_folder(tmp_path / "model"), "index")


def test_shards_without_their_index_are_refused(tmp_path: Path) -> None:
    write_shards(tmp_path / "model")
    (tmp_path / "model" / "model.safetensors.index.json").unlink()
    refused(lambda: from_folder(tmp_path / "model"), r"index|model\.safetensors")


def test_one_shard_under_the_whole_files_name_is_refused_by_name(tmp_path: Path) -> None:
    write_shards(tmp_path / "model")
    folder = tmp_path / "model"
    (folder / "model.safetensors.index.json").unlink()
    (folder / "model-00001-of-00003.safetensors").rename(folder / "model.safetensors")
    refused(lambda: from_folder(folder), "lack|missing|embed_tokens|lm_head")


def test_a_whole_file_beside_shards_of_another_model_is_right_or_refused(tmp_path: Path) -> None:
    """Transformers reads the single file; which was meant cannot be known, what is read is said."""
    write_shards(tmp_path / "model")
    other = {name: value * 2 for name, value in tiny_model("llama").state_dict().items()}
    save_file(other, tmp_path / "model" / "model.safetensors", metadata={"format": "pt"})
    fresh = tiny_model("llama")
    fresh.load_state_dict(other)
    right_or_refused(
        lambda: measured(from_folder(tmp_path / "model")), plain(fresh), "index|both|two"
    )


@pytest.mark.parametrize("kept", [0.5, 0.02, 0.0])
def test_a_file_that_was_cut_off_is_refused(kept: float, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model")
    path = folder / "model.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    refused(
        lambda: from_folder(folder), r"model\.safetensors|whole|cut|header|incomplete|safetensor"
    )


def test_a_pointer_in_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    """What git leaves where large files were not fetched."""
    folder = write_folder(tmp_path / "model")
    (folder / "model.safetensors").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1000\n"
    )
    refused(lambda: from_folder(folder), r"safetensors|header|whole|pointer")


def test_a_base_model_without_a_head_is_refused_by_name(tmp_path: Path) -> None:
    """Saved from LlamaModel: every tensor without its prefix, and no unembedding."""
    folder = write_folder(
        tmp_path / "model",
        weights=lambda w: {k.removeprefix("model."): v for k, v in w.items() if "lm_head" not in k},
    )
    refused(lambda: from_folder(folder), "lm_head")


# --- settings of a folder dropped on the way ----------------------------------------------------------


FOLDER_SETTINGS = {
    "a quantisation that nobody can undo here": (
        setting(quantization_config={"quant_method": "gptq", "bits": 4, "group_size": 32}),
        "quant|gptq",
    ),
    "a quantisation of no known kind": (
        setting(quantization_config={"quant_method": "mine", "bits": 3}),
        "quant|mine",
    ),
    "code of its own": (
        setting(auto_map={"AutoModelForCausalLM": "modeling_mine.Mine"}, model_type="mine"),
        "mine|code|famil",
    ),
    "rotary embeddings of no known kind": (
        setting(rope_parameters={"rope_type": "spiral", "rope_theta": 10000.0}),
        "rope|spiral",
    ),
    "an activation of no known kind": (setting(hidden_act="wiggle"), "wiggle|activation"),
}


@pytest.mark.parametrize("name", FOLDER_SETTINGS)
def test_a_setting_that_cannot_be_followed_is_refused_by_name(name: str, tmp_path: Path) -> None:
    settings, words = FOLDER_SETTINGS[name]
    folder = write_folder(tmp_path / "model", settings=settings)
    refused(lambda: measured(from_folder(folder)), words)


def test_an_adapter_folder_is_refused_by_name(tmp_path: Path) -> None:
    """A folder that has an adapter beside the model: transformers loads it where peft is there."""
    folder = write_folder(tmp_path / "model")
    (folder / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "base_model_name_or_path": str(folder), "r": 2})
    )
    save_file({"x": torch.zeros(1)}, folder / "adapter_model.safetensors")
    refused(lambda: measured(from_folder(folder)), "adapter")


def test_a_folder_with_an_adapter_alone_is_refused_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2}))
    save_file({"x": torch.zeros(1)}, folder / "adapter_model.safetensors")
    refused(lambda: from_folder(folder), "adapter")


def test_the_yardstick_reads_the_folder_that_was_written(tmp_path: Path) -> None:
    """The checks can fail: what is written is the tiny model, and a lost matrix moves its loss."""
    folder = write_folder(tmp_path / "model")
    read, model = load_file(folder / "model.safetensors"), tiny_model("llama")
    assert all(torch.equal(read[name], value) for name, value in model.state_dict().items())
    right = plain(model, TEXT)["intact"]
    with torch.no_grad():
        model.lm_head.weight.normal_(0, 0.02)
    assert abs(plain(model, TEXT)["intact"] - right) > 0.1
