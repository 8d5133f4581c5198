"""A GGUF file's header, counted through before a reader that believes it.

Every count in it is a loop and every length a piece of memory. Here each is held against the bytes
that are left in the file, so that a few bytes cannot ask for all memory or all time.
"""

from __future__ import annotations

import math
import mmap
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gguf import GGML_QUANT_SIZES

from unexplained.errors import SubjectError
from unexplained.files import said
from unexplained.subject.room import StoredWeights, require_counts

_PLAIN = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "B", 10: "Q", 11: "q", 12: "d"}
"""How values are packed, by GGUF's number of their type."""

_STRING, _ARRAY = 8, 9
ENTRIES = 1 << 22
"""Entries of one list: four times the merges of the largest vocabularies."""
DIMENSIONS = 4
_SIZES = {int(kind): sizes for kind, sizes in GGML_QUANT_SIZES.items()}


def require_sound(path: Path) -> StoredWeights:
    """Refuse a header with counts, lengths or sizes that the file has no room for; what it holds.

    Raises:
        SubjectError: What does not fit.
    """
    asked = f"The GGUF file {path}"
    try:
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            counts, held = _read(_Header(data))
    except (OSError, ValueError, struct.error, _Unsound) as error:  # an empty file cannot be mapped
        raise SubjectError(
            asked, f"it cannot be read ({said(error)})", "Is it whole, and a GGUF file?"
        ) from error
    require_counts(asked, counts, held)
    return held


class _Unsound(Exception):
    """What does not fit."""


@dataclass
class _Header:
    """A place in the bytes of a file, which only moves on."""

    data: mmap.mmap
    at: int = 0
    numbers: dict[str, int] = field(default_factory=dict)

    def value(self, kind: str) -> Any:
        (found,) = struct.unpack_from(f"<{kind}", self.data, self.at)
        self.at += struct.calcsize(kind)
        return found

    def count(self, what: str, least: int) -> int:
        """A count of things that take at least so many bytes each."""
        number = int(self.value("Q"))
        left = len(self.data) - self.at
        if number * least > left:
            raise _Unsound(f"it counts {number:,} {what}, and {left:,} bytes are left")
        return number

    def text(self) -> str:
        length = self.count("bytes of a name or a text", 1)
        self.at += length
        return self.data[self.at - length : self.at].decode("utf-8", "replace")

    def skip(self, name: str, kind: int) -> None:
        """Go past an entry's value, and note it if it is one whole number."""
        if kind == _STRING:
            self.text()
        elif kind == _ARRAY:
            inner = int(self.value("I"))
            if inner != _STRING and inner not in _PLAIN:
                raise _Unsound(f"the entry {name} is a list of what GGUF has no lists of ({inner})")
            size = 8 if inner == _STRING else struct.calcsize(_PLAIN[inner])
            number = self.count(f"entries of {name}", size)
            if number > ENTRIES:
                raise _Unsound(f"the entry {name} is a list of {number:,}, and {ENTRIES:,} is most")
            if inner == _STRING:
                for _ in range(number):
                    self.at += self.count("bytes of a text", 1)
            else:
                self.at += number * size
        elif kind in _PLAIN:
            found = self.value(_PLAIN[kind])
            if isinstance(found, int):
                self.numbers[name] = found
        else:
            raise _Unsound(f"the entry {name} is of the unknown type {kind}")


def _read(header: _Header) -> tuple[dict[str, int], StoredWeights]:
    """The whole numbers among the entries, and what tensors there are."""
    if header.data[:4] != b"GGUF":
        raise _Unsound("it does not begin with GGUF")
    header.at = 4
    version = header.value("I")
    if version not in (2, 3):
        raise _Unsound(f"its version is {version}, and 2 and 3 are read, least byte first")
    tensors = header.count("tensors", 24)
    for _ in range(header.count("entries", 13)):
        name = header.text()
        header.skip(name, header.value("I"))
    numbers = 0
    for _ in range(tensors):
        numbers += _tensor(header)
    return header.numbers, StoredWeights(tensors, numbers)


def _tensor(header: _Header) -> int:
    """How many numbers a tensor has; what it takes must be in the file."""
    name, dimensions = header.text(), header.value("I")
    if dimensions > DIMENSIONS:
        raise _Unsound(f"the tensor {name} has {dimensions:,} dimensions")
    numbers = math.prod(int(header.value("Q")) for _ in range(dimensions))
    kind, begins = header.value("I"), header.value("Q")
    if kind not in _SIZES:
        raise _Unsound(f"the tensor {name} is of the unknown type {kind}")
    block, size = _SIZES[kind]
    if begins + numbers // block * size > len(header.data):
        raise _Unsound(f"the tensor {name} of {numbers:,} numbers is larger than the file")
    return numbers
