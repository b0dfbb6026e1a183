"""Inception v3 against its paper, peers with the same weights, and hand arithmetic."""

import pytest
import pytorchcv.models.inceptionv3
import timm
import torch
import torch.nn.functional as F
import torchvision
from benchmarks.peers import scramble
from torch import Tensor, nn

from convatlas.arithmetic.macs import count_macs, count_parameters
from convatlas.data.picture_set import PictureSet
from convatlas.errors import UsageError
from convatlas.models import create_model, model_config
from convatlas.models.classify.inception_v3 import InceptionV3Output, decode, losses
from convatlas.tasks.family import decode_for, own_losses
from convatlas.weights.load import load_backbone, load_weights
from convatlas.weights.recognise import looks_like
from tests.models.equality import assert_equal
from tests.models.learning import mistakes_after, sixty_four

pytestmark = pytest.mark.row("B-09")

# At 3 x 299 x 299, 1000 classes, without and with the auxiliary classifier: torchvision's.
FIGURES = {False: (23_834_568, 5_713_216_096), True: (27_161_264, 5_718_899_296)}
SMALL = {"width": 0.05, "pool_proj": (32,), "channels_7x7": (128,)}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def torchvisions(**changes: object) -> nn.Module:
    return scramble(torchvision.models.inception_v3(init_weights=False, **changes))


# --- Counts


@pytest.mark.parametrize("aux", [False, True])
def test_parameters_and_macs_to_the_last_digit(aux):
    with torch.device("meta"):
        network = create_model("inception_v3", aux=aux)
    assert (count_parameters(network), count_macs(network, (3, 299, 299))) == FIGURES[aux]
    assert count_parameters(network) < 25e6 or aux  # the paper's abstract: "less than 25 million parameters"


def test_the_figures_follow_by_hand():
    parameters = macs = 0

    def conv(kernel: int, a: int, b: int, side: int) -> int:
        """kernel: its number of pixels. A BatchNorm of two parameters a channel follows."""
        nonlocal parameters, macs
        parameters += kernel * a * b + 2 * b
        macs += kernel * a * b * side * side
        return b

    conv(9, 3, 32, 149)
    conv(9, 32, 32, 147)
    conv(9, 32, 64, 147)
    conv(1, 64, 80, 73)
    conv(9, 80, 192, 71)
    c = 192
    for pool in (32, 64, 64):
        conv(1, c, 64, 35)
        conv(25, conv(1, c, 48, 35), 64, 35)
        conv(9, conv(9, conv(1, c, 64, 35), 96, 35), 96, 35)
        conv(1, c, pool, 35)
        c = 64 + 64 + 96 + pool
    conv(9, c, 384, 17)
    conv(9, conv(9, conv(1, c, 64, 35), 96, 35), 96, 17)
    c += 384 + 96
    assert c == 768  # Table 1
    for inner in (128, 160, 160, 192):
        conv(1, c, 192, 17)
        conv(7, conv(7, conv(1, c, inner, 17), inner, 17), 192, 17)
        conv(7, conv(7, conv(7, conv(7, conv(1, c, inner, 17), inner, 17), inner, 17), inner, 17), 192, 17)
        conv(1, c, 192, 17)
        c = 4 * 192
    conv(9, conv(1, c, 192, 17), 320, 8)
    conv(9, conv(7, conv(7, conv(1, c, 192, 17), 192, 17), 192, 17), 192, 8)
    c += 320 + 192
    assert c == 1280  # Table 1
    for _ in range(2):
        conv(1, c, 320, 8)
        for branch in (conv(1, c, 384, 8), conv(9, conv(1, c, 448, 8), 384, 8)):
            conv(3, branch, 384, 8)
            conv(3, branch, 384, 8)
        conv(1, c, 192, 8)
        c = 320 + 4 * 384 + 192
    assert c == 2048  # Table 1
    assert (parameters + c * 1000 + 1000, macs + c * 1000) == FIGURES[False]
    # The auxiliary classifier: 17 -> 5 pixels by pooling, 1 by a 5x5 convolution.
    conv(25, conv(1, 768, 128, 5), 768, 1)
    assert (parameters + c * 1000 + 1000 + 768 * 1000 + 1000, macs + c * 1000 + 768 * 1000) == FIGURES[True]


