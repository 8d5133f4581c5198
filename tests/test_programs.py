"""Programs in a whole model's place, on planted models whose algorithm and losses are known."""

from __future__ import annotations

import importlib.util
import math
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

import unexplained as ux
from test_assay import make_text, subject_of
from test_planner import TEXT as PAIRS
from tiny import tiny_subject
from unexplained.bars import recovered
from unexplained.errors import ExplanationError
from unexplained.evaluate import Other, evaluate, observe
from unexplained.explanations import (
    Explanation,
    WrittenProgram,
    explanation,
    fit,
    fit_program,
    patterns,
)
from unexplained.explanations.calibration import calibrate
from unexplained.explanations.carried import tables_of
from unexplained.explanations.description import PARAMETER_BITS
from unexplained.explanations.files import find_explanation
from unexplained.explanations.view import View
from unexplained.ledger import Ledger
from unexplained.testbeds import planted
from unexplained.testbeds.losses import GAIN, RIGHT, SILENT, WRONG
from unexplained.testbeds.texts import irregular, repeated, two_rules
from unexplained.testbeds.vocabulary import BOS, FOLLOWED, VOCABULARY, WORDS
from unexplained.text import Text
from unexplained.text.counts import count
from unexplained.text.ngrams import NGram, ngram, ngrams

SIZE = len(VOCABULARY)
UNIFORM = math.log(SIZE)
"""Loss of the uniform table, which does not know that BOS never comes: ln 49."""
SETTINGS = ux.Settings(resamples=200)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNEXPLAINED_CACHE", str(tmp_path / "cache"))


def program(function: Callable[[View], Tensor]) -> Explanation:
    """A program with as little said of it as may be."""
    function.__doc__ = function.__doc__ or "A claim."
    return explanation(gives="logits", reads=["tokens"])(function)


def raised(pattern: Tensor, words: Tensor) -> Tensor:
    """What a planted model says: GAIN for the words that are attended to, BOS never."""
    logits = GAIN * pattern @ one_hot(words, SIZE).float()
    logits[..., BOS] = -40
    return logits


def zeros(view: View) -> Tensor:
    return torch.zeros(*view.tokens.shape, view.vocabulary)


@program
def induction(view: View) -> Tensor:
    """All that `strict_induction` does, and half of what `half_induction` does."""
    places = patterns.evenly(patterns.after_earlier_occurrence(view.tokens))
    return raised(places, view.tokens)


@program
def either_rule(view: View) -> Tensor:
    """All that `half_induction` does: after a token of class B its successor, else induction."""
    tokens, half = view.tokens, WORDS // 2
    followed = (tokens >= FOLLOWED[0])[..., None]
    itself = torch.eye(tokens.shape[1]).expand(len(tokens), -1, -1)
    places = patterns.evenly(patterns.after_earlier_occurrence(tokens))
    words = torch.where(tokens >= FOLLOWED[0], tokens - half, tokens)
    return raised(torch.where(followed, itself, places), words)


@program
def nothing(view: View) -> Tensor:
    """Nothing is known of the next token."""
    return zeros(view)


@program
def again(view: View) -> Tensor:
    """Wrong: the current token comes once more."""
    return raised(torch.eye(view.tokens.shape[1])[None], view.tokens)


@program
def hard(view: View) -> Tensor:
    """What followed the token before is certain; where it is new, nothing is known."""
    places = patterns.evenly(patterns.after_earlier_occurrence(view.tokens))
    copy = places @ one_hot(view.tokens, view.vocabulary).float()
    return torch.where(copy.sum(-1, keepdim=True) > 0, copy, 1.0).log()


def repeats(subject: ux.Subject, documents: int = 20, n: int = 12) -> Text:
    rng = np.random.default_rng(0)
    return make_text("repeats", subject, repeated(rng, documents, n), repeated(rng, documents, n))


def measured(subject: ux.Subject, text: Text, *programs: Explanation) -> Ledger:
    asked = [fit_program(one, text).condition() for one in programs]
    return evaluate(subject, text, [*asked, *(Other(t.name, t) for t in ngrams(text))])


