"""Models in memory, tokenizers and lengths that cannot be measured are refused by what they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    PreTrainedTokenizer,
    PreTrainedTokenizerFast,
)

import unexplained as ux
from kinds import (
    loss,
    measured,
    opened,
    plain,
    plain_loss,
    refused,
    right_or_refused,
    text_of,
)
from tiny import CONFIGS, tiny_model, tokens
from unexplained.errors import UnexplainedError
from unexplained.subject import Batch, load


class Whole(nn.Module):
    """A linear layer of whole numbers with a scale, as quantisers make them."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        scale = linear.weight.detach().abs().max() / 127
        self.register_buffer("weight", (linear.weight.detach() / scale).round().to(torch.int8))
        self.register_buffer("scale", scale)
        self.bias = None

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight.to(x.dtype) * self.scale)  # type: ignore[operator]


class Packed(Whole):
    """As bitsandbytes and torchao: the weight's shape is not that of the matrix."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear)
        self.weight = nn.Parameter(self.weight.flatten()[:, None], requires_grad=False)  # type: ignore[assignment,operator]
        self.shape = tuple(linear.weight.shape)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight.view(self.shape).to(x.dtype) * self.scale
        return nn.functional.linear(x, weight)


def replace_linears(model: Any, kind: type[nn.Module], *ends: str) -> Any:
    for path, module in list(model.named_modules()):
        if isinstance(module, nn.Linear) and path.endswith(ends):
            model.set_submodule(path, kind(module))
    return model


QUANTISED = {
    "whole numbers everywhere": (Whole, ("proj", "lm_head")),
    "whole numbers in outputs": (Whole, ("o_proj", "down_proj")),
    "whole numbers in queries": (Whole, ("q_proj",)),
    "a whole unembedding": (Whole, ("lm_head",)),
    "packed numbers": (Packed, ("o_proj", "down_proj")),
    "packed numbers everywhere": (Packed, ("proj", "lm_head")),
    "packed numbers in MLPs": (Packed, ("up_proj", "gate_proj")),
}


@pytest.mark.parametrize("name", QUANTISED)
def test_quantised_weights_are_read_with_their_scale_or_refused(name: str) -> None:
    kind, ends = QUANTISED[name]
    model = replace_linears(tiny_model("llama"), kind, *ends)
    fresh = plain(replace_linears(tiny_model("llama"), kind, *ends))
    right_or_refused(lambda: measured(opened(model)), fresh, "quanti|int8|whole|float|Whole|Packed")


def test_a_model_of_whole_numbers_alone_is_refused() -> None:
    model = tiny_model("llama")
    for parameter in model.parameters():
        parameter.requires_grad_(False)
        parameter.data = parameter.data.to(torch.int8)
    refused(lambda: measured(opened(model)), "int8|whole|quanti|float")


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.complex64])
def test_numbers_that_cannot_be_computed_with_are_refused(dtype: torch.dtype) -> None:
    model = tiny_model("llama")
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
    refused(lambda: measured(opened(model)), "float8|complex|float")


def on_meta(model: Any) -> Any:
    return model.to("meta")


def partly_on_meta(model: Any) -> Any:
    model.model.layers[1].to("meta")
    return model


def frequencies_on_meta(model: Any) -> Any:
    model.model.rotary_emb.to("meta")
    return model


@pytest.mark.parametrize("change", [on_meta, partly_on_meta, frequencies_on_meta])
def test_weights_that_are_nowhere_are_refused_by_name(change: Callable[[Any], Any]) -> None:
    refused(lambda: measured(opened(change(tiny_model("llama")))), "meta")


def classifier() -> nn.Module:
    config = AutoConfig.for_model("llama", **CONFIGS["llama"][1])
    return AutoModelForSequenceClassification.from_config(config)


def token_classifier() -> nn.Module:
    from transformers import LlamaForTokenClassification

    return LlamaForTokenClassification(AutoConfig.for_model("llama", **CONFIGS["llama"][1]))


def question_answerer() -> nn.Module:
    from transformers import LlamaForQuestionAnswering

    return LlamaForQuestionAnswering(AutoConfig.for_model("llama", **CONFIGS["llama"][1]))


def headless() -> nn.Module:
    return AutoModel.from_config(AutoConfig.for_model("llama", **CONFIGS["llama"][1]))


def without_embeddings() -> nn.Module:
    model: Any = tiny_model("llama")
    model.lm_head = nn.Identity()
    return model


def double_heads() -> nn.Module:
    from transformers import GPT2DoubleHeadsModel

    return GPT2DoubleHeadsModel(AutoConfig.for_model("gpt2", **CONFIGS["gpt2"][1]))


def gpt2_classifier() -> nn.Module:
    config = AutoConfig.for_model("gpt2", **CONFIGS["gpt2"][1])
    config.pad_token_id = 0
    return AutoModelForSequenceClassification.from_config(config)


def not_transformers() -> nn.Module:
    return nn.Sequential(nn.Embedding(61, 32), nn.Linear(32, 61))


def no_layers() -> nn.Module:
    config = AutoConfig.for_model("llama", **CONFIGS["llama"][1] | {"num_hidden_layers": 0})
    return type(tiny_model("llama"))(config)


KINDS_OF_MODEL = {
    "a classifier of sequences": (classifier, "head|classif|lm_head|unembed|causal"),
    "a classifier of sequences, GPT-2": (gpt2_classifier, "head|classif|lm_head|unembed|causal"),
    "a classifier of tokens": (token_classifier, "head|classif|lm_head|unembed|causal"),
    "an answerer of questions": (question_answerer, "head|lm_head|unembed|causal|module"),
    "a model without a head": (headless, "head|CausalLM|module"),
    "a model whose head was taken away": (without_embeddings, "head|unembed|Identity"),
    "no model of transformers": (
        not_transformers,
        "transformers|config|PreTrainedModel|architecture",
    ),
    "a model without layers": (no_layers, "layer"),
    "a list of parameters": (lambda: nn.ParameterList(), "transformers|config|architecture"),
}


@pytest.mark.parametrize("name", KINDS_OF_MODEL)
def test_another_kind_of_model_is_refused_by_what_it_is(name: str) -> None:
    make, words = KINDS_OF_MODEL[name]
    refused(lambda: measured(opened(make())), words)


def test_a_head_for_language_beside_another_is_used_or_refused() -> None:
    torch.manual_seed(0)
    model, fresh = double_heads(), double_heads()
    fresh.load_state_dict(model.state_dict())
    right_or_refused(lambda: measured(opened(model)), plain(fresh), "DoubleHeads|head")


@pytest.mark.parametrize("wrapper", [nn.DataParallel, lambda model: nn.Sequential(model)])
def test_a_model_in_a_wrapper_is_right_or_refused(wrapper: Callable[[Any], Any]) -> None:
    right_or_refused(
        lambda: measured(opened(wrapper(tiny_model("llama")))),
        plain(tiny_model("llama")),
        "DataParallel|Sequential|wrapp|config|transformers",
    )


def test_a_class_of_the_users_own_with_the_same_parts_is_right_or_refused() -> None:
    """A subclass whose forward does something more: here a temperature."""
    base: Any = type(tiny_model("llama"))

    class Sharper(base):  # type: ignore[misc]
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            out = super().forward(*args, **kwargs)
            out.logits = out.logits * 2
            return out

    def make() -> Any:
        model = tiny_model("llama")
        model.__class__ = Sharper
        return model

    right_or_refused(lambda: measured(opened(make())), plain(make()), "Sharper|forward|class")


# --- tokenizers ---------------------------------------------------------------------------------------


class Slow(PreTrainedTokenizer):  # type: ignore[misc]
    """A tokenizer without a fast form, as users write for their own toys."""

    vocab_files_names: dict[str, str] = {}  # noqa: RUF012

    def __init__(self, **settings: Any) -> None:
        self.words = {f"t{i}": i for i in range(61)}
        super().__init__(unk_token="t0", **settings)

    @property
    def vocab_size(self) -> int:
        return len(self.words)

    def get_vocab(self) -> dict[str, int]:
        return dict(self.words)

    def _tokenize(self, text: str, **settings: Any) -> list[str]:
        return text.split()

    def _convert_token_to_id(self, token: str) -> int:
        return self.words.get(token, 0)

    def _convert_id_to_token(self, index: int) -> str:
        return f"t{index}"


def words_file(folder: Path) -> str:
    path = folder / "words.txt"
    path.write_text(
        "\n\n".join(" ".join(f"t{(i * j) % 61}" for i in range(90)) for j in range(1, 40))
    )
    return str(path)


def test_a_tokenizer_without_a_fast_form_works_or_is_refused_by_name(tmp_path: Path) -> None:
    source = words_file(tmp_path)
    try:
        subject = load(tiny_model("llama"), tokenizer=Slow(), device="cpu")
        text = ux.text(source, subject, documents=2, fit_documents=1, block=16)
    except UnexplainedError as error:
        assert "tokenizer" in str(error).lower() and "fast" in str(error).lower()
        return
    assert text.eval


@pytest.mark.parametrize("what", [None, "gpt2", 3, dict])
def test_what_is_no_tokenizer_is_refused_by_name(what: Any) -> None:
    refused(lambda: load(tiny_model("llama"), tokenizer=what, device="cpu"), "tokenizer")


def test_a_bare_tokenizer_of_the_tokenizers_library_is_refused_by_name() -> None:
    bare = Tokenizer(models.WordLevel({f"t{i}": i for i in range(61)}, unk_token="t0"))
    refused(lambda: load(tiny_model("llama"), tokenizer=bare, device="cpu"), "tokenizer")


def test_a_tokenizer_with_added_tokens_that_the_model_does_not_embed_is_refused_or_never_uses_them(
    tmp_path: Path,
) -> None:
    """`vocab_size` does not count what was added: ids 61 and 62 would be out of range."""
    words = Tokenizer(models.WordLevel({f"t{i}": i for i in range(61)}, unk_token="t0"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="t0")
    tokenizer.add_tokens(["new1", "new2"])
    path = tmp_path / "new.txt"
    path.write_text(
        "\n\n".join(" ".join(["t1 t2 new1 t3 new2"] * 30) + f" t{j}" for j in range(1, 40))
    )

    def number() -> dict[str, float]:
        subject = load(tiny_model("llama"), tokenizer=tokenizer, device="cpu")
        text = ux.text(str(path), subject, documents=2, fit_documents=1, block=16)
        return loss(subject, text)

    refused(number, "new1|added|embed|token")


# --- sequences longer than the model has positions ------------------------------------------------------


def test_more_tokens_than_gpt2_has_positions_for_are_refused_by_name() -> None:
    subject = opened(tiny_model("gpt2"))
    refused(lambda: loss(subject, text_of(100, 80)), "position|64|100|longer")


def test_as_many_tokens_as_gpt2_has_positions_for_are_right() -> None:
    text = text_of(64, 30)
    right_or_refused(
        lambda: loss(opened(tiny_model("gpt2")), text), plain_loss(tiny_model("gpt2"), text), ""
    )


def test_a_text_is_cut_to_blocks_that_gpt2_can_read_or_refused(tmp_path: Path) -> None:
    subject = opened(tiny_model("gpt2"))
    source = words_file(tmp_path)
    refused(
        lambda: loss(subject, ux.text(source, subject, documents=2, fit_documents=1, block=80)),
        "position|64|longer|block",
    )


def test_a_pass_of_more_tokens_than_positions_is_refused_by_name() -> None:
    subject = opened(tiny_model("gpt2"))
    refused(lambda: subject.run(Batch.of(tokens(1, 65))), "position|64")
    prefix = subject.prefix(tokens(1, 60))
    refused(lambda: subject.run(Batch.of(tokens(1, 70)).since(60), prefix=prefix), "position|64")


def test_more_tokens_than_rotary_models_were_made_for_are_noted_or_right() -> None:
    """They can be computed; nothing is wrong with the number."""
    text = text_of(100, 80)
    right_or_refused(
        lambda: loss(opened(tiny_model("llama")), text),
        plain_loss(tiny_model("llama"), text),
        "position|64",
    )


@pytest.mark.parametrize("bad", [61, 10_000, -1])
def test_a_token_that_the_model_does_not_embed_is_refused_by_name(bad: int) -> None:
    text = text_of(9, 7)
    text.eval[0].tokens[3] = bad
    refused(lambda: loss(opened(tiny_model("llama")), text), f"token|{bad}")
