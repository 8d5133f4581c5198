"""Norms whose scales are held: against plain PyTorch hooks that know no architecture, and by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from test_assay import make_text
from test_blocks import backwards
from tiny import CONFIGS, VARIED, VARIED_ADDITIVE, VOCABULARY, tiny_model, tiny_subject, tokens
from unexplained.errors import MeasurementError
from unexplained.evaluate import Condition, Edited, evaluate, joint
from unexplained.ledger import Ledger
from unexplained.sites import Site
from unexplained.subject import Batch, Copy, Edit, Subject
from unexplained.text import Text

FROZEN = "total, norms frozen"
HEAD = Site(1, "H", 2)


def halved(name: str, where: str, effect: Any = FROZEN) -> Edited:
    """Sites at half of what they are."""
    sites = tiny_subject("llama").sites(where)
    edits = tuple(Edit(site, lambda local: local.value / 2) for site in sites)
    return Edited(name, edits, f"halved {where}", effect)


def text_for(subject: Subject, documents: int = 6) -> Text:
    rows = np.random.default_rng(2).integers(0, VOCABULARY, (2, documents, 14))
    return make_text("words", subject, *rows)


@pytest.mark.parametrize("name", CONFIGS)
def test_where_nothing_is_changed_held_scales_change_nothing_bit_for_bit(name: str) -> None:
    subject, batch = tiny_subject(name), Batch.of(tokens())
    plain = subject.run(batch).normed
    whole = subject.run(batch, keep_streams=range(3), keep_scales=True)
    assert torch.equal(whole.normed, plain)
    same = [Edit(HEAD, lambda local: local.value.clone())]
    for layer in (0, 1):
        held = subject.run(batch, same, resume=whole.resume(layer), held=whole.scales)
        assert torch.equal(held.normed, plain)


def by_plain_hooks(name: str, rows: torch.Tensor) -> torch.Tensor:
    """Logits with a head at half and every module called a norm written out, in a model of its own."""
    model: Any = tiny_model(name)
    architecture = tiny_subject(name).anatomy.architecture
    held: dict[str, torch.Tensor] = {}
    norms = {path: one for path, one in model.named_modules() if "Norm" in type(one).__name__}

    def centred(norm: Any, value: torch.Tensor) -> torch.Tensor:
        value = value.double()
        return value - value.mean(-1, keepdim=True) if hasattr(norm, "bias") else value

    def note(path: str) -> Any:
        def hook(norm: Any, args: Any, output: Any) -> None:
            value = centred(norm, args[0])
            eps = getattr(norm, "variance_epsilon", None) or norm.eps
            held[path] = 1 / (value.square().mean(-1, keepdim=True) + eps).sqrt()

        return hook

    def write_out(path: str) -> Any:
        def hook(norm: Any, args: Any, output: Any) -> torch.Tensor:
            gain = norm.weight.double() + ("Gemma" in type(norm).__name__)
            bias = norm.bias.double() if hasattr(norm, "bias") else 0
            return (centred(norm, args[0]) * held[path] * gain + bias).float()

        return hook

    handles = [one.register_forward_hook(note(path)) for path, one in norms.items()]
    with torch.no_grad():
        model(rows, use_cache=False)
    for handle in handles:
        handle.remove()
    for path, one in norms.items():
        one.register_forward_hook(write_out(path))

    def halve(module: Any, args: Any) -> Any:
        z = args[0].clone()
        size = z.shape[-1] // 4
        z[..., 2 * size : 3 * size] /= 2
        return (z,)

    layer = model.get_submodule(architecture.layers)[1]
    layer.get_submodule(architecture.head_output).register_forward_pre_hook(halve)
    with torch.no_grad():
        return model(rows, use_cache=False).logits


@pytest.mark.parametrize("name", [*VARIED, "gemma3"])
def test_held_norms_are_those_written_out_by_plain_hooks(name: str) -> None:
    subject, rows = tiny_subject(name), tokens()
    batch = Batch.of(rows)
    intact = subject.run(batch, keep_streams=[1], keep_scales=True)
    edits = halved("", str(HEAD)).edits
    held = subject.run(batch, edits, resume=intact.resume(1), held=intact.scales).normed
    expected = by_plain_hooks(name, rows)
    found = subject.logits(held)
    bound = 400 * torch.finfo(torch.float32).eps * float(expected.abs().max())
    assert float((found - expected).abs().max()) < bound
    free = subject.logits(subject.run(batch, edits).normed)
    assert float((free - expected).abs().max()) > 20 * bound  # it makes a difference


@pytest.mark.parametrize("name", VARIED_ADDITIVE)
def test_where_only_the_final_norm_follows_it_is_the_direct_effect_with_the_norm_frozen(
    name: str,
) -> None:
    subject = tiny_subject(name)
    every = ("total", FROZEN, "direct, norm frozen")
    got = evaluate(
        subject, text_for(subject), [halved(effect, "L2.mlp", effect) for effect in every]
    )
    total, held, direct = (got.sums(effect).loss for effect in every)
    np.testing.assert_allclose(held, direct, rtol=1e-5)
    assert float(np.abs(held - total).max()) > 1e-3


def conditions() -> list[Condition]:
    where = ("L0.H1", "L1.mlp", "L2.H0 L2.mlp", "embed", "final")
    return [halved(f"{one} {effect}", one, effect) for one in where for effect in ("total", FROZEN)]


def sums_of(ledger: Ledger) -> dict[str, list[float]]:
    return {name: ledger.sums(name).loss.tolist() for name in ledger.conditions}


def test_side_by_side_each_condition_holds_its_own_norms() -> None:
    subject, batch = tiny_subject("llama"), Batch.of(tokens())
    intact = subject.run(batch, keep_streams=range(3), keep_scales=True)
    cases = [(at, where, held) for at, where in ((0, "L0.H1"), (1, "L1.mlp"), (2, "L2.H3"))
             for held in (None, intact.scales)]  # fmt: skip
    edits = {where: halved("", where).edits for _, where, _ in cases}
    copies = [Copy(intact.resume(at), edits[where], held) for at, where, held in cases]
    together = subject.run(batch, copies=copies).normed.chunk(len(cases))
    for (at, where, held), got in zip(cases, together, strict=True):
        alone = subject.run(batch, edits[where], resume=intact.resume(at), held=held).normed
        torch.testing.assert_close(got, alone, atol=2e-6, rtol=2e-6)


def test_whoever_measures_and_whatever_is_kept_the_bytes_are_the_same(tmp_path: Path) -> None:
    """The very edits are measured freely beside."""
    subject = tiny_subject("llama")
    text, every = text_for(subject, 4), conditions()
    fresh = evaluate(subject, text, every, batch_tokens=28, folder=tmp_path)
    for others in ({"folder": tmp_path}, {"workers": backwards}):
        assert evaluate(subject, text, every, batch_tokens=28, **others).table == fresh.table
    # Where kept streams are made again.
    small = evaluate(subject, text, every, batch_tokens=28, memory=4 * 28 * 32 * 4)
    sums = sums_of(fresh)
    np.testing.assert_allclose(list(sums_of(small).values()), list(sums.values()), rtol=1e-6)
    assert sums["L1.mlp total"] != sums[f"L1.mlp {FROZEN}"]


def test_a_joint_condition_holds_all_norms_or_none() -> None:
    held, free = halved("a", "L0.H1"), halved("b", "L1.H2", "total")
    assert joint("both", [held, halved("b", "L1.H2")]).holds_norms
    assert joint("none", []).effect == joint("one", [free]).effect == "total"
    with pytest.raises(MeasurementError, match="in some of its parts alone"):
        joint("both", [held, free])
    with pytest.raises(MeasurementError, match="direct effect"):
        joint("both", [replace(held, effect="direct")])
