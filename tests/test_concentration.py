"""Where a gap lives: by hand, by slow second routes, and on gaps planted few, even and in noise."""

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import scipy.stats
from hypothesis import assume, given
from hypothesis import settings as quick
from hypothesis import strategies as st
from scipy.stats import rankdata

from unexplained import bars
from unexplained.bars.concentration import CROSS, OWN, _Order, inverse
from unexplained.errors import MeasurementError
from unexplained.ledger import ALL, SCHEMA, TOKEN_SCHEMA, Ledger
from unexplained.record import Number
from unexplained.record.bars import Concentration, OnCrucial
from unexplained.stats import Settings

PLAIN = Settings()
LEAN = Settings(resamples=400)


def kept(losses) -> Ledger:
    """A ledger that keeps tokens: of every condition one array of losses (nats) per document."""
    tokens, rows = [], []
    for name, documents in losses.items():
        for i, values in enumerate(documents):
            values = np.asarray(values, dtype=float)
            tokens.append((name, f"d{i:03d}", values.tolist(), [0] * values.size))
            total = float(values.sum())
            rows.append((name, f"d{i:03d}", *ALL, values.size, total, 0.0, 0, *[None] * 4))
    tables = [
        pa.table([list(column) for column in zip(*some, strict=True)], schema=schema)
        for some, schema in ((rows, SCHEMA), (tokens, TOKEN_SCHEMA))
    ]
    return Ledger(*tables)


def pair(gaps, *, base=3.0) -> dict:
    """A strong model at `base` everywhere and a weaker one `gaps` above it."""
    return {
        "strong": [np.full(len(one), base) for one in gaps],
        "weak": [base + np.asarray(one, dtype=float) for one in gaps],
    }


BY_HAND = [[5, -1], [4, -2], [2, 0], [0, 2], [0, 0]]


def test_ten_tokens_by_hand():
    found = bars.concentration(kept(pair(BY_HAND)), "strong", "weak", settings=PLAIN)
    assert (found.documents, found.tokens, found.own) == (5, 10, True)
    assert found.gap.value == 1.0
    assert (found.gained.value, found.given_back.value) == (1.3, 0.3)
    assert (found.worse.value, found.worse.unit) == (0.2, "share")
    # In order: 5 4 2 2 0 0 0 0 −1 −2. Half the net 10 is the first token; 8 is 3/4 into the
    # second; all 10 a quarter into the two 2s, which are taken together.
    assert found.carrying["0.5"].value == pytest.approx(0.1)
    assert found.carrying["0.8"].value == pytest.approx(0.175)
    assert found.carrying["1"].value == pytest.approx(0.25)
    at = {one.tokens: one.carries.value for one in found.curve}
    assert at[0.1] == pytest.approx(0.5)
    assert at[0.2] == pytest.approx(0.9)
    assert at[0.3] == pytest.approx(1.1)
    assert at[0.5] == pytest.approx(1.3)
    assert at[0.9] == pytest.approx(1.2)
    assert at[1.0] == 1.0
    # Areas of the trapezoids of 0 5 9 11 13 13 13 13 13 12 10, less the triangle's 5.
    assert found.index.value == pytest.approx(2 * (10.7 - 5) / 10)
    assert found.bounded.value == pytest.approx(2 * (10.7 - 5) / 16)
    assert found.factor.value == pytest.approx(10 * 54 / 10**2)
    assert found.effective.value == pytest.approx(10 / 54)


gaps = st.lists(st.integers(-8, 16), min_size=10, max_size=40)


@given(d=gaps, seed=st.integers(0, 1000))
@quick(max_examples=60, deadline=None)
def test_the_index_is_the_mean_difference_and_by_another_order_a_covariance_with_ranks(d, seed):
    d = np.array(d, dtype=float)
    assume(d.sum() > 0)
    other = np.random.default_rng(seed).integers(0, 5, d.size).astype(float)  # with ties
    own = _Order.of(d, d, np.arange(d.size)).measured(np.ones(d.size))
    slow = np.abs(d[:, None] - d[None, :]).mean() / (2 * d.mean())
    assert own[0] / own[1] == pytest.approx(slow, abs=1e-9)
    cross = _Order.of(d, other, np.arange(d.size)).measured(np.ones(d.size))
    place = (rankdata(other) - 0.5) / d.size
    assert cross[0] / cross[1] == pytest.approx(2 * (d * place).mean() / d.mean() - 1, abs=1e-9)
    assert cross[0] <= own[0] + 1e-9  # no order shows more than the gap's own
    assert 0 <= own[0] / np.abs(d).sum() <= 1
    assert own[2:-3].tolist() >= cross[2:-3].tolist()


