"""What makes the code wrong can still be done: an edit of what is gone, or a test by an old name, tells nothing."""

from __future__ import annotations

from collections import Counter

from mutants import MUTANTS, ROOT


def test_every_edit_is_of_code_that_is_there_once_and_its_test_is_there() -> None:
    code = {m.file: (ROOT / "src/unexplained" / m.file).read_text("utf-8") for m in MUTANTS}
    files = {m.test.partition("::")[0] for m in MUTANTS}
    tests = {file: (ROOT / "tests" / file).read_text("utf-8") for file in files}
    gone = [f"{m.file}: {m.right!r}" for m in MUTANTS if code[m.file].count(m.right) != 1]
    gone += [m.test for m in MUTANTS if not _there(m.test, tests)]
    assert not gone
    assert max(Counter((m.file, m.right, m.wrong, m.test) for m in MUTANTS).values()) == 1


def _there(test: str, tests: dict[str, str]) -> bool:
    file, _, name = test.partition("::")
    return all(f" {one}(" in tests[file] for one in name.partition("[")[0].split("::") if one)
