"""Whether a change costs speed: the sweeps' works by two checkouts in turn, ratios with their range.

    python benchmarks/before_after.py ../before --rounds 20

Each checkout is a process of its own with the model loaded once; a round asks both for one work
after the other, the first of them in turn, so that both meet the same state of the machine. What is
printed are medians over rounds of after / before, and the range that holds 95% of medians of as many
rounds drawn again. Both must give the same numbers where they measure the same text.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from unexplained.study.provenance import machine, versions

HERE = Path(__file__).parent
WORKS = ("W1", "W2", "W3 EAP", "W3 EAP-IG", "W4")
STEP = 27
"""W1 ablates every so many heads: ten of 270."""


def serve() -> None:
    """Do works that are asked for on stdin, one a line; answer with seconds and a check sum."""
    import common
    import ours_sweeps as ours

    work, heads = common.Work(), common.Work(step=STEP)
    tools = {
        "W1": ours.ours_w1(heads),
        "W2": ours.ours_w2(work),
        "W3 EAP": ours.ours_w3(work, 0),
        "W3 EAP-IG": ours.ours_w3(work, 5),
        "W4": ours.ours_w4(work),
    }
    print("ready", flush=True)
    for line in sys.stdin:
        tool = tools[line.strip()]
        start = time.perf_counter()
        given = tool.run()
        seconds = time.perf_counter() - start
        total = sum(float(part.double().abs().sum()) for part in tool.tidy(given))
        print(json.dumps([seconds, total]), flush=True)


class Side:
    """One checkout's process."""

    def __init__(self, checkout: Path) -> None:
        # Not as a script: its own folder would come before the checkout's.
        run = f"import runpy, sys; sys.argv[1:] = ['--serve']; runpy.run_path({__file__!r}, run_name='__main__')"
        self._process = subprocess.Popen(
            [sys.executable, "-c", run],
            cwd=checkout / "benchmarks",
            env=os.environ | {"PYTHONPATH": str(checkout / "src")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer("ready")

    def _answer(self, wanted: str = "") -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line or (wanted and line != wanted):
            raise SystemExit(f"a checkout's process said {line!r}")
        return line

    def do(self, work: str) -> tuple[float, float]:
        """Seconds and the sum of absolute values of what was measured."""
        assert self._process.stdin is not None
        print(work, file=self._process.stdin, flush=True)
        seconds, total = json.loads(self._answer())
        return float(seconds), float(total)


def told(
    name: str, rounds: list[tuple[float, float]], totals: tuple[float, float]
) -> dict[str, Any]:
    """Ratio of medians of both sides, its range by drawing rounds again, and the sums."""
    draw = random.Random(0)

    def ratio(some: list[tuple[float, float]]) -> float:
        before, after = zip(*some, strict=True)
        return statistics.median(after) / statistics.median(before)

    again = sorted(ratio(draw.choices(rounds, k=len(rounds))) for _ in range(2000))
    before, after = (statistics.median(side) for side in zip(*rounds, strict=True))
    found = {
        "seconds before": before, "seconds after": after, "after / before": ratio(rounds),
        "95% range": [again[50], again[1949]], "sums": totals, "rounds": len(rounds),
    }  # fmt: skip
    low, high = found["95% range"]  # type: ignore[misc]
    print(f"{name:10} {before:8.3f} s {after:8.3f} s   {ratio(rounds):.3f} [{low:.3f}, {high:.3f}]"
          f"   sums {totals[0]:.8g} {totals[1]:.8g}", flush=True)  # fmt: skip
    return found


def main() -> None:
    """Measure two checkouts in turn."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("before", type=Path, nargs="?")
    parser.add_argument("--after", type=Path, default=HERE.parent)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--work", nargs="+", default=list(WORKS), choices=WORKS)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "before_after.json")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        serve()
        return
    sides = [Side(asked.before.resolve()), Side(asked.after.resolve())]
    found = {}
    for work in asked.work:
        totals = [side.do(work)[1] for side in sides]  # once to warm up
        rounds = []
        for number in range(asked.rounds):
            order = (0, 1) if number % 2 == 0 else (1, 0)
            seconds = {which: sides[which].do(work)[0] for which in order}
            rounds.append((seconds[0], seconds[1]))
        found[work] = told(work, rounds, (totals[0], totals[1]))
    if asked.out.is_file():  # works that were not asked for now stay
        found = json.loads(asked.out.read_text(encoding="utf-8"))["works"] | found
    report = {
        "seed": 0, "versions": versions(), "machine": machine(), "step of W1": STEP, "works": found
    }  # fmt: skip
    asked.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
