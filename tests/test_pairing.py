"""Two records compared document by document: from ledgers that both kept, and only where a number is theirs."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import t as student
from typer.testing import CliRunner

from measured import folder, record_of
from test_gap import ledger_of
from unexplained import bars
from unexplained.bars.pairing import KeptLedgers, Pairing, Sheet
from unexplained.cli.app import app
from unexplained.ledger import Ledger
from unexplained.record import Record
from unexplained.record.base import Number
from unexplained.record.difference import between, difference
from unexplained.settings import Settings

SETTINGS = Settings(resamples=100)
DOCUMENTS = 24


def sheet(losses: dict[str, Any], *, first: int = 0) -> Sheet:
    """Documents of ten tokens."""
    columns = {name: list(sums) for name, sums in losses.items()}
    ledger = ledger_of(columns, [10] * len(columns["intact"]))
    if first:
        names = [f"e{i}" for i in range(ledger.table.num_rows)]
        at = ledger.table.schema.get_field_index("document")
        ledger = replace(ledger, table=ledger.table.set_column(at, "document", [names]))
    return Sheet(ledger)


def pairing(before: Sheet, after: Sheet) -> Pairing:
    return Pairing(KeptLedgers((before,), SETTINGS), KeptLedgers((after,), SETTINGS))


def planted(seed: int = 0) -> tuple[Sheet, Sheet]:
    """Two variants whose documents share most of their noise; the second's rule is worse."""
    rng = np.random.default_rng(seed)
    hard, damage = 30 + 6 * rng.normal(size=DOCUMENTS), 5 + rng.normal(size=DOCUMENTS)
    part = 0.3 * rng.normal(size=DOCUMENTS)

    def variant(share: float) -> Sheet:
        left = (1 - share + part) * damage + 0.1 * rng.normal(size=DOCUMENTS)
        return sheet({"intact": hard, "mean": hard + damage, "rule": hard + left})

    return variant(0.8), variant(0.6)


def test_a_difference_of_means_is_students_on_the_documents_differences() -> None:
    """By hand, where documents are of one length and too regular for a tail: t on the differences."""
    one = sheet({"intact": np.linspace(20, 40, 20)})
    by = np.tile([1.0, 2.0, 3.0, 4.0], 5)
    two = sheet({"intact": np.linspace(20, 40, 20) + by})
    old, new = (bars.loss(each.ledger, "intact", settings=SETTINGS) for each in (one, two))
    found = pairing(one, two)(old, new)
    assert found is not None and found.low is not None and found.high is not None
    apart = by / 10
    half = float(student.ppf(0.975, 19)) * apart.std(ddof=1) / math.sqrt(20)
    assert found.value == pytest.approx(apart.mean())
    # Ends are at least so far, and little further: those of the means have tails of their own.
    assert half <= (1 + 1e-9) * (found.high - apart.mean()) <= 1.5 * half
    assert half <= (1 + 1e-9) * (apart.mean() - found.low) <= 1.5 * half


@pytest.mark.parametrize("what", ["loss", "recovered"])
def test_shared_noise_of_documents_drops_out(what: str) -> None:
    one, two = planted()

    def number(of: Sheet) -> Number:
        if what == "loss":
            return bars.loss(of.ledger, "rule", settings=SETTINGS)
        return bars.recovered(of.ledger, "rule", "mean", settings=SETTINGS)

    old, new = number(one), number(two)
    paired, apart = pairing(one, two)(old, new), between(old, new)
    assert paired is not None and None not in (paired.low, paired.high, apart.low, apart.high)
    truth = 0.2 * 0.5 if what == "loss" else -0.2
    assert paired.low < truth < paired.high  # type: ignore[operator]
    assert paired.high - paired.low < 0.6 * (apart.high - apart.low)  # type: ignore[operator]
    again = pairing(one, one)(old, old)
    assert again is not None and (again.value, again.low, again.high) == (0.0, 0.0, 0.0)


