"""Try the project with made-up input: command lines, files of every kind, explanations.

    make fuzz            (or: python benchmarks/fuzz.py [--minutes 20] [--only records …] [--seed 1])

Counts for every strategy of `tests/strategies.py` what was tried, what ended in a clear error, what
was accepted and right (held against the unfuzzed result or an independent reading), and findings: a
traceback, a changed number without a word, something touched outside. Writes results/fuzz.json and
the table in docs/fuzzing.md. With --before COMMIT-SRC the same cases are tried on an older checkout,
to see what a strategy finds there: a strategy that finds nothing anywhere is worth nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

RESULT = HERE / "results" / "fuzz.json"
PAGE = HERE.parent / "docs" / "fuzzing.md"
MEMORY = 16 << 30
"""Bytes that one process may take: a size that is believed must end in an error, not the machine."""
CHUNK = 60
"""Cases of one seed; the next chunk has the next seed."""


def explored(names: list[str], minutes: float, seed: int) -> dict[str, Any]:
    """Counts of every strategy, each given the same share of the time."""
    from fuzzing import explore
    from strategies import STRATEGIES

    found = {}
    for name in names or list(STRATEGIES):
        end = time.monotonic() + 60 * minutes / len(names or STRATEGIES)
        total: dict[str, Any] = {"says": STRATEGIES[name].says, "outcomes": {}, "findings": {}}
        chunk = 0
        while time.monotonic() < end:
            with tempfile.TemporaryDirectory() as folder:
                count = explore(
                    STRATEGIES[name], Path(folder, "box"), examples=CHUNK, seeded=seed + chunk,
                    until=lambda end=end: time.monotonic() > end,
                )  # fmt: skip
            for what, times in count.outcomes.items():
                total["outcomes"][what] = total["outcomes"].get(what, 0) + times
            for what, (times, case) in count.findings.items():
                old = total["findings"].get(what, {"times": 0, "first": case})
                total["findings"][what] = {**old, "times": old["times"] + times}
            chunk += 1
        share = minutes / len(names or STRATEGIES)
        found[name] = {**total, "minutes": share, "chunks of seeds": chunk}
        print(name, total["outcomes"], *total["findings"], sep="\n  ", flush=True)
    return found


def other_checkout(src: str, words: list[str]) -> dict[str, Any]:
    """The same on the package under another `src`, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "before.json")
        environment = {**os.environ, "PYTHONPATH": src}
        command = [sys.executable, str(Path(__file__).resolve()), *words, "--out", str(out)]
        subprocess.run(command, env=environment, check=True)
        read: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return read["strategies"]


def table(found: dict[str, Any]) -> str:
    """The counts, as Markdown."""
    rows = [
        "| strategy | tried | clear error | accepted and right | findings | findings before, of tried |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, one in found["strategies"].items():
        old = found.get("before", {}).get(name, {}).get("outcomes", {})
        before = f"{old.get('findings', 0):,} of {old['tried']:,}" if old else "–"
        counts = [
            one["outcomes"].get(what, 0)
            for what in ("tried", "clear error", "accepted and right", "findings")
        ]
        rows.append(f"| {name} | {' | '.join(f'{count:,}' for count in counts)} | {before} |")
    machine = found["machine"]
    each = found["minutes"] / len(found["strategies"])
    spent = sum(one.get("minutes", each) for one in found["strategies"].values())
    rows.append(
        f"\nSeed {found['seed']}, {spent:.1f} minutes, {machine['processor']}, "
        f"{machine['cores']} cores; Python {found['versions']['python']}, torch "
        f"{found['versions']['torch']}, hypothesis {found['versions']['hypothesis']}; "
        f"{found['measured']}."
    )
    for title, key in (("Findings now", "strategies"), ("Findings before", "before")):
        kinds: Counter[str] = Counter()
        for name, strategy in found.get(key, {}).items():
            for what, one in strategy["findings"].items():
                # What a traceback said is in the JSON.
                place = re.match(r"traceback: \w+ at [\w.]+:\w+", what)
                kinds[f"{name}: {place[0] if place else what}"] += one["times"]
        listed = [f"- {what} ({times})" for what, times in sorted(kinds.items())]
        rows.append(f"\n**{title}**\n\n" + ("\n".join(listed) or "- none"))
    return "\n".join(rows)


def write_page(found: dict[str, Any]) -> None:
    """Put the table into docs/fuzzing.md."""
    pattern = re.compile(r"(<!-- counts: generated -->\n).*?(<!-- end -->)", re.DOTALL)
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(
        pattern.sub(lambda match: f"{match[1]}{table(found)}\n{match[2]}", text), encoding="utf-8"
    )


def main() -> None:
    """Parse the command line, try, write."""
    from importlib.metadata import version

    from unexplained.study.provenance import machine, versions

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=20.0, help="for all strategies together")
    parser.add_argument(
        "--only", nargs="*", default=[], help="names of strategies; counts of others are kept"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--before", default="", help="src of an older checkout, tried as well")
    parser.add_argument("--out", type=Path, default=RESULT)
    asked = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    found: dict[str, Any] = {
        "what": (__doc__ or "").partition("\n")[0],
        "seed": asked.seed,
        "minutes": asked.minutes,
        "measured": time.strftime("%Y-%m-%d"),
        "versions": versions() | {"hypothesis": version("hypothesis")},
        "machine": machine(),
        "strategies": explored(asked.only, asked.minutes, asked.seed),
    }
    if asked.before:
        words = ["--minutes", str(asked.minutes), "--seed", str(asked.seed)]
        only = ["--only", *asked.only] if asked.only else []
        found["before"] = other_checkout(asked.before, [*words, *only])
    if asked.only and asked.out.exists():  # the others keep their counts
        kept = json.loads(asked.out.read_text(encoding="utf-8"))
        for part in ("strategies", "before"):
            if part in kept:
                kept[part] |= found.get(part, {})
        found = kept
    asked.out.write_text(json.dumps(found, indent=1, ensure_ascii=True) + "\n", encoding="utf-8")
    if asked.out == RESULT:
        write_page(found)


if __name__ == "__main__":
    main()