def share(ledger: Ledger, one: Explanation, baseline: str = "uniform") -> float:
    found = recovered(ledger, one.name, baseline, settings=SETTINGS).value
    assert found is not None
    return found


# What is recovered


@pytest.mark.parametrize("baseline", ["uniform", "unigram"])
@pytest.mark.parametrize(
    ("model", "whole"), [("strict_induction", induction), ("half_induction", either_rule)]
)
def test_the_exact_program_recovers_the_whole_model(
    model: str, whole: Explanation, baseline: str
) -> None:
    subject, _ = subject_of(model)
    rng = np.random.default_rng(0)
    tokens = two_rules(rng, 20, 11, 12)
    for text in (
        make_text("two rules", subject, tokens, tokens),
        make_text("irregular", subject, irregular(rng, 16, 60), irregular(rng, 16, 60)),
    ):
        ledger = measured(subject, text, whole)
        if text.name == "two rules" or model == "strict_induction":
            assert share(ledger, whole, baseline) == pytest.approx(1, abs=1e-4)
        assert ledger.sums(whole.name).kl == pytest.approx(0, abs=1e-3)


def test_an_empty_program_recovers_nothing_beyond_the_uniform_table() -> None:
    subject, _ = subject_of("strict_induction")
    ledger = measured(subject, repeats(subject), nothing)
    assert share(ledger, nothing) == pytest.approx(0, abs=1e-6)


def test_a_program_that_knows_one_of_two_rules_recovers_what_was_derived() -> None:
    subject, _ = subject_of("half_induction")
    pairs, segment = 11, 12
    tokens = two_rules(np.random.default_rng(2), 20, pairs, segment)
    ledger = measured(subject, make_text("two rules", subject, tokens, tokens), induction)
    predictions = 2 * (pairs + segment)
    # Of so many predictions the model gets pairs + segment − 1 right and the program segment − 1;
    # at all others both are silent.
    gained = predictions * (UNIFORM - SILENT)
    known = gained + (segment - 1) * (SILENT - RIGHT)
    whole = gained + (segment - 1 + pairs) * (SILENT - RIGHT)
    assert share(ledger, induction) == pytest.approx(known / whole, abs=1e-4)
    assert 0.5 < known / whole < 0.51


def test_a_wrong_program_is_as_far_below_nothing_as_was_derived() -> None:
    subject, _ = subject_of("strict_induction")
    n = 12
    ledger = measured(subject, repeats(subject, n=n), again)
    # After BOS it is silent, and wrong after every other token; the model is right n − 1 times.
    itself = (2 * n - 1) * (UNIFORM - WRONG) + (UNIFORM - SILENT)
    model = (n - 1) * (UNIFORM - RIGHT) + (n + 1) * (UNIFORM - SILENT)
    assert share(ledger, again) == pytest.approx(itself / model, abs=1e-4)
    assert share(ledger, again) < -1


def test_predictions_do_not_depend_on_batches_or_padding() -> None:
    subject, _ = subject_of("strict_induction")
    rows = irregular(np.random.default_rng(4), 6, 40)
    text = make_text("cut", subject, rows, rows)
    blocks = [
        type(block)(block.document, "x", block.tokens[: 40 - 5 * i])
        for i, block in enumerate(text.eval)
    ]
    object.__setattr__(text, "eval", tuple(blocks))
    condition = fit_program(induction, text).condition()
    whole, split = (
        evaluate(subject, text, [condition], batch_tokens=tokens).sums(condition.name)
        for tokens in (4096, 40)
    )
    assert (whole.loss == split.loss).all()
    assert whole.tokens.tolist() == [39 - 5 * i for i in range(6)]


