"""A float32 ONNX graph in int8, by ONNX Runtime's own quantiser: ranges measured on pictures, biases corrected.

Rounding a channel's weights shifts its mean: an edge filter's weights cancel out, the rounded ones do not. The shift is
known beforehand, the rounding errors times the mean of what the channel takes in, and its bias can take it back: Nagel
et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019, section 4.2
(https://arxiv.org/abs/1906.04721). On EfficientNet-Lite0 this halves the error of the logits, at no cost in time.
"""

import contextlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from convatlas.engine.predict.onnx_engine import OnnxEngine, first_line
from convatlas.engine.processor import saturates
from convatlas.errors import ExportError, SaveError

CHUNK = 4  # pictures whose activations are held at a time
PERCENTILE = 99.99  # of a tensor's values: what lies outside is cut off
RANGES: Final = ("least to greatest", "percentile")

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Int8Graph:
    """graph: its file. method: how it was made, in words for the record. weight_bits: 8, or 7 (`saturates`)."""

    graph: Path
    method: str
    weight_bits: int


def write_int8(graph: Path, pictures: NDArray[np.uint8], folder: Path, say: Say) -> Int8Graph:
    """Quantise a graph of uint8 pixels -> float logits, calibrated on preprocessed pictures (N, C, H, W).

    folder: an empty one to work in; the result lies there. Ranges of activations are measured in two ways, and the
    graph is kept whose logits are nearer to float32's on the same pictures, in root mean square.
    Raises ExportError for a graph that ONNX Runtime's quantiser does not take.
    """
    prepared, corrected = folder / "prepared.onnx", folder / "corrected.onnx"
    narrow = saturates()
    _prepare(graph, prepared)
    _correct_biases(prepared, corrected, pictures, steps=64 if narrow else 127)
    expected = _logits(prepared, pictures)
    errors: dict[str, float] = {}
    for ranges in RANGES:
        say(f"measuring the ranges of activations on {len(pictures)} pictures ({ranges})")
        record = folder / f"{ranges}.json"
        _measure_ranges(prepared, record, pictures, ranges)
        _quantise(corrected, folder / f"{ranges}.onnx", record, ranges, reduce_range=narrow)
        errors[ranges] = float(np.square(_logits(folder / f"{ranges}.onnx", pictures) - expected).mean())
    best = min(RANGES, key=lambda ranges: errors[ranges])
    named = {"least to greatest": best, "percentile": f"percentile {PERCENTILE:g}"}[best]
    bits = 7 if narrow else 8
    return Int8Graph(
        graph=folder / f"{best}.onnx",
        method=f"activations of 8 bits a tensor ({named}), weights of {bits} bits, a scale a channel; biases corrected",
        weight_bits=bits,
    )


