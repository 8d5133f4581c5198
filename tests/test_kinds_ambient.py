"""Ambient state of torch: numbers do not depend on what somebody has switched on around a call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

import unexplained as ux
from kinds import (
    PAIRS,
    measured,
    opened,
    plain,
    plain_logit_difference,
    right_or_refused,
    text_of,
    whole_circuit,
)
from swept import by_component
from tiny import tiny_model
from unexplained.ablations import ABLATIONS, record_for
from unexplained.circuits import attribute_edges, attribute_nodes
from unexplained.subject import Subject
from written import from_folder, write_folder


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def default_device(device: str) -> Iterator[None]:
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextmanager
def matmul_precision(value: str) -> Iterator[None]:
    """`medium` lets a processor that can round products of float32 to bfloat16."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(value)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def onednn(value: str) -> Iterator[None]:
    matmul: Any = torch.backends.mkldnn.matmul
    before = matmul.fp32_precision
    matmul.fp32_precision = value
    try:
        yield
    finally:
        matmul.fp32_precision = before


@contextmanager
def all_hooks_halve() -> Iterator[None]:
    """A hook on every module of torch, which halves what MLPs give."""

    def halve(module: Any, args: Any, out: Any) -> Any:
        return out * 0.5 if type(module).__name__ == "LlamaMLP" else None

    handle = torch.nn.modules.module.register_module_forward_hook(halve)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def anomalies_detected() -> Iterator[None]:
    with torch.autograd.detect_anomaly(check_nan=True):
        yield


AROUND: dict[str, tuple[Callable[[], AbstractContextManager[Any]], str]] = {
    "autocast to bfloat16": (lambda: torch.autocast("cpu", torch.bfloat16), "autocast"),
    "autocast to float16": (lambda: torch.autocast("cpu", torch.float16), "autocast"),
    "no gradients": (torch.no_grad, ""),
    "gradients": (torch.enable_grad, ""),
    "gradients switched off for good": (lambda: torch.set_grad_enabled(False), ""),
    "inference mode": (torch.inference_mode, "inference"),
    "float64 by default": (lambda: default_dtype(torch.float64), ""),
    "bfloat16 by default": (lambda: default_dtype(torch.bfloat16), "default"),
    "float16 by default": (lambda: default_dtype(torch.float16), "default"),
    "meta by default": (lambda: default_device("meta"), "meta|default device"),
    "deterministic algorithms": (deterministic, ""),
    "products of medium precision": (lambda: matmul_precision("medium"), "precision|product"),
    "products of high precision": (lambda: matmul_precision("high"), "precision|product"),
    "oneDNN rounding to bfloat16": (lambda: onednn("bf16"), "precision|product"),
    "oneDNN as always": (lambda: onednn("ieee"), ""),
    "attention by torch's own formula": (lambda: sdpa_kernel(SDPBackend.MATH), ""),
    "attention by flash alone": (
        lambda: sdpa_kernel(SDPBackend.FLASH_ATTENTION),
        "attention|kernel",
    ),
    "attention by a kernel that is not here": (
        lambda: sdpa_kernel(SDPBackend.CUDNN_ATTENTION),
        "attention|kernel",
    ),
    "hooks on every module": (all_hooks_halve, "hook"),
    "anomalies detected": (anomalies_detected, ""),
}

quiet = pytest.mark.filterwarnings("ignore:.*nomaly:UserWarning", "ignore:.*autocast:UserWarning")


@quiet
@pytest.mark.parametrize("name", AROUND)
def test_numbers_do_not_depend_on_what_is_switched_on_around_them(name: str) -> None:
    around, words = AROUND[name]
    fresh = tiny_model("llama")
    subject = opened(tiny_model("llama"))
    if name == "hooks on every module":
        with around():
            right = plain(fresh)
    else:
        right = plain(fresh)

    def number() -> dict[str, float]:
        with around():
            return measured(subject)

    right_or_refused(number, right, words)


