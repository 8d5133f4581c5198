"""Train a rung: AdamW, warm-up, constant rate, linear decay; killed runs go on where they were."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from safetensors.torch import load, save
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from unexplained.errors import SubjectError
from unexplained.ladder.interventions import intervene
from unexplained.ladder.recipe import Recipe
from unexplained.ladder.stream import rows
from unexplained.subject.precision import processor
from unexplained.subject.quiet import quiet
from unexplained.whole import (
    BLANK,
    SUMS,
    clean,
    flush_folder,
    is_sealed,
    read_sealed,
    seal,
    set_aside,
    write_flushed,
    write_sums,
    wrong_in,
)

StepDone = Callable[[int, float], None]
"""Told the step and the running loss."""

BETAS, CLIP = (0.9, 0.98), 1.0

KEEP_EVERY = 30.0
"""Seconds between states kept on disk."""


def build(recipe: Recipe) -> LlamaForCausalLM:
    """The model at step 0: an ordinary Llama; without MLPs one whose MLPs are zero and stay so."""
    config = LlamaConfig(
        vocab_size=recipe.vocabulary,
        hidden_size=recipe.width,
        intermediate_size=recipe.hidden,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        head_dim=recipe.inner // recipe.heads,
        max_position_embeddings=512,
        tie_word_embeddings=recipe.tied,
        attention_bias=recipe.attention_bias,
        rope_parameters={"rope_type": "default", "rope_theta": recipe.rotary_base},
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = LlamaForCausalLM(config)
    if not recipe.mlp:
        for layer in model.model.layers:
            for weight in layer.mlp.parameters():
                nn.init.zeros_(weight)
                weight.requires_grad_(False)
    intervene(model, recipe.intervention)
    return model


def train(
    recipe: Recipe,
    tokens: NDArray[np.int32],
    folder: Path,
    *,
    checkpoints: Collection[int] = (),
    say: StepDone = lambda step, loss: None,
) -> Path:
    """Run a recipe to its end and return the folder of the finished checkpoint.

    What is in `folder` of the same recipe is taken up; a finished run is not repeated.

    Args:
        recipe: What to train.
        tokens: The stream to train on.
        folder: Where the run lives: `final/`, `step-…/` and the state of an unfinished run.
        checkpoints: Steps after which the weights are kept.
        say: Told about progress, about every second.

    Raises:
        SubjectError: The folder holds another recipe's run, another process is at it, or the loss
            is not finite.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _held(folder, recipe):
        _claim(folder, recipe)
        final = folder / "final"
        damaged = [
            set_aside_unless_whole(place)
            for place in (final, *(folder / f"step-{step}" for step in checkpoints))
        ]
        if not final.is_dir() or any(damaged):
            _train(recipe, tokens, folder, checkpoints, say)
        return final


def _train(
    recipe: Recipe,
    tokens: NDArray[np.int32],
    folder: Path,
    checkpoints: Collection[int],
    say: StepDone,
) -> None:
    """From the last state, or from the beginning, to the end."""
    model = build(recipe).train()
    optimizer = _optimizer(model, recipe)
    step, before = _restore(folder, model, optimizer)
    begun = kept = told = time.monotonic()
    while step < recipe.steps:
        if step in checkpoints:
            keep(model, folder / f"step-{step}")
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate_at(step)
        loss = _step(model, optimizer, torch.from_numpy(rows(recipe, tokens, step)))
        step += 1
        if time.monotonic() - told > 1 or step == recipe.steps:
            told, value = time.monotonic(), float(loss)
            if not np.isfinite(value):
                raise SubjectError(
                    f"Training {recipe.name}",
                    f"the loss is {value} at step {step}",
                    "Lower its learning rate.",
                )
            say(step, value)
        if time.monotonic() - kept > KEEP_EVERY:
            kept = time.monotonic()
            _save(folder, model, optimizer, step, before + kept - begun)
    cost = {"seconds": before + time.monotonic() - begun, "memory": _memory(),
            "threads": torch.get_num_threads(), "processor": processor(),
            "torch": torch.__version__}  # fmt: skip
    cost["seal"] = BLANK.decode()
    _write(folder / COST, seal(json.dumps(cost, indent=1).encode(), COST))
    keep(model, folder / "final")
    for name in (STATE, BEFORE):
        (folder / name).unlink(missing_ok=True)


STATE, BEFORE, COST = "state.safetensors", "state.before.safetensors", "cost.json"
"""The last state, the one before it (for the day that the last is damaged), and what it took."""


def cost_of(folder: Path) -> dict[str, Any]:
    """What a finished run took.

    Raises:
        SubjectError: It was not written down, or that is damaged.
    """
    try:
        data = (folder / COST).read_bytes()
        if is_sealed(data, COST):
            return dict(json.loads(data))
        why = "it is not what was written"
    except OSError as error:
        why = error.strerror or str(error)
    raise SubjectError(
        f"The cost of the run in {folder}", f"{COST} cannot be read ({why})",
        "Remove the folder and train it again.",
    )  # fmt: skip


