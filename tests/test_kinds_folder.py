"""A model folder, a GGUF file and a wheel run nothing, reach nothing and ask for nothing huge."""

from __future__ import annotations

import ast
import io
import json
import os
import socket
import struct
import sys
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import unexplained
from kinds import loss, plain_loss, refused, right_or_refused
from limits import limited as limited
from tiny import tiny_model, tiny_tokenizer
from unexplained.subject import load
from unexplained.subject.gguf_header import require_sound
from written import from_folder, write_folder, write_gguf, write_index, write_shards

Change = Callable[[Path, Path], object]
"""A fault in a folder, and a place outside of it."""


# --- what leads out of the folder ---------------------------------------------------------------------


def link(name: str) -> Change:
    """A file of the folder lies outside, and a link stands in its place."""

    def change(folder: Path, outside: Path) -> None:
        there = outside / Path(name).name
        (folder / name).rename(there) if (folder / name).exists() else there.write_text("{}")
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to(there)

    return change


def pipe(name: str) -> Change:
    def change(folder: Path, outside: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).parent.mkdir(exist_ok=True)
        os.mkfifo(folder / name)

    return change


def leads_to(name: str, target: str) -> Change:
    def change(folder: Path, outside: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)

    return change


def bound_socket(folder: Path, outside: Path) -> None:
    """Bound by a short relative name: a socket's path may have 108 bytes at most."""
    (folder / "tokenizer.json").unlink()
    here = Path.cwd()
    os.chdir(folder)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("tokenizer.json")
    os.chdir(here)


def index_to(file: str, *, there: bool = True) -> Change:
    """The index sends one tensor to a file under another name, which holds it."""

    def change(folder: Path, outside: Path) -> None:
        whole = load_file(folder / "model.safetensors")
        (folder / "model.safetensors").unlink()
        name = sorted(whole)[0]
        rest = {key: value for key, value in whole.items() if key != name}
        save_file(rest, folder / "model-1.safetensors", metadata={"format": "pt"})
        target = folder / file.replace("OUTSIDE", str(outside))
        if there:
            target.parent.mkdir(parents=True, exist_ok=True)
            save_file({name: whole[name]}, target, metadata={"format": "pt"})
        write_index(folder, dict.fromkeys(rest, "model-1.safetensors") | {
            name: file.replace("OUTSIDE", str(outside))})  # fmt: skip

    return change


def setting(file: str = "config.json", **new: object) -> Change:
    def change(folder: Path, outside: Path) -> None:
        path = folder / file
        text = json.dumps(json.loads(path.read_text()) | new)
        path.write_text(text.replace("OUTSIDE", str(outside)))

    return change


def named(*changes: Change) -> Change:
    def change(folder: Path, outside: Path) -> None:
        for one in changes:
            one(folder, outside)

    return change


def other_weights(folder: Path, outside: Path) -> None:
    """Weights under another name beside pickled ones, which must not be opened."""
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    torch.save({}, folder / "pytorch_model.bin")


def moved(name: str) -> Change:
    """Moved outside, where nothing in the folder but a setting leads to."""
    return lambda folder, outside: (folder / name).rename(outside / name)


READ = [
    "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    "generation_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "merges.txt", "tokenizer.model", "spiece.model", "chat_template.jinja", "processor_config.json",
    "additional_chat_templates/tool.jinja", "model.safetensors.index.json",
]  # fmt: skip
"""Files that transformers opens where they are there."""

