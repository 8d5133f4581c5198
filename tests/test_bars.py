"""From ledgers to numbers: by hand on small ledgers, and by the identities that must hold."""

import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pytest

from unexplained import bars
from unexplained.errors import MeasurementError
from unexplained.ledger import ALL, SCHEMA, TOKEN_SCHEMA, Ledger
from unexplained.record import Number
from unexplained.stats import Settings

PLAIN = Settings()
REPEATS = ("recurrence", "repeats")


def rows_of(condition, losses, *, tokens, stratum=ALL, kl=None, agree=None, error=None):
    """One ledger row per document, named d00, d01 and so on."""
    count = len(losses)
    return [
        (
            condition,
            f"d{i:02d}",
            *stratum,
            int(tokens[i]),
            float(losses[i]),
            float((kl or [0.0] * count)[i]),
            int((agree or tokens)[i]),
            int((agree or tokens)[i]) // 2,  # correct: half as often as it agrees
            *(None, None),  # logit difference, preferred
            None if error is None else float(error[i]),
        )
        for i in range(count)
    ]


def ledger_of(*groups) -> Ledger:
    rows = [row for group in groups for row in group]
    columns = [list(column) for column in zip(*rows, strict=True)]
    return Ledger(pa.table(columns, schema=SCHEMA), TOKEN_SCHEMA.empty_table())


TOKENS3 = [10, 20, 70]
BY_HAND = ledger_of(
    rows_of("intact", [20, 50, 130], tokens=TOKENS3),
    rows_of(
        "mean", [24, 54, 142], tokens=TOKENS3, kl=[1, 2, 7], agree=[8, 18, 64], error=[4, 6, 10]
    ),
    rows_of("rule", [21, 53, 131], tokens=TOKENS3, error=[2, 1, 2]),
)


def test_a_change_that_is_rounding_in_every_document_is_written_without_it_and_keeps_its_interval():
    """A claim of zeros under zero ablation recovered −0.000004% [−37.543342%, 37.543334%]."""
    rng, tokens = np.random.default_rng(0), [100] * 12
    easy, worth = 300 + rng.normal(size=12), 20 + rng.normal(size=12)
    tiny = 1e-5 * rng.normal(size=12)
    ledger = ledger_of(
        rows_of("intact", easy, tokens=tokens),
        rows_of("zero", easy + worth, tokens=tokens),
        rows_of("says nothing", easy + worth + tiny, tokens=tokens),
        rows_of("says all", easy + tiny, tokens=tokens),
        rows_of("says little", easy + worth - [1.0, *[0.0] * 11], tokens=tokens),
    )
    none, everything, little = (
        bars.recovered(ledger, name, "zero", settings=PLAIN)
        for name in ("says nothing", "says all", "says little")
    )
    assert none.value == 0 and none.low < 0 < none.high
    faint = ledger_of(
        rows_of("intact", easy, tokens=tokens),
        rows_of("zero", easy + 5e-3, tokens=tokens),
        rows_of("says a tenth", easy + 4.5e-3, tokens=tokens),
    )  # 5e-6 nats per token, less than what a damage must be, of 5e-5
    assert bars.recovered(faint, "says a tenth", "zero", settings=PLAIN).value == pytest.approx(0.1)
    assert everything.value == 1 and everything.low < 1
    assert little.value == pytest.approx(1 / worth.sum())


def test_plain_numbers_of_three_documents_by_hand():
    assert bars.loss(BY_HAND, "intact", settings=PLAIN).value == 2.0  # 200 / 100
    assert bars.increase(BY_HAND, "rule", settings=PLAIN).value == 0.05  # 5 / 100
    assert bars.damage(BY_HAND, "mean", settings=PLAIN).value == 0.2  # 20 / 100
    assert bars.kl(BY_HAND, "mean", settings=PLAIN).value == 0.1  # 10 / 100
    agreement = bars.agreement(BY_HAND, "mean", settings=PLAIN)
    assert (agreement.value, agreement.unit) == (0.9, "share")  # 90 / 100
    reliability = bars.reliability(BY_HAND, "mean", settings=PLAIN)
    assert (reliability.value, reliability.unit) == (0.45, "share")  # (4 + 9 + 32) / 100


