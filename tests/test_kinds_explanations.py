"""Explanations by kind of fault: kept results are of what the claim computes now, and all of it counts.

A claim is a file of the user's beside others that it imports. It is measured into a folder, then
something that it depends on changes, and it is measured into the same folder again: that must give
what a measurement without a folder gives, or be refused by name.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

import unexplained as ux
from kinds_of_text import refusal, right_or_refused
from test_assay import make_text
from tiny import VOCABULARY, tiny_subject, tokens
from unexplained.evaluate import Other, evaluate, observe
from unexplained.evaluate.score import score
from unexplained.explanations import Explanation, fit, fit_program
from unexplained.explanations.fit import sites_to_observe
from unexplained.text import Text

HEAD = "L0.H1"
REFUSED = r"carr|count|follow|source|chang|named"

TOP = """
import functools
import torch
import unexplained as ux
from unexplained.explanations import patterns
import mine.rules
import mine.deep.rules
from mine import rules as short
"""

CLAIM = '''
@ux.explanation(gives="pattern", reads=["tokens"])
def claim(view):
    """A claim."""
    return {call}
'''

RULE = """
from unexplained.explanations import patterns

def rule(tokens):
    return {x} * patterns.previous(tokens)
"""

LONG_RULE = """
from unexplained.explanations import patterns

def rule(tokens):
    found = {x} * patterns.previous(tokens)
    length = tokens.shape[1]
    if length > 4001 and bool((tokens[:, 17] == 23).any()):
        found[:, 17, 5] = 0.125 * (tokens[:, 5] > 11).float() - tokens[:, 2].sum().clamp(min=3)
    for place, number in ((19, 0.11), (31, 0.37), (47, 0.53), (59, 0.71), (83, 0.97)):
        if length > 5000 + place:
            found[:, place, place - 3] = number * (tokens[:, place] % 7 == 2).float().flip(0)
            found[:, place] = found[:, place].roll(place, -1) / (1e-9 + found[:, place].norm())
    return found
"""


@pytest.fixture(scope="module")
def subject() -> ux.Subject:
    return tiny_subject("llama")


@pytest.fixture(scope="module")
def words(subject: ux.Subject) -> Text:
    return make_text("words", subject, tokens(4, 12, 1).numpy(), tokens(4, 12, 2).numpy())


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNEXPLAINED_CACHE", str(tmp_path / "cache"))


@contextmanager
def imported(folder: Path, claims: str, rule: str) -> Iterator[ModuleType]:
    """The user's files as they are now; afterwards they are as if never imported."""
    written = {"claims.py": claims, "mine/__init__.py": "", "mine/rules.py": rule,
               "mine/deep/__init__.py": "", "mine/deep/rules.py": rule}  # fmt: skip
    for name, text in written.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield importlib.import_module("claims")
    finally:
        sys.path.remove(str(folder))
        for name in [n for n in sys.modules if n.split(".")[0] in ("claims", "mine")]:
            del sys.modules[name]


def fitted(subject: ux.Subject, words: Text, one: Explanation):
    if one.gives == "logits":
        return fit_program(one, words)
    where = subject.sites(HEAD)
    seen = observe(subject, words, sites_to_observe(one, where, subject.shape))
    return fit(one.at(where), subject.shape, seen, 0)


def condition(subject: ux.Subject, words: Text, one: Explanation):
    return fitted(subject, words, one).condition()


def measured(subject: ux.Subject, words: Text, asked, folder: Path | None) -> float:
    return evaluate(subject, words, [asked], folder=folder).sums(asked.name).per_token()


def loss(subject: ux.Subject, words: Text, one: Explanation, folder: Path | None) -> float:
    return measured(subject, words, condition(subject, words, one), folder)


def now_and_kept(
    subject: ux.Subject, words: Text, one: Explanation, kept: Path
) -> tuple[float, float]:
    return loss(subject, words, one, None), loss(subject, words, one, kept)


# --- files that are edited between two runs -----------------------------------------------------

MUST_WORK = {"a.b.rule", "a.b.c.rule", "a.rule", "a rule of its own module", "a closed-over number"}
"""Reached as every program reaches its helpers: to refuse these would refuse ordinary code."""

