"""What tables were counted on, and what was measured on fewer documents, stands where the numbers do."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

import unexplained as ux
from assayed import tables_of
from sample_record import TABLES, assayed, counted_text, sample_record, web_text
from sample_rewrite import sample_rewrite
from test_assay import make_text, own_cache, subject_of, texts_of  # noqa: F401  (own_cache is a fixture)
from test_gap import ledger_of
from unexplained.bars.reading import Reading
from unexplained.explanations.program import fit_program
from unexplained.instruments._assay_text import counts_of
from unexplained.instruments._assay_words import cruxes_of
from unexplained.instruments.rewrite import _verdict
from unexplained.record import Record
from unexplained.record.blocks import Table
from unexplained.record.ids import walk
from unexplained.record.tables import counted
from unexplained.report import markdown, render, text_table
from unexplained.testbeds.texts import repeated
from unexplained.text.ngrams import NAMES

LINE = (
    "N-gram tables: 15,227,769 tokens, all of the fit part. Smoothing, the better on held-out documents of it "
    "(nats per token): bigram Kneser–Ney 4.610 (Witten–Bell 4.619), trigram Witten–Bell 3.750 (Kneser–Ney 3.812)."
)


def with_tables() -> Record:
    text = web_text()
    size = text.size.model_copy(update={"rows": (*text.size.rows, counts_of(TABLES))})
    return assayed(replace(text, tables=TABLES, size=size))


def in_a_line(printed: str) -> str:
    return " ".join(printed.split())


def test_tokens_smoothing_and_the_other_ones_loss_are_said_in_words() -> None:
    assert counted(TABLES) == LINE
    cut = TABLES[0].model_copy(update={"tokens": 2_000_000, "complete": False})
    assert "2,000,000 tokens, a limit: the fit part has more." in counted([cut])
    few = [one.model_copy(update={"held_out": {}}) for one in TABLES]
    assert "too few documents to choose it by: bigram Kneser–Ney, trigram Witten–Bell" in counted(
        few
    )
    assert counted(()) == ""


def test_an_assay_says_it_wherever_the_rows_stand() -> None:
    record, plain = with_tables(), sample_record()
    drawn = (partial(text_table, full=True), render, markdown)
    said = LINE.removeprefix("N-gram tables: ")
    assert all(said in in_a_line(draw(record)) for draw in drawn)
    assert not any("N-gram tables" in draw(plain) for draw in drawn)


def test_a_rewriting_says_it_too() -> None:
    record, said = sample_rewrite(), sample_rewrite(tables=TABLES, fit_tokens=4069)
    for draw in (partial(text_table, full=True), render):
        assert LINE in in_a_line(draw(said)) and "N-gram tables:" not in draw(record)
        assert "4,069" in draw(said) and "4,069" not in draw(record)


def test_what_is_measured_on_fewer_documents_says_on_how_many() -> None:
    text = web_text()
    twin = next(row for row in text.rows if row.card.role == "twin")
    claim = text.row()
    for some, said in (((1, 400), True), (None, False)):
        row = twin._replace(documents=some)
        words = "on 1 of 400 documents"
        whole = assayed(replace(text, rows=(claim, row), singles=(row,)))
        for part in ("recovered", "singles"):
            block = dict(
                (above, block)
                for above, block in walk(whole.blocks)
                if isinstance(block, Table) and block.key == "more"
            )[f"text-1/{part}"]
            assert ("documents" in [c.key for c in block.columns]) is said
            assert block.rows[-1].cells[-1] == 1 or not said
        # A terminal's cells are folded: the words are looked for one by one.
        assert all(word in text_table(whole, full=True) for word in words.split()) or not said
        assert ("on 1 of" in in_a_line(text_table(whole, full=True))) is said
        # In both forests and beside its name in every table of rows.
        assert (in_a_line(render(whole)).count(words) >= 6) is said
        assert (words in markdown(whole)) is said


def test_an_assay_counts_all_and_records_it() -> None:
    subject, site = subject_of("strict_induction")
    text = texts_of(subject)[0]
    rng = np.random.default_rng(1)
    many = make_text("more", subject, repeated(rng, 40, 12), repeated(rng, 20, 12))
    record = ux.assay(subject, site, [text, many], settings=ux.Settings(resamples=50), singles=1)
    told = tables_of(record)
    for i, source in enumerate((text, many), start=1):
        claims = {row.key: row for row in told[f"text-{i}/recovered/claims"].rows}
        assert set(NAMES) <= set(claims)
        tokens = sum(len(ids) for ids in source.pool())
        (counts,) = [r.cells[0] for r in told[f"text-{i}/size"].rows if r.key == "counted"]
        assert str(counts).startswith(f"{tokens:,} tokens, all of the fit part. Smoothing")
        # Which way is the better one is told of texts with enough documents to choose it by.
        assert ("too few documents" in str(counts)) == (i == 1)
        assert all(f"{name} " in str(counts) for name in NAMES[1:])
        assert f"{tokens:,} tokens, all of the fit part" in str(claims["trigram"].cells[0])
        bars = told[f"text-{i}/bars/all all/recovered"]
        assert "trigram" in [row.key for row in bars.rows]
        few = {"recovered": min(16, len(source.eval)), "singles": min(32, len(source.eval))}
        for part, some in few.items():
            more = told[f"text-{i}/{part}/more"]
            less = "documents" in [c.key for c in more.columns]
            assert less == (some < len(source.eval))
            assert not less or more.rows[-1].cells[-1] == some


def test_a_calibrated_program_knows_on_how_many_tokens() -> None:
    subject, _ = subject_of("strict_induction")
    text = texts_of(subject)[0]
    from test_programs import induction

    found = fit_program(induction.calibrated(), text)
    assert found.calibration is not None
    assert found.calibration.tokens == sum(len(block.targets) for block in text.fit)


def test_a_whole_explained_model_is_held_against_counting_with_what_chance_allows() -> None:
    rng = np.random.default_rng(0)
    tokens = np.full(40, 100)
    levels = {"intact": 3.0, "whole": 5.0, "bigram": 5.5, "trigram": 5.0}
    losses = {name: tokens * (level + rng.normal(0, 0.05, 40)) for name, level in levels.items()}
    read = Reading(ledger_of(losses, tokens), (), ux.Settings(resamples=200), "made up")
    said = _verdict(read, "whole", None, 4)
    assert "its loss is for certain lower than that of a bigram table" in said
    assert "its loss is within noise of that of a trigram table" in said
    worse = _verdict(read, "bigram", None, 4)
    assert "its loss is for certain higher than that of a trigram table" in worse


def test_the_best_table_stands_for_what_explains_nothing() -> None:
    (crux,) = [one for one in cruxes_of(counted_text()) if "very high proportions" in one.statement]
    assert "a trigram table, which explains nothing" in crux.bearing