def test_a_fraction_of_three_documents_is_refused_but_the_identities_stand():
    number = bars.recovered(BY_HAND, "rule", "mean", settings=PLAIN)
    assert number.refused == "too few documents for an interval (3; it takes 5)"
    assert bars.recovered(BY_HAND, "intact", "mean", settings=PLAIN).value == 1.0
    assert bars.recovered(BY_HAND, "mean", "mean", settings=PLAIN).value == 0.0


def test_conditions_that_are_the_same_in_three_documents_are_no_identity_unless_they_are_one():
    rows = [rows_of(name, [20, 50, 130], tokens=TOKENS3) for name in ("intact", "rule")]
    ledger = ledger_of(*rows, rows_of("mean", [24, 54, 142], tokens=TOKENS3))
    found = bars.recovered(ledger, "rule", "mean", settings=PLAIN)
    assert found.refused == "too few documents for an interval (3; it takes 5)"
    known = bars.recovered(ledger, "rule", "mean", settings=PLAIN, alike={"rule": "intact"})
    assert (known.value, known.low, known.high) == (1.0, 1.0, 1.0)


def twice_over(ledger: Ledger, times: int = 2) -> Ledger:
    """The same documents again under other names: point values stay, intervals become possible."""
    place = SCHEMA.get_field_index("document")
    names = ledger.table["document"].to_pylist()
    copies = [
        ledger.table.set_column(place, "document", pa.array([f"{name}{copy}" for name in names]))
        for copy in range(times)
    ]
    return Ledger(pa.concat_tables(copies), ledger.tokens)


def test_recovered_and_variance_by_hand():
    ledger = twice_over(BY_HAND, times=16)
    # (220 − 205) / (220 − 200), not the mean of 3/4, 1/4 and 11/12.
    assert bars.recovered(ledger, "rule", "mean", settings=PLAIN).value == 0.75
    # 1 − 5/20, not the mean of 1/2, 5/6 and 4/5.
    number = bars.variance_explained(ledger, "rule", "mean", settings=PLAIN)
    assert (number.value, number.unit) == (0.75, "share")


