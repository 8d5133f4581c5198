"""Pairs by kind of fault: files of one's own, tokenizers of every sort, behaviours that ask for it all."""

from __future__ import annotations

import json
import random
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from typer.testing import CliRunner

import unexplained as ux
from kinds_of_text import Toy, byte_level, lines, refusal, right_or_refused, subject_of, word_level
from swept import by_component
from test_pairs import toy_of
from tiny import tiny_model, tiny_subject
from unexplained.cli.app import app
from unexplained.evaluate import evaluate
from unexplained.study import Run
from unexplained.study.gate import gate
from unexplained.testbeds.prompts import text_of
from unexplained.text import Pair, Text, behaviours
from unexplained.text.behaviours import Contrast

WORDS = [*(f"{letter}{i}" for letter in "nab" for i in range(200)),
         "says", "yes", "not", "to", "at", "all"]  # fmt: skip


def row(i: int, **more: object) -> dict[str, object]:
    """The prompt says which of two words comes; in bytes both prompts are equally long too."""
    words = {"clean": f"n{i} says yes to", "corrupted": f"n{i} says not to"}
    return {**words, "answer": f" a{i}", "wrong": f" b{i}", **more}


END = r"\bend|after|<eos>|\[SEP\]|adds"
"""What advice on a tokenizer that ends every text must be about."""


def speaker(**adds: list[str]) -> Toy:
    return subject_of(word_level(WORDS), **adds)


def ids(subject: Toy, words: str) -> list[int]:
    return [subject.tokenizer.convert_tokens_to_ids(word) for word in words.split()]


def all_pairs(text: Text) -> list[Pair]:
    return [pair for pair in (*text.eval, *text.fit) if isinstance(pair, Pair)]


def read(path: str | Path, subject: Toy, pairs: int = 20, fit_pairs: int = 20, **more: int) -> Text:
    return ux.pairs(str(path), subject, pairs=pairs, fit_pairs=fit_pairs, **more)


def file(tmp_path: Path, count: int = 150, **more: object) -> str:
    return lines(tmp_path / "mine.jsonl", [row(i, **more) for i in range(count)])


# --- tokenizers that add tokens -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [([], ["<eos>"]), (["<bos>"], ["<eos>"]), ([], ["[SEP]", "<eos>"]), (["<eos>"], ["<eos>"]),
     (["<bos>"], []), (["<bos>", "<lang>"], []), (["[CLS]"], ["[SEP]"])],
)  # fmt: skip
@pytest.mark.parametrize("source", ["of one's own", "of ours"])
def test_what_a_tokenizer_adds_at_the_end_is_no_part_of_a_prompt(before, after, source, tmp_path):
    if source == "of ours":
        known = [c for orbit in behaviours.orbits("capital_of") for c in orbit.contrasts]
        words = [w for c in known for w in f"{c.clean} {c.answer}".split()]
        subject = subject_of(word_level(words), before=before, after=after)
        wanted = {(c.clean, c.answer) for c in known}
        path = "capital_of"
    else:
        subject = speaker(before=before, after=after)
        wanted = {(r["clean"], r["answer"]) for r in map(row, range(150))}
        wanted |= {(r["corrupted"], r["wrong"]) for r in map(row, range(150))}
        path = file(tmp_path)
    plainly = {(*ids(subject, " ".join([*before, clean])), *ids(subject, word))
               for clean, word in wanted}  # fmt: skip

    def right(text: Text) -> None:
        assert len(text.eval) == 20
        assert {(*p.tokens.tolist(), p.answer) for p in all_pairs(text)} <= plainly
        assert {tuple(found.tolist()) for found in text.pool()} <= plainly

    attempt = lambda: read(path, subject)  # noqa: E731
    if after:
        right_or_refused(attempt, right, END, never="more pairs|words that this tokenizer has")
    else:
        right(attempt())


# --- words that are not one token: what to do about it ------------------------------------------


def spaced() -> Tokenizer:
    """A tokenizer as of GPT-2: the space before a word is part of its token."""
    words = ["Ġyes", "Ġno", "yes", "no", "Ġa", "Ġb", "Ġto"]
    merges = []
    for word in words:
        for cut in range(1, len(word)):
            merges.append((word[:cut], word[cut]))
    return byte_level(dict.fromkeys(merges))


