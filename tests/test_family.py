"""Families of models by byte: uniform models by hand, real ones by plain Hugging Face, refusals."""

from __future__ import annotations

import gc
import math
import weakref
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import t as student
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast
from typer.testing import CliRunner

import unexplained as ux
from drawing import keys_of, table_of
from tiny import TINY
from unexplained import Member
from unexplained.errors import CurveError, MeasurementError, TextError
from unexplained.ladder.measured import Measured
from unexplained.ladder.members import BITS, named, scale_through
from unexplained.record import Record, load_record
from unexplained.report import text_table, write_report
from unexplained.stats import Settings, mean_per_token
from unexplained.subject import Subject
from unexplained.text.alike import OPENING, alike
from unexplained.text.document import document, part

SETTINGS = Settings(resamples=200)
WORDS = "the of and to in is it was for on that with as his they be at one have this from or had by"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNEXPLAINED_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def prose(tmp_path: Path) -> str:
    """A file of passages, some with letters of several bytes."""
    rng = np.random.default_rng(0)
    words = [*WORDS.split(), "naïve", "größer", "数字", "don't"]
    passages = [" ".join(rng.choice(words, 60)) + f" {i}." for i in range(80)]
    path = tmp_path / "prose.txt"
    path.write_text("\n\n".join(p + " " * 0 + "\n" + "x" * 1900 for p in passages), "utf-8")
    return str(path)


