"""What `load` changes about a model that somebody else owns, and how it is put back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

from unexplained.subject.ambient import LOCK

_OPEN: WeakKeyDictionary[nn.Module, list[Lent]] = WeakKeyDictionary()
"""Of every model that is open how it was before, once for each time that it was opened."""


@dataclass(frozen=True)
class Lent:
    """A model's attention, its modules' modes and its device, as they were before it was opened."""

    model: nn.Module
    attention: str
    training: tuple[nn.Module, ...]
    """Modules that were in training mode."""
    device: torch.device | None
    """None where weights lie on several."""

    @classmethod
    def of(cls, model: nn.Module) -> Lent:
        """Remember how a model is, or was when it was first opened."""
        with LOCK:
            already = _OPEN.setdefault(model, [])
            if already:
                already.append(already[0])
                return already[0]
            config: Any = model.config
            devices = {weight.device for weight in model.parameters()}
            lent = cls(
                model,
                str(config._attn_implementation),
                tuple(module for module in model.modules() if module.training),
                devices.pop() if len(devices) == 1 else None,
            )
            already.append(lent)
            return lent

    def give_back(self) -> None:
        """Put all of it back, once nobody has it open any more."""
        with LOCK:
            opened = _OPEN.get(self.model, [])
            if opened:
                opened.pop()
            if opened:
                return
            self.model.set_attn_implementation(self.attention)  # type: ignore[operator]
            for module in self.training:
                module.training = True
            if self.device is not None:
                self.model.to(self.device)
