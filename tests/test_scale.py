"""Losses placed on a ladder that is planted: shares of compute whose right answers are known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from test_gap import ledger_of
from unexplained.curves import Curve, Surface, TrainedPoint, fit_curve
from unexplained.errors import MeasurementError
from unexplained.ladder import conditions, data, family
from unexplained.ladder import scale as room
from unexplained.ladder.catalogue import Catalogue, Trained
from unexplained.ladder.conditions import require_unseen
from unexplained.ladder.law import law_of
from unexplained.ladder.own import share_between_rungs, share_of_run
from unexplained.ladder.scale import scale_of
from unexplained.ledger import Ledger
from unexplained.record import Number
from unexplained.record.compute import Scale
from unexplained.stats import Settings
from unexplained.subject.shipped import NOTE
from unexplained.text import Block
from unexplained.text.document import part

SETTINGS = Settings(resamples=500)
SURFACE = Surface("truth", 1.5, 60.0, 120.0, 0.3, 0.28)
SIZES = (2e4, 5e4, 1.2e5, 3e5, 7e5, 1.6e6)
DOCUMENTS = 60


def trained(name: str, role: str, rung: int, n: float, d: float, seed: int = 0) -> Trained:
    return Trained(
        name=name, role=role, rung=rung, seed=seed, step=1, steps=1, width=1, layers=1, heads=1,
        parameters=int(n), tokens=int(d), compute=6 * n * d, repeats=0.0, held_out=1.0,
        seconds=1.0, memory=1,
    )  # fmt: skip


def data_of(n: float) -> float:
    """The compute-optimal tokens for a size."""
    g = room_balance()
    return (n / g) ** (SURFACE.size_exponent / SURFACE.data_exponent) / g


def room_balance() -> float:
    a, b = SURFACE.size_exponent, SURFACE.data_exponent
    return ((a * SURFACE.size_scale) / (b * SURFACE.data_scale)) ** (1 / (a + b))


RUNGS = [
    trained(f"rung-{i}" + (f"-seed-{seed}" if seed else ""), "rung", i, n, data_of(n), seed)
    for i, n in enumerate(SIZES, start=1)
    for seed in range(3 if i < 4 else 1)
]
TOP = RUNGS[-1]
ANNEALED = [
    trained(f"short-{i}", "annealed", 6, SIZES[-1], data_of(SIZES[-1]) * share)
    for i, share in enumerate((1 / 16, 1 / 8, 1 / 4, 1 / 2))
]
CHECKPOINTS = [
    trained(f"step-{i}", "checkpoint", 6, SIZES[-1], data_of(SIZES[-1]) * share)
    for i, share in enumerate((1 / 16, 1 / 4, 1 / 2))
]
CATALOGUE = Catalogue(
    corpus="planted", corpus_sha256="", tokenizer="t", versions={}, machine={},
    models=(*RUNGS, *ANNEALED, *CHECKPOINTS),
)  # fmt: skip


def truth(one: Trained) -> float:
    return SURFACE.loss(one.parameters, one.tokens) + (0.3 if one.role == "checkpoint" else 0.0)


@pytest.fixture(autouse=True)
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "catalogue", lambda: CATALOGUE)
    monkeypatch.setattr(conditions, "catalogue", lambda: CATALOGUE)
    monkeypatch.setattr(family, "catalogue", lambda: CATALOGUE)
    monkeypatch.setattr(data, "SURFACES", 40)


def ledger(seed: int, noise: float = 0.004, hard: float = 0.5, **others: float) -> Ledger:
    """Losses of every model and of some conditions: documents are easy or hard for all alike."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(60, 128, DOCUMENTS)
    easy = rng.normal(0, hard, DOCUMENTS)
    means = {
        one.name: truth(one) * np.exp(noise * rng.standard_normal()) for one in CATALOGUE.models
    }
    means["intact"] = means.pop(TOP.name)
    means |= others

    def of(mean: float) -> np.ndarray:
        return tokens * (
            mean + easy - np.average(easy, weights=tokens) + rng.normal(0, 0.02, DOCUMENTS)
        )

    return ledger_of({name: of(mean) for name, mean in means.items()}, tokens)


def placed(found: Ledger, *conditions: str) -> Scale:
    subject = SimpleNamespace(name=TOP.name, notes=(NOTE,))
    return scale_of(found, subject, conditions, settings=SETTINGS)  # type: ignore[arg-type]


def frontier() -> Curve:
    return SURFACE.frontier()