def metaspaced() -> Tokenizer:
    """A tokenizer as of Llama 2: every word begins with a mark that stands for a space."""
    names = ["?", "▁", *(f"▁{word}" for word in WORDS)]
    backend = Tokenizer(models.WordLevel({n: i for i, n in enumerate(names)}, unk_token="?"))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    return backend


NOT_ONE: dict[str, tuple[Callable[[], Tokenizer], Callable[[int], dict[str, object]], str]] = {
    "prompts that end with a space": (
        spaced, lambda i: {"clean": f"{i} is it a ", "corrupted": f"{i} is it b ",
                           "answer": "yes", "wrong": "no"}, "space"),
    "prompts that end with a space, marked": (
        metaspaced, lambda i: row(i, clean=f"n{i} says yes to ", corrupted=f"n{i} says not to ",
                                  answer=f"a{i}", wrong=f"b{i}"), "space"),
    "words without their space": (
        lambda: word_level(WORDS), lambda i: row(i, answer=f"a{i}", wrong=f"b{i}"), "space"),
    "answers of two tokens": (
        lambda: word_level(WORDS), lambda i: row(i, answer=f" a{i} to"), "one token"),
    "answers of many bytes": (
        byte_level, lambda i: row(i), "one token"),
    "words that the tokenizer does not know": (
        lambda: word_level(WORDS), lambda i: row(i, answer=f" x{i}", wrong=f" y{i}"),
        "same tokens|know"),
    "prompts in another case, under a tokenizer that lowers it": (
        lambda: lowered(), lambda i: row(i, corrupted=f"N{i} SAYS YES TO"), "same tokens|case"),
    "an answer that merges with the prompt's end": (
        spaced, lambda i: {"clean": f"{i} x y", "corrupted": f"{i} z y", "answer": "es",
                           "wrong": "ep"}, "one token"),
}  # fmt: skip


def lowered() -> Tokenizer:
    backend = word_level(WORDS)
    backend.normalizer = normalizers.Lowercase()
    return backend


@pytest.mark.parametrize("how", NOT_ONE)
def test_pairs_that_no_number_of_pairs_would_help_are_not_answered_by_asking_for_more(
    how, tmp_path
):
    make, write, about = NOT_ONE[how]
    path = lines(tmp_path / "mine.jsonl", [write(i) for i in range(150)])
    refusal(lambda: read(path, subject_of(make())), about, never="more pairs")


def test_a_tokenizer_that_marks_spaces_cuts_pairs_as_they_are_written(tmp_path):
    subject = subject_of(metaspaced())
    text = read(file(tmp_path), subject)
    assert len(text.eval) == 20
    for pair in all_pairs(text):
        words = subject.tokenizer.convert_ids_to_tokens([*pair.tokens.tolist(), pair.answer])
        assert words[1:3] == ["▁says", words[2]] and words[-1][1] in "ab"


def test_a_prompt_that_spells_a_special_token_is_read_as_written_or_it_is_told(tmp_path):
    subject = speaker(special=["<|user|>", "<|end|>"])
    rows = [row(i, clean=f"<|user|> n{i} says yes <|end|> to",
                corrupted=f"<|user|> n{i} says not <|end|> to") for i in range(150)]  # fmt: skip
    path = lines(tmp_path / "mine.jsonl", rows)
    special = ids(subject, "<|user|> <|end|>")

    def right(text: Text) -> None:
        inside = [n for p in all_pairs(text) for n in p.tokens.tolist() if n in special]
        notes = " ".join(text.notes)
        assert not inside or ("<|user|>" in notes and "<|end|>" in notes), notes

    right_or_refused(lambda: read(path, subject), right, r"<\|user\|>")


# --- half characters ----------------------------------------------------------------------------

HALF = "\ud83d"


@pytest.mark.parametrize("field", ["clean", "corrupted", "answer", "wrong", "orbit"])
@pytest.mark.parametrize("kind", ["words", "bytes"])
def test_half_a_character_in_a_pair_is_refused_and_the_line_named(field, kind, tmp_path):
    subject = speaker() if kind == "words" else subject_of(byte_level())
    halves = {"clean": f"n6 {HALF} yes to", "corrupted": f"n6 {HALF} not to"}
    rows = [row(i) for i in range(150)]
    rows[6] = row(6, **{field: halves.get(field, f" {HALF}")})
    path = lines(tmp_path / "mine.jsonl", rows)
    refusal(lambda: read(path, subject), "surrogate", "line 7")


