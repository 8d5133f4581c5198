"""What the documents say of the repository is so."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sample_record import sample_record
from unexplained.record import Record
from unexplained.record.blocks import Tokens
from unexplained.record.ids import walk

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_generated_tables_are_those_of_the_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import readme

    for path in readme.DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        assert readme.filled(text) == text, f"{path.name}: make readme"
    assert sorted(readme.places()) == sorted(readme.BLOCKS)
    sys.modules.pop("readme")


def test_the_tables_on_ratios_are_those_of_the_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import ratio_table

    text = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
    assert ratio_table.filled(text) == text, "run: python benchmarks/ratio_table.py"
    sys.modules.pop("ratio_table")


RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*.json"))


def records_in(data: object) -> Iterator[Record]:
    """Every record in a file of results, wherever it stands."""
    if isinstance(data, dict) and "blocks" in data:
        yield Record.model_validate(data)
    elif isinstance(data, dict | list):
        for inner in data.values() if isinstance(data, dict) else data:
            yield from records_in(inner)


def test_no_words_of_others_are_kept_with_a_record() -> None:
    kept = [one for path in RESULTS for one in records_in(json.loads(path.read_text("utf-8")))]
    assert {"assay", "circuit", "gap", "rewrite", "sizes", "sweep", "tasks"} == {
        one.instrument for one in kept
    }
    assert not [b for one in kept for _, b in walk(one.blocks) if isinstance(b, Tokens)]


def test_a_record_that_is_taken_in_loses_its_words_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import records

    whole = sample_record()
    assert any(isinstance(block, Tokens) for _, block in walk(whole.blocks))
    kept = records.without_words(whole)
    gone = [block for _, block in walk(whole.blocks) if isinstance(block, Tokens)]
    said = [token.text for block in gone for one in block.examples for token in one.tokens]
    assert said and "intact_says" not in kept.to_json()
    assert dict(kept.numbers()) == dict(whole.numbers())
    assert len(list(walk(kept.blocks))) == len(list(walk(whole.blocks))) - len(gone)


def test_a_record_of_another_instrument_and_a_cell_that_is_not_there_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import records

    demo = ROOT / "benchmarks" / "results" / "demo.json"
    with pytest.raises(SystemExit, match="is a record of assay; circuit was asked for"):
        records.read(demo, "circuit")
    for where in ("facts/model/is/more", "facts/nobody/is"):
        with pytest.raises(SystemExit, match="has no"):
            records.cell(records.read(demo, "assay"), where)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_paths_and_targets_that_a_document_names_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for path in re.findall(r"`((?:src|tests|docs|benchmarks|examples)/[\w./-]*[\w/])`", text):
        assert (ROOT / path).exists(), path
    for path in re.findall(r"\]\(((?!http)[\w./-]+)\)", text):
        assert (document.parent / path).exists(), path
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"`make ([a-z]+)`", text):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
