"""Counts of a text's fit part: those that ship, those in the cache, or made now and kept there.

What ships are the counts of `webmix` in the ladder's tokens. A file is found by everything that its
numbers depend on (the pool's documents and their order, the tokenizer, the vocabulary, the limit), so
where any of that is another one there is no file, and the pool is counted.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from unexplained.fetch import cache_folder, new_file, read_kept
from unexplained.hashing import own_digest
from unexplained.progress import Progress
from unexplained.subject.shipped import FOLDER
from unexplained.text.build import Text
from unexplained.text.counts import LIMIT, Counts, count, without
from unexplained.text.smoothing import SMOOTHINGS, loss, smooth
from unexplained.whole import BLANK, NOTES, is_sealed, seal

SHIPPED = FOLDER / "ngrams"

ORDERS = (1, 2, 3)
"""Whose smoothing is chosen."""

MADE_BY = ("unexplained.text.counts", "unexplained.text.smoothing")
"""The code that counts: what is kept is kept under its digest."""

_VERSION = 2
"""Of the files that ship: goes up when other things are counted, or in another way. They are not under
the digest of the code, which would be void by any edit; that today's code counts the same is tested."""


def counts_of(
    text: Text, limit: int = LIMIT, say: Progress = lambda what, done, total: None
) -> Counts:
    """The counts of a text's whole fit part, made once.

    Args:
        text: Its pool is read, never its eval part.
        limit: Greatest number of tokens to count; the pool is mixed like the text, so the
            beginning stands for the whole.
        say: Told how many documents are counted.

    Raises:
        FetchError: The counts cannot be kept in the cache.
        TextError: There is nothing to count.
    """
    fingerprint = fingerprint_of(text, limit)
    path = cache_folder() / "ngrams" / f"{fingerprint}-{own_digest(*MADE_BY)}.parquet"
    data = _shipped(SHIPPED / f"{fingerprint}.parquet")
    if data is None:
        data = read_kept(path)
    if data is not None:
        return _read(data, text.vocabulary, fingerprint)
    counts = _made(text, limit, fingerprint, say)
    with new_file(path, sealed=True) as draft:
        draft.write_bytes(as_file(counts))
    return counts


def fingerprint_of(text: Text, limit: int = LIMIT) -> str:
    """Of everything that a text's counts depend on."""
    key = f"{_VERSION} {text.pool_fingerprint} {text.vocabulary} {limit}"
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def ship(text: Text, folder: Path = SHIPPED) -> Path:
    """Count a text's fit part anew and write the file that ships.

    Raises:
        OSError: It cannot be written.
    """
    fingerprint = fingerprint_of(text)
    path = folder / f"{fingerprint}.parquet"
    folder.mkdir(parents=True, exist_ok=True)
    counts = _made(text, LIMIT, fingerprint, lambda what, done, total: None)
    path.write_bytes(seal(as_file(counts, level=19), path.name))
    return path


def _made(text: Text, limit: int, fingerprint: str, say: Progress) -> Counts:
    total, what = text.pool_documents, f"counting n-grams of {text.name}"
    counts, apart = count(
        text.pool(), text.vocabulary, limit=limit, fingerprint=fingerprint,
        say=lambda done: say(what, min(done, total - 1), total) if total else None,
    )  # fmt: skip
    counts = replace(counts, held_out=held_out(counts, apart))
    if total:
        say(what, total, total)
    return counts


def held_out(counts: Counts, apart: Counts) -> dict[int, dict[str, float]]:
    """Order → smoothing → loss on some documents of tables that did not count them.

    Args:
        counts: All counts.
        apart: Those of the documents that are held out, which are among them.
    """
    rest = without(counts, apart)
    if not (len(rest.keys) and len(apart.keys)):
        return {}
    return {
        order: {name: loss(smooth(rest, order, name), apart) for name in SMOOTHINGS}
        for order in ORDERS
    }


def as_file(counts: Counts, level: int = 3) -> bytes:
    """Counts as Parquet: the triples' distances, and how often each was seen."""
    columns = {"gap": np.diff(counts.keys, prepend=0), "times": counts.times}
    about = {
        "tokens": str(counts.tokens),
        "complete": json.dumps(counts.complete),
        "held_out": json.dumps(counts.held_out),
        "seal": BLANK,
    }
    table = pa.table(columns).replace_schema_metadata(about)
    sink = pa.BufferOutputStream()
    pq.write_table(
        table, sink, compression="zstd", compression_level=level, use_dictionary=False,
        column_encoding=dict.fromkeys(columns, "BYTE_STREAM_SPLIT"),
    )  # fmt: skip
    return bytes(sink.getvalue())


def _read(data: bytes, vocabulary: int, fingerprint: str) -> Counts:
    table = pq.read_table(pa.BufferReader(data))
    about = table.schema.metadata
    losses = json.loads(about[b"held_out"])
    return Counts(
        vocabulary=vocabulary,
        tokens=int(about[b"tokens"]),
        complete=json.loads(about[b"complete"]),
        keys=np.cumsum(table["gap"].to_numpy()),
        times=table["times"].to_numpy(),
        fingerprint=fingerprint,
        held_out={int(order): known for order, known in losses.items()},
    )


def _shipped(path: Path) -> bytes | None:
    """A file that came with the package; None where there is none, or it is not what was shipped."""
    if not path.is_file():
        return None
    data = path.read_bytes()
    if is_sealed(data, path.name):
        return data
    NOTES.warning("%r is not what was shipped; it is counted again.", str(path))
    return None