@given(d=gaps, other=gaps, times=st.lists(st.integers(0, 3), min_size=40, max_size=40))
@quick(max_examples=60, deadline=None)
def test_drawing_documents_again_is_repeating_their_tokens(d, other, times):
    count = min(len(d), len(other))
    d, other = np.array(d[:count], dtype=float), np.array(other[:count], dtype=float)
    at = np.arange(count) // 3
    drawn = np.array(times[: at[-1] + 1], dtype=float)
    repeats = drawn[at].astype(int)
    assume(repeats.sum() > 0 and (np.repeat(d, repeats)).sum() > 0)
    quickly = _Order.of(d, other, at).measured(drawn)
    rows = np.repeat(np.arange(count), repeats)
    slowly = _Order.of(d[rows], other[rows], np.zeros(rows.size, dtype=int)).measured(np.ones(1))
    scale = np.array([repeats.sum() / rows.size] * quickly.size)
    assert quickly == pytest.approx(slowly * scale, abs=1e-9)


KINDS = {"few": (0.05, 2.0), "even": (1.0, 0.1)}


def planted(kind, *, noise, documents=60, length=500, seed=0, share=None) -> Ledger:
    """A gap of 0.1 nats per token net, on 5% of the tokens or on all, two seeds of each model.

    The noise (nats) is in each seed's gap, independent by token. Tokens differ in difficulty.
    """
    rng = np.random.default_rng(seed)
    part, size = KINDS[kind] if share is None else (share, 0.1 / share)
    hit = np.zeros((documents, length), dtype=bool)
    hit.ravel()[rng.permutation(hit.size)[: round(part * hit.size)]] = True
    losses, hard = {}, rng.uniform(0, 4, hit.shape)
    for twin in ("", " B"):
        chance = rng.normal(0, noise / math.sqrt(2), (2, *hit.shape)) if noise else (0.0, 0.0)
        losses["strong" + twin] = hard + chance[0]
        losses["weak" + twin] = hard + size * hit + chance[1]
    losses["explained"] = losses["strong"] + 0.05
    losses["mean"] = losses["strong"] + 0.2
    return kept(losses)


SECOND = ("strong B", "weak B")


@pytest.mark.parametrize("noise", [0.0, 0.3, 1.0])
def test_a_concentrated_and_a_diffuse_gap_of_one_size_are_told_apart_in_any_noise(noise):
    # float32 rounds away the last digits, so even without noise the twins are not bit for bit one.
    few, even = (
        bars.concentration(
            planted(kind, noise=max(noise, 1e-4)), "strong", "weak", chosen_by=SECOND, settings=LEAN
        )
        for kind in ("few", "even")
    )
    for found in (few, even):
        assert found.gap.value == pytest.approx(0.1, abs=0.02)
        assert (found.own, found.caution) == (False, CROSS)
    assert few.effective.low < 0.05 < few.effective.high
    assert few.effective.high < 0.1
    assert even.effective.low < 1 == even.effective.high  # no more than all of the tokens
    assert even.factor.low < 1 < even.factor.high
    assert few.effective.high < even.effective.low
    assert even.factor.high < few.factor.low
    assert even.index.low < 0.05 and even.index.high > -0.05
    assert even.index.high < few.index.low
    at = {one.tokens: one.carries for one in few.curve}
    if noise == 1:
        # Chosen are those with d′ above c where 0.05 Q(c − 2) + 0.95 Q(c) = 0.05: c = 1.95, and
        # Q(−0.05) = 0.52 of the tokens that have the gap are among them.
        assert at[0.05].value == pytest.approx(0.52, abs=0.05)
    else:
        assert few.index.value == pytest.approx(0.95, abs=0.05)
        assert few.carrying["0.8"].high < 0.06
        assert even.carrying["0.8"].low > 0.7


