"""Strata, mixtures and near duplicates, each against a slow second route."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unexplained import fetch
from unexplained.text import Block, document, duplicates
from unexplained.text.document import deduplicate, order_key, part
from unexplained.text.duplicates import (
    OPENING,
    SHARE,
    WINDOW,
    near_duplicates,
    without_near_duplicates,
)
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
    assert {partition: len(labels) for partition, labels in strata(block).items()} == {
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


def runs_of(text: str, limit: int | None = None) -> list[tuple[str, ...]]:
    words = "".join(c if c.isalnum() else " " for c in text.casefold()).split()[:limit]
    window = min(WINDOW, len(words))
    return [tuple(words[i : i + window]) for i in range(len(words) - window + 1)] if words else []


def most_seen_elsewhere(texts: list[str]) -> list[float]:
    """Of every opening, the share of runs that any other text has anywhere."""
    shares = []
    for i, text in enumerate(texts):
        others = {run for j, other in enumerate(texts) if j != i for run in runs_of(other)}
        opening = runs_of(text, OPENING)
        shares.append(sum(run in others for run in opening) / max(len(opening), 1))
    return shares


def slow_near_duplicates(texts: list[str], share: float) -> list[bool]:
    kept: list[str] = []
    answer = []
    for text in texts:
        together = most_seen_elsewhere([*kept, text])
        answer.append(any(value > share for value in together))
        kept += [] if answer[-1] else [text]
    return answer


pieces = st.lists(st.integers(0, 3), max_size=20)


@settings(deadline=None, max_examples=60)
@given(st.lists(pieces, max_size=6), st.sampled_from([0.0, 0.25, 0.7]))
def test_near_duplicates_are_their_definition(documents, share):
    # Pieces of 8 words each, so that texts share runs often, and go past the opening; of 40 words
    # one also at another place, in capitals and with stops, and short texts.
    texts = [" ".join(f"{p}{i}" for p in text for i in "abcdefgh") + " " for text in documents]
    texts += [text.replace(" ", "\n") for text in texts[:1]]
    texts += [f"word {text.upper()}, end." for text in texts[1:3]] + ["0a 0b", "0A, 0b!", "…"]
    assert near_duplicates(texts, share=share).tolist() == slow_near_duplicates(texts, share)


def test_an_opening_that_stands_in_the_middle_of_another_document_is_found_in_either_order():
    """As with papers that were cut up at several places."""
    paper = " ".join(f"word{i}" for i in range(900))
    opening = paper.split(" ", 500)[-1]
    for first, second in ((paper, opening), (opening, paper)):
        assert near_duplicates([first, second]).tolist() == [False, True]


def test_texts_of_signs_without_a_word_are_compared_sign_by_sign():
    """As emoji or drawings; copies of them that differ in their first sign each counted as a document."""
    draw = random.Random(0)
    signs = ["".join(draw.choice("!@#$%^&*()-+=[]{};:<>~|") for _ in range(100)) for _ in range(2)]
    copy = "! ? " + signs[0].replace("#", "# ")
    assert near_duplicates([signs[0], copy, signs[1], ""]).tolist() == [False, True, False, False]


def test_case_stops_and_spaces_make_no_other_text_and_unspaced_scripts_have_runs_too():
    words = [f"Word{i}" for i in range(60)]
    same = [" ".join(words), ",\n".join(words).lower() + ".", " ".join(words[::-1])]
    assert near_duplicates(same).tolist() == [False, True, False]
    chinese = "".join(chr(0x4E00 + 7 * i) for i in range(300))
    assert near_duplicates([chinese, chinese[3:] + "。", chinese[::-1]]).tolist() == [
        *(False, True, False)
    ]


def test_of_what_is_kept_no_opening_is_mostly_in_other_documents():
    """Chains, where each text shares a little with several others."""
    rng = np.random.default_rng(0)
    pool = [" ".join(f"w{i}x{j}" for j in range(20)) for i in range(60)]
    texts = [" ".join(pool[i] for i in rng.integers(0, 60, size=9)) for _ in range(60)]
    kept = [text for text, drop in zip(texts, near_duplicates(texts), strict=True) if not drop]
    assert 2 < len(kept) < len(texts)
    assert max(most_seen_elsewhere(kept)) <= SHARE
    assert max(most_seen_elsewhere(texts)) > 0.5


@pytest.mark.parametrize("seed", range(4))
def test_what_several_kept_texts_have_is_counted_once_for_each(seed):
    """Few pieces in many short texts, so that most runs are in three texts or more."""
    rng = np.random.default_rng(seed)
    pool = [" ".join(f"w{i}x{j}" for j in range(14)) for i in range(12)]
    texts = [" ".join(pool[i] for i in rng.integers(0, 12, size=rng.integers(1, 6)))
             for _ in range(22)]  # fmt: skip
    for share in (0.3, 0.5, 0.8):
        assert near_duplicates(texts, share=share).tolist() == slow_near_duplicates(texts, share)


def test_openings_that_differ_may_share_what_comes_later():
    shared = " ".join(f"shared{i}" for i in range(300))
    openings = [" ".join(f"{name}{i}" for i in range(OPENING)) for name in "ab"]
    assert not near_duplicates([f"{opening} {shared}" for opening in openings]).any()
    assert near_duplicates([f"{openings[0]} {shared}", f"{openings[0]} other"]).tolist()[1]


def test_what_is_found_out_about_a_long_text_is_kept_and_is_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv(fetch.CACHE_VARIABLE, str(tmp_path))
    texts = [" ".join(f"{i % 7}x{j}" for j in range(30)) + f" {i}" for i in range(20)]
    documents = [document(text, "x") for text in texts]
    first = without_near_duplicates(documents)
    assert first == (tuple(documents[:7]), 13) and not list(tmp_path.rglob("*.npy"))
    monkeypatch.setattr(duplicates, "REMEMBERED", 0)
    assert without_near_duplicates(documents) == first
    monkeypatch.setattr(duplicates, "near_duplicates", None)
    assert without_near_duplicates(documents) == first
    with pytest.raises(TypeError):  # other documents are not found there
        without_near_duplicates(documents[1:])


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