@pytest.mark.parametrize(
    "labels", [{"k": HALF}, {HALF: "v"}, {"k": f"a {HALF}"}, {f"{HALF}{HALF}": HALF}]
)
def test_half_a_character_in_a_label_is_refused_and_the_line_named(labels, tmp_path):
    rows = [row(i, labels={"k": "v"}) for i in range(150)]
    rows[6] = row(6, labels=labels)
    path = lines(tmp_path / "mine.jsonl", rows)
    refusal(lambda: read(path, speaker()), "surrogate", "line 7")


def test_half_a_character_in_an_unknown_field_is_refused_without_a_traceback(tmp_path):
    path = lines(tmp_path / "mine.jsonl", [{**row(0), HALF: "x"}, *map(row, range(1, 150))])
    error = refusal(lambda: read(path, speaker()), "line 1")
    str(error).encode()


@pytest.mark.parametrize("how", ["two escapes", "itself"])
def test_a_whole_character_beyond_the_first_plane_is_no_half(how, tmp_path):
    subject = subject_of(word_level([*WORDS, "😀"]))
    rows = [json.dumps(row(i, clean=f"n{i} 😀 yes to", corrupted=f"n{i} 😀 not to"),
                       ensure_ascii=how == "two escapes") for i in range(150)]  # fmt: skip
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(rows), encoding="utf-8")
    assert {p.tokens[1] for p in all_pairs(read(path, subject))} == set(ids(subject, "😀"))


# --- few pairs of one's own ---------------------------------------------------------------------


def measured_whole(path: str, count: int) -> Text:
    """All pairs measured and none kept to fit anything on: patching needs no more."""
    return ux.pairs(path, speaker(), pairs=count, fit_pairs=0)


@pytest.mark.parametrize("count", [12, 3, 1, 30, 100])
def test_all_pairs_of_ones_own_can_be_measured(count, tmp_path):
    subject, text = speaker(), measured_whole(file(tmp_path, count), 2 * count)
    wanted = {tuple(ids(subject, f"{r['clean']} {r['answer']}")) for r in map(row, range(count))}
    wanted |= {
        tuple(ids(subject, f"{r['corrupted']} {r['wrong']}")) for r in map(row, range(count))
    }
    assert {(*p.tokens.tolist(), p.answer) for p in text.eval} == wanted
    assert len(text.eval) == 2 * count and not text.fit


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_all_orbits_of_ones_own_can_be_measured_and_stay_together(size, tmp_path):
    rows = [row(i, orbit=f"o{i // size}") for i in range(12)]
    text = measured_whole(lines(tmp_path / "mine.jsonl", rows), 24)
    assert len(text.eval) == 24 and len(text.units) == 12 // size and not text.fit


