"""Devices and precisions, as Hugging Face Accelerate places them."""

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState

from convatlas.errors import UsageError

DEVICES = ("auto", "cpu", "cuda", "mps")
MIXED_PRECISION = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}


def check_device(device: str, precision: str) -> None:
    """Raise UsageError for a device or a precision that is not there."""
    if device not in DEVICES:
        raise UsageError(f"unknown device {device!r}: there is {', '.join(DEVICES)}")
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("device cuda: torch sees no CUDA device here; `convatlas doctor` tells more")
    if device == "mps" and not torch.backends.mps.is_available():
        raise UsageError("device mps: torch sees no Apple GPU here; `convatlas doctor` tells more")
    on_cpu = device == "cpu" or not (torch.cuda.is_available() or torch.backends.mps.is_available())
    if precision == "float16" and on_cpu:
        raise UsageError("precision float16 needs a GPU; on the CPU use bfloat16 or float32")


def make_accelerator(device: str, precision: str, accumulate: int = 1) -> Accelerator:
    """Accelerate's view of the machine for one run. Raises UsageError for what `check_device` refuses."""
    check_device(device, precision)
    # Accelerate keeps its first answer for the whole process; a second run in it may ask for another device.
    AcceleratorState._reset_state(reset_partial_state=PartialState().num_processes == 1)
    GradientState._reset_state()
    accelerator = Accelerator(
        cpu=device == "cpu", mixed_precision=MIXED_PRECISION[precision], gradient_accumulation_steps=accumulate
    )
    if device not in ("auto", accelerator.device.type):
        raise UsageError(f"device {device}: Accelerate's own settings chose {accelerator.device.type} instead")
    return accelerator
