"""What an instrument costs in source: syntax-tree nodes of the rooms above the engine, at a commit and now.

    python benchmarks/cost.py [COMMIT]    writes benchmarks/results/cost.json

The commit before the instruments became one file each is a59832a~1.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
BEFORE = "a59832a~1"
ROOMS = ("record", "report", "cli", "assays", "instruments", "study", "casebook")


def nodes(source: str) -> int:
    """Nodes of a module's syntax tree."""
    return sum(1 for _ in ast.walk(ast.parse(source)))


def at(commit: str | None) -> dict[str, str]:
    """Python files of the package by their path in it: of a commit, or of the working tree."""
    top = "src/unexplained/"
    if commit is None:
        return {str(p.relative_to(ROOT / top)): p.read_text() for p in (ROOT / top).rglob("*.py")}
    git = ["git", "-C", str(ROOT)]
    listed = subprocess.run(
        [*git, "ls-tree", "-r", "--name-only", commit, top],
        capture_output=True,
        text=True,
        check=True,
    )
    return {
        name.removeprefix(top): subprocess.run(
            [*git, "show", f"{commit}:{name}"], capture_output=True, text=True, check=True
        ).stdout
        for name in listed.stdout.splitlines()
        if name.endswith(".py") and name.removeprefix(top).split("/")[0] in ROOMS
    }


def counted(files: dict[str, str], instruments: int) -> dict[str, object]:
    """Nodes by room, and of all rooms for each instrument."""
    rooms = Counter[str]()
    for name, source in files.items():
        if (room := name.split("/")[0]) in ROOMS:
            rooms[room] += nodes(source)
    whole = rooms.total() - rooms["casebook"]
    return {"rooms": dict(sorted(rooms.items())), "nodes": whole, "instruments": instruments,
            "nodes for each": round(whole / instruments)}  # fmt: skip


def main() -> None:
    """Count and write."""
    before = sys.argv[1] if len(sys.argv) > 1 else BEFORE
    now = at(None)
    many = sum(
        name.startswith("instruments/") and not name.removeprefix("instruments/").startswith("_")
        for name in now
    )
    found = {"before": {"commit": before, **counted(at(before), 8)}, "now": counted(now, many)}
    (ROOT / "benchmarks/results/cost.json").write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
