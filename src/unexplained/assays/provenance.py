"""What a number needs to be found again: versions, machine, command."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from importlib.metadata import version
from pathlib import Path

import torch

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
    """The command line that is running, without folders of this machine."""
    program = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"
    return shlex.join([program, *sys.argv[1:]])
