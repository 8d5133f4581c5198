"""Strata that a user gives: what they say, and what they do not void."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import unexplained as ux
from test_assay import make_text, subject_of
from unexplained.ablations import ABLATIONS
from unexplained.errors import TextError
from unexplained.evaluate import evaluate, observe
from unexplained.evaluate.conditions import Edited
from unexplained.evaluate.job import Job
from unexplained.evaluate.work import Task
from unexplained.ledger import Ledger
from unexplained.record.blocks import Table
from unexplained.record.ids import walk
from unexplained.subject import Subject
from unexplained.testbeds import prompts
from unexplained.testbeds.prompts import pairs_text
from unexplained.testbeds.texts import irregular
from unexplained.text import Block, Text

SETTINGS = ux.Settings(resamples=60)


def evenness(block: Block) -> list[str]:
    """Of the token to be predicted."""
    return ["even" if token % 2 == 0 else "odd" for token in block.targets]


def half(block: Block) -> list[str]:
    count = len(block.targets)
    return ["early" if i < count // 2 else "late" for i in range(count)]


@pytest.fixture(scope="module")
def subject() -> Subject:
    return subject_of("strict_induction")[0]


def made(subject: Subject, seed: int = 0, documents: int = 12) -> Text:
    rng = np.random.default_rng(seed)
    text = make_text(
        f"irregular {seed}", subject, irregular(rng, 12, 30), irregular(rng, documents, 30)
    )
    measured, fit = (
        tuple(replace(b, given={"author": "Ann" if i % 3 else "Bo"}) for i, b in enumerate(part))
        for part in (text.eval, text.fit)
    )
    return replace(text, eval=measured, fit=fit).first(documents, 12)


def zero(subject: Subject, text: Text) -> Edited:
    sites = subject.sites("L1.H0")
    activations = observe(subject, text, [site.at("z") for site in sites])
    return ABLATIONS.get("zero").fit(activations, sites, 0).condition()


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Task]]:
    """Every task that is measured."""
    tasks: list[Task] = []
    measure = Job.do

    def do(self: Job, task: Task) -> Ledger:
        tasks.append(task)
        return measure(self, task)

    monkeypatch.setattr(Job, "do", do)
    yield tasks


def ledger_of(subject: Subject, text: Text, folder: Path | None = None) -> Ledger:
    return evaluate(subject, text, [zero(subject, text)], keep_tokens=("intact", "zero"),
                    folder=folder, batch_tokens=130)  # fmt: skip


def test_a_stratum_sums_the_tokens_that_it_labels(subject: Subject) -> None:
    text = made(subject).with_strata({"evenness": evenness, "half": half})
    ledger = ledger_of(subject, text)
    for name in ("intact", "zero"):
        for partition, make in (("evenness", evenness), ("half", half)):
            for label in {one for block in text.eval for one in make(block)}:
                sums = ledger.sums(name, (partition, label))
                for at, block in enumerate(text.eval):
                    losses = np.array(ledger.token_rows(name, block.document)[0])
                    inside = np.array(make(block)) == label
                    assert sums.tokens[at] == inside.sum()
                    assert sums.loss[at] == pytest.approx(losses[inside].sum(), abs=1e-4)


def test_a_variable_is_a_stratum_whose_rows_are_those_of_whole_documents(subject: Subject) -> None:
    text = made(subject).with_strata({"who": "author"})
    ledger = ledger_of(subject, text)
    whole, bo = ledger.sums("zero"), ledger.sums("zero", ("who", "Bo"))
    mine = np.array([block.variables["author"] == "Bo" for block in text.eval])
    assert 0 < mine.sum() < len(mine)
    for column in ("tokens", "loss", "kl", "agree", "correct"):
        assert np.array_equal(getattr(bo, column), getattr(whole, column) * mine)


def test_without_a_users_strata_a_ledger_is_what_it_was(subject: Subject) -> None:
    plain = made(subject)
    both = {"evenness": evenness, "who": "author"}
    more = plain.with_strata(both)
    assert more.fingerprint == plain.fingerprint
    one, other = ledger_of(subject, plain), ledger_of(subject, more)
    mine = ~np.isin(other.table["partition"].to_pylist(), list(both))
    assert other.table.filter(mine).equals(one.table)
    assert other.tokens.equals(one.tokens)
    assert set(other.strata) - set(one.strata) == {
        ("evenness", "even"), ("evenness", "odd"), ("who", "Ann"), ("who", "Bo"),
    }  # fmt: skip


def test_a_new_stratum_voids_no_other_text_and_a_label_of_documents_nothing_at_all(
    subject: Subject, done: list[Task], tmp_path: Path
) -> None:
    here, there = made(subject), made(subject, seed=1)
    first = {text.name: ledger_of(subject, text, tmp_path) for text in (here, there)}
    fresh, done[:] = len(done), []
    assert fresh
    by_document = ledger_of(subject, here.with_strata({"who": "author"}), tmp_path)
    assert not done  # each document has one label
    by_token = ledger_of(subject, here.with_strata({"evenness": evenness}), tmp_path)
    assert done
    done.clear()
    assert ledger_of(subject, there, tmp_path).table.equals(first[there.name].table)
    assert ledger_of(subject, here, tmp_path).table.equals(first[here.name].table)
    assert not done
    for strata, kept in (({"who": "author"}, by_document), ({"evenness": evenness}, by_token)):
        text = here.with_strata(strata)  # type: ignore[arg-type]
        assert ledger_of(subject, text, tmp_path).table.equals(kept.table)
        assert ledger_of(subject, text).table.equals(kept.table) and done
        done.clear()


def test_what_holds_more_strata_serves_who_wants_fewer_and_not_the_reverse(
    subject: Subject, done: list[Task], tmp_path: Path
) -> None:
    text = made(subject)
    ledger_of(subject, text.with_strata({"evenness": evenness, "half": half}), tmp_path)
    done.clear()
    for strata in ({"half": half}, {"evenness": evenness}, {}):
        wanted = text.with_strata(strata)
        found = ledger_of(subject, wanted, tmp_path)
        assert not done
        assert found.table.equals(ledger_of(subject, wanted).table)
        done.clear()
    # The same name with other labels is another stratum.
    ledger_of(subject, text.with_strata({"half": evenness}), tmp_path)
    assert done
    done.clear()
    ledger_of(subject, text.with_strata({"third": half}), tmp_path)
    assert done


def test_of_pairs_every_stratum_is_one_of_whole_prompts(done: list[Task], tmp_path: Path) -> None:
    subject, _ = subject_of("name_bias")
    text = pairs_text("slots", prompts.two_slots, orbits=6, fit_orbits=4)
    evaluate(subject, text, [zero(subject, text)], folder=tmp_path)
    done.clear()
    more = text.with_strata({"evenness": evenness, "asked": "order"})
    ledger = evaluate(subject, more, [zero(subject, more)], folder=tmp_path)
    assert not done
    for label in ("answer first", "answer last"):
        one, other = (ledger.sums("zero", (f, label)) for f in ("asked", "order"))
        assert np.array_equal(one.loss, other.loss) and np.array_equal(
            one.logit_difference, other.logit_difference
        )
    odd = sum(pair.answer % 2 for pair in text.eval)  # type: ignore[attr-defined]
    assert 0 < odd < len(text.eval)
    assert ledger.sums("intact", ("evenness", "odd")).tokens.sum() == odd


@pytest.mark.parametrize(
    ("strata", "says"),
    [
        ({"recurrence": evenness}, "that name is taken"),
        ({"all": evenness}, "that name is taken"),
        ({"": evenness}, "that name is taken, or none"),
        ({"short": lambda block: ["x"]}, "gave 1 labels.*Give 29 strings"),
        ({"numbers": lambda block: [1] * 29}, "29 labels, not all strings"),
        (
            {"raises": lambda block: [block.nothing]},
            "it raised AttributeError.*It is called with every block",
        ),
        ({"lacks": "auther"}, "no variable 'auther'.*author"),
    ],
)
def test_what_is_no_stratum_is_refused_by_name(
    subject: Subject, strata: dict[str, object], says: str
) -> None:
    with pytest.raises(TextError, match=f"(?s){says}"):
        made(subject).with_strata(strata)  # type: ignore[arg-type]
    once = made(subject)
    blocks = tuple(replace(block, given={"author": "x"}) for block in once.fit)
    whole = replace(once, fit=blocks).with_strata({"mine": evenness})
    with pytest.raises(TextError, match="taken"):
        whole.with_strata({"mine": half})


def test_an_assay_shows_a_users_stratum_beside_the_others(subject: Subject, tmp_path: Path) -> None:
    text = made(subject, documents=16).with_strata({"evenness": evenness})
    record = ux.assay(subject, "L1.H0", text, settings=SETTINGS, twin=False)
    tables = [block for _, block in walk(record.blocks) if isinstance(block, Table)]
    (mine,) = (table for table in tables if table.key == "evenness")
    assert {column.heading for column in mine.columns} == {"even", "odd"}
    assert "strict induction" in {row.name for row in mine.rows}
    page = tmp_path / "page.html"
    record.report(page)
    assert "evenness" in page.read_text(encoding="utf-8")


def test_text_takes_strata_and_variables_of_a_file(tmp_path: Path) -> None:
    import json

    from test_variables import rows
    from tiny import tiny_subject

    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows()))
    text = ux.text(path, tiny_subject("llama"), documents=4, fit_documents=20, block=32,
                   strata={"evenness": evenness, "who": "author"})  # fmt: skip
    for block in text.eval:
        labels = text.labels(block)
        assert labels["evenness"].tolist() == evenness(block)
        assert set(labels["who"].tolist()) == {block.variables["author"]}
