"""Gradient histograms and a linear classifier: scikit-image of each window cut out, the paper's sizes, digits found."""

import sys
import tracemalloc

import numpy as np
import pytest
from PIL import Image
from skimage.feature import hog
from sklearn.svm import LinearSVC

from convatlas.errors import MissingExtra, UsageError
from convatlas.ops import hog_windows
from convatlas.ops.hog_windows import PEDESTRIAN, HogConfig, HogSvm, descriptor, descriptors, train_hog_svm
from convatlas.ops.nms_numpy import nms
from convatlas.ops.windows import pyramid, slide

pytestmark = pytest.mark.row("C-05")

SMALL = HogConfig(window=(32, 24), cell=4)


def some_picture(height, width, channels=3, seed=0):
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (height // 4 + 1, width // 4 + 1, channels), dtype=np.uint8)
    return coarse.repeat(4, axis=0).repeat(4, axis=1)[:height, :width].copy()


def of_skimage(cut, config):
    return hog(
        cut,
        orientations=config.orientations,
        pixels_per_cell=(config.cell,) * 2,
        cells_per_block=(config.block,) * 2,
        block_norm="L2-Hys",
        channel_axis=2,
    )


def test_the_paper_s_descriptor_has_its_length():
    """Section 6: 64 x 128 windows, 8 x 8 cells, 2 x 2 blocks, 9 orientations: 7 x 15 blocks x 36 = 3,780."""
    found = descriptors(some_picture(128, 64), PEDESTRIAN)
    assert found.shape == (1, 1, 3780)
    assert PEDESTRIAN.blocks == (15, 7)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("config", [SMALL, HogConfig(window=(24, 40), cell=8, block=3, orientations=6)])
def test_every_window_s_descriptor_is_scikit_image_s_of_the_window_cut_out(channels, config):
    """Cut out with a cell around it, so that gradients at its border are not those of a picture that ends."""
    picture = some_picture(70, 90, channels)
    found = descriptors(picture, config)
    (height, width), cell = config.window, config.cell
    rows, columns = (70 - height) // cell + 1, (90 - width) // cell + 1
    assert found.shape[:2] == (rows, columns)
    for row in range(1, rows - 1, 3):
        for column in range(1, columns - 1, 2):
            top, left = (row - 1) * cell, (column - 1) * cell
            cut = picture[top : top + height + 2 * cell, left : left + width + 2 * cell]
            blocks = of_skimage(cut, config).reshape(
                height // cell + 3 - config.block, width // cell + 3 - config.block, -1
            )
            assert found[row, column] == pytest.approx(blocks[1:-1, 1:-1].ravel(), abs=1e-12)
    assert descriptors(picture[:height, :width], config)[0, 0] == pytest.approx(
        of_skimage(picture[:height, :width], config)
    )


def test_scores_of_all_places_are_those_of_windows_cut_out():
    """Row C-05 for the linear classifier: naive windows, each with its cell around, against one product a level."""
    random = np.random.default_rng(1)
    config = HogConfig(window=(24, 16), cell=4)
    length = int(np.prod(config.blocks)) * 36
    svm = HogSvm(config=config, weights=random.normal(0, 1, length), bias=0.5)

    def naive(cut):
        scores = []
        for each in cut:
            blocks = of_skimage(each, config).reshape(24 // 4 + 1, 16 // 4 + 1, -1)
            scores.append([blocks[1:-1, 1:-1].ravel() @ svm.weights + svm.bias])
        return np.array(scores)

    picture = some_picture(60, 50)
    cut = slide(picture, naive, window=(24 + 8, 16 + 8), stride=(4, 4), factor=100)
    maps = svm.score_map(picture)[1:-1, 1:-1, 0]
    inner = cut.scores.reshape(maps.shape[0], -1)[:, : maps.shape[1]]
    assert maps.astype(np.float32) == pytest.approx(inner, rel=1e-5, abs=1e-5)


def test_what_a_box_encloses_is_described_as_the_window_there():
    picture = some_picture(80, 90)
    found = descriptors(picture, SMALL)
    assert descriptor(picture, np.array([12.0, 8, 36, 40]), SMALL) == pytest.approx(found[2, 3])
    picture = np.asarray(Image.fromarray(picture[::4, ::4]).resize((92, 80)))
    found = descriptors(picture, SMALL)
    twice = np.asarray(Image.fromarray(picture).resize((184, 160)))
    same = descriptor(twice, np.array([24.0, 16, 72, 80]), SMALL)
    near, far = np.linalg.norm(same - found[2, 3]), np.linalg.norm(same - found[4, 6])
    assert near < 0.5 * far
    assert descriptor(picture, np.array([0.0, 0, 92, 80]), SMALL).shape == found[0, 0].shape


def scene(seed, count, size=96):
    """Crosses, the objects, and squares, which are not."""
    random = np.random.default_rng(seed)
    picture = random.integers(90, 140, (size, size, 1), dtype=np.uint8)
    boxes = []
    places = random.permutation([(y, x) for y in range(6, size - 30, 30) for x in range(6, size - 30, 30)])
    for number, place in enumerate(places[: count + 2]):
        y, x = place + random.integers(4, size=2)
        part = picture[y : y + 24, x : x + 24]
        if number < count:
            part[9:15, 2:22] = part[2:22, 9:15] = 230
            boxes.append([x, y, x + 24, y + 24])
        else:
            part[2:22, 2:22] = 230
    return picture, np.array(boxes, np.float64).reshape(-1, 4)


def test_it_learns_to_find_objects():
    config = HogConfig(window=(24, 24), cell=4)
    without = [scene(100 + seed, 0)[0] for seed in range(4)]
    svm = train_hog_svm([scene(seed, 4) for seed in range(8)], without, config, c=1.0)
    found_again = 0
    for seed in range(50, 56):
        picture, boxes = scene(seed, 4)
        found = svm.detect(picture, factor=2)
        best = found.boxes[nms(found.boxes, found.scores[:, 0], 0.3)[:4]]
        away = np.abs(best[:, None] - boxes[None]).max(axis=2)
        found_again += int((away.min(axis=0) <= 4).sum())
    assert found_again >= 22  # of 24


def test_false_alarms_are_learnt_from():
    """Section 4: after a round with them there are fewer."""
    config = HogConfig(window=(24, 24), cell=4)
    objects, without = [scene(seed, 4) for seed in range(4)], [scene(100 + seed, 0)[0] for seed in range(2)]
    alarms = []
    for rounds in (0, 2):
        svm = train_hog_svm(objects, without, config, windows=1, rounds=rounds)
        levels = [level.picture for picture in without for level in pyramid(picture, smallest=(24, 24), factor=2**0.25)]
        alarms.append(sum(int((svm.score_map(level) > 0).sum()) for level in levels))
    assert alarms[1] < alarms[0]


def test_scoring_makes_no_descriptors_of_all_places():
    """1,505 places of 3,780 values would be 45 MB."""
    random = np.random.default_rng(0)
    svm = HogSvm(config=PEDESTRIAN, weights=random.normal(0, 1, 3780), bias=0.25)
    picture = some_picture(400, 400)
    expected = descriptors(picture, PEDESTRIAN) @ svm.weights + 0.25
    tracemalloc.start()
    found = svm.score_map(picture)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found[:, :, 0] == pytest.approx(expected)
    assert peak < 25e6


def test_a_level_is_described_once_and_only_what_was_drawn_is_kept(monkeypatch):
    config = HogConfig(window=(24, 24), cell=4)
    described, kept = [], []
    rows, fit = hog_windows._rows, hog_windows._fit
    monkeypatch.setattr(hog_windows, "_rows", lambda *given: described.append(given) or rows(*given))
    monkeypatch.setattr(
        hog_windows,
        "_fit",
        lambda found, against, *rest, **named: kept.extend(against) or fit(found, against, *rest, **named),
    )
    train_hog_svm([scene(0, 4)], [scene(9, 0)[0]], config, windows=40, rounds=0)
    assert len(described) <= len(list(pyramid(scene(9, 0)[0], smallest=(24, 24), factor=2**0.25)))
    assert len(kept) == 40
    held = {id(each.base): each.base.nbytes for each in kept if each.base is not None}
    assert sum(held.values()) <= sum(each.nbytes for each in kept), "not a view of all of a level's windows"


def test_it_is_scikit_learn_s_machine():
    config = HogConfig(window=(24, 24), cell=4)
    pictures = [scene(seed, 4) for seed in range(4)]
    without = [scene(9, 0)[0][:24, :24]]  # one window
    svm = train_hog_svm(pictures, without, config, windows=1, rounds=0, c=0.1)
    rows = [descriptor(picture, box, config) for picture, boxes in pictures for box in boxes]
    rows.append(descriptors(without[0], config)[0, 0])
    theirs = LinearSVC(C=0.1, random_state=0, max_iter=20_000).fit(np.stack(rows), [1] * 16 + [0])
    scores = [row @ svm.weights + svm.bias for row in rows]
    assert scores == pytest.approx(theirs.decision_function(np.stack(rows)))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"window": (30, 24), "cell": 4}, r"HogConfig.window must be two multiples of cell=4"),
        ({"window": (32, 24, 16), "cell": 4}, r"HogConfig.window must be two multiples"),
        ({"window": 64}, r"HogConfig.window must be two whole numbers, height and width, not 64"),
        ({"window": (64.0, 64.0)}, "HogConfig.window"),
        ({"cell": 8.0}, "HogConfig.cell must be a whole number"),
        ({"window": (4, 24), "cell": 4}, "at least a block"),
        ({"cell": 0}, "HogConfig.cell"),
        ({"orientations": 0}, "HogConfig.orientations"),
    ],
)
def test_a_wrong_config_is_named(wrong, said):
    with pytest.raises(UsageError, match=said):
        HogConfig(**wrong)