def tokenizer_of(merges: list[tuple[str, str]], lower: bool = False) -> PreTrainedTokenizerFast:
    """Byte-level, with the 256 bytes and what the merges make."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: i for i, letter in enumerate(alphabet)}
    for a, b in merges:
        vocabulary[a + b] = len(vocabulary)
    made = Tokenizer(models.BPE(vocabulary, merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    if lower:
        made.normalizer = normalizers.Replace("the", "THE")
    return PreTrainedTokenizerFast(tokenizer_object=made)


def uniform(name: str, merges: list[tuple[str, str]], *, lower: bool = False,
            positions: int = 1024) -> Subject:  # fmt: skip
    """A model whose every logit is 0."""
    tokenizer = tokenizer_of(merges, lower)
    settings = {"vocab_size": len(tokenizer), "max_position_embeddings": positions}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **(TINY | settings)))
    torch.nn.init.zeros_(model.lm_head.weight)
    return ux.load(model.eval(), tokenizer=tokenizer, device="cpu", name=name)


def bits(record: Record, name: str) -> float | None:
    """Bits per byte of a model."""
    return record[f"models/losses/{name}/bits"].value


MERGES = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("Ġ", "o"), ("Ġo", "f"), ("n", "d"), ("Ã", "¯")]


def test_uniform_models_have_the_bits_of_their_vocabularies(prose: str) -> None:
    """log2 of the vocabulary, times tokens, over bytes: 8 for single bytes, by hand for merged ones."""
    single, merged = uniform("bytes", []), uniform("merged", MERGES)
    cut = alike(prose, [single, merged], documents=12, characters=300)
    tokens = [
        np.array([len(b.targets) - n for b, n in zip(text.eval, first, strict=True)])
        for text, first in zip(cut.texts, cut.first, strict=True)
    ]
    assert tokens[0].tolist() == cut.bytes.tolist()
    assert (tokens[1] < tokens[0]).all()
    members = [Member(s.name, lambda s=s: s, c) for s, c in ((single, 1e3), (merged, 1e4))]
    members.append(Member("again", lambda: single, 1e5))
    record = ux.family(members, source=prose, documents=12, characters=300, settings=SETTINGS)
    assert bits(record, "bytes") == pytest.approx(8, abs=1e-5)
    expected = math.log2(256 + len(MERGES)) * tokens[1].sum() / cut.bytes.sum()
    assert bits(record, "merged") == pytest.approx(expected, abs=1e-5)
    assert table_of(record, "facts")["bytes"].cells == (cut.bytes.sum(),)
    assert table_of(record, "losses")["merged"].cells[3] == tokens[1].sum()
    # Equal losses at two computes: there is no law, and it says so.
    assert "law" not in keys_of(record) and "There is no curve: " in text_table(record, full=True)


def test_one_model_is_open_at_a_time(prose: str) -> None:
    known: list[weakref.ref[Subject]] = []

    def opened(name: str) -> Subject:
        gc.collect()
        assert not any(one() for one in known)
        made = uniform(name, [])
        known.append(weakref.ref(made))
        return made

    members = [Member(n, partial(opened, n), 10.0**i) for i, n in enumerate(("a", "b", "c"))]
    ux.family(members, source=prose, documents=6, characters=300, settings=SETTINGS)
    assert len(known) == 6


def test_the_stretch_begins_where_both_begin_a_token_and_is_given_back(prose: str) -> None:
    single, merged = uniform("bytes", []), uniform("merged", MERGES)
    cut = alike(prose, [single, merged], documents=12, characters=300)
    for i in range(len(cut.bytes)):
        pieces = []
        for subject, text, first in zip((single, merged), cut.texts, cut.first, strict=True):
            ids = text.eval[i].tokens.tolist()
            pieces.append([subject.tokenizer.decode(ids[: first[i] + 1]),
                           subject.tokenizer.decode(ids[first[i] + 1 :])])  # fmt: skip
        assert pieces[0] == pieces[1]
        before, after = pieces[0]
        assert len(before) >= OPENING and after.startswith(" ")
        assert len(after.encode()) == cut.bytes[i]
        assert len(before + after) <= 300


def with_beginning() -> Subject:
    """Byte-level, with a token before every text."""
    subject = uniform("beginning", MERGES)
    tokenizer = subject.tokenizer
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="th $A", special_tokens=[("th", tokenizer.convert_tokens_to_ids("th"))]
    )
    return subject


def with_spaces_of_its_own(prose: str) -> Subject:
    """Letter by letter, a space written ▁ and also put before every text, dropped in decoding."""
    letters = sorted({*Path(prose).read_text("utf-8"), "▁"})
    made = Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters)}, []))
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    made.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made)
    config = AutoConfig.for_model("llama", **(TINY | {"vocab_size": len(letters)}))
    model = AutoModelForCausalLM.from_config(config).eval()
    return ux.load(model, tokenizer=tokenizer, device="cpu", name="spaces")


def test_the_stretch_is_the_same_with_beginnings_and_with_spaces_of_its_own(prose: str) -> None:
    plain, begun = uniform("bytes", []), with_beginning()
    spaced = with_spaces_of_its_own(prose)
    assert spaced.tokenizer.decode(spaced.tokenizer("of it")["input_ids"]) == "of it"
    cut = alike(prose, [plain, begun, spaced], documents=12, characters=300)
    rows = zip(*(text.eval for text in cut.texts), *cut.first, cut.bytes, strict=True)
    for one, two, three, first, second, third, size in rows:
        after = plain.tokenizer.decode(one.tokens[first + 1 :].tolist())
        assert after.startswith(" ") and len(after.encode()) == size
        assert begun.tokenizer.decode(two.tokens[second + 1 :].tolist()) == after
        assert two.tokens[0] == begun.tokenizer.convert_tokens_to_ids("th")
        letters = spaced.tokenizer.convert_ids_to_tokens(three.tokens[third + 1 :].tolist())
        assert "".join(letters).replace("▁", " ") == after


def test_a_special_token_that_a_document_spells_is_its_letters_for_every_tokenizer(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(1)
    passages = [" ".join(rng.choice(WORDS.split(), 60)) + f" {i} <|end|> of it\n" + "x" * 1900
                for i in range(60)]  # fmt: skip
    path = tmp_path / "marked.txt"
    path.write_text("\n\n".join(passages), "utf-8")
    plain, marked = uniform("plain", []), uniform("marked", [])
    marked.tokenizer.add_special_tokens({"eos_token": "<|end|>"})
    cut = alike(str(path), [plain, marked], documents=60, characters=500)
    there = sum(part(document(passage, "").id) == "eval" for passage in passages)
    assert len(cut.bytes) == there > 5
    for one, other in zip(*(text.eval for text in cut.texts), strict=True):
        assert one.tokens.tolist() == other.tokens.tolist()
        assert "<|end|>" in plain.tokenizer.decode(other.tokens.tolist())
        assert marked.tokenizer.eos_token_id not in other.tokens


RUNGS = ("rung-1", "rung-2", "rung-3", "rung-4")


def test_a_real_family_is_what_hugging_face_says_one_document_at_a_time() -> None:
    members = [Member(name, lambda name=name: ux.load(name, device="cpu"), 10.0**i)
               for i, name in enumerate(RUNGS, start=11)]  # fmt: skip
    members.append(Member("attention-2", lambda: ux.load("attention-2", device="cpu")))
    record = ux.family(
        members, source="pydocs", documents=12, characters=300, settings=Settings(resamples=4000)
    )
    subject = ux.load("rung-2", device="cpu")
    cut = alike("pydocs", [subject], documents=12, characters=300)
    measured = []
    for block, first in zip(cut.texts[0].eval, cut.first[0], strict=True):
        ids = torch.tensor(block.tokens[None].astype(np.int64))
        with torch.no_grad():
            logits = subject.anatomy.model(ids, use_cache=False).logits[0].double()
        logs = logits.log_softmax(-1)[:-1].gather(1, ids[0, 1:, None])[:, 0]
        measured.append(-float(logs[first:].sum()) / math.log(2))
    number = record["models/losses/rung-2/bits"]
    assert number.value == pytest.approx(sum(measured) / cut.bytes.sum(), abs=1e-5)
    # Its interval is that of a mean per byte: of a jackknife worked out here, at least Student's.
    n, total, sizes = len(measured), np.array(measured), cut.bytes
    left = np.array([np.delete(total, i).sum() / np.delete(sizes, i).sum() for i in range(n)])
    reach = student.ppf(0.975, n - 1) * math.sqrt((n - 1) / n * ((number.value - left) ** 2).sum())
    ends = (number.value - number.low, number.high - number.value)
    assert 0.74 * reach < min(ends) <= max(ends) < 2 * reach
    same = mean_per_token(total, sizes, settings=Settings(), unit="bits per byte")
    assert (number.low, number.high) == pytest.approx((same.low, same.high), abs=1e-4)
    losses = [bits(record, name) for name in RUNGS]
    assert losses == sorted(losses, reverse=True)
    assert record["compute/law/floor/is"].unit == BITS == number.unit
    placed = table_of(record, "conditions")  # no column of a share
    assert list(placed) == ["attention-2"] and len(placed["attention-2"].cells) == 2
    assert list(table_of(record, "losses")) == [*RUNGS, "attention-2"]
    assert record.subject == "attention-2" and len(record.sheet) == 2 * len(members)


def test_equal_computes_are_runs_of_one_rung_and_an_own_rung_is_found_again(tmp_path: Path) -> None:
    names = {"rung-1": 4e11, "rung-1-seed-1": 4e11, "rung-2": 1.2e12, "rung-3": 3.6e12}
    members = [Member(n, lambda n=n: ux.load(n, device="cpu"), c) for n, c in names.items()]
    members.append(Member("rung-2-seed-1", lambda: ux.load("rung-2-seed-1", device="cpu")))
    record = ux.family(members, source="pydocs", documents=8, characters=300, settings=SETTINGS)
    notes = [row.note for row in table_of(record, "losses").values()]
    assert notes == ["rung 1", "rung 1", "rung 2", "rung 3", ""]
    assert list(table_of(record, "rungs")) == list(names)
    placed = record["compute/conditions/rung-2-seed-1/equals"]
    assert placed.value == pytest.approx(1.2e12, rel=0.5)
    said = record.verdict.replace(",", "")
    assert "rung-2-seed-1 at" in said and "as good as one of this family trained with 1." in said
    assert load_record(record.save(tmp_path / "r.json")) == record
    page = write_report(record, tmp_path / "r.html").read_text("utf-8")
    assert "rung-2-seed-1" in page and BITS in page
    assert "rung-2-seed-1" in text_table(record)


def test_runs_of_equal_compute_are_seeds_of_one_rung_in_whatever_order_they_are_given() -> None:
    computes = {"c": 3e12, "a": 4e11, "placed": None, "b": 1e12, "again": 4e11}
    members = [Member(name, lambda: pytest.fail("opened"), c) for name, c in computes.items()]
    height = {"a": 3.0, "again": 3.1, "b": 2.6, "c": 2.3, "placed": 2.5}
    sums = {name: np.full(8, 100 * height[name]) for name in computes}
    losses = {name: mean_per_token(total, np.full(8, 100), settings=SETTINGS, unit=BITS)
              for name, total in sums.items()}  # fmt: skip
    measured = Measured.of_sums(sums, np.full(8, 100), SETTINGS)
    scale = scale_through(members, measured, losses,
                          settings=SETTINGS, extrapolate=False)  # fmt: skip
    found = [(one.name, one.rung, one.seed, one.compute) for one in scale.rungs]
    assert found == [("a", 1, 0, 4e11), ("again", 1, 1, 4e11), ("b", 2, 0, 1e12), ("c", 3, 0, 3e12)]
    assert [one.condition for one in scale.explained] == ["placed"]


def test_what_is_beyond_the_family_is_refused_unless_asked_for() -> None:
    """A model that is uniform over bytes, at 8 bits per byte, is far above the least rung."""
    computes = {"rung-1": 4e11, "rung-2": 1.2e12, "rung-3": 3.6e12}
    members = [Member(n, lambda n=n: ux.load(n, device="cpu"), c) for n, c in computes.items()]
    members.append(Member("bytes", lambda: uniform("bytes", [])))
    asked = {"source": "pydocs", "documents": 6, "characters": 300, "settings": SETTINGS}
    record = ux.family(members, **asked)
    assert record["compute/conditions/bytes/loss"].value == pytest.approx(8, abs=1e-5)
    equals = record["compute/conditions/bytes/equals"]
    assert equals.value is None and "below the curve's range" in equals.refused
    record = ux.family(members, extrapolate=True, **asked)
    assert record["compute/conditions/bytes/equals"].value < 4e11
    assert "extrapolated" in table_of(record, "conditions")["bytes"].note


def test_a_tokenizer_that_loses_characters_is_refused_by_name(prose: str) -> None:
    members = [Member(f"kept {i}", lambda: uniform("kept", []), 10.0**i) for i in range(3)]
    members.append(Member("shouting", lambda: uniform("shouting", [], lower=True)))
    with pytest.raises(TextError, match="tokenizer of shouting"):
        ux.family(members, source=prose, documents=8, characters=300, settings=SETTINGS)


def test_bad_input_is_refused(prose: str) -> None:
    same = uniform("same", [])
    one = Member("one", lambda: same, 1.0)
    with pytest.raises(MeasurementError, match="it is given twice"):
        ux.family([one, one], source=prose, settings=SETTINGS)
    with pytest.raises(CurveError, match="not positive"):
        ux.family([Member("one", lambda: same, -1.0)], source=prose, settings=SETTINGS)
    with pytest.raises(CurveError, match="of 2 training computes: it takes 3"):
        ux.family([one, Member("two", lambda: same, 2.0)], source=prose, settings=SETTINGS)
    several = [Member(f"m{i}", lambda: same, 10.0**i) for i in range(3)]
    with pytest.raises(TextError, match="made of a model's tokens"):
        ux.family(several, source="repeats", settings=SETTINGS)
    with pytest.raises(TextError, match="only read"):
        ux.family(several, source=prose, characters=100, settings=SETTINGS)
    short = Member("short", lambda: uniform("short", [], positions=64))
    with pytest.raises(TextError, match="64 positions"):
        ux.family([*several, short], source=prose, documents=6, characters=300, settings=SETTINGS)


def test_the_command_line_reads_computes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from unexplained.cli.app import app

    assert named("a=b=1e20") == ("a=b", 1e20)
    assert named("EleutherAI/pythia-70m=70e6x3e11") == ("EleutherAI/pythia-70m", 6 * 70e6 * 3e11)
    assert named("rung-3")[1] == pytest.approx(3.6e12, rel=0.05)
    for wrong, said in (("pythia", "is not given"), ("a=many", "neither a number")):
        with pytest.raises(CurveError, match=said):
            named(wrong)
    monkeypatch.setenv("COLUMNS", "120")
    asked = ["family", "rung-1", "rung-2", "rung-3", "--text", "pydocs", "--documents", "6",
             "--characters", "300", "--report", str(tmp_path / "c.html"), "--record",
             str(tmp_path / "c.json"), "--place", "attention-2"]  # fmt: skip
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    assert "bits per byte" in done.output and (tmp_path / "c.html").exists()
