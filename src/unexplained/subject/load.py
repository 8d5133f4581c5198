"""`load`: from a hub id, a local folder, a GGUF file, a model in memory, or a packaged name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from unexplained.errors import SubjectError, near_matches
from unexplained.fetch import cache_folder
from unexplained.subject.anatomy import Anatomy
from unexplained.subject.attention import NAME
from unexplained.subject.families import FAMILIES
from unexplained.subject.packaged import PACKAGED, packaged_folder
from unexplained.subject.precision import decide
from unexplained.subject.quiet import quiet
from unexplained.subject.shipped import NOTE, TOKENIZER, shipped
from unexplained.subject.subject import Subject

Placement = Mapping[str, Any]
"""What transformers is told besides: `device_map` where one was asked for."""

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def load(
    source: str | Path | nn.Module,
    *,
    tokenizer: PreTrainedTokenizerBase | None = None,
    device: str | None = None,
    device_map: str | Mapping[str, int | str] | None = None,
    dtype: torch.dtype = torch.float32,
    accept_terms: bool = False,
    name: str | None = None,
) -> Subject:
    """Open a model up.

    Args:
        source: A packaged name (`unexplained models`), a model of ours (`unexplained ladder`), a
            folder with safetensors, a `.gguf` file, a hub id, or a model already in memory (then
            give its tokenizer too).
        tokenizer: Use this one instead of the one that comes with the model.
        device: Where to run; the GPU if there is one.
        device_map: Instead of `device`: spread the model over several GPUs, as transformers
            does through accelerate (`auto`, `balanced`, or module name -> device). All of it
            must fit there: the engine reads weights where they are.
        dtype: float32 unless asked otherwise: bfloat16 moves single-head effects by up to 0.004
            nats, which is as large as most of them.
        accept_terms: Agree to the licence of a packaged model that asks for it.
        name: What to call it in records.

    Raises:
        SubjectError: The model does not exist, has pickled weights only, is of an unknown
            architecture, or has another's tokenizer; or the `device_map` cannot be followed.
    """
    if device_map is not None:
        _check_placement(source, device)
    with quiet():
        if isinstance(source, nn.Module):
            model, found, notes = source, tokenizer, [f"{type(source).__name__} given in memory"]
            if found is None:
                raise SubjectError(
                    f"A {type(source).__name__} in memory", "no tokenizer was given with it",
                    "Pass tokenizer=…",
                )  # fmt: skip
            title = name or getattr(source.config, "name_or_path", "") or type(source).__name__
        else:
            model, found, notes = _from_source(
                str(source), tokenizer, dtype, accept_terms, device_map
            )
            title = name or (Path(source).name if Path(source).exists() else str(source))
    anatomy = Anatomy.of(model)
    where = _placed(model.eval(), device, str(title), spread=device_map is not None)
    _check_tokenizer(str(title), anatomy, found)
    model.set_attn_implementation(NAME)  # type: ignore[operator]
    if len(_devices(model)) > 1:
        notes = [*notes, f"spread over {', '.join(_devices(model))}"]
    kind = next(model.parameters()).dtype
    if torch.finfo(kind).bits < 32:
        notes = [
            *notes,
            "in half precision: differences below 0.004 nats per token may be rounding",
        ]
    precision = decide(where, cache_folder() / "products.json")
    size = sum(parameter.numel() for parameter in model.parameters())
    facts = (
        *notes,
        f"{anatomy.family.name}, {size / 1e6:.1f}M parameters, {kind}",
        f"matrix products: {precision.setting} ({precision.why})",
    )
    return Subject(str(title), anatomy, found, precision, facts)


def _from_source(
    source: str,
    tokenizer: PreTrainedTokenizerBase | None,
    dtype: torch.dtype,
    accept: bool,
    device_map: str | Mapping[str, int | str] | None,
) -> tuple[nn.Module, PreTrainedTokenizerBase, list[str]]:
    path, placement = Path(source), {} if device_map is None else {"device_map": device_map}
    if source in PACKAGED:
        folder, notes = packaged_folder(source, accept_terms=accept)
        return *_read_folder(folder, tokenizer, dtype, placement), notes
    if source in (ours := shipped()):
        found = tokenizer or AutoTokenizer.from_pretrained(TOKENIZER, local_files_only=True)
        return *_read_folder(ours[source], found, dtype, placement), [NOTE]
    if path.suffix == ".gguf":
        if not path.is_file():
            raise SubjectError(f"The GGUF file {path}", "there is no such file")
        extra = {"gguf_file": path.name}
        try:
            model = AutoModelForCausalLM.from_pretrained(
                path.parent, dtype=dtype, **extra, **placement
            )
            found = tokenizer or AutoTokenizer.from_pretrained(path.parent, **extra)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise SubjectError(
                f"The GGUF file {path}",
                f"it cannot be read ({_first_line(error)})",
                "Is it whole, and of an architecture that transformers reads from GGUF?",
            ) from error
        return model, found, [f"dequantised from {path.name}"]
    if path.is_dir():
        return *_read_folder(path, tokenizer, dtype, placement), [
            f"read from the folder {path.name}"
        ]
    return _read_hub(source, tokenizer, dtype, placement)


def _read_folder(
    folder: Path,
    tokenizer: PreTrainedTokenizerBase | None,
    dtype: torch.dtype,
    placement: Placement,
) -> tuple[nn.Module, PreTrainedTokenizerBase]:
    asked = f"The model folder {folder}"
    files = sorted(file.name for file in folder.iterdir())
    if "config.json" not in files:
        ggufs = [file for file in files if file.endswith(".gguf")]
        raise SubjectError(
            asked,
            f"it has no config.json (it has: {', '.join(files[:6]) or 'nothing'})",
            f"Give the file itself: {folder / ggufs[0]}" if ggufs else "Is it a model folder?",
        )
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
    kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    if kind not in FAMILIES:
        _unknown_family(asked, kind)
    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, local_files_only=True, **placement
        )
        return model, tokenizer or AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, SafetensorError) as error:
        do = "Is every file whole" + (", and the device_map right?" if placement else "?")
        raise SubjectError(asked, _first_line(error), do) from error
    except (RuntimeError, AssertionError) as error:
        _cannot_place(asked, placement, error)


def _unknown_family(asked: str, kind: object) -> None:
    raise SubjectError(
        asked,
        f"its architecture '{kind}' is not in the table of families",
        f"{near_matches(str(kind), FAMILIES)} A new one needs an entry in subject/families.py.",
    )


def _read_hub(
    source: str,
    tokenizer: PreTrainedTokenizerBase | None,
    dtype: torch.dtype,
    placement: Placement,
) -> tuple[nn.Module, PreTrainedTokenizerBase, list[str]]:
    asked = f"The model '{source}'"
    if "/" not in source:
        raise SubjectError(
            asked,
            "there is no packaged model, folder or file of that name",
            near_matches(source, [*PACKAGED, *shipped()]) + " A hub id has the form owner/name.",
        )
    try:
        model = AutoModelForCausalLM.from_pretrained(
            source, dtype=dtype, use_safetensors=True, trust_remote_code=False, **placement
        )
        found = tokenizer or AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise SubjectError(
            asked,
            f"the hub did not give it ({_first_line(error)})",
            "Check the id and the network, or use a packaged model: " + ", ".join(PACKAGED) + ".",
        ) from error
    except (RuntimeError, AssertionError) as error:
        _cannot_place(asked, placement, error)
    commit = getattr(model.config, "_commit_hash", None)
    return model, found, [f"hub id {source}" + (f" at {commit}" if commit else "")]


def _check_placement(source: object, device: str | None) -> None:
    """Refuse a `device_map` where it cannot be followed."""
    if isinstance(source, nn.Module):
        raise SubjectError(
            f"A device_map for a {type(source).__name__} in memory",
            "its weights have their place already",
            "Give the folder or the hub id that it came from.",
        )
    if device is not None:
        raise SubjectError(
            f"The device '{device}' and a device_map", "they say two things", "Give one of them."
        )


def _cannot_place(asked: str, placement: Placement, error: Exception) -> NoReturn:
    if not placement:
        raise error
    raise SubjectError(
        f"{asked} under device_map={placement['device_map']!r}",
        f"it cannot be put there ({_first_line(error)})",
        "Name devices that are there, or leave it to `auto`.",
    ) from error


def _placed(model: nn.Module, device: str | None, title: str, *, spread: bool) -> str:
    """Put a model on its device, unless it has been spread; where its tokens must be."""
    if not spread and (device is not None or len(_devices(model)) == 1):
        where = device or ("cuda" if torch.cuda.is_available() else "cpu")
        model.to(where)
        return where
    if "meta" in _devices(model):
        raise SubjectError(
            f"The device_map for {title}",
            "parts of the model are kept elsewhere until they are needed, and the engine reads "
            "weights where they are",
            "Use more or larger GPUs, or dtype=torch.bfloat16.",
        )
    weight = model.get_input_embeddings().weight  # type: ignore[operator]
    return str(weight.device)


def _devices(model: nn.Module) -> list[str]:
    """Where the weights are, in order."""
    return list(dict.fromkeys(str(weight.device) for weight in model.parameters()))


def _check_tokenizer(title: str, anatomy: Anatomy, tokenizer: Any) -> None:
    """Refuse a tokenizer whose ordinary tokens the model has no embedding for."""
    rows, asked = anatomy.shape.vocabulary, f"The tokenizer of {title}"
    plain = tokenizer.vocab_size
    if plain > rows:
        raise SubjectError(
            asked,
            f"it has {plain:,} tokens and the model embeds {rows:,}",
            "It belongs to another model; give the right one as tokenizer=….",
        )
    if plain < rows / 2:
        raise SubjectError(
            asked,
            f"it has only {plain:,} tokens where the model embeds {rows:,}",
            "It belongs to another model; give the right one as tokenizer=….",
        )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
