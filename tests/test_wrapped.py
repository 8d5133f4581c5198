"""What TransformerLens or nnsight has opened is measured as the model inside, or refused by name.

Stand-ins do to a model what the libraries do (transformer_lens 4.3, nnsight 0.8.1): a component of
one's own in the place of every module, a forward of one's own on every module.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tiny import tiny_model, tiny_subject, tiny_tokenizer, tokens
from unexplained.errors import SubjectError
from unexplained.subject import Batch, Subject, load


class LanguageModel:
    """As nnsight's: no module, and it sets a forward on every module inside."""

    __module__ = "nnsight.modeling.language"
    _module: Any

    def __init__(self, model: Any) -> None:
        self._module, self._edits, self.tokenizer = model, [], tiny_tokenizer()
        for module in model.modules():
            own = module.forward
            module.forward = lambda *args, own=own, **kwargs: own(*args, **kwargs)


class Component(nn.Module):
    """As a bridge's: around a module, with its attributes."""

    def __init__(self, inside: nn.Module) -> None:
        super().__init__()
        self.add_module("_original_component", inside)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("_original_component"), name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self._original_component(*args, **kwargs)


class TransformerBridge(nn.Module):
    """As TransformerLens's: it puts components into the model that it keeps."""

    __module__ = "transformer_lens.model_bridge.transformer_bridge"

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.original_model, self.tokenizer = model, tiny_tokenizer()
        whole = (nn.ModuleList, type(model.base_model))
        for module in list(model.modules()):
            for name, child in list(module.named_children()):
                if not isinstance(child, whole):
                    module.register_module(name, Component(child))


class HookedTransformer(nn.Module):
    """As TransformerLens's of old."""

    __module__ = "transformer_lens.HookedTransformer"
    cfg = type("Config", (), {"model_name": "gpt2-small"})


def logits(subject: Subject) -> Tensor:
    return subject.logits(subject.run(Batch.of(tokens())).normed)


@pytest.mark.parametrize("wrapper", [LanguageModel, TransformerBridge])
@pytest.mark.parametrize("name", ["llama", "gpt2"])  # the latter's unembedding is its embedding
def test_it_is_the_model_inside_and_that_is_left_alone(
    wrapper: Callable[[Any], Any], name: str
) -> None:
    plain, model = tiny_subject(name), tiny_model(name)
    given = wrapper(model)
    weights, attention = dict(model.named_parameters()), model.config._attn_implementation
    with load(given, device="cpu") as subject:
        assert torch.equal(logits(subject), logits(plain))
        assert subject.fingerprint == plain.fingerprint
        assert wrapper.__name__ in subject.notes[0]
        assert model.config._attn_implementation == attention
        with torch.no_grad():
            next(iter(weights.values())).add_(0.5)
        assert subject.fingerprint != plain.fingerprint  # the very weights, not copies
    assert all(weights[name] is weight for name, weight in model.named_parameters())


def edited() -> Any:
    given = LanguageModel(tiny_model("llama"))
    given._edits.append("something")
    return given


def not_read() -> Any:
    return LanguageModel(tiny_model("llama").to("meta"))


def rewritten() -> Any:
    given = TransformerBridge(tiny_model("llama"))
    given.compatibility_mode = True
    return given


def hooked() -> Any:
    given = TransformerBridge(tiny_model("llama"))
    given.original_model.model.layers[1].register_forward_hook(lambda module, args, out: out * 1.5)
    return given


def split() -> Any:
    given = TransformerBridge(tiny_model("llama"))
    del given.original_model.model.layers[1].mlp._original_component.up_proj
    return given


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "no model inside": (HookedTransformer, r"HookedTransformer.*weights of its own.*'gpt2-small'"),
    "edits": (edited, r"LanguageModel of nnsight: it has edits.*clear_edits"),
    "weights not read": (not_read, r"has not been read yet.*dispatch=True"),
    "weights rewritten": (rewritten, r"weights were rewritten"),
    "a hook": (hooked, r"computes something else.*hooks"),
    "a weight taken out": (split, r"'model\.layers\.1\.mlp\.up_proj\.weight' is not as it was"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_the_model_inside_is_refused_and_says_what_to_do(name: str) -> None:
    make, words = REFUSED[name]
    with pytest.raises(SubjectError, match=words) as caught:
        load(make(), tokenizer=tiny_tokenizer(), device="cpu")
    assert caught.value.do
