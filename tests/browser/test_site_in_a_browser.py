"""The site as a reader has it, opened from the disk: no error, nothing cut off, by keyboard alone, for every reader."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.row("I-06", "I-09")]

KINDS = (
    "index.html",
    "networks/googlenet.html",
    "concepts.html",
    "concepts/residual.html",
    "concepts/stride.html",
    "questions.html",
    "questions/why-padding.html",
    "history.html",
    "charts.html",
    "glossary.html",
    "reading.html",
    "errata.html",
    "about.html",
    "code/resnet.html",
)
Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, folder: Path) -> Iterator[Open]:
    """open_page(address, width=1280, scheme="light", script=True): what the page says on its console is a failure."""
    contexts, said = [], []

    def opened(address: str, *, width: int = 1280, scheme: Any = "light", script: bool = True) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            java_script_enabled=script,
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append((address, message.text)))
        page.on("pageerror", lambda error: said.append((address, str(error))))
        page.on("request", lambda request: request.url.startswith("file:") or said.append((address, request.url)))
        page.goto((folder / address).as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    # An address in `data:` is the empty icon, which no network is asked for.
    assert [(address, words) for address, words in said if not words.startswith("data:")] == []


@pytest.mark.parametrize("address", KINDS)
@pytest.mark.parametrize("width", [1280, 390, 320])
def test_a_page_fits_its_window(address: str, width: int, open_page: Open) -> None:
    page = open_page(address, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("h1").is_visible()
    small = page.evaluate(
        "[...document.querySelectorAll('header.site a')].map(e => e.getBoundingClientRect())"
        ".filter(r => r.height < 44 || r.width < 44).length"
    )
    assert small == 0
    style = page.evaluate("getComputedStyle(document.querySelector('header.site')).display")
    assert style == "flex", "the style sheet did not load"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("address", KINDS)
def test_axe_finds_nothing_serious(address: str, scheme: str, open_page: Open) -> None:
    page = open_page(address, width=1280, scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    # Preloading would fetch the style sheet, which a page from the disk may not.
    found = Axe().run(page, options={"preload": False}).response["violations"]
    serious = [
        (each["id"], [node["target"] for node in each["nodes"]][:5], each["nodes"][0]["failureSummary"])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_dark_is_dark(open_page: Open) -> None:
    def page_colour(scheme: str) -> str:
        colour: str = open_page("index.html", scheme=scheme).evaluate("getComputedStyle(document.body).backgroundColor")
        return colour

    assert page_colour("light") == "rgb(255, 255, 255)"
    assert page_colour("dark") == "rgb(20, 23, 27)"


def shows(page: Page, *names: str) -> None:
    """Waits until these networks are listed and no other."""
    page.wait_for_function(
        "names => [...document.querySelectorAll('#networks tbody tr')].filter(each => each.checkVisibility())"
        ".map(each => each.dataset.name).join() === names",
        arg=",".join(names),
    )


def says(page: Page, words: str) -> None:
    page.wait_for_function("words => document.getElementById('count').textContent.startsWith(words)", arg=words)


def test_search_by_keyboard_finds_networks_and_pages(open_page: Open) -> None:
    page = open_page("index.html")
    says(page, "3 networks")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "q":
            break
    page.keyboard.type("Inception")
    says(page, "1 network")
    shows(page, "googlenet")
    assert page.locator("#found a").count() >= 1
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("deeper PLAIN")
    shows(page, "resnet50")
    says(page, "1 network")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("no such thing")
    says(page, "0 networks")
    shows(page)
    assert page.locator("#found").is_hidden()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.press("Delete")
    says(page, "3 networks")


def test_search_finds_an_alias_and_a_chinese_word(open_page: Open) -> None:
    page = open_page("index.html")
    page.fill("#q", "resnet50_v1.5")
    says(page, "1 network")
    shows(page, "resnet50")
    page.fill("#q", "池化")
    page.wait_for_function("() => document.querySelectorAll('#found a').length > 0")
    page.locator("#found a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_load_state()
    assert page.locator("h1").count() == 1


def test_each_filter_by_keyboard(open_page: Open) -> None:
    page = open_page("index.html")
    for name, keys, left in (
        ("family", "LeN", ["lenet5"]),
        ("since", "2014", ["googlenet", "resnet50"]),
        ("until", "2014", ["lenet5", "googlenet"]),
        ("params", "at most 10", ["lenet5", "googlenet"]),
        ("macs", "at most 1 G", ["lenet5"]),
        ("task", "cla", ["lenet5", "googlenet", "resnet50"]),
    ):
        page.focus(f"#{name}")
        page.keyboard.type(keys)
        says(page, f"{len(left)} network")
        shows(page, *left)
        page.focus("button[type=reset]")
        page.keyboard.press("Enter")
        says(page, "3 networks")
    assert page.locator("#count").get_attribute("aria-live") == "polite"


def test_the_glossary_filters(open_page: Open) -> None:
    page = open_page("glossary.html")
    everything = page.locator("#glossary tbody tr:visible").count()
    page.focus("#word")
    page.keyboard.type("stride")
    page.wait_for_function(f"() => document.querySelectorAll('#glossary tbody tr:not([hidden])').length < {everything}")
    left = page.locator("#glossary tbody tr:visible")
    assert 0 < left.count() < everything
    assert all("stride" in text.lower() for text in left.all_text_contents())
    says(page, f"{left.count()} word")


def test_without_script_everything_is_listed(open_page: Open) -> None:
    page = open_page("index.html", script=False)
    assert page.locator("#networks tbody tr").count() == 3
    assert page.locator("#networks tbody tr").first.is_visible()
    assert page.locator("#search").is_hidden()
    assert open_page("glossary.html", script=False).locator("#glossary tbody tr").last.is_visible()


def test_a_table_wider_than_a_phone_scrolls_by_key(open_page: Open) -> None:
    page = open_page("networks/googlenet.html", width=390)
    region = page.locator("[role=region]").first
    assert region.evaluate("each => each.scrollWidth > each.clientWidth")
    region.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.querySelector('[role=region]').scrollLeft > 0")


def test_focus_is_seen(open_page: Open) -> None:
    page = open_page("concepts.html")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
