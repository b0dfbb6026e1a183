"""A small site, read back: every link, id, picture and heading of every page."""

import itertools
import json
import re
from collections import Counter
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import pytest
from benchmarks import atlas as benchmark
from benchmarks.__main__ import RESULTS

from convatlas.api.atlas import _Builder, _jobs, _site, build_atlas
from convatlas.arithmetic.errata import ERRATA
from convatlas.catalog import card, list_cards, list_models
from convatlas.report.atlas.content import Content, load_content
from convatlas.report.atlas.figures import animation_names
from convatlas.report.atlas.site import SINGLE, accuracy, on_imagenet
from tests.report.atlas.built import FETCHING, NETWORKS, Page, pages, pictures, read, small_site, without_pictures

pytestmark = [pytest.mark.row("I-06", "I-09")]

MOST_BYTES = 300_000  # of a page before its pictures


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_site(tmp_path_factory)


@pytest.fixture(scope="session")
def content() -> Content:
    return load_content(list_models(), animation_names())


def test_there_is_a_page_for_each_thing_and_nothing_else(folder: Path, content: Content) -> None:
    wanted = {
        *SINGLE,
        *(f"networks/{name}.html" for name in NETWORKS),
        *(f"code/{name}.html" for name in ("lenet5", "googlenet", "resnet")),
        *(f"concepts/{each.slug}.html" for each in content.concepts),
        *(f"questions/{each.slug}.html" for each in content.questions),
        *("atlas.css", "atlas.js", "search.js", "atlas.json"),
    }
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert there == wanted


def test_every_link_and_anchor_leads_somewhere(folder: Path) -> None:
    site = pages(folder)
    ids = {address: set(page.ids()) for address, page in site.items()}
    broken = []
    for address, page in site.items():
        for each in page.all("a", "link"):
            link = urlsplit(each.attributes.get("href", ""))
            if link.scheme in ("https", "http", "data"):
                continue
            target = (folder / address).parent.joinpath(unquote(link.path)) if link.path else folder / address
            name = target.resolve().relative_to(folder.resolve()).as_posix()
            if not target.is_file() or (link.fragment and unquote(link.fragment) not in ids[name]):
                broken.append((address, each.attributes.get("href")))
    assert sum(len(page.all("a")) for page in site.values()) > 500
    assert broken == []


def test_the_search_leads_to_pages(folder: Path, content: Content) -> None:
    urls = re.findall(r'"url": "([^"]*)"', (folder / "search.js").read_text(encoding="utf-8"))
    words = len(content.concepts) + len(content.questions) + len(content.glossary) + len(content.readings)
    assert len(urls) == len(NETWORKS) + words
    for url in urls:
        name, _, anchor = url.partition("#")
        assert (folder / name).is_file(), url
        assert not anchor or anchor in read(folder / name).ids(), url


def test_pages_are_well_formed_and_said_to_be_english(folder: Path) -> None:
    for address, page in pages(folder).items():
        assert page.wrong == [], address
        assert page.text.startswith("<!DOCTYPE html>"), address
        (root,) = page.all("html")
        assert root.attributes["lang"] == "en", address
        assert len(page.all("main")) == len([each for each in page.all("title") if "head" in each.within]) == 1, address


def test_ids_are_unique_and_referred_to_rightly(folder: Path) -> None:
    for address, page in pages(folder).items():
        assert [name for name, times in Counter(page.ids()).items() if times > 1] == [], address
        for each in page.elements:
            for attribute in ("aria-labelledby", "aria-describedby", "for"):
                for name in each.attributes.get(attribute, "").split():
                    assert name in page.ids(), (address, each)


def test_one_heading_of_level_one_and_no_level_left_out(folder: Path) -> None:
    for address, page in pages(folder).items():
        levels = [int(each.tag[1]) for each in page.all("h1", "h2", "h3", "h4", "h5", "h6")]
        assert levels.count(1) == 1, address
        assert levels[0] == 1, address
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels)), (address, levels)


