"""Places that cannot be written to, of every kind, are named by whoever was to write there."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from unexplained import fetch
from unexplained.errors import FetchError, MeasurementError, RecordError, UnexplainedError
from unexplained.evaluate.kept import save
from unexplained.evaluate.store import Store, run_folder
from unexplained.ledger import Ledger
from unexplained.places import require_apart, require_writable, write_whole
from unexplained.record import load_record
from unexplained.subject import precision
from unexplained.subject.precision import Precision


def file_in_the_way(path: Path, patch: pytest.MonkeyPatch) -> Path:
    (path / "file").write_text("no folder", encoding="utf-8")
    return path / "file" / "below"


def loop_of_links(path: Path, patch: pytest.MonkeyPatch) -> Path:
    (path / "one").symlink_to(path / "two")
    (path / "two").symlink_to(path / "one")
    return path / "one" / "below"


def name_too_long(path: Path, patch: pytest.MonkeyPatch) -> Path:
    return path / ("x" * 300) / "below"


def null_byte(path: Path, patch: pytest.MonkeyPatch) -> Path:
    return path / "x\0y" / "below"


def _refusing(number: int) -> Callable[[Path, pytest.MonkeyPatch], Path]:
    def make(path: Path, patch: pytest.MonkeyPatch) -> Path:
        """Tests run as root, whom nothing is forbidden: the system's answers are played."""

        def refuse(*words: object, **more: object) -> None:
            raise OSError(number, os.strerror(number))

        for name in ("mkdir", "unlink", "replace", "rename", "stat", "lstat", "open"):
            patch.setattr(os, name, refuse)
        return path / "closed" / "below"

    make.__name__ = errno.errorcode[number]
    return make


KINDS = (
    file_in_the_way, loop_of_links, name_too_long, null_byte,
    *map(_refusing, (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EIO)),
)  # fmt: skip


def write_unit(place: Path) -> None:
    save(Store(place, {}), "unit", Ledger.empty(), {})


def hold(place: Path) -> None:
    with Store(place, {}).held():
        raise AssertionError("it cannot be held")


def name_run(place: Path) -> None:
    with run_folder(place, {}):
        raise AssertionError("it cannot be a run's")


def fetch_package(place: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNEXPLAINED_CACHE", "/nowhere")
        patch.setattr(fetch, "cache_folder", lambda: place)
        package = fetch.Package("x", "1", "x.whl", "0", 1, ("x/",), "none", "")
        assert not fetch.is_present(package)
        fetch.ensure(package, progress=False)


def new_file(place: Path) -> None:
    with fetch.new_file(place / "table"):
        raise AssertionError("it cannot be written")


def write(place: Path) -> None:
    write_whole(place / "record.json", "{}", "record")


def ask(place: Path) -> None:
    require_writable(place / "record.json", "record")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    ("use", "error"),
    [
        (write_unit, MeasurementError),
        (lambda place: Store.open(place, {}), MeasurementError),
        (hold, MeasurementError),
        (name_run, MeasurementError),
        (fetch_package, FetchError),
        (new_file, FetchError),
        (write, RecordError),
        (ask, RecordError),
    ],
    ids=["unit", "store", "lock", "run", "package", "new file", "record", "asked before"],
)
def test_a_place_that_cannot_be_written_to_is_named_by_whoever_was_to_write_there(
    use: Callable[[Path], None],
    error: type[UnexplainedError],
    kind: Callable[[Path, pytest.MonkeyPatch], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        place = kind(tmp_path, patch)
        with pytest.raises(error) as caught:
            use(place)
    assert caught.value.asked and caught.value.found and caught.value.do


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_decision_that_cannot_be_remembered_is_made_all_the_same(
    kind: Callable[[Path, pytest.MonkeyPatch], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = Precision("default", "played")
    with monkeypatch.context() as patch:
        patch.setattr(precision, "measure", lambda: made)
        patch.setattr(precision, "processor", lambda: "none")
        place = kind(tmp_path, patch)
        assert precision.decide.__wrapped__("cpu", place / "products.json") == made


@pytest.mark.parametrize(
    "text",
    ["[]", "7", "null", "{", "", "[" * 100_000, '{"KEY": 1}', '{"KEY": {}}', '{"KEY": {"why": ""}}',
     '{"KEY": {"setting": "fast", "why": ""}}', '{"KEY": {"setting": "oneDNN", "why": 3}}'],
    ids=lambda text: text[:30],
)  # fmt: skip
def test_a_damaged_memory_of_decisions_is_measured_again_and_mended(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Precision("default", "played")
    monkeypatch.setattr(precision, "measure", lambda: made)
    monkeypatch.setattr(precision, "processor", lambda: "here")
    import torch

    key = f"here, {torch.get_num_threads()} threads, torch {torch.__version__}"
    place = tmp_path / "products.json"
    place.write_text(text.replace("KEY", key), encoding="utf-8")
    assert precision.decide.__wrapped__("cpu", place) == made
    assert json.loads(place.read_text(encoding="utf-8"))[key]["why"] == "played"
    assert os.listdir(tmp_path) == ["products.json"]


def test_a_file_name_may_be_as_long_as_names_may_be(tmp_path: Path) -> None:
    """A name that was found writable before the measurement is so after it."""
    place = tmp_path / ("r" * 250 + ".json")
    require_writable(place, "record")
    assert write_whole(place, "{}", "record").read_text(encoding="utf-8") == "{}"
    assert os.listdir(tmp_path) == [place.name]


def test_text_that_is_none_leaves_no_half_file(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="surrogates"):
        write_whole(tmp_path / "record.json", "\ud800", "record")
    assert not os.listdir(tmp_path)


def test_a_device_or_a_pipe_is_no_file_to_write_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/null")
    for place in (Path("/dev/null"), tmp_path / "pipe", tmp_path / "link"):
        with pytest.raises(RecordError, match="a device or a pipe"):
            require_writable(place, "record")


def test_two_outputs_of_one_name_are_refused_however_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "x.json")
    same = (tmp_path / "x.json", tmp_path / "a" / ".." / "x.json", tmp_path / "link")
    for other in same:
        with pytest.raises(RecordError, match="The report and the record"):
            require_apart({"report": same[0], "graph": None, "record": other})
    require_apart({"report": same[0], "record": tmp_path / "y.json", "graph": None})


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "deep"])
def test_a_record_that_is_no_record_is_named(make: Callable[[Path], None], tmp_path: Path) -> None:
    place = tmp_path / "record.json"
    if make is Path.mkdir:
        place.mkdir()
    else:
        place.write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(RecordError, match=r"cannot be read|not JSON"):
        load_record(place)


def test_a_cache_of_a_user_who_is_not_there_is_taken_as_it_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("UNEXPLAINED_CACHE", "~nobody-of-that-name/cache")
    assert fetch.cache_folder() == Path("~nobody-of-that-name/cache")
