"""Texts of prompt pairs: the theorem of role-swaps, the split, and the user's own pairs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from unexplained.donors.another import Another
from unexplained.errors import TextError
from unexplained.explanations.program import Elsewhere
from unexplained.sites import Shape
from unexplained.subject import Subject, load
from unexplained.subject.packaged import packaged_folder
from unexplained.text import Pair, Text, behaviours
from unexplained.text.behaviours import (
    RULES,
    Contrast,
    Orbit,
    Side,
    couples,
    deck,
    exchange,
    files,
    right,
)
from unexplained.text.document import part
from unexplained.text.pairs import described, pairs

every_behaviour = pytest.mark.parametrize("name", sorted(described()))


@dataclass(frozen=True)
class Toy:
    """A subject of which only the tokenizer is there."""

    tokenizer: PreTrainedTokenizerBase
    shape: Shape
    name: str = "toy"


def toy(words: Sequence[str], *, bos: bool = False) -> Toy:
    """One token for each word; words that are not listed are the token `?`."""
    ids = {word: i for i, word in enumerate(dict.fromkeys(["?", "<bos>", *words]))}
    backend = Tokenizer(models.WordLevel(ids, unk_token="?"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if bos:
        backend.post_processor = processors.TemplateProcessing(
            single="<bos> $A", special_tokens=[("<bos>", 1)]
        )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="?")
    return Toy(tokenizer, Shape(1, 1, 1, 4, 4, 4, len(ids)))


def toy_of(name: str, *, bos: bool = False) -> Toy:
    """A tokenizer that has every word of a behaviour."""
    contrasts = [c for orbit in behaviours.orbits(name) for c in orbit.contrasts]
    return toy([w for c in contrasts for w in f"{c.clean} {c.answer}".split()], bos=bos)


@pytest.fixture(scope="module")
def capitals() -> Toy:
    return toy_of("capital_of")


def write(path: Path, rows: Sequence[object]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def row(i: int, **more: object) -> dict[str, object]:
    """The prompt says which of two words comes."""
    words = {"clean": f"n{i} says yes to", "corrupted": f"n{i} says no to"}
    return {**words, "answer": f" a{i}", "wrong": f" b{i}", **more}


def speaker(count: int = 200) -> Toy:
    names = [f"{letter}{i}" for letter in "nab" for i in range(count)]
    return toy([*names, "says", "yes", "no", "to", "at", "all"])


def all_pairs(text: Text) -> list[Pair]:
    found = [pair for pair in (*text.eval, *text.fit) if isinstance(pair, Pair)]
    assert len(found) == len(text.eval) + len(text.fit)
    return found


def contents(text: Text) -> list[tuple]:
    return [
        (p.document, p.orbit, p.tokens.tolist(), p.corrupted.tolist(), p.answer, p.wrong)
        for p in all_pairs(text)
    ]


# --- laws of every behaviour, on its strings ----------------------------------------------------


@every_behaviour
def test_every_orbit_is_a_pair_and_its_role_swap(name):
    for orbit in behaviours.orbits(name):
        one, other = orbit.contrasts
        swapped = one.role_swapped()
        assert (swapped.clean, swapped.corrupted) == (other.clean, other.corrupted)
        assert (swapped.answer, swapped.wrong) == (other.answer, other.wrong)
        assert one.clean != one.corrupted and one.answer != one.wrong
        assert one.labels.keys() == other.labels.keys() and one.labels


@every_behaviour
def test_no_prompt_is_in_two_orbits(name):
    prompts = [c.clean for orbit in behaviours.orbits(name) for c in orbit.contrasts]
    assert len(set(prompts)) == len(prompts)


@every_behaviour
def test_both_parts_have_enough_orbits_for_a_text_of_64_pairs(name):
    parts = Counter(part(orbit.id) for orbit in behaviours.orbits(name))
    assert parts["eval"] >= 32 and parts["fit"] >= 128


@every_behaviour
def test_a_behaviours_orbits_are_the_same_whenever_they_are_asked_for(name):
    once, again = (list(islice(behaviours.orbits(name), 40)) for _ in range(2))
    assert once == again


@every_behaviour
def test_a_behaviours_description_is_one_sentence(name):
    says = described()[name]
    assert says.endswith(".") and len(says) < 110 and ".  " not in says


def test_the_two_orders_of_names_are_role_swaps_of_each_other():
    for orbit in islice(behaviours.orbits("ioi"), 50):
        first, second = orbit.contrasts
        assert [first.labels["order"], second.labels["order"]] == ["ABB", "BAB"]
        words = first.clean.replace(",", " ").replace(".", " ").split()
        one, two = first.answer.strip(), first.wrong.strip()
        assert [word for word in words if word in (one, two)] == [one, two, two]


def test_greater_than_asks_for_a_digit_on_the_side_that_the_examples_show():
    for orbit in behaviours.orbits("greater_than"):
        for contrast in orbit.contrasts:
            years = [int(word) for word in _numbers(contrast.clean)]
            digit = years[-2] % 10
            examples = list(zip(years[:-2:2], years[1:-2:2], strict=True))
            assert len(examples) == 3 and years[-1] == years[-2] // 10
            up = {later > earlier for earlier, later in examples}
            assert up == {int(contrast.answer) > digit} == {int(contrast.wrong) < digit}


def test_a_bracket_closes_the_one_that_was_opened_last():
    closing = {"(": ")", "[": "]", "{": "}"}
    for orbit in behaviours.orbits("brackets"):
        for contrast in orbit.contrasts:
            stack: list[str] = []
            for letter in contrast.clean:
                if letter in closing:
                    stack.append(closing[letter])
                elif letter in closing.values():
                    assert stack.pop() == letter
            assert stack[-1] == contrast.answer
            assert contrast.wrong in closing.values()


def test_the_docstring_asks_for_the_first_argument_that_it_has_not_described():
    for orbit in islice(behaviours.orbits("docstring"), 100):
        for contrast in orbit.contrasts:
            signature, body = contrast.clean.split('"""', 1)
            arguments = signature[signature.index("(") + 1 : signature.index(")")].split(", ")[1:]
            place = int(contrast.labels["arguments before"])
            assert contrast.answer == f" {arguments[place]}"
            assert contrast.wrong == f" {arguments[place + 1]}"
            assert all(f" {argument}" in body for argument in arguments[:place])


