"""The numbers of a model by plain Hugging Face, and the rule that a number is right or refused by name.

`plain` never touches the engine: it calls the model under eager attention, one document at a
time, and makes every intervention by an ordinary torch hook. `measured` asks the project for the
same numbers. `right_or_refused` holds the one against the other.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from exact import TEXT as PAIRS
from tiny import VOCABULARY, tiny_model, tiny_tokenizer
from unexplained.circuits import Graph
from unexplained.circuits.running import Circuits
from unexplained.errors import UnexplainedError
from unexplained.evaluate import evaluate
from unexplained.evaluate.conditions import Condition, Edited
from unexplained.sites import Site
from unexplained.subject import Edit, Subject, load
from unexplained.text import Block, Text

WITHIN = 2e-5
"""Nats per token. Two orders of the same float32 sums through 3 layers of width 32 differ by some
hundred roundings, 200 · 2^-23 of values of order 1; the faults here move numbers by 1e-3 to 10."""

LAYER, HEAD = 1, 2
"""The place that is edited: neither the first layer nor the first head."""

_LLAMA = ("model.layers", "self_attn.o_proj", "mlp", "model.norm")
_ROLES = {
    "gpt2": ("transformer.h", "attn.c_proj", "mlp", "transformer.ln_f"),
    "gpt_neox": ("gpt_neox.layers", "attention.dense", "mlp", "gpt_neox.final_layer_norm"),
    "opt": (
        "model.decoder.layers", "self_attn.out_proj", "fc2", "model.decoder.final_layer_norm",
    ),
} | dict.fromkeys(
    ("gemma2", "gemma3_text", "olmo2"),
    ("model.layers", "self_attn.o_proj", "post_feedforward_layernorm", "model.norm"),
)  # fmt: skip
"""Layers, the heads' output, what the MLP adds, the final norm: written down here a second time."""


def text_of(*lengths: int, seed: int = 5, vocabulary: int = VOCABULARY) -> Text:
    """One document of random tokens for each length; in one batch, so the short ones are padded."""
    rng = np.random.default_rng(seed)
    blocks = tuple(
        Block(f"d{i}", "made up", rng.integers(0, vocabulary, length).astype(np.int32))
        for i, length in enumerate(lengths)
    )
    name, longest = f"made up {lengths}", max(lengths)
    return Text(
        name, blocks, blocks, lambda: iter(()), "p", longest, vocabulary, f"{name} {seed}", (), {}
    )


TEXT = text_of(12, 9, 12, 7)


# --- what the project says ------------------------------------------------------------------------


def opened(model: nn.Module, **how: Any) -> Subject:
    """The model opened up on the CPU."""
    return load(model, tokenizer=tiny_tokenizer(), device="cpu", **how)


def zeroed(name: str, *, effect: Any = "total") -> Edited:
    """A condition in which a site is nought."""
    part, _, value = name.partition(".")
    site = Site(LAYER, "H", HEAD, value) if part == "head" else Site(LAYER, part)
    edit = Edit(site, lambda local: torch.zeros_like(local.value))
    return Edited(f"{name} {effect}", (edit,), f"zero {name}", effect=effect)


NUMBERS = ("intact", "head.z total", "head.out total", "head direct", "mlp total")


def conditions() -> list[Condition]:
    """A head's z or output is nought, its direct effect is missing, an MLP is nought."""
    return [zeroed("head.z"), zeroed("head.out"), zeroed("head", effect="direct"), zeroed("mlp")]


def measured(
    subject: Subject, text: Text = TEXT, *, folder: Path | None = None, **how: Any
) -> dict[str, float]:
    """Losses in nats per token as the project measures them."""
    ledger = evaluate(subject, text, conditions(), folder=folder, **how)
    return {name: ledger.sums(name).per_token() for name in NUMBERS}


def loss(subject: Subject, text: Text = TEXT) -> dict[str, float]:
    """The intact loss alone, in nats per token."""
    return {"intact": evaluate(subject, text, []).sums("intact").per_token()}


def whole_circuit(subject: Subject) -> dict[str, float]:
    """The circuit of all edges on pairs: mean logit difference of the whole model."""
    graph = Graph.of(subject.shape, parallel=subject.anatomy.parallel)
    every = Circuits(subject, graph).condition("whole", np.ones(graph.edges, bool))
    ledger = evaluate(subject, PAIRS, [every], measure="logit difference")
    return {
        "pairs, intact": ledger.sums("intact").per_token("logit_difference"),
        "pairs, whole circuit": ledger.sums("whole").per_token("logit_difference"),
    }


# --- what plain Hugging Face says -------------------------------------------------------------------


def eager(model: nn.Module) -> nn.Module:
    """A model for `plain`: Hugging Face's own attention, written out in torch."""
    model.eval().set_attn_implementation("eager")  # type: ignore[operator]
    return model


def plain(model: nn.Module, text: Text = TEXT) -> dict[str, float]:
    """The numbers of `measured`, from a model that the project has never seen."""
    model = eager(model)
    with torch.no_grad():
        found = {"intact": _mean_loss(model, text)}
        with _head_zeroed(model):
            found["head.z total"] = found["head.out total"] = _mean_loss(model, text)
        with _added_to_stream(model):
            found["head direct"] = _mean_loss(model, text)
        with _mlp_zeroed(model):
            found["mlp total"] = _mean_loss(model, text)
    return found


def plain_loss(model: nn.Module, text: Text = TEXT) -> dict[str, float]:
    """The intact loss alone, each document in a pass of its own."""
    with torch.no_grad():
        return {"intact": _mean_loss(eager(model), text)}


