"""What can stand in a component's place: laws for whatever does, and the projection against numpy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import unexplained as ux
from assayed import checks_of, of_row, rows_of, said_of
from drawing import table_of
from test_ablations import LENGTHS, alone, filled
from test_assay import make_text, subject_of
from test_donors import by_hash, long_enough
from tiny import VOCABULARY, tiny_subject
from unexplained.ablations import ABLATIONS
from unexplained.donors.fixed import Fixed
from unexplained.errors import ExplanationError
from unexplained.evaluate import evaluate, observe
from unexplained.evaluate.conditions import key
from unexplained.explanations import LIBRARY, STAND_INS, StandIn
from unexplained.explanations.fit import Fitted
from unexplained.explanations.library.projection import Projection
from unexplained.explanations.stand_in import find_stand_in
from unexplained.ledger import Ledger
from unexplained.report import text_table
from unexplained.sites import Site
from unexplained.study import Run, arms
from unexplained.study.controls import possible_controls
from unexplained.subject import Subject
from unexplained.testbeds.texts import irregular
from unexplained.text import Block, Text

SETTINGS = ux.Settings(resamples=60)
EVERYWHERE = "L1.H2 L1.mlp L1.N3 L2.attn L1.resid_pre"


@pytest.fixture(scope="module")
def subject() -> Subject:
    return tiny_subject("llama")


@pytest.fixture(scope="module")
def text() -> Text:
    rng = np.random.default_rng(0)
    blocks = tuple(
        Block(f"d{i:02d}", "random", rng.integers(0, 12, length).astype(np.int32))
        for i, length in enumerate(LENGTHS)
    )
    return Text("random", blocks[4:], blocks, lambda: iter(()), "p", 20, VOCABULARY, "f", (), {})


def every() -> dict[str, StandIn]:
    """Every rule and everything else in the folder, plain and as a control."""
    made: dict[str, StandIn] = {
        **LIBRARY.all(),
        **{n: make("") for n, make in STAND_INS.all().items()},
    }
    controls = {f"{name}, shuffled": one.on_shuffled() for name, one in made.items()}
    return {**made, **controls}


def fitted(
    one: StandIn, subject: Subject, text: Text, where: str = "L1.H2", seed: int = 0
) -> Fitted:
    sites = subject.sites(where)
    activations = observe(subject, text, one.observes(sites, subject.shape), batch_tokens=45)
    return one.fit(sites, subject.shape, activations, seed)


@pytest.mark.parametrize("name", every())
def test_a_stand_in_keeps_the_laws_of_stand_ins(name: str, subject: Subject, text: Text) -> None:
    one = every()[name]
    assert isinstance(one, StandIn)
    assert one.name and one.says.endswith(".")
    assert not one.refuses(Site(1, "H", 2), subject.shape)
    first, again = fitted(one, subject, text), fitted(one, subject, text)
    ledger = evaluate(subject, text, [first.condition()])
    other = evaluate(subject, text, [again.condition()])
    assert ledger.table.equals(other.table)
    assert key(first.condition()) == key(again.condition())
    assert first.fitted_on == subject.remembered
    length = first.description
    assert length.code_bits > 0
    assert length.parameter_bits == 32 * length.parameters
    # What it reads of the model is priced; tokens cost nothing.
    assert (length.lent > 0) == any(read != "tokens" for read in one.reads)


@pytest.mark.parametrize("name", every())
def test_the_ends_of_every_stand_in_are_the_model_and_mean_ablation_to_the_bit(
    name: str, subject: Subject, text: Text
) -> None:
    itself, nothing = every()[name].ends()
    ledger = at_mean(subject, text, "L1.H2", itself, nothing)
    assert_same(ledger, itself.name, "intact")
    assert_same(ledger, nothing.name, "mean")
    assert not np.array_equal(ledger.sums("mean").loss, ledger.sums("intact").loss)


def at_mean(subject: Subject, text: Text, where: str, *claims: StandIn) -> Ledger:
    """Losses of claims, each under its own name, beside those of mean ablation."""
    sites = subject.sites(where)
    values = [site.at("z") if site.part == "H" else site for site in sites]
    observed = [s for one in claims for s in one.observes(sites, subject.shape)]
    activations = observe(subject, text, list(dict.fromkeys([*values, *observed])))
    fill = ABLATIONS.get("mean").fit(activations, sites, 0)
    stood = [one.fit(sites, subject.shape, activations, 0).condition() for one in claims]
    return evaluate(subject, text, [fill.condition(), *stood])


def assert_same(ledger: Ledger, one: str, other: str) -> None:
    assert np.array_equal(ledger.sums(one).loss, ledger.sums(other).loss), (one, other)


@pytest.mark.parametrize("where", EVERYWHERE.split())
def test_a_projection_on_all_directions_is_the_component_and_on_none_its_mean(
    where: str, subject: Subject, text: Text
) -> None:
    size = {"H": subject.shape.head_size, "N": 1}.get(
        subject.sites(where)[0].part, subject.shape.width
    )
    full, none = Projection(size), Projection(0)
    ledger = at_mean(subject, text, where, full, none)
    assert_same(ledger, full.name, "intact")
    assert_same(ledger, none.name, "mean")
    same = (fitted(one, subject, text, where).condition() for one in (full, Projection(None)))
    assert len({key(condition) for condition in same}) == 1
    with pytest.raises(ExplanationError, match=f"keeps {size + 1} directions.*has {size}"):
        fitted(Projection(size + 1), subject, text, where)


@pytest.mark.parametrize("where", ["L1.H2", "L1.mlp"])
def test_a_projection_is_that_of_numpy_on_principal_directions(
    where: str, subject: Subject, text: Text
) -> None:
    (site,) = subject.sites(where)
    value = site.at("z") if site.part == "H" else site
    documents = np.concatenate([alone(subject, block, value).numpy() for block in text.fit])
    mean = documents.mean(0, dtype=np.float64)
    _, _, directions = np.linalg.svd(documents - mean, full_matrices=False)
    for rank in (1, 3):
        (edit,) = fitted(Projection(rank), subject, text, where).edits
        own = alone(subject, text.fit[0], value).numpy()
        expected = mean + (own - mean) @ directions[:rank].T @ directions[:rank]
        put = filled(subject, text.fit[0], edit).numpy()
        np.testing.assert_allclose(put, expected, rtol=1e-3, atol=1e-4)
        assert not np.allclose(own, expected, atol=1e-2)  # or nothing was taken away


def test_a_projection_grows_by_as_many_numbers_as_a_direction_has(
    subject: Subject, text: Text
) -> None:
    for where, width in (("L1.H2", subject.shape.head_size), ("L1.mlp", subject.shape.width)):
        lengths = [
            fitted(Projection(rank), subject, text, where).description for rank in range(width)
        ]
        assert lengths[0].parameters == width and lengths[0].lent == 0  # the mean alone
        for less, more in itertools.pairwise(lengths):
            assert more.parameters - less.parameters == width
            assert more.bits - less.bits >= 32 * width
        whole = fitted(Projection(None), subject, text, where).description
        assert (whole.parameters, whole.lent) == (0, lengths[1].lent)


def test_more_directions_leave_less_of_the_value_out(subject: Subject, text: Text) -> None:
    (site,) = subject.sites("L1.mlp")
    left = []
    for rank in range(0, subject.shape.width + 1, 4):
        (edit,) = fitted(Projection(rank), subject, text, "L1.mlp").edits
        away = [filled(subject, b, edit) - alone(subject, b, site) for b in text.fit]
        left.append(float(torch.cat(away).double().square().sum()))
    assert left == sorted(left, reverse=True) and left[0] > left[-1] and left[-1] < 1e-6


def test_a_shuffled_projection_is_the_donors_value_projected(subject: Subject, text: Text) -> None:
    (site,) = subject.sites("L1.mlp")
    activations = observe(subject, text, [site], batch_tokens=45)
    plain, another = (
        one.fit([site], subject.shape, activations, 3).edits[0]
        for one in (Projection(4), Projection(4).on_shuffled())
    )
    known = {block.document: block for block in text.fit}
    for block in text.eval:
        giver = known[by_hash(block.document, long_enough(text, block), 3)]
        put = filled(subject, block, another)
        torch.testing.assert_close(
            put, filled(subject, giver, plain)[: len(put)], rtol=1e-5, atol=1e-5
        )


def test_an_assay_takes_a_projection_like_any_explanation_with_its_controls(
    subject: Subject,
) -> None:
    planted, _ = subject_of("strict_induction")
    rng = np.random.default_rng(0)
    text = make_text("copies", planted, irregular(rng, 24, 40), irregular(rng, 24, 40))
    strict = LIBRARY.get("strict_induction")
    claims = [Projection(8), strict, Projection(48)]
    record = ux.assay(planted, "L1.H0", text, explanations=claims, settings=SETTINGS, singles=0)
    assert all(check.holds for check in checks_of(record))
    assert [check.name for check in checks_of(record)] == [
        "the component itself", "no explanation", "projection on 8 directions, shuffled",
    ]  # fmt: skip
    assert of_row(record, "the component itself", "against mean").value == 1
    assert of_row(record, "no explanation", "against mean").value == 0
    # The head writes a copy of one of 48 tokens: 8 directions cannot say which, 48 can.
    few, enough = (of_row(record, one.name, "against mean").value for one in (claims[0], claims[2]))
    assert few is not None and enough is not None
    assert few < 0.7 and enough > 0.99
    assert rows_of(record)["projection on 8 directions"] == "fitted"
    assert said_of(record, "projection on 8 directions")["reads"] == "own value"
    shown = str(record)
    assert "projection on 8 directions" in shown


def test_what_cannot_project_is_refused_before_anything_is_run(
    subject: Subject, text: Text
) -> None:
    with pytest.raises(ExplanationError, match="keeps 99 directions, and the value there has 8"):
        ux.assay(subject, "L1.H2", text, explanations=[Projection(99)])
    with pytest.raises(ExplanationError, match="keeps z of heads, and that is no head"):
        ux.assay(subject, "L1.mlp", text, explanations=[Projection(2, at="z")])
    with pytest.raises(ExplanationError, match="of no kind that is known"):
        find_stand_in("projection:some")
    assert find_stand_in("strict_induction") is None
    made = find_stand_in("projection:8"), find_stand_in("projection"), find_stand_in("projection:all")  # fmt: skip
    assert made == (Projection(8), Projection(1), Projection(None))


def test_a_projection_of_nothing_has_no_control_that_can_tell(subject: Subject, text: Text) -> None:
    sites = subject.sites("L1.H2")
    for rank, tells in ((4, True), (0, False)):
        one = Projection(rank)
        activations = observe(subject, text, one.observes(sites, subject.shape))
        control = one.control(sites, subject.shape, activations, 0)
        assert (control.explanation is not None) == tells, control


def test_fitted_tensors_are_told_apart_to_the_last_bit_and_priced_by_their_number(
    subject: Subject, text: Text
) -> None:
    """A long value's digest is of its bytes: text would be cut short, or rounded, and take minutes."""
    sites = subject.sites("L1.mlp")
    one = Projection(4)
    activations = observe(subject, text, one.observes(sites, subject.shape))
    before = one.fit(sites, subject.shape, activations, 0)
    last = activations.batches[-1][1][sites[0]]
    last[0, 0] = torch.nextafter(last[0, 0], torch.tensor(torch.inf))
    after = one.fit(sites, subject.shape, activations, 0)
    assert before.fingerprint != after.fingerprint
    assert before.description == after.description


