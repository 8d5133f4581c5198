"""What tables were counted on, and what was measured on fewer documents, stands where the numbers do."""

from __future__ import annotations

import numpy as np

import unexplained as ux
from drawing import markdown, render, shown, text_table
from sample_compute import bars
from sample_record import sample_record
from sample_rewrite import sample_rewrite
from test_assay import make_text, own_cache, subject_of, texts_of  # noqa: F401  (own_cache is a fixture)
from test_gap import ledger_of
from unexplained.assays.assay import assay as measure_assay
from unexplained.assays.rewrite import _verdict
from unexplained.assays.verdict import cruxes_of
from unexplained.explanations.program import fit_program
from unexplained.record import AssayRecord, Counted
from unexplained.record.blocks import Table, walk
from unexplained.record.tables import counted
from unexplained.testbeds.texts import repeated
from unexplained.text.ngrams import NAMES

TABLES = (
    Counted(name="bigram", smoothing="Kneser–Ney", tokens=15_227_769, complete=True,
            held_out={"Witten–Bell": 4.6194, "Kneser–Ney": 4.6098}),
    Counted(name="trigram", smoothing="Witten–Bell", tokens=15_227_769, complete=True,
            held_out={"Witten–Bell": 3.75, "Kneser–Ney": 3.8125}),
)  # fmt: skip
LINE = (
    "N-gram tables: 15,227,769 tokens, all of the fit part. Smoothing, the better on held-out documents of it "
    "(nats per token): bigram Kneser–Ney 4.610 (Witten–Bell 4.619), trigram Witten–Bell 3.750 (Kneser–Ney 3.812)."
)


def with_tables() -> AssayRecord:
    record = sample_record()
    text = record.texts[0].model_copy(update={"tables": TABLES})
    return record.model_copy(update={"texts": (text, *record.texts[1:])})


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
    drawn = (text_table, render, markdown)
    said = LINE.removeprefix("N-gram tables: ")
    assert all(said in in_a_line(draw(record)) for draw in drawn)
    assert not any("N-gram tables" in draw(plain) for draw in drawn)


def test_a_rewriting_says_it_too() -> None:
    record = sample_rewrite()
    said = record.model_copy(update={"counted": TABLES})
    for draw in (text_table, render):
        assert LINE in in_a_line(draw(said)) and "N-gram tables:" not in draw(record)
    assert record.programs[0].fit_tokens is None and "4,069" not in render(record)
    fitted = record.programs[0].model_copy(update={"fit_tokens": 4069})
    changed = record.model_copy(update={"programs": (fitted, *record.programs[1:])})
    assert all("4,069" in draw(changed) for draw in (text_table, render))


def test_what_is_measured_on_fewer_documents_says_on_how_many() -> None:
    record = sample_record()
    text = record.texts[0]
    twin = next(row for row in text.rows if row.kind == "twin")
    some = twin.model_copy(update={"documents": 1})
    all_ = twin.model_copy(update={"documents": text.documents})
    for row, said in ((some, True), (all_, False), (twin, False)):
        changed = text.model_copy(update={"rows": (row,), "singles": (row,)})
        words = f"on 1 of {text.documents:,} documents"
        whole = record.model_copy(update={"texts": (changed,)})
        for part in ("recovered", "singles"):
            block = dict(
                (above, block)
                for above, block in walk(shown(whole).blocks)
                if isinstance(block, Table) and block.key == "more"
            )[f"text-1/{part}"]
            assert ("documents" in [c.key for c in block.columns]) is said
            assert block.rows[0].cells[-1] == 1 or not said
        # A terminal's cells are folded: the words are looked for one by one.
        assert all(word in text_table(whole) for word in words.split()) or not said
        assert ("on 1 of" in in_a_line(text_table(whole))) is said
        # In both forests and beside its name in every table of rows.
        assert (in_a_line(render(whole)).count(words) >= 6) is said
        assert (words in markdown(whole)) is said


def test_an_assay_counts_all_and_records_it() -> None:
    subject, site = subject_of("strict_induction")
    text = texts_of(subject)[0]
    rng = np.random.default_rng(1)
    many = make_text("repeated", subject, repeated(rng, 40, 12), repeated(rng, 20, 12))
    record = measure_assay(
        subject, site, [text, many], settings=ux.Settings(resamples=50), singles=1
    )
    for one, source in zip(record.texts, (text, many), strict=True):
        rows = {row.name: row for row in one.rows}
        assert set(NAMES) <= set(rows)
        tokens = sum(len(ids) for ids in source.pool())
        assert [(t.name, t.tokens, t.complete) for t in one.tables] == [
            (name, tokens, True) for name in NAMES[1:]
        ]
        assert f"{tokens:,} tokens, all of the fit part" in rows["trigram"].says
        assert {"trigram"} <= {bar.condition for bar in one.bars}
        twin = next(row for row in one.rows if row.kind == "twin")
        assert twin.documents == min(16, len(source.eval))
        assert [row.documents for row in one.singles] == [min(32, len(source.eval))]
    assert not record.texts[0].tables[0].held_out and set(record.texts[1].tables[0].held_out)


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
    said = _verdict("whole", None, 4, ledger_of(losses, tokens), ux.Settings(resamples=200))
    above = [(losses["whole"] - losses[name]).sum() / 4000 for name in ("bigram", "trigram")]
    bigram, trigram = said.split(". Its loss less a ")[1:]
    assert bigram.startswith(f"bigram table's is {above[0]:+.3f}".replace("-", "−"))
    assert "for certain lower" in bigram
    assert trigram.startswith(f"trigram table's is {above[1]:+.3f}".replace("-", "−"))
    assert "not told from it" in trigram
    worse = _verdict("bigram", None, 4, ledger_of(losses, tokens), ux.Settings(resamples=200))
    assert "for certain higher" in worse.split("trigram table")[1]


def test_the_best_table_stands_for_what_explains_nothing() -> None:
    record = with_tables()
    text = record.texts[0]
    bases = {"unigram": 7.0, "mean": 4.41}
    found = {
        name: bars(name, loss, bases, 2.9142) for name, loss in (("bigram", 5.0), ("trigram", 4.0))
    }
    changed = text.model_copy(update={"bars": tuple(found.values())})
    (crux,) = [one for one in cruxes_of([changed], text.rows[-1].name, record.reference)
               if "very high proportions" in one.statement]  # fmt: skip
    assert "a trigram table, which explains nothing" in crux.bearing
