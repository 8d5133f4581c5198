"""A text: blocks of tokens in an eval and a fit part, with a label for every predicted token."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from unexplained.errors import TextError
from unexplained.schemes import home_of_name
from unexplained.subject.shipped import training_of
from unexplained.text.corpora import parts_of
from unexplained.text.document import Block, Pair, Part
from unexplained.text.draw import Pool, Request, require_disjoint
from unexplained.text.strata import VERSION, Labeller, Labels, marked
from unexplained.text.strata import strata as strata_of
from unexplained.text.tokens import Encoder, Tokenized


@dataclass(frozen=True, eq=False)
class Text:
    """Documents cut into token blocks; made by `text`."""

    name: str
    eval: tuple[Block, ...]
    """What is measured: one block for each document."""
    fit: tuple[Block, ...]
    """What fills, maps and constants are fitted on; shares no document with `eval`."""
    pool: Pool
    """Makes an iterator over the token arrays of the whole fit part, for n-gram counts."""
    pool_fingerprint: str
    block: int
    """Greatest number of tokens in a block; blocks of short documents have fewer."""
    vocabulary: int
    """Rows of the model's embedding; every token id is below it."""
    fingerprint: str
    """Hash over the name, every block's document, domain and tokens, and the strata's version."""
    notes: tuple[str, ...]
    composition: dict[str, int]
    """Eval documents per domain."""
    pool_documents: int = 0
    """How many documents the pool has, for progress; 0 where that is not known."""

    def __repr__(self) -> str:
        kind = "pairs" if self.pairs else "documents"
        return (
            f"<text {self.name}: {len(self.eval):,} {kind} with {self.predicted:,} predictions, "
            f"{len(self.fit):,} others to fit on>"
        )

    @property
    def predicted(self) -> int:
        """Number of predicted tokens in the eval part: all but the first of every block.

        Of a pair one: the answer.
        """
        return sum(len(block.targets) for block in self.eval)

    def blocks(self, which: Part, what: str) -> tuple[Block, ...]:
        """The blocks of a part.

        Args:
            which: The part.
            what: Who asks, for the error; `"Mean ablation"`.

        Raises:
            TextError: There are none, as in the fit part of pairs that are all measured.
        """
        found = self.eval if which == "eval" else self.fit
        if not found:
            raise TextError(
                f"{what} on {self.name}",
                f"it takes the text's {which} part, and there is nothing in it",
                "Give pairs to fit on (fit_pairs=…; --fit-pairs, --fit-documents), or mark lines of "
                'the file with "part": "fit".',
            )
        return found

    @property
    def pairs(self) -> bool:
        """Whether the blocks are pairs of prompts."""
        return all(isinstance(block, Pair) for block in self.eval)

    def swapped(self) -> Text:
        """The corrupted prompts of a text of pairs, to be measured with the same answers.

        Raises:
            TextError: The text has no pairs.
        """

        def other(blocks: tuple[Block, ...]) -> tuple[Block, ...]:
            return tuple(block.swapped() for block in blocks if isinstance(block, Pair))

        if not self.pairs:
            raise TextError(
                f"The corrupted prompts of {self.name}",
                "it is running text, not pairs of prompts",
                "Use a behaviour, such as ioi.",
            )
        return replace(self._of(other(self.eval), other(self.fit)), name=f"{self.name}, corrupted")

    def first(self, documents: int, fit_documents: int | None = None) -> Text:
        """The same text with only the first documents of its eval part, and of its fit part.

        Args:
            documents: How many of the eval part.
            fit_documents: How many of the fit part; all with None.
        """
        return self._of(self.eval[:documents], self.fit[:fit_documents])

    def rest(self, documents: int) -> Text:
        """The same text without the first documents of its eval part."""
        return self._of(self.eval[documents:], self.fit)

    def halves(self) -> tuple[Text, Text]:
        """Two texts with half of the eval part each; what is resampled together stays together."""
        first = set(self.units[: len(self.units) // 2])
        return (
            self._of(tuple(b for b in self.eval if b.unit in first), self.fit),
            self._of(tuple(b for b in self.eval if b.unit not in first), self.fit),
        )

    def only(self, units: Collection[str]) -> Text:
        """The same text with only some `units` (documents, or orbits of pairs) in its eval part."""
        return self._of(tuple(b for b in self.eval if b.unit in units), self.fit)

    def fitting_on(self, documents: Collection[str]) -> Text:
        """The same text with only some documents in its fit part."""
        return self._of(self.eval, tuple(b for b in self.fit if b.document in documents))

    def keeping(self, documents: Collection[str]) -> Text:
        """The same text with only some pairs of its eval part, orbits divided or not.

        Args:
            documents: Names of the pairs that stay.
        """
        return self._of(tuple(b for b in self.eval if b.document in documents), self.fit)

    @property
    def units(self) -> tuple[str, ...]:
        """What is resampled: documents, or orbits of pairs, in order."""
        return tuple(dict.fromkeys(block.unit for block in self.eval))

    def _of(self, some: tuple[Block, ...], fit: tuple[Block, ...]) -> Text:
        return replace(
            self,
            eval=some,
            fit=fit,
            fingerprint=fingerprint_of(self.name, some, fit),
            composition=_composition(some),
        )

    def with_strata(self, given: Mapping[str, Labeller | str]) -> Text:
        """The same text, its losses broken down by a user's strata as well.

        The name, fingerprint and tokens stay: what was measured of the text is still known, and is
        measured again only for a partition with several labels in one block.

        Args:
            given: Partition → a function of a block (`strata.Stratum`), or the name of a variable.

        Raises:
            TextError: A partition cannot be made of some document (`strata.marked`).
        """
        return replace(
            self,
            eval=tuple(marked(block, given) for block in self.eval),
            fit=tuple(marked(block, given) for block in self.fit),
        )

    def labels(self, block: Block) -> dict[str, Labels]:
        """Partition → label of every predicted token of a block; entry i is for `tokens[i + 1]`."""
        return strata_of(block)


def text(
    source: str | os.PathLike[str],
    subject: Tokenized,
    *,
    documents: int = 96,
    fit_documents: int = 64,
    block: int = 128,
    seed: int = 0,
    strata: Mapping[str, Labeller | str] | None = None,
) -> Text:
    """Read a source and cut it into blocks of a model's tokens.

    Args:
        source: The name of a corpus (`webmix`, `pydocs`, `repeats`), a testbed's text
            (`testbed:periodic`, whose documents are as long as they are) or the path of a `.txt`,
            `.jsonl` (field `text`) or `.parquet` file (column `text`) or of a folder of `.txt`
            files. A name wins over a path; write `./webmix` for a folder of that name. A document
            is a line of a `.jsonl`, a row of a `.parquet`, and of a `.txt` a passage: it is cut at
            blank lines (or line ends, where it has none) into passages of 2,000 characters or
            more. 30 documents or more fill both parts; a fifth, by hash, is measured.
        subject: The model whose tokenizer cuts the text.
        documents: How many documents to measure on: one block each. Intervals narrow as its root.
        fit_documents: How many documents to fit on.
        block: Greatest number of tokens in a block.
        seed: Which documents are drawn; which part a document is in does not depend on it.
        strata: More partitions to break losses down by (`Text.with_strata`): name → a function from a
            block to a label for each predicted token, or the name of a variable of the documents.

    Documents of a file whose openings mostly stand in others are left out before the split
    (`duplicates`: a tenth of a second for a million characters, once for a text of over 5 million).
    Special tokens that a document spells are read as their letters, and what a tokenizer puts at
    the end of a text is left off (`tokens`); the notes say so.

    Raises:
        TextError: The source is unknown, unreadable or too short, or the tokenizer belongs to
            another model.
        FetchError: The corpus has to be downloaded and could not be.
    """
    source = require_source("The text", source)
    require_number("documents", documents, 1)
    require_number("fit_documents", fit_documents, 1)
    require_number("block", block, 2)
    most = subject.shape.positions
    if most is not None and block > most:
        raise TextError(
            f"A text in blocks of {block} tokens",
            f"{subject.name} computes passes of {most} at most",
            f"Ask for shorter blocks: --block {most}; in Python block={most}.",
        )
    require_number("seed", seed, 0)
    if (known := home_of_name(source)) is not None:
        home, rest = known
        made: Text = home.open_text(
            rest, subject, documents=documents, fit_documents=fit_documents, seed=seed
        )
        return made.with_strata(strata or {})
    tokens = Encoder(subject)
    request = Request(source, tokens, documents, fit_documents, block, seed)
    name, parts = parts_of(request)
    require_disjoint(parts.eval, parts.fit)
    whole = Text(
        name=name,
        eval=parts.eval,
        fit=parts.fit,
        pool=parts.pool,
        pool_fingerprint=parts.pool_fingerprint,
        block=block,
        vocabulary=subject.shape.vocabulary,
        fingerprint=fingerprint_of(name, parts.eval, parts.fit),
        notes=(*tokens.notes, *parts.notes, *_beyond(subject, parts.eval)),
        composition=_composition(parts.eval),
        pool_documents=parts.pool_documents,
    )
    return whole.with_strata(strata) if strata else whole


def _beyond(subject: Tokenized, blocks: tuple[Block, ...]) -> list[str]:
    """That blocks are longer than the rows that a model of ours was trained on, where they are."""
    training = training_of(subject)
    longest = max((len(block.tokens) for block in blocks), default=0)
    if training is None or longest <= training.context:
        return []
    return [
        f"{subject.name} was trained on rows of {training.context} tokens, and blocks here have up to "
        f"{longest}: of positions beyond {training.context} it has seen nothing."
    ]


def require_number(name: str, value: object, least: int, because: str = "") -> None:
    """Refuse what is no whole number, or too small a one, before anything is read.

    Raises:
        TextError: It is; it is named as in Python and at the command line.
    """
    asked = f"A text with {name}={value!r} (--{name.replace('_', '-')})"
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TextError(asked, "that is no whole number", f"The least is {least}.")
    if value < least:
        raise TextError(asked, f"the least is {least}" + (f": {because}" if because else ""))


def require_source(what: str, source: object) -> str:
    """A text's name or path as a string.

    Raises:
        TextError: It is neither, or empty, which would be the folder one is in.
    """
    if not isinstance(source, str | os.PathLike) or not str(source):
        raise TextError(f"{what} {source!r}", "it is neither a name nor a path")
    return str(source)


def _composition(blocks: tuple[Block, ...]) -> dict[str, int]:
    return dict(Counter(block.domain for block in blocks))


def fingerprint_of(name: str, measured: tuple[Block, ...], fitted: tuple[Block, ...]) -> str:
    """Hash over a text's name, every block's document, domain and tokens, and the strata's version."""
    digest = hashlib.sha256(json.dumps([VERSION, name, len(measured), len(fitted)]).encode())
    for block in (*measured, *fitted):
        header = [block.document, block.domain, len(block.tokens), block.second_copy]
        header += [block.original] if block.original else []
        digest.update(json.dumps(header).encode())
        digest.update(block.tokens.astype("<i4").tobytes())
        if isinstance(block, Pair):
            about = [block.answer, block.wrong, block.orbit, sorted(block.labels.items())]
            digest.update(json.dumps(about).encode())
            digest.update(block.corrupted.astype("<i4").tobytes())
    return digest.hexdigest()[:16]