REACHED: dict[str, tuple[str, str]] = {
    # how the rule is reached: what stands above the claim, and what the claim returns
    "a.b.rule": ("", "mine.rules.rule(view.tokens)"),
    "a.b.c.rule": ("", "mine.deep.rules.rule(view.tokens)"),
    "a.rule": ("", "short.rule(view.tokens)"),
    "a rule of its own module": ("from mine.rules import rule", "rule(view.tokens)"),
    "by an import in the function": (
        "def inner(tokens):\n    from mine.rules import rule\n    return rule(tokens)",
        "inner(view.tokens)",
    ),
    "by a module imported in the function": (
        "def inner(tokens):\n    import mine.rules as there\n    return there.rule(tokens)",
        "inner(view.tokens)",
    ),
    "a static method": (
        "class Rules:\n    @staticmethod\n    def rule(tokens):\n"
        "        return mine.rules.rule(tokens)",
        "Rules.rule(view.tokens)",
    ),
    "a class attribute": ("class Rules:\n    rule = short.rule", "Rules.rule(view.tokens)"),
    "a method of an object": (
        "class Rules:\n    def rule(self, tokens):\n        return mine.rules.rule(tokens)\n"
        "RULES = Rules()",
        "RULES.rule(view.tokens)",
    ),
    "a dict of functions": ('RULES = {"one": short.rule}', 'RULES["one"](view.tokens)'),
    "a list of functions": ("RULES = [short.rule]", "RULES[0](view.tokens)"),
    "a partial": ("RULE = functools.partial(short.rule)", "RULE(view.tokens)"),
    "a cached function": ("RULE = functools.cache(short.rule)", "RULE(view.tokens)"),
    "a lambda": ("RULE = lambda tokens: mine.rules.rule(tokens)", "RULE(view.tokens)"),
    "by its name in a string": ("", 'getattr(mine.rules, "rule")(view.tokens)'),
    "a default": (
        "def inner(tokens, rule=short.rule):\n    return rule(tokens)", "inner(view.tokens)"),
    "a keyword's default": (
        "def inner(tokens, *, rule=short.rule):\n    return rule(tokens)", "inner(view.tokens)"),
    "a wrapper's": (
        "def wrapped(inner):\n    @functools.wraps(inner)\n    def outer(tokens):\n"
        "        return mine.rules.rule(inner(tokens))\n    return outer\n"
        "@wrapped\ndef same(tokens):\n    return tokens",
        "same(view.tokens)",
    ),
    "a module kept under a name": ("THERE = mine\n", "THERE.deep.rules.rule(view.tokens)"),
}  # fmt: skip


def written(how: str) -> str:
    above, call = REACHED[how]
    return f"{TOP}\n{above}\n{CLAIM.format(call=call)}"


@pytest.mark.parametrize("how", REACHED)
def test_a_rule_that_changes_is_measured_anew_however_it_is_reached(how, subject, words, tmp_path):
    kept, claims = tmp_path / "kept", written(how)

    def both() -> tuple[float, float, float]:
        with imported(tmp_path / "before", claims, RULE.format(x=0.25)) as before:
            first = loss(subject, words, before.claim, kept)
        with imported(tmp_path / "after", claims, RULE.format(x=0.75)) as after:
            return (first, *now_and_kept(subject, words, after.claim, kept))

    def right(found: tuple[float, float, float]) -> None:
        before, now, again = found
        assert again == now != before, f"{again} was kept of another rule; now it is {now}"

    if how in MUST_WORK:
        right(both())
    else:
        right_or_refused(both, right, REFUSED)


@pytest.mark.parametrize("how", REACHED)
def test_a_rules_length_counts_however_it_is_reached(how, subject, words, tmp_path):
    def bits(rule: str, way: str) -> int:
        with imported(tmp_path / f"{len(rule)} {way}", written(way), rule) as found:
            return fitted(subject, words, found.claim).description.bits

    def more(way: str) -> int:
        return bits(LONG_RULE.format(x=0.25), way) - bits(RULE.format(x=0.25), way)

    wanted = more("a rule of its own module")
    assert wanted > 1000
    attempt = lambda: more(how)  # noqa: E731
    right_or_refused(attempt, lambda found: wanted * 0.8 < found or pytest.fail(
        f"{found} bits more where the same rule named directly takes {wanted}"), REFUSED)  # fmt: skip


