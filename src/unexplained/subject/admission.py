"""Which models may be opened: the module tree that their class makes from their configuration.

The engine watches modules by name and reads weights where they lie. Both are right only for the
plain modules of an architecture: under an adapter, a parametrisation, a compiler or a quantiser
the same names hold something else. So a model is held against a blank one of its own class, made on
torch's `meta` device, and whatever differs is refused by name. `trial` then tries the engine on it.
"""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, PreTrainedModel

from unexplained.errors import SubjectError
from unexplained.subject.architectures import architecture_of
from unexplained.subject.live import (
    ADAPTERS,
    compiled,
    described,
    global_hooks,
    interferes,
    replaced_functions,
)

MERGE = "Merge the adapter into the weights first (peft: model.merge_and_unload())."
PLAIN = "Give the model as transformers makes it (AutoModelForCausalLM.from_pretrained)."

_LIBRARIES = {"torch", "transformers"}
"""Packages whose decorators may stand around a forward."""


def require_plain(model: nn.Module) -> None:
    """Refuse a model in which a name may hold something else than in its architecture.

    Raises:
        SubjectError: What it is, and where.
    """
    _require_class(model)
    _require_weights(model)
    assert isinstance(model, PreTrainedModel)
    blank = blank_of(model)
    _require_modules(model, blank)
    if everywhere := global_hooks() or replaced_functions(model):
        raise SubjectError(_asked(model), everywhere, "Take that back while measuring.")
    for name, module in model.named_modules():
        if found := interferes(module) or _replaced(module):
            where = f"its module '{name}' {found}" if name else f"it {found}"
            raise SubjectError(_asked(model), where, "Take that away and load it again.")
    _require_shapes(model, blank)


def _asked(model: nn.Module) -> str:
    return f"A {type(model).__name__}"


def _require_class(model: nn.Module) -> None:
    asked = _asked(model)
    if hasattr(model, "_orig_mod"):
        raise SubjectError(
            asked,
            "it is compiled, and a compiled model runs past hooks",
            "Give the model before torch.compile (compiled._orig_mod).",
        )
    if hasattr(model, "peft_config") or type(model).__module__.split(".")[0] in ADAPTERS:
        raise SubjectError(asked, "it carries an adapter beside its weights", MERGE)
    if not isinstance(model, PreTrainedModel):
        raise SubjectError(asked, "it is no model of transformers", PLAIN)
    architecture = architecture_of(model)
    config: Any = model.config
    if not len(list(model.get_submodule(architecture.layers).children())):
        raise SubjectError(asked, "it has no layers", "Give a model with at least one.")
    expected = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    if not _same_forward(type(model), expected):
        raise SubjectError(
            asked,
            f"it does not predict tokens as a {expected.__name__} does",
            "Load it with its language-model head (AutoModelForCausalLM).",
        )


def _require_weights(model: nn.Module) -> None:
    """Refuse weights that are not there, not numbers of one floating type, or cannot be watched."""
    asked = _asked(model)
    weights = dict(model.named_parameters())
    for name, buffer in model.named_buffers():
        if buffer.device.type == "meta":
            _refuse_absent(asked, f"its buffer '{name}'")
    for name, weight in weights.items():
        if weight.device.type == "meta":
            _refuse_absent(asked, f"its weight '{name}'")
        if not weight.dtype.is_floating_point or torch.finfo(weight.dtype).bits < 16:
            raise SubjectError(
                asked,
                f"its weight '{name}' is quantised ({weight.dtype})",
                "Dequantise it first (model.dequantize()), or load it unquantised.",
            )
        if weight.is_inference():
            raise SubjectError(
                asked,
                f"its weight '{name}' was made inside torch.inference_mode, where nothing is "
                "noticed that happens to it",
                "Load the model outside of it.",
            )
        if type(weight.data) is not Tensor or weight.layout != torch.strided:
            raise SubjectError(
                asked,
                f"its weight '{name}' is a {type(weight.data).__name__} of layout {weight.layout}",
                PLAIN,
            )
    types = sorted({str(weight.dtype).removeprefix("torch.") for weight in weights.values()})
    if len(types) > 1:
        raise SubjectError(
            asked,
            f"its weights are of several types ({', '.join(types)})",
            "Give all of them one type, for example model.float().",
        )


