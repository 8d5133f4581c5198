"""Files that are what was written: flushed before they count, sealed, set aside where damaged. No torch.

A file is written beside its place, flushed, and moved there in one step, so that a process killed
or a machine switched off at any moment leaves whole files or none. The seal is a SHA-256 over the
file and what it is kept as: bits that flipped, a part that is missing and a copy under another
name are noticed before anything else reads the file.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import platform
import re
import shutil
from contextlib import suppress
from functools import cache
from itertools import count
from pathlib import Path

NOTES = logging.getLogger("unexplained")
"""Where users are told what was found damaged; printed to stderr unless they listen elsewhere."""

_MARK = b"unexplained-sha256:"
BLANK = _MARK + b"0" * 64
"""Where the seal goes: put it among a format's own metadata, or it is appended (.npy, .npz)."""

LARGEST = 2**33
"""Bytes beyond which a sealed file is not ours, whatever it is: it is not even read."""

SUMS = "SHA256SUMS"
"""The file in a folder that says what its files are; `sha256sum -c` reads it too."""


def seal(data: bytes, kept_as: str) -> bytes:
    """Put the checksum in.

    Args:
        data: A whole file, with `BLANK` somewhere or nowhere.
        kept_as: What it is and under which name; a seal holds under no other.

    >>> is_sealed(seal(b"some", "a"), "a"), is_sealed(seal(b"some", "a"), "b")
    (True, False)
    """
    if BLANK not in data:
        data += BLANK
    at = data.rindex(BLANK)
    return data[:at] + _MARK + _sum(data, kept_as) + data[at + len(BLANK) :]


def is_sealed(data: bytes, kept_as: str) -> bool:
    """Whether this is, to the last bit, what was sealed under that name."""
    at = data.rfind(_MARK)
    end = at + len(BLANK)
    if at < 0 or end > len(data):
        return False
    blank = data[:at] + BLANK + data[end:]
    return data[at + len(_MARK) : end] == _sum(blank, kept_as)


def _sum(data: bytes, kept_as: str) -> bytes:
    total = hashlib.sha256(kept_as.encode() + b"\0")
    total.update(data)
    return total.hexdigest().encode()


def read_sealed(path: Path, kept_as: str, then: str) -> bytes | None:
    """A sealed file's bytes; None where there is none, or a damaged one, which is set aside.

    Args:
        path: Where it is.
        kept_as: What it was sealed as.
        then: What is done instead, for the note: "it is counted again".
    """
    if not os.path.lexists(path):
        return None
    why = "it is not what was written under this name"
    try:
        if path.is_file() and path.stat().st_size <= LARGEST:
            data = path.read_bytes()
            if is_sealed(data, kept_as):
                return data
        else:
            why = "it is not a file of ours"
    except OSError as error:
        why = error.strerror or str(error)
    set_aside(path, why, then)
    return None


def write_flushed(path: Path, data: bytes) -> None:
    """Write a file that is under its name whole, and on the disk, or not at all.

    Raises:
        OSError, ValueError: It cannot be written; nothing is left of it.
    """
    staged = path.with_name(f".{path.name}.part-{this_process()}")
    try:
        with staged.open("wb") as file:
            file.write(data)
            flush(file.fileno())
        os.replace(staged, path)
        flush_folder(path.parent)
    except BaseException:
        # Where nothing can be written, nothing can be cleaned up either.
        with suppress(OSError, ValueError):
            staged.unlink()
        raise


def move_folder(made: Path, place: Path) -> None:
    """Move a finished folder to its place in one step; where another process was first, its own stays.

    Raises:
        OSError: It cannot be moved, and no folder is there.
    """
    try:
        made.replace(place)
    except OSError:
        # A folder that is there is complete, for it came there in one step too.
        if not is_folder(place):
            raise


def is_folder(path: Path) -> bool:
    """Whether a folder is there that one can see."""
    try:
        return path.is_dir()
    except OSError:  # below a folder that one may not enter
        return False


def flush(file: int) -> None:
    """Have the system put an open file on the disk."""
    os.fsync(file)


def flush_folder(folder: Path) -> None:
    """Have the system put a folder's names on the disk, where it can."""
    with suppress(PermissionError):  # of a folder that may be written but not read; Windows
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
                raise
        finally:
            os.close(number)


def set_aside(path: Path, why: str, then: str) -> None:
    """Rename what is damaged, so that it is neither read again nor lost, and tell the user."""
    for number in count():
        place = path.with_name(f"{path.name}.damaged{f'-{number}' if number else ''}")
        if not os.path.lexists(place):
            break
    said = f"set aside as {place.name}"
    try:
        os.replace(path, place)
    except OSError as error:
        said = f"and cannot be set aside ({error.strerror})"
    # repr: a folder's name may hold what a terminal would obey.
    NOTES.warning("%r is damaged (%s), %s; %s.", str(path), why, said, then)


def clean(folder: Path, pattern: str = ".*.part-*") -> None:
    """Remove what processes of this machine that are gone left half written in a folder."""
    with suppress(OSError):
        for path in folder.glob(pattern):
            found = re.search(rf"-{_machine()}-(\d+)(-|$)", path.name)
            if found and not _is_alive(int(found[1])):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)


def this_process() -> str:
    """How what is not finished says whose it is: numbers of processes are of one machine."""
    return f"{_machine()}-{os.getpid()}"


@cache
def _machine() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # somebody else's
    return True


def write_sums(folder: Path, kept_as: str) -> None:
    """Write down in a folder what its files are, and have all of it put on the disk."""
    lines = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != SUMS):
        with path.open("rb") as file:
            flush(file.fileno())
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        lines.append(f"{digest}  {path.relative_to(folder).as_posix()}\n")
    write_flushed(folder / SUMS, seal("".join(lines).encode() + b"# " + BLANK + b"\n", kept_as))


def wrong_in(folder: Path, kept_as: str) -> str:
    """The first file of a folder that is not what its sums say; "" where all are."""
    try:
        data = (folder / SUMS).read_bytes()
        if not is_sealed(data, kept_as):
            return f"its {SUMS} is not what was written"
        for line in data.decode().splitlines()[:-1]:
            digest, _, name = line.partition("  ")
            with (folder / name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                    return f"{name} is not what was written"
    except (OSError, ValueError) as error:
        return f"a file cannot be read: {getattr(error, 'strerror', None) or error}"
    return ""
