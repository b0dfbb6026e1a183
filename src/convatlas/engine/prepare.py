"""Published weights made into a bundle: the one time that using them needs torch."""

import dataclasses
import importlib.util
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convatlas.data.pictures import decode
from convatlas.data.preprocess import Preprocess
from convatlas.engine.bundle import Bundle, read_bundle, update_bundle, write_bundle
from convatlas.engine.export import export_onnx
from convatlas.engine.versions import can_export, versions
from convatlas.errors import ExportError
from convatlas.models import create_model
from convatlas.weights.load import load_weights
from convatlas.weights.weight_set import Source

NOT_EXPORTED = "not_exported"  # in the provenance: why there is no graph, so that not every start tries again

SCALES = (2, 5, 12, 30)  # colours along a side: from a wash of colour to texture
EACH = 4  # pictures a scale


def prepare_bundle(folder: Path, bundle: Bundle, file: Path, source: Source) -> None:
    """Write the bundle of the weights in `file`, exported to ONNX where the extra `export` is installed.

    bundle: its description, to which the time and the versions are added. source: whose names the weights have.
    Raises WeightsError for weights that do not fit, SaveError when the place cannot be written.
    """
    network = create_model(bundle.model, **bundle.changes)
    load_weights(network, file, source=source)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    bundle = dataclasses.replace(bundle, provenance={**bundle.provenance, "created": created}, versions=versions())
    write_bundle(folder, bundle, {name: tensor.numpy() for name, tensor in network.state_dict().items()})
    if can_export():
        add_graph(folder)


def add_graph(folder: Path) -> None:
    """Export the bundle, compared on real photographs where a package carries some, else on generated pictures.

    A graph that disagrees with its network is not kept: the bundle then says why, and works on torch all the same.
    """
    bundle = read_bundle(folder)
    files = photographs()
    pictures = crops(files, bundle.preprocess) if files else generated_pictures(bundle.preprocess)
    named = f"crops of {len(files)} photographs of scikit-learn" if files else "generated pictures"
    try:
        export_onnx(folder, pictures, f"{len(pictures)} {named}")
    except ExportError as error:
        reason = {NOT_EXPORTED: str(error)}
        update_bundle(folder, dataclasses.replace(bundle, provenance={**bundle.provenance, **reason}), {})


def photographs() -> list[Path]:
    """The photographs that scikit-learn carries, where it is installed; it is found, never imported."""
    spec = importlib.util.find_spec("sklearn")
    return sorted(Path(spec.origin).parent.glob("datasets/images/*.jpg")) if spec is not None and spec.origin else []


def crops(files: Sequence[Path], preprocess: Preprocess) -> NDArray[np.uint8]:
    """The same 16 square parts of photographs each time, large and small, preprocessed, (16, C, H, W)."""
    random = np.random.default_rng(0)
    parts = []
    for number in range(len(SCALES) * EACH):
        photograph = decode(files[number % len(files)])
        height, width, _ = photograph.shape
        side = int(random.integers(min(height, width) // 3, min(height, width) + 1))
        top, left = (int(random.integers(0, length - side + 1)) for length in (height, width))
        parts.append(preprocess(photograph[top : top + side, left : left + side]))
    return np.stack(parts)


def generated_pictures(preprocess: Preprocess) -> NDArray[np.uint8]:
    """The same 16 smooth pictures of random colours each time, preprocessed, (16, C, H, W).

    To compare a graph with its network pictures will do on which its answers differ; these need no package.
    """
    random = np.random.default_rng(0)
    size = (preprocess.width, preprocess.height)
    colours = [random.integers(0, 256, (scale, scale, 3), dtype=np.uint8) for scale in SCALES for _ in range(EACH)]
    smooth = [Image.fromarray(each).resize(size, Image.Resampling.BICUBIC) for each in colours]
    return np.stack([preprocess(np.asarray(image)) for image in smooth])
