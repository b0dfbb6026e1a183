"""Many pictures: order, failures, threads that end, a bounded look ahead, batches that do not fit into memory."""

import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from convatlas.data import preprocess
from convatlas.engine.predict import predictor as predicting
from convatlas.engine.predict.fitting import FittingEngine
from convatlas.engine.predict.inputs import expand_paths
from convatlas.engine.predict.onnx_engine import OnnxEngine, failed_run
from convatlas.engine.predict.openvino_engine import OpenVinoEngine
from convatlas.engine.predict.pipeline import AHEAD, in_order
from convatlas.engine.predict.predictor import MANY, Picture, Predictor, workers_for
from convatlas.errors import EngineError, OutOfMemoryError, PictureError, UsageError
from convatlas.types import Classification, Failure
from tests.engine.bundles import write_corners

pytestmark = pytest.mark.row("J-04")

CORNERS = np.array([[[255, 0], [0, 0]], [[0, 255], [0, 0]], [[0, 0], [255, 0]]], np.uint8)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corners(tmp_path_factory.mktemp("corners") / "bundle")


def running() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("convatlas")]


# --- The threads


def slow_first(item: int, _stopped: threading.Event) -> int:
    time.sleep(0.02 if item % 3 == 0 else 0)  # so that later items are ready before earlier ones
    return item * item


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_come_in_order(workers: int) -> None:
    assert list(in_order(range(20), slow_first, workers=workers)) == [item * item for item in range(20)]
    assert list(in_order([], slow_first, workers=workers)) == []
    assert running() == []


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_items_are_read_no_further_ahead_than_promised(workers: int) -> None:
    taken = given = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for item in range(100):
            taken += 1
            assert taken - given <= (AHEAD * workers if workers > 1 else 1)
            yield item

    for _ in in_order(items(), slow_first, workers=workers):
        given += 1
    assert given == 100


def test_several_items_are_in_work_at_a_time() -> None:
    together = threading.Barrier(3, timeout=10)
    assert list(in_order(range(9), lambda item, _: together.wait() >= 0, workers=3)) == [True] * 9


@pytest.mark.parametrize("workers", [1, 2])
def test_an_exception_comes_in_its_place_and_ends_the_threads(workers: int) -> None:
    def work(item: int, _stopped: threading.Event) -> int:
        if item == 5:
            raise ValueError("five")
        return item

    results = in_order(itertools.count(), work, workers=workers)
    assert list(itertools.islice(results, 5)) == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="five"):
        next(results)
    assert running() == []


def test_an_abandoned_iterator_tells_its_work_to_stop_and_waits_for_it() -> None:
    events: list[threading.Event] = []

    def work(item: int, stopped: threading.Event) -> int:
        events.append(stopped)
        if item > 0:
            assert stopped.wait(10)
        return item

    results = in_order(itertools.count(), work, workers=2)
    assert next(results) == 0
    results.close()
    assert all(event.is_set() for event in events)
    assert running() == []


def test_items_that_fail_end_the_threads() -> None:
    def items() -> Iterator[int]:
        yield from range(10)
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        list(in_order(items(), slow_first, workers=2))
    assert running() == []


@pytest.mark.row("J-01")
@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("count", [0, 1, 5, 20, 22])
def test_what_came_before_a_failure_of_the_items_is_answered(bundle: Path, count: int, workers: int) -> None:
    def camera() -> Iterator[Picture]:
        yield from [CORNERS[0]] * count
        raise OSError("camera gone")

    answers = Predictor(bundle, batch_size=4, workers=workers, threads=2).iterate(camera())
    assert len(list(itertools.islice(answers, count))) == count
    with pytest.raises(OSError, match="camera gone"):
        next(answers)
    assert running() == []


# --- The predictor


