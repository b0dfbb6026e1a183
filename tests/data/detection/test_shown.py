"""What messages show of values from files: short, and made without looking at all of a huge one."""

import pytest

from convatlas.data.detection.checks import is_text, shown


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("dog", "'dog'"),
        ([10, 20, 30], "[10, 20, 30]"),
        ({"y": 1, "x": "2"}, "{'y': 1, 'x': '2'}"),
        (None, "None"),
        ("a" * 1000, "'" + "a" * 38 + "…"),
        (list(range(1000)), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 1…"),
        ("\ud800", r"'\ud800'"),
    ],
)
def test_values_are_shown_as_python_writes_them_and_cut(value: object, words: str) -> None:
    assert shown(value).startswith(words[:39])
    assert len(shown(value)) == min(len(words), 40)


def test_of_a_huge_value_only_the_beginning_is_looked_at() -> None:
    """Lists of one list in one another: written out they would have 10 ** 40 entries."""
    value: object = "dog"
    for _ in range(40):
        value = [value] * 10
    assert shown(value).startswith("[[[")
    value = {}
    for _ in range(40):
        value = dict.fromkeys("abcdefghij", value)
    assert shown(value).startswith("{'a': {'a': ")


def test_half_a_character_is_no_text() -> None:
    assert is_text("猫 😀") and is_text("")
    assert not is_text("a\udfff") and not is_text(b"a") and not is_text(7)
