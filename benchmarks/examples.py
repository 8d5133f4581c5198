"""Records of the instruments whose pages would have no picture: small ones, on models that ship.

    python benchmarks/examples.py            # all of them, a minute on one core
    python benchmarks/examples.py label      # one

Kept without the words of documents as `benchmarks/results/example-*.json`; `docs/generate.py` shows them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

import records
import unexplained as ux
from unexplained.record import Record

RESULTS = Path(__file__).parent / "results"
HEADS = "L1.H0-2"


def on(model: str, text: str, documents: int) -> tuple[ux.Subject, ux.Text]:
    """A model that ships and a text for it."""
    subject = ux.load(model)
    return subject, ux.text(text, subject, documents=documents, fit_documents=64, block=96)


def family() -> Record:
    """The ladder by bytes."""
    return ux.family([f"rung-{i}" for i in range(1, 7)], source="pydocs", folder=None)


def hunt() -> Record:
    """What strict induction misses of the heads that do it."""
    subject, text = on("attention-2", "pydocs", 64)
    return ux.hunt(subject, HEADS, text, claim=ux.LIBRARY.get("strict_induction"), folder=None)


def label() -> Record:
    """The neurons of a rung that go most with the beginnings of words."""
    subject, text = on("rung-4", "pydocs", 48)
    begins = torch.tensor([i for i, word in enumerate(subject.words) if word.startswith(" ")])

    @ux.explanation(gives="value", reads=["tokens"])
    def beginning(view: ux.View) -> torch.Tensor:
        """The token begins a word."""
        return torch.isin(view.tokens, begins)

    return ux.label(subject, "", text, label=[beginning], folder=None)


def repair() -> Record:
    """Self-repair of a rung's heads."""
    subject, text = on("rung-4", "pydocs", 48)
    return ux.repair(subject, "L*.H*", text, folder=None)


def soundness() -> Record:
    """Six ablations of induction heads."""
    subject, text = on("attention-2", "repeats", 32)
    return ux.soundness(subject, HEADS, text, folder=None)


def structure() -> Record:
    """On how few heads a rung's work rests."""
    subject, text = on("rung-4", "pydocs", 16)
    return ux.structure(subject, "L*.H*", text, folder=None)


def subspace() -> Record:
    """Directions of an induction head's query."""
    subject, text = on("attention-2", "repeats", 32)
    return ux.subspace(subject, "L1.H1.q", text, directions="8", folder=None)


def suppression() -> Record:
    """Copy suppression at a rung's heads."""
    subject, text = on("rung-6", "pydocs", 48)
    return ux.suppression(subject, "L*.H*", text, best=2, folder=None)


def sweep() -> Record:
    """What each head of a rung is worth."""
    subject, text = on("rung-6", "pydocs", 48)
    return ux.sweep(subject, "L*.H*", text, folder=None)


ASKED: dict[str, Callable[[], Record]] = {
    one.__name__: one
    for one in (family, hunt, label, repair, soundness, structure, subspace, suppression, sweep)
}


def main() -> None:
    """Measure what is asked for, and keep the records."""
    for name in records.chosen(__doc__, ASKED):
        record = records.without_words(ASKED[name]())
        record.save(RESULTS / f"example-{name}.json")
        print(name, f"{record.seconds:.0f} s:", record.verdict, flush=True)


if __name__ == "__main__":
    main()
