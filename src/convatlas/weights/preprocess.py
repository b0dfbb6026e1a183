"""What a weight set expects of a picture, as the one object that does it. No torch."""

from convatlas.data.preprocess import Preprocess
from convatlas.weights.weight_set import Transform


def preprocess_of(transform: Transform) -> Preprocess:
    """The geometry of a transform: a picture of any size -> uint8 pixels (3, crop, crop).

    The mean and scale are not in it: they are `transform.mean` and `transform.std`, for the network's own
    normalisation.
    """
    return Preprocess(
        channels=3,
        height=transform.crop,
        width=transform.crop,
        fit="stretch" if transform.resize is None else "crop",
        resize=transform.resize,
        interpolation=transform.interpolation,
    )