@pytest.mark.parametrize("workers", [None, 1, 2, 3])
@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_many_pictures_keep_their_order_and_fail_alone(bundle: Path, engine: str, workers: int | None) -> None:
    pytest.importorskip("onnxruntime" if engine == "onnx" else engine)
    predictor = Predictor(bundle, engine=engine, threads=2, workers=workers)  # type: ignore[arg-type]  # one of two
    count = 3 * MANY  # past the place where the workers get an engine of their own
    pictures: list[Picture] = [CORNERS[index % 3] if index % 7 != 3 else b"no picture" for index in range(count)]
    answers = list(predictor.iterate(iter(pictures), top=1))
    assert [answer.source for answer in answers] == [f"pictures[{index}]" for index in range(count)]
    for index, answer in enumerate(answers):
        if index % 7 == 3:
            assert isinstance(answer, Failure)
        else:
            assert answer.top is not None
            assert answer.top.index == index % 3
    assert running() == []


def test_probabilities_of_many_are_those_of_one_after_another(bundle: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (100, 2, 2, 1), dtype=np.uint8)
    several, single = Predictor(bundle, workers=3, threads=3), Predictor(bundle, workers=1)
    np.testing.assert_array_equal(several.probabilities(pictures), single.probabilities(pictures))
    np.testing.assert_array_equal(Predictor(bundle, threads=2).probabilities(pictures), single.probabilities(pictures))
    with pytest.raises(PictureError, match=r"pictures\[50\]"):
        several.probabilities([*pictures[:50], b"", *pictures[50:]])
    assert running() == []


def test_pictures_are_read_no_further_ahead_than_the_workers_need(bundle: Path) -> None:
    taken = 0

    def endless() -> Iterator[Picture]:
        nonlocal taken
        while True:
            taken += 1
            yield CORNERS[0]

    answers = Predictor(bundle, batch_size=3, workers=2, threads=2).iterate(endless())
    assert taken == 0
    for given in range(1, 200):
        next(answers)
        assert taken <= given + 3 * AHEAD * 2 + 2  # and the rest of the batch whose answers are being given
    answers.close()  # type: ignore[attr-defined]  # a generator
    assert running() == []
    ended = taken
    time.sleep(0.05)
    assert taken == ended


def test_a_wrong_picture_among_many_ends_the_threads(bundle: Path) -> None:
    pictures: list[Picture] = [CORNERS[0]] * 40 + [3]  # type: ignore[list-item]  # on purpose
    with pytest.raises(UsageError, match=r"pictures\[40\]"):
        Predictor(bundle, workers=2)(pictures)
    assert running() == []