@contextmanager
def _held(folder: Path, recipe: Recipe) -> Iterator[None]:
    """Keep other processes out of a run's folder."""
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise SubjectError(
            f"Training {recipe.name} in {folder}", "another process is at it",
            "Wait for it, or give another folder.",
        ) from None  # fmt: skip
    try:
        clean(folder)
        yield
    finally:
        lock.release()


def _write(path: Path, data: bytes) -> None:
    try:
        write_flushed(path, data)
    except OSError as error:
        raise SubjectError(
            f"Training in {path.parent}", f"{path.name} cannot be written ({error.strerror})",
            "Free some space; the same command goes on from the last state.",
        ) from error  # fmt: skip


def _memory() -> int:
    """Greatest memory of this process so far (bytes)."""
    import resource  # not on every system

    # Kilobytes on Linux, bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _step(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Tensor) -> Tensor:
    optimizer.zero_grad(set_to_none=True)
    logits = model(batch[:, :-1], use_cache=False).logits
    loss = nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
    torch.autograd.backward(loss)
    nn.utils.clip_grad_norm_(model.parameters(), CLIP)
    optimizer.step()
    return loss.detach()


def _optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW; norms and biases are not decayed."""
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    groups = [
        {"params": [w for w in trained if w.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [w for w in trained if w.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]], lr=recipe.rate, betas=BETAS, fused=True
    )


def keep(model: Any, folder: Path) -> None:
    """Write a checkpoint in one step, with its checksums; one that is there stays."""
    if folder.is_dir():
        return
    draft = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    with quiet():
        model.save_pretrained(draft)
    write_sums(draft, folder.name)
    draft.replace(folder)
    flush_folder(folder.parent)


def set_aside_unless_whole(folder: Path) -> bool:
    """A checkpoint that is not what was written does not count as one; whether it was one.

    Those of versions that wrote no checksums are taken as they are.
    """
    why = wrong_in(folder, folder.name) if (folder / SUMS).exists() else ""
    if why:
        set_aside(folder, why, "it is trained again")
    return bool(why)


_ADDED = {"intervention": ""}
"""Fields that recipes did not have from the beginning."""


def _claim(folder: Path, recipe: Recipe) -> None:
    """Refuse a folder that another recipe has begun."""
    path, mine = folder / "recipe.json", json.dumps(vars(recipe), indent=1)
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        # A recipe of before lacks what recipes have learned since: that is as it was then.
        if isinstance(known, dict) and _ADDED | known == vars(recipe):
            return
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        set_aside(path, f"it is no recipe: {error}", f"it is taken to be {recipe.name}'s")
    else:
        raise SubjectError(
            f"Training {recipe.name} in {folder.name}",
            "the folder holds another recipe's run",
            "Give another folder, or remove this one.",
        )
    _write(path, mine.encode())


def _save(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, step: int, seconds: float
) -> None:
    """Weights and the optimizer's moments, moved into place in one step; the last one is kept."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    if model.config.tie_word_embeddings:  # type: ignore[union-attr]
        tensors.pop("model.lm_head.weight")
    for place, state in optimizer.state_dict()["state"].items():
        tensors |= {f"moments.{place}.{name}": value for name, value in state.items()}
    about = {"step": str(step), "seconds": str(seconds), "seal": BLANK.decode()}
    data = save({k: v.contiguous() for k, v in tensors.items()}, about)
    if (folder / STATE).exists():
        os.replace(folder / STATE, folder / BEFORE)
    _write(folder / STATE, seal(data, _of(folder)))


def _of(folder: Path) -> str:
    """What a state is sealed as: another recipe's is none of this run's."""
    return (folder / "recipe.json").read_text(encoding="utf-8")


def _restore(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[int, float]:
    """Take an unfinished run's state over; its step and seconds so far, 0 where there is none.

    A state that is not what was written is set aside, and the one before it taken.
    """
    then = ("the one before it is taken", "the run begins again")
    for name, instead in zip((STATE, BEFORE), then, strict=True):
        data = read_sealed(folder / name, _of(folder), instead)
        if data is not None:
            return _take(data, model, optimizer)
    return 0, 0.0


def _take(data: bytes, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[int, float]:
    weights: dict[str, Tensor] = {}
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in load(data).items():
        kind, _, rest = key.partition(".")
        if kind == "model":
            weights[rest] = value
        else:
            place, name = rest.split(".", 1)
            moments.setdefault(int(place), {})[name] = value
    model.load_state_dict(weights, strict=False)
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": moments, "param_groups": groups})
    # The format's head: its length in 8 bytes, then JSON.
    about = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    return int(about["step"]), float(about["seconds"])
