"""What a package's file holds: a wheel (zip), npm's tarball, Debian's package (`ar` around a tarball). No torch."""

from __future__ import annotations

import contextlib
import io
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

BROKEN = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError,
    RuntimeError,  # of `zipfile`: an encrypted member, a packing that it does not know
)  # fmt: skip
"""What reading a file raises that is no archive of its kind."""
_AR = b"!<arch>\n"


@dataclass(frozen=True)
class Entry:
    """A file in an archive."""

    name: str
    size: int
    """Bytes when unpacked."""
    plain: bool
    """It is a file: no link, pipe or device."""
    read: Callable[[], IO[bytes]]

    def write(self, folder: Path) -> None:
        """Write it below a folder, under its name."""
        place = folder / self.name
        place.parent.mkdir(parents=True, exist_ok=True)
        with self.read() as source, place.open("wb") as file:
            shutil.copyfileobj(source, file)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[dict[str, Entry]]:
    """The members of an archive by name, folders left out; read while it is open.

    Raises:
        OSError: It cannot be read.
        BROKEN: It is no archive.
    """
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            yield {
                one.filename: _of_zip(wheel, one) for one in wheel.infolist() if not one.is_dir()
            }
        return
    with path.open("rb") as file, tarfile.open(fileobj=_tarball(path, file)) as tar:
        yield {
            (name := one.name.removeprefix("./")): Entry(name, one.size, one.isreg(), _reader(tar, one))
            for one in tar.getmembers()
            if not one.isdir()
        }  # fmt: skip


def _of_zip(wheel: zipfile.ZipFile, one: zipfile.ZipInfo) -> Entry:
    kind = stat.S_IFMT(one.external_attr >> 16)
    return Entry(one.filename, one.file_size, kind in (0, stat.S_IFREG), lambda: wheel.open(one))


def _reader(tar: tarfile.TarFile, one: tarfile.TarInfo) -> Callable[[], IO[bytes]]:
    def read() -> IO[bytes]:
        found = tar.extractfile(one)
        assert found is not None  # members that are no files have been refused
        return found

    return read


def _tarball(path: Path, file: IO[bytes]) -> IO[bytes]:
    """The file itself, or of a Debian package the tarball of its data."""
    if path.suffix != ".deb":
        return file
    if file.read(len(_AR)) != _AR:
        raise tarfile.ReadError("it does not begin as an archive of ar")
    while len(header := file.read(60)) == 60:
        name, size = header[:16].decode("ascii", "replace").strip(" /"), header[48:58]
        if not size.strip().isdigit():
            break
        data = file.read(int(size))
        if name.startswith("data.tar"):
            return io.BytesIO(data)
        file.seek(len(data) % 2, io.SEEK_CUR)  # members begin at even places
    raise tarfile.ReadError("it has no data.tar")
