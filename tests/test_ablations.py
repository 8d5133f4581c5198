"""Fills and fitted readouts against loops over single documents and against numpy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tiny import VOCABULARY, tiny_model, tiny_subject, tiny_tokenizer
from unexplained.ablations import ABLATIONS, AblationError, fitted
from unexplained.ablations.position_mean import FEWEST
from unexplained.errors import MeasurementError
from unexplained.evaluate import Activations, evaluate, joint, observe
from unexplained.explanations import LIBRARY, fit
from unexplained.explanations.fit import sites_to_observe
from unexplained.sites import Site
from unexplained.study.asked import require_fill
from unexplained.subject import Batch, Edit, Subject, load
from unexplained.text import Block, Text

LENGTHS = [20, 20, 19, 17, 17, 16, 16, 15, 15, 14, 12, 9]
WHERE = "L1.H2 L1.mlp L1.N3"


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
    return Text("random", blocks, blocks, lambda: iter(()), "p", 20, VOCABULARY, "f", (), {})


def alone(subject: Subject, block: Block, site: Site) -> torch.Tensor:
    """The site's value in a document that is run by itself, (position, …)."""
    batch = Batch.of(torch.tensor(block.tokens[None], dtype=torch.long))
    return subject.run(batch, keep=[site]).values[site][0]


def recorded(subject: Subject, text: Text, sites: list[Site]) -> Activations:
    found = observe(subject, text, sites, batch_tokens=45)
    assert len(found.batches) > 2  # several batches with padding in them
    return found


def filled(subject: Subject, block: Block, edit: Edit) -> torch.Tensor:
    """What an edit puts into a document of the text, (position, …)."""
    tokens = torch.tensor(block.tokens[None], dtype=torch.long)
    batch = Batch(tokens, torch.ones_like(tokens, dtype=torch.bool), torch.tensor([0]),
                  (block.document,))  # fmt: skip
    return subject.run(batch, [edit], keep=[edit.where]).values[edit.where][0]


def values_of(subject: Subject) -> list[Site]:
    return [site.at("z") if site.part == "H" else site for site in subject.sites(WHERE)]


def test_means_are_those_of_loops(subject: Subject, text: Text) -> None:
    sites = list(subject.sites(WHERE))
    values = values_of(subject)
    activations = recorded(subject, text, values)
    mean = ABLATIONS.get("mean").fit(activations, sites, 0)
    by_position = ABLATIONS.get("position mean").fit(activations, sites, 0)
    for at, site in enumerate(values):
        documents = [alone(subject, block, site) for block in text.fit]
        everything = torch.cat(documents).mean(0)
        put = filled(subject, text.fit[0], mean.edits[at])
        torch.testing.assert_close(put, everything.expand_as(put), rtol=1e-5, atol=1e-6)
        put = filled(subject, text.fit[0], by_position.edits[at])
        for position in range(LENGTHS[0]):
            here = [document[position] for document in documents if len(document) > position]
            expected = torch.stack(here).mean(0) if len(here) >= FEWEST else everything
            torch.testing.assert_close(put[position], expected, rtol=1e-5, atol=1e-6)
    assert sum(length > LENGTHS[0] - 1 for length in LENGTHS) < FEWEST  # both cases occur


def test_a_resampled_site_keeps_the_first_token_and_takes_the_rest_from_one_donor(
    subject: Subject, text: Text
) -> None:
    sites = list(subject.sites("L1.H2 L1.mlp"))
    values = values_of(subject)[:2]
    fill = ABLATIONS.get("resample").fit(recorded(subject, text, values), sites, 3)
    for block in text.fit[1:]:
        length, donors = len(block.tokens), []
        for site, edit in zip(values, fill.edits, strict=True):
            put, own = filled(subject, block, edit), alone(subject, block, site)
            torch.testing.assert_close(put[0], own[0])
            donors.append([
                other.document
                for other in text.fit
                if len(other.tokens) >= length
                and torch.allclose(put[1:], alone(subject, other, site)[1:length], atol=1e-6)
            ])  # fmt: skip
        assert donors[0] == donors[1] and len(donors[0]) == 1 and donors[0] != [block.document]


def test_a_resampled_pattern_is_the_donors_as_far_as_the_document_goes_however_it_was_padded(
    subject: Subject, text: Text
) -> None:
    (site,) = subject.sites("L1.H2.pattern")
    (edit,) = ABLATIONS.get("resample").fit(recorded(subject, text, [site]), [site], 3).edits
    for block in text.fit[1:]:
        length = len(block.tokens)
        put = filled(subject, block, edit)
        donors = [
            other.document
            for other in text.fit
            if len(other.tokens) >= length
            and torch.allclose(put[1:], alone(subject, other, site)[1:length, :length], atol=1e-6)
        ]
        assert len(donors) == 1 and donors != [block.document]
        torch.testing.assert_close(put.sum(-1), torch.ones(length))


def test_zeros_are_zeros(subject: Subject, text: Text) -> None:
    sites = list(subject.sites(WHERE))
    for edit in ABLATIONS.get("zero").fit(Activations(()), sites, 0).edits:
        assert not filled(subject, text.fit[0], edit).any()


