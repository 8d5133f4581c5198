"""What lies in a folder's safetensors files, looked at before transformers reads them."""

from __future__ import annotations

import math
import re
from pathlib import Path

from safetensors import SafetensorError, safe_open

from unexplained.errors import SubjectError
from unexplained.files import read_json
from unexplained.subject.room import StoredWeights

INDEX = "model.safetensors.index.json"

_FLOATING = ("F64", "F32", "F16", "BF16")

_IDLE = re.compile(
    r"(^|\.)(attn|attention)\.(masked_)?bias$|(^|\.)rotary_emb\.inv_freq$|(^|\.)position_ids$"
)
"""Buffers that old checkpoints kept and models make by themselves: masks, frequencies, counts."""


def idle(name: str) -> bool:
    """Whether a tensor that a model does not know is one that it makes by itself."""
    return _IDLE.search(name) is not None


def require_tensors(asked: str, folder: Path) -> StoredWeights:
    """Refuse weights that are damaged, quantised, or not where the folder's index says; their sizes.

    Raises:
        SubjectError: Which file or tensor it is.
    """
    index = folder / INDEX
    files = [folder / "model.safetensors"]
    stated: dict[str, str] = {}
    if index.is_file() and not files[0].is_file():
        stated = _stated(asked, index)
        files = [folder / name for name in sorted(set(stated.values()))]
    elif not files[0].is_file():
        others = sorted(file.name for file in folder.glob("*.safetensors"))
        raise SubjectError(
            asked,
            f"it has neither model.safetensors nor {INDEX} (it has {', '.join(others[:3])})",
            "Only these are read. If that file holds the model's weights, name it "
            "model.safetensors.",
        )
    found: dict[str, str] = {}
    numbers = 0
    for file in files:
        try:
            with safe_open(file, "pt") as tensors:
                slices = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118
                types = {name: some.get_dtype() for name, some in slices.items()}
                numbers += sum(math.prod(some.get_shape()) for some in slices.values())
        except (OSError, SafetensorError) as error:
            raise SubjectError(
                asked, f"its file {file.name} cannot be read ({error})", "Is every file whole?"
            ) from error
        for name, kind in types.items():
            if kind not in _FLOATING and not idle(name):
                raise SubjectError(
                    asked,
                    f"its tensor '{name}' is quantised: it holds {kind} without saying how to "
                    "read it",
                    "Dequantise it first, or use the original.",
                )
        found |= dict.fromkeys(types, file.name)
    if stated and (wrong := sorted(k for k in stated | found if stated.get(k) != found.get(k))):
        first = wrong[0]
        raise SubjectError(
            asked,
            f"its index says that the tensor '{first}' is in {stated.get(first, 'no file')}, and "
            f"it is in {found.get(first, 'none of them')} ({len(wrong)} such)",
            "Is every file whole, and of one model?",
        )
    return StoredWeights(len(found), numbers)


def _stated(asked: str, index: Path) -> dict[str, str]:
    """Tensor → file, as an index has it; files lie in its own folder."""
    stated = read_json(index, f"{asked}, {INDEX}", SubjectError)
    stated = stated.get("weight_map") if isinstance(stated, dict) else None
    if not isinstance(stated, dict) or not stated:
        raise SubjectError(
            asked, f"its {INDEX} has no weight_map from tensors to files", "Is it whole?"
        )
    files = {str(name): str(file) for name, file in stated.items()}
    for name, file in files.items():
        if {"/", "\\", "\0"} & set(file) or not file.endswith(".safetensors"):
            raise SubjectError(
                asked,
                f"its index sends the tensor '{name}' to '{file}'",
                "Only .safetensors files in the model's own folder are read.",
            )
    return files
