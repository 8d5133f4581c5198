"""What the fuzzer tries: command lines, configurations, records, units, pairs, graphs, explanations."""

from __future__ import annotations

import json
import os
import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from hypothesis import strategies as st

import unexplained as ux
from fuzzing import (
    CLEAR,
    DELETE,
    RAW,
    RIGHT,
    Box,
    Finding,
    Outcome,
    Strategy,
    changed,
    clear,
    commanded,
    guarded,
    written_json,
)
from sample_blocks import SAMPLES
from tiny import VOCABULARY, tiny_model, tiny_subject, tiny_tokenizer

ODD = st.sampled_from(
    [DELETE, None, True, False, 0, -1, 2, 0.5, "0.5", "x", "", "[/bold]", "\x1b]0;x\x07", "\u202e", [],
     {}, [[]], 1e308, -1e308, float("nan"), 10**18, *RAW]
)  # fmt: skip
"""Values that stand where others should."""
FITS = st.sampled_from([0.25, -3, 1e-300, True, False, 10**17 + 1])
"""Values that may stand where a number or a truth value does."""
WHERE = st.integers(0, 10**6)
CHANGES = st.lists(st.tuples(WHERE, ODD), min_size=1, max_size=3)


def lines(path: Path, rows: list[Any]) -> None:
    """A .jsonl file."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def words(draw: random.Random, count: int) -> str:
    """Words of the tiny tokenizer."""
    return " ".join(f"t{draw.randrange(1, 61)}" for _ in range(count))


def same(one: Any, other: Any) -> bool:
    """Equal, and of one kind: 1 and 1.0 are, 1 and true are not."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return (type(one) is type(other) and one == other) or (
        isinstance(one, int | float) and isinstance(other, int | float) and one == other
    )  # fmt: skip


def guarded_clear(box: Box, attempt: Any) -> Outcome:
    """`clear`, with nothing outside touched."""
    with guarded(box):
        return clear(attempt)


# --- records --------------------------------------------------------------------------------------


def _records(box: Box) -> None:
    box.known["records"] = [json.loads(sample().to_json()) for sample in SAMPLES.values()]


def _try_record(box: Box, case: tuple[int, list[tuple[int, Any]]]) -> Outcome:
    number, changes = case
    box.fresh()
    data = box.known["records"][number % len(box.known["records"])]
    for where, new in changes:
        data = changed(data, where, new)
    text = written_json(data)
    Path("r.json").write_text(text, encoding="utf-8")
    with guarded(box):
        code, _ = commanded(["report", "r.json", "--out", "r.html"])
    if code:
        return CLEAR
    given = json.loads(text)
    read = json.loads(ux.load_record("r.json").to_json())
    for path in _leaves(given):
        if not same(_at(given, path), _at(read, path)):
            raise Finding("a record's value was read as another")
    if "\x1b" in Path("r.html").read_text(encoding="utf-8"):
        raise Finding("a control character is in the page")
    return RIGHT


