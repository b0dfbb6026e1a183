"""Networks of other libraries that bear a name of ours and are others: their own figures, beside ours."""

import pytest
import pytorchcv.model_provider
import timm
import torch
import torchvision.models
from torch import nn

from convatlas.arithmetic.macs import count_parameters
from convatlas.models import create_model
from tests.models.counted_figures import counted


def pytorchcvs(name: str) -> nn.Module:
    return pytorchcv.model_provider.get_model(name, pretrained=False)


@pytest.mark.parametrize(
    ("ours", "theirs", "make", "parameters"),
    [
        # Their squeezed widths are rounded to multiples of 8: 8, 8, 16, 32 where the paper's C / 16 has 4, 8, 16, 32.
        pytest.param("se_resnet18", "seresnet18", timm.create_model, 11_779_624, marks=pytest.mark.row("B-13")),
        pytest.param("se_resnet34", "seresnet34", timm.create_model, 21_960_416, marks=pytest.mark.row("B-13")),
        # Theirs compresses by a half; the paper's plain form does not.
        pytest.param(
            "densenet40_k12_cifar", "densenet40_k12_cifar10", pytorchcvs, 599_050, marks=pytest.mark.row("B-15")
        ),
        # A growth rate of 48, and a deep stem of three convolutions.
        pytest.param("densenet264", "densenet264d", timm.create_model, 72_736_216, marks=pytest.mark.row("B-15")),
        # Widths from 1x by the factor, and not the table's own columns.
        pytest.param("shufflenet_v2_x1_5", "shufflenetv2_w3d2", pytorchcvs, 4_406_098, marks=pytest.mark.row("B-22")),
        pytest.param("shufflenet_v2_x2_0", "shufflenetv2_w2", pytorchcvs, 7_601_686, marks=pytest.mark.row("B-22")),
    ],
)
def test_of_one_name_and_another_size(ours, theirs, make, parameters):
    with torch.device("meta"):
        network, other = create_model(ours), make(theirs)
    assert count_parameters(other) == parameters
    assert count_parameters(network) == counted(ours)[0] != parameters


@pytest.mark.row("B-26")
def test_hooks_see_queries_keys_and_values_in_our_vit_and_not_in_torchvisions():
    """torch.nn.MultiheadAttention multiplies by its weights without calling a layer."""
    with torch.device("meta"):
        ours, theirs = (
            create_model("vit_b_16", layers=1),
            torchvision.models.VisionTransformer(224, 16, 1, 12, 768, 3072),
        )
        x = torch.empty(1, 3, 224, 224)
    dense = []
    for network in (ours, theirs):
        seen: list[tuple[int, int]] = []
        for module in network.modules():
            if isinstance(module, nn.Linear):
                module.register_forward_hook(
                    lambda module, _inputs, _output, seen=seen: seen.append((module.in_features, module.out_features))
                )
        network.eval()(x)
        dense.append(seen)
    assert dense[0] == [(768, 3 * 768), (768, 768), (768, 3072), (3072, 768), (768, 1000)]
    assert dense[1] == [(768, 3072), (3072, 768), (768, 1000)]
