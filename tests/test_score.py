"""Losses by blocks of the vocabulary against whole rows in float64."""

import math
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


def by_hand(p, q, target):
    """Loss of q at the target and KL of q from p, one word at a time: 0 log 0 is 0."""
    top_p, top_q = max(p), max(q)
    if -math.inf in (top_p, top_q):
        return math.nan, math.nan
    log_z_p = top_p + math.log(math.fsum(math.exp(one - top_p) for one in p))
    log_z_q = top_q + math.log(math.fsum(math.exp(one - top_q) for one in q))
    kl = 0.0
    for one, other in zip(p, q, strict=True):
        if one > -math.inf:
            kl += math.exp(one - log_z_p) * ((one - log_z_p) - (other - log_z_q))
            kl = math.inf if other == -math.inf else kl
    return log_z_q - q[target], kl


@pytest.mark.parametrize("width", [1, 2, 3, 8, 1024])
@given(
    st.integers(1, 25), st.integers(0, 9999), st.sampled_from([0.1, 0.5, 0.9]),
    st.sampled_from(["p", "q", "both", "the same"]),
)  # fmt: skip
@quick(deadline=None, max_examples=60)
def test_words_that_are_ruled_out_add_nothing_and_ruled_out_by_one_alone_are_infinitely_far(
    width, vocabulary, seed, share, who
):
    """Whole blocks, all but one, the target and single words at −∞, across the blocks' borders."""
    generator = torch.Generator().manual_seed(seed)
    p, q = torch.randn(2, 6, vocabulary, generator=generator) * 4
    masks = torch.rand(2, 6, vocabulary, generator=generator) < share
    first = torch.arange(vocabulary) < seed % (vocabulary + 1)
    masks[:, 0] = first  # the beginning, as far as all of it
    masks[:, 1] = ~first
    masks[:, 2] = torch.arange(vocabulary) != seed % vocabulary  # all but one
    if who in ("p", "both", "the same"):
        p[masks[0]] = -torch.inf
    if who in ("q", "both"):
        q[masks[1]] = -torch.inf
    if who == "the same":
        q[masks[0]] = -torch.inf
    targets = torch.randint(0, vocabulary, (6,), generator=generator)
    before = module.BLOCK["cpu"]
    module.BLOCK["cpu"] = width
    try:
        found = score(of(p), {"q": of(q)}, targets, vocabulary)["q"]
    finally:
        module.BLOCK["cpu"] = before
    for row, target in enumerate(targets.tolist()):
        loss, kl = by_hand(p[row].tolist(), q[row].tolist(), target)
        if math.isnan(loss) and math.isnan(kl):
            assert not found.sound[row]
            continue
        assert found.loss[row].item() == pytest.approx(loss, abs=1e-5, rel=1e-5)
        assert found.kl[row].item() == pytest.approx(kl, abs=1e-5, rel=1e-5)
        assert bool(found.sound[row]) == (math.isfinite(loss) and math.isfinite(kl))


def test_the_divergence_of_a_masked_word_by_hand():
    """Of p = (¾, ¼, 0) and q = (½, ¼, ¼): ¾ log 3⁄2 + ¼ log 1 = 0.3041."""
    p = torch.tensor([[0.75, 0.25, 0.0]]).log()
    q = torch.tensor([[0.5, 0.25, 0.25]]).log()
    found = score(of(p), {"q": of(q)}, torch.tensor([0]), 3)["q"]
    assert found.kl.item() == pytest.approx(0.75 * math.log(1.5), abs=1e-6)
    other = score(of(q), {"p": of(p)}, torch.tensor([0]), 3)["p"]
    assert other.kl.item() == math.inf and other.loss.item() == pytest.approx(math.log(4 / 3))
    assert not other.sound.item()


def test_a_ruled_out_word_is_infinitely_far_however_small_and_however_early():
    """Its share underflows in float32, or is forgotten when a later block is far higher."""
    p = torch.tensor([[-200.0, 0.0, 0.0, 300.0]])
    q = torch.tensor([[-torch.inf, 0.0, 0.0, 300.0]])
    before = module.BLOCK["cpu"]
    try:
        for width in (1, 2, 4):
            module.BLOCK["cpu"] = width
            found = score(of(p), {"q": of(q)}, torch.tensor([3]), 4)["q"]
            assert found.kl.item() == math.inf and found.loss.item() == 0
    finally:
        module.BLOCK["cpu"] = before


def test_a_row_scores_the_same_bits_whatever_is_ruled_out_in_others():
    p, q = torch.randn(2, 9, 50, generator=torch.Generator().manual_seed(3))
    targets = torch.arange(9)
    plain = score(of(p), {"q": of(q)}, targets, 50)["q"]
    p[4, 20:30] = q[4, 20:30] = -torch.inf
    masked = score(of(p), {"q": of(q)}, targets, 50)["q"]
    rows = torch.arange(9) != 4
    assert torch.equal(plain.loss[rows], masked.loss[rows])
    assert torch.equal(plain.kl[rows], masked.kl[rows])


def test_a_logit_difference_that_is_infinite_is_not_sound_however_finite_the_loss():
    one = torch.ones(2, dtype=torch.float64)
    found = module.Scores(one, one * 0, None, torch.tensor([1.0, torch.inf], dtype=torch.float64))
    assert found.sound.tolist() == [True, False]


def test_a_gradient_of_the_divergence_is_finite_where_words_are_ruled_out(monkeypatch):
    """The same words masked in both: value and gradient are those of the other words alone."""
    from tiny import tiny_subject
    from unexplained.circuits.measures import gradient, values
    from unexplained.evaluate.batches import Scored
    from unexplained.subject.anatomy import Anatomy

    subject = tiny_subject("llama")
    generator = torch.Generator().manual_seed(4)
    normed, clean = torch.randn(2, 1, 3, 32, generator=generator)
    scored = Scored(torch.ones(1, 3, dtype=torch.bool), torch.tensor([5, 6, 7]), None)
    whole = Anatomy.logits
    rest = [word for word in range(61) if word not in (3, 40)]

    def masked(self, rows, columns=slice(None)):
        logits = whole(self, rows, columns).clone()
        logits[..., [3, 40]] = -torch.inf
        return logits

    with torch.enable_grad():
        rows = normed[0].clone().requires_grad_()
        log_p = whole(subject.anatomy, clean[0])[:, rest].log_softmax(-1)
        log_q = whole(subject.anatomy, rows)[:, rest].log_softmax(-1)
        kl = (log_p.exp() * (log_p - log_q)).sum(-1)
        (expected,) = torch.autograd.grad(kl.sum(), rows)
    monkeypatch.setattr(Anatomy, "logits", masked)
    torch.testing.assert_close(values(subject, normed, scored, "kl", clean).float(), kl.detach())
    torch.testing.assert_close(gradient(subject, normed, scored, "kl", clean)[0], expected)
