"""Tables and words, letter by letter: in a pipe, and on a terminal of a known width."""

import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from convatlas.cli.output import note, print_json, print_line, print_table
from tests.cli.terminal import Terminal, fake_terminal

COLUMNS = ("name", "what it is", "MACs")
ROWS = [("lenet5", "the paper's network", "325,680"), ("猫net", "wide [bold]brackets[/] :cat:", "1")]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Terminal]:
    """terminal(columns=60) makes stdout one; inside the test, for pytest replaces it between a fixture and its test."""
    return lambda columns=60: fake_terminal(monkeypatch, "stdout", columns)


def lines(text: str) -> list[str]:
    """Without the codes for bold and without the blanks that fill a terminal's line."""
    return [line.replace("\x1b[1m", "").replace("\x1b[0m", "").rstrip() for line in text.splitlines()]


GOLDEN_PIPE = """\
name    what it is                       MACs
lenet5  the paper's network           325,680
猫net   wide [bold]brackets[/] :cat:        1
"""


def test_a_table_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, ROWS, right=("MACs",))
    assert capsys.readouterr().out == GOLDEN_PIPE


def test_a_pipe_does_not_cut_or_fold(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    print_table(("a", "b"), [("x" * 200, "y")])
    assert capsys.readouterr().out == "a" + " " * 201 + "b\n" + "x" * 200 + "  y\n"


def test_a_table_on_a_terminal_is_the_same_text(terminal: Callable[..., Terminal]) -> None:
    stdout = terminal()
    print_table(COLUMNS, ROWS, right=("MACs",))
    assert lines(stdout.getvalue()) == lines(GOLDEN_PIPE)


def test_a_terminal_folds_what_is_too_long(terminal: Callable[..., Terminal]) -> None:
    stdout = terminal(columns=20)
    print_table(("class", "pictures"), [("abcdefghijklmnop", "7")], right=("pictures",))
    assert lines(stdout.getvalue()) == ["class       pictures", "abcdefghij         7", "klmnop"]


@pytest.mark.parametrize("cell", ["[red]", "\\", "a\\[b]", "[/]", ":smile:", "{x}"])
def test_nothing_in_a_cell_is_markup(terminal: Callable[..., Terminal], cell: str) -> None:
    stdout = terminal()
    print_table((cell, "b"), [(cell, "x")])
    assert lines(stdout.getvalue()) == [f"{cell}  b", f"{cell}  x"]


def test_control_characters_are_written_as_escapes(
    terminal: Callable[..., Terminal], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stdout = terminal()
    print_table(("class",), [("a\nb\x1b[31m\t",)])
    assert lines(stdout.getvalue()) == ["class", r"a\nb\x1b[31m\t"]
    monkeypatch.undo()
    print_table(("class",), [("a\nb\x1b[31m\t",)])
    assert capsys.readouterr().out == "class\n" + r"a\nb\x1b[31m\t" + "\n"


def test_lines_and_notes_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    print_line("a\nb\x1b[2J\x9b1A")
    note("c\r\x07")
    assert capsys.readouterr() == ("a\n" + r"b\x1b[2J\x9b1A" + "\n", r"c\r\x07" + "\n")


def test_combining_accents_take_no_column(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("class", "n"), [("cafe\N{COMBINING ACUTE ACCENT}", "1"), ("plain", "2")])
    assert capsys.readouterr().out == "class  n\ncafe\N{COMBINING ACUTE ACCENT}   1\nplain  2\n"


def test_a_table_without_rows_has_its_head(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("run", "state"), [])
    assert capsys.readouterr().out == "run  state\n"


def test_rows_of_another_length_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="zip"):
        print_table(("a", "b"), [("only one",)])


def test_json_is_one_document_with_characters_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"class": "猫", "score": 0.5, "none": None})
    out = capsys.readouterr().out
    assert "猫" in out
    assert json.loads(out) == {"class": "猫", "score": 0.5, "none": None}
    with pytest.raises(ValueError, match="not JSON compliant"):
        print_json({"score": float("nan")})


def test_notes_do_not_stand_among_the_answers(capsys: pytest.CaptureFixture[str]) -> None:
    print_line("answer [1]")
    note("beside [2]")
    assert capsys.readouterr() == ("answer [1]\n", "beside [2]\n")


def test_a_pipe_needs_no_rich() -> None:
    code = (
        "import sys; from convatlas.cli.output import print_table as p; p(['a'], [['b']]); print('rich' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[:2] == ["a", "b"], done.stderr
