"""Tests keep nothing and tell nobody, unless they say where and whom."""

import os

os.environ.setdefault("UNEXPLAINED_KEEP", "0")
os.environ.setdefault("UNEXPLAINED_PROGRESS", "0")
