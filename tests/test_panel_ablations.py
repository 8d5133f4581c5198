"""The optimal constant against a grid, matched noise against numpy; what both keep and refuse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from test_ablations import alone, filled
from test_ablations import subject as subject
from test_ablations import text as text
from test_assay import make_text
from tiny import tiny_model, tiny_subject, tiny_tokenizer
from unexplained.ablations import (
    ABLATIONS,
    AblationError,
    StandingClaim,
    fitted,
    keeping_first,
    without_first,
)
from unexplained.ablations.matched_noise import MatchedNoise, drawn
from unexplained.ablations.optimal_constant import CHECKPOINTS, OptimalConstant, _Search
from unexplained.errors import MeasurementError
from unexplained.evaluate import Activations, Edited, evaluate, observe
from unexplained.evaluate.conditions import modules_of
from unexplained.repairs.noise import left_out, with_fill, with_rest
from unexplained.subject import Edit, Local, Subject, load
from unexplained.text import Text

WHOLE = OptimalConstant(steps=60, rate=0.5, held_out=0)
"""Fitted on all of the fit part: what a grid over the fit part finds as well."""


@pytest.fixture(scope="module")
def words() -> Text:
    rows = np.random.default_rng(2).integers(0, 12, (2, 24, 16))
    return make_text("words", tiny_subject("llama"), *rows)


def per_token(subject: Subject, text: Text, *conditions: Edited) -> list[float]:
    """Loss on the fit part, nats per token."""
    found = evaluate(subject, text, conditions, part="fit")
    sums = [found.sums(one.name) for one in conditions]
    return [float(one.loss.sum() / one.tokens.sum()) for one in sums]


def test_the_optimal_constant_of_a_neuron_is_that_of_a_grid(subject: Subject, words: Text) -> None:
    (site,) = subject.sites("L1.N2")
    (fill,) = WHOLE.tune(subject, words, [[site]], 0)

    def constant(value: float) -> Edited:
        def put(local: Local) -> torch.Tensor:
            new = torch.full_like(local.value, value)
            new[:, 0] = local.value[:, 0]
            return new

        return Edited(f"{value}", (Edit(site, put),), f"grid {value}")

    grid = np.linspace(-8, 8, 65)
    losses = per_token(subject, words, *map(constant, grid), fill.condition())
    best = int(np.argmin(losses[:-1]))
    assert 0 < best < len(grid) - 1  # the least is no end of the grid
    assert losses[-1] < losses[best] + 1e-5
    put = filled(subject, words.fit[0], fill.edits[0])
    assert float(put[1]) == pytest.approx(grid[best], abs=grid[1] - grid[0])
    assert torch.equal(put[0], alone(subject, words.fit[0], site)[0])
    assert len(put[1:].unique()) == 1


def test_the_optimal_constant_beside_a_claim_is_that_of_a_grid(
    subject: Subject, words: Text
) -> None:
    """Half of a neuron is claimed, and two more; the constant is added to that."""
    (site,) = subject.sites("L1.N2")
    claim = Edited("half", (Edit(site, lambda local: local.value / 2 + 2),), "half")
    left = left_out(claim, observe(subject, words, [site]))
    # Steps are in units of what is left out, which is half of the neuron.
    how = replace(WHOLE, rate=2 * WHOLE.rate)
    (fill,) = how.tune(subject, words, [[site]], 0, beside=StandingClaim(claim, left))
    assert fill.fingerprint != how.tune(subject, words, [[site]], 0)[0].fingerprint

    def shifted(value: float) -> Edited:
        def put(local: Local) -> torch.Tensor:
            new = local.value / 2 + 2
            new[:, 1:] += value
            return new

        return Edited(f"{value}", (Edit(site, put),), f"grid {value}")

    grid = np.linspace(-8, 8, 65)
    found = with_fill("found", claim, fill)
    losses = per_token(subject, words, *map(shifted, grid), found)
    best = int(np.argmin(losses[:-1]))
    assert 0 < best < len(grid) - 1
    assert losses[-1] < losses[best] + 1e-5
    put = filled(subject, words.fit[0], found.edits[0])
    own = alone(subject, words.fit[0], site)
    assert put[0] == own[0] / 2 + 2
    added = (put - own / 2 - 2)[1:]
    assert torch.allclose(added, added[:1], atol=1e-6)
    assert float(added[0]) == pytest.approx(grid[best], abs=grid[1] - grid[0])


@pytest.mark.parametrize("kind", ["mean", "position mean", "resample", "matched noise"])
def test_what_a_claim_leaves_out_is_ablated_as_a_component_is(
    subject: Subject, words: Text, kind: str
) -> None:
    """The same ablation, fitted by hand to the value less what is claimed, and added to what is claimed."""
    (site,) = subject.sites("L1.H2.z")
    claim = Edited("half", (Edit(site, lambda local: local.value / 2),), "half")
    seen = observe(subject, words, [site])
    made = with_rest("made", claim, kind, left_out(claim, seen), 3)
    halves = replace(seen, batches=tuple((b, {site: v[site] / 2}) for b, v in seen.batches))
    fitted_to = without_first(halves) if "mean" in kind else halves
    (by_hand,) = ABLATIONS.get(kind).fit(fitted_to, [site], 3).edits
    (edit,) = made.edits
    for block in words.eval[:3]:
        own = alone(subject, block, site)
        rest = filled(subject, block, by_hand)
        put = filled(subject, block, edit)
        assert torch.allclose(put[1:], (own / 2 + rest)[1:], atol=1e-6)
        assert torch.equal(put[0], own[0] / 2)
        assert (put - own).abs().max() > 0.01


def test_sites_fitted_together_cost_less_together_than_fitted_alone(
    subject: Subject, words: Text
) -> None:
    sites = subject.sites("L1.H2 L2.mlp")
    together, *alone = fitted(WHOLE, subject, words, [sites, sites[:1], sites[1:]], 0)
    edits = tuple(edit for fill in alone for edit in fill.edits)
    conditions = (together.condition("together"), Edited("alone", edits, "alone"))
    zero, mean = (
        fitted(ABLATIONS.get(name), subject, words, [sites], 0)[0].condition(name)
        for name in ("zero", "mean")
    )
    joint, apart, *others = per_token(subject, words, *conditions, zero, mean)
    assert joint < apart - 0.005 < min(others)


def test_a_constant_that_was_fitted_is_kept_and_no_pass_is_run_for_it_again(
    subject: Subject, words: Text, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sites, ablation = subject.sites("L1.H2 L2.mlp"), OptimalConstant(steps=CHECKPOINTS)
    (first,) = ablation.tune(subject, words, [sites], 0, folder=tmp_path)
    assert first.parameters == 8 + 32 and first.fitted_on == subject.fingerprint
    (again,) = ablation.tune(subject, words, [sites], 0)  # to the bit, without what was kept
    assert again.fingerprint == first.fingerprint
    for (other,) in (
        ablation.tune(subject, words, [sites], 1),
        WHOLE.tune(subject, words, [sites], 0),
    ):
        assert other.fingerprint != first.fingerprint
    monkeypatch.setattr(Subject, "run", None)
    (found,) = ablation.tune(subject, words, [sites], 0, folder=tmp_path)
    assert found.fingerprint == first.fingerprint
    assert "unexplained.ablations.optimal_constant" in modules_of(found.condition())


def test_of_constants_on_the_way_the_one_that_costs_least_elsewhere_is_taken(
    subject: Subject, words: Text, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And where none is better than the mean, where the search begins, the mean."""
    (site,), ablation = subject.sites("L1.mlp"), OptimalConstant(steps=CHECKPOINTS)
    (block,), put = words.fit[:1], {}
    for least in range(CHECKPOINTS + 1):
        found = [float(abs(i - least)) for i in range(CHECKPOINTS + 1)]
        losses = iter(
            [found[0], float("inf"), *found[1:]]
        )  # zero, looked at second, is no better start
        monkeypatch.setattr(_Search, "_held_out", lambda *given, losses=losses: next(losses))
        (edit,) = ablation.tune(subject, words, [[site]], 0)[0].edits
        put[least] = filled(subject, block, edit)[1]
    mean = torch.cat([alone(subject, block, site)[1:] for block in words.fit]).mean(0)
    assert float((put[0] - mean).abs().max()) < 0.4  # of two thirds of the documents
    moves = [float((put[i + 1] - put[i]).norm()) for i in range(CHECKPOINTS)]
    assert all(move > 0.01 for move in moves)


