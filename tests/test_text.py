"""Texts: laws that every corpus obeys, the user's own files, and the mixture."""

from __future__ import annotations

import bisect
import csv
import io
import json
import os
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

import translated
from unexplained import fetch
from unexplained.errors import TextError
from unexplained.sites import Shape
from unexplained.subject import load
from unexplained.text import Block, Text, document, draw, text
from unexplained.text.corpora import (
    corpus_of,
    described,
    files,
    handbook,
    names,
    parallel,
    pydocs,
    webmix,
)
from unexplained.text.document import part
from unexplained.text.draw import require_disjoint
from unexplained.text.lines import require_regular
from unexplained.text.tokens import Encoder

BOS = 256


@dataclass(frozen=True)
class Toy:
    """A subject whose tokens are the bytes of the text."""

    tokenizer: PreTrainedTokenizerFast
    shape: Shape
    name: str = "toy"


def toy(*, bos: bool = False, vocabulary: int = 257) -> Toy:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE({c: i for i, c in enumerate(letters)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(["<bos>"])
    if bos:
        backend.post_processor = processors.TemplateProcessing(
            single="<bos> $A", special_tokens=[("<bos>", BOS)]
        )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<bos>")
    return Toy(tokenizer, Shape(1, 1, 1, 4, 4, 4, vocabulary))


def sentence(i: int) -> str:
    return f"Number {i} is {i * i} when squared and {i + 1} when it is increased by one."


@pytest.fixture
def lines(tmp_path) -> Path:
    path = tmp_path / "squares.jsonl"
    path.write_text("".join(json.dumps({"text": sentence(i)}) + "\n" for i in range(200)))
    return path


def code(language: str, i: int) -> str:
    return " ".join(f"{language}_{i}_{j}" for j in range(40)) + " " * 400


@pytest.fixture
def small_webmix(tmp_path, monkeypatch) -> Path:
    """The cache with a mixture of 40 documents for each set, in the wheel's own format."""
    monkeypatch.setenv(fetch.CACHE_VARIABLE, str(tmp_path / "cache"))
    folder = tmp_path / "sets" / webmix._DATA
    folder.mkdir(parents=True)
    for domain in webmix.DOMAINS.values():
        for number in domain.sets:
            write_set(folder, number, [(code(f"s{number}", i), 1) for i in range(40)])
    monkeypatch.setattr(webmix, "ensure", lambda _: tmp_path / "sets")
    return folder


def write_set(folder: Path, number: int, rows: list[tuple[str, int]]) -> None:
    table = io.StringIO(newline="")
    csv.writer(table).writerows([("prompt", "prompt_len", "target"), *((t, 1, y) for t, y in rows)])
    packed = zstandard.ZstdCompressor().compress(table.getvalue().encode())
    (folder / f"{number}_set.csv.zst").write_bytes(packed)


@pytest.fixture(scope="session")
def small_pydocs():
    """Python's texts without the long ones, which take long to cut into bytes."""
    corpus = pydocs.corpus()
    return replace(corpus, documents=tuple(d for d in corpus.documents if len(d.text) < 5000))


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory) -> Path:
    """Packages of translations, made up."""
    folder = tmp_path_factory.mktemp("translated")
    translated.packages(folder)
    return folder


@pytest.fixture
def source(request, small_webmix, lines, small_pydocs, unpacked, monkeypatch) -> str:
    monkeypatch.setattr(pydocs, "corpus", lambda: small_pydocs)
    for one in (parallel, handbook):
        monkeypatch.setattr(one, "ensure", lambda _: unpacked)
    return str(lines) if request.param == "files" else request.param


every_corpus = pytest.mark.parametrize("source", names(), indirect=True)


def contents(text: Text) -> list[tuple]:
    return [(b.document, b.domain, b.tokens.tolist(), b.second_copy) for b in text.eval + text.fit]


@every_corpus
def test_fit_and_eval_share_nothing(source):
    found = text(source, toy(), documents=12, fit_documents=9)
    assert len(found.eval) == 12 and len(found.fit) == 9
    assert not {b.document for b in found.eval} & {b.document for b in found.fit}
    pool = {tuple(ids[: found.block]) for ids in islice(found.pool(), 300)}
    assert not {tuple(b.tokens) for b in found.eval} & pool
    assert pool


@every_corpus
def test_the_same_call_gives_the_same_text_and_another_seed_another(source):
    one, two, other = (text(source, toy(), documents=9, seed=seed) for seed in (0, 0, 1))
    assert contents(one) == contents(two) and one.fingerprint == two.fingerprint
    assert contents(one) != contents(other) and one.fingerprint != other.fingerprint
    assert {b.document for b in one.eval}.isdisjoint({b.document for b in other.fit})


@every_corpus
def test_fewer_documents_are_the_first_of_more(source):
    few, many = (text(source, toy(), documents=n, fit_documents=n) for n in (5, 11))
    assert contents(few)[:5] == contents(many)[:5]
    assert contents(few)[5:] == contents(many)[11:16]
    first = text(source, toy(), documents=9, fit_documents=5).first(5)
    assert (contents(first), first.fingerprint) == (contents(few), few.fingerprint)
    assert first.composition == few.composition


@every_corpus
@pytest.mark.parametrize("block", [40, 41])
def test_blocks_are_right_for_a_model_with_a_start_token(source, block):
    found = text(source, toy(bos=True), documents=6, fit_documents=3, block=block)
    for item in found.eval + found.fit:
        assert item.tokens.dtype == np.int32 and item.tokens.ndim == 1
        assert 32 <= len(item.tokens) <= block
        assert item.tokens[0] == BOS and BOS not in item.tokens[1:]
        labels = found.labels(item)
        assert {len(partition) for partition in labels.values()} == {len(item.tokens) - 1}
    assert sum(found.composition.values()) == 6
    assert found.predicted == sum(len(item.tokens) - 1 for item in found.eval)
    assert found.notes[0] == "The tokenizer adds <bos> at the start of every block."


@every_corpus
def test_the_pool_is_the_same_for_every_sample(source):
    one, two = (text(source, toy(), documents=3, fit_documents=n) for n in (3, 7))
    assert one.pool_fingerprint == two.pool_fingerprint
    first, again = ([ids.tolist() for ids in islice(one.pool(), 5)] for _ in range(2))
    assert first == again == [ids.tolist() for ids in islice(two.pool(), 5)]
    assert one.pool_fingerprint != text(source, toy(bos=True)).pool_fingerprint


@every_corpus
def test_a_tokenizer_of_another_model_is_refused_by_name(source):
    with pytest.raises(TextError, match="the model toy has 50 embeddings"):
        text(source, toy(vocabulary=50))


def test_blocks_decode_to_the_beginnings_of_their_documents(lines):
    subject = toy()
    found = text(str(lines), subject, block=40)
    known = {document(sentence(i), "").id: sentence(i) for i in range(200)}
    for block in found.eval + found.fit:
        assert subject.tokenizer.decode(block.tokens.tolist()) == known[block.document][:40]
        assert part(block.document) == ("eval" if block in found.eval else "fit")
    assert found.name == "squares.jsonl" and set(found.composition) == {"squares.jsonl"}


def test_asking_for_more_than_there_is_is_noted(lines):
    found = text(str(lines), toy(), documents=1000)
    assert f"eval: 1000 documents were asked for and there are {len(found.eval)}." in found.notes


def test_short_documents_are_counted_in_the_notes(lines):
    lines.write_text(lines.read_text() + "".join(f'{{"text": "short {i}"}}\n' for i in range(50)))
    notes = " ".join(text(str(lines), toy(), documents=1000, fit_documents=1000).notes)
    short = [part(document(f"short {i}", "").id) for i in range(50)].count("eval")
    assert f"eval: passed over for having under 32 tokens: {short}." in notes
    assert f"fit: passed over for having under 32 tokens: {50 - short}." in notes


def test_exact_repeats_are_left_out_and_counted(lines):
    lines.write_text(lines.read_text() * 2)
    found = text(str(lines), toy(), documents=1000, fit_documents=1000)
    assert "200 of 400 documents repeat another exactly; left out." in found.notes
    assert len(found.eval) + len(found.fit) == 200


def test_documents_that_begin_alike_do_not_give_the_same_block_twice(lines):
    rows = [
        {"text": "The same beginning of forty characters, then " + sentence(i)}
        for i in range(500, 590)
    ]
    lines.write_text(lines.read_text() + "".join(json.dumps(row) + "\n" for row in rows))
    found = text(str(lines), toy(), documents=1000, fit_documents=1000, block=36)
    blocks = [tuple(block.tokens) for block in found.eval + found.fit]
    assert len(blocks) == len(set(blocks))
    assert "for having the tokens of another block" in " ".join(found.notes)


def test_an_overlap_of_documents_or_of_blocks_is_an_error():
    one = Block("a", "x", np.array([1, 2], dtype=np.int32))
    require_disjoint((one,), (Block("b", "x", np.array([2, 1], dtype=np.int32)),))
    with pytest.raises(TextError, match="1 documents and 0 blocks"):
        require_disjoint((one,), (Block("a", "x", np.array([2, 1], dtype=np.int32)),))
    with pytest.raises(TextError, match="0 documents and 1 blocks"):
        require_disjoint((one,), (replace(one, document="b"),))


def test_repeats_are_a_segment_twice():
    plain = text("repeats", toy(), documents=5, block=40)
    for block in plain.eval:
        assert block.second_copy == 20 and len(block.tokens) == 40
        assert block.tokens[:20].tolist() == block.tokens[20:].tolist()
        labels = plain.labels(block)
        assert (labels["copy"] == "second copy").sum() == 19
        copied = labels["recurrence"][labels["copy"] == "second copy"]
        assert set(copied) == {"recurs, continuation repeats"}
    for size, length in ((41, 20), (42, 20), (43, 21)):
        block = text("repeats", toy(bos=True), documents=1, block=size).eval[0]
        assert block.tokens[0] == BOS and block.second_copy == 1 + length
        assert block.tokens[1 : 1 + length].tolist() == block.tokens[1 + length :].tolist()


def test_every_corpus_that_has_a_name_is_described():
    assert set(described()) == set(names()) - {"files"}
    assert all(says.endswith(".") for says in described().values())


def test_ordinary_tokens_are_neither_special_nor_added():
    subject = toy()
    subject.tokenizer.add_tokens(["<extra>"])
    assert Encoder(subject).ordinary.tolist() == list(range(256))


def test_pydocs_has_both_domains_and_names_the_version(small_pydocs, monkeypatch):
    monkeypatch.setattr(pydocs, "corpus", lambda: small_pydocs)
    found = text("pydocs", toy(), documents=8, fit_documents=8)
    assert found.composition == {"reference": 4, "library": 4}
    assert "Text of Python 3." in " ".join(found.notes)
    library = {d.id for d in small_pydocs.documents if d.domain == "library"}
    assert document(Path(bisect.__file__).read_text(), "library").id in library


def test_the_mixture_takes_what_its_table_says(small_webmix):
    long = code("s158", 0)
    write_set(small_webmix, 158, [(long, 1), ("short", 1), (code("other", 1), 0), (long, 1)])
    write_set(small_webmix, 159, [(long, 1), (long + " with another end", 1), (code("py", 1), 1)])
    rows = webmix.select(small_webmix).to_pylist()
    found = {name: [r["text"] for r in rows if r["domain"] == name] for name in webmix.DOMAINS}
    assert found["C"] == [long]
    assert found["Python"] == [code("py", 1)]
    assert len(found["web"]) == 9 * 40 and len(found["news"]) == 40
    assert all(r["id"] == document(r["text"], "").id for r in rows)


def test_the_mixture_is_selected_once(small_webmix, monkeypatch):
    first = webmix.corpus()
    monkeypatch.setattr(webmix, "select", None)
    assert webmix.corpus() == first


def test_texts_of_the_mixture_keep_their_quotes_and_line_breaks(small_webmix):
    odd = ["a\r\nb\n\n" + "c\n" * 400, 'say ""so"", "he" said\\n' + "d" * 400, "ü€😀" * 200, ""]
    odd *= 1500  # over 2 MB: the reader works in pieces, and must not cut inside a text
    write_set(small_webmix, 100, [(text, 0) for text in odd])
    assert webmix._read(small_webmix, 100, False) == odd


def test_a_package_without_a_set_is_an_error(small_webmix):
    (small_webmix / "94_set.csv.zst").unlink()
    with pytest.raises(TextError, match="Set 94"):
        text("webmix", toy())


def test_kinds_of_text_have_equal_shares_and_code_is_one_kind(small_webmix):
    found = text("webmix", toy(), documents=27, fit_documents=54)
    shares = {name: 3 if domain.weight == 1 else 1 for name, domain in webmix.DOMAINS.items()}
    assert found.composition == shares
    scarce = " ".join(text("webmix", toy(), documents=120).notes)
    assert "all documents used, so less than its share" in scarce and "web" not in scarce
    assert not any("no document of" in note for note in found.notes)


def test_domains_that_a_text_has_nothing_of_are_named(small_webmix):
    found = text("webmix", toy(), documents=3, fit_documents=54)
    lacking = sorted(set(webmix.DOMAINS) - set(found.composition))
    (told,) = (note for note in found.notes if "no document of" in note)
    assert told.startswith(f"eval: no document of {', '.join(lacking[: draw.NAMED])}")
    assert f"{len(lacking) - draw.NAMED} other domains among 3: " in told


@pytest.mark.real
def test_the_real_mixture_reads_as_the_standard_library_reads_it():
    folder = fetch.ensure(webmix.PACKAGE) / webmix._DATA
    with next(folder.glob("45_*")).open("rb") as file:
        raw = zstandard.ZstdDecompressor().stream_reader(file).read()
    slow = [row["prompt"] for row in csv.DictReader(io.StringIO(raw.decode(), newline=""))]
    assert webmix._read(folder, 45, False) == slow
    documents = webmix.corpus().documents
    assert len({d.id for d in documents}) == len(documents) > 25_000
    assert {d.domain for d in documents} == set(webmix.DOMAINS)
    assert min(len(d.text) for d in documents) >= webmix.SHORTEST


def test_a_long_text_file_becomes_passages_that_join_to_the_whole(tmp_path):
    whole = "\n\n".join(" ".join(sentence(i + j) for j in range(9)) for i in range(0, 600, 9))
    path = tmp_path / "book.txt"
    path.write_text("\ufeff" + whole)
    found = text(str(path), toy(), documents=4, fit_documents=4)
    assert len(found.eval) == 4 and set(found.composition) == {"book.txt"}
    assert any("book.txt: " in note and "passages" in note for note in found.notes)
    path.write_text(whole.replace("\n\n", "\n"))
    assert len(text(str(path), toy(), documents=4, fit_documents=4).eval) == 4


def test_a_folder_is_read_with_a_domain_for_each_file(tmp_path):
    for first, name in ((0, "one"), (1000, "two")):
        body = "\n\n".join(f"{name}: " + sentence(first + i) * 3 for i in range(400))
        (tmp_path / f"{name}.txt").write_text(body)
    (tmp_path / "not_read.md").write_text("x")
    assert text(str(tmp_path), toy(), documents=6).composition == {"one.txt": 3, "two.txt": 3}


def test_parquet_and_jsonl_of_the_same_texts_are_the_same_blocks(tmp_path, lines):
    path = tmp_path / "squares.parquet"
    pq.write_table(pa.table({"text": [*(sentence(i) for i in range(200)), None]}), path)
    one, two = text(str(lines), toy()), text(str(path), toy())
    assert [b.tokens.tolist() for b in one.eval] == [b.tokens.tolist() for b in two.eval]
    assert "squares.parquet: 1 rows without text." in two.notes


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("latin.txt", "caf\u00e9".encode("latin-1"), "not UTF-8: byte 3 is 0xe9"),
        ("empty.txt", b"", "it is empty"),
        ("blank.txt", b" \n\n ", "it is empty"),
        (
            "alone.txt",
            b"Only a single document, long enough for a block. " * 5,
            "of 1 document none fall in it .*Give 30 documents or more.*of a .txt a passage",
        ),
        ("bad.jsonl", b'{"text": "a"}\n\n{"text": ', "Line 3 .* not JSON"),
        (
            "other.jsonl",
            b'{"body": "a", "title": "b"}',
            "no string field `text` .found: body, title",
        ),
        ("list.jsonl", b"[1]", "found: list"),
        ("half.jsonl", b'{"text": "\\ud800"}', "Line 1 .*`text` is a lone surrogate"),
        ("wide.txt", "text".encode("utf-16"), "0xff, and it begins like UTF-16.*-f UTF-16"),
        ("unmarked.txt", "text".encode("utf-16-le"), "character 1 is a zero byte"),
        ("zero.jsonl", b'{"text": "a\x00b"}', "character 11 is a zero byte"),
        ("deep.jsonl", b"[" * 100_000, "Line 1 .*not JSON"),
        ("mark.txt", b"\xef\xbb\xbf", "it is empty. A document is"),
        ("not.parquet", b"PAR?", "not a Parquet file"),
        ("book.pdf", b"%PDF", "'.pdf' files are not read"),
    ],
)
def test_an_unreadable_file_says_what_is_wrong_and_where(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TextError, match=said) as caught:
        text(str(tmp_path / name), toy())
    if "empty: of 1" not in said:
        assert name in str(caught.value)