def test_every_picture_parses_and_is_told_in_words(folder: Path) -> None:
    drawn = 0
    for address, page in pages(folder).items():
        for svg in pictures(page.text):
            drawn += 1
            root = ElementTree.fromstring(svg)
            title, description = root.find("{*}title"), root.find("{*}desc")
            assert title is not None and title.text, address
            assert description is not None and description.text, address
            assert root.get("role") == "img", address
            assert root.get("aria-labelledby", "").split() == [title.get("id"), description.get("id")], address
    assert drawn >= len(NETWORKS)


def test_a_page_asks_for_nothing_from_outside(folder: Path) -> None:
    for address, page in pages(folder).items():
        for each in page.elements:
            for name, value in each.attributes.items():
                fetched = name in FETCHING or (name == "href" and each.tag != "a")
                assert not (fetched and re.match(r"\s*(https?:)?//", value)), (address, each)
            assert not any(name.startswith("on") for name in each.attributes), (address, each)
        assert not re.search(r"url\(\s*['\"]?(https?:|//)|@import", page.text), address
        (policy,) = [each for each in page.all("meta") if "http-equiv" in each.attributes]
        assert policy.attributes["content"].startswith("default-src 'none';")
        assert not re.search(r"https?:", policy.attributes["content"])
        assert not [each for each in page.all("script") if "src" not in each.attributes], address
    style = (folder / "atlas.css").read_text(encoding="utf-8")
    assert not re.search(r"url\(|@import", style)


def test_pages_are_small(folder: Path) -> None:
    sizes = {address: len(without_pictures(page.text).encode()) for address, page in pages(folder).items()}
    assert {address: size for address, size in sizes.items() if size > MOST_BYTES} == {}


def test_tables_are_told_and_scroll_within_the_page(folder: Path) -> None:
    for address, page in pages(folder).items():
        assert all(each.attributes.get("scope") for each in page.all("th")), address
        labels = []
        for number, each in enumerate(page.elements):
            if each.tag != "table":
                continue
            around = page.elements[number - 1]
            assert around.attributes.get("role") == "region", (address, each)
            assert around.attributes.get("tabindex") == "0", (address, each)
            labels.append(around.attributes["aria-label"])
        assert len(labels) == len(set(labels)), (address, labels)


def test_chinese_is_said_to_be_chinese(folder: Path) -> None:
    for address, page in pages(folder).items():
        bare = re.sub(r'<(\w+)[^>]* lang="zh-Hant"[^>]*>[^<]*</\1>', "", without_pictures(page.text))
        bare = re.sub(r"<(title|script|option)\b.*?</\1>|<[^>]*>", "", bare, flags=re.DOTALL)
        assert re.findall(r"[\u4e00-\u9fff]+", bare) == [], address


def test_a_network_s_page_says_what_its_card_says(folder: Path) -> None:
    known, page = card("resnet50"), _words(read(folder / "networks" / "resnet50.html"))
    for words in (known.title, known.authors, known.venue, known.idea, *known.features, *known.use):
        assert _flat(words) in page
    assert f"{known.params:,}" in page
    assert f"{known.macs:,}" in page
    assert all(each.source in page and each.protocol in page for each in known.published)
    assert "9·512·512 = 2,359,296" in page
    assert "class ResidualBlock(nn.Module)" in page
    assert "torchvision/resnet50/IMAGENET1K_V2" in page


def test_what_a_card_has_between_backticks_is_code(folder: Path) -> None:
    page = (folder / "networks" / "googlenet.html").read_text(encoding="utf-8")
    assert any("`aux=True`" in words for words in card("googlenet").features)
    assert "<code>aux=True</code>" in page
    assert "`" not in re.sub(r"<pre\b.*?</pre>", "", without_pictures(page), flags=re.DOTALL)


def test_a_parent_without_a_page_is_named_and_not_linked(folder: Path) -> None:
    page = read(folder / "networks" / "resnet50.html")
    assert "resnet50_paper" in card("resnet50").parents
    assert "resnet50_paper" in "".join(page.words)
    assert not [each for each in page.all("a") if "resnet50_paper" in each.attributes.get("href", "")]