@contextlib.contextmanager
def _refused() -> Iterator[None]:
    """The quantiser's errors share no class, and it prints what it does."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    except OSError as error:
        raise SaveError(f"the int8 graph could not be written ({error.strerror or error})") from error
    except Exception as error:
        raise ExportError(f"ONNX Runtime's quantiser does not take this graph: {first_line(error)}") from error


@_refused()
def _prepare(graph: Path, target: Path) -> None:
    """Constants folded, normalisation joined to convolutions, shapes inferred."""
    from onnxruntime.quantization import quant_pre_process  # noqa: PLC0415 - an optional extra

    quant_pre_process(graph, target, skip_symbolic_shape=True)


class _Pictures:
    """Hands pictures one by one to a calibrator of ONNX Runtime."""

    def __init__(self, pictures: NDArray[np.uint8]) -> None:
        self.left = iter(pictures)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        picture = next(self.left, None)
        return None if picture is None else {"pixels": picture[None]}


@_refused()
def _measure_ranges(graph: Path, record: Path, pictures: NDArray[np.uint8], ranges: str) -> None:
    """Write the range of each tensor over the pictures, in the form that `quantize_static` reads."""
    from onnxruntime.quantization import create_calibrator, save_tensors_data  # noqa: PLC0415

    options = {"percentile": PERCENTILE, "symmetric": False} if ranges == "percentile" else {}
    calibrator = create_calibrator(
        graph,
        augmented_model_path=str(record.with_suffix(".augmented.onnx")),
        calibrate_method=_method(ranges),
        extra_options=options,
    )
    for start in range(0, len(pictures), CHUNK):
        calibrator.collect_data(_Pictures(pictures[start : start + CHUNK]))
    save_tensors_data(calibrator.compute_data(), record)


@_refused()
def _quantise(graph: Path, target: Path, record: Path, ranges: str, *, reduce_range: bool) -> None:
    from onnxruntime.quantization import QuantType, quantize_static  # noqa: PLC0415

    quantize_static(
        graph,
        target,
        per_channel=True,
        reduce_range=reduce_range,
        activation_type=QuantType.QUInt8,  # with int8 weights: what the kernels of x86 are written for
        weight_type=QuantType.QInt8,
        calibrate_method=_method(ranges),
        calibration_cache_path=record,
    )


def _method(ranges: str) -> Any:
    from onnxruntime.quantization import CalibrationMethod  # noqa: PLC0415

    return CalibrationMethod.Percentile if ranges == "percentile" else CalibrationMethod.MinMax


def _logits(graph: Path, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    engine = OnnxEngine(graph)
    return np.concatenate([engine(pictures[start : start + CHUNK]) for start in range(0, len(pictures), CHUNK)])


@_refused()
def _correct_biases(graph: Path, target: Path, pictures: NDArray[np.uint8], *, steps: int) -> None:
    """Add to each layer's biases what rounding its weights to `steps` on either side of zero takes from their mean."""
    import onnx  # noqa: PLC0415
    from onnx import numpy_helper  # noqa: PLC0415

    model = onnx.load(graph)
    constants = {constant.name: constant for constant in model.graph.initializer}
    layers = [node for node in model.graph.node if _is_layer(node, constants)]
    means = _input_means(model, sorted({layer.input[0] for layer in layers}), pictures)
    for layer in layers:
        weight = numpy_helper.to_array(constants[layer.input[1]])
        shift = lost_mean(weight, means[layer.input[0]], steps=steps)
        bias = numpy_helper.to_array(constants[layer.input[2]]) if len(layer.input) == 3 else np.zeros_like(shift)
        own = f"{layer.output[0]}.corrected_bias"  # of its own: layers may share a constant
        model.graph.initializer.append(numpy_helper.from_array((bias + shift).astype(weight.dtype), own))
        layer.input[2:] = [own]
    used = {name for node in model.graph.node for name in node.input}
    for name, constant in constants.items():
        if name not in used:
            model.graph.initializer.remove(constant)
    onnx.save(model, target)


def lost_mean(weight: NDArray[np.floating], mean: NDArray[np.floating], *, steps: int) -> NDArray[np.floating]:
    """What a layer's outputs (K,) lose on average when its weights are rounded channel by channel.

    weight (K, C / groups, ...); mean (C,): of each channel that it takes in; steps: of a scale on either side of zero.
    """
    flat = weight.reshape(len(weight), -1)
    scale = np.abs(flat).max(axis=1, initial=0) / steps
    scale = np.where(scale > 0, scale, 1).reshape(-1, *[1] * (weight.ndim - 1))
    rounded = np.round(weight / scale) * scale
    error = (weight - rounded).reshape(*weight.shape[:2], -1).sum(axis=2)  # (K, C / groups)
    groups = len(mean) // weight.shape[1]
    by_group = error.reshape(groups, -1, weight.shape[1])
    return np.asarray((by_group @ mean.reshape(groups, -1, 1)).reshape(-1))


def _is_layer(node: Any, constants: dict[str, Any]) -> bool:
    """A convolution, or a fully connected layer x W^T + b, with constant weights (K, C, ...) and biases, if any."""
    if len(node.input) < 2 or any(name not in constants for name in node.input[1:]):
        return False
    if node.op_type == "Gemm":
        settings = {each.name: each.f or each.i for each in node.attribute}
        plain = settings.get("alpha", 1) == settings.get("beta", 1) == 1 and not settings.get("transA", 0)
        return len(node.input) == 3 and plain and settings.get("transB", 0) == 1
    return bool(node.op_type == "Conv")


def _input_means(model: Any, tensors: list[str], pictures: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """The mean over the pictures of each channel (C,) of tensors (N, C, ...) inside the graph."""
    import onnx  # noqa: PLC0415
    import onnxruntime  # noqa: PLC0415

    if not tensors:
        return {}
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    del watched.graph.output[:]
    for tensor in tensors:
        watched.graph.output.append(onnx.helper.make_empty_tensor_value_info(tensor))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(watched.SerializeToString(), options, providers=["CPUExecutionProvider"])
    sums = [np.float64(0)] * len(tensors)
    for picture in pictures:
        for place, value in enumerate(session.run(tensors, {"pixels": picture[None]})):
            sums[place] = sums[place] + value.reshape(*value.shape[:2], -1).mean(axis=(0, 2), dtype=np.float64)
    return {tensor: np.asarray(total / len(pictures), np.float32) for tensor, total in zip(tensors, sums, strict=True)}
