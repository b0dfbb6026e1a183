"""From a template to a page: what every page has around its main part."""

import re
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import convatlas
from convatlas.report.atlas.content import slugged
from convatlas.report.atlas.prose import chinese
from convatlas.report.atlas.site import Site
from convatlas.report.words import plain

NAVIGATION: Final = (
    ("index.html", "Networks"),
    ("concepts.html", "Concepts"),
    ("questions.html", "Questions"),
    ("history.html", "History"),
    ("charts.html", "Charts"),
    ("glossary.html", "Glossary"),
    ("reading.html", "Reading"),
)
_SECTIONS: Final = {  # folder -> which entry of the navigation its pages belong to
    "networks": "index.html",
    "code": "index.html",
    "concepts": "concepts.html",
    "questions": "questions.html",
}
_CODE: Final = re.compile(r"`([^`]+)`")


def short(count: float) -> str:
    """25,557,032 -> "25.6 M"."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= unit:
            return f"{count / unit:.3g} {name}" if count < 1000 * unit else f"{count / unit:,.0f} {name}"
    return f"{count:g}"


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("convatlas.report.atlas"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"plain": plain, "words": _words, "short": short, "slug": slugged}
    return environment


def _words(text: str) -> Markup:
    """Its Chinese marked as such, and as code what stands between backticks."""
    if isinstance(text, Markup):
        return text
    return Markup(_CODE.sub(r"<code>\1</code>", str(chinese(plain(text)))))


_ENVIRONMENT: Final = _environment()


def render(site: Site, template: str, path: str, title: str, description: str, **values: object) -> str:
    """The page at `path`, from the site's root. values: what its template takes beside what all pages have."""
    return _ENVIRONMENT.get_template(f"{template}.html.j2").render(
        site=site,
        path=path,
        title=title,
        description=description,
        root="../" * path.count("/"),
        section=_SECTIONS.get(path.partition("/")[0], path),
        navigation=NAVIGATION,
        version=convatlas.__version__,
        **values,
    )
