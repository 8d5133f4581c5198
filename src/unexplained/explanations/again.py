"""An explanation says the same in a fresh process, or it is refused: what it reads besides its view.

The static half (`walk`) knows what an explanation names; this half runs it. A fresh process in
another folder, under another environment, time zone, clock and order of hashes evaluates it twice
on a small made-up batch, and the bytes are compared with those of this process. While it runs
there, opened files, sockets, processes and environment variables are watched (`apart`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unexplained import files
from unexplained.errors import ExplanationError
from unexplained.explanations.protocol import Explanation
from unexplained.explanations.view import View, elsewhere
from unexplained.hashing import digest
from unexplained.sites import HEAD_VALUES, Shape, parse
from unexplained.text import Text

Reply = dict[str, Any]
"""What a process found, as JSON."""

PLAIN = Shape(4, 4, 4, 16, 64, 64, 211)
"""Sizes where no model is given."""
ROWS, LENGTH = 2, 24
SECONDS = 300
"""After which a fresh process that has not answered is given up."""

_KEPT = ("PATH", "HOME", "SYSTEMROOT", "TMPDIR", "TEMP", "VIRTUAL_ENV", "UNEXPLAINED_CACHE")
_KEPT_BEGINNINGS = (
    "LD_", "DYLD_", "OMP_", "MKL_", "KMP_", "OPENBLAS_", "ATEN_", "TORCH", "CUDA_", "NVIDIA_",
    "HF_", "XDG_", "CONDA_",
)  # fmt: skip
"""Variables by which the machine, its libraries and caches are found; all others are changed."""
_OTHER = {"PYTHONHASHSEED": "1", "TZ": "Etc/GMT+11", "USER": "somebody", "LOGNAME": "somebody",
          "LANG": "C", "PYTHONWARNINGS": "ignore"}  # fmt: skip
"""The environment of the fresh process, besides what is kept."""


_BLANK = " blank"
"""The name of the zeros of `View.blank` in a sample: none that could be declared."""


class SampleView(View):
    """A view of a made-up batch: what was declared has values, and nothing else."""

    def __init__(self, explanation: Explanation, sample: Mapping[str, Tensor], vocabulary: int):
        self._explanation, self._sample, self._vocabulary = explanation, sample, vocabulary

    @property
    def vocabulary(self) -> int:
        """How many tokens there are: told to programs alone."""
        if self._explanation.gives != "logits":
            raise ExplanationError("Reading 'vocabulary'", "only a program is told it")
        return self._vocabulary

    @property
    def blank(self) -> Tensor:
        """Zeros of the shape that is to be given; of a component with one value, of a stream's."""
        return self._sample[_BLANK].clone()

    def site(self, address: str) -> Tensor:
        """The made-up value of another site."""
        return self._read(address)

    def _read(self, name: str) -> Tensor:
        if name not in self._sample:
            raise ExplanationError(f"Reading '{name}'", "the explanation does not declare it")
        return self._sample[name].clone()


@dataclass(frozen=True)
class Question:
    """What a fresh process is asked."""

    name: str
    """`claims.py` or `claims.py:name`, by its whole path."""
    samples: Sequence[Mapping[str, Tensor]]
    vocabulary: int
    text: Text | None
    words: Sequence[str] | None
    threads: int
    product: str


def require_same(
    name: str,
    found: Sequence[Explanation],
    shape: Shape = PLAIN,
    text: Text | None = None,
    words: Sequence[str] | None = None,
) -> tuple[str, ...]:
    """Refuse explanations of a file that say something else in a fresh process.

    Args:
        name: Where they are: `claims.py`, or `claims.py:name`.
        found: What that gives here.
        shape: Sizes of the made-up batch: those of the model.
        text: What the file's `for_text` is given, if it has one.
        words: What its `for_vocabulary` is given.

    Returns:
        What the reader should know: files that are read as the file is loaded, explanations that
        the made-up batch does not suit, and so were not tried.

    Raises:
        ExplanationError: One says something else there, or looks at files, the environment, the
            network or other processes while it runs.
    """
    path, colon, one = name.partition(":")
    samples = [sample_of(explanation, shape) for explanation in found]
    request = Question(
        f"{Path(path).resolve()}{colon}{one}", samples, shape.vocabulary, text, words,
        torch.get_num_threads(), torch.get_float32_matmul_precision(),
    )  # fmt: skip
    there, notes = _ask(request)
    if there is None:
        return tuple(notes)
    if why := there["raised"]:
        if NO_POOL in why:
            return (f"{path} was not tried in a fresh process: {NO_POOL}",)
        raise ExplanationError(
            f"The explanation file {path}",
            f"in a fresh process, in another folder and environment, it raised\n{why}",
            "Name files by the folder of the file (Path(__file__).parent), and read nothing of "
            "the environment.",
        )
    notes += [f"{path} {what} when it is loaded" for what in there["loading"]]
    for number, explanation in enumerate(found):
        with torch.random.fork_rng(devices=[]):
            here = answer_of(explanation, samples[number], shape.vocabulary)
        notes += _compared(explanation, here, there["found"][number])
    return tuple(notes)


def check(explanation: Explanation, shape: Shape = PLAIN) -> tuple[str, ...]:
    """The same for an explanation in memory, where a fresh process can find it.

    Returns:
        As `require_same`; for one that is not in a file by a name, a note that it was not tried.
    """
    module = sys.modules.get(getattr(explanation.function, "__module__", ""))
    file = getattr(module, "__file__", None)
    held = [
        (name, thing)
        for name, thing in vars(module).items()
        if isinstance(thing, Explanation) and thing.function is explanation.function
    ] if module else []  # fmt: skip
    if not file or not held or module is sys.modules.get("__main__"):
        return (
            f"{explanation.called} was not tried in a fresh process: it is in no file that one "
            "could load (a notebook, a script that is running, a function's inside)",
        )
    name, thing = held[0]
    return require_same(f"{file}:{name}", [thing], shape)