def test_the_index_keeps_imagenet_s_figures_apart(folder: Path) -> None:
    rows = (folder / "index.html").read_text(encoding="utf-8").split("<tr data-name=")[1:]
    cells = {row.partition('"')[2].partition('"')[0]: re.split(r"<t[hd][ >]", row) for row in rows}
    assert set(cells) == set(NETWORKS)
    assert "%" not in cells["lenet5"][-1]
    assert "on MNIST test" in cells["lenet5"][1]
    assert "76.1 %" in cells["resnet50"][-1]


def test_the_figure_of_the_index_is_one_of_imagenet_s() -> None:
    for each in list_cards():
        figure = on_imagenet(each)
        assert figure is None or figure.on == "ImageNet val"
        assert (figure is None) == (
            not any(p.on == "ImageNet val" and "top-5" not in p.measure for p in each.published)
        )
        assert figure is None or 40 < accuracy(figure) < 95, each.name


def test_what_examples_print_stands_under_them(folder: Path) -> None:
    printed = "".join(path.read_text(encoding="utf-8") for path in sorted((folder / "concepts").iterdir()))
    assert printed.count('<pre class="output"') > 5
    words = re.sub(r"<pre\b.*?</pre>", "", without_pictures(printed), flags=re.DOTALL)
    assert not re.search(r"\{\{|\}\}|[\x02\x03]", words)


def test_errata_readings_and_words_are_all_there(folder: Path, content: Content) -> None:
    errata = read(folder / "errata.html")
    assert {each.name for each in ERRATA} <= set(errata.ids())
    assert {f"reading-{each.key}" for each in content.readings} <= set(read(folder / "reading.html").ids())
    assert {f"term-{each.slug}" for each in content.glossary} <= set(read(folder / "glossary.html").ids())


def test_a_page_is_the_same_whatever_was_built_before_it(folder: Path, tmp_path: Path) -> None:
    """In another process, in the reverse order, some pages of each kind."""
    site = _site(NETWORKS)
    for name in ("networks", "concepts", "questions", "code"):
        (tmp_path / name).mkdir()
    builder = _Builder(tmp_path, site)
    jobs = [job for number, job in enumerate(_jobs(site)) if job.kind in ("network", "single") or number % 6 == 0]
    for job in reversed(jobs):
        made = builder.make(job)
        assert (tmp_path / made.address).read_bytes() == (folder / made.address).read_bytes(), made.address


@pytest.mark.every_variant
def test_the_whole_site_is_the_same_from_one_process_and_from_two(tmp_path: Path) -> None:
    reports = {workers: build_atlas(tmp_path / f"{workers}", workers=workers) for workers in (1, 2)}
    assert reports[1].networks == len(list_models())
    assert reports[1].largest[1] <= MOST_BYTES
    files = [sorted(path.relative_to(tmp_path / each) for path in (tmp_path / each).rglob("*")) for each in ("1", "2")]
    assert files[0] == files[1]
    for name in files[0]:
        one, other = tmp_path / "1" / name, tmp_path / "2" / name
        assert one.is_dir() or one.read_bytes() == other.read_bytes(), name
    for check in (
        test_every_link_and_anchor_leads_somewhere,
        test_pages_are_well_formed_and_said_to_be_english,
        test_ids_are_unique_and_referred_to_rightly,
        test_every_picture_parses_and_is_told_in_words,
        test_a_page_asks_for_nothing_from_outside,
        test_pages_are_small,
        test_tables_are_told_and_scroll_within_the_page,
    ):
        check(tmp_path / "1")


def _words(page: Page) -> str:
    return _flat("".join(page.words))


def _flat(text: str) -> str:
    return " ".join(text.split())


def test_what_was_measured_of_the_whole_site() -> None:
    """The record that `python -m benchmarks atlas` renews: three minutes at most, and no page is a burden."""
    measured = json.loads((RESULTS / "atlas.json").read_text(encoding="utf-8"))
    assert measured["networks"] == len(list_models())
    assert len(measured["seconds"]) == benchmark.ROUNDS
    assert max(measured["seconds"]) <= 180
    assert measured["largest_page_bytes"] <= MOST_BYTES