OUT_OF_IT: dict[str, Change] = {
    **{f"{name} is a link out of the folder": link(name) for name in READ},
    **{f"{name} is a pipe": pipe(name) for name in READ},
    "tokenizer.json is a link to a device": leads_to("tokenizer.json", "/dev/zero"),
    "config.json is a link to itself": leads_to("config.json", "config.json"),
    "model.safetensors leads nowhere": leads_to("model.safetensors", "nowhere"),
    "merges.txt is a link to /etc/passwd": leads_to("merges.txt", "/etc/passwd"),
    "tokenizer.json is a socket": bound_socket,
    "the index names a pickle": index_to("pytorch_model.bin"),
    "the index names a file above": index_to("../outside/m.safetensors"),
    "the index names a whole path": index_to("OUTSIDE/m.safetensors"),
    "the index names /etc/passwd": index_to("/etc/passwd", there=False),
    "the index names a file below": index_to("below/m.safetensors"),
    "the index names a file through a link": named(index_to("m.safetensors"), link("m.safetensors")),
    "the index names a zero byte": index_to("m\0.safetensors", there=False),
    "pickled weights beside safetensors of another name": other_weights,
    "transformers_weights in the settings": named(
        lambda folder, outside: (folder / "model.safetensors").rename(folder / "x.safetensors"),
        setting(transformers_weights="x.safetensors"),
    ),
    "transformers_weights outside": named(
        moved("model.safetensors"), setting(transformers_weights="../outside/model.safetensors")
    ),
    "tokenizer settings that name a tokenizer outside": named(
        moved("tokenizer.json"),
        setting("tokenizer_config.json", tokenizer_file="OUTSIDE/tokenizer.json"),
    ),
    "tokenizer settings that name a vocabulary outside": named(
        lambda folder, outside: (outside / "tokenizer.model").write_bytes(b"x"),
        setting("tokenizer_config.json", vocab_file="OUTSIDE/tokenizer.model"),
    ),
    "tokenizer settings with fast files outside": named(
        lambda folder, outside: (outside / "tokenizer.1.json").write_bytes(b"{}"),
        setting("tokenizer_config.json", fast_tokenizer_files=["../outside/tokenizer.1.json"]),
    ),
}  # fmt: skip


def faulty(tmp_path: Path, change: Change) -> Path:
    folder, outside = write_folder(tmp_path / "model"), tmp_path / "outside"
    outside.mkdir()
    change(folder, outside)
    return folder


@pytest.mark.parametrize("name", OUT_OF_IT)
def test_a_file_that_is_not_the_folders_own_is_refused_before_it_is_opened(
    name: str, tmp_path: Path
) -> None:
    folder = faulty(tmp_path, OUT_OF_IT[name])
    refused(
        lambda: from_folder(folder),
        r"link|pipe|leads|index|named? |transformers_weights|tokenizer_config|cannot be read|weights in safetensors",
    )


def test_a_hubs_cache_links_into_its_own_blobs_and_nowhere_else(tmp_path: Path) -> None:
    """models--a--b/{blobs,snapshots/<commit>}: links to blobs are how the hub keeps files."""
    kept = tmp_path / "models--a--b"
    folder = write_folder(kept / "snapshots" / "c0ffee")
    (kept / "blobs").mkdir()
    for path in list(folder.iterdir()):
        path.rename(kept / "blobs" / f"blob-of-{path.name}")
        path.symlink_to(Path("../../blobs") / f"blob-of-{path.name}")
    right_or_refused(lambda: loss(from_folder(folder)), plain_loss(tiny_model("llama")), "^$")
    other = tmp_path / "models--c--d" / "blobs"
    other.mkdir(parents=True)
    (kept / "blobs" / "blob-of-tokenizer.json").rename(other / "x")
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.json").symlink_to(other / "x")
    refused(lambda: from_folder(folder), "link out of the folder")


def test_links_within_the_folder_and_files_that_nobody_reads_are_let_be(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "weights.of.mine")
    (folder / "model.safetensors").symlink_to("weights.of.mine")
    (folder / "original").mkdir()
    (folder / ".git").symlink_to("/nonexistent")
    right_or_refused(lambda: loss(from_folder(folder)), plain_loss(tiny_model("llama")), "^$")


CONFIGS: dict[str, str | dict[str, object]] = {
    "not JSON": "word", "a list": "[]", "null": "null", "a number": "3", "100,000 deep": "[" * 10**5,
    "6,000 digits": '{"model_type": "llama", "hidden_size": ' + "1" * 6000 + "}",
    "an unknown activation": {"hidden_act": "nope"},
    "an activation that is a list": {"hidden_act": []},
    "an unknown rope": {"rope_parameters": {"rope_type": "nope", "rope_theta": 1e4}},
    "a rope that is a list": {"rope_parameters": []},
    "a rope that is a number": {"rope_scaling": 3},
    "an unknown type": {"model_type": "nope"},
    "a type that is a number": {"model_type": 3},
    "layers in words": {"num_hidden_layers": "three"},
    "layers and a half": {"num_hidden_layers": 2.5},
    "layers that are a list": {"num_hidden_layers": [3]},
    "a true number of heads": {"num_attention_heads": True},
    "a half as wide": {"hidden_size": 16},
    "other words": {"vocab_size": 7},
    "an epsilon in words": {"rms_norm_eps": "small"},
    "an adapter's settings": {"peft_type": "LORA", "quantization_config": {"quant_method": "bitsandbytes"}},
}  # fmt: skip


