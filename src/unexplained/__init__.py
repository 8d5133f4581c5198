"""Unexplained: state an explanation as code, put it in the component's place, read off what it explains.

subject = ux.load("smollm2-135m")
text = ux.text("webmix", subject, documents=96)
record = ux.assay(subject, "L18.H6 L17.H3-5", text)
print(record)
record.report("induction.html")
"""

from typing import TYPE_CHECKING

from unexplained import stops as _stops
from unexplained.lazy import face as _face

if TYPE_CHECKING:
    from unexplained.errors import UnexplainedError as UnexplainedError
    from unexplained.evaluate import evaluate as evaluate  # type: ignore[no-redef]
    from unexplained.explanations import LIBRARY as LIBRARY
    from unexplained.explanations import Explanation as Explanation
    from unexplained.explanations import View as View
    from unexplained.explanations import explanation as explanation
    from unexplained.explanations import patterns as patterns
    from unexplained.instruments.assay import assay as assay
    from unexplained.instruments.circuit import circuit as circuit
    from unexplained.instruments.family import family as family
    from unexplained.instruments.gap import gap as gap
    from unexplained.instruments.hunt import hunt as hunt
    from unexplained.instruments.label import label as label
    from unexplained.instruments.paths import paths as paths
    from unexplained.instruments.repair import repair as repair
    from unexplained.instruments.rewrite import rewrite as rewrite
    from unexplained.instruments.shortfall import shortfall as shortfall
    from unexplained.instruments.sizes import sizes as sizes
    from unexplained.instruments.soundness import soundness as soundness
    from unexplained.instruments.structure import structure as structure
    from unexplained.instruments.subspace import subspace as subspace
    from unexplained.instruments.suppression import suppression as suppression
    from unexplained.instruments.sweep import sweep as sweep
    from unexplained.instruments.tasks import tasks as tasks
    from unexplained.ladder.members import Member as Member
    from unexplained.record import load_record as load_record
    from unexplained.settings import Settings as Settings
    from unexplained.study.case import CASEBOOK as CASEBOOK
    from unexplained.study.heads import head_scores as head_scores
    from unexplained.study.heads import strongest as strongest
    from unexplained.study.heads import with_gains as with_gains
    from unexplained.subject import Subject as Subject
    from unexplained.subject import load as load
    from unexplained.text import Text as Text
    from unexplained.text import text as text
    from unexplained.text.pairs import pairs as pairs

if _stops.is_program():
    _stops.listen()

_known, __dir__, __all__ = _face(__name__)


def __getattr__(name: str) -> object:
    """A public name; or an instrument that is nothing but a file in its folder."""
    try:
        return _known(name)
    except AttributeError:
        if not name.startswith("_"):
            from unexplained.study import INSTRUMENTS

            if name in INSTRUMENTS.sentences("instrument"):
                return INSTRUMENTS.get(name)
        raise