def test_noise_looks_concentrated_in_its_own_order_and_not_in_that_of_another_pair():
    ledger = planted("even", noise=1.0)
    own = bars.concentration(ledger, "strong", "weak", settings=LEAN)
    assert own.caution == OWN
    # Normal theory for a mean of 0.1 and a spread of 1: E|x − y| / 2μ = 1/√π / 0.1; the share p with
    # φ(z) + 0.1 p = 0.05 is 2%; 1 + 1/0.1² = 101. Net gap 0.1 ± 0.006, so 10% room and more.
    assert own.index.value == pytest.approx(5.64, rel=0.15)
    assert own.carrying["0.5"].value == pytest.approx(0.02, abs=0.004)
    assert own.factor.value == pytest.approx(101, rel=0.3)
    assert own.bounded.value == pytest.approx(1 / math.sqrt(2), abs=0.02)
    cross = bars.concentration(ledger, "strong", "weak", chosen_by=SECOND, settings=LEAN)
    assert cross.index.low < 0 < cross.index.high
    assert cross.factor.low < 1 < cross.factor.high
    assert cross.index.high < 0.5 < own.index.low


def test_noise_alone_has_no_gap_to_spread():
    rng = np.random.default_rng(5)
    losses = {name: rng.normal(3, 1, (20, 100)) for name in ("strong", "weak", *SECOND)}
    found = bars.concentration(kept(losses), "strong", "weak", chosen_by=SECOND, settings=LEAN)
    for one in (found.index, found.factor, found.effective, *found.carrying.values()):
        assert one.value is None
        assert one.refused.startswith("the denominator (gap from 'strong' to 'weak') is ")
        assert one.refused.endswith("within noise of zero")
        assert one.tokens_needed > 2000
    assert all(point.carries.value is None for point in found.curve)
    assert found.bounded.low < 0 < found.bounded.high


def test_the_effective_share_is_covered_by_its_interval():
    held = 0
    for seed in range(40):
        ledger = planted("few", noise=0.5, documents=30, length=100, seed=seed, share=0.1)
        found = bars.concentration(
            ledger, "strong", "weak", chosen_by=SECOND, settings=Settings(resamples=200)
        )
        held += found.effective.low <= 0.1 <= found.effective.high
    assert held >= 34  # expected 38, standard deviation 1.4


def test_no_effective_share_is_beyond_all_tokens_and_what_goes_against_is_refused():
    def share(value, low=None, high=None):
        return inverse(Number(value=value, low=low, high=high, unit="times"))

    # 1 / factor, what is beyond 1 being chance: the mean square is never below the squared mean.
    for factor, expected in (
        ((2.0, 0.5, 4.0), (0.5, 0.25, 1.0)),
        ((2.0, -3.0, 4.0), (0.5, 0.25, 1.0)),
        ((0.9, 0.5, 1.25), (1.0, 0.8, 1.0)),
        ((4.0, 2.0, None), (0.25, 0.0, 0.5)),
        ((4.0, None, None), (0.25, None, None)),
        ((0.5, None, None), (1.0, None, None)),
        ((2.0, 0.5, None), (0.5, 0.0, 1.0)),
    ):
        found = share(*factor)
        assert (found.value, found.low, found.high) == expected, factor
    for against in ((0.5, 0.2, 0.99), (-1.0, -2.0, 3.0), (0.0, None, None)):
        assert "do not go together" in share(*against).refused


def test_of_a_pair_by_itself_no_factor_is_below_that_of_an_even_gap():
    rng = np.random.default_rng(8)
    lows = []
    for _ in range(20):  # nearly even gaps, whose intervals would reach below 1
        size = 1 + 0.05 * rng.normal(size=20)
        found = bars.concentration(
            kept(pair([np.full(10, one) + rng.normal(0, 0.02, 10) for one in size])),
            "strong", "weak", settings=LEAN,
        )  # fmt: skip
        lows.append(found.factor.low)
        assert 1 <= found.factor.low <= found.factor.value <= (found.factor.high or math.inf)
        assert found.effective.high <= 1
    assert min(lows) == 1


def test_the_factor_has_the_jackknifes_interval_of_its_logarithm_tails_counted():
    # Documents of one length and one mean: gap and products have no tails to one side, and both
    # intervals are close to a plain t interval of the logarithm, which is worked out by hand.
    rng = np.random.default_rng(4)
    half = rng.normal(0, 0.1, (20, 30))
    gaps = 1 + np.concatenate([half, -half])
    found = bars.concentration(kept(pair(gaps)), "strong", "weak", settings=PLAIN)
    products, sums = (gaps**2).sum(1), gaps.sum(1)
    factors = [
        30 * 39 * np.delete(products, i).sum() / np.delete(sums, i).sum() ** 2 for i in range(40)
    ]
    value = 30 * 40 * products.sum() / sums.sum() ** 2
    logs = np.log(value) - np.log(factors)
    reach = scipy.stats.t.isf(0.025, 39) * math.sqrt(39 / 40 * (logs @ logs))
    assert found.factor.value == pytest.approx(value, rel=1e-5)
    above = math.log(found.factor.high / value)
    assert reach < above < 1.4 * reach


