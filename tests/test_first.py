"""What cannot be measured is refused before anything is run: by every function, for every argument.

The models here cannot be run at all: an embedding that is called fails the test by its own name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import unexplained as ux
from test_assay import make_text
from tiny import tiny_model, tiny_tokenizer
from unexplained.errors import UnexplainedError, require_choice, require_count, require_once
from unexplained.evaluate import AnotherModel, Edited, Other
from unexplained.sites import Shape, parse
from unexplained.study.tasks import TaskText
from unexplained.subject import Edit, Subject
from unexplained.testbeds.prompts import one_back, pairs_text
from unexplained.testbeds.texts import repeated
from unexplained.text import Text


class WasRun(Exception):
    """A model was run although it should have been refused first."""


@pytest.fixture(autouse=True)
def nothing_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*words: object, **more: object) -> None:
        raise WasRun

    # Not below the engine: `load` tries it on every model, and refuses what stands in its place.
    for name in ("run", "prefix"):
        monkeypatch.setattr(Subject, name, run)
    monkeypatch.setattr("unexplained.circuits.edge_passes.record", run)


@cache
def model(seed: int = 0, name: str = "llama", dtype: torch.dtype = torch.float32) -> Subject:
    made = tiny_model(name, seed).to(dtype)
    return ux.load(made, tokenizer=tiny_tokenizer(), device="cpu", name=f"{name} {seed}")


@cache
def running(documents: int = 24, fit: int = 12, length: int = 12) -> Text:
    rng = np.random.default_rng(0)
    tokens = repeated(rng, documents + fit, length)
    return make_text("copies", model(), tokens[documents:], tokens[:documents], length + 1)


@cache
def pairs(orbits: int = 12) -> Text:
    return pairs_text("one back", one_back, orbits=orbits)


def uneven() -> Text:
    """One document of the fit part is longer than all others, and one to measure than all there."""
    text = running()
    block = text.fit[0]
    longer = replace(block, document="long", tokens=np.concatenate([block.tokens, block.tokens]))
    return replace(text, eval=(replace(longer, document="longest"), *text.eval))


def lonely() -> Text:
    text = running()
    block = text.fit[0]
    longer = replace(block, document="long", tokens=np.concatenate([block.tokens, block.tokens]))
    return replace(text, fit=(longer, *text.fit[1:]))


def foreign() -> Text:
    """Tokens that the model has no embedding for."""
    text = running()
    block = replace(text.eval[3], tokens=np.append(text.eval[3].tokens, np.int32(61)))
    return replace(text, eval=(*text.eval[:3], block))


def without(part: str) -> Text:
    return replace(running(), **{part: ()})


@ux.explanation(gives="logits", reads=["tokens"])
def program(view: ux.View) -> torch.Tensor:
    """All tokens alike."""
    return torch.zeros(*view.tokens.shape, view.vocabulary)


@ux.explanation(gives="value", reads=["tokens"])
def of_mlps(view: ux.View) -> torch.Tensor:
    """Nothing."""
    return torch.zeros(*view.tokens.shape, 32)


@ux.explanation(gives="z", reads=["L2.resid_post"])
def reads_later(view: ux.View) -> torch.Tensor:
    """What comes later."""
    return view.site("L2.resid_post")


@ux.explanation(gives="z", reads=["L9.mlp"])
def reads_nowhere(view: ux.View) -> torch.Tensor:
    """What is not there."""
    return view.site("L9.mlp")


@ux.explanation(gives="q", reads=["q"])
def of_queries(view: ux.View) -> torch.Tensor:
    """The query itself."""
    return view.q


@ux.explanation(gives="z", reads=["z"], name="mean")
def called_mean(view: ux.View) -> torch.Tensor:
    """The component itself."""
    return view.z


@ux.explanation(gives="z", reads=["z"], name="intact")
def called_intact(view: ux.View) -> torch.Tensor:
    """The component itself."""
    return view.z


STRICT = ux.LIBRARY.get("strict_induction")
LATER = [STRICT, reads_later]


def file_in_the_way() -> Path:
    return Path(__file__) / "below"


def others(*names: str) -> list[Other]:
    return [Other(name, AnotherModel(model(5 + i))) for i, name in enumerate(names)]


def half(name: str = "llama") -> Subject:
    return model(0, name, torch.bfloat16)


def edit(site: str, reads: str = "") -> Edited:
    address, *more = parse(f"{site} {reads}", HUGE)
    return Edited("x", (Edit(address, lambda local: None, tuple(more)),), "x")


HUGE = Shape(layers=99, heads=99, key_heads=1, head_size=4, width=8, neurons=999, vocabulary=5)


@cache
def rung() -> Subject:
    """One with a tokenizer of real text."""
    return ux.load("rung-1", device="cpu")


def member(name: str, compute: float | None) -> ux.Member:
    return ux.Member(name, rung, compute)


THREE = [member("a", 1e9), member("b", 1e10), member("c", 1e11)]


def rungs(*computes: float) -> dict[Subject, float]:
    return {model(i): compute for i, compute in enumerate(computes)}


FOUR = {"weak": lambda: model(1), "chosen_by": lambda: (model(2), model(3))}

BASE: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "assay": (ux.assay, {"subject": model, "sites": "L1.H0-1", "text": running, "singles": 0}),
    "sweep": (ux.sweep, {"subject": model, "sites": "L*.H*", "text": running}),
    "circuit": (ux.circuit, {"subject": model, "text": pairs}),
    "head_scores": (ux.head_scores, {"subject": model, "text": running}),
    "with_gains": (
        ux.with_gains,
        {
            "subject": model,
            "text": running,
            "scores": lambda: [score("L0.H0"), score("L1.H0")],
            "count": 2,
            "settings": ux.Settings(),
        },
    ),
    "rewrite": (ux.rewrite, {"subject": model, "text": running}),
    "sizes": (ux.sizes, {"rungs": lambda: rungs(1e9, 1e10, 1e11), "text": running}),
    "tasks": (
        ux.tasks,
        {"subject": model, "text": running, "asked": lambda: [TaskText("all", running())]},
    ),
    "gap": (ux.gap, {"subject": model, "text": running, **FOUR}),
    "family": (ux.family, {"members": THREE, "source": "pydocs"}),
    "evaluate": (ux.evaluate, {"subject": model, "text": running, "conditions": []}),
}


def score(site: str) -> Any:
    from unexplained.record import HeadScore

    return HeadScore(site=site, induction=0, previous_token=0, duplicate_token=0)


TEXTS = (foreign, lambda: without("eval"))
"""Of another model's tokens, and without documents."""
FIT = (lambda: without("fit"),)
SITES = ("L9.H0", "L1.H9", "L1.H0-9", "L1.blob", "", "L1.H0.x", "nonsense")
CLAIMS = (
    [STRICT, STRICT], [program], [STRICT, of_mlps], LATER, [STRICT, reads_nowhere],
)  # fmt: skip
WHOLE = ("L1.H0.q", "L1.H0 L1.H0.z")
"""Values of heads are no components."""
BAD: dict[str, dict[str, tuple[Any, ...]]] = {
    "assay": {
        "sites": (*(one for one in SITES if one), *WHOLE, "L1.mlp", "embed", "L1.H0 L1.N3",
                  "L1.H0.pattern"),
        "text": (*TEXTS, *FIT, [], lambda: [running(), foreign()], uneven, lonely,
                  lambda: [running(), running()], lambda: [running(), running(25)]),
        "explanations": (*CLAIMS, [], [called_mean], [called_intact], [STRICT, STRICT.on_shuffled()]),
        "singles": (-1, -5, 1.5, True, "2"),
        "folder": (file_in_the_way,),
    },
    "sweep": {
        "sites": SITES,
        "text": (*TEXTS, *FIT, lambda: running(6), lambda: running(9), lambda: pairs(6)),
        "ablation": ("nope", "Mean", "patch"),
        "measure": ("nope", "kl", "logit difference"),
        "method": ("nope", "Exact", "", None),
        "keep": (0, -1, 2.5), "pairs": (-1, 0.5), "sample": (0, -5, 1.5),
        "memory": (0, -1.0, float("nan"), float("inf"), 1e3, "much"),
        "folder": (file_in_the_way,), "subject": (half,),
    },
    "circuit": {
        "text": (running, lambda: pairs(4), *TEXTS),
        "methods": ((), ("nope",), ("eap", "eap"), ("eap", "EAP")),
        "steps": (0, -1, 1.5), "by": ("nope", ""), "draws": (0, -1, 2.5),
        "sizes": ((), (0.0, 0.5), (1.5,), (-0.1,), (float("nan"),)),
        "given": ({"mine": np.zeros(3)}, {"random": "zeros"}, {"eap": "zeros"}),
        "folder": (file_in_the_way,),
        "subject": (half, lambda: model(0, "gemma3")),
    },
    "head_scores": {
        "text": TEXTS, "batch_tokens": (0, -1, 2.5),
        "twin": (lambda: model(0, "qwen3"), lambda: model(0, "gpt_neox")),
    },
    "with_gains": {
        "text": (*TEXTS, *FIT), "count": (-1, 0.5),
        "scores": (lambda: [score("L9.H0")], lambda: [score("L0.mlp")]),
        "folder": (file_in_the_way,), "subject": (half,),
    },
    "rewrite": {
        "sites": (*SITES, *WHOLE), "text": (*TEXTS, *FIT),
        "explanations": (*CLAIMS, [called_mean]),
        "programs": ([STRICT], [program, program], [program, STRICT]),
        "family": (["nobody"], ["rung-1", "rung-1"], ["rung-1=-3"]), "draws": (0, -1, 1.5), "folder": (file_in_the_way,), "subject": (half,),
    },
    "sizes": {
        "rungs": (lambda: rungs(), lambda: rungs(1e9, 1e10), lambda: rungs(1e9, 1e9, 1e10),
                  lambda: rungs(1e9, 1e10, -1.0), lambda: rungs(1e9, 1e10, float("inf")),
                  lambda: {**rungs(1e9, 1e10), half(): 1e11}),
        "text": (*TEXTS, *FIT), "explanations": CLAIMS, "folder": (file_in_the_way,),
    },
    "tasks": {
        "asked": (lambda: [], lambda: [TaskText("a", running()), TaskText("a", running())],
                  lambda: [TaskText("a", running()), TaskText("b", foreign())], lambda: [TaskText("x", running(), stratum=("recurrence", "never"))],
                  lambda: [TaskText("a", running(), stratum=("nothing", "at all"))]),
        "sites": (*SITES, *WHOLE), "explanations": CLAIMS,
        "family": (["nobody"], ["rung-1", "rung-1"]),
        "weak": ("nobody",), "folder": (file_in_the_way,), "subject": (half,),
    },
    "gap": {
        "weak": (model, lambda: model(2)),
        "chosen_by": (lambda: (model(0), model(3)), lambda: (model(2), model(2)),
                      lambda: (model(2), model(1))),
        "sites": ("L9.H0", "L1.blob", *WHOLE), "share": (0, 1, 2, -0.1, float("nan")),
        "text": TEXTS, "folder": (file_in_the_way,),
    },
    "family": {
        "members": ([], THREE[:2], [*THREE, THREE[0]], [*THREE, member("d", -1.0)],
                    [*THREE, member("d", float("inf"))]),
        "source": ("nowhere.txt", "repeats"),
        "documents": (0, -1, 1.5), "characters": (0, 100, -1, 600.5),
        "folder": (file_in_the_way,),
    },
    "evaluate": {
        "text": TEXTS,
        "conditions": (lambda: [edit("L9.H0")], lambda: [edit("L1.H99")],
                       lambda: [edit("L1.H0", "L9.mlp")], lambda: [edit("L1.H0")] * 2),
        "part": ("test", ""), "measure": ("nope", "logit difference"), "keep_tokens": (["nobody"],),
        "batch_tokens": (0, -1, 2.5), "memory": (0, -1.0, float("nan"), 1e3, "much"),
        "folder": (file_in_the_way,),
    },
}  # fmt: skip
"""Every argument that can be bad, and what is bad about it."""


