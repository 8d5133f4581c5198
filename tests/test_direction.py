"""A direction of a value under a label: what is put along it, by plain hooks; planted ones, right and wrong."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import unexplained as ux
from labelled import (
    FIRST,
    OURS,
    REST,
    SECOND,
    Neurons,
    X,
    Y,
    broad,
    narrow,
    ours,
    plain,
    vague,
    written,
)
from measured import LEAN
from tiny import tiny_subject
from unexplained.errors import ExplanationError, MeasurementError
from unexplained.evaluate import observe
from unexplained.explanations.directions import (
    GivenDirections,
    Principal,
    Random,
    lines_of,
    random_beside,
)
from unexplained.explanations.find_directions import find_directions
from unexplained.record import Record
from unexplained.sites import Site, direction
from unexplained.subject import Batch, Edit
from unexplained.testbeds.weights import START, WIDTH
from unexplained.text import Text

NOISE, OTHER, LAST = 33, 34, 0
"""Tokens whose logits neurons write that are about no label; X and Y are what follows ours."""
NEURONS: Neurons = [
    ({OURS: 1.0}, {X: 12.0}),
    ({FIRST: 1.0, SECOND: 3.0}, {Y: 8.0}),
    ({REST: 3.0, FIRST: 2.0}, {NOISE: 8.0, LAST: 40.0}),
    ({range(20, 40): 2.0, range(4, 12): 1.0}, {OTHER: 8.0, LAST: -40.0}),
]


@cache
def subject() -> ux.Subject:
    return written(NEURONS)


def along(**entries: float) -> np.ndarray:
    row = np.zeros(WIDTH)
    for name, value in entries.items():
        row[START["copied"] + globals()[name]] = value
    return row


LABELLED = along(X=3.0)
"""Along it the first neuron writes, and no other."""
ROWS = np.stack([LABELLED, along(Y=2.0)])


def measured(rows: np.ndarray, folder: Path, *texts: Text, sites: str = "L0.mlp") -> Record:
    np.save(folder / "mine.npy", rows)
    return labelled(sites, str(folder / "mine.npy"), *texts)


def labelled(sites: str, direction: str, *texts: Text, label: ux.Explanation = ours) -> Record:
    return ux.label(
        subject(), sites, texts or narrow(), label=[label], direction=direction, settings=LEAN, folder=None, alike=0
    )  # fmt: skip


def cells(record: Record) -> dict[str, Any]:
    """Its numbers, its directions by D1 and so on."""
    names = [row.name for row in record.blocks[0].rows if not row.role]  # type: ignore[union-attr]
    found = dict(record.numbers())
    for i, name in enumerate(names):
        found = {key.replace(name, f"D{i + 1}"): number for key, number in found.items()}
    return found


@pytest.fixture(scope="module")
def of_both(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the first neuron writes along, and what the second does."""
    return cells(measured(ROWS, tmp_path_factory.mktemp("rows"), narrow(), broad()))


# The engine: what stands along a direction


@pytest.mark.parametrize("name", ["embed", "L0.resid_pre", "L0.resid_mid", "L0.attn", "L0.mlp", "L0.resid_post",
                                  "L0.H1.z", "L0.H1.v", "L0.H1.q_pre", "L0.H1.k_pre", "L0.H1.out", "final"])  # fmt: skip
def test_along_an_axis_of_a_value_is_read_and_put_what_its_entry_is(name: str) -> None:
    """A neuron is the direction of an axis of its layer's neurons: any value has such."""
    model = tiny_subject("llama")
    (site,) = model.sites(name)
    batch = Batch.of(
        torch.randint(0, model.shape.vocabulary, (2, 9), generator=torch.Generator().manual_seed(0))
    )
    whole = model.run(batch, keep=[site]).values[site]
    line = direction(site, np.eye(whole.shape[-1])[2].tolist(), 0, "x")
    assert torch.equal(model.run(batch, keep=[line]).values[line], whole[..., 2])

    def entry(local: Any) -> Tensor:
        value = local.value.clone()
        value[..., 2] = 0.3
        return value

    by_hand = model.run(batch, [Edit(site, entry)]).normed
    found = model.run(batch, [Edit(line, lambda local: torch.full_like(local.value, 0.3))])
    assert torch.allclose(found.normed, by_hand, atol=1e-5)
    assert not torch.allclose(found.normed, model.run(batch).normed, atol=1e-4)


# Planted


def test_a_planted_direction_scores_and_random_ones_of_its_value_do_not(
    of_both: dict[str, Any],
) -> None:
    found = of_both
    assert found["scores/scores/D1/0-auroc"].value == 1
    assert found["scores/scores/D1/1-precision"].value == 1
    assert found["effects/alone/D1/recovered"].value == pytest.approx(1, abs=1e-5)
    assert found["effects/alone/D1/damage"].low > 0.5
    random = {name.split("/")[2] for name in found if name.startswith("scores/scores/L0.mlp.d")}
    assert len(random) == 5
    for one in random:
        assert found[f"scores/scores/{one}/0-auroc"].high < 0.9
        damage = found[f"effects/alone/{one}/damage"].value
        assert damage < 0.5 * found["effects/alone/D1/damage"].value