def test_a_loss_of_a_known_compute_is_placed_there() -> None:
    half = frontier().loss(0.1 * TOP.compute)
    scale = placed(ledger(0, hard=0.3, half=half), "half", "intact")
    one, model = scale.explained
    share = one.shares["frontier"]
    assert share.low < 0.1 < share.high
    assert share.high / share.low < 2
    assert model.shares["frontier"].value == 1
    assert (model.shares["frontier"].low, model.shares["frontier"].high) == (1, 1)
    assert scale.law is not None and scale.law.floor.low <= SURFACE.floor <= scale.law.floor.high


def test_intervals_hold_the_truth_about_as_often_as_they_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(data, "SURFACES", 1)  # not looked at here, and slow
    monkeypatch.setattr(room, "left_out", lambda *_, **__: ())
    # 30 ladders at 95%: fewer than 25 would be 3 standard errors short.
    half = frontier().loss(0.1 * TOP.compute)
    held = compute = 0
    for seed in range(30):
        found = ledger(seed, half=half)
        one = placed(found, "half").explained[0]
        # The top rung as measured carries the noise of its run: the share is of that loss.
        losses = (found.sums(name).per_token() for name in ("half", "intact"))
        above, below = (frontier().compute(value) for value in losses)
        share = one.shares["frontier"]
        held += share.low < above / below < share.high
        assert one.equals.value is not None
        compute += one.equals.low < 0.1 * TOP.compute < one.equals.high
    assert compute >= 25 and held >= 25


def test_documents_that_are_hard_for_all_do_not_widen_the_share() -> None:
    half = frontier().loss(0.1 * TOP.compute)
    widths = []
    for hard in (0.0, 1.0):
        share = placed(ledger(1, hard=hard, half=half), "half").explained[0].shares["frontier"]
        widths.append(np.log(share.high / share.low))
    assert widths[1] < 1.6 * widths[0]


def test_a_real_weaker_rung_returns_its_own_compute() -> None:
    found = ledger(3)
    for rung in ("rung-3", "rung-4", "rung-5"):
        one = placed(found, rung).explained[0]
        true = next(m.compute for m in RUNGS if m.name == rung)
        assert one.equals.low < true < one.equals.high
        assert one.shares["frontier"].low < true / TOP.compute < one.shares["frontier"].high


def test_the_four_kinds_of_share_are_kept_apart() -> None:
    # A loss that this size reaches on 1/8 of its data if annealed.
    target = SURFACE.loss(SIZES[-1], data_of(SIZES[-1]) / 8)
    shares = placed(ledger(4, noise=0.001, target=target), "target").explained[0].shares
    assert shares["annealed"].value == pytest.approx(1 / 8, rel=0.1)
    assert shares["data"].value == pytest.approx(1 / 8, rel=0.3)
    assert shares["data"].low < 1 / 8 < shares["data"].high
    # Unannealed it is 0.3 nats worse at every step, so it takes more of them.
    assert shares["own run"].value > 1.5 * shares["annealed"].value
    curve = frontier()
    assert shares["frontier"].value == pytest.approx(
        curve.compute(target) / curve.compute(truth(TOP)), rel=0.15
    )
    assert shares["frontier"].value != pytest.approx(shares["annealed"].value, rel=0.2)


def test_below_the_floor_and_beyond_the_ladder_are_refused_by_name() -> None:
    found = ledger(5, worse=truth(RUNGS[0]) + 1, better=SURFACE.floor / 2)
    worse, better = placed(found, "worse", "better").explained
    for one in (worse, better):
        assert one.equals.value is None and one.equals.refused
        assert one.shares["frontier"].value is None
    assert "range" in worse.equals.refused
    assert "floor" in better.equals.refused


def test_rungs_whose_losses_do_not_fall_give_no_curve_and_say_which() -> None:
    found = ledger(6, **{"rung-5": truth(RUNGS[0])})
    scale = placed(found, "intact")
    assert scale.law is None and "'4'" in scale.refused and "'5'" in scale.refused
    few = found.only([c for c in found.conditions if c in ("intact", "rung-1", "step-0")])
    scale = placed(few, "intact")
    assert scale.law is None and "3" in scale.refused


def test_the_run_of_a_model_is_read_where_it_first_was_as_good() -> None:
    shares, losses = [0.01, 0.1, 1.0], [5.0, 4.0, 3.0]
    draws = np.repeat(np.array(losses)[:, None], 50, axis=1)

    def at(loss: float):
        return share_of_run(shares, losses, draws, loss, np.full(50, loss), settings=SETTINGS)

    assert at(4.0).value == pytest.approx(0.1)
    assert at(4.5).value == pytest.approx(10**-1.5)
    assert at(5.5).value is None and at(5.5).high == 0.01
    assert at(2.9).value is None and at(2.9).low == 1.0
    risen = share_of_run(shares, [5, 3.5, 4], np.array([[5.0], [3.5], [4.0]]), 3.5, np.array([3.5]),
                         settings=SETTINGS)  # fmt: skip
    assert risen.value == pytest.approx(0.1)
    # From 5, by way of a worse 6, to 4: half of the way from 5.
    worse = share_of_run(shares, [5, 6, 4], np.array([[5.0], [6.0], [4.0]]), 4.5, np.array([4.5]),
                         settings=SETTINGS)  # fmt: skip
    assert worse.value == pytest.approx(10**-0.5)