def test_a_parquet_file_of_another_shape_is_refused(tmp_path):
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"texts": ["a"]}), path)
    with pytest.raises(TextError, match=r"no column `text`. Did you mean texts\?"):
        text(str(path), toy())
    pq.write_table(pa.table({"text": [1]}), path)
    with pytest.raises(TextError, match="holds int64, not strings"):
        text(str(path), toy())


def test_categories_and_views_of_strings_are_strings_too(tmp_path, lines):
    column = pa.array([sentence(i) for i in range(200)])
    plain = text(str(lines), toy())
    for number, kind in enumerate((column.dictionary_encode(), column.cast(pa.string_view()))):
        path = tmp_path / f"{number}.parquet"
        pq.write_table(pa.table({"text": kind}), path)
        found = text(str(path), toy())
        assert [b.tokens.tolist() for b in found.eval] == [b.tokens.tolist() for b in plain.eval]


def test_every_kind_of_line_end_ends_a_line(tmp_path):
    paragraphs = [(sentence(i) + " ") * 9 for i in range(500)]
    counts = []
    for name, end in (("unix", "\n"), ("windows", "\r\n"), ("old", "\r")):
        (tmp_path / f"{name}.txt").write_bytes(end.join(paragraphs).encode())
        counts.append(len(corpus_of(str(tmp_path / f"{name}.txt"))[1].documents))
    assert counts == [125] * 3  # four paragraphs of over 500 characters each


