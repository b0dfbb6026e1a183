"""What engines of an int8 graph lose against the float32 graph, on pictures that neither was made with."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from convatlas.data.picture_set import PictureSet
from convatlas.data.preprocess import Preprocess
from convatlas.engine.bundle import Bundle
from convatlas.engine.graph_records import Runtime
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
    max_difference: Mapping[str, float]  # of a logit from that of float32
    pictures: int
    unlabelled: str  # why agreement is the score; "" where the labels are

    def loss(self, engine: str) -> float:
        """Points lost against float32."""
        return 100 * (self.score[FLOAT32] - self.score[engine])


def measure_loss(
    bundle: Bundle, float32: Engine, quantised: Mapping[Runtime, Engine], pictures: PictureSet
) -> Measured:
    """Let all engines answer the pictures; where labels cannot tell they are judged by agreement with float32.

    Labels cannot tell without the bundle's classes, or where float32 does no better on them than guessing: any graph
    would then do as well.

    Raises DataError where pictures of several labels have none.
    """
    engines: dict[str, Engine] = dict([(FLOAT32, float32), *quantised.items()])
    answers: dict[str, list[NDArray[np.float32]]] = {name: [] for name in engines}
    places: list[int] = []
    for pixels, read in in_chunks(pictures, bundle.preprocess):
        for name, engine in engines.items():
            answers[name].append(engine(pixels))
        places += read
    if not places:
        return Measured(score_name="", score={}, same_answer={}, max_difference={}, pictures=0, unlabelled="")
    logits = {name: np.concatenate(rows) for name, rows in answers.items()}
    same = {name: same_answers(bundle, logits[FLOAT32], of_one) for name, of_one in logits.items()}
    truths = pictures.targets[places]
    unlabelled = ""
    if pictures.classes != bundle.classes or pictures.multilabel != (bundle.task == "multilabel"):
        unlabelled = f"the classes of {pictures.origin} are not the bundle's"
    else:
        score_name, guessing = _guessing(bundle, truths)
        score = {name: _score(bundle, of_one, truths, pictures.origin) for name, of_one in logits.items()}
        if score[FLOAT32] <= guessing + 2 * math.sqrt(guessing * (1 - guessing) / len(truths)):
            unlabelled = f"float32 has a {score_name} of {score[FLOAT32]:.1%}, no better than guessing ({guessing:.1%})"
    if unlabelled:
        score_name = "same answer as in float32"
        score = {name: float(each.mean()) for name, each in same.items()}
    return Measured(
        score_name=score_name,
        score=score,
        same_answer={name: int(each.sum()) for name, each in same.items()},
        max_difference={name: float(np.abs(of_one - logits[FLOAT32]).max()) for name, of_one in logits.items()},
        pictures=len(places),
        unlabelled=unlabelled,
    )


def _guessing(bundle: Bundle, truths: NDArray[np.int64]) -> tuple[str, float]:
    """The name of the score by labels, and what it is without a look at the pictures."""
    if bundle.task == "classify":
        return "top-1 accuracy", float(np.bincount(truths).max() / len(truths))  # always the commonest class
    return "mean average precision", float(truths[:, truths.any(axis=0)].mean()) if truths.any() else 0.0


def _score(bundle: Bundle, logits: NDArray[np.float32], truths: NDArray[np.int64], origin: str) -> float:
    if bundle.task == "classify":
        return float((logits.argmax(axis=1) == truths).mean())
    precision = mean_average_precision(probabilities(bundle, logits), truths)[0]
    if precision is None:
        raise DataError(f"{origin}: none of the {len(truths)} pictures measured on has a label")
    return precision


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