def test_a_text_that_the_ladder_was_trained_on_is_refused() -> None:
    ids = [f"{i:016x}" for i in range(40)]
    fit = next(i for i in ids if part(i) == "fit")
    unseen = next(i for i in ids if part(i) == "eval")

    def text(*names: str):
        blocks = tuple(Block(name, "x", np.arange(5, dtype=np.int32)) for name in names)
        return SimpleNamespace(name="webmix", eval=blocks)

    require_unseen(text(unseen))  # type: ignore[arg-type]
    with pytest.raises(MeasurementError, match="1 of its 2 documents"):
        require_unseen(text(unseen, fit))  # type: ignore[arg-type]


def test_another_model_of_a_rungs_name_is_not_taken_for_it() -> None:
    from unexplained.ladder.conditions import trained_as

    false = SimpleNamespace(name=TOP.name, notes=("read from the folder rung-6",))
    true = SimpleNamespace(name=TOP.name, notes=(NOTE,))
    assert trained_as(false) is None and trained_as(true) == TOP  # type: ignore[arg-type]


def test_a_run_read_at_its_last_checkpoint_has_an_open_end() -> None:
    shares, losses = [0.1, 0.5], [4.0, 3.0]
    draws = np.repeat(np.array(losses)[:, None], 100, axis=1)
    wanted = np.linspace(2.7, 3.3, 100)  # half of the draws are never as good
    found = share_of_run(shares, losses, draws, 3.02, wanted, settings=SETTINGS)
    assert found.high is None and found.low < found.value < 0.5


def bent(rung: Trained) -> float:
    """A loss that falls faster with more compute, as no E + A·C^(−α) with E ≥ 0 does."""
    return 6.0 - 0.02 * np.log(rung.compute / RUNGS[0].compute) ** 1.6


def test_where_the_law_cannot_bend_the_share_between_rungs_still_holds() -> None:
    losses = {one.name: bent(one) for one in RUNGS if one.name != TOP.name}
    # Half of the way in ln C from the fifth rung to the sixth.
    fifth = next(one for one in RUNGS if one.rung == 5)
    half = float(np.exp((np.log(bent(fifth)) + np.log(bent(TOP))) / 2))
    found = ledger(0, noise=0.0, **losses, intact=bent(TOP), half=half)
    (one,) = placed(found, "half").explained
    truth_ = np.sqrt(fifth.compute / TOP.compute)
    between, law = one.shares["between rungs"], one.shares["frontier"]
    assert between.value == pytest.approx(truth_, rel=0.03)
    assert between.low < truth_ < between.high
    assert abs(np.log(law.value / truth_)) > 3 * abs(np.log(between.value / truth_))


def test_between_rungs_agrees_with_the_law_where_the_law_holds_and_with_itself_exactly() -> None:
    half = frontier().loss(0.1 * TOP.compute)
    one, model = placed(ledger(0, noise=0.0, half=half), "half", "intact").explained
    assert one.shares["between rungs"].value == pytest.approx(one.shares["frontier"].value, rel=0.1)
    same = model.shares["between rungs"]
    assert (same.value, same.low, same.high) == (1, 1, 1)


def test_what_scatters_about_a_curve_through_three_rungs_cannot_be_told() -> None:
    points = [
        TrainedPoint(one.compute, 1 + 1e3 * one.compute**-0.2, one.name) for one in RUNGS[:9:3]
    ]
    assert (
        law_of(fit_curve(points, SETTINGS))[0].noise is None
    )  # it was 0, of which nothing is known
    again = TrainedPoint(points[0].compute, points[0].loss * 1.003, points[0].rung, seed=1)
    assert law_of(fit_curve([*points, again], SETTINGS))[0].noise == pytest.approx(0.0021, rel=0.01)


def test_the_curve_that_is_drawn_is_the_law_with_its_numbers() -> None:
    law = placed(ledger(0), "intact").law
    assert law is not None
    for point in law.line:
        by_hand = law.floor.value + np.exp(law.scale) * point.compute**-law.exponent.value
        assert point.loss == pytest.approx(by_hand, rel=1e-9)
        assert point.low <= point.loss <= point.high
    assert [law.line[0].compute, law.line[-1].compute] == pytest.approx([law.least, law.greatest])
    assert law.least == RUNGS[0].compute and law.greatest == TOP.compute


