"""What an explanation reads besides its view is found by running it again in a fresh process.

One process is asked for all the explanations below; none of them is refused by what it names
(`walk`), so that nothing but running it can tell. Their ways out lead through Python's own library.
"""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from typer.testing import CliRunner

import unexplained as ux
from unexplained.cli.app import app
from unexplained.errors import ExplanationError
from unexplained.explanations import again
from unexplained.explanations.carried import counted
from unexplained.explanations.files import find_explanation

HEAD = """
import email.utils, getpass, pydoc, statistics, tokenize, xmlrpc.client
from pathlib import Path

import torch
import unexplained as ux

SECRET = str(Path(__file__).parent / "number.txt")
READ = float(Path(SECRET).read_text())
WORDS = {"a", "bc", "def", "g", "hi", "jkl", "m", "no", "pqr", "s", "tu", "vwx"}

def rule(function):
    return ux.explanation(gives="z", reads=["tokens", "v", "L0.mlp"])(function)

def number(view, value):
    return view.v + value
"""

FOUND = {
    "reads_a_file": ("read()", r"opens .*number\.txt"),
    "reads_a_variable": ("len(getpass.getuser())", "environment variable LOGNAME"),
    # The day alone: the clock is put forward there by more than a year.
    "reads_the_clock": ("hash_of(email.utils.formatdate()[:16])", "other bytes"),
    "draws_at_random": ("statistics.NormalDist().samples(1)[0]", "other bytes"),
    "draws_from_torch": ("torch.rand(())", "other bytes"),
    "hashes_a_word": ("hash('word') % 100003", "other bytes"),
    "is_somewhere_in_memory": ("id(view) % 1000003", "other bytes"),
    "goes_through_a_set": (
        "sum((i + 1) ** 3 * len(word) for i, word in enumerate(w for w in {'a', 'bc', 'def', 'ghij', "
        "'klmno', 'pqrstu', 'vwxyz01', '23456789', 'abcdefghi'}))", "other bytes"),
    "opens_a_socket": ("len(str(tried(xmlrpc.client.ServerProxy('http://127.0.0.1:9').say)))",
                       "socket"),
    "starts_a_process": ("len(str(pydoc.pipepager('', 'true')))", r"subprocess\.Popen"),
}  # fmt: skip

HONEST = {
    "adds_nothing": "0.0",
    "holds_a_table_that_its_file_read": "READ",
    "draws_with_a_seed": "torch.rand((), generator=torch.Generator().manual_seed(3))",
    "sorts_a_set": "float(sorted(WORDS).index('no'))",
    "reads_another_site": "view.site('L0.mlp').mean()",
    "repeats_a_number": "view.tokens[:, -1].float().mean()",
    "begins_with_zeros": "view.blank",
}

TRIED = """
def hash_of(words):
    number = 0
    for letter in words:
        number = (31 * number + ord(letter)) % 1000003
    return number

def read():
    with tokenize.open(SECRET) as file:
        return float(file.read())

def tried(call):
    try:
        return call()
    except Exception:
        return "no"
"""


def written(folder: Path, rules: dict[str, str]) -> Path:
    """A file of explanations, each adding a number to its values."""
    one = '\n@rule\ndef {}(view):\n    """Adds a number."""\n    return number(view, {})\n'
    path = folder / "claims.py"
    (folder / "number.txt").write_text("2.5", encoding="utf-8")
    path.write_text(
        HEAD + TRIED + "".join(one.format(*rule) for rule in rules.items()), encoding="utf-8"
    )
    return path


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """What one fresh process found of all of them."""
    rules = {name: rule for name, (rule, _) in FOUND.items()} | HONEST
    path = written(tmp_path_factory.mktemp("claims"), rules)
    found = dict(zip(rules, find_explanation(str(path)), strict=True))
    samples = {name: again.sample_of(one, again.PLAIN) for name, one in found.items()}
    there, notes = again._ask(
        again.Question(
            str(path), list(samples.values()), again.PLAIN.vocabulary, None, None, 1, "highest"
        )
    )
    assert there is not None and not notes, notes
    return SimpleNamespace(
        found=found,
        samples=samples,
        there=dict(zip(rules, there["found"], strict=True)),
        loading=there["loading"],
    )


def compared(asked: SimpleNamespace, name: str) -> list[str]:
    explanation = asked.found[name]
    here = again.answer_of(explanation, asked.samples[name], again.PLAIN.vocabulary)
    return again._compared(explanation, here, asked.there[name])