def test_near_zero_tokens_are_more_where_the_gap_is_a_few_tokens_got_right():
    rng = np.random.default_rng(3)
    hard = rng.uniform(1, 5, (10, 100))
    right = np.arange(1000).reshape(10, 100) % 20 == 0  # 5%
    few = kept({"strong": np.where(right, 0.05, hard), "weak": hard})
    found = bars.concentration(few, "strong", "weak", settings=LEAN)
    near = {one.below: one for one in found.near_zero}
    assert list(near) == [0.01, 0.1, 0.5]
    assert (near[0.1].weak.value, near[0.1].strong.value, near[0.1].more.value) == (0, 0.05, 0.05)
    assert near[0.01].strong.value == 0
    even = kept({"strong": hard - 0.1, "weak": hard})
    found = bars.concentration(even, "strong", "weak", settings=LEAN)
    assert [one.more.value for one in found.near_zero] == [0, 0, 0]


def test_rounding_is_not_counted_as_the_strong_model_being_worse():
    found = bars.concentration(
        kept(pair([[1, -1e-6], [1, -1e-6], [1, 0], [1, 0], [1, -1]])), "strong", "weak",
        settings=LEAN,
    )  # fmt: skip
    assert found.worse.value == 0.1


def test_a_pair_may_not_choose_the_tokens_that_it_is_scored_on():
    ledger = planted("even", noise=1.0, documents=6, length=20)
    for second in (("strong", "weak B"), ("strong B", "weak"), ("weak", "strong")):
        with pytest.raises(MeasurementError, match=r"it chose itself\. Choose by another seed"):
            bars.concentration(ledger, "strong", "weak", chosen_by=second, settings=LEAN)
    renamed = ledger.tokens.to_pylist()
    renamed = [{**row, "condition": "alias"} for row in renamed if row["condition"] == "strong"]
    more = Ledger(
        ledger.table,
        pa.concat_tables([ledger.tokens, pa.Table.from_pylist(renamed, schema=TOKEN_SCHEMA)]),
    )
    with pytest.raises(MeasurementError, match="'alias', the same model, chose"):
        bars.concentration(more, "strong", "weak", chosen_by=("alias", "weak B"), settings=LEAN)


def test_two_models_that_are_one_have_no_gap_and_a_weaker_that_is_stronger_is_named():
    same = pair([[0, 0]] * 6)
    found = bars.concentration(kept(same), "strong", "weak", settings=LEAN)
    assert found.index.value is None
    assert found.bounded.refused == "no token differs between the two models"
    turned = bars.concentration(kept(pair([[1, 2]] * 6)), "weak", "strong", settings=LEAN)
    assert "the model called weaker has the lower loss" in turned.index.refused


def test_the_size_of_the_second_pairs_gap_is_nothing():
    ledger = planted("few", noise=0.3, documents=12, length=50)
    losses = {
        name: [ledger.token_rows(name, f"d{i:03d}")[0] for i in range(12)]
        for name in ("strong", "weak", *SECOND)
    }
    once = bars.concentration(ledger, "strong", "weak", chosen_by=SECOND, settings=LEAN)
    strong, weak = (np.array(losses[name]) for name in SECOND)
    thrice = kept(losses | {"weak B": strong + 3 * (weak - strong)})
    found = bars.concentration(thrice, "strong", "weak", chosen_by=SECOND, settings=LEAN)
    for one, other in ((once.factor, found.factor), (once.effective, found.effective)):
        assert (other.value, other.low, other.high) == pytest.approx(
            (one.value, one.low, one.high), rel=1e-4
        )
    assert found.index.value == pytest.approx(once.index.value, rel=1e-4)


def test_gaps_that_do_not_go_together_have_no_effective_share():
    losses = pair([[2, 0]] * 6)
    losses |= {"strong B": losses["strong"], "weak B": [np.array([3.0, 5.0])] * 6}
    losses["strong B"] = [one + 0.5 for one in losses["strong"]]
    found = bars.concentration(
        kept(losses), "strong", "weak", chosen_by=("strong B", "weak B"), settings=LEAN
    )
    # d′ is −0.5 and 1.5: it goes against d.
    assert found.factor.value == -1.0
    assert found.effective.value is None
    assert "do not go together" in found.effective.refused
    assert found.index.value == -0.5