def test_on_pairs_the_logit_difference_is_that_of_its_own_logits() -> None:
    @program
    def counts(view: View) -> Tensor:
        return one_hot(view.tokens, view.vocabulary).cumsum(1).float()

    ledger = evaluate(
        tiny_subject("llama"), PAIRS, [WrittenProgram(counts, PAIRS.vocabulary).condition()]
    )
    logit_differences: dict[str, float] = {}
    for pair in PAIRS.eval:
        often = np.bincount(pair.tokens, minlength=PAIRS.vocabulary)
        difference = float(often[pair.answer] - often[pair.wrong])
        logit_differences[pair.unit] = logit_differences.get(pair.unit, 0.0) + difference
    found = ledger.sums("counts")
    assert found.logit_difference == pytest.approx(
        [logit_differences[unit] for unit in found.documents], abs=1e-5
    )
    assert any(logit_differences.values())


# The control


def test_shuffled_and_calibrated_alike_the_exact_program_is_near_the_unigram_table() -> None:
    subject, _ = subject_of("strict_induction")
    text = repeats(subject, documents=60)
    control = induction.calibrated().on_shuffled()
    ledger = measured(subject, text, induction, induction.on_shuffled(), control)
    assert share(ledger, control, "unigram") == pytest.approx(0, abs=0.02)
    assert share(ledger, induction.on_shuffled(), "unigram") < -0.3
    assert share(ledger, induction, "unigram") == pytest.approx(1, abs=1e-4)


def test_a_program_that_does_not_read_the_document_is_the_same_shuffled() -> None:
    @program
    def favourite(view: View) -> Tensor:
        return torch.arange(view.vocabulary).div(10).expand(*view.tokens.shape, -1)

    subject, _ = subject_of("strict_induction")
    ledger = measured(subject, repeats(subject), favourite, favourite.on_shuffled())
    alone, shuffled = (ledger.sums(n).loss for n in ("favourite", "favourite, shuffled"))
    assert (alone == shuffled).all()


def test_a_shuffled_program_reads_another_document_out_of_order() -> None:
    subject, _ = subject_of("strict_induction")
    text = repeats(subject)
    donors = fit_program(induction.on_shuffled(), text).elsewhere
    assert donors is not None
    of_fit = {tuple(sorted(block.tokens.tolist())): block for block in text.fit}
    for block in (*text.eval, *text.fit):
        read = donors.tokens(block.document, 25)
        donor = of_fit[tuple(sorted(read.tolist()))]
        assert donor.document != block.document
        assert read[0] == BOS and read.tolist() != donor.tokens.tolist()
    another = fit_program(induction.on_shuffled(), text, seed=1).elsewhere
    assert another is not None
    assert donors.tokens("x", 25).tolist() != another.tokens("x", 25).tolist()


# Programs that cannot stand in


def next_token(view: View) -> Tensor:
    return one_hot(view.tokens.roll(-1, 1), view.vocabulary).float()


def whole_bag(view: View) -> Tensor:
    counts = one_hot(view.tokens, view.vocabulary).float().mean(1, keepdim=True)
    return counts.expand(-1, view.tokens.shape[1], -1)


def length_of_it(view: View) -> Tensor:
    return torch.full((*view.tokens.shape, view.vocabulary), 0.0).index_fill(
        -1, torch.tensor([view.tokens.shape[1] % view.vocabulary]), 1.0
    )


def now_and_then(view: View) -> Tensor:
    places = (torch.arange(view.tokens.shape[1]) % 10 == 3)[None, :, None]
    return next_token(view) * places


def at_random(view: View) -> Tensor:
    return torch.rand(*view.tokens.shape, view.vocabulary)


@pytest.mark.parametrize(
    "peeks",
    [next_token, whole_bag, length_of_it, now_and_then, at_random],
    ids=lambda f: f.__name__,
)
def test_a_program_that_reads_what_comes_later_is_caught(peeks: Callable[[View], Tensor]) -> None:
    subject, _ = subject_of("strict_induction")
    claim = program(peeks)
    for one in (claim, claim.on_shuffled()):
        why = "is another when" if peeks is at_random else "changes when the tokens from"
        with pytest.raises(ExplanationError, match=f"{one.name}.*{why}"):
            measured(subject, repeats(subject, documents=60), one)


