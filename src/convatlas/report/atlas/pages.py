"""Each page of the site but those of networks: what goes into its template."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from convatlas.arithmetic.errata import ERRATA
from convatlas.catalog import Card
from convatlas.report.atlas.content import Concept, Question
from convatlas.report.atlas.examples import run_page
from convatlas.report.atlas.figures import animation
from convatlas.report.atlas.prose import prose_html
from convatlas.report.atlas.rendering import render, short
from convatlas.report.atlas.site import Site, accuracy, elsewhere, on_imagenet
from convatlas.report.charts.kinds import chart_data, inline_chart, rows

LIMITS: Final = {
    "params": (1e6, 5e6, 10e6, 30e6, 100e6),
    "macs": (0.1e9, 0.5e9, 1e9, 5e9, 10e9),
}


# --- Concepts and questions


def concept_page(site: Site, slug: str) -> str:
    """concepts/SLUG.html; its examples are run. Raises ContentError naming the file."""
    page = site.concepts[slug]
    before, after = _neighbours([each for each in site.content.concepts if each.group == page.group], page)
    return render(
        site,
        "concept",
        f"concepts/{slug}.html",
        page.title,
        page.summary,
        page=page,
        animations=[(name, Markup(animation(name, f"animation-{name}"))) for name in page.animation],
        text=_text(site, page),
        questions=site.questions_of(slug),
        terms=site.terms_of(slug),
        before=before,
        after=after,
    )


def question_page(site: Site, slug: str) -> str:
    """questions/SLUG.html; its examples are run. Raises ContentError naming the file."""
    page = site.questions[slug]
    before, after = _neighbours(site.content.questions, page)
    return render(
        site,
        "question",
        f"questions/{slug}.html",
        page.title,
        page.summary,
        page=page,
        text=_text(site, page),
        before=before,
        after=after,
    )


def _text(site: Site, page: Concept | Question) -> Markup:
    def place(kind: str, key: str) -> str | None:
        address = site.place(kind, key)
        return None if address is None else f"../{address}"

    return prose_html(run_page(page.body, page.file), page.file, place)


def _neighbours(pages: Sequence[Any], page: Concept | Question) -> tuple[Any, Any]:
    """The one before and the one after; None at an end."""
    at = pages.index(page)
    return (pages[at - 1] if at else None, pages[at + 1] if at + 1 < len(pages) else None)


# --- One of each


@dataclass(frozen=True, kw_only=True)
class NetworkRow:
    """A row of the index."""

    card: Card
    figure: object
    accuracy: float | None
    elsewhere: tuple[object, ...]


def index_page(site: Site) -> str:
    """index.html."""
    content, years = site.content, sorted({card.year for card in site.cards})
    doors = (
        ("concepts.html", "Concepts", f"{len(content.concepts)} ideas, from the convolution to calibration"),
        ("questions.html", "Questions", f"{len(content.questions)} asked while learning, each with code that runs"),
        ("history.html", "History", "Timeline and family tree"),
        ("charts.html", "Charts", "Accuracy and cost, detection, initialisation"),
        ("glossary.html", "Glossary", f"{len(content.glossary)} words, English and Chinese"),
        ("reading.html", "Reading list", f"{len(content.readings)} papers, books and courses"),
        ("errata.html", "Errata", f"{len(ERRATA)} slips and remarks on the study notes"),
    )
    figures = {card.name: on_imagenet(card) for card in site.cards}
    rows = [
        NetworkRow(
            card=card,
            figure=(figure := figures[card.name]),
            accuracy=None if figure is None else accuracy(figure),
            elsewhere=elsewhere(card),
        )
        for card in site.cards
    ]
    return render(
        site,
        "index",
        "index.html",
        "An atlas of convolutional networks",
        f"{len(site.cards)} convolutional networks with their layers, diagrams, figures and code",
        doors=doors,
        rows=rows,
        years=(years[0], years[-1]),
        span=years,
        families=sorted({card.family for card in site.cards}, key=str.lower),
        tasks=sorted({card.task for card in site.cards}),
        params_limits=[(f"{limit:.0f}", short(limit)) for limit in LIMITS["params"]],
        macs_limits=[(f"{limit:.0f}", short(limit)) for limit in LIMITS["macs"]],
    )


def concepts_page(site: Site) -> str:
    """concepts.html."""
    groups = _grouped(site.content.concepts, "group")
    return render(site, "concepts", "concepts.html", "Concepts", "The ideas that networks are made of", groups=groups)


def questions_page(site: Site) -> str:
    """questions.html."""
    return render(site, "questions", "questions.html", "Questions", "Questions of the notes, answered with code")


def glossary_page(site: Site) -> str:
    """glossary.html."""
    return render(site, "glossary", "glossary.html", "Glossary", "The field's words in English and Chinese")


def reading_page(site: Site) -> str:
    """reading.html."""
    groups = _grouped(site.content.readings, "group")
    return render(site, "reading", "reading.html", "Reading list", "Papers, books and courses", groups=groups)


def errata_page(site: Site) -> str:
    """errata.html."""
    notes = _grouped(ERRATA, "note")
    return render(site, "errata", "errata.html", "Errata of the notes", "Slips of the study notes", notes=notes)


def about_page(site: Site) -> str:
    """about.html."""
    return render(site, "about", "about.html", "About this atlas", "How these pages are built, and their licence")


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart on a page, with the table that says the same."""

    name: str
    title: str
    words: str
    picture: Markup
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def _chart(kind: str, title: str, words: str) -> Chart:
    data = chart_data(kind)
    columns, *numbers = rows(kind, data)
    picture = Markup(inline_chart(kind, kind, data))
    return Chart(name=kind, title=title, words=words, picture=picture, columns=columns, rows=tuple(numbers))


def history_page(site: Site) -> str:
    """history.html."""
    charts = (
        _chart("timeline", "Timeline", "The families by the year of their paper."),
        _chart("family-tree", "Family tree", "Which network was built on which."),
    )
    families = [
        (min(card.year for card in members), family, members[0].features[0], [card.name for card in members])
        for family, members in _grouped(site.cards, "family")
    ]
    return render(
        site,
        "history",
        "history.html",
        "History",
        "Timeline and family tree of convolutional networks",
        charts=charts,
        families=sorted(families, key=lambda row: row[0]),
    )


def charts_page(site: Site) -> str:
    """charts.html."""
    charts = (
        _chart(
            "efficiency",
            "Accuracy and cost",
            "Published accuracy against multiply-accumulates, parameters and measured time.",
        ),
        _chart("detection", "Detection", "Published average precision of detectors against year and speed."),
        _chart("initialisation", "Initialisation", "What a scheme does to activations through depth, measured here."),
    )
    words = "Networks beside each other: accuracy, cost, detection, initialisation"
    return render(site, "charts", "charts.html", "Charts", words, charts=charts)


def _grouped(each_of: Iterable[Any], name: str) -> list[tuple[str, list[Any]]]:
    """[(value of the attribute, those that have it)] in the order in which the values first come."""
    groups: dict[str, list[Any]] = {}
    for each in each_of:
        groups.setdefault(getattr(each, name), []).append(each)
    return list(groups.items())


_SINGLE: Final[Mapping[str, Callable[[Site], str]]] = {
    "index.html": index_page,
    "concepts.html": concepts_page,
    "questions.html": questions_page,
    "history.html": history_page,
    "charts.html": charts_page,
    "glossary.html": glossary_page,
    "reading.html": reading_page,
    "errata.html": errata_page,
    "about.html": about_page,
}


def single_page(site: Site, address: str) -> str:
    """One of `SINGLE`."""
    return _SINGLE[address](site)
