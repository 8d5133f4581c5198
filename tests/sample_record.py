"""A hand-made record for the report's tests. Every number here is invented; none was measured."""

from __future__ import annotations

from dataclasses import replace

from sample_compute import bars, repeats_bars, web_bars, web_scale
from sample_rows import (
    HOSTILE_DOMAIN,
    HOSTILE_NAME,
    HOSTILE_TOKENS,
    NONE,
    ONE,
    OWN,
    RULE,
    nats,
    refused,
    row,
    share,
    strata,
    web_rows,
)
from unexplained.instruments import assay
from unexplained.instruments._assay_text import OnText
from unexplained.instruments._assay_words import answer_of
from unexplained.record import (
    Check,
    ContextGain,
    Counted,
    Description,
    Example,
    Factor,
    HeadScore,
    Number,
    Record,
    Token,
)
from unexplained.record import blocks as b

TABLES = (
    Counted(name="bigram", smoothing="Kneser–Ney", tokens=15_227_769, complete=True,
            held_out={"Witten–Bell": 4.6194, "Kneser–Ney": 4.6098}),
    Counted(name="trigram", smoothing="Witten–Bell", tokens=15_227_769, complete=True,
            held_out={"Witten–Bell": 3.75, "Kneser–Ney": 3.8125}),
)  # fmt: skip


def _web_examples() -> tuple[Example, ...]:
    words = (
        "The",
        " cat",
        " sat",
        " on",
        " the",
        " mat",
        ".",
        "\n",
        "The",
        " cat",
        " slept",
        " and",
        " the",
        " dog",
        *HOSTILE_TOKENS,
        " def",
        " read",
        "_all",
        "(path",
        "):",
        "\n",
        "    ",
        "return",
        " path",
    )
    deltas = (0.02, 0.3, 0.7, 2.2, 5.1, -0.2, -0.8, -2.4, 0.0)
    tokens = [Token(text=words[0], intact=None, explained=None, ablated=None)]
    for i, word in enumerate(words[1:]):
        base = 0.4 + (i * 37 % 50) / 10
        tokens.append(
            Token(
                text=word,
                intact=base,
                explained=base + deltas[i % len(deltas)],
                ablated=base + 0.4,
                intact_says=word,
                explained_says=HOSTILE_TOKENS[i % len(HOSTILE_TOKENS)],
                label="recurs, continuation repeats" if i % 3 else "first time",
            )
        )
    return (
        Example(
            document="9f86d081884c7d65",
            domain=HOSTILE_DOMAIN,
            row="strict induction",
            excess=0.231,
            tokens=tuple(tokens),
        ),
        Example(
            document="60303ae22b998861",
            domain="code",
            row="strict induction, own amount",
            excess=0.082,
            tokens=tuple(tokens[:15] * 4),
        ),
    )


def _size(domains: str = "") -> b.Table:
    return b.facts(
        "size",
        b.Row(key="tokens", name="Tokens predicted", cells=(50_800,)),
        b.Row(key="documents", name="Documents", note="in blocks of at most 128", cells=(400,)),
        *[b.Row(key="domains", name="Documents by domain", cells=(domains,))] * bool(domains),
        b.Row(key="right", name="Tokens on which the intact model is right",
              cells=(Number(value=0.41, low=0.40, high=0.42, unit="share"),)),
    )  # fmt: skip


def web_text() -> OnText:
    """The assay on a natural text, where resample ablation does too little to divide by."""
    rows = web_rows()
    return OnText(
        name="webmix",
        primary=rows[3].name,
        size=_size(f"code 100, news 150, {HOSTILE_DOMAIN} 150"),
        notes=("The tokenizer adds no token at the start.", "12 documents too short were dropped."),
        damage={
            "mean": nats(0.0141, 0.0098, 0.0187),
            "zero": nats(0.0239, 0.0188, 0.0292),
            "resample": nats(0.0012, -0.0006, 0.0031),
        },
        rows=rows,
        factors=(
            Factor(
                where="rule", amount="all", row=rows[3].name, recovered=share(0.447, 0.312, 0.561)
            ),
            Factor(
                where="rule", amount="own", row=rows[4].name, recovered=share(0.830, 0.741, 0.922)
            ),
            Factor(where="own", amount="all", row="own places", recovered=share(0.52, 0.40, 0.63)),
            Factor(where="own", amount="own", row="own output", recovered=ONE),
        ),
        context=ContextGain(
            partition="position",
            early="16-63",
            late="64-127",
            gain={
                "intact": nats(0.312, 0.271, 0.355),
                "mean": nats(0.297, 0.255, 0.341),
                HOSTILE_NAME: refused("there are no tokens in one of the two parts", None),
            },
            lost={
                "mean": nats(0.0153, 0.0041, 0.0266),
                HOSTILE_NAME: refused("there are no tokens in one of the two parts", None),
            },
        ),
        bars=web_bars(),
        scale=web_scale(),
        singles=tuple(
            row(
                f"L{layer}.H{head}",
                "explanation",
                "strict induction",
                (2.9142 + up, 0.11),
                (up, 0.0011),
                (found, share(0.5, 0.4, 0.6), refused()),
                variance=share(0.3, 0.28, 0.32),
            )
            for layer, head, up, found in (
                (17, 3, 0.0021, share(0.55, 0.31, 0.74)),
                (17, 4, 0.0009, refused("the denominator is within noise of zero", 96_000)),
                (18, 6, 0.0044, share(0.38, 0.22, 0.50)),
                (20, 6, 0.0102, share(-0.9, -1.8, -0.3)),
            )
        ),
        examples=_web_examples(),
        checks=(
            Check(name="own output", text="webmix", expected="exactly 1", found=ONE, holds=True),
            Check(name="nothing", text="webmix", expected="exactly 0", found=NONE, holds=True),
            Check(
                name="shuffled tokens",
                text="webmix",
                expected="not above 0",
                found=share(0.128, 0.01, 0.27),
                holds=False,
            ),
            Check(
                name="twin",
                text="webmix",
                expected="refused",
                found=refused("no damage", None),
                holds=True,
            ),
        ),
    )


