"""Packages of npm and Debian, and the texts in several languages that are read from them. No network."""

from __future__ import annotations

import hashlib
import io
import lzma
import shutil
import tarfile
from pathlib import Path

import pytest

import unexplained as ux
from translated import declaration
from unexplained import fetch
from unexplained.errors import FetchError, TextError
from unexplained.fetch import Package, ensure
from unexplained.text import corpora
from unexplained.text.corpora import handbook, parallel
from unexplained.text.document import Corpus, document, part
from unexplained.text.draw import Request, draw
from unexplained.text.tokens import Encoder

FILES = {"package/a.html": b"<p>a</p>", "package/b.css": b"p {}"}


def tarball(files: dict[str, bytes], link: str = "") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        if link:
            entry = tarfile.TarInfo(link)
            entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(entry)
    return out.getvalue()


def of_debian(data: bytes) -> bytes:
    """An odd member before the one that is wanted: the next begins at an even place."""
    found = b"!<arch>\n"
    for name, content in (("debian-binary", b"2.0"), ("data.tar.xz", lzma.compress(data))):
        found += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode()
        found += content + b"\n" * (len(content) % 2)
    return found


def package(folder: Path, name: str, data: bytes, index: fetch.Index, *members: str) -> Package:
    """A package whose file lies where its user has put it."""
    (folder / "archives").mkdir(exist_ok=True)
    (folder / "archives" / name).write_bytes(data)
    return Package(
        "toy", "1.0", name, hashlib.sha256(data).hexdigest(), len(data),
        members or ("package/*.html",), "MIT", "https://example.org", index,
    )  # fmt: skip


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(fetch.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    return tmp_path


def test_members_of_a_tarball_and_of_a_package_of_debian_arrive(cache: Path) -> None:
    dotted = {f"./{name}": data for name, data in FILES.items()}
    for name, data, index in (
        ("toy-1.0.tgz", tarball(FILES), "npm"),
        ("toy_1.0_all.deb", of_debian(tarball(dotted)), "Debian"),
    ):
        there = ensure(package(cache, name, data, index), progress=False)  # type: ignore[arg-type]
        found = sorted(str(path.relative_to(there)) for path in there.rglob("*") if path.is_file())
        assert found == ["package/a.html"]
        assert (there / "package/a.html").read_bytes() == FILES["package/a.html"]


@pytest.mark.parametrize("index", ["npm", "Debian"])
def test_a_client_that_is_not_there_is_named_with_the_other_way(
    cache: Path, index: fetch.Index
) -> None:
    one = package(cache, "toy.file", b"x", index)
    (cache / "archives" / "toy.file").unlink()
    with pytest.raises(FetchError) as caught:
        ensure(one, progress=False)
    assert {"npm": "npm", "Debian": "apt-get"}[index] in caught.value.found
    assert str(cache / "archives") in caught.value.do


def test_a_client_that_fails_is_quoted(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cache / "nowhere").mkdir()
    script = cache / "nowhere" / "apt-get"
    script.write_text("#!/bin/sh\necho 'E: Version was not found'\nexit 100\n")
    script.chmod(0o755)
    one = package(cache, "toy.deb", b"x", "Debian")
    (cache / "archives" / "toy.deb").unlink()
    with pytest.raises(FetchError, match="could not download it: Version was not found"):
        ensure(one, progress=False)


@pytest.mark.parametrize(
    ("program", "name", "index", "put"),
    [("npm", "toy-1.0.tgz", "npm", '"$4"'), ("apt-get", "toy_1.0_all.deb", "Debian", ".")],
)
def test_what_a_client_fetched_is_found_where_it_puts_it(
    cache: Path, program: str, name: str, index: fetch.Index, put: str
) -> None:
    """The client of npm is told a folder, apt-get writes where it runs."""
    data = tarball(FILES) if index == "npm" else of_debian(tarball(FILES))
    one = package(cache, name, data, index)
    (cache / "archives").rename(cache / "elsewhere")
    (cache / "nowhere").mkdir()
    script = cache / "nowhere" / program
    script.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\ncp {cache}/elsewhere/{name} {put}\n")
    script.chmod(0o755)
    assert (ensure(one, progress=False) / "package/a.html").read_bytes() == FILES["package/a.html"]


def test_links_and_files_that_are_no_archives_are_refused(cache: Path) -> None:
    linked = tarball({}, link="package/a.html")
    for name, data, index, said in (
        ("toy.tgz", linked, "npm", "it is a link"),
        ("toy.tgz", b"<html>", "npm", "not a tarball"),
        ("toy.deb", of_debian(tarball({}, link="package/a.html")), "Debian", "it is a link"),
        ("toy.deb", b"<html>", "Debian", "not a package of Debian"),
        ("toy.deb", b"!<arch>\n", "Debian", "no data.tar"),
    ):
        with pytest.raises(FetchError, match=said):
            ensure(package(cache, name, data, index), progress=False)  # type: ignore[arg-type]
    outside = tarball({"package/../../a.html": b"x"})
    with pytest.raises(FetchError, match="outside its folder"):
        ensure(package(cache, "toy.tgz", outside, "npm", "package/../../a.html"), progress=False)


def test_a_file_put_there_by_hand_is_checked(cache: Path) -> None:
    one = package(cache, "toy.tgz", tarball(FILES), "npm")
    (cache / "archives" / "toy.tgz").write_bytes(tarball({**FILES, "package/c.html": b"!"}))
    with pytest.raises(FetchError, match="SHA-256") as caught:
        ensure(one, progress=False)
    assert "archives" in caught.value.do


# The texts


def test_translations_of_an_article_are_one_unit_in_one_part(tmp_path: Path) -> None:
    found = parallel.select(declaration(tmp_path)).documents
    assert len(found) == 31 * len(parallel.LANGUAGES)
    first = [one for one in found if one.variables["article"] == "3"]
    assert first[0].text == "English says 3\n& this" and first[1].text == "French says 3\n& this"
    assert len({one.unit for one in first}) == 1 and len({one.id for one in first}) == len(first)
    assert {one.variables["article"] for one in found} == {str(n) for n in range(31)}
    with pytest.raises(TextError, match="30 articles, not 31"):
        parallel.select(declaration(tmp_path, 30))


def test_versions_of_one_original_are_split_drawn_and_resampled_together() -> None:
    documents = [
        document(f"{language} {n} " * 12, language, original=f"article {n}")
        for language in ("one", "two")
        for n in range(40)
    ]
    subject = ux.load("rung-1", device="cpu")
    request = Request("x", Encoder(subject), 6, 6, 16, 0)
    parts = draw(request, Corpus(tuple(documents), {"one": 1.0, "two": 1.0}))
    units = [block.unit for block in parts.eval]
    assert [units.count(unit) for unit in units] == [2] * 6  # three articles, each in both
    assert {part(unit) for unit in units} == {"eval"}
    assert {part(block.unit) for block in parts.fit} == {"fit"}
    assert not {block.unit for block in parts.fit} & set(units)


def test_of_every_unit_one_document_is_drawn_before_another_of_any() -> None:
    """Else forty documents of a book were those of three pages."""
    documents = [
        document(f"{n} {piece} of this " * 12, "one", original=f"page {n}")
        for n in range(30)
        for piece in range(9)
    ]
    request = Request("x", Encoder(ux.load("rung-1", device="cpu")), 5, 20, 16, 0)
    parts = draw(request, Corpus(tuple(documents), {"one": 1.0}))
    assert len({block.unit for block in parts.eval}) == 5
    assert len({block.unit for block in parts.fit}) == 20


PAGES = {
    "en-US": ["This paragraph was written first, and it is about packages." * 12, "Run apt update now, and then see what it says to you.", "short"],
    "fr-FR": ["Ce paragraphe est une traduction, il parle des paquets." * 12, "Lancez apt update maintenant, puis lisez ce qui est dit.", "court"],
    "de-DE": ["Dieser Absatz ist eine Übersetzung, er handelt von Paketen." * 12, "Run apt update jetzt, and then see what it says to you.", "kurz"],
    "es-ES": ["Este párrafo es una traducción que habla de los paquetes." * 12, "Ejecute apt update ahora y luego lea lo que le dice a usted.", "breve"],
}  # fmt: skip


def test_what_is_not_translated_everywhere_is_left_out(tmp_path: Path) -> None:
    for name, paragraphs in PAGES.items():
        (tmp_path / name).mkdir()
        body = "".join(
            f'<div class="x"><div class="para">{p}<div>&nbsp;</div></div></div>' for p in paragraphs
        )
        (tmp_path / name / "apt.html").write_text(f"<div>menu</div>{body}", encoding="utf-8")
    found = handbook.select(tmp_path)
    assert [(one.domain, one.unit) for one in found.documents] == [
        (language, "handbook apt") for language in ("English", "French", "German", "Spanish")
    ]
    assert (
        "apt update" not in found.documents[1].text and "of 3 paragraphs the 1 " in found.notes[0]
    )
    shutil.rmtree(tmp_path / "de-DE")
    with pytest.raises(TextError, match="differ in length"):
        handbook.select(tmp_path)


def test_both_are_known_by_name() -> None:
    assert {"parallel", "handbook"} <= set(corpora.described())