@pytest.mark.parametrize(
    ("source", "says"),
    [("ioi", r"it is a behaviour, .*pairs\('ioi'"), ("pairs.jsonl", r"with pairs\(…\)")],
)
def test_pairs_where_running_text_belongs_are_told_apart(tmp_path, monkeypatch, source, says):
    monkeypatch.chdir(tmp_path)
    row = {"clean": "a", "corrupted": "b", "answer": "c", "wrong": "d"}
    Path("pairs.jsonl").write_text(json.dumps(row))
    with pytest.raises(TextError, match=says):
        text(source, toy())


def test_documents_that_are_all_too_short_are_an_error(lines):
    lines.write_text("".join(json.dumps({"text": f"short {i}"}) + "\n" for i in range(50)))
    with pytest.raises(
        TextError, match=r"12 fall in it .*having under 32 tokens: 12[.] Give longer"
    ):
        text(str(lines), toy())


def test_an_unknown_source_names_its_near_match(tmp_path):
    with pytest.raises(TextError, match=r"Did you mean webmix\?"):
        text("webmx", toy())
    with pytest.raises(TextError, match=r"no \.txt file"):
        text(str(tmp_path), toy())


@pytest.mark.parametrize("wrong", [{"documents": 0}, {"fit_documents": 0}, {"block": 1}])
def test_sizes_that_make_no_text_are_refused(lines, wrong):
    with pytest.raises(TextError, match="the least is"):
        text(str(lines), toy(), **wrong)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"documents": 2.0}, r"documents=2.0 .--documents.: that is no whole number"),
        ({"fit_documents": True}, "fit_documents=True .--fit-documents.: that is no whole"),
        ({"block": "128"}, "block='128' .--block.: that is no whole number"),
        ({"seed": -1}, "seed=-1 .--seed.: the least is 0"),
        ({"seed": None}, "seed=None"),
    ],
)
def test_arguments_are_checked_before_anything_is_read(wrong, says):
    with pytest.raises(TextError, match=says):
        text("not there", toy(), **wrong)


