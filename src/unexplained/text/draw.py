"""From documents to the eval and fit blocks of a text."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unexplained.errors import TextError
from unexplained.text.document import Block, Corpus, Document, Part, order_key, part
from unexplained.text.lines import printable
from unexplained.text.mixture import mixed
from unexplained.text.tokens import Encoder

NAMED = 4
"""So many domains that a text has nothing of are named."""
SHORTEST = 32
"""Documents of fewer tokens are passed over (of fewer than a block, where blocks are shorter)."""

ENOUGH = 30
"""So many documents leave a part empty once in 800 times."""

WHAT_A_DOCUMENT_IS = (
    "A document is a line of a .jsonl, a row of a .parquet, and of a .txt a passage: it is cut at "
    "blank lines (or line ends, where it has none) into passages of 2,000 characters or more."
)

SPECIAL = "spelling a special token that the tokenizer does not read as text"
REPEATED = "having the tokens of another block"
UNKNOWN = "having the tokens of another block, most for words that it does not know"

Pool = Callable[[], Iterator[NDArray[np.int32]]]


@dataclass(frozen=True)
class Request:
    """What was asked of `text`."""

    source: str
    tokens: Encoder
    documents: int
    fit_documents: int
    block: int
    """Greatest number of tokens in a block."""
    seed: int


@dataclass(frozen=True, eq=False)
class Parts:
    """What a corpus answers."""

    eval: tuple[Block, ...]
    fit: tuple[Block, ...]
    pool: Pool
    """Makes an iterator over the token arrays of the whole fit part, one for each document."""
    pool_fingerprint: str
    """Changes with the pool's documents, their order or the tokenizer."""
    notes: tuple[str, ...] = ()
    pool_documents: int = 0
    """How many documents the pool has at most; 0 where that is not known."""


def draw(request: Request, corpus: Corpus) -> Parts:
    """Cut the first block out of documents drawn from both parts of a corpus.

    Which documents are drawn follows from their hashes, the seed and the corpus's weights. The
    pool takes all documents of the fit part and does not depend on the seed, so that what is
    counted on it is the same for every sample.

    Raises:
        TextError: A part has no usable document.
    """
    halves: dict[Part, list[Document]] = {"eval": [], "fit": []}
    for item in corpus.documents:
        halves[part(item.unit)].append(item)
    taken: set[bytes] = set()
    measured, notes = _take(request, corpus, halves, "eval", taken)
    fitted, more = _take(request, corpus, halves, "fit", taken)
    pool = sorted(halves["fit"], key=lambda item: order_key(item.id, 0))
    pool = list(mixed(pool, corpus.weights, cost=lambda item: len(item.text)))
    tokens = request.tokens

    def encoded() -> Iterator[NDArray[np.int32]]:
        return (ids for _, ids in tokens.encode_all(pool) if tokens.is_text(ids))

    names = "".join(item.id for item in pool)
    fingerprint = hashlib.sha256(f"{tokens.fingerprint} {names}".encode()).hexdigest()
    said = (*corpus.notes, *notes, *more)
    return Parts(measured, fitted, encoded, fingerprint, said, len(pool))


def require_disjoint(measured: tuple[Block, ...], fitted: tuple[Block, ...]) -> None:
    """Check that no document and no block is on both sides.

    Raises:
        TextError: One is.
    """
    ids = {block.document for block in measured} & {block.document for block in fitted}
    same = {_key(block) for block in measured} & {_key(block) for block in fitted}
    if ids or same:
        raise TextError(
            "The eval and fit parts of a text",
            f"they share {len(ids)} documents and {len(same)} blocks",
            "What is fitted must not have seen what is measured: remove the repeats.",
        )


def _key(block: Block) -> bytes:
    return block.tokens.tobytes()


