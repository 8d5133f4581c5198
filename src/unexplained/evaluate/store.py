"""Measurements as they finish, one file per batch, so that nothing finished is measured twice.

A file is written beside its place and moved there in one step: a process killed at any moment
leaves whole files or none. Rows are kept under what a condition *is* (its key), not its name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from filelock import FileLock, Timeout

from unexplained.errors import MeasurementError
from unexplained.evaluate.conditions import digest
from unexplained.ledger import SCHEMA, TOKEN_SCHEMA, Ledger

_PACKAGE = Path(__file__).parents[1]
_NOT_MEASURING = ("report", "cli", "assays", "bars")


@cache
def code_digest() -> str:
    """Digest of all code that a measurement can depend on: other code, other measurements."""
    files = sorted(
        path
        for path in _PACKAGE.rglob("*.py")
        if path.relative_to(_PACKAGE).parts[0] not in _NOT_MEASURING
    )
    return digest(*(path.read_bytes() for path in files))


@dataclass(frozen=True)
class Store:
    """A folder of finished units for one model, text part and way of measuring."""

    folder: Path
    describes: Mapping[str, str]
    """What the measurements depend on besides the condition; kept beside them in plain words."""

    @classmethod
    def open(cls, root: Path, describes: Mapping[str, str]) -> Store:
        """The store for these circumstances under `root`, made if it is not there."""
        text = json.dumps(dict(describes), indent=1, sort_keys=True)
        store = cls(Path(root) / digest(text), dict(describes))
        store._write(lambda path: path.write_text(text, encoding="utf-8"), "measured.json")
        return store

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes out while this one measures into the folder.

        The system gives the lock back when a process ends, however it ends.

        Raises:
            MeasurementError: Another process holds it.
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
            raise MeasurementError(
                f"Measuring into {self.folder}",
                f"it cannot be locked ({getattr(error, 'strerror', None) or error})",
                "Name a folder that you may write to (--run), or set UNEXPLAINED_CACHE to one.",
            ) from error
        try:
            yield
        finally:
            lock.release()

    def load(self, unit: str, keys: Mapping[str, str], want_tokens: Iterable[str]) -> Ledger:
        """What is known of a unit, for conditions given as key -> name.

        A condition whose per-token rows are wanted counts as known only if they were kept.
        """
        found: dict[str, Ledger] = {}
        needs_tokens = set(want_tokens)
        for path in sorted(self.folder.glob(f"{unit}-*[0-9a-f].parquet")):
            ledger = Ledger.read(path)
            kept = set(ledger.tokens["condition"].unique().to_pylist())
            for condition in ledger.conditions:
                name = keys.get(condition)
                if (
                    name
                    and condition not in found
                    and (name not in needs_tokens or condition in kept)
                ):
                    found[condition] = _renamed(ledger.only([condition]), name)
        return Ledger.concat(found[key] for key in keys if key in found)

    def save(self, unit: str, ledger: Ledger, keys: Mapping[str, str]) -> None:
        """Keep a unit's rows, for conditions given as name -> key."""
        renamed = Ledger.concat(
            _renamed(ledger.only([name]), keys[name]) for name in ledger.conditions
        )
        stem = f"{unit}-{digest(*sorted(keys.values()))}"
        if renamed.tokens.num_rows:
            # First, so that sums are never there without the per-token rows that belong to them.
            self._write(lambda path: pq.write_table(renamed.tokens, path), f"{stem}.tokens.parquet")
        self._write(lambda path: pq.write_table(renamed.table, path), f"{stem}.parquet")

    def _write(self, write: object, name: str) -> None:
        staged = self.folder / f".{name}.{os.getpid()}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write(staged)  # type: ignore[operator]
            os.replace(staged, self.folder / name)
        except (OSError, ValueError) as error:  # ValueError: a path with a null byte
            # Where nothing can be written, nothing can be cleaned up either.
            with suppress(OSError, ValueError):
                staged.unlink()
            why = getattr(error, "strerror", None) or error
            raise MeasurementError(
                f"Keeping the measurement {name}",
                f"it cannot be written ({why}); what was finished is kept",
                f"Free some space, or keep it elsewhere (now under {self.folder.parent}): a folder of "
                "the run's own (--run), or UNEXPLAINED_CACHE for the shared one.",
            ) from error


def require_folder(folder: Path | None) -> None:
    """Find out before anything is measured that what is finished cannot be kept there.

    Raises:
        MeasurementError: It cannot.
    """
    if folder is not None:
        store, name = Store(Path(folder), {}), f".asked-{os.getpid()}"
        store._write(lambda path: path.touch(), name)
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
        "code": f"{version('unexplained')}, {code_digest()}",
        "torch": torch.__version__,
    }
    store = Store(folder, describes)
    place = folder / "run.json"
    with store.held():
        if not place.exists():
            text = json.dumps(describes, indent=1, sort_keys=True)
            store._write(lambda path: path.write_text(text, encoding="utf-8"), place.name)
        try:
            found = dict(json.loads(place.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise MeasurementError(
                f"The run folder {folder}", f"its run.json cannot be read ({error})",
                "Name another folder.",
            ) from error  # fmt: skip
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


def _renamed(ledger: Ledger, name: str) -> Ledger:
    def renamed(table: pa.Table, schema: pa.Schema) -> pa.Table:
        column = pa.array([name] * table.num_rows, pa.string())
        return table.set_column(0, schema.field("condition"), column)

    return Ledger(renamed(ledger.table, SCHEMA), renamed(ledger.tokens, TOKEN_SCHEMA))