def test_what_is_not_a_ratio_of_both_ledgers_is_not_paired() -> None:
    one, two = planted()
    old, new = (bars.loss(each.ledger, "rule", settings=SETTINGS) for each in (one, two))
    wider = new.model_copy(
        update={"high": (new.high or 0.0) + 0.01}
    )  # it holds more than documents
    assert pairing(one, two)(old, wider) is None
    assert pairing(one, two)(old, new.model_copy(update={"value": (new.value or 0) + 1e-3})) is None
    other = sheet({"intact": [20.0] * DOCUMENTS, "rule": np.linspace(20, 40, DOCUMENTS)}, first=1)
    there = bars.loss(other.ledger, "rule", settings=SETTINGS)
    assert pairing(one, other)(old, there) is None
    assert "other documents" in pairing(one, other).lacks
    refused = Number(value=None, refused="no damage")
    assert pairing(one, two)(old, refused) is None


def test_ledgers_are_kept_under_their_digest_with_their_unit(tmp_path: Path) -> None:
    ledger = replace(planted()[0].ledger, unit="bits per byte")
    name = ledger.keep(tmp_path)
    assert ledger.keep(tmp_path) == name
    back = Ledger.kept(tmp_path, name)
    assert back is not None and back.table.equals(ledger.table) and back.unit == "bits per byte"
    (path,) = (tmp_path / "readings").iterdir()
    path.write_bytes(path.read_bytes()[:-9])
    assert Ledger.kept(tmp_path, name) is None


def test_a_records_numbers_are_found_again_in_what_it_kept(tmp_path: Path) -> None:
    """Of a real record: whatever is paired with itself is so at exactly 0, and that is not nothing."""
    record = record_of("gap")
    found = Pairing.of(record, record, [folder()])
    changes = {where: found(number, number) for where, number in record.numbers()}
    some = {where: change for where, change in changes.items() if change is not None}
    assert {(one.value, one.low, one.high) for one in some.values()} == {(0.0, 0.0, 0.0)}
    own = {where for where in some if not where.startswith("controls/")}
    assert own == {"facts/strong-loss/is", "facts/weak-loss/is"}  # the rest holds other runs
    assert not difference(record, record, found).changes
    assert "--run" in Pairing.of(record, record, [tmp_path]).lacks
    nothing = record.model_copy(update={"ledgers": {}})
    assert "without keeping" in Pairing.of(nothing, nothing, [folder()]).lacks


def test_diff_says_what_is_paired_and_why_nothing_is(tmp_path: Path) -> None:
    record = record_of("gap")
    cell = next(where for where, n in record.numbers() if n.low is not None and n.value)
    paths = [record.save(tmp_path / "a.json"), _with(record, cell).save(tmp_path / "b.json")]
    said = CliRunner().invoke(app, ["diff", *map(str, paths), "--run", str(tmp_path)]).output
    assert "Unpaired" in said and "--run" in said
    both = ["--run", str(tmp_path), "--run", str(folder())]  # each may have been kept on its own
    said = CliRunner().invoke(app, ["diff", *map(str, paths), *both]).output
    assert "Paired by document: 0 of 1 changes" in " ".join(said.split())


def _with(record: Record, where: str) -> Record:
    """The record with one number that is another."""
    text, old = record.to_json(), record[where].model_dump_json(indent=1)
    new = record[where].model_copy(update={"value": (record[where].value or 0.0) + 1e-4})
    lines = [line.strip() for line in old.splitlines()]
    wanted = [line.strip() for line in new.model_dump_json(indent=1).splitlines()]
    flat = [line.strip() for line in text.splitlines()]
    at = next(i for i in range(len(flat)) if flat[i + 1 : i + 3] == lines[1:3])
    flat[at + 1 : at + 3] = wanted[1:3]
    return Record.model_validate_json("\n".join(flat))
