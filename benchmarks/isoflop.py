"""How large a rung should be: several widths at equal training compute.

    python benchmarks/isoflop.py [--out results/isoflop.json]

For each compute a few widths are trained to it, all else as on the ladder; the loss on documents of
the fit part that were kept back, against the logarithm of the weights, has its minimum (of the
parabola through the points; Hoffmann et al. 2022, §3.2) at the size that the ladder should have.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from transformers import LlamaForCausalLM

from unexplained.curves import fit_surface
from unexplained.ladder.publish import held_out_loss
from unexplained.ladder.recipe import Recipe
from unexplained.ladder.runs import tokenizer_of
from unexplained.ladder.series import RUNGS
from unexplained.ladder.stream import stream
from unexplained.ladder.train import train
from unexplained.study.provenance import machine, versions

HERE = Path(__file__).parent
SIZES = {4e11: (16, 24, 32, 48), 1.2e12: (24, 32, 48, 64)}
"""Compute (FLOPs) -> widths."""


def main() -> None:
    """Train, measure, and write one JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "isoflop.json")
    parser.add_argument("--runs", type=Path, default=None, help="Keep the runs here.")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    runs = asked.runs or Path(tempfile.mkdtemp())
    data = stream(tokenizer_of(runs))
    found = []
    for compute, widths in SIZES.items():
        for width in widths:
            base = replace(RUNGS[0], width=width, heads=2, steps=1)
            recipe = replace(base, name=f"iso-{compute:.0e}-{width}",
                             steps=round(compute / base.compute))  # fmt: skip
            started = time.perf_counter()
            folder = train(recipe, data.train, runs / recipe.name)
            model = LlamaForCausalLM.from_pretrained(folder)
            found.append(point(recipe, compute, held_out_loss(model, recipe, data.held_out)))
            print(found[-1], f"{time.perf_counter() - started:.0f} s", flush=True)
    rows = [(p["weights"], p["tokens"], p["loss"]) for p in found]
    surface = fit_surface([tuple(map(float, row)) for row in rows])  # type: ignore[misc]
    result = {
        "points": found,
        "best": [best(found, compute) for compute in SIZES],
        "surface": vars(surface),
        "seed": 0,
        "versions": versions(),
        "machine": machine(),
    }
    asked.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def point(recipe: Recipe, target: float, loss: float) -> dict[str, float]:
    """One run."""
    return {
        "target": target,
        "compute": recipe.compute,
        "width": recipe.width,
        "weights": recipe.matrices,
        "tokens": recipe.tokens,
        "loss": loss,
    }


def best(points: list[dict[str, float]], compute: float) -> dict[str, float]:
    """Where the parabola of loss over log weights has its minimum."""
    some = [p for p in points if p["target"] == compute]
    bend, slope, _ = np.polyfit(np.log([p["weights"] for p in some]), [p["loss"] for p in some], 2)
    weights = float(np.exp(-slope / (2 * bend)))
    # C = 6 N D, attention's own products left out.
    return {"compute": compute, "weights": weights, "tokens_per_weight": compute / 6 / weights**2}


if __name__ == "__main__":
    main()
