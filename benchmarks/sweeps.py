"""Sweeps, patches, attributions and reads of SmolLM2-135M: ours and the peers in turn.

    python benchmarks/sweeps.py --work W1 W2 W3 W4 W5 --rounds 3 [--out results/sweeps.json]
    python benchmarks/sweeps.py --device cuda --work W1 W2 W3 W4 --out results/sweeps-gpu.json

W1 mean-ablate every head on 8 x 128 tokens, loss; W2 patch every head's z from the corrupted prompt
on 8 indirect-object pairs of 15 tokens (10 shared), logit difference; W3 EAP and EAP-IG (5 steps) on
the same pairs; W4 read every stream and every head's z on 8 x 128 tokens; W5 estimators.

Same model, tokens and values for every tool. Rounds go tool by tool in one process; each tool's
model is made anew, and run once on one condition, before its clock starts, so that no more than
two copies are ever in memory. In W1 and W2 the peers measure one head in every third layer (a whole
pass costs the same for every head) and ours all 270 (or every so many): seconds are per condition. Every answer is
compared with that of plain hooks (W3: plain autograd) on a float64 model, and the script fails
where one is further away than float32 explains. Peak memory is measured in a process of its own;
on a GPU by the allocator, in a first run, which is also a warm-up.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import common
import estimators
import ours_sweeps as ours
import peers_reads
import peers_sweeps as peers
from common import Tool, Work
from engine import HERE, OURS, resident

STEPS = 5


@dataclass(frozen=True)
class Sweep:
    """One of the works: who does it, what is right, and what it takes."""

    what: str
    unit: str
    """Of the differences."""
    tools: dict[str, Callable[[Work], Tool]]
    """The peers', and ours last."""
    exact: Callable[[Work], list[Tensor]]
    operations: Callable[[Work], int]
    """That the conditions which ours measures need, what lies before an edit done once."""
    conditions: Callable[[Work], tuple[int, int]] = lambda work: (1, 1)
    """How many a peer measures, and ours."""
    per: Callable[[Work], int] = lambda work: 1
    """What differences are divided by."""


def _heads(work: Work) -> tuple[int, int]:
    return len(work.heads), len(work.all_heads)


def _edges(steps: int) -> Sweep:
    names = (peers_reads.AUTOGRAD, peers_reads.SCHEME, *peers_reads.DIAGNOSTIC[1:])
    tools = {name: peers.attribute(name, steps) for name in names}
    return Sweep(
        what=f"{f'EAP-IG (inputs), {steps} steps' if steps else 'EAP'}: all edges, 8 pairs",
        unit="logits",
        tools=tools | {OURS: lambda work: ours.ours_w3(work, steps)},
        exact=lambda work: peers.attribute_exact(work, steps),
        operations=lambda work: common.attributing(work, steps),
    )


SWEEPS = {
    "W1": Sweep(
        what="mean-ablate one head, 8 x 128 tokens of pydocs, loss",
        unit="nats per token",
        tools={name: peers.ablate(name) for name in peers.ABLATES} | {OURS: ours.ours_w1},
        exact=peers.ablate_exact,
        operations=common.ablating,
        conditions=_heads,
        per=lambda work: work.tokens.shape[1] - 1,
    ),
    "W2": Sweep(
        what="patch one head's z from the corrupted prompts, 8 pairs, logit difference",
        unit="logits",
        tools={name: peers.patch(name) for name in peers.PATCHES} | {OURS: ours.ours_w2},
        exact=peers.patch_exact,
        operations=common.patching,
        conditions=_heads,
    ),
    "W3 EAP": _edges(0),
    "W3 EAP-IG": _edges(STEPS),
    "W4": Sweep(
        what="read the stream before every layer and every head's z, 8 x 128 tokens of pydocs",
        unit="units of the stream",
        tools={name: peers_reads.read(name) for name in peers_reads.READS} | {OURS: ours.ours_w4},
        exact=peers_reads.read_exact,
        operations=common.reading,
    ),
}


