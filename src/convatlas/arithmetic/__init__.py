"""What a network costs: in closed form, and counted for any `torch.nn.Module`. This room never imports the models.

>>> from convatlas.arithmetic import convolution, convolution_size
>>> convolution_size(32, kernel=5)
28
>>> convolution((224, 224), in_channels=64, out_channels=128, kernel=3, padding=1).parameters_formula
'9·64·128 + 128 = 73,856'

Each public name is imported when it is first used: the closed forms need no torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

_HOMES = {
    "COMPARISONS": "convatlas.arithmetic.costs",
    "ERRATA": "convatlas.arithmetic.errata",
    "AxisField": "convatlas.arithmetic.field.closed",
    "Comparison": "convatlas.arithmetic.costs.comparison",
    "Complexity": "convatlas.arithmetic.memory",
    "EffectiveField": "convatlas.arithmetic.field.effective",
    "Erratum": "convatlas.arithmetic.errata",
    "InferenceMemory": "convatlas.arithmetic.memory",
    "Layer": "convatlas.arithmetic.layers",
    "LayerField": "convatlas.arithmetic.field.theoretical",
    "ReceptiveField": "convatlas.arithmetic.field.closed",
    "Side": "convatlas.arithmetic.costs.comparison",
    "TrainingMemory": "convatlas.arithmetic.memory",
    "WindowLayer": "convatlas.arithmetic.field.closed",
    "alexnet_connections": "convatlas.arithmetic.costs.blocks",
    "alexnet_layers": "convatlas.arithmetic.worked",
    "alexnet_weights": "convatlas.arithmetic.costs.blocks",
    "batch_norm": "convatlas.arithmetic.layers",
    "bottleneck_or_basic": "convatlas.arithmetic.costs.blocks",
    "compare_costs": "convatlas.arithmetic.costs",
    "complexity": "convatlas.arithmetic.memory",
    "convolution": "convatlas.arithmetic.layers",
    "convolution_size": "convatlas.arithmetic.sizes",
    "count_macs": "convatlas.arithmetic.macs",
    "count_parameters": "convatlas.arithmetic.macs",
    "crops_or_one_pass": "convatlas.arithmetic.costs.blocks",
    "dense": "convatlas.arithmetic.layers",
    "dense_head_or_average": "convatlas.arithmetic.costs.blocks",
    "dense_or_convolution": "convatlas.arithmetic.costs.filters",
    "depthwise_or_full": "convatlas.arithmetic.costs.filters",
    "effective_receptive_field": "convatlas.arithmetic.field.effective",
    "field_of_chain": "convatlas.arithmetic.field.closed",
    "field_visits": "convatlas.arithmetic.field.visits",
    "fire_or_3x3": "convatlas.arithmetic.costs.blocks",
    "full_padding": "convatlas.arithmetic.padding",
    "global_average_pooling": "convatlas.arithmetic.layers",
    "googlenet_stem": "convatlas.arithmetic.worked",
    "grouped_or_full": "convatlas.arithmetic.costs.filters",
    "inference_memory": "convatlas.arithmetic.memory",
    "inverted_or_bottleneck": "convatlas.arithmetic.costs.blocks",
    "inverted_residual_macs": "convatlas.arithmetic.costs.blocks",
    "kept_for_backward": "convatlas.arithmetic.memory",
    "layer_fields": "convatlas.arithmetic.field.theoretical",
    "lenet5_layers": "convatlas.arithmetic.worked",
    "locally_connected": "convatlas.arithmetic.layers",
    "mobilenet_layer": "convatlas.arithmetic.costs.filters",
    "one_by_one_reduction": "convatlas.arithmetic.costs.filters",
    "partial_convolution": "convatlas.arithmetic.layers",
    "path_visits": "convatlas.arithmetic.field.visits",
    "pooling": "convatlas.arithmetic.layers",
    "pooling_size": "convatlas.arithmetic.sizes",
    "receptive_field": "convatlas.arithmetic.field.theoretical",
    "receptive_fields": "convatlas.arithmetic.field.theoretical",
    "resolution_multiplier": "convatlas.arithmetic.costs.filters",
    "same_padding": "convatlas.arithmetic.padding",
    "separable_convolution": "convatlas.arithmetic.layers",
    "separable_or_full": "convatlas.arithmetic.costs.filters",
    "size_keeping_padding": "convatlas.arithmetic.padding",
    "subsampling": "convatlas.arithmetic.layers",
    "tensor_bytes": "convatlas.arithmetic.memory",
    "tensorflow_same_padding": "convatlas.arithmetic.padding",
    "three_3x3_or_7x7": "convatlas.arithmetic.costs.filters",
    "training_memory": "convatlas.arithmetic.memory",
    "transposed_convolution": "convatlas.arithmetic.layers",
    "transposed_size": "convatlas.arithmetic.sizes",
    "two_3x3_or_5x5": "convatlas.arithmetic.costs.filters",
    "unread_pixels": "convatlas.arithmetic.sizes",
    "unshared_or_shared": "convatlas.arithmetic.costs.filters",
    "valid_padding": "convatlas.arithmetic.padding",
    "vgg_head_or_body": "convatlas.arithmetic.costs.blocks",
    "vgg_layers": "convatlas.arithmetic.worked",
    "visits_along": "convatlas.arithmetic.field.visits",
    "width_multiplier": "convatlas.arithmetic.costs.filters",
    "window_extent": "convatlas.arithmetic.sizes",
    "window_visits": "convatlas.arithmetic.field.visits",
}

__all__ = [
    "COMPARISONS",
    "ERRATA",
    "AxisField",
    "Comparison",
    "Complexity",
    "EffectiveField",
    "Erratum",
    "InferenceMemory",
    "Layer",
    "LayerField",
    "ReceptiveField",
    "Side",
    "TrainingMemory",
    "WindowLayer",
    "alexnet_connections",
    "alexnet_layers",
    "alexnet_weights",
    "batch_norm",
    "bottleneck_or_basic",
    "compare_costs",
    "complexity",
    "convolution",
    "convolution_size",
    "count_macs",
    "count_parameters",
    "crops_or_one_pass",
    "dense",
    "dense_head_or_average",
    "dense_or_convolution",
    "depthwise_or_full",
    "effective_receptive_field",
    "field_of_chain",
    "field_visits",
    "fire_or_3x3",
    "full_padding",
    "global_average_pooling",
    "googlenet_stem",
    "grouped_or_full",
    "inference_memory",
    "inverted_or_bottleneck",
    "inverted_residual_macs",
    "kept_for_backward",
    "layer_fields",
    "lenet5_layers",
    "locally_connected",
    "mobilenet_layer",
    "one_by_one_reduction",
    "partial_convolution",
    "path_visits",
    "pooling",
    "pooling_size",
    "receptive_field",
    "receptive_fields",
    "resolution_multiplier",
    "same_padding",
    "separable_convolution",
    "separable_or_full",
    "size_keeping_padding",
    "subsampling",
    "tensor_bytes",
    "tensorflow_same_padding",
    "three_3x3_or_7x7",
    "training_memory",
    "transposed_convolution",
    "transposed_size",
    "two_3x3_or_5x5",
    "unread_pixels",
    "unshared_or_shared",
    "valid_padding",
    "vgg_head_or_body",
    "vgg_layers",
    "visits_along",
    "width_multiplier",
    "window_extent",
    "window_visits",
]

if TYPE_CHECKING:
    from convatlas.arithmetic.costs import COMPARISONS, compare_costs
    from convatlas.arithmetic.costs.blocks import (
        alexnet_connections,
        alexnet_weights,
        bottleneck_or_basic,
        crops_or_one_pass,
        dense_head_or_average,
        fire_or_3x3,
        inverted_or_bottleneck,
        inverted_residual_macs,
        vgg_head_or_body,
    )
    from convatlas.arithmetic.costs.comparison import Comparison, Side
    from convatlas.arithmetic.costs.filters import (
        dense_or_convolution,
        depthwise_or_full,
        grouped_or_full,
        mobilenet_layer,
        one_by_one_reduction,
        resolution_multiplier,
        separable_or_full,
        three_3x3_or_7x7,
        two_3x3_or_5x5,
        unshared_or_shared,
        width_multiplier,
    )
    from convatlas.arithmetic.errata import ERRATA, Erratum
    from convatlas.arithmetic.field.closed import AxisField, ReceptiveField, WindowLayer, field_of_chain
    from convatlas.arithmetic.field.effective import EffectiveField, effective_receptive_field
    from convatlas.arithmetic.field.theoretical import LayerField, layer_fields, receptive_field, receptive_fields
    from convatlas.arithmetic.field.visits import field_visits, path_visits, visits_along, window_visits
    from convatlas.arithmetic.layers import (
        Layer,
        batch_norm,
        convolution,
        dense,
        global_average_pooling,
        locally_connected,
        partial_convolution,
        pooling,
        separable_convolution,
        subsampling,
        transposed_convolution,
    )
    from convatlas.arithmetic.macs import count_macs, count_parameters
    from convatlas.arithmetic.memory import (
        Complexity,
        InferenceMemory,
        TrainingMemory,
        complexity,
        inference_memory,
        kept_for_backward,
        tensor_bytes,
        training_memory,
    )
    from convatlas.arithmetic.padding import (
        full_padding,
        same_padding,
        size_keeping_padding,
        tensorflow_same_padding,
        valid_padding,
    )
    from convatlas.arithmetic.sizes import convolution_size, pooling_size, transposed_size, unread_pixels, window_extent
    from convatlas.arithmetic.worked import alexnet_layers, googlenet_stem, lenet5_layers, vgg_layers


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
