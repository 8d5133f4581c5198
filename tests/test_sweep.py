"""Sweeps on planted models: which heads matter is known, and what they do together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import unexplained as ux
from swept import by_component, fact, strongest, told
from test_assay import make_text, subject_of
from test_gap import ledger_of
from unexplained.bars.effects import corrected
from unexplained.bars.joints import joint, name_of
from unexplained.bars.measures import measure_of
from unexplained.errors import TextError
from unexplained.record import Record
from unexplained.record.format import chance
from unexplained.sites import Site
from unexplained.testbeds.texts import repeated

SETTINGS = ux.Settings(resamples=200)
GAIN = 11 / 24 * (np.log(48) - np.log1p(47 * np.exp(-8)))
"""Of 24 predictions 11 are made from the second copy; without the planted heads they are silent."""


def swept(name: str, ablation: str = "zero", documents: int = 12) -> Record:
    subject, _ = subject_of(name)
    tokens = repeated(np.random.default_rng(5), documents, 12)
    text = make_text("copies", subject, tokens, tokens, second_copy=13)
    return ux.sweep(subject, "L*.H*", text, ablation=ablation, settings=SETTINGS)


def test_the_two_planted_heads_are_told_from_zero_and_no_other() -> None:
    record = swept("strict_induction")
    assert told(record) == {"L0.H0", "L1.H0"}
    for site, change in by_component(record, "change").items():
        expected = GAIN if site in told(record) else 0
        assert change.value == pytest.approx(expected, abs=1e-3)
    assert "2 of" in record.verdict and "2 raise the loss" in record.verdict


def test_heads_in_a_row_cost_together_what_one_costs() -> None:
    record = swept("strict_induction")
    sites, two = strongest(record, 2)
    assert sites == {"L0.H0", "L1.H0"}
    assert two.together.value == pytest.approx(GAIN, abs=1e-3)
    assert two.summed.value == pytest.approx(2 * GAIN, abs=1e-3)
    assert two.interaction.value == pytest.approx(-GAIN, abs=1e-3)
    assert two.interaction.high is not None and two.interaction.high < 0
    assert "Chosen on 6 documents, measured on the other 6." in record.to_json()
    assert (record.needed, record.units) == ("tokens", "documents")


def test_a_sweep_of_a_head_that_does_nothing_finds_nothing() -> None:
    record = swept("empty")
    assert not told(record)
    assert " 0 of " in record.verdict


def test_single_effects_are_those_of_an_assay_free_loop() -> None:
    """Second route: plain hooks, one document at a time, float64 cross entropy."""
    import torch

    subject, _ = subject_of("half_induction")
    tokens = repeated(np.random.default_rng(6), 10, 12)
    text = make_text("copies", subject, tokens, tokens, second_copy=13)
    record = ux.sweep(subject, "L1.H*", text, ablation="zero", settings=SETTINGS)
    model, size = subject.anatomy.model, subject.shape.head_size

    def loss() -> float:
        ids = torch.tensor(tokens, dtype=torch.long)
        with torch.no_grad():
            logits = torch.cat([model(row[None], use_cache=False).logits for row in ids]).double()
        return float(
            torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
        )

    intact = loss()
    assert record["facts/intact/is"].value == pytest.approx(intact, abs=1e-5)
    for site, change in by_component(record, "change").items():
        head = int(site.split("H")[1])

        def cut(module, args, head=head):
            z = args[0].clone()
            z[..., head * size : (head + 1) * size] = 0
            return (z,)

        handle = subject.anatomy.head_output(1).register_forward_pre_hook(cut)
        assert change.value == pytest.approx(loss() - intact, abs=1e-5)
        handle.remove()


def test_p_values_are_corrected_for_the_number_of_components() -> None:
    record = swept("half_induction")
    p = np.array(list(by_component(record, "p", "alone/more").values()))
    # Benjamini and Hochberg by hand: the smallest, from above, of p times count over rank.
    order = np.argsort(-p)
    stepped = p[order] * len(p) / np.arange(len(p), 0, -1)
    by_hand = np.empty(len(p))
    by_hand[order] = np.minimum.accumulate(stepped).clip(max=1)
    np.testing.assert_allclose(corrected(p), by_hand)
    assert list(by_component(record, "q").values()) == [chance(q) for q in corrected(p)]
    assert (by_hand > p).any()


def test_what_the_strongest_do_together_is_told_of_fresh_documents() -> None:
    subject, _ = subject_of("strict_induction")
    rng = np.random.default_rng(7)
    # The first half repeats, the second never does: there the heads copy nothing.
    fresh = np.stack([np.r_[0, 1 + rng.permutation(48)[:24]] for _ in range(6)])
    tokens = np.concatenate([repeated(rng, 6, 12), fresh])
    text = make_text("halves", subject, tokens, tokens)
    record = ux.sweep(subject, "L*.H*", text, ablation="zero", settings=SETTINGS)
    sites, joint = strongest(record, 2)
    assert sites == {"L0.H0", "L1.H0"}
    assert joint.together.value == pytest.approx(0, abs=1e-3)
    assert joint.summed.value == pytest.approx(0, abs=1e-3)


def test_too_few_documents_to_choose_and_to_report_are_refused() -> None:
    with pytest.raises(TextError, match="chosen on one half"):
        swept("empty", documents=9)


def test_a_patch_of_everything_is_the_whole_corruption_and_of_nothing_none_of_it() -> None:
    """Shares by a theorem: the last stream patched is the corrupted prompt itself."""
    from unexplained.testbeds.prompts import one_back, pairs_text

    subject, _ = subject_of("soft_induction")
    text = pairs_text("one back", one_back, orbits=10)
    record = ux.sweep(
        subject, "L1.resid_post L1.H3 embed", text, ablation="patch", measure="logit difference",
        settings=SETTINGS,
    )  # fmt: skip
    assert (record.needed, record.units) == ("pairs", "orbits")
    change, share, ranks = (by_component(record, name) for name in ("change", "share", "ranks"))
    whole = fact(record, "corrupted").value - fact(record, "intact").value
    for site in ("L1.resid_post", "embed"):
        assert change[site].value == pytest.approx(whole, abs=1e-4)
        assert share[site].value == pytest.approx(1, abs=1e-5)
    assert share["L1.H3"].value == pytest.approx(0, abs=1e-5)
    assert ranks["L1.resid_post"] in ("1", "2", "1–2") and ranks["L1.H3"] == "3"


def test_accuracies_of_components_add_up_beyond_all_of_the_pairs() -> None:
    """Each of three heads in a row costs every answer, and so do all: summed that is 300%."""
    tokens = [2] * 8
    sites = [Site(0, "H", i) for i in range(3)]
    right = {"intact": tokens} | dict.fromkeys([*map(str, sites), name_of(sites)], [0] * 8)
    measure = replace(measure_of("accuracy", pairs=True), column="loss")
    found = joint(ledger_of(right, tokens), sites, measure, SETTINGS)
    assert (found.together.value, found.summed.value, found.interaction.value) == (-1, -3, 2)
    assert found.summed.low == -3 and found.summed.high is not None and found.summed.high > -3
    # Of eight pairs that agree some may be missing, in each of the four numbers.
    off = 4 * (1 - 0.025 ** (1 / 8))
    assert found.interaction.low == pytest.approx(2 - off)
    assert found.interaction.high == pytest.approx(2 + off)


def test_a_control_variates_record_tells_of_the_intact_model_on_all_documents() -> None:
    exact, cheap = (
        ux.sweep(*sweep_of("half_induction"), ablation="zero", settings=SETTINGS, **options)
        for options in ({}, {"method": "control variates", "sample": 10})
    )
    assert fact(cheap, "intact").value == pytest.approx(fact(exact, "intact").value, abs=1e-6)
    assert "could be larger" not in cheap.verdict


def sweep_of(name: str):
    subject, _ = subject_of(name)
    tokens = repeated(np.random.default_rng(5), 24, 12)
    tokens[::3, 13:] = np.random.default_rng(6).permutation(tokens[::3, 13:].ravel()).reshape(8, -1)
    return subject, "L1.H*", make_text("copies", subject, tokens, tokens)