def test_a_program_that_averages_over_the_past_is_not_accused() -> None:
    @program
    def bag(view: View) -> Tensor:
        seen = one_hot(view.tokens, view.vocabulary).float().cumsum(1)
        return (seen / seen.sum(-1, keepdim=True) + 1e-6).log()

    subject, _ = subject_of("strict_induction")
    rows = irregular(np.random.default_rng(1), 40, 60)
    ledger = measured(subject, make_text("irregular", subject, rows, rows), bag)
    assert "bag" in ledger.conditions


def is_nan(view: View) -> Tensor:
    return zeros(view) * float("nan")


def is_flat(view: View) -> Tensor:
    return view.tokens.float()


def raises(view: View) -> Tensor:
    return view.tokens / (1 // 0)


def is_a_list(view: View) -> Tensor:
    return [0.0]  # type: ignore[return-value]


def rules_out_one(view: View) -> Tensor:
    return zeros(view).index_fill(-1, torch.tensor([3]), -torch.inf)


def rules_out_all(view: View) -> Tensor:
    return zeros(view) - torch.inf


def reads_attention(view: View) -> Tensor:
    return view.pattern


def reads_a_site(view: View) -> Tensor:
    return view.site("L0.resid_post")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (is_nan, "NaN"),
        (is_flat, "shape"),
        (raises, "ZeroDivisionError"),
        (is_a_list, "list"),
        (rules_out_one, "calibrated"),
        (rules_out_all, "every token"),
        (reads_attention, "'pattern'"),
        (reads_a_site, "'L0.resid_post'"),
    ],
)
def test_a_program_that_cannot_stand_in_is_an_error_that_names_it(
    wrong: Callable[[View], Tensor], says: str
) -> None:
    subject, _ = subject_of("strict_induction")
    with pytest.raises(ExplanationError, match=says) as caught:
        measured(subject, repeats(subject), program(wrong))
    assert f"'{wrong.__name__.replace('_', ' ')}'" in str(caught.value)


def pattern_of_nothing(view: View) -> Tensor:
    """Attends to nothing."""
    assert view.vocabulary
    return patterns.previous(view.tokens) * 0


PATTERN = explanation(gives="pattern", reads=["tokens"])(pattern_of_nothing)


@pytest.mark.parametrize(
    ("wrong", "do"),
    [
        (lambda: explanation(gives="logits", reads=["tokens", "L0.attn"]), 'reads=\\["tokens"\\]'),
        (lambda: explanation(gives="logits", reads=[]), 'reads=\\["tokens"\\]'),
        (lambda: nothing.at("L0.H0"), "fit_program"),
        (nothing.gated, "calibrated"),
        (nothing.affine, "calibrated"),
        (PATTERN.calibrated, "gated"),
        (lambda: WrittenProgram(PATTERN, SIZE), "gives='logits'"),
        (lambda: WrittenProgram(nothing.calibrated(), SIZE), "fit_program"),
        (lambda: WrittenProgram(nothing.on_shuffled(), SIZE), "fit_program"),
    ],
)
def test_what_has_no_meaning_for_a_program_is_refused_with_what_to_do(
    wrong: Callable[[], object], do: str
) -> None:
    with pytest.raises(ExplanationError, match=do):
        wrong()


def test_a_component_is_not_told_how_many_tokens_there_are() -> None:
    subject, site = subject_of("strict_induction")
    with pytest.raises(ExplanationError, match='gives="logits"'):
        ux.assay(subject, site, repeats(subject), explanations=[PATTERN], twin=False)


# What a program carries, and how long it is


HELD_ELSEWHERE = np.random.default_rng(3)


def helper() -> float:
    return float(HELD_ELSEWHERE.normal())


