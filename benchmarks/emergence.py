"""When induction heads emerge in training, and what else does then: over checkpoints, and by intervention.

    python benchmarks/emergence.py train [--folder runs/emergence] [--only plain-0]
    python benchmarks/emergence.py measure [--folder runs/emergence]

Two-layer models of attention alone, trained anew: as they are (three seeds), with smeared keys, and
with no previous-token head (`unexplained.ladder.interventions`). Weights stay in the folder; what was measured
goes to `results/emergence.json`. A killed run goes on where it was. The recipe is a shorter one than
`attention-2`'s, of fewer tokens and a vocabulary of 512, so that a run takes minutes.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from unexplained.ladder.recipe import Recipe
from unexplained.ladder.stream import Stream, fit_documents, stream
from unexplained.ladder.tokenizer import save_tokenizer, train_tokenizer
from unexplained.ladder.train import train

VOCABULARY, STEPS, CHECKPOINTS = 512, 8000, 48
FIRST = 60
"""The first checkpoint: before the rate has risen there is nothing to see."""
SHORT = Recipe(
    "attention-2-short", width=64, layers=2, heads=4, head_width=16, steps=STEPS, rows=16,
    rate=3e-3, mlp=False, tied=False, attention_bias=True, rotary_base=1000.0, weight_decay=0.01,
    repeats=0.5, context=64, vocabulary=VOCABULARY, decay=0.1,
)  # fmt: skip
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
    for name, recipe in RUNS.items():
        if only in (None, name):
            began = time.monotonic()
            train(recipe, tokens, folder / name, checkpoints=checkpoints(),
                  say=lambda step, loss: print(name, step, f"{loss:.3f}", flush=True)
                  if step % 10 == 0 else None)  # fmt: skip
            print(name, f"{time.monotonic() - began:.0f} s", flush=True)


def main() -> None:
    """Train, or measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("train", "measure"))
    parser.add_argument("--folder", type=Path, default=Path("runs/emergence"))
    parser.add_argument("--only", choices=RUNS, default=None)
    asked = parser.parse_args()
    if asked.what == "train":
        train_all(asked.folder, asked.only)


if __name__ == "__main__":
    main()
