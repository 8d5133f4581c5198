"""Models from where they are kept: a folder with safetensors, a GGUF file, the hub.

What is read is what is there: a weight that a checkpoint lacks would be drawn at random, one
that the model does not know would be dropped, and transformers' report of both is easily missed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from unexplained.errors import SubjectError, near_matches
from unexplained.files import read_json, require_regular
from unexplained.subject.architectures import ARCHITECTURES, listed
from unexplained.subject.checkpoint import idle, require_tensors
from unexplained.subject.enclosed import require_enclosed
from unexplained.subject.gguf_file import require_read, require_whole
from unexplained.subject.gguf_header import require_sound
from unexplained.subject.packaged import PACKAGED
from unexplained.subject.room import StoredWeights, require_counts, require_room
from unexplained.subject.shipped import shipped

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")

_COUNTS = (
    "num_attention_heads", "n_head", "num_hidden_layers", "n_layer", "hidden_size", "n_embd",
    "vocab_size",
)  # fmt: skip
"""Entries of a configuration that count something that a model must have."""

WANTED = (
    "config.json", "generation_config.json", "adapter_config.json", "model.safetensors",
    "model-*.safetensors", "model.safetensors.index.json", "tokenizer*", "vocab*", "merges.txt",
    "special_tokens_map.json", "added_tokens.json", "*.model", "*.tiktoken", "chat_template*",
)  # fmt: skip
"""Files of a repository on the hub that are fetched; no others are read."""

_IMPLEMENTATIONS = ("_attn_implementation", "_experts_implementation", "experts_implementation")
"""Entries of a configuration that name the code that computes it."""

HUB_SECONDS = 10.0
"""How long the hub has for its first answer; afterwards transformers tries again by itself."""


@dataclass(frozen=True)
class ReadSettings:
    """How a model is to be read."""

    tokenizer: PreTrainedTokenizerBase | None
    """In the place of its own."""
    dtype: torch.dtype
    placement: Mapping[str, Any]
    """What transformers is told besides: `device_map` where one was asked for."""


ReadModel = tuple[nn.Module, PreTrainedTokenizerBase]


def read_folder(folder: Path, how: ReadSettings, asked: str = "") -> ReadModel:
    """The model and the tokenizer of a folder.

    Raises:
        SubjectError: What is missing, damaged, unknown or pickled, or leads out of the folder.
    """
    asked = asked or f"The model folder {folder}"
    files = require_enclosed(asked, folder)
    if "config.json" not in files:
        _refuse_adapters(asked, files)
        ggufs = [file for file in files if file.endswith(".gguf")]
        raise SubjectError(
            asked,
            f"it has no config.json (it has: {', '.join(files[:6]) or 'nothing'})",
            f"Give the file itself: {folder / ggufs[0]}" if ggufs else "Is it a model folder?",
        )
    _refuse_adapters(asked, files)
    if not any(file.endswith(".safetensors") for file in files):
        pickles = [file for file in files if file.endswith(PICKLES)]
        raise SubjectError(
            asked,
            f"its weights are pickled ({pickles[0]}), and reading a pickle can run any code"
            if pickles
            else "it has no weights in safetensors",
            "Convert them where you trust them: AutoModelForCausalLM.from_pretrained(folder)"
            ".save_pretrained(new_folder).",
        )
    config = _required_config(asked, folder / "config.json")
    held = require_tensors(asked, folder)
    require_counts(asked, config, held)
    return _model(asked, folder, how, held), _tokenizer(asked, folder, how)


def _refuse_adapters(asked: str, files: list[str]) -> None:
    if "adapter_config.json" in files:
        raise SubjectError(
            asked,
            "it holds an adapter (adapter_config.json), which is not part of the model's weights",
            "Merge it into the weights first (peft: model.merge_and_unload().save_pretrained).",
        )


def _required_config(asked: str, path: Path) -> dict[str, Any]:
    """A config.json; refused if transformers would stumble over it or look elsewhere."""
    config = read_json(path, f"{asked}, config.json", SubjectError)
    kind = config.get("model_type") if isinstance(config, dict) else None
    if not isinstance(kind, str):
        raise SubjectError(
            asked, "its config.json names no model_type", "Is it the configuration of a model?"
        )
    if kind not in ARCHITECTURES.all():
        raise SubjectError(
            asked,
            f"its architecture '{kind}' is not in the table of architectures",
            f"{listed()} A new one needs a file in subject/architectures.",
        )
    if quantised := config.get("quantization_config"):
        method = quantised.get("quant_method", "?") if isinstance(quantised, dict) else quantised
        raise SubjectError(
            asked,
            f"its weights are quantised (quant_method '{method}')",
            "Dequantise it first (model.dequantize(), then save_pretrained), or use the original.",
        )
    for name in _IMPLEMENTATIONS:
        if name in config and config[name] not in ("eager", "sdpa", None):
            raise SubjectError(
                asked,
                f"its config.json asks for {name}: {config[name]!r}, which transformers may fetch as "
                "code from a hub",
                "Take the entry out; the engine has an attention of its own.",
            )
    for name in _COUNTS:
        if name in config and not (isinstance(config[name], int) and config[name] > 0):
            raise SubjectError(
                asked, f"its config.json says {name}: {config[name]!r}", "It must be 1 or more."
            )
    if elsewhere := config.get("transformers_weights"):
        raise SubjectError(
            asked,
            f"its config.json looks for its weights in {elsewhere!r} (transformers_weights)",
            "Name them model.safetensors, and take that entry away.",
        )
    found: dict[str, Any] = config
    return found


def read_gguf(path: Path, how: ReadSettings) -> ReadModel:
    """The model and the tokenizer of a GGUF file.

    Raises:
        SubjectError: It is part of a model, or says something that would not be read.
    """
    asked = f"The GGUF file {path}"
    require_regular(path, asked, SubjectError)
    held = require_sound(path)
    require_whole(path)
    # Alone in a folder: transformers would look at what lies beside it, adapters and settings.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as alone:
        (Path(alone) / path.name).symlink_to(path.resolve())
        model = _model(asked, Path(alone), how, held, gguf_file=path.name)
        require_read(path, model)
        tokenizer = _tokenizer(asked, Path(alone), how, gguf_file=path.name)
    tokenizer.name_or_path = str(path)
    config: Any = model.config
    config._name_or_path = str(path)
    return model, tokenizer


def read_hub(source: str, how: ReadSettings) -> ReadModel:
    """The model and the tokenizer of a hub id.

    Raises:
        SubjectError: It is a path that does not exist, or the hub does not have it.
    """
    asked = f"The model '{source}'"
    if source.startswith((".", "/", "~")) or source.strip("/").count("/") != 1 or "\\" in source:
        known = [*PACKAGED, *shipped()]
        raise SubjectError(
            asked,
            "there is no packaged model, folder or file of that name",
            (near_matches(source, known) if "/" not in source else "Check the path.")
            + " A hub id has the form owner/name.",
        )
    folder = _fetched(asked, source, _only_here(asked, source))
    model, tokenizer = read_folder(folder, how, asked)
    config: Any = model.config
    config._name_or_path, config._commit_hash = source, folder.name
    return model, tokenizer


def _fetched(asked: str, source: str, only_here: bool) -> Path:
    """A hub's repository as a folder in its cache: only what is read, and no pickles."""
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                source,
                allow_patterns=list(WANTED),
                ignore_patterns=["*/*"],
                local_files_only=only_here,
            )
        )
    except Exception as error:  # of whichever client the hub's library uses
        raise SubjectError(
            asked, f"the hub did not give it ({_first_line(error)})", "Check the network."
        ) from error


