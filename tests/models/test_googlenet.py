"""GoogLeNet against its paper, hand arithmetic, torchvision's network, and a twin in plain functions."""

import pytest
import torch
import torch.nn.functional as F
import torchvision
from benchmarks.peers import scramble
from torch import Tensor, nn

from convatlas.arithmetic.macs import count_macs, count_parameters
from convatlas.data.picture_set import PictureSet
from convatlas.errors import UsageError
from convatlas.models import create_model, model_config
from convatlas.models.classify.googlenet import TABLE_1, GoogLeNetOutput, Row, decode, losses
from convatlas.tasks.family import decode_for, own_losses
from convatlas.weights.load import load_backbone, load_weights
from convatlas.weights.recognise import looks_like
from tests.models.equality import assert_equal
from tests.models.learning import mistakes_after, sixty_four

pytestmark = pytest.mark.row("B-08")

# Parameters and multiply-accumulates at 3 x 224 x 224, 1000 classes, without and with the auxiliary classifiers. The
# paper's are those of Caffe's replication (models/bvlc_googlenet), the others torchvision's.
FIGURES = {
    ("googlenet_paper", False): (6_998_552, 1_582_671_872),
    ("googlenet_paper", True): (13_378_280, 1_591_044_096),
    ("googlenet", False): (6_624_904, 1_498_376_192),
    ("googlenet", True): (13_004_888, 1_506_748_416),
}
# Table 1: the columns of channels, module by module, and the side of its maps.
MODULES = [
    ("3a", 28, (64, 96, 128, 16, 32, 32), 256),
    ("3b", 28, (128, 128, 192, 32, 96, 64), 480),
    ("4a", 14, (192, 96, 208, 16, 48, 64), 512),
    ("4b", 14, (160, 112, 224, 24, 64, 64), 512),
    ("4c", 14, (128, 128, 256, 24, 64, 64), 512),
    ("4d", 14, (112, 144, 288, 32, 64, 64), 528),
    ("4e", 14, (256, 160, 320, 32, 128, 128), 832),
    ("5a", 7, (256, 160, 320, 32, 128, 128), 832),
    ("5b", 7, (384, 192, 384, 48, 128, 128), 1024),
]
SMALL = {
    "stem": (8, 8, 16),
    "stages": tuple(
        (Row(conv1x1=8, reduce3x3=8, conv3x3=16, reduce5x5=4, conv5x5=8, pool_proj=8),) * count for count in (1, 4, 1)
    ),
}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def torchvisions(**changes: object) -> nn.Module:
    return scramble(torchvision.models.googlenet(init_weights=False, **changes))


# --- The tables


@pytest.mark.parametrize(("name", "aux"), FIGURES)
def test_parameters_and_macs_to_the_last_digit(name, aux):
    with torch.device("meta"):
        network = create_model(name, aux=aux)
    assert (count_parameters(network), count_macs(network, (3, 224, 224))) == FIGURES[name, aux]


@pytest.mark.parametrize(("name", "aux"), FIGURES)
def test_the_figures_follow_from_table_1_by_hand(name, aux):
    paper = name == "googlenet_paper"
    parameters = macs = 0

    def conv(kernel: int, a: int, b: int, side: int) -> None:
        nonlocal parameters, macs
        parameters += kernel * kernel * a * b + (b if paper else 2 * b)  # a bias, or BatchNorm's two
        macs += kernel * kernel * a * b * side * side

    def dense(a: int, b: int) -> None:
        nonlocal parameters, macs
        parameters += a * b + b
        macs += a * b

    conv(7, 3, 64, 112)
    conv(1, 64, 64, 56)
    conv(3, 64, 192, 56)
    channels = 192
    for module, side, (one, reduce3, three, reduce5, five, pool), out in MODULES:
        conv(1, channels, one, side)
        conv(1, channels, reduce3, side)
        conv(3, reduce3, three, side)
        conv(1, channels, reduce5, side)
        conv(5 if paper else 3, reduce5, five, side)
        conv(1, channels, pool, side)
        channels = one + three + five + pool
        assert channels == out  # as Table 1 prints it
        if aux and module in ("4a", "4d"):
            conv(1, channels, 128, 4)
            dense(128 * 16, 1024)
            dense(1024, 1000)
    dense(1024, 1000)
    assert (parameters, macs) == FIGURES[name, aux]


def test_the_maps_have_the_sides_of_table_1():
    with torch.device("meta"):
        network = create_model("googlenet_paper").eval()
        maps = network.features(torch.empty(1, 3, 224, 224))
    assert [tuple(each.shape[1:]) for each in maps] == [(192, 56, 56), (480, 28, 28), (832, 14, 14), (1024, 7, 7)]
    described = [(info.name, info.channels, info.stride) for info in network.feature_info]
    assert described == [("conv2", 192, 4), ("3b", 480, 8), ("4e", 832, 16), ("5b", 1024, 32)]


# --- Peers


