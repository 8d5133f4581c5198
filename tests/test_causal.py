"""An explanation cannot see the answer: what it says depends on nothing that comes later."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

import unexplained as ux
from test_assay import make_text, subject_of
from tiny import VOCABULARY, tiny_model, tiny_tokenizer
from unexplained.errors import ExplanationError
from unexplained.evaluate import evaluate, observe
from unexplained.explanations import LIBRARY, Explanation, explanation, fit, patterns
from unexplained.explanations.causal import Mixed, Replay
from unexplained.explanations.fit import sites_to_observe
from unexplained.study import Run
from unexplained.study.arms import claims
from unexplained.subject import Subject, load
from unexplained.testbeds.texts import irregular
from unexplained.text import Block, Text


@cache
def planted() -> tuple[Subject, Text]:
    """A planted model on documents of uneven length, so that batches have padding."""
    subject, _ = subject_of("strict_induction")
    rng = np.random.default_rng(3)
    text = make_text("uneven", subject, irregular(rng, 12, 40), irregular(rng, 12, 40))
    cut = tuple(
        Block(one.document, one.domain, one.tokens[: 40 - i % 5]) for i, one in enumerate(text.eval)
    )
    object.__setattr__(text, "eval", cut)
    return subject, text


def measure(
    claim: Explanation, where: str = "L1.H0", given: tuple[Subject, Text] | None = None
) -> None:
    subject, text = given or planted()
    sites = subject.sites(where)
    seen = observe(subject, text, sites_to_observe(claim, sites, subject.shape))
    evaluate(subject, text, [fit(claim.at(where), subject.shape, seen, 0).condition()])


def claim(function: Callable[[Any], Any], *reads: str, gives: str = "pattern") -> Explanation:
    function.__doc__ = "A claim."
    return explanation(gives=gives, reads=["tokens", *reads])(function)


def where_the_next_token_stood(view: Any) -> Any:
    coming = view.tokens.roll(-1, 1)
    return patterns.evenly((coming[:, :, None] == view.tokens[:, None, :]).tril())


def a_little(view: Any) -> Any:
    return 0.999 * patterns.previous(view.tokens) + 0.001 * where_the_next_token_stood(view)


def the_token_after_next(view: Any) -> Any:
    coming = view.tokens.roll(-2, 1)
    return patterns.evenly((coming[:, :, None] == view.tokens[:, None, :]).tril())


def another_row(view: Any) -> Any:
    other = view.tokens.roll(1, 0)
    return patterns.evenly((other[:, :, None] == view.tokens[:, None, :]).tril())


def mean_over_the_batch(view: Any) -> Any:
    here = view.tokens.float().mean(0)  # at every position
    return torch.eye(len(here)).expand(len(view.tokens), -1, -1) * (here / 1000)[None, :, None]


def mean_over_the_document(view: Any) -> Any:
    mean = view.tokens.float().mean(1)
    return torch.eye(view.tokens.shape[1]).expand(len(mean), -1, -1) * (mean / 1000)[:, None, None]


def how_long_it_is(view: Any) -> Any:
    length = (view.tokens != 0).sum(1)
    return torch.eye(view.tokens.shape[1]).expand(len(length), -1, -1) / length[:, None, None]


def positions_from_the_end(view: Any) -> Any:
    width = view.tokens.shape[1]
    return torch.diag(1 / torch.arange(width + 1, 1, -1)).expand(len(view.tokens), -1, -1)


def its_place_in_the_batch(view: Any) -> Any:
    row = torch.arange(len(view.tokens)) + 2.0
    return torch.eye(view.tokens.shape[1]).expand(len(row), -1, -1) / row[:, None, None]


def drawn_at_random(view: Any) -> Any:
    return torch.diag(torch.rand(view.tokens.shape[1])).expand(len(view.tokens), -1, -1)


def drawn_with_a_seed(view: Any) -> Any:
    draw = torch.Generator().manual_seed(1)
    return torch.diag_embed(torch.rand(view.tokens.shape, generator=draw))


LATER = r"position \d+ changes when the tokens from position \d+ on are exchanged"
ROWS = "changes with the other documents of its batch"
CUT = r"changes when the tokens from position \d+ on are cut off"
PEEKS: dict[Callable[[Any], Any], str] = {
    where_the_next_token_stood: LATER, a_little: LATER, the_token_after_next: LATER,
    mean_over_the_document: LATER, how_long_it_is: LATER,
    another_row: ROWS, mean_over_the_batch: ROWS,
    positions_from_the_end: CUT, its_place_in_the_batch: CUT, drawn_with_a_seed: CUT,
    drawn_at_random: "is another when it is asked again",
}  # fmt: skip


@pytest.mark.parametrize("peek", PEEKS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("variant", ["plain", "gated", "affine", "on_shuffled"])
def test_an_explanation_that_sees_the_answer_is_refused_by_name(peek: Any, variant: str) -> None:
    one = claim(peek)
    one = one if variant == "plain" else getattr(one, variant)()
    name = re.escape(f"The explanation '{one.written}'")
    found = rf"{name}.* at L1\.H0.* on document uneven \w+ \d+: what it says at {{}}"
    why = PEEKS[peek] if PEEKS[peek].startswith("position") else rf"position \d+ {PEEKS[peek]}"
    with pytest.raises(ExplanationError, match=found.format(why)):
        measure(one)


def values_of_later(view: Any) -> Any:
    return 0.999 * view.z + 0.001 * view.z.roll(-1, 1)


def rows_of_later(view: Any) -> Any:
    return 0.5 * view.pattern + 0.5 * view.pattern.roll(-1, 1).tril()


def keys_of_later(view: Any) -> Any:
    return (view.q @ view.k.mT).softmax(-1).tril()  # normalised over keys that come later


def streams_of_later(view: Any) -> Any:
    return view.z + 0.01 * view.site("L0.resid_post").cumsum(1).flip(1)[..., : view.z.shape[-1]]


def a_mean_of_values(view: Any) -> Any:
    return view.v - view.v.mean(1, keepdim=True)


def another_rows_values(view: Any) -> Any:
    return view.z.roll(1, 0)


@pytest.mark.parametrize(
    ("peek", "reads", "gives"),
    [
        (values_of_later, ["z"], "z"),
        (rows_of_later, ["pattern"], "pattern"),
        (keys_of_later, ["q", "k"], "pattern"),
        (streams_of_later, ["z", "L0.resid_post"], "z"),
        (a_mean_of_values, ["v"], "v"),
        (another_rows_values, ["z"], "z"),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_later_values_of_the_model_are_the_answer_too(peek: Any, reads: Any, gives: str) -> None:
    with pytest.raises(ExplanationError, match=r"what it says at position \d+ changes"):
        measure(claim(peek, *reads, gives=gives))


def own_attention_again(view: Any) -> Any:
    scores = view.q @ view.k.mT * view.q.shape[-1] ** -0.5
    return scores.masked_fill(torch.ones_like(scores).triu(1).bool(), -torch.inf).softmax(-1)


def counted_so_far(view: Any) -> Any:
    return (view.tokens == 5).float().cumsum(1)[..., None] + view.blank


def smoothed(view: Any) -> Any:
    length = view.tokens.shape[1]
    kernel = torch.fft.rfft(0.5 ** torch.arange(length), n=2 * length)
    wave = torch.fft.rfft((view.tokens * 1.0), n=2 * length, dim=1)
    return torch.fft.irfft(wave * kernel, n=2 * length, dim=1)[:, :length, None] + view.blank


HONEST = [
    *LIBRARY.all().values(),
    *(LIBRARY.get("strict_induction").with_rest("first"), LIBRARY.get("own_amount").affine()),
    claim(own_attention_again, "q", "k"),
    claim(counted_so_far, gives="z"),
    claim(smoothed, gives="z"),
    claim(lambda view: view.z, "z", gives="z"),
    claim(lambda view: view.pattern, "pattern"),
    claim(lambda view: view.out * 0.5, "out", gives="out"),
    claim(lambda view: view.k + view.site("L0.H1.z"), "k", "L0.H1.z", gives="k"),
]


@pytest.mark.parametrize("one", HONEST, ids=lambda one: one.name)
def test_an_honest_explanation_is_not_accused(one: Explanation) -> None:
    measure(one)
    for kind in (torch.float16, torch.bfloat16, torch.float32):
        measure(one, given=tiny("qwen3", kind))


@cache
def tiny(architecture: str, kind: torch.dtype) -> tuple[Subject, Text]:
    subject = load(tiny_model(architecture).to(kind), tokenizer=tiny_tokenizer(), device="cpu")
    rows, more = (np.random.default_rng(i).integers(0, VOCABULARY, (5, 13)) for i in (0, 1))
    text = make_text("tiny", subject, rows, more)
    cut = tuple(
        Block(one.document, one.domain, one.tokens[: 13 - 3 * i]) for i, one in enumerate(text.eval)
    )
    object.__setattr__(text, "eval", cut)
    return subject, text


@pytest.mark.parametrize("architecture", ["gpt2", "gemma3", "gpt_neox", "mistral", "phi3"])
def test_an_honest_explanation_is_not_accused_in_any_architecture(architecture: str) -> None:
    for one in (*LIBRARY.all().values(), claim(own_attention_again, "q", "k").affine()):
        measure(one, given=tiny(architecture, torch.float32))


def test_every_document_is_asked_at_four_places_and_once_for_all_that_is_measured() -> None:
    asked: list[Mixed] = []
    valid = torch.ones((3, 9), dtype=torch.bool)
    valid[2, 2:] = False
    said = torch.zeros(3, 9, 2)

    def again(mixed: Mixed) -> torch.Tensor:
        asked.append(mixed)
        return said[mixed.home][:, : mixed.rows.shape[1]]

    Replay("x", valid, ("a", "b", "c"), said, again).require_causal()
    cuts = [{mixed.cuts[row] for mixed in asked[:4]} for row in range(3)]
    assert [len(some) for some in cuts] == [4, 4, 2]
    assert cuts[2] == {1, 2}
    assert all(0 < cut < 9 for some in cuts[:2] for cut in some)
    # Everything from there on is another's, or out of order; of those before nothing is.
    tokens = torch.arange(27).view(3, 9)
    for mixed in asked[:4]:
        now = mixed.of(tokens)
        for row in range(3):
            cut = mixed.cuts[row]
            assert torch.equal(now[row, :cut], tokens[row, :cut])
            assert not torch.equal(now[row, cut:], tokens[row, cut:]) or cut == 9
            assert not set(now[row, cut:].tolist()) & set(range(20, 27))  # padding is no token
    # Two more in which every document is once whole among others, and cut off.
    assert len(asked) == 6
    assert all(mixed.rows.shape[1] < 9 for mixed in asked[4:])
    assert torch.equal(asked[4].kept.any(1).int() + asked[5].kept.any(1).int(), torch.ones(3).int())


def test_a_mixed_pattern_is_one_of_a_causal_model_and_unchanged_before_the_cut() -> None:
    torch.manual_seed(0)
    pattern = torch.randn(3, 7, 7).masked_fill(torch.ones(7, 7).triu(1).bool(), -9e9).softmax(-1)
    valid = torch.ones((3, 7), dtype=torch.bool)
    seen: list[Mixed] = []

    def again(mixed: Mixed) -> torch.Tensor:
        seen.append(mixed)
        length = mixed.rows.shape[1]
        return pattern[mixed.home][:, :length, :length]

    Replay("x", valid, ("a", "b", "c"), pattern, again, square=True).require_causal()
    for mixed in seen:
        now, length = mixed.of(pattern, pattern=True), mixed.rows.shape[1]
        assert now.shape == (3, length, length)
        assert torch.allclose(now.sum(-1), torch.ones(3, length))
        assert float(now.triu(1).abs().max()) == 0
        home = pattern[mixed.home][:, :length, :length]
        assert torch.equal(now[mixed.kept], home[mixed.kept])


def test_what_rounding_leaves_at_later_positions_does_not_reach_the_model() -> None:
    """Within the tolerance of a pattern's check, an affine map would make a peek of it."""

    def rounded(view: Any) -> Any:
        return patterns.previous(view.tokens) * 0.5 + 5e-5 * torch.ones(40, 40).triu(1)[
            : view.tokens.shape[1], : view.tokens.shape[1]
        ].expand(len(view.tokens), -1, -1)

    subject, text = planted()
    plain = claim(lambda view: patterns.previous(view.tokens) * 0.5)
    found = []
    for one in (claim(rounded), plain):
        seen = observe(subject, text, sites_to_observe(one, subject.sites("L1.H0"), subject.shape))
        made = fit(one.at("L1.H0"), subject.shape, seen, 0).condition()
        found.append(evaluate(subject, text, [made]).sums(made.name).loss)
    assert found[0].tolist() == found[1].tolist()


