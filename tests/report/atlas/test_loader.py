"""The words of the site as they are read: what a page, a term and a reading must be, and what must lead somewhere."""

from collections.abc import Callable
from pathlib import Path

import pytest

from convatlas.report.atlas.content import (
    ContentError,
    load_concepts,
    load_content,
    load_glossary,
    load_readings,
    slugged,
)

pytestmark = pytest.mark.row("I-09")

CONCEPT = {
    "title": '"Stride"',
    "chinese": '"步幅"',
    "summary": '"How far a filter moves."',
    "group": '"Convolution"',
}
READING = """
[[reading]]
key = "he2016"
title = "Deep Residual Learning"
authors = "He et al."
year = 2016
venue = "CVPR"
url = "https://arxiv.org/abs/1512.03385"
about = "Why depth hurts, and what helps."
group = "Networks"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "concepts").mkdir()
    (tmp_path / "questions").mkdir()
    return tmp_path


@pytest.fixture
def write(root: Path) -> Callable[..., Path]:
    """write(body, field="TOML", …): a concept, stride.md, with fields put over usual ones; None leaves one out."""

    def write(body: str = "Words.\n", **fields: str | None) -> Path:
        front = "".join(f"{name} = {value}\n" for name, value in {**CONCEPT, **fields}.items() if value is not None)
        (root / "concepts" / "stride.md").write_text(f"+++\n{front}+++\n{body}", encoding="utf-8")
        return root

    return write


def test_a_page_is_read(write: Callable[..., Path]) -> None:
    (page,) = load_concepts(write("## Why\n+++\nafter", see='["padding"]', animation='["stride-2"]'))
    assert (page.slug, page.file, page.title, page.chinese) == ("stride", "concepts/stride.md", "Stride", "步幅")
    assert page.see == ("padding",)
    assert page.animation == ("stride-2",)
    assert page.networks == page.reading == ()
    assert page.body == "## Why\n+++\nafter"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"netwroks": '["resnet50"]'}, "unknown field 'netwroks'. Did you mean \"networks\"?"),
        ({"summary": None}, "the field 'summary' is missing"),
        ({"see": '"padding"'}, "see: expected a list of texts, got 'padding'"),
        ({"see": "[1]"}, "see: expected a list of texts"),
        ({"title": "3"}, "title: expected a text, got 3"),
        ({"title": '""'}, "title: expected a text, got ''"),
        ({"summary": f'"{"x" * 161}"'}, "summary: expected at most 160 characters, got 161"),
        ({"group": '"Convolutions"'}, "group: expected one of Convolution, Architecture"),
        ({"title": "unquoted"}, "Invalid value"),
        ({"slug": '"other"'}, "unknown field 'slug'"),
    ],
)
def test_a_page_that_is_not_as_it_should_be_names_its_file(
    fields: dict[str, str | None], words: str, write: Callable[..., Path]
) -> None:
    with pytest.raises(ContentError, match=r"^concepts/stride\.md: ") as raised:
        load_concepts(write(**fields))
    assert words in str(raised.value)


@pytest.mark.parametrize("text", ["no front matter", "words\n+++\ntitle = 'a'\n+++\n", "+++\ntitle = 'a'\n"])
def test_a_page_without_its_front_says_so(text: str, root: Path) -> None:
    (root / "concepts" / "stride.md").write_text(text, encoding="utf-8")
    with pytest.raises(ContentError, match=r"concepts/stride\.md: expected TOML between two lines of \+\+\+"):
        load_concepts(root)


@pytest.mark.parametrize(
    ("body", "fields", "words"),
    [
        ("[a](concept:strid)", {}, "concepts/stride.md: there is no concept 'strid'. Did you mean \"stride\"?"),
        ("[a](network:resnet51)", {}, "there is no network 'resnet51'. Did you mean \"resnet50\"?"),
        ("[a](question:why)", {}, "there is no question 'why'."),
        ("[a](reading:he2017)", {}, "there is no reading 'he2017'. Did you mean \"he2016\"?"),
        ("[a](term:striding)", {}, "there is no term 'striding'."),
        ("Words.", {"see": '["padding"]'}, "concepts/stride.md: see: there is no concept 'padding'."),
        ("Words.", {"networks": '["resnet51"]'}, "networks: there is no network 'resnet51'."),
        ("Words.", {"reading": '["he2017"]'}, "reading: there is no reading 'he2017'."),
        (
            "Words.",
            {"animation": '["stride-3"]'},
            "animation: there is no animation 'stride-3'. Did you mean \"stride-2\"?",
        ),
    ],
)
def test_what_leads_nowhere_is_told_with_its_file(
    body: str, fields: dict[str, str], words: str, write: Callable[..., Path]
) -> None:
    (write() / "readings.toml").write_text(READING, encoding="utf-8")
    load_content(["resnet50"], ["stride-2"], write("[a](concept:stride) [b](network:resnet50) [c](reading:he2016)"))
    with pytest.raises(ContentError) as raised:
        load_content(["resnet50"], ["stride-2"], write(body, **fields))
    assert words in str(raised.value)
    assert str(raised.value).count("\n") == 0


def test_all_that_is_wrong_is_told_at_once(write: Callable[..., Path]) -> None:
    with pytest.raises(ContentError) as raised:
        load_content([], [], write("[a](term:x) [b](reading:y)"))
    assert len(str(raised.value).splitlines()) == 2


def test_lists_are_checked_too(root: Path) -> None:
    (root / "readings.toml").write_text(READING * 2, encoding="utf-8")
    with pytest.raises(ContentError, match=r"readings\.toml: 'he2016' is there 2 times"):
        load_readings(root)
    (root / "readings.toml").write_text(READING.replace("2016\n", '"2016"\n'), encoding="utf-8")
    with pytest.raises(ContentError, match=r"readings\.toml, he2016: year: expected a whole number, got '2016'"):
        load_readings(root)
    (root / "glossary.toml").write_text('[[word]]\nenglish = "a"\n', encoding="utf-8")
    with pytest.raises(ContentError, match=r"glossary\.toml: expected tables \[\[term\]\] alone, got word"):
        load_glossary(root)
    (root / "glossary.toml").write_text(
        '[[term]]\nenglish = "Receptive field"\nchinese = "感受野"\nmeaning = "What it sees."\npage = "concept:no"\n',
        encoding="utf-8",
    )
    assert load_glossary(root)[0].slug == "receptive-field"
    (root / "readings.toml").unlink()
    with pytest.raises(ContentError, match=r"glossary\.toml, Receptive field: page: there is no concept 'no'"):
        load_content([], [], root)


def test_an_anchor_is_made_of_words() -> None:
    assert slugged("What it costs: options A, B and C") == "what-it-costs-options-a-b-and-c"
    assert slugged("3-D to 2-D?") == "3-d-to-2-d"
