"""Effective numbers of heads: one is 1, n equal are n, noise is refused; a rotated model is the same function."""

from __future__ import annotations

from functools import cache
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch

import unexplained as ux
from measured import LEAN
from test_repair import words
from tiny import tiny_model, tiny_subject, tiny_tokenizer
from unexplained.bars import spectra
from unexplained.bars.spectra import Spectrum
from unexplained.bars.spectrum import HeadScores, effective, ratio
from unexplained.errors import SiteError
from unexplained.record import Number, Record
from unexplained.study import Run
from unexplained.study.arms.rotated import orthogonal, rotated
from unexplained.study.heads import scored


def scores(sums: np.ndarray, layers: int = 1) -> HeadScores:
    of = np.arange(len(sums)) * layers // len(sums)
    return HeadScores(sums, np.full(sums.shape[1], 10.0), of, "nats per token")


def test_one_head_is_one_and_equal_heads_are_as_many_as_they_are() -> None:
    rng = np.random.default_rng(0)
    size = rng.uniform(1, 2, 16)
    alone = np.zeros((12, 16))
    alone[3] = size
    assert effective([scores(alone)], LEAN).value == pytest.approx(1)
    assert effective([scores(np.tile(size, (12, 1)))], LEAN).value == pytest.approx(12)
    two = np.zeros((12, 16))
    two[[0, 6]] = size
    assert effective([scores(two)], LEAN).value == pytest.approx(2)
    # In either of two layers one head does all.
    assert effective([scores(two, 2)], LEAN, in_layers=True).value == pytest.approx(1)


def test_sums_are_over_all_pairs_of_different_documents() -> None:
    x = np.random.default_rng(1).normal(4, 1, (5, 7))
    pairs = list(permutations(range(7), 2))
    top = sum(x[:, i].sum() * x[:, j].sum() for i, j in pairs)
    within = sum(
        x[h, i].sum() * x[h, j].sum() for h in (slice(0, 3), slice(3, 5)) for i, j in pairs
    )
    bottom = sum((x[:, i] * x[:, j]).sum() for i, j in pairs)
    got = effective([scores(x)], LEAN), effective([scores(x, 2)], LEAN, in_layers=True)
    assert got[0].value == pytest.approx(top / bottom)
    assert got[1].value == pytest.approx(within / bottom)


def test_noise_adds_no_heads_and_alone_it_is_refused() -> None:
    """One head does all; heads take from each other at random, so that the plain ratio says half a head."""
    rng, held, values = np.random.default_rng(2), 0, []
    for _ in range(60):
        sums = rng.normal(0, 5, (100, 24))
        sums -= sums.mean(0)
        sums[0] += 10
        found = effective([scores(sums)], LEAN)
        values.append(found.value or 0)
        held += found.low is not None and found.high is not None and found.low <= 1 <= found.high
    assert np.median(values) == pytest.approx(1, abs=0.1)
    assert held >= 54
    noise = effective([scores(rng.normal(0, 1, (100, 24)))], LEAN)
    assert noise.value is None and "within noise of zero" in noise.refused
    unlike = 0.3 + np.tile([1.0, -1.0], 12)  # single heads are clear, their sum is not
    cancels = effective([scores(np.stack([5 + unlike, np.full(24, -5.0)]))], LEAN)
    assert cancels.value is None and cancels.refused.startswith("the sum over heads is")


def test_no_effective_number_is_beyond_the_number_of_heads() -> None:
    """Noise is taken out of both sums, and what is left of an interval can go past what any scores can give."""
    rng, beyond = np.random.default_rng(3), 0
    for _ in range(20):
        two = scores(np.abs(rng.normal(1, 0.6, (2, 6))))
        other = scores(np.abs(rng.normal(1, 0.6, (2, 6))))
        found = effective([two], LEAN)
        if found.low is None or found.high is None:
            continue
        assert 1 <= found.low <= (found.value or 0) <= found.high <= 2
        beyond += found.high == 2
        times = ratio([two], [other], LEAN)
        assert times.low is None or 0.5 <= times.low <= (times.high or 0) <= 2
    assert beyond


def test_draws_add_their_scatter_and_a_ratio_is_paired_by_document() -> None:
    rng = np.random.default_rng(3)
    size = rng.uniform(1, 9, 16)  # documents differ widely, and in all heads alike
    even, uneven = np.tile(size, (8, 1)), np.outer([4, 1, 1, 1, 1, 0, 0, 0], size)
    times = ratio([scores(even)], [scores(uneven)], LEAN)
    assert times.value == pytest.approx(8 / (64 / 20))
    some = [scores(np.outer(rng.dirichlet(np.full(8, k)), size)) for k in (2, 9, 99)]
    many = effective(some, LEAN)
    each = [effective([one], LEAN).value or 0 for one in some]
    assert many.value == pytest.approx(np.exp(np.log(each).mean()))
    assert many.low is not None and many.low < min(each) and (many.high or 0) > max(each)


# Rotated heads


