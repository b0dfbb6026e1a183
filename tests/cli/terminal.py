"""A terminal that is none: for what is shown to a person only."""

import io
import sys
from typing import Literal

import pytest


class Terminal(io.StringIO):
    """Keeps all that is written to it."""

    def isatty(self) -> bool:
        return True


def fake_terminal(monkeypatch: pytest.MonkeyPatch, stream: Literal["stdout", "stderr"], columns: int) -> Terminal:
    """Make a stream of the process a terminal of this width, without colours, whatever the real one is."""
    terminal = Terminal()
    monkeypatch.setattr(sys, stream, terminal)
    for name, value in {"COLUMNS": str(columns), "LINES": "25", "TERM": "xterm", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    return terminal
