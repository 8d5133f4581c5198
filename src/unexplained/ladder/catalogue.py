"""What is known of every model that we trained: read from `models/ladder.json`. No torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from unexplained.errors import SubjectError, near_matches
from unexplained.ladder.recipe import CONTEXT
from unexplained.record.base import Frozen
from unexplained.subject.shipped import FOLDER

RunRole = Literal["rung", "checkpoint", "annealed", "attention only"]


class Trained(Frozen):
    """One checkpoint that we trained, and what training it took."""

    name: str
    role: RunRole
    """`rung`: trained near its compute-optimal point. `checkpoint`: the run of a rung, as it stood
    after some steps. `annealed`: a rung's size on less data, its rate brought to zero.
    `attention only`: without MLPs, on data enriched with repeats, no part of any curve."""
    rung: int
    """Place in the series, from 1; 0 for attention-only models."""
    seed: int
    step: int
    steps: int
    """Steps of the whole run."""
    width: int
    layers: int
    heads: int
    parameters: int
    tokens: int
    """Tokens predicted in training up to here."""
    compute: float
    """FLOPs of training up to here, counted (`Recipe.flops_per_token`)."""
    repeats: float
    """Share of the training rows with repeated random segments; 0 is natural text alone."""
    held_out: float
    """Loss on documents of the fit part that were not trained on (nats per token)."""
    seconds: float
    """How long the run took; of checkpoints, the whole run."""
    memory: int
    """Greatest memory of the training process (bytes)."""
    context: int = CONTEXT
    """Tokens of a training row: of positions beyond it the model has seen nothing."""
    segments: tuple[int, int] | None = None
    """Shortest and longest of those segments; null where there are none."""


class Catalogue(Frozen):
    """All of them."""

    corpus: str
    corpus_sha256: str
    tokenizer: str
    """Fingerprint of the tokenizer that they share."""
    versions: dict[str, str]
    machine: dict[str, str]
    models: tuple[Trained, ...]

    def named(self, name: str) -> Trained:
        """The model of that name.

        Raises:
            SubjectError: There is none.
        """
        for one in self.models:
            if one.name == name:
                return one
        known = [one.name for one in self.models]
        raise SubjectError(
            f"The trained model '{name}'", "there is none of that name", near_matches(name, known)
        )

    def rungs(self) -> tuple[Trained, ...]:
        """Every rung with every seed, from the smallest compute on."""
        found = [one for one in self.models if one.role == "rung"]
        return tuple(sorted(found, key=lambda one: (one.rung, one.seed)))

    def with_seeds(self, names: Sequence[str]) -> list[str]:
        """The models named and, of every rung named without a seed, its other seeds.

        Raises:
            SubjectError: There is none of a name.
        """
        wanted: dict[str, None] = {}
        for name in names:
            mine = self.named(name)
            first = mine.role == "rung" and not mine.seed
            for one in self.rungs() if first else (mine,):
                if not first or one.rung == mine.rung:
                    wanted[one.name] = None
        return list(wanted)

    def left_out(self, names: Sequence[str]) -> list[str]:
        """Runs that ship of the rungs among the names, and are not among them: chosen away."""
        named = {one.rung for one in self.rungs() if one.name in names}
        return [one.name for one in self.rungs() if one.rung in named and one.name not in names]

    def run_of(self, rung: int, role: RunRole) -> tuple[Trained, ...]:
        """Checkpoints, or annealed shorter runs, of a rung, from the earliest on."""
        found = [one for one in self.models if one.rung == rung and one.role == role]
        return tuple(sorted(found, key=lambda one: one.compute))


@lru_cache(maxsize=1)
def catalogue() -> Catalogue:
    """What ships with the package."""
    return Catalogue(**json.loads((FOLDER / "ladder.json").read_text(encoding="utf-8")))
