"""When induction heads emerge in training, and what else does then: over checkpoints, and by intervention.

    python benchmarks/emergence.py train [--folder runs/emergence] [--only plain-0]
    python benchmarks/emergence.py measure [--folder runs/emergence]
    python benchmarks/emergence.py read    # the steps again, of what was measured

Two-layer models of attention alone, trained anew: as they are (three seeds), with smeared keys, and
with no previous-token head (`unexplained.ladder.interventions`). Weights stay in the folder; what was measured
goes to `results/emergence.json`. A killed run goes on where it was. The recipe is a shorter one than
`attention-2`'s, of fewer tokens and a vocabulary of 512, so that a run takes minutes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from scipy.stats import t
from transformers import LlamaForCausalLM

import unexplained as ux
from unexplained.ladder.interventions import watch, watched
from unexplained.ladder.recipe import Recipe
from unexplained.ladder.stream import Stream, fit_documents, stream
from unexplained.ladder.tokenizer import save_tokenizer, train_tokenizer
from unexplained.ladder.train import build, cost_of, train
from unexplained.study import Run, arms

HERE = Path(__file__).parent
RESULT = HERE / "results" / "emergence.json"
VOCABULARY, STEPS, CHECKPOINTS = 512, 8000, 48
FIRST = 60
"""The first checkpoint: before the rate has risen there is nothing to see."""
SHORT = Recipe(
    "attention-2-short", width=64, layers=2, heads=4, head_width=16, steps=STEPS, rows=16,
    rate=3e-3, mlp=False, tied=False, attention_bias=True, rotary_base=1000.0, weight_decay=0.01,
    repeats=0.5, context=64, vocabulary=VOCABULARY, decay=0.1,
)  # fmt: skip
HALF = 31
"""Tokens of a segment that is repeated once."""
EARLY, LATE = slice(2, 8), slice(48, 63)
"""Predictions between which the gain in context is taken (as in Olsson and others 2022)."""
MEASURES = ("induction", "previous token", "loss on repeats", "gain in context")
"""What is to emerge."""
RUNS = {
    "plain-0": SHORT,
    "smeared-0": replace(SHORT, intervention="smeared keys"),
    "held-0": replace(SHORT, intervention="no previous token"),
    "plain-1": replace(SHORT, seed=1),
    "plain-2": replace(SHORT, seed=2),
    "own-0": replace(SHORT, intervention="own position only"),
    "smeared-1": replace(SHORT, intervention="smeared keys", seed=1),
    "held-1": replace(SHORT, intervention="no previous token", seed=1),
}


def checkpoints() -> list[int]:
    """Steps after which weights are kept: evenly apart in the logarithm, the first one 0."""
    steps = np.unique(np.geomspace(FIRST, STEPS, CHECKPOINTS).round().astype(int))
    return [0, *(int(step) for step in steps[:-1])]


def data(folder: Path) -> Stream:
    """The tokens, by a tokenizer of `VOCABULARY` learned from the same documents as the ladder's."""
    from transformers import PreTrainedTokenizerFast

    path = folder / "tokenizer"
    if not (path / "tokenizer.json").is_file():
        texts = (item.text for item in fit_documents())
        save_tokenizer(train_tokenizer(texts, VOCABULARY), path)
    return stream(PreTrainedTokenizerFast.from_pretrained(path))


def train_all(folder: Path, only: str | None) -> None:
    """Every run to its end, one after another, on one thread."""
    torch.set_num_threads(1)
    tokens = data(folder).train
    for name in RUNS if only is None else [only]:
        began = time.monotonic()
        train(RUNS[name], tokens, folder / name, checkpoints=checkpoints(),
              say=partial(_say, name))  # fmt: skip
        print(name, f"{time.monotonic() - began:.0f} s", flush=True)


def _say(name: str, step: int, loss: float) -> None:
    print(name, step, f"{loss:.3f}", flush=True)


def checkpoint(folder: Path, recipe: Recipe) -> LlamaForCausalLM:
    """A model as it was kept, its intervention with it."""
    model = build(recipe)
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return model.eval()


def repeated(recipe: Recipe, rows: int = 96) -> torch.Tensor:
    """Rows of a start token and a random segment, twice."""
    drawn = np.random.default_rng(7).integers(1, recipe.vocabulary, (rows, HALF))
    start = np.zeros((rows, 1), dtype=np.int64)
    return torch.from_numpy(np.concatenate([start, drawn, drawn], 1))


def natural(recipe: Recipe, held_out: np.ndarray, rows: int = 192) -> torch.Tensor:
    """The beginning of documents that were not trained on, in rows as in training."""
    length = recipe.context - 1
    found = np.zeros((rows, recipe.context), dtype=np.int64)
    found[:, 1:] = held_out[: rows * length].reshape(rows, length)
    return torch.from_numpy(found)


def losses(model: LlamaForCausalLM, rows: torch.Tensor) -> torch.Tensor:
    """(row, prediction), nats."""
    logits = model(rows[:, :-1], use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits.transpose(1, 2), rows[:, 1:], reduction="none")