def test_a_data_share_is_given_only_for_a_size_that_was_trained_on_less_data() -> None:
    fifth = next(one for one in RUNGS if one.rung == 5)
    found = ledger(0)
    # The fifth rung as the subject: no shorter runs are of its size.
    subject = SimpleNamespace(name=fifth.name, notes=(NOTE,))
    scale = scale_of(found, subject, ["intact"], settings=SETTINGS)  # type: ignore[arg-type]
    assert "no run of this size" in scale.explained[0].shares["data"].refused


def test_a_share_between_rungs_by_hand() -> None:
    compute, losses = np.array([1.0, 10.0, 100.0]), np.array([4.0, 2.0, 1.0])
    draws = np.repeat(losses[:, None], 100, axis=1)

    def share(explained: float, model: float, drawn: tuple[float, float] | None = None) -> Number:
        first, second = (np.full(100, loss) for loss in drawn or (explained, model))
        return share_between_rungs(compute, losses, draws, (explained, first), (model, second),
                                   settings=SETTINGS)  # fmt: skip

    # The model half of the way from the second rung to the third in ln L, so in ln C.
    assert share(2.0, np.sqrt(2)).value == pytest.approx(10**-0.5)
    assert share(np.sqrt(8), 1.0).value == pytest.approx(10**-1.5)
    # Draws of the model beyond the largest rung: its compute, and so the share, has no bound.
    beyond = share(2.0, 1.0, (2.0, 0.9))
    assert (beyond.low, beyond.high) == (0.0, pytest.approx(0.1))
    # Both beyond it: nothing is known, unless the losses are the same.
    unknown, same = share(1.5, 1.0, (0.95, 0.9)), share(1.5, 1.5, (0.9, 0.9))
    assert (unknown.low, unknown.high) == (0.0, None)
    assert (same.value, same.low, same.high) == (1, 1, 1)
    assert "worse than the smallest" in share(4.1, 1.0).refused
    assert "model's loss is better than the largest" in share(2.0, 0.9).refused


def test_a_condition_that_is_a_better_model_has_no_share_of_any_kind() -> None:
    """The third rung as the model, and the fifth as what stands in its place: no bare 900%."""
    third = next(one for one in RUNGS if one.rung == 3)
    subject = SimpleNamespace(name=third.name, notes=(NOTE,))
    found = ledger(0, intact=truth(third), **{TOP.name: truth(TOP)})
    swapped = found.only([c for c in found.conditions if c != third.name])
    scale = scale_of(swapped, subject, ["rung-5", "rung-1"], settings=SETTINGS)  # type: ignore[arg-type]
    better, worse = scale.explained
    for kind in ("frontier", "bend", "between rungs"):
        if kind in better.shares:
            assert better.shares[kind].value is None and better.shares[kind].refused
    assert better.equals.value is not None
    for one in (better, worse):
        for number in one.shares.values():
            assert all(end is None or end <= 1 for end in (number.value, number.low, number.high))
    assert worse.shares["between rungs"].value is None or worse.shares["between rungs"].value < 1


def test_seeds_are_in_the_share_between_rungs() -> None:
    """Documents alike in all models: what is left is the scatter of the three rungs of three seeds."""
    explained = frontier().loss(0.1 * TOP.compute)
    widths = []
    for noise in (0.0, 0.006):
        found = ledger(11, noise=noise, hard=0.0, half=explained)
        (one,) = placed(found, "half").explained
        share = one.shares["between rungs"]
        widths.append(np.log(share.high / share.low))
    # Without noise a straight line misses the curve by its curvature alone.
    assert share.low < 0.1 < share.high and widths[1] > 1.5 * widths[0]


def test_the_share_by_the_chosen_curve_is_the_one_that_is_quoted() -> None:
    losses = {one.name: bent(one) for one in RUNGS if one.name != TOP.name}
    fifth = next(one for one in RUNGS if one.rung == 5)
    half = float(np.exp((np.log(bent(fifth)) + np.log(bent(TOP))) / 2))
    scale = placed(ledger(0, noise=0.0, **losses, intact=bent(TOP), half=half), "half")
    assert scale.form == scale.kind == "bend" and scale.bend is not None
    assert scale.law.left_out > 2 * scale.bend.left_out
    (one,) = scale.explained
    truth_ = np.sqrt(fifth.compute / TOP.compute)
    law, by_bend = one.shares["frontier"], one.shares["bend"]
    assert by_bend.low < truth_ < by_bend.high
    assert abs(np.log(by_bend.value / truth_)) < 0.5 * abs(np.log(law.value / truth_))
    assert scale.scatter.startswith("runs of a rung scatter by")
