"""What tails of a denominator, of a numerator and of lengths count for; what a refusal asks for."""

import math

import numpy as np
import pyarrow as pa
import pytest
import scipy.special

from unexplained import intervals
from unexplained.bars.kept import CORRUPTED, kept_by_size
from unexplained.ledger import SCHEMA, TOKEN_SCHEMA, Ledger
from unexplained.stats import Settings, fraction

PLAIN = Settings()


def share(top, bottom, tokens):
    return fraction(top, bottom, tokens, what="damage", settings=PLAIN)


def nearly_constant(kind: str) -> tuple[tuple[np.ndarray, ...], float, float, str]:
    """Columns, the right ratio, how far an end may be from it, and the unit."""
    if kind == "loss, many documents":
        rng, t = np.random.default_rng(3), np.full(135, 128.0)
        den = t * (5 - 0.01 * np.exp(2 * rng.standard_normal(135)))
        num = 0.8 * den + t * 0.01 * rng.standard_normal(135)
        return (num, den, t), 0.8, 0.001, "nats per token"
    if kind == "loss, one document lower":
        t = np.full(16, 128.0)
        den = 5 * t
        den[0] -= 38.4
        return (0.8 * den, den, t), 0.8, 0.21, "nats per token"  # the same in all 16: `unseen`
    if kind == "accuracy, one token wrong":
        whole = np.full(135, 38.0)
        whole[0] = 37
        mine = whole.copy()
        mine[1:7] -= 2
        return (mine, whole, np.full(135, 38.0)), 0.9977, 0.02, "share"
    rng, t = np.random.default_rng(1), np.full(96, 38.0)
    whole, mine = rng.binomial(38, 0.993, 96) * 1.0, rng.binomial(38, 0.015, 96) * 1.0
    return (mine, whole, t), 0.015, 0.01, "share"


@pytest.mark.parametrize(
    "kind",
    ["loss, many documents", "loss, one document lower", "accuracy, one token wrong", "accuracies"],
)
def test_a_denominator_that_hardly_varies_gives_a_ratio_as_sure_as_its_documents(kind: str) -> None:
    columns, right, off, unit = nearly_constant(kind)
    found = fraction(*columns, what="damage", settings=PLAIN, unit=unit)
    assert found.value == pytest.approx(right, abs=off)
    assert right - off < found.low < found.value < found.high < right + off


@pytest.mark.parametrize(
    ("sigma", "documents"), [(1.5, 8), (2.0, 8), (1.5, 16), (2.0, 16), (1.5, 48), (2.0, 48)]
)
def test_a_tail_of_the_numerator_alone_counts_too(sigma: float, documents: int) -> None:
    rng, held = np.random.default_rng(documents), []
    for _ in range(700 if documents > 8 else 2200):
        den = 1 + 0.3 * rng.standard_normal(documents)
        num = den - 0.3 * np.exp(sigma * rng.standard_normal(documents) - sigma**2 / 2)
        found = share(num, den, np.ones(documents))
        if found.value is not None:
            held.append(found.low <= 0.7 <= found.high)
    assert len(held) > 450
    assert np.mean(held) > 0.93 - 2 * math.sqrt(0.93 * 0.07 / len(held))


def held(texts: tuple[np.ndarray, ...], truth: float) -> float:
    """Share of the printed ratios that hold."""
    found = [share(*columns) for columns in zip(*texts, strict=True)]
    printed = [one for one in found if one.value is not None]
    assert len(printed) > 0.8 * len(found)
    return float(np.mean([one.low <= truth <= one.high for one in printed]))


def test_damage_that_goes_with_the_length_of_documents_holds() -> None:
    """Per token length^0.7, explained worse in long documents; 300 texts of 48 documents."""
    rng = np.random.default_rng(3)
    tokens = np.exp(rng.standard_normal((300, 48)))
    damage = tokens**1.7 * np.exp(0.5 * rng.standard_normal(tokens.shape) - 0.125)
    part = 0.9 - 0.7 * scipy.special.ndtr(np.log(tokens))
    top = part * damage + 0.3 * damage * rng.standard_normal(tokens.shape)
    # Weighted by length^1.7, the normal variable of lengths has the mean 1.7.
    truth = 0.9 - 0.7 * float(scipy.special.ndtr(1.7 / math.sqrt(2)))
    assert held((top, damage, tokens), truth) > 0.93