@pytest.mark.parametrize("kind", ["model", "subject", "dice", "dice of a helper", "in a list"])
def test_a_program_that_carries_what_no_length_counts_is_refused(kind: str) -> None:
    subject, _ = subject_of("strict_induction")
    things = {"model": subject.anatomy.model, "subject": subject, "dice": HELD_ELSEWHERE}
    held = things.get(kind, [subject])

    @program
    def carrying(view: View) -> Tensor:
        return zeros(view) + (held is None)

    @program
    def through_a_helper(view: View) -> Tensor:
        return torch.full((*view.tokens.shape, view.vocabulary), helper())

    one, label = (through_a_helper, "HELD_ELSEWHERE") if "helper" in kind else (carrying, "held")
    with pytest.raises(ExplanationError, match=f"{one.name}.*'{label}'"):
        WrittenProgram(one, SIZE)


def test_code_that_a_program_names_in_libraries_and_here_is_no_cargo() -> None:
    from math import log
    from textwrap import dedent  # holds compiled patterns

    @program
    def uses_much(view: View) -> Tensor:
        numbers = [log(2.0), math.pi, len(dedent(" x"))]
        weights = torch.tensor(numbers, dtype=torch.float32)
        found = patterns.evenly(ux.patterns.previous(view.tokens))
        assert isinstance(found, Tensor) and torch.nn.functional.relu(weights).any()
        return sum((one * view.vocabulary for one in weights), found)

    assert tables_of(uses_much) == ()


def table_of(tokens: np.ndarray, order: int = 2) -> NGram:
    counts, _ = count(list(tokens.astype(np.int32)), SIZE, fingerprint=f"{tokens.sum()}")
    return ngram(counts, order)


def by_table(table: NGram) -> Explanation:
    @program
    def by_a_table(view: View) -> Tensor:
        rows = table.log_probs(view.tokens.flatten())(slice(0, view.vocabulary))
        return rows.view(*view.tokens.shape, -1)

    return by_a_table


def test_a_table_that_a_program_carries_is_its_own_and_counted() -> None:
    subject, _ = subject_of("strict_induction")
    tokens = two_rules(np.random.default_rng(3), 10, 11, 12)
    text = make_text("two rules", subject, tokens, tokens)
    tables = ngrams(text)
    claim = by_table(tables[2])
    ledger = measured(subject, text, claim)
    assert ledger.sums(claim.name).loss == pytest.approx(ledger.sums("bigram").loss, rel=1e-6)
    written = fit_program(claim, text)
    assert written.description.parameters == tables[2].parameters
    assert written.description.code_bits == claim.source.bits
    assert written.fingerprint != fit_program(by_table(table_of(tokens[:5])), text).fingerprint
    fitted = fit_program(claim.calibrated(), text).description
    assert fitted.parameters == tables[2].parameters + tables[1].parameters + 2
    assert fitted.parameter_bits == PARAMETER_BITS * fitted.parameters


def test_what_a_program_depends_on_is_in_its_fingerprint() -> None:
    subject, _ = subject_of("strict_induction")
    text, other = repeats(subject), repeats(subject, documents=21)
    marks = [
        fit_program(induction, text).fingerprint,
        fit_program(either_rule, text).fingerprint,
        fit_program(induction.calibrated(), text).fingerprint,
        fit_program(induction.calibrated(), other).fingerprint,
        fit_program(induction.on_shuffled(), text).fingerprint,
        fit_program(induction.on_shuffled(), text, seed=1).fingerprint,
        fit_program(induction.on_shuffled(), other).fingerprint,
    ]
    assert len(set(marks)) == len(marks)
    assert fit_program(induction, other).fingerprint == marks[0]  # nothing of it is fitted


# Calibration


def unigram_of(probabilities: list[float]) -> NGram:
    nothing_stored = torch.empty(0, dtype=torch.long)
    size = len(probabilities)
    return NGram(
        1, "unigram", None, "made", size, torch.tensor(probabilities).log(), torch.zeros(size),
        torch.zeros(size + 1, dtype=torch.long), nothing_stored, nothing_stored.float(), nothing_stored,
    )  # fmt: skip


