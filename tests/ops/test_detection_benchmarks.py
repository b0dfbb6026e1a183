"""What the benchmarks say of given numbers: that quick is not called slow, and what is missed is told."""

import pytest
from benchmarks import nms, selective_search


@pytest.mark.row("C-02")
def test_suppression_tells_who_is_the_quicker():
    quick, slow = [0.001] * 3, [0.004] * 3
    plain = {"ours": quick, "ours_checked": slow, "torchvision": [0.002] * 3}
    case = {"boxes": "dense", "count": 100, "kept": 5, "plain": plain}
    told, below = nms.lines({"classes": 80, "cases": [case | {"per_class": {"ours": quick, "torchvision": slow}}]})
    assert "1 ms, torchvision 2 ms: 2.00 times as quick" in told
    assert "looked at 4 ms, torchvision 2 ms: 0.50 times as quick" in told
    assert "per class (80) 1 ms, torchvision 4 ms: 4.00 times as quick" in told
    assert below == "NMS slower than torchvision's: 100 dense looked at (0.50)"


@pytest.mark.row("C-06")
def test_selective_search_tells_where_opencv_finds_more():
    even = {str(count): 0.5 for count in selective_search.COUNTS}
    both = {"ours": {"recall": even, "mabo": even | {"500": 0.49}}, "opencv": {"recall": even, "mabo": even}}
    measured = {"fast": {"pictures": {"voc": both}}}
    assert selective_search.told_below(measured) == "ours below OpenCV's: fast voc 500 mabo (0.490 against 0.500)"
    both["opencv"]["mabo"] = both["ours"]["mabo"]
    assert selective_search.told_below(measured) == "ours below OpenCV's: nowhere"
