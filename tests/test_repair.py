"""Self-repair: the roads add up and are a loop's; a planted backup and a planted norm are found."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

import unexplained as ux
from measured import LEAN
from test_assay import make_text
from test_soundness import cells
from tiny import ADDITIVE, VOCABULARY, tiny_model, tiny_subject, tiny_tokenizer
from unexplained.bars.repair import RoadSums
from unexplained.errors import MeasurementError
from unexplained.evaluate import Edited
from unexplained.evaluate.repair import ROADS, roads
from unexplained.record import Number
from unexplained.study import INSTRUMENTS
from unexplained.subject import Edit, Subject
from unexplained.text import Text


def words(subject: Subject, documents: int = 5, length: int = 9) -> Text:
    rows = np.random.default_rng(1).integers(0, VOCABULARY, (2, documents, length))
    return make_text("words", subject, *rows)


def silenced(subject: Subject, where: str) -> Edited:
    edits = tuple(Edit(site, lambda local: local.value * 0) for site in subject.sites(where))
    return Edited(where, edits, f"silenced {where}")


@pytest.mark.parametrize("name", ["llama", "gpt2", "granite", "gpt_neox"])
def test_the_roads_are_those_of_a_loop_over_blocks(name: str) -> None:
    """By Hugging Face's own pass, a hook on every block, and the final norm written out."""
    assert name in ADDITIVE
    subject, model = tiny_subject(name), tiny_model(name)
    text = words(subject)
    found = roads(subject, text, [silenced(subject, "L1.H2")], batch_tokens=20)["L1.H2"]
    architecture, layers = subject.anatomy.architecture, range(3)
    norm: Any = model.get_submodule(architecture.final_norm)
    scale = getattr(model.config, "residual_multiplier", 1.0)
    divisor = getattr(model.config, "logits_scaling", 1.0)
    seen: dict[str, torch.Tensor] = {}

    def keep(key: str) -> Any:
        def hook(module: Any, args: Any, output: Any) -> None:
            seen[key] = (output[0] if isinstance(output, tuple) else output)[0].double() * scale

        return hook

    def silence(module: Any, args: Any) -> Any:
        z = args[0].clone()
        size = z.shape[-1] // 4
        z[..., 2 * size : 3 * size] = 0
        return (z,)

    for layer in layers:
        module = model.get_submodule(f"{architecture.layers}.{layer}")
        module.get_submodule(architecture.attention).register_forward_hook(keep(f"attn {layer}"))
        module.get_submodule(architecture.mlp[-1]).register_forward_hook(keep(f"mlp {layer}"))
    norm.register_forward_pre_hook(lambda module, args: seen.update(stream=args[0][0].double()))
    head = model.get_submodule(f"{architecture.layers}.1.{architecture.head_output}")
    for block, got in zip(text.eval, found.documents, strict=True):
        rows = torch.tensor(block.tokens[None].astype(np.int64))
        with torch.no_grad():
            logits = model(rows, use_cache=False).logits[0].double()
            intact = dict(seen)
            handle = head.register_forward_pre_hook(silence)
            changed = model(rows, use_cache=False).logits[0].double()
            handle.remove()
        for at, target in enumerate(rows[0, 1:].tolist()):
            stream = intact["stream"][at]
            centred = stream - stream.mean() if architecture.norm == "layer" else stream
            factor = 1 / (centred.square().mean() + 1e-5).sqrt()
            gain = norm.weight.double() * model.get_output_embeddings().weight[target].double()
            gain = gain.detach()
            moved = {key: seen[key][at] - intact[key][at] for key in intact if key != "stream"}
            if architecture.norm == "layer":
                moved = {key: one - one.mean() for key, one in moved.items()}
            parts = {key: float(one @ gain * factor) / divisor for key, one in moved.items()}
            direct = parts.pop("attn 1")
            against = sum(one for one in parts.values() if one * direct < 0)
            along = sum(one for one in parts.values() if one * direct >= 0)
            total = float(changed[at, target] - logits[at, target])
            expected = [total, direct, against, along, total - direct - against - along]
            np.testing.assert_allclose(got[at], expected, atol=2e-3, rtol=2e-3)


@cache
def planted(kind: str) -> Subject:
    """A head whose effect a later MLP undoes to 70% (`backup`), or the final norm alone (`norm`).

    Of all others nothing is written. With a ballast in the stream every norm divides by the same.
    """
    model: Any = tiny_model("llama")
    size, width, ballast = 8, 32, 1000.0
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight[:, size:] = 0
            layer.mlp.down_proj.weight.zero_()
            layer.input_layernorm.weight.fill_(1)
            layer.post_attention_layernorm.weight.fill_(1)
        for layer in model.model.layers[1:]:
            layer.self_attn.o_proj.weight.zero_()
        writer = model.model.layers[0].self_attn
        writer.o_proj.weight[0] = 0
        model.model.norm.weight.fill_(1)
        if kind == "backup":
            model.model.embed_tokens.weight[:, 0] = ballast
            writer.o_proj.weight *= 20
            scale = width**0.5 / ballast  # what every norm multiplies by
            mlp = model.model.layers[1].mlp
            mlp.gate_proj.weight.zero_()
            mlp.gate_proj.weight[:, 0] = 10 / width**0.5  # silu(10) is 10 nearly
            mlp.up_proj.weight.zero_()
            mlp.up_proj.weight[:width] = torch.eye(width)
            mlp.up_proj.weight[0] = 0
            mlp.down_proj.weight[:, :width] = torch.eye(width) * -0.7 / (10 * scale)
            model.model.norm.weight.fill_(1 / scale / 50)
        else:
            writer.o_proj.weight *= 10
    return ux.load(model, tokenizer=tiny_tokenizer(), device="cpu")


