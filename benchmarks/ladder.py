"""What the README says of the ladder: its curve, induction on it, rewriting, sizes, tasks.

    python benchmarks/ladder.py [--only curve] [--documents 96]

Every part is a record, written to `results/ladder-<part>.json`; documents of others stay out of it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import records
import unexplained as ux
from unexplained.explanations.files import find_explanation
from unexplained.fetch import cache_folder
from unexplained.ladder.catalogue import catalogue
from unexplained.record import Record
from unexplained.record.blocks import Block, Table
from unexplained.study.tasks import TaskText

HERE = Path(__file__).parent
PROGRAM = HERE.parent / "examples" / "whole_model.py"
SHOWN = ("count", "denominator", "strict induction", "own attention on targets")
"""Rows of strata that are kept."""
LEFT_OUT = ("singles", "distances", "twin")
"""Keys of blocks that the README does not show."""
FOLDER = cache_folder() / "ledgers"


def block_of(model: str) -> int:
    """Blocks no longer than the rows that a model was trained on."""
    return min(128, catalogue().named(model).context)


def induction(model: str, documents: int) -> Record:
    """The three strongest induction heads of a model, on web text and on repeats."""
    subject = ux.load(model)
    repeats = ux.text("repeats", subject, documents=16, fit_documents=32)
    webmix = ux.text("webmix", subject, documents=documents, fit_documents=64,
                     block=block_of(model))  # fmt: skip
    scores = ux.head_scores(subject, repeats)
    record = ux.assay(subject, ux.strongest(scores, 3), [webmix, repeats], heads=scores[:8],
                      singles=3, folder=FOLDER)  # fmt: skip
    return records.changed(records.without_words(record), slim)


def slim(above: str, block: Block) -> Block | None:
    """Without what the README does not show."""
    if getattr(block, "key", "") in LEFT_OUT:
        return None
    if isinstance(block, Table) and above.endswith("/strata"):
        rows = tuple(row for row in block.rows if row.key in SHOWN)
        return block.model_copy(update={"rows": rows})
    return block


def rewritten(documents: int) -> Record:
    """All heads of the largest rung, in random orders, and a written program."""
    subject = ux.load("rung-6")
    text = ux.text("webmix", subject, documents=documents, fit_documents=64)
    programs = find_explanation(str(PROGRAM), text)
    return ux.rewrite(subject, text, programs=programs, folder=FOLDER)


def over_sizes(documents: int) -> Record:
    """The same rules for all heads of every run of every rung."""
    known = catalogue()
    rungs = {ux.load(one.name): one.compute for one in known.rungs()}
    text = ux.text("webmix", next(iter(rungs)), documents=documents, fit_documents=64)
    return ux.sizes(rungs, text, folder=FOLDER)


def narrow(documents: int) -> Record:
    """The two-layer attention-only model on web text, its domains, and repeated tokens."""
    subject = ux.load("attention-2")
    text = ux.text("webmix", subject, documents=documents, fit_documents=64,
                   block=block_of("attention-2"))  # fmt: skip
    repeats = ux.text("repeats", subject, documents=32, fit_documents=8)
    asked = [
        TaskText(text.name, text, "the full distribution"),
        *(TaskText(d, text, "a domain of webmix", ("domain", d)) for d in text.composition),
        TaskText("repeats", repeats, "the second copy", ("copy", "second copy")),
    ]
    return ux.tasks(subject, text, asked=asked, folder=FOLDER)


def lives(documents: int) -> Record:
    """Where the gap between two neighbouring rungs lives."""
    strong, weak, *second = (
        ux.load(n) for n in ("rung-4", "rung-3", "rung-4-seed-1", "rung-3-seed-1")
    )
    text = ux.text("webmix", strong, documents=documents, fit_documents=64)
    third = ux.load("rung-4-seed-2"), ux.load("rung-3-seed-2")
    runs = [(second[0], second[1]), third]
    return ux.gap(strong, weak, text, chosen_by=runs[0], runs=runs, folder=FOLDER)


def multiplied_out(text: str, documents: int) -> Record:
    """The two-layer attention-only model as paths."""
    subject = ux.load("attention-2")
    cut = ux.text(
        text, subject, documents=documents, fit_documents=32, block=block_of("attention-2")
    )
    return ux.paths(subject, cut, folder=FOLDER)


PARTS: dict[str, Callable[[int], Record]] = {
    "attention": lambda documents: induction("attention-2", documents),
    "rung": lambda documents: induction("rung-6", documents),
    "rewrite": rewritten,
    "sizes": over_sizes,
    "tasks": narrow,
    "gap": lives,
    "paths": lambda documents: multiplied_out("repeats", 32),
    "paths-webmix": lambda documents: multiplied_out("webmix", documents),
}


def main() -> None:
    """Make the records."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=PARTS, default=None)
    parser.add_argument("--documents", type=int, default=96)
    asked = parser.parse_args()
    for part in [asked.only] if asked.only else PARTS:
        record = PARTS[part](asked.documents)
        record.save(HERE / "results" / f"ladder-{part}.json")
        print(part, f"{record.seconds:.0f} s:", record.verdict, flush=True)


if __name__ == "__main__":
    main()