def test_a_few_pictures_need_no_threads_and_no_second_engine(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor(bundle, threads=2)

    def refuse(*_: object) -> None:
        raise AssertionError("loaded once more")

    monkeypatch.setattr(predicting, "load_engine", refuse)
    assert len(predictor([CORNERS[0]] * MANY)) == MANY
    script = (
        "import sys\n"
        "from convatlas.engine.predict.predictor import Predictor\n"
        "Predictor(sys.argv[1], threads=2)(sys.argv[2])\n"
        "print('concurrent.futures' in sys.modules)\n"
    )
    picture = bundle.parent / "a.png"
    Image.fromarray(CORNERS[0]).save(picture)
    ran = subprocess.run([sys.executable, "-c", script, bundle, picture], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


def test_workers_share_the_threads(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[object] = []
    load = predicting.load_engine

    def recorded(*arguments: object) -> object:
        loaded.append(arguments[3])
        return load(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(predicting, "load_engine", recorded)
    for workers, each in ((None, 1), (2, None)):
        loaded.clear()
        Predictor(bundle, threads=2, workers=workers)([CORNERS[0]] * 3 * MANY)
        assert loaded == ([] if each is None else [each])  # workers that are asked for have the first engine
    assert workers_for(1, 8) is None
    assert workers_for(MANY + 1, 8) == 8


@pytest.mark.row("J-01")
def test_after_many_pictures_few_have_all_threads_again(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[OnnxEngine] = []
    run = OnnxEngine.__call__

    def recorded(engine: OnnxEngine, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        used.append(engine)
        return run(engine, pixels)

    monkeypatch.setattr(OnnxEngine, "__call__", recorded)
    predictor = Predictor(bundle, threads=2)
    predictor([CORNERS[0]] * 3 * MANY)
    assert len(set(used)) == 2
    used.clear()
    predictor([CORNERS[0]] * MANY)
    assert set(used) == {predictor.engine}


@pytest.mark.row("J-01")
@pytest.mark.parametrize("error", [EngineError("bad allocation"), OutOfMemoryError("bad allocation"), MemoryError()])
def test_an_engine_that_cannot_be_loaded_once_more_answers_alone(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(*_: object) -> None:
        raise error

    told: list[str] = []
    predictor = Predictor(bundle, threads=2, say=told.append)
    monkeypatch.setattr(predicting, "load_engine", refuse)
    for _ in range(2):
        answers = predictor([CORNERS[1]] * 3 * MANY)
        assert [one.top.index for one in answers if isinstance(one, Classification) and one.top] == [1] * 3 * MANY
    (words,) = told
    assert words == (
        f"the network cannot be loaded once more ({str(error) or 'no memory'}): answering one batch after another"
    )


@pytest.mark.row("J-01")
@pytest.mark.parametrize(("threads", "workers", "most"), [(2, 8, 2), (3, 2, 2), (1, 4, 1)])
def test_no_more_workers_answer_at_once_than_there_are_threads(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, threads: int, workers: int, most: int
) -> None:
    counting = threading.Lock()
    running_now = 0
    seen: set[int] = set()
    run = OnnxEngine.__call__

    def counted(engine: OnnxEngine, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        nonlocal running_now
        with counting:
            running_now += 1
            seen.add(running_now)
        time.sleep(0.005)
        with counting:
            running_now -= 1
        return run(engine, pixels)

    monkeypatch.setattr(OnnxEngine, "__call__", counted)
    Predictor(bundle, threads=threads, workers=workers, batch_size=1)([CORNERS[0]] * 40)
    assert max(seen) == most


# --- Engines that fail over pictures


def refuse_several(monkeypatch: pytest.MonkeyPatch, engine: type) -> None:
    """As an operator that is refused when the graph is compiled for any number of pictures."""
    run: Callable[[object, NDArray[np.uint8]], NDArray[np.float32]] = engine.__call__

    def refused(self: object, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        if len(pixels) > 1:
            raise EngineError("no such operator")
        return run(self, pixels)

    monkeypatch.setattr(engine, "__call__", refused)


@pytest.mark.row("J-01")
@pytest.mark.parametrize("workers", [None, 1, 3])
def test_an_engine_that_fails_over_pictures_is_replaced_aloud_once(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, workers: int | None
) -> None:
    pytest.importorskip("openvino")
    refuse_several(monkeypatch, OpenVinoEngine)
    told: list[str] = []
    predictor = Predictor(bundle, engine="openvino", threads=2, workers=workers, say=told.append)
    predictor(CORNERS[0])
    assert (predictor.engine.name, told) == ("openvino", [])
    rows = predictor.probabilities([CORNERS[index % 3] for index in range(3 * MANY)])
    assert rows.argmax(axis=1).tolist() == [index % 3 for index in range(3 * MANY)]
    assert (predictor.engine.name, told) == ("onnx", ["no such operator: answering with onnx instead"])


@pytest.mark.row("J-01")
def test_where_no_other_engine_takes_the_network_the_first_one_s_error_is_raised(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    refuse_several(monkeypatch, OpenVinoEngine)
    refuse_several(monkeypatch, OnnxEngine)
    told: list[str] = []
    predictor = Predictor(bundle, engine="openvino", threads=2, say=told.append)
    for _ in range(2):  # torch does not take the corners, and no engine is tried again
        with pytest.raises(EngineError, match="no such operator"):
            predictor([CORNERS[0]] * 2)
    assert told == ["no such operator: answering with onnx instead"]
    assert len(predictor(CORNERS[0])) == 1


@pytest.mark.row("J-01")
def test_no_engine_that_failed_over_pictures_is_tried_again(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Torch:
        name = "torch"

        def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
            raise EngineError("torch fails, too")

    refuse_several(monkeypatch, OnnxEngine)
    told: list[str] = []
    predictor = Predictor(bundle, threads=2, say=told.append)
    monkeypatch.setattr(predicting, "load_engine", lambda *_: Torch())
    for _ in range(3):
        with pytest.raises(EngineError, match="torch fails, too"):
            predictor([CORNERS[0]] * 2)
    assert told == ["no such operator: answering with torch instead"]


def test_large_jpegs_are_reduced_unless_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preprocess, "NARROWEST", 2)  # the network takes 2 x 2 pixels
    folder = write_corners(tmp_path / "bundle")
    random = np.random.default_rng(0)
    picture = tmp_path / "large.jpg"
    Image.fromarray(random.integers(0, 256, (64, 64), dtype=np.uint8)).save(picture, quality=95)
    decoded = np.asarray(Image.open(picture))
    exact = Predictor(folder, exact=True).probabilities(picture)
    np.testing.assert_array_equal(exact, Predictor(folder).probabilities(decoded))  # an array is taken as it is
    assert (Predictor(folder).probabilities(picture) != exact).any()


def test_a_worker_number_that_cannot_be(bundle: Path) -> None:
    with pytest.raises(UsageError, match="workers: expected a whole number of at least 1, got 0"):
        Predictor(bundle, workers=0)


# --- Memory


class Small:
    """An engine with memory for few pictures: the logits of a picture are its first pixel."""

    name = "small"

    def __init__(self, most: int) -> None:
        self.most = most
        self.asked: list[int] = []

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.asked.append(len(pixels))
        if len(pixels) > self.most:
            raise OutOfMemoryError("no memory")
        return pixels[:, 0, 0, :1].astype(np.float32)


def numbered(count: int) -> NDArray[np.uint8]:
    return np.arange(count, dtype=np.uint8)[:, None, None, None]


def test_a_batch_that_does_not_fit_is_halved_aloud_and_later_ones_are_small_from_the_start() -> None:
    told: list[str] = []
    engine = Small(5)
    fitting = FittingEngine(engine, say=told.append, at_once=1)
    np.testing.assert_array_equal(fitting(numbered(32))[:, 0], np.arange(32))
    assert engine.asked == [32, 16, 8, *[4] * 8]
    assert told == ["a batch of 32 pictures does not fit into memory: answering 4 at a time"]
    engine.asked.clear()
    np.testing.assert_array_equal(fitting(numbered(10))[:, 0], np.arange(10))
    assert engine.asked == [4, 4, 2]
    assert len(told) == 1


def test_one_picture_that_does_not_fit_is_an_error_that_says_so() -> None:
    told: list[str] = []
    with pytest.raises(OutOfMemoryError, match="not even one picture of 1 x 1 x 1 fits into memory"):
        FittingEngine(Small(0), say=told.append, at_once=1)(numbered(4))
    assert told == []


class Crowded(Small):
    """An engine with memory for few pictures in all, whoever asks."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.held = 0
        self._counting = threading.Lock()

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        with self._counting:
            self.held += len(pixels)
            fits = self.held <= self.most
        time.sleep(0.002)
        with self._counting:
            self.held -= len(pixels)
        if not fits:
            raise OutOfMemoryError("no memory")
        return pixels[:, 0, 0, :1].astype(np.float32)


@pytest.mark.row("J-01")
@pytest.mark.parametrize("most", [1, 3])
def test_pictures_that_do_not_fit_beside_those_of_others_are_answered_in_turn_aloud(most: int) -> None:
    told: list[str] = []
    fitting = FittingEngine(Crowded(most), say=told.append, at_once=8)
    rows = list(in_order(range(40), lambda item, _: fitting(numbered(2) + np.uint8(item)), workers=8))
    for item, row in enumerate(rows):
        np.testing.assert_array_equal(row[:, 0], [item, item + 1])
    assert told.count("several batches side by side do not fit into memory: answering one after another") == 1


@pytest.mark.row("J-01")
def test_a_picture_that_does_not_fit_even_alone_is_an_error_side_by_side_too() -> None:
    with pytest.raises(OutOfMemoryError, match="not even one picture"):
        FittingEngine(Small(0), say=lambda _: None, at_once=8)(numbered(4))


def test_the_predictor_halves_with_a_warning_or_says_it(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_beyond(5, monkeypatch)
    with pytest.warns(UserWarning, match="a batch of 8 pictures does not fit into memory: answering 4 at a time"):
        answers = Predictor(bundle, batch_size=8, workers=1)([CORNERS[1]] * 20)
    assert [one.top.index for one in answers if isinstance(one, Classification) and one.top] == [1] * 20
    told: list[str] = []
    Predictor(bundle, batch_size=8, workers=2, say=told.append)([CORNERS[1]] * 80)
    assert told
    assert {words.split(":")[1] for words in told} == {" answering 4 at a time"}


def refuse_beyond(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    run: Callable[[OnnxEngine, NDArray[np.uint8]], NDArray[np.float32]] = OnnxEngine.__call__

    def limited(engine: OnnxEngine, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        if len(pixels) > most:
            raise OutOfMemoryError("no memory")
        return run(engine, pixels)

    monkeypatch.setattr(OnnxEngine, "__call__", limited)


@pytest.mark.parametrize(
    "said",
    [
        "[ONNXRuntimeError] : 1 : AllocateRawInternal Failed to allocate memory for requested buffer of size 9",
        "Exception from src/core/src/runtime/tensor.cpp:89:\nstd::bad_alloc\n",
        "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.",
    ],
)
def test_what_the_runtimes_say_of_memory_is_understood(said: str) -> None:
    assert isinstance(failed_run(RuntimeError(said), "engine"), OutOfMemoryError)


def test_other_errors_are_none_of_memory() -> None:
    assert isinstance(failed_run(MemoryError(), "engine"), OutOfMemoryError)
    assert isinstance(failed_run(RuntimeError("Invalid input shape"), "engine"), EngineError)


@pytest.mark.skipif(sys.platform != "linux", reason="limits a process's memory as Linux does")
@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_the_engines_themselves_say_it(bundle: Path, engine: str) -> None:
    """A batch of which the input alone is larger than what the process may have."""
    script = (
        "import resource, sys, numpy as np\n"
        "from convatlas.engine.predict.predictor import Predictor\n"
        "from convatlas.errors import OutOfMemoryError\n"
        "engine = Predictor(sys.argv[1], engine=sys.argv[2], threads=1).engine\n"
        "pixels = np.zeros((40_000_000, 1, 2, 2), np.uint8)\n"
        "engine(pixels[:1])\n"
        "held = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (held + 50 * 2**20,) * 2)\n"
        "try:\n    engine(pixels)\n"
        "except OutOfMemoryError:\n    print('understood')\n"
    )
    command = [sys.executable, "-c", script, str(bundle), engine]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.returncode) == ("understood\n", 0), ran.stderr


# --- Which pictures


def test_a_folder_is_listed_in_natural_order_links_followed_once(tmp_path: Path) -> None:
    names = [f"b{number}.jpg" for number in range(300)] + [f"a/{number}.png" for number in range(300)]
    (tmp_path / "a").mkdir()
    for name in reversed(names):
        (tmp_path / name).touch()
    (tmp_path / "z.jpg").symlink_to(tmp_path / "b7.jpg")  # the same picture: comes once
    (tmp_path / "loop").symlink_to(tmp_path)
    found = [Path(source.name).relative_to(tmp_path).as_posix() for source in expand_paths([str(tmp_path)])]
    expected = [f"a/{number}.png" for number in range(300)] + [f"b{number}.jpg" for number in range(300)]
    assert found == expected