@torch.no_grad()
def behaviour(
    model: LlamaForCausalLM, random: torch.Tensor, text: torch.Tensor
) -> dict[str, float]:
    """Scores of the best heads, loss on repeats, and what earlier text is worth, by a plain pass."""
    watch(model)
    with watched() as patterns:
        lost = losses(model, random)
    places = torch.arange(HALF + 1, 2 * HALF)
    every = torch.cat(patterns, 1)  # with smeared keys a head of the first layer can do it
    induction = every[:, :, places, places - HALF + 1].mean((0, 2))
    previous = patterns[0].diagonal(-1, -2, -1)[..., 1:].mean((0, 2))
    on_text = losses(model, text)
    return {
        "induction": float(induction.max()),
        "previous token": float(previous.max()),
        "loss on repeats": float(lost[:, HALF + 1 :].mean()),
        "loss on the first copy": float(lost[:, :HALF].mean()),
        "loss on text": float(on_text.mean()),
        "gain in context": float(on_text[:, EARLY].mean() - on_text[:, LATE].mean()),
    }  # fmt: skip


def explained(model: LlamaForCausalLM, tokenizer: Any, name: str) -> dict[str, Any]:
    """Strict induction in the place of the strongest induction head, on repeats, as `assay` measures it."""
    subject = ux.load(model, tokenizer=tokenizer, name=name)
    text = ux.text("repeats", subject, documents=16, fit_documents=16, block=SHORT.context)
    head = ux.strongest(ux.head_scores(subject, text), 1)
    run = Run(subject, (text,), ux.Settings(resamples=200))
    sites = subject.sites(head)
    claims = arms.claims(run, sites, [ux.LIBRARY.get("strict_induction")])
    read = run.measure(arms.ablation(run, "mean", sites), *claims)
    return {"head": head, "worth": read.damage("mean").model_dump(),
            "recovered": read.recovered("strict induction", "mean").model_dump()}  # fmt: skip


def measure_all(folder: Path, out: Path) -> None:
    """Every checkpoint of every finished run."""
    from transformers import PreTrainedTokenizerFast

    torch.set_num_threads(1)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder / "tokenizer")
    held_out, random = data(folder).held_out, repeated(SHORT)
    text = natural(SHORT, held_out)
    found: dict[str, Any] = {"recipe": vars(SHORT), "runs": {}}
    for name, recipe in RUNS.items():
        if not (folder / name / "final").is_dir():
            continue
        points = []
        for step in [*checkpoints(), STEPS]:
            place = folder / name / ("final" if step == STEPS else f"step-{step}")
            model = checkpoint(place, recipe)
            point = {"step": step, **behaviour(model, random, text)}
            if name.startswith("plain") and step in [*checkpoints()[::2], STEPS]:
                point["strict induction"] = explained(
                    checkpoint(place, recipe), tokenizer, f"{name}-{step}"
                )
            points.append(point)
        print(name, points[-1], flush=True)
        found["runs"][name] = {"seconds": cost_of(folder / name)["seconds"], "points": points}
    found |= {"emergence": said(found["runs"])}
    out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def emergence(points: Sequence[Mapping[str, float]], what: str, level: float) -> float | None:
    """The step at which a measure comes to a level, between checkpoints in the logarithm; None if never."""
    steps = [max(point["step"], 1) for point in points]
    values = [point[what] for point in points]
    rising = level > values[0]
    for i in range(1, len(values)):
        before, after = values[i - 1], values[i]
        if (after >= level) if rising else (after <= level):
            part = (level - before) / (after - before)
            return float(steps[i - 1] * (steps[i] / steps[i - 1]) ** part)
    return None


def over_seeds(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and 95% interval by Student's t over seeds."""
    mean, many = float(np.mean(values)), len(values)
    reach = t.ppf(0.975, many - 1) * np.std(values, ddof=1) / many**0.5
    return mean, mean - float(reach), mean + float(reach)


def said(runs: Mapping[str, Any]) -> dict[str, Any]:
    """When each measure has gone half of the way that it goes in plain runs, and how far apart that is."""
    plain = {name: run["points"] for name, run in runs.items() if name.startswith("plain")}
    ends = [[points[i][what] for points in plain.values() for i in (0, -1)] for what in MEASURES]
    levels = {what: float(np.mean(values)) for what, values in zip(MEASURES, ends, strict=True)}
    by_run = {
        name: {what: emergence(run["points"], what, levels[what]) for what in MEASURES}
        for name, run in runs.items()
    }
    found: dict[str, Any] = {"levels": levels, "runs": by_run, "seeds": {}, "by induction": {}}
    logs = {w: np.log([by_run[name][w] for name in plain]) for w in MEASURES}
    for what, steps in logs.items():
        found["seeds"][what] = [float(np.exp(one)) for one in over_seeds(steps)]
        if what != "induction":
            apart = over_seeds(steps - logs["induction"])
            found["by induction"][what] = [float(np.exp(one)) for one in apart]
    print(json.dumps(found, indent=1), flush=True)
    return found


def main() -> None:
    """Train, or measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("train", "measure", "read"))
    parser.add_argument("--folder", type=Path, default=Path("runs/emergence"))
    parser.add_argument("--only", choices=RUNS, default=None)
    asked = parser.parse_args()
    if asked.what == "train":
        train_all(asked.folder, asked.only)
    elif asked.what == "measure":
        measure_all(asked.folder, RESULT)
    else:
        found = json.loads(RESULT.read_text(encoding="utf-8"))
        RESULT.write_text(
            json.dumps(found | {"emergence": said(found["runs"])}, indent=1) + "\n",
            encoding="utf-8",
        )


if __name__ == "__main__":
    main()
