"""Texts by kind of fault: what is measured is the text that was given, or something is said."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import AddedToken, normalizers
from typer.testing import CliRunner

import unexplained as ux
from kinds_of_text import (
    Toy,
    byte_level,
    lines,
    plain,
    refusal,
    right_or_refused,
    runs_of,
    says,
    subject_of,
    word_level,
)
from unexplained.cli.app import app
from unexplained.errors import TextError
from unexplained.text import Text, document
from unexplained.text.document import part

END = "<|end|>"


def read(path: str | Path, subject: Toy, **asked: int) -> Text:
    return ux.text(str(path), subject, **{"documents": 400, "fit_documents": 400, **asked})


def all_blocks(text: Text) -> list[list[int]]:
    return [block.tokens.tolist() for block in text.eval + text.fit]


def pool(text: Text) -> list[list[int]]:
    return [ids.tolist() for ids in text.pool()]


def prose(i: int, words: int = 60) -> str:
    """Words that no other number shares in a row."""
    draw = random.Random(i)
    return " ".join(f"{draw.choice('bdfgklmnprst')}{draw.choice('aeiou')}{draw.randrange(1000)}"
                    for _ in range(words))  # fmt: skip


def many(make: Callable[[int], str], count: int = 40) -> list[dict[str, str]]:
    return [{"text": make(i)} for i in range(count)]


# --- a document that spells a special token -----------------------------------------------------


def told_or_absent(text: Text, subject: Toy, *names: str, prefix: int = 0) -> None:
    """No token that a text only spells stands in it, or a note names it."""
    notes = " ".join(text.notes)
    for name in names:
        number = subject.tokenizer.convert_tokens_to_ids(name)
        inside = [number in ids[prefix:] for ids in (*all_blocks(text), *pool(text))]
        where = f"{sum(inside)} of {len(inside)} have {name}; notes: {notes}"
        told = [
            note
            for note in text.notes
            if name in note and not note.startswith("The tokenizer adds")
        ]
        assert not any(inside) or told, where


SPELLED: dict[str, tuple[str, Callable[[int], str]]] = {
    "in the middle": (END, lambda i: f"{prose(i, 3)} {END} {prose(i + 1000)}"),
    "at the beginning": (END, lambda i: f"{END}{prose(i)}"),
    "again and again": (END, lambda i: END.join(prose(i).split())),
    "in one document of all": (END, lambda i: f"{prose(i, 3)} {END * (i == 3)} {prose(i)}"),
    "where HTML strikes words out": ("<s>", lambda i: f"<p><s>{i} EUR</s> now {prose(i)}</p>"),
    "in an article on tokenizers": ("[MASK]", lambda i: f"BERT puts [MASK] there; {prose(i)}"),
    "after the block's end": (END, lambda i: f"{prose(i)} {END}"),
    "as the name of an unknown word": ("<unk>", lambda i: f"counts of <unk> are {prose(i)}"),
}


@pytest.mark.parametrize("how", SPELLED)
def test_a_document_that_spells_a_special_token_is_read_as_written_or_it_is_told(how, tmp_path):
    name, make = SPELLED[how]
    subject = subject_of(byte_level(), special=[END, "<s>", "</s>", "[MASK]", "<unk>"])
    path = lines(tmp_path / "mine.jsonl", many(make))

    def right(text: Text) -> None:
        told_or_absent(text, subject, name)
        for block in text.eval + text.fit:
            there = subject.tokenizer.decode(block.tokens.tolist(), skip_special_tokens=False)
            assert any(row["text"].startswith(there) for row in many(make))

    right_or_refused(lambda: read(path, subject, block=64), right, re.escape(name))


def test_a_beginning_that_is_spelled_is_not_taken_for_the_one_that_is_added(tmp_path):
    subject = subject_of(byte_level(), before=["<bos>"])
    path = lines(tmp_path / "mine.jsonl", many(lambda i: f"<bos>{prose(i)}"))
    right_or_refused(
        lambda: read(path, subject, block=64),
        lambda text: told_or_absent(text, subject, "<bos>", prefix=1),
        "<bos>",
    )


def test_a_special_token_that_takes_the_spaces_around_it_does_not_do_so_in_silence(tmp_path):
    backend = byte_level()
    backend.add_special_tokens([AddedToken("<mask>", lstrip=True, rstrip=True)])
    subject = subject_of(backend)
    path = lines(tmp_path / "mine.jsonl", many(lambda i: f"a{i}   <mask>   {prose(i)}"))
    right_or_refused(
        lambda: read(path, subject, block=64),
        lambda text: told_or_absent(text, subject, "<mask>"),
        "<mask>",
    )


def test_a_special_token_in_the_fit_part_alone_is_told_or_read_as_written(tmp_path):
    """The pool of n-gram counts reads documents that no block is cut from, to their ends."""
    rows = many(prose)
    for row in rows:
        if part(document(row["text"], "").id) == "fit":
            row["text"] += END
    rows = [
        row for row in rows if part(document(row["text"], "").id) == "fit" or END not in row["text"]
    ]
    subject = subject_of(byte_level(), special=[END])
    path = lines(tmp_path / "mine.jsonl", rows)
    right_or_refused(
        lambda: read(path, subject, fit_documents=2, block=32),
        lambda text: told_or_absent(text, subject, END),
        re.escape(END),
    )


def test_ordinary_tokens_that_were_added_later_are_read_as_hugging_face_reads_them(tmp_path):
    """Runs of spaces are added tokens of GPT-NeoX: that is not spelling a special one."""
    backend = byte_level()
    backend.add_tokens([AddedToken(" " * n, normalized=True) for n in (8, 4, 2)])
    subject = subject_of(backend)
    rows = many(lambda i: f"def f{i}(x):\n        return {prose(i)}")
    text = read(lines(tmp_path / "mine.jsonl", rows), subject, block=64)
    assert {tuple(ids) for ids in all_blocks(text)} <= {
        tuple(plain(subject, row["text"])[:64]) for row in rows
    }
    assert subject.tokenizer.convert_tokens_to_ids(" " * 8) in all_blocks(text)[0]


def test_text_that_merely_looks_like_a_special_token_is_left_alone(tmp_path):
    subject = subject_of(byte_level(), special=[END])
    rows = many(lambda i: f"< |end|> <|END|> <|end |> {prose(i)}")
    text = read(lines(tmp_path / "mine.jsonl", rows), subject, block=64)
    assert all(max(ids) < 256 for ids in all_blocks(text))
    assert END not in " ".join(text.notes) and len(text.eval) + len(text.fit) == 40


# --- a tokenizer that adds tokens ---------------------------------------------------------------

ADDS: dict[str, tuple[list[str], list[str]]] = {
    "an end": ([], ["<eos>"]),
    "a beginning and an end": (["<bos>"], ["<eos>"]),
    "two ends": ([], ["[SEP]", "<eos>"]),
    "two beginnings": (["<bos>", "<lang>"], []),
    "the same token at both ends": (["<eos>"], ["<eos>"]),
}


@pytest.mark.parametrize("how", ADDS)
@pytest.mark.parametrize("block", [64, 2000], ids=["long documents", "short documents"])
def test_what_a_tokenizer_adds_is_not_scored_as_text_in_silence(how, block, tmp_path):
    before, after = ADDS[how]
    subject = subject_of(byte_level(), before=before, after=after)
    ids = [subject.tokenizer.convert_tokens_to_ids(name) for name in before]
    rows = many(prose)
    text = read(lines(tmp_path / "mine.jsonl", rows), subject, block=block)
    notes = " ".join(text.notes)
    assert all(name in notes for name in before)
    for found in (*all_blocks(text), *pool(text)):
        assert found[: len(ids)] == ids
        if after and found[-1] == plain(subject, "")[-1]:
            said = re.search(r"\bend", notes) and all(name in notes for name in after)
            assert said, f"{after} is scored and unsaid: {notes}"


def test_a_tokenizer_without_the_letter_a_still_says_what_it_adds(tmp_path):
    """Tokenizers of arithmetic have digits alone, and drop what they do not know."""
    backend = byte_level()
    backend.normalizer = normalizers.Replace("a", "")
    subject = subject_of(backend, before=["<bos>"])
    text = read(lines(tmp_path / "mine.jsonl", many(prose)), subject, block=64)
    assert "<bos>" in text.notes[0], text.notes
    again = ux.text("repeats", subject, documents=4, fit_documents=4, block=32)
    assert {ids[0] for ids in all_blocks(again)} == {plain(subject, "")[0]}


# --- long runs: a block is the first tokens of its document -------------------------------------


def hollow(size: int) -> Callable[[int], str]:
    return lambda i: "=" * size + f" {i} " + prose(i, 300)


LONG: dict[str, tuple[Callable[[], Toy], Callable[[int], str]]] = {
    "a line of equal signs": (
        lambda: subject_of(byte_level(runs_of("=", 64))), lambda i: "=" * (6000 + i)),
    "equal signs, then prose": (
        lambda: subject_of(byte_level(runs_of("=", 64))), hollow(6000)),
    "tokens of 33 characters": (
        lambda: subject_of(word_level(f"{'w' * 30}{n:03}" for n in range(1000))),
        lambda i: " ".join(f"{'w' * 30}{random.Random(i * 1000 + k).randrange(1000):03}"
                           for k in range(200))),
    "words of 70 characters, as of a genome": (
        lambda: subject_of(word_level(f"{'ACGT' * 17}{n:02}" for n in range(100))),
        lambda i: " ".join(f"{'ACGT' * 17}{random.Random(i * 1000 + k).randrange(100):02}"
                           for k in range(200))),
    "thousands of spaces that the tokenizer skips": (
        lambda: subject_of(word_level(f"{n}" for n in range(100))),
        lambda i: " " * 9000 + " ".join(str(random.Random(i * 1000 + k).randrange(100))
                                        for k in range(200))),
    "empty lines that the tokenizer skips, between words": (
        lambda: subject_of(word_level(f"{n}" for n in range(100))),
        lambda i: ("\n" * 80).join(str(random.Random(i * 1000 + k).randrange(100))
                                   for k in range(200))),
    "a table's dashes between cells": (
        lambda: subject_of(byte_level([*runs_of("-", 256), *runs_of("=", 64)])),
        lambda i: "".join(f"|{'-' * 1024}|{n}" for n in range(i, i + 60))),
    "marks that the tokenizer strips": (
        lambda: stripped(), lambda i: "".join(c + "́" * 60 for c in prose(i))),
}  # fmt: skip


def stripped() -> Toy:
    backend = byte_level()
    backend.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()])
    return subject_of(backend)


ALL_BUT_ONE = ("a line of equal signs", "a table's dashes between cells")
"""Documents so alike that leaving some out as near duplicates would be right too."""

ALIKE_WORDS = (
    r"alike|same (tokens|beginning|header|opening)|begin with the same|repeat|identical"
    r"|tokens of another block|beginning like others"
)


@pytest.mark.parametrize("how", LONG)
def test_a_block_is_the_first_tokens_of_the_whole_document_however_long_they_are(how, tmp_path):
    make, write = LONG[how]
    subject = make()
    rows = many(write, 24)
    whole = {document(row["text"], "").id: plain(subject, row["text"])[:128] for row in rows}
    path = lines(tmp_path / "mine.jsonl", rows)

    def right(text: Text) -> None:
        for block in text.eval + text.fit:
            assert block.tokens.tolist() == whole[block.document]
        if how not in ALL_BUT_ONE:
            assert len(text.eval) + len(text.fit) == len(rows), text.notes

    right_or_refused(lambda: read(path, subject), right, ALIKE_WORDS, never="it is empty")


@pytest.mark.parametrize("size", [64, 128, 31 * 64, 32 * 64, 33 * 64, 40 * 64, 400 * 64])
def test_no_length_of_a_run_changes_a_block(size, tmp_path):
    subject = subject_of(byte_level(runs_of("=", 256)))
    rows = many(hollow(size), 20)
    whole = {document(row["text"], "").id: plain(subject, row["text"])[:64] for row in rows}
    attempt = lambda: read(lines(tmp_path / "mine.jsonl", rows), subject, block=64)  # noqa: E731

    def right(text: Text) -> None:
        for block in text.eval + text.fit:
            assert block.tokens.tolist() == whole[block.document]

    if len(set(map(tuple, whole.values()))) > 1:
        right(attempt())
    else:  # a run as long as the block: all blocks are one
        refusal(attempt, "tokens of another block", "longer")


# --- documents that begin alike -----------------------------------------------------------------

HEADER = "Permission is hereby granted, free of charge, to any person obtaining a copy of this. "


def lower() -> Toy:
    backend = byte_level()
    backend.normalizer = normalizers.Lowercase()
    return subject_of(backend)


ALIKE: dict[str, tuple[Callable[[], Toy], Callable[[int], str], int]] = {
    "one header longer than the block": (
        lambda: subject_of(byte_level()), lambda i: HEADER + prose(i), 64),
    "a header as long as the block": (
        lambda: subject_of(byte_level()), lambda i: HEADER + prose(i), len(HEADER)),
    "words that the tokenizer does not know": (
        lambda: subject_of(word_level(["known"])), lambda i: f"known {prose(i)}", 32),
    "letters in another case, under a tokenizer that lowers them": (
        lower, lambda i: "".join(c.upper() if random.Random(i * 99 + k).random() < 0.5 else c
                                 for k, c in enumerate(HEADER)), 64),
    "a header, and ends that the tokenizer adds": (
        lambda: subject_of(byte_level(), before=["<bos>"], after=["<eos>"]),
        lambda i: HEADER + prose(i), 64),
    "white space that the tokenizer skips": (
        lambda: subject_of(word_level(prose(1).split())),
        lambda i: (" " * (i + 1)).join(prose(1).split()), 32),
}  # fmt: skip


@pytest.mark.parametrize("how", ALIKE)
def test_documents_that_begin_alike_are_not_answered_by_asking_for_more(how, tmp_path):
    make, write, block = ALIKE[how]
    path = lines(tmp_path / "mine.jsonl", many(write, 100))
    refusal(
        lambda: read(path, make(), block=block),
        ALIKE_WORDS,
        r"does not know" if "does not know" in how else r"take away what all .* begin with",
        never=r"more documents|documents or more|it is empty",
    )


def test_a_header_shorter_than_the_block_is_no_reason_to_refuse(tmp_path):
    rows = many(lambda i: HEADER + prose(i), 100)
    text = read(lines(tmp_path / "mine.jsonl", rows), subject_of(byte_level()), block=128)
    assert len(text.eval) + len(text.fit) == 100


def test_two_headers_leave_as_many_blocks_and_it_is_told_why(tmp_path):
    rows = many(lambda i: f"{'AB'[i % 2] * 40} {prose(i)}", 100)
    path = lines(tmp_path / "mine.jsonl", rows)

    def right(text: Text) -> None:
        assert len(text.eval) + len(text.fit) == 2
        assert any(re.search(r"tokens of another block|alike", note) for note in text.notes)

    right_or_refused(
        lambda: read(path, subject_of(byte_level()), block=36), right,
        ALIKE_WORDS, "take away|longer", never="more documents|documents or more|it is empty",
    )  # fmt: skip


# --- files that are short, or all of one piece --------------------------------------------------

SHORT: dict[str, bytes] = {
    "one sentence": b"The quick brown fox jumps over the lazy dog near the river bank today.",
    "a page": (" ".join(f"word{i}" for i in range(300))).encode(),
    "one giant line": (" ".join(f"word{i}" for i in range(12000))).encode(),
    "a page with CRLF": b"\r\n".join(b"line %d of a short file" % i for i in range(60)),
    "a page with a BOM": b"\xef\xbb\xbf" + b"some words " * 40,
    "one giant line with CR alone": b"\r".join(b"line %d, an old Mac's" % i for i in range(2000)),
    "a page with NUL": b"some\0words " * 40,
    "two paragraphs": (prose(1, 400) + "\n\n" + prose(2, 400)).encode(),
}


@pytest.mark.parametrize("how", SHORT)
def test_a_short_file_is_not_called_empty_and_it_is_said_what_a_document_is(how, tmp_path):
    path = tmp_path / "mine.txt"
    path.write_bytes(SHORT[how])
    right_or_refused(
        lambda: read(path, subject_of(byte_level())),
        lambda text: (all_blocks(text) and text.fit) or pytest.fail("a part is empty"),
        # A zero byte is refused before anything is cut: a .txt that has one is as a rule no text.
        "zero byte" if "NUL" in how else r"passage|paragraph|blank line|2,?000 characters|\.jsonl",
        never=r"it is empty",
    )  # fmt: skip


@pytest.mark.parametrize(
    "content", [b"", b"\n\n\n", b" \t \r\n ", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"]
)
def test_a_file_with_nothing_but_white_space_is_empty(content, tmp_path):
    path = tmp_path / "mine.txt"
    path.write_bytes(content)
    refusal(lambda: read(path, subject_of(byte_level())), "empty", never="more documents")


@pytest.mark.parametrize("kind", ["UTF-16", "latin-1"])
def test_a_file_that_is_not_utf8_is_called_so(kind, tmp_path):
    path = tmp_path / "mine.txt"
    path.write_bytes(f"caf\xe9 {prose(1)}".encode(kind))
    refusal(lambda: read(path, subject_of(byte_level())), "UTF-8")


def test_what_a_document_is_in_a_text_file_is_said_where_texts_are_explained():
    shown = CliRunner().invoke(app, ["texts"], env={"COLUMNS": "300"}).output
    assert re.search(r"passage|paragraph|blank line", f"{ux.text.__doc__} {shown}")


def test_line_ends_do_not_change_how_many_documents_a_file_has(tmp_path):
    subject, counts = subject_of(byte_level()), set()
    for end in ("\n", "\r\n"):
        path = tmp_path / "mine.txt"
        path.write_bytes((end + end).join(prose(i, 350) for i in range(60)).encode())
        text = read(path, subject, block=64)
        counts.add(len(text.eval) + len(text.fit))
    assert counts == {60}


def test_a_folder_of_few_short_files_says_how_many_documents_there_are(tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.txt").write_text(prose(i))
    right_or_refused(
        lambda: read(tmp_path, subject_of(byte_level())),
        lambda text: (text.eval and text.fit) or pytest.fail("a part is empty"),
        "3 (documents|passages)", never="it is empty",
    )  # fmt: skip


def test_the_zero_byte_in_a_document_is_a_token_like_another(tmp_path):
    subject = subject_of(byte_level())
    rows = many(lambda i: f"zero\0byte {prose(i)}")
    text = read(lines(tmp_path / "mine.jsonl", rows), subject, block=64)
    assert all(ids[:10] == plain(subject, "zero\0byte ") for ids in all_blocks(text))


# --- near duplicates across the split -----------------------------------------------------------


def reworded(i: int) -> str:
    words = prose(i, 120).split()
    words[40] = "changed"
    return " ".join(words)


def wrapped(i: int) -> str:
    return "\n".join(" ".join(prose(i, 120).split()[k : k + 7]) for k in range(0, 120, 7))


NEAR: dict[str, Callable[[int], str]] = {
    "one word changed": reworded,
    "shifted by a word": lambda i: f"Abstract {prose(i, 120)}",
    "shifted by a sentence": lambda i: f"Posted on the 3rd by user {i}. {prose(i, 120)}",
    "another ending": lambda i: f"{prose(i, 120)} (version 2)",
    "without its first ten words": lambda i: " ".join(prose(i, 120).split()[10:]),
    "lines broken elsewhere": wrapped,
    "spaces doubled": lambda i: prose(i, 120).replace(" ", "  "),
    "a last sentence cut off": lambda i: " ".join(prose(i, 120).split()[:80]),
    "with a mark at every paragraph's end": lambda i: prose(i, 120) + " ¶",
}


def thirteens(words: str) -> set[tuple[str, ...]]:
    split = words.split()
    return {tuple(split[k : k + 13]) for k in range(len(split) - 12)}


@pytest.mark.parametrize("how", NEAR)
def test_no_measured_document_is_nearly_one_of_the_fit_part(how, tmp_path):
    """Half of all documents are near copies: about 16 of 50 couples lie across a fifth's split."""
    subject = subject_of(byte_level())
    rows = many(lambda i: prose(i, 120), 50) + many(NEAR[how], 50)
    text = read(lines(tmp_path / "mine.jsonl", rows), subject, block=400)
    seen = set(itertools.chain(*(thirteens(subject.tokenizer.decode(ids)) for ids in pool(text))))
    shares = []
    for block in text.eval:
        own = thirteens(subject.tokenizer.decode(block.tokens.tolist()[:-8]))
        shares.append(len(own & seen) / len(own))
    assert max(shares) <= 0.5, f"{sum(s > 0.5 for s in shares)} of {len(shares)} are in both parts"
    told = [n for n in text.notes if re.search(r"near|nearly|shingle|in a row", n)]
    assert any(re.search(r"[1-9]", note) for note in told), text.notes


