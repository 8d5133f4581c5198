"""What a model is now: told apart by a fingerprint, and held against what it was when it was opened.

A model in memory belongs to whoever gave it, and anybody may go on changing it. What it computes is
always its own forward pass as it stands, so changed weights give changed numbers; what must not
happen is that a number kept for other weights is found again, or that something stands between the
engine and the modules it watches.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules import module as torch_module

from unexplained.errors import SubjectError
from unexplained.subject.attention import NAME

_ELSEWHERE = ("_name_or_path", "transformers_version", "dtype", "architectures", "_attn")
"""Configuration entries that say where a copy came from, not what it computes."""

_IDLE = ("use_cache", "output_", "return_dict", "id2label", "label2id", "_", *_ELSEWHERE)
"""Entries that may change under an open model: a pass does not read them."""

_OF_A_COPY = ("training", "name_or_path", "gradient_checkpointing", "max_seq_len_cached")
"""Plain attributes of modules that differ between copies of one model, or change in a pass."""

_PLAIN = (bool, int, float, str, torch.dtype, type(None))


def fingerprint(model: nn.Module) -> str:
    """First 16 hex digits of a SHA-256 over all that a model's predictions depend on.

    Its configuration; every module's class and plain attributes; all weights and buffers, those
    that no checkpoint has among them. A third of a second for 135M float32 weights.
    """
    digest = hashlib.sha256()
    config: Any = model.config
    settings = {k: v for k, v in config.to_diff_dict().items() if not k.startswith(_ELSEWHERE)}
    digest.update(repr(sorted(settings.items(), key=str)).encode())
    for name, module in model.named_modules(remove_duplicate=False):
        kind = type(module)
        plain = sorted((k, v) for k, v in vars(module).items() if _counts(k, v))
        digest.update(f"{name} {kind.__module__}.{kind.__qualname__} {plain}".encode())
    known: dict[int, int] = {}
    for name, tensor in _named_tensors(model):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        again = known.setdefault(id(tensor), len(known))
        digest.update(again.to_bytes(8, "little"))
        if again == len(known) - 1:
            digest.update(memory_of(tensor).data)
    return digest.hexdigest()[:16]


def memory_of(tensor: Tensor) -> NDArray[np.uint8]:
    """A tensor's values as bytes, row by row; numpy itself has no bfloat16."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    # One value repeated counts as contiguous with any step, and only a step of 1 can be viewed.
    return flat.as_strided((len(flat),), (1,)).view(torch.uint8).numpy()


def counters(model: nn.Module) -> tuple[tuple[int, int, int], ...]:
    """Identity, address and version of every weight: cheap, and different after a change.

    A write through `.data` is not counted by torch, and buffers of no checkpoint are left out: some
    rotary embeddings write theirs in every pass. `fingerprint` sees both.
    """
    return tuple(
        (id(tensor), tensor.data_ptr(), tensor._version)
        for module in model.modules()
        for tensor in (*module._parameters.values(), *_kept_buffers(module))
        if tensor is not None
    )


def _kept_buffers(module: nn.Module) -> list[Tensor | None]:
    left_out = module._non_persistent_buffers_set
    return [buffer for name, buffer in module._buffers.items() if name not in left_out]


def _named_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters(remove_duplicate=False)
    yield from model.named_buffers(remove_duplicate=False)


def _counts(name: str, value: object) -> bool:
    return not name.startswith("_") and name not in _OF_A_COPY and isinstance(value, _PLAIN)


@dataclass(frozen=True)
class _Module:
    """One module as it was."""

    name: str
    module: nn.Module
    kind: type
    children: tuple[nn.Module | None, ...]
    forward: object
    """One of its own in the class's place: accelerate's, which moves values between devices."""
    weights: tuple[tuple[torch.dtype, torch.device], ...]

    @classmethod
    def of(cls, name: str, module: nn.Module) -> _Module:
        forward = vars(module).get("forward")
        children = tuple(module._modules.values())
        return cls(name, module, type(module), children, forward, _kinds(module))

    def change(self) -> str:
        """What is different or in the way now; empty if nothing is."""
        module = self.module
        if interference := interferes(module):
            return interference
        if type(module) is not self.kind:
            return f"is now a {type(module).__name__}, not a {self.kind.__name__}"
        if module._modules or self.children:
            now = tuple(module._modules.values())
            if len(now) != len(self.children):
                return f"has {len(now)} modules in it, where it had {len(self.children)} before"
            for old, new in zip(self.children, now, strict=True):
                if old is not new:
                    was = type(old).__name__
                    return f"has another module in the place of its {was}: {described(new)}"
        forward = module.__dict__.get("forward")
        if forward is not self.forward:
            return f"has been given another forward{compiled(forward)}"
        if (weights := _kinds(module)) != self.weights:
            return _of_weights(weights, self.weights)
        return "is in training mode" if module.training else ""


def _kinds(module: nn.Module) -> tuple[tuple[torch.dtype, torch.device], ...]:
    return tuple([(w.dtype, w.device) for w in module._parameters.values() if w is not None])


def _of_weights(
    now: tuple[tuple[torch.dtype, torch.device], ...],
    before: tuple[tuple[torch.dtype, torch.device], ...],
) -> str:
    """What is wrong with weights of another type or place; a type as wide or wider is not."""
    places = [str(device) for _, device in now]
    if places != [str(device) for _, device in before]:
        return f"has been moved to {', '.join(dict.fromkeys(places))} since it was opened"
    for kind, _ in now:
        if not kind.is_floating_point or torch.finfo(kind).bits < 32:
            name = str(kind).removeprefix("torch.")
            return f"has been turned into half precision or less ({name}) since it was opened"
    return ""


