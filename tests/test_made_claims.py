"""Claims that a file makes of a text, or of the text of every token, are found wherever claims are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
from typer.testing import CliRunner

import unexplained as ux
from unexplained.cli.app import app
from unexplained.explanations import again
from unexplained.explanations.files import needs
from unexplained.study import Instrument

FEW = ("--text", "repeats", "--documents", "10", "--block", "16")
OF_WORDS = """
import torch, unexplained as ux

def for_vocabulary(words):
    longer = torch.tensor([len(word) > 3 for word in words])

    @ux.explanation(gives="pattern", reads=["tokens"])
    def long_words(view):
        '''Attend evenly to what is long.'''
        there = longer[view.tokens][:, None, :] & torch.ones(view.blank.shape[-2:]).tril().bool()
        return ux.patterns.evenly(there)

    return long_words
"""
WHERE = {
    "assay": ("rung-1", "--heads", "L0.H0"),
    "hunt": ("rung-1", "L0.H0"),
    "shortfall": ("rung-1", "L0.H0"),
    "soundness": ("rung-1", "L0.H0"),
}
"""Instruments that look for claims before a model is loaded."""


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNEXPLAINED_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(OF_WORDS, encoding="utf-8")


class Reached(Exception):
    """All that is asked for was found."""


def reached(*args: Any, **given: Any) -> NoReturn:
    claims = given.get("explanations") or given.get("claim")
    raise Reached(*(one.called for one in claims))


def said(*words: str) -> str:
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code
    return " ".join(f"{result.output} {result.exception!r}".split())


@pytest.mark.parametrize("name", WHERE)
def test_a_claim_made_of_the_vocabulary_is_found_from_the_shell(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Instrument, "dry_run", reached)
    monkeypatch.setattr(again, "require_same", lambda *_: ())  # a fresh process takes seconds
    asked = (name, *WHERE[name], *FEW, "--dry-run", "--explanation")
    found = said(*asked, "mine.py")
    assert found.startswith("Reached(") and "long words" in found
    assert "It defines: long_words" in said(*asked, "mine.py:short")


def test_a_claim_made_of_the_vocabulary_is_found_from_python() -> None:
    rung = ux.load("rung-1")
    text = ux.text("repeats", rung, documents=6, fit_documents=4, block=16)
    bare = replace(ux.assay, function=reached)
    with pytest.raises(Reached, match="long words"):
        bare.dry_run(rung, "L0.H0", text, explanations="mine.py")


def test_a_file_that_takes_the_function_from_elsewhere_needs_the_vocabulary_too() -> None:
    Path("other.py").write_text("from mine import for_vocabulary\n", encoding="utf-8")
    assert needs("other.py") and needs("other.py:long_words") and needs("mine.py")
    Path("other.py").write_text("'''before_vocabulary'''\n", encoding="utf-8")
    assert not needs("other.py") and not needs("nowhere.py") and not needs("strict_induction")


def test_what_makes_no_explanation_says_what_it_lacks() -> None:
    Path("mine.py").write_text("def for_text(text):\n    return 3\n", encoding="utf-8")
    asked = ("assay", *WHERE["assay"], *FEW, "--dry-run", "--explanation", "mine.py")
    assert "what its for_text gives (int) is no explanation" in said(*asked)
    words = said(*asked, "--text", "pydocs")
    assert "its for_text makes its explanation of one text, and" in words
