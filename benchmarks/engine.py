"""Seconds and memory per condition: mean-ablate a head of SmolLM2-135M, ours and the peers in turn.

    make bench        (or: python benchmarks/engine.py [--rounds 3] [--out results/engine.json])

Same model, tokens (8 documents x 128), heads (one in every third layer, so that the average over
depth is that of all heads) and fills for every tool. Rounds go tool by tool in one process, so a
noisy machine hurts all alike; the table has medians and ratios. Peak memory is measured in a
process of its own per tool. Every tool's losses are compared with those that plain hooks give when
the cross entropy is taken in float64.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import unexplained as ux
from peers import PEERS
from unexplained.ablations import Fill
from unexplained.ablations.mean import Mean, mean_of
from unexplained.evaluate import observe
from unexplained.study.provenance import machine, versions
from unexplained.subject.packaged import packaged_folder

HERE = Path(__file__).parent
OURS = "Unexplained"
LAYERS = range(0, 30, 3)
HEADS = [(layer, (5 * layer) % 9) for layer in LAYERS]
"""One head in every third layer; which one does not matter for the time."""


class Work:
    """The model, the text, the heads and what is put in their place."""

    def __init__(self) -> None:
        self.subject = ux.load("smollm2-135m")
        self.folder = packaged_folder("smollm2-135m")[0]
        self.text = ux.text("pydocs", self.subject, documents=8, fit_documents=8, block=128)
        rows = [block.tokens for block in self.text.eval]
        if {len(row) for row in rows} != {128}:
            raise SystemExit("the documents must have 128 tokens each")
        self.tokens = torch.tensor([row.tolist() for row in rows])
        sites = [self.subject.sites(f"L{layer}.H{head}.z")[0] for layer, head in HEADS]
        recorded = observe(self.subject, self.text, sites)
        self.means = [mean_of(recorded, site) for site in sites]
        self.fills: list[Fill] = [Mean().fit(recorded, [site], 0) for site in sites]


def ours(work: Work) -> Callable[[], Tensor]:
    """All conditions at once, with everything that `evaluate` measures: also KL, agreement, strata."""

    def run() -> Tensor:
        names = [str(head) for head in HEADS]
        conditions = [fill.condition(n) for fill, n in zip(work.fills, names, strict=True)]
        ledger = ux.evaluate(work.subject, work.text, conditions)
        place = {document: i for i, document in enumerate(ledger.documents)}
        order = [place[block.document] for block in work.text.eval]
        return torch.tensor(
            [[float(ledger.sums(name).loss[i]) for i in order] for name in names],
            dtype=torch.float64,
        )

    return run


def peer(name: str, work: Work, **options: bool) -> Callable[[], Tensor]:
    """One full pass per head, as the tool does it, on its own copy of the model."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(work.folder, dtype=torch.float32).eval()
    ablate = PEERS[name](model, work.subject.tokenizer, work.folder, work.tokens, **options)

    def run() -> Tensor:
        found = [ablate(*head, mean) for head, mean in zip(HEADS, work.means, strict=True)]
        return torch.stack(found).double()

    return run


def tool(name: str, work: Work) -> Callable[[], Tensor]:
    """A tool by name: a function that measures all heads and gives (head, document) losses."""
    return ours(work) if name == OURS else peer(name, work)


def peak_memory(name: str) -> float:
    """Megabytes that measuring adds to the resident set of a fresh process, at its peak."""
    command = [sys.executable, __file__, "--memory", name]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(told.split()[-1])


def tell_memory(name: str) -> None:
    """In a process of its own: print how far the peak lies above where measuring began (Linux)."""
    run = tool(name, Work())
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far, of loading, is forgotten
    before = resident("VmRSS")
    run()
    print((resident("VmHWM") - before) / 1024)


def resident(field: str) -> int:
    """Kilobytes of this process's memory, now (VmRSS) or at its peak (VmHWM)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def measure(rounds: int) -> dict[str, Any]:
    """Run every tool in turn, `rounds` times."""
    work = Work()
    names = [*PEERS, OURS]
    runs = {name: tool(name, work) for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    found: dict[str, Tensor] = {}
    for number in range(rounds):
        for name in names:
            start = time.perf_counter()
            found[name] = runs[name]()
            seconds[name].append((time.perf_counter() - start) / len(HEADS))
            print(f"round {number + 1}: {name}: {seconds[name][-1]:.3f} s per condition")
    base = "plain hooks"
    exact = peer(base, work, exact=True)()
    tokens = work.tokens.numel() - len(work.tokens)
    rows = [
        {
            "tool": name,
            "seconds": statistics.median(seconds[name]),
            "rounds": seconds[name],
            "times as fast as hooks": statistics.median(
                b / s for b, s in zip(seconds[base], seconds[name], strict=True)
            ),
            "greatest error, nats per token": float(
                (found[name] - exact).abs().max() / (tokens / len(work.tokens))
            ),
            "peak memory, MB": peak_memory(name),
        }
        for name in names
    ]
    return {
        "what": "mean-ablate one head of SmolLM2-135M on 8 x 128 tokens of pydocs",
        "heads": [f"L{layer}.H{head}" for layer, head in HEADS],
        "matrix products": f"{work.subject.precision.setting} ({work.subject.precision.why})",
        "rows": rows,
        "seed": 0,
        "versions": versions(),
        "machine": machine(),
    }


def main() -> None:
    """Parse the command line, measure, write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "engine.json")
    parser.add_argument("--memory", metavar="TOOL", help="only print a tool's peak memory in MB")
    asked = parser.parse_args()
    if asked.memory:
        tell_memory(asked.memory)
        return
    found = measure(asked.rounds)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for row in found["rows"]:
        print({key: value for key, value in row.items() if key != "rounds"})


if __name__ == "__main__":
    main()