def test_a_planted_backup_is_found_as_opposing_and_not_as_the_norms() -> None:
    subject = planted("backup")
    text = words(subject, 12, 16)
    found = roads(subject, text, [silenced(subject, "L0.H0")])["L0.H0"]
    rows = dict(zip(ROADS, np.concatenate(found.documents).T, strict=True))
    size = np.abs(rows["direct"]).mean()
    assert size > 0.1
    np.testing.assert_allclose(rows["opposing"], -0.7 * rows["direct"], atol=0.02 * size)
    assert np.abs(rows["agreeing"]).max() < 0.02 * size
    assert np.abs(rows["norm"]).mean() < 0.02 * size
    record = INSTRUMENTS.get("repair")(subject, "L0.H*", text, ablation="zero", settings=LEAN)
    undone = cells(record, "facts")["undone", "is"]
    assert isinstance(undone, Number) and undone.value == pytest.approx(0.7, abs=0.02)


def test_where_nothing_comes_after_all_that_is_repaired_is_the_norms() -> None:
    subject = planted("norm")
    text = words(subject, 12, 16)
    found = roads(subject, text, [silenced(subject, "L0.H0")])["L0.H0"]
    rows = dict(zip(ROADS, np.concatenate(found.documents).T, strict=True))
    assert not rows["opposing"].any() and not rows["agreeing"].any()
    assert np.abs(rows["norm"]).mean() > 0.1 * np.abs(rows["direct"]).mean()


def test_the_norms_share_is_of_late_heads_and_that_of_all_stands_beside() -> None:
    one = {"direct": -10.0, "opposing": 2.0, "agreeing": -1.0, "norm": 1.0, "total": -8.0}
    other = one | {"norm": -3.0, "total": -12.0}
    sums = {f"L{n}.H0": one if n > 3 else other for n in range(6)}
    roads = {h: {road: np.full(8, x) for road, x in each.items()} for h, each in sums.items()}
    counts = {head: np.full(8, 4.0) for head in roads}
    found = RoadSums(roads, counts, roads, np.full(8, 4.0), LEAN)
    assert found.late == ["L4.H0", "L5.H0"]
    assert found.of_norm(found.late).value == pytest.approx(1 / 2)
    # 1 of 2 on balance; 1 of 3 where what goes with the direct effect is no repair.
    assert found.of_norm_apart(found.late).value == pytest.approx(1 / 3)
    assert found.share(["opposing", "agreeing"], found.late).value == pytest.approx(1 / 10)
    assert "does not make up" in found.of_norm(list(roads)).refused


def test_the_head_that_matters_most_is_named_with_those_that_may_as_much() -> None:
    rng = np.random.default_rng(0)
    means = {"L0.H0": -1.0, "L0.H1": -0.98, "L0.H2": -0.2}
    sums = {head: 4 * (mean + 0.1 * rng.normal(size=24)) for head, mean in means.items()}
    counts = {head: np.full(24, 4.0) for head in means}

    def verdict(heads: list[str]) -> str:
        roads = {
            h: dict.fromkeys(ROADS, 0 * sums[h]) | {"direct": sums[h], "total": sums[h]}
            for h in heads
        }
        return RoadSums(roads, counts, roads, np.full(24, 4.0), LEAN).verdict()

    assert "on these documents (1 other head is not told to matter less)" in verdict(list(means))
    assert "which matters most directly, moves" in verdict(["L0.H0", "L0.H2"])


def test_of_too_few_documents_it_is_said_that_they_are_those_of_the_predictions_counted() -> None:
    """Of 8 documents 4 held the predictions: "too few documents (4; it takes 5)" read as if 4 had been given."""
    sums = np.array([-4.0, -3.0, -4.0, -5.0, 0, 0, 0, 0])
    roads = {"L0.H0": dict.fromkeys(ROADS, 0 * sums) | {"direct": sums, "total": sums}}
    found = RoadSums(roads, {"L0.H0": (sums != 0) * 4.0}, roads, np.full(8, 200.0), LEAN)
    said = found.verdict()
    assert (
        "of the 2% of predictions that are counted, too few documents for an interval (4;" in said
    )
    whole = RoadSums(roads, {"L0.H0": np.full(8, 4.0)}, roads, np.full(8, 200.0), LEAN)
    assert "that are counted" not in whole.verdict()


def test_soft_caps_and_what_is_no_head_are_refused() -> None:
    capped = tiny_subject("gemma2")
    with pytest.raises(MeasurementError, match="caps its logits"):
        roads(capped, words(capped), [silenced(capped, "L1.H2")])
    subject = tiny_subject("llama")
    with pytest.raises(ux.errors.SiteError, match="no head"):
        INSTRUMENTS.get("repair")(subject, "L1.mlp", words(subject), settings=LEAN)


def test_what_a_refused_share_takes_is_in_tokens_of_the_text() -> None:
    """Chosen predictions are few of the text's: to have fifty times as many takes fifty times the text."""
    repaired = np.array([2.0, -1.0, 1.0, -1.0, 2.0, -1.0, 1.0, 0.0])
    roads = {"L0.H0": {"direct": -np.ones(8), "norm": np.ones(8), "total": repaired - 1}}
    counts = {"L0.H0": np.ones(8)}

    def needed(tokens: float) -> int | None:
        found = RoadSums(roads, counts, roads, np.full(8, tokens), LEAN)
        return found.of_norm(["L0.H0"]).tokens_needed

    few, many = needed(1), needed(50)
    assert few is not None and many == pytest.approx(50 * few, rel=0.01)
