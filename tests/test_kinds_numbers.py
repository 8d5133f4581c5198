"""Logits of minus infinity, and stores that cannot be kept: right, or refused by name."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from kinds import TEXT, measured, opened, plain, refused, right_or_refused, zeroed
from sample_blocks import SAMPLES
from tiny import tiny_model
from unexplained.errors import RecordError
from unexplained.evaluate import evaluate
from unexplained.evaluate.score import score
from unexplained.record import Number, load_record
from unexplained.subject import Batch

NEVER = -math.inf


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("part", ["value", "low", "high"])
def test_no_number_is_nan_or_infinite(part: str, wrong: float) -> None:
    with pytest.raises(ValidationError, match="an end that is open is None"):
        Number(**{"value": 1.0, part: wrong})


def kl_of(p: list[float], q: list[float]) -> float:
    """KL by the project, in nats."""
    rows: list[Tensor] = [torch.tensor([row]) for row in (p, q)]
    found = score(
        lambda columns: rows[0][:, columns],
        {"q": lambda columns: rows[1][:, columns]},
        torch.tensor([0]),
        len(p),
    )
    return float(found["q"].kl)


def kl_by_hand(p: list[float], q: list[float]) -> float:
    """A sum over the tokens that the first can give: 0 · ∞ counts 0."""
    norm = [math.log(sum(math.exp(x) for x in row)) for row in (p, q)]
    total = 0.0
    for one, other in zip(p, q, strict=True):
        if one > NEVER:
            if other == NEVER:
                return math.inf
            total += math.exp(one - norm[0]) * ((one - norm[0]) - (other - norm[1]))
    return total


MASKED = {
    "both never give one token": ([1.0, 2.0, NEVER], [2.0, 1.0, NEVER]),
    "the intact model never gives one": ([1.0, 2.0, NEVER], [2.0, 1.0, 0.5]),
    "the first of the columns is never given": ([NEVER, 2.0, 1.0], [NEVER, 1.0, 0.0]),
    "all but one are never given": ([3.0, NEVER, NEVER], [1.0, NEVER, NEVER]),
    "many are never given": ([0.5, *[NEVER] * 40, 1.0], [1.5, *[NEVER] * 40, 0.0]),
    "the lowest float in the place of infinity": (
        [1.0, 2.0, torch.finfo(torch.float32).min],
        [2.0, 1.0, torch.finfo(torch.float32).min],
    ),
    "another lowest float": (
        [1.0, 2.0, torch.finfo(torch.float32).min],
        [2.0, 1.0, -1e4],
    ),
}


@pytest.mark.parametrize("name", MASKED)
def test_tokens_that_are_never_given_count_nothing(name: str) -> None:
    p, q = MASKED[name]
    right_or_refused(lambda: {"kl": kl_of(p, q)}, {"kl": kl_by_hand(p, q)}, "")


def test_a_token_that_only_the_condition_never_gives_is_infinitely_far() -> None:
    assert kl_by_hand([1.0, 2.0], [1.0, NEVER]) == math.inf == kl_of([1.0, 2.0], [1.0, NEVER])


def test_a_model_that_never_gives_some_tokens_is_measured() -> None:
    """By a bias of the unembedding, as vocabularies are masked; no target is among them."""
    targets = {int(token) for block in TEXT.eval for token in block.tokens}
    never = [token for token in range(61) if token not in targets]
    assert never

    def make() -> torch.nn.Module:
        model = tiny_model("llama")
        bias = torch.zeros(61)
        bias[never] = NEVER
        model.lm_head.bias = torch.nn.Parameter(bias)
        return model

    right_or_refused(lambda: measured(opened(make())), plain(make()), "")
    subject, condition = opened(make()), zeroed("mlp")
    found = evaluate(subject, TEXT, [condition]).sums(condition.name)
    right = 0.0
    for block in TEXT.eval:
        batch = Batch.of(torch.as_tensor(block.tokens[None].astype("int64")))
        p, q = (
            subject.logits(subject.run(batch, edits).normed[0, :-1]).double().log_softmax(-1)
            for edits in ((), condition.edits)
        )
        right += float((p.exp() * (p - q)).nan_to_num(0.0).sum())
    right_or_refused(
        lambda: {"kl": found.per_token("kl")}, {"kl": right / int(found.tokens.sum())}, ""
    )


@pytest.mark.parametrize("place", ["file", "file/below", "n" * 300, "a\0b"])
def test_a_store_that_cannot_be_kept_is_refused_by_name(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    subject = opened(tiny_model("llama"))
    refused(lambda: measured(subject, folder=tmp_path / place), "kept|Keeping|written|into|folder")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no parquet" * 30])
def test_a_kept_result_that_is_damaged_is_measured_again_or_refused(
    content: bytes, tmp_path: Path
) -> None:
    subject = opened(tiny_model("llama"))
    measured(subject, folder=tmp_path)
    for path in tmp_path.rglob("*.parquet"):
        path.write_bytes(content)
    right_or_refused(
        lambda: measured(subject, folder=tmp_path),
        plain(tiny_model("llama")),
        r"\.parquet|kept|damaged",
    )


def test_a_number_without_a_value_says_why(tmp_path: Path) -> None:
    """No sentence may end in "is refused: .", nor a record be read that makes one."""
    for reason in ("", "  "):
        with pytest.raises(ValidationError, match="must say why"):
            Number(value=None, refused=reason)
    assert Number(value=None, refused="too few").refused == "too few"
    record = SAMPLES["tasks"]()
    where, number = next((w, n) for w, n in record.numbers() if n.value is not None)
    whole, silent = record.to_json(), number.model_copy(update={"value": None})
    written = (json.dumps(json.loads(n.model_dump_json())) for n in (number, silent))
    text = json.dumps(json.loads(whole)).replace(*written)
    assert json.loads(text) != json.loads(whole), where
    (tmp_path / "silent.json").write_text(text, encoding="utf-8")
    with pytest.raises(RecordError, match="must say why"):
        load_record(tmp_path / "silent.json")
