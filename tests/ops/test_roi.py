"""Regions of interest: torchvision, the papers' formulas in plain loops, finite differences, wrong arguments."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.poolers import LevelMapper

from convatlas.errors import UsageError
from convatlas.ops.roi import fpn_levels, pyramid_align, roi_align, roi_pool, roi_warp, spatial_pyramid

pytestmark = pytest.mark.row("C-08")


def some_features(seed=0, dtype=torch.float32, shape=(2, 3, 12, 15)):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def some_regions(counts=(4, 3), seed=0, dtype=torch.float32, size=(96.0, 120.0)):
    random = torch.Generator().manual_seed(seed)
    boxes = []
    for count in counts:
        corner = torch.rand(count, 2, generator=random, dtype=dtype) * torch.tensor([size[1], size[0]]) * 0.8 - 4
        sides = torch.rand(count, 2, generator=random, dtype=dtype) * 60 + 2
        boxes.append(torch.cat((corner, corner + sides), dim=1).to(dtype))
    return boxes


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pool_and_align_are_torchvision_s(dtype):
    features, boxes = some_features(dtype=dtype), some_regions(dtype=dtype)
    rows = torch.cat([torch.cat((torch.full((len(b), 1), i), b), dim=1) for i, b in enumerate(boxes)]).to(dtype)
    theirs = torchvision.ops.roi_pool(features, rows, (3, 2), 1 / 8)
    assert torch.equal(roi_pool(features, boxes, (3, 2), scale=1 / 8), theirs)
    for aligned in (True, False):
        theirs = torchvision.ops.roi_align(features, rows, (3, 2), 1 / 8, 2, aligned)
        assert torch.equal(roi_align(features, boxes, (3, 2), scale=1 / 8, aligned=aligned), theirs)
    theirs = torchvision.ops.roi_align(features, rows, (3, 2), 1 / 8, -1, True)
    assert torch.equal(roi_align(features, boxes, (3, 2), scale=1 / 8, samples=0), theirs)


def test_pooling_by_hand():
    """Fast R-CNN, Section 2.1, on a map that counts its pixels: rows 1 to 4, columns 1 to 2 in halves of rows."""
    maps = torch.arange(36.0).reshape(1, 1, 6, 6)
    boxes = [torch.tensor([[8.0, 8, 16, 32]])]  # pixels 1..2 and 1..4 of the map: the last one counts
    assert roi_pool(maps, boxes, (2, 1), scale=1 / 8).flatten().tolist() == [2 * 6 + 2, 4 * 6 + 2]
    boxes = [torch.tensor([[10.0, 10, 10, 10]])]  # without area: the one pixel there is
    assert roi_pool(maps, boxes, (1, 1), scale=1 / 8).item() == 7


def test_alignment_by_hand():
    """Of a map whose values are a plane the mean of a part is the value in its middle."""
    y, x = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    maps = (10 * (y + 0.5) + (x + 0.5))[None, None]
    boxes = [torch.tensor([[8.0, 16, 40, 48]])]  # 1..5 and 2..6 of the map
    parts = roi_align(maps, boxes, (2, 2), scale=1 / 8)
    assert parts.flatten().tolist() == pytest.approx([32, 34, 52, 54])
    half = roi_align(maps, boxes, (2, 2), scale=1 / 8, aligned=False)
    assert half.flatten().tolist() == pytest.approx([32 + 5.5, 34 + 5.5, 52 + 5.5, 54 + 5.5])


def test_warping_is_the_paper_s_sum():
    """Equations 6 to 8: each point is the sum over all pixels of max(0, 1 - |distance|) along x times along y."""
    features, boxes = some_features(1, torch.float64, (2, 2, 7, 9)), some_regions((2, 2), 1, torch.float64, (56, 72))
    warped = roi_warp(features, boxes, (3, 4), scale=1 / 8)
    expected = []
    for maps, regions in zip(features, boxes, strict=True):
        for x1, y1, x2, y2 in (regions / 8).tolist():
            region = torch.zeros(2, 3, 4, dtype=torch.float64)
            for i, j in itertools.product(range(3), range(4)):
                x, y = x1 + j / 4 * (x2 - x1), y1 + i / 3 * (y2 - y1)
                for row, column in itertools.product(range(7), range(9)):
                    region[:, i, j] += max(0, 1 - abs(x - column)) * max(0, 1 - abs(y - row)) * maps[:, row, column]
            expected.append(region)
    torch.testing.assert_close(warped, torch.stack(expected))


def parts(maps, count):
    """SPPnet, Appendix A: row i of n of a length w goes from floor((i - 1) w / n) to ceil(i w / n)."""
    _, height, width = maps.shape
    found = []
    for i, j in itertools.product(range(count), range(count)):
        rows = slice(math.floor(i * height / count), math.ceil((i + 1) * height / count))
        columns = slice(math.floor(j * width / count), math.ceil((j + 1) * width / count))
        found.append(maps[:, rows, columns].amax(dim=(1, 2)))
    return torch.stack(found, dim=1).flatten()


def test_the_spatial_pyramid_of_regions_as_a_loop_pools_it():
    features, boxes = some_features(2), some_regions(seed=2)
    boxes[0][0] = torch.tensor([30.0, 30, 31, 31])  # smaller than a pixel of the map
    pooled = spatial_pyramid(features, boxes, (3, 2, 1), scale=1 / 8)
    assert pooled.shape == (7, 3 * (9 + 4 + 1))
    expected = []
    for maps, regions in zip(features, boxes, strict=True):
        for x1, y1, x2, y2 in regions.tolist():
            left = min(max(math.floor(x1 / 8) + 1, 1), 15)  # pixels count from 1 in the paper
            top = min(max(math.floor(y1 / 8) + 1, 1), 12)
            right = max(min(math.ceil(x2 / 8) - 1, 15), left)
            bottom = max(min(math.ceil(y2 / 8) - 1, 12), top)
            inside = maps[:, top - 1 : bottom, left - 1 : right]
            expected.append(torch.cat([parts(inside, n) for n in (3, 2, 1)]))
    torch.testing.assert_close(pooled, torch.stack(expected))


def test_the_spatial_pyramid_of_the_whole_map_is_that_of_pictures():
    features = some_features(3, shape=(1, 4, 13, 13))
    whole = [torch.tensor([[0.0, 0, 14 * 16, 14 * 16]])]
    pooled = spatial_pyramid(features, whole, (6, 3, 2, 1), scale=1 / 16)
    expected = [F.adaptive_max_pool2d(features, n).flatten(1) for n in (6, 3, 2, 1)]
    assert torch.equal(pooled, torch.cat(expected, dim=1))


def test_fpn_s_levels_are_equation_1():
    """And torchvision's, which adds 1e-6, away from the borders."""
    sides = torch.exp(torch.rand(500, 2, generator=torch.Generator().manual_seed(4), dtype=torch.float64) * 7 + 1)
    boxes = torch.cat((torch.zeros(500, 2, dtype=torch.float64), sides), dim=1)
    exact = [4 + math.log2(math.sqrt(w * h) / 224) for w, h in sides.tolist()]
    assert min(abs(k - round(k)) for k in exact) > 1e-5
    assert fpn_levels(boxes).tolist() == [min(max(math.floor(k), 2), 5) for k in exact]
    wide = fpn_levels(boxes, lowest=-5, highest=20).tolist()
    assert wide == [math.floor(k) for k in exact]
    assert torch.equal(fpn_levels(boxes), LevelMapper(2, 5)([boxes]) + 2)


