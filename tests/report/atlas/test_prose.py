"""A page's examples run, its prose filled, its Markdown as HTML."""

import random

import numpy as np
import pytest
import torch

from convatlas.report.atlas.content import ContentError
from convatlas.report.atlas.examples import ExampleError, run_page
from convatlas.report.atlas.highlight import highlighted
from convatlas.report.atlas.prose import chinese, prose_html

pytestmark = pytest.mark.row("I-09")


def place(kind: str, key: str) -> str | None:
    return None if (kind, key) == ("network", "absent") else f"../{kind}/{key}"


def html(markdown: str) -> str:
    return str(prose_html(markdown, "concepts/a.md", place))


# --- Examples


def test_what_an_example_prints_stands_under_it_and_its_names_are_in_the_prose() -> None:
    page = run_page("Before {{ ratio }}.\n\n```python\nratio = 6 / 4\nprint(ratio)\n```\n\nAfter.\n", "concepts/a.md")
    assert page == "Before 1.5.\n\n```python\nratio = 6 / 4\nprint(ratio)\n```\n\n```output\n1.5\n```\n\nAfter.\n"


def test_examples_share_their_names_and_braces_of_code_stay() -> None:
    page = run_page("```python\nd = {'{{ a }}': 1}\n```\n\n```python\nprint(len(d))\n```\n", "concepts/a.md")
    assert "d = {'{{ a }}': 1}" in page
    assert page.count("```output") == 1
    assert "```output\n1\n```" in page


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("```python\nx = 1\n```\n\n```python\n\n1 / 0\n```\n", "example 2 (line 5 of the text): ZeroDivisionError"),
        ("```python\nx = = 1\n```\n", "example 1 (line 1 of the text): SyntaxError"),
        ("```python\nraise SystemExit\n```\n", "example 1 (line 1 of the text): SystemExit"),
        ("```python\nx = 1\n```\n\n{{ y }}\n", "its prose: UndefinedError: 'y' is undefined"),
        ("{{ 1 + }}\n", "its prose: TemplateSyntaxError"),
        ('{{ "%d" | format("a") }}\n', "its prose: TypeError"),
    ],
)
def test_an_example_that_fails_names_file_and_block(body: str, words: str) -> None:
    with pytest.raises(ExampleError) as raised:
        run_page(body, "questions/b.md")
    assert str(raised.value).startswith("questions/b.md")
    assert words in str(raised.value)


def test_every_page_draws_the_same_and_leaves_the_process_as_it_was() -> None:
    draw = (
        "```python\nimport random\nimport numpy as np\nimport torch\n"
        "print(random.random(), np.random.rand(), torch.rand(1))\n"
        "np.set_printoptions(precision=1)\ntorch.set_printoptions(precision=1)\n```\n"
    )
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    before = random.random(), np.random.rand(), torch.rand(1).item()
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    first = run_page(draw, "concepts/a.md")
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == before
    assert run_page(draw, "concepts/b.md") == first
    assert str(np.array([0.12345])) == "[0.12345]"


# --- Markdown


def test_links_lead_to_what_they_name() -> None:
    assert '<a href="../concept/iou">IoU</a>' in html("[IoU](concept:iou)")
    assert '<a href="https://arxiv.org/abs/1" rel="external">x</a>' in html("[x](https://arxiv.org/abs/1)")
    assert html("see [**ResNet**](network:absent) there") == "<p>see <strong>ResNet</strong> there</p>\n"


@pytest.mark.parametrize(
    ("markdown", "words"),
    [
        ("[a](iou.html)", "the link 'iou.html': expected one of concept:"),
        ("[a](cocnept:iou)", "the link 'cocnept:iou'"),
        ("![a](x.png)", "a picture from outside: x.png"),
        ("<script>alert(1)</script>", "the tag <script>"),
        ("a <img src=x> b", "the tag <img>"),
        ("# One", "the heading 'One': level 1 cannot follow level 1"),
        ("## One\n\n#### Two", "the heading 'Two': level 4 cannot follow level 2"),
        ("## One\n\n## One", "the heading 'One' is there twice"),
    ],
)
def test_what_a_page_may_not_hold_is_told(markdown: str, words: str) -> None:
    with pytest.raises(ContentError, match=r"^concepts/a\.md: ") as raised:
        html(markdown)
    assert words in str(raised.value)


def test_html_of_formulas_stays() -> None:
    assert "x<sub>1</sub>" in html("x<sub>1</sub>")
    assert "<mi>k</mi>" in html("<math><mi>k</mi></math>")


def test_a_table_scrolls_by_key_and_says_what_it_is() -> None:
    table = html("## Costs & sizes\n\n| a | b |\n| --- | ---: |\n| 1 | 2 |\n")
    assert '<div class="scroll" role="region" tabindex="0" aria-label="Table: Costs &amp; sizes">' in table
    assert '<th scope="col">a</th>' in table
    assert 'id="costs-sizes"' in table


def test_chinese_is_marked_wherever_it_stands() -> None:
    assert str(chinese("池化 <pool>")) == '<span lang="zh-Hant">池化</span> &lt;pool&gt;'
    assert '<span lang="zh-Hant">卷積、池化</span>' in html("the words 卷積、池化 and")
    assert '<span lang="zh-Hant">池化</span>' in html("```output\n池化\n```")


def test_code_is_escaped_and_coloured() -> None:
    code = 'def f(x: int) -> str:  # a < b\n    return f"{x}&"\n'
    marked = str(highlighted(code, "python"))
    assert '<span class="k">def</span>' in marked
    assert '<span class="f">f</span>' in marked
    assert '<span class="c"># a &lt; b</span>' in marked
    assert str(highlighted("ls  # all\n", "bash")) == 'ls  <span class="c"># all</span>\n'
    assert str(highlighted("a < b\n", "text")) == "a &lt; b\n"
    unmarked = marked.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    for mark in "kfcsmd":
        unmarked = unmarked.replace(f'<span class="{mark}">', "")
    assert unmarked.replace("</span>", "") == code
