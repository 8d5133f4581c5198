"""Files of the cache and of others of ours: what is not what was written is noticed and made again."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from test_ngrams import a_text, arrays
from unexplained.fetch import CACHE_VARIABLE, new_file, read_kept
from unexplained.subject import packaged
from unexplained.text import counted, duplicates
from unexplained.text.corpora import webmix
from unexplained.text.document import Document
from unexplained.text.ngrams import ngrams
from unexplained.whole import (
    BLANK,
    clean,
    is_sealed,
    seal,
    this_process,
    write_flushed,
    write_sums,
    wrong_in,
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def spoil(path: Path, kind: str) -> None:
    data = path.read_bytes()
    middle = len(data) // 2
    path.write_bytes({
        "flipped": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
        "truncated": data[:-9],
        "empty": b"",
        "garbage": b"garbage" * 100,
        "pickled": b"cos\nsystem\n(S'touch here'\ntR.",
    }[kind])  # fmt: skip


SPOILT = ("flipped", "truncated", "empty", "garbage", "pickled")


@pytest.mark.parametrize("blank", [b"", BLANK, b"x" + BLANK + b"y"])
def test_a_seal_holds_for_these_bits_under_this_name_alone(blank: bytes) -> None:
    whole = seal(b"some data" + blank + b"more", "name")
    assert is_sealed(whole, "name") and not is_sealed(whole, "other")
    for place in range(len(whole)):
        for bit in range(8):
            wrong = bytearray(whole)
            wrong[place] ^= 1 << bit
            assert not is_sealed(bytes(wrong), "name")
    assert not any(is_sealed(whole[:end], "name") for end in range(len(whole)))


@pytest.mark.parametrize("kind", SPOILT)
def test_counts_that_are_damaged_are_counted_again(
    kind: str, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = a_text(lambda: iter(arrays([[0, 1, 0, 2, 0]])))
    first = ngrams(text)
    (place,) = (cache / "ngrams").glob("*.parquet")
    spoil(place, kind)
    again = ngrams(text)
    for one, two in zip(first, again, strict=True):
        assert np.array_equal(one.stored, two.stored) and np.array_equal(one.lower, two.lower)
    assert "parquet' is damaged" in caplog.text and "made again" in caplog.text
    assert place.with_name(f"{place.name}.damaged").exists()
    assert read_kept(place) is not None


def test_counts_of_another_text_under_this_ones_name_are_not_its_counts(cache: Path) -> None:
    one = a_text(lambda: iter(arrays([[0, 1, 0, 2, 0]])))
    other = a_text(lambda: iter(arrays([[2, 1, 2, 1, 2]])), "another")
    ngrams(one)
    (first,) = (cache / "ngrams").glob("*.parquet")
    right = ngrams(other)
    (second,) = set((cache / "ngrams").glob("*.parquet")) - {first}
    second.write_bytes(first.read_bytes())
    again = ngrams(other)
    assert all(np.array_equal(a.lower, b.lower) for a, b in zip(right, again, strict=True))


@pytest.mark.parametrize("kind", SPOILT)
def test_near_duplicates_that_were_remembered_wrongly_are_looked_for_again(
    kind: str, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(duplicates, "REMEMBERED", 1)
    long = " ".join(str(number) for number in range(30))
    documents = [Document("a", long, "x"), Document("b", "x " + long, "x")]
    first = duplicates.without_near_duplicates(documents)
    (place,) = (cache / "texts").glob("near-*.npy")
    spoil(place, kind)
    assert duplicates.without_near_duplicates(documents) == first == ((documents[0],), 1)
    assert "npy' is damaged" in caplog.text


def test_what_other_code_made_is_not_taken_from_the_cache(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplicates, "REMEMBERED", 1)
    documents = [Document("a", "a b c", "x"), Document("b", "d e f", "x")]
    text = a_text(lambda: iter([np.arange(5)] * 4), "of two kinds of code")
    made = []
    for code in ("before", "after", "after"):
        for module in (duplicates, counted):
            monkeypatch.setattr(module, "own_digest", lambda *modules, code=code: code)
        duplicates.without_near_duplicates(documents)
        ngrams(text)
        made.append([len(list((cache / room).iterdir())) for room in ("texts", "ngrams")])
    assert made == [[1, 1], [2, 2], [2, 2]]


@pytest.mark.parametrize("kind", SPOILT)
def test_a_selection_that_is_damaged_is_made_again(
    kind: str, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    table = pa.table({name: ["a", "b"] for name in ("id", "text", "domain")})
    made = table.replace_schema_metadata({"repeats": "1", "near": "2"})
    monkeypatch.setattr(webmix, "ensure", lambda package: Path())
    monkeypatch.setattr(webmix, "select", lambda folder: made)
    first = webmix.corpus()
    assert webmix.corpus() == first
    (place,) = (cache / "texts").glob("webmix-*.parquet")
    spoil(place, kind)
    assert webmix.corpus() == first
    assert "parquet' is damaged" in caplog.text


@pytest.mark.parametrize("kind", SPOILT)
def test_a_converted_model_that_is_damaged_is_converted_again(
    kind: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one = packaged.PACKAGED["smollm2-135m"]

    def convert(model: packaged.PackagedModel, say: object) -> None:
        model.folder.mkdir(parents=True)
        (model.folder / "config.json").write_text("{}")
        (model.folder / "model.safetensors").write_bytes(b"weights" * 100)
        write_sums(model.folder, model.folder.name)

    monkeypatch.setattr(packaged, "_convert", convert)
    packaged.packaged_folder(one.name)
    assert not wrong_in(one.folder, one.folder.name)
    spoil(one.folder / "model.safetensors", kind)
    packaged.packaged_folder(one.name)
    assert not wrong_in(one.folder, one.folder.name)
    assert "model.safetensors is not what was written" in caplog.text


def test_a_model_that_another_process_converted_meanwhile_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    one = packaged.PACKAGED["smollm2-135m"]
    weights = b"weights" * 100

    def write(folder: Path) -> None:
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(weights)
        write_sums(folder, one.folder.name)

    def other_is_first(folder: Path, gguf: Path) -> None:
        (folder / "config.json").write_text("{}")
        one.folder.mkdir()
        write(one.folder)

    monkeypatch.setattr(packaged, "ensure", lambda package: tmp_path)
    monkeypatch.setattr(packaged, "_join", lambda *given: None)
    monkeypatch.setattr(packaged, "_dequantise", other_is_first)
    folder, _ = packaged.packaged_folder(one.name)
    assert (folder / "model.safetensors").read_bytes() == weights
    assert not wrong_in(folder, folder.name)
    assert not list(folder.parent.glob(".converting-*"))


def test_sums_name_the_first_file_that_is_wrong_and_are_sealed_themselves(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / name).write_text(name)
    write_sums(folder, "model")
    assert not wrong_in(folder, "model") and "not what was written" in wrong_in(folder, "other")
    (folder / "b").unlink()
    assert "cannot be read" in wrong_in(folder, "model")
    (folder / "b").write_text("c")
    assert wrong_in(folder, "model") == "b is not what was written"
    sums = (folder / "SHA256SUMS").read_text()
    (folder / "SHA256SUMS").write_text("".join(sums.splitlines(keepends=True)[::2]))
    assert "SHA256SUMS is not what was written" in wrong_in(folder, "model")


def test_what_living_processes_write_is_left_and_what_dead_ones_left_is_removed(
    tmp_path: Path,
) -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    mine = this_process()
    dead = mine.rpartition("-")[0] + f"-{child}"
    for name in (f".unit.part-{mine}", f".unit.part-{dead}", ".unit.part-elsewhere-1", "unit"):
        (tmp_path / name).touch()
    clean(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        [f".unit.part-{mine}", ".unit.part-elsewhere-1", "unit"]
    )
    with new_file(tmp_path / "below" / "file") as draft:
        assert mine in str(draft)
        draft.touch()


def test_a_file_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_flushed(tmp_path / "file", b"data")
    assert not list(tmp_path.iterdir())
