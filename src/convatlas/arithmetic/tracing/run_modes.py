"""The two modes of torch that see what a network does while it runs: each ATen call, and attention as a whole."""

import functools
import threading
from typing import Any, Self

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from convatlas.arithmetic.tracing.quick_shapes import quick_attention, quick_output
from convatlas.arithmetic.tracing.run_log import RunLog
from convatlas.arithmetic.tracing.untouched import Untouched


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's hook for subclasses has no types
    """Puts each ATen call into the log, and lets the network's own tensors be put aside before it."""

    def __init__(self, log: RunLog, own: Untouched) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # nor has this
        self._log = log
        self._own = own

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # torch would import its compiler, for a second, only to keep it away from this class

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        options = kwargs or {}
        self._own.before((args, options))
        if torch.is_inference_mode_enabled():  # there, what is made of other operations arrives whole
            with self:
                parts = func.decompose(*args, **options)
            if parts is not NotImplemented:
                return parts
        outputs = quick_output(func, args, options) if self._log.how == "meta" else NotImplemented
        if outputs is NotImplemented:
            outputs = func(*args, **options)
        if not self._log.paused and func.namespace != "prim":  # such as to ask for a tensor's device
            kind, positional = _signature(func)
            rest = tuple(options.get(name, default) for name, default in positional[len(args) :])
            self._log.add(kind, (*args, *rest), (args, options), outputs)
        return outputs


@functools.cache
def _signature(func: Any) -> tuple[str, tuple[tuple[str, object], ...]]:
    """The name without namespace and overload, and the positional arguments with their defaults."""
    schema = func._schema
    positional = [(each.name, each.default_value) for each in schema.arguments if not each.kwarg_only]
    name = schema.name.rpartition("::")[2]  # TorchScript calls a convolution by the name that torch has for itself
    return ("convolution" if name == "_convolution" else name), tuple(positional)


class Attention(TorchFunctionMode):
    """Puts attention into the log as one operation: what it is made of differs from device to device.

    Multi-head attention is then its projections and one attention, not the one operation that torch may make of it.
    torch's own functions look the name up in their module and then call it past every mode, so that the name has to
    stand for another function meanwhile; the mode meets those who have imported the function. It looks for autocast
    too, which is no longer to be seen where the ATen calls are.
    """

    def __init__(self, log: RunLog) -> None:
        super().__init__()
        self._log = log

    def __enter__(self) -> Self:
        self._thread = threading.get_ident()
        self._before = nn.functional.scaled_dot_product_attention
        self._fast = torch.backends.mha.get_fastpath_enabled()
        super().__enter__()  # type: ignore[no-untyped-call]  # torch's modes have no types
        torch.backends.mha.set_fastpath_enabled(False)
        nn.functional.scaled_dot_product_attention = self._recorded
        return self

    def __exit__(self, *error: Any) -> None:
        nn.functional.scaled_dot_product_attention = self._before
        torch.backends.mha.set_fastpath_enabled(self._fast)
        super().__exit__(*error)  # type: ignore[no-untyped-call]  # as above

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self._look_for_autocast()
        return (self._recorded if func is _PLAIN else func)(*args, **(kwargs or {}))

    def _look_for_autocast(self) -> None:
        """Autocast goes by the device of the tensors. Fake tensors are on the processor; there are none elsewhere."""
        on = {device for device in ("cpu", "cuda", "mps", "xpu") if torch.is_autocast_enabled(device)}
        if "cpu" in on and self._log.how == "meta":
            raise NotImplementedError("autocast for the processor has no effect on the meta device")
        self._log.autocast |= on - {"cpu"}

    def _recorded(self, *args: Any, **options: Any) -> Any:
        log = self._log
        if log.paused or threading.get_ident() != self._thread:
            return _PLAIN(*args, **options)
        filled = (*args, *(options.get(name, default) for name, default in _ATTENTION[len(args) :]))
        log.paused = True
        try:
            outputs = quick_attention(*filled) if log.how == "meta" else NotImplemented
            if outputs is NotImplemented:
                outputs = _PLAIN(*args, **options)
        finally:
            log.paused = False
        log.add("scaled_dot_product_attention", filled, filled, outputs)
        return outputs


_PLAIN = torch._C._nn.scaled_dot_product_attention  # what torch.nn.functional's is, unless someone has replaced it
_ATTENTION: tuple[tuple[str, object], ...] = (
    ("query", None),
    ("key", None),
    ("value", None),
    ("attn_mask", None),
    ("dropout_p", 0.0),
    ("is_causal", False),
    ("scale", None),
    ("enable_gqa", False),
)