def test_what_varies_within_the_label_is_told_from_it(of_both: dict[str, Any]) -> None:
    """Along the second direction the label gates what says which half."""
    found = of_both
    assert found["scores/scores/D2/0-auroc"].value == 1
    assert found["effects/alone/D2/recovered"].high < 0.96
    assert found["scores/variance/D2/0-within"].low > 0.1
    assert found["scores/variance/D1/0-within"].value == pytest.approx(0, abs=1e-9)


def test_a_wrong_label_of_a_direction_is_caught() -> None:
    """It holds on the narrow text alone. The direction is what raises the logit of X: the first one."""
    record = labelled("L0.mlp", f"tokens:[{X}]", narrow(), broad(), label=vague)
    found = cells(record)
    assert found["scores/scores/D1/0-auroc"].value == 1
    assert found["scores/scores/D1/1-auroc"].high < 0.8
    assert found["effects/parts-1/label/recovered"].high < 0.4
    assert found["effects/parts-1/residual/recovered"].low > 0.5
    names = {row.cells[0] for row in record.blocks[1].rows}  # type: ignore[union-attr]
    assert find_directions(f"tokens:[{X}]").name in names


# By plain hooks on Hugging Face's own model


def test_what_a_label_carries_of_two_directions_is_what_plain_hooks_give(
    of_both: dict[str, Any],
) -> None:
    units = torch.tensor(np.stack([row / np.linalg.norm(row) for row in ROWS]))
    model: Any = plain(NEURONS)
    fit, held = (
        torch.tensor(np.stack([b.tokens for b in some]).astype(int))
        for some in (narrow().fit, narrow().eval)
    )
    seen: list[Tensor] = []

    def losses(some: Tensor, put: Any = None) -> Tensor:
        def hook(module: Any, given: Any, output: Tensor) -> Tensor | None:
            value = output.double()
            seen[:] = [value @ units.T]
            if put is None:
                return None
            return (value + (put(seen[0]) - seen[0]) @ units).float()

        handle = model.model.layers[0].mlp.register_forward_hook(hook)
        with torch.no_grad():
            logits = model(some, use_cache=False).logits.double()
        handle.remove()
        return -logits[:, :-1].log_softmax(-1).gather(-1, some[:, 1:, None])[..., 0]

    losses(fit)
    yes, here = ((some >= 1) & (some <= 16) for some in (fit, held))
    mean = seen[0].mean((0, 1))
    said = torch.where(here[..., None], seen[0][yes].mean(0), seen[0][~yes].mean(0))
    intact = losses(held)
    for key, put in (("ablated", lambda a: mean.expand_as(a)), ("label", lambda a: said),
                     ("residual", lambda a: mean + a - said), ("yes", lambda a: torch.where(here[..., None], a, said))):  # fmt: skip
        cost = float((losses(held, put) - intact).mean())
        assert of_both[f"effects/parts/{key}/cost"].value == pytest.approx(
            cost, rel=2e-4, abs=2e-5
        ), key


# What is refused


@pytest.mark.parametrize(
    ("sites", "rows", "error", "said"),
    [
        ("L0.mlp", np.ones((2, WIDTH)), ExplanationError, "span 1"),
        ("L0.mlp", np.eye(WIDTH)[:2] + 0.1, ExplanationError, "no right angle"),
        ("L0.mlp", np.zeros(WIDTH), ExplanationError, "zero"),
        ("L0.mlp", np.ones(7), ExplanationError, "7 entries"),
        ("L0.mlp", np.full(WIDTH, np.nan), ExplanationError, "NaN"),
        ("L0.mlp", np.eye(WIDTH)[:9], MeasurementError, "at most 8"),
        ("L0.N0", np.ones(1), MeasurementError, "a neuron is one number"),
        ("L0.H0.pattern", np.ones(4), MeasurementError, "a pattern has no directions"),
        ("", np.ones(WIDTH), ExplanationError, "of which value"),
    ],
)
def test_what_is_no_direction_is_refused(
    sites: str, rows: np.ndarray, error: type[Exception], said: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=said) as caught:
        measured(rows, tmp_path, sites=sites)
    assert caught.value.do, "what to do about it"  # type: ignore[attr-defined]


def test_of_most_variance_the_first_has_most_and_none_are_none() -> None:
    (value,) = subject().sites("L0.mlp")
    read = observe(subject(), narrow(), [value])
    spread = (read.flat(value).double() @ Principal(2).rows(value, read).T).var(0)
    assert spread[0] > spread[1] > 0
    assert Principal(0).rows(value, read).shape == (0, WIDTH)
    with pytest.raises(ExplanationError, match="they are none"):
        labelled("L0.mlp", "0", narrow())


def test_random_directions_are_held_against_other_draws() -> None:
    assert [one.seed for one in random_beside(Random(2, 4), 1, 3, seed=3)] == [3, 5, 6]
    assert [one.seed for one in random_beside(Principal(2), 1, 3, seed=3)] == [3, 4, 5]


def test_other_numbers_under_one_name_are_another_site() -> None:
    (value,) = subject().sites("L0.mlp")
    read = observe(subject(), narrow(), [value])
    one, other = (
        lines_of(GivenDirections.of(row, "mine"), value, read)[0]
        for row in (LABELLED, along(Y=1.0))
    )
    assert one != other and str(one) != str(other)
    assert one == lines_of(GivenDirections.of(2 * LABELLED, "mine"), value, read)[0]
    assert isinstance(one, Site) and one.home == value and one.is_number and not value.is_number
