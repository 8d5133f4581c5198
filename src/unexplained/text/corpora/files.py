"""The user's own text: a .txt, .jsonl or .parquet file, or a folder of .txt files.

What a document is: a line's field `text` of a `.jsonl`; a row's column `text` of a `.parquet`; of a
`.txt` a passage. A `.txt` file is cut at blank lines (at every line's end where it has no blank
line) into passages, each of as many paragraphs as it takes to have 2,000 characters; the last may
be shorter. One document gives one block, from its beginning; a fifth of them, by hash, is measured
and the others are fitted on. So a file needs some 30 documents, a `.txt` some 60,000 characters,
to fill both parts; more make the intervals narrow.

A line or row may say more of its document: `variables`, an object of strings (in Parquet a struct or map).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from unexplained.errors import TextError, near_matches
from unexplained.text import behaviours, corpora
from unexplained.text.document import Corpus, Document, deduplicate, document
from unexplained.text.draw import WHAT_A_DOCUMENT_IS, Parts, Request, draw
from unexplained.text.duplicates import OPENING, SHARE, WINDOW, without_near_duplicates
from unexplained.text.lines import (
    decoded,
    json_lines,
    printable,
    require_regular,
    require_unicode,
    strings_of,
)

PASSAGE = 2000
"""A text file is cut between paragraphs into documents of at least so many characters."""

_PARAGRAPH = re.compile(r"(?<=\n)(?=\s*\n)")
_LINE = re.compile(r"(?<=\n)")


def parts(request: Request) -> Parts:
    """Draw from the file or folder that the source names; a document's domain is its file's name.

    Domains are mixed in proportion to their documents. Neighbouring passages of a `.txt` can lie
    in different parts: a long text that repeats itself is not split as cleanly as separate
    documents are.
    """
    return draw(request, corpus(Path(request.source)))


def corpus(path: Path) -> Corpus:
    """All documents under a path, exact and near repeats left out.

    Raises:
        TextError: There is no such path, it is of another kind, empty, or cannot be read as text.
    """
    _require_there(path)
    files = sorted(path.rglob("*.txt")) if path.is_dir() else [path]
    if not files:
        raise TextError(f"The folder '{printable(str(path))}'", "it has no .txt file")
    found: list[Document] = []
    notes: list[str] = []
    for file in files:
        read, note = _reader(file)(file)
        domain = printable(file.name)
        found += [document(text, domain, said) for text, said in read if text.strip()]
        notes += [note] if note else []
    if not found:
        raise TextError(f"The text '{printable(str(path))}'", "it is empty", WHAT_A_DOCUMENT_IS)
    documents, repeats = deduplicate(found)
    if repeats:
        notes.append(f"{repeats} of {len(found)} documents repeat another exactly; left out.")
    kept, near = without_near_duplicates(documents)
    if near:
        notes.append(
            f"{near} of {len(documents)} documents nearly repeat others, left out: with them more than {SHARE:.0%} of "
            f"the runs of {WINDOW} words in the first {OPENING} of some document would be in others."
        )
    weights: dict[str, float] = dict(Counter(item.domain for item in kept))
    return Corpus(kept, weights, tuple(notes), near)


def _require_there(path: Path) -> None:
    try:
        there = path.exists()
    except OSError as error:
        raise TextError(
            f"The text '{printable(str(path))}'", f"it cannot be looked at ({error.strerror})"
        ) from error
    if not there and str(path) in behaviours.described():
        raise TextError(
            f"The text '{path}'",
            "it is a behaviour, pairs of prompts and no running text",
            f"Read it with pairs('{path}', …), or give it to a command that takes behaviours (sweep, "
            "circuit, tasks).",
        )
    if not there:
        named = [name for name in corpora.names() if name != "files"]
        raise TextError(
            f"The text '{printable(str(path))}'",
            "it is neither a corpus, a behaviour, nor a path that exists",
            near_matches(str(path), [*named, *behaviours.described()]),
        )


_STRINGS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)

FileDocuments = list[tuple[str, Mapping[str, str]]]
"""Texts, and the variables of each."""

Reader = Callable[[Path], tuple[FileDocuments, str]]


def _reader(path: Path) -> Reader:
    readers: dict[str, Reader] = {".txt": _txt, ".jsonl": _jsonl, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise TextError(
            f"The file '{printable(str(path))}'",
            f"'{path.suffix}' files are not read",
            "Read are .txt, .jsonl with a field `text`, and .parquet with a column `text`.",
        )
    return reader


def _txt(path: Path) -> tuple[FileDocuments, str]:
    text = decoded(path)
    if "\n" not in text:
        text = text.replace("\r", "\n")  # the line ends of old Macintoshes
    passages = [""]
    # At blank lines, or at every line's end in a file that has no blank line.
    for piece in re.split(_PARAGRAPH if _PARAGRAPH.search(text) else _LINE, text):
        if len(passages[-1]) >= PASSAGE:
            passages.append("")
        passages[-1] += piece
    if len(passages) == 1:
        return [(passages[0], {})], ""
    note = f"{path.name}: {len(passages)} passages."
    return [(text.strip("\r\n"), {}) for text in passages], note


def _jsonl(path: Path) -> tuple[FileDocuments, str]:
    texts: FileDocuments = []
    for where, row in json_lines(path):
        if not isinstance(row, dict) or not isinstance(row.get("text"), str):
            fields = ", ".join(row) if isinstance(row, dict) else type(row).__name__
            raise TextError(
                where,
                f"it has no string field `text` (found: {fields or 'nothing'})",
                "These are pairs of prompts: read them with pairs(…), or give the file to a command "
                "that takes behaviours (sweep, circuit, tasks)."
                if isinstance(row, dict) and {"clean", "corrupted"} <= row.keys()
                else "",
            )
        require_unicode(where, "`text`", row["text"])
        texts.append((row["text"], strings_of(where, row, "variables")))
    return texts, ""


def _parquet(path: Path) -> tuple[FileDocuments, str]:
    require_regular(path)
    asked = f"The file '{printable(str(path))}'"
    try:
        schema = pq.read_schema(path)
        if "text" not in schema.names:
            raise TextError(asked, "it has no column `text`", near_matches("text", schema.names))
        columns = [name for name in ("text", "variables") if name in schema.names]
        table = pq.read_table(path, columns=columns)
        column = table["text"]
    except pa.ArrowInvalid as error:
        raise TextError(asked, f"it is not a Parquet file ({error})") from error
    except OSError as error:
        raise TextError(asked, f"it cannot be read ({error.strerror})") from error
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not any(is_kind(kind) for is_kind in _STRINGS):
        raise TextError(asked, f"its column `text` holds {column.type}, not strings")
    said = table["variables"].to_pylist() if "variables" in columns else [None] * len(column)
    texts: FileDocuments = []
    for number, (text, one) in enumerate(zip(column.to_pylist(), said, strict=True), start=1):
        if text is not None:
            row = {} if one is None else {"variables": _without_nulls(one)}
            where = f"Row {number} of '{printable(path.name)}'"
            texts.append((text, strings_of(where, row, "variables")))
    missing = len(column) - len(texts)
    return texts, f"{path.name}: {missing} rows without text." if missing else ""


def _without_nulls(cell: Any) -> Any:
    """A struct or a map as a dictionary: every row of a struct has every field, some of them null."""
    entries = cell.items() if isinstance(cell, dict) else cell
    if not isinstance(cell, dict | list) or not all(isinstance(one, tuple) for one in entries):
        return cell
    return {name: value for name, value in entries if value is not None}
