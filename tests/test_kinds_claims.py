"""Further members of the kinds of issue 15, chosen without knowledge of how they were closed.

Explanations that see the answer, controls that cannot tell, complexity, components of every kind,
sweeps of every site, the random-weight twin, what was fitted to another model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import by_hand
import unexplained as ux
from assayed import checks_of, of_row, rows_of, said_of
from swept import by_component, fact
from test_assay import make_text, subject_of
from tiny import VOCABULARY, tiny_model, tiny_subject, tiny_tokenizer
from unexplained.ablations import ABLATIONS
from unexplained.errors import ExplanationError, MeasurementError, SiteError
from unexplained.evaluate import evaluate, observe
from unexplained.explanations import Explanation, View, fit
from unexplained.record import Check, Record
from unexplained.record.blocks import Tokens
from unexplained.record.ids import walk
from unexplained.study.twins import TWIN, few
from unexplained.subject import Subject
from unexplained.testbeds.texts import irregular, repeated
from unexplained.text import Block, Text

SETTINGS = ux.Settings(resamples=100)
Rule = Callable[[View], Tensor]


def claim(rule: Rule, gives: str = "pattern", *reads: str, **more: str) -> Explanation:
    """An explanation of a function, which reads tokens unless more is said."""
    made = ux.explanation(gives=gives, reads=list(reads) or ["tokens"], **more)  # type: ignore[arg-type]
    return made(rule)


@cache
def planted(name: str = "strict_induction") -> Subject:
    """A planted model, opened once."""
    return subject_of(name)[0]


@cache
def tiny() -> Subject:
    """A random Llama of 3 layers with grouped keys."""
    return tiny_subject("llama")


def uneven(
    subject: Subject, fitted: list[int], measured: list[int], words: int = VOCABULARY
) -> Text:
    """Random documents of these lengths."""
    length = max(*fitted, *measured)
    fit_rows, rows = (
        np.random.default_rng(seed).integers(1, words, (len(lengths), length))
        for seed, lengths in enumerate((fitted, measured))
    )

    def cut(rows: np.ndarray, lengths: list[int], mark: str) -> tuple[Block, ...]:
        return tuple(
            Block(f"{mark}{i}", "x", rows[i, :n].astype(np.int32)) for i, n in enumerate(lengths)
        )

    text = make_text("uneven", subject, fit_rows, rows)
    return replace(
        text,
        eval=cut(rows, measured, "d"),
        fit=cut(fit_rows, fitted, "f"),
        fingerprint=f"uneven {fitted} {measured}",
    )


@cache
def text_of(kind: str) -> Text:
    """Texts of planted and tiny models."""
    rng = np.random.default_rng(0)
    if kind == "tiny":
        return uneven(tiny(), [20] * 9 + [12] * 5, [20, 7, 13, 5, 18, 9, 20, 11, 6, 15])
    if kind == "uneven":
        return uneven(planted(), [40] * 12, [40, 21, 33, 7, 28, 40, 15, 36, 9, 30], 49)
    if kind == "irregular":
        return make_text(kind, planted(), irregular(rng, 16, 40), irregular(rng, 16, 40))
    return make_text(kind, planted(), repeated(rng, 12, 12), repeated(rng, 12, 12))


def assayed(one: Explanation, sites: str = "L1.H0", kind: str = "repeated") -> Record:
    subject = tiny() if kind == "tiny" else planted()
    return ux.assay(
        subject, sites, text_of(kind), explanations=[one], settings=SETTINGS, twin=False, singles=0
    )


# --- explanations that see the answer ---------------------------------------------------------


def next_seen(tokens: Tensor) -> Tensor:
    """Where the next token stood up to here."""
    after = torch.cat([tokens[:, 1:], tokens[:, -1:]], 1)
    return ux.patterns.evenly((after[:, :, None] == tokens[:, None, :]).tril(0))


def by_token(view: View) -> Tensor:
    """Looks ahead at one token in seven."""
    t = view.tokens
    return torch.where((t % 7 == 0)[..., None], next_seen(t), ux.patterns.previous(t))


def at_one_place(view: View) -> Tensor:
    """Looks ahead at position 5 alone."""
    pattern = ux.patterns.previous(view.tokens).clone()
    pattern[:, 5] = next_seen(view.tokens)[:, 5]
    return pattern


def in_some_documents(view: View) -> Tensor:
    """Looks ahead in documents that begin with an even token."""
    t = view.tokens
    return torch.where((t[:, 1] % 2 == 0)[:, None, None], next_seen(t), ux.patterns.previous(t))


def by_little(view: View) -> Tensor:
    """Looks ahead by one part in ten thousand."""
    t = view.tokens
    return 0.9999 * ux.patterns.previous(t) + 0.0001 * next_seen(t)


def by_length(view: View) -> Tensor:
    """Attends the less, the longer its document goes on."""
    t = view.tokens
    length = (t != 0).sum(1)
    return ux.patterns.previous(t) / length.clamp(min=1)[:, None, None]


def by_width(view: View) -> Tensor:
    """Attends by how wide the batch is."""
    return ux.patterns.previous(view.tokens) / view.tokens.shape[1]


def by_padding(view: View) -> Tensor:
    """Attends less within five positions of the padding."""
    t = view.tokens
    ends = torch.nn.functional.pad(t[:, 5:], (0, 5)) == 0
    return ux.patterns.previous(t) * (1 - 0.5 * ends.float())[:, :, None]


def by_rank(view: View) -> Tensor:
    """Attends by a token's rank in its whole document."""
    t = view.tokens
    rank = t.argsort(1).argsort(1) / t.shape[1]
    return ux.patterns.previous(t) * rank[:, :, None]