# --- rules that do less than the behaviour ------------------------------------------------------

GOOD_RULES = {
    # Plurals end like `is`, `was` and `has`; many other words end like `are`, so it is counted below.
    "agreement": {
        "plural if any noun is": 3 / 4,
        "the word that ends unlike the words of the prompt": 0.635,
    },
    "antonyms": {},
    "brackets": {
        "a bracket that is not closed": (5 + 1 / 2) / 6,
        "the word that the prompt does not have last": 3 / 4,
        "the word that the prompt does not have first": 3 / 4,
        "the word that the prompt has less often": 3 / 4,
        # Two of six templates have the other bracket at a word's end, and nothing behind it.
        "the word that ends unlike the words of the prompt": 4 / 6,
        "the bracket that was opened first": 4 / 6,
        "the bracket that was opened last": 4 / 6,
    },
    "capital_of": {},
    "city_country": {},
    "docstring": {
        "the word that the prompt has first": 1,
        "the word that the prompt does not have last": 1,
        "not the last argument": 3 / 4,
    },
    "greater_than": {"the higher digit where the examples go up, whatever year is asked about": 1},
    "ioi": {
        "the word that the prompt does not have last": 1,
        "the word that the prompt has less often": 1,
    },
}
"""By counting the kinds of prompts: of six templates of brackets the first one opened is right in
four, and so on."""


@every_behaviour
def test_the_rules_that_are_right_in_over_60_percent_are_those_that_the_wording_lets_through(name):
    contrasts = [c for orbit in behaviours.orbits(name) for c in orbit.contrasts]
    shares = {says: right(rule, contrasts) for says, rule in behaviours.shortcuts(name).items()}
    good = {says: share for says, share in shares.items() if share > 0.6}
    assert good == pytest.approx(GOOD_RULES[name], abs=0.01)


def test_the_rules_of_single_behaviours_by_a_second_route():
    every = {n: [c for o in behaviours.orbits(n) for c in o.contrasts] for n in described()}

    def share(name: str, hits: Sequence[float]) -> float:
        assert len(hits) == len(every[name])
        return sum(hits) / len(hits)

    # The higher word is right exactly where the first example goes up; the year is not looked at.
    years = [[int(y) for y in _numbers(c.clean)[:2]] for c in every["greater_than"]]
    up = [later > earlier for earlier, later in years]
    higher = [int(c.answer) > int(c.wrong) for c in every["greater_than"]]
    assert up == higher
    # The last argument but one, taken out of the signature by hand.
    found = [c.clean.split(")")[0].split(", ")[-2] for c in every["docstring"]]
    hits = [(f" {a}" == c.answer) + (f" {a}" not in (c.answer, c.wrong)) / 2
            for a, c in zip(found, every["docstring"], strict=True)]  # fmt: skip
    assert share("docstring", hits) == pytest.approx(0.5, abs=0.01)
    # The nearest noun's number is the subject's in one of the two prompts.
    last = [c.clean.endswith("s") for c in every["agreement"]]
    hits = [p == (c.answer in (" are", " were", " have"))
            for p, c in zip(last, every["agreement"], strict=True)]  # fmt: skip
    assert share("agreement", hits) == 0.5

    # How many letters the end of a verb has in common with a word of the prompt, by trying.
    def ends(c: Contrast, verb: str) -> int:
        tried = [k for k in range(1, 6) for w in c.clean.split() if w.endswith(verb.strip()[-k:])]
        return max((k for k in tried if k <= len(verb.strip())), default=0)

    hits = [(ends(c, c.answer) < ends(c, c.wrong)) + (ends(c, c.answer) == ends(c, c.wrong)) / 2
            for c in every["agreement"]]  # fmt: skip
    assert share("agreement", hits) == pytest.approx(0.635, abs=0.001)
    # Of three brackets' worth of letters: the last one opened, closed or not.
    closing = {"(": ")", "[": "]", "{": "}"}
    opened = [[x for x in c.clean if x in closing][-1] for c in every["brackets"]]
    hits = [closing[o] == c.answer for o, c in zip(opened, every["brackets"], strict=True)]
    assert share("brackets", hits) == pytest.approx(4 / 6, abs=0.01)