def planted(documents=60, *, share=0.7, effect=0.05, seed=0) -> Ledger:
    """An explanation that recovers `share` of an ablation's damage, two strata, noisy documents."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(50, 500, documents)
    repeats = tokens // 3
    groups = []
    for stratum, count, strength in ((REPEATS, repeats, 2 * effect), (ALL, tokens, effect)):
        whole = count * rng.normal(3, 0.5, documents)
        harm = count * rng.normal(strength, strength / 4, documents)
        left = harm * (1 - share) + count * rng.normal(0, strength / 50, documents)
        near = harm * (1 - share / 2)
        errors = count * rng.uniform(1, 2, documents)
        agree = (count * 9 // 10).tolist()
        named = {
            "intact": whole,
            "mean": whole + harm,
            "zero": whole + 3 * harm,
            "rule": whole + left,
            "own where": whole + near,
            "own amount": whole + 0.95 * left,
            "own both": whole,
        }
        more = {"mean": {"error": errors}, "rule": {"error": errors / 4, "agree": agree}}
        groups += [
            rows_of(name, losses, tokens=count, stratum=stratum, **more.get(name, {}))
            for name, losses in named.items()
        ]
    return ledger_of(*groups)


def test_the_intact_model_recovers_exactly_everything_and_the_ablation_exactly_nothing():
    ledger = planted()
    for ablation in ("mean", "zero"):
        one = bars.recovered(ledger, "intact", ablation, settings=PLAIN)
        assert (one.value, one.low, one.high) == (1.0, 1.0, 1.0)
        nil = bars.recovered(ledger, ablation, ablation, settings=PLAIN)
        assert (nil.value, nil.low, nil.high) == (0.0, 0.0, 0.0)
    same = bars.variance_explained(ledger, "mean", "mean", settings=PLAIN)
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    still = bars.increase(ledger, "intact", settings=PLAIN)
    assert (still.value, still.low, still.high) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("share", [0.7, -0.4, 1.3])
def test_a_planted_share_is_found_and_not_clipped(share):
    ledger = planted(share=share)
    found = bars.recovered(ledger, "rule", "mean", settings=PLAIN)
    # Noise: 0.02 of the damage per token and document, over 60 documents: below 0.004 each way.
    assert found.value == pytest.approx(share, abs=0.02)
    assert found.low < found.value < found.high


def test_numbers_do_not_depend_on_how_the_ledger_was_put_together():
    ledger = planted()
    shuffled = ledger.table.take(np.random.default_rng(1).permutation(ledger.table.num_rows))
    parts = [Ledger(shuffled.slice(i, 37), ledger.tokens) for i in range(0, shuffled.num_rows, 37)]
    again = Ledger.concat(parts)
    assert again.documents != ledger.documents
    assert measured(again, "rule") == measured(ledger, "rule")


def test_splitting_a_document_into_blocks_changes_nothing():
    halves = []
    for row in planted().table.to_pylist():
        one = {k: v // 4 if k in ("tokens", "agree") else v for k, v in row.items()}
        sums = {k: row[k] / 4 for k in ("loss", "kl", "error") if row[k] is not None}
        one.update(sums)
        two = {k: row[k] - one[k] for k in ("tokens", "agree", *sums)}
        halves += [one, {**row, **two}]
    split = Ledger(pa.Table.from_pylist(halves, schema=SCHEMA), TOKEN_SCHEMA.empty_table())
    whole = bars.recovered(planted(), "rule", "mean", settings=PLAIN)
    found = bars.recovered(split, "rule", "mean", settings=PLAIN)
    for field in ("value", "low", "high"):
        assert getattr(found, field) == pytest.approx(getattr(whole, field), rel=1e-12)


def test_a_constant_added_to_every_loss_leaves_recovered_as_it_is():
    ledger = planted()
    place = SCHEMA.get_field_index("loss")
    tokens = ledger.table["tokens"].to_numpy()
    moved = pa.array(ledger.table["loss"].to_numpy() + 2.5 * tokens)
    other = Ledger(ledger.table.set_column(place, "loss", moved), ledger.tokens)
    before = bars.recovered(ledger, "rule", "mean", settings=PLAIN)
    after = bars.recovered(other, "rule", "mean", settings=PLAIN)
    for field in ("value", "low", "high"):
        assert getattr(after, field) == pytest.approx(getattr(before, field), rel=1e-9)
    assert bars.loss(other, "rule", settings=PLAIN).value == pytest.approx(
        bars.loss(ledger, "rule", settings=PLAIN).value + 2.5
    )


def test_damage_within_noise_is_refused_by_name():
    rng = np.random.default_rng(3)
    tokens = np.full(40, 100)
    whole, noise = rng.normal(300, 20, 40), rng.normal(0, 1, 40)
    noise += 0.05 - noise.mean()
    ledger = ledger_of(
        rows_of("intact", whole, tokens=tokens),
        rows_of("mean", whole + noise, tokens=tokens),
        rows_of("rule", whole + 0.2, tokens=tokens),
    )
    number = bars.recovered(ledger, "rule", "mean", settings=PLAIN)
    assert number.value is None
    assert number.refused.startswith("the denominator (damage of 'mean') is 0.0005 [−0.00")
    assert number.tokens_needed > tokens.sum()
    damage = bars.damage(ledger, "mean", settings=PLAIN)
    assert damage.value == pytest.approx(0.0005)
    assert damage.low < 0 < damage.high
    for one in (*bars.distances(number).values(), bars.nines(number)):
        assert one.value is None
        assert one.refused == number.refused
        assert one.tokens_needed == number.tokens_needed


def test_an_ablation_that_helps_is_refused_by_its_own_name():
    ledger = ledger_of(
        rows_of("intact", [22] * 6, tokens=[10] * 6), rows_of("mean", [20] * 6, tokens=[10] * 6)
    )
    number = bars.recovered(ledger, "intact", "mean", settings=PLAIN)
    assert number.value is None
    assert "the ablation lowers the loss" in number.refused
    assert number.tokens_needed is None


def test_no_squared_error_at_all_leaves_no_variance_to_explain():
    tokens = [10] * 6
    ledger = ledger_of(
        rows_of("mean", [1] * 6, tokens=tokens, error=[0] * 6),
        rows_of("rule", [1] * 6, tokens=tokens, error=[0] * 6),
    )
    number = bars.variance_explained(ledger, "rule", "mean", settings=PLAIN)
    assert number.value is None
    assert number.refused.startswith("the denominator (squared error of 'mean') is 0 [0, 0]")


def test_errors_that_were_not_asked_for_are_an_error():
    with pytest.raises(MeasurementError, match=r"'error'.* for 'intact': it is null"):
        bars.variance_explained(BY_HAND, "intact", "mean", settings=PLAIN)


def test_conditions_measured_on_different_tokens_are_not_compared():
    ledger = ledger_of(
        rows_of("intact", [20, 50, 130], tokens=TOKENS3),
        rows_of("mean", [20, 50], tokens=TOKENS3[:2]),
    )
    with pytest.raises(MeasurementError, match="document d02 has 0 tokens in the one and 70"):
        bars.damage(ledger, "mean", settings=PLAIN)


def test_a_loss_that_is_not_a_number_is_an_error_that_names_the_condition():
    ledger = ledger_of(
        rows_of("intact", [20, 50, 130], tokens=TOKENS3),
        rows_of("mean", [20, math.nan, 1], tokens=TOKENS3),
    )
    with pytest.raises(MeasurementError, match="'loss' on all = all for 'mean'"):
        bars.damage(ledger, "mean", settings=PLAIN)


def test_unknown_strata_and_conditions_are_errors_that_name_the_nearest():
    with pytest.raises(MeasurementError, match="Did you mean recurrence = repeats"):
        bars.loss(planted(), "rule", stratum=("recurrence", "repeat"), settings=PLAIN)
    with pytest.raises(MeasurementError, match="Did you mean mean"):
        bars.recovered(planted(), "rule", "meen", settings=PLAIN)


def test_distances_are_to_every_bar_with_the_interval_moved_along():
    found = bars.distances(Number(value=0.97, low=0.96, high=0.99, unit="share"))
    assert [float(bar) for bar in found] == [0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999]
    for bar, number in found.items():
        assert number.value == 0.97 - float(bar)
        assert (number.low, number.high) == (0.96 - float(bar), 0.99 - float(bar))
        assert number.unit == "share"


def test_nines_count_nines():
    found = bars.nines(Number(value=0.99, low=0.9, high=0.999))
    assert (found.low, found.value, found.high) == pytest.approx((1, 2, 3))
    assert bars.nines(Number(value=0.0, low=0.0, high=0.0)).value == 0.0
    assert bars.nines(Number(value=-9.0, low=-99.0, high=0.0)).low == pytest.approx(-2)


def test_nines_without_end_are_refused_or_left_open_and_stay_json():
    open_above = bars.nines(Number(value=0.9, low=0.8, high=1.0))
    assert open_above.value == pytest.approx(1)
    assert open_above.high is None
    for share in (1.0, 1.2):
        refused = bars.nines(Number(value=share, low=0.9, high=1.4))
        assert refused.refused == "recovered is 1 or more: nines have no end"
        assert json.loads(refused.model_dump_json())["value"] is None


CELLS = {
    ("rule", "all"): "rule",
    ("own", "all"): "own where",
    ("rule", "own"): "own amount",
    ("own", "own"): "own both",
}


def test_where_against_how_much_by_hand():
    # Damage 100 per document. The bare rule loses 40, with its own amount 35, with its own
    # placement 10, with both 0: regained 0.05, 0.30 and 0.40.
    # Documents that agree so well may lack others: of 400 a share of 1 − 0.025^(1/400) = 0.9%.
    tokens, whole = [100] * 400, np.arange(400.0) + 200
    losses = {
        "intact": 0,
        "mean": 100,
        "rule": 40,
        "own where": 10,
        "own amount": 35,
        "own both": 0,
    }
    ledger = ledger_of(*(rows_of(name, whole + x, tokens=tokens) for name, x in losses.items()))
    reading = bars.factors(ledger, CELLS, "mean", settings=PLAIN)
    assert [(f.where, f.amount, f.row) for f in reading.table] == [
        (*k, v) for k, v in CELLS.items()
    ]
    assert [f.recovered.value for f in reading.table] == [0.6, 0.9, 0.65, 1.0]
    assert (reading.where.value, reading.amount.value, reading.both.value) == (0.3, 0.05, 0.4)
    assert reading.contrast.value == 0.25
    assert reading.sentence == (
        "Where the attention goes costs more than how much: of the damage of 'mean' the model's "
        "own placement alone regains 30.0% [29.1%, 30.9%], its own amount alone 5.0% "
        "[4.1%, 5.9%], both 40.0% [39.1%, 40.9%]."
    )
    swapped = {**CELLS, ("own", "all"): "own amount", ("rule", "own"): "own where"}
    other = bars.factors(ledger, swapped, "mean", settings=PLAIN)
    assert other.sentence.startswith("How much attention there is costs more than where it goes:")
    assert other.contrast.value == -0.25


def test_what_a_swap_regains_is_the_difference_of_two_recovered_fractions():
    ledger = planted()
    reading = bars.factors(ledger, CELLS, "mean", settings=PLAIN)
    bare, where, amount, both = (factor.recovered.value for factor in reading.table)
    assert reading.where.value == pytest.approx(where - bare)
    assert reading.amount.value == pytest.approx(amount - bare)
    assert reading.both.value == pytest.approx(both - bare)
    assert reading.contrast.value == pytest.approx(where - amount)


def test_factors_that_noise_hides_are_not_ranked():
    rng = np.random.default_rng(5)
    tokens, whole = [100] * 30, rng.normal(300, 10, 30)
    harm = rng.normal(100, 5, 30)

    def reading(where_gain: float, amount_gain: float) -> bars.FactorReading:
        def changed(gain: float) -> np.ndarray:
            return whole + 0.4 * harm - gain + rng.normal(0, 5, 30)

        named = {
            "intact": whole,
            "mean": whole + harm,
            "rule": whole + 0.4 * harm,
            "own where": changed(where_gain),
            "own amount": changed(amount_gain),
            "own both": whole,
        }
        ledger = ledger_of(*(rows_of(name, x, tokens=tokens) for name, x in named.items()))
        return bars.factors(ledger, CELLS, "mean", settings=PLAIN)

    neither = reading(-1, -1).sentence
    assert neither.startswith("Neither where nor how much, put right alone, is told from zero:")
    worse = reading(-1, -30).sentence
    assert worse.startswith("The rule does better than the model's own") and "amount:" in worse
    assert reading(20, 20).sentence.startswith("Whether where or how much costs more is not told:")
    assert reading(30, 5).sentence.startswith("Where the attention goes costs more")


def test_factors_without_a_denominator_say_so():
    tokens = [100] * 6
    ledger = ledger_of(
        *(rows_of(name, [200] * 6, tokens=tokens) for name in ("intact", "mean", *CELLS.values()))
    )
    reading = bars.factors(ledger, CELLS, "mean", settings=PLAIN)
    assert reading.sentence.startswith("Where and how much cannot be weighed: the denominator")
    some = {cell: name for cell, name in CELLS.items() if name != "own both"}
    with pytest.raises(MeasurementError, match="no condition for own placement, own amount"):
        bars.factors(ledger, some, "mean", settings=PLAIN)


def measured(ledger: Ledger, name: str, **changes) -> bars.RowNumbers:
    asked = {"direct": {"norm free": ("rule", "zero")}, "variance": ("rule", "mean"), **changes}
    asked = {"ablations": ["zero", "mean"], "reference": "mean", **asked}
    return bars.measure_row(ledger, name, settings=PLAIN, **asked)


def test_a_row_holds_the_numbers_that_were_asked_for():
    ledger = planted()
    row = measured(ledger, "rule")
    assert list(row.recovered) == ["zero", "mean"]
    assert row.recovered["mean"] == bars.recovered(ledger, "rule", "mean", settings=PLAIN)
    assert row.recovered["zero"].value > row.recovered["mean"].value
    assert row.direct["norm free"] == row.recovered["zero"]
    assert row.variance.value == pytest.approx(0.75, rel=1e-12)
    assert row.bars["0.5"].value == row.recovered["mean"].value - 0.5
    assert row.nines == bars.nines(row.recovered["mean"])
    assert row.increase == bars.increase(ledger, "rule", settings=PLAIN)
    assert row.agreement.value == pytest.approx(0.9, abs=0.01)
    (stratum,) = row.strata
    assert (stratum.partition, stratum.label) == REPEATS
    assert stratum.tokens == ledger.sums("intact", REPEATS).tokens.sum()
    assert stratum.damage == bars.damage(ledger, "mean", stratum=REPEATS, settings=PLAIN)
    assert stratum.recovered == bars.recovered(
        ledger, "rule", "mean", stratum=REPEATS, settings=PLAIN
    )


def test_a_row_that_is_another_condition_by_construction_is_exact():
    ledger = planted()
    rows = []
    for name, like in (("itself", "intact"), ("nothing", "mean")):
        part = ledger.table.filter(pa.compute.equal(ledger.table["condition"], like))
        place = SCHEMA.get_field_index("condition")
        rows.append(part.set_column(place, "condition", pa.array([name] * part.num_rows)))
    ledger = Ledger(pa.concat_tables([ledger.table, *rows]), ledger.tokens)
    itself = measured(ledger, "itself", same="intact")
    assert itself.recovered["mean"] == Number(value=1.0, low=1.0, high=1.0, unit="share")
    assert itself.increase == Number(value=0.0, low=0.0, high=0.0, unit="nats per token")
    assert (itself.kl.low, itself.agreement.low) == (0.0, 1.0)
    assert itself.strata[0].recovered.low == 1.0
    nothing = measured(
        ledger, "nothing", same="mean", direct={"norm free": ("nothing", "mean")}, variance=None
    )
    zero = Number(value=0.0, low=0.0, high=0.0, unit="share")
    assert nothing.recovered["mean"] == nothing.direct["norm free"] == zero
    # The same numbers of what is not known to be it are a finding in 60 documents.
    found = measured(ledger, "itself")
    assert found.recovered["mean"].low < 1 < found.recovered["mean"].high
    assert found.increase.low is None and found.agreement.low < 1


def test_a_row_without_variance_or_strata_has_none():
    fields = measured(planted(), "intact", direct={}, variance=None, strata=False)
    assert fields.variance is None
    assert fields.direct == {}
    assert fields.strata == ()
    assert fields.nines.refused == "recovered is 1 or more: nines have no end"


def test_a_row_that_asks_for_what_was_not_measured_is_an_error():
    ledger = planted()
    with pytest.raises(MeasurementError, match="not among the ablations"):
        measured(ledger, "rule", reference="men")
    with pytest.raises(MeasurementError, match=r"needs 'rul'.* Did you mean rule"):
        measured(ledger, "rule", direct={"norm free": ("rul", "mean")})


def copies(condition, first, second):
    """Two documents' losses in both copies, 10 tokens each."""
    return [
        *rows_of(condition, [a + b for a, b in zip(first, second, strict=True)], tokens=[20, 20]),
        *rows_of(condition, first, tokens=[10, 10], stratum=("copy", "first copy")),
        *rows_of(condition, second, tokens=[10, 10], stratum=("copy", "second copy")),
    ]


