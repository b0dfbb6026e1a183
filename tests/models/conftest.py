"""The order of the tests that every network passes: those of one network in a row, so that it is built once."""

import pytest

IN_A_ROW = ("test_contract.py", "test_tracing.py", "test_compiled.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the tests of these files by network, each in the place where the file's first test stands."""
    first: dict[str, int] = {}
    for place, item in enumerate(items):
        first.setdefault(item.path.name, place)

    def order(numbered: tuple[int, pytest.Item]) -> tuple[int, str]:
        place, item = numbered
        if item.path.name not in IN_A_ROW or not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
            return place, ""
        given = item.callspec.params
        return first[item.path.name], f"{given.get('name', '')} {given.get('changes', '')}"

    items[:] = [item for _, item in sorted(enumerate(items), key=order)]
