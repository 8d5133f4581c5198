"""What the documents say of the repository is so."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_readmes_tables_are_those_of_the_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import readme

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.filled(text) == text, "run: make readme"
    sys.modules.pop("readme")


def test_the_tables_on_ratios_are_those_of_the_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import ratio_table

    text = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
    assert ratio_table.filled(text) == text, "run: python benchmarks/ratio_table.py"
    sys.modules.pop("ratio_table")


def test_no_words_of_others_are_kept_with_a_record() -> None:
    record = (ROOT / "benchmarks" / "results" / "demo.json").read_text(encoding="utf-8")
    assert '"examples": []' in record and '"intact_says"' not in record


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
