"""Verbs called as a person types them."""

from pathlib import Path

import pytest

from convatlas.cli import main


def predict(*arguments: str | Path) -> int:
    """`convatlas predict …` -> its exit code."""
    with pytest.raises(SystemExit) as ended:
        main(["predict", *map(str, arguments)])
    code = ended.value.code
    return code if isinstance(code, int) else 0