def test_the_mix_of_a_rule_that_is_certain_is_what_was_derived() -> None:
    n, right, size = 50, 40, 5
    logits = torch.full((n, size), -torch.inf)
    logits[:, 0] = 0
    targets = torch.tensor([0] * right + [1, 2, 3, 4, 1, 2, 3, 4, 1, 2])
    found = calibrate(logits, targets, unigram_of([1 / size] * size))
    # With a = 1 − 1/size, d/dλ of right log(1 − aλ) + (n − right) log(λ/size) + log λ is 0 at:
    by_hand = (n - right + 1) / ((1 - 1 / size) * (n + 1))
    assert found.mix == pytest.approx(by_hand, rel=1e-6)
    assert found.sharpness == 1  # 0 and −∞ are the same at any temperature
    assert found.log_probs(logits).exp().sum(-1) == pytest.approx(1, abs=1e-6)


def test_a_rule_that_never_failed_is_not_trusted_without_limit() -> None:
    n = 9
    logits = torch.full((n, 2), -torch.inf)
    logits[:, 0] = 0
    found = calibrate(logits, torch.zeros(n, dtype=torch.long), unigram_of([0.5, 0.5]))
    # d/dλ of n log(1 − λ/2) + log λ is 0 at λ = 2/(n + 1).
    assert found.mix == pytest.approx(2 / (n + 1), rel=1e-6)
    assert bool(found.log_probs(logits).isfinite().all())


def test_a_program_that_is_twice_too_sure_is_given_half_its_sharpness() -> None:
    chances = torch.tensor([0.5, 0.25, 0.125, 0.125])
    n = 8000
    targets = torch.repeat_interleave(torch.arange(4), (chances * n).long())
    # The table favours what is rarest, so that it cannot help: the truth is in the program.
    logits = 2 * chances.log().expand(n, -1)
    found = calibrate(logits, targets, unigram_of([0.05, 0.05, 0.1, 0.8]))
    assert found.sharpness == pytest.approx(0.5, abs=0.02)
    # It is no worse than sharpness ½ and mix 1/n, which pays −ln(1 − 1/n) for the mix and ln n
    # once for the token that was added.
    entropy = -float((chances * chances.log()).sum())
    loss = -float(found.log_probs(logits).gather(1, targets[:, None]).double().mean())
    assert entropy - 1e-6 < loss < entropy + (1.01 + math.log(n)) / n


def test_a_program_that_knows_nothing_is_replaced_by_the_table() -> None:
    chances = torch.tensor([0.5, 0.25, 0.125, 0.125])
    targets = torch.repeat_interleave(torch.arange(4), (chances * 800).long())
    table = unigram_of(chances.tolist())
    found = calibrate(torch.zeros(800, 4), targets, table)
    assert found.mix == pytest.approx(1, abs=1e-9)
    assert torch.equal(found.log_probs(torch.zeros(800, 4))[0], table.lower)


def test_a_rule_of_certainty_is_refused_as_it_is_and_nearly_whole_when_calibrated() -> None:
    subject, _ = subject_of("strict_induction")
    n, documents = 12, 60
    text = repeats(subject, documents, n)
    with pytest.raises(ExplanationError, match=r"'hard'.*calibrated"):
        measured(subject, text, hard)
    ledger = measured(subject, text, hard.calibrated())
    # It is right n − 1 times in a document and never wrong, where the model costs RIGHT: if it
    # were sure it would recover more than all. It is as sure as documents · (n − 1) hits allow.
    sure = (n - 1) * UNIFORM + (n + 1) * (UNIFORM - SILENT)
    model = (n - 1) * (UNIFORM - RIGHT) + (n + 1) * (UNIFORM - SILENT)
    assert 1 - 0.01 < share(ledger, hard.calibrated()) < sure / model


def test_calibrating_is_on_the_fit_part_no_worse_than_the_program_or_the_table() -> None:
    subject, _ = subject_of("half_induction")
    rng = np.random.default_rng(7)
    text = make_text("mixed", subject, irregular(rng, 16, 60), irregular(rng, 16, 60))
    fitted = fit_program(induction.calibrated(), text)
    conditions = [fit_program(induction, text).condition(), fitted.condition()]
    table = Other("unigram", ngrams(text)[1])
    ledger = evaluate(subject, text, [*conditions, table], part="fit")
    loss = {name: float(ledger.sums(name).loss.sum()) for name in ledger.conditions}
    assert loss[fitted.explanation.name] < min(loss["induction"], loss["unigram"])
    assert fitted.calibration is not None and 0 < fitted.calibration.mix < 1