@pytest.mark.parametrize("name", CONFIGS)
def test_a_configuration_that_is_none_is_refused_in_three_parts(name: str, tmp_path: Path) -> None:
    folder, change = write_folder(tmp_path / "model"), CONFIGS[name]
    if isinstance(change, str):
        (folder / "config.json").write_text(change)
    else:
        setting(**change)(folder, folder)
    refused(lambda: loss(from_folder(folder)), "model folder|LlamaForCausalLM|rope")


# --- what would run code --------------------------------------------------------------------------------

CODE = "import pathlib\npathlib.Path(__file__ + '.ran').touch()\npathlib.Path('{}').touch()\n"

RUNS: dict[str, Callable[[Path], object]] = {
    "a configuration of its own": lambda folder: setting(
        auto_map={"AutoConfig": "mine.C", "AutoModelForCausalLM": "mine.M"}, model_type="mine"
    )(folder, folder),
    "a configuration of a known family": lambda folder: setting(
        auto_map={"AutoConfig": "mine.C", "AutoModelForCausalLM": "mine.M"}
    )(folder, folder),
    "a tokenizer of its own": lambda folder: setting(
        "tokenizer_config.json", tokenizer_class="Mine", auto_map={"AutoTokenizer": ["mine.T", "mine.T"]}
    )(folder, folder),
    "a tokenizer of its own on a hub": lambda folder: setting(
        "tokenizer_config.json", tokenizer_class="Mine", auto_map={"AutoTokenizer": ["a/b--mine.T", None]}
    )(folder, folder),
    "attention from a hub": lambda folder: setting(attn_implementation="some/kernel")(folder, folder),
    "generation of its own": lambda folder: (
        (folder / "custom_generate").mkdir(),
        (folder / "custom_generate" / "generate.py").write_text((folder / "mine.py").read_text()),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
def test_a_folders_code_is_not_run_and_nobody_is_asked_whether_to(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, ran = write_folder(tmp_path / "model"), tmp_path / "ran"
    (folder / "mine.py").write_text(CODE.replace("{}", str(ran)))
    RUNS[name](folder)
    asked: list[object] = []
    monkeypatch.setattr("builtins.input", lambda *words: asked.append(words) or "y")
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 9))
    monkeypatch.setattr(socket.socket, "connect", lambda *words: asked.append(words))
    right_or_refused(
        lambda: loss(from_folder(folder)),
        plain_loss(tiny_model("llama")),
        "architecture|custom code|repository",
    )
    assert not asked
    assert not ran.exists()
    assert not list(folder.rglob("*.ran"))


def test_code_of_others_is_refused_at_every_call() -> None:
    """A call without the word asks on the terminal whether code may be run."""
    root = Path(unexplained.__file__).parent
    calls = [
        call
        for path in root.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in ("from_pretrained", "from_config")
        and ast.unparse(call.func.value).startswith("Auto")
    ]
    said = [{word.arg: ast.unparse(word.value) for word in call.keywords} for call in calls]
    assert len(said) > 5
    assert all(words.get("trust_remote_code") == "False" for words in said)


def test_of_a_hubs_repository_only_what_is_read_is_fetched_and_then_read_as_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    from unexplained.subject import reading

    folder = write_folder(tmp_path / "models--a--b" / "snapshots" / "c0ffee")
    asked: dict[str, Any] = {}

    def fetched(source: str, **how: Any) -> str:
        asked.update(how, source=source)
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetched)
    monkeypatch.setattr(reading, "_only_here", lambda asked, source: True)
    subject = load("a/b", device="cpu")
    assert any("hub id a/b at c0ffee" in note for note in subject.notes)
    assert (asked["source"], asked["local_files_only"]) == ("a/b", True)
    for name in ("pytorch_model.bin", "modeling_mine.py", "tf_model.h5", "x/model.safetensors"):
        kept = any(fnmatch(name, pattern) for pattern in asked["allow_patterns"])
        assert not kept or any(fnmatch(name, pattern) for pattern in asked["ignore_patterns"])
    os.mkfifo(folder / "merges.txt")
    refused(lambda: load("a/b", device="cpu"), "The model 'a/b'.*merges.txt is a pipe")


