"""What cannot be opened says so: what was asked, what was found, what to do, and at once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kinds import (
    loss,
    measured,
    plain,
    plain_loss,
    refused,
    right_or_refused,
)
from tiny import tiny_model, tiny_tokenizer
from unexplained.errors import UnexplainedError
from unexplained.subject import load
from written import Settings, from_folder, write_folder, write_gguf

# --- folders ------------------------------------------------------------------------------------------


def text_in(name: str, content: bytes | str | None) -> Callable[[Path], object]:
    """A file of the folder with other content; None removes it."""

    def change(folder: Path) -> None:
        path = folder / name
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return change


def setting(**new: object) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | new))

    return change


def a_folder_in_its_place(name: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return change


def no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()


FOLDERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "an empty config.json": (text_in("config.json", ""), r"config\.json"),
    "a config.json that is cut off": (text_in("config.json", '{"model_type": '), r"config\.json"),
    "a config.json that is a list": (text_in("config.json", "[]"), r"config\.json"),
    "a config.json that is null": (text_in("config.json", "null"), r"config\.json"),
    "a config.json of {}": (text_in("config.json", "{}"), r"config\.json|model_type|architecture"),
    "a config.json in another encoding": (
        text_in("config.json", '{"model_type": "llamä"}'.encode("latin-1")),
        r"config\.json|llam",
    ),
    "a config.json of NULs": (text_in("config.json", bytes(40)), r"config\.json"),
    "a config.json that is a folder": (a_folder_in_its_place("config.json"), r"config\.json"),
    "a model_type that is a list": (setting(model_type=["llama"]), "model_type|architecture|famil"),
    "a model_type of null": (setting(model_type=None), "model_type|architecture|famil"),
    "a width that is a word": (setting(hidden_size="wide"), "hidden_size|wide|config"),
    "a negative number of layers": (
        setting(num_hidden_layers=-1),
        "num_hidden_layers|layers|-1|config",
    ),
    "no layers": (setting(num_hidden_layers=0), "layer"),
    "no heads": (setting(num_attention_heads=0), "head|config"),
    "heads that do not divide the width": (
        setting(num_attention_heads=5, num_key_value_heads=5),
        "head|divi|config|shape|size",
    ),
    "a tokenizer.json of {}": (text_in("tokenizer.json", "{}"), "tokenizer"),
    "an empty tokenizer.json": (text_in("tokenizer.json", ""), "tokenizer"),
    "a tokenizer.json that is cut off": (
        text_in("tokenizer.json", '{"version": "1.0", '),
        "tokenizer",
    ),
    "a tokenizer.json that is a list": (text_in("tokenizer.json", "[]"), "tokenizer"),
    "a tokenizer.json that is a pointer": (
        text_in("tokenizer.json", "version https://git-lfs.github.com/spec/v1\n"),
        "tokenizer",
    ),
    "an empty tokenizer_config.json": (text_in("tokenizer_config.json", ""), "tokenizer"),
    "no tokenizer at all": (no_tokenizer, "tokenizer"),
    "safetensors that are a folder": (a_folder_in_its_place("model.safetensors"), "safetensors"),
    "pickled weights alone": (
        lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"),
        "pickle",
    ),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_that_cannot_be_opened_says_what_is_wrong_with_it(
    name: str, tmp_path: Path
) -> None:
    change, words = FOLDERS[name]
    folder = write_folder(tmp_path / "model")
    change(folder)
    refused(lambda: measured(from_folder(folder)), words)


def test_a_byte_order_mark_before_the_configuration_is_read_or_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model")
    path = folder / "config.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    right_or_refused(
        lambda: measured(from_folder(folder)), plain(tiny_model("llama")), r"config\.json"
    )


def test_a_folder_without_a_tokenizer_opens_with_one_that_is_given(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", tokenizer=False)
    right_or_refused(
        lambda: measured(from_folder(folder, tokenizer=tiny_tokenizer())),
        plain(tiny_model("llama")),
        "",
    )


def unreadable_settings(settings: Settings) -> Settings:
    return settings | {"rope_parameters": "default"}


def test_settings_of_the_wrong_kind_are_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", settings=unreadable_settings)
    refused(lambda: measured(from_folder(folder)), "rope|config")


@pytest.mark.parametrize("space", ["a folder", "Modèle-π", "50%", "{x}", "-m", "a.gguf"])
def test_a_folder_of_any_name_opens(space: str, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / space)
    right_or_refused(lambda: loss(from_folder(folder)), plain_loss(tiny_model("llama")), "")


# --- names that are nowhere: at once, and about what was asked ----------------------------------------

PLACES = [
    "./nonexist",
    "../nonexist",
    "nonexist/",
    "/nonexist/model",
    "~/nonexist",
    "a/b/c",
    ".",
    "",
    " ",
]


@pytest.mark.parametrize("place", PLACES)
def test_a_place_that_is_not_there_is_refused_at_once(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No hub is asked: a path is a path."""
    monkeypatch.chdir(tmp_path)
    asked = _no_network(monkeypatch)
    started = time.perf_counter()
    refused(
        lambda: load(place, device="cpu"), r"no such|not there|not exist|there is no|has no|empty"
    )
    with pytest.raises(UnexplainedError, match=r"^(?!.*(the hub did|Repo id))"):
        load(place, device="cpu")
    assert time.perf_counter() - started < 2
    assert not asked