def test_only_so_many_logits_are_held_to_calibrate(monkeypatch: pytest.MonkeyPatch) -> None:
    from unexplained.explanations import program as module

    subject, _ = subject_of("strict_induction")
    text = repeats(subject)
    monkeypatch.setattr(module, "FIT_NUMBERS", 30 * SIZE)
    logits, targets = module._fit_data(induction, text, None)
    assert logits.shape == (30, SIZE)
    first = np.concatenate([block.targets for block in text.fit[:2]])[:30]
    assert targets.tolist() == first.tolist()


# The example


def example() -> types.ModuleType:
    from importlib.util import module_from_spec, spec_from_file_location

    path = Path(__file__).parents[1] / "examples" / "whole_model.py"
    spec = spec_from_file_location("whole_model", path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_example_says_what_it_claims_and_beats_its_own_table(
    capsys: pytest.CaptureFixture[str],
) -> None:
    module = example()
    subject, _ = subject_of("half_induction")
    text = module.made_up_text(subject)
    tables = ngrams(text)
    claim = module.bigram_and_copy(tables[2])
    tokens = torch.tensor([BOS, 5, 7, 9, 5])
    said = fit_program(claim, text).log_probs(tokens).exp()
    table = tables[2].log_probs(tokens)(slice(0, SIZE)).exp()
    copied = module.COPY * one_hot(torch.tensor(7), SIZE) + (1 - module.COPY) * table[-1]
    assert torch.allclose(said[-1], copied, atol=1e-6)
    assert torch.allclose(said[:-1], table[:-1], atol=1e-6)
    ledger = measured(subject, text, claim)
    bigram = recovered(ledger, "bigram", "uniform", settings=SETTINGS).value
    assert bigram is not None
    assert bigram + 0.2 < share(ledger, claim) < 1
    module.main()
    assert f"{share(ledger, claim):.3f} of what the model knows" in capsys.readouterr().out


def test_a_file_can_make_its_program_for_the_text_that_is_measured(tmp_path: Path) -> None:
    file = Path(__file__).parent.parent / "examples" / "whole_model.py"
    subject = ux.load(planted("half_induction").model, tokenizer=planted("half_induction").tokenizer,
                      device="cpu")  # fmt: skip
    spec = importlib.util.spec_from_file_location("_example", file)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    text = example.made_up_text(subject, 10)
    (one,) = find_explanation(str(file), text)
    assert (one.gives, one.name) == ("logits", "bigram and strict induction")
    with pytest.raises(ExplanationError, match="of one text, and none or several are measured"):
        find_explanation(str(file))


def test_a_component_explanation_may_not_hold_what_its_length_does_not_count() -> None:
    # A generator in a closure would cost 0 bits, and another give the same fingerprint: finished
    # work of the one would be found for the other.
    subject = tiny_subject("llama")
    text = Text(**{**vars(PAIRS), "fit": PAIRS.eval})

    def claim(held: object) -> Explanation:
        @explanation(gives="pattern", reads=["tokens"])
        def holding(view):  # type: ignore[no-untyped-def]
            """Attend to the previous position."""
            return patterns.previous(view.tokens) * float(held[0])  # type: ignore[index]

        return holding

    activations = observe(subject, text, subject.sites("L1.H0.z L1.H0.v"))
    for held in (np.random.default_rng(0), types.SimpleNamespace()):
        with pytest.raises(ExplanationError, match=r"The explanation 'holding'.*'held'"):
            fit(claim(held).at("L1.H0"), subject.shape, activations, 0)
    one, other = (
        fit(claim(torch.tensor([value])).at("L1.H0"), subject.shape, activations, 0)
        for value in (1.0, 0.5)
    )
    assert one.fingerprint != other.fingerprint
