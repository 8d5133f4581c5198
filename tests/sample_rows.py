"""The rows of the hand-made record in `sample_record`. Every number here is invented."""

from __future__ import annotations

from unexplained.bars.cards import Card
from unexplained.bars.rows import RowNumbers
from unexplained.instruments._assay_rows import ArmRow
from unexplained.record import Description, Number, Stratum

HOSTILE_NAME = "<script>alert('name')</script> & \"quoted\" | [red]piped[/red]"
HOSTILE_CLAIM = 'javascript:alert(1) "><img src=x onerror=alert(2)>\u202eesrever\x1b[31m'
HOSTILE_DOMAIN = "forum</style><script>alert(3)</script>"
HOSTILE_TOKENS = (
    "<script>alert(4)</script>",
    '"\'><b onmouseover="alert(5)">',
    "javascript:alert(6)",
    "\u202eright-to-left",
    "\x00\x07\x1b[31m",
    "\n\n",
    "\t",
    "   ",
    "",
    "{{ 7 * 7 }}",
    "مرحبا",
    "\u200b",
)
BARS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999)
RULE = "Attend evenly to every position just after an earlier occurrence of the current token."
NOISE = (
    "the denominator (damage of resample ablation) is 0.0012 [−0.0006, 0.0031] nats per token, "
    "within noise of zero"
)


def nats(value: float, low: float, high: float) -> Number:
    """A loss or a difference of losses."""
    return Number(value=value, low=low, high=high, unit="nats per token")


def share(value: float, low: float, high: float) -> Number:
    """A share with its interval."""
    return Number(value=value, low=low, high=high, unit="share")


def refused(reason: str = NOISE, tokens: int | None = 310_000) -> Number:
    """A share that could not be given."""
    return Number(value=None, unit="share", refused=reason, tokens_needed=tokens)


def _bars(recovered: Number) -> dict[str, Number]:
    if recovered.value is None or recovered.low is None or recovered.high is None:
        return {str(bar): recovered for bar in BARS}
    value, low, high = recovered.value, recovered.low, recovered.high
    return {str(bar): share(value - bar, low - bar, high - bar) for bar in BARS}


def strata(values: dict[tuple[str, str], tuple[int, float, float, Number]]) -> tuple[Stratum, ...]:
    return tuple(
        Stratum(
            partition=partition,
            label=label,
            tokens=tokens,
            loss=nats(2.9, 2.8, 3.0),
            damage=nats(damage, damage - spread, damage + spread),
            recovered=recovered,
        )
        for (partition, label), (tokens, damage, spread, recovered) in values.items()
    )


def _web_strata(copying: float, other: float) -> tuple[Stratum, ...]:
    first = refused(
        "the denominator (damage of mean ablation where first time) is 0.0004 [−0.0011, 0.0019] "
        "nats per token, within noise of zero",
        2_400_000,
    )
    return strata(
        {
            ("recurrence", "first time"): (19_204, 0.0004, 0.0015, first),
            ("recurrence", "recurs, continuation repeats"): (
                11_390,
                0.0612,
                0.0094,
                share(copying, copying - 0.07, copying + 0.06),
            ),
            ("recurrence", "recurs, other continuation"): (
                20_206,
                0.0041,
                0.0022,
                share(other, other - 0.9, other + 0.6),
            ),
            ("position", "first 16"): (6_000, 0.0011, 0.0019, refused(tokens=120_000)),
            ("position", "16-63"): (19_200, 0.0149, 0.0041, share(0.51, 0.33, 0.66)),
            ("position", "64-127"): (25_600, 0.0179, 0.0038, share(0.42, 0.29, 0.53)),
            ("domain", "code"): (12_700, 0.0301, 0.0061, share(0.58, 0.49, 0.66)),
            ("domain", "news"): (19_050, 0.0093, 0.0040, share(0.21, -0.12, 0.42)),
            ("domain", HOSTILE_DOMAIN): (19_050, 0.0088, 0.0047, share(1.12, 0.71, 1.9)),
        }
    )


def row(
    name: str,
    role: str,
    says: str,
    loss: tuple[float, float],
    increase: tuple[float, float],
    recovered: tuple[Number, ...],
    *,
    method: str = "mech",
    reads: tuple[str, ...] = ("tokens",),
    leaves: tuple[str, ...] = (),
    direct: tuple[Number, Number] | None = None,
    variance: Number | None = None,
    nines: Number | None = None,
    description: Description | None = None,
    strata: tuple[Stratum, ...] = (),
    agreement: float = 0.97,
) -> ArmRow:
    value, width = loss
    up, spread = increase
    card = Card.model_validate(
        {
            "name": name, "role": role, "says": says, "method": method, "reads": reads,
            "leaves": leaves, "description": description,
        }
    )  # fmt: skip
    numbers = RowNumbers(
        loss=nats(value, value - width, value + width),
        increase=nats(up, up - spread, up + spread),
        kl=nats(abs(up) * 0.8, abs(up) * 0.7, abs(up) * 0.9),
        agreement=share(agreement, agreement - 0.003 * (0 < agreement < 1), agreement),
        reliability=share(0.4, 0.38, 0.42),
        recovered=dict(zip(("mean", "zero", "resample"), recovered, strict=False)),
        direct=dict(zip(("norm free", "norm frozen"), direct or (), strict=False)),
        variance=variance,
        bars=_bars(recovered[0]),
        nines=nines or Number(value=None, refused="recovered is 0 or less: there are no nines"),
        strata=strata,
    )
    return ArmRow(card, numbers)