def test_with_too_few_documents_values_stand_where_they_can_without_intervals():
    found = bars.concentration(kept(pair(BY_HAND[:1])), "strong", "weak", settings=LEAN)
    assert (found.index.low, found.carrying["0.5"].low, found.effective.low) == (None, None, None)
    assert found.carrying["0.5"].value == pytest.approx(0.5 * 2 / 5)
    assert found.gap.value == 2.0


def test_results_survive_json():
    ledger = planted("few", noise=1.0, documents=8, length=50)
    one = bars.concentration(ledger, "strong", "weak", chosen_by=SECOND, settings=LEAN)
    assert Concentration.model_validate_json(one.model_dump_json()) == one
    other = bars.recovered_on(
        ledger, "explained", "mean", bars.crucial(ledger, *SECOND), intact="strong", settings=LEAN
    )
    assert OnCrucial.model_validate_json(other.model_dump_json()) == other


def test_crucial_tokens_are_those_where_the_gap_is_largest():
    chosen = bars.crucial(kept(pair(BY_HAND)), "strong", "weak", share=0.2)
    assert {name: mask.tolist() for name, mask in chosen.masks.items()} == {
        "d000": [True, False], "d001": [True, False], "d002": [False, False],
        "d003": [False, False], "d004": [False, False],
    }  # fmt: skip
    assert chosen.by == ("strong", "weak")
    assert chosen.says == "the 20% of tokens where 'strong' is furthest ahead of 'weak'"
    # Of the two 2s the one in the earlier document; a share is rounded up.
    three = bars.crucial(kept(pair(BY_HAND)), "strong", "weak", share=0.21)
    assert three.masks["d002"].tolist() == [True, False]
    assert three.masks["d003"].tolist() == [False, False]
    wide = kept(pair(np.arange(100.0)[None]))
    assert bars.crucial(wide, "strong", "weak", share=0.07).masks["d000"].sum() == 7
    for share in (0, 1, 1.5):
        with pytest.raises(MeasurementError, match="a share lies between 0 and 1"):
            bars.crucial(kept(pair(BY_HAND)), "strong", "weak", share=share)


def test_scores_on_crucial_tokens_and_on_the_rest_by_hand():
    # Two tokens a document: the first is crucial.
    def both(first, second):
        return [np.array([first, second], dtype=float)] * 6

    ledger = kept(
        {
            "intact": both(1, 2),
            "mean": both(5, 3),
            "rule": both(4, 2),
            "weak": both(3, 2.5),
            "strong B": both(0, 2),
            "weak B": both(9, 2),
        }
    )
    chosen = bars.crucial(ledger, "strong B", "weak B", share=0.5)
    found = bars.recovered_on(ledger, "rule", "mean", chosen, weak="weak", settings=LEAN)
    assert (found.crucial.tokens, found.crucial.share, found.rest.tokens) == (6, 0.5, 6)
    assert (found.crucial.damage.value, found.rest.damage.value) == (4.0, 1.0)
    assert (found.crucial.carries.value, found.rest.carries.value) == (0.8, 0.2)
    assert (found.crucial.recovered.value, found.rest.recovered.value) == (0.25, 1.0)
    assert (found.crucial.gap.value, found.rest.gap.value) == (2.0, 0.5)
    assert (found.crucial.score.value, found.rest.score.value) == (-0.5, 1.0)
    whole = bars.recovered(ledger, "rule", "mean", settings=LEAN).value
    assert whole == pytest.approx(0.8 * 0.25 + 0.2 * 1.0)
    bare = bars.recovered_on(ledger, "rule", "mean", chosen, settings=LEAN)
    assert (bare.weak, bare.crucial.gap, bare.crucial.score) == (None, None, None)
    assert bare.crucial.recovered == found.crucial.recovered


