"""What the README says of the ladder: its curve, induction on it, rewriting, sizes, tasks.

    python benchmarks/ladder.py [--only curve] [--documents 96]

Every part is a record, written to `results/ladder-<part>.json`; documents of others stay out of it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import unexplained as ux
from unexplained.assays.tasks import Asked
from unexplained.explanations.files import find_explanation
from unexplained.fetch import cache_folder
from unexplained.ladder.catalogue import catalogue
from unexplained.ladder.conditions import weaker_models
from unexplained.record import AssayRecord, Header, TextResult

HERE = Path(__file__).parent
PROGRAM = HERE.parent / "examples" / "whole_model.py"
SHOWN = ("strict induction", "own attention on targets")
FOLDER = cache_folder() / "ledgers"


def block_of(model: str) -> int:
    """Blocks no longer than the rows that a model was trained on."""
    return min(128, catalogue().named(model).context)


def induction(model: str, documents: int) -> AssayRecord:
    """The three strongest induction heads of a model, on web text and on repeats."""
    subject = ux.load(model)
    repeats = ux.text("repeats", subject, documents=16, fit_documents=32)
    webmix = ux.text("webmix", subject, documents=documents, fit_documents=64,
                     block=block_of(model))  # fmt: skip
    scores = ux.head_scores(subject, repeats)
    record = ux.assay(subject, ux.strongest(scores, 3), [webmix, repeats], heads=scores[:8],
                      singles=3, folder=FOLDER)  # fmt: skip
    return record.model_copy(update={"texts": tuple(map(slim, record.texts))})


def slim(text: TextResult) -> TextResult:
    """Without documents of others, and without what the README does not show."""
    rows = tuple(row.model_copy(update={"strata": row.strata if row.name in SHOWN else (),
                                        "bars": {}}) for row in text.rows)  # fmt: skip
    bars = tuple(
        one.model_copy(update={"baselines": tuple(
            base.model_copy(update={"distances": {}}) for base in one.baselines)})
        for one in text.bars
    )  # fmt: skip
    return text.model_copy(update={"examples": (), "rows": rows, "bars": bars, "singles": ()})


def rewritten(documents: int) -> Header:
    """All heads of the largest rung, in random orders, and a written program."""
    subject = ux.load("rung-6")
    text = ux.text("webmix", subject, documents=documents, fit_documents=64)
    return ux.rewrite(
        subject, text, weaker=weaker_models(subject, text),
        programs=find_explanation(str(PROGRAM), text), folder=FOLDER,
    )  # fmt: skip


def over_sizes(documents: int) -> Header:
    """The same rules for all heads of every run of every rung."""
    known = catalogue()
    rungs = {ux.load(one.name): one.compute for one in known.rungs()}
    text = ux.text("webmix", next(iter(rungs)), documents=documents, fit_documents=64)
    return ux.sizes(rungs, text, folder=FOLDER)


def narrow(documents: int) -> Header:
    """The two-layer attention-only model on web text, its domains, and repeated tokens."""
    subject = ux.load("attention-2")
    text = ux.text("webmix", subject, documents=documents, fit_documents=64,
                   block=block_of("attention-2"))  # fmt: skip
    repeats = ux.text("repeats", subject, documents=32, fit_documents=8)
    asked = [
        Asked(text.name, text, "the full distribution"),
        *(Asked(d, text, "a domain of webmix", ("domain", d)) for d in text.composition),
        Asked("repeats", repeats, "the second copy", ("copy", "second copy")),
    ]
    return ux.tasks(subject, asked, weaker=weaker_models(subject, text), folder=FOLDER)


def lives(documents: int) -> Header:
    """Where the gap between two neighbouring rungs lives."""
    strong, weak, *second = (
        ux.load(n) for n in ("rung-4", "rung-3", "rung-4-seed-1", "rung-3-seed-1")
    )
    text = ux.text("webmix", strong, documents=documents, fit_documents=64)
    third = ux.load("rung-4-seed-2"), ux.load("rung-3-seed-2")
    runs = [(second[0], second[1]), third]
    return ux.gap(strong, weak, text, chosen_by=runs[0], runs=runs, folder=FOLDER)


PARTS: dict[str, Callable[[int], Header]] = {
    "attention": lambda documents: induction("attention-2", documents),
    "rung": lambda documents: induction("rung-6", documents),
    "rewrite": rewritten,
    "sizes": over_sizes,
    "tasks": narrow,
    "gap": lives,
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
