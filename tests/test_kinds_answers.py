"""Every answer is an answer: bad input ends in three parts, outputs go only where they may."""

from __future__ import annotations

import json
import os
import stat
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from limits import limited as limited
from sample_record import sample_record
from test_assay import make_text
from tiny import tiny_subject, tokens
from unexplained import cli, visible
from unexplained.circuits import Graph, load_mib, save_mib
from unexplained.console import Visible
from unexplained.errors import ExplanationError, FetchError, UnexplainedError
from unexplained.evaluate import evaluate, observe
from unexplained.explanations import Explanation, explanation, fit
from unexplained.explanations.files import find_explanation
from unexplained.explanations.fit import sites_to_observe
from unexplained.places import require_writable
from unexplained.record import load_record
from unexplained.report import render, text_table, write_report
from unexplained.subject import Subject
from unexplained.telling import ProgressBars
from unexplained.text import Text
from unexplained.text.corpora.files import corpus

GRAPH = Graph(layers=1, heads=1, width=4)
ESCAPES = "\x1b[31m \x1b]0;title\x07 \u202egnp \u200b \x9b2J [/bold] [link=x]y[/link] :skull:"


def refusal(action: Callable[[], object]) -> UnexplainedError:
    """An error of ours with something in its first two parts."""
    with pytest.raises(UnexplainedError) as raised:
        action()
    assert raised.value.asked and raised.value.found
    return raised.value


def answered(*words: str, capsys: Any = None) -> tuple[int, str]:
    """Exit status and what was said on both streams, by the command line's own main."""
    before = sys.argv
    sys.argv = ["unexplained", *words]
    try:
        with pytest.raises(SystemExit) as ended:
            cli.main()
    finally:
        sys.argv = before
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out + said.err


# --- JSON of every kind, to every reader ----------------------------------------------------------------

JSONS: dict[str, str | bytes] = {
    "nothing": "", "a word": "word", "null": "null", "a list": "[]", "a number": "3", "a text": '"a"',
    "an object of nothing": "{}", "cut off": '{"format": 2, "title": ', "100,000 deep": "[" * 10**5,
    "100,000 objects deep": '{"a":' * 10**5, "6,000 digits": "1" * 6000,
    "6,000 digits inside": '{"format": 2, "title": "x", "seed": ' + "1" * 6000 + "}",
    "not UTF-8": b'{"a": "\xff"}', "zero bytes": bytes(99), "a mark first": b"\xef\xbb\xbf{}",
    "a lone surrogate": '{"format": 2, "title": "\\ud800"}', "blocks that are an object": '{"format": 2, "blocks": {}}',
    "a block of no kind": '{"format": 2, "blocks": [{"block": []}]}', "a format that is a list": '{"format": [], "title": "x"}',
    "a format that is true": '{"format": true}', "a record of before": '{"format": 1, "kind": "assay"}',
}  # fmt: skip

