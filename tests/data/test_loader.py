"""Batches: the right pictures with the right labels, from memory or from files, with and without workers."""

import numpy as np
import pytest
import torch

from convatlas.data.loader import Pictures, make_loader, random_crop, read_all
from convatlas.data.preprocess import Preprocess
from convatlas.data.source import open_pictures
from convatlas.errors import DataError

PREPROCESS = Preprocess(channels=3, height=16, width=16)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("in_memory", [True, False])
def test_each_picture_comes_once_with_its_label(photos, workers, in_memory):
    pictures = open_pictures(photos(count=7))
    readable = read_all(pictures, PREPROCESS, cache_bytes=1 << 20 if in_memory else 0)
    assert (readable.kept is not None) == in_memory
    dataset = Pictures(readable.pictures, PREPROCESS, kept=readable.kept)
    seen = []
    for batch in make_loader(dataset, batch_size=4, shuffle=False, workers=workers):
        assert batch.pixels.dtype == torch.uint8
        assert batch.pixels.shape[1:] == (3, 16, 16)
        for pixels, label, index in zip(batch.pixels, batch.labels, batch.places, strict=True):
            np.testing.assert_array_equal(pixels.numpy(), PREPROCESS(pictures.read(int(index))))
            assert int(label) == pictures.targets[index]
            seen.append(int(index))
    assert seen == list(range(21))


def test_a_shuffled_epoch_is_another_order_by_the_generator_s_seed(photos):
    dataset = Pictures(open_pictures(photos(count=6)), PREPROCESS)
    generator = torch.Generator()
    orders = []
    for seed in (1, 1, 2):
        generator.manual_seed(seed)
        loader = make_loader(dataset, batch_size=5, shuffle=True, workers=0, generator=generator)
        orders.append([int(i) for batch in loader for i in batch.places])
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == list(range(18)), "each picture once, the short last batch too"


def test_a_last_batch_of_one_picture_is_left_out_of_training_only(photos):
    dataset = Pictures(open_pictures(photos(count=7)), PREPROCESS)
    for shuffle, seen in ((True, 20), (False, 21)):
        loader = make_loader(dataset, batch_size=5, shuffle=shuffle, workers=0)
        assert sum(len(batch.places) for batch in loader) == seen


def test_random_crops_lie_inside_and_keep_at_least_their_area():
    picture = np.arange(40 * 60, dtype=np.int64).reshape(40, 60, 1) % 251
    torch.manual_seed(0)
    areas = []
    for _ in range(200):
        crop = random_crop(picture.astype(np.uint8), 0.3)
        height, width = crop.shape[:2]
        areas.append(height * width / (40 * 60))
        assert 0.74 * 0.9 < width / height < 4 / 3 * 1.1
    assert 0.28 < min(areas) < 0.45
    assert max(areas) > 0.75


def test_an_extreme_picture_is_given_whole():
    thin = np.zeros((2, 400, 1), dtype=np.uint8)
    assert random_crop(thin, 0.9).shape == thin.shape


def test_random_crops_change_from_reading_to_reading(photos):
    dataset = Pictures(open_pictures(photos()), PREPROCESS, crop_area=0.4)
    torch.manual_seed(0)
    first, second = dataset[0].pixels, dataset[0].pixels
    assert first.shape == second.shape == (1, 3, 16, 16)
    assert not torch.equal(first, second)


def test_not_one_readable_picture_is_an_error(photos):
    root = photos(count=2)
    for file in root.rglob("*.png"):
        file.write_bytes(b"")
    with pytest.raises(DataError, match="not one of the 6 pictures can be read"):
        read_all(open_pictures(root), PREPROCESS)


@pytest.mark.parametrize("crop_area", [0.3, 1.0])
def test_threads_read_the_same_pictures_with_the_same_random_crops(photos, crop_area):
    pictures = open_pictures(photos(count=7))
    batches = []
    for threads in (1, 3):
        torch.manual_seed(5)
        dataset = Pictures(pictures, PREPROCESS, crop_area=crop_area, threads=threads)
        batches.append(dataset.__getitems__([4, 0, 9, 13, 2, 2, 20]))
    assert torch.equal(batches[0].pixels, batches[1].pixels)
    assert torch.equal(batches[0].pixels[4], batches[0].pixels[5]) == (crop_area == 1)
