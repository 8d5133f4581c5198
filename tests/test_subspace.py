"""A subspace as a claim: a planted one, random ones beside it, and a direction that nothing reads."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch

import subspaced
import unexplained as ux
from subspaced import AT, CODE, A, B, N, entries
from tiny import tiny_subject, tokens
from unexplained.bars.subspace import MeasuredSubspace, SubspaceFindings
from unexplained.errors import ExplanationError, MeasurementError, UnexplainedError
from unexplained.evaluate import observe
from unexplained.explanations import directions, stream
from unexplained.explanations.directions import GivenDirections, LogitDirections, Random, WrittenBy
from unexplained.explanations.find_directions import find_directions
from unexplained.explanations.library.projection import Projection
from unexplained.explanations.stand_in import find_stand_in
from unexplained.record import Number, Record
from unexplained.sites import Site
from unexplained.study import INSTRUMENTS, Run, arms
from unexplained.subject import Batch, Edit

LEAN = ux.Settings(resamples=60)


def saved(rows: np.ndarray, folder: Path, name: str = "some.npy") -> str:
    np.save(folder / name, rows)
    return str(folder / name)


def asked(which: str, sites: str = f"{AT}.q", draws: int = 5, beside: str = "other") -> Record:
    return INSTRUMENTS.get("subspace")(
        subspaced.model(beside),
        sites,
        subspaced.text(),
        directions=which,
        draws=draws,
        settings=LEAN,
    )


@cache
def of(*some: range | tuple[int, ...], beside: str = "other") -> Record:
    with tempfile.TemporaryDirectory() as folder:
        return asked(
            saved(entries(*some), Path(folder)), draws=20 if some == (A,) else 5, beside=beside
        )


def share(record: Record, row: str, column: str = "value") -> float:
    value = dict(record.numbers())[f"subspace/kept/{row}/{column}"].value
    assert value is not None
    return value


def test_only_the_planted_subspace_of_the_query_matters() -> None:
    record = of(A)
    assert share(record, "claim") == pytest.approx(1, abs=1e-4)
    assert share(record, "claim", "whole") == pytest.approx(1, abs=1e-4)
    for outside in ("noise", "another"):
        assert share(record, outside) == pytest.approx(1, abs=1e-3), outside
    # The mean holds what makes it look at BOS where nothing matches: zeros take that away.
    assert share(record, "zero") < 0.7
    # Most of its variance is where nothing reads it, and that does nothing.
    assert share(record, "claim", "variance") < 0.25 < 0.7 < share(record, "most", "variance")
    assert abs(share(record, "most")) < 0.01
    assert share(record, "best") < 0.5
    assert "recovers 100%" in record.verdict and "hardly read:" not in record.verdict


def test_random_directions_hold_as_much_variance_as_they_are_of_all() -> None:
    found = dict(of(A).numbers())
    kept = [found[f"subspace/drawn/draw-{i}/variance"].value for i in range(20)]
    assert np.mean(kept) == pytest.approx(CODE / 64, abs=0.03) and len(kept) == 20


def test_the_variance_that_is_kept_is_that_of_the_queries_entries() -> None:
    seen = observe(subspaced.model(), subspaced.text(), [Site(1, "H", 0, "q_pre")])
    values = seen.flat(Site(1, "H", 0, "q_pre")).double().numpy()
    each = values.var(0)
    assert share(of(A), "claim", "variance") == pytest.approx(each[list(A)].sum() / each.sum())


def test_a_query_of_another_document_is_held_against_the_query_at_its_mean() -> None:
    run = Run(subspaced.model(), (subspaced.text(),), LEAN)
    claim = Projection(2, at="q")
    (one,) = arms.claims(run, (AT,), [claim], elsewhere="the query at its mean")
    against = [control.card.must.of for control in one.controls if control.card.must is not None]
    assert against == ["intact", "mean", "the query at its mean"]


def test_what_works_by_directions_that_nothing_reads_is_told_apart() -> None:
    record = of(N, B, beside="same")
    assert share(record, "claim") > 0.99
    assert abs(share(record, "read")) < 0.01 and abs(share(record, "unread")) < 0.01
    assert "goes through directions that are hardly read" in record.verdict
    # Those that the head goes by are told to be read.
    assert "hardly read:" not in of(A).verdict


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (np.zeros((1, 5)), "have 5 entries, and the value there has 64"),
        (np.eye(64), "explains everything"),
        (np.ones((2, 64)), "the 2 span 1"),
        (np.full((1, 64), np.nan), "NaN or infinite"),
        (np.zeros((0, 64)), "0 × 64 numbers"),
        (np.zeros((1, 64)), "the 1 span 0"),
        (np.ones((1, 64)) * 1j, "no real numbers"),
        (np.array([["1"] * 64]), "no real numbers"),
        (np.array([{"no": "numbers"}]), "no array of numbers"),
    ],
)
def test_directions_that_are_none_are_refused(
    rows: np.ndarray, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Run, "observe", None)  # nothing is run
    with pytest.raises(UnexplainedError, match=why) as caught:
        asked(saved(rows, tmp_path))
    assert caught.value.do, "what to do about it"


@pytest.mark.parametrize(
    ("which", "why"),
    [
        ("0", "no direction"), ("64", "explains everything"), ("65", "keeps 65 directions"),
        ("random:0", "they are none"), ("nothing", "of no kind"), ("none.npy", "no such file"),
        ('tokens:["no such word"]', "does not know"), ("tokens:[]", "no list"), ("tokens:[999]", "has tokens"),
        ("head:L1.H1:2", "does not come before"), ("head:H1:2", "is no head"), ("head:L7.H0:2", "2 layers"),
        ("head:L0.H0:65", "keeps 65 directions"), ("tokens:[3, 3]", "the 2 span 1"), ("head:L0.H9:2", "no L0.H9"),
        ("head:L0.H0:0", "they are none"), ("head:L0.H0:x", "is no number"),
    ],
)  # fmt: skip
def test_directions_that_are_not_there_are_refused_before_anything_is_run(
    which: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Run, "observe", None)
    with pytest.raises(UnexplainedError, match=why) as caught:
        asked(which)
    assert caught.value.do, "what to do about it"


@pytest.mark.parametrize("which", ["65", "random:80", "head:L0.H0:65"])
def test_of_too_many_directions_is_said_how_many_there_may_be(which: str) -> None:
    """It was said which values heads have."""
    with pytest.raises(ExplanationError) as caught:
        asked(which)
    assert caught.value.do == "Take fewer than 64."
    with pytest.raises(ExplanationError) as caught:
        ux.assay(subspaced.model(), str(AT), subspaced.text(), explanations=[find_stand_in("projection:80")])  # fmt: skip
    assert caught.value.do == "Take fewer than 64."


@pytest.mark.parametrize(
    ("sites", "why"),
    [("L1.H0.pattern", "no directions that are the same"), ("L1.N0", "one number"), ("L1.H0.q L1.mlp", "several kinds")],
)  # fmt: skip
def test_values_without_subspaces_are_refused(sites: str, why: str) -> None:
    with pytest.raises(MeasurementError, match=why):
        asked("1", sites)


def test_directions_of_a_file_are_those_of_a_function_and_of_a_name(tmp_path: Path) -> None:
    rows = entries(A)[:3]
    save_file({"one": rows, "two": rows[:1]}, tmp_path / "some.safetensors")
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        f"def plain():\n    return np.load({saved(rows, tmp_path)!r})\n"
        "def of(subject):\n    return plain()[:, : subject.shape.head_size]\n"
        "def wrong():\n    raise KeyError('x')\n"
    )
    subject = subspaced.model()
    for which in (f"{tmp_path}/some.npy", f"{tmp_path}/some.safetensors:one", f"{tmp_path}/mine.py:plain",
                  f"{tmp_path}/mine.py:of"):  # fmt: skip
        found = find_directions(which, subject)
        assert isinstance(found, GivenDirections) and np.array_equal(found.numbers, rows), which
    for which, why in (("some.safetensors", "2 tensors"), ("some.safetensors:three", "no tensor 'three'"),
                       ("mine.py:other", "no function 'other'"), ("mine.py:wrong", "it raised")):  # fmt: skip
        with pytest.raises(ExplanationError, match=why):
            find_directions(f"{tmp_path}/{which}", subject)
    with pytest.raises(ExplanationError, match="takes the model"):
        find_stand_in(f"projection:q={tmp_path}/mine.py:of")
    stood = find_stand_in(f"projection:q={tmp_path}/some.npy")
    assert stood == Projection(3, GivenDirections.of(rows, "some.npy"), "q")
    assert find_stand_in("projection:k=random:2:7") == Projection(2, Random(2, 7), "k")
    with pytest.raises(ExplanationError, match="no value of a head that is projected"):
        find_stand_in("projection:pattern=2")


def test_functions_of_the_users_are_called_as_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = entries(A)[:2]
    (tmp_path / "mine.py").write_text(
        "import numpy as np\nimport torch\nimport unexplained as ux\n"
        f"ROWS = np.load({saved(rows, tmp_path)!r})\n"
        "def by_default(number=2):\n    return ROWS[:number]\n"
        "def trained(subject):\n    return torch.nn.Parameter(torch.tensor(ROWS)).float()\n"
        "def half():\n    return torch.tensor(ROWS).to(torch.bfloat16)\n"
        "def both(subject, number):\n    return ROWS\n"
        "def ragged():\n    return [[1.0], [1.0, 2.0]]\n"
        "def wrong():\n    raise KeyError('x')\n"
        "@ux.explanation(gives='z', reads=['tokens'])\n"
        "def label(view):\n    'Nothing.'\n    return view.blank\n"
    )
    monkeypatch.chdir(tmp_path)
    for name in ("by_default", "trained", "half"):
        found = find_directions(f"mine.py:{name}", subspaced.model())
        assert isinstance(found, GivenDirections) and np.array_equal(found.numbers, rows), name
    save_torch({"one": torch.tensor(rows).to(torch.bfloat16)}, "half.safetensors")
    assert np.array_equal(find_directions("half.safetensors").numbers, rows)  # type: ignore[attr-defined]
    for name, why in (("both", "takes subject, number"), ("ragged", "no table"), ("label", "is an explanation"),
                      ("wrong", r'raised\n  File "[^\n]*mine.py", line 16, in wrong\n')):  # fmt: skip
        with pytest.raises(ExplanationError, match=why) as caught:
            find_directions(f"mine.py:{name}", subspaced.model())
        assert "find_directions.py" not in str(caught.value), "no frame of ours"


def test_a_share_that_is_refused_is_beaten_by_no_draw() -> None:
    """Of a query that does nothing it was said how many draws recover as much."""
    record = asked("2", "L0.H1.q")
    assert "is refused" in record.verdict
    (row,) = [row for block in record.blocks if getattr(block, "key", "") == "facts"
              for row in block.rows if row.key == "draws"]  # type: ignore[union-attr]  # fmt: skip
    assert not row.note


def test_as_many_draws_as_chance_allows_are_no_verdict() -> None:
    """One draw of a hundred that does as well is rarer than the level; one of five is not."""
    values: dict[str, float] = {}
    read = SimpleNamespace(
        settings=LEAN, recovered=lambda arm, base: Number(value=values[arm], low=0.0, high=1.0),
        damage=lambda base: Number(value=1.0, low=0.9, high=1.1),
    )  # fmt: skip
    for many, good, said in (
        (5, 1, True),
        (100, 1, False),
        (100, 9, True),
        (5, 0, True),
        (18, 0, True),
    ):
        values |= {"claim": 0.5} | {str(i): 0.6 if i < good else 0.1 for i in range(many)}
        rows = (MeasuredSubspace("claim", "claim", 2, 0.1), *(MeasuredSubspace("random", str(i), 2, 0.1) for i in range(many)))  # fmt: skip
        found = SubspaceFindings(read, rows, (), "mean", "the value", 64, "these", None)  # type: ignore[arg-type]
        assert found.as_good == good
        assert f"{good or 'None'} of {many} random draws" in found.verdict("L0.H0")
        assert ("not told from random" in found.verdict("L0.H0")) == said


def test_directions_are_of_any_length() -> None:
    rows = np.eye(3, 8)
    for lengths in ([1e12, 1, 1], [1e-200, 1, 1e200], [1e-6, 1e6, 1]):
        found = GivenDirections.of(rows * np.array(lengths)[:, None], "some")
        assert found.refuses(Site(0, "H", 0), subspaced.model().shape) is None
    for wrong in ([[1, 0], [2, 0]], [[1, 0], [0, 0]], [[1e-9, 0], [1e9, 0]]):
        why = GivenDirections.of(np.array(wrong, dtype=float), "some").refuses(
            Site(0, "H", 0), subspaced.model().shape
        )
        assert why is not None and "span 1" in " ".join(why)


@pytest.mark.parametrize("name", ["llama", "qwen3", "gpt2", "gemma2", "olmo2"])
def test_directions_of_the_stream_are_carried_as_the_model_carries_them(name: str) -> None:
    """Against the engine with its norms held: what is added to the stream moves a query along the direction."""
    subject, batch = tiny_subject(name), Batch.of(tokens())
    head, before = Site(2, "H", 1), Site(2, "resid_pre")
    rows = torch.randn(2, subject.shape.width, generator=torch.Generator().manual_seed(0))
    scales = subject.run(batch, keep_scales=True).scales

    def moved(row: torch.Tensor, at: Site, changed: Site, held: bool = True) -> torch.Tensor:
        ends = [
            subject.run(batch, [Edit(changed, lambda x, by=by: x.value + by * row)], keep=[at],
                        held=scales if held else None).values[at]
            for by in (-0.5, 0.5)
        ]  # fmt: skip
        return (ends[1] - ends[0]).double()[0, 3]

    for value in ("q_pre", "k_pre", "v"):
        site = head.at(value)
        for row, carried in zip(
            rows, stream.carried(subject, site, rows.double(), ""), strict=True
        ):
            got = moved(row, site, before)
            assert float(torch.cosine_similarity(got, carried, 0)) > 1 - 1e-5, (value, name)
    # A step of z along what a row is carried to moves the stream along that row more than any other does.
    written = stream.carried(subject, head.at("z"), rows.double(), "v")
    for row, best in zip(rows.double(), written, strict=True):

        def gained(step: torch.Tensor, row: torch.Tensor = row) -> float:
            return float(moved(step.float() / step.norm(), Site(2, "attn"), head.at("z")) @ row)

        steepest = torch.tensor([gained(unit) for unit in torch.eye(len(best)).double()]).double()
        assert float(torch.cosine_similarity(steepest, best, 0)) > 1 - 1e-5, name


def test_tokens_are_rows_of_the_unembedding_and_heads_what_they_write() -> None:
    subject = subspaced.model()
    site = Site(1, "attn")
    sites = [site, Site(1, "H", 0, "q_pre"), Site(1, "H", 0, "q")]
    seen = observe(subject, subspaced.text(), sites)
    rows = find_directions("tokens:[3, 5]").rows(site, seen)
    weight, gain = subject.anatomy.unembed.weight, subject.anatomy.final_norm.weight
    assert torch.allclose(rows, (weight[[3, 5]] * gain).double().detach(), rtol=1e-6)  # type: ignore[operator,index]
    word = subject.tokenizer.convert_ids_to_tokens(3)
    assert find_directions(f'tokens:["{word}", 5]', subject) == LogitDirections((3, 5))
    # L0.H0 writes one of 49 tokens to `previous`: nothing that it writes is elsewhere.
    made = WrittenBy(Site(0, "H", 0), 4)
    basis = directions.basis_of(made, site, seen)
    assert float(basis[49 : 2 * 49].square().sum()) == pytest.approx(4, abs=1e-6)


def test_a_part_is_within_what_is_read_and_the_other_is_not() -> None:
    strength = torch.diag(torch.tensor([4.0, 1.0, 0.0, 1e-3]).double())
    basis = torch.tensor([[1.0, 0], [0, 0], [1, 0], [0, 1]]).double()
    basis = basis / basis.norm(dim=0)
    read, unread = stream.read_and_not(basis, strength)
    assert torch.allclose(read.abs(), torch.tensor([[1.0, 0, 0, 0]]).double())
    assert torch.allclose(unread.T @ unread, torch.diag(torch.tensor([0.0, 0, 1, 1]).double()))
    assert stream.hardly_read(strength) == 2


def test_random_directions_of_what_a_head_writes_are_of_those_that_it_can_write_in() -> None:
    """Of all entries of the stream most directions miss a head's span: as controls they flattered every claim."""
    model = subspaced.model("other")
    head = AT
    site, width = Site(head.layer, "H", head.index, "out"), model.shape.width
    seen = SimpleNamespace(subject=model, flat=lambda site: torch.zeros(5, width))
    inside = stream.span_of(stream.written_by(model, site).T)
    rows = Random(3).rows(site, seen)  # type: ignore[arg-type]
    assert 3 < len(inside) <= model.shape.head_size < width and rows.shape == (3, width)
    assert torch.allclose(rows @ inside.T @ inside, rows, atol=1e-8)
    assert len(Random(width - 1).rows(site, seen)) == len(inside)  # type: ignore[arg-type]
    with pytest.raises(MeasurementError, match="explains everything"):
        asked(str(model.shape.head_size), f"{AT}.out")
    # And of given ones those that hold all of it, whatever else they hold.
    size = len(inside)
    with pytest.raises(MeasurementError, match=r"hold all .* that the head can write"):
        asked(f"head:{AT}:{size}", f"{AT}.out")
