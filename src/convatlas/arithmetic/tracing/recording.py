"""How a network is run to be recorded: on the meta device, else on fake tensors, else for real."""

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from convatlas.arithmetic.tracing.run_log import RunLog
from convatlas.arithmetic.tracing.run_modes import Attention, Operations
from convatlas.arithmetic.tracing.stand_in import Convert, input_on_cpu, on_cpu, on_meta, stand_in
from convatlas.arithmetic.tracing.trace import How, Trace, TraceError
from convatlas.errors import ConvatlasError


def record(network: nn.Module, inputs: tuple[object, ...]) -> Trace:
    """As `trace`: on the meta device, else on fake tensors, else for real."""
    network = getattr(network, "_orig_mod", network)  # what torch.compile wrapped
    stopped: dict[How, TraceError] = {}
    for run in (_meta, _fake, _cpu):
        if run is _fake and not _may_run_on_fake(stopped["meta"]):
            continue
        try:
            return _with_notes(run(network, inputs), stopped)
        except TraceError as error:
            stopped[error.partial.how] = error
            if isinstance(error.__cause__, ConvatlasError):
                break  # it refuses the input in its own words: it would again
    last = list(stopped.values())[-1]
    raise last from last.__cause__


def _may_run_on_fake(stopped: TraceError) -> bool:
    """Whether it was the meta device that stopped it, and not its own shapes: fake tensors take seconds to import."""
    words = str(stopped.__cause__).lower()
    return "meta" in words or "device" in words


def _with_notes(done: Trace, stopped: Mapping[How, TraceError]) -> Trace:
    if not stopped:
        return done
    reason = next(iter(stopped.values()))
    where = reason.path or reason.partial.network
    why = f"it does not run on tensors without numbers (at {where}: {reason.reason})"
    if done.how == "fake":
        return dataclasses.replace(done, notes=(f"run on fake tensors: {why}",))
    note = (
        f"run for real on the processor: {why}; where its shapes or branches follow from numbers, they are those of "
        "this one run"
    )
    return dataclasses.replace(done, notes=(note,))


def _meta(network: nn.Module, inputs: tuple[object, ...]) -> Trace:
    with torch.device("meta"):  # also for tensors that the network makes itself
        return _run(network, inputs, "meta", on_meta, on_meta)


def _fake(network: nn.Module, inputs: tuple[object, ...]) -> Trace:
    from torch._subclasses.fake_tensor import FakeTensorMode  # noqa: PLC0415 - slow to import, and rarely needed

    def fake(tensor: Tensor) -> Tensor:
        return torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu")

    log = logging.getLogger("torch._subclasses.fake_tensor")
    level = log.level
    log.setLevel(logging.CRITICAL)  # it prints each failure, whether or not we know what to do next
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            return _run(network, inputs, "fake", fake, fake)
    finally:
        log.setLevel(level)


def _cpu(network: nn.Module, inputs: tuple[object, ...]) -> Trace:
    return _run(network, inputs, "cpu", on_cpu, input_on_cpu)


def _run(network: nn.Module, inputs: tuple[object, ...], how: How, convert: Convert, convert_input: Convert) -> Trace:
    copied = stand_in(network, convert)
    values = _mapped(inputs, convert_input)
    log = RunLog(copied, how)
    log.inputs = log.refs(values)
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad(), log.watching(), Attention(log), Operations(log):
            outputs = copied(*values)
    except Exception as error:  # a stranger's forward may raise anything
        raise log.error(error) from error
    log.outputs = log.refs(outputs)
    return log.trace()


def _mapped(value: Any, convert: Convert) -> Any:
    """The same tuples, lists and dicts with each tensor converted."""
    if isinstance(value, Tensor):
        return convert(value.detach())
    if isinstance(value, Mapping):
        return {key: _mapped(each, convert) for key, each in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_mapped(each, convert) for each in value))
    if isinstance(value, list | tuple):
        return type(value)(_mapped(each, convert) for each in value)
    return value
