"""Cases and bounds on SmolLM2-135M, measured one after another; docs/results.md shows what each answers.

    python benchmarks/casebook.py                    # all of them, an hour and a half on two cores
    python benchmarks/casebook.py self-repair        # one
    python benchmarks/readme.py                      # then write the tables

Records are kept without the words of documents (`benchmarks/results/smollm2-*.json`).
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import records
from unexplained.record import load_record
from unexplained.report import text_table

RESULTS = Path(__file__).parent / "results"
INDUCTION = "L18.H6-7 L17.H3-5"
ASKED = {
    "soundness": f"soundness smollm2-135m '{INDUCTION}' --explanation strict_induction "
    "--text webmix --documents 48 --block 128",
    "shortfall-repeats": f"shortfall smollm2-135m '{INDUCTION}' --explanation strict_induction "
    "--text repeats --documents 48 --fit-documents 256 --steps 24",
    "shortfall-text": f"shortfall smollm2-135m '{INDUCTION}' --explanation strict_induction "
    "--text webmix --documents 48 --fit-documents 240 --steps 100",
    "copy-suppression": "casebook copy-suppression smollm2-135m",
    "french-neuron": "casebook french-neuron smollm2-135m --documents 32 --fit-documents 40 --block 96",
    "self-repair": "casebook self-repair smollm2-135m",
    "hunt": "hunt smollm2-135m --documents 64",
    "structure": "structure smollm2-135m",
}
"""What is run, by the name of its record."""


def main() -> None:
    """Measure what is asked for, and keep the records."""
    for name in records.chosen(__doc__, ASKED):
        with tempfile.TemporaryDirectory() as folder:
            written = Path(folder) / "record.json"
            words = [*shlex.split(ASKED[name]), "--record", str(written)]
            report = ["--report", str(Path(folder) / "page.html")]
            subprocess.run([*_program(), *words, *report], check=True)
            found = records.without_words(load_record(written))
        kept = found.model_copy(update={"command": f"unexplained {ASKED[name]}"})
        kept.save(RESULTS / f"smollm2-{name}.json")


def _program() -> list[str]:
    code = "import sys; sys.argv[0] = 'unexplained'; from unexplained.cli import main; main()"
    return [sys.executable, "-c", code]


def casebook_answers() -> str:
    """What each answers, as its first screen."""
    parts = []
    for name in ASKED:
        path = RESULTS / f"smollm2-{name}.json"
        if path.exists():
            record = load_record(path)
            said = text_table(record, columns=92)
            lines = "\n".join(line.rstrip() for line in said.strip().splitlines())
            parts += [
                f"`{record.command}` ({record.seconds / 60:.0f} minutes)",
                f"```text\n{lines}\n```",
            ]
    return "\n\n".join(parts)


def plants_table() -> str:
    """In how many seeds each planted shortfall lands where it belongs."""
    found = json.loads((RESULTS / "shortfall_plants.json").read_text(encoding="utf-8"))
    rows = [f"| {plant} | {n['landed']} of {n['of']} |" for plant, n in found["plants"].items()]
    head = ["| The claim is | Lands where it belongs |", "|---|---|"]
    return "\n".join([*head, *rows, "", f"Refitted: {found['refit']}; {found['seeds']} seeds."])


if __name__ == "__main__":
    main()
