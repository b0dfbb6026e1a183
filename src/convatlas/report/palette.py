"""The colours of everything that is drawn, a role each, light and dark: those of `templates/palette.css`, for files."""

from collections.abc import Mapping
from typing import Final

LIGHT: Final[Mapping[str, str]] = {
    "page": "#ffffff",
    "ink": "#1b1f24",
    "muted": "#57606a",
    "line": "#dfe3e8",
    "cell": "#f5f6f8",
    "answer": "#1a5fb4",
    "mistake": "#b3470f",
}
DARK: Final[Mapping[str, str]] = {
    "page": "#14171b",
    "ink": "#e8eaed",
    "muted": "#a3abb5",
    "line": "#343a42",
    "cell": "#1d2127",
    "answer": "#82b4f5",
    "mistake": "#f0a26a",
}
