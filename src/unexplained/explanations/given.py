"""Whether what an explanation's function gave can stand in, and what went wrong in it otherwise."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unexplained.errors import ExplanationError
from unexplained.explanations.walk import carried

INEXACT = "not the same to the bit"
"""Stands in `Explanation.asked` where what it said did change, within rounding."""

TOLERANCE = 1e-4
"""By how much a row of a pattern may exceed 1, or an entry fall below 0, in float32."""


def unusable(given: Tensor) -> str:
    """What kind of tensor cannot stand in, whatever it holds; empty if it can."""
    if given.layout != torch.strided:
        return f"a sparse tensor ({given.layout})"
    if given.device.type == "meta":
        return "a tensor on meta, which has no values"
    if given.is_complex():
        return f"complex numbers ({given.dtype})"
    if given.is_quantized or (given.is_floating_point() and torch.finfo(given.dtype).bits < 16):
        return f"quantised numbers ({given.dtype})"
    return ""


def require_pattern(asked: str, pattern: Tensor) -> None:
    """Refuse what is no attention: made, owed, or on later positions."""
    if float(pattern.min()) < -TOLERANCE:
        raise ExplanationError(
            asked, "its pattern has negative entries", "Attention is at least 0."
        )
    if float((most := pattern.sum(-1)).max()) > 1 + TOLERANCE:
        row = int(most.flatten().argmax()) % pattern.shape[-1]
        raise ExplanationError(
            asked,
            f"row {row} of its pattern sums to {float(most.max()):.4g}",
            "Rows must sum to at most 1: attention is shared out, not made.",
        )
    if float(pattern.triu(1).abs().max()) > TOLERANCE:
        raise ExplanationError(
            asked, "its pattern attends to later positions",
            "Give (document, to, from) with nothing above the diagonal: .tril() takes it off.",
        )  # fmt: skip


def own_lines(error: BaseException, file: str) -> str:
    """The traceback from the user's first line on; all of it if none is theirs."""
    frames = traceback.extract_tb(error.__traceback__)
    # A file that does not parse has no line of its own in the traceback: the error names it.
    none = len(frames) if isinstance(error, SyntaxError) else 0
    mine = Path(file).absolute()  # as Python calls what it has imported
    first = next((i for i, one in enumerate(frames) if Path(one.filename).absolute() == mine), none)
    shown = traceback.format_list(frames[first:])
    return "".join([*shown, *traceback.format_exception_only(error)]).rstrip()


def raised(asked: str, error: BaseException, file: str, given: str) -> ExplanationError:
    """The error for a user's code that raised.

    Args:
        asked: What was wanted.
        error: What it raised.
        file: The file that the code is in.
        given: What it is called with, as far as that is the caller's to say.
    """
    return ExplanationError(
        asked, f"it raised\n{own_lines(error, file)}",
        f"Mend the line above that is yours, the last of them. {given}",
    )  # fmt: skip


def file_of(function: Callable[..., Any]) -> str:
    """Where a function's own code is, or its wrapper's."""
    code = next((one for one in carried(function).written if not isinstance(one, str)), None)
    return "" if code is None else code.co_filename
