"""N-gram tables: by hand, and against dictionaries and exact fractions."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unexplained.errors import TextError
from unexplained.fetch import CACHE_VARIABLE
from unexplained.subject import Batch
from unexplained.text import Text, counted, counts
from unexplained.text.counted import counts_of, fingerprint_of, held_out
from unexplained.text.counts import NOTHING, count, without
from unexplained.text.ngrams import NAMES, ngram, ngrams, table
from unexplained.text.smoothing import FALLBACK, SMOOTHINGS, discounts, loss, smooth

SIZE = 5
BELL, NEY = SMOOTHINGS
corpora = st.lists(st.lists(st.integers(0, SIZE - 1), max_size=12), max_size=5).filter(
    lambda documents: any(len(document) > 1 for document in documents)
)
orders, ways = st.sampled_from([0, 1, 2, 3]), st.sampled_from(SMOOTHINGS)
SINGLES = [(token,) for token in range(SIZE)]
DOUBLES = [(before, token) for before in range(NOTHING, SIZE) for token in range(SIZE)]


def arrays(documents):
    return [np.array(document, dtype=np.int32) for document in documents]


def made(documents, order, way=BELL, **options):
    return ngram(count(arrays(documents), SIZE, **options)[0], order, way)


def whole(one, contexts):
    """Whole rows, (contexts, vocabulary)."""
    contexts = torch.as_tensor(contexts)
    contexts = contexts if one.order == 3 else contexts[:, -1] if contexts.dim() == 2 else contexts
    return one.log_probs(contexts)(slice(0, len(one.lower)))


def probabilities(documents, order, contexts=SINGLES, way=BELL):
    return whole(made(documents, order, way), list(contexts)).double().exp()


class Slow:
    """Both smoothings written down with dictionaries and exact fractions, one probability at a time."""

    def __init__(self, documents, order, way):
        self.order, self.way = order, way
        self.seen = [Counter() for _ in range(4)]  # by length
        self.before = [defaultdict(set) for _ in range(4)]
        for document in documents:
            padded = [NOTHING, *document]
            for i in range(2, len(padded)):
                for length in (1, 2, 3):
                    ngram = tuple(padded[i - length + 1 : i + 1])
                    self.seen[length][ngram] += 1
                    self.before[length][ngram].add(padded[i - length] if length < 3 else None)
        self.amounts = [
            {n: len(some) for n, some in self.before[length].items()}
            if way == NEY and length < order
            else dict(self.seen[length])
            for length in range(4)
        ]

    def discount(self, length, amount):
        tally = Counter(self.amounts[length].values())
        n = [Fraction(tally[k]) for k in range(5)]
        if not n[1] or not n[2]:
            return Fraction(FALLBACK[min(amount, 3) - 1])
        y = n[1] / (n[1] + 2 * n[2])
        if n[3] and n[4]:
            d = [1 - 2 * y * n[2] / n[1], 2 - 3 * y * n[3] / n[2], 3 - 4 * y * n[4] / n[3]]
            if 0 < d[0] <= 1 and 0 < d[1] <= 2 and 0 < d[2] <= 3:
                return d[min(amount, 3) - 1]
        return y

    def probability(self, token, context, length=None):
        length = self.order if length is None else length
        if length == 0:
            return Fraction(1, SIZE)
        context = context[len(context) - length + 1 :] if length > 1 else ()
        lower = self.probability(token, context, length - 1)
        after = {n[-1]: a for n, a in self.amounts[length].items() if n[:-1] == tuple(context)}
        if not after:
            return lower
        total, own = sum(after.values()), after.get(token, 0)
        if self.way == BELL:
            return (own + len(after) * lower) / (total + len(after))
        left = sum(self.discount(length, amount) for amount in after.values()) / total
        kept = own - self.discount(length, own) if own else 0
        return Fraction(kept) / total + left * lower


@settings(deadline=None)
@given(corpora, orders, ways)
def test_the_table_is_what_dictionaries_and_fractions_give(documents, order, way):
    found = probabilities(documents, order, DOUBLES, way)
    slow = Slow(documents, order, way)
    for row, context in enumerate(DOUBLES):
        for token in range(SIZE):
            # One rounding to float32 of a log of at most about 10: relative error under 1e-6.
            exact = float(slow.probability(token, context))
            assert found[row, token].item() == pytest.approx(exact, rel=2e-6)


@settings(deadline=None)
@given(corpora, orders, ways)
def test_every_row_sums_to_one_after_contexts_that_were_seen_and_others(documents, order, way):
    found = probabilities(documents, order, DOUBLES, way)
    torch.testing.assert_close(found.sum(1), torch.ones(len(DOUBLES), dtype=torch.double))
    assert bool((found > 0).all())


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


def test_kneser_ney_by_hand():
    """San Francisco, after Chen and Goodman's section 2.7: often seen, and after one token alone.

    0 is "San", 1 "Francisco", 2 a word that is rarer and comes after two others. Pairs: (0, 1) six
    times, (3, 2), (4, 2), (1, 3) and (1, 4) twice. After how many tokens each was seen: 1 once, 2 twice,
    3 and 4 once; n₁ = 3, n₂ = 1, so Y = 3/5 of all, and of N₁₊(••) = 5 they leave 4 Y / 5 = 12/25.
    """
    text = [[0, 1], [0, 1], [0, 1, 3], [0, 1, 3], [0, 1, 4], [0, 1, 4], *[[3, 2], [4, 2]] * 2]
    found = probabilities(text, 2, way=NEY)
    lower = [12 / 125, 2 / 25 + 12 / 125, 7 / 25 + 12 / 125, 2 / 25 + 12 / 125, 2 / 25 + 12 / 125]
    torch.testing.assert_close(found[2], torch.tensor(lower).double())  # 2 was never a context
    assert made(text, 1, NEY).lower.argmax() == 1  # by frequency it would be the other one
    # After 0: one kind of pair, of which D(3+) is left; n₁ = 0 of pairs, so KenLM's 1.5.
    after = [1.5 / 6 * p for p in lower]
    after[1] += 4.5 / 6
    torch.testing.assert_close(found[0], torch.tensor(after).double())


def test_discounts_are_those_of_chen_and_goodman_and_never_leave_nothing():
    amounts = np.repeat([1, 2, 3, 4, 9], [10, 4, 2, 1, 3])
    y = 10 / 18
    assert discounts(amounts) == pytest.approx(
        (1 - 2 * y * 4 / 10, 2 - 3 * y * 2 / 4, 3 - 4 * y * 1 / 2)
    )
    assert discounts(np.repeat([1, 2, 3], [2, 1, 1])) == (0.5, 0.5, 0.5)  # no n₄: Kneser and Ney's
    # 1 − 2 Y n₂/n₁ would be above 0 and 2 − 3 Y n₃/n₂ below it.
    assert discounts(np.repeat([1, 2, 3, 4], [10, 1, 9, 1])) == pytest.approx((10 / 12,) * 3)
    assert discounts(np.array([3, 3, 7])) == FALLBACK


def test_a_trigram_knows_two_tokens_and_the_beginning_of_a_document():
    text = [[0, 1, 2], [3, 1, 4]] * 8
    for way in SMOOTHINGS:
        bigram, trigram = (probabilities(text, order, DOUBLES, way) for order in (2, 3))
        at = {context: row for row, context in enumerate(DOUBLES)}
        assert bigram[at[0, 1], 2] == bigram[at[0, 1], 4] < 0.6 < 0.8 < trigram[at[0, 1], 2]
        assert trigram[at[3, 1], 4] > 0.8
        # (2, 1) was never seen: what is known after 1 alone, which was seen after two tokens.
        assert trigram[at[2, 1], 2] == trigram[at[2, 1], 4] == trigram[at[4, 1], 2]
        # No document begins with 1, and all that begin with 0 go on with 1.
        assert torch.equal(trigram[at[NOTHING, 1]], trigram[at[2, 1]])
        assert trigram[at[NOTHING, 0], 1] > 0.8


def test_a_context_never_seen_gives_the_unigram_exactly():
    unigram, bigram = (whole(made([[0, 1, 0, 2]], order), [4, 0]) for order in (1, 2))
    assert torch.equal(bigram[0], unigram[0])
    assert not torch.equal(bigram[1], unigram[1])


def test_no_pair_is_counted_across_documents():
    apart, together = (count(arrays(t), SIZE)[0] for t in ([[0, 1], [2, 3]], [[0, 1, 2, 3]]))
    assert [len(one.seen(2).keys) for one in (apart, together)] == [2, 3]
    assert [len(one.seen(3).keys) for one in (apart, together)] == [2, 3]


def test_the_first_token_of_a_document_is_not_counted_as_predicted():
    single = count(arrays([[4, 1], [4, 2]]), SIZE)[0].seen(1)
    assert (single.keys.tolist(), single.times.tolist()) == ([1, 2], [1, 1])


def test_counting_stops_at_the_limit_within_a_document():
    def endless():
        while True:
            yield np.array([0, 1, 2], dtype=np.int32)

    found = count(endless(), SIZE, limit=8)[0]
    assert (found.tokens, found.complete) == (8, False)
    assert found.seen(1).keys.tolist() == [1, 2] and found.seen(1).times.tolist() == [3, 2]
    assert "8 tokens, a limit: the fit part has more" in ngram(found, 2).says


@pytest.mark.parametrize(("limit", "all_of_it"), [(5, False), (6, True), (7, True)])
def test_what_is_cut_short_is_said_and_what_is_not_is_not(limit, all_of_it):
    found = count(arrays([[0, 1, 2], [0, 1, 2]]), SIZE, limit=limit)[0]
    assert found.complete is all_of_it
    assert ("all of the fit part" in ngram(found, 1).says) is all_of_it


@given(st.lists(st.lists(st.integers(0, SIZE - 1), max_size=30), min_size=1, max_size=45),
       st.integers(1, 9))  # fmt: skip
@settings(deadline=None)
def test_counting_in_chunks_is_counting_at_once(documents, chunk):
    documents = [[0, 1], *documents]
    triples = Counter(
        triple
        for document in documents
        for triple in zip([NOTHING, *document], document, document[1:], strict=False)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counts, "CHUNK", chunk)
        found, apart = count(arrays(documents), SIZE)
    keys = [(a + 1) * SIZE**2 + b * SIZE + c for a, b, c in sorted(triples)]
    assert found.keys.tolist() == keys
    assert found.times.tolist() == [triples[t] for t in sorted(triples)]
    assert found.tokens == sum(map(len, documents))
    rest = without(found, apart)
    assert rest.tokens + apart.tokens == found.tokens
    assert rest.times.sum() + apart.times.sum() == found.times.sum()
    assert apart.tokens == sum(map(len, documents[counts.EVERY - 1 :: counts.EVERY]))


@settings(deadline=None)
@given(corpora, orders, ways, st.integers(1, SIZE))
def test_slices_of_the_vocabulary_put_side_by_side_are_the_rows(documents, order, way, width):
    one = made(documents, order, way)
    contexts = torch.tensor([(0, 4), (1, 0), (1, 0), (NOTHING, 2)])
    of = one.log_probs(contexts if order == 3 else contexts[:, 1])
    parts = [of(slice(low, min(low + width, SIZE))) for low in range(0, SIZE, width)]
    assert torch.equal(torch.cat(parts, dim=1), whole(one, contexts))


def test_rows_come_in_the_order_of_the_contexts_and_may_repeat():
    text, some = [[0, 1, 3, 0, 2, 1]], [8, 0, 0, 29, 6, 13]
    for order, way in product((2, 3), SMOOTHINGS):
        every = probabilities(text, order, DOUBLES, way)
        rows = probabilities(text, order, [DOUBLES[place] for place in some], way)
        assert torch.equal(rows, every[some])


def test_a_prediction_is_of_its_own_row_and_of_nothing_that_comes_later():
    documents = [[0, 1, 2, 3], [4, 1, 0], [2, 2, 1, 0], [1, 0]]
    one = made(documents * 5, 3, NEY)
    tokens = torch.zeros((4, 4), dtype=torch.long)
    where = torch.zeros((4, 4), dtype=torch.bool)
    for row, document in enumerate(documents):
        tokens[row, : len(document)] = torch.tensor(document)
        where[row, : len(document) - 1] = True
    every = slice(0, SIZE)
    found = one.predict(Batch.of(tokens), where)(every)
    slow = Slow(documents * 5, 3, NEY)
    place = 0
    for document in documents:
        padded = [NOTHING, *document]
        for i in range(1, len(document)):
            exact = [float(slow.probability(w, padded[i - 1 : i + 1])) for w in range(SIZE)]
            assert found[place].exp().tolist() == pytest.approx(exact, rel=2e-6)
            place += 1
    assert place == len(found)
    # What is behind the end of a document, and what other rows hold, changes nothing.
    other = torch.where(torch.arange(4) < where.sum(1, keepdim=True), tokens, 3)
    assert torch.equal(one.predict(Batch.of(other), where)(every), found)
    alone = one.predict(Batch.of(tokens[2:3]), where[2:3])(every)
    assert torch.equal(alone, found[5:8])


def test_contexts_of_another_length_are_refused():
    with pytest.raises(TextError, match=r"it takes \(n, 2\)"):
        made([[0, 1, 2]], 3).log_probs(torch.tensor([0, 1]))
    with pytest.raises(TextError, match=r"it takes \(n\)"):
        made([[0, 1, 2]], 2).log_probs(torch.tensor([[0, 1]]))


def test_a_table_states_what_it_stores():
    tables = [made([[0, 1, 0, 2, 0, 1]], order) for order in range(4)]
    uniform, _, bigram, _ = tables
    # Predicted tokens 1 0 2 0 1: three kinds. Pairs 01 10 02 20 01: four kinds. Triples, of which the
    # first has nothing before: five kinds.
    assert [one.parameters for one in tables] == [0, 3, 7, 12]
    assert [one.tokens for one in tables] == [0, 6, 6, 6]
    assert [one.name for one in tables] == list(NAMES)
    assert whole(bigram, [0, 1]).dtype == torch.float32
    assert whole(uniform, [0]).exp()[0, 0].item() == pytest.approx(1 / SIZE)


@pytest.mark.parametrize("documents", [[], [[3]], [[1], [2]]])
def test_a_fit_part_without_two_tokens_in_a_row_is_an_error(documents):
    with pytest.raises(TextError, match="no two tokens"):
        count(arrays(documents), SIZE)


def test_a_token_outside_the_vocabulary_is_an_error():
    with pytest.raises(TextError, match="token 5 is outside"):
        count(arrays([[0, 5]]), SIZE)
    with pytest.raises(TextError, match="too large for triples"):
        count(arrays([[0, 5]]), 3_000_000)


def a_text(pool, fingerprint="pool", vocabulary=SIZE, pool_documents=0):
    nothing = {"eval": (), "fit": (), "notes": (), "composition": {}}
    return Text(
        name="toy",
        pool=pool,
        pool_fingerprint=fingerprint,
        block=4,
        vocabulary=vocabulary,
        fingerprint="text",
        pool_documents=pool_documents,
        **nothing,
    )


def test_counts_are_kept_and_found_again_without_reading_the_pool(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    text = a_text(lambda: iter(arrays([[0, 1, 0, 2, 0]])))
    first = ngrams(text)
    monkeypatch.setattr(counted, "count", None)
    again = ngrams(text)
    for one, two in zip(first, again, strict=True):
        assert torch.equal(whole(one, DOUBLES), whole(two, DOUBLES))
        assert (one.counted, one.parameters) == (two.counted, two.parameters)
        assert one.fingerprint == two.fingerprint
    assert torch.equal(whole(table(text, 2), SINGLES), whole(first[2], SINGLES))
    with pytest.raises(TypeError):  # the cache is keyed by the pool and by the limit
        ngrams(a_text(text.pool, "another"))
    with pytest.raises(TypeError):
        ngrams(text, limit=3)


def test_the_uniform_table_costs_the_log_of_the_vocabulary():
    assert -whole(made([[0, 1]], 0), [2])[0, 3].item() == pytest.approx(math.log(SIZE))


def generated(seed, documents, length=40):
    """Documents of a chain of order two, so that triples tell more than pairs."""
    rng = np.random.default_rng(seed)
    chances = np.random.default_rng(7).dirichlet(np.full(SIZE, 0.3), size=(SIZE, SIZE))
    found = []
    for _ in range(documents):
        ids = [0, 0]
        while len(ids) < length:
            ids.append(int(rng.choice(SIZE, p=chances[ids[-2], ids[-1]])))
        found.append(np.array(ids, dtype=np.int32))
    return found


def test_the_smoothing_is_the_better_one_on_documents_that_were_not_counted():
    """Two routes: the losses that choose are those of the tables themselves, run on the documents."""
    documents = generated(0, 100)
    found, apart = count(documents, SIZE)
    held = documents[counts.EVERY - 1 :: counts.EVERY]
    rest = [one for place, one in enumerate(documents) if place % counts.EVERY != counts.EVERY - 1]
    losses = held_out(found, apart)
    for order, way in product((1, 2, 3), SMOOTHINGS):
        one = ngram(count(rest, SIZE)[0], order, way)
        total, tokens = 0.0, 0
        for ids in held:
            ids = torch.from_numpy(ids).long()
            rows = one.log_probs(one.contexts(ids[None])[0, :-1])(slice(0, SIZE))
            total -= float(rows.gather(1, ids[1:, None]).double().sum())
            tokens += len(ids) - 1
        assert losses[order][way] == pytest.approx(total / tokens, rel=1e-6)
    found.held_out.update(losses)
    for order in (1, 2, 3):
        known = ngram(found, order).counted
        assert known.held_out == losses[order]
        assert known.smoothing == min(losses[order], key=losses[order].get)
    assert losses[3][NEY] < losses[2][NEY] < losses[1][NEY]


def test_the_smoothing_follows_the_losses_and_is_witten_bell_where_there_are_none():
    found, apart = count(arrays([[0, 1, 0, 2]]), SIZE)
    assert held_out(found, apart) == {}
    assert ngram(found, 2).counted.smoothing == BELL
    for order, better in ((2, BELL), (2, NEY), (3, NEY)):
        found.held_out[order] = {way: 1.0 + (way != better) for way in SMOOTHINGS}
        assert ngram(found, order).counted.smoothing == better
        assert ngram(found, order).fingerprint.endswith(better)


def test_a_loss_on_counts_is_the_mean_over_their_tokens():
    found, _ = count(arrays([[0, 1, 2, 1], [3, 1, 0]]), SIZE)
    other, _ = count(arrays([[2, 1, 2, 0, 4], [0, 1], [0, 1]]), SIZE)
    slow = Slow([[0, 1, 2, 1], [3, 1, 0]], 3, NEY)
    wanted = [
        ((NOTHING, 2), 1),
        ((2, 1), 2),
        ((1, 2), 0),
        ((2, 0), 4),
        ((NOTHING, 0), 1),
        ((NOTHING, 0), 1),
    ]
    exact = -sum(math.log(slow.probability(token, context)) for context, token in wanted) / 6
    assert loss(smooth(found, 3, NEY), other) == pytest.approx(exact)


def test_all_of_the_pool_is_counted_and_progress_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    documents = generated(1, 60)
    text = a_text(lambda: iter(documents), pool_documents=61)  # one of them is passed over
    told = []
    tables = ngrams(text, say=lambda *what: told.append(what))
    assert all(one.tokens == 60 * 40 and one.counted.complete for one in tables[1:])
    assert told[0] == ("counting n-grams of toy", 1, 61) and told[-1][1:] == (61, 61)
    assert [done for _, done, _ in told] == [*range(1, 61), 61]
    told.clear()
    ngrams(text, say=lambda *what: told.append(what))
    assert not told


def test_what_ships_is_taken_where_it_fits_exactly_and_is_whole(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(counted, "SHIPPED", tmp_path / "shipped")
    text = a_text(lambda: iter(generated(1, 30)))
    path = counted.ship(text, tmp_path / "shipped")
    with monkeypatch.context() as patch:
        patch.setattr(counted, "count", None)  # nothing is counted
        shipped = counts_of(text)
        for other in (a_text(text.pool, "another"), a_text(text.pool, vocabulary=6)):
            with pytest.raises(TypeError):
                counts_of(other)
        with pytest.raises(TypeError):
            counts_of(text, limit=100)
    assert not (tmp_path / "cache").exists()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    anew = counts_of(text)
    assert "is not what was shipped" in caplog.text and path.exists()
    for one in ("keys", "times", "tokens", "complete", "held_out", "fingerprint"):
        assert np.array_equal(getattr(shipped, one), getattr(anew, one)), one


def test_the_file_that_ships_is_whole_and_the_only_one():
    (path,) = counted.SHIPPED.iterdir()
    assert path.stat().st_size < 7_000_000
    found = counted._read(counted._shipped(path), 2048, path.stem)
    assert found.complete and np.all(np.diff(found.keys) > 0) and found.times.min() >= 1
    # All tokens but the first of each of the documents are predicted.
    assert 0 < found.tokens - found.times.sum() < 50_000
    assert set(found.held_out) == {1, 2, 3}


@pytest.mark.real
def test_what_ships_are_the_counts_of_this_webmix_in_the_ladders_tokens():
    import unexplained as ux

    text = ux.text("webmix", ux.load("rung-1"), documents=8, fit_documents=8)
    path = counted.SHIPPED / f"{fingerprint_of(text)}.parquet"
    assert path.is_file(), "run `unexplained ladder counts`: the text or the tokenizer is another"
    shipped = counts_of(text)
    sample = [ids for _, ids in zip(range(300), text.pool(), strict=False)]
    some, _ = count(sample, text.vocabulary)
    place = np.searchsorted(shipped.keys, some.keys)
    assert np.array_equal(shipped.keys[place], some.keys)
    assert np.all(shipped.times[place] >= some.times)
    # The first triple of every document is of the beginning: as many as there are documents.
    beginnings = shipped.times[shipped.keys < text.vocabulary**2].sum()
    assert shipped.tokens - shipped.times.sum() == beginnings <= text.pool_documents


@pytest.mark.parametrize("order", range(4))
def test_ids_that_are_no_tokens_of_the_table_are_refused(order):
    one = made([[0, 1, 2, 3, 4, 0, 1]], order)
    for wrong in (SIZE, -2, NOTHING):
        rows = torch.tensor([[0, 1], [1, wrong]]) if order == 3 else torch.tensor([0, wrong])
        with pytest.raises(TextError, match=rf"token id {wrong} is outside its {SIZE} tokens"):
            one.log_probs(rows)
    with pytest.raises(TextError, match="Give token ids as integers"):
        one.log_probs(torch.zeros((1, 2)) if order == 3 else torch.zeros(1))
    if order == 3:  # before the first token of a document there is nothing
        one.log_probs(torch.tensor([[NOTHING, 1]]))
