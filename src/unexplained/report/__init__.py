"""Records drawn: as a page, as a table in the terminal, in a notebook and in Markdown. No torch.

Args that functions here share:
    record: What an instrument gave.
"""

from typing import TYPE_CHECKING

from unexplained.lazy import face as _face

if TYPE_CHECKING:
    from unexplained.report.markdown import markdown as markdown
    from unexplained.report.notebook import notebook_html as notebook_html
    from unexplained.report.page import render as render
    from unexplained.report.page import write_report as write_report
    from unexplained.report.terminal import print_record as print_record
    from unexplained.report.terminal import print_table as print_table
    from unexplained.report.terminal import text_table as text_table

__getattr__, __dir__, __all__ = _face(__name__)
