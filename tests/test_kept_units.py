"""Kept units are believed only if they are what was written: every kind of damage, told and mended."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exact import TEXT as PAIRS
from kinds import TEXT, conditions, opened, zeroed
from tiny import tiny_model
from unexplained.errors import MeasurementError
from unexplained.evaluate import evaluate
from unexplained.evaluate.kept import load, packed
from unexplained.evaluate.store import Store, require_folder
from unexplained.ledger import Ledger
from unexplained.subject import Subject

KEEP = ("intact", "mlp total")
BATCH = 24
"""Two documents to a batch."""


@cache
def subject() -> Subject:
    return opened(tiny_model("llama"))


def measure(folder: Path | None, text=TEXT) -> Ledger:  # type: ignore[no-untyped-def]
    keep = KEEP if text is TEXT else ()
    return evaluate(
        subject(), text, conditions(), folder=folder, keep_tokens=keep, batch_tokens=BATCH
    )


@cache
def right() -> Ledger:
    return measure(None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    measure(folder)
    return folder


def sums(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*.parquet") if ".tokens." not in p.name)


def tokens(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.tokens.parquet"))


# --- kinds of damage: each changes a folder and says how many files it spoilt -----------------------

Damage = Callable[[Path], int]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(4000))


def only_magic(path: Path) -> None:
    path.write_bytes(b"PAR1")


def folder_in_its_place(path: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe_in_its_place(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def rewritten(change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], None]:
    """By a tool that knows Parquet and keeps the metadata."""

    def damage(path: Path) -> None:
        pq.write_table(change(pq.read_table(path)), path)

    return damage


def resealed(change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], None]:
    """By a fault of our own: sealed, and yet no whole unit."""

    def damage(path: Path) -> None:
        import json

        table = pq.read_table(path)
        about = json.loads(table.schema.metadata[b"unexplained"])
        store = Store(path.parent, about["circumstances"])
        store.write(path.name, packed(change(table), about))

    return damage


def with_column(
    name: str, change: Callable[[np.ndarray], pa.Array]
) -> Callable[[pa.Table], pa.Table]:
    def of(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index(name)
        return table.set_column(place, table.schema.field(name), change(table[name].to_numpy()))

    return of


def another_schema(table: pa.Table) -> pa.Table:
    return table.drop_columns(["error"]).append_column("more", pa.array([1] * table.num_rows))


TABLES: dict[str, Callable[[pa.Table], pa.Table]] = {
    "rows are missing": lambda table: table.slice(3),
    "the last row is missing": lambda table: table.slice(0, table.num_rows - 1),
    "no rows": lambda table: table.slice(0, 0),
    "rows are doubled": lambda table: pa.concat_tables([table, table]),
    "one row is doubled": lambda table: pa.concat_tables([table, table.slice(0, 1)]),
    "a condition is missing": lambda table: table.filter(
        pa.compute.not_equal(table["condition"], table["condition"][0])
    ),
    "loss is null": with_column("loss", lambda v: pa.nulls(len(v), pa.float64())),
    "one loss is null": with_column("loss", lambda v: pa.array([None, *v[1:]], pa.float64())),
    "loss is NaN": with_column("loss", lambda v: pa.array(v * np.nan)),
    "loss is infinite": with_column("loss", lambda v: pa.array(v * np.inf)),
    "loss is negative": with_column("loss", lambda v: pa.array(-v)),
    "agree is null": with_column("agree", lambda v: pa.nulls(len(v), pa.int64())),
    "more agree than there are": with_column("agree", lambda v: pa.array(v + 1000)),
    "tokens are doubled": with_column("tokens", lambda v: pa.array(2 * v)),
    "tokens are null": with_column("tokens", lambda v: pa.nulls(len(v), pa.int64())),
    "documents are others": with_column("document", lambda v: pa.array([f"{d}x" for d in v])),
    "documents in another order": lambda table: table.take(list(range(table.num_rows))[::-1]),
    "a logit difference on running text": with_column(
        "logit_difference", lambda v: pa.array(np.ones(len(v)))
    ),
    "another schema": another_schema,
}
UNSEEN = {"loss is doubled": with_column("loss", lambda v: pa.array(2 * v))}
"""Only the seal tells these from what was written."""

FILES: dict[str, Callable[[Path], None]] = {
    "cut off": cut,
    "empty": emptied,
    "garbage": garbage,
    "magic alone": only_magic,
    "a folder": folder_in_its_place,
    "a pipe": pipe_in_its_place,
    "an appended byte": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    **{f"rewritten: {name}": rewritten(change) for name, change in (TABLES | UNSEEN).items()},
    **{f"resealed: {name}": resealed(change) for name, change in TABLES.items()},
}


def one_file(damage: Callable[[Path], None], which: Callable[[Path], list[Path]] = sums) -> Damage:
    def spoil(folder: Path) -> int:
        damage(which(folder)[0])
        return 1

    return spoil


def content_of_another(folder: Path) -> int:
    first, second, *_ = sums(folder)
    shutil.copy(first, second)
    return 1


def swapped_units(folder: Path) -> int:
    first, second, *_ = sums(folder)
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)
    return 2


def copied_beside(folder: Path) -> int:
    """Under a name that the other unit would be found by."""
    first, second, *_ = sums(folder)
    unit = second.name.partition("-")[0]
    shutil.copy(first, second.with_name(f"{unit}-{'0' * 16}.parquet"))
    return 1


def copied_beside_itself(folder: Path) -> int:
    first = sums(folder)[0]
    shutil.copy(first, first.with_name(f"{first.name.partition('-')[0]}-{'0' * 16}.parquet"))
    return 1


def of_other_circumstances(folder: Path) -> int:
    """The same unit as another model gave it."""
    other = folder.parent / "other"
    evaluate(
        opened(tiny_model("llama", seed=1)), TEXT, conditions(), folder=other, keep_tokens=KEEP,
        batch_tokens=BATCH,
    )  # fmt: skip
    first = sums(folder)[0]
    (same,) = other.rglob(first.name)
    shutil.copy(same, first)
    return 1


def swapped_tokens(folder: Path) -> int:
    first, second, *_ = tokens(folder)
    shutil.copy(first, second)
    return 1


def tokens_removed(folder: Path) -> int:
    tokens(folder)[0].unlink()
    return 1


KINDS: dict[str, Damage] = {
    **{name: one_file(damage) for name, damage in FILES.items()},
    "content of another unit": content_of_another,
    "two units swapped": swapped_units,
    "copied beside another": copied_beside,
    "copied beside itself": copied_beside_itself,
    "another model's": of_other_circumstances,
    "per-token rows swapped": swapped_tokens,
    "per-token rows removed": tokens_removed,
    "per-token rows cut off": one_file(cut, tokens),
    "per-token rows empty": one_file(emptied, tokens),
    "per-token rows garbage": one_file(garbage, tokens),
    # Sealed under the right name and whole: only the mark in the sums tells that they are others.
    "per-token rows of another measurement": one_file(
        resealed(with_column("loss", lambda v: pa.array([2 * x for x in v]))), tokens
    ),
    "per-token rows missing": one_file(rewritten(lambda t: t.slice(1)), tokens),
    "per-token rows doubled": one_file(rewritten(lambda t: pa.concat_tables([t, t])), tokens),
}


@pytest.fixture
def notes(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    caplog.set_level(logging.WARNING, "unexplained")
    yield lambda: [r.getMessage() for r in caplog.records if r.name == "unexplained"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_unit_is_named_set_aside_and_measured_again(
    kind: str, whole: Path, tmp_path: Path, notes: Callable[[], list[str]]
) -> None:
    folder = tmp_path / "kept"
    shutil.copytree(whole, folder)
    spoilt = KINDS[kind](folder)
    told: list[tuple[int, int]] = []
    found = measure(folder)
    assert found.table.equals(right().table) and found.tokens.equals(right().tokens)
    named = [note for note in notes() if "is damaged" in note and ".parquet" in note]
    assert len({note.split(" is damaged")[0] for note in named}) >= spoilt
    aside = list(folder.rglob("*.damaged"))
    assert aside or kind == "per-token rows removed"
    # And that was once: the next run finds a whole folder and has nothing to say.
    before = len(notes())
    again = evaluate(
        subject(), TEXT, conditions(), folder=folder, keep_tokens=KEEP, batch_tokens=BATCH,
        progress=lambda *now: told.append(now),
    )  # fmt: skip
    assert again.table.equals(right().table) and len(told) == 1 and len(notes()) == before


def test_of_300_bits_that_flip_none_goes_unnoticed(
    whole: Path, tmp_path: Path, notes: Callable[[], list[str]]
) -> None:
    """In units as they lie on the disk, at places and bits drawn once."""
    folder = tmp_path / "kept"
    shutil.copytree(whole, folder)
    files = sums(folder) + tokens(folder)
    contents = {path: path.read_bytes() for path in files}
    (store,) = {path.parent for path in files}
    rng = np.random.default_rng(0)
    silent = []
    for number in range(300):
        path = files[rng.integers(len(files))]
        data = bytearray(contents[path])
        place, bit = int(rng.integers(len(data))), int(rng.integers(8))
        data[place] ^= 1 << bit
        path.write_bytes(data)
        before = len(notes())
        if number < 10:  # measured again, to the bit; of the others it is enough that they are told
            found = measure(folder)
            assert found.table.equals(right().table) and found.tokens.equals(right().tokens)
        else:
            load(store_of(store), asked_for(path), {}, ())
        if len(notes()) == before:
            silent.append((path.name, place, bit))
        for aside in store.glob("*.damaged*"):
            aside.unlink()
        for one, content in contents.items():
            if not one.exists() or one.read_bytes() != content:
                one.write_bytes(content)
    assert not silent


def store_of(folder: Path) -> Store:
    import json

    return Store(folder, json.loads((folder / "measured.json").read_text(encoding="utf-8")))


def asked_for(path: Path):  # type: ignore[no-untyped-def]
    from unexplained.evaluate.evaluate import _with_intact
    from unexplained.evaluate.job import MEMORY, Job

    wanted = tuple(_with_intact(conditions()))
    job = Job(
        subject=subject(), text=TEXT, part="eval", conditions=wanted, keep_tokens=frozenset(KEEP),
        measure="all", batch_tokens=BATCH, memory=MEMORY,
    )  # fmt: skip
    units = [job.asked(number) for number in range(len(job.plans))]
    return next(unit for unit in units if path.name.startswith(unit.unit))


def test_a_sound_folder_of_pairs_is_believed(
    tmp_path: Path, notes: Callable[[], list[str]]
) -> None:
    """The checks of rows and ranges refuse nothing that was measured."""
    first = measure(tmp_path, PAIRS)
    told: list[tuple[int, int]] = []
    again = evaluate(
        subject(), PAIRS, conditions(), folder=tmp_path, batch_tokens=BATCH,
        progress=lambda *now: told.append(now),
    )  # fmt: skip
    assert again.table.equals(first.table) and len(told) == 1 and not notes()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"model": "another"}'])
def test_what_a_folder_says_of_itself_is_mended(
    content: bytes, whole: Path, tmp_path: Path, notes: Callable[[], list[str]]
) -> None:
    folder = tmp_path / "kept"
    shutil.copytree(whole, folder)
    (place,) = folder.rglob("measured.json")
    before = place.read_bytes()
    place.write_bytes(content)
    assert measure(folder).table.equals(right().table)
    assert place.read_bytes() == before and "measured.json' is damaged" in notes()[0]


def test_half_written_files_of_processes_that_are_gone_are_removed(
    whole: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "kept"
    shutil.copytree(whole, folder)
    (store,) = {path.parent for path in sums(folder)}
    gone = store / f".{sums(folder)[0].name}.part-elsewhere-1"
    gone.write_bytes(b"half")
    measure(folder)
    assert not gone.exists()


def test_a_unit_is_on_the_disk_before_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """File before its name, name before the progress that says it is finished."""
    events: list[str] = []
    flush, move = os.fsync, os.replace

    def fsync(number: int) -> None:
        path = Path(f"/proc/self/fd/{number}").readlink()
        events.append("folder" if path.is_dir() else "file")
        flush(number)

    def replace(one: object, two: object) -> None:
        events.append("move")
        move(one, two)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)

    def say(done: int, total: int) -> None:
        events.append("told")

    evaluate(subject(), TEXT, conditions(), folder=tmp_path, batch_tokens=BATCH, progress=say)
    assert events.count("told") == 2
    steps = "".join({"file": "f", "move": "m", "folder": "d", "told": "t"}[e] for e in events)
    assert steps == "fmd" * 2 + "t" + "fmd" + "t"


def test_a_finished_run_on_a_disk_that_is_read_only_is_read_and_nothing_else_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests may run as root, whom no permission stops: writing and locking are made to fail."""
    subject, first, second = opened(tiny_model("llama")), zeroed("head.z"), zeroed("mlp")
    finished = evaluate(subject, TEXT, [first], folder=tmp_path)

    def refused(*words: object, **more: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    module = sys.modules[Store.__module__]
    monkeypatch.setattr(module, "write_flushed", refused)
    monkeypatch.setattr(module.FileLock, "acquire", refused)
    require_folder(tmp_path)
    monkeypatch.setattr(Subject, "run", refused)
    again = evaluate(subject, TEXT, [first], folder=tmp_path)
    assert again.table.equals(finished.table)
    with pytest.raises(MeasurementError, match="can only be read"):
        evaluate(subject, TEXT, [first, second], folder=tmp_path)
    with pytest.raises(MeasurementError, match="cannot be written"):
        require_folder(tmp_path / "new")