@pytest.mark.parametrize("size", [(224, 224), (67, 90)])
def test_answers_as_torchvision_does_with_the_same_weights(size):
    theirs = torchvisions(aux_logits=False)
    ours = create_model("googlenet").double().eval()
    load_weights(ours, theirs.state_dict(), source="torchvision")
    x = torch.randn(1, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        assert_equal(ours(x), theirs(x))


def test_all_three_classifiers_answer_as_torchvisions_in_training():
    theirs = torchvisions(aux_logits=True, dropout=0.0, dropout_aux=0.0)
    ours = create_model("googlenet", aux=True, dropout=0.0).double().eval()
    load_weights(ours, theirs.state_dict(), source="torchvision")
    for module in (*theirs.modules(), *ours.modules()):
        module.training = not isinstance(module, nn.Dropout)  # theirs gives the three only so
    x = torch.randn(2, 3, 96, 96, dtype=torch.float64)
    wanted, got = theirs(x), ours(x)
    assert_equal(got.logits, wanted.logits)
    assert_equal(got.aux1, wanted.aux_logits1)
    assert_equal(got.aux2, wanted.aux_logits2)


def test_a_file_with_auxiliary_classifiers_fits_a_network_without():
    theirs = torchvisions(aux_logits=True).state_dict()
    assert looks_like(theirs) == ("googlenet", "torchvision")
    assert load_weights(create_model("googlenet").double(), theirs, source="torchvision").fresh == ()
    fresh = load_backbone(create_model("googlenet", aux=True, num_classes=7), theirs, source="torchvision").fresh
    assert {name.rpartition(".")[0] for name in fresh} == {"head.fc", "aux1.fc2", "aux2.fc2"}


def test_the_paper_s_network_equals_a_twin_in_plain_functions():
    """Written from Figure 3 and Table 1: three classifiers, normalisation by hand."""
    network = scramble(create_model("googlenet_paper", aux=True, num_classes=9))
    state = network.state_dict()

    def conv(x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = state[f"{name}.conv.weight"]
        return F.conv2d(x, weight, state[f"{name}.conv.bias"], stride, weight.shape[2] // 2).relu()

    def pool(x: Tensor) -> Tensor:
        padded = F.pad(x, (0, 1, 0, 1), value=-torch.inf)  # even sides, rounded up
        return F.max_pool2d(padded, 3, 2)

    def normalise(x: Tensor) -> Tensor:
        squares = F.pad(x.square(), (0, 0, 0, 0, 2, 2))
        near = sum(squares[:, shift : shift + x.shape[1]] for shift in range(5))
        return x / (1 + 1e-4 / 5 * near) ** 0.75

    def dense(x: Tensor, name: str) -> Tensor:
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    def side_classifier(x: Tensor, name: str) -> Tensor:
        x = conv(F.avg_pool2d(x, 5, 3), f"{name}.conv")
        assert x.shape[1:] == (128, 4, 4)
        return dense(dense(x.flatten(1), f"{name}.fc1").relu(), f"{name}.fc2")

    images = torch.randn(1, 3, 224, 224, dtype=torch.float64)
    x = normalise(pool(conv(images, "stem.conv1", 2)))
    x = normalise(conv(conv(x, "stem.reduce"), "stem.conv2"))
    sides = {}
    for module, _, _, _ in MODULES:
        x = pool(x) if module[1] == "a" else x
        name = f"stages.{int(module[0]) - 3}.{module[1]}"
        x = torch.cat(
            [
                conv(x, f"{name}.branch1x1"),
                conv(conv(x, f"{name}.branch3x3.reduce"), f"{name}.branch3x3.conv"),
                conv(conv(x, f"{name}.branch5x5.reduce"), f"{name}.branch5x5.conv"),
                conv(F.max_pool2d(x, 3, 1, 1), f"{name}.branch_pool.proj"),
            ],
            dim=1,
        )
        sides[module] = x
    with torch.no_grad():
        got = network(images)
    assert_equal(got.logits, dense(x.mean(dim=(2, 3)), "head.fc"))
    assert_equal(got.aux1, side_classifier(sides["4a"], "aux1"))
    assert_equal(got.aux2, side_classifier(sides["4d"], "aux2"))
    assert state["stages.0.a.branch5x5.conv.conv.weight"].shape[2:] == (5, 5)


# --- Auxiliary classifiers


@pytest.mark.parametrize("training", [True, False])
def test_the_answer_has_one_type_in_training_and_evaluation(training):
    x = torch.randn(2, 3, 32, 32)
    assert isinstance(create_model("googlenet", **SMALL).train(training)(x), Tensor)
    answer = create_model("googlenet", aux=True, num_classes=7, **SMALL).train(training)(x)
    assert isinstance(answer, GoogLeNetOutput)
    assert [each.shape for each in answer] == [(2, 7)] * 3


def test_auxiliary_losses_count_0_3_by_hand():
    logits, aux1, aux2 = torch.randn(3, 4, 5)
    targets = F.one_hot(torch.tensor([0, 4, 2, 2]), 5).float() * 0.9 + 0.02
    network = create_model("googlenet", num_classes=5, **SMALL)

    def cross_entropy(values: Tensor) -> Tensor:
        return -(targets * (values - values.exp().sum(dim=1, keepdim=True).log())).sum(dim=1)

    terms = losses(network, GoogLeNetOutput(logits, aux1, aux2), targets)
    torch.testing.assert_close(
        sum(terms.values()), cross_entropy(logits) + 0.3 * (cross_entropy(aux1) + cross_entropy(aux2))
    )
    plain = losses(network, logits, targets)
    assert list(plain) == ["cross_entropy"]
    torch.testing.assert_close(plain["cross_entropy"], cross_entropy(logits))
    assert decode(GoogLeNetOutput(logits, aux1, aux2)) is logits
    assert decode(logits) is logits
    for name in ("googlenet", "googlenet_paper"):
        assert (own_losses(name), decode_for(name)) == (losses, decode)


@pytest.mark.parametrize("name", ["googlenet", "googlenet_paper"])
def test_every_parameter_gets_a_gradient_from_the_three_losses(name):
    network = create_model(name, aux=True, num_classes=7, dropout=0.0, **SMALL)
    x = torch.randn(4, 3, 224 if name == "googlenet_paper" else 64, 224 if name == "googlenet_paper" else 64)
    terms = losses(network, network(x), F.one_hot(torch.tensor([0, 1, 2, 6]), 7).float())
    sum(term.mean() for term in terms.values()).backward()
    assert [key for key, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_the_classifier_answers_the_same_with_and_without_the_auxiliary_ones():
    whole = scramble(create_model("googlenet", aux=True, **SMALL))
    plain = create_model("googlenet", **SMALL).double().eval()
    plain.load_state_dict({name: value for name, value in whole.state_dict().items() if not name.startswith("aux")})
    x = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        assert torch.equal(whole(x).logits, plain(x))


# --- Initialisation


def test_the_paper_s_form_starts_as_in_caffe():
    network = create_model("googlenet_paper", aux=True)
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            limit = (3 / module.weight[0].numel()) ** 0.5
            assert 0.9 * limit < module.weight.abs().max() <= limit
            classifier = name in ("head.fc", "aux1.fc2", "aux2.fc2")
            assert (module.bias == (0.0 if classifier else 0.2)).all()


def test_the_public_form_starts_normal_and_cut_at_two_deviations():
    network = create_model("googlenet", aux=True)
    for weight in (network.head.fc.weight, network.aux1.fc1.weight, network.stages[2].b.branch3x3.conv.conv.weight):
        assert weight.abs().max() <= 0.02
        assert weight.std().item() == pytest.approx(0.01 * 0.8796, rel=0.01)  # the deviation of a normal cut at 2
    assert not network.head.fc.bias.any()


# --- Learning


@pytest.mark.parametrize(
    ("name", "aux", "steps", "rate"),
    [("googlenet", False, 60, 2e-2), ("googlenet", True, 120, 2e-3), ("googlenet_paper", False, 120, 2e-3)],
)
def test_it_learns_64_digits_by_heart(digits: PictureSet, name: str, aux: bool, steps: int, rate: float):
    network = create_model(name, aux=aux, in_channels=1, num_classes=10, dropout=0.0, **SMALL)
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate)

    def loss(output: GoogLeNetOutput | Tensor, labels: Tensor) -> Tensor:
        return sum(term.mean() for term in losses(network, output, F.one_hot(labels, 10).float()).values())

    found = mistakes_after(steps, network, *sixty_four(digits, 32), optimizer, loss=loss, logits=decode)
    assert found == 0


# --- Bad input


def test_the_paper_s_auxiliary_classifiers_say_which_pictures_they_take():
    network = create_model("googlenet_paper", aux=True, **SMALL)
    with pytest.raises(UsageError, match=r"need maps of 14x14, as pictures of 224x224 give, got 8x14"):
        network(torch.zeros(1, 3, 128, 224))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stem": (64, 192)}, r"GoogLeNetConfig\.stem must be three whole numbers >= 1, not \(64, 192\)"),
        ({"stem": (64, 0, 192)}, r"GoogLeNetConfig\.stem must be three"),
        ({"dropout": 1.0}, r"GoogLeNetConfig\.dropout must be at least 0 and below 1, not 1\.0"),
        ({"stages": TABLE_1[:2]}, r"GoogLeNetConfig\.stages must be three tuples of one Row or more"),
        ({"stages": (*TABLE_1[:2], ())}, r"GoogLeNetConfig\.stages must be three tuples"),
        ({"stages": ((1,), (2,), (3,))}, r"GoogLeNetConfig\.stages must be three tuples"),
        ({"aux": True, "stages": TABLE_1[:1] * 3}, r"GoogLeNetConfig\.aux needs four modules or more .* there are 2"),
        ({"aux": 1}, r"googlenet\.aux must be True or False, not 1"),
    ],
)
def test_impossible_configs_name_their_field(changes, message):
    with pytest.raises(UsageError, match=message):
        model_config("googlenet", **changes)


def test_an_impossible_row_names_its_field():
    with pytest.raises(UsageError, match=r"Row\.reduce5x5 must be a whole number >= 1, not 0"):
        Row(conv1x1=8, reduce3x3=8, conv3x3=16, reduce5x5=0, conv5x5=8, pool_proj=8)
