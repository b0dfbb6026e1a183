"""Diagrams as a browser draws them at a phone's width: no text out of its box, none below 11 px."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from convatlas import draw

pytest.importorskip("pygraphviz")
pytestmark = [pytest.mark.browser, pytest.mark.row("I-04")]

MEASURE = """() => {
  const scale = document.documentElement.getBoundingClientRect().width / document.documentElement.viewBox.baseVal.width;
  const outside = [];
  for (const box of document.querySelectorAll('g.box')) {
    const around = box.querySelector('.outline').getBoundingClientRect();
    for (const text of box.querySelectorAll('text')) {
      const own = text.getBoundingClientRect();
      const across = own.left < around.left || own.right > around.right;
      if (across || own.top < around.top - 1 || own.bottom > around.bottom + 1) outside.push(text.textContent);
    }
  }
  const sizes = [...document.querySelectorAll('text')].map(each => parseFloat(getComputedStyle(each).fontSize) * scale);
  const ink = getComputedStyle(document.querySelector('g.box text')).fill;
  return {ink, outside, least: Math.min(...sizes), texts: sizes.length, wide: document.documentElement.scrollWidth};
}"""


def test_text_fits_its_box_and_is_legible_at_390_px(browser: Browser, tmp_path: Path) -> None:
    inks = set()
    for name in ("lenet5", "googlenet", "inception_v2", "resnet50", "nasnet_large"):
        draw(name, out=tmp_path / f"{name}.svg")
        for scheme in ("light", "dark"):
            page = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme=scheme)
            page.goto((tmp_path / f"{name}.svg").as_uri())
            seen = page.evaluate(MEASURE)
            page.close()
            assert seen["outside"] == []
            assert seen["least"] > 10.99
            assert seen["texts"] > 15
            assert seen["wide"] <= 390
            inks.add((scheme, seen["ink"]))
    assert inks == {("light", "rgb(27, 31, 36)"), ("dark", "rgb(232, 234, 237)")}
