"""What `import convatlas` offers."""

import subprocess
import sys

import pytest

import convatlas


@pytest.mark.parametrize("name", convatlas.__all__)
def test_every_public_name_is_there_and_documented(name):
    value = getattr(convatlas, name)
    assert name == "__version__" or (value.__doc__ or "").strip()


def test_dir_lists_them_and_an_unknown_one_is_an_attribute_error():
    assert set(convatlas.__all__) <= set(dir(convatlas))
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        convatlas.trian  # noqa: B018


def test_importing_the_package_imports_nothing_else():
    code = "import sys; before = set(sys.modules); import convatlas; print(*sorted(set(sys.modules) - before))"
    run = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "torch", "typer", "rich", "PIL"} & set(run.stdout.split())