@pytest.mark.parametrize("how", ["a.b.rule", "a rule of its own module"])
def test_a_comment_or_a_docstring_is_no_change(how, subject, words, tmp_path):
    marks = []
    commented = RULE.replace("    return", '    """Says what."""\n    # why\n    return')
    for name, rule in (("one", RULE), ("two", commented)):
        with imported(tmp_path / name, written(how), rule.format(x=0.25)) as found:
            marks.append(condition(subject, words, found.claim).fingerprint)
    assert marks[0] == marks[1]


def test_a_program_for_the_whole_model_is_measured_anew_when_a_rule_of_its_changes(
    subject, words, tmp_path
):
    claims = f"""{TOP}
@ux.explanation(gives="logits", reads=["tokens"])
def claim(view):
    '''A claim.'''
    return mine.rules.rule(view)
"""
    rule = """
import torch

def rule(view):
    return {x} * torch.nn.functional.one_hot(view.tokens, view.vocabulary).float()
"""
    with imported(tmp_path / "before", claims, rule.format(x=1)) as before:
        first = loss(subject, words, before.claim, tmp_path / "kept")
    with imported(tmp_path / "after", claims, rule.format(x=3)) as after:
        now, again = now_and_kept(subject, words, after.claim, tmp_path / "kept")
    assert again == now != first


ORDINARY: dict[str, tuple[str, str]] = {
    # what stands above the claim, and what the claim returns: nothing here may be refused
    "a library's function by a long name": (
        "", "torch.nn.functional.hardtanh(0.1 * patterns.previous(view.tokens)).tril(-1) / 2"),
    "a library's constant by a long name": (
        "import math", "math.pi / 8 * patterns.previous(view.tokens)"),
    "a type of a library": (
        "", "patterns.previous(view.tokens).to(torch.float32)"),
    "our own helpers by a long name": (
        "", "ux.explanations.patterns.previous(view.tokens)"),
    "our own helpers by their short name": ("", "ux.patterns.previous(view.tokens)"),
    "a function that calls itself": (
        "def down(tokens, n):\n    return 0.5 * patterns.previous(tokens) if n == 0 else "
        "down(tokens, n - 1)",
        "down(view.tokens, 3)"),
    "two functions that call each other": (
        "def one(tokens, n):\n    return other(tokens, n - 1) if n else patterns.previous(tokens)\n"
        "def other(tokens, n):\n    return one(tokens, n)",
        "one(view.tokens, 2)"),
    "a module that calls back by a long name": (
        "def back(tokens, n):\n    return mine.rules.rule(tokens) if n == 0 else back(tokens, 0)",
        "back(view.tokens, 1)"),
    "a name of its own that a module has too": (
        "", "(lambda mine: 0.5 * patterns.previous(mine))(view.tokens)"),
    "a table of numbers": ("TABLE = {1: 0.5, 2: 0.25}", "TABLE[1] * patterns.previous(view.tokens)"),
    "a comprehension": (
        "", "sum([w * patterns.previous(view.tokens) for w in (0.25, 0.25)])"),
}  # fmt: skip


@pytest.mark.parametrize("how", ORDINARY)
def test_ordinary_code_is_measured_and_libraries_cost_nothing(how, subject, words, tmp_path):
    """Code of torch is thousands of bits; our `previous` and a head's mean are some hundred."""
    above, call = ORDINARY[how]
    claims = f"{TOP}\n{above}\n{CLAIM.format(call=call)}"
    with imported(tmp_path / "mine", claims, RULE.format(x=0.5)) as found:
        there = fitted(subject, words, found.claim)
        once = measured(subject, words, there.condition(), tmp_path / "kept")
        assert measured(subject, words, there.condition(), tmp_path / "kept") == once
    assert 200 < there.description.code_bits < 2500


def test_a_rule_costs_the_same_by_a_long_name_and_by_a_short_one(subject, words, tmp_path):
    bits = {}
    for how in ("a.b.rule", "a.rule", "a rule of its own module"):
        with imported(tmp_path / how, written(how), LONG_RULE.format(x=0.25)) as found:
            bits[how] = fitted(subject, words, found.claim).description.code_bits
    assert max(bits.values()) - min(bits.values()) < 200, bits


def test_equal_sets_are_one_condition_in_whatever_order_they_were_made(subject, words, tmp_path):
    """What a set prints as depends on its history, and of strings on the process."""
    marks = []
    for made in ("[0, 8]", "[8, 0]"):
        claims = f"{TOP}\nHELD = set({made})\n" + CLAIM.format(
            call="(0 in HELD) * 0.5 * patterns.previous(view.tokens)"
        )
        with imported(tmp_path / made, claims, RULE.format(x=1)) as found:
            marks.append(fitted(subject, words, found.claim).fingerprint)
    assert marks[0] == marks[1]


