"""What an explanation is given cannot be written through, and what it holds is looked at when used."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import unexplained as ux
from test_assay import make_text
from tiny import VOCABULARY, tiny_subject
from unexplained.errors import ExplanationError
from unexplained.evaluate import Condition, Edited, Other, evaluate, observe
from unexplained.evaluate.conditions import joint, key, now
from unexplained.explanations import Explanation, Fitted, explanation, fit, fit_program
from unexplained.explanations.calibration import Calibration
from unexplained.explanations.fit import sites_to_observe
from unexplained.ledger import Ledger
from unexplained.subject import Batch, Subject
from unexplained.text import Text
from unexplained.text.counts import count
from unexplained.text.ngrams import NGram, ngram

WHERE = "L1.H1"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNEXPLAINED_CACHE", str(tmp_path / "cache"))


@cache
def bench() -> tuple[Subject, Text]:
    rng = np.random.default_rng(0)
    rows, more = (rng.integers(0, VOCABULARY, (6, 12)) for _ in range(2))
    subject = tiny_subject("llama")
    return subject, make_text("random", subject, rows, more)


def fitted(claim: Explanation, where: str = WHERE) -> Fitted:
    subject, text = bench()
    sites = subject.sites(where)
    activations = observe(subject, text, sites_to_observe(claim, sites, subject.shape))
    return fit(claim.at(where), subject.shape, activations, 0)


def measured(*conditions: Condition, folder: Path | None = None) -> Ledger:
    subject, text = bench()
    return evaluate(subject, text, conditions, folder=folder)


def losses(ledger: Ledger, name: str) -> list[float]:
    return list(map(float, ledger.sums(name).loss))


def claim_of(function: Callable[[Any], Any], *reads: str, gives: str = "pattern") -> Explanation:
    function.__doc__ = "A claim."
    return explanation(gives=gives, reads=["tokens", *reads])(function)


def even(view: Any) -> Any:
    """Attend to the token itself."""
    return torch.eye(view.tokens.shape[1]).expand(len(view.tokens), -1, -1)


OWN = {
    "tokens": lambda view: view.tokens, "q": lambda view: view.q, "k": lambda view: view.k,
    "v": lambda view: view.v, "pattern": lambda view: view.pattern, "z": lambda view: view.z,
    "out": lambda view: view.out,
}  # fmt: skip
GIVEN = (*OWN, "L0.resid_pre", "L0.resid_post",
         "L1.resid_pre", "L0.H0.z", "L0.mlp", "L1.H0.v", "L1.H0.z")  # fmt: skip


def overwrite(view: Any, name: str, *, politely: bool) -> None:
    """Write to what is given, or to a copy of it."""
    read = view.site(name) if "." in name else OWN[name](view)
    for one in (read, read[1:], read.detach(), read.T if read.dim() == 2 else read.mT):
        (one.clone() if politely else one).fill_(5)


@pytest.mark.parametrize("name", GIVEN)
@pytest.mark.parametrize("effect", ["total", "direct"])
def test_writing_to_what_is_given_changes_nothing(name: str, effect: Any, tmp_path: Path) -> None:
    def writer(view: Any) -> Any:
        overwrite(view, name, politely=False)
        return even(view)

    def polite(view: Any) -> Any:
        overwrite(view, name, politely=True)
        return even(view)

    reads = [] if name == "tokens" else [name]
    # Beside it, in the same pass and in the same batch: a head with the same keys, a later one.
    others = [fitted(claim_of(even), where).condition() for where in ("L1.H0", "L2.H0")]
    joined = [
        joint("joined", [fitted(claim_of(one, *reads)).condition(), *others])
        for one in (polite, writer)
    ]
    pairs = [fitted(claim_of(one, *reads)).condition(effect) for one in (polite, writer)]
    tables = [Edited("other", others[0].edits, others[0].fingerprint)]
    before = measured(pairs[0], joined[0], *tables)
    after = measured(pairs[1], joined[1], *tables, folder=tmp_path)
    for one, other in ((pairs[0].name, pairs[1].name), ("joined", "joined"), ("other", "other"),
                       ("intact", "intact")):  # fmt: skip
        assert losses(before, one) == losses(after, other)
    # and in what is kept
    assert losses(measured(*tables, folder=tmp_path), "other") == losses(before, "other")
    _, text = bench()
    assert all(int(block.tokens.max()) > 5 for block in text.eval)


def test_writing_while_it_is_fitted_changes_nothing() -> None:
    def writer(view: Any) -> Any:
        overwrite(view, "v", politely=False)
        overwrite(view, "tokens", politely=False)
        return even(view)

    def polite(view: Any) -> Any:
        overwrite(view, "v", politely=True)
        return even(view)

    subject, text = bench()
    sites = subject.sites(WHERE)
    for variant in (lambda e: e.gated(), lambda e: e.affine(), lambda e: e.on_shuffled()):
        found = []
        for one in (polite, writer):
            claim = variant(claim_of(one, "v"))
            activations = observe(subject, text, sites_to_observe(claim, sites, subject.shape))
            made = fit(claim.at(WHERE), subject.shape, activations, 0)
            ledger = measured(made.condition())
            found.append((losses(ledger, claim.name), made.gates))
            kept = [batch.tokens for batch, _ in activations.batches]
            assert torch.cat(kept).unique().numel() > 20
        assert found[0] == found[1]


def test_a_program_that_writes_to_its_tokens_moves_no_other_row() -> None:
    def writer(view: Any) -> Any:
        scores = torch.nn.functional.one_hot(view.tokens, view.vocabulary).float()
        view.tokens.fill_(5)
        return scores + torch.nn.functional.one_hot(view.tokens, view.vocabulary)

    _, text = bench()
    program = fit_program(claim_of(writer, gives="logits"), text)
    tokens = torch.tensor([[3, 9, 9, 20], [1, 1, 2, 2]])
    kept = tokens.clone()
    batch = Batch.of(tokens)
    columns = program.predict(batch, torch.ones_like(tokens, dtype=torch.bool))
    assert torch.equal(tokens, kept)
    # By hand: the token itself has two votes of one, every other none.
    normal = torch.log(torch.tensor(torch.e**2 + VOCABULARY - 1))
    said = columns(slice(0, VOCABULARY))
    assert torch.allclose(said.gather(1, tokens.view(-1, 1)), 2 - normal)


def test_what_is_returned_may_be_written_to_again_for_the_next_head() -> None:
    buffer = torch.zeros(6, 12, 8)

    def reusing(view: Any) -> Any:
        here = buffer[:, : view.z.shape[1]]  # it is asked about documents that are cut off too
        here.data.copy_(view.z * 0.5)  # past the count of writes
        return here

    def fresh(view: Any) -> Any:
        return view.z * 0.5

    found = [
        measured(
            fitted(claim_of(one, "z", gives="z"), "L1.H0 L1.H1").condition(),
        )
        for one in (reusing, fresh)
    ]
    assert losses(found[0], "reusing") == losses(found[1], "fresh")


def test_writing_to_predictions_does_not_change_the_table_that_they_come_from() -> None:
    table = ngram(count([np.arange(VOCABULARY, dtype=np.int32)], VOCABULARY)[0], 1)
    before = table.lower.clone()
    Calibration(1.0, 1.0, table).log_probs(torch.zeros(1, VOCABULARY)).fill_(3.0)
    assert torch.equal(table.lower, before)


@dataclasses.dataclass
class Holder:
    """A field that may be written to."""

    value: float = 1.0


TENSOR, ARRAY, LIST, DICT, HOLDER = torch.ones(3), np.ones(3), [1.0, 1.0], {"a": 1.0}, Holder()
TABLE: NGram = ngram(count([np.arange(VOCABULARY, dtype=np.int32)], VOCABULARY)[0], 1)
SEEN: list[Any] = []
BUFFER = torch.zeros(6, 12, 12)


def counts(view: Any) -> Any:
    LIST.append(1.0)
    return even(view) / len(LIST)


def keeps(view: Any) -> Any:
    SEEN.append(view.tokens)
    return even(view)


def fills(view: Any) -> Any:
    TENSOR.mul_(0.5)
    return even(view) * TENSOR[0]


def fills_an_array(view: Any) -> Any:
    ARRAY[1] *= 0.5
    return even(view) * float(ARRAY[1])


def notes(view: Any) -> Any:
    DICT["a"] *= 0.5
    return even(view) * DICT["a"]


def sets(view: Any) -> Any:
    HOLDER.value *= 0.5
    return even(view) * HOLDER.value


def writes_to_a_table(view: Any) -> Any:
    TABLE.log_probs(view.tokens[0, :1])(slice(0, 5)).fill_(-1.0)
    return even(view)


def uses_a_buffer(view: Any) -> Any:
    part = BUFFER[: len(view.tokens)]
    part.copy_(even(view))
    return part


WRITERS = {counts: "LIST", keeps: "SEEN", fills: "TENSOR", fills_an_array: "ARRAY", notes: "DICT",
           sets: "HOLDER", writes_to_a_table: "TABLE", uses_a_buffer: "BUFFER"}  # fmt: skip


@pytest.mark.parametrize("function", WRITERS, ids=lambda function: function.__name__)
def test_an_explanation_that_changes_what_it_holds_is_refused_by_name(
    function: Callable[[Any], Any],
) -> None:
    claim = claim_of(function)
    with pytest.raises(ExplanationError, match=f"'{claim.name}'.*changed '{WRITERS[function]}"):
        measured(fitted(claim).condition())


# Values when used


def makers() -> dict[str, tuple[Callable[[Any], Any], Callable[[], object]]]:
    """Explanations that say 1 × a pattern, and what makes them say ½ ×."""
    tensor, array, listed, named, holder = (
        torch.ones(3), np.ones(3), [1.0, 1.0], {"a": [1.0]}, Holder(),
    )  # fmt: skip
    space = {"even": even}
    exec("def rule():\n    return 1.0\ndef use(view):\n    return even(view) * rule()", space)
    half = "def rule():\n    return 0.5"
    scale = 1.0

    def rebind() -> None:
        nonlocal scale
        scale = 0.5

    def default(view: Any, by: float = 1.0) -> Any:
        return even(view) * by

    class Rule:
        def by(self) -> float:
            return 1.0

    rule = Rule()
    table = ngram(count([np.arange(VOCABULARY, dtype=np.int32)], VOCABULARY)[0], 0)
    usual = float(table.lower[0])
    return {
        "a tensor in place": (lambda v: even(v) * tensor[1], lambda: tensor[1:2].fill_(0.5)),
        "a tensor past its counter": (
            lambda v: even(v) * tensor[1], lambda: tensor.data.fill_(0.5)),
        "an array": (lambda v: even(v) * float(array[1]), lambda: array.__setitem__(1, 0.5)),
        "a list": (lambda v: even(v) * listed[-1], lambda: listed.append(0.5)),
        "a list in a dict": (lambda v: even(v) * named["a"][0], lambda: named["a"].insert(0, 0.5)),
        "an object": (lambda v: even(v) * holder.value, lambda: setattr(holder, "value", 0.5)),
        "a helper": (space["use"], lambda: exec(half, space)),
        "a closure": (lambda v: even(v) * scale, rebind),
        "a default": (default, lambda: setattr(default, "__defaults__", (0.5,))),
        "a method": (lambda v: even(v) * rule.by(), lambda: setattr(Rule, "by", lambda self: 0.5)),
        "code": (space["use"], lambda: setattr(space["use"], "__code__", (
            lambda view: even(view) * 0.5).__code__)),
        "a table": (lambda v: even(v) * float(table.lower[0]) / usual,
                    lambda: table.lower.mul_(0.5)),
    }  # type: ignore[return-value]  # fmt: skip


@pytest.mark.parametrize("kind", makers())
def test_what_changed_since_is_measured_again_under_a_name_of_its_own(
    kind: str, tmp_path: Path
) -> None:
    function, change = makers()[kind]
    claim = explanation(gives="pattern", reads=["tokens"], name="claim")(_said(function))
    condition = fitted(claim).condition()
    first = losses(measured(condition, folder=tmp_path), "claim")
    assert first == losses(measured(condition, folder=tmp_path), "claim")
    change()
    second = losses(measured(condition, folder=tmp_path), "claim")
    right = claim_of(lambda view: even(view) * 0.5)
    assert second == losses(measured(fitted(right).condition()), right.name) != first
    again = losses(measured(fitted(claim).condition(), folder=tmp_path), "claim")
    assert again == second


@pytest.mark.parametrize("kind", makers())
@pytest.mark.parametrize("variant", ["gated", "affine", "on_shuffled"])
def test_what_was_fitted_to_something_that_changed_is_refused(kind: str, variant: str) -> None:
    function, change = makers()[kind]
    claim = explanation(gives="pattern", reads=["tokens"], name="claim")(_said(function))
    condition = fitted(getattr(claim, variant)()).condition()
    assert key(now(condition)) == key(now(condition))
    change()
    with pytest.raises(ExplanationError, match=r"'claim' in its variant 'claim, .*since.*Fit it"):
        now(condition)


@pytest.mark.parametrize("kind", makers())
def test_a_program_is_what_it_holds_when_it_is_measured(kind: str, tmp_path: Path) -> None:
    function, change = makers()[kind]
    claim = explanation(gives="logits", reads=["tokens"], name="claim")(
        _said(lambda view: function(view).sum(-1, keepdim=True) * torch.arange(VOCABULARY) / 9)
    )
    _, text = bench()
    program = fit_program(claim, text)
    calibrated = fit_program(claim.calibrated(), text)
    first = losses(measured(program.condition(), folder=tmp_path), "claim")
    change()
    second = losses(measured(program.condition(), folder=tmp_path), "claim")
    assert second == losses(measured(fit_program(claim, text).condition()), "claim") != first
    with pytest.raises(ExplanationError, match="since"):
        measured(calibrated.condition())


def test_tables_and_donors_that_are_written_to_are_others(tmp_path: Path) -> None:
    _, text = bench()
    table = ngram(count([np.arange(VOCABULARY, dtype=np.int32)], VOCABULARY)[0], 1)
    first = losses(measured(Other("table", table), folder=tmp_path), "table")
    table.lower.copy_(torch.randn(VOCABULARY).log_softmax(-1))
    second = losses(measured(Other("table", table), folder=tmp_path), "table")
    assert second == losses(measured(Other("table", table)), "table") != first
    claim = claim_of(lambda view: even(view).sum(-1, keepdim=True) * torch.arange(VOCABULARY),
                     gives="logits")  # fmt: skip
    for one, change in (
        (
            fit_program(claim.on_shuffled(), text),
            lambda p: p.elsewhere.documents.batches[0][0].tokens,
        ),
        (fit_program(claim.calibrated(), text), lambda p: p.calibration.unigram.lower),
    ):
        before = one.fingerprint
        assert before == one.fingerprint
        change(one)[..., :3] = 1
        assert before != one.fingerprint


def test_a_length_is_that_of_what_is_held_now() -> None:
    values = [0.5] * 10
    claim = claim_of(lambda view: even(view) * values[0])
    made = fitted(claim)
    before = made.description.code_bits
    values.extend([0.25] * 1000)
    # 32 bits for each; "#10" became "#1010"
    assert 32_000 <= made.description.code_bits - before <= 32_000 + 8 * 3


def _said(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    function.__doc__ = "A claim."
    return function


# Names in errors


def bad(view: Any) -> Any:
    """Returns what no pattern is."""
    return torch.full((len(view.tokens), *view.tokens.shape[1:] * 2), 7.0)


VARIANTS: dict[str, Callable[[Explanation], Explanation]] = {
    "bad2, affine, shuffled": lambda one: one.affine().on_shuffled(),
    "bad2, shuffled": lambda one: one.on_shuffled(),
    "bad2, gated": lambda one: one.gated(),
    "bad2, rest first": lambda one: one.with_rest("first"),
    "bad2, rest first, affine": lambda one: one.with_rest("first").affine(),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_errors_name_the_explanation_that_was_written_and_say_which_variant(name: str) -> None:
    claim = explanation(gives="pattern", reads=["tokens"], name="bad2")(bad)
    with pytest.raises(ExplanationError) as caught:
        measured(fitted(VARIANTS[name](claim)).condition())
    assert str(caught.value).startswith(
        f"The explanation 'bad2' in its variant '{name}' at {WHERE}"
    )
    with pytest.raises(ExplanationError) as caught:
        measured(fitted(claim).condition())
    assert str(caught.value).startswith(f"The explanation 'bad2' at {WHERE}")


def test_an_assay_of_an_explanation_that_fails_names_it_alone() -> None:
    subject, text = bench()
    claim = explanation(gives="pattern", reads=["tokens"], name="bad2")(bad)
    with pytest.raises(ExplanationError) as caught:
        ux.assay(subject, WHERE, text, explanations=[claim], twin=False)
    assert "The explanation 'bad2' " in str(caught.value)


def test_partial_functions_and_objects_make_explanations_of_their_own_words() -> None:
    from functools import partial

    def rule(view: Any, by: float) -> Any:
        """Attend to the token itself."""
        return even(view) * by

    class Rule:
        """Attend to the token itself."""

        def __call__(self, view: Any) -> Any:
            return even(view) * 0.5

    make = explanation(gives="pattern", reads=["tokens"])
    one, other = make(partial(rule, by=0.5)), make(Rule())
    assert (one.name, other.name) == ("rule", "Rule")
    assert one.says == other.says == "Attend to the token itself."
    found = [losses(measured(fitted(e).condition()), e.name) for e in (one, other)]
    assert found[0] == found[1]
    assert fitted(one).fingerprint != fitted(make(partial(rule, by=0.25))).fingerprint


@pytest.mark.parametrize(
    ("gives", "shape", "said"),
    [
        ("pattern", (6, 12), r"at L1\.H1\.pattern: .*\(6, 12, 12\).*position looked at"),
        ("z", (6, 12), r"at L1\.H1\.z: .*\(6, 12, 8\)"),
    ],
)
def test_a_wrong_shape_names_the_value_that_was_to_be_given(
    gives: str, shape: tuple[int, ...], said: str
) -> None:
    claim = claim_of(lambda view: torch.zeros(shape), gives=gives)
    with pytest.raises(ExplanationError, match=said):
        measured(fitted(claim).condition())


def test_what_may_be_declared_is_said_where_something_else_is() -> None:
    with pytest.raises(
        ExplanationError, match=r"pattern, z, out.*any other component value.*logits"
    ):
        explanation(gives="patern", reads=["tokens"])
    with pytest.raises(ExplanationError, match=r"tokens; .*address of an earlier site"):
        explanation(gives="pattern", reads=["token_ids"])
