"""Reports say what the record says, escape what others wrote, and stand alone."""

from __future__ import annotations

import base64
import doctest
import hashlib
import importlib
import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from sample_record import sample_record
from sample_rows import HOSTILE_NAME, HOSTILE_TOKENS, NOISE, nats, refused, share
from unexplained.errors import RecordError
from unexplained.record import AssayRecord, Number
from unexplained.report import (
    charts,
    glossary,
    markdown_table,
    notebook_html,
    page,
    print_record,
    render,
    tables,
    text_table,
    visible,
    write_report,
)
from unexplained.report import format as fmt

MODULES = ("charts", "format", "glossary", "markdown", "page", "tables", "terminal", "visible")
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
def record() -> AssayRecord:
    return sample_record()


@pytest.fixture(scope="module")
def html(record: AssayRecord) -> str:
    return render(record)


def words_of(html: str) -> str:
    return Elements(html).text


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
    if key in ("kind", "method", "where", "amount", "bars"):
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
    own = (TEMPLATES / "tokens.js").read_text(encoding="utf-8")
    assert found.scripts in ([], [own])
    assert sum(tag == "script" for tag, _ in found.tags) <= 1
    assert {"img", "iframe", "object", "embed", "form", "b" * 2}.isdisjoint(
        t for t, _ in found.tags
    )
    for tag, attributes in found.tags:
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        assert "src" not in attributes
        target = attributes.get("href")
        assert target is None or target.startswith("#") or target == "data:,", target
    assert html.count("<style>") == html.count("</style>") == 1
    strange = {c for c in html if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t"}
    assert not strange
    assert REORDERING.isdisjoint(html)


# Numbers


@pytest.mark.parametrize(
    ("number", "written"),
    [
        # The interval's width has its first digit in the second decimal: one more is shown.
        (nats(2.9142, 2.8042, 3.0242), "2.91 [2.80, 3.02]"),
        (nats(0.0239, 0.0188, 0.0292), "0.0239 [0.0188, 0.0292]"),
        (nats(0.00043, 0.00041, 0.00045), "0.000430 [0.000410, 0.000450]"),
        (share(0.447, 0.312, 0.561), "45% [31%, 56%]"),
        (share(0.931, 0.921, 0.940), "93.1% [92.1%, 94.0%]"),
        (share(-3.2, -5.1, -1.9), "−320% [−510%, −190%]"),
        (share(1.0, 1.0, 1.0), "100% [100%, 100%]"),
        (share(-149.1, -217.0, -113.0), "−14,910% [−21,700%, −11,300%]"),
        (share(-1_234_567.0, -1_900_000.0, -900_000.0), "−1.2 × 10⁸% [−1.9 × 10⁸%, −9.0 × 10⁷%]"),
        (Number(value=-0.00001, low=-0.4, high=0.4), "0.00 [−0.40, 0.40]"),
        (Number(value=0.9996, unit="share"), "99.96%"),
        (Number(value=0.0002, unit="share"), "0.02%"),
        (Number(value=float("nan")), "not finite"),
        (refused(), "refused"),
        (None, "–"),
    ],
)
def test_numbers_are_written_with_the_digits_that_their_interval_supports(
    number: Number | None, written: str
) -> None:
    assert str(fmt.show(number)) == written


@given(st.floats(-1e12, 1e12), st.floats(0, 1e6))
def test_a_written_share_is_100_or_0_percent_only_if_it_is_exactly_that(
    value: float, width: float
) -> None:
    number = Number(value=value, low=value - width, high=value + width, unit="share")
    written = fmt.show(number).value
    if abs(value - 1) > 1e-7 and written == "100%":
        pytest.fail(f"{value} reads as 100%")
    if abs(value) > 1e-7 and written in ("0%", "−0%"):
        pytest.fail(f"{value} reads as 0%")


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e3))
def test_a_written_number_is_within_a_tenth_of_its_interval_of_the_true_one(
    value: float, width: float
) -> None:
    number = Number(value=value, low=value - width / 2, high=value + width / 2)
    written = fmt.show(number).value
    if "×" not in written:
        read = float(written.replace(fmt.MINUS, "-").replace(",", ""))
        # Half a unit of the second digit of the width is at most a twentieth of it; beyond six
        # decimals the digits end.
        assert abs(read - value) <= max(width / 20, 0.5e-6) * (1 + 1e-6) + abs(value) * 1e-15


# What others wrote


def test_the_sample_record_is_shown_without_running_anything_in_it(html: str) -> None:
    assert_harmless(html)
    text = words_of(html)
    assert " ".join(HOSTILE_NAME.split()) in text
    assert "<script>alert(4)</script>" in text
    assert "{{ 7 * 7 }}" in text


