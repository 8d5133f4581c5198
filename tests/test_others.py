"""Conditions that are not the model: another model as a predictor, on text and on pairs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import kl_div

from exact import text_of
from test_planner import TEXT as PAIRS
from tiny import tiny_model, tiny_subject, tiny_tokenizer, tokens
from unexplained.errors import MeasurementError, TextError
from unexplained.evaluate import AnotherModel, Other, evaluate
from unexplained.ledger import Ledger
from unexplained.subject import Batch, Subject, load
from unexplained.text import Block

TEXT = text_of(
    *(Block(f"d{i}", "made", row.numpy().astype("int32")) for i, row in enumerate(tokens(4, 11)))
)


@pytest.fixture(scope="module")
def subject() -> Subject:
    return tiny_subject("llama")


@pytest.fixture(scope="module")
def other() -> Subject:
    """Of another family and width, with the same tokenizer."""
    return load(tiny_model("gpt2", seed=5), tokenizer=tiny_tokenizer(), device="cpu")


def test_copies_of_a_document_under_other_names_are_not_measured_as_documents(
    subject: Subject,
) -> None:
    """Four names for each narrowed intervals by half; one unit for all copies of a document does not."""
    names = [replace(b, document=f"{b.document}-{k}") for k in range(4) for b in TEXT.eval]
    with pytest.raises(TextError, match="12 of its 16 documents to measure on have all tokens"):
        evaluate(subject, text_of(*names), [])
    units = [replace(b, original=b.document[:2]) for b in names]
    ledger = evaluate(subject, text_of(*units), [])
    assert ledger.sums("intact").documents == ("d0", "d1", "d2", "d3")


def measured(subject: Subject, other: Subject, **options: object) -> Ledger:
    return evaluate(subject, TEXT, [Other("other", AnotherModel(other))], **options)  # type: ignore[arg-type]


def test_another_model_is_measured_as_if_it_were_the_subject(
    subject: Subject, other: Subject
) -> None:
    beside, alone = measured(subject, other), evaluate(other, TEXT, [])
    for column in ("loss", "correct"):
        mine, its = (getattr(one, column) for one in (beside.sums("other"), alone.sums("intact")))
        assert mine == pytest.approx(its, rel=1e-12)
    assert abs(beside.sums("other").loss - beside.sums("intact").loss).min() > 1e-3


def test_its_divergence_is_from_the_intact_model(subject: Subject, other: Subject) -> None:
    batch = Batch.of(tokens(4, 11))
    p, q = (
        one.logits(one.run(batch).normed[:, :-1]).double().log_softmax(-1)
        for one in (subject, other)
    )
    by_hand = kl_div(q, p, log_target=True, reduction="none").sum((1, 2))
    assert measured(subject, other).sums("other").kl == pytest.approx(by_hand.numpy(), rel=1e-5)


def test_the_model_beside_itself_differs_in_nothing(subject: Subject) -> None:
    ledger = measured(subject, subject)
    mine, intact = ledger.sums("other"), ledger.sums("intact")
    assert (mine.loss == intact.loss).all() and (mine.agree == mine.tokens).all()
    assert not mine.kl.any()


def test_batches_and_finished_work_change_nothing(
    subject: Subject, other: Subject, tmp_path
) -> None:
    first = measured(subject, other, folder=tmp_path)
    assert measured(subject, other, folder=tmp_path).table.equals(first.table)
    split = measured(subject, other, batch_tokens=11)
    assert split.sums("other").loss == pytest.approx(first.sums("other").loss, rel=1e-5)


def test_another_model_of_the_same_name_is_not_found_for_this_one(
    subject: Subject, other: Subject, tmp_path
) -> None:
    first = measured(subject, other, folder=tmp_path)
    third = load(tiny_model("gpt2", seed=6), tokenizer=tiny_tokenizer(), device="cpu")
    again = measured(subject, third, folder=tmp_path)
    assert (again.sums("other").loss != first.sums("other").loss).all()


@pytest.mark.parametrize("measure", ["all", "logit difference"])
def test_on_pairs_it_has_the_logit_difference_of_its_own_logits(
    subject: Subject, other: Subject, measure: str
) -> None:
    ledger = evaluate(subject, PAIRS, [Other("other", AnotherModel(other))], measure=measure)  # type: ignore[arg-type]
    logit_differences: dict[str, float] = {}
    for pair in PAIRS.eval:
        logits = other.logits(other.run(Batch.of(torch.tensor(pair.tokens)[None].long())).normed)
        difference = float(logits[0, -1, pair.answer] - logits[0, -1, pair.wrong])
        logit_differences[pair.unit] = logit_differences.get(pair.unit, 0.0) + difference
    found = ledger.sums("other")
    assert found.logit_difference == pytest.approx(
        [logit_differences[unit] for unit in found.documents], rel=1e-4
    )


def test_one_that_gives_nan_is_refused_by_name(subject: Subject, other: Subject) -> None:
    class Broken(AnotherModel):
        def predict(self, batch, where):  # type: ignore[no-untyped-def]
            columns = super().predict(batch, where)
            return lambda some: columns(some) * float("nan")

    with pytest.raises(MeasurementError, match="'broken'"):
        evaluate(subject, TEXT, [Other("broken", Broken(other))])