def _leaves(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if not isinstance(data, dict | list) or not data:
        return [path]
    items = data.items() if isinstance(data, dict) else enumerate(data)
    return [leaf for key, value in items for leaf in _leaves(value, (*path, key))]


def _at(data: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        try:
            data = data[key]
        except (KeyError, IndexError, TypeError):
            return "\0missing"
    return data


# --- configurations -------------------------------------------------------------------------------

KEYS = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "num_key_value_heads", "max_position_embeddings", "rms_norm_eps", "rope_theta", "rope_scaling",
        "rope_parameters", "hidden_act", "model_type", "architectures", "vocab_size", "torch_dtype",
        "dtype", "tie_word_embeddings", "attention_bias", "mlp_bias", "head_dim", "auto_map",
        "quantization_config", "attention_dropout", "initializer_range", "eos_token_id", "use_cache",
        "pretraining_tp", "sliding_window", "layer_types", "is_decoder", "return_dict",
        "output_attentions", "transformers_version", "id2label", "num_labels", "pad_token_id",
        "attn_implementation", "_attn_implementation", "use_return_dict")  # fmt: skip
SETTINGS = st.one_of(
    ODD.filter(lambda value: value not in (10**18, *RAW)),
    st.sampled_from([3, 7, 64, "gelu", "relu", "nope", {"rope_type": "linear", "factor": 2.0},
                     {"rope_type": "nope"}, {"rope_theta": 5.0, "rope_type": "default"},
                     ["full_attention"] * 3, ["GPT2LMHeadModel"], ["LlamaModel"], "gpt2", "mistral",
                     "float16", "bfloat16", "int8", {"AutoModelForCausalLM": "evil.Model"}, 1e-9]),
)  # fmt: skip
_SOME = st.lists(st.tuples(st.sampled_from(KEYS), SETTINGS), min_size=1, max_size=2)
CONFIGS = st.one_of(
    *[_SOME] * 8,
    st.sampled_from(["", "null", "[]", "{", "1", '"llama"', "[" * 50_000, '{"a": ' * 50_000,
                     "9" * 6_000, "\ufeff{}", "NaN"]),
    st.binary(max_size=30),
)  # fmt: skip


def _folder(box: Box) -> None:
    from written import write_folder

    box.known["folder"] = write_folder(box.root / "kept")


def _try_config(box: Box, case: Any) -> Outcome:
    box.fresh()
    shutil.copytree(box.known["folder"], "model")
    path = Path("model/config.json")
    if isinstance(case, list):
        settings = json.loads(path.read_text())
        for key, value in case:
            settings[key] = value
            if value == DELETE:
                settings.pop(key)
        path.write_text(written_json(settings))
    else:
        path.write_bytes(case if isinstance(case, bytes) else case.encode())
    opened: list[Any] = []
    # No file of the model may be asked for from a terminal.
    with mock.patch("builtins.input", side_effect=Finding("a question was asked")):
        outcome = guarded_clear(
            box, lambda: opened.append(ux.load(str(Path("model").absolute()), device="cpu"))
        )
    if outcome == RIGHT:
        _same_as_plain(opened[0])
    return outcome


def _same_as_plain(subject: Any) -> None:
    """The losses of an opened folder are those of transformers by itself."""
    from transformers import AutoModelForCausalLM

    from kinds import TEXT
    from unexplained.evaluate import evaluate

    try:
        found = evaluate(subject, TEXT, []).sums("intact").per_token()
    except ux.UnexplainedError:
        return
    plain = AutoModelForCausalLM.from_pretrained(
        "model", attn_implementation="eager", dtype=torch.float32
    ).eval()
    losses = []
    for block in TEXT.eval:
        tokens = torch.from_numpy(block.tokens).long()[None]
        with torch.no_grad():
            logits = plain(tokens, use_cache=False).logits[0, :-1].double()
        losses.append(torch.nn.functional.cross_entropy(logits, tokens[0, 1:], reduction="none"))
    wanted = float(torch.cat(losses).mean())
    if not abs(found - wanted) < 1e-4:
        raise Finding("the loss is not that of plain transformers")


# --- units ----------------------------------------------------------------------------------------

UNITS = st.tuples(
    st.sampled_from(["flip", "cut", "empty", "noise", "another's", "beside", "rows", "null", "double",
                     "nan", "twice", "reversed", "folder", "gone", "column"]),
    WHERE, WHERE,
)  # fmt: skip


def _units(box: Box) -> None:
    from kinds import TEXT, zeroed

    box.known.update(
        subject=tiny_subject("llama"), text=TEXT, asked=[zeroed("mlp"), zeroed("head.z")]
    )
    kept = box.root / "units"
    box.known["whole"] = _measured(box, kept)
    box.known["kept"] = kept


def _measured(box: Box, folder: Path) -> Any:
    from unexplained.evaluate import evaluate

    known = box.known
    return evaluate(
        known["subject"], known["text"], known["asked"], folder=folder, batch_tokens=24,
        keep_tokens=["intact"],
    )  # fmt: skip


def _try_unit(box: Box, case: tuple[str, int, int]) -> Outcome:
    box.fresh()
    shutil.copytree(box.known["kept"], "units")
    files = sorted(Path("units").rglob("*.parquet"))
    how, which, where = case
    damage(how, files[which % len(files)], files[where % len(files)], where)
    found: list[Any] = []
    outcome = guarded_clear(box, lambda: found.append(_measured(box, box.here / "units")))
    if found:
        whole = box.known["whole"]
        if not found[0].table.equals(whole.table) or not found[0].tokens.equals(whole.tokens):
            raise Finding(f"a damaged unit gave another ledger without a word ({how})")
    return outcome


def damage(how: str, file: Path, other: Path, where: int) -> None:
    """Make a kept unit something else than what was written."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    raw = bytearray(file.read_bytes())
    if how == "flip":
        raw[where % len(raw)] ^= 1 << where % 8
        file.write_bytes(raw)
    elif how == "cut":
        file.write_bytes(raw[: where % len(raw)])
    elif how in ("empty", "noise"):
        file.write_bytes(b"" if how == "empty" else random.Random(where).randbytes(len(raw)))
    elif how == "another's":
        file.write_bytes(other.read_bytes())
    elif how == "beside":
        (file.parent / f"{other.stem[:-3]}000.parquet").write_bytes(raw)
    elif how in ("gone", "folder"):
        file.unlink()
        if how == "folder":
            file.mkdir()
    else:
        table = pq.read_table(file)
        numbers = [n for n, one in enumerate(table.schema) if pa.types.is_floating(one.type)]
        number = numbers[where % len(numbers)] if numbers else 0
        if not numbers and how in ("null", "double", "nan"):
            how = "column"
        column = table.column(number).to_numpy() if numbers else np.zeros(len(table))
        kind = table.schema.field(number)
        if how not in ("null", "double", "nan"):
            new = None
        elif how == "null":
            new = pa.array([None] * len(column), kind.type)
        else:
            new = pa.array(column * 2 if how == "double" else column * np.nan, kind.type)
        if how in ("null", "double", "nan"):
            table = table.set_column(number, kind.name, new)
        elif how == "rows":
            table = table.slice(0, where % max(1, len(table)))
        elif how == "twice":
            table = pa.concat_tables([table, table])
        elif how == "reversed":
            table = table.take(list(range(len(table)))[::-1])
        else:
            table = table.remove_column(number)
        pq.write_table(table, file)


# --- pairs and texts ------------------------------------------------------------------------------

FILES = st.tuples(
    st.sampled_from(["pairs", "text", "txt"]),
    st.one_of(
        st.lists(st.tuples(WHERE, ODD), min_size=1, max_size=2),
        st.tuples(WHERE, st.binary(min_size=1, max_size=6)),
        st.sampled_from(["fifo", "folder", "empty", "cut", "loop", "crlf"]),
    ),
)


def _files(box: Box) -> None:
    draw = random.Random(0)
    box.known["subject"] = tiny_subject("llama")
    box.known["pairs"] = [
        {"clean": f"t{i} t{i + 1} t40", "corrupted": f"t{i} t{i + 9} t40", "answer": f" t{i + 2}",
         "wrong": f" t{i + 5}"} for i in range(1, 20)
    ]  # fmt: skip
    box.known["text"] = [{"text": words(draw, 30)} for _ in range(60)]


def _try_file(box: Box, case: tuple[str, Any]) -> Outcome:
    box.fresh()
    kind, change = case
    rows = box.known["pairs" if kind == "pairs" else "text"]
    path = Path("mine.txt" if kind == "txt" else "mine.jsonl")
    if isinstance(change, list):
        for where, new in change:
            rows = changed(rows, where, new)
    text = "".join((row["text"] + "\n\n" if kind == "txt" and isinstance(row, dict) and isinstance(
        row.get("text"), str) else written_json(row) + "\n") for row in rows)  # fmt: skip
    raw = text.encode("utf-8", "surrogatepass")
    if isinstance(change, tuple):
        place = change[0] % len(raw)
        raw = raw[:place] + change[1] + raw[place + len(change[1]) :]
    if change == "fifo":
        os.mkfifo(path)
    elif change == "folder":
        path.mkdir()
    elif change == "loop":
        path.symlink_to(path)
    else:
        raw = {"empty": b"", "cut": raw[:-9], "crlf": raw.replace(b"\n", b"\r\n")}.get(
            change if isinstance(change, str) else "", raw
        )
        path.write_bytes(raw)
    found: list[Any] = []
    subject = box.known["subject"]
    if kind == "pairs":
        outcome = guarded_clear(
            box, lambda: found.append(ux.pairs(str(path), subject, pairs=100, fit_pairs=0))
        )
    else:
        outcome = guarded_clear(
            box,
            lambda: found.append(
                ux.text(str(path), subject, documents=4, fit_documents=4, block=12)
            ),
        )
    if found:
        _words_are_the_files(kind, raw, found[0])
    return outcome


def _words_are_the_files(kind: str, raw: bytes, text: Any) -> None:
    """Every prompt that is measured is in the file, read anew: role-swaps have both changed about."""

    def cut(string: str) -> tuple[int, ...]:
        return tuple(tiny_tokenizer()(string, add_special_tokens=False)["input_ids"])

    whole = raw.decode("utf-8").removeprefix("\ufeff")
    if kind == "txt":
        everything = cut(whole)
        there = {everything[i : i + 12] for i in range(len(everything))}
        if any(tuple(block.tokens.tolist()) not in there for block in text.eval):
            raise Finding("a document is not in its file")
        return
    rows = [json.loads(line) for line in whole.split("\n") if line.strip()]
    if kind == "text":
        begins = {cut(row["text"])[:12] for row in rows}
        if any(tuple(block.tokens.tolist()) not in begins for block in text.eval):
            raise Finding("a document is not in its file")
        return
    there = set()
    for row in rows:
        clean, corrupted = cut(row["clean"]), cut(row["corrupted"])
        answer, wrong = cut(row["answer"])[-1], cut(row["wrong"])[-1]
        there |= {(clean, corrupted, answer, wrong), (corrupted, clean, wrong, answer)}
    for pair in text.eval:
        one = (tuple(pair.tokens.tolist()), tuple(pair.corrupted.tolist()), pair.answer, pair.wrong)
        if one not in there:
            raise Finding("a pair is not in its file")


# --- graphs ---------------------------------------------------------------------------------------


def _graphs(box: Box) -> None:
    from unexplained.circuits import Graph
    from unexplained.circuits.mib import save_mib

    subject = tiny_subject("llama")
    graph = Graph.of(subject.shape, parallel=False)
    save_mib(box.root / "kept.json", graph, np.random.default_rng(0).normal(size=graph.edges))
    box.known["graph"] = graph
    box.known["data"] = json.loads((box.root / "kept.json").read_text())


GRAPHS = st.tuples(
    st.lists(
        st.tuples(
            st.sampled_from(["cfg", "nodes", "edges", "edges", ""]), WHERE, st.one_of(ODD, FITS)
        ),
        min_size=1,
        max_size=2,
    ),
    st.sampled_from(["", "", "", "fifo", "cut", "latin"]),
)


def _try_graph(box: Box, case: tuple[list[tuple[str, int, Any]], str]) -> Outcome:
    from unexplained.circuits.mib import load_mib

    box.fresh()
    changes, how = case
    data = dict(box.known["data"])
    for part, where, new in changes:
        if part and isinstance(data.get(part), dict):
            data[part] = changed(data[part], where, new)
        elif not part:
            data = changed(data, where % 3 if how else where, new)
    text = written_json(data)
    path = Path("g.json")
    if how == "fifo":
        os.mkfifo(path)
    else:
        raw = text.encode()
        path.write_bytes({"cut": raw[:-7], "latin": b"\xe4" + raw}.get(how, raw))
    found: list[Any] = []
    outcome = guarded_clear(box, lambda: found.append(load_mib(path, box.known["graph"])))
    if found:
        edges = json.loads(text)["edges"]
        for number, score in enumerate(found[0].scores):
            given = edges.get(box.known["graph"].name(number), {"in_graph": False})
            if "score" in given and not same(given["score"], float(score)):
                raise Finding("an edge's score was read as another")
            if "score" not in given and score == score:
                raise Finding("an edge without a score was given one")
            if given["in_graph"] != bool(found[0].in_graph[number]):
                raise Finding("an edge's place in the circuit was read as another")
    return outcome


# --- explanations ---------------------------------------------------------------------------------

BODIES = (
    "return patterns.previous(view.tokens)",
    "return 0 * patterns.previous(view.tokens)",
    "view.tokens.fill_(5); return patterns.previous(view.tokens)",
    "view.pattern.zero_(); return view.pattern",
    "view.pattern.mul_(0.5); return patterns.previous(view.tokens)",
    "STATE.append(1); return patterns.previous(view.tokens) * (len(STATE) % 2)",
    "HELD.add_(0.1); return HELD.clamp(0, 1) * patterns.previous(view.tokens)",
    "return patterns.previous(view.tokens)[:1]",
    "return patterns.previous(view.tokens).double()",
    "return patterns.previous(view.tokens).bool()",
    "return patterns.previous(view.tokens).to(torch.complex64)",
    "return patterns.previous(view.tokens).to_sparse()",
    "return patterns.previous(view.tokens).to('meta')",
    "return patterns.previous(view.tokens).long()",
    "return patterns.previous(view.tokens).half()",
    "return patterns.previous(view.tokens).numpy()",
    "return patterns.previous(view.tokens) * float('nan')",
    "return -patterns.previous(view.tokens)",
    "return patterns.previous(view.tokens).mT",
    "return None",
    "import sys; sys.exit(0)",
    "raise SystemExit(0)",
    "raise KeyError('\\x1b]0;x')",
    "return rule(view)",
    "return open('/etc/hostname').read()",
    "return torch.rand(1)",
    "return view.nothing",
    "return view.site('L9.mlp')",
    "return view.z",
    "return torch.nn.Parameter(patterns.previous(view.tokens))",
    "return patterns.previous(view.tokens).expand(-1, -1, -1)",
    "return torch.tensor([[1.0]])",
    "return patterns.previous(view.tokens) + torch.tensor(0.0, requires_grad=True)",
    "return patterns.previous(view.tokens).refine_names('a', 'b', 'c')",
    "torch.set_default_dtype(torch.float64); return patterns.previous(view.tokens)",
    "torch.manual_seed(0); return patterns.previous(view.tokens)",
    "return patterns.previous(view.tokens[:, :3])",
    "return view._local.tokens.fill_(0)",
    "os.remove('../outside/victim.json'); return patterns.previous(view.tokens)",
)
TOPS = (
    *[""] * 60, "import sys; sys.exit(0)", "1 +", "\x00", "raise 5",
    "STATE = open('number.txt').read()", "view = 1",
    "class rule: pass", "rule = None", "del ux", "import nothing_of_that_name", "def f(): f()\nf()",
    "raise RecursionError", "raise MemoryError", "assert False, '[/bold]'", "__doc__ = 5",
    "import os as torch", "patterns = 5", "(" * 300, "-" * 30000 + "1",
)  # fmt: skip
EXPLANATIONS = st.tuples(
    st.sampled_from(BODIES),
    st.sampled_from(TOPS),
    st.sampled_from([*["pattern"] * 20, "z", "logits", "out", "nope", "v"]),
    st.sampled_from(
        [
            *[("tokens",), ("tokens", "pattern"), ("tokens", "pattern", "z")] * 8,
            ("tokens", "L9.mlp"),
            (),
            ("nope",),
        ]
    ),
)
SOURCE = '''
import os
import torch
import unexplained as ux
from unexplained.explanations import patterns

STATE = []
HELD = torch.zeros(1)
{top}

@ux.explanation(gives="{gives}", reads={reads})
def rule(view):
    """A rule."""
    {body}
'''


def _explained(box: Box) -> None:
    from kinds import TEXT

    box.known.update(subject=tiny_subject("llama"), text=TEXT)
    before = ux.LIBRARY.get("previous_token")
    box.known["honest"] = before
    box.known["alone"] = _sums(box, [])


def _sums(box: Box, more: list[Any]) -> dict[str, float]:
    from unexplained.evaluate import evaluate, observe
    from unexplained.explanations.fit import fit, sites_to_observe

    subject, text = box.known["subject"], box.known["text"]
    made = []
    for one in [*more, box.known["honest"]]:
        claim = one.at("L1.H2")
        sites = claim.sites(subject.shape)
        seen = observe(subject, text, sites_to_observe(one, sites, subject.shape), part="fit")
        name = "fuzzed" if one in more else "honest"
        made.append(replace(fit(claim, subject.shape, seen, 0).condition(), name=name))
    found = evaluate(subject, text, made)
    return {name: found.sums(name).per_token() for name in found.conditions}


def _try_explanation(box: Box, case: tuple[str, str, str, tuple[str, ...]]) -> Outcome:
    from unexplained.explanations.files import find_explanation

    box.fresh()
    body, top, gives, reads = case
    body = "\n    ".join(body.split("; "))
    source = SOURCE.format(body=body, top=top, gives=gives, reads=list(reads))
    Path("claims.py").write_text(source, encoding="utf-8")
    Path("number.txt").write_text("1")
    found: list[dict[str, float]] = []
    before = (torch.get_default_dtype(), torch.is_grad_enabled())

    def attempt() -> None:
        (one,) = find_explanation("claims.py")
        found.extend([_sums(box, [one]), _sums(box, [one])])

    try:
        outcome = guarded_clear(box, attempt)
        if (torch.get_default_dtype(), torch.is_grad_enabled()) != before:
            raise Finding("a setting of torch stayed changed")
    finally:
        torch.set_default_dtype(before[0])
        torch.set_grad_enabled(before[1])
    if found:
        if found[0] != found[1]:
            raise Finding("measured twice it gives two numbers")
        if any(found[0][name] != value for name, value in box.known["alone"].items()):
            raise Finding("another condition's number was changed")
    return outcome


# --- command lines --------------------------------------------------------------------------------

SMALL = {
    "sweep": ["sweep", "tiny", "L0.H0-1", "--text", "mine.jsonl", "--documents", "10",
              "--fit-documents", "4", "--block", "12", "--pairs", "0"],
    "assay": ["assay", "tiny", "--heads", "L0.H0", "--no-twin", "--singles", "0", "--text",
              "mine.jsonl", "--documents", "4", "--fit-documents", "4", "--block", "12",
              "--explanation", "previous_token"],
    "heads": ["heads", "tiny", "--documents", "4", "--block", "12", "--no-twin"],
    "rewrite": ["rewrite", "tiny", "--sites", "L0.H0-1", "--text", "mine.jsonl", "--documents", "4",
                "--fit-documents", "4", "--block", "12", "--draws", "1"],
    "circuit": ["circuit", "tiny", "--text", "pairs.jsonl", "--pairs", "6", "--fit-pairs", "4",
                "--no-gate", "--draws", "1", "--method", "eap"],
    "gap": ["gap", "tiny", "--weak", "small", "--by", "tiny-2", "small-2", "--text", "mine.jsonl",
            "--documents", "4", "--fit-documents", "4", "--block", "12"],
    "tasks": ["tasks", "tiny", "--sites", "L0.H0", "--text", "mine.jsonl", "--documents", "10",
              "--fit-documents", "4", "--block", "12"],
    "report": ["report", "kept.json", "--out", "o.html"],
    "curve": ["bars", "curve", "a=1e15", "b=1e16", "c=1e17", "--text", "mine.jsonl"],
    "models": ["models", "get", "nope"],
    "texts": ["texts", "get", "nope"],
    "behaviours": ["behaviours"],
    "explanations": ["explanations"],
}  # fmt: skip
"""Command lines that work, small: fuzzed options come after these and win."""
COUNTS = (
    "-1",
    "0",
    "1",
    "2",
    "5",
    "nan",
    "inf",
    "1e3",
    "x",
    "",
    " ",
    "３",
    "-9" * 20,
    "1.5",
    "[/b]",
)
BOUNDED = ("draws", "steps", "workers", "keep", "top", "singles", "pairs", "fit_pairs", "ablate",
           "documents", "fit_documents", "block", "show", "sample", "fit-pairs")  # fmt: skip
NAMES = ("", " ", "x", "mine.jsonl", "pairs.jsonl", "claims.py", "claims.py:nope", "a folder", "fifo",
         "loop", "missing.json", "kept.json", "L0.H0", "L9.H9", "L*.H*", "mean", "loss", "strict_induction",
         "[/bold].json", "\x1b]0;x\x07.json", "link.json", "claims.py/x", "n" * 300, "o.out", "o.out",
         "../here/new/o.json", "\u202egnp.json", "~", "-", "%s", "{x}", "ioi", "nan", "-1")  # fmt: skip
LINES = st.tuples(
    st.sampled_from(sorted(SMALL)),
    st.lists(
        st.tuples(
            WHERE, st.sampled_from(COUNTS), st.sampled_from(NAMES), st.sampled_from((*COUNTS, "7"))
        ),
        min_size=1,
        max_size=3,
    ),
    st.sampled_from(["", "", "", "", "--nope", "--", "extra", "\udcff"]),
)
CLAIMS = '''
import unexplained as ux
from unexplained.explanations import patterns

@ux.explanation(gives="pattern", reads=["tokens"])
def before(view):
    """To the token before."""
    return patterns.previous(view.tokens)
'''


def _commands(box: Box) -> None:
    _records(box)
    _files(box)
    subjects = {}
    for number, name in enumerate(("tiny", "small", "tiny-2", "small-2")):
        model = tiny_model("llama", seed=number)
        opened = ux.load(model, tokenizer=tiny_tokenizer(), device="cpu")
        subjects[name] = replace(opened, name=name)
    box.known["subjects"] = subjects


def _inputs(box: Box) -> None:
    box.fresh()
    lines(Path("mine.jsonl"), box.known["text"])
    lines(Path("pairs.jsonl"), box.known["pairs"])
    Path("claims.py").write_text(CLAIMS)
    Path("kept.json").write_text(json.dumps(box.known["records"][0]))
    Path("a folder").mkdir()
    os.mkfifo("fifo")
    Path("loop").symlink_to("loop")
    Path("link.json").symlink_to("../outside/victim.json")


def options(command: str) -> list[Any]:
    """What a command may be given, but for what would use the network or other processes."""
    import typer.main

    from unexplained.cli.app import app

    found = typer.main.get_command(app)
    for word in SMALL[command]:
        found = getattr(found, "commands", {}).get(word, found)
    return [one for one in found.params if one.opts and one.name not in ("cluster", "workers")]


def _try_command(box: Box, case: Any) -> Outcome:
    command, choices, last = case
    _inputs(box)
    argv = list(SMALL[command])
    there = options(command)
    for where, count, name, number in choices:
        if not there:
            break
        option = there[where % len(there)]
        if option.param_type_name == "argument":
            if option.name == "model":
                continue
            argv += [name]
        elif option.is_flag:
            argv += [(option.opts + option.secondary_opts)[where % 2 - 1]]
        else:
            small = count if option.name in BOUNDED else number
            value = small if isinstance(option.default, int | float) or small is count else name
            argv += [option.opts[0], *[value] * max(1, option.nargs)]
    argv += [last] if last else []
    sure = {path: Path(path).read_bytes() for path in ("mine.jsonl", "pairs.jsonl", "claims.py")}

    def opened(name: object, **_: object) -> Any:
        known = box.known["subjects"]
        return known.get(str(name), known["tiny"])

    with mock.patch.object(ux, "load", opened), guarded(box):
        code, _ = commanded(argv)
    if not Path("fifo").is_fifo():
        raise Finding("a pipe was replaced")
    if not Path("link.json").is_symlink():
        raise Finding("a link was replaced")
    for path, content in sure.items():
        if Path(path).read_bytes() != content:
            raise Finding("a file of the user's own was written over")
    if code:
        return CLEAR
    _seed_is_kept(argv)
    return RIGHT


def _seed_is_kept(argv: list[str]) -> None:
    """A record that was written says what was asked."""
    record = f"{argv[0]}.json" if argv[0] != "assay" else "record.json"
    if "--record" in argv:
        record = [argv[i + 1] for i, word in enumerate(argv) if word == "--record"][-1]
    if not Path(record).is_file() or argv[0] == "report" or "--help" in argv:
        return
    try:
        found = ux.load_record(record)
    except ux.UnexplainedError as error:
        raise Finding(f"its own record cannot be read: {error.found[:80]}") from None
    asked = [argv[i + 1] for i, word in enumerate(argv) if word == "--seed"]
    if asked and found.seed != int(asked[-1]):
        raise Finding("another seed than was asked for")


STRATEGIES = {
    one.name: one
    for one in (
        Strategy("command lines", "options of every command with values that fit, nearly fit or do "
                 "not: links, pipes, folders, markup, escapes, long names, NaN, other digits; right: "
                 "the record says what was asked, no file of the user's is touched",
                 _commands, LINES, _try_command),
        Strategy("configurations", "keys of `config.json` with other values, the whole file as noise, "
                 "deep or long; right: the loss of plain transformers on the same folder",
                 _folder, CONFIGS, _try_config),
        Strategy("records", "values and fields of records of five kinds, drawn by `report`; right: "
                 "every value is read as it is written",
                 _records, st.tuples(WHERE, CHANGES), _try_record),
        Strategy("units", "files of kept measurements, with bits flipped, cut, exchanged, rows and "
                 "columns changed; right: the undamaged ledger, bit for bit",
                 _units, UNITS, _try_unit),
        Strategy("pairs and texts", "files of pairs and texts with other fields, bytes and kinds of "
                 "file; right: what is measured is in the file, read anew",
                 _files, FILES, _try_file),
        Strategy("graphs", "graph files of MIB's form; right: scores and choices as written",
                 _graphs, GRAPHS, _try_graph),
        Strategy("explanations", "files of explanations that return, raise, write and keep what they "
                 "should not; right: the same number twice, and other conditions' numbers as alone",
                 _explained, EXPLANATIONS, _try_explanation),
    )
}  # fmt: skip
ALL_TOKENS = VOCABULARY