def counted_text() -> OnText:
    """The same with tables of counts beside the explanations."""
    bases = {"unigram": 7.0, "bigram": 5.1, "mean": 4.41}
    losses = {"strict induction": 3.61, "bigram": 5.0, "trigram": 4.0}
    found = tuple(bars(name, loss, bases, 2.9142) for name, loss in losses.items())
    return replace(web_text(), bars=found, tables=TABLES)


def repeats_text() -> OnText:
    """The assay on repeated random tokens, where all ablations bite and nothing is refused."""
    copy = strata(
        {
            ("copy", "first copy"): (25_200, 0.02, 0.011, share(0.1, -0.4, 0.5)),
            ("copy", "second copy"): (25_600, 2.61, 0.05, share(0.931, 0.921, 0.940)),
        }
    )
    high = (share(0.931, 0.921, 0.940), share(0.944, 0.93, 0.951), share(0.926, 0.915, 0.936))
    low = (share(0.66, 0.64, 0.68), share(0.70, 0.68, 0.72), share(0.64, 0.62, 0.66))
    return OnText(
        name="repeats",
        primary="strict induction",
        size=_size(),
        damage={
            "mean": nats(1.3262, 1.27, 1.38),
            "zero": nats(1.61, 1.55, 1.67),
            "resample": nats(1.24, 1.18, 1.30),
        },
        rows=(
            row(
                "mean",
                "ablation",
                "The mean.",
                (7.4262, 0.05),
                (1.3262, 0.055),
                (NONE, high[1], NONE),
            ),
            row(
                "strict induction",
                "explanation",
                RULE,
                (6.1915, 0.05),
                (0.0915, 0.011),
                high,
                leaves=OWN,
                variance=share(0.81, 0.80, 0.82),
                direct=(share(0.90, 0.88, 0.92), share(0.91, 0.89, 0.93)),
                description=Description(code_bits=1_320, parameters=0, parameter_bits=0),
                strata=copy,
            ),
            row("affine map", "fitted", "A linear map.", (6.55, 0.05), (0.45, 0.02), low),
            row(
                "own output",
                "control",
                "Itself.",
                (6.1, 0.05),
                (0, 0),
                (ONE, ONE, ONE),
                agreement=1,
            ),
        ),
        bars=repeats_bars(),
    )


def sample_heads() -> tuple[HeadScore, ...]:
    """Three heads, one of them ablated alone."""
    return (
        HeadScore(
            site="L17.H3",
            induction=0.81,
            previous_token=0.02,
            duplicate_token=0.01,
            twin_induction=0.008,
        ),
        HeadScore(
            site="L18.H6",
            induction=0.93,
            previous_token=0.01,
            duplicate_token=0.02,
            twin_induction=0.008,
            gain_lost=nats(0.214, 0.171, 0.262),
        ),
        HeadScore(site="L20.H6", induction=0.44, previous_token=0.03, duplicate_token=0.11),
    )


def sample_record() -> Record:
    """Two texts, refusals, negative and huge values, hostile text and one failed control."""
    return assayed(web_text(), repeats_text(), heads=sample_heads())


def assayed(*texts: OnText, heads: tuple[HeadScore, ...] = ()) -> Record:
    """The record of an assay that found this on some texts."""
    sites = ("L17.H3", "L17.H4", "L17.H5", "L18.H6", "L20.H6")
    facts = b.facts(
        "facts",
        b.Row(key="model", name="Model", cells=("SmolLM2-135M-Instruct",)),
        b.Row(key="sites", name="5 sites", cells=(", ".join(sites),)),
    )
    said = (
        b.Prose(words="the hypothesis might be less than 1% of an explanation", manner="quote",
                source="Buck"),
        b.Prose(words="45% of the loss against mean ablation speaks against it on this scale."),
    )  # fmt: skip
    cruxes = b.Section(key="cruxes", title="Cruxes", blocks=said)
    return Record(
        instrument="assay",
        title="Strict induction in five heads",
        verdict=(
            "On webmix, strict induction accounts for 45% (31% to 56%) of what mean-ablating five "
            "heads costs; where the continuation repeats it accounts for 71%, elsewhere it harms."
        ),
        sheet={"Text webmix": "c0ffee11d00dfeed", "Sites": ", ".join(sites)},
        subject="SmolLM2-135M-Instruct",
        subject_fingerprint="0123456789abcdef",
        subject_notes=(
            "Llama, 30 layers of 9 heads, 3 key heads.",
            "Weights kept in 32-bit floats.",
        ),
        blocks=(answer_of(texts), facts, *assay.blocks(texts, heads), cruxes),
        resamples=2_000,
        seed=0,
        command="unexplained assay smollm2-135m 'L17.H3-5 L18.H6 L20.H6' --text webmix",
        versions={"unexplained": "0.1.0", "python": "3.11.2", "torch": "2.13.0"},
        machine={"processor": "two cores", "system": "Linux"},
        measured="2026-11-03T14:02:11+00:00",
        seconds=412.7,
    )