def test_what_lies_beside_a_gguf_file_is_not_read(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "some.gguf")
    for name in ("adapter_config.json", "tokenizer_config.json", "generation_config.json"):
        (tmp_path / name).write_text(
            '{"base_model_name_or_path": 3, "auto_map": {"AutoTokenizer": "x.Y"}'
        )
    right_or_refused(
        lambda: loss(load(path, tokenizer=tiny_tokenizer(), device="cpu")),
        plain_loss(tiny_model("llama")), "^$",
    )  # fmt: skip


# --- sizes ------------------------------------------------------------------------------------------------

BILLION = 10**9
HUGE: dict[str, dict[str, object]] = {
    "layers": {"num_hidden_layers": BILLION},
    "a vocabulary": {"vocab_size": BILLION},
    "a width": {"hidden_size": BILLION},
    "a width of 19 digits": {"hidden_size": 10**18},
    "a width beyond 64 bits": {"hidden_size": 10**30},
    "an inner width": {"intermediate_size": BILLION},
    "heads": {"num_attention_heads": BILLION, "num_key_value_heads": BILLION},
    "keys and values": {"num_key_value_heads": BILLION},
    "a head": {"head_dim": BILLION},
    "labels": {"num_labels": BILLION},
    "everything, a little": {"vocab_size": 2**20, "hidden_size": 2**14},
}


@pytest.mark.parametrize("name", HUGE)
def test_a_configuration_larger_than_its_files_is_refused_before_memory_is_taken(
    name: str, tmp_path: Path
) -> None:
    folder = faulty(tmp_path, setting(**HUGE[name]))
    refused(
        lambda: from_folder(folder), "|".join([*HUGE[name], "numbers", "sizes", "heads", "int"])
    )


def header(entries: int = 0, tensors: int = 0, rest: bytes = b"", version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, entries) + rest + bytes(64)


def entry(name: str, kind: int, value: bytes) -> bytes:
    return struct.pack("<Q", len(name)) + name.encode() + struct.pack("<I", kind) + value


def tensor(*shape: int, kind: int = 0, begins: int = 0) -> bytes:
    return (struct.pack("<Q", 1) + b"t" + struct.pack("<I", len(shape))
            + b"".join(struct.pack("<Q", size) for size in shape) + struct.pack("<IQ", kind, begins))  # fmt: skip


def listed(kind: int, count: int) -> bytes:
    return struct.pack("<IQ", kind, count)


GGUFS: dict[str, bytes] = {
    "a billion tensors": header(tensors=BILLION),
    "a billion entries": header(entries=BILLION),
    "2^63 entries": header(entries=2**63),
    "a billion bytes of a name": header(entries=1, rest=struct.pack("<Q", BILLION)),
    "2^64 - 1 bytes of a name": header(entries=1, rest=struct.pack("<Q", 2**64 - 1)),
    "a billion bytes of a text": header(1, 0, entry("a", 8, struct.pack("<Q", BILLION))),
    "a list of a billion bytes": header(1, 0, entry("a", 9, listed(0, BILLION))),
    "a list of a billion texts": header(1, 0, entry("a", 9, listed(8, BILLION))),
    "a list of a billion lists": header(1, 0, entry("a", 9, listed(9, BILLION))),
    "a list of nothing known": header(1, 0, entry("a", 9, listed(99, BILLION))),
    "a list of five million bytes": header(1, 0, entry("a", 9, listed(0, 5_000_000) + bytes(5_000_000))),
    "an entry of an unknown type": header(1, 0, entry("a", 99, b"")),
    "a billion dimensions": header(0, 1, struct.pack("<Q", 1) + b"t" + struct.pack("<I", BILLION)),
    "a tensor of 2^40 numbers": header(0, 1, tensor(2**20, 2**20)),
    "a tensor of 2^252 numbers": header(0, 1, tensor(*[2**63] * 4)),
    "a tensor that begins after the end": header(0, 1, tensor(4, begins=BILLION)),
    "a tensor of an unknown type": header(0, 1, tensor(4, kind=999)),
    "a version of a billion": header(version=BILLION),
    "the other byte order": header(version=3 << 24),
    "no bytes at all": b"",
}  # fmt: skip


