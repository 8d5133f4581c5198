"""Write the README's tables from `benchmarks/results/*.json`; no number in them is typed.

    python benchmarks/readme.py            # after `make demo` or `make bench`
    python benchmarks/readme.py --record runs/demo.json   # take in a new record first

A record is kept without its token view: the words of documents stay out of the repository.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import readme_assay
import readme_ladder as ladder
import readme_sweeps as tables
import records
from unexplained.record import Record
from unexplained.record import format as fmt
from unexplained.record.blocks import Prose, Section

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
RESULTS = HERE / "results"
DEMO = RESULTS / "demo.json"
HEADLINES = ("explanation", "fitted", "control", "baseline")


def read(name: str) -> dict[str, Any]:
    """What a benchmark wrote."""
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return found


def demo_tables(record: Record) -> str:
    """The verdict and a table for each text."""
    parts = [
        f"`{record.command}`, sites {', '.join(f'`{site}`' for site in readme_assay.sites(record))}; "
        f"{record.measured[:10]}, {record.machine['processor']}, {record.machine['cores']} cores, "
        f"{record.seconds / 60:.1f} minutes.",
        f"> {record.verdict}",
    ]
    reference = record.sheet["Reference ablation"]
    for text in readme_assay.texts(record):
        cost = record[f"{text.key}/costs/damage/{reference}/nats"]
        assert cost.value is not None
        notes = (one.words for one in records.each(record, Prose, text.key))
        parts += [
            f"**{text.title}**: {readme_assay.size(record, text)}; "
            f"{reference} ablation costs {cost.value:.4f} [{cost.low:.4f}, {cost.high:.4f}] "
            "nats per token.",
            readme_assay.markdown_table(record, text, reference, kinds=HEADLINES),
            *(note for note in notes if "regains" in note),
            *singles(record, text, reference),
        ]
    return "\n\n".join(parts)


def singles(record: Record, text: Section, reference: str) -> list[str]:
    """A line on each head alone, if that was measured."""
    where = f"{text.key}/singles/fractions"
    if not records.has(record, where):
        return []
    said = []
    fewer = readme_assay.documents(record, f"{text.key}/singles/more")
    for name, found in records.numbers(records.table(record, where)).items():
        number = found[f"against {reference}"]
        site = name.removesuffix(" alone").split(" at ")[-1]
        needs = f" (about {number.tokens_needed:,} tokens needed)" if number.tokens_needed else ""
        shown = (
            f"refused: {number.refused}{needs}" if number.value is None else str(fmt.show(number))
        )
        on = f" on {fewer[name]} documents" if name in fewer else ""
        said.append(f"- `{site}` alone{on}: {shown}")
    return ["\n".join(said)]


def engine_table(found: dict[str, Any]) -> str:
    """Seconds, ratios, error and memory of every tool.

    Both the fastest round and the median: other users of a shared machine only ever slow a round
    down, so the fastest is the tool's own, and the median is what one got.
    """
    lines = [
        "| tool | seconds per condition: fastest round | median | hooks' time over it: fastest rounds "
        "| median | peak memory, MB | greatest error, nats per token |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    hooks = min(found["rows"][0]["rounds"])
    for row in found["rows"]:
        fastest = min(row["rounds"])
        lines.append(
            f"| {row['tool']} | {fastest:.2f} | {row['seconds']:.2f} | {hooks / fastest:.2f} "
            f"| {row['times as fast as hooks']:.2f} | {row['peak memory, MB']:.0f} "
            f"| {row['greatest error, nats per token']:.0e} |"
        )
    machine = found["machine"]
    lines.append(
        f"\n{found['what']}; heads {', '.join(found['heads'])}; "
        f"{len(found['rows'][0]['rounds'])} rounds in turn; {machine['processor']}, "
        f"{machine['threads']} threads; torch {found['versions']['torch']}. The error is that of the "
        "losses against a cross entropy in float64."
    )
    return "\n".join(lines)


def filled(readme: str) -> str:
    """The README with every generated block made anew."""
    blocks = {
        "demo": lambda: demo_tables(records.read(DEMO, "assay")),
        "engine": lambda: engine_table(read("engine")),
        "matters": lambda: tables.matters_table(read("matters")),
        "circuit": lambda: tables.circuit_table(records.read(RESULTS / "circuit.json", "circuit")),
        "sweeps": lambda: tables.peers_table(read("sweeps")),
        "sweeps on one thread": lambda: tables.peers_table(read("sweeps-one-thread")),
        "sweeps on a GPU": lambda: tables.peers_table(read("sweeps-gpu")),
        "rungs": ladder.rungs_table,
        "compute": ladder.compute_table,
        "whole": ladder.whole_lines,
        "ngrams": ladder.ngrams_table,
        "estimators": lambda: tables.estimators_table(read("sweeps")["W5"]),
    }
    for name, make in blocks.items():
        pattern = re.compile(rf"(<!-- {name}: generated -->\n).*?(<!-- end -->)", re.DOTALL)
        if not pattern.search(readme):
            raise SystemExit(f"README.md has no block '{name}'")
        body = make()
        readme = pattern.sub(lambda found, body=body: f"{found[1]}\n{body}\n\n{found[2]}", readme)
    return readme


def main() -> None:
    """Take in a record if one is given, then write the README."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", type=Path)
    asked = parser.parse_args()
    if asked.record:
        records.without_words(records.read(asked.record, "assay")).save(DEMO)
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
