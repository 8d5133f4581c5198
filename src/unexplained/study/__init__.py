"""How an instrument measures: a run, arms with their cards, and the registry that makes it a command.

Its rooms are fetched when they are first asked for, so that an instrument can be imported without torch.

Args that methods here share:
    value: What a caller gave for one parameter.
    given: All that a caller gave, by the names of parameters.
"""

from typing import TYPE_CHECKING

from unexplained.lazy import face as _face

if TYPE_CHECKING:
    from unexplained.ladder.family import Family as Family
    from unexplained.study import arms as arms
    from unexplained.study import asked as asked
    from unexplained.study.arm import Arm as Arm
    from unexplained.study.arm import arm as arm
    from unexplained.study.case import CASEBOOK as CASEBOOK
    from unexplained.study.case import Case as Case
    from unexplained.study.case import CaseCard as CaseCard
    from unexplained.study.case import answer_of as answer_of
    from unexplained.study.case import case as case
    from unexplained.study.case import no_candidates as no_candidates
    from unexplained.study.case import part as part
    from unexplained.study.given import FAMILY as FAMILY
    from unexplained.study.given import Claims as Claims
    from unexplained.study.given import Given as Given
    from unexplained.study.given import Models as Models
    from unexplained.study.given import Option as Option
    from unexplained.study.given import Texts as Texts
    from unexplained.study.heads import attention_of as attention_of
    from unexplained.study.instrument import INSTRUMENTS as INSTRUMENTS
    from unexplained.study.instrument import Headline as Headline
    from unexplained.study.instrument import Instrument as Instrument
    from unexplained.study.instrument import instrument as instrument
    from unexplained.study.run import Run as Run
    from unexplained.study.twins import few as few

__getattr__, __dir__, __all__ = _face(__name__)
