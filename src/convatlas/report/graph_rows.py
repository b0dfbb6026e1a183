"""The rows of a run's report that an export or a quantisation changes later."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from markupsafe import Markup, escape

from convatlas.files import write_text
from convatlas.report.words import plain

BEGIN, END = "<!-- graphs -->", "<!-- end of graphs -->"
_BETWEEN: Final = re.compile(f"{BEGIN}.*?{END}", re.DOTALL)


def graph_rows(facts: Sequence[tuple[str, str]]) -> Markup:
    """Rows of a description list, (name, value) each, between comments by which they are found again."""
    rows = [f"<div><dt>{escape(plain(name))}</dt><dd>{escape(plain(value))}</dd></div>" for name, value in facts]
    return Markup("\n".join([BEGIN, *rows, END]))


def replace_graph_rows(report: Path, facts: Sequence[tuple[str, str]]) -> None:
    """Put these rows in the place of the earlier ones; a report without that place stays as it is."""
    page = report.read_text(encoding="utf-8")
    changed = _BETWEEN.sub(lambda _: str(graph_rows(facts)), page, count=1)
    if changed != page:
        write_text(report, changed)
