"""The planted models are what they say, by a second route: a program over lists of tokens.

`attend` and `logits_of` are written from the sentences in docs/planted-models.md, with loops and
without numpy, torch or anything of `unexplained.testbeds` but its constants. Tolerances:
`LOGITS` bounds what the final norm lets through, GAIN · (|copied|² + |aside|²) / (2 · 1024²)
≤ 8 · 2 / 2²¹ = 7.7e-6, with room for float32; `PATTERN` is a few units of float32 rounding.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

from unexplained.errors import SubjectError, TextError
from unexplained.testbeds import half_induction, names, periodic, planted, register, texts
from unexplained.testbeds.losses import GAIN, RIGHT, SILENT, WRONG
from unexplained.testbeds.vocabulary import BOS, COPIED, FOLLOWED, VOCABULARY, WORDS
from unexplained.testbeds.weights import (
    FAST_PAIRS,
    HEAD_SIZE,
    HEADS,
    MATCH,
    POSITIONS,
    ROPE_BASE,
    SHARPNESS,
    SINK,
)

LOGITS, PATTERN = 1e-5, 1e-6
NAMES = ("empty", "half_induction", "periodic", "strict_induction")
INTERACTING = ("cancelling", "mediation", "name_bias", "soft_induction", "stand_ins")
"""The models of tests/test_planted_pairs.py."""

PAIRS, SEGMENT, REPLACED = 11, 12, 8

TEXTS: dict[str, Callable[[], np.ndarray]] = {
    "repeated": lambda: texts.repeated(np.random.default_rng(1), 10, periodic.PERIOD),
    "interrupted": lambda: texts.interrupted(
        np.random.default_rng(2), 10, periodic.PERIOD, REPLACED
    ),
    "irregular": lambda: texts.irregular(np.random.default_rng(3), 10, 80),
    "two_rules": lambda: texts.two_rules(np.random.default_rng(4), 200, PAIRS, SEGMENT),
}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Passes this small cost more in threads' meetings than in arithmetic."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


# The program: what each head does, from the words in the documentation.


def follows(tokens: list[int], t: int) -> list[int]:
    found = [s for s in range(1, t + 1) if tokens[s - 1] == tokens[t]]
    return found or [0]


def attend(name: str, tokens: list[int], t: int) -> list[int]:
    """The positions among which the planted head spreads its attention evenly."""
    if name == "periodic":
        return [max(0, t - 31)]
    if name == "half_induction" and 25 <= tokens[t] <= 48:
        return [t]
    return follows(tokens, t)


def raised(name: str, token: int) -> int:
    return token - 24 if name == "half_induction" and token > 24 else token


def logits_of(name: str, tokens: list[int], looks: list[list[int]]) -> list[list[float]]:
    """Logits per position when the planted head of a model looks there."""
    rows = []
    for at in looks:
        row = [-40.0] + [0.0] * 48
        for s in at:
            if name != "empty" and tokens[s] != 0:
                row[raised(name, tokens[s])] += 8.0 / len(at)
        rows.append(row)
    return rows


def losses_of(name: str, tokens: list[int], looks: list[list[int]]) -> list[float]:
    rows = logits_of(name, tokens, looks)
    return [
        math.log(sum(math.exp(x) for x in row)) - row[target]
        for row, target in zip(rows[:-1], tokens[1:], strict=True)
    ]


def program_losses(name: str, batch: np.ndarray, claim: str | None = None) -> np.ndarray:
    """Losses (document, target) of a model with the attention of `claim` in its head."""
    return np.array(
        [
            losses_of(name, row, [attend(claim or name, row, t) for t in range(len(row))])
            for row in batch.tolist()
        ]
    )


# The checkpoint, through plain Hugging Face calls and hooks.


def run(model: LlamaForCausalLM, batch: np.ndarray, edit: Callable[[Tensor, Tensor], Tensor]):
    """Logits with the planted head's z replaced by edit(z, v), each (document, position, size)."""
    attention = model.model.layers[1].self_attn
    seen = {}

    def keep(module, args, output):
        seen["v"] = output[..., :HEAD_SIZE]

    def replace(module, args):
        z = args[0].clone()
        z[..., :HEAD_SIZE] = edit(z[..., :HEAD_SIZE], seen["v"])
        return (z,)

    hooks = [
        attention.v_proj.register_forward_hook(keep),
        attention.o_proj.register_forward_pre_hook(replace),
    ]
    try:
        with torch.no_grad():
            return model(torch.from_numpy(batch)).logits
    finally:
        for hook in hooks:
            hook.remove()


