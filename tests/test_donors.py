"""Donors: who gives, for all that puts one document's values in another's place."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

import unexplained as ux
from test_ablations import LENGTHS, filled, recorded
from tiny import VOCABULARY, tiny_subject
from unexplained.ablations import ABLATIONS
from unexplained.ablations.resample import Resample
from unexplained.donors import DONORS, Donors, donors_for, place_of
from unexplained.donors.agreeing import Agreeing
from unexplained.donors.another import Another
from unexplained.donors.fixed import Fixed
from unexplained.errors import TextError
from unexplained.evaluate import Activations, evaluate, observe
from unexplained.evaluate.conditions import key, modules_of
from unexplained.explanations.fit import Fitted, fit, sites_to_observe
from unexplained.sites import Site
from unexplained.subject import Subject
from unexplained.testbeds import planted, prompts
from unexplained.testbeds.prompts import pairs_text
from unexplained.text import Block, Text

ABOUT = {"agreeing": "agreeing:kind", "fixed": "fixed:d00"}
"""What is written behind the names of donors that need it, for the text below."""


@pytest.fixture(scope="module")
def subject() -> Subject:
    return tiny_subject("llama")


def made(seed: int = 0) -> Text:
    rng = np.random.default_rng(seed)
    blocks = tuple(
        Block(f"d{i:02d}", "random", rng.integers(0, 12, length).astype(np.int32),
              given={"kind": "even" if i % 2 == 0 else "odd", "own": str(i)})
        for i, length in enumerate(LENGTHS)
    )  # fmt: skip
    return Text("random", blocks, blocks, lambda: iter(()), "p", 20, VOCABULARY, "f", (), {})


@pytest.fixture(scope="module")
def text() -> Text:
    return made()


def by_hash(document: str, others: list[str], seed: int) -> str:
    """The draw, written again."""
    names = {
        hashlib.sha256(f"{seed}{document}{other}".encode()).digest(): other for other in others
    }
    return names[min(names)]


def long_enough(text: Text, block: Block) -> list[str]:
    others = (b for b in text.fit if len(b.tokens) >= len(block.tokens))
    return [b.document for b in others if b.document != block.document]


def own(activations: Activations, site: Site, document: str, length: int) -> torch.Tensor:
    number, row, _ = activations.places[document]
    return activations.batches[number][1][site][row, :length]


def measured(subject: Subject, text: Text) -> list[Block]:
    """Documents that both another and one that agrees can be given to."""
    return [b for b in text.fit if len(b.tokens) <= LENGTHS[3]]


def test_what_is_resampled_is_what_the_document_drawn_by_hash_has_to_the_bit(
    subject: Subject, text: Text
) -> None:
    (site,) = subject.sites("L1.mlp")
    activations = recorded(subject, text, [site])
    for seed in (0, 3):
        (edit,) = ABLATIONS.get("resample").fit(activations, [site], seed).edits
        for block in measured(subject, text):
            length = len(block.tokens)
            giver = by_hash(block.document, long_enough(text, block), seed)
            put = filled(subject, block, edit)
            assert torch.equal(put[1:], own(activations, site, giver, length)[1:])


def shuffled(
    subject: Subject, text: Text, donors: Donors | None = None
) -> tuple[Activations, Fitted]:
    """The head as its own explanation, on another document: it says what was recorded there."""
    from unexplained.explanations.ends import IDENTITY

    claim = IDENTITY.on_shuffled(donors=donors)
    sites = subject.sites("L1.H2")
    activations = observe(subject, text, sites_to_observe(claim, sites, subject.shape), batch_tokens=45)  # fmt: skip
    return activations, fit(claim.at(sites), subject.shape, activations, 3)


def test_a_claim_on_another_document_and_one_that_is_resampled_have_the_same_donor(
    subject: Subject, text: Text
) -> None:
    for donors in (None, Agreeing.on(text, "kind"), Fixed("d00")):
        activations, fitted = shuffled(subject, text, donors)
        fill = Resample(donors or Another()).fit(activations, subject.sites("L1.H2"), 3)
        for block in measured(subject, text)[:4]:
            said = filled(subject, block, fitted.edits[0])
            put = filled(subject, block, fill.edits[0])
            assert torch.equal(said[1:], put[1:])


def test_what_is_patched_is_what_the_corrupted_prompt_has_to_the_bit() -> None:
    plant = planted("name_bias")
    subject = ux.load(plant.model, tokenizer=plant.tokenizer, device="cpu")
    text = pairs_text("slots", prompts.two_slots, orbits=4, fit_orbits=2)
    patch, (site,) = ABLATIONS.get("patch"), subject.sites("L1.mlp")
    activations = observe(subject, text.swapped(), [site], part="eval", batch_tokens=30)
    (edit,) = patch.fit(activations, [site], 0).edits
    for block in text.eval:
        assert torch.equal(filled(subject, block, edit), own(activations, site, block.document, 7))


def test_donors_that_agree_have_the_same_values_and_differ_in_others(
    subject: Subject, text: Text
) -> None:
    (site,) = subject.sites("L1.mlp")
    activations = recorded(subject, text, [site])
    kind = {block.document: block.variables["kind"] for block in text.fit}
    agreeing, seen = Agreeing.on(text, "kind"), set()
    (edit,) = Resample(agreeing).fit(activations, [site], 0).edits
    for block in measured(subject, text):
        others = [d for d in long_enough(text, block) if kind[d] == kind[block.document]]
        giver = by_hash(block.document, others, 0)
        assert torch.equal(
            filled(subject, block, edit)[1:],
            own(activations, site, giver, len(block.tokens))[1:],
        )
        # The plain draw would have been another in some, or this could not fail.
        seen.add(giver == by_hash(block.document, long_enough(text, block), 0))
    assert seen == {True, False}


def test_donors_that_agree_are_refused_where_there_is_none_by_what_is_wanted(
    subject: Subject, text: Text
) -> None:
    with pytest.raises(TextError, match=r"(?s)agree on 'kynd'.*kind"):
        Agreeing.on(text, "kynd")
    with pytest.raises(TextError, match="no variable was named"):
        donors_for(text, "agreeing")
    activations = recorded(subject, text, list(subject.sites("L1.mlp")))
    with pytest.raises(TextError, match=r"d03 \(own 3\)(?s:.*)1 agree"):
        place_of(Agreeing.on(text, "own"), activations, "d03", 3, 0)
    with pytest.raises(TextError, match="of which nothing is known"):
        place_of(Agreeing.on(text, "kind"), activations, "elsewhere", 3, 0)


def test_labels_of_pairs_are_variables() -> None:
    text = pairs_text("slots", prompts.two_slots, orbits=6, fit_orbits=6)
    agreeing = Agreeing.on(text, "order", "favourite")
    there = {pair.document: 7 for pair in text.fit}
    labels = {pair.document: pair.labels for pair in (*text.eval, *text.fit)}  # type: ignore[attr-defined]
    for pair in text.eval:
        assert labels[agreeing.of(pair.document, 7, there, 0)] == labels[pair.document]
    assert donors_for(text, "agreeing:order, favourite") == agreeing


def test_a_fixed_donor_gives_to_all_and_is_refused_where_it_is_too_short_or_unknown(
    text: Text,
) -> None:
    lengths = {block.document: len(block.tokens) for block in text.fit}
    assert {Fixed("d01").of(d, 5, lengths, seed) for d in lengths for seed in (0, 1)} == {"d01"}
    with pytest.raises(TextError, match=r"d11 for document d00(?s:.*)9 tokens"):
        Fixed("d11").of("d00", 20, lengths, 0)
    with pytest.raises(TextError, match="no document of the fit part"):
        donors_for(text, "fixed:nobody")


def lawful(text: Text, name: str) -> Donors:
    return donors_for(text, ABOUT.get(name, name))


@pytest.mark.parametrize("name", DONORS.all())
def test_donors_give_what_was_run_and_is_as_long_the_same_however_it_was_batched(
    name: str, subject: Subject
) -> None:
    text = made()
    if name == "partner":
        text = pairs_text("slots", prompts.two_slots, orbits=4, fit_orbits=4)
        text = replace(text, eval=text.fit)
    donors = lawful(text, name)
    lengths = {block.document: len(block.tokens) for block in text.fit}
    for block in text.fit:
        size = min(len(block.tokens), LENGTHS[3])
        for seed in range(4):
            chosen = donors.of(block.document, size, lengths, seed)
            backwards = dict(reversed(lengths.items()))
            assert lengths[chosen] >= size
            assert donors.of(block.document, size, backwards, seed) == chosen
    assert donors.says and donors.fingerprint
    with pytest.raises(TextError):
        donors.of(next(iter(lengths)), 10, {}, 0)


def test_a_donor_that_was_not_run_or_is_too_short_is_refused_whoever_chose_it(
    subject: Subject, text: Text
) -> None:
    @dataclass(frozen=True)
    class Wrong:
        chosen: str
        says: str = "a wrong one"
        fingerprint: str = "wrong"

        def of(self, document: str, length: int, there: Mapping[str, int], seed: int) -> str:
            return self.chosen

    activations = recorded(subject, text, list(subject.sites("L1.mlp")))
    with pytest.raises(TextError, match="it was not run"):
        place_of(Wrong("nobody"), activations, "d00", 3, 0)
    with pytest.raises(TextError, match="it has 9 tokens of 20"):
        place_of(Wrong("d11"), activations, "d00", 20, 0)
    assert place_of(Wrong("d11"), activations, "d00", 9, 0) == activations.places["d11"][:2]


def test_what_was_given_by_others_is_kept_apart_with_the_code_that_chose(
    subject: Subject, text: Text
) -> None:
    (site,) = subject.sites("L1.mlp")
    activations = recorded(subject, text, [site])
    every = [
        Another(),
        Agreeing.on(text, "kind"),
        Agreeing.on(text, "own"),
        Fixed("d00"),
        Fixed("d01"),
    ]
    conditions = [Resample(donors).fit(activations, [site], 0).condition() for donors in every]
    assert len({key(condition) for condition in conditions}) == len(every)
    assert "unexplained.donors.agreeing" in modules_of(conditions[1])
    claims = [shuffled(subject, text, donors)[1].condition() for donors in every[1:]]
    assert len({key(claim) for claim in claims}) == len(claims)
    assert "unexplained.donors.fixed" in modules_of(claims[-1])


def test_who_agrees_with_all_is_whoever_is_drawn_from_all(subject: Subject) -> None:
    """Agreeing on what all have in common is no restriction: the same losses to the bit."""
    text = made()
    same = tuple(replace(block, given={"all": "one"}) for block in text.fit)
    text = replace(text, fit=same, eval=same[4:])
    (site,) = subject.sites("L1.mlp")
    activations = recorded(subject, text, [site])
    conditions = [
        Resample(donors).fit(activations, [site], 0).condition(donors.says)
        for donors in (Another(), Agreeing.on(text, "all"))
    ]
    ledger = evaluate(subject, text, conditions)
    losses = [ledger.sums(condition.name).loss for condition in conditions]
    assert np.array_equal(*losses) and not np.array_equal(losses[0], ledger.sums("intact").loss)