def test_a_rule_of_no_preference_is_right_in_half_and_a_word_in_another_is_not_there():
    swap = exchange(Side("cat cats", "cat", {}), Side("dog", "at", {})).contrasts
    assert right(lambda prompt, word: 0, swap) == 0.5
    first = RULES["the word that the prompt has first"]
    assert first("cats at", "at") == -5 and first("cats", "at") == -np.inf
    assert RULES["the word that the prompt has more often"]("(a) b)", ")") == 2


def test_the_notes_name_good_rules_and_say_so_where_there_is_none(tmp_path):
    told = pairs("ioi", toy_of("ioi"), pairs=8, fit_pairs=2).notes
    assert any(
        note.startswith("Simple rules that are right in over 60% of the eval pairs: ")
        and "does not have last: 100%" in note
        for note in told
    )
    none = f"Of {len(RULES)} simple rules none is right in over 60% of the eval pairs."
    assert none in pairs("capital_of", toy_of("capital_of"), pairs=60).notes
    rows = [row(i, clean=f"n{i} b{i} a{i} to", corrupted=f"n{i} a{i} b{i} to") for i in range(9)]
    own = pairs(write(tmp_path / "mine.jsonl", rows), speaker()).notes
    assert any("the word that the prompt has last: 100%" in note for note in own)


def test_half_of_the_signatures_have_an_argument_after_the_two():
    seen = Counter(
        c.labels["arguments after"] for o in behaviours.orbits("docstring") for c in o.contrasts
    )
    assert set(seen) == {"0", "1"} and abs(seen["0"] - seen["1"]) < 0.02 * seen.total()


def _numbers(text: str) -> list[str]:
    return "".join(letter if letter.isdigit() else " " for letter in text).split()


# --- what orbits are made with ------------------------------------------------------------------


def test_a_deck_deals_every_item_equally_often():
    assert set(Counter(islice(deck("abcde", "key"), 35)).values()) == {7}


def test_a_matching_has_every_item_once():
    found = [item for couple in couples(range(10), "key") for item in couple]
    assert sorted(found) == list(range(10))


def test_an_orbit_is_named_by_its_contents_in_either_order():
    one, other = Side("x", "1", {}), Side("y", "2", {})
    assert exchange(one, other).id == exchange(other, one).id
    assert exchange(one, other).id != exchange(one, Side("y", "3", {})).id
    assert Orbit((), "mine").id == Orbit((Contrast("a", "b", "c", "d"),), "mine").id


# --- texts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ioi", "capital_of", "antonyms", "agreement"])
def test_a_preference_for_words_that_ignores_the_prompt_has_a_mean_logit_difference_of_exactly_zero(
    name,
):
    found = pairs(name, toy_of(name), pairs=32, fit_pairs=20)
    logits = np.random.default_rng(0).normal(size=found.vocabulary) * 100
    for blocks in (found.eval, found.fit):
        logit_differences = np.array([logits[p.answer] - logits[p.wrong] for p in blocks])
        assert logit_differences.std() > 10
        by_orbit: dict[str, float] = {}
        for pair, logit_difference in zip(blocks, logit_differences, strict=True):
            by_orbit[pair.unit] = by_orbit.get(pair.unit, 0.0) + logit_difference
        assert set(by_orbit.values()) == {0.0}
        assert abs(logit_differences.mean()) < 1e-12


