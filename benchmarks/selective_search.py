"""Selective Search beside OpenCV contrib's, fast and quality: time on a photograph of 500 x 375, and what both find.

Each mode is as its house has it: OpenCV's fast mode has 12 strategies, the paper's and ours 8; the number of boxes
differs accordingly, so recall and MABO are compared at equal counts of the first boxes, and of all.
Both rank with random numbers, OpenCV's with others each time: what they find is the mean of several runs.
At equal counts ours finds less in places, in the quality mode above all, whose 80 strategies take turns where OpenCV's
have fewer: the last line says where.
Both may use two threads; OpenCV's does not. The processor's time is that of all threads.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.proposals import PictureSet, covered, picture_sets
from convatlas.errors import MissingExtra
from convatlas.ops.proposals.selective_search import FAST, QUALITY, SelectiveSearchConfig, selective_search
from convatlas.types import Boxes, Pixels

MODES = {"fast": FAST, "quality": QUALITY}
ROUNDS = 5
SEEDS = 4
THREADS = 2
CHANCE = 0.005  # no more than that is no difference
ALL = 1_000_000  # more than there are
COUNTS = (100, 500, 1000, 2000, ALL)


def measure() -> dict[str, Any]:
    return {mode: {"photograph": _timed(mode, config), **_found(mode, config)} for mode, config in MODES.items()}


def lines(measured: dict[str, Any]) -> list[str]:
    found = []
    for mode, each in measured.items():
        ours, theirs = each["photograph"]["seconds"], each["photograph"]["opencv_seconds"]
        ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
        found.append(
            f"Selective Search, {mode}, {each['photograph']['size']}: median {statistics.median(ours):.2f} s, OpenCV "
            f"{statistics.median(theirs):.2f} s: {statistics.median(ratios):.2f} times as long "
            f"({min(ratios):.2f} to {max(ratios):.2f}); processor {_cpu(each, 'cpu_seconds')} and "
            f"{_cpu(each, 'opencv_cpu_seconds')}"
        )
        for name, both in each["pictures"].items():
            for count in COUNTS:
                recall, opencv_recall = (both[house]["recall"][str(count)] for house in ("ours", "opencv"))
                mabo, opencv_mabo = (both[house]["mabo"][str(count)] for house in ("ours", "opencv"))
                boxes = f"{both['ours']['boxes']:.0f} and {both['opencv']['boxes']:.0f}"
                found.append(
                    f"  {name}, {f'the first {count:,}' if count < ALL else f'all boxes, {boxes}'}: "
                    f"recall {recall:.3f}, OpenCV {opencv_recall:.3f}; MABO {mabo:.3f}, OpenCV {opencv_mabo:.3f}"
                )
    return [*found, told_below(measured)]


def told_below(measured: dict[str, Any]) -> str:
    """Where OpenCV's boxes cover the objects better than ours do."""
    below = [
        f"{mode} {name} {'all' if count == ALL else f'{count:,}'} {what} "
        f"({both['ours'][what][str(count)]:.3f} against {both['opencv'][what][str(count)]:.3f})"
        for mode, each in measured.items()
        for name, both in each["pictures"].items()
        for count in COUNTS
        for what in ("recall", "mabo")
        if both["ours"][what][str(count)] < both["opencv"][what][str(count)] - CHANCE
    ]
    return "ours below OpenCV's: " + (", ".join(below) or "nowhere")


def _cpu(each: dict[str, Any], name: str) -> str:
    return f"{statistics.median(each['photograph'][name]):.2f} s"


def search(picture: Pixels, config: SelectiveSearchConfig, seed: int = 0) -> Boxes:
    return selective_search(picture, config, seed=seed, threads=THREADS).boxes


def opencv(picture: Pixels, mode: str) -> Boxes:
    """OpenCV contrib's boxes, as xyxy, in its order."""
    try:
        import cv2
    except ImportError as error:
        raise MissingExtra("comparing with OpenCV contrib", "dev") from error
    cv2.setNumThreads(THREADS)
    search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(np.ascontiguousarray(picture[:, :, ::-1]))
    if mode == "fast":
        search.switchToSelectiveSearchFast()
    else:
        search.switchToSelectiveSearchQuality()
    boxes = search.process().astype(np.float32)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def _timed(mode: str, config: SelectiveSearchConfig) -> dict[str, Any]:
    picture = picture_sets()[0].pictures[0]
    search(picture, config)
    ours, theirs = [], []
    for _ in range(ROUNDS):  # in turn, so that a busy moment of the machine meets both alike
        ours.append(_seconds(lambda: search(picture, config)))
        theirs.append(_seconds(lambda: opencv(picture, mode)))
    height, width = picture.shape[:2]
    (seconds, cpu), (opencv_seconds, opencv_cpu) = zip(*ours, strict=True), zip(*theirs, strict=True)
    return {
        "size": f"{width} x {height}",
        "seconds": seconds,
        "cpu_seconds": cpu,
        "opencv_seconds": opencv_seconds,
        "opencv_cpu_seconds": opencv_cpu,
    }


def _seconds(work: Callable[[], Boxes]) -> tuple[float, float]:
    """Of the clock, and of the processor in all threads."""
    started, cpu = time.perf_counter(), time.process_time()
    work()
    return round(time.perf_counter() - started, 3), round(time.process_time() - cpu, 3)


def _found(mode: str, config: SelectiveSearchConfig) -> dict[str, Any]:
    pictures = {}
    for each in picture_sets():
        runs = [_cover(each, [search(picture, config, seed) for picture in each.pictures]) for seed in range(SEEDS)]
        others = [_cover(each, [opencv(picture, mode) for picture in each.pictures]) for _ in range(SEEDS)]
        pictures[each.name] = {"ours": _mean(runs), "opencv": _mean(others)}
    return {"pictures": pictures}


def _cover(pictures: PictureSet, boxes: list[Boxes]) -> dict[str, Any]:
    return covered(pictures, boxes, COUNTS)


def _mean(runs: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "boxes": statistics.mean(run["boxes"] for run in runs),
        **{
            what: {str(count): statistics.mean(run[what][str(count)] for run in runs) for count in COUNTS}
            for what in ("recall", "mabo")
        },
    }
