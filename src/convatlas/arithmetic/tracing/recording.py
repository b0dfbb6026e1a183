"""How a network is run to be recorded: on the meta device, else on fake tensors, else for real."""

import contextlib
import dataclasses
import logging
import random
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from convatlas.arithmetic.tracing.run_log import RunLog
from convatlas.arithmetic.tracing.run_modes import Attention, Operations
from convatlas.arithmetic.tracing.stand_in import Convert, input_on_cpu, on_cpu, on_meta, stand_in
from convatlas.arithmetic.tracing.trace import How, Trace, TraceError
from convatlas.arithmetic.tracing.untouched import Untouched
from convatlas.errors import ConvatlasError

_ONE_AT_A_TIME = threading.RLock()  # what a run changes of torch meanwhile is there for all threads; a run may trace


def record(network: nn.Module, inputs: tuple[object, ...]) -> Trace:
    """As `trace`: on the meta device, else on fake tensors, else for real; in one thread after the other."""
    network = getattr(network, "_orig_mod", network)  # what torch.compile wrapped
    reason, fake_may_do = "", False
    with _ONE_AT_A_TIME:
        for how in ("meta", "fake"):
            if how == "fake" and not fake_may_do:
                break
            try:
                return _told(_meta(network, inputs) if how == "meta" else _fake(network, inputs), reason)
            except TraceError as error:
                if how == "fake":
                    continue  # without numbers it does not run: let real ones say what is wrong, if anything is
                if not _lacks_numbers(error.__cause__):
                    raise  # its shapes are wrong, or it refuses them: on real tensors it would again
                where = error.path or error.partial.network
                reason = f"it does not run on tensors without numbers (at {where}: {error.reason})"
                fake_may_do = _blames_the_device(error.__cause__) and not _lazy_modules(network)  # nor do they mix
        return _told(_real(network, inputs), reason)


def _told(done: Trace, reason: str) -> Trace:
    """With a note of why it was run on something else than the meta device."""
    if done.how == "meta":
        return done
    note = f"run on fake tensors: {reason}"
    if done.how == "cpu":
        note = (
            f"run for real on the processor: {reason}; where its shapes or branches follow from numbers, they are "
            "those of this one run"
        )
    return dataclasses.replace(done, notes=(note, *done.notes))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, what it was raised from, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _lacks_numbers(error: BaseException | None) -> bool:
    """Whether it is for want of numbers or of a real device that a run stopped. torch has no one error for it."""
    if isinstance(error, ConvatlasError):
        return False
    return any(
        isinstance(each, NotImplementedError)
        or type(each).__module__.startswith(("torch._subclasses", "torch.fx"))
        or any(word in str(each).lower() for word in _WORDS)
        for each in _causes(error)
    )


_WORDS = ("meta", "fake", "device", "data", "storage", "symbol", "torchscript")  # the last drops the reason at times


def _blames_the_device(error: BaseException | None) -> bool:
    """Whether fake tensors, which say that they are on the processor, may do: they take seconds to import."""
    return any(word in str(each).lower() for each in _causes(error) for word in ("meta", "device"))


def _meta(network: nn.Module, inputs: tuple[object, ...]) -> Trace:
    with torch.device("meta"):  # also for tensors that the network makes itself
        return _run(network, inputs, "meta", on_meta, on_meta)


def _real(network: nn.Module, inputs: tuple[object, ...]) -> Trace:
    with torch.device("cpu"):  # whatever the user's default is
        return _run(network, inputs, "cpu", on_cpu, input_on_cpu)


def _fake(network: nn.Module, inputs: tuple[object, ...]) -> Trace:
    from torch._subclasses.fake_tensor import FakeTensorMode  # noqa: PLC0415 - slow to import, and rarely needed

    def fake(tensor: Tensor) -> Tensor:
        return torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu")

    log = logging.getLogger("torch._subclasses.fake_tensor")
    level = log.level
    log.setLevel(logging.CRITICAL)  # it prints each failure, whether or not we know what to do next
    try:
        with FakeTensorMode(allow_non_fake_inputs=True), torch.device("cpu"):
            return _run(network, inputs, "fake", fake, fake)
    finally:
        log.setLevel(level)


def _run(network: nn.Module, inputs: tuple[object, ...], how: How, convert: Convert, convert_input: Convert) -> Trace:
    own = Untouched(network)
    copied, unhooked = stand_in(network, convert)
    with _same_random_numbers_after(), torch.no_grad(), own.restoring():
        values = _mapped(inputs, convert_input)
        notes = [_of_paths("forward hooks were not called", unhooked)] if unhooked else []
        lazy = _lazy_modules(copied)
        if lazy:
            notes.append(_of_paths("lazy layers took their sizes from these inputs", lazy))
            first = RunLog(copied, how)
            first.paused = True  # there is no shape to log yet
            with contextlib.suppress(Exception, SystemExit), Operations(first, own):
                copied(*values)  # if it fails, it will again, and then in the log
        log = RunLog(copied, how)
        log.notes += notes
        log.inputs = log.refs(values)
        try:
            with log.watching(), Attention(log), Operations(log, own):
                outputs = copied(*values)
        except (Exception, SystemExit) as error:  # a stranger's forward may raise anything
            raise log.error(error) from error
        if own.touched:
            log.notes.append(
                "a function of the network uses the network's own tensors, past the copy that was run: they are as "
                "before, but not counted as parameters where it does"
            )
        log.outputs = log.refs(outputs)
        return log.trace()


@contextlib.contextmanager
def _same_random_numbers_after() -> Iterator[None]:
    """The generators of torch, of Python and, where it is loaded, of NumPy go on as if nothing had been drawn."""
    state = random.getstate()
    numpy: Any = sys.modules.get("numpy")
    numpy_state = numpy.random.get_state() if numpy is not None else None
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(state)
        if numpy is not None:
            numpy.random.set_state(numpy_state)


def _lazy_modules(network: nn.Module) -> tuple[str, ...]:
    return tuple(
        path
        for path, module in network.named_modules()
        if any(nn.parameter.is_lazy(each) for each in (*module._parameters.values(), *module._buffers.values()))
    )


def _of_paths(what: str, paths: Sequence[str]) -> str:
    listed = ", ".join(path or "the network itself" for path in paths[:5])
    return f"{what}: {listed}" + (f" and {len(paths) - 5} more" if len(paths) > 5 else "")


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
