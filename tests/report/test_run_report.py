"""The HTML report: self-contained, accessible, safe with any name, and there for every kind of run."""

import base64
import io
import itertools
import re
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convatlas.errors import SaveError
from convatlas.metrics.summary import summarise_classification, summarise_multilabel
from convatlas.report.page import percent
from convatlas.report.run_report import PictureCard, RunReport, Setting, render, write_report
from convatlas.report.thumbnails import thumbnail
from convatlas.types import EpochRow, Failure

pytestmark = pytest.mark.row("F-01")

ATTACK = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """The parts of a page that the tests ask about; fails on tags that do not nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == [], "a tag was left open"

    def handle_starttag(self, tag, attrs):
        assert len(attrs) == len(dict(attrs)), f"<{tag}> repeats an attribute"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.text.setdefault(self.open[-1], []).append(data)

    def all(self, *names: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag in names]


def card(name: str, size: int = 28) -> PictureCard:
    pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    return PictureCard(pixels=pixels, caption=f"{name} taken for x", alt=f"{name}, predicted x")


def classified(classes: int, *, temperature: float = 1.5, perfect: bool = False, prefix: str = "class "):
    random = np.random.default_rng(1)
    targets = random.integers(0, classes, 300)
    logits = random.normal(0, 0 if perfect else 1.5, (300, classes))
    logits[np.arange(300), targets] += 3
    return summarise_classification(
        logits,
        targets,
        classes=[f"{prefix}{i}" for i in range(classes)],
        names=[f"{i}.png" for i in range(300)],
        split="test",
        temperature=temperature,
    )


def labelled(prefix: str = "label "):
    random = np.random.default_rng(1)
    truths = random.random((60, 4)) < 0.4
    truths[:, 3] = False  # a label that never occurs has no average precision
    return summarise_multilabel(
        random.normal(0, 1, (60, 4)) + 2 * truths,
        truths,
        classes=[f"{prefix}{i}" for i in range(4)],
        names=["n"] * 60,
        split="val",
    )


def report(summary, **changes) -> RunReport:
    history = tuple(
        EpochRow(
            epoch=epoch,
            learning_rate=0.01,
            train_loss=1 / epoch,
            val_loss=1.1 / epoch,
            val_score=1 - 0.4 / epoch,
            val_loss_error=0.01,
            seconds=2.0,
            images_per_second=1800.0,
        )
        for epoch in range(1, 6)
    )
    values = {
        "title": "lenet5_modern on digits",
        "facts": (("Model", "lenet5_modern"), ("Parameters", "61,706")),
        "summary": summary,
        "history": history,
        "settings": (Setting(name="learning_rate", value="0.01", origin="command line"),),
        "wrong_pictures": (card("a"), card("b", 300)),
        "right_pictures": (card("c"),),
        "skipped": (Failure(source="broken.jpg", reason="truncated"),),
        "notes": ("Stopped early.",),
        "score_name": "top-1 accuracy",
        "run": "runs/digits",
        "versions": (("torch", "2.6.0"),),
    }
    return RunReport(**(values | changes))


RUNS = {
    "ten classes": lambda: report(classified(10)),
    "two classes": lambda: report(classified(2)),
    "hundred classes": lambda: report(classified(100)),
    "thousand classes": lambda: report(classified(1000)),
    "several labels": lambda: report(labelled(), score_name="mAP"),
    "nothing wrong": lambda: report(classified(3, perfect=True, temperature=1.0), wrong_pictures=()),
    "a bundle alone": lambda: report(
        classified(3),
        history=(),
        facts=(),
        settings=(),
        wrong_pictures=(),
        right_pictures=(),
        skipped=(),
        notes=(),
        versions=(),
    ),
    "attacked": lambda: report(
        classified(5, prefix=ATTACK),
        title=ATTACK,
        facts=((ATTACK, ATTACK),),
        settings=(Setting(name=ATTACK, value=ATTACK, origin=ATTACK),),
        wrong_pictures=(card(ATTACK),),
        skipped=(Failure(source=ATTACK, reason=ATTACK),),
        notes=(ATTACK,),
        score_name=ATTACK,
        run=ATTACK,
        versions=((ATTACK, ATTACK),),
    ),
    "attacked labels": lambda: report(labelled(ATTACK)),
}


@pytest.fixture(scope="module", params=RUNS)
def html(request) -> str:
    return render(RUNS[request.param]())


def test_it_makes_no_request(html):
    page = Page(html)
    assert not re.search(r"(https?:)?//[a-z]", re.sub(r"base64,[A-Za-z0-9+/=]*", "", html))
    for tag, attributes in page.tags:
        assert tag not in {"script", "iframe", "object", "embed", "base", "form", "audio", "video"}
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "xlink:href", "srcset", "poster"):
            assert re.match(r"data:|#", attributes.get(name, "#") or ""), f"<{tag} {name}> loads something"
    assert "url(" not in "".join(page.text["style"])
    assert "@import" not in html
    policy = page.all("meta")[1]
    assert policy["http-equiv"] == "Content-Security-Policy"
    assert "default-src 'none'" in policy["content"]


def test_it_can_be_read_by_everyone(html):
    page = Page(html)
    assert page.all("html")[0]["lang"] == "en"
    assert page.tags[[tag for tag, _ in page.tags].index("title") - 1][0] == "link", "the page's own title, in its head"
    assert page.text["title"][0].strip()
    assert page.all("meta")[2]["name"] == "viewport"
    assert all((image["alt"] or "").strip() for image in page.all("img"))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.tags:
        target = attributes.get("href") or ""
        assert not target.startswith("#") or target[1:] in ids, f"{target} leads nowhere"
        assert set((attributes.get("aria-labelledby") or "").split()) <= set(ids)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(cell.get("scope") in ("row", "col") for cell in page.all("th"))
    first_link = page.all("a")[0]
    assert first_link["class"] == "skip"
    assert len(page.all("main")) == 1


def test_names_are_shown_and_never_run():
    for run in ("attacked", "attacked labels"):
        html = render(RUNS[run]())
        assert "<script" not in html
        assert "<img src=x" not in html
        shown = Page(html).text
        assert any(ATTACK in text for text in shown["th"])


def test_a_run_shows_all_its_parts():
    page = Page(render(RUNS["ten classes"]()))
    headings = [text.strip() for text in page.text["h2"]]
    assert headings == [
        "Model and data",
        "How training went",
        "What it takes for what",
        "Look at the answers",
        "Each class",
        "May its probabilities be believed?",
        "Pictures that were skipped",
        "Use it",
        "Configuration",
    ]
    assert len(page.all("svg")) == 5
    assert "convatlas predict runs/digits picture.jpg" in page.text["code"]
    assert "learning_rate" in page.text["code"]
    assert "command line" in page.text["td"]
    assert "torch 2.6.0" in "".join(page.text["p"])


def test_a_bundle_alone_shows_only_what_is_known():
    page = Page(render(RUNS["a bundle alone"]()))
    assert [text.strip() for text in page.text["h2"]] == [
        "What it takes for what",
        "Each class",
        "May its probabilities be believed?",
        "Use it",
    ]
    assert "evaluation report" in "".join(page.text["p"])


def test_numbers_of_the_summary_are_on_the_page():
    summary = classified(10)
    page = Page(render(report(summary)))
    assert page.text["title"][0] == f"lenet5_modern on digits: {summary.top1:.1%} top-1 accuracy"
    words = " ".join("".join(page.text["p"]).split())
    low, high = summary.top1_interval
    assert f"95% interval {low:.1%} to {high:.1%}" in words
    assert f"{len(summary.wrong)} of them are wrong" in words
    assert f"{summary.ece:.2%}; it was {summary.ece_uncalibrated:.2%} before the temperature" in words
    weakest = min(summary.per_class, key=lambda one: one.f1)
    assert page.text["th"][page.text["th"].index("F1") + 1] == weakest.label, "the weakest class comes first"


def test_many_classes_are_a_table_not_a_map():
    page = Page(render(RUNS["hundred classes"]()))
    assert "confusion-title" not in [attributes.get("id") for _, attributes in page.tags]
    assert "100 classes are too many for a map" in "".join(page.text["p"])
    thousand = Page(render(RUNS["thousand classes"]()))
    assert any("the other 800 are in metrics.json" in text for text in thousand.text["caption"])


def test_the_same_report_gives_the_same_bytes():
    assert render(RUNS["ten classes"]()) == render(RUNS["ten classes"]())


def test_percentages_never_round_a_mistake_away():
    assert [percent(value) for value in (1.0, 0.9999, 0.99949, 0.98765, 0.0, None)] == [
        "100%",
        "99.990%",
        "99.9%",
        "98.8%",
        "0.0%",
        "\N{EN DASH}",
    ]


@pytest.mark.parametrize(
    ("shape", "kept", "tiny"),
    [((28, 28, 1), (28, 28), True), ((64, 10, 3), (10, 64), True), ((300, 600, 3), (160, 80), False)],
)
def test_thumbnails_keep_their_shape_and_a_tiny_picture_every_pixel(shape, kept, tiny):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    small = thumbnail(pixels)
    assert ((small.width, small.height), small.tiny) == (kept, tiny)
    head, data = small.source.split(",")
    assert head == ("data:image/png;base64" if tiny else "data:image/jpeg;base64")
    decoded = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    if tiny:
        assert (decoded.reshape(shape) == pixels).all()
    else:
        assert decoded.shape == (80, 160, 3)


def test_it_is_written_whole_or_not_at_all(tmp_path: Path):
    target = tmp_path / "run" / "report.html"
    write_report(target, RUNS["two classes"]())
    assert target.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert [path.name for path in target.parent.iterdir()] == ["report.html"]
    folder = tmp_path / "folder.html"
    folder.mkdir()
    with pytest.raises(SaveError, match=r"folder\.html"):
        write_report(folder, RUNS["two classes"]())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.html", "run"]


def themes() -> list[dict[str, str]]:
    css = files("convatlas.report").joinpath("templates", "palette.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{(.*?)\}", css, flags=re.DOTALL)
    return [dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", block)) for block in blocks]


def rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])


def contrast(one: np.ndarray, other: np.ndarray) -> float:
    """WCAG 2.2, "contrast ratio" and "relative luminance"."""

    def luminance(colour: np.ndarray) -> float:
        linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", themes(), ids=["light", "dark"])
def test_text_has_enough_contrast_in_both_themes(theme):
    page, panel, ink = rgb(theme["page"]), rgb(theme["panel"]), rgb(theme["ink"])
    for name in ("ink", "muted", "answer", "mistake"):
        assert contrast(rgb(theme[name]), page) >= 4.5, name
    assert contrast(ink, panel) >= 4.5
    assert contrast(rgb(theme["muted"]), panel) >= 4.5
    for name in ("answer", "mistake"):
        cell = 0.45 * rgb(theme[name]) + 0.55 * page  # the strongest that plots.py draws
        assert contrast(ink, cell) >= 4.5, f"a count on the strongest {name} cell"
