"""Reports say what the record says, escape what others wrote, and stand alone."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import unicodedata
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from sample_record import assayed, sample_record, web_text
from sample_rows import HOSTILE_NAME, HOSTILE_TOKENS, NOISE
from unexplained import visible
from unexplained.errors import RecordError
from unexplained.record import Number, Record
from unexplained.report import (
    charts,
    markdown,
    notebook_html,
    page,
    render,
    text_table,
    write_report,
)

TEMPLATES = Path(page.__file__).parent / "templates"
PAYLOAD = (
    "</style></script><script>alert(1)</script><img src=x onerror=alert(2)> ' \" \x1b[31m\u202e"
)
REORDERING = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class Elements(HTMLParser):
    """The start tags of a page, and the text of its scripts, as a browser would find them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self._in = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in = tag

    def handle_endtag(self, tag: str) -> None:
        self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in == "script":
            self.scripts.append(data)
        elif self._in != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        """All words, with single blanks."""
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def record() -> Record:
    return sample_record()


@pytest.fixture(scope="module")
def html(record: Record) -> str:
    return render(record)


def words_of(html: str) -> str:
    return Elements(html).text


def rows_of(html: str, label: str) -> dict[str, str]:
    """The rows of the table in the region of that label, by what heads them, as words."""
    region = html[html.index(f'aria-label="{label}') :]
    body = region[region.index("<tbody>") : region.index("</tbody>")]
    rows = re.findall(r"<tr[^>]*><th scope=\"row\">(.*?)</th>(.*?)</tr>", body, re.DOTALL)
    return {words_of(head): words_of(cells) for head, cells in rows}