def hooked(name: str, z: Any) -> torch.Tensor:
    """Logits of a plain model with all heads' z of layer 1 changed by a hook on the output weights."""
    model: Any = tiny_model(name)
    architecture = tiny_subject(name).anatomy.architecture
    head = model.get_submodule(f"{architecture.layers}.1.{architecture.head_output}")
    handle = head.register_forward_pre_hook(lambda module, args: (z(args[0]),))
    rows = torch.tensor(
        np.stack([one.tokens for one in words(tiny_subject(name)).eval]).astype(int)
    )
    with torch.no_grad():
        logits: torch.Tensor = model(rows, use_cache=False).logits
    handle.remove()
    return logits[:, :-1].log_softmax(-1).gather(-1, rows[:, 1:, None])[..., 0]


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_a_rotated_head_is_what_a_hook_takes_out_and_the_turned_model_is_the_same(
    name: str,
) -> None:
    subject = tiny_subject(name)
    text, heads = words(subject), subject.sites("L1.H*")
    run = Run(subject, (text,), LEAN)
    made = rotated(run, heads, draw=0)
    read = run.measure(*made)
    seen = run.observe([head.at("z") for head in heads])
    mean = torch.cat([seen.flat(head.at("z")).double().mean(0) for head in heads]).float()
    turn = orthogonal(len(mean), LEAN.seed, 0, 1).float()
    torch.testing.assert_close(turn @ turn.T, torch.eye(len(turn)), atol=1e-5, rtol=0)
    plain = hooked(name, lambda z: z)
    torch.testing.assert_close(
        hooked(name, lambda z: (z @ turn.T) @ turn), plain, atol=1e-5, rtol=0
    )
    for one, block in zip(made, torch.arange(len(turn)).chunk(len(heads)), strict=True):

        def without(z: torch.Tensor, block: torch.Tensor = block) -> torch.Tensor:
            there, middle = z @ turn.T, mean @ turn.T
            there = there.index_copy(-1, block, middle[block].expand(*there.shape[:-1], -1))
            return there @ turn

        expected = -hooked(name, without).double().sum(-1).numpy()
        got = read.ledger.sums(one.name).loss
        np.testing.assert_allclose(got, expected, atol=2e-4)
        assert np.abs(got - read.ledger.sums("intact").loss).max() > 1e-3


def numbers(record: Record) -> dict[str, float | None]:
    return {name.removeprefix("spectrum/numbers/"): one.value for name, one in record.numbers()}


def test_the_one_planted_head_is_one_and_no_more_so_when_rotated() -> None:
    subject = ux.load("testbed:half_induction", device="cpu")
    text = ux.text("testbed:half_induction", subject, documents=8, fit_documents=8)
    record = ux.structure(subject, "L1.H*", text, rotations=2, settings=LEAN, folder=None)
    found, heads = numbers(record), len(subject.sites("L1.H*"))
    assert heads > 1 and found["divergence-own/effective"] == pytest.approx(1, abs=1e-3)
    assert found["damage-own/effective"] == pytest.approx(1, abs=1e-3)
    assert (found["divergence-rotated/times"] or 0) > 1.3
    assert "More concentrated than rotated" in record.verdict
    assert not any(key.startswith("induction-rotated") for key in found)
    # Where heads look: by the scores that `heads` shows; noise is hardly any here.
    looks = scored(Run(subject, (text,), LEAN), 0, twin=False)
    for rule in ("induction", "previous_token"):
        one = np.array([getattr(head, rule) for head in looks if str(head.site).startswith("L1.")])
        naive = one.sum() ** 2 / (one**2).sum()
        assert found[f"{rule}-own/effective"] == pytest.approx(naive, rel=0.05), rule


@cache
def alike() -> ux.Subject:
    """Four heads that do the same."""
    model: Any = tiny_model("gpt2")
    attention, width = model.transformer.h[0].attn, model.config.n_embd
    with torch.no_grad():
        for part in range(3):
            first = attention.c_attn.weight[:, part * width : part * width + width // 4].clone()
            attention.c_attn.weight[:, part * width : (part + 1) * width] = first.repeat(1, 4)
        attention.c_attn.bias.zero_()
        attention.c_proj.weight.copy_(attention.c_proj.weight[: width // 4].repeat(4, 1))
    return ux.load(model, tokenizer=tiny_tokenizer(), device="cpu")


def test_equal_heads_are_as_many_as_they_are() -> None:
    subject = alike()
    record = ux.structure(
        subject, "L0.H*", words(subject, 6, 12), twin=False, settings=LEAN, folder=None
    )
    assert numbers(record)["divergence-own/effective"] == pytest.approx(4, rel=1e-3)
    assert (numbers(record)["divergence-rotated/times"] or 9) < 1


def test_what_is_refused_is_said_and_not_told_from() -> None:
    """Beside a twin of which nothing is told it read as if the intervals met."""
    clear = Number(value=4.0, low=3.5, high=4.5)
    found = [
        Spectrum("damage", "Damage", basis, clear, times, clear, times)
        for basis, times in (
            (spectra.OWN, None), (spectra.ROTATED, Number(value=1.0, low=0.8, high=1.3)),
            (spectra.TWIN, Number(value=None, refused="within noise")),
        )
    ]  # fmt: skip
    said = spectra.verdict(found, 12)
    assert "With random weights: refused (within noise)." in said
    assert said.endswith("Not told from rotated.")


def test_heads_that_cannot_be_rotated_are_refused() -> None:
    subject = tiny_subject("llama")
    for sites in ("L0.H0", "L0.H0 L1.H0"):
        with pytest.raises(SiteError, match="no two of these heads"):
            ux.structure(subject, sites, words(subject), folder=None)