def test_gates_and_affine_maps_are_those_of_numpy(subject: Subject, text: Text) -> None:
    site = subject.sites("L1.H2")[0]
    strict = LIBRARY.get("strict_induction")
    said, own = [], []
    documents = [
        (block, alone(subject, block, site.at("v")), alone(subject, block, site.at("z")))
        for block in text.fit
    ]
    mean = np.concatenate([z.numpy() for _, _, z in documents]).mean(0)
    for block, v, z in documents:
        tokens = block.tokens.tolist()
        for t, token in enumerate(tokens):
            targets = [s for s in range(1, t + 1) if tokens[s - 1] == token]
            said.append(v[targets].mean(0).numpy() if targets else mean)
            own.append(z[t].numpy())
    x, y = np.array(said, np.float64), np.array(own, np.float64)
    activations = recorded(subject, text, sites_to_observe(strict.affine(), [site], subject.shape))
    gate = fit(strict.gated().at([site]), subject.shape, activations, 0).gates[str(site)]
    best = np.linalg.lstsq((x - mean).reshape(-1, 1), (y - mean).reshape(-1), rcond=None)[0][0]
    assert 0.02 < best < 1  # neither end: the test would not see the slope
    assert gate == pytest.approx(best, rel=1e-4)
    fitted = fit(strict.affine().at([site]), subject.shape, activations, 0)
    solution = np.linalg.lstsq(np.hstack([x, np.ones((len(x), 1))]), y, rcond=None)[0]
    start = 0
    for block in text.fit:
        rows = slice(start, start + len(block.tokens))
        expected = np.hstack([x[rows], np.ones((len(block.tokens), 1))]) @ solution
        put = filled(subject, block, fitted.edits[0]).numpy()
        # The ridge is 1e-6 of the mean variance; what it moves is far below this.
        np.testing.assert_allclose(put, expected, rtol=1e-3, atol=1e-4)
        start += len(block.tokens)


def opened(seed: int) -> Subject:
    return load(tiny_model("llama", seed=seed), tokenizer=tiny_tokenizer(), device="cpu")


def reached(text: Text) -> int:
    return sorted((len(block.tokens) for block in text.fit), reverse=True)[FEWEST - 1]


def test_the_position_mean_of_a_pattern_is_that_of_loops_over_documents_that_reach_a_query(
    subject: Subject, text: Text
) -> None:
    (site,) = subject.sites("L1.H2.pattern")
    (edit,) = ABLATIONS.get("position mean").fit(recorded(subject, text, [site]), [site], 0).edits
    most = reached(text)
    documents = [alone(subject, block, site) for block in text.fit]
    short = next(block for block in text.fit if len(block.tokens) <= most)
    put = filled(subject, short, edit)
    for query in range(len(short.tokens)):
        rows = [d[query, : query + 1] for d in documents if len(d) > query]
        torch.testing.assert_close(
            put[query, : query + 1], torch.stack(rows).mean(0), rtol=1e-5, atol=1e-6
        )
        assert not put[query, query + 1 :].any()
        assert put[query].sum().item() == pytest.approx(1, abs=1e-5)


def test_a_query_that_too_few_documents_reach_has_no_mean(subject: Subject, text: Text) -> None:
    (site,) = subject.sites("L1.H2.pattern")
    (edit,) = ABLATIONS.get("position mean").fit(recorded(subject, text, [site]), [site], 0).edits
    with pytest.raises(AblationError, match=f"reach {reached(text)} tokens, no further"):
        filled(subject, text.fit[0], edit)
    with pytest.raises(AblationError, match="it takes 8"):
        require_fill("position mean", [site], text)
    even = replace(text, eval=tuple(b for b in text.eval if len(b.tokens) <= reached(text)))
    require_fill("position mean", [site], even)
    with pytest.raises(AblationError, match="Use position mean, zero or resample"):
        require_fill("mean", [site], even)


@pytest.mark.parametrize("name", [n for n, a in ABLATIONS.all().items() if a.fits_on == "fit"])
def test_what_was_fitted_to_a_model_stands_in_no_other_and_not_after_its_weights_changed(
    name: str, text: Text
) -> None:
    subject, other = tiny_subject("llama"), opened(1)
    (site,) = subject.sites("L1.mlp")
    (fill,) = fitted(ABLATIONS.get(name), subject, text, [[site]], 0)
    evaluate(subject, text, [fill.condition()])
    if name == "zero":  # takes nothing from any model
        evaluate(other, text, [fill.condition()])
        return
    for condition in (fill.condition(), joint("both", [fill.condition()])):
        with pytest.raises(MeasurementError, match="fitted to another model"):
            evaluate(other, text, [condition])
    changed = opened(2)
    (fill,) = fitted(ABLATIONS.get(name), changed, text, [[site]], 0)
    evaluate(changed, text, [fill.condition()])
    with torch.no_grad():
        changed.anatomy.model.get_input_embeddings().weight.mul_(1.01)
    with pytest.raises(MeasurementError, match="before its weights changed"):
        evaluate(changed, text, [fill.condition()])


def test_a_claim_with_anything_fitted_stands_in_no_other_model(text: Text) -> None:
    subject, other = tiny_subject("llama"), opened(1)
    strict, sites = LIBRARY.get("strict_induction"), subject.sites("L1.H2")
    for claim in (strict, strict.affine(), strict.gated()):
        activations = observe(subject, text, sites_to_observe(claim, sites, subject.shape))
        condition = fit(claim.at(sites), subject.shape, activations, 0).condition()
        evaluate(subject, text, [condition])
        with pytest.raises(MeasurementError, match=r"'strict induction.*fitted to another model"):
            evaluate(other, text, [condition])


def test_parts_that_were_fitted_to_two_models_make_no_joint_condition(text: Text) -> None:
    parts = []
    for seed, where in ((0, "L1.mlp"), (1, "L0.mlp")):
        subject = opened(seed)
        (site,) = subject.sites(where)
        fill = ABLATIONS.get("mean").fit(observe(subject, text, [site]), [site], 0)
        parts.append(fill.condition(where))
    with pytest.raises(MeasurementError, match="fitted to different models"):
        joint("both", parts)