def by_counts_in_the_batch(view: View) -> Tensor:
    """Attends to what is rare in the batch."""
    t = view.tokens
    _, where, count = torch.unique(t, return_inverse=True, return_counts=True)
    weights = torch.ones(t.shape[1], t.shape[1]).tril() / count[where][:, None, :]
    return weights / weights.sum(-1, keepdim=True)


def of_the_row_above(view: View) -> Tensor:
    """Attends as the document above it would."""
    t = view.tokens.roll(1, 0)
    return ux.patterns.evenly(ux.patterns.after_earlier_occurrence(t))


def low_pass(view: View) -> Tensor:
    """Attends by the token ids after a transform of the whole document."""
    t = view.tokens.float()
    spectrum = torch.fft.rfft(t, dim=1)
    spectrum[:, spectrum.shape[1] // 2 :] = 0
    amount = torch.fft.irfft(spectrum, n=t.shape[1], dim=1).sigmoid()
    return ux.patterns.previous(view.tokens) * amount[:, :, None]


def centred(view: View) -> Tensor:
    """Its own z less the mean over the document."""
    return view.z - view.z.mean(1, keepdim=True)


def backwards(view: View) -> Tensor:
    """Keys summed from the end."""
    return view.k.flip(1).cumsum(1).flip(1) / view.k.shape[1]


def attention_received(view: View) -> Tensor:
    """Values by the attention that later positions pay in another head."""
    return view.v * view.site("L0.H0.pattern").sum(1)[..., None]


def neuron_of_the_next(view: View) -> Tensor:
    """The neuron's next value."""
    return view.value.roll(-1, 1)


def again_later(view: View) -> Tensor:
    """1 where the token comes again."""
    t = view.tokens
    later = (t[:, :, None] == t[:, None, :]).triu(1).any(-1).float()
    return view.blank + later[..., None]


def only_where_wide(view: View) -> Tensor:
    """Counts: of a neuron what came, of a whole MLP what is to come as well."""
    t = view.tokens
    equal = t[:, :, None] == t[:, None, :]
    if view.blank.dim() == 2:
        return equal.tril(-1).sum(-1).float()
    return view.blank + equal.sum(-1).float()[..., None]


PEEKS = [
    (claim(by_token), "L1.H0", "repeated"),
    (claim(at_one_place), "L1.H0", "repeated"),
    (claim(in_some_documents), "L1.H0", "repeated"),
    (claim(by_little), "L1.H0", "repeated"),
    (claim(by_length), "L1.H0", "uneven"),
    (claim(by_width), "L1.H0", "uneven"),
    (claim(by_padding), "L1.H0", "uneven"),
    (claim(by_rank), "L1.H0", "repeated"),
    (claim(by_counts_in_the_batch), "L1.H0", "repeated"),
    (claim(of_the_row_above), "L1.H0", "repeated"),
    (claim(low_pass), "L1.H0", "repeated"),
    (claim(centred, "z", "z"), "L1.H0", "repeated"),
    (claim(backwards, "k", "k"), "L1.H0", "repeated"),
    (claim(attention_received, "v", "v", "L0.H0.pattern"), "L1.H0", "repeated"),
    (claim(neuron_of_the_next, "value", "value"), "L1.N3", "tiny"),
    (claim(again_later, "value"), "L1.resid_post", "tiny"),
    (claim(again_later, "value"), "embed", "tiny"),
]


def called(x: object) -> str:
    return x.written if isinstance(x, Explanation) else ""


@pytest.mark.parametrize(("one", "sites", "kind"), PEEKS, ids=called)
def test_whatever_sees_the_answer_is_refused_by_name_document_and_position(
    one: Explanation, sites: str, kind: str
) -> None:
    """Rarely, by little, by length, by rank, from other rows: no number may come of any of them."""
    with pytest.raises(ExplanationError, match=rf"{one.written}.*document.*position \d+ changes"):
        assayed(one, sites, kind)


def test_what_looks_ahead_at_one_kind_of_component_alone_is_refused_beside_another() -> None:
    """An answer's shape tells a neuron from an MLP: honest at the one is not asked at the other."""
    one, text = claim(only_where_wide, "value"), text_of("tiny")
    seen = observe(tiny(), text, tiny().sites("L1.N3 L1.mlp"))
    with pytest.raises(ExplanationError, match=r"only where wide' at L1\.mlp"):
        evaluate(tiny(), text, [fit(one.at("L1.N3 L1.mlp"), tiny().shape, seen, 0).condition()])


def test_a_peek_that_rounding_hides_is_refused_where_a_fitted_map_would_raise_it() -> None:
    """9e-6 of a pattern is no change by itself; an affine map made 105% recovered of it."""

    def hidden(view: View) -> Tensor:
        """BOS, and a hundred-thousandth where the next token stood."""
        pattern = 9e-6 * next_seen(view.tokens)
        pattern[:, :, 0] += 1 - 9e-6
        return pattern

    plain = of_row(assayed(claim(hidden)), "hidden", "against mean")
    assert plain.value == pytest.approx(0, abs=0.1)
    gated = of_row(assayed(claim(hidden).gated()), "hidden, gated", "against mean")
    assert gated.value == pytest.approx(0, abs=0.1)
    with pytest.raises(ExplanationError, match=r"'hidden, affine' at L1\.H0.*changes when"):
        assayed(claim(hidden).affine())


@pytest.mark.parametrize(
    ("site", "read"),
    [
        ("L1.H0", "L1.resid_mid"),
        ("L1.H0", "L1.attn"),
        ("L1.H0", "final"),
        ("L1.mlp", "L1.resid_post"),
        ("L1.mlp", "L2.resid_pre"),
        ("L1.attn", "L1.N3"),
    ],
)
def test_a_site_that_comes_about_later_in_the_pass_cannot_be_read(site: str, read: str) -> None:
    """It holds what is to be explained already, or has no value yet: refused before anything runs."""

    def reader(view: View) -> Tensor:
        """What comes later in the pass."""
        return view.blank

    with pytest.raises(SiteError, match="Only sites before"):
        assayed(claim(reader, "z" if ".H" in site else "value", read), site, "tiny")


# --- honest ones -------------------------------------------------------------------------------


def softmax_of_all(view: View) -> Tensor:
    """By distance and sameness, the greatest score of the whole batch taken off first."""
    t, n = view.tokens, view.tokens.shape[1]
    away = (torch.arange(n)[:, None] - torch.arange(n)[None, :]).float()
    scores = 3.0 * (t[:, :, None] == t[:, None, :]) - away / 7
    weights = (scores - scores.max()).exp().tril()
    return weights / weights.sum(-1, keepdim=True)


def by_loops(view: View) -> Tensor:
    """After the most recent occurrence, found in a loop over lists."""
    pattern = torch.zeros(*view.tokens.shape, view.tokens.shape[1])
    for row, tokens in enumerate(view.tokens.tolist()):
        last: dict[int, int] = {}
        for place, token in enumerate(tokens):
            if token in last:
                pattern[row, place, last[token] + 1] = 1
            last[token] = place
    return pattern


def by_counts_so_far(view: View) -> Tensor:
    """Previous, the less the more different tokens there were."""
    new = (~ux.patterns.earlier_occurrence(view.tokens).any(-1)).cumsum(1)
    return ux.patterns.previous(view.tokens) / new[..., None]


def from_the_whole_less_the_rest(view: View) -> Tensor:
    """The mean of z so far, as the sum over all less the sum over what comes: exact but for rounding."""
    total = view.z.sum(1, keepdim=True)
    later = view.z.flip(1).cumsum(1).flip(1) - view.z
    return (total - later) / torch.arange(1, view.z.shape[1] + 1)[None, :, None]


def own_again(view: View) -> Tensor:
    """Its own attention, computed again."""
    scores = view.q @ view.k.transpose(1, 2) / view.q.shape[-1] ** 0.5
    later = torch.ones_like(scores[0]).triu(1).bool()
    return scores.masked_fill(later, -torch.inf).softmax(-1)


def in_steps(view: View) -> Tensor:
    """Its z in steps of an eighth."""
    return (view.z * 8).round() / 8


def convolved(view: View) -> Tensor:
    """The mean of this and the last three, by a convolution."""
    x = torch.nn.functional.pad(view.value.transpose(1, 2), (3, 0))
    kernel = torch.full((x.shape[1], 1, 4), 0.25)
    return torch.nn.functional.conv1d(x, kernel, groups=x.shape[1]).transpose(1, 2)


def of_any_shape(view: View) -> Tensor:
    """The sine of the token, at a component of any kind."""
    said = torch.sin(view.tokens.float())
    return view.blank + (said if view.blank.dim() == 2 else said[..., None])


HONEST = [
    (claim(softmax_of_all), "L1.H0", "uneven"),
    (claim(softmax_of_all).affine(), "L1.H0", "uneven"),
    (claim(by_loops), "L1.H0", "uneven"),
    (claim(by_counts_so_far), "L1.H0", "uneven"),
    (claim(from_the_whole_less_the_rest, "z", "z"), "L1.H0", "repeated"),
    (claim(from_the_whole_less_the_rest, "z", "z").affine(), "L1.H0", "tiny"),
    (claim(own_again, "pattern", "q", "k"), "L1.H0", "repeated"),
    (claim(in_steps, "z", "z"), "L1.H0", "repeated"),
    (claim(convolved, "value", "value"), "L1.mlp", "tiny"),
    (claim(of_any_shape, "value"), "L1.N3 L1.mlp L2.attn", "tiny"),
]


@pytest.mark.parametrize(("one", "sites", "kind"), HONEST, ids=called)
def test_what_sees_only_what_came_is_measured_whatever_it_is_made_of(
    one: Explanation, sites: str, kind: str
) -> None:
    """A refusal of an honest rule is a fault too: rounding, loops and other shapes are no peeks."""
    record = assayed(one, sites, kind)
    assert of_row(record, one.name, "increase").value is not None


# --- controls ----------------------------------------------------------------------------------


def told(record: Record) -> Check:
    """The check of the control that is computed elsewhere."""
    return next(
        one for one in checks_of(record) if one.name.endswith(("shuffled", "moved", "elsewhere"))
    )


def own_z(view: View) -> Tensor:
    """Its own z."""
    return view.z


def own_pattern(view: View) -> Tensor:
    """Its own pattern."""
    return view.pattern


@pytest.mark.parametrize(("rule", "gives"), [(own_z, "z"), (own_pattern, "pattern")])
def test_a_head_that_does_nothing_does_not_choose_the_control_of_one_that_does(
    rule: Rule, gives: str
) -> None:
    """L0.H1 is dead: what is said of it is the same everywhere, and that says nothing of L1.H0."""
    check = told(assayed(claim(rule, gives, gives), "L0.H1 L1.H0", "irregular"))
    assert check.applies and check.holds
    assert check.found.value is not None and check.found.value < 0


def test_of_two_heads_of_which_one_reads_positions_the_rule_is_not_said_to_read_those_alone() -> (
    None
):
    """L0.H0 looks one back whatever the tokens are, L1.H0 does not."""
    check = told(assayed(claim(own_pattern, "pattern", "pattern"), "L0.H0 L1.H0", "irregular"))
    assert "the model's own values" in check.expected


def everywhere_the_same(view: View) -> Tensor:
    """All occurrences of the current token."""
    t = view.tokens
    return ux.patterns.evenly((t[:, :, None] == t[:, None, :]).tril())


def test_damage_that_is_rounding_is_no_denominator_and_fails_no_control() -> None:
    """L1.H1 is busy where nothing reads: its 2e-7 nats were the denominator of 100% and of 144%."""
    record = assayed(claim(everywhere_the_same), "L1.H1", "irregular")
    damage = record["text-1/costs/damage/mean/nats"]
    share = of_row(record, "everywhere the same", "against mean")
    assert damage.value is not None and 0 < damage.value < 1e-6
    assert share.value is None and "rounding" in share.refused
    check = told(record)
    assert check.holds and not check.applies, "nothing could be recovered, so nothing was shown"
    assert "rounding" in check.found.refused


def half_of_each(view: View) -> Tensor:
    """Half on BOS, half strict induction."""
    pattern = 0.5 * ux.patterns.evenly(ux.patterns.after_earlier_occurrence(view.tokens))
    pattern[:, :, 0] += 0.5
    return pattern


def nearly_constant(view: View) -> Tensor:
    """BOS, and 3% strict induction."""
    pattern = 0.03 * ux.patterns.evenly(ux.patterns.after_earlier_occurrence(view.tokens))
    pattern[:, :, 0] += 0.97
    return pattern


def by_position(view: View) -> Tensor:
    """Its z by position."""
    return view.blank + torch.arange(view.tokens.shape[1])[None, :, None] / 100


def constant(view: View) -> Tensor:
    """Its z is a tenth."""
    return view.blank + 0.1


@pytest.mark.parametrize(
    ("one", "name"),
    [
        (claim(half_of_each), "moved"),
        (claim(nearly_constant), "moved"),
        (claim(by_position, "z"), "moved"),
        (claim(constant, "z"), "elsewhere"),
        (claim(by_counts_so_far), "moved"),
    ],
    ids=lambda x: called(x) or str(x),
)
def test_rules_of_mixed_invariance_get_the_control_that_can_tell(
    one: Explanation, name: str
) -> None:
    """What a shuffled control would leave as it is has to be moved; what nothing changes has none."""
    check = told(assayed(one, kind="irregular"))
    assert check.name == f"{one.name}, {name}"
    assert check.holds and check.applies == (name != "elsewhere")


def first_alone(view: View) -> Tensor:
    """All on the first position."""
    return torch.cat([view.blank[..., :1] + 1, view.blank[..., 1:]], -1)


def test_a_claim_that_is_the_code_of_another_is_measured_under_both_names() -> None:
    """`return view.z` is the code of the component itself, and was refused for its fingerprint."""
    again = claim(first_alone, name="first alone, again")
    record = ux.assay(
        planted(), "L1.H0", text_of("irregular"), settings=SETTINGS, twin=False, singles=0,
        explanations=[claim(own_z, "z", "z"), claim(first_alone), again],
    )  # fmt: skip
    for against in ("mean", "zero", "resample", "position mean"):
        one, itself = (
            of_row(record, row, f"against {against}") for row in ("own z", "the component itself")
        )
        assert one.value == itself.value
    # Only the control is known to be the component: of the claim it is a finding.
    own = of_row(record, "own z", "against mean")
    assert own.value == 1 > own.low
    assert of_row(record, "first alone", "loss") == of_row(record, "first alone, again", "loss")
    (view,) = (block for _, block in walk(record.blocks) if isinstance(block, Tokens))
    assert view.examples and all(example.row == "own z" for example in view.examples)


def test_two_names_of_one_claim_both_stand_against_the_bars_and_in_context() -> None:
    rng = np.random.default_rng(0)
    tokens = repeated(rng, 12, 12)
    text = make_text("copies", planted(), tokens, tokens, second_copy=13)
    two = [claim(first_alone), claim(first_alone, name="first alone, again")]
    record = ux.assay(planted(), "L1.H0", text, explanations=two, settings=SETTINGS, twin=False,
                      singles=0)  # fmt: skip
    numbers = dict(record.numbers())
    for place in ("bars/all all/recovered/{}/loss", "context/gain/{}/lost"):
        one, other = (numbers[f"text-1/{place.format(claimed.name)}"] for claimed in two)
        assert one == other


# --- complexity --------------------------------------------------------------------------------


def own_by_address(view: View) -> Tensor:
    """Its own MLP, read by its address."""
    return view.site("L1.mlp")


TABLE = torch.arange(1536.0) / 7


def with_a_table(view: View) -> Tensor:
    """A captured table of as many numbers as a third of the MLP."""
    return view.blank + torch.sin(view.tokens.float())[..., None] * TABLE.mean()


def test_the_component_by_another_name_and_in_a_table_costs_what_it_costs() -> None:
    """32 × 48 numbers at 32 bits for each of an MLP's matrices; two of three make its neurons."""
    record = assayed(claim(own_by_address, "value", "L1.mlp"), "L1.mlp", "tiny")
    assert of_row(record, "own by address", "increase").value == 0
    row, itself = (said_of(record, name) for name in ("own by address", "the component itself"))
    assert row["lent"] == itself["lent"] == 3 * 32 * 48
    assert itself["bits"] == itself["code"] + 32 * itself["lent"]
    held = said_of(assayed(claim(with_a_table, "value"), "L1.mlp", "tiny"), "with a table")
    assert held["code"] > 32 * len(TABLE)


@pytest.mark.parametrize(
    ("sites", "numbers"),
    [
        ("L1.N3", 2 * 32),
        ("L1.N3 L1.N4", 4 * 32),
        ("L1.mlp L1.N3", 3 * 32 * 48),
        ("L1.attn", 32 * (32 + 16 + 16 + 32)),
        ("L0.mlp L2.attn", 3 * 32 * 48 + 32 * 96),
        ("embed", VOCABULARY * 32),
        ("L0.resid_post", VOCABULARY * 32 + 3 * 32 * 48 + 32 * 96),
    ],
)
def test_everything_as_its_own_explanation_costs_its_numbers_once(sites: str, numbers: int) -> None:
    """Width 32, 48 neurons, 4 heads of 8 on 2 key heads, counted by hand; what overlaps once."""
    record = assayed(claim(of_any_shape, "value"), sites, "tiny")
    found = said_of(record, "the component itself")
    assert found["lent"] == numbers and found["bits"] - found["code"] == 32 * numbers


# --- components of every kind, by a second route -----------------------------------------------


@cache
def intact() -> float:
    return by_hand.loss(
        tiny().anatomy.model, [b.tokens for b in text_of("tiny").eval], lambda site, value, t: value
    )


def same_by_hand(
    one: Explanation, sites: str, change: Callable[[str, Tensor, Tensor], Tensor]
) -> None:
    found = of_row(assayed(one, sites, "tiny"), one.name, "increase").value
    documents = [b.tokens for b in text_of("tiny").eval]
    wanted = by_hand.loss(tiny().anatomy.model, documents, change) - intact()
    assert found == pytest.approx(wanted, rel=1e-4, abs=3e-6)


def sine(value: Tensor, tokens: Tensor) -> Tensor:
    said = torch.sin(tokens.double())
    return said if value.dim() == 1 else said[:, None].expand(value.shape)


@pytest.mark.parametrize("gives", ["q", "k", "v", "z", "out"])
def test_any_value_of_grouped_heads_of_several_layers_is_replaced_as_by_hand(gives: str) -> None:
    """Keys and values that heads share are changed for the head that is named alone."""
    at = {f"{head}.{gives}" for head in ("L0.H1", "L1.H2", "L1.H3")}
    same_by_hand(
        claim(of_any_shape, gives),
        "L0.H1 L1.H2 L1.H3",
        lambda site, value, t: sine(value, t) if site in at else value,
    )


@pytest.mark.parametrize(
    "sites",
    ["L0.N1 L0.N2 L1.mlp L1.resid_mid", "L0.mlp L1.N3 L2.attn embed", "L1.resid_post final"],
)
def test_components_of_mixed_kinds_are_replaced_together_as_by_hand(sites: str) -> None:
    """The later of two sees what the earlier did, also where it stands in the same layer."""
    at = set(sites.split())
    same_by_hand(
        claim(of_any_shape, "value"),
        sites,
        lambda site, value, t: sine(value, t) if site in at else value,
    )


@pytest.mark.parametrize("site", ["L1.mlp", "L1.N3", "L1.H2", "final"])
def test_a_gate_and_an_affine_map_are_the_least_squares_of_another_library(site: str) -> None:
    """The least squares of numpy, on values that were written out in float64."""
    key = f"{site}.z" if ".H" in site else site
    fitted = [b.tokens for b in text_of("tiny").fit]
    value = torch.cat(by_hand.values(tiny().anatomy.model, fitted)[key])
    tokens = torch.from_numpy(np.concatenate(fitted)).long()
    said, mean = sine(value, tokens), value.mean(0)
    by, to = (said - mean).flatten().numpy(), (value - mean).flatten().numpy()
    gate = float(np.clip(np.linalg.lstsq(by[:, None], to, rcond=None)[0][0], 0, 1))
    given = "z" if ".H" in site else "value"
    same_by_hand(
        claim(of_any_shape, given).gated(),
        site,
        lambda name, v, t: mean + gate * (sine(v, t) - mean) if name == key else v,
    )

    def features(t: Tensor) -> np.ndarray:
        return np.stack([np.sin(t.double().numpy()), np.ones(len(t))], 1)

    flat = value.reshape(len(tokens), -1).numpy()
    lines = np.linalg.lstsq(features(tokens), flat, rcond=None)[0]
    same_by_hand(
        claim(of_any_shape, given).affine(),
        site,
        lambda name, v, t: torch.from_numpy(features(t) @ lines).view_as(v) if name == key else v,
    )


# --- sweeps ------------------------------------------------------------------------------------

SWEPT = (
    "embed final L0.resid_pre L1.resid_mid L2.resid_post L1.attn L1.mlp L2.N5 L1.H2 L1.H1.q L1.H3.k "
    "L0.H2.v L1.H3.z L2.H1.out"
)


@pytest.mark.parametrize("ablation", ["zero", "mean", "position mean", "resample"])
def test_every_site_is_ablated_on_uneven_documents_as_by_hand(ablation: str) -> None:
    """Zeros are zeros to the last bit, also in the middle of a layer, where 1e-7 had become 0.17 nats."""
    subject, text = tiny(), uneven(tiny(), [20] * 9, [20, 7, 13, 5, 18, 9, 20, 11, 6, 15])
    if ablation == "resample":  # one document many times: whichever is the donor, it is that
        text = replace(
            text, fit=tuple(replace(b, tokens=text.fit[0].tokens) for b in text.fit),
            fingerprint="one donor",
        )  # fmt: skip
    asked = SWEPT if ablation == "mean" else f"{SWEPT} L1.H0.pattern"
    record = ux.sweep(
        subject, asked, text, ablation=ablation, twin=False, settings=SETTINGS, pairs=0
    )
    kept = by_hand.values(subject.anatomy.model, [b.tokens for b in text.fit])

    def filled(site: str, value: Tensor) -> Tensor:
        n, stack = len(value), torch.stack(kept[site])
        if ablation == "zero":
            return torch.zeros_like(value)
        if ablation == "mean":
            return torch.cat(kept[site]).mean(0).expand_as(value)
        table = (stack.mean(0) if ablation == "position mean" else stack[0])[:n]
        table = table[:, :n] if "pattern" in site else table
        return table if ablation == "position mean" else torch.cat([value[:1], table[1:]])

    documents = [b.tokens for b in text.eval]
    for at, change in by_component(record, "change").items():
        wanted = by_hand.loss(
            subject.anatomy.model,
            documents,
            lambda site, value, t, at=at: filled(site, value) if site == at else value,
        )
        assert change.value == pytest.approx(wanted - intact(), rel=1e-4, abs=3e-6), at


def test_the_middle_of_a_layer_as_its_own_explanation_is_the_model_to_the_bit() -> None:
    """Whoever puts a value exactly there must not lose the exactness of leaving it alone."""
    record = assayed(claim(of_any_shape, "value"), "L0.resid_mid L1.resid_mid", "tiny")
    assert of_row(record, "the component itself", "increase").value == 0
    assert all(check.holds for check in checks_of(record) if check.name == "the component itself")


# --- the random-weight twin --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ablation", "sites"), [("position mean", "L1.H0.pattern"), ("resample", "L1.H0 L1.mlp")]
)
def test_a_twin_reaches_as_far_as_the_model_on_its_fewer_documents(
    ablation: str, sites: str
) -> None:
    """Ten fit documents are long and they come last: a sweep that was done ended in its twin's error."""
    text = uneven(tiny(), [8] * 20 + [20] * 10, [20] * 12)
    record = ux.sweep(tiny(), sites, text, ablation=ablation, settings=SETTINGS)
    assert fact(record, "documents", "twin/facts") == 12
    assert sorted(len(b.tokens) for b in few(text).fit) == [8] * 6 + [20] * 10