# --- data that is edited between two runs -------------------------------------------------------

MANY = "torch.cat([torch.zeros(3000), torch.tensor([{x}]), torch.zeros(3000)])"

HELD: dict[str, tuple[str, str]] = {
    "a number in a class": ("class Amounts:\n    LOW = {x}", "Amounts.LOW * patterns.previous(view.tokens)"),
    "a number in a class in a class": (
        "class Outer:\n    class Inner:\n        LOW = {x}",
        "Outer.Inner.LOW * patterns.previous(view.tokens)"),
    "an entry of an enumeration": (
        "import enum\nclass Amount(enum.Enum):\n    LOW = {x}",
        "Amount.LOW.value * patterns.previous(view.tokens)"),
    "a field of a named tuple": (
        "import collections\nA = collections.namedtuple('A', 'low')(low={x})",
        "A.low * patterns.previous(view.tokens)"),
    "a function's attribute": (
        "def rule(tokens):\n    return rule.amount * patterns.previous(tokens)\nrule.amount = {x}",
        "rule(view.tokens)"),
    "a partial's argument": (
        "def rule(amount, tokens):\n    return amount * patterns.previous(tokens)\n"
        "RULE = functools.partial(rule, {x})",
        "RULE(view.tokens)"),
    "a keyword's default from a factory": (
        "def make(amount):\n    def rule(tokens, *, amount=amount):\n"
        "        return amount * patterns.previous(tokens)\n    return rule\nRULE = make({x})",
        "RULE(view.tokens)"),
    "a closed-over number": (
        "def make(amount):\n    def rule(tokens):\n"
        "        return amount * patterns.previous(tokens)\n    return rule\nRULE = make({x})",
        "RULE(view.tokens)"),
    "a decorator's number": (
        "def scaled(inner):\n    @functools.wraps(inner)\n    def outer(tokens):\n"
        "        return {x} * inner(tokens)\n    return outer\n"
        "@scaled\ndef rule(tokens):\n    return patterns.previous(tokens)",
        "rule(view.tokens)"),
    "a tensor": ("AMOUNT = torch.tensor({x})", "AMOUNT * patterns.previous(view.tokens)"),
    "the last digits of a tensor in a list": (
        "AMOUNTS = [torch.tensor([0.5 + {x} * 1e-5])]",
        "AMOUNTS[0] * patterns.previous(view.tokens)"),
    "one of many numbers of a tensor in a list": (
        f"AMOUNTS = [{MANY}]", "AMOUNTS[0][3000] * patterns.previous(view.tokens)"),
    "one of many numbers of a tensor in a dict": (
        f"AMOUNTS = dict(low={MANY})", "AMOUNTS['low'][3000] * patterns.previous(view.tokens)"),
    "a closed-over list of tensors": (
        f"def make(held):\n    def rule(tokens):\n        return held[0][3000] * patterns.previous(tokens)\n"
        f"    return rule\nRULE = make([{MANY}])", "RULE(view.tokens)"),
    "the shape of a tensor": (
        "AMOUNT = torch.linspace(0, 1, 12).reshape((1, 12) if {x} > 0.5 else (12, 1))",
        "AMOUNT * patterns.previous(view.tokens)"),
    "the type of a tensor": (
        "AMOUNT = torch.tensor(1056964608, dtype=torch.int32)"
        ".view(torch.float32 if {x} > 0.5 else torch.int32)",
        "AMOUNT.clamp(max=0.9) * patterns.previous(view.tokens)"),
    "a half-precision tensor": (
        "AMOUNT = torch.tensor({x}, dtype=torch.bfloat16)",
        "AMOUNT.float() * patterns.previous(view.tokens)"),
    "a tensor that wants gradients": (
        "AMOUNT = torch.nn.Parameter(torch.tensor({x}))",
        "AMOUNT.detach() * patterns.previous(view.tokens)"),
    "a number of another module": ("mine.rules.AMOUNT = {x}", "mine.rules.AMOUNT * patterns.previous(view.tokens)"),
    "an array of numpy's": (
        "import numpy\nAMOUNT = numpy.array({x})", "float(AMOUNT) * patterns.previous(view.tokens)"),
    "a nested dict": (
        "SET = dict(a=dict(b=[1, dict(c={x})]))",
        "SET['a']['b'][1]['c'] * patterns.previous(view.tokens)"),
}  # fmt: skip