def intact(z: Tensor, v: Tensor) -> Tensor:
    return z


def zero(z: Tensor, v: Tensor) -> Tensor:
    return torch.zeros_like(z)


def mean(z: Tensor, v: Tensor) -> Tensor:
    return z.mean((0, 1)).expand_as(z)


def by(pattern: np.ndarray) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda z, v: torch.from_numpy(pattern).to(v.dtype) @ v


def losses(logits: Tensor, batch: np.ndarray) -> np.ndarray:
    targets = torch.from_numpy(batch)[:, 1:, None]
    return -logits[:, :-1].double().log_softmax(-1).gather(-1, targets)[..., 0].numpy()


@functools.cache
def reading(name: str) -> LlamaForCausalLM:
    """One model per name for the tests that change nothing in it."""
    return planted(name).model


def fraction(name: str, batch: np.ndarray, pattern: np.ndarray, ablation=zero, where=None) -> float:
    model = reading(name)
    where = np.ones_like(batch[:, 1:], dtype=bool) if where is None else where
    full, ablated, explained = (
        losses(run(model, batch, edit), batch)[where].sum()
        for edit in (intact, ablation, by(pattern))
    )
    return (ablated - explained) / (ablated - full)


def attentions(model: LlamaForCausalLM, batch: np.ndarray) -> tuple[Tensor, ...]:
    model.set_attn_implementation("eager")
    try:
        with torch.no_grad():
            return model(torch.from_numpy(batch), output_attentions=True).attentions
    finally:
        model.set_attn_implementation("sdpa")


def spread(batch: np.ndarray, look: Callable[[list[int], int], list[int]]) -> np.ndarray:
    pattern = np.zeros((*batch.shape, batch.shape[1]))
    for d, row in enumerate(batch.tolist()):
        for t in range(len(row)):
            at = look(row, t)
            pattern[d, t, at] = 1 / len(at)
    return pattern


def strict(batch: np.ndarray) -> np.ndarray:
    return spread(batch, follows)


def recurrence(batch: np.ndarray) -> np.ndarray:
    """0 first time, 1 recurs and its continuation repeats, 2 recurs with another continuation."""
    label = np.zeros(batch[:, 1:].shape, dtype=int)
    for d, row in enumerate(batch.tolist()):
        for t in range(len(row) - 1):
            nexts = [row[j + 1] for j in range(t) if row[j] == row[t]]
            label[d, t] = 0 if not nexts else 1 if row[t + 1] in nexts else 2
    return label


# What the constants are for.


def test_the_positional_score_falls_by_at_least_twice_the_sink_off_its_distance():
    off = np.arange(1, POSITIONS)
    fall = sum(
        a * (1 - np.cos(ROPE_BASE ** (-i / (HEAD_SIZE / 2)) * off)) for i, a in enumerate(SHARPNESS)
    )
    assert fall.min() >= 245 > MATCH
    assert np.exp(np.float32(SINK - MATCH)) == np.exp(np.float32(-SINK)) == 0


def test_the_pairs_that_carry_tokens_practically_do_not_turn():
    turned = np.float32(POSITIONS * ROPE_BASE ** (-FAST_PAIRS / (HEAD_SIZE / 2)))
    assert turned < 1e-5
    assert np.cos(turned) == 1


def test_the_losses_are_those_of_the_softmax():
    for copied, expected in ((1, RIGHT), (2, WRONG), (None, SILENT)):
        logits = [GAIN if token == copied else 0.0 for token in range(1, WORDS + 1)]
        assert math.log(sum(map(math.exp, logits))) - logits[0] == pytest.approx(expected)


# The models agree with the program.


def test_the_registry_has_all_models():
    assert names() == tuple(sorted((*NAMES, *INTERACTING)))


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("name", NAMES)
def test_the_planted_head_attends_as_the_program_says(name, text):
    batch = TEXTS[text]()[:10]
    bed = planted(name)
    expected = spread(batch, lambda row, t: attend(name, row, t))
    assert np.array_equal(bed.rule(batch), expected)
    (site,) = bed.sites
    found = attentions(reading(name), batch)[site.layer][:, site.index].numpy()
    np.testing.assert_allclose(found, expected, atol=PATTERN, rtol=0)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("name", NAMES)
