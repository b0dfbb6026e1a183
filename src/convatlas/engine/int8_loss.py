"""What engines of an int8 graph lose against the float32 graph, on pictures that neither was made with."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from convatlas.data.picture_set import PictureSet
from convatlas.data.preprocess import Preprocess
from convatlas.engine.bundle import Bundle, Runtime
from convatlas.engine.predict.answer import probabilities, same_answers
from convatlas.engine.predict.engines import Engine
from convatlas.errors import DataError, PictureError
from convatlas.metrics.multilabel import mean_average_precision

FLOAT32: Final = "float32"
CHUNK: Final = 16  # pictures answered together


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What was found on the pictures that could be read, of each engine by its name; FLOAT32 is one of them."""

    score_name: str  # "top-1 accuracy", "mean average precision"; without labels "same answer as in float32"
    score: Mapping[str, float]  # 0..1
    same_answer: Mapping[str, int]  # pictures with the answer of float32
    pictures: int

    def loss(self, engine: str) -> float:
        """Points lost against float32."""
        return 100 * (self.score[FLOAT32] - self.score[engine])


def measure_loss(
    bundle: Bundle, float32: Engine, quantised: Mapping[Runtime, Engine], pictures: PictureSet
) -> Measured:
    """Let all engines answer the pictures; without the bundle's classes they are judged by agreement with float32.

    Raises DataError where pictures of several labels have none.
    """
    engines: dict[str, Engine] = dict([(FLOAT32, float32), *quantised.items()])
    answers: dict[str, list[NDArray[np.float32]]] = {name: [] for name in engines}
    places: list[int] = []
    for pixels, read in in_chunks(pictures, bundle.preprocess):
        for name, engine in engines.items():
            answers[name].append(engine(pixels))
        places += read
    nothing = [np.empty((0, len(bundle.classes)), np.float32)]
    logits = {name: np.concatenate(nothing + rows) for name, rows in answers.items()}
    same = {name: same_answers(bundle, logits[FLOAT32], of_one) for name, of_one in logits.items()}
    labelled = pictures.classes == bundle.classes and pictures.multilabel == (bundle.task == "multilabel")
    truths = pictures.targets[places]
    if not places:
        score_name, score = "", dict.fromkeys(engines, 0.0)
    elif not labelled:
        score_name, score = "same answer as in float32", {name: float(each.mean()) for name, each in same.items()}
    elif bundle.task == "classify":
        score_name = "top-1 accuracy"
        score = {name: float((of_one.argmax(axis=1) == truths).mean()) for name, of_one in logits.items()}
    else:
        score_name = "mean average precision"
        score = {name: _precision(bundle, of_one, truths, pictures.origin) for name, of_one in logits.items()}
    return Measured(
        score_name=score_name,
        score=score,
        same_answer={name: int(each.sum()) for name, each in same.items()},
        pictures=len(places),
    )


def in_chunks(pictures: PictureSet, preprocess: Preprocess) -> Iterator[tuple[NDArray[np.uint8], list[int]]]:
    """Some pictures at a time, preprocessed, and their places in the set; what cannot be read is left out."""
    for start in range(0, len(pictures), CHUNK):
        pixels, places = [], []
        for place in range(start, min(start + CHUNK, len(pictures))):
            try:
                pixels.append(preprocess(pictures.read(place)))
            except PictureError:
                continue
            places.append(place)
        if pixels:
            yield np.stack(pixels), places


def _precision(bundle: Bundle, logits: NDArray[np.float32], truths: NDArray[np.int64], origin: str) -> float:
    precision = mean_average_precision(probabilities(bundle, logits), truths)[0]
    if precision is None:
        raise DataError(f"{origin}: none of the {len(truths)} pictures measured on has a label")
    return precision