def test_a_shuffled_projection_takes_its_value_from_the_donors_that_it_is_given(
    subject: Subject, text: Text
) -> None:
    (site,) = subject.sites("L1.mlp")
    activations = observe(subject, text, [site], batch_tokens=45)
    plain = Projection(4).fit([site], subject.shape, activations, 0).edits[0]
    fixed = Projection(4).on_shuffled(donors=Fixed("d00"))
    (edit,) = fixed.fit([site], subject.shape, activations, 0).edits
    given = filled(subject, text.fit[0], plain)
    for block in text.eval:
        put = filled(subject, block, edit)
        torch.testing.assert_close(put, given[: len(put)], rtol=1e-5, atol=1e-5)


def test_a_projection_of_heads_and_others_together_is_priced_once(
    subject: Subject, text: Text
) -> None:
    whole = fitted(Projection(2), subject, text, "L1.H2 L2.mlp").description
    alone_ = [
        fitted(Projection(2), subject, text, where).description for where in ("L1.H2", "L2.mlp")
    ]
    assert whole.lent == sum(one.lent for one in alone_)
    assert whole.parameters == sum(one.parameters for one in alone_)
    assert whole.code_bits == alone_[0].code_bits


def test_gaps_and_rewritings_take_a_projection_too() -> None:
    planted, _ = subject_of("strict_induction")
    weaker, _ = subject_of("empty")
    rng = np.random.default_rng(0)
    text = make_text("copies", planted, irregular(rng, 24, 40), irregular(rng, 24, 40))
    chosen_by = (subject_of("half_induction")[0], subject_of("periodic")[0])
    record = ux.gap(
        planted, weaker, text, chosen_by=chosen_by, sites="L1.H0",
        explanations=[Projection(64)], settings=SETTINGS,
    )  # fmt: skip
    assert "projection on 64 directions" in text_table(record, full=True)
    rewritten = ux.rewrite(
        planted, text, sites="L1.H0-1", explanations=[Projection(48)], settings=SETTINGS
    )
    chosen = {row.cells[0] for row in table_of(rewritten, "chosen").values()}
    assert chosen >= {"projection on 48 directions"}
    with pytest.raises(ExplanationError, match="as a program"):
        ux.rewrite(planted, text, programs=[Projection(48)])


def test_the_map_that_prices_a_fit_is_fitted_over_the_same_control_as_the_claim() -> None:
    planted, _ = subject_of("strict_induction")
    rng = np.random.default_rng(5)
    text = make_text("words", planted, irregular(rng, 12, 30), irregular(rng, 12, 30))
    run = Run(planted, (text,), SETTINGS)

    def controls(one: StandIn, where: str) -> list[str]:
        (claim,) = arms.claims(run, planted.sites(where), [one], prices=True)
        return [control.name for control in claim.controls]

    for name, where, kind in (("previous_token", "L0.H0", "moved"),
                              ("strict_induction", "L1.H0", "shuffled")):  # fmt: skip
        one = LIBRARY.get(name)
        assert controls(one, where) == [
            *(end.name for end in one.ends()), f"{one.name}, {kind}", f"{one.name}, affine, {kind}",
        ]  # fmt: skip
        assert set(controls(one, where)) <= {found.name for found in possible_controls(one)}
    four = Projection(4)
    assert controls(four, "L1.H0")[:2] == [end.name for end in four.ends()]
    assert len(controls(four, "L1.H0")) == 3
