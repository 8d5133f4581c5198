"""Lengths with a tail, which what is measured goes with; denominators that are rounding; seeds that decide nothing."""

import ast
import math
from pathlib import Path

import numpy as np
import pytest

import unexplained
from unexplained import intervals
from unexplained.stats import Settings, fraction

PLAIN = Settings()
LONGEST = 4096.0


def pareto(rng: np.random.Generator, index: float, texts: int, documents: int) -> np.ndarray:
    """Tokens of documents, 32 and more."""
    return np.minimum(32 * (1 + rng.pareto(index, (texts, documents))), LONGEST)


def expected(index: float, power: float) -> float:
    """Of (tokens / 128) to a power, of such documents."""
    u = (np.arange(2_000_000) + 0.5) / 2_000_000
    return float(((np.minimum(32 * u ** (-1 / index), LONGEST) / 128) ** power).mean())


@pytest.mark.parametrize(("documents", "most"), [(48, 0.06), (135, 0.06)])
def test_nothing_is_seldom_divided_by_where_few_documents_are_far_longer(
    documents: int, most: float
) -> None:
    """Damage per token that falls with the length and is nothing over all: it was accepted in 13% and more."""
    rng = np.random.default_rng(11)
    tokens = pareto(rng, 1.6, 1500, documents)
    even = expected(1.6, 1.4) / expected(1.6, 1.0)
    rates = even - rng.gamma(3, 1 / 3, tokens.shape) * (tokens / 128) ** 0.4
    sums = rates * tokens
    falls = intervals.left_out(sums, tokens)
    told = intervals.beyond(sums.sum(1), falls, tokens, 0.95) > 0
    before = intervals.beyond(sums.sum(1), falls, tokens, 0.95, lengths=False) > 0
    above = sums.sum(1) > 0
    assert np.mean(before & above) > 0.08
    assert np.mean(told & above) < most


@pytest.mark.parametrize(("power", "slope"), [(0.0, -0.25), (0.4, -0.25)])
def test_a_share_that_falls_with_a_long_tail_of_lengths_holds(power: float, slope: float) -> None:
    """Of damage alike or larger in long documents; 150 texts of 48 documents."""
    rng = np.random.default_rng(12)
    tokens = pareto(rng, 1.8, 150, 48)
    logs = np.log(tokens / 128)
    damage = rng.gamma(3, 1 / 3, tokens.shape) * (tokens / 128) ** power * tokens
    part = np.clip(0.6 + slope * logs, -0.5, 1)
    top = part * damage + 0.3 * tokens * rng.standard_normal(tokens.shape)
    u = (np.arange(2_000_000) + 0.5) / 2_000_000
    sizes = np.minimum(32 * u ** (-1 / 1.8), LONGEST)
    weights = sizes ** (1 + power)
    truth = float(
        (np.clip(0.6 + slope * np.log(sizes / 128), -0.5, 1) * weights).sum() / weights.sum()
    )
    found = [
        fraction(*columns, what="damage", settings=PLAIN)
        for columns in zip(top, damage, tokens, strict=True)
    ]
    printed = [one for one in found if one.value is not None]
    assert len(printed) > 0.3 * len(found)
    held = float(np.mean([one.low <= truth <= one.high for one in printed]))
    assert held > 0.93 - 1.5 * math.sqrt(0.93 * 0.07 / len(printed))


def test_documents_cut_to_one_length_are_as_they_were() -> None:
    """A quarter is shorter: what is measured may go with that, and no longer one can be lacking."""
    rng = np.random.default_rng(13)
    tokens = np.where(rng.random(48) < 0.25, rng.uniform(8, 128, 48), 128.0)
    damage = rng.gamma(3, 1 / 3, 48) * (tokens / 128) ** 0.7 * tokens
    top = (0.6 + 0.2 * np.log(tokens / 128)) * damage + 0.1 * tokens * rng.standard_normal(48)
    columns = top, damage, tokens, 0.95
    assert intervals.of_ratio(*columns) == intervals.of_ratio(*columns, lengths=False)
    assert intervals.divides(damage, tokens, 0.95)