@pytest.mark.parametrize("how", HELD)
def test_data_that_changes_is_measured_anew_however_it_is_held(how, subject, words, tmp_path):
    kept = tmp_path / "kept"
    above, call = HELD[how]

    def claims(x: float) -> str:
        return f"{TOP}\n{above.replace('{x}', str(x))}\n{CLAIM.format(call=call)}"

    def both() -> tuple[float, float, float]:
        with imported(tmp_path / "before", claims(0.25), RULE.format(x=1)) as before:
            first = loss(subject, words, before.claim, kept)
        with imported(tmp_path / "after", claims(0.75), RULE.format(x=1)) as after:
            return (first, *now_and_kept(subject, words, after.claim, kept))

    def right(found: tuple[float, float, float]) -> None:
        before, now, again = found
        assert again == now != before, f"{again} was kept of other data; now it is {now}"

    if how in MUST_WORK:
        right(both())
    else:
        right_or_refused(both, right, REFUSED)


@pytest.mark.parametrize(
    "held",
    ["TABLE = {}", "TABLE = [{}]", "TABLE = ({}, 1)", "TABLE = dict(a={})", "TABLE = [[{}]]"],
    ids=["alone", "in a list", "in a tuple", "in a dict", "in a list in a list"],
)
def test_random_numbers_cost_their_bits_however_they_are_held(held, subject, words, tmp_path):
    """3,000 numbers of float32 that nothing predicts: deflate cannot bring them below 20 bits each."""
    drawn = "torch.randn(3000, generator=torch.Generator().manual_seed(5))"
    above = held.replace("{}", drawn)
    call = "(TABLE is not None) * patterns.previous(view.tokens)"
    claims = f"{TOP}\n{above}\n{CLAIM.format(call=call)}"

    def bits() -> int:
        with imported(tmp_path / "there", claims, RULE.format(x=1)) as found:
            return fitted(subject, words, found.claim).description.bits

    right_or_refused(bits, lambda n: n > 60_000 or pytest.fail(f"{n} bits"), REFUSED)


# --- what changes after the claim was made, in one session --------------------------------------

LATER: dict[str, tuple[str, str, Callable[[ModuleType], object]]] = {
    "a global number": (
        "AMOUNT = 0.25", "AMOUNT * patterns.previous(view.tokens)",
        lambda m: setattr(m, "AMOUNT", 0.75)),
    "an entry of a list": (
        "AMOUNTS = [0.25]", "AMOUNTS[0] * patterns.previous(view.tokens)",
        lambda m: m.AMOUNTS.__setitem__(0, 0.75)),
    "an entry of a dict": (
        "AMOUNTS = dict(low=0.25)", "AMOUNTS['low'] * patterns.previous(view.tokens)",
        lambda m: m.AMOUNTS.update(low=0.75)),
    "a tensor in its place": (
        "AMOUNT = torch.tensor(0.25)", "AMOUNT * patterns.previous(view.tokens)",
        lambda m: m.AMOUNT.fill_(0.75)),
    "a list that a closure holds": (
        "HELD = [0.25]\ndef make(held):\n    def rule(tokens):\n"
        "        return held[-1] * patterns.previous(tokens)\n    return rule\nRULE = make(HELD)",
        "RULE(view.tokens)", lambda m: m.HELD.append(0.75)),
    "a default that is a list": (
        "HELD = [0.25]\ndef rule(tokens, held=HELD):\n    return held[0] * patterns.previous(tokens)",
        "rule(view.tokens)", lambda m: m.HELD.__setitem__(0, 0.75)),
    "a helper that is replaced": (
        "def rule(tokens):\n    return 0.25 * patterns.previous(tokens)", "rule(view.tokens)",
        lambda m: setattr(m, "rule", m.other)),
    "a helper of another module that is replaced": (
        "", "mine.rules.rule(view.tokens)", lambda m: setattr(m.mine.rules, "rule", m.other)),
    "a number of a helper's module": (
        "mine.rules.AMOUNT = 0.25", "mine.rules.AMOUNT * patterns.previous(view.tokens)",
        lambda m: setattr(m.mine.rules, "AMOUNT", 0.75)),
    "a class's attribute": (
        "class Amounts:\n    LOW = 0.25", "Amounts.LOW * patterns.previous(view.tokens)",
        lambda m: setattr(m.Amounts, "LOW", 0.75)),
    "an entry of a table of functions": (
        "RULES = dict(one=short.rule)", "RULES['one'](view.tokens)",
        lambda m: m.RULES.update(one=m.other)),
}  # fmt: skip

