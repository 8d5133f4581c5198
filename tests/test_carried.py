"""What an explanation depends on: it is counted in fingerprint and length, or refused by name."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import functools
import importlib
import random
import sys
import types
import typing
from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import unexplained as ux
from unexplained.errors import ExplanationError
from unexplained.explanations import LIBRARY, explanation
from unexplained.explanations.carried import counted
from unexplained.explanations.description import source_of
from unexplained.explanations.files import find_explanation
from unexplained.explanations.walk import carried

RULE = "def rule(tokens):\n    return tokens * {}\n"
"""A helper; the number says which."""

HELPERS = {
    "own/__init__.py": "",
    "own/deep/__init__.py": "",
    "own/deep/rules.py": RULE.format(2),
    "own/table.py": "NUMBERS = [1, 2, 3]\n",
    "flat.py": RULE.format(2),
    "shapes.py": (
        "import functools\nimport torch\n"
        "def rule(tokens, factor=1):\n    return tokens * factor * 2\n"
        "def loud(f):\n    @functools.wraps(f)\n    def wrapper(tokens):\n        return f(tokens) + 0\n"
        "    return wrapper\n"
        "class Plain:\n    scale = 3\n    def rule(self, tokens):\n        return self.inner(tokens)\n"
        "    def inner(self, tokens):\n        return rule(tokens) * self.scale\n"
        "    @staticmethod\n    def fixed(tokens):\n        return rule(tokens)\n"
        "    @classmethod\n    def of_class(cls, tokens):\n        return rule(tokens) * cls.scale\n"
        "    @property\n    def ready(self):\n        return rule(torch.ones(1))\n"
        "    def __call__(self, tokens):\n        return rule(tokens)\n"
        "class Child(Plain):\n    pass\n"
        "OBJECT = Plain()\nCHILD = Child()\n"
        "class Space:\n    obj = Plain()\n"
        "BOUND = OBJECT.rule\nSTATIC = Plain.fixed\nOF_CLASS = Plain.of_class\n"
        "PARTIAL = functools.partial(rule, factor=1)\n"
        "NESTED = functools.partial(functools.partial(rule), factor=1)\n"
        "LAMBDAS = {'a': [lambda tokens: rule(tokens)], 'b': None}\n"
        "DECORATED = loud(rule)\n"
        "@torch.no_grad()\ndef quiet(tokens):\n    return rule(tokens)\n"
        "@functools.singledispatch\ndef other(tokens):\n    return rule(tokens)\n"
        "def maker():\n    def inner(tokens):\n        return rule(tokens)\n    return inner\n"
        "MADE = maker()\n"
        "def default(tokens, f=rule):\n    return f(tokens)\n"
        "def keyword(tokens, *, f=rule):\n    return f(tokens)\n"
        "def nested(tokens):\n    def once(x):\n        return [rule(y) for y in x]\n    return once(tokens)[0]\n"
        "def body(tokens):\n    class Here:\n        value = rule(tokens)\n    return Here.value\n"
        "def later(tokens):\n    from shapes import rule as r\n    return r(tokens)\n"
        "def chosen(tokens):\n    import shapes\n    return getattr(shapes, 'rule')(tokens)\n"
        "rule.extra = rule\n"
    ),
}

REACHED = {
    "a.b.rule": "import own.deep.rules\n\ndef use(t):\n    return own.deep.rules.rule(t)",
    "a module under another name": "import own.deep.rules as r\n\ndef use(t):\n    return r.rule(t)",
    "from a package": "from own.deep import rules\n\ndef use(t):\n    return rules.rule(t)",
    "imported inside": "def use(t):\n    from own.deep.rules import rule\n    return rule(t)",
    "imported inside, by path": "def use(t):\n    import own.deep.rules\n    return own.deep.rules.rule(t)",
    "imported inside, renamed": "def use(t):\n    import own.deep.rules as q\n    return q.rule(t)",
    "imported inside, a nested function": (
        "def use(t):\n    from own.deep import rules\n    def g(x):\n        return rules.rule(x)\n    return g(t)"
    ),
    "getattr with a constant": "import own.deep.rules\n\ndef use(t):\n    return getattr(own.deep.rules, 'rule')(t)",
    "getattr with a default": "import flat\n\ndef use(t):\n    return getattr(flat, 'rule', None)(t)",
    "an alias made outside": "import flat\nR = flat.rule\n\ndef use(t):\n    return R(t)",
}  # fmt: skip

SHAPES = {
    name: f"import shapes\n\ndef use(t):\n    return shapes.{call}"
    for name, call in {
        "an object's method": "OBJECT.rule(t)",
        "an object called": "OBJECT(t)",
        "a property": "OBJECT.ready",
        "an inherited method": "CHILD.rule(t)",
        "an object in a class": "Space.obj.rule(t)",
        "a static method": "Plain.fixed(t)",
        "a class method": "Plain.of_class(t)",
        "a class made there": "Plain().rule(t)",
        "a bound method": "BOUND(t)",
        "a static method by itself": "STATIC(t)",
        "a bound class method": "OF_CLASS(t)",
        "partial": "PARTIAL(t)",
        "partial of partial": "NESTED(t)",
        "a lambda in a list in a dict": "LAMBDAS['a'][0](t)",
        "a decorated function": "DECORATED(t)",
        "decorated by a library": "quiet(t)",
        "dispatched by a library": "other.__wrapped__(t)",
        "a closure": "MADE(t)",
        "a default": "default(t)",
        "a keyword-only default": "keyword(t)",
        "a nested function": "nested(t)",
        "a class body": "body(t)",
        "an import inside a helper": "later(t)",
        "getattr inside a helper": "chosen(t)",
        "a function's attribute": "default.__call__(t)",
    }.items()
}


@pytest.fixture
def helpers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes helper modules and gives `use` of a text of code, freshly imported."""
    monkeypatch.syspath_prepend(str(tmp_path))
    known = set(sys.modules)

    def make(code: str, factor: int = 2) -> Callable[..., Any]:
        for name in set(sys.modules) - known:
            if name.partition(".")[0] in ("own", "flat", "shapes", "user"):
                del sys.modules[name]
        for file, text in {**HELPERS, "user.py": code}.items():
            path = tmp_path / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace("* 2", f"* {factor}"))
        importlib.invalidate_caches()
        sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
        module = importlib.import_module("user")
        sys.dont_write_bytecode = before
        return module.use

    yield make
    for name in set(sys.modules) - known:
        if name.partition(".")[0] in ("own", "flat", "shapes", "user"):
            del sys.modules[name]