ONE = share(1.0, 1.0, 1.0)
NONE = share(0.0, 0.0, 0.0)
OWN = ("the model's own values", "the output matrix")


def web_rows() -> tuple[ArmRow, ...]:
    loss = 0.11
    return (
        row(
            "zero",
            "ablation",
            "The heads add nothing.",
            (2.9381, loss),
            (0.0239, 0.0052),
            (share(-0.695, -1.12, -0.31), NONE, refused()),
        ),
        row(
            "mean",
            "ablation",
            "The heads add their mean over the fit part.",
            (2.9283, loss),
            (0.0141, 0.0044),
            (NONE, share(0.41, 0.28, 0.52), refused()),
        ),
        row(
            "resample",
            "ablation",
            "The heads add what they added in another document.",
            (2.9154, loss),
            (0.0012, 0.0018),
            (share(0.915, 0.74, 1.07), share(0.95, 0.87, 1.03), NONE),
        ),
        row(
            "strict induction",
            "explanation",
            RULE,
            (2.9220, loss),
            (0.0078, 0.0027),
            (share(0.447, 0.312, 0.561), share(0.674, 0.58, 0.75), refused()),
            leaves=OWN,
            direct=(share(0.381, 0.30, 0.45), share(0.402, 0.33, 0.47)),
            variance=share(0.231, 0.221, 0.241),
            nines=Number(value=0.257, low=0.162, high=0.358),
            description=Description(code_bits=1_320, parameters=0, parameter_bits=0),
            strata=_web_strata(0.71, -0.62),
        ),
        row(
            "strict induction, own amount",
            "explanation",
            "Look where the rule looks; put as much weight there as the model does.",
            (2.9166, loss),
            (0.0024, 0.0014),
            (share(0.830, 0.741, 0.922), share(0.899, 0.85, 0.95), refused()),
            method="internals",
            reads=("tokens", "the model's own attention"),
            leaves=OWN,
            direct=(share(0.792, 0.74, 0.85), share(0.80, 0.75, 0.86)),
            variance=share(0.604, 0.592, 0.617),
            description=Description(code_bits=1_544, parameters=0, parameter_bits=0),
            strata=_web_strata(0.88, 0.35),
        ),
        row(
            HOSTILE_NAME,
            "explanation",
            HOSTILE_CLAIM,
            (2.9593, loss),
            (0.0451, 0.0092),
            (share(-3.2, -5.1, -1.9), share(-0.887, -1.4, -0.5), refused()),
            leaves=OWN,
            variance=share(-0.42, -0.47, -0.38),
            description=Description(code_bits=980, parameters=0, parameter_bits=0),
            strata=_web_strata(-0.4, -5.3),
        ),
        row(
            "affine map",
            "fitted",
            "A linear map from one-hot context features to the heads' outputs, fitted on the fit "
            "part.",
            (2.9197, loss),
            (0.0055, 0.0021),
            (share(0.61, 0.48, 0.73), share(0.77, 0.69, 0.84), refused()),
            method="black-box",
            direct=(share(0.55, 0.48, 0.61), share(0.56, 0.49, 0.62)),
            variance=share(0.512, 0.50, 0.523),
            description=Description(code_bits=610, parameters=73_728, parameter_bits=1_179_648),
            strata=_web_strata(0.66, 0.1),
        ),
        row(
            "bigram",
            "baseline",
            "A table of what follows the current token, in the place of the whole model.",
            (5.0310, 0.09),
            (2.1168, 0.081),
            (share(-149.1, -217.0, -113.0), share(-87.6, -112.0, -71.0), refused()),
            method="black-box",
            agreement=0.21,
        ),
        row(
            "uniform",
            "baseline",
            "Every token alike.",
            (10.8027, 0.0),
            (7.8885, 0.11),
            (
                share(-1_234_567.0, -1_900_000.0, -900_000.0),
                share(-329.0, -421.0, -270.0),
                refused(),
            ),
            method="black-box",
            agreement=0.0,
        ),
        row(
            "own output",
            "control",
            "The heads as their own explanation: must give exactly 1.",
            (2.9142, loss),
            (0, 0),
            (ONE, ONE, refused()),
            reads=("the model's own output",),
            agreement=1,
        ),
        row(
            "nothing",
            "control",
            "No explanation: must give exactly 0.",
            (2.9283, loss),
            (0.0141, 0.0044),
            (NONE, share(0.41, 0.28, 0.52), refused()),
        ),
        row(
            "shuffled tokens",
            "control",
            "The same rule, given the tokens of another document.",
            (2.9301, loss),
            (0.0159, 0.0046),
            (share(-0.128, -0.27, -0.01), share(0.335, 0.2, 0.45), refused()),
            variance=share(-0.03, -0.04, -0.02),
        ),
        row(
            "affine map, shuffled",
            "control",
            "The same fit on shuffled features: what capacity alone buys.",
            (2.9280, loss),
            (0.0138, 0.0043),
            (share(0.021, -0.03, 0.072), share(0.42, 0.3, 0.53), refused()),
            method="black-box",
            description=Description(code_bits=610, parameters=73_728, parameter_bits=1_179_648),
        ),
        row(
            "strict induction on the twin",
            "twin",
            "The same rule in the same architecture with random weights.",
            (10.8121, 0.01),
            (0.0001, 0.0009),
            (refused("the twin's heads do nothing that can be measured", None),) * 3,
            agreement=0.999,
        ),
    )
