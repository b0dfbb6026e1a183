"""Text as pages and pictures may show it."""

import unicodedata


def plain(text: str) -> str:
    """The text without control characters, which XML cannot hold and no reader can see."""
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in ("Cc", "Cs") else c for c in text)


def shorten(text: str, longest: int) -> str:
    """The text for a label: at most `longest` characters, its end replaced by an ellipsis."""
    text = plain(text)
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"
