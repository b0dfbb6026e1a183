"""Bundles small enough that a reader can compute their answers by hand."""

import contextlib
import dataclasses
import resource
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from convatlas.data.preprocess import Preprocess
from convatlas.engine.bundle import Bundle, read_bundle, update_bundle, write_bundle
from convatlas.engine.graph_records import Parity

PARITY = Parity(
    max_difference=2e-6, tolerance=1e-4, same_top1=9, pictures=9, data="corners test", opset=18, versions={"onnx": "1"}
)

# The logits of three classes: the brightness of three of the four pixels, a full one being 4.
CORNERS: NDArray[np.float32] = np.array([[4, 0, 0], [0, 4, 0], [0, 0, 4], [0, 0, 0]], np.float32) / np.float32(255)


def corners(**changes: object) -> Bundle:
    """The description of a network for 2 x 2 grey pictures."""
    fields: dict[str, object] = {
        "task": "classify",
        "model": "lenet5_modern",
        "changes": {"num_classes": 3, "in_channels": 1},
        "classes": ("top left", "top right", "bottom left"),
        "preprocess": Preprocess(channels=1, height=2, width=2, fit="stretch"),
        "mean": (0.1,),
        "std": (0.25,),
        "temperature": 1.5,
        "metrics": {"test": {"top-1 accuracy": 0.75, "pictures": 4}},
        "provenance": {"data": "corners", "seed": 0},
        "versions": {"python": "3.11"},
    }
    return Bundle(**(fields | changes))  # type: ignore[arg-type]  # fields by name, some changed by the test


def write_corners(folder: Path, **changes: object) -> Path:
    """A bundle whose ONNX graph gives the CORNERS logits; its temperature is 1 unless changed."""
    write_bundle(folder, corners(**({"temperature": 1.0} | changes)), {"weight": CORNERS})
    graph = folder.with_name(folder.name + ".onnx")
    write_linear_graph(graph, CORNERS)
    update_bundle(folder, dataclasses.replace(read_bundle(folder), parity=PARITY), {"model.onnx": graph})
    graph.unlink()
    return folder


def write_linear_graph(path: Path, weight: NDArray[np.float32]) -> None:
    """pixels uint8 (N, 1, 2, 2) -> logits float (N, 3) = flattened pixels @ weight, as an ONNX graph."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["floats"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "corners",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", 1, 2, 2])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(weight, "weight")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)


@contextlib.contextmanager
def disk_that_takes(size: int) -> Iterator[None]:
    """Inside the block no file can grow beyond `size` bytes, as on a disk that is full. Holds for root, too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too, to see that nothing has changed or was left behind."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
