"""Ray itself: found, started quietly or joined, and left as it was."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from unexplained.errors import MeasurementError

SECONDS = 20
"""For a cluster to answer; Ray itself would try for two minutes and then end the process."""

_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
"""No statistics sent; and the second is what Ray's next version does, without its advice."""

_LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Ray's word for "this may be a cluster of several machines"; without it, it listens on 127.0.0.1."""

_SETS = (_LOOPBACK, "RAY_AUTH_MODE", "PYTHONBREAKPOINT")
"""What Ray sets for the whole process when it starts, and leaves."""

_ours: list[str | None] = []
"""Addresses of the sessions that were begun here and are not ended: the last one ends Ray."""


def import_ray() -> Any:
    """The module, which is an extra.

    Raises:
        MeasurementError: It is not installed.
    """
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise MeasurementError(
            "Workers of a cluster",
            f"Ray cannot be imported ({error})",
            "pip install 'unexplained[cluster]'",
        ) from error


@contextmanager
def session(address: str | None, workers: int | None, threads: int, gpus: float) -> Iterator[Any]:
    """Ray, connected: to the user's own session if there is one, else begun and ended here.

    Raises:
        MeasurementError: There is no cluster at the address, or Ray does not start.
    """
    ray = import_ray()
    if ray.is_initialized() and not _ours:
        _same(ray, address)
        yield ray
        return
    before = {name: os.environ.get(name) for name in (*_QUIET, *_SETS)}
    if not _ours:
        _begin(ray, address, workers, threads, gpus)
    elif address not in (None, "auto", *_ours):
        raise MeasurementError(f"Workers at {address}", f"others at {_ours[0]} are not ended yet")
    elif address is None and ray.available_resources().get("CPU", 0) < threads:
        raise MeasurementError(
            "More workers on this machine",
            "those of another `ray_workers` of this process have all its CPUs",
            "Use those, in one `with` block, or close() them.",
        )
    _ours.append(address)
    try:
        yield ray
    finally:
        _ours.remove(address)
        if not _ours:
            ray.shutdown()
            _restore(before)


def capacity(ray: Any, threads: int, gpus: float) -> int:
    """For how many workers the machines of a cluster have room, whoever else uses them."""
    room = 0
    for node in ray.nodes():
        has = node["Resources"] if node["Alive"] else {}
        fits = has.get("CPU", 0) // threads
        room += int(min(fits, has.get("GPU", 0) // gpus) if gpus else fits)
    return room


def _begin(ray: Any, address: str | None, workers: int | None, threads: int, gpus: float) -> None:
    os.environ.update({name: os.environ.get(name, value) for name, value in _QUIET.items()})
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        count = threads * (workers or max(1, (cores or 1) // threads))
        settings |= {"address": "local", "num_cpus": count, "include_dashboard": False}
    else:
        at = os.environ.get("RAY_ADDRESS", address) if address == "auto" else address
        _answers(at)
        settings["address"] = at
    try:
        with _own_signals(), _alone(ray, address is None):
            ray.init(**settings)
    except (ConnectionError, RuntimeError, ValueError, OSError, TimeoutError) as error:
        ray.shutdown()
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise MeasurementError(
            "Starting Ray here" if address is None else f"The Ray cluster at {address}",
            said[0].rstrip("."),
            "Start one with `ray start --head`, or leave the address out to measure here.",
        ) from error


@contextmanager
def _alone(ray: Any, local: bool) -> Iterator[None]:
    """Ray begun within listens on this machine alone, and others here cannot read its files."""
    if not local:
        yield
        return
    constants = ray._private.ray_constants
    before, constants.ENABLE_RAY_CLUSTER = constants.ENABLE_RAY_CLUSTER, False
    os.environ[_LOOPBACK] = "0"  # for the processes that it starts
    mask = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(mask)
        constants.ENABLE_RAY_CLUSTER = before
    home = os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token"
    with suppress(OSError):  # another's, or there is none
        Path(home).chmod(0o600)
    # Its sockets are in there, and Ray opens the folder to everybody.
    Path(ray._private.worker._global_node.get_session_dir_path()).chmod(0o700)


@contextmanager
def _own_signals() -> Iterator[None]:
    """What a `kill` does here stays as it was: Ray would have it end the process in its own way."""
    here = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM) if here else None
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _answers(address: str) -> None:
    """Refuse an address where no cluster answers before Ray waits for it.

    Raises:
        MeasurementError: It is no `host:port`, nothing listens there, or what does is not Ray.
    """
    if address == "auto":
        return
    asked = f"The Ray cluster at {address}"
    do = "Give the address that `ray start --head` printed there, as host:port (usually port 6379)."
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in address:
        raise MeasurementError(asked, "it is not of the form host:port", do)
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except (OSError, OverflowError) as error:
        raise MeasurementError(asked, f"nothing answers there ({error})", do) from error
    command = [sys.executable, "-m", "ray.scripts.scripts", "status", "--address", address]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        found = f"what listens there is not a Ray cluster, or does not answer in {SECONDS} s"
        raise MeasurementError(asked, found, do) from None
    if "AuthenticationError" in done.stderr:
        found = "it asks for a token, and was given none or another cluster's"
        do = "Set RAY_AUTH_MODE=token and put the cluster's where Ray looks: ray get-auth-token."
        raise MeasurementError(asked, found, do)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()
        raise MeasurementError(asked, f"it does not answer as one ({said[-1].rstrip('.')})", do)


def _restore(environment: dict[str, str | None]) -> None:
    """Undo what was set for Ray here, and what it set itself."""
    for name, value in environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _same(ray: Any, address: str | None) -> None:
    """Refuse to measure on another cluster than the one that was asked for."""
    joined = ray.get_runtime_context().gcs_address
    if address not in (None, "auto", joined):
        raise MeasurementError(
            f"Workers at {address}",
            f"this process has joined the cluster at {joined}",
            "Leave the address out, or call ray.shutdown() first.",
        )
