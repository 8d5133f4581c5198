"""Curves that others fitted, by name. All are in nats per token, of tokens that differ."""

from __future__ import annotations

from unexplained.curves.curve import Curve, Surface
from unexplained.curves.points import TrainedPoint
from unexplained.errors import CurveError, near_matches

PF_DAY = 8.64e19
"""FLOPs of a petaFLOP/s kept up for a day: 1e15 · 86,400."""

CHINCHILLA = (1.4e18, 1.3e22)
"""FLOPs of the least and the greatest of Hoffmann's runs, as Besiroglu et al. (2404.10102) read 245
of them off figure 4; good to a few per cent."""

SURFACES = {
    surface.name: surface
    for surface in (
        Surface(
            name="hoffmann",
            floor=1.69,
            size_scale=406.4,
            data_scale=410.7,
            size_exponent=0.34,
            data_exponent=0.28,
            tokens="Chinchilla's SentencePiece",
            source="Hoffmann et al., 2203.15556, eq. 10",
            says="Over 400 runs on MassiveText. Sizes and tokens are those of the abstract; compute "
            "is that of the 245 runs of figure 4, as Besiroglu et al. read it off.",
            fitted=CHINCHILLA,
            sizes=(7e7, 1.6e10),
            tokens_seen=(5e9, 5e11),
        ),
        Surface(
            name="besiroglu",
            floor=1.8172,
            size_scale=482.01,
            data_scale=2085.43,
            size_exponent=0.3478,
            data_exponent=0.3658,
            tokens="Chinchilla's SentencePiece",
            source="Besiroglu et al., 2404.10102",
            fitted=CHINCHILLA,
            sizes=(5.7e7, 1.62e10),
            says="Hoffmann's runs read off a figure and fitted again. Standard errors: E 0.03, "
            "A 124.58, B 1293.23, α and β 0.02; they are not carried here.",
        ),
    )
}
"""Laws of parameters and tokens, by name."""

CURVES = {
    curve.name: curve
    for curve in (
        Curve(
            name="kaplan",
            floor=0.0,
            scale=(3.1e8 * PF_DAY) ** 0.050,
            exponent=0.050,
            tokens="GPT-2 BPE",
            fitted=(1e-7 * PF_DAY, 10 * PF_DAY),
            source="Kaplan et al., 2001.08361, eq. 1.3",
            says="L = (3.1e8 / C)^0.050, C the least compute in PF-days, on WebText2. No floor. The "
            "paper says that it holds over eight orders of magnitude; that these end at 10 PF-days "
            "is read off the axis of its figure 1, to a factor of a few.",
        ),
        Curve(
            name="cerebras",
            floor=0.5066,
            scale=5.984e22**0.0737,
            exponent=0.0737,
            fitted=(2.6e18, 2.3e22),
            tokens="GPT-2 BPE",
            source="Dey et al., 2304.03208, eq. 1",
            spread=0.0066,
            says="Seven models of 111M to 13B parameters, 20 tokens per parameter, on the Pile.",
        ),
        *(surface.frontier() for surface in SURFACES.values()),
    )
}
"""Curves of compute, by name; those of `SURFACES` along their frontier, C = 6ND."""

CEREBRAS_POINTS = tuple(
    TrainedPoint(compute, loss, rung)
    for rung, compute, loss in (
        ("111M", 2.6e18, 2.608),
        ("256M", 1.3e19, 2.349),
        ("590M", 6.1e19, 2.181),
        ("1.3B", 2.8e20, 1.997),
        ("2.7B", 1.1e21, 1.834),
        ("6.7B", 6.3e21, 1.704),
        ("13B", 2.3e22, 1.572),
    )
)
"""Cerebras-GPT on the Pile's test part: losses as in the paper, which its law fits. Those of the
model cards differ by 2% at most. The authors put the spread from run to run at about 0.35%, and
that around the law at 0.66%."""


def published(name: str) -> Curve:
    """Give a published curve by its name.

    Args:
        name: Of a paper's first author: `hoffmann`.

    Raises:
        CurveError: There is none of that name.

    >>> published("hofman")
    Traceback (most recent call last):
    unexplained.errors.CurveError: The published curve 'hofman': there is none. Did you mean hoffmann?
    """
    if name not in CURVES:
        raise CurveError(
            f"The published curve {name!r}", "there is none", near_matches(name, CURVES)
        )
    return CURVES[name]