def test_near_duplicates_in_a_chain_do_not_cross_either(tmp_path):
    """Each has two thirds of the one before: the first and the last have nothing in common."""
    words = prose(7, 2400).split()
    rows = [{"text": " ".join(words[k : k + 120])} for k in range(0, 2280, 40)]
    rows += many(lambda i: prose(i + 100, 120))
    subject = subject_of(byte_level())
    text = read(lines(tmp_path / "mine.jsonl", rows), subject, block=400)
    seen = set(itertools.chain(*(thirteens(subject.tokenizer.decode(ids)) for ids in pool(text))))
    for block in text.eval:
        own = thirteens(subject.tokenizer.decode(block.tokens.tolist()[:-8]))
        assert len(own & seen) <= 0.6 * len(own)


APART: dict[str, Callable[[int], str]] = {
    "one header of 14 words": lambda i: HEADER + prose(i, 200),
    "a footer": lambda i: f"{prose(i, 200)} {HEADER}",
    "short sentences of one mould": lambda i: (
        f"Number {i} is {i * i} when squared, says {prose(i, 3)}."
    ),
    "one quotation": lambda i: f"{prose(i, 90)} {prose(5000, 20)} {prose(i + 500, 90)}",
    "a list of the same few words": lambda i: prose(i, 40) + " yes no" * 6 + prose(i + 500, 40),
}