@pytest.mark.parametrize(("side", "level"), [(111.9, 2), (112, 3), (223.9, 3), (224, 4), (448, 5), (896, 5), (0, 2)])
def test_a_level_begins_exactly_at_its_size(side, level):
    """Section 4.2: 224 x 224 to P4, and half of that to P3."""
    assert fpn_levels(torch.tensor([[0.0, 0, side, side]])).tolist() == [level]
    assert fpn_levels(torch.tensor([[3.0, 5, 3 + 2 * side, 5 + side / 2]])).tolist() == [level]


def test_a_pyramid_s_regions_are_torchvision_s():
    features = [some_features(5 + i, shape=(2, 3, 64 // 2**i, 80 // 2**i)) for i in range(4)]
    random = torch.Generator().manual_seed(9)
    boxes = []
    for count in (9, 6):
        corner = torch.rand(count, 2, generator=random) * 100
        boxes.append(torch.cat((corner, corner + torch.exp(torch.rand(count, 2, generator=random) * 4 + 2)), dim=1))
    names = ["0", "1", "2", "3"]
    pooler = MultiScaleRoIAlign(names, (3, 2), 2, canonical_scale=224, canonical_level=4)
    theirs = pooler(dict(zip(names, features, strict=True)), boxes, [(256, 320)] * 2)
    ours = pyramid_align(features, boxes, (3, 2), scales=[1 / 4, 1 / 8, 1 / 16, 1 / 32])
    torch.testing.assert_close(ours, theirs)
    assert len(set(fpn_levels(torch.cat(boxes)).tolist())) >= 3


ROUTES = {
    "pool": lambda features, boxes: roi_pool(features, boxes, (2, 3), scale=1 / 8),
    "align": lambda features, boxes: roi_align(features, boxes, (2, 3), scale=1 / 8),
    "warp": lambda features, boxes: roi_warp(features, boxes, (2, 3), scale=1 / 8),
    "spatial_pyramid": lambda features, boxes: spatial_pyramid(features, boxes, (2, 1), scale=1 / 8),
    "pyramid": lambda features, boxes: pyramid_align([features, features], boxes, (2, 3), scales=[1 / 8, 1 / 16]),
}


@pytest.mark.parametrize("route", ROUTES)
def test_gradients_are_what_finite_differences_find(route):
    features = some_features(6, torch.float64, (2, 1, 7, 8)).requires_grad_()
    boxes = some_regions((2, 1), 6, torch.float64, (56.0, 64.0))
    assert torch.autograd.gradcheck(lambda x: ROUTES[route](x, boxes), (features,))


def test_warping_moves_its_boxes():
    features = some_features(7, torch.float64, (1, 2, 7, 8)).requires_grad_()
    boxes = (torch.tensor([[9.3, 5.1, 41.7, 38.9], [20.2, 13.3, 52.9, 44.4]], dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, b: roi_warp(x, [b], (2, 3), scale=1 / 8), (features, boxes))


@pytest.mark.parametrize("route", ROUTES)
def test_pictures_without_regions(route):
    features = some_features()
    shape = ROUTES[route](features, some_regions((1, 1))).shape[1:]
    none = ROUTES[route](features, [torch.zeros(0, 4), torch.zeros(0, 4)])
    assert none.shape == (0, *shape)
    regions = some_regions((0, 2))
    assert torch.equal(ROUTES[route](features, regions), ROUTES[route](features[1:], regions[1:]))


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    ("features", "boxes", "said"),
    [
        (torch.zeros(3, 8, 8), [torch.zeros(1, 4)], r"features: expected \(N, C, H, W\)"),
        (torch.zeros(0, 3, 8, 8), [], r"features: expected \(N, C, H, W\) of one picture or more"),
        (torch.zeros(2, 3, 8, 8), [torch.zeros(1, 4)], "boxes: expected one tensor for each of 2 pictures, got 1"),
        (torch.zeros(1, 3, 8, 8), [torch.zeros(1, 5)], r"boxes\[0\]: expected"),
        (torch.zeros(1, 3, 8, 8), [torch.zeros(1, 1, 4)], r"boxes\[0\]"),
        (torch.zeros(1, 3, 8, 8), [torch.zeros(1, 4).long()], r"boxes\[0\]: expected float32 or float64"),
        (torch.zeros(1, 3, 8, 8), [torch.zeros(1, 4).double()], r"boxes\[0\]: expected \(R, 4\) torch.float32"),
    ],
)
def test_wrong_regions_are_named(route, features, boxes, said):
    with pytest.raises(UsageError, match=said):
        ROUTES[route](features, boxes)


NAN, INF = float("nan"), float("inf")
WRONG_VALUES = [
    ((NAN, NAN, NAN, NAN), "expected finite numbers"),
    ((0, 0, 8, NAN), "expected finite numbers"),
    ((0, 0, INF, INF), "expected finite numbers"),
    ((-INF, 0, 8, 8), "expected finite numbers"),
    ((9, 0, 8, 8), "expected x1 <= x2 and y1 <= y2"),
    ((-3e38, 0, 3e38, 8), "expected sides that float32 can hold"),
    ((0, 0, 3e30, 8), "expected corners within 16777216 pixels of the map"),
]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(("box", "said"), WRONG_VALUES)
def test_values_that_end_a_kernel_are_named(route, box, said):
    boxes = [torch.ones(2, 4), torch.tensor([[0.0, 0, 8, 8], box])]
    with pytest.raises(UsageError, match=rf"^boxes\[1\]\[1\]: {said}"):
        ROUTES[route](some_features(), boxes)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("shape", [(1, 3, 0, 8), (1, 3, 8, 0)])
def test_maps_without_a_pixel_are_refused(route, shape):
    with pytest.raises(UsageError, match="features: expected maps of 1 x 1 pixel or more"):
        ROUTES[route](torch.zeros(shape), [torch.ones(1, 4)])


def test_where_each_pixel_is_sampled_a_region_is_not_endless():
    features, far = some_features(shape=(1, 1, 8, 8)), [torch.tensor([[0.0, 0, 1e6, 1e6]])]
    assert roi_align(features, far, 2, scale=1).abs().max() < 1e6
    with pytest.raises(UsageError, match=r"boxes\[0\]\[0\]: expected corners within 2048 pixels of the map"):
        roi_align(features, far, 2, scale=1, samples=0)
    with pytest.raises(UsageError, match=r"boxes\[0\]\[0\]: expected corners within 2048 pixels of the map"):
        pyramid_align([features], far, 2, scales=[1], samples=0)


UNCHECKED = {
    "pool": lambda features, boxes: roi_pool(features, boxes, 2, scale=1, check=False),
    "align": lambda features, boxes: roi_align(features, boxes, 2, scale=1, check=False),
    "warp": lambda features, boxes: roi_warp(features, boxes, 2, scale=1, check=False),
    "spatial_pyramid": lambda features, boxes: spatial_pyramid(features, boxes, (2,), scale=1, check=False),
    "pyramid": lambda features, boxes: pyramid_align([features], boxes, 2, scales=[1], check=False),
}


@pytest.mark.parametrize("route", UNCHECKED)
def test_without_a_look_reversed_boxes_pass(route):
    assert len(UNCHECKED[route](some_features(shape=(1, 1, 8, 8)), [torch.tensor([[5.0, 5, 3, 3]])])) == 1


@pytest.mark.parametrize("route", [roi_pool, roi_align, roi_warp])
def test_a_number_is_the_size_of_both_sides(route):
    features, boxes = some_features(), some_regions()
    assert torch.equal(route(features, boxes, 3, scale=1 / 8), route(features, boxes, (3, 3), scale=1 / 8))
    pyramid = {"scales": [1 / 8, 1 / 16]}
    maps = [features, features]
    assert torch.equal(pyramid_align(maps, boxes, 3, **pyramid), pyramid_align(maps, boxes, (3, 3), **pyramid))


class Aligned(torch.nn.Module):
    def forward(self, fine, coarse, boxes):
        return pyramid_align([fine, coarse], [boxes], 3, scales=[1 / 8, 1 / 16])


def test_a_pyramid_can_be_exported_for_any_number_of_regions():
    fine, coarse = some_features(shape=(1, 2, 40, 40)), some_features(1, shape=(1, 2, 20, 20))

    def regions(count):
        boxes = some_regions((count,), size=(320.0, 320.0))[0]
        boxes[::2, 2:] += 200  # on both levels
        return boxes

    count = torch.export.Dim("count", min=2, max=1000)
    exported = torch.export.export(
        Aligned(), (fine, coarse, regions(6)), dynamic_shapes=(None, None, {0: count})
    ).module()
    for boxes in (regions(6), regions(17)):
        torch.testing.assert_close(exported(fine, coarse, boxes), Aligned()(fine, coarse, boxes))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda f, b: roi_pool(f, b, (0, 2), scale=1), "size"),
        (lambda f, b: roi_pool(f, b, (2, 2, 2), scale=1), "size: expected height and width"),
        (lambda f, b: roi_align(f, b, 2.0, scale=1), "size"),
        (lambda f, b: roi_warp(f, b, (2.0, 2), scale=1), "size"),
        (lambda f, b: pyramid_align([f], b, 0, scales=[1]), "size"),
        (lambda f, b: roi_align(f, b, (2, 2), scale=0), "scale: expected a finite number above 0"),
        (lambda f, b: roi_align(f, b, (2, 2), scale=INF), "scale: expected a finite number above 0"),
        (lambda f, b: roi_align(f, b, (2, 2), scale=1, samples=-1), "samples"),
        (lambda f, b: spatial_pyramid(f, b, (), scale=1), "levels"),
        (lambda f, b: spatial_pyramid(f, b, (2, 0), scale=1), "levels"),
        (lambda f, b: spatial_pyramid(f, b, [1.5], scale=1), "levels: expected one whole number"),
        (lambda f, b: roi_align(f, b, 2, scale=1, samples=1.5), "samples"),
        (lambda f, b: pyramid_align([f, f[:, :2]], b, 2, scales=[1, 0.5]), r"features: .* channels .*\[3, 2\]"),
        (lambda f, b: pyramid_align([f], b, (2, 2), scales=[1, 2]), "features, scales"),
        (lambda f, b: pyramid_align([], b, (2, 2), scales=[]), "features, scales"),
        (lambda f, b: fpn_levels(b[0], lowest=5, highest=2), "lowest, highest"),
        (lambda f, b: fpn_levels(b[0].long()), "boxes: expected float32"),
    ],
)
def test_wrong_settings_are_named(call, said):
    with pytest.raises(UsageError, match=said):
        call(torch.zeros(1, 3, 8, 8), [torch.ones(1, 4)])
