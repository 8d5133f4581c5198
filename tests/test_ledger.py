"""The ledger against sums done by hand."""

import math

import numpy as np
import pyarrow as pa
import pytest

from unexplained.errors import MeasurementError
from unexplained.ledger import ALL, SCHEMA, TOKEN_SCHEMA, Ledger

NO_TOKENS = TOKEN_SCHEMA.empty_table()

# condition, document, partition, label, tokens, loss, kl, agree, error
ROWS = [
    ("intact", "b", "all", "all", 10, 20.0, 0.0, 10, None),
    ("intact", "b", "recurrence", "repeats", 4, 2.0, 0.0, 4, None),
    ("intact", "a", "all", "all", 30, 90.0, 0.0, 30, None),
    ("mean", "b", "all", "all", 10, 22.0, 0.5, 9, 3.0),
    ("mean", "b", "recurrence", "repeats", 4, 3.5, 0.25, 3, 1.0),
    ("mean", "a", "all", "all", 30, 91.0, 0.75, 28, 5.0),
]


def ledger_of(rows) -> Ledger:
    whole = [
        (*row[:8], None, None, None, row[8]) for row in rows
    ]  # no correct, logit difference, preferred
    columns = [list(column) for column in zip(*whole, strict=True)] or [[] for _ in SCHEMA]
    return Ledger(pa.table(columns, schema=SCHEMA), NO_TOKENS)


def test_sums_are_per_document_in_the_order_of_first_appearance():
    sums = ledger_of(ROWS).sums("mean")
    assert sums.documents == ("b", "a")
    assert sums.tokens.tolist() == [10, 30]
    assert sums.loss.tolist() == [22.0, 91.0]
    assert sums.kl.tolist() == [0.5, 0.75]
    assert sums.agree.tolist() == [9, 28]
    assert sums.error.tolist() == [3.0, 5.0]


def test_per_token_is_total_over_total():
    sums = ledger_of(ROWS).sums("mean")
    assert sums.per_token() == 113 / 40
    assert sums.per_token("kl") == 1.25 / 40


def test_a_document_without_tokens_of_a_stratum_counts_zero():
    sums = ledger_of(ROWS).sums("mean", ("recurrence", "repeats"))
    assert sums.documents == ("b", "a")
    assert sums.tokens.tolist() == [4, 0]
    assert sums.loss.tolist() == [3.5, 0.0]


def test_a_document_in_several_parts_is_added_up():
    parts = [
        ledger_of([("intact", "a", "all", "all", 3, 1.0, 0.0, 3, None)]),
        ledger_of([("intact", "b", "all", "all", 5, 4.0, 0.0, 5, None)]),
        ledger_of([("intact", "a", "all", "all", 7, 2.5, 0.0, 6, None)]),
    ]
    sums = Ledger.concat(parts).sums("intact")
    assert sums.documents == ("a", "b")
    assert sums.tokens.tolist() == [10, 5]
    assert sums.loss.tolist() == [3.5, 4.0]
    assert sums.agree.tolist() == [9, 5]


def test_errors_that_were_not_asked_for_are_nan_and_never_zero():
    assert np.isnan(ledger_of(ROWS).sums("intact").error).all()


def test_conditions_keep_their_order_and_strata_begin_with_all():
    rows = [("intact", "b", "age", "new", 1, 1.0, 0.0, 1, None), *ROWS]
    ledger = ledger_of(rows)
    assert ledger.conditions == ("intact", "mean")
    assert ledger.strata == (ALL, ("age", "new"), ("recurrence", "repeats"))


def test_an_unknown_condition_is_an_error_that_names_the_nearest():
    with pytest.raises(MeasurementError, match="Did you mean mean"):
        ledger_of(ROWS).sums("meen")


def test_an_empty_ledger_has_nothing_and_says_so():
    empty = Ledger.concat([])
    assert empty.conditions == empty.documents == empty.strata == ()
    with pytest.raises(MeasurementError, match="There are none"):
        empty.sums("intact")


def test_only_keeps_the_rows_of_the_conditions_that_are_named():
    ledger = ledger_of(ROWS).only(["mean"])
    assert ledger.conditions == ("mean",)
    assert ledger.sums("mean").loss.tolist() == [22.0, 91.0]
    assert ledger_of(ROWS).only([]).conditions == ()


def with_tokens() -> Ledger:
    per_token = pa.table(
        [["mean", "mean"], ["b", "a"], [[0.5, 1.5], [2.0]], [[7, 8], [9]]], schema=TOKEN_SCHEMA
    )
    return Ledger(ledger_of(ROWS).table, per_token)


def test_per_token_rows_are_found_by_condition_and_document():
    ledger = with_tokens()
    assert ledger.token_rows("mean", "b") == ([0.5, 1.5], [7, 8])
    assert ledger.token_rows("intact", "b") == ([], [])
    assert ledger.only(["intact"]).tokens.num_rows == 0
    assert Ledger.concat([ledger, ledger_of(ROWS)]).token_rows("mean", "a") == ([2.0], [9])


def test_what_is_written_is_read_back(tmp_path):
    for ledger in (with_tokens(), ledger_of(ROWS), Ledger.empty()):
        ledger.write(tmp_path / "kept")
        again = Ledger.read(tmp_path / "kept")
        assert again.table.equals(ledger.table)
        assert again.tokens.equals(ledger.tokens)


def test_names_with_points_are_kept_apart(tmp_path):
    ledger_of(ROWS[:1]).write(tmp_path / "run-0.5")
    ledger_of(ROWS).write(tmp_path / "run-0.8")
    assert (tmp_path / "run-0.5.parquet").exists()
    assert Ledger.read(tmp_path / "run-0.5").table.num_rows == 1
    assert Ledger.read(tmp_path / "run-0.8.parquet").table.num_rows == len(ROWS)


def test_reading_sums_leaves_the_ledger_as_it_was():
    ledger = ledger_of(ROWS)
    sums = ledger.sums("mean")
    sums.loss[:] = math.nan
    assert ledger.sums("mean").loss.tolist() == [22.0, 91.0]
