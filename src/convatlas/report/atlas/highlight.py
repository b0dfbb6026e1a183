"""Program text in six classes of marks, which the style sheet colours for light and dark."""

import itertools
import re
from html import escape
from typing import Final

from markupsafe import Markup
from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Keyword, Name, Number, Operator, String, _TokenType

# The first that holds counts.
_CLASSES: Final = (
    (Comment, "c"),
    (String.Doc, "c"),
    (String, "s"),
    (Number, "m"),
    (Operator.Word, "k"),
    (Keyword, "k"),
    (Name.Class, "f"),
    (Name.Function, "f"),
    (Name.Decorator, "d"),
)


def highlighted(code: str, language: str) -> Markup:
    """The text with `<span>`s, escaped; for a language that Pygments does not know the text alone."""
    if language not in ("python", "bash", "toml", "json"):
        return Markup(escape(code, quote=False))
    lexer = get_lexer_by_name(language, stripnl=False)
    marked = ((_class(kind), text) for kind, text in lexer.get_tokens(code.rstrip("\n")))
    parts = []
    for name, group in itertools.groupby(marked, key=lambda each: each[0]):
        text = escape("".join(text for _, text in group), quote=False)
        parts.append(f'<span class="{name}">{text}</span>' if name else text)
    # A comment of the shell takes the line's end with it, and is none without.
    return Markup(re.sub(r"\n*(</span>)?\n*\Z", r"\1", "".join(parts), count=1) + "\n")


def _class(kind: _TokenType) -> str:
    return next((name for wider, name in _CLASSES if kind in wider), "")