def test_logits_and_losses_are_those_of_the_program(name, text):
    batch = TEXTS[text]()[:10]
    found = run(reading(name), batch, intact)
    expected = np.array(
        [
            logits_of(name, row, [attend(name, row, t) for t in range(len(row))])
            for row in batch.tolist()
        ]
    )
    np.testing.assert_allclose(found[..., 1:], expected[..., 1:], atol=LOGITS, rtol=0)
    np.testing.assert_allclose(found[..., BOS], -40, atol=40 / GAIN * LOGITS, rtol=0)
    np.testing.assert_allclose(
        losses(found, batch), program_losses(name, batch), atol=2 * LOGITS, rtol=0
    )


def test_the_longest_documents_are_within_the_derivation():
    batch = texts.irregular(np.random.default_rng(5), 1, POSITIONS)
    for name in ("strict_induction", "periodic", "half_induction"):
        found = attentions(reading(name), batch)[1][0, 0].numpy()
        expected = spread(batch, lambda row, t, name=name: attend(name, row, t))[0]
        np.testing.assert_allclose(found, expected, atol=PATTERN, rtol=0)


def test_the_agreement_with_the_program_can_fail():
    batch = TEXTS["irregular"]()
    found = losses(run(reading("strict_induction"), batch, intact), batch)
    for other in ("empty", "half_induction", "periodic"):
        assert np.abs(found - program_losses(other, batch)).max() > 1


def test_the_other_heads_do_what_the_notes_say():
    batch = TEXTS["irregular"]()
    first, second = attentions(reading("strict_induction"), batch)
    before = spread(batch, lambda row, t: [max(0, t - 1)])
    same = spread(batch, lambda row, t: [s for s in range(t + 1) if row[s] == row[t]])
    np.testing.assert_allclose(first[:, 0], before, atol=PATTERN, rtol=0)
    np.testing.assert_allclose(second[:, 1], same, atol=PATTERN, rtol=0)
    attention = reading("strict_induction").model.layers[1].self_attn
    for head in range(2, HEADS):
        assert not attention.o_proj.weight[:, head * HEAD_SIZE : (head + 1) * HEAD_SIZE].any()


def test_the_distractor_writes_much_and_matters_little():
    batch = TEXTS["irregular"]()
    model = planted("strict_induction").model
    distractor = slice(HEAD_SIZE, 2 * HEAD_SIZE)
    output = model.model.layers[1].self_attn.o_proj.weight
    before = run(model, batch, intact)
    assert output[:, distractor].count_nonzero() == len(VOCABULARY)
    with torch.no_grad():
        output[:, distractor] = 0
    assert (run(model, batch, intact) - before)[..., 1:].abs().max() < LOGITS


def test_layer_0_is_needed_for_induction_and_not_for_counting():
    batch = TEXTS["repeated"]()
    for name, needed in (("strict_induction", True), ("periodic", False)):
        model = planted(name).model
        before = losses(run(model, batch, intact), batch).mean()
        with torch.no_grad():
            model.model.layers[0].self_attn.o_proj.weight.zero_()
        after = losses(run(model, batch, intact), batch).mean()
        assert (after - before > 1) == needed


def test_the_mlps_add_nothing():
    model = planted("strict_induction").model
    assert not any(p.any() for layer in model.model.layers for p in layer.mlp.parameters())


# What follows for measurements.


@pytest.mark.parametrize("name", ("half_induction", "periodic", "strict_induction"))
@pytest.mark.parametrize("text", TEXTS)
def test_the_true_rule_in_the_heads_place_changes_nothing(name, text):
    bed, batch = planted(name), TEXTS[text]()[:10]
    model = reading(name)
    changed = run(model, batch, by(bed.rule(batch))) - run(model, batch, intact)
    assert changed.abs().max() < GAIN * PATTERN


def test_strict_induction_is_right_in_the_second_copy_and_silent_in_the_first():
    batch = TEXTS["repeated"]()
    found = losses(run(reading("strict_induction"), batch, intact), batch)
    np.testing.assert_allclose(found[:, : periodic.PERIOD + 1], SILENT, atol=2 * LOGITS)
    np.testing.assert_allclose(found[:, periodic.PERIOD + 1 :], RIGHT, atol=2 * LOGITS)


def test_strict_induction_helps_on_irregular_text_though_it_is_often_wrong():
    batch = TEXTS["irregular"]()
    model = reading("strict_induction")
    full = losses(run(model, batch, intact), batch)
    ablated = losses(run(model, batch, zero), batch)
    label = recurrence(batch)
    np.testing.assert_allclose(ablated, SILENT, atol=2 * LOGITS)
    assert full.mean() < SILENT
    assert full[label == 1].mean() < SILENT < full[label == 2].mean()


