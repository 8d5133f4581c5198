"""What is told from zero, by theorems, by hand and by how often nothing is told; and what has bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from unexplained.bars.measures import measure_of
from unexplained.errors import MeasurementError
from unexplained.estimators import p_values
from unexplained.estimators.tails import ends_of, longer
from unexplained.intervals import left_out
from unexplained.record import Number
from unexplained.shares import decimals_of, percent, told, within
from unexplained.stats import Settings, mean_per_token

SETTINGS = Settings()


def test_without_tails_a_p_value_is_the_t_tests():
    rng = np.random.default_rng(0)
    half = rng.normal(0, 1, (5, 10))
    rows = np.array([[0.0], [0.2], [-0.5], [1.0], [3.0]]) + np.concatenate([half, -half], axis=1)
    theirs = scipy.stats.ttest_1samp(rows, 0, axis=1).pvalue
    assert p_values(rows, np.full(20, 7)) == pytest.approx(theirs, rel=1e-9)
    for row, p in zip(rows, theirs, strict=True):  # documents without tokens are none
        more, sizes = np.append(row, [0.0, 0.0]), np.append(np.full(20, 7), [0, 0])
        assert float(p_values(more, sizes)) == pytest.approx(p, rel=1e-9)


@given(st.integers(0, 10**6), st.booleans())
def test_a_p_value_is_never_below_the_t_tests_and_turns_with_its_sign(seed, share):
    rng = np.random.default_rng(seed)
    rows = rng.lognormal(0, 1, (3, 9)) + rng.normal(-1, 1, (3, 1))
    found = p_values(rows, np.ones(9), share=share)
    assert (found >= scipy.stats.ttest_1samp(rows, 0, axis=1).pvalue * (1 - 1e-9)).all()
    assert p_values(-rows, np.ones(9), share=share) == pytest.approx(found, rel=1e-9)
    if share:  # tails of what has bounds count less
        assert (found <= p_values(rows, np.ones(9)) * (1 + 1e-9)).all()


def test_a_mean_whose_large_documents_may_be_missing_is_told_from_zero_less_surely():
    # Below zero, its tail above: another text may have the large ones, and a mean above zero.
    tail = np.array([0.1, 0.1, 0.1, 0.2, 0.2, 0.2, 0.3, 0.4, 0.5, 2.9])
    row = tail - tail.mean() - 0.7
    plain = scipy.stats.ttest_1samp(row, 0).pvalue
    assert plain < 0.05 < float(p_values(row, np.ones(10)))
    away = tail - tail.mean() + 0.7  # the tail away from zero: nothing that is missing would help
    assert float(p_values(away, np.ones(10))) < float(p_values(row, np.ones(10)))


def test_what_does_not_vary_has_the_chance_that_all_err_to_one_side_and_nothing_is_not_told():
    same = np.arange(3, 15) / 3  # a third per token, to the last bits
    found = p_values(np.stack([same, same * 0]), np.arange(3, 15))
    assert found.tolist() == [2.0**-11, 1.0]
    with pytest.raises(MeasurementError, match="two documents"):
        p_values(np.array([5, 0, 0]) / 5, np.array([5, 0, 0]))


@pytest.mark.parametrize(
    ("row", "tokens", "match"),
    [
        (
            [np.nan, 1, 2, 3],
            [5, 5, 5, 5],
            "totals is NaN or infinite in 1 of them, first at place 0",
        ),
        ([np.inf, 1, 2, 3], [5, 5, 5, 5], "totals is NaN or infinite in 1"),
        ([1, 1, 2, 3], [-5, 5, 5, 5], "negative number of tokens"),
        ([1, 1, 2, 3], [5, 0, 5, 5], "totals is 1 at place 1, where there are no tokens"),
        ([1, 1, 2, 3], [5, 5, 5], r"totals has shape \(1, 4\)"),
    ],
)
def test_no_p_value_is_made_of_what_is_no_sum(row, tokens, match):
    with pytest.raises(MeasurementError, match=match):
        p_values(np.array([row], dtype=float), np.array(tokens))


def test_a_p_value_does_not_depend_on_the_unit():
    rows, tokens = np.random.default_rng(1).normal(1, 1, (3, 9)), np.full(9, 7)
    for unit in (1e-200, 1e200):
        assert p_values(rows * unit, tokens) == pytest.approx(p_values(rows, tokens))


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("n", [8, 16, 48])
def test_nothing_is_told_from_zero_in_at_most_one_text_in_twenty(n, side):
    rng = np.random.default_rng(n)
    rows = side * (rng.lognormal(0, 1, (3000, n)) - math.exp(0.5))
    slack = 3 * math.sqrt(0.05 * 0.95 / 3000)
    false = (p_values(rows, np.ones(n)) < 0.05).mean()
    assert false < 0.05 + slack
    plain = (scipy.stats.ttest_1samp(rows, 0, axis=1).pvalue < 0.05).mean()
    assert plain > 0.05 + slack  # the check of the t test can fail


def test_an_interval_with_tails_is_students_times_what_they_ask_for():
    rng = np.random.default_rng(2)
    total, tokens = rng.lognormal(0, 1, 12), np.full(12, 4.0)
    falls, value = left_out(total, tokens), float(total.sum() / 48)
    t = scipy.stats.t.isf(0.025, 11) * math.sqrt(11 / 12 * float(falls @ falls))
    below, above = longer(falls, tokens)
    low, high = ends_of(value, falls, tokens, 0.95, rounding=0.0)
    assert (low, high) == pytest.approx((value - t * below, value + t * above), rel=1e-12)
    assert above > below >= 1  # the tail is above
    assert ends_of(value, falls, tokens, 0.95, rounding=1e9) == (value, value)


# bounds


def number(value, low, high):
    return Number(value=value, low=low, high=high, unit="share")


def test_an_interval_stays_within_the_bounds_of_what_it_is_of():
    cases = (
        (within(number(0.2, -0.3, 0.7), 0, 1), (0.2, 0.0, 0.7)),
        (within(number(0.8, 0.5, 1.4), 0, 1), (0.8, 0.5, 1.0)),
        (within(number(0.8, None, 1.4), 0, 1), (0.8, 0.0, 1.0)),
        (within(number(0.8, 0.1, None), 0, 1), (0.8, 0.1, 1.0)),
        (within(number(0.8, 0.1, None), least=0), (0.8, 0.1, None)),
        (within(number(0.3, None, None), 0, 1), (0.3, None, None)),
    )
    for found, expected in cases:
        assert (found.value, found.low, found.high) == expected
    refused = Number(value=None, unit="share", refused="noise")
    assert within(refused, 0, 1) == refused


def test_what_lies_beyond_its_bounds_is_no_number_of_its_kind():
    found = within(number(-3.0, -4.0, -2.0), least=0)
    assert (
        found.value is None
        and "came out at −3, and nothing of its kind is below 0" in found.refused
    )
    assert within(number(1.2, 1.1, 1.3), 0, 1).value is None
    rounded = within(number(-1e-9, -2e-9, 1e-9), least=0)
    assert (rounded.value, rounded.low, rounded.high) == (0.0, 0.0, 1e-9)
    over = within(number(1 + 1e-9, 0.9, 1 + 2e-9), 0, 1)
    assert (over.value, over.low, over.high) == (1.0, 0.9, 1.0)
    assert within(Number(value=-1e-9), least=0).value == 0


def test_what_cannot_be_below_zero_has_no_interval_below_it():
    # A divergence that one document of six has: the interval of a mean reaches below 0.
    total, tokens = np.array([0.0, 0, 0, 0, 0, 6]), np.full(6, 10)
    plain = mean_per_token(total, tokens, settings=SETTINGS)
    assert plain.low is not None and plain.low < 0
    for name, pairs, least, most in (
        ("KL", False, 0.0, None),
        ("accuracy", False, -1.0, 1.0),
        ("loss", False, None, None),
        ("logit difference", True, None, None),
    ):
        assert measure_of(name, pairs=pairs).changes == (least, most)
    assert within(plain, *measure_of("KL", pairs=False).changes).low == 0.0
    assert measure_of("accuracy", pairs=True).values == (0.0, 1.0)


@given(st.floats(0, 1, allow_nan=False))
def test_no_share_reads_as_all_or_none_unless_it_is(share):
    said = percent(Number(value=share, low=0.0, high=1.0, unit="share")).partition("%")[0]
    if 1e-8 < share < 1 - 1e-8:
        assert float(said) not in (0.0, 100.0)
    elif share in (0.0, 1.0):
        assert float(said) == 100 * share
    assert decimals_of(share, least=1) >= 1


def test_a_percentage_of_too_few_documents_is_refused_and_says_how_many_it_takes():
    share = Number(value=0.75, unit="share")
    assert "(4; it takes 5)" in told(share, 4).refused
    assert told(share, 5) == share
    assert percent(told(share, 4)).startswith("(refused: too few documents")
