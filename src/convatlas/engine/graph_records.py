"""What a bundle records of its graphs: how near the exported one comes to the network, and the int8 one to that."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from convatlas.engine.fields import Fields

Runtime = Literal["onnxruntime", "openvino"]
RUNTIMES: tuple[Runtime, ...] = ("onnxruntime", "openvino")


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How near the exported graph came to the network, on the pictures that `data` names."""

    max_difference: float  # max |logit of the graph - logit of the network|
    tolerance: float  # the bound that it kept: 1e-4 * max(1, max |logit|)
    same_top1: int  # pictures with the same best class; multi-label: with the same set of labels
    pictures: int  # pictures compared
    data: str  # which pictures: "digits test", "16 generated pictures"
    opset: int  # ONNX operator set of the graph
    versions: Mapping[str, str]  # of the packages that exported and compared
    any_size: bool = False  # whether the graph takes pictures of other sizes, too; it was then compared on larger ones


@dataclass(frozen=True, kw_only=True)
class Quantised:
    """What the int8 graph loses against the float32 graph, on pictures that it was not calibrated on."""

    runtime: Runtime  # what it was measured on, and answers on where that is installed
    score_name: str  # "top-1 accuracy", "mean average precision"; without labels "same answer as in float32"
    float32: float  # that score, 0..1; without labels 1
    int8: float
    loss: float  # points: 100 * (float32 - int8)
    most_loss: float  # the bound in points that it kept
    same_answer: int  # pictures with the same best class as in float32; multi-label: with the same set of labels
    max_difference: float  # max |logit in int8 - logit in float32|
    pictures: int  # pictures measured on
    data: str  # which pictures: "digits test"
    calibration_pictures: int
    calibration_data: str
    unreadable: int  # pictures that were chosen for either, but could not be read
    method: str  # in words: how ranges were measured
    weight_bits: int  # 7 where it was made on a processor without VNNI, on which sums of 8-bit products may saturate
    float32_bytes: int  # of the graph's file
    int8_bytes: int
    versions: Mapping[str, str]  # of the packages that quantised and measured


def read_parity(fields: Fields) -> Parity:
    """From the description of a bundle. Raises FieldError."""
    return Parity(
        max_difference=fields.number("max_difference"),
        tolerance=fields.number("tolerance"),
        same_top1=fields.integer("same_top1"),
        pictures=fields.integer("pictures"),
        data=fields.text("data"),
        opset=fields.integer("opset"),
        versions=fields.text_mapping("versions"),
        any_size=fields.value.get("any_size") is True,  # bundles that were written before there was a choice lack it
    )


def read_quantised(fields: Fields) -> Quantised:
    """From the description of a bundle. Raises FieldError."""
    runtime = fields.text("runtime")
    if runtime not in RUNTIMES:
        raise fields.wrong("runtime", " or ".join(RUNTIMES))
    return Quantised(
        runtime=runtime,
        score_name=fields.text("score_name"),
        float32=fields.number("float32"),
        int8=fields.number("int8"),
        loss=fields.number("loss"),
        most_loss=fields.number("most_loss"),
        same_answer=fields.integer("same_answer"),
        max_difference=fields.number("max_difference"),
        pictures=fields.integer("pictures"),
        data=fields.text("data"),
        calibration_pictures=fields.integer("calibration_pictures"),
        calibration_data=fields.text("calibration_data"),
        unreadable=fields.integer("unreadable"),
        method=fields.text("method"),
        weight_bits=fields.integer("weight_bits"),
        float32_bytes=fields.integer("float32_bytes"),
        int8_bytes=fields.integer("int8_bytes"),
        versions=fields.text_mapping("versions"),
    )