@pytest.mark.parametrize("documents", [16, 48])
@pytest.mark.parametrize("longer", [[128], [140, 150, 160]])
def test_lengths_that_hardly_vary_have_no_tail(documents: int, longer: list[int]) -> None:
    """One document of 128 tokens among those of 127: of twelve ratios one was printed, 67 times as wide."""
    rng = np.random.default_rng(3)
    tokens = np.full(documents, 127.0)
    tokens[: len(longer)] = longer
    for _ in range(6):
        damage = rng.gamma(3, 1 / 3, documents) * tokens
        top = 0.6 * damage + 0.2 * tokens * rng.standard_normal(documents)
        low, high = intervals.of_ratio(top, damage, tokens, 0.95)
        below, above = intervals.of_ratio(top, damage, tokens, 0.95, lengths=False)
        assert high - low < 1.25 * (above - below)


@pytest.mark.parametrize("documents", [32, 48])
def test_where_several_documents_are_cut_the_longest_are_there(documents: int) -> None:
    """Short documents, an eighth of them as long as a block: a third of such ratios were refused."""
    rng, wider = np.random.default_rng(5), []
    for _ in range(12):
        tokens = rng.lognormal(math.log(25), 0.3, documents).round()
        tokens[: documents // 8] = 127
        damage = rng.gamma(3, 1 / 3, documents) * tokens
        top = 0.6 * damage + 0.2 * tokens * rng.standard_normal(documents)
        if intervals.divides(damage, tokens, 0.95, lengths=False):
            assert intervals.divides(damage, tokens, 0.95)
            low, high = intervals.of_ratio(top, damage, tokens, 0.95)
            below, above = intervals.of_ratio(top, damage, tokens, 0.95, lengths=False)
            wider.append((high - low) / (above - below))
    assert len(wider) > 6
    assert np.median(wider) < 1.5


def test_a_refusal_for_lengths_names_them_and_what_helps() -> None:
    rng, words = np.random.default_rng(14), []
    for tokens in pareto(rng, 1.5, 20, 48).round():
        damage = (1.9 - rng.gamma(3, 1 / 3, 48) * (tokens / 128) ** 0.4) * tokens
        top = 0.5 * damage + rng.standard_normal(48)
        words.append(fraction(top, damage, tokens, what="damage", settings=PLAIN).refused or "")
    told = [one for one in words if "long tail" in one]
    assert told
    for one in told:
        assert "times the tokens of the median" in one
        assert "cut documents to one length, or take more" in one


@pytest.mark.parametrize("unit", ["nats per token", "squared", "logits"])
def test_a_denominator_that_is_rounding_beside_its_numerator_is_refused(unit: str) -> None:
    rng, tokens = np.random.default_rng(15), np.full(40, 100.0)
    top, bottom = rng.uniform(1, 2, 40), rng.uniform(1, 2, 40)
    for size, said in ((1e-12, True), (1e-6, False)):
        found = fraction(top, size * bottom, tokens, what="damage", settings=PLAIN, unit=unit)
        assert ("rounding beside the numerator" in (found.refused or "")) == said
        # It is a comparison of the two, whatever their unit.
        for times in (1e-200, 1e200):
            again = fraction(
                times * top, times * size * bottom, tokens, what="d", settings=PLAIN, unit=unit
            )
            assert (again.value is None) == said


def test_every_share_of_losses_has_a_least_denominator() -> None:
    """Whoever divides by nats or logits says what is rounding; counts and squares have none."""
    lacking = []
    for path in sorted((Path(unexplained.__file__).parent / "bars").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "fraction":
                given = {word.arg: ast.unparse(word.value) for word in node.keywords}
                counted = given.get("unit") in (
                    "SHARE",
                    "'squares of it'",
                    "'squared error per token'",
                )
                if not ("floor" in given or counted or path.name == "pairing.py"):
                    lacking.append(f"{path.name}:{node.lineno}")
    assert not lacking


def test_no_seed_decides_whether_a_ratio_is_refused() -> None:
    rng = np.random.default_rng(16)
    for documents in (8, 16, 48):
        for _ in range(4):
            tokens = rng.lognormal(5, 0.6, documents).round()
            damage = (0.4 + rng.standard_normal(documents)) * tokens
            top = 0.5 * damage + 0.2 * tokens * rng.standard_normal(documents)
            found = {
                fraction(
                    top, damage, tokens, what="d", settings=Settings(seed=seed)
                ).model_dump_json()
                for seed in range(20)
            }
            assert len(found) == 1