def plain_logit_difference(model: nn.Module) -> dict[str, float]:
    """The mean logit difference on pairs; the circuit of all edges is the whole model."""
    model = eager(model)
    logit_differences = []
    with torch.no_grad():
        for pair in PAIRS.eval:
            last = _logits(model, pair.tokens)[-1]
            logit_differences.append(float(last[pair.answer] - last[pair.wrong]))
    mean = sum(logit_differences) / len(logit_differences)
    return {"pairs, intact": mean, "pairs, whole circuit": mean}


def _logits(model: nn.Module, ids: Any) -> Tensor:
    tokens = torch.as_tensor(np.asarray(ids)[None].astype(np.int64))
    logits: Tensor = model(input_ids=tokens, use_cache=False).logits[0]
    return logits


def _mean_loss(model: nn.Module, text: Text) -> float:
    total, count = 0.0, 0
    for block in text.eval:
        targets = torch.as_tensor(block.tokens[1:].astype(np.int64))
        logits = _logits(model, block.tokens)[:-1].double()
        total += float(nn.functional.cross_entropy(logits, targets, reduction="sum"))
        count += len(targets)
    return total / count


def _roles(model: nn.Module) -> tuple[nn.Module, nn.Module, nn.Module]:
    layers, output, mlp, norm = _ROLES.get(model.config.model_type, _LLAMA)  # type: ignore[union-attr]
    layer = model.get_submodule(layers)[LAYER]  # type: ignore[index]
    return layer.get_submodule(output), layer.get_submodule(mlp), model.get_submodule(norm)


def _without_head(model: nn.Module, z: Tensor) -> Tensor:
    size = z.shape[-1] // model.config.num_attention_heads  # type: ignore[union-attr,operator]
    z = z.clone()
    z[..., HEAD * size : (HEAD + 1) * size] = 0
    return z


@contextmanager
def _removed(*handles: Any) -> Iterator[None]:
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _head_zeroed(model: nn.Module) -> Any:
    """The head's part of what its output layer reads is nought, before any hook of others."""
    output, _, _ = _roles(model)

    def zero(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (_without_head(model, args[0]), *args[1:])

    return _removed(output.register_forward_pre_hook(zero, prepend=True))


def _mlp_zeroed(model: nn.Module) -> Any:
    _, mlp, _ = _roles(model)
    return _removed(mlp.register_forward_hook(lambda module, args, out: torch.zeros_like(out)))


def _added_to_stream(model: nn.Module) -> Any:
    """The final stream without what the head adds to it: the output layer is called twice."""
    output, _, norm = _roles(model)
    layer: Any = model.get_submodule(_ROLES.get(model.config.model_type, _LLAMA)[0])[LAYER]  # type: ignore[union-attr,index]
    post = hasattr(layer, "post_feedforward_layernorm")
    after = layer.post_attention_layernorm if post else nn.Identity()
    times = getattr(model.config, "residual_multiplier", 1)
    within, missing, read = [False], [], []

    def note_read(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        if not within[0]:
            read[:] = [args[0]]

    def note(module: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> None:
        if not within[0]:
            within[0] = True
            without = module(_without_head(model, read[0]))
            missing[:] = [(after(without) - after(out)) * times]
            within[0] = False

    def shift(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (args[0] + missing[0], *args[1:])

    return _removed(
        output.register_forward_pre_hook(note_read, prepend=True),
        output.register_forward_hook(note),
        norm.register_forward_pre_hook(shift, prepend=True),
    )


# --- the rule ---------------------------------------------------------------------------------------


def right_or_refused(
    number: Callable[[], dict[str, float]],
    right: dict[str, float],
    words: str,
    *,
    within: float = WITHIN,
) -> None:
    """Pass where every number is right, or where an error of the project's names the thing.

    Args:
        number: Measures; any other exception than the project's own goes through.
        right: The numbers by another route.
        words: A pattern that the refusal must contain, whatever the case; "" where refusing
            would be a fault too.
        within: How far a number may be from the right one.
    """
    try:
        found = number()
    except UnexplainedError as error:
        assert words, f"over-refusal: {error}"
        assert re.search(words, str(error), re.I | re.S), f"refused without naming it: {error}"
        print(f"outcome: refused: {error}")
        return
    wrong = {
        name: (found[name], right[name])
        for name in found
        if not abs(found[name] - right[name]) <= within
    }
    assert not wrong, f"silently wrong (found, right): {wrong}"
    print("outcome: right")


def refused(action: Callable[[], object], words: str) -> None:
    """Pass where an error of the project's names the thing."""
    try:
        found = action()
    except UnexplainedError as error:
        assert re.search(words, str(error), re.I | re.S), f"refused without naming it: {error}"
        print(f"outcome: refused: {error}")
        return
    raise AssertionError(f"accepted in silence: {found}")


def twice(make: Callable[[], nn.Module]) -> tuple[nn.Module, nn.Module]:
    """Two models with the same weights and nothing in common: one to measure, one for `plain`."""
    return make(), make()


def changed_copy(name: str, change: Callable[[nn.Module], object]) -> nn.Module:
    """A fresh tiny model to which a change was made."""
    model = tiny_model(name)
    change(model)
    return model


def snapshot(module: nn.Module) -> dict[str, Tensor]:
    """Every parameter and buffer, copied."""
    return copy.deepcopy({**dict(module.named_parameters()), **dict(module.named_buffers())})