@pytest.mark.parametrize("how", [*REACHED, *SHAPES])
def test_a_helper_counts_however_it_is_reached(helpers: Any, how: str) -> None:
    code = {**REACHED, **SHAPES}[how]
    first = carried(helpers(code))
    assert first.refused == []
    # The helper's own line is in what is priced, and another helper is another explanation.
    assert "* 2" in source_of(helpers(code)).text
    other = carried(helpers(code, factor=5))
    again = carried(helpers(code))
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_a_rule_costs_the_same_by_whatever_path_it_is_called() -> None:
    library = LIBRARY.get("strict_induction")

    @explanation(gives="pattern", reads=["tokens"])
    def strict_induction(view):  # type: ignore[no-untyped-def]
        """Attend as the library's rule does."""
        return ux.patterns.evenly(ux.patterns.after_earlier_occurrence(view.tokens))

    # By hand: three more characters `ux.` twice, and the same helpers.
    assert abs(strict_induction.source.bits - library.source.bits) <= 8 * 6
    assert library.source.bits == 2672


NUMBERS = torch.linspace(-1, 1, 5_000)
PLAIN: list[float] = NUMBERS.tolist()


@dataclasses.dataclass
class Settings:
    """Fields of a user's own."""

    weights: Any
    name: str = "x"


Pair = namedtuple("Pair", "first second")


class Slotted:
    """No dictionary."""

    __slots__ = ("weights",)

    def __init__(self, weights: Any) -> None:
        self.weights = weights


class Listed(list):  # type: ignore[type-arg]
    """A list of one's own."""


class Choice(enum.Enum):
    """Numbers under names."""

    FIRST = 1
    SECOND = 2