@pytest.mark.parametrize("how", APART)
def test_documents_that_share_a_little_are_all_kept(how, tmp_path):
    rows = many(APART[how], 60)
    text = read(lines(tmp_path / "mine.jsonl", rows), subject_of(byte_level()), block=200)
    assert len(text.eval) + len(text.fit) == 60, text.notes


# --- lone surrogates, and names -----------------------------------------------------------------


def test_half_a_character_in_a_line_is_refused_and_the_line_named(tmp_path):
    path = tmp_path / "mine.jsonl"
    good = [f'{{"text": "{prose(i)}"}}' for i in range(40)]
    good[6] = '{"text": "a lone \\ud83d here"}'
    path.write_text("\n".join(good))
    refusal(lambda: read(path, subject_of(byte_level())), "surrogate", "line 7")


def test_a_character_written_as_two_escapes_is_read_as_one(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(f'{{"text": "\\ud83d\\ude00 {prose(i)}"}}' for i in range(40)))
    subject = subject_of(byte_level())
    text = read(path, subject, block=64)
    assert all(ids[:4] == plain(subject, "😀") for ids in all_blocks(text))


@pytest.mark.parametrize("name", [b"caf\xe9.txt", "größe 1.txt".encode(), b"a[b]*.txt"])
def test_a_file_of_any_name_is_read_or_refused_by_it(name, tmp_path):
    path = tmp_path / Path(name.decode("utf-8", "surrogateescape"))
    path.write_text("\n\n".join(prose(i, 350) for i in range(40)))

    def right(text: Text) -> None:
        assert len(text.eval) + len(text.fit) == 40
        f"{text.name} {text.composition} {text.notes}".encode()

    right_or_refused(
        lambda: read(path, subject_of(byte_level()), block=64), right, "name|surrogate|UTF-8"
    )


def test_a_count_that_is_no_number_of_documents_is_refused(tmp_path):
    path = lines(tmp_path / "mine.jsonl", many(prose))
    for asked in ({"documents": 0}, {"fit_documents": -1}, {"block": 1}):
        with pytest.raises(TextError, match="least") as error:
            read(path, subject_of(byte_level()), **asked)
        says(error.value, next(iter(asked)))
