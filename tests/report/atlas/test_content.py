"""The pages on concepts and questions themselves: each builds, and says of itself what it must."""

import re
import time

import pytest

from convatlas.catalog import list_models
from convatlas.report.atlas.content import LONGEST_SUMMARY, ORDER, Concept, Question, Reading, load_content
from convatlas.report.atlas.examples import run_page
from convatlas.report.atlas.figures import animation_names
from convatlas.report.atlas.prose import prose_html
from convatlas.report.atlas.site import PLACES

pytestmark = pytest.mark.row("I-09")

CONTENT = load_content(list_models(), animation_names())
PAGES: dict[str, Concept | Question] = {each.file: each for each in (*CONTENT.concepts, *CONTENT.questions)}
SAMPLE = 9  # one page in so many is built in the quick tests, which build the others in a site as a whole
WIDEST = 76  # columns of what an example prints: a phone shows half of them at once
SECONDS = 5  # ten times what a page's examples may take, for a busy machine

built = [
    pytest.param(file, marks=[] if number % SAMPLE == 0 else pytest.mark.every_variant)
    for number, file in enumerate(sorted(PAGES))
]


@pytest.mark.parametrize("file", built)
def test_a_page_builds_quickly_and_prints_little(file: str) -> None:
    page = PAGES[file]
    began = time.process_time()
    markdown = run_page(page.body, page.file)
    assert time.process_time() - began < SECONDS
    html = prose_html(markdown, page.file, lambda kind, key: PLACES[kind].format(key))
    for output in re.findall(r"^```output\n(.*?)^```$", markdown, re.DOTALL | re.MULTILINE):
        assert max(map(len, output.splitlines())) <= WIDEST
        assert len(output.splitlines()) <= 40
    assert len(re.sub(r"<pre.*?</pre>|<[^>]*>", " ", html, flags=re.DOTALL).split()) >= 120
    assert run_page(page.body, page.file) == markdown  # the same each time, also after itself


@pytest.mark.parametrize("file", sorted(PAGES))
def test_a_page_says_what_it_is(file: str) -> None:
    page = PAGES[file]
    kind = file.partition("/")[0]
    assert re.fullmatch(r"[a-z0-9-]+", page.slug)
    assert 3 <= len(page.title) <= 100
    assert 20 <= len(page.summary) <= LONGEST_SUMMARY[kind]
    assert page.summary[-1] in ".?!"
    assert re.search(r"[\u4e00-\u9fff]", page.chinese)
    assert page.see, "leads to no concept"
    assert page.slug not in page.see or isinstance(page, Question)
    for keys in (page.see, page.reading, *((page.networks, page.animation) if isinstance(page, Concept) else ())):
        assert len(set(keys)) == len(keys), keys
    assert "```python" in page.body, "has no example"
    if isinstance(page, Question):
        assert "?" in page.title


def test_every_idea_has_its_page() -> None:
    assert len(ORDER) == len(set(ORDER)) == 60
    assert set(ORDER) ^ {each.slug for each in CONTENT.concepts} == set()
    assert len(CONTENT.questions) >= 40


def test_every_animation_is_shown_somewhere() -> None:
    shown = {name for each in CONTENT.concepts for name in each.animation}
    assert set(animation_names()) - shown == set()


@pytest.mark.parametrize("reading", CONTENT.readings, ids=lambda each: each.key)
def test_a_reading_has_an_address_and_a_reason(reading: Reading) -> None:
    named = re.fullmatch(r"[a-z]+(\d{4})[a-z]*", reading.key)
    assert reading.venue == "course" if named is None else int(named[1]) == reading.year
    assert re.match(r"https?://\w", reading.url)
    assert len(reading.about) >= 20


@pytest.mark.parametrize("file", built)
def test_a_number_that_an_example_computes_is_not_typed(file: str) -> None:
    """Whole numbers from 10,000 on: smaller ones are sizes and years that a text may well name."""
    page = PAGES[file]
    names: dict[str, object] = {"__name__": "example"}
    for code in re.findall(r"^```python\n(.*?)^```$", page.body, re.DOTALL | re.MULTILINE):
        exec(compile(code, file, "exec"), names)
    known = {value for value in names.values() if isinstance(value, int) and value >= 10_000}
    prose = re.sub(r"^```.*?^```$|\{\{.*?\}\}|\]\([^)]*\)", "", page.body, flags=re.DOTALL | re.MULTILINE)
    typed = {
        int(word.replace(",", "")) for word in re.findall(r"(?<![\w.])\d{1,3}(?:,\d{3})+(?![\w.]*\d)|\d{5,}", prose)
    }
    assert known & typed == set()