def test_wrong_arguments_are_named():
    picture = some_picture(40, 40)
    with pytest.raises(UsageError, match=r"at least \(128, 64\), the window, got \(40, 40\)"):
        descriptors(picture, PEDESTRIAN)
    for box in ([5, 0, 4, 9], [0, 0, 41, 9], [-1, 0, 4, 9], [0, 0, float("nan"), 9]):
        with pytest.raises(UsageError, match="box: expected"):
            descriptor(picture, np.array(box, np.float64), SMALL)
    for objects, without in (([], [picture]), ([(picture, np.array([[0.0, 0, 24, 32]]))], [picture[:8]])):
        with pytest.raises(UsageError, match="at least one object"):
            train_hog_svm(objects, without, SMALL)
    for wrong in ({"windows": 0}, {"rounds": -1}, {"c": 0.0}, {"c": float("nan")}):
        with pytest.raises(UsageError, match="windows, rounds, c: expected"):
            train_hog_svm([(picture, np.array([[0.0, 0, 24, 32]]))], [picture], SMALL, **wrong)


def test_without_scikit_learn_training_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.svm", None)
    picture = some_picture(40, 40)
    with pytest.raises(MissingExtra, match=r"convatlas\[proposals\]"):
        train_hog_svm([(picture, np.array([[0.0, 0, 24, 32]]))], [picture], SMALL)