def objects(thing: Any) -> Any:
    """An array of Python's objects."""
    made = np.empty(2, dtype=object)
    made[0] = thing
    return made


HOLDERS: dict[str, Callable[[Any], Any]] = {
    "itself": lambda numbers: numbers,
    "list": lambda numbers: [numbers],
    "tuple": lambda numbers: (numbers,),
    "dict": lambda numbers: {"a": numbers},
    "dict in a list": lambda numbers: [{"a": [numbers]}],
    "ordered": lambda numbers: OrderedDict(a=numbers),
    "defaultdict": lambda numbers: defaultdict(list, a=numbers),
    "deque": lambda numbers: deque([numbers]),
    "mapping proxy": lambda numbers: types.MappingProxyType({"a": numbers}),
    "dataclass": lambda numbers: Settings(numbers),
    "named tuple": lambda numbers: Pair(numbers, 1),
    "slots": lambda numbers: Slotted(numbers),
    "list of one's own": lambda numbers: Listed([numbers]),
    "partial": lambda numbers: functools.partial(max, numbers),
    "object array": lambda numbers: objects(numbers),
}
KINDS: dict[str, Callable[[list[float]], Any]] = {
    "tensor": torch.tensor,
    "array": lambda numbers: np.array(numbers, dtype=np.float32),
    "wide array": np.array,
    "list": list,
    "tuple": tuple,
    "parameter": lambda numbers: torch.nn.Parameter(torch.tensor(numbers)),
    "columns": lambda numbers: torch.tensor(numbers).view(50, -1).T,
    "rows of a list": lambda numbers: [numbers[i : i + 50] for i in range(0, len(numbers), 50)],
}


def holding(held: Any) -> Callable[..., Any]:
    """In a closure."""

    def use(view):  # type: ignore[no-untyped-def]
        return view.tokens * len(held)

    return use


def by_default(held: Any) -> Callable[..., Any]:
    def use(view, values=held):  # type: ignore[no-untyped-def]
        return view.tokens * len(values)

    return use


def by_keyword(held: Any) -> Callable[..., Any]:
    def use(view, *, values=held):  # type: ignore[no-untyped-def]
        return view.tokens * len(values)

    return use


def by_global(held: Any) -> Callable[..., Any]:
    space: dict[str, Any] = {"HELD": held}
    exec("def use(view):\n    return view.tokens * len(HELD)", space)
    made: Callable[..., Any] = space["use"]
    return made


WAYS = (holding, by_default, by_keyword, by_global)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("kind", ["tensor", "list"])
def test_two_values_that_differ_in_the_middle_are_two_explanations(
    way: Callable[[Any], Callable[..., Any]], holder: str, kind: str
) -> None:
    changed = NUMBERS.clone()
    changed[2_500] += 1
    put, some = HOLDERS[holder], (NUMBERS, NUMBERS.clone(), changed)
    one, same, other = (carried(way(put(KINDS[kind](v.tolist())))) for v in some)
    assert one.refused == []
    assert one.fingerprint == same.fingerprint != other.fingerprint
    # 32 bits for each number, wherever it is: a float32 tensor's are all exactly that.
    beside = {"named tuple": 32}.get(holder, 0)
    assert one.bits == 32 * len(NUMBERS) + beside


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_numbers_cost_the_same_in_whatever_they_are_held(
    kind: str, way: Callable[[Any], Callable[..., Any]]
) -> None:
    as_tensor, other = source_of(way(NUMBERS)), source_of(way(KINDS[kind](PLAIN)))
    assert other.held == as_tensor.held == 32 * len(NUMBERS)
    assert other.bits == as_tensor.bits


@pytest.mark.parametrize(
    ("numbers", "bits"),
    [
        ([0.5, 0.25], 64), ([0.1], 64), ([True, False, True], 3), ([7, -(2**31)], 64),
        ([2**31], 64), ([2**200], 7 * 32), ([1 + 2j], 64), ([float("nan"), float("inf")], 64),
        ([b"abc"], 24), (np.zeros(4, np.uint8), 128), (torch.zeros(3, dtype=torch.bool), 3),
        (torch.zeros(2, dtype=torch.bfloat16), 64), (torch.zeros(2, dtype=torch.complex64), 128),
        (torch.tensor([1, 2**40]), 96), (torch.tensor([0.1, 0.5], dtype=torch.float64), 96),
        ({3: 4}, 64), ({1, 2, 3}, 96), ([[0.1] * 20, [1] * 20, [True] * 20], 20 * (64 + 32 + 1)),
    ],
)  # fmt: skip
def test_numbers_cost_what_was_worked_out_by_hand(numbers: Any, bits: int) -> None:
    assert carried(holding(numbers)).bits == bits