def test_texts_have_the_pairs_asked_for_and_share_nothing_between_parts(capitals):
    found = pairs("capital_of", capitals, pairs=40, fit_pairs=60, seed=3)
    assert (len(found.eval), len(found.fit)) == (40, 60) and found.pairs
    assert not {p.orbit for p in found.eval} & {p.orbit for p in found.fit}
    assert {part(p.orbit) for p in found.eval} == {"eval"}
    assert {part(p.orbit) for p in found.fit} == {"fit"}
    assert not {p.tokens.tobytes() for p in found.eval} & {p.tokens.tobytes() for p in found.fit}
    documents = [p.document for p in all_pairs(found)]
    assert len(set(documents)) == len(documents)
    assert found.name == "capital_of" and found.composition == {"capital_of": 40}
    assert found.block == max(len(p.tokens) for p in all_pairs(found))
    assert found.vocabulary == capitals.shape.vocabulary


def test_orbits_are_whole_and_stand_side_by_side(capitals):
    found = pairs("capital_of", capitals, pairs=30, fit_pairs=10)
    for one, other in zip(found.eval[::2], found.eval[1::2], strict=True):
        assert one.orbit == other.orbit
        assert np.array_equal(one.tokens, other.corrupted)
        assert (one.answer, one.wrong) == (other.wrong, other.answer)


def test_the_draw_is_the_same_again_and_another_with_another_seed(capitals):
    first, again = (pairs("capital_of", capitals, pairs=20, fit_pairs=20) for _ in range(2))
    other = pairs("capital_of", capitals, pairs=20, fit_pairs=20, seed=1)
    assert contents(first) == contents(again) and first.fingerprint == again.fingerprint
    assert contents(first) != contents(other) and first.fingerprint != other.fingerprint
    assert first.pool_fingerprint == other.pool_fingerprint


def test_more_pairs_of_a_seed_begin_with_fewer(capitals):
    few = pairs("capital_of", capitals, pairs=10, fit_pairs=2)
    many = pairs("capital_of", capitals, pairs=30, fit_pairs=2)
    assert [p.document for p in many.eval[:10]] == [p.document for p in few.eval]
    assert many.first(10, 2).fingerprint == few.fingerprint


def test_templates_are_equally_frequent():
    found = pairs("ioi", toy_of("ioi"), pairs=60, fit_pairs=120)
    for blocks, each in ((found.eval, 10), (found.fit, 20)):
        assert set(Counter(p.labels["template"] for p in blocks).values()) == {each}
        assert set(Counter(p.labels["order"] for p in blocks).values()) == {3 * each}


def test_labels_are_the_strata_of_the_one_scored_position(capitals):
    found = pairs("capital_of", capitals, pairs=2, fit_pairs=2)
    pair = found.eval[0]
    assert {k: v.tolist() for k, v in found.labels(pair).items()} == {
        partition: [label] for partition, label in pair.labels.items()
    }


def test_the_pool_has_every_prompt_of_the_fit_part_with_its_answer(capitals):
    found = pairs("capital_of", capitals, pairs=10, fit_pairs=10)
    pool = {tuple(ids.tolist()) for ids in found.pool()}
    whole = pairs("capital_of", capitals, pairs=10, fit_pairs=400)
    assert {(*p.tokens.tolist(), p.answer) for p in whole.fit} <= pool
    everything = sum(part(orbit.id) == "fit" for orbit in behaviours.orbits("capital_of"))
    assert len(pool) == 2 * everything
    assert not {(*p.tokens.tolist(), p.answer) for p in found.eval} & pool
    assert {ids.dtype for ids in found.pool()} == {np.dtype("int32")}


def test_a_token_that_every_text_begins_with_is_part_of_both_prompts():
    found = pairs("capital_of", toy_of("capital_of", bos=True), pairs=4, fit_pairs=4)
    assert {int(p.tokens[0]) for p in all_pairs(found)} == {1}
    assert all(p.shared >= 1 for p in all_pairs(found))
    assert "<bos>" in found.notes[0]


def test_swapping_the_prompts_keeps_the_words(capitals):
    found = pairs("capital_of", capitals, pairs=4, fit_pairs=4)
    for pair, other in zip(found.eval, found.swapped().eval, strict=True):
        assert np.array_equal(pair.tokens, other.corrupted)
        assert (pair.answer, pair.wrong) == (other.answer, other.wrong)


def test_an_odd_number_is_rounded_down_and_said_so(capitals):
    found = pairs("capital_of", capitals, pairs=7, fit_pairs=5)
    assert (len(found.eval), len(found.fit)) == (6, 4)
    for said in ("7 pairs to measure is an odd number", "5 pairs to fit on is an odd number"):
        assert any(note.startswith(said) for note in found.notes)


@pytest.mark.parametrize("asked", [{"pairs": 4.0}, {"fit_pairs": 0.0}, {"fit_pairs": False}])
def test_numbers_of_pairs_that_are_not_whole_are_refused(capitals, asked):
    with pytest.raises(TextError, match="no whole number"):
        pairs("capital_of", capitals, **asked)