def _no_network(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every connection fails as where there is no network; who tried."""
    import socket

    asked: list[object] = []

    def refuse(*args: object, **kwargs: object) -> None:
        asked.append(args[:1])
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return asked


@pytest.mark.parametrize("name", ["nobody/nothing", "smolm2-135m", "gpt2"])
def test_a_hub_that_is_not_there_is_said_without_waiting(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub's client tries again five times, 1 + 2 + 4 + 8 + 8 seconds, which is no answer."""
    _no_network(monkeypatch)
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    refused(lambda: load(name, device="cpu"), f"{name}|hub|network|packaged")
    assert sum(waited) < 2, f"waited {sum(waited):g} s for a hub that is not there"


@pytest.mark.parametrize(
    "path", ["nobody.gguf", "./nobody.gguf", "nobody.safetensors", "config.json"]
)
def test_a_file_that_is_not_there_or_no_model_is_refused(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _no_network(monkeypatch)
    refused(lambda: load(path, device="cpu"), "no such file|there is no|not there|folder")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_file_of_a_model_folder_is_refused_with_the_advice_to_give_the_folder(
    name: str, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path / "model")
    refused(lambda: load(folder / name, device="cpu"), "folder")


@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGUF\x03\x00\x00\x00", b"no gguf at all" * 9])
def test_a_gguf_that_is_none_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "some.gguf"
    path.write_bytes(content)
    refused(lambda: load(path, tokenizer=tiny_tokenizer(), device="cpu"), r"some\.gguf")


@pytest.mark.parametrize("kept", [0.9, 0.5, 0.05])
def test_a_gguf_that_was_cut_off_is_refused(kept: float, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "some.gguf")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    refused(lambda: load(path, tokenizer=tiny_tokenizer(), device="cpu"), r"some\.gguf")


def test_a_gguf_without_a_tokenizer_says_so(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "some.gguf")
    refused(lambda: load(path, device="cpu"), "tokenizer")


def test_a_gguf_of_another_architecture_is_refused_by_name(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "some.gguf", architecture="mamba9")
    refused(lambda: load(path, tokenizer=tiny_tokenizer(), device="cpu"), "mamba9|architecture")


@pytest.mark.parametrize("source", [None, 3, b"llama", ["llama"], {}, object()])
def test_what_is_no_source_at_all_is_refused(source: Any) -> None:
    refused(lambda: load(source, device="cpu"), "model|name|path|folder")


def test_a_tokenizer_class_that_nobody_knows_is_read_as_its_file_says_or_refused(
    tmp_path: Path,
) -> None:
    folder = write_folder(tmp_path / "model")
    text_in("tokenizer_config.json", '{"tokenizer_class": "MineTokenizer"}')(folder)
    right = plain(tiny_model("llama"))
    right_or_refused(lambda: measured(from_folder(folder)), right, "tokenizer|Mine")
