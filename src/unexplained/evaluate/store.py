"""Measurements as they finish, one file per batch, so that nothing finished is measured twice.

A file is written beside its place, flushed and moved there in one step: a process killed at any
moment leaves whole files or none. What is found is believed only if it is what was written; else
it is set aside, with a note, and measured again. What is in a file is for each kind of
measurement to say (`kept`, `arrays`).
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from unexplained.errors import MeasurementError
from unexplained.hashing import architectures, code_digest, digest
from unexplained.whole import BLANK, clean, is_sealed, read_sealed, seal, set_aside, write_flushed

ENGINE = "unexplained.evaluate.job"
"""The module that measures losses. Its code, with all that it imports, is what all that are kept depend
on; what a condition runs besides is in the condition's own key (`conditions.key`)."""


@dataclass(frozen=True)
class Store:
    """A folder of finished units for one model, text part and way of measuring."""

    folder: Path
    describes: Mapping[str, str]
    """What the measurements depend on besides the condition; kept beside them in plain words."""

    @classmethod
    def of(cls, root: Path, describes: Mapping[str, str]) -> Store:
        """The store for these circumstances under `root`, whether it is there or not."""
        return cls(Path(root) / _circumstances(describes), dict(describes))

    @classmethod
    def open(cls, root: Path, describes: Mapping[str, str]) -> Store:
        """The store for these circumstances under `root`, made if it is not there."""
        store = cls.of(root, describes)
        place, text = store.folder / "measured.json", _told(describes).encode()
        known = None
        with suppress(OSError, ValueError):  # ValueError: a path with a null byte
            known = place.read_bytes()
        if known == text:
            return store
        if known is not None:
            set_aside(place, "it is not what was written", "it is written again")
        store._write(place.name, text)
        return store

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Keep other processes out while this one measures into the folder.

        The system gives the lock back when a process ends, however it ends. Gives whether anything
        can be kept: what is finished on a disk that is read-only by now can still be read.

        Raises:
            MeasurementError: Another process holds it, or nothing was ever kept there.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / ".lock", timeout=0, is_singleton=True)
            lock.acquire()
        except Timeout:
            raise MeasurementError(
                f"Measuring into {self.folder}",
                "another process is measuring the same model on the same text into it",
                "Wait for it, or give this one another folder.",
            ) from None
        except (OSError, ValueError, NotImplementedError) as error:
            if _read_only(error) and self._can_only_be_read():
                yield False
                return
            raise MeasurementError(
                f"Measuring into {self.folder}",
                f"it cannot be locked ({getattr(error, 'strerror', None) or error})",
                "Name a folder that you may write to (--run), or set UNEXPLAINED_CACHE to one.",
            ) from error
        try:
            # Units are written under the lock alone, so these are of processes that are gone.
            for kind in ("parquet", "safetensors"):
                for path in self.folder.glob(f".*.{kind}.part-*"):
                    with suppress(OSError):
                        path.unlink()
            clean(self.folder)
            yield True
        finally:
            lock.release()

    def units(self, pattern: str) -> list[Path]:
        """The files of finished units with such a name, sorted."""
        return sorted(self.folder.glob(pattern))

    def read(self, name: str) -> bytes | None:
        """A unit's file; None where there is none, or where it is not what was written."""
        return read_sealed(self.folder / name, self._kept_as(name), _AGAIN)

    def write(self, name: str, data: bytes) -> bytes:
        """Keep a unit's file, sealed; gives what was written.

        Args:
            name: Its own; a seal holds under no other, and in no other store.
            data: With `whole.BLANK` where the seal goes.
        """
        data = seal(data, self._kept_as(name))
        self._write(name, data)
        return data

    def reject(self, name: str, why: str) -> None:
        """Set aside what is sealed and yet no whole unit."""
        set_aside(self.folder / name, why, _AGAIN)

    def _kept_as(self, name: str) -> str:
        return f"{_circumstances(self.describes)}/{name}"

    def _can_only_be_read(self) -> bool:
        """Whether something was kept here once, and nothing can be any more."""
        name = f".asked-{os.getpid()}"
        try:
            self._write(name, b"")
        except MeasurementError as error:
            return _read_only(error.__cause__) and _holds(self.folder, "*.json")
        with suppress(OSError):
            (self.folder / name).unlink()
        return False

    def _write(self, name: str, data: bytes) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_flushed(self.folder / name, data)
        except (OSError, ValueError) as error:  # ValueError: a path with a null byte
            why = getattr(error, "strerror", None) or error
            raise MeasurementError(
                f"Keeping the measurement {name}",
                f"it cannot be written ({why}); what was finished is kept",
                f"Free some space, or keep it elsewhere (now under {self.folder.parent}): a folder of "
                "the run's own (--run), or UNEXPLAINED_CACHE for the shared one.",
            ) from error