def test_an_assay_whose_long_documents_come_last_has_its_twin() -> None:
    """It was refused by the name of its donors, though the fit part has ten."""
    text = uneven(tiny(), [8] * 20 + [20] * 10, [20] * 12)
    record = ux.assay(tiny(), "L1.H0", text, settings=SETTINGS, singles=0)
    assert "twin" in rows_of(record).values()
    assert list(record.took) == [TWIN]


def test_a_kept_sweep_and_its_twin_are_the_uninterrupted_ones(tmp_path: Path) -> None:
    """Stopped, resumed, found whole, and without its twin: one set of numbers."""
    text = uneven(tiny(), [20] * 10, [20] * 10)

    def numbers(**asked: object) -> list[dict[str, object]]:
        record = ux.sweep(tiny(), "L1.H*", text, settings=SETTINGS, **asked)
        found = dict(record.numbers())
        found |= {f"{at} p": p for at, p in by_component(record, "p", "alone/more").items()}
        twin = {where: number for where, number in found.items() if "twin" in where}
        return [{where: found[where] for where in found.keys() - twin}, twin]

    def stop(what: str, done: int, total: int) -> None:
        if "random weights" in what:
            raise KeyboardInterrupt

    whole = numbers()
    with pytest.raises(KeyboardInterrupt):
        numbers(folder=tmp_path, say=stop)
    assert numbers(folder=tmp_path) == numbers(folder=tmp_path) == whole
    assert numbers(folder=tmp_path, twin=False) == [whole[0], {}]


