"""JSON of an untrusted file, taken field by field: a missing or wrong one is named, with its file."""

from pathlib import Path
from typing import cast

from convatlas.errors import BundleError


class FieldError(BundleError):
    """A field that is missing or of the wrong type; its message names file and field."""


class Fields:
    """A JSON object of an untrusted file: a field is taken by name and type, and a wrong one is named."""

    def __init__(self, value: object, path: Path, prefix: str = "") -> None:
        if not isinstance(value, dict):
            raise FieldError(f"{path}: expected a JSON object, got {_kind(value)}")
        self.value: dict[str, object] = value
        self.path = path
        self.prefix = prefix

    def take(self, name: str) -> object:
        """The field as it is."""
        if name not in self.value:
            raise FieldError(f'{self.path}: field "{self.prefix}{name}" is missing')
        return self.value[name]

    def wrong(self, name: str, expected: str) -> FieldError:
        """The error for a field that is there but not what was expected."""
        got = _kind(self.value[name])
        return FieldError(f'{self.path}: field "{self.prefix}{name}" should be {expected}, got {got}')

    def text(self, name: str) -> str:
        """A text."""
        value = self.take(name)
        if not isinstance(value, str):
            raise self.wrong(name, "text")
        return value

    def number(self, name: str) -> float:
        """A number, as float; true and false are none."""
        value = self.take(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(name, "a number")
        return float(value)

    def integer(self, name: str) -> int:
        """A whole number."""
        value = self.take(name)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.wrong(name, "a whole number")
        return value

    def mapping(self, name: str) -> dict[str, object]:
        """An object."""
        value = self.take(name)
        if not isinstance(value, dict):
            raise self.wrong(name, "an object")
        return value

    def inner(self, name: str) -> "Fields":
        """An object whose own fields are to be taken."""
        return Fields(self.mapping(name), self.path, f"{self.prefix}{name}.")

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts, as a tuple."""
        value = self.take(name)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(name, "a list of texts")
        return tuple(value)

    def numbers(self, name: str) -> tuple[float, ...]:
        """A list of numbers, as a tuple of floats."""
        value = self.take(name)
        if not isinstance(value, list) or not all(type(item) in (int, float) for item in value):
            raise self.wrong(name, "a list of numbers")
        return tuple(map(float, value))

    def text_mapping(self, name: str) -> dict[str, str]:
        """An object all of whose values are texts."""
        value = self.mapping(name)
        if not all(isinstance(item, str) for item in value.values()):
            raise self.wrong(name, "an object of texts")
        return cast("dict[str, str]", value)


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
