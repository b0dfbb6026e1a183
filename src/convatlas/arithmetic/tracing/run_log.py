"""What has happened so far in a run: its tensors, module calls and operations."""

import contextlib
import dataclasses
import functools
import threading
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from convatlas.arithmetic.tracing.trace import Call, How, Op, State, TensorRef, Trace, TraceError, tensors_in


@dataclasses.dataclass
class _Begun:
    """A module call that goes on."""

    index: int  # in the log's calls
    path: str
    call: int


class RunLog:
    """What has happened so far."""

    def __init__(self, network: nn.Module, how: How) -> None:
        self._network = network
        self.how = how
        self._known: dict[int, tuple[TensorRef, weakref.ref[Tensor]]] = {}
        self._count = 0
        self._under_way: list[_Begun] = []
        self._times: dict[str, int] = defaultdict(int)
        self._failure: tuple[BaseException, int] | None = None  # what stopped it, and the index of the call
        self._thread = threading.get_ident()
        self._elsewhere = False  # whether another thread has called a module
        self.paused = False
        self.ops: list[Op] = []
        self.calls: list[Call] = []
        self.inputs: tuple[TensorRef, ...] = ()
        self.outputs: tuple[TensorRef, ...] = ()
        self.notes: list[str] = []
        self.autocast: set[str] = set()  # devices whose autocast was on, and had no effect
        self._states = tuple(self._named_states(network))

    # --- Tensors

    def ref(self, tensor: Tensor) -> TensorRef:
        """The name of a tensor: the same as long as it lives."""
        known = self._known.get(id(tensor))
        if known is None or known[1]() is not tensor:
            ref = TensorRef(self._count, tuple(map(int, tensor.shape)), tensor.dtype)
            self._count += 1
        elif known[0].shape == tensor.shape:
            return known[0]
        else:  # reshaped in place
            ref = TensorRef(known[0].id, tuple(map(int, tensor.shape)), tensor.dtype)
        self._known[id(tensor)] = (ref, weakref.ref(tensor))
        return ref

    def refs(self, value: object) -> tuple[TensorRef, ...]:
        """Those of all tensors in a value."""
        return tuple(map(self.ref, tensors_in(value)))

    def _named_states(self, network: nn.Module) -> Iterator[State]:
        parameters, buffers = dict(network.named_parameters()), dict(network.named_buffers())
        for name, tensor in (*parameters.items(), *buffers.items()):
            if not nn.parameter.is_lazy(tensor):
                learned = name in parameters  # by name: those of TorchScript are not of the class nn.Parameter
                yield State(
                    ref=self.ref(tensor),
                    name=name,
                    kind="parameter" if learned else "buffer",
                    trainable=learned and tensor.requires_grad,
                )

    # --- Modules

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """While this lasts, each call of a module of the network is logged."""
        watched = []
        try:
            for path, module in self._network.named_modules():
                if not isinstance(module, torch.jit.ScriptModule):
                    module.forward = self._watched(path, module, module.forward)
                    watched.append(module)
            yield
        finally:
            for module in watched:  # else each module would be part of a circle, and its memory stay for a while
                del module.forward

    def _watched(self, path: str, module: nn.Module, forward: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(forward)
        def watched(*args: Any, **kwargs: Any) -> Any:
            begun = self._begin(path, module, self.refs((args, kwargs)))
            try:
                outputs = forward(*args, **kwargs)
            except (Exception, SystemExit) as error:
                if self._failure is None or self._failure[0] is not error:
                    self._failure = (error, begun.index)
                raise
            finally:
                self._under_way.pop()
            self._end(begun, module, outputs)
            return outputs

        return watched

    def _begin(self, path: str, module: nn.Module, inputs: tuple[TensorRef, ...]) -> _Begun:
        self._elsewhere |= threading.get_ident() != self._thread
        if self._under_way:
            parent = self._under_way[-1].index
            self.calls[parent] = dataclasses.replace(self.calls[parent], children=self.calls[parent].children + 1)
        begun = _Begun(len(self.calls), path, self._times[path])
        self._times[path] += 1
        self.calls.append(
            Call(
                path=path,
                kind=type(module).__name__,
                call=begun.call,
                depth=len(self._under_way),
                inputs=inputs,
                outputs=(),
                begin=len(self.ops),
                end=len(self.ops),
                children=0,
            )
        )
        self._under_way.append(begun)
        return begun

    def _end(self, begun: _Begun, module: nn.Module, outputs: object) -> None:
        self.calls[begun.index] = dataclasses.replace(
            self.calls[begun.index],
            outputs=self.refs(outputs),
            end=len(self.ops),
            stated_macs=_stated_macs(module, outputs),
        )

    # --- Operations

    def add(self, kind: str, args: tuple[object, ...], given: object, outputs: object) -> None:
        """Log an operation. given: all that it was called with, in which its inputs are."""
        path, call = (self._under_way[-1].path, self._under_way[-1].call) if self._under_way else ("", 0)
        self.ops.append(
            Op(
                kind=kind,
                path=path,
                call=call,
                args=tuple(map(self._told, args)),
                inputs=self.refs(given),
                outputs=self.refs(outputs),
            )
        )

    def _told(self, value: object) -> object:
        if isinstance(value, Tensor):
            return self.ref(value)
        return tuple(map(self._told, value)) if isinstance(value, list | tuple) else value

    # --- Results

    def trace(self) -> Trace:
        """All that happened until now."""
        for begun in self._under_way:
            self.calls[begun.index] = dataclasses.replace(self.calls[begun.index], end=len(self.ops))
        notes = [f"autocast for {each} was not applied: types are those without it" for each in sorted(self.autocast)]
        if self._elsewhere:
            notes.append("other threads called modules: what these do there is not seen, and not counted")
        return Trace(
            inputs=self.inputs,
            outputs=self.outputs,
            ops=tuple(self.ops),
            calls=tuple(self.calls),
            parameters={state.ref.id: state.name for state in self._states},
            states=self._states,
            how=self.how,
            network=type(self._network).__name__,
            notes=(*self.notes, *notes),
        )

    def error(self, error: BaseException) -> TraceError:
        """The same, as the error that ended it: where it happened, and what was given there."""
        reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        if isinstance(error, SystemExit):
            reason = f"it called sys.exit({error.code})"
        index = self._failure[1] if self._failure is not None and self._failure[0] is error else None
        at = None if index is None else self.calls[index]
        return TraceError(
            reason,
            partial=dataclasses.replace(self.trace(), stopped=True, stopped_in=index),
            path="" if at is None else at.path,
            kind=type(self._network).__name__ if at is None else at.kind,
            got=tuple(ref.shape for ref in (self.inputs if at is None else at.inputs)),
        )


def _stated_macs(module: nn.Module, outputs: object) -> int | None:
    stated = getattr(module, "multiply_accumulates", None)
    return int(stated(outputs)) if callable(stated) and isinstance(outputs, Tensor) else None