def _only_here(asked: str, source: str) -> bool:
    """Whether the hub cannot be reached but the model has been fetched before.

    Asked once, with a limit: transformers would try again for half a minute.
    """
    from huggingface_hub import HfApi, try_to_load_from_cache

    try:
        HfApi().model_info(source, timeout=HUB_SECONDS)
    except Exception as error:  # of whichever client the hub's library uses
        here = isinstance(try_to_load_from_cache(source, "config.json"), str)
        if here and getattr(error, "response", None) is None:
            return True
        raise SubjectError(
            asked,
            f"it is no folder here, and the hub did not give it ({_first_line(error)})",
            "Check the id and the network, or use a packaged model: " + ", ".join(PACKAGED) + ".",
        ) from error
    return False


def _model(
    asked: str, source: Path, how: ReadSettings, held: StoredWeights, **extra: Any
) -> nn.Module:
    """A model whose every weight was read, and whose every file was used."""
    with _named(asked, "the model", how.placement):
        require_room(asked, source, held, **extra)
        model, report = AutoModelForCausalLM.from_pretrained(
            source,
            dtype=how.dtype,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            attn_implementation="eager",  # a configuration may name code on a hub here
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # so that they are named, and refused
            **extra,
            **how.placement,
        )
    _require_all(asked, report)
    found: nn.Module = model
    return found


def _require_all(asked: str, report: Mapping[str, Any]) -> None:
    """Refuse a checkpoint that is not exactly the model's weights."""
    wrong = [
        f"{len(names)} tensors {what} ({_some(names)})"
        for key, what in (
            ("missing_keys", "of the model are missing"),
            ("unexpected_keys", "are none of the model's"),
            ("mismatched_keys", "have another shape than the model's"),
        )
        if (names := sorted(str(name) for name in report.get(key) or () if not idle(str(name))))
    ]
    if errors := report.get("error_msgs"):
        wrong.append(str(errors[0]))
    if wrong:
        raise SubjectError(
            asked,
            "its weights are not those of its configuration: " + "; ".join(wrong),
            "What is missing would be drawn at random. Save the model again with "
            "save_pretrained, without wrappers such as torch.compile or peft.",
        )


def _tokenizer(
    asked: str, source: Path, how: ReadSettings, **extra: Any
) -> PreTrainedTokenizerBase:
    if how.tokenizer is not None:
        return how.tokenizer
    with _named(asked, "its tokenizer", {}):
        found: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            source, trust_remote_code=False, local_files_only=True, **extra
        )
    return found


@contextmanager
def _named(asked: str, what: str, placement: Mapping[str, Any]) -> Iterator[None]:
    """Whatever is wrong with somebody's files, say in which of them and what to do."""
    try:
        yield
    except (SubjectError, MemoryError):
        raise
    except Exception as error:  # files of others may be wrong in any way
        if placement and isinstance(error, RuntimeError | AssertionError | ValueError):
            _cannot_place(asked, placement, error)
        raise SubjectError(
            asked,
            f"{what} cannot be read ({type(error).__name__}: {_shortened(error)})",
            "Give one that fits as tokenizer=…."
            if what == "its tokenizer"
            else "Is every file whole, and of one model?",
        ) from error


def _cannot_place(asked: str, placement: Mapping[str, Any], error: Exception) -> NoReturn:
    raise SubjectError(
        f"{asked} under device_map={placement['device_map']!r}",
        f"it cannot be put there ({_first_line(error)})",
        "Is every file whole, and the device_map right? Name devices that are there, or leave it "
        "to `auto`.",
    ) from error


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def _shortened(error: BaseException) -> str:
    said = " ".join(str(error).split())
    return said if len(said) <= 300 else f"{said[:300]}…"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
