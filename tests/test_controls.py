"""The control of a rule is one that can tell: found by trying on what the rule depends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import unexplained as ux
from assayed import checks_of, of_row, rows_of
from test_assay import make_text, subject_of
from unexplained.evaluate import evaluate, observe
from unexplained.explanations import LIBRARY, Explanation, explanation, fit, patterns
from unexplained.explanations.fit import displaced, sites_to_observe
from unexplained.explanations.invariance import Control, control_of
from unexplained.report import render
from unexplained.subject import Subject
from unexplained.testbeds.texts import irregular
from unexplained.text import Text

PREVIOUS = "L0.H0"


def bench() -> tuple[Subject, Text]:
    subject, _ = subject_of("strict_induction")
    rng = np.random.default_rng(5)
    return subject, make_text("words", subject, irregular(rng, 12, 30), irregular(rng, 12, 30))


def control(one: Explanation, where: str = PREVIOUS) -> Control:
    subject, text = bench()
    sites = subject.sites(where)
    needed = sites_to_observe(one, sites, subject.shape)
    seen = observe(subject, text, needed)
    return control_of(one, sites, subject.shape, seen, 0)


def claim(function: Callable[[Any], Any], *reads: str, gives: str = "pattern") -> Explanation:
    function.__doc__ = "A claim."
    return explanation(gives=gives, reads=["tokens", *reads], name="claim")(function)


def itself(view: Any) -> Any:
    return view.blank + torch.eye(view.tokens.shape[1])


def first(view: Any) -> Any:
    return torch.cat([view.blank[..., :1] + 1, view.blank[..., 1:]], -1)


def evenly_back(view: Any) -> Any:
    allowed = torch.ones_like(view.blank).tril()
    return allowed / allowed.sum(-1, keepdim=True)


def same_parity(view: Any) -> Any:
    places = torch.arange(view.tokens.shape[1])
    return patterns.evenly(((places[:, None] - places[None]) % 2 == 1).tril() & (view.blank == 0))


def half_and_half(view: Any) -> Any:
    strict = patterns.evenly(patterns.after_earlier_occurrence(view.tokens))
    return 0.5 * patterns.previous(view.tokens) + 0.5 * strict


def by_position(view: Any) -> Any:
    return view.blank + torch.sin(torch.arange(view.tokens.shape[1]) * 1.7)[None, :, None]


def by_token(view: Any) -> Any:
    return view.blank + torch.sin(view.tokens * 1.3)[..., None]


def how_many(view: Any) -> Any:
    return view.blank + (view.tokens % 3 == 0).float().cumsum(1)[..., None]


def always(view: Any) -> Any:
    return view.blank + 1


POSITIONS, NOTHING = "positions alone", "nothing"
ANY, ORDER = "which tokens came before, in any order", "tokens and their order"
OWN = "the model's own values"


@pytest.mark.parametrize(
    ("one", "depends", "moved"),
    [
        (LIBRARY.get("previous_token"), POSITIONS, True),
        (claim(itself), POSITIONS, True),
        (claim(first), POSITIONS, True),
        (claim(same_parity), POSITIONS, None),
        (claim(evenly_back), NOTHING, None),
        (claim(always, gives="z"), NOTHING, None),
        (claim(by_position, gives="z"), POSITIONS, True),
        (claim(by_token, gives="z"), ANY, False),
        (claim(how_many, gives="z"), ANY, True),
        (LIBRARY.get("duplicate_token"), ANY, False),
        (LIBRARY.get("strict_induction"), ORDER, False),
        (LIBRARY.get("long_prefix_induction"), ORDER, False),
        (claim(half_and_half), ORDER, True),
        (LIBRARY.get("own_attention_on_targets"), OWN, False),
    ],
    ids=lambda x: getattr(getattr(x, "function", None), "__name__", ""),
)
def test_the_control_is_one_that_can_tell(
    one: Explanation, depends: str, moved: bool | None
) -> None:
    found = control(one)
    assert found.depends == depends
    assert (None if found.explanation is None else found.explanation.moved) == moved, found


@pytest.mark.parametrize(
    ("where", "rule", "name"),
    [
        (PREVIOUS, "previous_token", "previous token, moved"),
        ("L1.H0", "strict_induction", "strict induction, shuffled"),
    ],
)
def test_the_true_rule_of_a_planted_head_recovers_all_and_its_control_nothing(
    where: str, rule: str, name: str
) -> None:
    subject, text = bench()
    record = ux.assay(
        subject, where, text, explanations=[LIBRARY.get(rule).with_rest("first")],
        settings=ux.Settings(resamples=100), twin=False, singles=0,
    )  # fmt: skip
    share = of_row(record, f"{LIBRARY.get(rule).name}, rest first", "against mean")
    assert share.value == pytest.approx(1, abs=1e-3)
    check = next(one for one in checks_of(record) if one.name.endswith(name.split(", ")[1]))
    assert check.holds and check.applies and check.found.value is not None
    assert check.found.value < 0.1


def test_where_no_control_can_tell_the_record_says_so_and_nothing_has_failed() -> None:
    subject, text = bench()
    record = ux.assay(
        subject, "L1.H0", text, explanations=[claim(evenly_back)],
        settings=ux.Settings(resamples=100), twin=False, singles=0,
    )  # fmt: skip
    check = checks_of(record)[-1]
    assert not check.applies and check.holds and check.found.value is None
    assert "no control of this kind: the rule depends on nothing" in check.expected
    assert all("shuffled" not in name for name in rows_of(record))
    shown = render(record)
    assert "cannot" in shown  # a narrow terminal breaks the rest


def test_what_is_moved_keeps_its_amounts_and_leaves_nothing_where_it_was() -> None:
    torch.manual_seed(0)
    pattern = torch.rand(9, 9).tril()
    moved = displaced(pattern, "d", 0, square=True)
    assert float(moved.triu(1).abs().max()) == 0
    for row in range(9):
        assert sorted(moved[row, : row + 1].tolist()) == sorted(pattern[row, : row + 1].tolist())
        assert row == 0 or bool((moved[row, : row + 1] != pattern[row, : row + 1]).all())
    values = torch.rand(9, 3)
    other = displaced(values, "d", 0, square=False)
    assert sorted(map(tuple, other.tolist())) == sorted(map(tuple, values.tolist()))
    assert bool((other != values).all())


def test_a_shuffled_previous_token_is_the_rule_itself_and_so_no_control() -> None:
    subject, text = bench()
    one = LIBRARY.get("previous_token")
    sites = subject.sites(PREVIOUS)
    seen = observe(subject, text, sites_to_observe(one, sites, subject.shape))
    names = []
    for other in (one, one.on_shuffled(), one.on_shuffled(moved=True)):
        names.append(fit(other.at(sites), subject.shape, seen, 0).condition())
    ledger = evaluate(subject, text, names)
    plain, shuffled, moved = (ledger.sums(name.name).loss for name in names)
    assert np.allclose(plain, shuffled, rtol=1e-5)
    assert moved.sum() > plain.sum() + 0.1 * len(moved)
