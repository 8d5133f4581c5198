"""Documents that begin like a part of another: kept, they would sit on both sides of the split."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unexplained.fetch import cache_folder, new_file, read_kept
from unexplained.hashing import digest, own_digest
from unexplained.text.document import Document

WINDOW = 12
"""Words in a row that must agree."""
OPENING = 200
"""Words at the start whose runs are looked for; blocks are cut from there."""
SHARE = 0.2
"""Fraction of an opening's runs that other texts may have."""
REMEMBERED = 5_000_000
"""Characters, half a second's work, from which on the answer is kept in the cache."""

# Scripts that put no space between words: every letter of them counts as a word.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003134f"
)
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")
_SIGN = re.compile(r"\S")
_MIX = np.uint64(0x9E3779B97F4A7C15)
_PIECES = 16
"""Into so many ranges of hashes runs are sorted, one after another: a sixteenth of the memory."""


def without_near_duplicates(documents: Sequence[Document]) -> tuple[tuple[Document, ...], int]:
    """The documents without near duplicates, first ones kept, and how many were left out.

    What is found out about more than `REMEMBERED` characters is kept in the cache.
    """
    repeats = _remembered(documents)
    kept = tuple(item for item, repeat in zip(documents, repeats, strict=True) if not repeat)
    return kept, int(repeats.sum())


def _remembered(documents: Sequence[Document]) -> NDArray[np.bool_]:
    if sum(len(item.text) for item in documents) < REMEMBERED:
        return near_duplicates(item.text for item in documents)
    name = digest(own_digest(__name__), *(item.id for item in documents))
    path = cache_folder() / "texts" / f"near-{name}.npy"
    if (data := read_kept(path)) is not None:
        found: NDArray[np.bool_] = np.load(io.BytesIO(data), allow_pickle=False)
        return found
    made = near_duplicates(item.text for item in documents)
    with new_file(path, sealed=True) as draft:
        np.save(draft, made)
    return made


def near_duplicates(texts: Iterable[str], *, share: float = SHARE) -> NDArray[np.bool_]:
    """Which texts to leave out, so that no opening is mostly found in other texts.

    What is compared: every run of 12 words in a text's opening, its first 200 words, with all runs
    of the other texts, at any place. Texts are gone through in order, and one is left out if with
    it more than `share` of the runs of some opening, its own or that of a text kept before, would
    occur in other kept texts. So among those kept no opening is seen elsewhere by more than that,
    neither in what is fitted nor in what n-grams are counted on.

    Words are compared without case, punctuation and spaces; letters of scripts that do not
    separate words count as words; of a text without words every sign does. A text of fewer than 12
    words is one run; an empty one is kept. Runs are compared by 64-bit hashes, all of them, so none above the share is missed.

    It takes a tenth of a second for a million characters, and 40 bytes of memory for every word.

    Misleads on boilerplate: a file that opens with a common licence counts as a repeat of the
    first file that did. For blocks cut from the opening that is what is wanted.

    Args:
        texts: Texts in the order of preference.
        share: Fraction of an opening's runs.

    >>> long = " ".join(str(n) for n in range(30))
    >>> near_duplicates([long, "0 1 2", "x " + long, long[::-1]]).tolist()
    [False, False, True, False]
    """
    numbers: dict[str, int] = {}
    runs: list[NDArray[np.uint64]] = []
    for text in texts:
        folded = text.casefold()
        words = _WORD.findall(folded) or _SIGN.findall(folded)
        runs.append(_runs(np.array([numbers.setdefault(word, len(numbers)) for word in words])))
    lengths = np.array([len(some) for some in runs], dtype=np.int64)
    asked = np.minimum(lengths, OPENING - WINDOW + 1)
    shared = _shared(np.concatenate([np.empty(0, np.uint64), *runs]), lengths, asked)
    return _chosen(shared, share * asked)


@dataclass(frozen=True)
class _Shared:
    """Runs that more than one text has; entries are sorted by text, one for each text and run."""

    text: NDArray[np.int64]
    run: NDArray[np.int64]
    """Numbers from 0."""
    times: NDArray[np.int64]
    """How often the run is in that text's opening."""


def _shared(
    runs: NDArray[np.uint64], lengths: NDArray[np.int64], asked: NDArray[np.int64]
) -> _Shared:
    """Of all texts' runs, end to end, those that more than one text has."""
    owner = np.repeat(np.arange(len(lengths)), lengths)
    opening = np.arange(len(runs)) < np.repeat(np.cumsum(lengths) - lengths + asked, lengths)
    piece = (runs >> np.uint64(60)).astype(np.uint8)
    found, known = [np.empty((0, 3), dtype=np.int64)], 0
    for number in range(_PIECES):
        here = np.flatnonzero(piece == number)
        order = here[np.argsort(runs[here], kind="stable")]  # stable: texts stay in order
        group = np.cumsum(np.diff(runs[order], prepend=runs[order][:1]) != 0)
        new = np.diff(owner[order], prepend=-1) != 0
        new |= np.diff(group, prepend=-1) != 0
        entry = np.cumsum(new) - 1
        times = np.bincount(entry, weights=opening[order]).astype(np.int64)
        text, run = owner[order][new], group[new]
        often = np.bincount(run)[run] > 1 if len(run) else np.empty(0, dtype=np.bool_)
        found.append(np.stack([text, run + known, times], axis=1)[often])
        known += len(run)
    entries = np.concatenate(found)
    entries = entries[np.argsort(entries[:, 0], kind="stable")]
    _, number_of = np.unique(entries[:, 1], return_inverse=True)
    return _Shared(entries[:, 0], number_of, entries[:, 2])


def _chosen(shared: _Shared, most: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Go through the texts in order; which are left out.

    Args:
        shared: The runs that several texts have.
        most: How many runs of each opening may be seen elsewhere.
    """
    left_out = np.zeros(len(most), dtype=np.bool_)
    seen = np.zeros(len(most), dtype=np.int64)
    size = int(shared.run.max(initial=-1)) + 1
    # The one kept text that has a run and how often in its opening; several are as good as one
    # whose opening does not have it, for each of them it is counted as seen.
    holder, times_there = np.full(size, -1), np.zeros(size, dtype=np.int64)
    starts = np.flatnonzero(np.diff(shared.text, prepend=-1))
    stops = np.append(starts[1:], len(shared.text))[: len(starts)]
    for start, stop in zip(starts, stops, strict=True):
        text, runs, times = shared.text[start], shared.run[start:stop], shared.times[start:stop]
        held = holder[runs] >= 0
        own = int(times[held].sum())
        others, which = np.unique(holder[runs[held]], return_inverse=True)
        more = np.bincount(which, weights=times_there[runs[held]], minlength=len(others))
        if own > most[text] or (seen[others] + more > most[others]).any():
            left_out[text] = True
            continue
        seen[text] = own
        seen[others] += more.astype(np.int64)
        times_there[runs] = np.where(held, 0, times)
        holder[runs] = np.where(held, holder[runs], text)
    return left_out


def _runs(words: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A 64-bit hash of every run of `WINDOW` words; of fewer words, of all of them."""
    window = min(WINDOW, len(words))
    if not window:
        return np.empty(0, dtype=np.uint64)
    count = len(words) - window + 1
    total = np.full(count, window, dtype=np.uint64)
    mixed = (words.astype(np.uint64) + np.uint64(1)) * _MIX
    mixed ^= mixed >> np.uint64(29)
    for offset in range(window):
        total = total * _MIX + mixed[offset : offset + count]
    return total ^ (total >> np.uint64(32)) * _MIX
