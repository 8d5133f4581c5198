"""Train a rung: AdamW, warm-up, constant rate, linear decay; killed runs go on where they were."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from unexplained.errors import SubjectError
from unexplained.ladder.recipe import Recipe
from unexplained.ladder.stream import rows
from unexplained.record import write_whole
from unexplained.subject.precision import processor
from unexplained.subject.quiet import quiet

Say = Callable[[int, float], None]
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
    return model


def train(
    recipe: Recipe,
    tokens: NDArray[np.int32],
    folder: Path,
    *,
    checkpoints: Collection[int] = (),
    say: Say = lambda step, loss: None,
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
        SubjectError: The folder holds another recipe's run, or the loss is not finite.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder, recipe)
    final = folder / "final"
    if final.is_dir():
        return final
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
    write_whole(folder / COST, json.dumps(cost, indent=1), "cost of a run")
    keep(model, final)
    (folder / STATE).unlink(missing_ok=True)
    return final


STATE, COST = "state.safetensors", "cost.json"


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
    """Write a checkpoint in one step; one that is there stays."""
    if folder.is_dir():
        return
    draft = folder.with_name(f".{folder.name}.part")
    with quiet():
        model.save_pretrained(draft)
    draft.replace(folder)


def _claim(folder: Path, recipe: Recipe) -> None:
    """Refuse a folder that another recipe has begun."""
    path, mine = folder / "recipe.json", json.dumps(vars(recipe), indent=1)
    if path.is_file() and path.read_text(encoding="utf-8") != mine:
        raise SubjectError(
            f"Training {recipe.name} in {folder.name}",
            "the folder holds another recipe's run",
            "Give another folder, or remove this one.",
        )
    path.write_text(mine, encoding="utf-8")


def _save(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, step: int, seconds: float
) -> None:
    """Weights and the optimizer's moments, moved into place in one step."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    if model.config.tie_word_embeddings:  # type: ignore[union-attr]
        tensors.pop("model.lm_head.weight")
    for place, state in optimizer.state_dict()["state"].items():
        tensors |= {f"moments.{place}.{name}": value for name, value in state.items()}
    draft = folder / f".{STATE}.part"
    save_file(
        {k: v.contiguous() for k, v in tensors.items()},
        draft,
        {"step": str(step), "seconds": str(seconds)},
    )
    os.replace(draft, folder / STATE)


def _restore(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[int, float]:
    """Take an unfinished run's state over; its step and seconds so far, 0 where there is none."""
    path = folder / STATE
    if not path.is_file():
        return 0, 0.0
    weights: dict[str, Tensor] = {}
    moments: dict[int, dict[str, Tensor]] = {}
    with safe_open(path, framework="pt") as file:
        about = file.metadata()
        for key in file.keys():  # noqa: SIM118  (it is not a mapping)
            kind, _, rest = key.partition(".")
            if kind == "model":
                weights[rest] = file.get_tensor(key)
            else:
                place, name = rest.split(".", 1)
                moments.setdefault(int(place), {})[name] = file.get_tensor(key)
    model.load_state_dict(weights, strict=False)
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": moments, "param_groups": groups})
    return int(about["step"]), float(about["seconds"])
