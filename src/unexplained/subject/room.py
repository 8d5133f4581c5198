"""What a configuration asks for is held against the bytes of its weights, before memory is taken.

Tensors that a file lacks are drawn at random in the sizes of the configuration, and a count of
layers is a loop: a number too large in a few bytes of JSON would take all memory, or all time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from unexplained.errors import SubjectError

ROOM = 1 << 26
"""Numbers that a model may hold beyond four times those in its files: masks, and what is lacking."""

LABELS = 1 << 16
"""Labels of a classifier's head, of which transformers makes a table though it is not used."""


@dataclass(frozen=True)
class StoredWeights:
    """What weights are in a model's files."""

    tensors: int
    numbers: int


def require_counts(asked: str, config: Mapping[str, Any], held: StoredWeights) -> None:
    """Refuse more layers than the files have tensors.

    Raises:
        SubjectError: The entry.
    """
    for name, value in _counts(config):
        if name == "num_labels" and value > LABELS:
            raise SubjectError(
                asked, f"its configuration says num_labels: {value}", f"The most is {LABELS:,}."
            )
        if name != "num_labels" and value > held.tensors:
            raise SubjectError(
                asked,
                f"its configuration says {name}: {value}, and its weights have {held.tensors:,} "
                "tensors in all: some are missing",
                "Is every file whole, and of one model?",
            )


def require_room(asked: str, source: Path, held: StoredWeights, **extra: Any) -> None:
    """Refuse a configuration whose model has far more numbers than its files.

    The model is made without memory, on torch's `meta` device. `require_counts` comes first: the
    number of modules is not bounded here.

    Raises:
        SubjectError: How many it has and how many there are.
    """
    config = AutoConfig.from_pretrained(
        source, trust_remote_code=False, local_files_only=True, **extra
    )
    with torch.device("meta"):
        blank: nn.Module = AutoModelForCausalLM.from_config(
            config, trust_remote_code=False, attn_implementation="eager"
        )
    wanted = sum(tensor.numel() for tensor in (*blank.parameters(), *blank.buffers()))
    if wanted > 4 * held.numbers + ROOM:
        raise SubjectError(
            asked,
            f"a model of its configuration has {wanted:,} numbers, and its files hold "
            f"{held.numbers:,}",
            "Is every file whole, and of one model?",
        )


def _counts(config: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _counts(value)
        counts = "layer" in name or name.endswith("block_count") or name == "num_labels"
        if counts and isinstance(value, int) and not isinstance(value, bool):
            yield name, value
