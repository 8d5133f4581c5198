"""Which float32 matrix product to use on this machine, decided by measuring speed and error.

On AMD processors torch's default float32 product may reach half of what the core can do, and
sending it to oneDNN is faster at the same error; on others the same setting rounds to bfloat16.
Neither can be known in advance, so both are measured, once per process, against float64.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import torch

ONEDNN = "bf16"
"""The value of `torch.backends.mkldnn.matmul.fp32_precision` that makes torch call oneDNN."""


@dataclass(frozen=True)
class Precision:
    """The decision and the measurements behind it."""

    setting: str
    """`default` or `oneDNN`."""
    why: str

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Use it inside the block; torch's global setting is put back afterwards."""
        if self.setting == "default":
            yield
            return
        with _setting(ONEDNN):
            yield


@contextmanager
def _setting(value: str) -> Iterator[None]:
    matmul = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = matmul.fp32_precision
    matmul.fp32_precision = value
    try:
        yield
    finally:
        matmul.fp32_precision = before


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
        return Precision("default", f"float32 products on {device} are left as torch has them")
    if not hasattr(torch.backends.mkldnn, "matmul"):
        return Precision("default", "this torch cannot send float32 products to oneDNN")
    key = f"{processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    try:
        known = json.loads(remembered.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    if key in known:
        return Precision(**known[key])
    decision = measure()
    with suppress(OSError):
        remembered.parent.mkdir(parents=True, exist_ok=True)
        staged = remembered.with_suffix(f".{os.getpid()}")
        staged.write_text(json.dumps(known | {key: asdict(decision)}, indent=1), encoding="utf-8")
        staged.replace(remembered)
    return decision


def processor() -> str:
    """The processor's name, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def measure(width: int = 576) -> Precision:
    """Measure the product of (512, width) and (width, 3 width) both ways.

    oneDNN is chosen where it is at least 1.15 times as fast and its error against float64 is at
    most 1.5 times the default's (rounding to bfloat16 would make it ten thousand times).
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(512, width, generator=generator)
    w = torch.randn(3 * width, width, generator=generator)
    exact = x.double() @ w.double().T
    seconds, error = _try(x, w, exact)
    with _setting(ONEDNN):
        other_seconds, other_error = _try(x, w, exact)
    speed = seconds / other_seconds
    why = (
        f"oneDNN measured {speed:.2f} times as fast as the default, relative error "
        f"{other_error:.1e} against {error:.1e}"
    )
    better = speed >= 1.15 and other_error <= 1.5 * error
    return Precision("oneDNN" if better else "default", why)


def _try(x: torch.Tensor, w: torch.Tensor, exact: torch.Tensor) -> tuple[float, float]:
    y = torch.nn.functional.linear(x, w)
    times = []
    for _ in range(9):
        start = time.perf_counter()
        torch.nn.functional.linear(x, w)
        times.append(time.perf_counter() - start)
    error = (y.double() - exact).norm() / exact.norm()
    return statistics.median(times), float(error)
