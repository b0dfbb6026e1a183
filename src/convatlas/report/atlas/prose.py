"""Markdown of the site's own pages as HTML: links by what they lead to, code in colours, tables that scroll."""

import re
from collections.abc import Callable
from html import escape
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from convatlas.report.atlas.content import ContentError, slugged
from convatlas.report.atlas.highlight import highlighted

KINDS: Final = ("concept", "question", "network", "reading", "term")
_MATH: Final = "math mrow mi mo mn msup msub msubsup mfrac msqrt munder mover munderover mtext mspace mtable mtr mtd"
ALLOWED: Final = {"sub", "sup", "kbd", "br", *_MATH.split()}
_TAG: Final = re.compile(r"</?([a-zA-Z][\w-]*)")
_CHINESE: Final = re.compile(
    r"[\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+(?:[\u3000-\u303f\uff00-\uffef]*"
    r"[\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+)*"
)

Place = Callable[[str, str], str | None]
"""(kind, key) -> an address for an `href`, or None for a network without a page on this site."""


def prose_html(markdown: str, file: str, place: Place) -> Markup:
    """The HTML of a page's text. Raises ContentError naming the file for what a page may not hold."""
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    tokens = parser.parse(markdown)
    _check_headings(tokens, file)
    heading, blocks = "the page", []
    for index, token in enumerate(tokens):
        if token.type == "heading_open":
            heading = _plain(tokens[index + 1])
            token.attrSet("id", slugged(heading))
        blocks += _block(token, heading, file, place)
    return Markup(parser.renderer.render(blocks, parser.options, {}))


def chinese(text: str) -> Markup:
    """The text, escaped, with its Chinese marked as such for a screen reader and for the choice of letters."""
    return Markup(_marked(escape(text, quote=False)))


def _marked(html: str) -> str:
    return _CHINESE.sub(lambda match: f'<span lang="zh-Hant">{match[0]}</span>', html)


def _plain(inline: Token) -> str:
    """The words of a heading."""
    return "".join(child.content for child in inline.children or () if child.type in ("text", "code_inline"))


def _check_headings(tokens: list[Token], file: str) -> None:
    """Raise ContentError unless headings begin at ## and go one level deeper at a time."""
    level, seen = 1, set()
    for index, token in enumerate(tokens):
        if token.type != "heading_open":
            continue
        words, here = _plain(tokens[index + 1]), int(token.tag[1])
        if not 2 <= here <= level + 1:
            raise ContentError(f"{file}: the heading {words!r}: level {here} cannot follow level {level}")
        if slugged(words) in seen:
            raise ContentError(f"{file}: the heading {words!r} is there twice")
        level = here
        seen.add(slugged(words))


def _block(token: Token, heading: str, file: str, place: Place) -> list[Token]:
    """The token as it goes to the renderer, with what stands around it."""
    if token.type == "fence":
        return [_raw(_fence(token))]
    if token.type == "code_block":
        return [_raw(_pre(Markup(escape(token.content, quote=False)), "text"))]
    if token.type == "html_block":
        _check_html(token.content, file)
    if token.type == "table_open":
        label = escape(f"Table: {heading}")
        return [_raw(f'<div class="scroll" role="region" tabindex="0" aria-label="{label}">\n'), token]
    if token.type == "table_close":
        return [token, _raw("</div>\n")]
    if token.type == "th_open":
        token.attrSet("scope", "col")
    if token.children is not None:
        token.children = _inline(token.children, file, place)
    return [token]


def _raw(html: str) -> Token:
    return Token("html_block", "", 0, content=html)


def _fence(token: Token) -> str:
    language = token.info.strip().partition(" ")[0]
    if language == "output":
        words = Markup(_marked(escape(token.content, quote=False)))
        return f'<pre class="output" tabindex="0"><samp>{words}</samp></pre>\n'
    return _pre(Markup(_marked(highlighted(token.content, language))), language or "text")


def _pre(code: Markup, language: str) -> str:
    return f'<pre class="code {language}" tabindex="0"><code>{code}</code></pre>\n'


def _inline(children: list[Token], file: str, place: Place) -> list[Token]:
    """Links resolved, Chinese marked; a link that leads nowhere on this site becomes its words."""
    made, closes = [], []
    for child in children:
        if child.type == "image":
            raise ContentError(f"{file}: a picture from outside: {child.attrGet('src')}")
        if child.type == "html_inline":
            _check_html(child.content, file)
        if child.type == "link_open":
            kept = _resolved(child, file, place)
            closes.append(kept)
            if not kept:
                continue
        if child.type == "link_close" and not closes.pop():
            continue
        if child.type == "text":
            made.append(Token("html_inline", "", 0, content=_marked(escape(child.content, quote=False))))
            continue
        made.append(child)
    return made


def _resolved(link: Token, file: str, place: Place) -> bool:
    """Put the address into the link; False where there is none."""
    target = str(link.attrGet("href"))
    kind, colon, key = target.partition(":")
    if kind in ("http", "https"):
        link.attrSet("rel", "external")
        return True
    if target.startswith("#"):
        return True
    if kind not in KINDS or not colon:
        raise ContentError(f"{file}: the link {target!r}: expected one of {': '.join(KINDS)}:, or https://")
    address = place(kind, key)
    if address is None:
        return False
    link.attrSet("href", address)
    return True


def _check_html(html: str, file: str) -> None:
    for tag in _TAG.findall(html):
        if tag.lower() not in ALLOWED:
            raise ContentError(f"{file}: the tag <{tag}>: a page may hold <sub>, <sup>, <kbd>, <br> and MathML alone")