NO_POOL = "the pool of its text is not sent there (tables of `ngrams` are, from the cache)"


def no_pool() -> Iterator[NDArray[np.int32]]:
    """What a text's pool is in the fresh process: too large to send.

    Raises:
        ExplanationError: Always.
    """
    raise ExplanationError("The pool of a text", NO_POOL)


def _ask(request: Question) -> tuple[Reply | None, list[str]]:
    """What a fresh process answers, or a note that it did not."""
    with tempfile.TemporaryDirectory(prefix="unexplained-") as folder:
        asked = Path(folder, "asked.pt")
        if request.text is not None:
            request = replace(request, text=replace(request.text, pool=no_pool))
        torch.save(request, asked)
        try:
            done = subprocess.run(
                [sys.executable, "-B", "-P", "-m", "unexplained.explanations.apart", str(asked)],
                cwd=folder, env=_environment(folder), stdin=subprocess.DEVNULL,
                capture_output=True, timeout=SECONDS,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            why = f"no answer in {SECONDS} s"
        except OSError as error:
            why = f"it could not be started ({files.said(error)})"
        else:
            try:
                return json.loads(Path(folder, "answer.json").read_text(encoding="utf-8")), []
            except (OSError, ValueError):
                lines = done.stderr.decode(errors="replace").strip().splitlines()
                why = lines[-1] if lines else f"it ended with {done.returncode}"
    return None, [f"{request.name} was not tried in a fresh process: {why}"]


def _environment(folder: str) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or name.startswith(_KEPT_BEGINNINGS)
    }
    found = {**kept, **_OTHER, "PWD": folder}
    if os.environ.get("PYTHONHASHSEED") == found["PYTHONHASHSEED"]:
        found["PYTHONHASHSEED"] = "2"
    # What can be imported here can be there, also beside the folder from which Python was started.
    found["PYTHONPATH"] = os.pathsep.join(str(Path(path).absolute()) for path in sys.path)
    return found


def _compared(explanation: Explanation, here: Reply, there: Sequence[Reply]) -> list[str]:
    """A note, or nothing; raises where what was found differs."""
    for answer in there:
        if answer["watched"]:
            raise ExplanationError(
                explanation.called,
                f"while it runs it {answer['watched'][0]}",
                "What an explanation says may depend only on what it is given: read files as the "
                "explanation's file is loaded, and let it hold what they say.",
            )
    if any(answer["said"] != here["said"] for answer in there):
        raised = next((one["raised"] for one in there if one["raised"] != here["raised"]), "")
        raise ExplanationError(
            explanation.called,
            "evaluated again in a fresh process (another folder, environment, clock and order of "
            "hashes) it " + (f"raised {raised}" if raised else "gives other bytes"),
            "Draw with torch.Generator().manual_seed(…), go through sets in sorted order, and use "
            "neither hash() nor id(), the clock nor torch's global random state.",
        )
    if here["raised"]:
        return [
            f"{explanation.called} was not tried in a fresh process: on the made-up batch it "
            f"raised {here['raised']}"
        ]
    return []


def answer_of(explanation: Explanation, sample: Mapping[str, Tensor], vocabulary: int) -> Reply:
    """What an explanation gives for a sample: a digest of all bytes, or how it failed."""
    try:
        with torch.no_grad():
            given = explanation.function(SampleView(explanation, sample, vocabulary))
        plain = given.detach().cpu().contiguous()
        raw = plain.flatten().view(torch.uint8).numpy().tobytes() if plain.numel() else b""
        return {"said": digest(str(plain.dtype), str(tuple(plain.shape)), raw), "raised": ""}
    except (Exception, SystemExit) as error:  # the user's own code may raise anything
        kind = type(error).__name__
        return {"said": kind, "raised": f"{kind}: {' '.join(str(error).split())[:200]}"}


def sample_of(explanation: Explanation, shape: Shape) -> dict[str, Tensor]:
    """Made-up values of all that an explanation declares; the same in every process."""
    draw = torch.Generator().manual_seed(0)
    length = min(LENGTH, shape.positions or LENGTH)
    half = torch.randint(0, shape.vocabulary, (ROWS, (length + 1) // 2), generator=draw)
    found = {"tokens": torch.cat([half, half], 1)[:, :length]}  # what repeats, so that rules fire
    names = [read for read in explanation.reads if "." not in read and read != "tokens"]
    sites = [str(site) for site in elsewhere(explanation.reads, shape)]
    for name in [*names, *sites]:
        found[name] = _made_up(name, length, shape, draw)
    given = {name: found[name] for name in [*explanation.reads, *sites] if name in found}
    if explanation.gives == "logits":
        size: tuple[int, ...] = (ROWS, length, shape.vocabulary)
    else:
        size = tuple(_made_up(explanation.gives, length, shape, draw).shape)
    given[_BLANK] = torch.zeros(()).expand(size)  # one number, however large
    return given


def _made_up(name: str, length: int, shape: Shape, draw: torch.Generator) -> Tensor:
    site = parse(name, shape)[0] if "." in name else None
    value = name if site is None else (site.value or site.part)
    if value == "pattern":
        scores = torch.randn(ROWS, length, length, generator=draw)
        return scores.masked_fill(torch.ones(length, length).triu(1).bool(), -torch.inf).softmax(-1)
    if value == "N":
        return torch.randn(ROWS, length, generator=draw)
    narrow = value == "H" or (value in HEAD_VALUES and value != "out")
    size = shape.head_size if narrow else shape.width
    return torch.randn(ROWS, length, size, generator=draw)