@pytest.mark.parametrize("name", FOUND)
def test_what_an_explanation_reads_besides_its_view_is_found_in_a_fresh_process(asked, name):
    with pytest.raises(ExplanationError) as refused:
        compared(asked, name)
    assert re.search(FOUND[name][1], refused.value.found), refused.value.found
    assert name.replace("_", " ") in refused.value.asked


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_explanation_gives_the_same_bytes_there(asked, name):
    assert compared(asked, name) == []
    assert not asked.there[name][0]["raised"]


@pytest.mark.parametrize("gives", ["value", "pattern", "out", "q", "logits"])
def test_a_claim_of_any_kind_may_begin_with_zeros_of_the_shape_that_is_asked_for(gives):
    @ux.explanation(gives=gives, reads=["tokens"], name="zeros")
    def zeros(view):
        """Nothing at all."""
        return view.blank + (view.vocabulary if gives == "logits" else 1)

    shape = again.PLAIN
    answer = again.answer_of(zeros, again.sample_of(zeros, shape), shape.vocabulary)
    assert not answer["raised"]
    view = again.SampleView(zeros, again.sample_of(zeros, shape), shape.vocabulary)
    last = {"value": shape.width, "pattern": again.LENGTH, "out": shape.width,
            "q": shape.head_size, "logits": shape.vocabulary}[gives]  # fmt: skip
    assert tuple(view.blank.shape) == (again.ROWS, again.LENGTH, last)


def test_a_file_that_is_read_as_the_explanations_are_loaded_is_noted(asked):
    assert [one for one in asked.loading if one.endswith("number.txt")] == asked.loading != []


def test_a_file_that_is_found_only_from_this_folder_is_refused(tmp_path, monkeypatch):
    path = written(tmp_path, {"plain": "0.0"})
    path.write_text(path.read_text() + 'OTHER = Path("number.txt").read_text()\n')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ExplanationError, match=r"No such file.*number\.txt"):
        again.require_same(str(path), find_explanation(str(path)))


def test_a_setting_that_would_stay_changed_is_refused_by_name():
    @ux.explanation(gives="z", reads=["v"])
    def in_double(view):
        """The values."""
        torch.set_default_dtype(torch.float64)
        return view.v

    with pytest.raises(ExplanationError, match=r"set_default_dtype.* everything after"):
        counted(in_double)


def test_what_is_in_no_file_is_noted_and_not_tried():
    @ux.explanation(gives="z", reads=["v"])
    def of_a_notebook(view):
        """The values."""
        return view.v

    (note,) = of_a_notebook.check()
    assert "was not tried in a fresh process" in note


def test_a_process_that_cannot_be_started_is_noted(tmp_path, monkeypatch):
    path = written(tmp_path, {"plain": "0.0"})
    monkeypatch.setattr(again.sys, "executable", str(tmp_path / "no-python"))
    (note,) = again.require_same(str(path), find_explanation(str(path)))
    assert "it could not be started (No such file or directory)" in note


def test_what_raises_on_the_made_up_batch_everywhere_is_noted(asked):
    name = "adds_nothing"
    broken = {"said": "ValueError", "raised": "ValueError: 64 wanted", "watched": []}
    (note,) = again._compared(asked.found[name], broken, [broken, broken])
    assert "was not tried" in note and "64 wanted" in note


def test_the_command_line_asks_before_the_model_runs(tmp_path, monkeypatch):
    from tiny import tiny_subject
    from unexplained.subject import Subject

    path = written(tmp_path, {"plain": "0.0"})
    lines = "".join(f'{{"text": "{" ".join(f"t{(7 * i + j * j) % 60}" for j in range(30))}"}}\n'
                    for i in range(60))  # fmt: skip
    (tmp_path / "mine.jsonl").write_text(lines)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNEXPLAINED_CACHE", str(tmp_path / "cache"))
    subject = tiny_subject("llama")
    monkeypatch.setattr(ux, "load", lambda *_, **__: subject)

    def ran(*_: object, **__: object) -> None:
        raise AssertionError("the model ran first")

    monkeypatch.setattr(Subject, "run", ran)
    monkeypatch.setattr(Subject, "prefix", ran)
    asked = []

    def refuse(name, found, shape, text=None, words=None):
        asked.append(shape)
        raise ExplanationError(name, "it differs there")

    monkeypatch.setattr(again, "require_same", refuse)
    few = ["--text", "mine.jsonl", "--documents", "4", "--fit-documents", "4", "--block", "12"]
    result = CliRunner().invoke(
        app, ["assay", "tiny", "--heads", "L1.H0", "--explanation", str(path), "--no-twin", *few]
    )
    assert isinstance(result.exception, ExplanationError), result.exception
    assert asked == [subject.shape]