@pytest.mark.parametrize("asked", [{"pairs": 1}, {"pairs": 0}, {"fit_pairs": -2}])
def test_fewer_than_two_pairs_are_refused(capitals, asked):
    with pytest.raises(TextError, match="least is 2"):
        pairs("capital_of", capitals, **asked)


def test_an_unknown_behaviour_names_near_ones(capitals):
    with pytest.raises(TextError, match="Did you mean capital_of"):
        pairs("capital", capitals)
    with pytest.raises(TextError, match="none of that name"):
        pairs("files", capitals)


def test_prompts_that_a_tokenizer_cannot_tell_apart_are_passed_over_and_too_few_are_refused():
    only = toy(["The", "capital", "of", "is", "Paris"])
    with pytest.raises(TextError, match=r"there are 0 and 0 .*same tokens: \d+"):
        pairs("capital_of", only)


def test_more_pairs_than_there_are_is_an_error_that_says_how_many(capitals):
    orbits = [part(orbit.id) for orbit in behaviours.orbits("capital_of")]
    there = 2 * orbits.count("eval"), 2 * orbits.count("fit")
    with pytest.raises(TextError, match=f"there are {there[0]} and {there[1]} "):
        pairs("capital_of", capitals, pairs=9000)
    most = pairs("capital_of", capitals, pairs=there[0], fit_pairs=there[1])
    assert (len(most.eval), len(most.fit)) == there


# --- the user's own -----------------------------------------------------------------------------


def test_a_file_of_pairs_gets_its_role_swaps(tmp_path):
    path = write(tmp_path / "mine.jsonl", [row(i, labels={"k": "v"}) for i in range(100)])
    found = pairs(path, speaker(), pairs=20, fit_pairs=100)
    assert found.name == "mine.jsonl"
    assert "mine.jsonl: 100 pairs; role-swaps added: 100." in found.notes
    assert Counter(p.answer for p in found.eval) == Counter(p.wrong for p in found.eval)
    assert {len(orbit) for orbit in _orbits(found).values()} == {2}
    assert all(p.labels == {"k": "v"} for p in found.eval)


def test_role_swaps_that_are_there_are_not_added_again(tmp_path):
    rows = [row(i) for i in range(100)]
    rows += [
        row(i, clean=r["corrupted"], corrupted=r["clean"], answer=r["wrong"], wrong=r["answer"])
        for i, r in enumerate(rows)
    ]
    both = write(tmp_path / "mine.jsonl", rows)
    text = pairs(both, speaker(), pairs=20, fit_pairs=100)
    assert "mine.jsonl: 200 pairs; role-swaps added: 0." in text.notes
    half = pairs(write(tmp_path / "mine.jsonl", rows[:100]), speaker(), pairs=20, fit_pairs=100)
    assert contents(half) == contents(text)


def test_an_orbit_in_which_words_have_both_roles_is_left_as_it_is(tmp_path):
    """A corruption after which neither word is right has no role-swap of its own."""
    rows = []
    for i in range(100):
        rows.append(row(i, corrupted=f"n{i} says all to", orbit=i))
        rows.append(
            row(i, clean=f"n{i} says no to", corrupted=f"n{i} says all to", orbit=i)
            | {"answer": f" b{i}", "wrong": f" a{i}"}
        )
    found, notes = files.read(Path(write(tmp_path / "mine.jsonl", rows)))
    assert len(found) == 100 and {len(orbit.contrasts) for orbit in found} == {2}
    assert notes == ("mine.jsonl: 200 pairs; role-swaps added: 0.",)