def test_noise_in_proportion_to_the_damage_counts() -> None:
    """Lognormal, σ = 1.5, of documents whose damage is lognormal; 300 texts of 48 documents."""
    rng = np.random.default_rng(4)
    damage = np.exp(rng.standard_normal((300, 48)))
    noise = np.exp(1.5 * rng.standard_normal((300, 48))) - math.exp(1.125)
    assert held(((0.7 + 0.1 * noise) * damage, damage, np.ones((300, 48))), 0.7) > 0.92


@pytest.mark.parametrize(("power", "sigma", "cv"), [(0.7, 1.0, 0.5), (1.0, 0.7, 1.2)])
def test_nothing_that_goes_with_the_length_of_documents_is_seldom_divided_by(
    power: float, sigma: float, cv: float
) -> None:
    """Damage per token that falls with a power of the length and is nothing over all; 4,000 texts of 48 documents."""
    rng = np.random.default_rng(5)
    tokens = np.exp(sigma * rng.standard_normal((4000, 48)))
    even = math.exp(((1 + power) ** 2 - 1) * sigma**2 / 2)
    damage = tokens * (even - tokens**power * rng.normal(1, cv, tokens.shape))
    falls = intervals.left_out(damage, tokens)
    told = intervals.beyond(damage.sum(1), falls, tokens, 0.95) > 0
    assert np.mean(told & (damage.sum(1) > 0)) < 0.065


@pytest.mark.parametrize("documents", [8, 16])
@pytest.mark.parametrize("slope", [0.12, -0.12])
def test_a_share_that_goes_with_the_length_of_documents_holds(slope: float, documents: int) -> None:
    def drawn(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        t = np.maximum(1, (60 * np.exp(rng.standard_normal(n))).astype(int))
        part = np.clip(0.5 + slope * np.log(t / 60), 0.02, 0.98)
        return rng.binomial(t, part).astype(float), t.astype(float)

    many = drawn(np.random.default_rng(1), 1_000_000)
    truth, rng, held = many[0].sum() / many[1].sum(), np.random.default_rng(2), []
    for _ in range(600):
        low, high = intervals.of_share(*drawn(rng, documents), 0.95)
        held.append(low <= truth <= high)
    assert np.mean(held) > 0.93 - 2 * math.sqrt(0.93 * 0.07 / 600)


def test_what_is_asked_for_settles_it_in_most_fresh_texts() -> None:
    """Of a normal denominator: as many fresh documents as the refusal names, in four texts of five."""
    rng, settled = np.random.default_rng(5), []

    def text(n: int) -> tuple[np.ndarray, ...]:
        whole = 0.5 + rng.standard_normal(n)
        return 0.5 * whole + 0.2 * rng.standard_normal(n), whole, np.ones(n)

    for _ in range(300):
        found = share(*text(16))
        if found.tokens_needed and found.tokens_needed < 5000:
            settled.append(share(*text(found.tokens_needed)).value is not None)
    assert len(settled) > 100
    assert np.mean(settled) > 0.8 - 2 * math.sqrt(0.8 * 0.2 / len(settled))
    for _ in range(400):
        whole = np.exp(rng.standard_normal(8)) + 0.4 * rng.standard_normal(8)
        refused = share(0.5 * whole + rng.standard_normal(8), whole, np.ones(8)).refused
        if "at least about" in refused:
            assert int(refused.split("at least about ")[1].split()[0]) >= intervals.SHOWN


def test_a_circuit_that_no_path_goes_through_keeps_exactly_nothing() -> None:
    clean, corrupted, tokens = np.linspace(5, 12, 16), np.linspace(-1, 1, 16), np.full(16, 2)
    nearly = corrupted + np.where(np.arange(16) == 3, 1e-3, 0.0)
    logit_differences = {"intact": clean, CORRUPTED: corrupted, "none": corrupted, "nearly": nearly}
    rows = [
        {"condition": name, "document": f"o{i:02}", "partition": "all", "label": "all",
         "tokens": int(tokens[i]), "logit_difference": float(logit_difference[i])}
        for name, logit_difference in logit_differences.items() for i in range(16)
    ]  # fmt: skip
    ledger = Ledger(pa.Table.from_pylist(rows, schema=SCHEMA), TOKEN_SCHEMA.empty_table())
    read = kept_by_size(ledger, {1: ["none"], 2: ["nearly"]}, 9, keeps=0.8, settings=PLAIN)
    none, nearly = (point.kept for point in read.points)
    assert (none.value, none.low, none.high) == (0.0, 0.0, 0.0)
    assert nearly.low < 0 < nearly.high