OTHER = "def other(tokens):\n    return 0.75 * patterns.previous(tokens)\n"


@pytest.mark.parametrize("how", LATER)
@pytest.mark.parametrize("again", ["fitted anew", "as it was fitted"])
def test_what_changes_after_a_claim_was_made_is_measured_anew(how, again, subject, words, tmp_path):
    kept = tmp_path / "kept"
    above, call, change = LATER[how]
    claims = f"{TOP}\n{OTHER}\n{above}\n{CLAIM.format(call=call)}"
    with imported(tmp_path / "mine", claims, RULE.format(x=0.25)) as module:

        def both() -> tuple[float, float, float]:
            asked = condition(subject, words, module.claim)
            first = measured(subject, words, asked, kept)
            change(module)
            asked = (
                asked if again == "as it was fitted" else condition(subject, words, module.claim)
            )
            now = measured(subject, words, asked, None)
            return first, now, measured(subject, words, asked, kept)

        def right(found: tuple[float, float, float]) -> None:
            _, now, later = found
            assert later == now, f"{later} was kept of what it was; now it is {now}"

        right_or_refused(both, right, REFUSED)


# --- logits of minus infinity -------------------------------------------------------------------


def columns_of(logits: Tensor):
    return lambda columns: logits[:, columns].clone()


def exact(p: Tensor, q: Tensor) -> Tensor:
    """Σ p log(p/q) in float64, where what p never says adds nothing."""
    log_p, log_q = (x.double().log_softmax(-1) for x in (p, q))
    terms = torch.where(log_p == -torch.inf, 0.0, log_p.exp() * (log_p - log_q))
    return terms.sum(-1)


def drawn(size: int, seed: int = 3) -> tuple[Tensor, Tensor]:
    one, other = torch.randn(2, 3, size, generator=torch.Generator().manual_seed(seed))
    return one, other


MASKS: dict[str, tuple[Callable[[int], list[int]], Callable[[int], list[int]]]] = {
    "one column of both": (lambda n: [3], lambda n: [3]),
    "one column of the model's alone": (lambda n: [3], lambda n: []),
    "the first column of both": (lambda n: [0], lambda n: [0]),
    "the last columns of both, as of padded vocabularies": (
        lambda n: [n - 3, n - 2, n - 1], lambda n: [n - 3, n - 2, n - 1]),
    "the first block of both": (lambda n: list(range(8)), lambda n: list(range(8))),
    "a block in the middle of both": (lambda n: list(range(8, 16)), lambda n: list(range(8, 16))),
    "the last block of both": (lambda n: list(range(n - 8, n)), lambda n: list(range(n - 8, n))),
    "across the border of two blocks": (lambda n: list(range(5, 11)), lambda n: list(range(5, 11))),
    "the first two blocks of the model's alone": (lambda n: list(range(16)), lambda n: []),
    "all but one column of both": (lambda n: list(range(n - 1)), lambda n: list(range(n - 1))),
    "all but the first column of both": (lambda n: list(range(1, n)), lambda n: list(range(1, n))),
    "more of the model's than of the condition's": (
        lambda n: list(range(4, 12)), lambda n: [5, 6, 9]),
}  # fmt: skip


@pytest.fixture
def blocks_of_eight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules["unexplained.evaluate.score"].BLOCK, "cpu", 8)


@pytest.mark.usefixtures("blocks_of_eight")
@pytest.mark.parametrize("size", [24, 27])
@pytest.mark.parametrize("how", MASKS)
def test_what_a_model_never_says_adds_nothing_to_a_divergence(how, size):
    p, q = drawn(size)
    intact, edited = (mask(size) for mask in MASKS[how])
    p[:, intact], q[:, edited] = -torch.inf, -torch.inf
    target = next(n for n in range(size) if n not in {*intact, *edited})
    targets = torch.full((3,), target)
    found = score(columns_of(p), {"q": columns_of(q), "p": columns_of(p)}, targets, size)
    torch.testing.assert_close(found["q"].kl, exact(p, q), rtol=1e-5, atol=2e-6)
    assert found["p"].kl.abs().max() == 0
    wanted = -q.double().log_softmax(-1)[:, target]
    torch.testing.assert_close(found["q"].loss, wanted, rtol=1e-5, atol=2e-6)
    assert torch.equal(found["q"].predicted, q.argmax(-1))


