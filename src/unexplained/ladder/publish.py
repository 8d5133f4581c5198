"""From finished runs to what ships: float16 checkpoints and `ladder.json`."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import LlamaForCausalLM

from unexplained.errors import SubjectError
from unexplained.ladder.catalogue import Catalogue, RunRole, Trained
from unexplained.ladder.recipe import Recipe
from unexplained.ladder.series import RUNGS, RunPlan, plans
from unexplained.ladder.stream import LONGEST_SEGMENT, SHORTEST_SEGMENT, Stream
from unexplained.ladder.tokenizer import save_tokenizer
from unexplained.ladder.train import cost_of
from unexplained.places import write_whole
from unexplained.subject.quiet import quiet
from unexplained.text.corpora import webmix
from unexplained.text.tokens import Encoder
from unexplained.whole import SUMS, wrong_in

HELD_OUT_ROWS = 1024


@dataclass(frozen=True)
class _Made:
    """A checkpoint of a run, before it is published."""

    name: str
    role: RunRole
    folder: Path
    step: int
    plan: RunPlan


def publish(
    runs: Path, folder: Path, tokenizer: Any, data: Stream, say: Callable[[str], None]
) -> Path:
    """Write every finished run's checkpoints into `folder`; the path of its `ladder.json`.

    Raises:
        SubjectError: No run is finished.
    """
    made = finished(runs)
    save_tokenizer(tokenizer, folder / "tokenizer")
    found, first = [], cost_of(runs / made[0].plan.recipe.name)
    for one in made:
        say(one.name)
        found.append(_publish(one, runs, folder, data))
    catalogue = Catalogue(
        corpus=f"{webmix.PACKAGE}, fit part",
        corpus_sha256=webmix.PACKAGE.sha256,
        tokenizer=Encoder(_Bare(tokenizer)).fingerprint,  # type: ignore[arg-type]
        versions={"python": platform.python_version(), "torch": first["torch"]}
        | {name: version(name) for name in ("transformers", "tokenizers")},
        machine={"processor": first["processor"], "threads": str(first["threads"])},
        models=tuple(sorted(found, key=lambda one: (one.role, one.compute, one.seed))),
    )
    return write_whole(
        folder / "ladder.json", catalogue.model_dump_json(indent=1) + "\n", "catalogue"
    )


def finished(runs: Path) -> list[_Made]:
    """The checkpoints of every finished run.

    Raises:
        SubjectError: No run is finished.
    """
    made = [one for name, plan in plans().items() for one in _made(runs / name, plan)]
    if not made:
        raise SubjectError(f"The runs in {runs}", "none of them is finished", "Train some first.")
    return made


@dataclass(frozen=True)
class _Bare:
    """As much of a subject as a tokenizer's fingerprint needs."""

    tokenizer: Any


def _made(run: Path, plan: RunPlan) -> list[_Made]:
    if not (run / "final").is_dir():
        return []
    name, recipe = plan.recipe.name, plan.recipe
    role: RunRole = "attention only" if not recipe.mlp else "rung"
    if "-annealed-" in name:
        role = "annealed"
    found = [_Made(name, role, run / "final", recipe.steps, plan)]
    for step in plan.checkpoints:
        kind: RunRole = role if role == "attention only" else "checkpoint"
        found.append(_Made(f"{name}-step-{step}", kind, run / f"step-{step}", step, plan))
    return found


def _publish(one: _Made, runs: Path, folder: Path, data: Stream) -> Trained:
    recipe = one.plan.recipe
    if (one.folder / SUMS).exists() and (why := wrong_in(one.folder, one.folder.name)):
        raise SubjectError(
            f"The checkpoint {one.folder}", f"it is damaged: {why}", "Train the run again."
        )
    # Assembled beside its place: a checkpoint is there whole or not at all.
    draft, place = folder / f".{one.name}.part", folder / one.name
    if place.is_symlink() or (place.exists() and not (place / "config.json").is_file()):
        raise SubjectError(
            f"The checkpoint {place}", "something else is there", "Give another folder as out."
        )
    shutil.rmtree(draft, ignore_errors=True)
    with quiet():
        model = LlamaForCausalLM.from_pretrained(
            one.folder, dtype=torch.float16, use_safetensors=True, local_files_only=True
        )
        model.save_pretrained(draft)
    (draft / "generation_config.json").unlink(missing_ok=True)
    shutil.rmtree(place, ignore_errors=True)
    draft.replace(place)
    cost = cost_of(runs / recipe.name)
    base = recipe.name.split("-seed-")[0].split("-annealed-")[0]
    tokens = one.step * recipe.rows * (recipe.context - 1)
    return Trained(
        name=one.name,
        role=one.role,
        rung=next((i for i, rung in enumerate(RUNGS, start=1) if rung.name == base), 0),
        seed=recipe.seed,
        step=one.step,
        steps=recipe.steps,
        width=recipe.width,
        layers=recipe.layers,
        heads=recipe.heads,
        parameters=sum(weight.numel() for weight in model.parameters()),
        tokens=tokens,
        compute=float(recipe.flops_per_token * tokens),
        repeats=recipe.repeats,
        context=recipe.context,
        segments=(SHORTEST_SEGMENT, LONGEST_SEGMENT) if recipe.repeats else None,
        held_out=held_out_loss(model.float(), recipe, data.held_out),
        seconds=round(cost["seconds"], 1),
        memory=cost["memory"],
    )


def held_out_loss(model: Any, recipe: Recipe, tokens: NDArray[np.int32]) -> float:
    """Loss on the beginning of the documents kept back from training (nats per token)."""
    length = recipe.context - 1
    count = min(HELD_OUT_ROWS, len(tokens) // length)
    rows = torch.zeros(count, recipe.context, dtype=torch.long)
    rows[:, 1:] = torch.from_numpy(tokens[: count * length].astype(np.int64)).view(count, length)
    total = 0.0
    with torch.no_grad():
        for batch in torch.split(rows, 32):
            logits = model.eval()(batch[:, :-1], use_cache=False).logits.flatten(0, 1)
            target = batch[:, 1:].flatten()
            total += torch.nn.functional.cross_entropy(logits, target, reduction="sum").item()
    return total / (count * length)
