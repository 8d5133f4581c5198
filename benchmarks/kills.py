"""Killed at random and taken up again: every instrument that keeps work, training included.

    python benchmarks/kills.py [--kills 100] [--seed 0] [--out results/kills.json]

An instrument runs in a process of its own, which gets SIGKILL at a moment drawn evenly from the time
that an uninterrupted run takes; then it is begun again in the same folder, up to three times, and at
last let run to its end. What it gives must then equal the uninterrupted run's byte for byte (a
record without the clock, a checkpoint's file), no file may have been found damaged, and nothing
half written may be left behind.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch

import unexplained as ux
from unexplained.ablations import ABLATIONS
from unexplained.circuits import attribute_nodes
from unexplained.evaluate import Activations, observe
from unexplained.ladder import train as training
from unexplained.ladder.recipe import Recipe
from unexplained.record import Record
from unexplained.study.provenance import machine, versions
from unexplained.whole import NOTES

HERE = Path(__file__).parent
CLOCK = {"seconds", "took", "measured", "command"}
"""What two runs of the same may differ in."""
TRIES = 3
"""Kills of one folder before it is let run to its end."""


@dataclass
class Instrument:
    """Something that keeps its work in a folder."""

    run: Callable[[Path], bytes]
    right: bytes = b""
    seconds: float = 0.0
    told: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("kills", "folders", "equal", "damaged", "left"), 0)
    )


def of_record(record: Record) -> bytes:
    """A record as bytes, without the clock."""
    said: dict[str, Any] = json.loads(record.to_json())
    return json.dumps({k: v for k, v in said.items() if k not in CLOCK}, sort_keys=True).encode()


def instruments() -> dict[str, Instrument]:
    """Runs of a few seconds on the smallest rung."""
    subject = ux.load("rung-1", device="cpu")
    # Found once: a child that is forked has it, and no run is slowed by it.
    subject.fingerprint  # noqa: B018
    few = ux.text("repeats", subject, documents=16, fit_documents=8, block=48)
    pairs = ux.pairs("agreement", subject, pairs=24, fit_pairs=16)
    once = ux.Settings(resamples=200)

    def assay(folder: Path) -> bytes:
        return of_record(ux.assay(subject, "L0.H0", few, settings=once, folder=folder))

    def sweep(folder: Path) -> bytes:
        return of_record(
            ux.sweep(subject, "L*.H* L*.mlp L0.N0-29", few, settings=once, folder=folder)
        )

    def circuit(folder: Path) -> bytes:
        return of_record(ux.circuit(
            subject, pairs, draws=2, gated=False, settings=once, folder=folder,
        ))  # fmt: skip

    def rewrite(folder: Path) -> bytes:
        return of_record(ux.rewrite(subject, few, draws=2, settings=once, folder=folder))

    def scores(folder: Path) -> bytes:
        """Of queries, keys, values, MLPs and neurons, a document at a time."""
        sites = subject.sites("L*.H*.q L*.H*.k L*.H*.v L*.mlp L*.N*")
        zero = ABLATIONS.get("zero")
        fills = {site: zero.fit(Activations(()), [site], 0) for site in sites}
        found = attribute_nodes(subject, few, fills, batch_tokens=48, folder=folder)
        return found.values.tobytes()

    def readings(folder: Path) -> bytes:
        heads = ux.head_scores(subject, few, batch_tokens=48, folder=folder)
        read = observe(subject, few, subject.sites("L*.H* L*.mlp"), batch_tokens=48, folder=folder)
        values = [value.numpy().tobytes() for _, some in read.batches for value in some.values()]
        return repr(heads).encode() + b"".join(values)

    return {
        "scores": Instrument(scores),
        "readings": Instrument(readings),
        "assay": Instrument(assay),
        "sweep": Instrument(sweep),
        "circuit": Instrument(circuit),
        "rewrite": Instrument(rewrite),
        "training": Instrument(trained),
    }


def trained(folder: Path) -> bytes:
    """The weights of a run of 150 steps that keeps its state all the time."""
    training.KEEP_EVERY = 0.02
    recipe = Recipe(
        "kills", 32, 2, 2, steps=150, rows=8, rate=1e-2, warm_up=5, vocabulary=200, context=32
    )
    tokens = np.random.default_rng(0).integers(1, 200, 20_000).astype(np.int32)
    final = training.train(recipe, tokens, folder, checkpoints=[50])
    files = (final / "model.safetensors", folder / "step-50" / "model.safetensors")
    return b"".join(path.read_bytes() for path in files)


def child(one: Instrument, folder: Path, out: Path) -> int:
    """Run in a process of its own, whose result goes to a file and whose notes to another."""
    number = os.fork()
    if number == 0:
        try:
            torch.set_num_threads(1)
            with Path(f"{out}.notes").open("a") as notes:
                os.dup2(notes.fileno(), 2)
                out.write_bytes(one.run(folder))
            os._exit(0)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
    return number


def killed(one: Instrument, rng: np.random.Generator, folder: Path) -> None:
    """A folder's life: killed a few times, and finished."""
    folder.mkdir()
    out = folder.with_suffix(".result")
    for _ in range(TRIES):
        number = child(one, folder, out)
        time.sleep(float(rng.uniform(0, one.seconds)))
        os.kill(number, signal.SIGKILL)
        status = os.waitpid(number, 0)[1]
        one.told["kills"] += os.WIFSIGNALED(status)
    out.unlink(missing_ok=True)
    status = os.waitpid(child(one, folder, out), 0)[1]
    notes = Path(f"{out}.notes").read_text(encoding="utf-8")
    if status or "is damaged" in notes:
        print(notes[-2000:], file=sys.stderr)
    one.told["folders"] += 1
    one.told["equal"] += out.exists() and out.read_bytes() == one.right
    one.told["damaged"] += notes.count("is damaged")
    one.told["left"] += len([*folder.rglob("*.part*"), *folder.rglob("*.damaged*")])


def main() -> None:
    """Kill, go on, compare, and write one JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "kills.json")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    assert NOTES.isEnabledFor(30), "damage could not be seen"
    rng, every = np.random.default_rng(asked.seed), instruments()
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        for name, one in every.items():
            out = root / f"{name}.right"
            for folder in ("warm", "whole"):  # the first pays for what is only once
                begun = time.perf_counter()
                assert os.waitpid(child(one, root / f"{folder}-{name}", out), 0)[1] == 0, Path(
                    f"{out}.notes"
                ).read_text(encoding="utf-8")
                one.seconds = time.perf_counter() - begun
            one.right = out.read_bytes()
            print(f"{name}: {one.seconds:.1f} s, {len(one.right):,} bytes", flush=True)
        number = 0
        while sum(one.told["kills"] for one in every.values()) < asked.kills:
            name = list(every)[number % len(every)]
            killed(every[name], rng, root / f"{number}-{name}")
            number += 1
            print(f"{number}: {name} {every[name].told}", flush=True)
    result = {
        "kills": sum(one.told["kills"] for one in every.values()),
        "equal": all(one.told["equal"] == one.told["folders"] for one in every.values()),
        "instruments": {
            name: {**one.told, "seconds": round(one.seconds, 2),
                   "sha256": sha256(one.right).hexdigest()[:16]}
            for name, one in every.items()
        },
        "seed": asked.seed,
        "versions": versions(),
        "machine": machine() | {"architecture": platform.machine()},
    }  # fmt: skip
    asked.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result["instruments"], indent=1))


if __name__ == "__main__":
    main()