@pytest.mark.parametrize("name", GGUFS)
def test_a_gguf_that_counts_more_than_it_holds_is_refused_at_once(
    name: str, tmp_path: Path
) -> None:
    path = tmp_path / "some.gguf"
    path.write_bytes(GGUFS[name])
    refused(lambda: require_sound(path), r"some\.gguf")  # before a reader that believes it
    refused(lambda: load(path, tokenizer=tiny_tokenizer(), device="cpu"), r"some\.gguf")


@pytest.mark.parametrize(
    "key", ["block_count", "embedding_length", "feed_forward_length", "vocab_size",
            "attention.head_count", "attention.head_count_kv", "expert_count"],
)  # fmt: skip
def test_a_gguf_whose_entries_are_larger_than_its_tensors_is_refused(
    key: str, tmp_path: Path
) -> None:
    path = write_gguf(tmp_path / "some.gguf", settings={f"llama.{key}": BILLION} if key == "expert_count" else None)  # fmt: skip
    if key != "expert_count":
        change_entry(path, f"llama.{key}", BILLION)
    refused(lambda: load(path, tokenizer=tiny_tokenizer(), device="cpu"), r"some\.gguf")


def change_entry(path: Path, name: str, value: int) -> None:
    """Another 32-bit value in the place of an entry's own."""
    data = bytearray(path.read_bytes())
    at = data.index(name.encode()) + len(name)
    assert data[at : at + 4] == struct.pack("<I", 4), "it is 32 bits"
    data[at + 4 : at + 8] = struct.pack("<I", value)
    path.write_bytes(bytes(data))


def safetensors(header: Any, *, length: int | None = None, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


SAFETENSORS: dict[str, bytes] = {
    "a header of 2^63 bytes": safetensors({}, length=2**63),
    "a header of a billion bytes": safetensors({}, length=BILLION),
    "a tensor beyond the end": safetensors({"w": {"dtype": "F32", "shape": [BILLION], "data_offsets": [0, 4 * BILLION]}}),
    "a shape of 2^70": safetensors({"w": {"dtype": "F32", "shape": [2**35, 2**35], "data_offsets": [0, 4]}}, data=bytes(4)),
    "a negative size": safetensors({"w": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, data=bytes(4)),
    "offsets that go back": safetensors({"w": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}, data=bytes(4)),
    "a header that is a list": safetensors([]),
    "a header nested ten thousand deep": safetensors(b"[" * 10_000 + b"]" * 10_000),
    "integers": safetensors({"w": {"dtype": "I64", "shape": [1], "data_offsets": [0, 8]}}, data=bytes(8)),
    "flags": safetensors({"w": {"dtype": "BOOL", "shape": [1], "data_offsets": [0, 1]}}, data=bytes(1)),
}  # fmt: skip


@pytest.mark.parametrize("name", SAFETENSORS)
def test_a_safetensors_header_that_cannot_be_is_refused(name: str, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model")
    (folder / "model.safetensors").write_bytes(SAFETENSORS[name])
    refused(lambda: from_folder(folder), r"model\.safetensors|tensor|layers")


NO_INDEX = [
    "[]",
    "null",
    "{}",
    '{"weight_map": []}',
    '{"weight_map": {}}',
    "[" * 10**5,
    "1" * 6000,
    "",
]


@pytest.mark.parametrize("content", NO_INDEX, ids=lambda content: content[:20])
def test_an_index_that_is_none_is_refused(content: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write_shards(folder)
    (folder / "model.safetensors.index.json").write_text(content)
    refused(lambda: from_folder(folder), r"index")