@pytest.mark.parametrize("source", ["", None, 3, b"webmix"])
def test_what_names_no_text_is_refused_and_not_taken_for_the_folder_one_is_in(source):
    with pytest.raises(TextError, match="neither a name nor a path"):
        text(source, toy())


@pytest.mark.parametrize("name", ["pipe.jsonl", "pipe.parquet", "pipe.txt"])
def test_a_pipe_is_refused_at_once(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(TextError, match="a pipe"):
        require_regular(tmp_path / name)  # before the call that would wait for a writer
    with pytest.raises(TextError, match="a pipe"):
        text(str(tmp_path / name), toy())


def test_what_is_no_file_is_refused_and_nobody_waits(tmp_path):
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(TextError, match="neither"):
        text(str(tmp_path / "a\0b"), toy())
    with pytest.raises(TextError, match=r"no \.txt file"):
        text(tmp_path / "folder.jsonl", toy())
    with pytest.raises(TextError, match="neither a corpus"):
        text(str(tmp_path / "none" / "text.txt"), toy())
    with pytest.raises(TextError, match="cannot be looked at"):
        text("x" * 5000, toy())


def test_a_file_whose_name_is_no_text_is_named_all_the_same(tmp_path):
    name = os.fsdecode(b"caf\xe9.jsonl")
    rows = [json.dumps({"text": sentence(i)}) for i in range(60)]
    (tmp_path / name).write_text("\n".join(rows))
    found = text(str(tmp_path / name), toy(), documents=2, fit_documents=2)
    assert set(found.composition) == {"caf\\udce9.jsonl"} and found.name.isprintable()
    (tmp_path / name).write_text("{")
    with pytest.raises(TextError, match="udce9") as caught:
        text(str(tmp_path / name), toy())
    str(caught.value).encode()


def marked(*tokens: str, vocabulary: int = 300) -> Toy:
    """The bytes' tokenizer with some special tokens, and one that is added and not special."""
    made = toy(vocabulary=vocabulary)
    made.tokenizer.add_special_tokens({"additional_special_tokens": list(tokens)})
    made.tokenizer.add_tokens(["<tool>"])
    return made


def test_a_special_token_that_a_document_spells_is_its_letters(lines):
    rows = [sentence(i) for i in range(200)]
    rows[5:105] = [row.replace("squared", "<|end|> squared <tool>") for row in rows[5:105]]
    lines.write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
    subject = marked("<|end|>")
    found = text(str(lines), subject, documents=200, fit_documents=200, block=90)
    special = subject.tokenizer.convert_tokens_to_ids("<|end|>")
    spelling = 0
    for block in (*found.eval, *found.fit):
        assert special not in block.tokens
        spelling += "<|end|>" in subject.tokenizer.decode(block.tokens.tolist())
    assert spelling == 100
    assert not any(special in ids for ids in found.pool())
    measured = sum("<|end|>" in subject.tokenizer.decode(b.tokens.tolist()) for b in found.eval)
    said = f"eval: documents that spell a special token, which is read as its letters: <|end|> in {measured}."
    assert said in found.notes
    # What is added to the vocabulary and is not special is an ordinary word of it.
    tool = subject.tokenizer.convert_tokens_to_ids("<tool>")
    assert sum(tool in b.tokens for b in (*found.eval, *found.fit)) == 100


def test_asking_for_letters_leaves_the_users_tokenizer_as_it_was(lines):
    subject = marked("<|end|>")
    backend = subject.tokenizer.backend_tokenizer
    assert not backend.encode_special_tokens
    before = backend.encode("a<|end|>").ids
    text(str(lines), subject, documents=3, fit_documents=3)
    assert not backend.encode_special_tokens and backend.encode("a<|end|>").ids == before


def words_of(count: int) -> Toy:
    """One token for each word, `<end>` among them as a word and as a special token."""
    ids = {word: i for i, word in enumerate(["?", "<end>", *(f"w{i}" for i in range(count))])}
    backend = Tokenizer(models.WordLevel(ids, unk_token="?"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="?", eos_token="<end>")
    return Toy(tokenizer, Shape(1, 1, 1, 4, 4, 4, len(ids)))


def test_a_tokenizer_without_letters_for_a_special_token_passes_such_documents_over(tmp_path):
    rng = np.random.default_rng(0)
    rows = [" ".join(f"w{i}" for i in rng.integers(0, 400, 40)) for _ in range(100)]
    spelling = [row.replace(" ", " <end> ", 1) for row in rows[:50]]
    path = tmp_path / "words.jsonl"
    both = spelling + rows[50:]
    path.write_text("".join(json.dumps({"text": row}) + "\n" for row in both))
    found = text(str(path), words_of(400), documents=100, fit_documents=100)
    passed = [part(document(row, "").id) for row in spelling].count("eval")
    assert (
        f"eval: passed over for spelling a special token that the tokenizer does not read as "
        f"text: {passed}." in found.notes
    )
    assert len(found.eval) + len(found.fit) == 50
    assert not any(1 in ids for ids in found.pool())
    path.write_text("".join(json.dumps({"text": row}) + "\n" for row in spelling))
    with pytest.raises(TextError, match="Take the special tokens out"):
        text(str(path), words_of(400))


def test_a_token_at_the_end_of_every_text_is_left_off_and_noted(lines):
    closed = toy(bos=True)
    closed.tokenizer.add_special_tokens({"eos_token": "<eos>"})
    closed.tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", BOS), ("<eos>", 257)]
    )
    closed = Toy(closed.tokenizer, replace(closed.shape, vocabulary=258))
    one, other = (text(str(lines), subject, block=200) for subject in (toy(bos=True), closed))
    assert contents(one) == contents(other)
    assert "The tokenizer adds <eos> at the end of every text; it is left off here." in other.notes
    same = zip(one.pool(), other.pool(), strict=True)
    assert all(np.array_equal(ids, others) for ids, others in same)


def runs_of_signs() -> Toy:
    """Bytes, and one token for every run of 2, 4, …, 1,024 equal signs."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary, merges = {c: i for i, c in enumerate(letters)}, []
    for power in range(10):
        merges.append(("=" * 2**power, "=" * 2**power))
        vocabulary["=" * 2 ** (power + 1)] = len(vocabulary)
    backend = Tokenizer(models.BPE(vocabulary, merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return Toy(PreTrainedTokenizerFast(tokenizer_object=backend), Shape(1, 1, 1, 4, 4, 4, 300))


@pytest.mark.parametrize("signs", [0, 30, 1024, 6000, 60_000])
def test_a_long_run_of_one_letter_gives_the_block_that_the_whole_document_has(tmp_path, signs):
    subject = runs_of_signs()
    rows = [sentence(i) + "=" * signs + sentence(i + 500) * 4 for i in range(40)]
    path = tmp_path / "rules.jsonl"
    path.write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
    found = text(str(path), subject, documents=9, fit_documents=9)
    whole = {document(row, "").id: subject.tokenizer(row)["input_ids"][:128] for row in rows}
    for block in (*found.eval, *found.fit):
        assert block.tokens.tolist() == whole[block.document] and len(block.tokens) == 128


def test_of_an_ordinary_document_no_more_is_read_than_before():
    asked = []

    class Counting(Encoder):
        def encode(self, texts, **more):
            asked.extend(map(len, texts))
            return super().encode(texts, **more)

    documents = [document(sentence(i) * 400, "x") for i in range(5)]
    assert len(list(Counting(toy()).openings(documents, 128))) == 5
    assert asked == [32 * 128] * 5


def test_documents_that_all_begin_alike_are_told_so_and_not_to_be_more(tmp_path):
    header = " ".join(f"licence{i}" for i in range(150))
    path = tmp_path / "code.jsonl"
    rows = [f"{header} {sentence(i)}" for i in range(100)]
    path.write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
    with pytest.raises(
        TextError, match=r"beginning like others: 99. .*take away what all"
    ) as caught:
        text(str(path), toy())
    assert "Give 30" not in str(caught.value)
    # Too short a header for that, but longer than the block.
    rows = [
        f"{header[:60]} {sentence(i)} " + " ".join(f"{i}x{j}" for j in range(200))
        for i in range(100)
    ]
    path.write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
    with pytest.raises(
        TextError, match=r"having the tokens of another block: \d+. .*blocks longer"
    ):
        text(str(path), toy(), block=50)
    assert len(text(str(path), toy(), documents=9, block=80).eval) == 9


def test_near_duplicates_are_left_out_of_a_file_before_it_is_split_and_counted(tmp_path):
    rng = np.random.default_rng(0)
    rows = [" ".join(f"w{i}" for i in rng.integers(0, 9999, 60)) for _ in range(90)]
    again = [f"Again, {row}." for row in rows[:30]]
    path = tmp_path / "twice.jsonl"
    path.write_text("".join(json.dumps({"text": row}) + "\n" for row in rows + again))
    found = text(str(path), toy(), documents=200, fit_documents=200)
    assert {b.document for b in (*found.eval, *found.fit)} == {document(r, "").id for r in rows}
    assert any(
        note.startswith("30 of 120 documents nearly repeat others, left out")
        for note in found.notes
    )


def test_what_a_document_is_stands_where_it_is_asked_for():
    for says in (text.__doc__, files.__doc__, draw.WHAT_A_DOCUMENT_IS):
        said = " ".join((says or "").split())
        assert ".jsonl" in said and "passage" in said and "2,000 characters" in said
    assert files.PASSAGE == 2000


def test_a_block_too_short_to_repeat_is_refused():
    with pytest.raises(TextError, match="holds a segment of 1 tokens"):
        text("repeats", toy(), block=3)


# What a model of ours was trained on


def test_repeated_segments_are_no_longer_than_those_that_a_model_was_trained_on() -> None:
    from unexplained.ladder.stream import LONGEST_SEGMENT, SHORTEST_SEGMENT

    ours = load("attention-2", device="cpu")
    found = text("repeats", ours, documents=3, fit_documents=2)
    (whole,) = {len(block.tokens) for block in (*found.eval, *found.fit)}
    start = len(found.eval[0].tokens) - 2 * LONGEST_SEGMENT
    assert whole == 2 * LONGEST_SEGMENT + start and start in (0, 1)
    for block in found.eval:
        first, second = block.tokens[start : start + 39], block.tokens[start + 39 :]
        assert (first == second).all() and block.second_copy == start + 39
    assert any("segments of 8 to 39 tokens, so they are no longer here" in n for n in found.notes)
    # Shorter blocks as they were; too short ones say so.
    short = text("repeats", ours, documents=3, fit_documents=2, block=40)
    assert {len(b.tokens) for b in short.eval} <= {39, 40}
    assert not any("trained on" in note for note in short.notes)
    least = text("repeats", ours, documents=3, fit_documents=2, block=2 * SHORTEST_SEGMENT - 2)
    assert any("shorter ones are no text of its kind" in note for note in least.notes)


def test_random_tokens_are_said_to_be_nothing_that_a_rung_was_trained_on() -> None:
    found = text("repeats", load("rung-1", device="cpu"), documents=3, fit_documents=2)
    assert any("natural text alone" in note for note in found.notes)
    # Another model of that name is not known, and has blocks as long as before.
    other = text("repeats", toy(), documents=3, fit_documents=2, block=32)
    assert not any("trained" in note for note in other.notes)


def test_blocks_longer_than_the_rows_of_a_training_are_said_to_be(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = [" ".join(str(n) for n in rng.integers(100, 999, 200)) for _ in range(60)]
    (tmp_path / "own.jsonl").write_text("\n".join(json.dumps({"text": one}) for one in lines))

    def notes(name: str, block: int) -> list[str]:
        subject = load(name, device="cpu")
        found = text(
            str(tmp_path / "own.jsonl"), subject, documents=4, fit_documents=2, block=block
        )
        return [note for note in found.notes if "it has seen nothing" in note]

    (said,) = notes("attention-2", 128)
    assert said.startswith(
        "attention-2 was trained on rows of 96 tokens, and blocks here have up to 128"
    )
    assert not notes("attention-2", 96) and not notes("rung-1", 128)
    assert notes("rung-1", 160)


def test_what_ships_knows_what_each_of_its_models_was_trained_on() -> None:
    from unexplained.ladder.catalogue import catalogue
    from unexplained.ladder.series import plans
    from unexplained.ladder.stream import LONGEST_SEGMENT, SHORTEST_SEGMENT
    from unexplained.subject.shipped import _trainings

    recipes = {name: plan.recipe for name, plan in plans().items()}
    for one in catalogue().models:
        recipe = recipes[one.name.split("-step-")[0]]
        assert one.context == recipe.context
        assert one.segments == ((SHORTEST_SEGMENT, LONGEST_SEGMENT) if recipe.repeats else None)
        assert _trainings()[one.name].context == one.context
        assert _trainings()[one.name].segments == one.segments