def swap_texts(value: object, payload: str) -> object:
    """A dumped record with a payload added to every string and every key that is a free text."""
    if isinstance(value, str):
        return value + payload
    if isinstance(value, dict):
        return {key: keep(key, item, payload) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [swap_texts(item, payload) for item in value]
    return value


def keep(key: str, item: object, payload: str) -> object:
    """Closed vocabularies stay, so that the record stays valid; keys become hostile too."""
    if key in ("kind", "method", "tag", "where", "amount", "bars", "measured", "form"):
        return item
    if key in ("composition", "versions", "machine") and isinstance(item, dict):
        return {f"{name}{payload}": swap_texts(part, payload) for name, part in item.items()}
    if key in ("damage", "recovered", "direct") and isinstance(item, dict):
        whole = "value" in item
        names = {n: n if whole else f"{n}{payload}" for n in item}
        return {names[name]: swap_texts(part, payload) for name, part in item.items()}
    return swap_texts(item, payload)


def assert_harmless(html: str) -> None:
    found = Elements(html)
    own = (TEMPLATES / "page.js").read_text(encoding="utf-8")
    assert found.scripts in ([], [own])
    assert sum(tag == "script" for tag, _ in found.tags) <= 1
    assert {"img", "iframe", "object", "embed", "form"}.isdisjoint(t for t, _ in found.tags)
    for tag, attributes in found.tags:
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        assert "src" not in attributes
        target = attributes.get("href")
        assert target is None or target.startswith("#") or target == "data:,", target
    assert html.count("<style>") == html.count("</style>") == 1
    strange = {c for c in html if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t"}
    assert not strange
    assert REORDERING.isdisjoint(html)


# What others wrote


def test_the_sample_record_is_shown_without_running_anything_in_it(html: str) -> None:
    assert_harmless(html)
    text = words_of(html)
    assert " ".join(HOSTILE_NAME.split()) in text
    assert "<script>alert(4)</script>" in text
    assert "{{ 7 * 7 }}" in text


def test_the_check_for_harmlessness_can_fail() -> None:
    for bad in (
        "<script>alert(1)</script>",
        "<p onclick=x>",
        "<a href='javascript:1'>",
        "\x1b",
        "\u202e",
    ):
        with pytest.raises(AssertionError):
            assert_harmless(f"<style></style>{bad}")


def test_newlines_tabs_and_empty_tokens_can_be_seen_in_the_token_view(html: str) -> None:
    options = re.findall(r'<span role="option"[^>]*>([^<]*)</span>', html)
    assert {str(escape(visible.token(raw))) for raw in HOSTILE_TOKENS} <= set(options)
    assert {"↵↵", "→", "∅", "⟨U+202E⟩right-to-left", "⟨U+200B⟩"} <= set(options)


# The page


def test_the_page_needs_nothing_from_outside(html: str) -> None:
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    assert "http://" not in html and "https://" not in html
    assert "@import" not in style and "url(" not in style
    assert all(tag != "link" or a["href"] == "data:," for tag, a in Elements(html).tags)


def test_the_policy_lets_only_our_own_script_run(html: str) -> None:
    (script,) = Elements(html).scripts
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(a["content"] for t, a in Elements(html).tags if "http-equiv" in a)
    assert policy is not None
    assert f"script-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy


def test_the_verdict_comes_first_and_the_denominators_before_the_ratios(html: str) -> None:
    body = html.index("</header>")
    first = words_of(html[html.index("<body>") : body])
    claimed = first.index("On webmix, strict induction accounts for 45%")
    assert claimed < first.index("1 of 4 controls failed") < first.index("Glossary")
    text = words_of(html[body:])
    order = [
        "What each ablation costs",
        "Fraction recovered, against mean ablation",
        "One claim on several scales",
        "“How much is explained” has no answer",
        "Where against how much",
        "The scale of training compute",
        "Bars against baselines",
        "By stratum",
        "Gain in context",
        "Single heads",
        "Where the explanation is furthest off",
        "Conditions whose result is known",
        "What the heads do on repeated random tokens",
        "the hypothesis might be less than 1%",
        "How a head distributes its attention",
        "unexplained assay smollm2-135m",
    ]
    places = [text.index(piece) for piece in order]
    assert places == sorted(places)


def test_a_refused_number_says_so_with_its_reason_and_the_tokens_it_would_take(html: str) -> None:
    text = words_of(html)
    assert f"{NOISE}; it takes at least about 310,000 tokens" in text
    cells = re.findall(r"<td[^>]*>(.*?)</td>", html, re.DOTALL)
    assert sum("refused" in cell for cell in cells) > 20
    assert not any(re.search(r'class="value">0%', c) for c in cells if "refused" in c)


def test_every_link_leads_somewhere_and_no_id_is_used_twice(html: str) -> None:
    tags = Elements(html).tags
    ids = [a["id"] for _, a in tags if "id" in a]
    assert len(ids) == len(set(ids))
    for _, attributes in tags:
        for name in ("href", "aria-labelledby"):
            target = (attributes.get(name) or "#" + str(ids[0])).removeprefix("#")
            assert target in {*ids, "data:,"}


def test_a_failed_control_is_loud_and_a_clean_record_is_quiet(record: Record) -> None:
    assert 'role="alert"' in render(record) and "✗ FAILED" in render(record)
    assert "CONTROLS FAILED: shuffled tokens (webmix)" in text_table(record)
    web = web_text()
    good = tuple(check for check in web.checks if check.holds)
    clean = render(assayed(replace(web, checks=good)))
    assert 'role="alert"' not in clean and "✗" not in words_of(clean)


def test_the_same_record_gives_the_same_page_and_is_left_as_it_was(record: Record) -> None:
    before = record.model_dump_json()
    assert render(record) == render(sample_record())
    text_table(record), notebook_html(record), markdown(record)
    assert record.model_dump_json() == before


# Charts


def test_a_value_beyond_the_axis_keeps_its_number_beside_an_arrow(html: str) -> None:
    beyond = re.findall(r'class="beyond (left|right)">([^<]*)<', html)
    assert ("left", "◀ −320%") in beyond
    assert ("left", "◀ −14,910%") in beyond


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=8))
def test_marks_stand_in_the_order_of_their_values(values: list[float]) -> None:
    numbers = [Number(value=v, low=v - 0.1, high=v + 0.1, unit="share") for v in sorted(values)]
    for axis in (charts.fraction_axis(numbers), charts.nats_axis(numbers)):
        marks = [charts.mark(number, axis) for number in numbers]
        places = [m.at for m in marks if m is not None]
        assert places == sorted(places) and len(places) == len(values)
        for number, m in zip(numbers, marks, strict=True):
            assert m is not None and 0 <= m.low <= m.at <= m.high <= 100
            inside = number.value is not None and axis.low <= number.value <= axis.high
            assert inside == (m.beyond == "")


def _luminance(colour: str) -> float:
    digits = colour if len(colour) == 6 else "".join(c * 2 for c in colour[:3])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_text_colours_have_the_contrast_that_accessibility_asks_for() -> None:
    """WCAG 2.2, 1.4.3: 4.5 to 1 for text, in both colour schemes."""
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    schemes = [dict(re.findall(r"--(\w+): #(\w+)", block)) for block in style.split(":root")[1:3]]
    for colours in schemes:
        for ink in ("ink", "muted", "accent", "brick"):
            for ground in ("paper", "panel"):
                pair = sorted((_luminance(colours[ink]), _luminance(colours[ground])))
                assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5, (ink, ground, colours)


# Files


def test_a_report_is_written_whole_or_not_at_all(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "new" / "report.html"
    assert write_report(record, target) == target
    assert target.read_text(encoding="utf-8") == render(record)
    old = target.read_text(encoding="utf-8")

    def cut_off(self: Path, text: str, encoding: str) -> int:
        self.write_bytes(text[:100].encode())
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", cut_off)
    with pytest.raises(RecordError, match="No space left on device"):
        write_report(record.model_copy(update={"title": "other"}), target)
    monkeypatch.undo()
    assert target.read_text(encoding="utf-8") == old
    assert os.listdir(target.parent) == ["report.html"]


def test_a_path_that_cannot_be_written_is_named(record: Record, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "report.html"):
        with pytest.raises(RecordError, match=re.escape(str(path))):
            write_report(record, path)
    assert os.listdir(tmp_path) == ["file"]