def test_a_long_text_is_charged_whole() -> None:
    words = "".join(np.random.default_rng(0).choice(list("abcdefghijklmnop"), 4_000))
    for held in (words, [words], {"a": words}, Settings(1, words)):
        # Sixteen letters at random: 4 bits each, as deflate finds too.
        assert 16_000 < source_of(holding(held)).bits < 19_500


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ([1], (1,)), (1, True), (1, 1.0), ([1], [1.0]),
        (torch.zeros(2), torch.zeros(2, 1)), (torch.zeros(2), torch.zeros(2, dtype=torch.int32)),
        ([[1], [2]], [[1, 2], []]), (["a b"], ["a", "b"]), (0.0, -0.0), (None, "None"),
        (Choice.FIRST, Choice.SECOND), (Decimal("1.0"), Decimal("1.00")), (range(3), range(4)),
        (torch.float32, torch.float64), (np.float32(1), np.float64(1)), (slice(1), slice(2)),
    ],
)  # fmt: skip
def test_values_that_are_told_apart_by_python_are_told_apart(one: Any, other: Any) -> None:
    assert carried(holding(one)).refused == carried(holding(other)).refused == []
    assert carried(holding(one)).fingerprint != carried(holding(other)).fingerprint


def test_a_fingerprint_does_not_depend_on_the_order_of_a_set_or_on_where_things_lie() -> None:
    words = [f"w{i}" for i in range(50)]
    one, other = (carried(holding({*some})).fingerprint for some in (words, words[::-1]))
    assert one == other
    assert (
        carried(holding(Settings([1]))).fingerprint == carried(holding(Settings([1]))).fingerprint
    )
    held = [{"b", "a"}, Settings([1.5]), Choice.FIRST, lambda x: x in {"p", "q"}, object(), max]
    marks = [str(mark) for mark in carried(holding(held)).marks]
    assert not any(" at 0x" in mark or str(id(thing)) in mark for mark in marks for thing in held)


def test_layout_and_prose_are_not_in_a_fingerprint_and_code_and_constants_are() -> None:
    def made(body: str) -> str:
        space: dict[str, Any] = {}
        exec(f"def use(view):\n{body}", space)
        return carried(space["use"]).fingerprint

    plain = made("    return view.tokens * 2")
    assert plain == made("    'A claim.'\n    # a word\n\n    return (view.tokens\n        * 2)")
    assert plain != made("    return view.tokens * 3")
    assert made("    return 'a'") != made("    return 'b'")
    assert made("    return lambda x: 2") != made("    return lambda x: 3")


def test_lambdas_of_one_line_are_priced_apart() -> None:
    first, second = (lambda t: t * 2), (lambda t: t + t + t + t + t)
    assert source_of(first).text == "lambda t: t * 2"
    assert source_of(second).text == "lambda t: t + t + t + t + t"


class Computed:
    """Gives whatever it is asked for."""

    def __getattr__(self, name: str) -> Any:
        return len(name)


def test_an_object_that_computes_its_attributes_counts_with_what_computes_them() -> None:
    thing = Computed()

    def use(view):  # type: ignore[no-untyped-def]
        return view.tokens * thing.anything

    assert "return len(name)" in source_of(use).text


NAME = "rule"
OPEN = open
LINES = iter([1, 2, 3])


def _cached(x: int) -> int:
    return x


CACHED = functools.lru_cache(_cached)


def eval_(view):  # type: ignore[no-untyped-def]
    return eval("view.tokens")


def exec_(view):  # type: ignore[no-untyped-def]
    exec("x = 1")


def globals_(view):  # type: ignore[no-untyped-def]
    return globals()["PLAIN"]


