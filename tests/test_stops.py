"""Stops are heard: at any moment, by every signal, with a word on what is kept and how to go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from unexplained import stops
from unexplained.cli import main

PROGRAM = "import sys\nfrom unexplained.cli import main\nsys.exit(main())\n"
"""As pip writes it."""

SWEEP = ("sweep", "rung-1", "L*.H*", "--text", "repeats", "--documents", "64", "--block", "32")
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


def begin(folder: Path, *words: str, before: str = "") -> subprocess.Popen[str]:
    """The real program, in a process whose Ctrl-C is not ignored (that of a background job is)."""
    program = folder / "unexplained"
    program.write_text(before + PROGRAM, encoding="utf-8")

    def as_on_a_terminal() -> None:
        for number in CODES:
            signal.signal(number, signal.SIG_DFL)

    return subprocess.Popen(
        [sys.executable, str(program), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, preexec_fn=as_on_a_terminal, cwd=folder,
    )  # fmt: skip


def until(process: subprocess.Popen[str], there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not there():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def stopped(process: subprocess.Popen[str], number: int) -> str:
    """Stop it; what it said."""
    process.send_signal(number)
    out, said = process.communicate(timeout=60)
    assert process.returncode == CODES[signal.Signals(number)], (out, said)
    assert "Traceback" not in said and "Aborted" not in out + said
    return " ".join(said.split())


@pytest.mark.parametrize(("number", "words", "module"), [
    *((number, ["--help"], "typer") for number in CODES), (signal.SIGINT, ["models"], "torch"),
])  # fmt: skip
def test_a_stop_while_modules_are_imported_is_heard(
    number: int, words: list[str], module: str, tmp_path: Path
) -> None:
    """A module that is imported early waits for it, and one that only the command needs."""
    slow = (
        "import builtins, pathlib, time\nreal = builtins.__import__\n"
        "def slow(name, *more, **named):\n"
        f"    if name == {module!r}:\n"
        "        pathlib.Path('ready').touch()\n"
        "        time.sleep(60)\n"
        "    return real(name, *more, **named)\n"
        "builtins.__import__ = slow\n"
    )
    process = begin(tmp_path, *words, before=slow)
    until(process, (tmp_path / "ready").exists)
    said = stopped(process, number)
    assert "Nothing was kept yet: the same command begins again." in said


def test_a_stop_while_it_measures_says_what_is_kept_and_the_same_command_goes_on(
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    process = begin(tmp_path, *SWEEP, "--run", "run")
    until(process, lambda: any(run.rglob("*.parquet")))
    said = stopped(process, signal.SIGINT)
    assert "What was finished is kept in run: the same command goes on from there." in said
    assert any(run.rglob("*.parquet")) and not [*run.rglob("*.part-*"), *run.rglob("*.damaged")]


@pytest.mark.parametrize("number", CODES, ids=lambda number: signal.Signals(number).name)
def test_a_stop_ends_the_command_line_with_its_code_and_no_traceback(
    number: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Through everything that commands go through, which swallow a KeyboardInterrupt."""

    def command() -> None:
        stops.keeping("here")
        os.kill(os.getpid(), number)

    def leave(code: int) -> None:
        raise SystemExit(code)

    app = typer.Typer()
    app.command()(command)
    monkeypatch.setattr("unexplained.cli.app.app", app)
    monkeypatch.setattr("unexplained.cli._leave", leave)
    monkeypatch.setattr(sys, "argv", ["unexplained"])
    monkeypatch.setattr(stops, "GRACE", 60)
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == CODES[signal.Signals(number)]
    said = " ".join(capfd.readouterr().err.split())
    assert "kept in here: the same command goes on from there." in said


def test_what_is_ignored_stays_ignored() -> None:
    """As `nohup` asks for it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stops.heard():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_who_imports_the_package_keeps_his_own_signals() -> None:
    handlers = [signal.getsignal(number) for number in CODES]
    assert stops._hear not in handlers
    with stops.heard():
        assert all(signal.getsignal(number) is stops._hear for number in CODES)
    assert [signal.getsignal(number) for number in CODES] == handlers


def test_a_stop_that_is_swallowed_and_one_that_comes_again_end_the_process(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys, time\nfrom unexplained import stops\nstops.GRACE = {grace}\n"
        "with stops.heard():\n"
        "    stops.keeping('a\\x1b[31mb')\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "    except BaseException: pass\n"
        "    {then}\n"
        "    time.sleep(60)\n"
    )
    for grace, then in ((0.1, "pass"), (60, "os.kill(os.getpid(), signal.SIGINT)")):
        # By its file: the package itself takes seconds to import.
        run = code.format(grace=grace, then=then).replace(
            "from unexplained import stops",
            f"sys.path.insert(0, {str(Path(stops.__file__).parent)!r}); import stops",
        )
        done = subprocess.run(
            [sys.executable, "-c", run], capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 143, done.stderr
        assert r"is kept in 'a\x1b[31mb'" in done.stderr