def test_pairs_that_are_written_twice_are_measured_once(tmp_path):
    path = lines(tmp_path / "mine.jsonl", [row(i // 2) for i in range(12)])
    text = measured_whole(path, 12)
    assert len(text.eval) == 12 and len(text.units) == 6
    assert any(re.search(r"left out: 6", note) for note in text.notes)


def test_a_sweep_of_pairs_of_ones_own_patches_without_a_fit_part(tmp_path):
    """12 pairs, whose two prompts are exchanged: nothing is fitted, so all are measured."""
    model = tiny_subject("llama")
    rows = [{"clean": f"t{i} t{i + 1} t{40}", "corrupted": f"t{i} t{i + 20} t{40}",
             "answer": f" t{i + 2}", "wrong": f" t{i + 5}"} for i in range(12)]  # fmt: skip
    text = ux.pairs(lines(tmp_path / "mine.jsonl", rows), model, pairs=24, fit_pairs=0)
    record = ux.sweep(model, "L0.H0 L1.H1", text, ablation="patch", measure="logit difference",
                      pairs=0, gated=False, settings=ux.Settings(resamples=50))  # fmt: skip
    assert by_component(record, "change").keys() == {"L0.H0", "L1.H1"}
    for ablation in ("mean", "resample"):
        refusal(lambda a=ablation: ux.sweep(model, "L0.H0", text, ablation=a, gated=False), "fit")


ODD: dict[str, Callable[[list[dict[str, object]]], bytes]] = {
    "a BOM": lambda rows: b"\xef\xbb\xbf" + "\n".join(map(json.dumps, rows)).encode(),
    "CRLF": lambda rows: "\r\n".join(map(json.dumps, rows)).encode(),
    "empty lines between": lambda rows: "\n\n \n".join(map(json.dumps, rows)).encode(),
    "no line's end": lambda rows: "\n".join(map(json.dumps, rows)).rstrip().encode(),
    "fields in another order": lambda rows: "\n".join(
        json.dumps(dict(reversed(r.items()))) for r in rows).encode(),
    "no labels": lambda rows: "\n".join(json.dumps({**r, "labels": {}}) for r in rows).encode(),
    "whole numbers for orbits": lambda rows: "\n".join(
        json.dumps({**r, "orbit": i}) for i, r in enumerate(rows)).encode(),
}  # fmt: skip


@pytest.mark.parametrize("how", ODD)
def test_a_file_that_is_odd_and_whole_is_read_as_it_is(how, tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_bytes(ODD[how](list(map(row, range(150)))))
    known = {tuple(ids(speaker(), r["clean"])) for r in map(row, range(150))}
    known |= {tuple(ids(speaker(), r["corrupted"])) for r in map(row, range(150))}
    text = read(path, speaker())
    assert len(text.eval) == 20 and {tuple(p.tokens.tolist()) for p in text.eval} <= known


BROKEN: dict[str, tuple[Callable[[list[dict[str, object]]], str], str]] = {
    "one array": (json.dumps, "line 1"),
    "labels that are numbers": (
        lambda rows: "\n".join(json.dumps({**r, "labels": {"k": 3}}) for r in rows), "labels"),
    "labels that are a list": (
        lambda rows: "\n".join(json.dumps({**r, "labels": ["k"]}) for r in rows), "labels"),
    "no labels at all but null": (
        lambda rows: "\n".join(json.dumps({**r, "labels": None}) for r in rows), "labels"),
    "an orbit that is null": (
        lambda rows: "\n".join(json.dumps({**r, "orbit": None}) for r in rows), "orbit"),
    "an answer that is a number": (
        lambda rows: "\n".join(json.dumps({**r, "answer": 3}) for r in rows), "answer"),
    "a capital in a field's name": (
        lambda rows: "\n".join(json.dumps({("Clean" if k == "clean" else k): v
                                           for k, v in r.items()}) for r in rows), "clean"),
    "a field twice": (
        lambda rows: "\n".join(json.dumps(r)[:-1] + ', "answer": " a199"}' for r in rows), "answer"),
    "lines of unequal length": (
        lambda rows: "\n".join(json.dumps({**r, "corrupted": "not to"}) for r in rows), "line 1"),
    "all in one orbit": (
        lambda rows: "\n".join(json.dumps({**r, "orbit": "one"}) for r in rows), "orbit"),
    "deeper than json reads": (lambda rows: "[" * 100_000, "line 1"),
    "a number that json cannot hold": (lambda rows: '{"clean": ' + "9" * 5000 + "}", "line 1"),
}  # fmt: skip


@pytest.mark.parametrize("how", BROKEN)
def test_a_file_that_is_broken_is_refused_by_what_is_wrong_with_it(how, tmp_path):
    path = tmp_path / "mine.jsonl"
    write, about = BROKEN[how]
    path.write_text(write(list(map(row, range(150)))), encoding="utf-8")
    refusal(lambda: read(path, speaker()), about, never="words that this tokenizer has")


HELPS: dict[str, tuple[list[dict[str, object]], dict[str, int], str]] = {
    "all in one orbit": ([row(i, orbit="one") for i in range(150)], {}, "give one `orbit` only to"),
    "orbits larger than what is asked for": (
        [row(i, orbit=i // 6) for i in range(60)], {"pairs": 4, "fit_pairs": 4}, "at least 12"),
    "marks of one part alone": ([row(i, part="fit") for i in range(12)], {}, '"part": "eval"'),
    "one prompt in all orbits": (
        [row(i, clean="n1 says yes to", corrupted="n1 says not to") for i in range(100)], {},
        "share a prompt"),
}  # fmt: skip


@pytest.mark.parametrize("how", HELPS)
def test_a_part_that_stays_empty_is_answered_with_what_would_fill_it(how, tmp_path):
    rows, asked, helps = HELPS[how]
    path = lines(tmp_path / "mine.jsonl", rows)
    refusal(lambda: read(path, speaker(), **asked), helps, never="more pairs")


def test_what_is_advised_for_words_that_are_not_one_token_is_taken(tmp_path):
    """Written as the message says, the same pairs are read."""
    for make, write, about in list(NOT_ONE.values())[:3]:
        assert about == "space"
        rows = [write(i) for i in range(60)]
        path = lines(tmp_path / "mine.jsonl", rows)
        told = str(refusal(lambda: read(path, subject_of(make()))))  # noqa: B023
        word = re.search(r"' (\w+)'\.$", told)
        assert word is not None and word[1] == rows[0]["answer"], told
        clean = str(rows[0]["clean"])
        assert (f"write '{clean.rstrip()}' and" in told) == clean.endswith(" "), told
        moved = [
            {**r, "clean": str(r["clean"]).rstrip(), "corrupted": str(r["corrupted"]).rstrip(),
             "answer": f" {r['answer']}", "wrong": f" {r['wrong']}"} for r in rows
        ]  # fmt: skip
        assert len(read(lines(tmp_path / "mine.jsonl", moved), subject_of(make())).eval) > 0


def test_prompts_with_words_that_the_tokenizer_does_not_know_are_counted(tmp_path):
    rows = [row(i, **({"clean": f"n{i} says oui to", "corrupted": f"n{i} says not to"}
                      if i % 5 == 0 else {})) for i in range(10)]  # fmt: skip
    text = ux.pairs(lines(tmp_path / "mine.jsonl", rows), speaker())
    assert "Pairs with words that the tokenizer does not know: 4 of 20." in text.notes


@pytest.mark.parametrize("where", ["a field", "a label", "a file of texts"])
def test_a_key_that_is_in_a_line_twice_is_refused_by_its_name(where, tmp_path):
    path = tmp_path / "mine.jsonl"
    line = json.dumps(row(0, labels={"k": "v"}))
    texts = where == "a file of texts"
    twice = {
        "a field": line[:-1] + ', "wrong": " b1"}',
        "a label": line.replace('{"k": "v"}', '{"k": "v", "k": "w"}'),
        "a file of texts": '{"text": "one", "text": "other"}',
    }
    path.write_text(twice[where], encoding="utf-8")
    name = {"a field": "wrong", "a label": "k", "a file of texts": "text"}[where]
    make = ux.text if texts else ux.pairs
    refusal(lambda: make(str(path), speaker()), "line 1", f"'{name}' twice")


def test_labels_that_some_lines_lack_count_the_lines_that_have_them(tmp_path):
    model = tiny_subject("llama")
    rows = [{"clean": f"t{i} t{i + 1} t40", "corrupted": f"t{i} t{i + 20} t40",
             "answer": f" t{i + 2}", "wrong": f" t{i + 5}",
             **({"labels": {"k": "v"}} if i % 2 else {})} for i in range(36)]  # fmt: skip
    text = ux.pairs(lines(tmp_path / "mine.jsonl", rows), model, pairs=8, fit_pairs=8)
    found = evaluate(model, text, [], measure="logit difference")
    with_label = sum("k" in p.labels for p in text.eval)
    assert 0 < with_label < len(text.eval)
    assert found.sums("intact").tokens.sum() == len(text.eval)
    assert found.sums("intact", ("k", "v")).tokens.sum() == with_label


def test_a_label_family_called_all_does_not_count_pairs_twice(tmp_path):
    model = tiny_subject("llama")
    rows = [{"clean": f"t{i} t{i + 1} t40", "corrupted": f"t{i} t{i + 20} t40",
             "answer": f" t{i + 2}", "wrong": f" t{i + 5}", "labels": {"all": "all"}}
            for i in range(36)]  # fmt: skip
    path = lines(tmp_path / "mine.jsonl", rows)

    def counted() -> tuple[int, int]:
        text = ux.pairs(path, model, pairs=8, fit_pairs=8)
        sums = evaluate(model, text, [], measure="logit difference").sums("intact")
        return int(sums.tokens.sum()), len(text.eval)

    right_or_refused(counted, lambda n: n[0] == n[1] or pytest.fail(f"{n[0]} of {n[1]}"), "all")


# --- behaviours that can be solved without reading everything -----------------------------------


def contrasts(name: str) -> list[Contrast]:
    return [c for orbit in behaviours.orbits(name) for c in orbit.contrasts]


def years(prompt: str) -> list[int]:
    return [int(year) for year in re.findall(r"\d{4}", prompt)]


def up(c: Contrast) -> bool:
    shown = years(c.clean)
    return shown[1] > shown[0]


def higher(c: Contrast) -> bool:
    return int(c.answer) > int(c.wrong)


def arguments(c: Contrast) -> list[str]:
    found = re.search(r"\((.*?)\)", c.clean)
    assert found is not None
    return found[1].split(", ")


def plural(word: str) -> bool:
    return word.endswith("s")


def many(c: Contrast) -> bool:
    return c.answer.strip() in ("are", "were", "have")


def mentions(c: Contrast) -> list[str]:
    return [w for w in re.findall(r"\w+", c.clean) if w in (c.answer.strip(), c.wrong.strip())]


CLOSES = {"(": ")", "[": "]", "{": "}"}

SHORTCUTS: dict[str, tuple[str, Callable[[Contrast], float]]] = {
    "greater_than: the higher digit where years go up": ("greater_than", lambda c: higher(c) == up(c)),
    "greater_than: by the last example's direction alone": (
        "greater_than",
        lambda c: higher(c) == (years(c.clean)[5] > years(c.clean)[4]),
    ),
    "docstring: the penultimate argument": (
        "docstring", lambda c: arguments(c)[-2] == c.answer.strip()),
    "docstring: the one of the two that is named first": (
        "docstring", lambda c: mentions(c)[0] == c.answer.strip()),
    "docstring: the one that is not the last argument, of two such either": (
        "docstring", lambda c: 0.5 * (1 + (arguments(c)[-1] == c.wrong.strip())
                                      - (arguments(c)[-1] == c.answer.strip()))),
    "brackets: the bracket that was opened last, closed or not": (
        "brackets", lambda c: CLOSES[[x for x in c.clean if x in CLOSES][-1]] == c.answer),
}  # fmt: skip

HONEST: dict[str, tuple[str, Callable[[Contrast], bool]]] = {
    "ioi: the name that comes first": ("ioi", lambda c: mentions(c)[0] == c.answer.strip()),
    "ioi: the name that comes second": ("ioi", lambda c: mentions(c)[1] == c.answer.strip()),
    "ioi: the lesser name": ("ioi", lambda c: c.answer < c.wrong),
    "agreement: the number of the nearest noun": (
        "agreement",
        lambda c: plural(c.clean.split()[-1]) == many(c),
    ),
    "greater_than: the higher digit": ("greater_than", higher),
    "brackets: the bracket that was opened first": (
        "brackets",
        lambda c: CLOSES[next(x for x in c.clean if x in CLOSES)] == c.answer,
    ),
    "docstring: the lesser word": ("docstring", lambda c: c.answer < c.wrong),
}


def share(name: str, rule: Callable[[Contrast], float]) -> float:
    found = [rule(c) for c in contrasts(name)]
    return sum(found) / len(found)


def told(name: str, subject: Toy | None = None) -> list[float]:
    """How often simple rules are right, as a text of the behaviour says in its notes."""
    # Where an answer is glued to its prompt, a byte is a token of its own.
    glued = name in ("greater_than", "brackets")
    subject = subject or (subject_of(byte_level()) if glued else toy_of(name))
    notes = ux.pairs(name, subject, pairs=100, fit_pairs=24).notes
    (note,) = [note for note in notes if "imple rules" in note]
    return [int(found) / 100 for found in re.findall(r": (\d+)%", note)]


@pytest.mark.parametrize("rule", SHORTCUTS)
def test_a_rule_that_reads_less_than_the_behaviour_asks_is_near_chance_or_its_score_is_told(rule):
    """`near chance`: right in at most 60%. What is told is a rule that is right as often or more.

    A text has 100 of the pairs, so a share in it is within 3 standard errors, 15%, of that in all;
    a share of 1 is a share of 1 in every text.
    """
    name, takes = SHORTCUTS[rule]
    right = share(name, takes)
    best = max(told(name), default=0)
    assert right <= 0.6 or best >= right - (0.15 if right < 1 else 0), f"{right:.0%}: {best:.0%}"


@pytest.mark.parametrize("rule", HONEST)
def test_a_preference_stays_near_chance(rule):
    name, takes = HONEST[rule]
    assert share(name, takes) <= (0.80 if name == "brackets" else 0.6)


def letters_of(word: str) -> list[str]:
    return [*word.strip().lower()]


def words_of(prompt: str) -> list[str]:
    return re.findall(r"[a-z]+|[^\sa-z]", prompt.lower())


def alike(one: str, other: str) -> int:
    """How many letters two words begin with."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
                min(len(one), len(other)))  # fmt: skip


GRAMMAR: dict[str, Callable[[str, str], float]] = {
    "length": lambda prompt, word: len(word),
    "order": lambda prompt, word: sum(ord(c) / 256**i for i, c in enumerate(word.strip())),
    "last letter": lambda prompt, word: ord(word[-1]),
    "ends in s": lambda prompt, word: word.endswith("s"),
    "begins with a vowel": lambda prompt, word: word.strip()[:1].lower() in "aeiou",
    "first place": lambda prompt, word: prompt.find(word.strip()),
    "last place": lambda prompt, word: prompt.rfind(word.strip()),
    "count": lambda prompt, word: prompt.count(word.strip()),
    "letters that the prompt has": lambda prompt, word: sum(
        letter in prompt.lower() for letter in letters_of(word)) / len(letters_of(word)),
    "begins like a word": lambda prompt, word: max(
        alike(word.strip().lower(), other) for other in words_of(prompt)),
    "ends like a word": lambda prompt, word: max(
        alike(word.strip().lower()[::-1], other[::-1]) for other in words_of(prompt)),
    "first letters in common": lambda prompt, word: sum(
        other[0] == word.strip().lower()[0] for other in words_of(prompt)),
    **{f"as long as word {n} from the {end}": lambda prompt, word, n=n, end=end: -abs(
        len(word.strip()) - len(words_of(prompt)[n if end == "start" else -n]))
       for n in (1, 2, 3) for end in ("start", "end")},
    **{f"is word {n} from the {end}": lambda prompt, word, n=n, end=end:
       words_of(prompt)[n if end == "start" else -n] == word.strip().lower()
       for n in (1, 2, 3, 4) for end in ("start", "end")},
    **{f"stands before word {n} from the end": lambda prompt, word, n=n: sum(
        one == word.strip().lower() and other == words_of(prompt)[-n]
        for one, other in pairwise(words_of(prompt))) for n in (1, 2, 3)},
    **{f"stands after word {n} from the end": lambda prompt, word, n=n: sum(
        other == word.strip().lower() and one == words_of(prompt)[-n]
        for one, other in pairwise(words_of(prompt))) for n in (1, 2, 3)},
}  # fmt: skip
"""Simple rules of strings that know of no behaviour."""


@pytest.mark.parametrize("name", behaviours.described())
def test_no_simple_rule_of_strings_does_better_than_those_that_the_project_knows(name):
    """Brute force over a small grammar, every rule also the other way round."""
    every = contrasts(name)[::5]
    known = [behaviours.right(rule, every) for rule in behaviours.shortcuts(name).values()]
    best = max(0.6, *known)
    for says, rule in GRAMMAR.items():
        found = behaviours.right(rule, every)
        assert max(found, 1 - found) <= best + 0.03, (says, found, best)


# --- the gate: each role apart ------------------------------------------------------------------


def roles_text(first: int, second: int, orbits: int = 30) -> Text:
    """Orbits of which the model is right on the first pair `first` times, on its swap `second` times.

    Which words do that is found by trying, from the logits of Hugging Face's own forward.
    """
    model, draw = tiny_model("llama"), random.Random(0)
    prompts = torch.tensor([[draw.randrange(61) for _ in range(4)] for _ in range(orbits)])
    others = prompts.clone()
    others[:, 1] = (others[:, 1] + 1) % 61
    with torch.no_grad():
        clean, swapped = (model(some).logits[:, -1] for some in (prompts, others))
    found = []
    for i in range(orbits):
        while True:
            answer, wrong = draw.sample(range(61), 2)
            own = (
                bool(clean[i, answer] > clean[i, wrong]),
                bool(swapped[i, wrong] > swapped[i, answer]),
            )
            if own == (i < first, i % orbits >= orbits - second):
                break
        one, other = (some[i].numpy().astype(np.int32) for some in (prompts, others))
        shared = {"orbit": f"{i}"}
        found.append((
            Pair(f"{i} a", "roles", one, corrupted=other, answer=answer, wrong=wrong,
                 labels={"role": "first"}, **shared),
            Pair(f"{i} b", "roles", other, corrupted=one, answer=wrong, wrong=answer,
                 labels={"role": "swapped"}, **shared),
        ))  # fmt: skip
    return replace(text_of("roles", found, found[:1]), vocabulary=61)


@pytest.mark.parametrize(("first", "second"), [(30, 15), (30, 17), (15, 30), (30, 12), (28, 14)])
def test_a_behaviour_that_the_model_has_in_one_role_alone_does_not_pass(first, second):
    """Together 70% to 78% are right, and all that is above chance is of one role."""
    settings = ux.Settings(resamples=300)
    found = gate(Run(tiny_subject("llama"), (roles_text(first, second),), settings))
    assert found.accuracy.value == pytest.approx((first + second) / 60)
    assert not found.passed, f"passed with {first} and {second} of 30"


@pytest.mark.parametrize(
    ("first", "second", "passes"), [(27, 26, True), (30, 30, True), (30, 0, False)]
)
def test_a_behaviour_that_the_model_has_in_both_roles_passes(first, second, passes):
    settings = ux.Settings(resamples=300)
    found = gate(Run(tiny_subject("llama"), (roles_text(first, second),), settings))
    assert found.passed == passes


# --- behaviours under a tokenizer that has not their words --------------------------------------


def letters() -> Toy:
    return subject_of(byte_level())


TOKENIZERS: dict[str, Callable[[], Toy]] = {
    "of other words": lambda: subject_of(word_level(["t1", "t2"])),
    "of letters": letters,
    "that ends every text": lambda: subject_of(byte_level(), after=["<eos>"]),
    "that begins every text": lambda: subject_of(byte_level(), before=["<bos>"]),
    "of digits": lambda: subject_of(word_level([str(n) for n in range(10)])),
}


@pytest.mark.parametrize("how", TOKENIZERS)
@pytest.mark.parametrize("name", ["ioi", "antonyms", "capital_of"])
def test_a_behaviour_that_a_tokenizer_leaves_nothing_of_is_not_answered_by_more_pairs(name, how):
    """Nobody can give a behaviour of ours more pairs; what leaves none is the tokenizer."""
    refusal(lambda: ux.pairs(name, TOKENIZERS[how]()), "token", never="give more pairs")


def test_the_list_of_behaviours_says_that_the_tokenizer_leaves_no_pairs(monkeypatch):
    subject = tiny_subject("llama")
    monkeypatch.setattr(ux, "load", lambda *_, **__: subject)
    # By the module itself: `unexplained.text` is a function of that name as well.
    monkeypatch.setattr(
        sys.modules["unexplained.text.pairs"], "described",
        lambda: {"ioi": "Who?", "antonyms": "What?"},
    )  # fmt: skip
    shown = CliRunner().invoke(app, ["behaviours", "tiny"], env={"COLUMNS": "260"})
    assert shown.exit_code == 0, shown.output
    rows = [line for line in shown.output.splitlines() if re.search(r"ioi|antonyms", line)]
    assert len(rows) == 2 and all(re.search("token", line) for line in rows), rows


def test_a_behaviour_that_a_tokenizer_has_is_read_whole():
    assert len(ux.pairs("capital_of", toy_of("capital_of"), pairs=10, fit_pairs=10).eval) == 10