def test_lines_with_one_orbit_stay_together(tmp_path):
    rows = [row(i, orbit=str(i // 3)) for i in range(150)]
    found = pairs(write(tmp_path / "mine.jsonl", rows), speaker(), pairs=20, fit_pairs=60)
    assert {len(orbit) for orbit in _orbits(found).values()} == {6}
    assert len(found.eval) == 18
    assert "eval: whole orbits make 18 pairs of the 20 asked for." in found.notes
    with pytest.raises(TextError, match="in orbits of 6 or more"):
        pairs(str(tmp_path / "mine.jsonl"), speaker(), pairs=4, fit_pairs=60)


def test_lines_that_repeat_another_are_left_out_and_counted(tmp_path):
    rows = [row(0), row(1), row(0)]
    found, notes = files.read(Path(write(tmp_path / "mine.jsonl", rows)))
    assert len(found) == 2
    assert "mine.jsonl: lines that repeat another exactly, left out: 1." in notes


def test_a_fit_orbit_with_a_prompt_of_the_eval_part_is_left_out_and_counted(tmp_path):
    """Every prompt here is in two orbits, with other words."""
    rows = [row(i) for i in range(100)]
    rows += [row(i, answer=f" b{i}", wrong=f" a{(i + 1) % 100}") for i in range(100)]
    path = write(tmp_path / "mine.jsonl", rows)
    found, _ = files.read(Path(path))
    split: dict[str, set[str]] = {}
    for orbit in found:
        split.setdefault(orbit.contrasts[0].clean, set()).add(part(orbit.id))
    on_both = sum(len(which) == 2 for which in split.values())
    assert on_both > 0
    text = pairs(path, speaker(), pairs=20, fit_pairs=60)
    assert f"Orbits passed over for sharing a prompt with the eval part: {on_both}." in text.notes


def test_pairs_that_share_no_first_token_are_allowed_and_noted(tmp_path):
    rows = [row(i, corrupted=f"b{i} says no to") for i in range(100)]
    found = pairs(write(tmp_path / "mine.jsonl", rows), speaker(), pairs=10, fit_pairs=20)
    assert "Pairs whose prompts differ from the first token on: 30 of 30." in found.notes
    assert {p.shared for p in found.eval} == {0}


def test_a_word_of_two_tokens_is_passed_over_and_its_line_named(tmp_path):
    rows = [row(i) for i in range(100)]
    rows[4] = row(4, answer=" a4 b4")
    found = pairs(write(tmp_path / "mine.jsonl", rows), speaker(), pairs=10, fit_pairs=20)
    said = [note for note in found.notes if "not one token" in note]
    assert len(said) == 1 and "after its prompt: 1 (first: Line 5 of" in said[0]


def _orbits(text: Text) -> dict[str, list[Pair]]:
    found: dict[str, list[Pair]] = {}
    for pair in all_pairs(text):
        found.setdefault(pair.orbit, []).append(pair)
    return found


BAD = {
    "Line 2 .* 4 and 5 tokens": row(1, corrupted="n1 says no at all"),
    "Line 2 .* no string field `wrong`": {k: v for k, v in row(1).items() if k != "wrong"},
    "Line 2 .*no string field `clean`": row(1, clean=""),
    "Line 2 .*`clean` and `corrupted` are the same": row(1, corrupted="n1 says yes to"),
    "Line 2 .*`answer` and `wrong` are the same": row(1, wrong=" a1"),
    "Line 2 .*a field `label`.*Did you mean labels": row(1, label="x"),
    "Line 2 .*not an object of strings": row(1, labels={"k": 1}),
    "Line 2 .*neither a string nor a whole number": row(1, orbit=[1]),
    "Line 2 .*found: nothing": [1, 2],
    "Line 2 .*It is running text": {"text": "a document"},
    "Line 2 .*`part` is 'test'.*'eval'": row(1, part="test"),
    "Line 2 .*`part` is None": row(1, part=None),
}


@pytest.mark.parametrize("says", BAD)
def test_a_bad_line_is_named_with_what_is_wrong(tmp_path, says):
    path = write(tmp_path / "mine.jsonl", [row(0), BAD[says], *(row(i) for i in range(2, 60))])
    with pytest.raises(TextError, match=says):
        pairs(path, speaker(), pairs=2, fit_pairs=2)


def test_prompts_or_words_that_the_tokenizer_does_not_tell_apart_are_passed_over(tmp_path):
    rows = [row(i) for i in range(100)]
    rows[7] = row(7, clean="n7 says maybe to", corrupted="n7 says perhaps to")
    rows[9] = row(9, answer=" unheard", wrong=" unknown")
    found = pairs(write(tmp_path / "mine.jsonl", rows), speaker(), pairs=10, fit_pairs=20)
    said = [note for note in found.notes if "the same tokens" in note]
    assert len(said) == 1 and "same tokens: 2 (first: Line 8 of" in said[0]


def test_a_pair_in_two_orbits_is_an_error(tmp_path):
    rows = [row(0, orbit="one"), row(0, orbit="two")]
    with pytest.raises(TextError, match=r"Line 2 .*in another orbit too \(Line 1"):
        pairs(write(tmp_path / "mine.jsonl", rows), speaker())


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"{", "Line 1 .*not JSON"),
        (b"\xff", "not UTF-8: byte 0 is 0xff"),
        ("{}".encode("utf-16"), "begins like UTF-16"),
        (b'{"orbit": 1' + b"0" * 5000 + b"}", "Line 1 .*not JSON"),
        (b"[" * 100_000, "Line 1 .*not JSON"),
        (b'{"clean": "a\x00"}', "zero byte"),
    ],
)
def test_a_file_that_is_no_jsonl_says_so(tmp_path, content, says):
    path = tmp_path / "mine.jsonl"
    path.write_bytes(content)
    with pytest.raises(TextError, match=says):
        pairs(str(path), speaker())


def test_a_file_that_is_not_there_says_so(tmp_path):
    with pytest.raises(TextError, match="there is no such file"):
        pairs(str(tmp_path / "none.jsonl"), speaker())


