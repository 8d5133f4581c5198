"""Fetching: pinned wheels from a local folder, so no test needs a network."""

from __future__ import annotations

import errno
import hashlib
import io
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import platformdirs
import pytest
from rich.console import Console

from unexplained import archives, fetch
from unexplained.errors import FetchError
from unexplained.fetch import Package, cache_folder, ensure, is_present, new_file

MEMBERS = {
    "toy_data/one.txt": b"one",
    "toy_data/deep/two.txt": b"two",
    "toy_data/code.py": b"raise SystemExit('packages are not imported')",
}


COPY = """#!/bin/sh
for word; do
  case "$before" in --dest) to="$word";; --find-links) from="$word";; esac
  before="$word"
done
mkdir -p "$to" && cp "$from"/*.whl "$to"
"""
"""Stands in for `python -m pip download`, which takes seconds to start."""


@pytest.fixture
def real_pip_cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv(fetch.CACHE_VARIABLE, str(folder))
    return folder


@pytest.fixture
def cache(real_pip_cache, tmp_path, monkeypatch):
    stand_in(tmp_path, monkeypatch, COPY)
    return real_pip_cache


def stand_in(folder: Path, monkeypatch, script: str) -> None:
    python = folder / "python"
    python.write_text(script)
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))


def wheel(folder: Path, content: dict[str, bytes] = MEMBERS, **changes) -> Package:
    folder.mkdir(exist_ok=True)
    path = folder / "toy_data-1.0-py3-none-any.whl"
    info = "toy_data-1.0.dist-info/"
    plain = {
        info + "METADATA": b"Metadata-Version: 2.1\nName: toy-data\nVersion: 1.0\n",
        info + "WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        info + "RECORD": b"",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**content, **plain}.items():
            archive.writestr(name, data)
    pinned = {
        "name": "toy-data",
        "version": "1.0",
        "filename": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "size": path.stat().st_size,
        "members": ("toy_data/one.txt", "toy_data/deep/"),
        "licence": "MIT",
        "licence_url": "https://example.org",
    }
    return Package(**{**pinned, **changes})


def get(package: Package, folder: Path, progress: bool = False) -> Path:
    return ensure(package, progress, pip=("--no-index", "--find-links", str(folder)))


def everything(folder: Path) -> list[str]:
    paths = folder.rglob("*") if folder.exists() else []
    return sorted(str(path.relative_to(folder)) for path in paths if path.is_file())


def test_the_named_members_arrive_and_nothing_else(tmp_path, real_pip_cache):
    package = wheel(tmp_path / "index")
    assert not is_present(package)
    folder = get(package, tmp_path / "index")
    assert is_present(package)
    assert everything(folder) == ["toy_data/deep/two.txt", "toy_data/one.txt"]
    assert (folder / "toy_data/deep/two.txt").read_bytes() == b"two"
    assert list(real_pip_cache.rglob(".staging-*")) == []


def test_paths_from_where_the_program_runs_are_from_there(tmp_path, cache, monkeypatch):
    """The cache's, and those of the user's own settings of pip."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(fetch.CACHE_VARIABLE, "here")
    folder = get(wheel(tmp_path / "index"), Path("index"))
    assert everything(folder) == ["toy_data/deep/two.txt", "toy_data/one.txt"]


def test_a_second_call_does_nothing(tmp_path, cache, monkeypatch):
    package = wheel(tmp_path / "index")
    first = get(package, tmp_path / "index")
    monkeypatch.setattr(fetch.subprocess, "Popen", None)
    assert ensure(package) == first
    with pytest.raises(TypeError):  # the check above could fail: without the folder pip is run
        ensure(wheel(tmp_path / "index", content={**MEMBERS, "more": b"x"}))


def test_a_changed_pin_does_not_find_the_old_files(tmp_path, cache):
    package = wheel(tmp_path / "index")
    get(package, tmp_path / "index")
    assert not is_present(wheel(tmp_path / "index", content={**MEMBERS, "more": b"x"}))
    assert not is_present(replace(package, members=("toy_data/one.txt",)))


def test_a_file_with_another_hash_is_refused_and_deleted(tmp_path, cache):
    package = wheel(tmp_path / "index", sha256="0" * 64)
    true = wheel(tmp_path / "index").sha256
    with pytest.raises(FetchError) as caught:
        get(package, tmp_path / "index")
    assert "0" * 64 in str(caught.value) and true in str(caught.value)
    assert everything(cache) == [] and not is_present(package)


def test_a_truncated_file_is_refused_with_both_sizes(tmp_path, cache):
    package = wheel(tmp_path / "index", size=12345)
    size = wheel(tmp_path / "index").size
    with pytest.raises(FetchError, match=f"12,345 bytes expected, {size:,} found"):
        get(package, tmp_path / "index")
    assert everything(cache) == []


def test_a_version_that_does_not_exist_is_told_in_pips_words(tmp_path, real_pip_cache):
    package = wheel(tmp_path / "index", version="7.7")
    with pytest.raises(FetchError, match=r"No matching distribution found for toy-data==7\.7"):
        get(package, tmp_path / "index")
    assert everything(real_pip_cache) == []


@pytest.mark.parametrize(
    ("said", "do"),
    [
        ("python: No module named pip", "ensurepip"),
        ("ERROR: Could not install: [Errno 28] No space left on device", fetch.CACHE_VARIABLE),
        ("ERROR: first\nERROR: Connection refused\nnote: try later", "Check the network"),
    ],
)
def test_what_to_do_follows_from_what_pip_said(tmp_path, cache, monkeypatch, said, do):
    stand_in(tmp_path, monkeypatch, f"#!/bin/sh\ncat <<'END'\n{said}\nEND\nexit 1\n")
    with pytest.raises(FetchError) as caught:
        ensure(wheel(tmp_path / "index"), progress=False)
    assert do in caught.value.do
    errors = [line for line in said.splitlines() if line.startswith("ERROR:")] or [said]
    assert errors[-1].removeprefix("ERROR: ") in caught.value.found


def test_another_file_name_than_the_pinned_one_is_refused(tmp_path, cache):
    package = wheel(tmp_path / "index", filename="toy_data-1.0-cp311-none-any.whl")
    with pytest.raises(FetchError, match=r"pip downloaded toy_data-1.0-py3-none-any.whl instead"):
        get(package, tmp_path / "index")


@pytest.mark.parametrize("missing", ["toy_data/three.txt", "toy_data/none/", "toy_data"])
def test_a_wheel_without_a_member_is_refused(tmp_path, cache, missing):
    package = replace(wheel(tmp_path / "index"), members=("toy_data/one.txt", missing))
    with pytest.raises(FetchError, match=missing):
        get(package, tmp_path / "index")
    assert not is_present(package) and everything(cache) == []


@pytest.mark.parametrize(
    "name", ["toy_data/../../../evil", "/evil", "toy_data\\..\\evil", "C:evil"]
)
def test_a_member_that_would_escape_is_refused(tmp_path, cache, name):
    path = tmp_path / "toy.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, b"x")
    package = Package("toy", "1", path.name, "", 0, (name,), "", "")
    with pytest.raises(FetchError, match="outside its folder"):
        fetch._unpack(package, path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_no_zip_is_refused(tmp_path):
    path = tmp_path / "toy.whl"
    path.write_bytes(b"<html>Please log in</html>")
    with pytest.raises(FetchError, match="not a wheel"):
        fetch._unpack(Package("toy", "1", path.name, "", 0, ("a",), "", ""), path, tmp_path / "o")


def test_a_cache_that_cannot_be_written_says_which_variable_to_set(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv(fetch.CACHE_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(FetchError) as caught:
        get(wheel(tmp_path / "index"), tmp_path / "index")
    assert fetch.CACHE_VARIABLE in caught.value.do


def test_a_full_disk_leaves_nothing_behind(tmp_path, cache, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(archives.Entry, "write", full)
    package = wheel(tmp_path / "index")
    with pytest.raises(FetchError, match="No space left on device") as caught:
        get(package, tmp_path / "index")
    assert fetch.CACHE_VARIABLE in caught.value.do
    assert everything(cache) == [] and not is_present(package)


def test_an_interrupt_leaves_nothing_behind(tmp_path, cache, monkeypatch):
    unpack = fetch._unpack

    def interrupted(*arguments):
        unpack(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(fetch, "_unpack", interrupted)
    package = wheel(tmp_path / "index")
    with pytest.raises(KeyboardInterrupt):
        get(package, tmp_path / "index")
    assert everything(cache) == [] and not is_present(package)


def test_an_interrupt_ends_pip(tmp_path, cache, monkeypatch):
    stand_in(tmp_path, monkeypatch, "#!/bin/sh\nexec sleep 60\n")
    started = []

    def interrupted(process, *_):
        started.append(process)
        raise KeyboardInterrupt

    monkeypatch.setattr(fetch, "_wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        get(wheel(tmp_path / "index"), tmp_path / "index")
    assert started[0].returncode is not None


def test_a_folder_that_another_process_finished_first_is_used(tmp_path, cache, monkeypatch):
    package = wheel(tmp_path / "index")
    unpack = fetch._unpack

    def slow(*arguments):
        unpack(*arguments)
        fetch._place(package).mkdir()
        (fetch._place(package) / "theirs").write_text("complete")

    monkeypatch.setattr(fetch, "_unpack", slow)
    assert everything(get(package, tmp_path / "index")) == ["theirs"]


def test_without_a_terminal_there_is_one_line_and_none_when_not_wanted(tmp_path, cache, capsys):
    index = tmp_path / "index"
    get(wheel(index), index, progress=True)
    assert capsys.readouterr().err.splitlines() == ["Fetching toy-data 1.0 (MIT), 0 MB …"]
    get(wheel(index, content={**MEMBERS, "more": b"x"}), index, progress=False)
    assert capsys.readouterr().err == ""


def test_on_a_terminal_there_is_a_bar(tmp_path, cache, monkeypatch):
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=120)
    monkeypatch.setattr(fetch, "Console", lambda **_: terminal)
    get(wheel(tmp_path / "index"), tmp_path / "index", progress=True)
    assert "Fetching toy-data 1.0" in screen.getvalue() and "━" in screen.getvalue()


def test_the_cache_is_the_users_unless_the_variable_says_otherwise(tmp_path, monkeypatch):
    monkeypatch.setenv(fetch.CACHE_VARIABLE, str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.setenv(fetch.CACHE_VARIABLE, "")
    assert cache_folder() == platformdirs.user_cache_path("unexplained")


def test_a_new_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "file"
    with pytest.raises(ZeroDivisionError), new_file(path) as draft:
        draft.write_text("half")
        _ = 1 / 0
    assert everything(tmp_path) == []
    with new_file(path) as draft:
        draft.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole" and everything(tmp_path) == ["deep/file"]


def test_a_new_file_that_cannot_be_kept_says_which_variable_to_set(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with (
        pytest.raises(FetchError) as caught,
        new_file(tmp_path / "file" / "x") as draft,
    ):
        draft.write_text("never")
    assert fetch.CACHE_VARIABLE in caught.value.do