def import_(view):  # type: ignore[no-untyped-def]
    return __import__("os")


def importlib_(view):  # type: ignore[no-untyped-def]
    return importlib.import_module("flat").rule(view)


def computed(view):  # type: ignore[no-untyped-def]
    return getattr(torch, NAME)(view)


def handed_on(view):  # type: ignore[no-untyped-def]
    return list(map(getattr, [torch], [NAME]))


def opened(view):  # type: ignore[no-untyped-def]
    return open("x").read()  # noqa: PTH123


def opened_under_another_name(view):  # type: ignore[no-untyped-def]
    return OPEN("x").read()


def torch_load(view):  # type: ignore[no-untyped-def]
    return torch.load("x")


def numpy_load(view):  # type: ignore[no-untyped-def]
    return np.load("x")


def numpy_loadtxt(view):  # type: ignore[no-untyped-def]
    return np.loadtxt("x")


def by_path(view):  # type: ignore[no-untyped-def]
    return Path("x").read_text()


def ctypes_(view):  # type: ignore[no-untyped-def]
    import ctypes

    return ctypes.CDLL("x")


def environment(view):  # type: ignore[no-untyped-def]
    import os

    return os.environ["X"]


def clock(view):  # type: ignore[no-untyped-def]
    from time import time

    return time()


def chance(view):  # type: ignore[no-untyped-def]
    import random

    return random.random()


def numpy_chance(view):  # type: ignore[no-untyped-def]
    return np.random.rand.__call__(3)


def module_as_value(view):  # type: ignore[no-untyped-def]
    return vars_of(tiny)


def vars_of(thing):  # type: ignore[no-untyped-def]
    return thing.tokens()


def writes_a_global(view):  # type: ignore[no-untyped-def]
    global NAME
    NAME = "x"


def writes_to_a_module(view):  # type: ignore[no-untyped-def]
    tiny.VOCABULARY = 3


def through_globals(view):  # type: ignore[no-untyped-def]
    return vars_of.__globals__["PLAIN"]


def through_frames(view):  # type: ignore[no-untyped-def]
    return view.frame.f_back


def an_iterator(view):  # type: ignore[no-untyped-def]
    return next(LINES)


def a_cache(view):  # type: ignore[no-untyped-def]
    return CACHED(3)


def loads_a_model(view):  # type: ignore[no-untyped-def]
    return ux.load("rung-5")


import tiny  # noqa: E402  (a module of one's own)

REFUSED = {
    eval_: "eval", exec_: "exec", globals_: "globals", import_: "__import__",
    importlib_: "importlib", computed: "getattr", handed_on: "getattr", opened: "open",
    opened_under_another_name: "OPEN", torch_load: "torch.load", numpy_load: "np.load",
    numpy_loadtxt: "np.loadtxt", by_path: "Path", ctypes_: "ctypes", environment: "os'",
    clock: "time", chance: "random", numpy_chance: "np.random.rand", module_as_value: "tiny",
    writes_a_global: "NAME", writes_to_a_module: "tiny.VOCABULARY",
    through_globals: "__globals__", through_frames: "f_back", an_iterator: "LINES",
    a_cache: "CACHED", loads_a_model: "",
}  # fmt: skip


@pytest.mark.parametrize("function", REFUSED, ids=lambda function: function.__name__)
def test_what_cannot_be_followed_is_refused_by_name(function: Callable[..., Any]) -> None:
    function.__doc__ = "A claim."
    claim = explanation(gives="pattern", reads=["tokens"])(function)
    with pytest.raises(ExplanationError, match=f"'{claim.written}'.*carries '{REFUSED[function]}"):
        counted(claim)


class OwnModel(torch.nn.Linear):
    """A model under a name of one's own."""


class Dice(random.Random):
    """A generator under a name of one's own."""


