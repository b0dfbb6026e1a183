"""Animations as a reader has them: they move, pause when they are pointed at or tabbed to, and rest where asked to."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from convatlas.report.animations.presets import PRESETS
from tests.report.animations.frames import Seen, parse, still, style

pytestmark = [pytest.mark.browser, pytest.mark.row("I-07")]

TEMPLATES = Path(__file__).parents[2] / "src/convatlas/report/templates"
SHARED_CSS = "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in ("palette.css", "run.css")).replace(
    '{% include "palette.css" %}', ""
)
Open = Callable[..., Page]
QUICK = ("dilation", "nms")
NAMES = [name if name in QUICK else pytest.param(name, marks=pytest.mark.every_variant) for name in PRESETS]


@pytest.fixture
def open_text(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """open_text(text, suffix): a page of this text; what it says on its console is a failure."""
    contexts, said = [], []

    def opened(
        text: str, suffix: str = ".svg", *, width: int = 390, motion: Any = "no-preference", **more: Any
    ) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 700}, reduced_motion=motion, **more)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: request.url.startswith("file:") or said.append(request.url))
        file = tmp_path / f"page{len(contexts)}{suffix}"
        file.write_text(text, encoding="utf-8")
        page.goto(file.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert said == []


def in_a_page(*names: str) -> str:
    figures = "".join(f"<figure>{PRESETS[name].inline(f'film-{name}')}</figure>" for name in names)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Animations</title><style>{SHARED_CSS}</style><main><h1>Animations</h1>{figures}</main></html>"
    )


def go_to(page: Page, seconds: float) -> None:
    """Stop all animations at this moment."""
    page.evaluate(
        "at => document.getAnimations().forEach(each => { each.pause(); each.currentTime = 1000 * at })", seconds
    )


def visible_texts(page: Page) -> list[tuple[str, float]]:
    return [
        tuple(each)
        for each in page.evaluate(
            "() => [...document.querySelectorAll('text:not(.hint)')]"
            ".filter(each => getComputedStyle(each).visibility === 'visible')"
            ".map(each => [each.textContent, +each.getAttribute('x')])"
        )
    ]


def texts(seen: list[Seen]) -> list[tuple[str, float]]:
    return sorted((each.text, each.x) for each in seen if each.text is not None)


@pytest.mark.parametrize("name", NAMES)
def test_the_browser_shows_each_step_in_its_time(name: str, open_text: Open) -> None:
    """The browser's own reading of the keyframes, at the start, in the middle and at the end of steps."""
    animation = PRESETS[name]
    steps = animation.drawing().steps
    page = open_text(animation.svg())
    for step in (0, steps // 2, steps - 1):
        for part in (0.02, 0.5, 0.98):
            go_to(page, (step + part) * animation.seconds)
            assert sorted(visible_texts(page)) == texts(still(animation.svg(step=step))), (step, part)


def test_it_moves_by_itself(open_text: Open) -> None:
    page = open_text(PRESETS["stride"].svg())
    first = page.screenshot()
    page.wait_for_timeout(1200)
    assert page.screenshot() != first


@pytest.mark.parametrize("name", NAMES)
def test_nothing_moves_where_motion_is_not_wanted(name: str, open_text: Open) -> None:
    animation = PRESETS[name]
    page = open_text(animation.svg(), motion="reduce")
    assert page.evaluate("() => document.getAnimations().length") == 0
    assert sorted(visible_texts(page)) == texts(still(animation.svg(step=animation.drawing().still)))
    assert page.locator(".hint").evaluate("each => getComputedStyle(each).visibility") == "hidden"


def test_two_pictures_without_motion_are_the_same(open_text: Open) -> None:
    page = open_text(PRESETS["stride"].svg(), motion="reduce")
    first = page.screenshot()
    page.wait_for_timeout(1200)
    assert page.screenshot() == first


def test_paper_has_the_still_frame(open_text: Open) -> None:
    page = open_text(PRESETS["nms"].svg())
    page.emulate_media(media="print")
    assert sorted(visible_texts(page)) == texts(still(PRESETS["nms"].svg(step=PRESETS["nms"].drawing().still)))


def states(page: Page, name: str) -> set[str]:
    return set(
        page.evaluate(
            "name => document.getElementById(name).getAnimations({subtree: true}).map(each => each.playState)", name
        )
    )


def test_it_pauses_while_it_is_pointed_at_and_has_the_focus(open_text: Open) -> None:
    page = open_text(in_a_page("stride", "nms"), ".html", width=700)
    assert states(page, "film-stride") == states(page, "film-nms") == {"running"}
    page.locator("#film-stride").hover()
    assert (states(page, "film-stride"), states(page, "film-nms")) == ({"paused"}, {"running"})
    page.mouse.move(695, 5)
    assert states(page, "film-stride") == {"running"}
    page.keyboard.press("Tab")
    assert (states(page, "film-stride"), states(page, "film-nms")) == ({"paused"}, {"running"})
    page.keyboard.press("Tab")
    assert (states(page, "film-stride"), states(page, "film-nms")) == ({"running"}, {"paused"})


def test_a_tap_pauses_it(open_text: Open) -> None:
    page = open_text(in_a_page("pooling"), ".html", has_touch=True)
    assert states(page, "film-pooling") == {"running"}
    page.locator("#film-pooling").tap()
    assert states(page, "film-pooling") == {"paused"}


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", NAMES)
def test_text_can_be_read_and_stays_in_the_picture(name: str, width: int, open_text: Open) -> None:
    """In a page, in the font that this browser has: at least 11 pixels, and within the picture."""
    page = open_text(in_a_page(name), ".html", width=width)
    box = page.locator(f"#film-{name}").bounding_box()
    assert box is not None
    assert box["width"] <= min(width, 540)
    assert box["x"] >= 0
    found = page.evaluate(
        "() => [...document.querySelectorAll('text')].map(each => { const b = each.getBoundingClientRect(); return "
        "[each.textContent, b.left, b.right, b.top, b.bottom, "
        "parseFloat(getComputedStyle(each).fontSize) * each.getScreenCTM().a] })"
    )
    for text, left, right, top, bottom, size in found:
        assert size >= 11, text
        assert box["x"] <= left <= right <= box["x"] + box["width"], text
        assert box["y"] <= top <= bottom <= box["y"] + box["height"] + 1, text
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(scheme: str, open_text: Open) -> None:
    page = open_text(in_a_page(*PRESETS), ".html", width=700, color_scheme=scheme)
    serious = [
        (each["id"], [node["html"][:120] for node in each["nodes"]])
        for each in Axe().run(page).response["violations"]
        if each["impact"] in ("serious", "critical")
    ]
    assert serious == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_file_has_the_colours_of_the_reader(scheme: str, open_text: Open) -> None:
    svg = PRESETS["nms"].svg()
    page = open_text(svg, color_scheme=scheme)
    ink, background = page.evaluate(
        "() => [getComputedStyle(document.querySelector('text')).fill, "
        "getComputedStyle(document.documentElement).backgroundColor]"
    )
    light = (ink, background) == ("rgb(27, 31, 36)", "rgb(255, 255, 255)")
    dark = (ink, background) == ("rgb(232, 234, 237)", "rgb(20, 23, 27)")
    assert (light, dark) == (scheme == "light", scheme == "dark")
    assert "prefers-color-scheme" in style(parse(svg))
