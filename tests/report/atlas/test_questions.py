"""The answers to the notes' questions, and the glossary: what examples print, how long answers are, the Chinese."""

import re

import pytest

from convatlas.report.atlas.content import Question, Term, load_glossary, load_questions
from convatlas.report.atlas.examples import run_page

pytestmark = pytest.mark.row("I-09")

QUESTIONS = load_questions()
EXAMPLE = re.compile(r"^```python\n(.*?)^```\n\n```output\n(.*?)^```", re.DOTALL | re.MULTILINE)

# What an answer has to show: figures of the papers, or of the notes where they are right.
SHOWN = {
    "backpropagation": ["by the formula 5.0000, by nudging 5.0000"],
    "bias-of-minus-500": ["265  265    0", "9·1·1 + 1 = 10"],
    "cross-correlation": ["cross-correlated [9 8 7]    convolved [1 2 3]", "equal after a flip: True"],
    "depthwise-parameters": ["3·3·32 = 288", "3·3·8 + 8·16 = 200 instead of 3·3·8·16 = 1,152"],
    "how-many-pictures": ["200 pictures a class: transfer", "2,000 pictures a class: fine-tune", "class: scratch"],
    "layers-of-mobilenet-v1": ["depthwise  13", "pointwise  13", "together   28"],
    "nhwc-or-nchw": ["NCHW  11 12 13 14 21 22 23 24", "NHWC  11 21 12 22 13 23 14 24"],
    "one-layer": ["(8, 28, 28)", "(8, 14, 14)"],
    "one-shot-learning": ["picture of Bob: Bob", "picture of Eve:       nobody known", "enrolled:   Eve"],
    "pad-with-zeros": ["4 6 6 6 4\n6 9 9 9 6"],
    "parameters-or-connections": ["C1             156      122,304", "sum         60,000      340,908"],
    "pooled-size": ["55 rounded down, 56 rounded up", "(14, 15) x 6"],
    "subsampling": ["12 parameters, 5,880 connections"],
    "what-are-anchors": ["anchor tall\ncar     column 1, row 1, anchor wide"],
    "what-is-iou": ["a third to the right     IoU 0.50", "GIoU -0.40"],
    "what-is-nms": ["threshold 0.5: boxes 4 0 5", "together:  [0]\nper class: [0, 1]"],
    "what-networks-learn": ["block 5: 196 pixels"],
    "which-triplets": ["loss 0.00  easy", "loss 0.05  semi-hard", "loss 0.35  hard"],
    "why-bottleneck": ["1,179,648", "69,632", "16.9 times fewer"],
    "why-inception-works": ["256 channels"],
    "why-inverted": ["1,114,112", "52,608", "10 of 17 blocks"],
    "why-padding": [
        "valid: 12   same: 32",
        "valid  1 2 3 3 3 3 2 1",
        "same   2 3 3 3 3 3 3 2",
        "full   3 3 3 3 3 3 3 3",
    ],
    "why-small-filters": ["two 3x3 see 5  one 5x5 sees 5", "three 3x3 see 7  one 7x7 sees 7", "3·3·3 = 27"],
    "why-stride": ["1 0 1 0 1 0 1 0"],
}


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.slug)
def test_an_answer_is_short_and_shows_an_example_that_fits_the_page(question: Question) -> None:
    page = run_page(question.body, question.file)
    outputs = [output for _, output in EXAMPLE.findall(page)]
    assert outputs, "no example prints anything"
    for line in "".join(outputs).splitlines():
        assert len(line) <= 76, line
    words = re.sub(r"^```.*?^```", "", page, flags=re.DOTALL | re.MULTILINE).split()
    assert 100 <= len(words) <= 350
    for shown in SHOWN.get(question.slug, ()):
        assert shown in re.sub(r"(?<=\w)\n(?=\w)", " ", page) or shown in page


def test_the_figures_above_are_of_questions_that_there_are() -> None:
    assert set(SHOWN) <= {question.slug for question in QUESTIONS}


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.slug)
def test_a_question_says_where_the_notes_ask_it(question: Question) -> None:
    assert re.match(r"the notes: .+", question.source)
    assert not re.search(r"\.md|shared", question.source)
    assert question.see, "leads to no concept"


def test_the_fewer_channels_a_relu_has_the_more_it_loses() -> None:
    """Sandler et al. 2018, Figure 1: much in 2 and 3 dimensions, hardly anything in 15 and more."""
    (question,) = (each for each in QUESTIONS if each.slug == "why-linear-bottleneck")
    lost = [float(share) for share in re.findall(r"channels: +([\d.]+)% lost", run_page(question.body, question.file))]
    assert lost == sorted(lost, reverse=True)
    assert lost[0] > 40
    assert lost[-1] < 1


def test_a_shortcut_keeps_the_gradient_that_a_plain_stack_loses() -> None:
    (question,) = (each for each in QUESTIONS if each.slug == "why-identity")
    plain, residual = map(float, re.findall(r"gradient ([\d.e+-]+)", run_page(question.body, question.file)))
    assert plain < 1e-9
    assert residual > 0.1


def test_the_answers_correct_the_notes() -> None:
    """Each slip that a question touches is told where a reader would copy it."""
    for slug, printed in {
        "why-bottleneck": "11796496",
        "why-inception-works": "244 → 122 → 61 → 30",
        "why-small-filters": "152 layers",
        "pooled-size": "without its depth",
        "parameters-or-connections": "(the notes write λ)",
    }.items():
        (question,) = (each for each in QUESTIONS if each.slug == slug)
        assert printed in re.sub(r"\s+", " ", question.body), slug


@pytest.mark.parametrize("term", load_glossary(), ids=lambda term: term.slug)
def test_a_term_has_traditional_chinese_and_one_sentence(term: Term) -> None:
    term.chinese.encode("big5")  # simplified letters are not in it
    assert term.meaning.endswith(".")
    assert not re.search(r"\. [A-Z]", term.meaning)
    assert len(term.meaning) <= 160


def test_there_are_some_two_hundred_terms_with_chinese() -> None:
    terms = load_glossary()
    assert len(terms) >= 200
    assert sum(bool(re.search(r"[\u4e00-\u9fff]", term.chinese)) for term in terms) >= 190


def test_titles_of_questions_are_asked_in_traditional_chinese_too() -> None:
    for question in QUESTIONS:
        for letter in re.findall(r"[\u3400-\u9fff]", question.chinese):
            letter.encode("big5")
        assert re.search(r"[\uff1f\uff09]$", question.chinese), question.slug  # a question mark, or a bracket after it