def test_no_field_of_a_record_can_put_anything_into_the_page(record: AssayRecord) -> None:
    dumped = swap_texts(record.model_dump(), PAYLOAD)
    assert isinstance(dumped, dict)
    dumped["kind"] = "assay"
    hostile = AssayRecord.model_validate(dumped)
    assert hostile.texts[0].rows[0].name.endswith(PAYLOAD)
    assert_harmless(render(hostile))
    assert_harmless(notebook_html(hostile))
    assert "\x1b" not in text_table(hostile)


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


@given(st.text())
def test_visible_text_has_no_controls_and_no_reordering(text: str) -> None:
    for shown in (visible.prose(text), visible.token(text), visible.line(text)):
        bad = {c for c in shown if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t"}
        assert not bad
        assert REORDERING.isdisjoint(shown)
    assert visible.token(text)
    assert not set("\n\t\r") & set(visible.token(text))


def test_newlines_tabs_and_empty_tokens_can_be_seen_in_the_token_view(html: str) -> None:
    options = re.findall(r'<span role="option"[^>]*>([^<]*)</span>', html)
    for raw in HOSTILE_TOKENS:
        assert (
            visible.token(raw)
            .replace("<", "&lt;")
            .replace(">", "&gt;")
            .replace('"', "&#34;")
            .replace("'", "&#39;")
            in options
        )
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
    text = words_of(html[html.index("<body>") :])
    order = [
        "On webmix, strict induction accounts for 45%",
        "1 of 4 controls failed",
        "What each ablation costs",
        "Fraction recovered, against mean ablation",
        "All numbers",
        "The same claim on",
        "Where against how much",
        "By stratum",
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


def test_every_row_and_every_number_of_a_row_is_in_the_page(record: AssayRecord, html: str) -> None:
    text = words_of(html)
    for result in record.texts:
        for row in (*result.rows, *result.singles):
            assert " ".join(row.name.split()) in text
            for number in tables.numbers_in(row):
                if number.unit != "share" or number not in row.bars.values():
                    assert fmt.show(number).value in text


def test_a_refused_number_says_so_with_its_reason_and_the_tokens_it_would_take(html: str) -> None:
    text = words_of(html)
    assert f"{NOISE}; about 310,000 tokens would settle it" in text
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


def test_a_failed_control_is_loud_and_a_clean_record_is_quiet(record: AssayRecord) -> None:
    assert 'role="alert"' in render(record) and "✗ FAILED" in render(record)
    assert "CONTROLS FAILED: shuffled tokens (webmix)" in text_table(record)
    good = tuple(check for check in record.checks if check.holds)
    clean = render(record.model_copy(update={"checks": good}))
    assert 'role="alert"' not in clean and "✗" not in words_of(clean)


def test_the_bare_record_is_drawn_too(record: AssayRecord) -> None:
    bare = record.texts[1].model_copy(
        update={"rows": (), "damage": {}, "composition": {}, "examples": ()}
    )
    empty = record.model_copy(
        update={"texts": (bare,), "checks": (), "heads": (), "cruxes": (), "sites": ("L0.mlp",)}
    )
    assert_harmless(render(empty))
    assert "repeats" in text_table(empty)
    assert markdown_table(bare).count("\n") == 1
    assert "repeats" in notebook_html(empty)


def test_the_same_record_gives_the_same_page_and_is_left_as_it_was(record: AssayRecord) -> None:
    before = record.to_json()
    assert render(record) == render(sample_record())
    text_table(record), notebook_html(record), markdown_table(record.texts[0])
    assert record.to_json() == before


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


def test_a_chart_whose_every_fraction_is_refused_turns_to_another_scale(
    record: AssayRecord,
) -> None:
    text = record.texts[0]
    assert charts.forest(text, "mean").against == "mean"
    turned = charts.forest(text, "resample")
    assert turned.against == "mean" and "Against resample ablation" in turned.note
    rows = tuple(
        row.model_copy(update={"recovered": dict.fromkeys(row.recovered, refused())})
        for row in text.rows
    )
    nothing = charts.forest(text.model_copy(update={"rows": rows}), "mean")
    assert nothing.against == "" and nothing.number(rows[4]) == rows[4].increase
    page_of_it = render(
        record.model_copy(update={"texts": (text.model_copy(update={"rows": rows}),)})
    )
    assert "Increase in loss over the intact model" in words_of(page_of_it)


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


# Glossary


def acronyms(text: str) -> set[str]:
    """Words with two capitals or more; addresses of sites and key names of the page are none."""
    return set(re.findall(r"\b(?=\w*[A-Z]\w*[A-Z])[A-Za-z]{2,}\b", text)) - {"FAILED"}


def template_words() -> Iterator[tuple[str, str]]:
    for path in sorted(TEMPLATES.glob("*.html.j2")):
        source = path.read_text(encoding="utf-8")
        source = re.sub(r"\{[%{#].*?[%}#]\}", " ", source, flags=re.DOTALL)
        yield path.name, page.plain_text(re.sub(r"<style>.*?</style>|<!doctype[^>]*>", "", source))


def test_every_acronym_in_the_templates_and_the_glossary_itself_is_defined() -> None:
    texts = [*template_words(), *((t.name, t.meaning) for t in glossary.TERMS)]
    assert len(texts) > 60
    assert acronyms("the KL of SAEs") == {"KL", "SAEs"}
    defined = {term.name for term in glossary.TERMS} | {w for t in glossary.TERMS for w in t.also}
    for where, text in texts:
        assert acronyms(text) <= defined, where


def test_the_glossary_lists_the_terms_that_occur_and_no_others(html: str) -> None:
    listed = re.findall(
        r"<dt>([^<]*)</dt><dd>[^<]*</dd></div>\n", html[html.index('id="glossary"') :]
    )
    assert {"KL", "nats per token", "fraction recovered", "seed", "bar"} <= set(listed)
    assert "unigram" not in listed and "BOS" not in listed
    assert glossary.used_in("nothing of ours here") == ()


def test_words_of_a_document_are_not_taken_for_terms(record: AssayRecord) -> None:
    example = record.texts[0].examples[0]
    tokens = (example.tokens[0].model_copy(update={"text": " unigram "}), *example.tokens[1:])
    text = record.texts[0].model_copy(
        update={"examples": (example.model_copy(update={"tokens": tokens}),)}
    )
    assert "<dt>unigram</dt>" not in render(record.model_copy(update={"texts": (text,)}))


def test_no_term_is_defined_twice() -> None:
    names = [word.lower() for term in glossary.TERMS for word in (term.name, *term.also)]
    assert len(names) == len(set(names))


# Files


def test_a_report_is_written_whole_or_not_at_all(
    record: AssayRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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


def test_a_path_that_cannot_be_written_is_named(record: AssayRecord, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "report.html"):
        with pytest.raises(RecordError, match=re.escape(str(path))):
            write_report(record, path)
    assert os.listdir(tmp_path) == ["file"]


# Terminal, notebook, Markdown


@pytest.mark.parametrize("columns", [20, 72, 80, 100, 200])
def test_no_number_is_cut_off_in_the_terminal(
    record: AssayRecord, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    table = text_table(record)
    lines = table.splitlines()
    assert lines[0] == record.title and lines[1].startswith("On webmix")
    assert max(map(len, lines)) <= min(max(columns, 72), 120)
    assert "…" not in table and "\x1b" not in table
    assert "[-21,700%, -11,300%]" in table
    assert "[red]piped[/red]" in table
    assert re.search(r"refused \[\d\]", table) and "within noise of zero" in table
    assert "71%" in table and "recurs" in table


def test_the_terminal_shows_colour_only_where_it_is_asked_to(record: AssayRecord) -> None:
    out = StringIO()
    console = Console(
        file=out, force_terminal=True, color_system="standard", width=100, _environ={}
    )
    print_record(record, console)
    assert "\x1b[" in out.getvalue()
    assert str(record) == text_table(record)


def test_a_notebook_gets_a_fragment_without_script(record: AssayRecord) -> None:
    fragment = notebook_html(record)
    assert_harmless(fragment)
    assert not Elements(fragment).scripts
    assert fragment.lstrip().startswith('<div class="unexplained-record">')
    (style,) = re.findall(r"<style>(.*?)</style>", fragment, re.DOTALL)
    assert all(
        part.strip().startswith(".unexplained-record")
        for rule in re.findall(r"^(.*?)\{", style, re.MULTILINE)
        for part in rule.split(",")
    )


def test_every_line_of_the_markdown_table_has_the_same_cells(record: AssayRecord) -> None:
    lines = markdown_table(record.texts[0]).splitlines()
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    assert {len(row) for row in cells} == {11}
    scored = [r for r in record.texts[0].rows if r.kind not in ("intact", "ablation")]
    assert len(lines) == 2 + len(scored)
    strict = [cell.strip() for cell in cells[2]]
    assert strict == [
        "strict induction",
        "tokens",
        "0.0078 [0.0051, 0.0105]",
        "45% [31%, 56%]",
        "67% [58%, 75%]",
        "refused",
        "0.0062 [0.0055, 0.0070]",
        "23.1% [22.1%, 24.1%]",
        "refused",
        "71% [64%, 77%]",
        "−62% [−152%, −2%]",
    ]
    assert "<script" not in "\n".join(lines)


def test_the_markdown_table_takes_the_ablations_and_kinds_it_is_asked_for(
    record: AssayRecord,
) -> None:
    lines = markdown_table(
        record.texts[0], ablations=("zero",), family="none such", kinds=("baseline",)
    ).splitlines()
    assert len(lines) == 4 and "recovered against zero" in lines[0] and "mean" not in lines[0]


# The package


def test_the_report_is_drawn_without_torch() -> None:
    code = "import sys, unexplained.report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, env=_path()).returncode == 0


def _path() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_the_docstrings_hold(name: str) -> None:
    module = importlib.import_module(f"unexplained.report.{name}")
    assert doctest.testmod(module).failed == 0