class Answers:
    """What every tool took and how far it was off, or why it could not."""

    def __init__(self, names: list[str]) -> None:
        self.seconds: dict[str, list[float]] = {name: [] for name in names}
        self.differences: dict[str, list[float]] = {name: [] for name in names}
        self.relative: dict[str, list[float]] = {name: [] for name in names}
        self.cannot: dict[str, str] = {}
        self.memory: dict[str, float] = {}
        """On a GPU, megabytes that a run added at its peak."""
        self.conditions: dict[str, int] = {}
        """Where a tool measured another number of them than the peers."""

    def take(
        self, name: str, make: Callable[[Work], Tool], work: Work, exact: list[Tensor]
    ) -> None:
        """One tool's turn in a round."""
        if name in self.cannot:
            return
        try:
            tool = make(work)
            if work.device.type == "cuda" and name not in self.memory:
                self.memory[name] = allocated(tool)
            seconds, found = common.timed(tool)
            if tool.conditions is not None:
                self.conditions[name] = tool.conditions
            tidy = tool.tidy(found)
        except Exception as error:
            # A peer that cannot do the work is a result; ours failing is not, unless unwritten.
            if name == OURS and not isinstance(error, NotImplementedError):
                raise
            self.cannot[name] = f"{type(error).__name__}: {str(error).strip()[:300]}"
            return
        self.seconds[name].append(seconds)
        self.differences[name].append(common.difference(tidy, exact))
        self.relative[name].append(common.relative(tidy, exact))


def measure(
    name: str, work: Work, rounds: int, known: dict[str, float] | None = None
) -> dict[str, Any]:
    """Every tool in turn, `rounds` times; then memory, unless it is known."""
    sweep = SWEEPS[name]
    answers = Answers(list(sweep.tools))
    exact = sweep.exact(work)
    gc.collect()
    size = 1024 if work.small else 4096 if work.device.type == "cpu" else 8192
    peaks = common.peak(work.subject, size)
    for number in range(rounds):
        for tool, make in sweep.tools.items():
            answers.take(tool, make, work, exact)
            gc.collect()
            said = answers.cannot.get(tool) or f"{answers.seconds[tool][-1]:.3f} s"
            print(f"{name}, round {number + 1}: {tool}: {said}", flush=True)
    peaks += common.peak(work.subject, size)
    known = answers.memory or known or {}
    memory = {
        tool: known[tool] if tool in known else peak_memory(name, tool, work.small)
        for tool in sweep.tools
        if tool not in answers.cannot
    }
    about = {
        "measured peak, operations per second": statistics.median(peaks),
        "peaks before and after the rounds": peaks,
        "peak of torch's default product": statistics.median(
            common.peak(work.subject, size, ours=False)
        ),
        "product for the peak": f"{size} x {size} x {size}",
        "greatest value": max(float(a.abs().max()) for a in exact) / sweep.per(work),
    }
    return told(sweep, work, answers, memory, about)


def told(
    sweep: Sweep, work: Work, answers: Answers, memory: dict[str, float], about: dict[str, Any]
) -> dict[str, Any]:
    """A work's entry: settings, the machine's peak, a row for every tool."""
    theirs, mine = sweep.conditions(work)
    need = sweep.operations(work) / mine
    counts = dict.fromkeys(sweep.tools, theirs) | answers.conditions | {OURS: mine}
    each = {
        tool: [s / counts[tool] for s in seconds]
        for tool, seconds in answers.seconds.items()
        if seconds
    }
    medians = {tool: statistics.median(s) for tool, s in each.items() if kind(tool) == "peer"}
    best = min(medians, key=lambda tool: medians[tool])
    least = [need / peak for peak in about["peaks before and after the rounds"]]
    rows = [
        row(tool, each[tool], each[best], least)
        | {
            "greatest difference from float64": max(answers.differences[tool]) / sweep.per(work),
            "relative difference": max(answers.relative[tool]),
            "peak memory, MB": memory[tool],
        }
        if tool in each
        else {"tool": tool, "kind": kind(tool), "cannot": answers.cannot[tool]}
        for tool in sweep.tools
    ]
    return common.found_again(work.subject) | {
        "what": sweep.what,
        "small": work.small,
        "heads": [f"L{layer}.H{head}" for layer, head in work.heads],
        "conditions of peers": theirs,
        "conditions of ours": mine,
        "operations needed for a condition": need,
        **about,
        "best peer": best,
        "relative tolerance": common.tolerance(work.subject.shape),
        "unit": sweep.unit,
        "rows": rows,
    }


