"""Models that another library has opened: the model of transformers inside, made plain again.

TransformerLens puts components of its own in the place of a model's, nnsight forwards of its own. So
a plain model is made of the same configuration, given the very weights of the one inside (not
copies), and held against it on a few tokens. Neither library is imported.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from unexplained.errors import SubjectError
from unexplained.subject.admission import blank_of
from unexplained.subject.architectures import architecture_of
from unexplained.subject.trial import LENGTH, NEAR

INSIDE = {"nnsight": ("_module", "_model"), "transformer_lens": ("original_model",)}
"""By library, where its objects keep the model of transformers."""

_PUT_BETWEEN = "._original_component"
"""What a bridge puts into the names of weights."""


def is_wrapped(source: object) -> bool:
    """Whether it is another library's, which opens models."""
    return bool(_library(source))


def unwrapped(source: object) -> nn.Module:
    """A plain model with the weights of the one inside.

    Raises:
        SubjectError: There is none inside, its weights are not there or rewritten, or it computes
            something else than they do in a plain model (edits, hooks).
    """
    library = _library(source)
    asked = f"A {type(source).__name__} of {library}"
    inside = next((found for n in INSIDE[library] if (found := getattr(source, n, None))), None)
    name = getattr(getattr(inside, "config", None), "name_or_path", "") or getattr(
        getattr(source, "cfg", None), "model_name", ""
    )
    do = f"Give the model that it was made of: ux.load({str(name)!r})." if name else (
        "Give the model of transformers that it was made of."
    )  # fmt: skip
    if not isinstance(inside, PreTrainedModel):
        found = "it has weights of its own, written anew, and no model of transformers inside"
        raise SubjectError(asked, found, do)
    architecture_of(inside)
    if getattr(source, "_edits", None):
        raise SubjectError(asked, "it has edits that stay", "Take them back: .clear_edits().")
    if getattr(source, "compatibility_mode", False) or getattr(source, "_weights_processed", False):
        found = "its weights were rewritten for TransformerLens's older names (norms folded in)"
        raise SubjectError(asked, found, do)
    model = _plain(inside, asked, do)
    _require_same(inside, model, asked, do)
    return model


def _library(source: object) -> str:
    homes = (base.__module__.split(".")[0] for base in type(source).__mro__)
    return next((home for home in homes if home in INSIDE), "")


def _plain(inside: PreTrainedModel, asked: str, do: str) -> nn.Module:
    model = blank_of(inside)
    config: Any = model.config
    config._attn_implementation = inside.config._attn_implementation
    there: dict[str, Any] = {
        name.replace(_PUT_BETWEEN, ""): value
        for named in (inside.named_parameters, inside.named_buffers)
        for name, value in named(remove_duplicate=False)
    }
    for place, module in model.named_modules():
        for kind in (module._parameters, module._buffers):
            for name in [name for name, value in kind.items() if value is not None]:
                whole = f"{place}.{name}" if place else name
                if whole not in there:
                    raise SubjectError(asked, f"its weight '{whole}' is not as it was", do)
                if there[whole].device.type == "meta":
                    raise SubjectError(
                        asked,
                        f"its weight '{whole}' has not been read yet",
                        "Open it with dispatch=True, or call .dispatch().",
                    )
                kind[name] = there[whole]
    return model.eval()


def _require_same(inside: PreTrainedModel, model: nn.Module, asked: str, do: str) -> None:
    """Refuse where the model inside gives other logits than a plain one with its weights."""
    weight: Any = next(model.parameters())
    rows = int(model.config.vocab_size)  # type: ignore[union-attr,arg-type]
    tokens = torch.randint(0, rows, (2, LENGTH), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        theirs, mine = (
            one(input_ids=tokens.to(weight.device), use_cache=False).logits
            for one in (inside, model)
        )
    apart, scale = float((theirs - mine).abs().max()), float(mine.abs().max())
    if not apart <= NEAR[torch.finfo(mine.dtype).bits] * scale:
        raise SubjectError(
            asked,
            f"it computes something else than its weights do in a plain model ({apart:.2g} apart of "
            f"{scale:.2g}): hooks, weights that were rewritten, or training mode",
            do,
        )
