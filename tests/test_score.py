"""Losses by blocks of the vocabulary against whole rows in float64."""

import sys

import pytest
import torch
from hypothesis import given
from hypothesis import settings as quick
from hypothesis import strategies as st

from unexplained.evaluate.score import score

module = sys.modules["unexplained.evaluate.score"]


def of(logits):
    return lambda columns: logits[:, columns]


@pytest.mark.parametrize("scale", [1.0, 30.0])
@given(st.integers(1, 40), st.integers(1, 7), st.sampled_from([1, 3, 16, 1024]), st.integers(0, 99))
@quick(deadline=None, max_examples=40)
def test_losses_divergences_and_predictions_are_those_of_whole_rows(
    scale, vocabulary, rows, width, seed
):
    generator = torch.Generator().manual_seed(seed)
    p, q = torch.randn(2, rows, vocabulary, generator=generator) * scale
    targets = torch.randint(0, vocabulary, (rows,), generator=generator)
    before = module.BLOCK["cpu"]
    module.BLOCK["cpu"] = width
    try:
        found = score(of(p), {"q": of(q), "again": of(p)}, targets, vocabulary)
    finally:
        module.BLOCK["cpu"] = before
    log_p, log_q = (x.double().log_softmax(-1) for x in (p, q))
    # float32 exponentials of differences of at most 8 scale, and products with such differences.
    exact = {"rtol": 1e-5, "atol": 2e-5 * scale}
    torch.testing.assert_close(found["q"].loss, -log_q.gather(-1, targets[:, None])[:, 0], **exact)
    torch.testing.assert_close(found["q"].kl, (log_p.exp() * (log_p - log_q)).sum(-1), **exact)
    assert torch.equal(found["q"].predicted, q.argmax(-1))
    assert torch.equal(found["again"].loss, found["intact"].loss)
    assert not found["again"].kl.any()


def test_a_condition_scores_the_same_bits_whatever_is_scored_beside_it():
    p, q, r = torch.randn(3, 9, 50, generator=torch.Generator().manual_seed(1))
    targets = torch.arange(9)
    alone = score(of(p), {"q": of(q)}, targets, 50)["q"]
    beside = score(of(p), {"r": of(r), "q": of(q)}, targets, 50)["q"]
    assert torch.equal(alone.loss, beside.loss) and torch.equal(alone.kl, beside.kl)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("place", [0, 30])
def test_a_logit_that_is_no_number_makes_its_loss_none(bad, place):
    p, q = torch.randn(2, 3, 40, generator=torch.Generator().manual_seed(2))
    q[1, place] = bad
    before = module.BLOCK["cpu"]
    module.BLOCK["cpu"] = 8
    try:
        loss = score(of(p), {"q": of(q)}, torch.tensor([5, 5, 5]), 40)["q"].loss
    finally:
        module.BLOCK["cpu"] = before
    assert torch.isfinite(loss).tolist() == [True, False, True]
