"""`load`: from a hub id, a local folder, a GGUF file, a model in memory, or a packaged name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from unexplained.errors import SubjectError, require_choice
from unexplained.fetch import cache_folder
from unexplained.opening import HALF, NOW
from unexplained.schemes import home_of_name
from unexplained.subject.admission import require_plain
from unexplained.subject.ambient import alone
from unexplained.subject.anatomy import Anatomy
from unexplained.subject.attention import NAME
from unexplained.subject.lent import Lent
from unexplained.subject.packaged import PACKAGED, packaged_folder
from unexplained.subject.precision import chosen
from unexplained.subject.quiet import quiet
from unexplained.subject.reading import ReadModel, ReadSettings, read_folder, read_gguf, read_hub
from unexplained.subject.shipped import NOTE, TOKENIZER, shipped
from unexplained.subject.subject import Subject
from unexplained.subject.trial import require_reproduced
from unexplained.subject.wrapped import is_wrapped, unwrapped


def load(
    source: str | Path | nn.Module | object,
    *,
    tokenizer: PreTrainedTokenizerBase | None = None,
    device: str | None = None,
    device_map: str | Mapping[str, int | str] | None = None,
    dtype: torch.dtype | str | None = None,
    accept_terms: bool = False,
    name: str | None = None,
) -> Subject:
    """Open a model up.

    Before it is given back it has been held against a blank model of its configuration
    (`admission`) and the engine has been tried on it (`trial`), so that what is measured is this
    model; docs/refusals.md lists what is refused and why.

    A model in memory stays the caller's and is not copied. While it is open it is in eval mode,
    on `device`, and its attention implementation is ours; `Subject.close`, or leaving
    `with load(…) as subject`, puts all three back as they were. Its weights are never written to.
    What TransformerLens (a bridge) or nnsight has opened is taken as the model inside, see `wrapped`.

    Args:
        source: A packaged name (`unexplained models`), a model of ours (`unexplained ladder`), a
            folder with safetensors, a `.gguf` file, a hub id, a testbed (`testbed:periodic`), or a
            model already in memory (then give its tokenizer too), also as TransformerLens or
            nnsight opened it.
        tokenizer: Use this one instead of the one that comes with the model.
        device: Where to run; the GPU if there is one.
        device_map: Instead of `device`: spread the model over several GPUs, as transformers
            does through accelerate (`auto`, `balanced`, or module name -> device). All of it
            must fit there: the engine reads weights where they are.
        dtype: float32 unless asked otherwise: bfloat16 moves single-head effects by up to 0.004
            nats, which is as large as most of them; also by name. A model in memory keeps its own.
        accept_terms: Agree to the licence of a packaged model that asks for it.
        name: What to call it in records.

    Raises:
        SubjectError: The model does not exist, is not whole, has pickled weights only, is of an
            unknown architecture or not what its architecture says, or has another's tokenizer; or
            the device cannot be had or the `device_map` not be followed.
        MeasurementError: There is no `dtype` of that name.
    """
    kind = _kind(dtype or NOW.get().dtype)
    if device_map is not None:
        _check_placement(source, device)
    where = _device(device if device_map is not None else device or NOW.get().device)
    if not isinstance(source, str | Path | nn.Module) and not is_wrapped(source):
        raise SubjectError(
            f"A model given as a {type(source).__name__}",
            "it is neither a name, a path nor a model of transformers",
            "Give the name, the folder, or the model itself.",
        )
    with alone(), quiet():
        given = f"{type(source).__name__} given in memory"
        if is_wrapped(source):
            tokenizer = tokenizer or getattr(source, "tokenizer", None)
            source, given = unwrapped(source), f"the model inside a {given}"
        if isinstance(source, nn.Module):
            model, found, notes = source, tokenizer, [given]
            if found is None:
                raise SubjectError(
                    f"A {type(source).__name__} in memory", "no tokenizer was given with it",
                    "Pass tokenizer=…",
                )  # fmt: skip
            config: Any = getattr(source, "config", None)
            title = name or getattr(config, "name_or_path", "") or type(source).__name__
        else:
            how = ReadSettings(
                tokenizer, kind, {} if device_map is None else {"device_map": device_map}
            )
            (model, found), notes = _from_source(str(source), how, accept_terms)
            path = Path(str(source))
            title = name or (path.name if path.exists() else str(source))
        require_plain(model)
        lent = Lent.of(model)
        try:
            return _opened(model, found, str(title), notes, lent, where, device_map is not None)
        except BaseException:
            lent.give_back()
            raise


def _opened(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    title: str,
    notes: list[str],
    lent: Lent,
    device: str | None,
    spread: bool,
) -> Subject:
    """The subject, after the engine has been tried on it."""
    where = _placed(model.eval(), device, title, spread=spread)
    anatomy = Anatomy.of(model)
    _check_tokenizer(title, anatomy, tokenizer)
    model.set_attn_implementation(NAME)  # type: ignore[operator]
    if len(_devices(model)) > 1:
        notes = [*notes, f"spread over {', '.join(_devices(model))}"]
    kind = next(model.parameters()).dtype
    if torch.finfo(kind).bits < 32:
        notes = [
            *notes,
            "in half precision: differences below 0.004 nats per token may be rounding",
        ]
    precision = chosen(where, cache_folder() / "products.json")
    size = sum(parameter.numel() for parameter in model.parameters())
    facts = (
        *notes,
        f"{anatomy.architecture.name}, {size / 1e6:.1f}M parameters, {kind}",
        str(precision),
    )
    with precision.applied():
        require_reproduced(anatomy)
    return Subject(title, anatomy, tokenizer, precision, facts, lent)


def _from_source(source: str, how: ReadSettings, accept: bool) -> tuple[ReadModel, list[str]]:
    path = Path(source).expanduser()
    if (known := home_of_name(source)) is not None:
        home, rest = known
        model, tokenizer = home.open_model(rest)
        return (model.to(how.dtype), how.tokenizer or tokenizer), [f"the testbed {rest}"]
    if source in PACKAGED:
        folder, notes = packaged_folder(source, accept_terms=accept)
        return read_folder(folder, how), notes
    if source in (ours := shipped()):
        own = how.tokenizer or AutoTokenizer.from_pretrained(
            TOKENIZER, trust_remote_code=False, local_files_only=True
        )
        return read_folder(ours[source], ReadSettings(own, how.dtype, how.placement)), [NOTE]
    if path.is_dir():
        return read_folder(path, how), [f"read from the folder {path.name}"]
    if path.suffix == ".gguf":
        return read_gguf(path, how), [f"dequantised from {path.name}"]
    if path.exists():
        raise SubjectError(
            f"The model '{source}'",
            "it is neither a folder nor a .gguf file",
            "Give the folder that it is in.",
        )
    model, tokenizer = read_hub(source, how)
    config: Any = model.config
    commit = getattr(config, "_commit_hash", None)
    return (model, tokenizer), [f"hub id {source}" + (f" at {commit}" if commit else "")]


def _kind(dtype: torch.dtype | str) -> torch.dtype:
    """A kind of number, which may be said by its name."""
    if isinstance(dtype, torch.dtype):
        return dtype
    require_choice("dtype", dtype, ("float32", *HALF))
    found: torch.dtype = getattr(torch, dtype)
    return found


def _device(device: str | None) -> str | None:
    """The device that was asked for.

    Raises:
        SubjectError: There is no such device.
    """
    if device is None:
        return None
    try:
        if torch.empty(1, device=device).device.type == "meta":
            raise ValueError("what is there has no values")
    except Exception as error:  # every backend says it in its own way
        there = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        raise SubjectError(
            f"The device '{device}'", "it cannot be used here", f"There are: {', '.join(there)}."
        ) from error
    return device


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


def _placed(model: nn.Module, device: str | None, title: str, *, spread: bool) -> str:
    """Put a model on its device, unless it has been spread; where its tokens must be."""
    if not spread and (device is not None or len(_devices(model)) == 1):
        where = device or ("cuda" if torch.cuda.is_available() else "cpu")
        model.to(where)
        return where
    weight = model.get_input_embeddings().weight  # type: ignore[operator]
    return str(weight.device)


def _devices(model: nn.Module) -> list[str]:
    """Where the weights are, in order."""
    return list(dict.fromkeys(str(weight.device) for weight in model.parameters()))


def _check_tokenizer(title: str, anatomy: Anatomy, tokenizer: Any) -> None:
    """Refuse a tokenizer without a fast form, or whose ordinary tokens the model does not embed."""
    rows, asked = anatomy.shape.vocabulary, f"The tokenizer of {title}"
    if not getattr(tokenizer, "is_fast", False):
        raise SubjectError(
            asked,
            f"it is a {type(tokenizer).__name__}, not a fast tokenizer of transformers",
            "Give a fast one as tokenizer=… (AutoTokenizer.from_pretrained, or a tokenizer.json in "
            "a PreTrainedTokenizerFast).",
        )
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