def test_a_rule_is_asked_once_for_all_heads_and_effects_that_are_measured() -> None:
    subject, text = planted()
    times: list[int] = []

    one = LIBRARY.get("strict_induction")
    sites = subject.sites("L1.H0 L1.H1 L0.H0")
    seen = observe(subject, text, sites_to_observe(one, sites, subject.shape))
    made = fit(one.at(sites), subject.shape, seen, 0)
    require = Replay.require_causal
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Replay, "require_causal", lambda self: (times.append(1), require(self)))
        evaluate(subject, text, [made.condition(), made.condition("direct")])
        assert len(times) == 1  # of one batch: tokens are the same everywhere
        evaluate(subject, text, [made.condition()])
        assert len(times) == 2  # what it holds may be something else by now
        own = LIBRARY.get("own_placement")
        seen = observe(subject, text, sites_to_observe(own, sites, subject.shape))
        evaluate(subject, text, [fit(own.at(sites), subject.shape, seen, 0).condition()])
        assert len(times) == 5  # every head has values of its own


@pytest.mark.parametrize("road", ["assay", "gap", "rewrite", "by hand"])
def test_there_is_no_road_around(road: str) -> None:
    subject, text = planted()
    one = claim(where_the_next_token_stood)
    settings = ux.Settings(resamples=50)
    with pytest.raises(ExplanationError, match=r"position .* changes when the tokens"):
        if road == "assay":
            ux.assay(subject, "L1.H0", text, explanations=[one], settings=settings, twin=False)
        elif road == "rewrite":
            ux.rewrite(subject, text, sites="L1.H0", explanations=[one], settings=settings, draws=1)
        elif road == "gap":
            run = Run(subject, (text,), settings)
            run.measure(*claims(run, subject.sites("L1.H0"), [one]))
        else:
            measure(one)