def test_half_a_rule_recovers_half_of_zero_ablation():
    batch = TEXTS["two_rules"]()[:10]
    derived = half_induction.derived_fraction(PAIRS, SEGMENT)
    assert derived == 0.5
    found = fraction("half_induction", batch, strict(batch))
    assert found == pytest.approx(derived, abs=LOGITS)
    uneven = texts.two_rules(np.random.default_rng(6), 20, 15, 4)
    assert fraction("half_induction", uneven, strict(uneven)) == pytest.approx(1 / 6, abs=LOGITS)


def test_half_a_rule_recovers_what_was_derived_of_mean_ablation():
    batch = TEXTS["two_rules"]()
    derived = half_induction.derived_fraction_of_mean(PAIRS, SEGMENT)
    found = fraction("half_induction", batch, strict(batch), mean)
    # The mean of 200 documents differs between the tokens of A by about 7%; the loss feels its
    # square, u²·0.07² / 2 = 7e-5 nats per token, times 46 tokens over 83 nats of damage.
    assert found == pytest.approx(derived, abs=1e-4)
    assert abs(found - 0.5) > 100 * 1e-4


def test_where_only_the_claimed_rule_is_used_the_half_model_is_fully_explained():
    batch = texts.repeated(np.random.default_rng(7), 20, 20, COPIED)
    found = fraction("half_induction", batch, strict(batch))
    assert found == pytest.approx(1, abs=LOGITS)


def test_counting_passes_for_induction_on_repeated_tokens():
    batch = TEXTS["repeated"]()
    assert fraction("periodic", batch, strict(batch)) == pytest.approx(31 / 32, abs=LOGITS)
    assert periodic.derived_fraction() == pytest.approx(31 / 32)
    repeats = recurrence(batch) == 1
    assert fraction("periodic", batch, strict(batch), where=repeats) == pytest.approx(1, abs=LOGITS)


def test_counting_is_caught_where_the_copy_is_interrupted():
    batch = TEXTS["interrupted"]()
    derived = periodic.derived_fraction(REPLACED)
    found = fraction("periodic", batch, strict(batch))
    assert found == pytest.approx(derived, abs=LOGITS)
    assert derived < 0.5
    label = recurrence(batch)
    for stratum, expected in ((0, 0), (1, 1), (2, 1)):
        found = fraction("periodic", batch, strict(batch), where=label == stratum)
        assert found == pytest.approx(expected, abs=LOGITS)


def test_counting_raises_the_loss_on_irregular_text_so_that_no_fraction_means_anything():
    batch = TEXTS["irregular"]()
    model = reading("periodic")
    full = losses(run(model, batch, intact), batch)
    assert full.mean() > SILENT + 1
    explained = losses(run(model, batch, by(strict(batch))), batch)
    np.testing.assert_allclose(
        explained, program_losses("periodic", batch, "strict_induction"), atol=2 * LOGITS
    )
    assert np.abs(explained - full).mean() > 1


@pytest.mark.parametrize("edit", (zero, mean, by(np.zeros((10, 80, 80)))))
def test_the_empty_model_loses_nothing_whatever_stands_in_its_head(edit):
    batch = TEXTS["irregular"]()
    model = reading("empty")
    full = run(model, batch, intact)
    assert torch.equal(run(model, batch, edit), full)
    np.testing.assert_allclose(losses(full, batch), SILENT, atol=2 * LOGITS)


DECOYS: dict[str, Callable[[list[int], int], list[int]]] = {
    "the earlier occurrence itself": lambda row, t: (
        [s for s in range(t) if row[s] == row[t]] or [0]
    ),
    "two after the earlier occurrence": lambda row, t: (
        [s for s in range(2, t + 1) if row[s - 2] == row[t]] or [0]
    ),
    "the previous position": lambda row, t: [max(0, t - 1)],
    "everywhere": lambda row, t: list(range(t + 1)),
    "BOS": lambda row, t: [0],
}


@pytest.mark.parametrize("decoy", DECOYS)
def test_a_wrong_explanation_of_strict_induction_recovers_nothing_on_repeated_tokens(decoy):
    batch = TEXTS["repeated"]()
    found = fraction("strict_induction", batch, spread(batch, DECOYS[decoy]))
    expected = np.array(
        [
            losses_of("strict_induction", row, [DECOYS[decoy](row, t) for t in range(len(row))])
            for row in batch.tolist()
        ]
    )
    saved = SILENT * expected.size - expected.sum()
    assert found == pytest.approx(saved / (len(batch) * 31 * (SILENT - RIGHT)), abs=10 * LOGITS)
    assert found < 0.1


