"""Write the tables of README and docs from `benchmarks/results/*.json`; no number in them is typed.

    python benchmarks/readme.py            # after `make demo` or `make bench`
    python benchmarks/readme.py --record runs/demo.json   # take in a new record first
    python benchmarks/readme.py --example  # run the README's ten lines, and take in what they give

A record is kept without its token view: the words of documents stay out of the repository.
"""

from __future__ import annotations

import argparse
import ast
import re
import runpy
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import casebook
import readme_assay
import readme_ladder as ladder
import readme_sweeps as tables
import records
import statistics_tables
from statistics_tables import read
from unexplained.record import Number, Record
from unexplained.record import format as fmt
from unexplained.record.blocks import Block, Prose, Section
from unexplained.report.drawn import drawn
from unexplained.report.markdown import line, safe
from unexplained.report.tables import answered

HERE = Path(__file__).parent
ROOT = HERE.parent
DOCUMENTS = (
    ROOT / "README.md",
    *(
        ROOT / "docs" / name
        for name in ("results.md", "benchmarks.md", "statistics.md", "how-to/model.md")
    ),
)
"""Those with tables that are made here."""
RESULTS = statistics_tables.RESULTS
DEMO = RESULTS / "demo.json"
EXAMPLE = RESULTS / "example.json"
HEADLINES = ("explanation", "fitted", "control", "baseline")


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


def example(record: Record) -> str:
    """The README's ten lines: the verdict, and the answer as a table."""
    given = drawn(record)
    assert given.answer is not None
    found = answered(given.answer, lambda where: given.at("", where))
    lines = [line(["", *(column.heading for column in found.columns)]), "|---|---:|---:|"]
    for row in found.rows:
        cells = (
            "refused"
            if isinstance(cell, Number) and cell.value is None
            else str(fmt.cell(cell, column.style))
            for cell, column in zip(row.cells, found.columns, strict=True)
        )
        lines.append(line([f"{row.name} ({row.note})" if row.note else row.name, *cells]))
    return "\n".join((f"> {safe(record.verdict)}", "", *lines))


def architectures() -> str:
    """What each file of an architecture says of it."""
    files = sorted((ROOT / "src" / "unexplained" / "subject" / "architectures").glob("[!_]*.py"))
    said = [
        (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").split("\n\n")[0]
        for path in files
    ]
    return "\n".join(f"- {' '.join(words.split())}" for words in said)


BLOCKS: dict[str, Callable[[], str]] = {
    "architectures": architectures,
    "example": lambda: example(records.read(EXAMPLE, "assay")),
    "demo": lambda: demo_tables(records.read(DEMO, "assay")),
    "casebook": casebook.casebook_answers,
    "shortfall plants": casebook.plants_table,
    "engine": lambda: engine_table(read("engine")),
    "matters": lambda: tables.matters_table(read("matters")),
    "circuit": lambda: tables.circuit_table(records.read(RESULTS / "circuit.json", "circuit")),
    "sweeps": lambda: tables.peers_table(read("sweeps")),
    "sweeps on one thread": lambda: tables.peers_table(read("sweeps-one-thread")),
    "sweeps on a GPU": lambda: tables.peers_table(read("sweeps-gpu")),
    "rungs": ladder.rungs_table,
    "compute": ladder.compute_table,
    "whole": ladder.whole_lines,
    "paths": ladder.paths_table,
    "emergence": ladder.emergence_table,
    "ngrams": ladder.ngrams_table,
    "estimators": lambda: tables.estimators_table(read("sweeps")["W5"]),
    **statistics_tables.BLOCKS,
}
PLACE = re.compile(r"(<!-- ([^\n]+): generated -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(document: str) -> str:
    """A document with every generated block made anew."""

    def block(found: re.Match[str]) -> str:
        if found[2] not in BLOCKS:
            raise SystemExit(f"No block '{found[2]}' is generated; there are {', '.join(BLOCKS)}")
        return f"{found[1]}\n{BLOCKS[found[2]]()}\n\n{found[3]}"

    return PLACE.sub(block, document)


def places() -> list[str]:
    """The generated blocks of all documents."""
    return [one[1] for path in DOCUMENTS for one in PLACE.findall(path.read_text("utf-8"))]


def shown(above: str, block: Block) -> Block | None:
    """Of the example's record what its answer needs."""
    return None if getattr(block, "key", "") in ("bars", "strata", "singles", "context") else block


def run_example() -> Record:
    """The record of the first block of code in the README."""
    code = DOCUMENTS[0].read_text("utf-8").partition("```python\n")[2].partition("```")[0]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "induction.py"
        file.write_text(code, encoding="utf-8")
        found: Record = runpy.run_path(str(file))["record"]
    return found


def main() -> None:
    """Take in a record if one is given, then write the documents."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", type=Path)
    parser.add_argument("--example", action="store_true")
    asked = parser.parse_args()
    if asked.record:
        records.without_words(records.read(asked.record, "assay")).save(DEMO)
    if asked.example:
        records.changed(records.without_words(run_example()), shown).save(EXAMPLE)
    for path in DOCUMENTS:
        path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