READERS: dict[str, Callable[[Path], object]] = {
    "a record": load_record,
    "a graph": lambda path: load_mib(path, GRAPH),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", JSONS)
def test_what_is_no_json_of_ours_is_said_to_be_none(name: str, reader: str, tmp_path: Path) -> None:
    path, content = tmp_path / "some.json", JSONS[name]
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert "some.json" in str(refusal(lambda: READERS[reader](path)))


def test_an_object_that_says_no_format_is_no_record_of_another_version(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"a": 1}')
    assert refusal(lambda: load_record(path)).found == "it is no record"


@pytest.mark.parametrize("version", [1, 3, True, "2", None])
def test_a_record_of_before_is_refused_by_its_format(version: object, tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    record = json.loads(sample_record().to_json())
    path.write_text(json.dumps(record | {"format": version}))
    error = refusal(lambda: load_record(path))
    assert f"its format is {version!r} and this version reads format 2" in error.found
    assert "version that wrote it" in error.do and "measure again" in error.do


NO_FILE: dict[str, Callable[[Path], object]] = {
    "nothing there": lambda path: None,
    "a folder": lambda path: path.mkdir(),
    "a pipe": lambda path: os.mkfifo(path),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize(
    "reader", [*READERS, "a text", "texts in a folder", "an explanation", "a text of pairs"]
)
@pytest.mark.parametrize("name", NO_FILE)
def test_what_is_no_file_is_refused_before_it_is_opened(
    name: str, reader: str, tmp_path: Path
) -> None:
    from unexplained.text.behaviours.files import read

    endings = {"a text": "txt", "texts in a folder": "txt", "an explanation": "py", "a text of pairs": "jsonl"}  # fmt: skip
    path = tmp_path / f"some.{endings.get(reader, 'json')}"
    NO_FILE[name](path)
    readers = READERS | {
        "a text": corpus,
        "texts in a folder": lambda path: corpus(path.parent),
        "an explanation": lambda path: find_explanation(str(path)),
        "a text of pairs": read,
    }
    refusal(lambda: readers[reader](path))


NUMBERS = ["NaN", "Infinity", "-Infinity", "1e308", "-1e308", "1e999", "1" + "0" * 200, "1e101"]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("where", ["value", "low", "high", "level", "seconds", "seed"])
def test_a_record_with_a_number_that_nobody_measured_is_refused(
    where: str, number: str, tmp_path: Path
) -> None:
    text, path = sample_record().to_json(), tmp_path / "r.json"
    key = f'"{where}": '
    at = text.index(key) + len(key)
    end = min(text.index(mark, at) for mark in ",\n}" if mark in text[at:])
    path.write_text(text[:at] + number + text[end:])
    assert "r.json" in str(refusal(lambda: load_record(path)))


@pytest.mark.parametrize("value", [1e99, -1e99, 0.0, 1e-320])
def test_a_record_whose_numbers_do_not_belong_together_is_drawn_or_refused(value: float) -> None:
    def put(found: Any) -> Any:
        if isinstance(found, dict):
            return {key: put(one) for key, one in found.items()}
        if isinstance(found, list):
            return [put(one) for one in found]
        return value if isinstance(found, float) else found

    record = sample_record()
    changed = type(record).model_validate(put(json.loads(record.to_json())))
    for drawn in (render, text_table):
        try:
            assert drawn(changed)
        except UnexplainedError as error:
            assert "numbers" in error.found


# --- where outputs may go -------------------------------------------------------------------------------

SOURCE = "the only copy of somebody's thesis\n"


def _link_to(content: str | None) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        there = path.with_name("elsewhere")
        if content is not None:
            there.write_text(content)
        path.symlink_to(there)

    return make


def _device(path: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root makes devices")


TAKEN: dict[str, Callable[[Path], object]] = {
    "somebody's file": lambda path: path.write_text(SOURCE),
    "somebody's JSON": lambda path: path.write_text('{"format": "mine", "kind": "assay"}'),
    "somebody's page": lambda path: path.write_text("<html><head></head><body>unexplained</body></html>"),
    "a folder": lambda path: path.mkdir(),
    "a pipe": lambda path: os.mkfifo(path),
    "a device": _device,
    "a link to a file": _link_to(SOURCE),
    "a link to nothing": _link_to(None),
    "a link to a record": lambda path: path.symlink_to(
        sample_record().save(path.with_name("elsewhere"))
    ),
    "a link to itself": lambda path: path.symlink_to(path.name),
}  # fmt: skip


def _graph(path: Path) -> Path:
    return save_mib(path, GRAPH, np.zeros(GRAPH.edges))


WRITERS: dict[str, Callable[[Path], object]] = {
    "record.save": lambda path: sample_record().save(path),
    "record.report": lambda path: sample_record().report(path),
    "write_report": lambda path: write_report(sample_record(), path),
    "save_mib": _graph,
    "a command's record": lambda path: require_writable(path, "record"),
    "a command's report": lambda path: require_writable(path, "report"),
    "a command's graph": lambda path: require_writable(path, "graph"),
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("name", TAKEN)
def test_an_output_takes_no_place_that_is_taken(name: str, writer: str, tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    TAKEN[name](path)
    before = path.lstat()
    error = refusal(lambda: WRITERS[writer](path))
    assert "out.json" in error.asked and error.do
    after = path.lstat()
    assert (after.st_ino, after.st_mode, after.st_size) == (before.st_ino, before.st_mode, before.st_size)  # fmt: skip
    assert not list(tmp_path.glob("*.part"))


OURS: dict[str, Callable[[Path], object]] = {
    "record": lambda path: sample_record().save(path),
    "report": lambda path: sample_record().report(path),
    "graph": _graph,
}


@pytest.mark.parametrize("there", OURS)
@pytest.mark.parametrize("what", OURS)
def test_only_an_earlier_output_of_the_same_kind_is_replaced(
    what: str, there: str, tmp_path: Path
) -> None:
    path = tmp_path / "out.json"
    OURS[there](path)
    if what == there:
        OURS[what](path)
    else:
        refusal(lambda: OURS[what](path))


@pytest.mark.parametrize("what", OURS)
def test_an_empty_file_is_free(what: str, tmp_path: Path) -> None:
    (tmp_path / "out.json").touch()
    OURS[what](tmp_path / "out.json")


def test_two_names_of_one_file_are_one_output(tmp_path: Path) -> None:
    from unexplained.cli.outputs import require_outputs

    sample_record().save(tmp_path / "a.json")
    os.link(tmp_path / "a.json", tmp_path / "b.json")
    error = refusal(lambda: require_outputs(report=tmp_path / "a.json", record=tmp_path / "b.json"))
    assert "both" in error.found


# --- nothing steers the terminal --------------------------------------------------------------------------


def harmless(said: str) -> None:
    """No control but line breaks, and none of the marks without width."""
    left = [c for c in said if visible.prose(c) != c]
    assert not left, f"{left[:3]!r} in {said[:300]!r}"


HOSTILE = {
    "an escape": "\x1b[31mred", "a title": "\x1b]0;title\x07", "a link": "\x1b]8;;http://x\x1b\\y",
    "a one-byte escape": "\x9b2J", "a bell": "a\x07b", "a backspace": "safe\x08\x08\x08\x08evil",
    "a carriage return": "true\rfalse", "reordering": "a\u202egpj.exe", "an isolate": "a\u2066b\u2069",
    "no width": "a\u200bb", "a joiner": "a\u200db", "a soft hyphen": "a\u00adb", "a tag": "a\U000e0041b",
    "a paragraph mark": "a\u2029b", "delete": "a\x7fb", "zero": "a\x00b",
}  # fmt: skip
MARKUP = ["[/bold]", "[bold red]x", "[link=http://x]y[/link]", "[/]", ":skull:", "[[", "\\[x]"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_control_is_made_visible_wherever_it_is_written(name: str) -> None:
    hostile, out = HOSTILE[name], StringIO()
    console = Visible(file=out, width=100, force_terminal=False, color_system=None)
    from rich.table import Table
    from rich.text import Text

    table = Table(title=hostile)
    table.add_column(hostile)
    table.add_row(hostile)
    for thing in (hostile, Text(hostile), table):
        console.print(thing)
    progress = ProgressBars(console, clock=partial(next, count(0, 100)))
    progress(hostile, 1, 9)
    progress(hostile, 2, 9)
    progress(hostile, 9, 9)
    harmless(out.getvalue())
    if hostile[0] != "\x1b":
        assert "⟨U+" in out.getvalue()


@pytest.mark.parametrize("markup", MARKUP)
def test_markup_is_written_as_it_is(markup: str) -> None:
    from rich.table import Table

    out = StringIO()
    console = Visible(file=out, width=100, force_terminal=True, color_system="standard")
    table = Table("column")
    table.add_row(markup)
    console.print(markup, table)
    with ProgressBars(console) as progress:
        progress(markup, 9, 9)
    assert out.getvalue().count(markup) >= 3


@pytest.mark.parametrize("name", HOSTILE)
def test_a_record_of_hostile_words_is_printed_harmlessly(name: str) -> None:
    hostile = HOSTILE[name]
    record = sample_record().model_copy(
        update={
            "title": hostile,
            "verdict": hostile,
            "subject": hostile,
            "subject_notes": (hostile,),
        }
    )
    harmless(text_table(record))
    harmless(render(record).replace("\u200b", ""))
    out = StringIO()
    from unexplained.report import print_record

    print_record(record, Console(file=out, width=100, force_terminal=False))
    harmless(out.getvalue())


COMMANDS: dict[str, tuple[str, ...]] = {
    "an option": ("sweep", "rung-1", "--{}"),
    "a value": ("sweep", "rung-1", "--documents", "{}"),
    "a choice": ("sweep", "rung-1", "--method", "{}"),
    "a command": ("{}",),
    "a superfluous word": ("explanations", "{}"),
    "a model": ("sweep", "{}"),
    "a text": ("sweep", "rung-1", "--text", "{}"),
    "a record": ("report", "{}"),
    "a curve": ("bars", "table", "--curve", "{}"),
    "a baseline": ("bars", "table", "--baseline", "{}"),
    "a report": ("report", "x.json", "--out", "{}/../a/b"),
    "a packaged model": ("models", "get", "{}"),
    "an explanation": ("assay", "rung-1", "--explanation", "{}"),
}


@pytest.mark.parametrize("what", COMMANDS)
def test_an_error_at_the_command_line_shows_what_was_typed_harmlessly(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code, said = answered(*(word.format(ESCAPES) for word in COMMANDS[what]), capsys=capsys)
    assert code == 2
    harmless(said)
    assert ":\n  " in said, "it has no three parts"


@pytest.mark.parametrize(
    "name", ["[/bold].html", "[red]a.html", "a\x1b[31m.html", "a\nVerdict: fine.html"]
)
def test_a_report_of_any_name_is_written_and_named_as_it_is(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    sample_record().save("r.json")
    code, said = answered("report", "r.json", "--out", name, capsys=capsys)
    assert code == 0
    assert Path(name).is_file()
    harmless(said)
    assert f"Report: {visible.name(name)}" in said


# --- explanations ----------------------------------------------------------------------------------------


def _gives(made: Callable[[Any], Any]) -> Explanation:
    @explanation(reads=("tokens",), gives="pattern")
    def mine(view: Any) -> Any:
        """Every token looks at itself."""
        batch, length = view.tokens.shape
        return made(torch.eye(length).expand(batch, length, length).clone())

    return mine


TENSORS: dict[str, Callable[[torch.Tensor], Any]] = {
    "complex": lambda x: x.to(torch.complex64),
    "sparse": lambda x: x.to_sparse(),
    "sparse rows": lambda x: x[0].to_sparse_csr(),
    "on meta": lambda x: x.to("meta"),
    "8-bit floats": lambda x: x.to(torch.float8_e4m3fn),
    "a list": lambda x: x.tolist(),
    "nothing": lambda x: None,
    "an array": lambda x: x.numpy(),
    "a text": lambda x: "pattern",
    "empty": lambda x: x[:0],
    "two rows too many": lambda x: torch.cat([x, x]),
    "NaN": lambda x: x * float("nan"),
    "exits": lambda x: sys.exit(0),
}


@pytest.fixture(scope="module")
def subject() -> Subject:
    return tiny_subject("llama")


@pytest.fixture(scope="module")
def words(subject: Subject) -> Text:
    return make_text("words", subject, tokens(4, 12, 1).numpy(), tokens(4, 12, 2).numpy())


def _loss(one: Explanation, subject: Subject, words: Text) -> float:
    where = subject.sites("L1.H1")
    seen = observe(subject, words, sites_to_observe(one, where, subject.shape))
    condition = fit(one.at(where), subject.shape, seen, 0).condition()
    return evaluate(subject, words, [condition]).sums(condition.name).per_token()


@pytest.mark.parametrize("name", TENSORS)
def test_a_pattern_of_a_kind_that_cannot_stand_in_is_refused(
    name: str, subject: Subject, words: Text
) -> None:
    error = refusal(lambda: _loss(_gives(TENSORS[name]), subject, words))
    assert isinstance(error, ExplanationError)


@pytest.mark.parametrize(
    "kind", [torch.bool, torch.uint8, torch.int64, torch.float16, torch.float64]
)
def test_a_pattern_of_noughts_and_ones_of_any_plain_type_is_the_same_pattern(
    kind: torch.dtype, subject: Subject, words: Text
) -> None:
    right = _loss(_gives(lambda x: x), subject, words)
    assert _loss(_gives(lambda x: x.to(kind)), subject, words) == right


FILES = {
    "that exits with 0": "import sys\nsys.exit(0)\n",
    "that exits by quit": "quit()\n",
    "that raises": "raise ValueError('\x1b[31m')\n",
    "that does not parse": "def (\n",
    "of zero bytes": "\0\0",
    "with nothing in it": "",
    "that recurses": "def f(): f()\nf()\n",
    "in another encoding": "# \udcff\n",
}


@pytest.mark.parametrize("name", FILES)
def test_an_explanation_file_is_refused_and_ends_nothing(name: str, tmp_path: Path) -> None:
    path = tmp_path / "claims.py"
    path.write_bytes(FILES[name].encode("utf-8", "surrogateescape"))
    refusal(lambda: find_explanation(str(path)))


# --- wheels -----------------------------------------------------------------------------------------------


def _member(name: str, mode: int = 0o100644) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name)
    made.external_attr = mode << 16
    return made


WHEELS: dict[str, tuple[zipfile.ZipInfo, bytes]] = {
    "a whole path": (_member("/tmp/x"), b"x"),
    "a path above": (_member("data/../../x"), b"x"),
    "a path with a drive": (_member("C:/x"), b"x"),
    "a link": (_member("data/x", 0o120777), b"/etc/passwd"),
    "a pipe": (_member("data/x", 0o010644), b""),
    "a device": (_member("data/x", 0o020644), b""),
    "a gigabyte of zeros": (_member("data/x"), bytes(1 << 24)),
}


@pytest.mark.parametrize("name", WHEELS)
def test_a_member_of_a_wheel_that_is_no_plain_file_is_refused(name: str, tmp_path: Path) -> None:
    from unexplained.fetch import Package, _unpack

    member, content = WHEELS[name]
    wheel = tmp_path / "a.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, content, zipfile.ZIP_DEFLATED)
    size = wheel.stat().st_size
    asked = Package("a", "1", "a.whl", "", size, (member.filename,), "MIT", "")
    with pytest.raises(FetchError):
        _unpack(asked, wheel, tmp_path / "out")
    assert not (tmp_path / "out").exists()