def cases() -> Iterator[Any]:
    for function, arguments in BAD.items():
        for name, values in arguments.items():
            for number, value in enumerate(values):
                label = value if isinstance(value, str | int | float) else number
                yield pytest.param(function, name, value, id=f"{function}-{name}-{label}")


def made(value: Any) -> Any:
    return value() if callable(value) and not isinstance(value, Subject) else value


def asked_of(function: str, **bad: Any) -> Any:
    run, base = BASE[function]
    words = {name: made(value) for name, value in {**base, **bad}.items()}
    if words.get("given"):
        edges = {name: _edges() if isinstance(v, str) else v for name, v in words["given"].items()}
        words["given"] = edges
    return run(**words)


def _edges() -> np.ndarray:
    from unexplained.circuits import Graph

    return np.zeros(Graph.of(model().shape, parallel=False).edges)


@pytest.mark.parametrize(("function", "name", "value"), list(cases()))
def test_what_cannot_be_measured_is_refused_before_anything_is_run(
    function: str, name: str, value: Any
) -> None:
    with pytest.raises(UnexplainedError) as error:
        asked_of(function, **{name: value})
    assert error.value.asked and error.value.found


@pytest.mark.parametrize("function", BASE)
def test_what_can_be_measured_gets_as_far_as_the_model(
    function: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the refusals above would say nothing."""
    monkeypatch.setenv("UNEXPLAINED_CACHE", str(tmp_path))
    words = {}
    if function == "family":
        prose = [
            " ".join(f"word{int(n)}" for n in np.random.default_rng(i).integers(0, 9999, 60))
            for i in range(30)
        ]
        place = tmp_path / "prose.jsonl"
        place.write_text("\n".join(json.dumps({"text": text}) for text in prose), encoding="utf-8")
        words["source"] = str(place)
    with pytest.raises(WasRun):
        asked_of(function, **words)


@pytest.mark.parametrize(
    ("function", "bad"),
    [
        ("sweep", {"ablation": "mean", "sites": "L1.H0.pattern"}),
        ("sweep", {"ablation": "mean", "sites": "L0.mlp L1.H0.pattern"}),
        ("sweep", {"ablation": "patch", "sites": "L1.H0.pattern", "text": pairs}),
        ("sweep", {"ablation": "resample", "text": uneven}),
        ("sweep", {"method": "race", "sample": 3}),
        ("sweep", {"method": "race", "sample": 22}),
        ("sweep", {"method": "control variates", "sample": 9}),
        ("sweep", {"method": "control variates", "sample": 12, "measure": "accuracy"}),
        ("sweep", {"subject": lambda: model(0, "gpt_neox"), "sites": "L1.resid_mid"}),
        ("assay", {"subject": half, "singles": 1}),
        ("assay", {"subject": half, "sites": "L1.H0"}),
        ("gap", {"subject": half, "sites": "L1.H0"}),
        ("gap", {"sites": "L1.H0", "explanations": [of_mlps]}),
        ("gap", {"sites": "L1.mlp", "explanations": [STRICT]}),
        ("gap", {"sites": "L1.mlp", "explanations": [of_queries]}),
        ("gap", {"sites": "L1.H0", "explanations": [program]}),
        ("gap", {"sites": "L1.H0", "explanations": [called_mean]}),
        ("gap", {"sites": "L1.H0", "text": lambda: without("fit")}),
        ("rewrite", {"programs": [program], "text": uneven}),
        ("rewrite", {"explanations": [STRICT.affine().on_shuffled()], "text": lonely}),
        ("evaluate", {"part": "fit", "text": lambda: without("fit")}),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_two_that_do_not_go_together_are_refused_before_anything_is_run(
    function: str, bad: dict[str, Any]
) -> None:
    with pytest.raises(UnexplainedError):
        asked_of(function, **bad)


def test_settings_that_mean_nothing_are_refused_where_they_are_made() -> None:
    for bad in (
        {"seed": -1}, {"seed": 1.5}, {"seed": "0"}, {"level": 0}, {"level": 1}, {"level": 2},
        {"level": float("nan")}, {"level": "0.95"}, {"resamples": 10}, {"resamples": -1},
        {"resamples": 2000.5}, {"seed": True},
    ):  # fmt: skip
        with pytest.raises(UnexplainedError):
            ux.Settings(**bad)  # type: ignore[arg-type]
    assert ux.Settings(seed=np.int64(3)).seed == 3  # type: ignore[arg-type]


def test_a_number_is_told_with_its_bound_and_a_name_with_near_ones() -> None:
    for value, said in ((0, "draws=0: the least is 1"), (9, "the most is 8"), (1.0, "no whole")):
        with pytest.raises(UnexplainedError, match=said):
            require_count("draws", value, least=1, most=8)
    require_count("draws", 1, least=1, most=8)
    require_count("draws", np.int32(8), least=1, most=8)
    with pytest.raises(UnexplainedError, match="Did you mean race"):
        require_choice("method", "rase", ["exact", "race"])
    with pytest.raises(UnexplainedError, match=r"'b'.*given twice"):
        require_once("name", ["a", "b", "b"])
