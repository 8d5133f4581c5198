"""Laws of every case in the casebook."""

from __future__ import annotations

import ast
import dataclasses
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import unexplained as ux
from cells import cell
from measured import CASES, LEAN, model, record_of, words
from unexplained.casebook.french_neuron import nearest
from unexplained.casebook.induction import NESTED, nested
from unexplained.casebook.induction_emergence import _require_order, _verdict
from unexplained.cli.app import app
from unexplained.errors import MeasurementError
from unexplained.record import Number
from unexplained.record.blocks import Answer, Prose
from unexplained.sites import Site
from unexplained.study import CASEBOOK, Run, answer_of, asked, part
from unexplained.study.stated import Rules
from unexplained.subject import Batch

FOLDER = Path(inspect.getfile(ux)).parent / "casebook"
PUBLIC = {"unexplained", "unexplained.study", "unexplained.record", "unexplained.record.blocks",
          "unexplained.errors"}  # fmt: skip


@pytest.mark.parametrize("file", sorted(FOLDER.glob("[a-z]*.py")), ids=lambda file: file.stem)
def test_a_case_uses_public_doors_alone(file: Path) -> None:
    """If it needs another, the package's face lacks something."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("unexplained"):
            assert node.module in PUBLIC, node.module
            assert not any(name.name.startswith("_") for name in node.names)
        if isinstance(node, ast.Import):
            assert all(n.name in PUBLIC or not n.name.startswith("unexplained") for n in node.names)


@pytest.mark.parametrize("name", CASES)
def test_a_case_says_what_is_claimed_and_its_record_shows_it(name: str) -> None:
    case = CASEBOOK.get(name)
    said = [getattr(case.card, field.name) for field in dataclasses.fields(case.card)]
    assert all((len(words.split()) > 3 and words.endswith((".", "?", ")"))) or i == 1
               for i, words in enumerate(said))  # fmt: skip
    record = record_of(name)
    assert isinstance(record.blocks[0], Answer) and record.instrument == name
    assert record.blocks[0].rows, "the first screen answers"
    shown = [row.cells[0] for row in case.card.rows()]
    assert shown == said and case.card.section() in record.blocks
    for parameter in case.parameters:
        assert f"    {parameter.name}: " in (inspect.getdoc(case.function) or "")


def test_cases_are_listed_and_a_near_miss_is_named() -> None:
    listed = CliRunner().invoke(app, ["casebook"])
    assert listed.exit_code == 0 and all(name in listed.output for name in CASES)
    near = CliRunner().invoke(app, ["casebook", "inductio", "rung-2"])
    assert near.exit_code == 2 and "induction" in near.output


def test_a_case_whose_components_do_not_exist_says_what_it_looked_for() -> None:
    for name in ("induction", "induction-emergence"):
        with pytest.raises(MeasurementError, match="30% of its attention there; the nearest is L"):
            CASEBOOK.get(name)(model(), words(), settings=LEAN, folder=None)
    with pytest.raises(
        MeasurementError, match="50% of its attention on the position before; the near"
    ):
        CASEBOOK.get("weight-decode")(model(), words(), settings=LEAN, folder=None)


def test_nested_hypotheses_that_are_fitted_do_not_fall_and_one_that_did_would_be_named() -> None:
    record = record_of("induction")
    said = [one.words for one in record.blocks if isinstance(one, Prose) and "Nested" in one.words]
    assert said and all("none is told to recover less" in words for words in said)
    where = "assay/text-1/recovered/fractions"
    values = [record[f"{where}/{name}/against mean"].value for name in NESTED]
    assert values == sorted(values) and values[0] == 0 and values[1] > 0
    for name, before, then in zip(NESTED[1:], values, values[1:], strict=False):
        more = record[f"assay/text-1/nested/steps/{name}/more"]
        assert more.value == pytest.approx(then - before) and more.low > 0


def test_a_fall_that_both_shares_intervals_hide_is_told_from_the_same_documents(
    monkeypatch,
) -> None:
    strict = ux.LIBRARY.get("strict_induction")

    @ux.explanation(gives="pattern", reads=["tokens"], name=NESTED[2])
    def planted(view: ux.View) -> torch.Tensor:
        """A little less of it."""
        return 0.7 * ux.patterns.evenly(ux.patterns.after_earlier_occurrence(view.tokens))

    rules = Rules((strict.gated(), planted), planted, nested=NESTED)
    monkeypatch.setattr(asked, "induction_rules", lambda: rules)
    on = ux.text("repeats", model("attention-2"), documents=16, fit_documents=16, block=32)
    how = {"settings": LEAN, "folder": None, "twin": False, "singles": 0}
    found = ux.assay(model("attention-2"), "L1.H0-2", on, **how)
    gated, less = (found[f"text-1/recovered/fractions/{name}/against mean"] for name in NESTED[1:])
    assert less.value < gated.value and less.high > gated.low, "apart they tell nothing"
    assert f"less than the one before: {NESTED[2]}." in nested(found, "text-1", "here")


def test_what_emerges_is_what_plain_passes_give() -> None:
    """The last checkpoint's row, from Hugging Face's own patterns and logits; what is said once has no second copy."""
    last = model("attention-2")
    text = ux.text("repeats", last, documents=6, fit_documents=6, block=24)
    earlier = (ux.load("attention-2-step-8000"), ux.load("attention-2-step-10000"))
    record = CASEBOOK.get("induction-emergence")(
        last, text, earlier=earlier, settings=LEAN, folder=None
    )
    network: Any = last.anatomy.model
    batch = Batch.of(torch.tensor(np.stack([block.tokens for block in text.eval]).astype(np.int64)))
    with torch.no_grad():
        logits = network(batch.tokens, use_cache=False).logits[:, :-1]
    losses = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), batch.tokens[:, 1:].flatten(), reduction="none"
    ).view(len(batch.tokens), -1)
    at = text.eval[0].second_copy  # the token that tells that a repeat begins counts to the first
    copies = losses[:, :at], losses[:, at:]
    row = f"steps/checkpoints/{last.name}"
    assert cell(record, f"{row}/loss").value == pytest.approx(float(copies[1].mean()), abs=1e-4)
    gain = float(copies[0].mean() - copies[1].mean())
    assert cell(record, f"{row}/gain").value == pytest.approx(gain, abs=1e-3)
    heads = [
        Site(layer, "H", head, "pattern") for layer in range(2) for head in range(last.shape.heads)
    ]
    seen = last.run(batch, keep=heads).values
    before = max(float(seen[s].diagonal(-1, -2, -1).mean()) for s in heads if s.layer == 0)
    previous = cell(record, f"{row}/previous")
    assert previous.value == pytest.approx(before, rel=1e-4)
    assert previous.low <= before <= previous.high
    other = record_of("induction-emergence")
    assert cell(other, f"{row}/loss").refused == "nothing is said twice in this text"


def test_what_emerges_together_is_said_as_far_as_it_is_told() -> None:
    """By hand: two measures that rise at the same place, and a third that does so, elsewhere, or is not told."""

    def said(*gain: Number, half: float = 0.01) -> str:
        scores = (0.1, 0.2, 0.8, 0.9)
        return _verdict({
            name: {"induction": score, "previous": score, "gain": one}
            for name, score, one in zip("abcd", about(*scores, half=half), gain, strict=True)
        })  # fmt: skip

    def about(*values: float, half: float) -> list[Number]:
        return [Number(value=v, low=v - half, high=v + half) for v in values]

    few = said(*about(0, 0.1, 1, 1.1, half=0.1))  # of three steps
    assert "all rise most between b and c, in one run of training; among 3 steps" in few
    assert "chance in 11% of cases, so whether they go together is not told" in few
    rise = [*about(0, 0.1, 1, 1.1, half=0.02), *about(1.11, 1.12, half=0.02)]
    many = _verdict({name: {"induction": one, "previous": one, "gain": one}
                     for name, one in zip("abcdef", rise, strict=True)})  # fmt: skip
    assert many.endswith("all rise most between b and c, in one run of training.")
    # Scores scatter over documents like all else: what their intervals do not tell apart rises nowhere.
    scattered = said(*about(0, 0.1, 1, 1.1, half=0.1), half=0.3)
    assert "not told: induction; attention to the token before." in scattered
    elsewhere = said(*about(0, 1, 1.1, 1.2, half=0.1))
    assert (
        elsewhere.startswith("They do not rise together")
        and "the gain in context between a and b" in elsewhere
    )
    untold = "Where most rises is not told: the gain in context."
    for gain in (about(0, 0.1, 1, 1.1, half=0.4), about(1, 0.9, 0.8, 0.7, half=0.01),
                 [Number(value=None, refused="no two places")] * 4):  # fmt: skip
        assert said(*gain).endswith(untold) and "together" not in said(*gain)
        assert said(*gain).startswith("Most rises: induction between b and c;")


def test_the_best_suppressors_query_is_kept_on_unembeddings_beside_random_directions() -> None:
    record = record_of("copy-suppression")
    (query,) = (one for one in record.blocks if getattr(one, "key", "") == "query")
    said = [one.words for one in query.blocks if isinstance(one, Prose)]
    assert "tokens that come most often in the documents that chose it" in said[0]
    assert said[1].startswith(("The query of L", "Refused: "))


def test_an_instrument_within_a_run_is_a_part_of_its_record() -> None:
    run = Run(model(), (words(),), LEAN)
    record = ux.repair.within(run, sites="L0.H0", ablation="zero")
    assert record.title == "Self-repair in rung-2" and record.subject == "rung-2"
    inner, outer = answer_of("mine", record), part("mine", "Repair", record)
    rows = [cell for row in (*inner.rows, *inner.beside) for cell in row.cells if cell]
    assert rows and all(cell.startswith("mine/") for cell in rows)
    assert not any(isinstance(block, Answer) for block in outer.blocks)
    with pytest.raises(TypeError, match="no parameter nonsense"):
        ux.repair.within(run, nonsense=1)


def test_checkpoints_whose_names_tell_another_order_are_refused():
    _require_order(["attention-2-step-8000", "attention-2-step-10000", "attention-2"])
    _require_order(["mine", "yours", "ours"])
    for names in (["a-step-20", "a-step-3", "a"], ["a-step20", "b", "a-step20"]):
        with pytest.raises(MeasurementError, match="not the earlier one"):
            _require_order(names)


def test_where_no_neuron_looks_french_the_one_with_the_greatest_auroc_is_named():
    """The first by correlation on the fit part was named, and decided alone."""
    one, other = Number(value=0.55, low=0.5, high=0.6), Number(value=0.58, low=0.5, high=0.6)
    none = Number(value=None, refused="it is 0 at every token here")
    assert nearest({"L1.N60": one, "L1.N126": other, "L1.N0": none}) == "L1.N126 with 0.58"
    assert nearest({"L1.N60": one, "L1.N2": Number(value=0.75, low=0.7, high=0.8)}) == ""
    assert "L1.N0, of which it is refused (it is 0" in nearest({"L1.N0": none})