def _refuse_absent(asked: str, what: str) -> NoReturn:
    raise SubjectError(
        asked,
        f"{what} has no values here (device 'meta'): weights that were not loaded, or are kept "
        "elsewhere until they are needed, cannot be read",
        "Load all of it; with a device_map, use more or larger GPUs, or dtype=torch.bfloat16.",
    )


def blank_of(model: PreTrainedModel) -> nn.Module:
    """A model of the same configuration without values."""
    config: Any = copy.deepcopy(model.config)
    expected = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    config._attn_implementation = "eager"
    try:
        with torch.device("meta"):
            blank: nn.Module = expected(config)
    except Exception as error:  # a configuration may be wrong in any way
        raise SubjectError(
            _asked(model),
            f"its class cannot be made from its configuration ({type(error).__name__}: {error})",
            "The configuration must be the one that the model was made from.",
        ) from error
    return blank


def _require_modules(model: nn.Module, blank: nn.Module) -> None:
    """Refuse other modules than the blank one's."""
    mine, right = dict(model.named_modules()), dict(blank.named_modules())
    for name, module in mine.items():
        if name not in right:
            _refuse(model, name, module, "is none that its configuration makes")
        if not _same_forward(type(module), type(right[name])):
            _refuse(model, name, module, f"stands where a {type(right[name]).__name__} belongs")
    if missing := sorted(right.keys() - mine.keys()):
        raise SubjectError(
            _asked(model),
            f"its configuration makes modules that it does not have ({_some(missing)})",
            "Change the configuration with the model, or give the whole model.",
        )


def _require_shapes(model: nn.Module, blank: nn.Module) -> None:
    """Refuse weights of other names or shapes than the blank one's."""
    shapes = {name: tuple(w.shape) for name, w in model.named_parameters(remove_duplicate=False)}
    wanted = {name: tuple(w.shape) for name, w in blank.named_parameters(remove_duplicate=False)}
    # A bias where there was none changes what is computed and not where it is.
    extra = {n for n in shapes.keys() - wanted.keys() if n.endswith(".bias")}
    differ = [n for n in sorted(shapes | wanted) if shapes.get(n) != wanted.get(n)]
    differ = [n for n in differ if n not in extra]
    if differ:
        first = differ[0]
        raise SubjectError(
            _asked(model),
            f"its weight '{first}' has shape {shapes.get(first, 'none')} where its configuration "
            f"makes {wanted.get(first, 'none')} ({len(differ)} such)",
            "Change the configuration with the model, or take away what was added.",
        )


def _refuse(model: nn.Module, name: str, module: nn.Module, found: str) -> None:
    what, do = described(module), PLAIN
    if "adapter" in what or "lora" in name.lower():
        do = MERGE
    elif hasattr(module, "parametrizations"):
        what = f"{what} with parametrised weights"
        do = "Make that permanent (torch.nn.utils.parametrize.remove_parametrizations)."
    raise SubjectError(_asked(model), f"its module '{name}', {what}, {found}", do)


def _same_forward(kind: type, expected: type) -> bool:
    """Whether a class computes by the very same functions."""
    if kind is expected:
        return True
    mine: Any = kind
    right: Any = expected
    return issubclass(kind, expected) and all(
        getattr(mine, name) is getattr(right, name) for name in ("forward", "__call__")
    )


def _replaced(module: nn.Module) -> str:
    """Whether a forward is not its class's own; empty if it is."""
    if "forward" in vars(module) and "_hf_hook" not in vars(module):
        return f"has been given another forward{compiled(vars(module)['forward'])}"
    kind = type(module)
    owner = next(base for base in kind.__mro__ if "forward" in vars(base))
    home = getattr(sys.modules.get(owner.__module__), "__file__", None)
    layer: Any = vars(owner)["forward"]
    while layer is not None:
        file = getattr(getattr(layer, "__code__", None), "co_filename", None)
        if file is not None and file != home and not _LIBRARIES & set(Path(file).parts):
            return f"has a forward that was put in its class's place ({Path(file).name})"
        layer = getattr(layer, "__wrapped__", None)
    return ""


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