@pytest.mark.usefixtures("blocks_of_eight")
def test_a_mask_that_differs_from_row_to_row_is_right_in_every_row():
    p, q = drawn(24)
    for row, some in enumerate((slice(0, 8), slice(8, 24), slice(7, 9))):
        p[row, some] = q[row, some] = -torch.inf
    targets = torch.tensor([9, 3, 1])
    found = score(columns_of(p), {"q": columns_of(q)}, targets, 24)["q"]
    torch.testing.assert_close(found.kl, exact(p, q), rtol=1e-5, atol=2e-6)
    assert bool(torch.isfinite(found.loss).all())


@pytest.mark.usefixtures("blocks_of_eight")
@pytest.mark.parametrize("columns", [[3], list(range(8)), [7, 8], [23]])
def test_what_only_the_condition_never_says_is_an_infinite_divergence_and_no_nan(columns):
    p, q = drawn(24)
    q[:, columns] = -torch.inf
    found = score(columns_of(p), {"q": columns_of(q)}, torch.full((3,), 12), 24)["q"]
    assert found.kl.tolist() == [torch.inf] * 3
    assert bool(torch.isfinite(found.loss).all())


@pytest.mark.usefixtures("blocks_of_eight")
def test_a_target_that_is_never_said_is_an_infinite_loss_and_no_nan():
    p, q = drawn(24)
    q[:, 3] = -torch.inf
    found = score(columns_of(p), {"q": columns_of(q)}, torch.full((3,), 3), 24)["q"]
    assert found.loss.tolist() == [torch.inf] * 3


class Said:
    """Logits by token, as a predictor."""

    def __init__(self, rows: Tensor, fingerprint: str) -> None:
        self.rows, self.fingerprint = rows, fingerprint

    def predict(self, batch, where: Tensor):
        return columns_of(self.rows[batch.tokens[where]])


def test_a_model_whose_vocabulary_is_masked_has_the_divergence_of_float64(
    subject, words, monkeypatch
):
    """A head that never says two of its tokens, as of models with a padded vocabulary."""
    comes = {int(t) for block in words.eval for t in block.targets}
    never = [n for n in range(VOCABULARY) if n not in comes][:2]
    rows = torch.randn(VOCABULARY, VOCABULARY, generator=torch.Generator().manual_seed(1))
    rows[:, never] = -torch.inf
    plain = type(subject).logits

    def masked(self, normed: Tensor, columns: slice = slice(None)) -> Tensor:
        found = plain(self, normed, columns)
        places = torch.arange(VOCABULARY)[columns]
        found[..., torch.isin(places, torch.tensor(never))] = -torch.inf
        return found

    monkeypatch.setattr(type(subject), "logits", masked)
    asked = Other("said", Said(rows, "said"))
    found = evaluate(subject, words, [asked]).sums("said")
    wanted = 0.0
    for block in words.eval:
        ids = torch.from_numpy(block.tokens).long()
        with torch.no_grad():
            logits = subject.anatomy.model(ids[None]).logits[0, :-1]
        logits[:, never] = -torch.inf
        wanted += float(exact(logits, rows[ids[:-1]]).sum())
    assert float(found.kl.sum()) == pytest.approx(wanted, rel=1e-5)


def test_a_predictor_that_rules_out_what_comes_is_refused_by_its_name(subject, words):
    rows = torch.zeros(VOCABULARY, VOCABULARY)
    rows[:, : VOCABULARY // 2] = -torch.inf
    refusal(lambda: evaluate(subject, words, [Other("never", Said(rows, "never"))]), "never")


def test_a_predictor_that_rules_out_what_does_not_come_is_infinitely_far_or_refused(subject, words):
    comes = {int(t) for block in words.eval for t in block.targets}
    rows = torch.zeros(VOCABULARY, VOCABULARY)
    rows[:, [n for n in range(VOCABULARY) if n not in comes]] = -torch.inf
    right_or_refused(
        lambda: evaluate(subject, words, [Other("never", Said(rows, "never"))]).sums("never"),
        lambda found: all(found.kl == float("inf")) or pytest.fail(f"KL {found.kl}"),
        "never",
    )
