"""What a number needs to be found again: versions, machine, command."""

from __future__ import annotations

import os
import platform
import shlex
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from unexplained.stats import Settings
from unexplained.subject import Subject
from unexplained.subject.precision import processor

PACKAGES = ("unexplained", "torch", "transformers", "numpy", "scipy", "pyarrow")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that touch a number."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def machine() -> dict[str, str]:
    """Kind of machine; no names, no paths."""
    found = {
        "processor": processor(),
        "cores": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "system": platform.system(),
    }
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    return found


def command() -> str:
    """Our command line that is running, without folders of this machine; empty where none is."""
    program = Path(sys.argv[0]).name if sys.argv else ""
    return shlex.join([program, *sys.argv[1:]]) if program.startswith("unexplained") else ""


def of_model(subject: Subject) -> dict[str, Any]:
    """The fields of every record that say of which model it is."""
    return {
        "subject": subject.name,
        "subject_fingerprint": subject.fingerprint,
        "subject_notes": subject.notes,
    }


def measured_by(settings: Settings, started: float, others: Mapping[str, str]) -> dict[str, Any]:
    """The fields that say beside what, under which settings, when and where it was measured."""
    return {
        "others": dict(others),
        "level": settings.level,
        "resamples": settings.resamples,
        "seed": settings.seed,
        "versions": versions(),
        "machine": machine(),
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.perf_counter() - started, 1),
    }