@quiet
@pytest.mark.parametrize("name", AROUND)
def test_opening_a_folder_does_not_depend_on_what_is_switched_on(name: str, tmp_path: Path) -> None:
    """Measured after it is switched off again; gradients too, which must still be possible."""
    around, words = AROUND[name]
    folder = write_folder(tmp_path / "model")

    def number() -> dict[str, float]:
        with around():
            subject = from_folder(folder)
        attribute_edges(subject, PAIRS, method="eap")
        return measured(subject)

    right_or_refused(number, plain(tiny_model("llama")), words)


@quiet
@pytest.mark.parametrize("name", [n for n in AROUND if n != "hooks on every module"])
@pytest.mark.parametrize("method", ["edges", "nodes"])
def test_attribution_does_not_depend_on_what_is_switched_on(name: str, method: str) -> None:
    around, words = AROUND[name]
    subject = opened(tiny_model("llama"))
    right = scores(subject, method)

    def number() -> dict[str, float]:
        with around():
            return scores(subject, method)

    right_or_refused(number, right, words, within=1e-5)


def scores(subject: Subject, method: str) -> dict[str, float]:
    """What attribution gives every edge, or every head."""
    if method == "edges":
        found = attribute_edges(subject, PAIRS, method="eap").mean
    else:
        patch, sites = ABLATIONS.get("patch"), subject.sites("L*.H* L*.mlp")
        recorded = record_for(patch, subject, PAIRS, sites)
        fills = {site: patch.fit(recorded, [site], 0) for site in sites}
        found = attribute_nodes(subject, PAIRS, fills).values
    return {str(i): float(value) for i, value in enumerate(found.ravel())}


@quiet
@pytest.mark.parametrize(
    "name", ["autocast to bfloat16", "oneDNN rounding to bfloat16", "bfloat16 by default"]
)
def test_numbers_kept_under_ambient_state_are_not_found_again_without_it(
    name: str, tmp_path: Path
) -> None:
    around, words = AROUND[name]
    subject, right = opened(tiny_model("llama")), plain(tiny_model("llama"))

    def inside() -> dict[str, float]:
        with around():
            return measured(subject, folder=tmp_path)

    right_or_refused(inside, right, words)
    right_or_refused(lambda: measured(subject, folder=tmp_path), right, "")


@quiet
@pytest.mark.parametrize("name", ["autocast to bfloat16", "inference mode", "meta by default"])
def test_the_circuit_of_all_edges_is_the_model_whatever_is_switched_on(name: str) -> None:
    around, words = AROUND[name]
    subject = opened(tiny_model("llama"))

    def number() -> dict[str, float]:
        with around():
            return whole_circuit(subject)

    right_or_refused(number, plain_logit_difference(tiny_model("llama")), words, within=1e-4)


@quiet
@pytest.mark.parametrize("name", ["autocast to bfloat16", "inference mode", "float64 by default"])
def test_a_sweep_inside_is_the_sweep_outside_or_refused(name: str) -> None:
    around, words = AROUND[name]
    subject = opened(tiny_model("llama"))
    text = text_of(*[9] * 12)

    def effects() -> dict[str, float]:
        found = ux.sweep(subject, "L1.H*", text, ablation="zero", pairs=0)
        return {site: change.value for site, change in by_component(found, "change").items()}

    def number() -> dict[str, float]:
        with around():
            return effects()

    right_or_refused(number, effects(), words)


@quiet
@pytest.mark.parametrize("name", ["autocast to bfloat16", "bfloat16 by default", "meta by default"])
def test_a_twin_of_random_weights_is_the_same_whatever_is_switched_on(name: str) -> None:
    around, words = AROUND[name]
    subject = opened(tiny_model("llama"))
    right = measured(subject.twin(3))

    def number() -> dict[str, float]:
        with around():
            twin = subject.twin(3)
        return measured(twin)

    right_or_refused(number, right, words)


def test_ambient_state_is_as_it_was_after_measuring() -> None:
    subject = opened(tiny_model("llama"))
    with torch.autocast("cpu", torch.bfloat16), default_dtype(torch.float64):
        try:
            measured(subject)
        except ux.UnexplainedError as error:
            print(f"outcome: refused: {error}")
        assert torch.is_autocast_enabled("cpu")
        assert torch.get_default_dtype() == torch.float64
        assert torch.is_grad_enabled()