# --- what was fitted to another model ----------------------------------------------------------


def opened(seed: int = 0) -> Subject:
    return ux.load(tiny_model("llama", seed), tokenizer=tiny_tokenizer(), device="cpu")


def test_whatever_was_fitted_stands_in_its_model_alone_and_there_always() -> None:
    """Fills, rests, gates, maps, controls; opened again and on other text yes, other weights no."""
    subject, text = opened(), uneven(tiny(), [20] * 10, [20] * 10)
    heads, mlp = subject.sites("L1.H0 L2.H3"), subject.sites("L1.mlp")
    seen = observe(
        subject, text, [*mlp, *(head.at(value) for head in heads for value in ("v", "z"))]
    )
    one, value = ux.LIBRARY.get("previous_token"), claim(of_any_shape, "value")
    fitted = [
        *(
            ABLATIONS.get(name).fit(seen, heads, 0).condition()
            for name in ("mean", "position mean")
        ),
        ABLATIONS.get("resample").fit(seen, heads, 0).condition(),
        *(
            fit(some.at(heads), subject.shape, seen, 0).condition()
            for some in (one, one.gated(), one.affine(), one.on_shuffled(), one.with_rest("first"))
        ),
        *(
            fit(some.at(mlp), subject.shape, seen, 0).condition()
            for some in (value.gated(), value.affine(), value.on_shuffled(moved=True))
        ),
    ]
    other_text = uneven(tiny(), [20] * 10, [12] * 10)
    assert evaluate(subject, text, fitted).conditions
    assert evaluate(opened(), other_text, fitted).conditions
    other, changed = opened(1), opened()
    with torch.no_grad():
        changed.anatomy.neuron_output(2).weight.mul_(1.01)
    for condition in fitted:
        for model in (other, changed):
            with pytest.raises(MeasurementError, match=rf"'{condition.name}'.*fitted to another"):
                evaluate(model, text, [condition])
