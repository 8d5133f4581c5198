"""Makers of arms, one file each; fetched when they are first asked for, so that instruments stay light.

Args that functions here share:
    run: A subject with its texts, settings and workers.
"""

from typing import TYPE_CHECKING

from unexplained.lazy import face as _face

if TYPE_CHECKING:
    from unexplained.study.arms.ablations import ablation as ablation
    from unexplained.study.arms.ablations import ablations as ablations
    from unexplained.study.arms.ablations import panel as panel
    from unexplained.study.arms.chosen import replaced as replaced
    from unexplained.study.arms.circuits import circuits as circuits
    from unexplained.study.arms.claims import claims as claims
    from unexplained.study.arms.models import model as model
    from unexplained.study.arms.paths import paths as paths
    from unexplained.study.arms.programs import program as program
    from unexplained.study.arms.refits import refits as refits
    from unexplained.study.arms.refits import tried_refit as tried_refit
    from unexplained.study.arms.repaired import outside as outside
    from unexplained.study.arms.repaired import repaired as repaired
    from unexplained.study.arms.suppressed import suppressed as suppressed
    from unexplained.study.arms.tables import tables as tables

__getattr__, __dir__, __all__ = _face(__name__)