# Loading, saving, texts.


@pytest.mark.parametrize("name", (*NAMES, *INTERACTING))
def test_a_saved_model_gives_the_same_logits_bit_for_bit(name, tmp_path):
    bed, batch = planted(name), TEXTS["irregular"]()
    bed.save(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    assert loaded.dtype == torch.float32
    assert torch.equal(run(loaded, batch, intact), run(bed.model, batch, intact))


def test_a_saved_tokenizer_reads_and_writes_the_same_tokens(tmp_path):
    planted("empty").save(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    for tokenizer in (loaded, planted("empty").tokenizer):
        assert tokenizer("t48 t1 t1")["input_ids"] == [BOS, 48, 1, 1]
        assert tokenizer.decode([48, 1]) == "t48 t1"
        assert tokenizer.bos_token_id == BOS
        assert tokenizer.convert_ids_to_tokens(range(WORDS + 1)) == list(VOCABULARY)


def test_building_a_model_leaves_the_random_state_alone_and_gives_a_new_one_each_time():
    state = torch.get_rng_state()
    first, second = planted("periodic"), planted("periodic")
    assert torch.equal(torch.get_rng_state(), state)
    assert first.model is not second.model
    with torch.no_grad():
        first.model.lm_head.weight.zero_()
    assert second.model.lm_head.weight.any()


def test_a_name_that_does_not_exist_or_is_taken_is_refused():
    with pytest.raises(SubjectError, match="Did you mean strict_induction"):
        planted("strict-induction")
    with pytest.raises(SubjectError, match="already"):
        register(half_induction.half_induction)


@pytest.mark.parametrize("text", TEXTS)
def test_texts_start_with_bos_use_every_id_rightly_and_repeat_under_the_same_seed(text):
    batch = TEXTS[text]()
    assert batch.dtype == np.int64
    assert (batch[:, 0] == BOS).all()
    assert batch[:, 1:].min() >= 1
    assert batch.max() <= WORDS
    assert np.array_equal(batch, TEXTS[text]())


def test_repeated_text_is_one_segment_twice_without_repeats_inside():
    for row in TEXTS["repeated"]().tolist():
        assert row[1:33] == row[33:]
        assert len(set(row[1:33])) == 32


def test_interruptions_are_new_tokens_inside_the_copy_and_never_touch():
    everywhere = set()
    for row in texts.interrupted(np.random.default_rng(8), 500, 9, 4).tolist():
        first, second = row[1:10], row[10:]
        places = [i for i in range(9) if first[i] != second[i]]
        # Four that do not touch fit in the seven inner places in one way only.
        assert places == [1, 3, 5, 7]
        assert len({*first, *(second[i] for i in places)}) == 13
    for row in texts.interrupted(np.random.default_rng(9), 500, 9, 1).tolist():
        everywhere |= {i for i in range(9) if row[1 + i] != row[10 + i]}
    assert everywhere == set(range(1, 8))


def test_irregular_text_has_tokens_of_all_three_kinds():
    counts = np.bincount(recurrence(TEXTS["irregular"]()).ravel(), minlength=3)
    assert counts.min() / counts.sum() > 0.1


def test_the_two_rule_text_predicts_each_half_by_one_rule_alone():
    for row in TEXTS["two_rules"]().tolist():
        pairs, copies = row[1 : 1 + 2 * PAIRS], row[1 + 2 * PAIRS :]
        assert set(pairs[::2]) <= set(FOLLOWED)
        assert pairs[1::2] == [token - 24 for token in pairs[::2]]
        assert copies[:SEGMENT] == copies[SEGMENT:]
        assert set(copies) <= set(COPIED)
        assert len(set(pairs) | set(copies)) == 2 * PAIRS + SEGMENT


def test_texts_that_cannot_be_made_are_refused():
    rng = np.random.default_rng(0)
    for make in (
        lambda: texts.repeated(rng, 1, WORDS + 1),
        lambda: texts.repeated(rng, 1, 0),
        lambda: texts.repeated(rng, 1, 25, COPIED),
        lambda: texts.interrupted(rng, 1, 9, 5),
        lambda: texts.interrupted(rng, 1, 40, 9),
        lambda: texts.irregular(rng, 1, 1),
        lambda: texts.two_rules(rng, 1, -1, 3),
        lambda: texts.two_rules(rng, 1, 13, 12),
    ):
        with pytest.raises(TextError):
            make()
