"""What is the language that explanations are written in, and what of it they may not use.

Functions of Python and of installed libraries are the language and not the claim. Those through
which anything might come in (files, the network, the clock, code that is only made as it runs)
are refused: neither a fingerprint nor a length would see it.
"""

from __future__ import annotations

import builtins
import sys
import sysconfig
import types
from functools import lru_cache
from pathlib import Path
from typing import Any

PACKAGE = __name__.partition(".")[0]

_HIDING = frozenset(
    {"eval", "exec", "compile", "globals", "locals", "vars", "__import__", "open", "input",
     "breakpoint", "setattr", "delattr"}
)  # fmt: skip
"""Of Python's own functions those that reach what no name says."""

_OUTSIDE = frozenset(
    {
        # files and processes
        "os", "posix", "nt", "posixpath", "ntpath", "genericpath", "io", "_io", "sys", "pathlib",
        "glob", "shutil", "tempfile", "fileinput", "mmap", "subprocess", "multiprocessing", "signal",
        "platform", "select", "selectors", "fcntl", "pwd", "zipfile", "tarfile", "gzip", "bz2", "lzma",
        "_posixsubprocess", "posixsubprocess", "configparser", "sqlite3", "_sqlite3", "dbm", "shelve",
        # the network
        "socket", "_socket", "ssl", "_ssl", "http", "urllib", "ftplib", "smtplib", "socketserver",
        "asyncio", "requests", "urllib3", "httpx", "aiohttp", "fsspec",
        # the clock and chance without a seed
        "time", "datetime", "_datetime", "random", "_random", "secrets", "uuid", "_uuid",
        # code and objects that are only made as it runs
        "importlib", "_frozen_importlib", "_frozen_importlib_external", "_imp", "pkgutil", "runpy",
        "zipimport", "zipimporter", "ctypes", "_ctypes", "cffi", "code", "codeop", "marshal", "pickle",
        "_pickle", "cloudpickle", "dill", "joblib", "copyreg", "gc", "inspect", "linecache",
        "tracemalloc", "weakref", "_weakref", "threading", "_thread", "concurrent", "contextvars",
        "_contextvars", "atexit", "sysconfig", "site",
        # models and data sets
        "transformers", "tokenizers", "safetensors", "huggingface_hub", "datasets", "gguf", "pyarrow",
        "pandas", "polars", "h5py", "tables", "ray", "onnx", "onnxruntime", "tensorflow", "jax",
    }
)  # fmt: skip
"""Libraries of which an explanation may name nothing."""

_READING = frozenset(
    {"load", "loads", "loadtxt", "genfromtxt", "fromfile", "fromregex", "from_file", "memmap",
     "open_memmap", "load_library", "load_state_dict_from_url", "download_url_to_file", "DataSource",
     "compile", "load_inline", "get_rng_state", "load_with_file", "UntypedStorage"}
)  # fmt: skip
"""Functions of torch, numpy and scipy that read files or reach the machine."""

_SETTING = frozenset(
    {"set_default_dtype", "set_default_device", "set_default_tensor_type", "set_num_threads",
     "set_float32_matmul_precision", "use_deterministic_algorithms", "set_flush_denormal",
     "set_rng_state", "seterr", "set_deterministic_debug_mode"}
)  # fmt: skip
"""Functions of torch and numpy that change how everything after them computes."""


_COMPILED = frozenset(
    {"ufunc", "_ArrayFunctionDispatcher", "cython_function_or_method", "fused_cython_function",
     "OpOverload", "OpOverloadPacket"}
)  # fmt: skip


def denied(thing: Any) -> str | None:
    """Why an explanation may not name something of Python or a library; None if it may."""
    if isinstance(thing, types.FunctionType) and not is_library(thing):
        return None
    module = name = str(getattr(thing, "__name__", ""))
    if isinstance(thing, type | types.FunctionType) or is_compiled(thing):
        owner = getattr(thing, "__self__", None)
        module = str(getattr(thing, "__module__", 0) or getattr(owner, "__module__", 0) or "")
        name = getattr(thing, "__qualname__", "")
    elif isinstance(thing, types.ModuleType):
        if thing is builtins:
            return "Python's own namespace, through which anything can be reached"
    else:
        return None
    if module == "builtins":
        return _why(name) if name in _HIDING and thing is getattr(builtins, name, None) else None
    if module == "_io" and thing is open:
        return _why("open")
    if not (is_library(thing)):
        return None
    root = root_of(module)
    last = name.rpartition(".")[2]
    reads = root in ("torch", "numpy", "scipy") and last in _READING
    if root in ("torch", "numpy") and last in _SETTING:
        return f"which is {last}: it changes how everything after it computes"
    if root in _OUTSIDE or reads or module.startswith(("torch.hub", "torch.utils.cpp_extension")):
        return _why(f"{module}.{name}" if module != name else name)
    return None


def _why(name: str) -> str:
    return (
        f"which is {name}: through it files, the clock, chance or code come in that no fingerprint "
        "sees and no length counts"
    )


def is_compiled(thing: Any) -> bool:
    """Whether it is a function, method or operator that is written in C."""
    kinds = types.BuiltinFunctionType | types.MethodWrapperType | types.MethodDescriptorType
    more = (
        types.WrapperDescriptorType | types.ClassMethodDescriptorType | types.GetSetDescriptorType
    )
    return isinstance(thing, kinds | more) or type(thing).__name__ in _COMPILED


def root_of(module: str | None) -> str:
    """The package at the top."""
    return (module or "").partition(".")[0]


def is_library(thing: Any) -> bool:
    """Whether a function, class or module is Python's or installed, and not this package."""
    if isinstance(thing, types.FunctionType):
        # Not by its module: a wrapper takes over the module of what it wraps.
        file = thing.__code__.co_filename
        if file.startswith("<") and not file.startswith("<frozen"):
            file = thing.__globals__.get("__file__") or ""
        return file.startswith("<frozen") or _installed(file)
    if isinstance(thing, types.ModuleType):
        of_module = getattr(thing, "__file__", None)
        return _installed(of_module) if of_module else _of_library(thing.__name__)
    if is_compiled(thing) and not getattr(thing, "__module__", None):
        owner = getattr(thing, "__self__", None) or getattr(thing, "__objclass__", None)
        return is_library(owner if isinstance(owner, type) else type(owner))
    return _of_library(getattr(thing, "__module__", None))


def version_of(module: str) -> str:
    """The version of the library that a module belongs to, as far as it says one."""
    root = root_of(module)
    if root in sys.stdlib_module_names or root == "builtins":
        return sys.version.partition(" ")[0]
    return str(getattr(sys.modules.get(root), "__version__", ""))


def _of_library(module: str | None) -> bool:
    root = root_of(module)
    if root in ("", PACKAGE, "__main__"):
        return False
    top = sys.modules.get(root)
    file = getattr(top, "__file__", None)
    if file is None and top is not None:
        # Built in, or a namespace, of which only the folders are known.
        folders = list(getattr(top, "__path__", ()))
        return all(map(_installed, folders)) if folders else root in sys.builtin_module_names or (
            root in sys.stdlib_module_names
        )  # fmt: skip
    return _installed(file) if file else root in sys.stdlib_module_names


@lru_cache(maxsize=4096)
def _installed(file: str) -> bool:
    """Whether a file belongs to Python or to an installed package, and not to this one."""
    path = Path(file)
    if path.is_relative_to(_HERE):
        return False
    if {"site-packages", "dist-packages"} & set(path.parts):
        return True
    folders = (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
    return any(path.is_relative_to(folder) for folder in folders)


_HERE = Path(__file__).parent.parent
