"""What `--dry-run` says of time and memory, beside what the same command then takes.

    python benchmarks/forecasts.py [name …]

Each command runs twice in processes of its own, with nothing kept: as a dry run, then for real.
Seconds are those of the record, with the model loaded and the run's own forecast in them; memory is the process's peak. Writes
`results/forecasts.json`. Times are of one machine, and of what else it does meanwhile: where that
changes between the two, what the run itself says when it begins is the nearer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"

CASES = {
    "assay rung-3": "assay rung-3 --documents 48 --fit-documents 32",
    "assay rung-5": "assay rung-5 --documents 96 --fit-documents 64",
    "assay smollm2-135m": "assay smollm2-135m --heads L18.H6 --documents 16 --fit-documents 16",
    "sweep rung-4": "sweep rung-4 --documents 32",
    "sweep smollm2-135m": "sweep smollm2-135m L10-12.H* --documents 12 --fit-documents 16",
    "sweep smollm2-135m of pairs": "sweep smollm2-135m L10-12.H* --text ioi --documents 32",
    "circuit smollm2-135m": "circuit smollm2-135m --text ioi --pairs 16 --fit-pairs 16 --draws 1",
}
MAIN = "import sys; from unexplained.cli import main; sys.argv[0] = 'unexplained'; main()"


def ran(words: list[str]) -> tuple[dict[str, Any], str, float, float]:
    """A command's JSON, what it said it would take, the seconds of its process, its peak of memory."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as told:
        began = time.perf_counter()
        child = subprocess.Popen(
            [sys.executable, "-c", MAIN, *words, "--json"], stdout=out, stderr=told
        )
        _, status, used = os.wait4(child.pid, 0)
        took = time.perf_counter() - began
        out.seek(0)
        told.seek(0)
        lines = told.read().decode().splitlines()
        if status:
            raise SystemExit("\n".join([*lines, f"{' '.join(words)}: ended with {status}"]))
        said = next((line for line in lines if line.startswith("Expected: ")), "")
        return json.load(out), said, took, used.ru_maxrss * 1024


def main() -> None:
    """Measure the cases that were named, or all."""
    path = RESULTS / "forecasts.json"
    known = json.loads(path.read_text())["cases"] if path.exists() else {}
    for name in sys.argv[1:] or CASES:
        words = CASES[name].split()
        with tempfile.TemporaryDirectory() as folder:
            run = [*words, "--run", f"{folder}/run", "--out", folder]
            forecast, _, dry, _ = ran([*run, "--dry-run"])
            record, said, _, held = ran(run)
        known[name] = {
            "command": CASES[name],
            "dry run took": round(dry, 1),
            "said before the run": said,
            "seconds expected": round(forecast["seconds"], 1),
            "seconds": round(record["seconds"], 1),
            "bytes expected": round(forecast["bytes"]),
            "bytes": held,
        }
        one = known[name]
        print(
            f"{name}: {one['seconds expected']:.0f} s expected, {one['seconds']:.0f} s taken "
            f"({one['seconds expected'] / one['seconds']:.2f}); {one['bytes expected'] / 1e9:.2f} GB "
            f"expected, {held / 1e9:.2f} GB held ({one['bytes expected'] / held:.2f}); the dry run "
            f"took {dry:.0f} s; before the run: {said}",
            flush=True,
        )
        path.write_text(json.dumps({"cores": os.cpu_count(), "cases": known}, indent=1) + "\n")


if __name__ == "__main__":
    main()