def kind(tool: str) -> str:
    """What a row is about."""
    return "ours" if tool == OURS else "diagnostic" if tool in peers_reads.DIAGNOSTIC else "peer"


def row(tool: str, seconds: list[float], best: list[float], least: list[float]) -> dict[str, Any]:
    """Times of a tool; `least`: what the needed operations take at the machine's measured peaks.

    Other users of a machine only ever slow things down, so fastest over fastest is said as well.
    """
    return {
        "tool": tool,
        "kind": kind(tool),
        "seconds": statistics.median(seconds),
        "fastest": min(seconds),
        "rounds": seconds,
        "times as fast as the best peer": statistics.median(
            b / s for b, s in zip(best, seconds, strict=True)
        ),
        "times as fast, fastest rounds": min(best) / min(seconds),
        "share of peak": statistics.median(least) / statistics.median(seconds),
        "share of peak, fastest": min(least) / min(seconds),
    }


def allocated(tool: Tool) -> float:
    """Megabytes that a run adds to what is allocated on the GPU, at its peak."""
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    tool.run()
    return (torch.cuda.max_memory_allocated() - before) / 1e6


def peak_memory(name: str, tool: str, small: bool) -> float:
    """Megabytes that a run adds to the resident set of a fresh process, at its peak."""
    command = [sys.executable, __file__, "--memory", name, tool, *(["--small"] if small else [])]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(said.split()[-1])


def tell_memory(name: str, tool: str, small: bool) -> None:
    """In a process of its own: print how far the peak lies above where the run began (Linux)."""
    made = SWEEPS[name].tools[tool](Work(small))
    common.forget()
    before = resident("VmRSS")
    made.run()
    print((resident("VmHWM") - before) / 1024)


def wrong(found: dict[str, dict[str, Any]]) -> list[str]:
    """Answers that are further from float64 than the tolerance, in words."""
    return [
        f"{name}: {row['tool']} is {row['relative difference']:.1e} of the greatest value from "
        f"float64, allowed {entry['relative tolerance']:.1e}"
        for name, entry in found.items()
        for row in entry.get("rows", ())
        if row.get("relative difference", 0) > entry.get("relative tolerance", 0)
    ]


def chosen(asked: list[str]) -> list[str]:
    """The works that are meant: W3 is both of its parts."""
    found = [name for name in (*SWEEPS, "W5") if name in asked or name.split()[0] in asked]
    if not found:
        raise SystemExit(f"--work {' '.join(asked)}: the works are {', '.join(SWEEPS)}, W5")
    return found


def main() -> None:
    """Parse the command line, measure, write JSON; works that are not asked for stay as they were."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--work", nargs="+", default=["W1", "W2", "W3", "W4", "W5"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "sweeps.json")
    parser.add_argument(
        "--known-memory", action="store_true", help="take peak memory from what --out has already"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--step", type=int, default=1, help="ours measures every so many heads")
    parser.add_argument("--skip", nargs="+", default=[], help="tools that are left out")
    parser.add_argument("--small", action="store_true", help="a size to try the script at")
    parser.add_argument(
        "--memory", nargs=2, metavar=("WORK", "TOOL"), help="only print its peak MB"
    )
    asked = parser.parse_args()
    if asked.memory:
        tell_memory(*asked.memory, asked.small)
        return
    kept = json.loads(asked.out.read_text(encoding="utf-8")) if asked.out.exists() else {}
    work, fresh = Work(asked.small, asked.device, asked.step), {}
    for sweep in SWEEPS.values():
        for tool in asked.skip:
            sweep.tools.pop(tool, None)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    for name in chosen(asked.work):
        rows = kept.get(name, {}).get("rows", ()) if asked.known_memory else ()
        known = {row["tool"]: row["peak memory, MB"] for row in rows if "peak memory, MB" in row}
        fresh[name] = (
            common.found_again(work.subject) | estimators.ours_w5(work)
            if name == "W5"
            else measure(name, work, asked.rounds, known)
        )
        asked.out.write_text(json.dumps(kept | fresh, indent=1) + "\n", encoding="utf-8")
        for line in fresh[name].get("rows", ()):
            print({key: value for key, value in line.items() if key != "rounds"})
    if faults := wrong(fresh):
        raise SystemExit("\n".join(faults))


if __name__ == "__main__":
    main()