@pytest.mark.parametrize(
    "held",
    [
        torch.nn.Linear(2, 2), OwnModel(2, 2), Dice(0), np.random.default_rng(0), torch.Generator(),
        iter([1]), object,
        (i for i in range(3)), types.SimpleNamespace(a=1), sys, Path("x"), contextlib.ExitStack(),
        torch.zeros(2).to_sparse(), torch.zeros(2, device="meta"), type(torch), sys.stdout,
        memoryview(b"x"), functools.cmp_to_key(max), typing, torch.jit.script(torch.nn.ReLU()),
    ],
    ids=lambda held: type(held).__name__,
)  # fmt: skip
def test_what_has_a_state_of_its_own_is_refused_wherever_it_is_held(held: Any) -> None:
    words = held is object or held is typing or held is type(torch)
    for holder in HOLDERS.values():
        for way in (holding, by_default):
            assert bool(carried(way(holder(held))).refused) is not words


def test_ordinary_code_is_not_refused() -> None:
    @explanation(gives="pattern", reads=["tokens"])
    def ordinary(view):  # type: ignore[no-untyped-def]
        """Uses much of the language."""
        from math import pi

        seed = torch.Generator().manual_seed(0)
        noise = torch.rand(3, generator=seed) + np.random.default_rng(0).random() * pi
        names = sorted({str(x): hasattr(view, "tokens") for x in range(3)}, key=str.upper)
        with torch.no_grad(), contextlib.suppress(ValueError):
            words = np.add.reduce(np.arange(3)) + sum(len(name) for name in names)
        found = torch.nn.functional.one_hot(view.tokens, 9) @ torch.ones(9, 9, dtype=torch.long)
        return found + noise[0] + words + view.tokens[0, 0] + np.pi + np.float32(2)

    assert counted(ordinary).refused == []


# Members of each kind that were thought of afterwards


def other_ways(rule: Callable[..., Any], extra: Any) -> dict[str, Callable[..., Any]]:
    """Functions that reach a rule, or a value, by ways of their own."""

    def tagged(view):  # type: ignore[no-untyped-def]
        return view.tokens * len(tagged.extra)  # type: ignore[attr-defined]

    tagged.extra = extra  # type: ignore[attr-defined]
    tensor = torch.zeros(3)
    tensor.extra = extra  # type: ignore[attr-defined]

    @dataclasses.dataclass(slots=True)
    class Fielded:
        weights: Any = extra

    @dataclasses.dataclass
    class Factory:
        weights: Any = dataclasses.field(default_factory=lambda: rule)

    class Meta(type):
        def __getattr__(cls, name: str) -> Any:
            return rule

    class Strange(metaclass=Meta):
        pass

    class Described:
        def __get__(self, thing: Any, kind: Any) -> Any:
            return rule

    class Owner:
        rule = Described()

    class Cached:
        @functools.cached_property
        def rule(self) -> Any:
            return rule

        half = functools.partialmethod(lambda self, by, x: rule(x) * by, 0.5)

    class Context:
        def __enter__(self) -> Any:
            return rule

        def __exit__(self, *args: object) -> None:
            pass

    owner, cached = Owner(), Cached()
    table = {"by name": {"rules": (rule,)}}
    return {
        "an attribute of itself": tagged,
        "an attribute of a tensor": lambda view: view.tokens * len(tensor.extra),  # type: ignore
        "a default of a field with slots": lambda view: Fielded().weights,
        "what makes a field": lambda view: Factory().weights(view),
        "a class of a class": lambda view: Strange.anything(view),
        "a descriptor": lambda view: owner.rule(view),
        "a cached property": lambda view: cached.rule(view),
        "a partial method": lambda view: cached.half(view),
        "a context": lambda view: [r(view) for r in [Context().__enter__()]],
        "a tuple in a dict in a dict": lambda view: table["by name"]["rules"][0](view),
        "a chain of maps": lambda view: functools.reduce(lambda x, f: f(x), (rule, rule), view),
        "a conditional": lambda view: (rule if view else len)(view),
        "a generator": lambda view: next(rule(x) for x in [view]),
        "a class made as it runs": lambda view: type("X", (), {"f": staticmethod(rule)}).f(view),
        "a walrus": lambda view: (r := rule) and r(view),
        "a default in a lambda": lambda view, r=rule: r(view),
        "a method of a list": lambda view: [rule].__getitem__(0)(view),
    }