_AGAIN = "what it held is measured again"


def _read_only(error: BaseException | None) -> bool:
    """Whether something cannot be written because it may only be read."""
    return isinstance(error, OSError) and error.errno in (errno.EROFS, errno.EACCES, errno.EPERM)


def _holds(folder: Path, pattern: str) -> bool:
    """Whether there is something of that name, as far as one can see."""
    try:
        return any(folder.glob(pattern))
    except OSError:
        return False


def _told(describes: Mapping[str, str]) -> str:
    return json.dumps(dict(describes), indent=1, sort_keys=True)


def _circumstances(describes: Mapping[str, str]) -> str:
    return digest(_told(describes))


def require_folder(folder: Path | None) -> None:
    """Find out before anything is measured that what is finished cannot be kept there.

    Raises:
        MeasurementError: It cannot.
    """
    if folder is not None:
        store, name = Store(Path(folder), {}), f".asked-{os.getpid()}"
        try:
            store._write(name, b"")
        except MeasurementError as error:
            if not _read_only(error.__cause__) or not _holds(store.folder, "*/measured.json"):
                raise
        with suppress(OSError):
            (store.folder / name).unlink()


@contextmanager
def run_folder(folder: Path | None, asked: Mapping[str, str]) -> Iterator[None]:
    """Keep a folder for one run: what was asked for is written down there and must stay the same.

    Args:
        folder: None where the shared cache is used, which holds everything apart by itself.
        asked: What the run is about, in plain words.

    Raises:
        MeasurementError: The folder holds another run (with the differences), or another process
            is at it.
    """
    if folder is None:
        yield
        return
    describes = {
        **asked,
        "code": f"{version('unexplained')}, {code_digest(ENGINE, *architectures())}",
        "torch": torch.__version__,
    }
    store = Store(folder, describes)
    with store.held():
        found = _of_run(folder) or _begun(store)
        both = found.keys() & describes.keys()
        # Of another command's options those that both have say enough.
        names = {n for n in both if found[n] != describes[n]} or found.keys() ^ describes.keys()
        differ = [
            f"{name} is {found.get(name, 'missing')} there and {describes.get(name, 'missing')} here"
            for name in sorted(names)
        ]
        if differ:
            raise MeasurementError(
                f"The run folder {folder}",
                "it holds another run: " + "; ".join(differ),
                "Name another folder, or ask for what that run was asked for.",
            )
        yield


def _begun(store: Store) -> Mapping[str, str]:
    """Write down what a run folder is about."""
    text = _told({**store.describes, "seal": BLANK.decode()})
    store._write(_RUN, seal(text.encode(), _RUN))
    return store.describes


def _of_run(folder: Path) -> dict[str, str] | None:
    """What a run folder is about; None where nothing was written down yet.

    Raises:
        MeasurementError: It cannot be read, or is not what was written.
    """
    try:
        data = (folder / _RUN).read_bytes()
        if not is_sealed(data, _RUN):
            raise ValueError("it is not what was written")
        found = dict(json.loads(data))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise MeasurementError(
            f"The run folder {folder}",
            f"its {_RUN} cannot be read ({getattr(error, 'strerror', None) or error})",
            f"Name another folder; or if you know that it is this run's, remove {_RUN}: what is "
            "kept is known without it.",
        ) from error
    del found["seal"]
    return found


_RUN = "run.json"