def described(module: nn.Module | None) -> str:
    """What a module is that stands where another belongs."""
    kind = type(module)
    if hasattr(module, "_orig_mod"):
        return f"a compiled one ({kind.__name__}), which runs past hooks"
    if hasattr(module, "base_layer") or kind.__module__.split(".")[0] in ADAPTERS:
        return f"an adapter ({kind.__name__})"
    wrapped = any(True for _ in module.children()) if module is not None else False
    return f"a {kind.__name__}" + (" wrapped around something" if wrapped else "")


ADAPTERS = ("peft", "adapters")
"""Packages whose modules stand around a model's own."""


def compiled(forward: object) -> str:
    """Says so if a forward is a compiled one."""
    made = hasattr(forward, "_torchdynamo_orig_callable") or "dynamo" in type(forward).__module__
    return " that is compiled" if made else ""


def interferes(module: nn.Module) -> str:
    """What stands between a module's callers and its forward; empty if nothing does.

    Hooks of ours act in their own pass alone, and those of transformers only look.
    """
    for hooks in (module._forward_pre_hooks, module._forward_hooks):
        for hook in hooks.values() if hooks else ():
            home = str(getattr(hook, "__module__", ""))
            if not home.startswith(("unexplained.", "transformers.")):
                name = getattr(hook, "__qualname__", type(hook).__name__)
                return f"has a hook that is not ours ({name})"
    if module._compiled_call_impl is not None:
        return "is compiled, and a compiled module runs past hooks"
    return ""


def global_hooks() -> str:
    """Hooks on all modules of the process; empty if there are none."""
    if torch_module._global_forward_hooks or torch_module._global_forward_pre_hooks:
        return "a hook is registered on all modules of this process"
    return ""


_COMPUTES = ("torch", "torch.nn.functional")
"""Modules whose functions every architecture calls, besides those where its own classes are."""

_KNOWN = {
    "torch", "transformers", "unexplained", "safetensors", "huggingface_hub", "tokenizers", "numpy",
    "accelerate", "packaging", "peft", "torchao", "torchvision", "deepspeed", "kernels", "sympy", "tqdm",
    *sys.stdlib_module_names,
}  # fmt: skip
"""Packages of which transformers and torch import functions themselves."""


def replaced_functions(model: nn.Module) -> str:
    """A function of somebody's in the place of one that the model's classes call; empty if none.

    Libraries that patch architectures put theirs into the namespaces where classes look them up. The
    numbers are then those of what is called, and not those that were kept before.
    """
    homes = dict.fromkeys([*_COMPUTES, *(type(module).__module__ for module in model.modules())])
    for home in homes:
        for name, value in vars(sys.modules[home]).items() if home in sys.modules else ():
            # Dynamo leaves what it compiled there, under names that nobody writes.
            if isinstance(value, FunctionType) and not name.startswith("__"):
                root = str(value.__module__).split(".")[0]
                if root not in _KNOWN:
                    return f"the function {name} of {home} is one of {root}"
    return ""


@dataclass(frozen=True)
class Opened:
    """A model as it was when it was opened."""

    model: nn.Module
    modules: tuple[_Module, ...]
    forwards: tuple[tuple[Any, Any], ...]
    """Of every class of module its forward."""

    @classmethod
    def of(cls, model: nn.Module) -> Opened:
        """Remember a model as it is now."""
        modules = tuple(_Module.of(name, module) for name, module in model.named_modules())
        kinds: tuple[Any, ...] = tuple(dict.fromkeys(module.kind for module in modules))
        return cls(model, modules, tuple((k, k.forward) for k in kinds))

    def require_same(self, name: str) -> None:
        """Refuse to run a model that somebody has changed since, other than in its weights.

        A fifth of a millisecond for the 400 modules of a 135M model.

        Raises:
            SubjectError: What is in the way or different, and where.
        """
        asked = f"A pass of {name}"
        config: Any = self.model.config
        if config._attn_implementation != NAME:
            raise SubjectError(
                asked,
                f"its attention has been switched to '{config._attn_implementation}' since it was "
                "opened, so heads can be neither seen nor edited",
                "Load it again (ux.load).",
            )
        if everywhere := global_hooks():
            raise SubjectError(asked, everywhere, "Remove it while measuring.")
        for module in self.modules:
            if change := module.change():
                raise SubjectError(
                    asked,
                    f"its module '{module.name}' {change}" if module.name else f"it {change}",
                    "Take that back, or load the model again as it is now (ux.load).",
                )
        for kind, forward in self.forwards:
            if kind.forward is not forward:
                raise SubjectError(
                    asked,
                    f"the class {kind.__name__} has been given another forward",
                    "Take that back, or load the model again.",
                )


def switches(model: nn.Module) -> tuple[object, ...]:
    """All settings that a pass may read besides weights: of the configuration, and of every module.

    A few milliseconds for 400 modules.
    """
    config: Any = model.config
    settings = {k: repr(v) for k, v in vars(config).items() if not k.startswith(_IDLE)}
    plain = [
        (name, key, value)
        for name, module in model.named_modules()
        for key, value in vars(module).items()
        if _counts(key, value)
    ]
    return tuple(sorted(settings.items())), tuple(plain)