def test_where_zero_costs_less_than_the_mean_the_search_begins_there(
    subject: Subject, words: Text, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps reach 1.3 spreads: from a mean far off, the best constant that was found cost more than zero."""
    (site,), ablation = subject.sites("L1.mlp"), OptimalConstant(steps=CHECKPOINTS)
    put = []
    for after in (9.0, 0.5):
        losses = iter([5.0, 1.0, *[after] * CHECKPOINTS])  # at the mean, at zero, on the way
        monkeypatch.setattr(_Search, "_held_out", lambda *given, losses=losses: next(losses))
        (edit,) = ablation.tune(subject, words, [[site]], 0)[0].edits
        put.append(filled(subject, words.fit[0], edit)[1])
    assert not put[0].any()
    values = torch.cat([alone(subject, block, site)[1:] for block in words.fit])
    assert 0 < float(put[1].abs().max()) < 1.5 * float((values - values.mean(0)).square().mean().sqrt())  # fmt: skip


def test_matched_noise_has_the_sites_mean_and_covariance_and_is_the_documents_own(
    subject: Subject, text: Text
) -> None:
    (site,) = subject.sites("L1.H2.z")
    fill = MatchedNoise().fit(observe(subject, text, [site], batch_tokens=45), [site], 3)
    values = torch.cat([alone(subject, block, site)[1:] for block in text.fit]).double().numpy()
    draws = []
    for block in text.fit:
        put, own = filled(subject, block, fill.edits[0]), alone(subject, block, site)
        assert torch.equal(put[0], own[0])
        draws.append(put[1:].double().numpy())
    noise = np.concatenate(
        [drawn(b.document, str(site), 3, len(b.tokens), 8)[1:] for b in text.fit]
    )
    # Whitened, what was put there is what was drawn: only a rotation is free.
    root = np.linalg.cholesky(np.cov(values.T))
    white = np.linalg.solve(root, (np.concatenate(draws) - values.mean(0)).T).T
    np.testing.assert_allclose(white @ white.T, noise @ noise.T, atol=2e-3)
    longer = drawn("d", str(site), 3, 30, 8)
    assert torch.equal(drawn("d", str(site), 3, 11, 8), longer[:11])
    assert not torch.equal(drawn("e", str(site), 3, 30, 8), longer)
    again = MatchedNoise().fit(observe(subject, text, [site]), [site], 4)
    assert again.fingerprint != fill.fingerprint
    assert "unexplained.ablations.matched_noise" in modules_of(fill.condition())


def test_the_first_position_is_kept_in_whatever_an_edit_puts_there(
    subject: Subject, text: Text
) -> None:
    (site,) = subject.sites("L1.mlp")
    kept = keeping_first(Edit(site, lambda local: local.value * 0))
    put, own = filled(subject, text.fit[0], kept), alone(subject, text.fit[0], site)
    assert torch.equal(put[0], own[0]) and not put[1:].any()
    assert keeping_first(Edit(site, lambda local: None)).function(None) is None  # type: ignore[arg-type]


def test_what_cannot_be_fitted_is_refused_by_name(subject: Subject, text: Text) -> None:
    few = replace(text, fit=text.fit[:5])
    sites = subject.sites("L1.mlp")
    for name, match in (("optimal constant", "5 documents, and it takes 8"),
                        ("matched noise", "5 documents, with .* takes 8 documents and 64 tokens")):  # fmt: skip
        with pytest.raises(AblationError, match=match):
            fitted(ABLATIONS.get(name), subject, few, [sites], 0)
    wide = replace(text, fit=tuple(replace(b, tokens=b.tokens[:4]) for b in text.fit))
    with pytest.raises(AblationError, match="36 tokens after the first ones"):
        fitted(ABLATIONS.get("matched noise"), subject, wide, [sites], 0)
    with pytest.raises(AblationError, match="what a constant costs is asked of the model"):
        OptimalConstant().fit(Activations(()), sites, 0)
    pattern = subject.sites("L1.H2.pattern")
    with pytest.raises(AblationError, match="a row for every position"):
        OptimalConstant().tune(subject, text, [pattern], 0)
    half = load(tiny_model("llama").half(), tokenizer=tiny_tokenizer(), device="cpu")
    with pytest.raises(AblationError, match=r"covariance of L1\.mlp in float16"):
        fitted(ABLATIONS.get("matched noise"), half, text, [sites], 0)
    with pytest.raises(MeasurementError, match="in float16"):
        fitted(ABLATIONS.get("optimal constant"), half, text, [sites], 0)
