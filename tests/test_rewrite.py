"""Rewriting, sizes and tasks on planted models, whose one head is known to do strict induction."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import unexplained as ux
from drawing import table_of
from test_assay import make_text, own_cache, subject_of  # noqa: F401  (own_cache is a fixture)
from test_gap import ledger_of
from unexplained import Member
from unexplained.bars import slope_of
from unexplained.bars.orders import Step, held
from unexplained.errors import ExplanationError, MeasurementError
from unexplained.evaluate import Edited, distinct, joint, observe
from unexplained.explanations import LIBRARY, explanation, fit
from unexplained.instruments.sizes import ALL_ABLATED, ALL_EXPLAINED
from unexplained.record import Number
from unexplained.record.bars import Comparison, Ties
from unexplained.study.choosing import choose, counts_of, rules
from unexplained.study.run import Run
from unexplained.study.tasks import TaskText
from unexplained.subject import Edit, Subject
from unexplained.testbeds.texts import irregular, repeated
from unexplained.text import Text

SETTINGS = ux.Settings(resamples=200)
TRUE = LIBRARY.get("strict_induction").with_rest("first")
"""What the planted head does, exactly."""
FALSE = LIBRARY.get("previous_token")


def run_of(subject: Subject, text: Text) -> Run:
    return Run(subject, (text,), ux.Settings())


@pytest.fixture
def subject() -> Subject:
    return subject_of("strict_induction")[0]


@pytest.fixture
def text(subject: Subject) -> Text:
    rng = np.random.default_rng(0)
    return make_text("repeated", subject, repeated(rng, 10, 12), repeated(rng, 10, 12))


def weaker(subject: Subject) -> tuple[Member, ...]:
    return tuple(Member(f"twin {i}", partial(subject.twin, i)) for i in (1, 2))


def test_the_planted_head_is_given_the_rule_that_it_follows(subject: Subject, text: Text) -> None:
    sites = subject.sites("L1.H0 L0.H1")
    found = choose(run_of(subject, text), sites, [FALSE, TRUE])
    (planted,) = [c for c in found.choices if c.site == "L1.H0"]
    assert planted.explanation == TRUE.name
    assert planted.increase == pytest.approx(0, abs=1e-4) and planted.mean > 1
    by_itself = fit(TRUE.at("L1.H0"), subject.shape, observe(subject, text, subject.sites(
        "L1.H0.z L1.H0.v")), 0).description.bits  # fmt: skip
    alone = choose(run_of(subject, text), subject.sites("L1.H0"), [FALSE, TRUE])
    assert alone.bits == by_itself > 0


def test_an_explanation_is_never_chosen_that_is_worse_than_the_mean_on_the_fit_part(
    subject: Subject, text: Text
) -> None:
    found = choose(run_of(subject, text), subject.sites("L1.H0"), [FALSE])
    (one,) = found.choices
    assert (one.explanation, one.increase) == ("mean", one.mean)
    assert found.bits == 0
    assert {e.reads for e in rules()} == {("tokens",)}


def test_rewriting_the_planted_head_keeps_the_model_and_ablating_it_does_not(
    subject: Subject, text: Text
) -> None:
    record = ux.rewrite(
        subject, text, sites="L1.H0", family=weaker(subject), explanations=[TRUE], draws=2,
        settings=SETTINGS,
    )  # fmt: skip
    steps = table_of(record, "steps")
    assert list(steps) == ["1-1", "2-1"]
    for step in steps.values():
        explained, ablated, recovered, _ = step.cells
        assert recovered.value == pytest.approx(1, abs=1e-4)
        assert ablated.value > explained.value + 1
    counts = table_of(record, "by-order")
    assert set(counts) == {one.name for one in weaker(subject)} == set(record.others)
    assert all(row.cells == (1, 1, 1, 1) for row in counts.values())
    for name, row in table_of(record, "counts").items():
        assert row.cells[-1].startswith("ties with") and name in row.cells[-1]
    place = record["compute/conditions/intact/equals"]
    assert place.value is None and "that of twin 1, twin 2 is not given" in place.refused
    assert "all 1 components" in record.verdict


def test_orders_share_their_last_step_and_nest(subject: Subject, text: Text) -> None:
    record = ux.rewrite(subject, text, sites="L*.H*", draws=3, settings=SETTINGS)
    steps = table_of(record, "steps")
    (components,) = table_of(record, "facts")["components"].cells
    assert components == len(subject.sites("L*.H*"))
    last = {steps[f"{order}-{components}"].cells[0].value for order in (1, 2, 3)}
    assert len(last) == 1
    mine = [key.removeprefix("1-") for key in steps if key.startswith("1-")]
    assert mine == [str(count) for count in counts_of(components)]


def test_a_model_falls_below_a_rung_at_the_first_step_that_is_worse() -> None:
    def step(count: int, standing: str) -> Step:
        number = Number(value=1.0)
        place = Ties(
            condition="x", place="", level=0.95, each=0.95,
            comparisons=(Comparison(rung="r", difference=number, standing=standing),),
        )  # fmt: skip
        return Step(order=0, count=count, explained=number, ablated=number, recovered=number,
                    place=place)  # fmt: skip

    steps = [step(1, "beats"), step(2, "ties"), step(4, "loses"), step(8, "beats")]
    # What happens after it has fallen below does not count.
    assert held(steps, "r", "beats", "ties") == (2,)
    assert held(steps, "r", "beats") == (1,)


def test_joint_conditions_are_refused_where_they_collide_or_are_direct() -> None:
    from unexplained.sites import Site

    edit = Edit(Site(0, "H", 0), lambda local: None)
    one, two = Edited("a", (edit,), "a"), Edited("b", (edit,), "b")
    with pytest.raises(MeasurementError, match="two of its parts edit"):
        joint("both", [one, two])
    with pytest.raises(MeasurementError, match="direct"):
        joint("both", [Edited("a", (edit,), "a", "direct")])


def test_a_whole_program_is_refused_where_a_component_is_meant(
    subject: Subject, text: Text
) -> None:
    @explanation(gives="logits", reads=["tokens"])
    def program(view):  # type: ignore[no-untyped-def]
        """Nothing."""
        return view.tokens

    with pytest.raises(ExplanationError, match="rewrite"):
        ux.assay(subject, "L1.H0", text, explanations=[program])


def test_the_slope_over_sizes_by_hand() -> None:
    tokens = [10] * 8

    def one(explained: float) -> object:
        rows = {ALL_EXPLAINED: explained, ALL_ABLATED: 3.0, "intact": 1.0}
        ledger = ledger_of({k: [10 * v] * 8 for k, v in rows.items()}, tokens)
        return ledger, ALL_EXPLAINED, ALL_ABLATED

    # Recovered 0.8, 0.6, 0.4 at 10, 100, 1,000: −0.2 for ten times the compute.
    found = slope_of(
        [one(1.4), one(1.8), one(2.2)], [10.0, 100.0, 1000.0], settings=SETTINGS
    ).number  # type: ignore[list-item]
    assert found.value == pytest.approx(-0.2)
    assert found.low is found.high is None  # nothing varies, which tells nothing of other documents


def test_a_slope_is_refused_where_the_fraction_of_a_run_is() -> None:
    tokens = [10] * 8

    def one(ablated: list[float]) -> object:
        rows = {ALL_EXPLAINED: [14.0] * 8, ALL_ABLATED: ablated, "intact": [10.0] * 8}
        return ledger_of(rows, tokens), ALL_EXPLAINED, ALL_ABLATED

    good, noise = one([30.0] * 8), one([30.0, -8.0] * 4)
    found = slope_of([good, noise, good], [10.0, 100.0, 1000.0], settings=SETTINGS).number  # type: ignore[list-item]
    assert found.value is None and "within noise of zero" in found.refused


def test_two_sizes_give_no_slope(subject: Subject, text: Text) -> None:
    with pytest.raises(MeasurementError, match="it takes 3"):
        ux.sizes({subject: 1.0, subject.twin(1): 2.0}, text)


def test_a_task_that_only_the_model_can_do_appears_all_at_once(
    subject: Subject, text: Text
) -> None:
    rng = np.random.default_rng(1)
    plain = make_text("irregular", subject, irregular(rng, 10, 40), irregular(rng, 10, 40))
    asked = [TaskText("all", plain, "everything"), TaskText("copying", text, "repeats")]
    record = ux.tasks(subject, plain, asked=asked, sites="L1.H0", family=weaker(subject),
                      explanations=[TRUE], settings=SETTINGS)  # fmt: skip
    assert {
        f"Text of {one.name}": one.text.fingerprint for one in asked
    }.items() <= record.sheet.items()
    assert set(record.others) == {one.name for one in weaker(subject)}
    right = {key: record[f"accuracy/accuracies/copying/{key}"].value for key in
             ("model", "1", "ablated", "weaker twin 1", "weaker twin 2")}  # fmt: skip
    assert right["model"] > 0.4
    assert max(right["weaker twin 1"], right["weaker twin 2"]) < 0.1
    rise = record["part/tasks/copying/jump"]
    between = table_of(record, "tasks")["copying"].cells[3]
    assert rise.value > 0.9 and str(between).endswith("the model")
    assert 0.5 <= rise.low <= rise.value <= rise.high
    # The true rule keeps loss and accuracy; ablation loses both.
    step = {key: record[f"accuracy/steps/copying/1/{key}"].value for key in ("recovered", "gap")}
    assert step["recovered"] == pytest.approx(1, abs=1e-3)
    assert right["1"] == pytest.approx(right["model"], abs=0.02)
    assert step["gap"] == pytest.approx(1, abs=0.05)
    assert right["ablated"] < 0.1


def test_an_explanation_that_is_good_on_the_task_alone_shows_as_that(
    subject: Subject, text: Text
) -> None:
    # At the fixed distance of the copies: right on `repeated`, wrong where text is irregular.
    @explanation(gives="pattern", reads=["tokens"])
    def fixed_distance(view):  # type: ignore[no-untyped-def]
        """Attend eleven positions back."""
        n = view.tokens.shape[1]
        pattern = view.tokens.new_zeros(*view.tokens.shape, n).float()
        for i in range(11, n):
            pattern[:, i, i - 11] = 1.0
        return pattern

    rng = np.random.default_rng(1)
    broad = make_text("irregular", subject, irregular(rng, 40, 40), irregular(rng, 10, 40))
    asked = [TaskText("copying", text), TaskText("all", broad)]
    record = ux.tasks(
        subject, text, asked=asked, sites="L1.H0", explanations=[fixed_distance], settings=SETTINGS
    )
    copying, everything = (record[f"part/tasks/{n}/loss"].value for n in ("copying", "all"))
    assert copying > 0.8 and everything < 0.5


def test_tasks_are_named_once_and_a_stronger_model_is_no_reference(
    subject: Subject, text: Text
) -> None:
    one = {"asked": [TaskText("a", text)], "sites": "L1.H0", "settings": SETTINGS}
    with pytest.raises(MeasurementError, match="once"):
        ux.tasks(subject, text, **one | {"asked": 2 * one["asked"]})
    with pytest.raises(MeasurementError, match="not among the models"):
        ux.tasks(subject, text, **one, family=weaker(subject), weak="x")
    strong, (weak, _) = Member("strong", lambda: subject), weaker(subject)
    with pytest.raises(MeasurementError, match="not weaker"):
        ux.tasks(subject.twin(1), text, **one, weak="strong", family=[weak, strong])


def test_sizes_go_by_compute_and_not_by_the_order_given(subject: Subject, text: Text) -> None:
    models = [subject, subject.twin(1), subject.twin(2)]
    with pytest.raises(MeasurementError, match="over 1 sizes"):
        ux.sizes(dict.fromkeys(models, 5.0), text)


def test_where_no_rule_is_better_than_the_mean_nothing_is_recovered_and_it_is_measured_once(
    subject: Subject, text: Text
) -> None:
    record = ux.rewrite(
        subject, text, sites="L1.H0", explanations=[FALSE], draws=1, settings=SETTINGS
    )
    (step,) = table_of(record, "steps").values()
    explained, ablated, recovered = step.cells
    assert explained == ablated and recovered == Number(value=0.0, low=0.0, high=0.0, unit="share")
    asked = [TaskText("a", text)]
    tasks = ux.tasks(
        subject, text, asked=asked, sites="L1.H0", explanations=[FALSE], settings=SETTINGS
    )
    right = "accuracy/accuracies/a"
    assert tasks[f"{right}/1"] == tasks[f"{right}/ablated"]
    none = tasks["part/tasks/a/loss"]
    assert none.value == none.low == none.high == 0.0
    one, two = Edited("a", (), "same"), Edited("b", (), "same")
    once, names = distinct([one, two, Edited("c", (), "other")])
    assert [c.name for c in once] == ["a", "c"]
    assert names == {"a": "a", "b": "a", "c": "c"}