def test_the_gain_in_context_by_hand():
    ledger = ledger_of(copies("intact", [50, 70], [10, 30]), copies("mean", [52, 70], [40, 58]))
    found = bars.context_gain(ledger, ["mean"], settings=PLAIN)
    assert (found.early, found.late) == ("first copy", "second copy")
    # intact: (120 − 40) / 20 = 4; ablated: (122 − 98) / 20 = 1.2; lost: 2.8
    assert found.gain["intact"].value == 4.0
    assert found.gain["mean"].value == pytest.approx(1.2)
    assert found.lost["mean"].value == pytest.approx(2.8)
    assert "intact" not in found.lost


def test_the_gain_in_context_takes_the_last_positions_and_needs_two_places():
    def at(label, losses):
        return rows_of("intact", losses, tokens=[10, 10], stratum=("position", label))

    short = ledger_of(rows_of("intact", [9, 9], tokens=[10, 10]), at("16-63", [9, 9]))
    assert bars.context_gain(short, [], settings=PLAIN) is None
    long = ledger_of(
        rows_of("intact", [60, 60], tokens=[40, 40]),
        at("first 16", [30, 30]),
        at("16-63", [20, 20]),
        at("64-127", [15, 15]),
        at("128-255", [10, 10]),
    )
    found = bars.context_gain(long, [], settings=PLAIN)
    assert (found.early, found.late, found.gain["intact"].value) == ("16-63", "128-255", 1.0)


@pytest.mark.parametrize("base", ["bigram", "mean"])
def test_what_a_loss_is_held_against_is_called_by_what_it_is(base):
    tokens = np.full(40, 100)
    whole = np.random.default_rng(3).normal(300, 20, 40)
    ledger = ledger_of(
        rows_of("intact", whole, tokens=tokens),
        rows_of(base, whole - 50, tokens=tokens),
        rows_of("rule", whole + 20, tokens=tokens),
    )
    refused = bars.recovered(ledger, "rule", base, settings=PLAIN).refused
    assert ("ablation" in refused, "damage" in refused) == (base == "mean",) * 2
    assert ("the table has the lower loss" in refused) == (base == "bigram")
