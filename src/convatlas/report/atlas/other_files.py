"""The files beside the pages: style, script, and what the search looks in."""

import importlib.resources
import json
from collections.abc import Mapping

from convatlas.report.atlas.site import Site


def other_files(site: Site) -> Mapping[str, str]:
    """Name -> text."""
    from convatlas.report.charts.kinds import CHART_STYLE  # noqa: PLC0415 - brings matplotlib: half a second

    folder = importlib.resources.files(__package__) / "static"
    palette = importlib.resources.files("convatlas.report") / "templates" / "palette.css"
    colours, style, script = (
        file.read_text(encoding="utf-8") for file in (palette, folder / "atlas.css", folder / "atlas.js")
    )
    return {"atlas.css": colours + style + CHART_STYLE, "atlas.js": script, "search.js": search_script(site)}


def search_script(site: Site) -> str:
    """JavaScript that sets `ATLAS`: kind, title, address, a line about it, and the words that are searched."""
    entries = [
        *(
            _entry(
                site, "network", card.name, card.name, card.summary, *card.aliases, card.title, card.idea, card.family
            )
            for card in site.cards
        ),
        *(
            _entry(site, "concept", each.slug, each.title, each.summary, each.chinese, each.group)
            for each in site.content.concepts
        ),
        *(
            _entry(site, "question", each.slug, each.title, each.summary, each.chinese)
            for each in site.content.questions
        ),
        *(
            _entry(site, "term", each.slug, each.english, each.meaning, each.chinese, each.pinyin)
            for each in site.content.glossary
        ),
        *(
            _entry(site, "reading", each.key, each.title, f"{each.authors}, {each.year}", each.about)
            for each in site.content.readings
        ),
    ]
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    return f"const ATLAS = [\n{lines}\n];\n"


def _entry(site: Site, kind: str, key: str, title: str, note: str, *words: str) -> dict[str, str]:
    searched = " ".join([key, title, note, *words]).lower()
    return {
        "kind": kind,
        "key": key,
        "title": title,
        "url": site.place(kind, key) or "",
        "note": note.replace("`", ""),  # cards set code in backticks; here it is plain text
        "words": searched.replace("`", ""),
    }