def test_the_maps_have_the_sides_of_table_1():
    with torch.device("meta"):
        network = create_model("inception_v3").eval()
        maps = network.features(torch.empty(1, 3, 299, 299))
    assert [tuple(each.shape[1:]) for each in maps] == [(192, 71, 71), (288, 35, 35), (768, 17, 17), (2048, 8, 8)]
    described = [(info.channels, info.stride) for info in network.feature_info]
    assert described == [(192, 4), (288, 8), (768, 16), (2048, 32)]


def test_the_width_multiplies_every_layer_but_keeps_sixteen_channels():
    """As slim's: max(int(channels * width), 16)."""
    with torch.device("meta"):
        network = create_model("inception_v3", width=0.3)
    convolutions = [module.out_channels for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert convolutions[:5] == [16, 16, 19, 24, 57]
    assert network.feature_info[-1].channels == 96 + 4 * 115 + 57


# --- Peers


@pytest.mark.parametrize("size", [(109, 128), (75, 75), pytest.param((299, 299), marks=pytest.mark.every_variant)])
def test_answers_as_torchvision_does_with_the_same_weights(size):
    theirs = torchvisions(aux_logits=False)
    ours = create_model("inception_v3").double().eval()
    load_weights(ours, theirs.state_dict(), source="torchvision")
    x = torch.randn(1, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        assert_equal(ours(x), theirs(x))


def test_answers_as_timm_does_with_the_same_weights():
    theirs = scramble(timm.create_model("inception_v3"))
    ours = create_model("inception_v3").double().eval()
    load_weights(ours, theirs.state_dict(), source="timm")
    x = torch.randn(1, 3, 96, 80, dtype=torch.float64)
    with torch.no_grad():
        assert_equal(ours(x), theirs(x))


def test_has_the_tensors_of_pytorchcv():
    theirs = pytorchcv.models.inceptionv3.inceptionv3()
    ours = create_model("inception_v3")
    shapes = [sorted(tuple(value.shape) for value in each.state_dict().values()) for each in (ours, theirs)]
    assert shapes[0] == shapes[1]


def test_both_classifiers_answer_as_torchvisions_in_training():
    theirs = torchvisions(aux_logits=True, dropout=0.0)
    ours = create_model("inception_v3", aux=True, dropout=0.0).double().eval()
    load_weights(ours, theirs.state_dict(), source="torchvision")
    theirs.training = True  # theirs gives both only so; its normalisations stay as they are
    x = torch.randn(1, 3, 299, 299, dtype=torch.float64)
    with torch.no_grad():
        wanted, got = theirs(x), ours(x)
    assert_equal(got.logits, wanted.logits)
    assert_equal(got.aux, wanted.aux_logits)


def test_a_file_with_the_auxiliary_classifier_fits_a_network_without():
    theirs = torchvisions(aux_logits=True).state_dict()
    assert looks_like(theirs) == ("inception_v3", "torchvision")
    assert load_weights(create_model("inception_v3").double(), theirs, source="torchvision").fresh == ()
    fresh = load_backbone(create_model("inception_v3", aux=True, num_classes=7), theirs, source="torchvision").fresh
    assert {name.rpartition(".")[0] for name in fresh} == {"head.fc", "aux.fc"}


# --- The auxiliary classifier


@pytest.mark.parametrize("training", [True, False])
def test_the_answer_has_one_type_in_training_and_evaluation(training):
    assert isinstance(create_model("inception_v3", **SMALL).train(training)(torch.randn(2, 3, 75, 75)), Tensor)
    answer = create_model("inception_v3", aux=True, num_classes=7, **SMALL).train(training)(torch.randn(2, 3, 299, 299))
    assert isinstance(answer, InceptionV3Output)
    assert [each.shape for each in answer] == [(2, 7)] * 2


def test_the_auxiliary_loss_counts_0_3_by_hand():
    logits, aux = torch.randn(2, 4, 5)
    targets = F.one_hot(torch.tensor([0, 4, 2, 2]), 5).float() * 0.9 + 0.02
    network = create_model("inception_v3", num_classes=5, **SMALL)

    def cross_entropy(values: Tensor) -> Tensor:
        return -(targets * (values - values.exp().sum(dim=1, keepdim=True).log())).sum(dim=1)

    terms = losses(network, InceptionV3Output(logits, aux), targets)
    torch.testing.assert_close(sum(terms.values()), cross_entropy(logits) + 0.3 * cross_entropy(aux))
    plain = losses(network, logits, targets)
    assert list(plain) == ["cross_entropy"]
    torch.testing.assert_close(plain["cross_entropy"], cross_entropy(logits))
    assert decode(InceptionV3Output(logits, aux)) is logits
    assert decode(logits) is logits
    assert (own_losses("inception_v3"), decode_for("inception_v3")) == (losses, decode)


def test_every_parameter_gets_a_gradient_from_both_losses():
    network = create_model("inception_v3", aux=True, num_classes=7, dropout=0.0, **SMALL)
    terms = losses(network, network(torch.randn(2, 3, 299, 299)), F.one_hot(torch.tensor([0, 6]), 7).float())
    sum(term.mean() for term in terms.values()).backward()
    assert [key for key, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


# --- Initialisation


def test_weights_start_as_in_the_authors_code():
    network = create_model("inception_v3", aux=True)
    cases = [(network.stem.conv5.conv, 0.1), (network.head.fc, 0.01)]
    cases += [(network.aux.conv0.conv, 0.1), (network.aux.conv1.conv, 0.01), (network.aux.fc, 0.001)]
    for module, deviation in cases:
        assert module.weight.abs().max() <= 2 * deviation
        assert module.weight.std().item() == pytest.approx(deviation * 0.8796, rel=0.02)  # of a normal cut at 2
    assert not network.head.fc.bias.any()
    assert {module.eps for module in network.modules() if isinstance(module, nn.BatchNorm2d)} == {1e-3}


# --- Learning


def test_it_learns_64_digits_by_heart(digits: PictureSet):
    network = create_model("inception_v3", in_channels=1, num_classes=10, dropout=0.0, **SMALL)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    assert mistakes_after(40, network, *sixty_four(digits, 75), optimizer) == 0


# --- Bad input


def test_the_auxiliary_classifier_alone_asks_for_299_pixels():
    network = create_model("inception_v3", aux=True, **SMALL).eval()
    wanted = (
        r"maps of at least 17x17, as pictures of 299x299 give, got 16x23: create .* aux=False, or .* larger pictures"
    )
    with pytest.raises(UsageError, match=wanted):
        network(torch.zeros(1, 3, 298, 400))
    with torch.no_grad():
        assert network.features(torch.zeros(1, 3, 75, 75))[-1].shape[2:] == (1, 1)
        assert network(torch.zeros(1, 3, 299, 299)).aux.shape == (1, 1000)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 0}, r"InceptionV3Config\.width must be a number above 0, not 0"),
        ({"width": float("nan")}, r"InceptionV3Config\.width must be a number above 0"),
        ({"dropout": 1.0}, r"InceptionV3Config\.dropout must be at least 0 and below 1"),
        ({"pool_proj": ()}, r"InceptionV3Config\.pool_proj must be one whole number >= 1 or more, not \(\)"),
        ({"channels_7x7": (128, 0)}, r"InceptionV3Config\.channels_7x7 must be one whole number"),
        ({"aux": "yes"}, r"inception_v3\.aux must be True or False, not 'yes'"),
    ],
)
def test_impossible_configs_name_their_field(changes, message):
    with pytest.raises(UsageError, match=message):
        model_config("inception_v3", **changes)