def _take(
    request: Request,
    corpus: Corpus,
    halves: dict[Part, list[Document]],
    which: Part,
    taken: set[bytes],
) -> tuple[tuple[Block, ...], list[str]]:
    """The blocks of a part and what to note; adds to `taken`, whose blocks are passed over."""
    asked = request.documents if which == "eval" else request.fit_documents
    shortest = min(SHORTEST, request.block)
    ordered = _ordered(halves[which], request.seed)
    blocks: list[Block] = []
    passed: Counter[str] = Counter()
    spelling: Counter[str] = Counter()
    tokens = request.tokens
    for item, ids in tokens.openings(mixed(ordered, corpus.weights), request.block):
        if len(blocks) == asked:
            break
        block = Block(item.id, item.domain, ids, given=item.variables, original=item.original)
        if len(ids) < shortest:
            passed[f"having under {shortest} tokens"] += 1
        elif not tokens.is_text(ids):
            passed[SPECIAL] += 1
        elif _key(block) in taken:
            passed[UNKNOWN if 2 * tokens.unknown(ids) > len(ids) else REPEATED] += 1
        else:
            taken.add(_key(block))
            blocks.append(block)
            spelling.update(tokens.spelt(item.text))
    if not blocks:
        _raise_empty(request, which, corpus, len(ordered), passed)
    notes = [f"{which}: passed over for {why}: {count}." for why, count in passed.items()]
    if spelling:
        notes.append(
            f"{which}: documents that spell a special token, which is read as its letters: "
            + ", ".join(f"{token} in {count}" for token, count in spelling.most_common(5))
            + "."
        )
    if unknown := sum(tokens.unknown(block.tokens) for block in blocks):
        share = unknown / sum(len(block.tokens) for block in blocks)
        notes.append(
            f"{which}: {share:.1%} of the tokens stand for what the tokenizer does not know."
        )
    if len(blocks) < asked:
        notes.append(f"{which}: {asked} documents were asked for and there are {len(blocks)}.")
    elif scarce := _scarce(blocks, ordered, corpus.weights):
        notes.append(f"{which}: all documents used, so less than its share: {', '.join(scarce)}.")
    if blocks and (lacking := _lacking(blocks, corpus)):
        notes.append(
            f"{which}: no document of {lacking} among {len(blocks)}: what is measured is about the others."
        )
    return tuple(blocks), notes


def _ordered(documents: list[Document], seed: int) -> list[Document]:
    """A part in the order in which it is drawn: of every unit and domain one document, then another of each."""
    seen: Counter[tuple[str, str]] = Counter()
    turns: list[tuple[int, str, Document]] = []
    for item in documents:
        turns.append((seen[item.domain, item.unit], order_key(item.unit, seed), item))
        seen[item.domain, item.unit] += 1
    return [item for *_, item in sorted(turns, key=lambda turn: turn[:2])]


def _scarce(blocks: list[Block], part: list[Document], weights: dict[str, float]) -> list[str]:
    """Domains that ran out before they had their share."""
    used = Counter(block.domain for block in blocks)
    there = Counter(item.domain for item in part)
    total = sum(weights[domain] for domain in weights)
    fair = {domain: len(blocks) * weights[domain] / total for domain in weights}
    return [name for name in weights if used[name] + 1 <= fair[name] and there[name] <= fair[name]]


def _lacking(blocks: list[Block], corpus: Corpus) -> str:
    """Domains of the corpus that a part has no document of, the first few by name: no interval tells of them."""
    used = {block.domain for block in blocks}
    there = sorted({item.domain for item in corpus.documents} - used)
    named = ", ".join(there[:NAMED])
    return f"{named} and {len(there) - NAMED} other domains" if len(there) > NAMED else named


def _raise_empty(
    request: Request, which: Part, corpus: Corpus, there: int, passed: Counter[str]
) -> None:
    total = len(corpus.documents)
    share = "a fifth does" if which == "eval" else "four fifths do"
    found = f"of {total} document{'s' * (total != 1)} {there or 'none'} fall in it"
    found += f" ({share}, by hash)"
    found += "".join(f"; passed over for {why}: {count}" for why, count in passed.items())
    if corpus.near:
        found += f"; left out before, for beginning like others: {corpus.near}"
    worst = max(passed, key=lambda why: passed[why], default="")
    alike = "Blocks are cut from the beginning: take away what all documents begin with"
    if worst == REPEATED:
        alike += f", or ask for blocks longer than that ({request.block} now: block=…; --block)"
    if worst == UNKNOWN:
        do = "Use a text of words that this model's tokenizer knows."
    elif worst == REPEATED or corpus.near >= total:
        do = f"{alike}."
    elif worst == SPECIAL:
        do = "Take the special tokens out of the text, or use another tokenizer."
    elif worst:
        do = "Give longer documents, or a smaller block (block=…; --block)."
    else:
        do = f"Give {ENOUGH} documents or more, which fill both parts. {WHAT_A_DOCUMENT_IS}"
    raise TextError(f"The {which} part of '{printable(request.source)}'", found, do)
