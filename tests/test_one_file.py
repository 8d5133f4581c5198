"""One new file is enough: of each kind one is dropped into a copy of the package, and no other touched.

It is then found by name in Python and on the command line, and under the laws of its kind.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FILES = dict(
    re.findall(
        r"^`src/unexplained/([\w/]+\.py)`:\n\n```python\n(.*?)^```",
        (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
)
assert len(FILES) == 3, (
    "an ablation, an instrument and an architecture, as CONTRIBUTING.md has them"
)
FILES |= {
    "donors/dummy_last.py": '''
"""The last in the alphabet of those that are long enough."""
from dataclasses import dataclass
from unexplained.donors import DONORS, require_nothing
from unexplained.errors import TextError

@dataclass(frozen=True)
class Last:
    says: str = "the last document"
    fingerprint: str = "last"

    def of(self, document, length, there, seed):
        fit = sorted(d for d, size in there.items() if size >= length and d != document)
        if not fit:
            raise TextError(f"A donor for {document}", "there is none")
        return fit[-1]

def make(text, about):
    require_nothing("dummy_last", about)
    return Last()

DONORS.add("dummy_last", make)
''',
    "explanations/library/dummy_rule.py": '''
"""A rule."""
from unexplained.explanations import patterns
from unexplained.explanations.library import LIBRARY
from unexplained.explanations.view import View
from unexplained.explanations.declared import explanation

@explanation(gives="pattern", reads=["tokens"])
def dummy_rule(view: View):
    """Attend evenly to every position just after an earlier occurrence of the current token."""
    return patterns.evenly(patterns.after_earlier_occurrence(view.tokens))

LIBRARY.add("dummy_rule", dummy_rule)
''',
    "explanations/library/dummy_part.py": '''
"""A stand-in that is no rule: a share of the value about its mean."""
from dataclasses import dataclass
from unexplained.explanations.library.projection import Projection
from unexplained.explanations.stand_in import STAND_INS

@dataclass(frozen=True)
class Part(Projection):
    """As a projection, under a name of its own."""

def make(about):
    return Part(int(about or 2), own_name=f"dummy part of {about or 2}")

STAND_INS.add("dummy_part", make)
''',
    "casebook/dummy_case.py": '''
"""A claim about one head."""
import unexplained as ux
from unexplained.study import CaseCard, Headline, Texts, answer_of, case, part

CARD = CaseCard(
    claim="The first head does something.", source="Nobody", candidates="The first head of any model.",
    measured="What later blocks make of its ablation.", published="No number was published of it.",
    refuted="Nothing that could be told from noise.", twin="Random weights have no part in this.",
)

@case("dummy_case", CARD, texts=Texts(documents=16, fit_documents=32, fewest=5))
def dummy_case(run):
    """Whether the first head does something.

    Args:
        run: The model and running text.
    """
    found = ux.repair.within(run, sites="L0.H0", ablation="zero")
    yield Headline("The first head", found.verdict, found.sheet)
    yield answer_of("repair", found)
    yield part("repair", "Its repair", found)
''',
    "testbeds/dummy_bed.py": '''
"""`dummy_bed`: strict induction once more."""
from unexplained.testbeds.planted import register
from unexplained.testbeds.strict_induction import strict_induction

@register
def dummy_bed():
    """As it is there."""
    return strict_induction()
''',
    "text/behaviours/dummy_turns.py": '''
"""Dummy turns: which word followed the other one before.

Of testbeds' words.
"""
from itertools import permutations
from unexplained.text.behaviours import Orbit, Variable, exchange, side

VARIABLES = (
    Variable("cue", "cue", stratum=True),
    Variable("followed by", "one", "the answer"),
)

def orbits():
    """Orbits of two words."""
    for cue, a, b in list(permutations(range(1, 49), 3))[::50]:
        yield exchange(*(
            side(VARIABLES, "{cue} {one} t9 {cue}", f" t{x}", {"cue": f"t{cue}", "followed by": f"t{x}"})
            for x in (a, b)
        ))
''',
    "text/corpora/dummy_words.py": '''
"""Random words of the model's own, again and again."""
from hashlib import sha256
import numpy as np
from unexplained.text.document import Block
from unexplained.text.draw import Parts

def parts(request):
    """Blocks of ordinary tokens."""
    tokens, seed = request.tokens, request.seed
    room = request.block - len(tokens.prefix)
    def make(part, i):
        drawn = np.random.default_rng([seed, part, i]).choice(tokens.ordinary, room)
        ids = np.array([*tokens.prefix, *drawn], dtype=np.int32)
        return Block(sha256(ids.tobytes()).hexdigest()[:16], "dummy_words", ids)
    return Parts(eval=tuple(make(0, i) for i in range(request.documents)),
                 fit=tuple(make(1, i) for i in range(request.fit_documents)),
                 pool=lambda: (make(1, i).tokens for i in range(999)),
                 pool_fingerprint=f"dummy {tokens.fingerprint} {seed} {request.block}")
