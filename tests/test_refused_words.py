"""No sentence is broken by a refusal in its middle, whatever of a record is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest

from changed import each_number
from sample_circuit import curves, sample_circuit
from sample_family import by_byte, sample_family
from sample_gap import sample_gap
from sample_record import assayed, counted_text, repeats_text
from sample_rewrite import sample_rewrite
from sample_sizes import SIZES, sample_sizes, slope
from sample_sweep import sample_sweep, sample_sweep_of_pairs
from sample_tasks import sample_tasks
from unexplained.instruments._assay_words import cruxes, verdict_of
from unexplained.record import Number, Record
from unexplained.record.bars import OverRuns
from unexplained.record.blocks import Prose, Section
from unexplained.report import text_table

WHY = "noise"
BROKEN = re.compile(
    r"(?:\b(?:in|on|of|gains|back|by|to) refused\b(?! [\[(]))"
    r"|(?:refused (?:of|nats|bits|pairs|points|tokens|the|where|and|at|FLOPs)\b)"
    r"|refused(?: for all)?[:,] *(?:$|\n|\.)"
)
"""What a number stood in before it was refused; a refusal without a reason."""


def all_refused(thing: Any) -> Any:
    """A record, or what was found, of which every number is refused."""
    return each_number(thing, lambda one: Number(value=None, unit=one.unit, refused=WHY))


def sample_assay() -> Record:
    """The assay's words are made of what was found on its texts, so that is refused."""
    texts = [all_refused(one) for one in (counted_text(), repeats_text())]
    said = Section(
        key="said",
        title="Said",
        blocks=(Prose(words=verdict_of(texts, ["L0.H0", "L0.H1"])), *cruxes(texts)),
    )
    whole = assayed(*texts)
    return whole.model_copy(update={"blocks": (*whole.blocks, said)})


def gap_over_runs() -> Any:
    one = Number(value=0.3, low=0.2, high=0.4, unit="share")
    runs = OverRuns(pairs=(("a", "b"),) * 3, gap=one, worse=one, factor=one, effective=one)
    return sample_gap(runs)


def circuit_of_refused() -> Any:
    return sample_circuit(all_refused(curves()), twin=True)


def refused_sizes() -> Any:
    none = all_refused(slope().number)
    return sample_sizes([one._replace(damage=none, recovered=none) for one in SIZES], slope(none))


def refused_family() -> Any:
    return sample_family(all_refused(by_byte()))


def whole(table: str) -> None:
    """Assert that no sentence of a printed record is broken."""
    # One line: sentences wrap anywhere. Tables' cells hold `refused [1]` and nothing else.
    said = " ".join(table.split())
    assert "refused" in said
    assert not (found := BROKEN.search(said)), said[found.start() - 60 : found.end() + 30]


@pytest.mark.parametrize(
    "make",
    [
        sample_assay,
        sample_gap,
        gap_over_runs,
        sample_rewrite,
        refused_sizes,
        sample_tasks,
        circuit_of_refused,
        sample_sweep,
        sample_sweep_of_pairs,
        refused_family,
    ],
)
def test_a_record_of_which_all_is_refused_has_no_broken_sentence(make: Any) -> None:
    whole(text_table(all_refused(make()), full=True))


def test_the_search_for_broken_sentences_can_fail() -> None:
    for broken in (
        "prefers the answer in refused of pairs",
        "The intact model is right on refused of the tokens.",
        "it gains refused nats per token",
        "Between rungs: refused for all, ",
        "What circuits keep is refused: .",
    ):
        assert BROKEN.search(broken), broken
    assert not BROKEN.search("mean refused [1], rung-1 refused [2]: refused for all, noise")


def test_an_assay_of_which_all_is_refused_says_so_in_one_sentence() -> None:
    said = verdict_of([all_refused(repeats_text())], ["L0.H0"])
    assert (
        f"accounts for of what mean ablation of L0.H0 costs on repeats is refused: {WHY}." in said
    )