def test_twelve_pairs_of_ones_own_are_all_measured(tmp_path):
    path = write(tmp_path / "mine.jsonl", [row(i) for i in range(12)])
    text = pairs(path, speaker())
    assert (len(text.eval), len(text.fit), len(text.units)) == (24, 0, 12)
    assert "eval: 64 pairs were asked for, role-swaps included, and there are 24." in text.notes
    assert [*text.pool()] == []
    for refused in (
        lambda: text.blocks("fit", "Mean ablation"),
        lambda: Elsewhere.of(text, Another(), 0),
    ):
        with pytest.raises(TextError, match=r"fit part, and there is nothing .*\"part\": \"fit\""):
            refused()


def test_a_file_is_split_by_hash_where_pairs_to_fit_on_are_asked_for(tmp_path):
    path = write(tmp_path / "mine.jsonl", [row(i) for i in range(100)])
    found, _ = files.read(Path(path))
    there = 2 * sum(part(orbit.id) == "eval" for orbit in found)
    text = pairs(path, speaker(), pairs=150, fit_pairs=60)
    assert (len(text.eval), len(text.fit)) == (there, 60)
    assert f"eval: 150 pairs were asked for, role-swaps included, and there are {there}." in (
        text.notes
    )
    whole = pairs(path, speaker(), pairs=150, fit_pairs=0)
    assert (len(whole.eval), len(whole.fit)) == (150, 0)


def test_a_files_lines_say_which_part_they_are_of(tmp_path):
    rows = [row(i, **({"part": "fit"} if i % 3 == 0 else {})) for i in range(30)]
    rows[1] = row(1, part="eval")
    path = write(tmp_path / "mine.jsonl", rows)
    for asked in ({}, {"fit_pairs": 20}, {"fit_pairs": 64}):
        text = pairs(path, speaker(), **asked)
        words = {w: i for w, i in speaker().tokenizer.get_vocab().items()}
        fit = {words[f"a{i}"] for i in range(0, 30, 3)} | {words[f"b{i}"] for i in range(0, 30, 3)}
        assert {p.answer for p in text.fit} == fit
        assert len(text.eval) == 40 and not {p.answer for p in text.eval} & fit
    assert len(pairs(path, speaker(), fit_pairs=6).fit) == 6
    only = pairs(path, speaker(), fit_pairs=0)
    assert (len(only.eval), len(only.fit)) == (40, 0)


def test_only_whole_parts_are_taken_and_an_orbit_in_both_is_refused(tmp_path):
    path = write(tmp_path / "mine.jsonl", [row(i, part="fit") for i in range(12)])
    with pytest.raises(TextError, match=r"there are 0 and 24.*\"part\": \"eval\""):
        pairs(path, speaker())
    rows = [row(0, orbit="one", part="fit"), row(1, orbit="one")]
    with pytest.raises(TextError, match=r"Line 2 .*of the part 'eval'.*Line 1 .* is of 'fit'"):
        pairs(write(tmp_path / "mine.jsonl", rows), speaker())


def test_what_is_too_much_is_said_in_pythons_words_and_the_commands(capitals):
    there = [
        2 * [part(o.id) for o in behaviours.orbits("capital_of")].count(w) for w in ("eval", "fit")
    ]
    says = (
        rf"at most {there[0]} to measure and {there[1]} to fit .*--pairs {there[0]} .*"
        rf"--documents {there[0] // 2} and --fit-documents {there[1] // 2}"
    )
    with pytest.raises(TextError, match=says):
        pairs("capital_of", capitals, pairs=9000)
    with pytest.raises(TextError, match=r"fit_pairs=1 \(--fit-pairs\)"):
        pairs("capital_of", capitals, fit_pairs=1)


# --- tokenizers that add at the end, special tokens that are spelt ------------------------------


def closing(words: Sequence[str]) -> Toy:
    """A tokenizer that puts <bos> at the start and <eos> at the end of every text."""
    made = toy(["<eos>", *words], bos=True)
    backend = made.tokenizer.backend_tokenizer
    backend.add_special_tokens(["<bos>", "<eos>"])
    backend.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", 1), ("<eos>", 2)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="?", bos_token="<bos>", eos_token="<eos>"
    )
    return Toy(tokenizer, made.shape)


def test_a_tokenizer_that_closes_every_text_gives_the_pairs_of_one_that_does_not(tmp_path):
    path = write(tmp_path / "mine.jsonl", [row(i) for i in range(20)])
    words = [f"{letter}{i}" for letter in "nab" for i in range(20)] + ["says", "yes", "no", "to"]
    plain, closed = toy(["<eos>", *words], bos=True), closing(words)
    one, other = pairs(path, plain), pairs(path, closed)
    assert contents(one) == contents(other) and len(one.eval) == 40
    assert "The tokenizer adds <eos> at the end of every text; it is left off here." in other.notes
    assert not any("not one token" in note for note in other.notes)