''',
}  # fmt: skip

RUN = """
import unexplained as ux
from typer.testing import CliRunner
from unexplained.cli.app import app
from unexplained.ablations.resample import Resample
from unexplained.donors import donors_for
from unexplained.evaluate import evaluate, observe
from unexplained.evaluate.conditions import modules_of
from transformers import ArceeConfig, ArceeForCausalLM
from unexplained.subject.architectures import architecture_of

def test_they_are_found_by_name(tmp_path):
    out = tmp_path
    subject = ux.load("testbed:dummy_bed")
    text = ux.text("dummy_words", subject, documents=6, fit_documents=6, block=24)
    assert len(text.eval) == 6
    assert len(ux.pairs("dummy_turns", subject, pairs=8, fit_pairs=4).eval) == 8
    (site,) = subject.sites("L1.mlp")
    seen = observe(subject, text, [site])
    fill = Resample(donors_for(text, "dummy_last")).fit(seen, [site], 0).condition()
    assert "unexplained.donors.dummy_last" in modules_of(fill)
    evaluate(subject, text, [fill])

    def command(*words):
        more = ["--report", str(out / "r.html"), "--record", str(out / "r.json")]
        done = CliRunner().invoke(app, [*words, *(more if words[0] in ("assay", "sweep") else [])])
        assert done.exit_code == 0, (words, done.output, done.exception)
        return done.output

    size = ["--documents", "16", "--fit-documents", "16"]
    command("assay", "testbed:dummy_bed", "--heads", "L1.H0", "--text", "testbed:dummy_bed",
            "--explanation", "dummy_rule", "--explanation", "dummy_part:3", *size, "--singles", "0",
            "--no-twin")
    record = ux.load_record(out / "r.json")
    names = {where.split("/")[-2] for where, _ in record.numbers()}
    assert {"dummy rule", "dummy part of 3", "halved"} <= names, names
    command("sweep", "testbed:dummy_bed", "L1.H*", "--text", "dummy_words", "--ablation", "halved", "--block", "24", *size)
    command("sweep", "testbed:dummy_bed", "L1.H*", "--text", "dummy_turns", "--documents", "12", "--no-gate")
    model = ArceeForCausalLM(ArceeConfig(hidden_size=8, intermediate_size=8, num_hidden_layers=1,
                                         num_attention_heads=2, vocab_size=16))
    assert architecture_of(model).name == "arcee"
    assert "dummy_words" in command("texts")
    assert "dummy_turns" in command("behaviours")
    listed = command("explanations")
    assert "dummy_rule" in listed and "dummy_part" in listed
"""


WRONG = {
    "testbeds/wrong_bed.py": (
        "testbeds/dummy_bed.py", "return strict_induction()",
        'from dataclasses import replace\n    return replace(strict_induction(), decoys=("strict_induction",))',
    ),
    "donors/wrong_last.py": ("donors/dummy_last.py", "size >= length", "size >= 0"),
    "instruments/wrong_losses.py": (
        "instruments/two_losses.py", "study.asked.components(run.subject, sites)",
        "run.subject.sites(sites)",
    ),
    "casebook/wrong_case.py": (
        "casebook/dummy_case.py", "import unexplained as ux\n",
        "import unexplained as ux\nfrom unexplained.bars import loss as _\n",
    ),
}  # fmt: skip
"""A testbed whose decoy is the truth, donors that give too little, an instrument that refuses nothing, a case
that enters by a back door."""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package and of its tests with one more file of each kind, and some wrong ones."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("src", "tests"):
        shutil.copytree(ROOT / name, folder / name)  # with what is compiled
    shutil.copy(ROOT / "pyproject.toml", folder)
    every = dict(FILES)
    for name, (right, before, after) in WRONG.items():
        assert before in FILES[right]
        own = FILES[right].replace(before, after)
        every[name] = own.replace(Path(right).stem, Path(name).stem)
    for name, source in every.items():
        place = folder / "src" / "unexplained" / name
        assert not place.exists() and place.parent.is_dir()
        place.write_text(source.lstrip())
    (folder / "tests" / "test_dummies.py").write_text(RUN)
    return folder


LAWS = {
    "test_dummies.py": "found_by_name",
    "test_ablations.py": "halved",
    "test_donors.py": "dummy_last",
    "test_stand_ins.py": "dummy_rule or dummy_part",
    "test_testbeds.py": "dummy_bed",
    "test_variables.py": "dummy_turns",
    "test_text.py": "dummy_words",
    "test_engine.py": "arcee",
    "test_prefix.py": "arcee",
    "test_blocks.py": "two_losses",
    "test_instruments.py": "two_losses",
    "test_casebook.py": "dummy_case",
}
CAUGHT = {
    "test_donors.py": "wrong_last",
    "test_testbeds.py": "wrong_bed",
    "test_instruments.py": "wrong_losses",
    "test_casebook.py": "wrong_case",
}


@pytest.fixture(scope="module")
def lines(copy: Path) -> list[str]:
    """What pytest says of every test of these files, in one fresh process."""
    chosen = " or ".join((*LAWS.values(), *CAUGHT.values()))
    files = [f"tests/{name}" for name in LAWS]
    environment = {"PYTHONPATH": str(copy / "src"), "UNEXPLAINED_CACHE": str(copy / "cache")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rA", "-k", chosen, *files],
        cwd=copy, env=os.environ | environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout.splitlines()


def test_a_file_of_each_kind_is_found_by_name_and_under_the_laws_of_its_kind(
    lines: list[str],
) -> None:
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    assert not [line for line in failed if "wrong_" not in line], "\n".join(lines[-60:])
    for name, words in LAWS.items():
        for word in words.split(" or "):
            assert any(line.startswith(f"PASSED tests/{name}") and word in line
                       for line in lines), (name, word)  # fmt: skip


def test_a_file_that_breaks_a_law_is_caught(lines: list[str]) -> None:
    for name, word in CAUGHT.items():
        assert any(line.startswith(f"FAILED tests/{name}") and word in line for line in lines), word
