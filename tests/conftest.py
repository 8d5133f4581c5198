"""Tests keep nothing and tell nobody, unless they say where and whom."""

import atexit
import os
import shutil
import tempfile

from hypothesis import settings

settings.register_profile("same", derandomize=True)  # new examples are what `make fuzz` is for
settings.load_profile("same")
os.environ.setdefault("UNEXPLAINED_KEEP", "0")
os.environ.setdefault("UNEXPLAINED_PROGRESS", "0")

if "UNEXPLAINED_MEASURED" not in os.environ:  # made by the first process, which is the last to end
    os.environ["UNEXPLAINED_MEASURED"] = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, os.environ["UNEXPLAINED_MEASURED"], ignore_errors=True)