@pytest.mark.parametrize("way", other_ways(abs, None))
def test_a_rule_counts_by_ways_that_were_thought_of_later(way: str) -> None:
    def two(x: Any) -> Any:
        return x * 2

    def same(x: Any) -> Any:
        return x * 2

    def five(x: Any) -> Any:
        return x * 5

    found = [carried(other_ways(rule, (rule,))[way]) for rule in (two, same, five)]
    assert [one.refused for one in found] == [[], [], []]
    assert found[0].fingerprint == found[1].fingerprint != found[2].fingerprint
    assert "return x * 2" in source_of(other_ways(two, (two,))[way]).text


def test_a_wrapper_of_ones_own_counts_though_it_takes_over_the_name_of_a_librarys_function() -> (
    None
):
    @functools.wraps(torch.nn.functional.relu)
    def wrapper(x: Any) -> Any:
        return x * 77

    assert "x * 77" in source_of(lambda view: wrapper(view.tokens)).text


def test_a_module_of_ones_own_under_the_name_of_pythons_counts(helpers: Any) -> None:
    code = "import own.table as statistics\n\ndef use(t):\n    return statistics.NUMBERS[0] * t"
    assert carried(helpers(code)).bits == 3 * 32


@pytest.mark.parametrize(
    "code",
    [
        "import flat\n\ndef use(t):\n    r = flat\n    return r.rule(t)",
        "import flat\n\ndef use(t, r=flat):\n    return r.rule(t)",
        "import flat\nALL = {'a': flat}\n\ndef use(t):\n    return ALL['a'].rule(t)",
        "import flat\n\ndef use(t):\n    return flat.__dict__['rule'](t) or vars(flat)",
        "import flat\n\ndef use(t):\n    return getattr(flat, 'ru' + t)(t)",
        "def use(t):\n    import flat\n    return [getattr(flat, n)(t) for n in t]",
        "import operator\nimport flat\n\ndef use(t):\n    return operator.attrgetter('rule')(flat)(t)",
        "import flat\n\ndef use(t):\n    flat.rule = None\n    return t",
        "def use(t):\n    import not_there\n    return not_there.rule(t)",
        "import builtins\n\ndef use(t):\n    return builtins.eval('t')",
        "def use(t):\n    return __builtins__['eval']('t')",
        "from os import path\n\ndef use(t):\n    return path.exists('x')",
        "import io\n\ndef use(t):\n    return io.open('x')",
        "import sys\n\ndef use(t):\n    return sys.modules['flat'].rule(t)",
        "import sys\n\ndef use(t):\n    return sys._getframe(1)",
        "import torch\n\ndef use(t):\n    return torch.hub.load('a', 'b')",
        "import torch\n\ndef use(t):\n    return torch.jit.load('a')",
        "import numpy\n\ndef use(t):\n    return numpy.memmap('a')",
        "import transformers\n\ndef use(t):\n    return transformers.AutoModel.from_pretrained('a')",
        "import datetime\n\ndef use(t):\n    return datetime.datetime.now()",
        "import re\nP = re.compile('a')\nM = P.finditer('aa')\n\ndef use(t):\n    return next(M)",
        "import threading\nX = threading.local()\n\ndef use(t):\n    return X.a",
        "import numpy as np\nR = np.random.RandomState(0)\n\ndef use(t):\n    return R.rand()",
        "import numpy as np\nRAND = np.random.rand\n\ndef use(t):\n    return RAND()",
        "import random\nR = random.Random(0)\n\ndef use(t):\n    return R.random()",
        "import array\nA = array.array('d', [1])\n\ndef use(t):\n    return A[0]",
        "import numpy as np\nA = np.ma.array([1])\n\ndef use(t):\n    return A[0]",
        "import numpy as np\nA = np.zeros(2, [('a', object)])\n\ndef use(t):\n    return A[0]",
        "class C:\n    n = 0\nc = C()\n\ndef use(t):\n    global c\n    c = C()\n    return t",
    ],
)  # fmt: skip
def test_what_cannot_be_followed_is_refused_in_forms_that_were_thought_of_later(
    helpers: Any, code: str
) -> None:
    assert carried(helpers(code)).refused != []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": [(1, {"b": torch.zeros(3)})]}, {"a": [(1, {"b": torch.ones(3)})]}),
        (np.array(["a", "b"]), np.array(["a", "c"])),
        (np.array(["2020-01-01"], "M8[D]"), np.array(["2020-01-02"], "M8[D]")),
        (np.zeros(2, [("a", "f4")]), np.ones(2, [("a", "f4")])),
        ({frozenset({1, 2})}, {frozenset({1, 3})}), (Listed([1]), Listed([2])),
        (torch.zeros(2, 2).T, torch.zeros(2, 2).T + torch.eye(2)),
        (torch.tensor([1 + 2j]).conj(), torch.tensor([1 + 2j])),
        (torch.zeros(()), torch.ones(())), (torch.empty(0), torch.empty(0, 2)),
        (torch.zeros(1).as_strided((1,), (0,)), torch.ones(1).as_strided((1,), (0,))),
        (torch.full((2,), 1.0, dtype=torch.bfloat16), torch.full((2,), 2.0, dtype=torch.bfloat16)),
        (Settings(Settings(Settings(1))), Settings(Settings(Settings(2)))),
        (bytearray(b"a"), bytearray(b"b")), (Pair(1, 2), Pair(1, 3)), (len, max),
        (functools.partial(max, 1), functools.partial(max, 2)), (str.upper, str.lower),
        (torch.relu, torch.sigmoid), (np.add, np.multiply), ([1, 2].count, [1, 3].count),
    ],
)  # fmt: skip
def test_values_in_other_holders_are_told_apart(one: Any, other: Any) -> None:
    found = [carried(holding(held)) for held in (one, other)]
    assert found[0].refused == found[1].refused == []
    assert found[0].fingerprint != found[1].fingerprint


