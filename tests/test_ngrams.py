"""N-gram tables: by hand, and against dictionaries."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unexplained.errors import TextError
from unexplained.fetch import CACHE_VARIABLE
from unexplained.text import Text
from unexplained.text import ngrams as module
from unexplained.text.ngrams import count, ngram, ngrams

SIZE = 5
corpora = st.lists(st.lists(st.integers(0, SIZE - 1), max_size=12), max_size=5).filter(
    lambda documents: any(len(document) > 1 for document in documents)
)


def arrays(documents):
    return [np.array(document, dtype=np.int32) for document in documents]


def whole(table, contexts):
    """Whole rows, (contexts, vocabulary)."""
    return table.log_probs(torch.as_tensor(contexts))(slice(0, len(table.lower)))


def probabilities(documents, order, contexts=range(SIZE), **options):
    table = ngram(count(arrays(documents), SIZE, **options), order)
    return whole(table, list(contexts)).double().exp()


def slow(documents, order, context, token):
    """Witten–Bell written down with dictionaries and exact fractions."""
    singles, pairs = Counter(), defaultdict(Counter)
    for document in documents:
        for before, after in pairwise(document):
            singles[after] += 1
            pairs[before][after] += 1
    lower = Fraction(1, SIZE)
    if order >= 1:
        lower = (singles[token] + len(singles) * lower) / (singles.total() + len(singles))
    if order == 2 and pairs[context]:
        seen = pairs[context]
        lower = (seen[token] + len(seen) * lower) / (seen.total() + len(seen))
    return lower


@settings(deadline=None)
@given(corpora, st.sampled_from([0, 1, 2]))
def test_the_table_is_what_dictionaries_and_fractions_give(documents, order):
    found = probabilities(documents, order)
    for context in range(SIZE):
        for token in range(SIZE):
            # One rounding to float32 of a log of at most about 5: relative error under 1e-6.
            exact = float(slow(documents, order, context, token))
            assert found[context, token].item() == pytest.approx(exact, rel=1e-6)


@settings(deadline=None)
@given(corpora, st.sampled_from([0, 1, 2]))
def test_every_row_sums_to_one(documents, order):
    torch.testing.assert_close(
        probabilities(documents, order).sum(1), torch.ones(SIZE, dtype=torch.double)
    )


def test_a_corpus_counted_by_hand():
    """A B A B A, 5 tokens: predicted are B A B A.

    Unigram: N = 4, T = 2, so P(A) = (2 + 2/5) / 6 = 2/5, and an unseen token has (2/5) / 6 = 1/15.
    After A: N = 2, T = 1, so P(B|A) = (2 + 2/5) / 3 = 4/5, P(A|A) = (2/5) / 3 = 2/15 and an unseen
    token has (1/15) / 3 = 1/45: 4/5 + 2/15 + 3/45 = 1.
    """
    text = [[0, 1, 0, 1, 0]]
    torch.testing.assert_close(
        probabilities(text, 1)[0], torch.tensor([2 / 5, 2 / 5, 1 / 15, 1 / 15, 1 / 15]).double()
    )
    torch.testing.assert_close(
        probabilities(text, 2)[0], torch.tensor([2 / 15, 4 / 5, 1 / 45, 1 / 45, 1 / 45]).double()
    )


def test_a_bigram_of_alternating_tokens_beats_the_unigram():
    text = [[0, 1] * 20]
    unigram, bigram = (probabilities(text, order) for order in (1, 2))
    assert bigram[0, 1] > 0.9 > 0.6 > unigram[0, 1]


def test_a_context_never_seen_gives_the_unigram_exactly():
    tables = [ngram(count(arrays([[0, 1, 0, 2]]), SIZE), order) for order in (1, 2)]
    unigram, bigram = (whole(table, [4, 0]) for table in tables)
    assert torch.equal(bigram[0], unigram[0])
    assert not torch.equal(bigram[1], unigram[1])


def test_no_pair_is_counted_across_documents():
    apart, together = count(arrays([[0, 1], [2, 3]]), SIZE), count(arrays([[0, 1, 2, 3]]), SIZE)
    assert len(apart.pairs) == 2 and len(together.pairs) == 3


def test_the_first_token_of_a_document_is_not_counted_as_predicted():
    assert count(arrays([[4, 1], [4, 2]]), SIZE).unigram.tolist() == [0, 1, 1, 0, 0]


def test_counting_stops_at_the_limit_within_a_document():
    def endless():
        while True:
            yield np.array([0, 1, 2], dtype=np.int32)

    counts = count(endless(), SIZE, limit=8)
    assert counts.tokens == 8
    assert counts.unigram.tolist() == [0, 3, 2, 0, 0]


@given(corpora, st.sampled_from([0, 1, 2]), st.integers(1, SIZE))
def test_slices_of_the_vocabulary_put_side_by_side_are_the_rows(documents, order, width):
    table = ngram(count(arrays(documents), SIZE), order)
    contexts = [4, 0, 0, 2]
    of = table.log_probs(torch.tensor(contexts))
    parts = [of(slice(low, min(low + width, SIZE))) for low in range(0, SIZE, width)]
    assert torch.equal(torch.cat(parts, dim=1), whole(table, contexts))


def test_rows_come_in_the_order_of_the_contexts_and_may_repeat():
    contexts = [3, 0, 0, 4, 1]
    rows = probabilities([[0, 1, 3, 0, 2, 1]], 2, contexts)
    every = probabilities([[0, 1, 3, 0, 2, 1]], 2)
    assert torch.equal(rows, every[contexts])


def test_a_table_states_what_it_stores():
    counts = count(arrays([[0, 1, 0, 2, 0, 1]]), SIZE)
    uniform, unigram, bigram = (ngram(counts, order) for order in range(3))
    # Predicted tokens 1 0 2 0 1: three kinds. Pairs 01 10 02 20 01: four kinds.
    assert [t.parameters for t in (uniform, unigram, bigram)] == [0, 3, 7]
    assert [t.tokens for t in (uniform, unigram, bigram)] == [0, 6, 6]
    assert [t.name for t in (uniform, unigram, bigram)] == ["uniform", "unigram", "bigram"]
    assert whole(bigram, [0, 1]).dtype == torch.float32
    assert whole(uniform, [0]).exp()[0, 0].item() == pytest.approx(1 / SIZE)


@pytest.mark.parametrize("documents", [[], [[3]], [[1], [2]]])
def test_a_fit_part_without_two_tokens_in_a_row_is_an_error(documents):
    with pytest.raises(TextError, match="no two tokens"):
        count(arrays(documents), SIZE)


def test_a_token_outside_the_vocabulary_is_an_error():
    with pytest.raises(TextError, match="token 5 is outside"):
        count(arrays([[0, 5]]), SIZE)


def a_text(pool, fingerprint="pool"):
    nothing = {"eval": (), "fit": (), "notes": (), "composition": {}}
    return Text(
        name="toy",
        pool=pool,
        pool_fingerprint=fingerprint,
        block=4,
        vocabulary=SIZE,
        fingerprint="text",
        **nothing,
    )


def test_counts_are_kept_and_found_again_without_reading_the_pool(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    text = a_text(lambda: iter(arrays([[0, 1, 0, 2, 0]])))
    first = ngrams(text)
    monkeypatch.setattr(module, "count", None)
    again = ngrams(text)
    contexts = torch.arange(SIZE)
    for one, two in zip(first, again, strict=True):
        assert torch.equal(whole(one, contexts), whole(two, contexts))
        assert (one.tokens, one.parameters) == (two.tokens, two.parameters)
        assert one.fingerprint == two.fingerprint
    with pytest.raises(TypeError):  # the cache is keyed by the pool and by the limit
        ngrams(a_text(text.pool, "another"))
    with pytest.raises(TypeError):
        ngrams(text, limit=3)


def test_the_uniform_table_costs_the_log_of_the_vocabulary():
    table = ngram(count(arrays([[0, 1]]), SIZE), 0)
    assert -whole(table, [2])[0, 3].item() == pytest.approx(math.log(SIZE))
