"""Objects for another process: pickled in the user's own cluster, their tensors beside them.

A tensor travels as the memory that it spans, with its strides, so that a product there is the
same product as here; one that is met twice (tied weights) travels once and is one again there.
What both sides have already, such as the model, is only named.
"""

from __future__ import annotations

import importlib
import io
import pickle
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unexplained.subject import Subject
from unexplained.subject.anatomy import Anatomy


@dataclass(frozen=True)
class Raw:
    """A tensor's memory from its first entry to its last, and how to read it."""

    memory: np.ndarray
    """Bytes."""
    dtype: torch.dtype
    size: tuple[int, ...]
    stride: tuple[int, ...]
    device: str
    requires_grad: bool
    parameter: bool

    @classmethod
    def of(cls, tensor: Tensor) -> Raw:
        """Take a strided tensor's memory; on the CPU it is shared, not copied."""
        size, stride = tuple(tensor.shape), tensor.stride()
        span = 1 + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        flat = tensor.detach().as_strided((span if tensor.numel() else 0,), (1,))
        return cls(
            flat.cpu().view(torch.uint8).numpy(), tensor.dtype, size, stride, str(tensor.device),
            tensor.requires_grad, isinstance(tensor, nn.Parameter),
        )  # fmt: skip

    def tensor(self, place: Callable[[str], torch.device]) -> Tensor:
        """The tensor in memory of its own, where `place` puts what was on its device."""
        # Not the numpy array itself: it is read-only, and torch aligns what it allocates.
        flat = torch.empty(len(self.memory), dtype=torch.uint8)
        flat.numpy()[:] = self.memory
        made = flat.view(self.dtype).to(place(self.device)).as_strided(self.size, self.stride)
        if self.parameter:
            return nn.Parameter(made, requires_grad=self.requires_grad)
        return made.requires_grad_(self.requires_grad)


@dataclass(frozen=True)
class Shipped:
    """A pickled object, and the tensors that it holds by their number."""

    pickled: bytes
    tensors: tuple[Raw, ...]


def pack(thing: object, known: Mapping[str, object] | None = None) -> Shipped:
    """Make an object ready for another process; the objects in `known` go by their name.

    What is defined in modules that are not installed, such as a script or a file of
    explanations, travels as code: the user's own, in the user's own cluster.
    """
    cloudpickle: Any = importlib.import_module("ray.cloudpickle")
    names = {id(item): name for name, item in (known or {}).items()}
    tensors: dict[int, tuple[int, Tensor]] = {}

    class Pickler(cloudpickle.CloudPickler):  # type: ignore[misc]
        def persistent_id(self, item: object) -> str | int | None:
            if id(item) in names:
                return names[id(item)]
            if isinstance(item, Tensor) and _plain(item):
                return tensors.setdefault(id(item), (len(tensors), item))[0]
            return None

    into = io.BytesIO()
    with _by_value(cloudpickle):
        Pickler(into, protocol=pickle.HIGHEST_PROTOCOL).dump(thing)
    return Shipped(into.getvalue(), tuple(Raw.of(tensor) for _, tensor in tensors.values()))


def unpack(shipped: Shipped, known: Mapping[str, object] | None = None) -> Any:
    """Make the object again, in a process that has the same `known`; tensors go where they fit."""
    tensors = [raw.tensor(_nearest) for raw in shipped.tensors]

    class Unpickler(pickle.Unpickler):
        def persistent_load(self, name: str | int) -> object:
            return tensors[name] if isinstance(name, int) else (known or {})[name]

    return Unpickler(io.BytesIO(shipped.pickled)).load()


def parts_of(subject: Subject) -> dict[str, object]:
    """The objects that a model's edits may hold on to, by a name that every copy of it has."""
    model = subject.anatomy.model
    return {
        "subject": subject,
        "anatomy": subject.anatomy,
        "tokenizer": subject.tokenizer,
        **{f"module {name}": module for name, module in model.named_modules()},
        **{f"parameter {name}": weight for name, weight in model.named_parameters()},
        **{f"buffer {name}": buffer for name, buffer in model.named_buffers()},
    }


@dataclass(frozen=True)
class Blueprint:
    """How to make a subject again from its parts."""

    name: str
    model: nn.Module
    tokenizer: Any
    precision: Any
    notes: tuple[str, ...]

    @classmethod
    def of(cls, subject: Subject) -> Blueprint:
        """Take a subject's parts, without what was computed from them."""
        return cls(
            subject.name, subject.anatomy.model, subject.tokenizer, subject.precision, subject.notes
        )

    def __call__(self) -> Subject:
        """The subject again."""
        anatomy = Anatomy.of(self.model)
        return Subject(self.name, anatomy, self.tokenizer, self.precision, self.notes)


def _plain(tensor: Tensor) -> bool:
    """Whether memory and strides say everything."""
    return (
        type(tensor) in (Tensor, nn.Parameter)
        and tensor.layout == torch.strided
        and tensor.device.type != "meta"
        and not (tensor.is_quantized or tensor.is_conj() or tensor.is_neg())
    )


def _nearest(device: str) -> torch.device:
    """The same device, or the first of its kind where a worker has fewer."""
    wanted = torch.device(device)
    if wanted.type == "cuda" and (wanted.index or 0) >= torch.cuda.device_count():
        return torch.device("cuda", 0)
    return wanted


@contextmanager
def _by_value(cloudpickle: Any) -> Iterator[None]:
    """Within, what the user's own modules define goes whole: only installed ones are there too."""
    already = cloudpickle.list_registry_pickle_by_value()
    own = [
        module
        for name, module in list(sys.modules.items())
        if "." not in name and name not in already and _own(name, module)
    ]
    for module in own:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in own:
            cloudpickle.unregister_pickle_by_value(module)


def _own(name: str, module: ModuleType) -> bool:
    """Whether a module is neither Python's, nor installed, nor this package (being edited)."""
    file = getattr(module, "__file__", None)
    if file is None or name in ("__main__", __package__.partition(".")[0]):
        return False
    path = Path(file)
    standard = (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
    installed = {"site-packages", "dist-packages"} & set(path.parts)
    # Under another name it could not be found again among the modules.
    known = module.__name__ == name
    return known and not installed and not any(path.is_relative_to(root) for root in standard)