def test_a_thing_that_holds_itself_is_followed_once() -> None:
    held: list[Any] = [1.5]
    held.append(held)
    assert carried(holding(held)).bits == 32
    thing = Settings([0.5])
    thing.name = thing  # type: ignore[assignment]
    assert carried(holding(thing)).bits == 32


def test_what_is_nested_without_end_is_refused() -> None:
    held: list[Any] = []
    for _ in range(100_000):
        held = [held]
    assert carried(holding(held)).refused
    while held:  # so that it is taken apart without recursion
        held = held[0]


def test_a_name_that_is_made_later_counts_from_then_on() -> None:
    space: dict[str, Any] = {}
    exec("def use(view):\n    return later(view)", space)
    before = carried(space["use"]).fingerprint
    exec("def later(view):\n    return 1", space)
    after = carried(space["use"]).fingerprint
    exec("def later(view):\n    return 2", space)
    assert len({before, after, carried(space["use"]).fingerprint}) == 3


def test_a_file_that_changed_after_it_was_imported_prices_what_runs(tmp_path: Path) -> None:
    path = tmp_path / "rules.py"
    path.write_text("def use(view):\n    return view.tokens * 2\n")
    space: dict[str, Any] = {}
    exec(compile(path.read_text(), str(path), "exec", dont_inherit=True), space)
    path.write_text("def use(view):\n    return view.tokens * 3\n")
    assert "* 3" not in source_of(space["use"]).text
    fresh: dict[str, Any] = {}
    exec(compile(path.read_text(), str(path), "exec", dont_inherit=True), fresh)
    assert source_of(fresh["use"]).text == "def use(view):\n    return view.tokens * 3"
    assert carried(space["use"]).fingerprint != carried(fresh["use"]).fingerprint


def test_an_explanation_file_is_refused_before_a_model_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "claims.py"
    path.write_text(
        "import unexplained as ux\nimport torch\nMODEL = torch.nn.Linear(2, 2)\n"
        "@ux.explanation(gives='pattern', reads=['tokens'])\n"
        "def mine(view):\n    'A claim.'\n    return MODEL(view.tokens)\n"
    )
    with pytest.raises(ExplanationError, match=r"'mine'.*carries 'MODEL', a torch.nn.*Linear"):
        find_explanation(str(path))
    path.write_text("import sys\nsys.exit(0)\n")
    with pytest.raises(ExplanationError, match=r"(?s)raised.*SystemExit"):
        find_explanation(str(path))
