"""Which float32 matrix product to use on this machine, decided by measuring speed and error.

On AMD processors torch's default float32 product may reach half of what the core can do, and
sending it to oneDNN is faster at the same error; on others the same setting rounds to bfloat16.
Neither can be known in advance, so both are measured, once per process, against float64.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from unexplained.errors import RecordError, SubjectError, near_matches
from unexplained.places import write_whole

ONEDNN = "bf16"
"""The value of `torch.backends.mkldnn.matmul.fp32_precision` that makes torch call oneDNN."""

TORCH = "ieee"
"""The value that keeps it from that."""

VARIABLE, SETTINGS = "UNEXPLAINED_PRODUCTS", ("default", "oneDNN")
"""The environment variable that sets the choice, and what it can be."""

WORSE = 4
"""How many times the default's error is still one of sums in another order."""


@dataclass(frozen=True)
class Precision:
    """The decision and the measurements behind it."""

    setting: str
    """`default` or `oneDNN`."""
    why: str
    fixed: bool = False
    """It was asked for, or is the only way; not decided by a timing that might have gone otherwise."""

    def __str__(self) -> str:
        return f"matrix products: {self.setting} ({self.why})"

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Use it inside the block; torch's global setting is put back afterwards.

        Whatever somebody else has set there (`torch.set_float32_matmul_precision`) does not count.
        """
        with _setting(TORCH if self.setting == "default" else ONEDNN):
            yield


@contextmanager
def fused() -> Iterator[None]:
    """For fused attention: torch's own product inside the block, whatever was decided.

    On a CPU it is made of many small products, which oneDNN prepares anew each time: ten times
    slower.
    """
    with _setting(TORCH):
        yield


def fused_backward(result: torch.Tensor) -> torch.Tensor:
    """The same for a gradient that goes back through the operation behind `result`; gives it back."""
    node = result.grad_fn
    outside: list[str] = []

    def enter(*gradients: Any) -> None:
        outside.append(_matmul().fp32_precision)
        _matmul().fp32_precision = TORCH

    def leave(*gradients: Any) -> None:
        _matmul().fp32_precision = outside.pop()

    if node is not None and _matmul() is not None:
        node.register_prehook(enter)
        node.register_hook(leave)
    return result


@contextmanager
def _setting(value: str) -> Iterator[None]:
    matmul = _matmul()
    if matmul is None:
        yield
        return
    before = matmul.fp32_precision
    matmul.fp32_precision = value
    try:
        yield
    finally:
        matmul.fp32_precision = before


def _matmul() -> Any:
    """Torch's settings for oneDNN's products; None where this torch has none."""
    return getattr(torch.backends.mkldnn, "matmul", None)


def chosen(device: str, remembered: Path) -> Precision:
    """The choice that was asked for by `UNEXPLAINED_PRODUCTS`, else the decision of `decide`.

    Args:
        device: Where the model runs; only of a CPU there is a choice.
        remembered: Where decisions are kept.

    Raises:
        SubjectError: What was asked for is no choice, or would round to bfloat16 here.
    """
    asked = os.environ.get(VARIABLE, "")
    if not asked:
        return decide(device, remembered)
    if asked not in SETTINGS:
        raise SubjectError(
            f"{VARIABLE}={asked!r}", "there is no such product", near_matches(asked, SETTINGS)
        )
    if device != "cpu":
        return decide(device, remembered)
    if asked == "oneDNN":
        _, error, _, other_error = (1.0, 0.0, 1.0, 1.0) if _matmul() is None else _tried(1)
        if other_error > WORSE * error:
            raise SubjectError(
                f"{VARIABLE}={asked}",
                f"its relative error here is {other_error:.1e} and the default's {error:.1e}",
                f"Set {VARIABLE}=default, or leave it away.",
            )
    return Precision(asked, f"asked for by {VARIABLE}", fixed=True)


@cache
def decide(device: str, remembered: Path) -> Precision:
    """The decision for this machine: the remembered one, else a measurement, then remembered.

    It is remembered per processor and torch version because it is a timing: asked again it might
    fall the other way, and the same command would give other low bits.

    Args:
        device: Where the model runs; anything but `cpu` is left as torch has it.
        remembered: A JSON file; one that cannot be written is no error, only slower.
    """
    if device != "cpu":
        return Precision(
            "default", f"float32 products on {device} are left as torch has them", fixed=True
        )
    if _matmul() is None:
        return Precision("default", "this torch cannot send float32 products to oneDNN", fixed=True)
    key = f"{processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    known = _remembered(remembered)
    match known.get(key):
        case {"setting": "default" | "oneDNN" as setting, "why": str(why), **rest} if (
            # Those of versions that wrote no checksum are taken as they are.
            rest.get("sum", known_sum := _sum(key, setting, why)) == known_sum
        ):
            return Precision(setting, why)
    decision = measure()
    with suppress(RecordError):
        kept = {"setting": decision.setting, "why": decision.why}
        text = json.dumps(known | {key: kept | {"sum": _sum(key, *kept.values())}}, indent=1)
        write_whole(remembered, text, "choice of the float32 product")
    return decision


def _sum(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _remembered(path: Path) -> dict[str, Any]:
    """What was decided before; nothing where the file is missing, damaged or cannot be read."""
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}


def processor() -> str:
    """The processor's name, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def measure(width: int = 576) -> Precision:
    """Measure the product of (512, width) and (width, 3 width) both ways, in turn.

    oneDNN is chosen where it is at least 1.15 times as fast and its error against float64 is at
    most 4 times the default's: sums of float32 in another order differ by less than that, and
    rounding to bfloat16 would make it ten thousand times.
    """
    seconds, error, other_seconds, other_error = _tried(9, width)
    return choice(seconds / other_seconds, error, other_error)


def _tried(times: int, width: int = 576) -> tuple[float, float, float, float]:
    """Medians of seconds and relative error, by torch's own product and by oneDNN's."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(512, width, generator=generator)
    w = torch.randn(3 * width, width, generator=generator)
    exact = x.double() @ w.double().T
    tries = []
    for _ in range(times):
        with _setting(TORCH):
            theirs = _try(x, w, exact)
        with _setting(ONEDNN):
            tries.append((*theirs, *_try(x, w, exact)))
    one, two, three, four = map(statistics.median, zip(*tries, strict=True))
    return one, two, three, four


def choice(speed: float, error: float, other_error: float) -> Precision:
    """The decision that measurements lead to: oneDNN's speed by the default's, relative errors."""
    why = (
        f"oneDNN measured {speed:.2f} times as fast as the default, relative error "
        f"{other_error:.1e} against {error:.1e}"
    )
    better = speed >= 1.15 and other_error <= WORSE * error
    return Precision("oneDNN" if better else "default", why)


def _try(x: torch.Tensor, w: torch.Tensor, exact: torch.Tensor) -> tuple[float, float]:
    torch.nn.functional.linear(x, w)
    start = time.perf_counter()
    y = torch.nn.functional.linear(x, w)
    seconds = time.perf_counter() - start
    return seconds, float((y.double() - exact).norm() / exact.norm())
