"""Where an unfinished refit is: what goes on from there gives the same bits as what was never interrupted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from safetensors.torch import load, save
from torch import Tensor

from unexplained.evaluate.store import Store
from unexplained.whole import BLANK

EVERY = 30.0
"""Seconds of training after which it is kept, at the next look."""


@dataclass(frozen=True)
class State:
    """A refit after some steps. Which batch comes next is drawn by its seed, so that no generator has a state."""

    step: int
    weights: Mapping[str, Tensor]
    best: Mapping[str, Tensor]
    looks: tuple[float, ...]
    """Losses so far on the documents that it stops by."""
    moments: Mapping[int, Mapping[str, Tensor]] = field(default_factory=dict)
    """AdamW's, by number of the weight."""

    def keep(self, store: Store, unit: str) -> None:
        """Write it in the place of the one before."""
        found = {f"weights {name}": weight for name, weight in self.weights.items()}
        found |= {f"best {name}": weight for name, weight in self.best.items()}
        for number, moments in self.moments.items():
            found |= {f"moments {number} {name}": one for name, one in moments.items()}
        found["looks"] = torch.tensor(self.looks, dtype=torch.float64)
        found["step"] = torch.tensor(self.step)
        plain = {name: one.detach().cpu().clone() for name, one in found.items()}
        store.write(_file(unit), save(plain, {"seal": BLANK.decode()}))

    @classmethod
    def of(cls, store: Store, unit: str, device: torch.device) -> State | None:
        """What is kept; None where nothing is, or it is not what was written."""
        data = store.read(_file(unit))
        if data is None:
            return None
        parts: dict[str, dict[str, Tensor]] = {"weights": {}, "best": {}}
        moments: dict[int, dict[str, Tensor]] = {}
        found = {name: one.clone() for name, one in load(data).items()}
        for key, one in found.items():
            kind, _, name = key.partition(" ")
            if kind == "moments":
                number, _, name = name.partition(" ")
                moments.setdefault(int(number), {})[name] = one
            elif kind in parts:
                parts[kind][name] = one.to(device)
        looks = tuple(found["looks"].tolist())
        return cls(int(found["step"]), parts["weights"], parts["best"], looks, moments)

    @staticmethod
    def forget(store: Store, unit: str) -> None:
        """It is finished."""
        (store.folder / _file(unit)).unlink(missing_ok=True)


def _file(unit: str) -> str:
    return f"{unit}.state"
