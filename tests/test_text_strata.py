"""Strata, mixtures and near duplicates, each against a slow second route."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from unexplained.text import Block, document
from unexplained.text.document import deduplicate, order_key, part
from unexplained.text.duplicates import OPENING, WINDOW, near_duplicates
from unexplained.text.mixture import mixed
from unexplained.text.strata import FIRST, OTHER, REPEATS, copy, position, recurrence, strata

few_tokens = st.lists(st.integers(0, 4), min_size=1, max_size=30)


def slow_recurrence(tokens: list[int]) -> list[str]:
    labels = []
    for i in range(len(tokens) - 1):
        earlier = [j for j in range(i) if tokens[j] == tokens[i]]
        if not earlier:
            labels.append(FIRST)
        elif any(tokens[j + 1] == tokens[i + 1] for j in earlier):
            labels.append(REPEATS)
        else:
            labels.append(OTHER)
    return labels


@settings(deadline=None)
@given(few_tokens)
def test_recurrence_is_its_definition(tokens):
    assert recurrence(np.array(tokens, dtype=np.int32)).tolist() == slow_recurrence(tokens)


@settings(deadline=None)
@given(few_tokens)
def test_recurrence_does_not_depend_on_which_ids_the_tokens_have(tokens):
    renamed = np.array([2**31 - 1 - 1000 * token for token in tokens], dtype=np.int32)
    assert recurrence(renamed).tolist() == slow_recurrence(tokens)


def test_recurrence_by_hand():
    # a b a c a b: the second a is followed by c, never seen after a; the third by b, seen once.
    found = recurrence(np.array([7, 8, 7, 9, 7, 8], dtype=np.int32)).tolist()
    assert found == [FIRST, FIRST, OTHER, FIRST, REPEATS]


def test_an_occurrence_right_before_counts_as_earlier():
    # x x x: at the second x, the first x was followed by x, and x comes next.
    assert recurrence(np.array([3, 3, 3], dtype=np.int32)).tolist() == [FIRST, REPEATS]


@settings(deadline=None)
@given(st.integers(0, 600))
def test_position_buckets_hold_what_their_names_say(count):
    labels = position(count).tolist()
    assert len(labels) == count
    for index, label in enumerate(labels, start=1):
        low, high = (0, 15) if label == "first 16" else map(int, label.split("-"))
        assert low <= index <= high


def test_position_buckets_double_from_64():
    assert list(dict.fromkeys(position(400))) == [
        *("first 16", "16-63", "64-127", "128-255", "256-511")
    ]


def test_the_first_token_of_the_second_copy_is_not_counted_as_copied():
    # Tokens a b c | a b c: predicting the second a comes from c, before anything repeats.
    assert copy(5, 3).tolist() == ["first copy"] * 3 + ["second copy"] * 2


def test_every_family_labels_every_predicted_token():
    block = Block("id", "news", np.arange(7, dtype=np.int32))
    assert {family: len(labels) for family, labels in strata(block).items()} == {
        "recurrence": 6,
        "position": 6,
        "domain": 6,
    }
    assert set(strata(block)["domain"]) == {"news"}
    assert "copy" in strata(Block("id", "repeats", block.tokens, second_copy=3))


weights = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 5), min_size=1)


@settings(deadline=None)
@given(weights, st.lists(st.integers(0, 3), max_size=60))
def test_mixing_loses_nothing_and_keeps_the_order_within_a_domain(weights, picks):
    names = list(weights)
    documents = [document(str(i), names[p % len(names)]) for i, p in enumerate(picks)]
    found = list(mixed(documents, weights))
    assert sorted(d.id for d in found) == sorted(d.id for d in documents)
    for name in names:
        assert [d for d in found if d.domain == name] == [d for d in documents if d.domain == name]


@settings(deadline=None)
@given(weights, st.integers(1, 40))
def test_every_beginning_of_a_mixture_is_mixed(weights, length):
    """No domain is ahead of another by more than one of its own documents."""
    documents = [document(f"{name}{i}", name) for name in weights for i in range(50)]
    counts = Counter(d.domain for d in list(mixed(documents, weights))[:length])
    for ahead in weights:
        for behind in weights:
            lead = (counts[ahead] - 1) / weights[ahead] - counts[behind] / weights[behind]
            assert lead <= 1e-9


def test_a_mixture_by_length_gives_long_documents_less_often():
    documents = [document(f"{i} long long text", "long") for i in range(100)]
    documents += [document(str(i % 10) * (1 + i // 10), "short") for i in range(10)]
    first = list(mixed(documents, {"long": 1, "short": 1}, cost=lambda d: len(d.text)))[:12]
    assert Counter(d.domain for d in first)["short"] > 8


def slow_near_duplicates(texts: list[str], share: float) -> list[bool]:
    kept: set[tuple[str, ...]] = set()
    answer = []
    for text in texts:
        words = text.split()[:OPENING]
        runs = [tuple(words[i : i + WINDOW]) for i in range(len(words) - WINDOW + 1)]
        answer.append(bool(runs) and sum(run in kept for run in runs) > share * len(runs))
        kept |= set() if answer[-1] else set(runs)
    return answer


pieces = st.lists(st.integers(0, 3), max_size=20)


@settings(deadline=None)
@given(st.lists(pieces, max_size=6), st.sampled_from([0.0, 0.2, 0.7]))
def test_near_duplicates_are_their_definition(documents, share):
    # Pieces of 8 words each, so that texts share runs often, and go past the opening.
    texts = [" ".join(f"{p}{i}" for p in text for i in "abcdefgh") + " " for text in documents]
    texts += [text.replace(" ", "\n") for text in texts[:1]]
    assert near_duplicates(texts, share=share).tolist() == slow_near_duplicates(texts, share)


def test_a_tail_that_is_repeated_is_not_looked_at():
    shared = " ".join(f"shared{i}" for i in range(300))
    openings = [" ".join(f"{name}{i}" for i in range(OPENING)) for name in "ab"]
    assert not near_duplicates([f"{opening} {shared}" for opening in openings]).any()
    assert near_duplicates([f"{openings[0]} {shared}", f"{openings[0]} other"]).tolist()[1]


def test_a_fifth_of_all_documents_is_in_the_eval_part():
    """Within four standard deviations of a binomial of 10,000 draws: 2000 ± 160."""
    ids = [document(str(i), "x").id for i in range(10_000)]
    assert abs([part(identity) for identity in ids].count("eval") - 2000) < 160


def test_the_order_depends_on_the_seed_and_not_on_the_part():
    ids = [document(str(i), "x").id for i in range(2000)]
    orders = [sorted(ids, key=lambda identity: order_key(identity, seed)) for seed in (0, 1)]
    assert orders[0] != orders[1]
    early = [part(identity) for identity in orders[0][:1000]].count("eval")
    assert abs(early - 200) < 4 * (1000 * 0.2 * 0.8) ** 0.5


def test_deduplication_keeps_the_first_and_counts_the_rest():
    same = [document("x", "first"), document("y", "first"), document("x", "second")]
    assert deduplicate(same) == (tuple(same[:2]), 1)
