"""A network's answers over several views of each picture, made and answered one picture at a time."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from convatlas.data.picture_set import PictureSet
from convatlas.data.preprocess import Preprocess
from convatlas.data.views import Views, check_cropped, ten_crops, whole_picture
from convatlas.engine.deploy import Deployed
from convatlas.models.dense import densely

Cut = Callable[[PictureSet, int], NDArray[np.uint8]]
Join = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def network_for(views: Views, deployed: Deployed) -> Deployed:
    """What answers for such views, in evaluation mode; raises UsageError for a network without dense evaluation."""
    if views != "dense":
        return deployed
    return Deployed(deployed.normalize, densely(deployed.network), deployed.decode).eval()


def cut_for(views: Views, preprocess: Preprocess) -> Cut:
    """What gives the views (V, C, H, W) uint8 of one picture of a set, by its place.

    Raises UsageError when the preprocess leaves nothing to view: see `check_cropped`.
    """
    if views == "single":
        return lambda pictures, place: preprocess(pictures.read(place))[None]
    check_cropped(preprocess)
    if views == "ten-crop":
        return lambda pictures, place: ten_crops(pictures.read(place), preprocess)
    return lambda pictures, place: whole_picture(pictures.read(place), preprocess, pictures.names[place])


@torch.inference_mode()
def answer_views(deployed: nn.Module, pictures: PictureSet, cut: Cut, join: Join) -> NDArray[np.float64]:
    """Logits (N, K): the views of each picture are one batch, and `join` makes one row of their logits (V, K)."""
    device = next((tensor.device for tensor in deployed.parameters()), torch.device("cpu"))
    answers = []
    for place in range(len(pictures)):
        pixels = torch.from_numpy(cut(pictures, place)).to(device)
        answers.append(join(deployed(pixels).float().cpu().numpy().astype(np.float64)))
    return np.stack(answers)
