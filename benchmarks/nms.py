"""Non-maximum suppression beside torchvision's kernel on the processor, in turn, two threads.

The boxes are those of a dense detector: three a place at strides of 8, 16 and 32 on a picture of 640 x 640, those near
one of some objects pulled onto it, the others about their anchors, of low scores. Of them come the best, as detectors
choose them. Beside these are the hard cases: boxes apart, of which nearly all are kept, and boxes crowded on a few
objects, of which nearly all go. torchvision looks at no values, so that ours is asked not to either (`check=False`),
and once more as users ask it. The answers are equal, index by index, or the measurement stops. To look at the values
takes some 15 microseconds, and the kernel itself some 25 for a hundred boxes and 100 for 2,000 of which few are kept:
asked as users ask it, ours is the slower there. Per class it looks at the values, too, and is the slower nowhere.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks.machine import threads

COUNTS = (100, 300, 1_000, 2_000, 5_000, 20_000)
THRESHOLD = 0.5
SIDE = 640
CLASSES = 80
ROUNDS = 15
EQUAL = 0.95  # of torchvision's speed: less is slower
SECONDS = 0.02  # of one measurement: small sets are asked more than once


def measure(counts: tuple[int, ...] = COUNTS, rounds: int = ROUNDS) -> dict[str, Any]:
    import torch
    import torchvision

    from convatlas.ops import nms

    kinds = {"dense": _dense, "apart": _apart, "crowded": _crowded}
    cases = []
    with threads(2):
        for kind, make in kinds.items():
            for count in counts:
                boxes, scores = (torch.from_numpy(each) for each in make(count))
                labels = torch.randint(CLASSES, (count,), generator=torch.Generator().manual_seed(0))
                plain = _in_turn(
                    {
                        "ours": lambda b=boxes, s=scores: nms.nms(b, s, THRESHOLD, check=False),
                        "ours_checked": lambda b=boxes, s=scores: nms.nms(b, s, THRESHOLD),
                        "torchvision": lambda b=boxes, s=scores: torchvision.ops.nms(b, s, THRESHOLD),
                    },
                    rounds,
                )
                per_class = _in_turn(
                    {
                        "ours": lambda b=boxes, s=scores, c=labels: nms.nms_per_class(b, s, c, THRESHOLD),
                        "torchvision": lambda b=boxes, s=scores, c=labels: torchvision.ops.batched_nms(
                            b, s, c, THRESHOLD
                        ),
                    },
                    rounds,
                    equal=False,  # batched_nms moves the boxes in float32, which changes an IoU near the threshold
                )
                kept = len(nms.nms(boxes, scores, THRESHOLD))
                cases.append({"boxes": kind, "count": count, "kept": kept, "plain": plain, "per_class": per_class})
    return {"threads": 2, "threshold": THRESHOLD, "classes": CLASSES, "cases": cases}


def lines(measured: dict[str, Any]) -> list[str]:
    found = [
        f"NMS of {case['count']:,} boxes ({case['boxes']}, {case['kept']:,} kept): {_told(case['plain'], 'ours')}; "
        f"with the values looked at {_told(case['plain'], 'ours_checked')}; per class ({measured['classes']}) "
        f"{_told(case['per_class'], 'ours')}"
        for case in measured["cases"]
    ]
    slower = [
        f"{case['count']:,} {case['boxes']} {name} ({ratio:.2f})"
        for case in measured["cases"]
        for name, seconds, route in (
            ("without a look", case["plain"], "ours"),
            ("looked at", case["plain"], "ours_checked"),
            ("per class", case["per_class"], "ours"),
        )
        if (ratio := statistics.median(_ratios(seconds, route))) < EQUAL
    ]
    return [*found, "NMS slower than torchvision's: " + (", ".join(slower) or "nowhere")]


def _ratios(seconds: dict[str, list[float]], name: str) -> list[float]:
    return [theirs / ours for theirs, ours in zip(seconds["torchvision"], seconds[name], strict=True)]


def _told(seconds: dict[str, list[float]], name: str) -> str:
    ratios = _ratios(seconds, name)
    ours, theirs = (statistics.median(seconds[each]) * 1e3 for each in (name, "torchvision"))
    return (
        f"{ours:.3g} ms, torchvision {theirs:.3g} ms: "
        f"{statistics.median(ratios):.2f} times as quick ({min(ratios):.2f} to {max(ratios):.2f})"
    )


def _in_turn(routes: dict[str, Callable[[], Any]], rounds: int, *, equal: bool = True) -> dict[str, list[float]]:
    answers = {name: route() for name, route in routes.items()}  # not timed: it also warms up
    if equal and not all(answer.equal(answers["torchvision"]) for answer in answers.values()):
        raise AssertionError("the routes keep different boxes")
    started = time.perf_counter()
    routes["torchvision"]()
    times = max(1, int(SECONDS / (time.perf_counter() - started)))
    seconds: dict[str, list[float]] = {name: [] for name in routes}
    for number in range(rounds):
        order = list(routes.items())
        for name, route in order if number % 2 else reversed(order):
            started = time.perf_counter()
            for _ in range(times):
                route()
            seconds[name].append((time.perf_counter() - started) / times)
    return {name: [float(f"{each:.4g}") for each in found] for name, found in seconds.items()}


def _dense(count: int) -> tuple[Any, Any]:
    import numpy as np

    from convatlas.ops.anchors import anchor_grid, anchor_shapes, octave_sizes

    random = np.random.default_rng(0)
    objects = 15
    centres, sides = random.uniform(0, SIDE, (objects, 2)), np.exp(random.uniform(3, 5.7, (objects, 2)))
    anchors = np.concatenate(
        [
            anchor_grid(
                anchor_shapes(octave_sizes(4 * stride), (1.0,)), (SIDE // stride,) * 2, stride, place=0.5
            ).numpy()
            for stride in (8, 16, 32)
        ]
    )
    middle, side = (anchors[:, :2] + anchors[:, 2:]) / 2, anchors[:, 2:] - anchors[:, :2]
    away = np.abs((middle[:, None] - centres) / sides).max(axis=2)
    nearest, near = away.argmin(axis=1), away.min(axis=1) < 0.5
    middle = np.where(
        near[:, None],
        centres[nearest] + random.normal(0, 0.06, middle.shape) * sides[nearest],
        middle + random.normal(0, 0.08, middle.shape) * side,
    )
    grown = np.exp(random.normal(0, 1, side.shape) * np.where(near, 0.12, 0.25)[:, None])
    half = np.where(near[:, None], sides[nearest], side) * grown / 2
    scores = np.where(near, random.beta(2, 2, len(near)), random.beta(1, 20, len(near)))
    best = np.argsort(-scores)[:count]
    best = random.permutation(best)
    boxes = np.concatenate([middle - half, middle + half], axis=1)
    return boxes[best].astype(np.float32), scores[best].astype(np.float32)


def _apart(count: int) -> tuple[Any, Any]:
    import numpy as np

    random = np.random.default_rng(0)
    corner, side = random.uniform(0, 1333, (count, 2)), random.uniform(8, 32, (count, 2))
    boxes = np.concatenate([corner, corner + side], axis=1)
    return boxes.astype(np.float32), random.random(count).astype(np.float32)


def _crowded(count: int) -> tuple[Any, Any]:
    import numpy as np

    random = np.random.default_rng(0)
    centres, sides = random.uniform(0, SIDE, (5, 2)), np.exp(random.uniform(3, 5.7, (5, 2)))
    which = random.integers(5, size=count)
    middle = centres[which] + random.normal(0, 0.08, (count, 2)) * sides[which]
    half = sides[which] * np.exp(random.normal(0, 0.12, (count, 2))) / 2
    return np.concatenate([middle - half, middle + half], axis=1).astype(np.float32), random.random(count).astype(
        np.float32
    )