def test_a_special_token_that_a_prompt_spells_is_that_token_and_said(tmp_path):
    """As in the prompts of a chat; in running text it would be letters."""
    words = [f"{letter}{i}" for letter in "nab" for i in range(20)] + ["says", "yes", "no", "to"]
    rows = [row(i, clean=f"n{i} <|end|> yes to", corrupted=f"n{i} <|end|> no to") for i in range(5)]
    path = write(tmp_path / "mine.jsonl", rows)
    chat = toy([*words, "room"])
    chat.tokenizer.add_special_tokens({"eos_token": "<|end|>"})
    special = chat.tokenizer.eos_token_id
    text = pairs(path, replace(chat, shape=replace(chat.shape, vocabulary=special + 1)))
    assert {int(p.tokens[1]) for p in text.eval} == {special} and len(text.eval) == 10
    said = "Pairs that spell a special token, which is read as that token: <|end|> in 10."
    assert said in text.notes
    closed = closing(words)
    twice = [row(0, clean="<bos> n0 says yes to", corrupted="<bos> n0 says no to")]
    with pytest.raises(TextError, match=r"Line 1 .*begins with <bos>, which the tokenizer adds"):
        pairs(write(tmp_path / "mine.jsonl", twice), closed)


HALF = "\ud83d"
HALVES = {
    "`clean`": {"clean": f"n1 says {HALF} to"},
    "`corrupted`": {"corrupted": HALF},
    "`answer`": {"answer": f" {HALF}"},
    "`wrong`": {"wrong": f" {HALF}"},
    "`kind`": {"labels": {"kind": HALF}},
    "field's name": {"labels": {HALF: "x"}},
    "`orbit`": {"orbit": HALF},
}


@pytest.mark.parametrize("field", HALVES)
def test_half_a_character_in_a_pair_is_refused_with_its_line_and_field(tmp_path, field):
    path = write(tmp_path / "mine.jsonl", [row(0), row(1, **HALVES[field])])
    with pytest.raises(TextError, match=f"Line 2 .*of (a )?{field} is a lone surrogate"):
        pairs(path, speaker())


# --- the real tokenizer -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real() -> Toy:
    tokenizer = AutoTokenizer.from_pretrained(packaged_folder("smollm2-135m")[0])
    return Toy(tokenizer, Shape(30, 9, 3, 64, 576, 1536, 49152), "smollm2-135m")


@pytest.mark.real
@every_behaviour
def test_the_real_tokenizer_has_the_words_of_every_behaviour(name, real):
    found = pairs(name, real)
    assert (len(found.eval), len(found.fit)) == (64, 64)
    assert len({len(p.tokens) for p in all_pairs(found)}) <= 12
    logits = np.random.default_rng(1).normal(size=found.vocabulary)
    logit_differences = [logits[p.answer] - logits[p.wrong] for p in found.eval]
    assert np.std(logit_differences) > 0.5 and abs(np.sum(logit_differences)) < 1e-12
    for pair in found.eval:
        whole = [*pair.tokens.tolist(), pair.answer]
        text = real.tokenizer.decode(whole)
        assert real.tokenizer(text)["input_ids"] == whole


@pytest.mark.real
@pytest.mark.slow
def test_the_real_model_has_every_behaviour_in_both_roles():
    """By sign only; 20 pairs, of which 16 right would happen by chance once in 170 times."""
    subject = load("smollm2-135m", device="cpu")
    for name in described():
        found = pairs(name, subject, pairs=20, fit_pairs=2)
        right = [logit_difference > 0 for logit_difference in _logit_differences(subject, found)]
        assert sum(right) >= 16, name
        assert min(sum(right[::2]), sum(right[1::2])) >= 7, name


def _logit_differences(subject: Subject, text: Text) -> list[float]:
    """Of every eval pair, by Hugging Face's own forward, prompts of one length at a time."""
    logit_differences = np.full(len(text.eval), np.nan)
    lengths = np.array([len(pair.tokens) for pair in text.eval])
    for length in set(lengths.tolist()):
        rows = np.flatnonzero(lengths == length)
        some = [text.eval[row] for row in rows]
        tokens = torch.from_numpy(np.stack([pair.tokens for pair in some])).long()
        with torch.no_grad():
            logits = subject.anatomy.model(tokens, logits_to_keep=1).logits[:, -1].numpy()
        own = np.arange(len(rows))
        logit_differences[rows] = (
            logits[own, [p.answer for p in some]] - logits[own, [p.wrong for p in some]]
        )
    return logit_differences.tolist()