def test_tokens_chosen_by_their_own_losses_flatter_an_explanation_and_those_of_others_do_not():
    # The gap is even, so in truth the explanation keeps half of it on any tokens.
    ledger = planted("even", noise=1.0)
    own = bars.crucial(ledger, "strong", "weak")
    fair = bars.crucial(ledger, *SECOND)
    with pytest.raises(MeasurementError, match=r"'strong' would be scored on tokens that its own"):
        bars.recovered_on(
            ledger, "explained", "mean", own, weak="weak", intact="strong", settings=LEAN
        )

    def on(chosen):
        return bars.recovered_on(
            ledger, "explained", "mean", chosen, weak="weak", intact="strong", settings=LEAN
        )

    biased = on(replace(own, by=()))
    # The top twentieth of N(0.1, 1) has mean 2.16: (2.16 − 0.05) / 2.16.
    assert biased.crucial.gap.value == pytest.approx(2.16, abs=0.05)
    assert biased.crucial.score.value == pytest.approx(0.977, abs=0.003)
    assert biased.crucial.score.low > 0.9
    found = on(fair)
    assert found.crucial.gap.low < 0.1 < found.crucial.gap.high
    assert found.crucial.score.value is None or (
        found.crucial.score.low < 0.5 < found.crucial.score.high
    )
    assert found.rest.score.low < 0.5 < found.rest.score.high
    # The explained and the ablated model share the strong one's chance: f is 0.75 either way.
    for part in (biased.crucial, biased.rest, found.crucial, found.rest):
        assert part.recovered.value == pytest.approx(0.75, abs=0.001)


def test_crucial_tokens_that_are_real_are_found_by_another_pair():
    ledger = planted("few", noise=0.3)
    found = bars.recovered_on(
        ledger, "explained", "mean", bars.crucial(ledger, *SECOND), weak="weak", intact="strong",
        settings=LEAN,
    )  # fmt: skip
    assert found.crucial.gap.value == pytest.approx(2.0, abs=0.05)
    assert found.crucial.score.value == pytest.approx(0.975, abs=0.003)
    # Elsewhere there is no gap.
    assert found.rest.score.value is None or found.rest.score.value < 0


def test_tokens_are_read_in_one_order_however_the_ledger_was_put_together():
    ledger = planted("few", noise=0.3, documents=30, length=20)
    shuffled = ledger.tokens.take(np.random.default_rng(1).permutation(ledger.tokens.num_rows))
    again = Ledger(ledger.table, shuffled)
    before = bars.concentration(ledger, "strong", "weak", chosen_by=SECOND, settings=LEAN)
    assert bars.concentration(again, "strong", "weak", chosen_by=SECOND, settings=LEAN) == before
    # A document in two parts is joined, and what was cut into chunks read whole.
    halves = []
    for row in ledger.tokens.to_pylist():
        halves += [
            {**row, **{f: row[f][part] for f in ("loss", "predicted")}}
            for part in (slice(0, 7), slice(7, None))
        ]
    cut = pa.Table.from_pylist(halves, schema=TOKEN_SCHEMA)
    parts = pa.concat_tables([cut.slice(i, 5) for i in range(0, cut.num_rows, 5)])
    split = Ledger(ledger.table, parts)
    assert bars.concentration(split, "strong", "weak", chosen_by=SECOND, settings=LEAN) == before
    empty = [{"condition": name, "document": "none", "loss": [], "predicted": []}
             for name in ("strong", "weak", *SECOND)]  # fmt: skip
    more = pa.concat_tables([ledger.tokens, pa.Table.from_pylist(empty, schema=TOKEN_SCHEMA)])
    wider = Ledger(ledger.table, more)
    assert bars.concentration(wider, "strong", "weak", chosen_by=SECOND, settings=LEAN) == before


def test_tokens_that_were_not_kept_or_do_not_match_are_errors():
    ledger = planted("few", noise=0.3, documents=6, length=20)
    with pytest.raises(MeasurementError, match="Did you mean weak"):
        bars.concentration(ledger, "strong", "week", settings=LEAN)
    bare = Ledger(ledger.table, TOKEN_SCHEMA.empty_table())
    with pytest.raises(MeasurementError, match=r"they were not kept\. Name it in `keep_tokens`"):
        bars.concentration(bare, "strong", "weak", settings=LEAN)
    uneven = kept({"strong": [[1, 2], [3]], "weak": [[1, 2], [3, 4]]})
    with pytest.raises(MeasurementError, match="d001 has 1 tokens in the one and 2 in the other"):
        bars.concentration(uneven, "strong", "weak", settings=LEAN)
    broken = kept({"strong": [[1, 2]], "weak": [[1, math.nan]]})
    with pytest.raises(MeasurementError, match="1 of them are NaN or infinite"):
        bars.concentration(broken, "strong", "weak", settings=LEAN)
    chosen = bars.crucial(kept(pair(BY_HAND)), "strong", "weak", share=0.2)
    with pytest.raises(MeasurementError, match=r"document d000: it has a mask of shape \(2,\)"):
        bars.recovered_on(ledger, "explained", "mean", replace(chosen, by=()), intact="strong",
                          settings=LEAN)  # fmt: skip
