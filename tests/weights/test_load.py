import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from convatlas.errors import UsageError, WeightsError
from convatlas.models import create_model
from convatlas.models.classify import googlenet
from convatlas.weights.keys.torchvision import resnet
from convatlas.weights.load import adapt_input_channels, load_backbone, load_weight_set, load_weights
from convatlas.weights.read import read_state_dict
from convatlas.weights.recognise import looks_like

TINY = {"depths": (1, 1, 1, 1), "width": 4}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors: where cores are shared, threads wait for each other a thousand times longer than they work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


def tiny(**changes: object) -> nn.Module:
    return create_model("resnet18", **{**TINY, "num_classes": 5, **changes})


def in_torchvisions_names(network: nn.Module) -> dict[str, torch.Tensor]:
    theirs = {ours: name for name, ours in resnet(network).items()}
    return {
        f"{theirs[module]}.{leaf}": tensor
        for name, tensor in network.state_dict().items()
        for module, _, leaf in [name.rpartition(".")]
    }


def unchanged(network: nn.Module, before: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def copy(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def test_own_names_need_no_source() -> None:
    source, target = tiny(), tiny()
    loaded = load_weights(target, source.state_dict())
    assert unchanged(target, copy(source))
    assert (loaded.fresh, loaded.adapted) == ((), ())


@pytest.mark.parametrize("form", ["file.safetensors", "file.pth", "checkpoint.pt"])
def test_files(tmp_path: Path, form: str) -> None:
    source, target = tiny(), tiny()
    state = in_torchvisions_names(source)
    if form.endswith(".safetensors"):
        save_file(state, tmp_path / form)
    else:
        torch.save({"epoch": 3, "state_dict": state} if form.endswith(".pt") else state, tmp_path / form)
    load_weights(target, tmp_path / form, source="torchvision")
    assert unchanged(target, copy(source))


def test_weights_of_another_precision_are_converted() -> None:
    source, target = tiny().half(), tiny()
    load_weights(target, source.state_dict())
    assert target.head.fc.weight.dtype is torch.float32
    assert torch.equal(target.head.fc.weight, source.head.fc.weight.float())


def test_counters_of_batches_may_be_missing() -> None:
    source, target = tiny(), tiny()
    state = {name: each for name, each in source.state_dict().items() if not name.endswith("num_batches_tracked")}
    assert len(state) < len(source.state_dict())
    load_weights(target, state)
    loaded = target.state_dict()
    assert all(torch.equal(loaded[name], each) for name, each in state.items())
    assert all(not each.any() for name, each in loaded.items() if name not in state)


def test_every_missing_and_unexpected_name_and_wrong_shape_is_listed_and_nothing_changed() -> None:
    target = tiny()
    before = copy(target)
    state = in_torchvisions_names(tiny())
    del state["layer1.0.conv1.weight"], state["fc.bias"]
    state["layer1.0.conv9.weight"] = state["extra"] = torch.zeros(1)
    state["bn1.weight"] = torch.zeros(7)
    with pytest.raises(WeightsError) as error:
        load_weights(target, state, source="torchvision")
    said = str(error.value)
    assert "2 missing: stages.0.0.residual.conv1.weight; head.fc.bias" in said
    assert "2 unexpected: layer1.0.conv9.weight; extra" in said
    assert "1 of another shape: bn1.weight (7,), the network's stem.bn.weight (4,)" in said
    assert unchanged(target, before)


def test_a_long_list_is_counted_and_whole() -> None:
    with pytest.raises(WeightsError, match=r"60 unexpected: x0; x1; .*; x58; x59\. "):
        load_weights(tiny(), tiny().state_dict() | {f"x{number}": torch.zeros(1) for number in range(60)})


def test_another_number_of_classes_says_what_to_do() -> None:
    with pytest.raises(
        WeightsError, match=r"head.fc.weight \(5, 32\), the network's .* \(7, 32\).*load_backbone takes"
    ):
        load_weights(tiny(num_classes=7), tiny().state_dict())


def test_a_backbone_leaves_the_head_and_says_so() -> None:
    source, target = tiny(), tiny(num_classes=7)
    before = copy(target)
    loaded = load_backbone(target, in_torchvisions_names(source), source="torchvision")
    assert loaded.fresh == ("head.fc.weight", "head.fc.bias")
    for name, tensor in target.state_dict().items():
        assert torch.equal(tensor, before[name] if name in loaded.fresh else source.state_dict()[name]), name


def test_a_backbone_needs_no_head_in_the_file_but_all_else() -> None:
    state = {name: each for name, each in tiny().state_dict().items() if not name.startswith("head.fc")}
    load_backbone(tiny(num_classes=7), state)
    del state["stem.conv.weight"]
    with pytest.raises(WeightsError, match=r"1 missing: stem\.conv\.weight"):
        load_backbone(tiny(num_classes=7), state)


@pytest.mark.parametrize("name", ["mobilenet_v2", "efficientnet_b0", "efficientnet_lite0"])
def test_a_backbone_of_each_family_keeps_all_but_the_classifier(name: str) -> None:
    source, target = create_model(name), create_model(name, num_classes=3)
    assert load_backbone(target, source.state_dict()).fresh == ("head.fc.weight", "head.fc.bias")
    assert torch.equal(target.head.last.conv.weight, source.head.last.conv.weight)


# --- Input channels


def test_grey_pictures_give_what_they_gave_as_colour() -> None:
    source, target = tiny().double().eval(), tiny(in_channels=1).double().eval()
    assert load_weights(target, source.state_dict()).adapted == ("stem.conv.weight",)
    grey = torch.randn(2, 1, 64, 64, dtype=torch.float64)
    torch.testing.assert_close(target(grey), source(grey.expand(-1, 3, -1, -1)), rtol=1e-10, atol=1e-12)


def test_six_equal_channels_give_what_three_gave() -> None:
    source, target = tiny().double().eval(), tiny(in_channels=6, num_classes=2).double().eval()
    assert load_backbone(target, source.state_dict()).adapted == ("stem.conv.weight",)
    flat = torch.randn(2, 1, 64, 64, dtype=torch.float64)
    wanted = source.features(flat.expand(-1, 3, -1, -1))[-1]
    torch.testing.assert_close(target.features(flat.expand(-1, 6, -1, -1))[-1], wanted, rtol=1e-10, atol=1e-12)


def test_adapted_kernels_by_hand() -> None:
    weight = torch.tensor([1.0, 2.0, 4.0]).reshape(1, 3, 1, 1)
    assert adapt_input_channels(weight, 1).flatten().tolist() == [7]
    assert adapt_input_channels(weight, 2).flatten().tolist() == [1.5, 3]
    assert adapt_input_channels(weight, 4).flatten().tolist() == [0.75, 1.5, 3, 0.75]
    assert adapt_input_channels(weight, 3) is weight


# --- Weights of something else


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("resnet18", {}),
        ("resnet34", {"num_classes": 10}),
        ("resnet50", {"in_channels": 1}),
        ("mobilenet_v2", {}),
        ("efficientnet_b0", {}),
        ("efficientnet_lite0", {"num_classes": 2}),
    ],
)
def test_networks_are_recognised(name: str, changes: dict[str, object]) -> None:
    with torch.device("meta"):
        state = create_model(name, **changes).state_dict()
    assert looks_like(state) == (name, "convatlas")


@pytest.mark.parametrize("name", ["vgg11", "vgg11_bn"])
def test_timms_vgg_is_recognised_although_its_dense_layers_are_convolutions(name: str) -> None:
    with torch.device("meta"):
        state = timm.create_model(name, num_classes=7).state_dict()
    assert state["pre_logits.fc1.weight"].shape == (4096, 512, 7, 7)
    assert looks_like(state) == (name, "timm")
    state["pre_logits.fc1.weight"] = torch.empty(4096, 512, 5, 5, device="meta")
    assert looks_like(state) is None


def test_nothing_known_is_not_recognised() -> None:
    assert looks_like(create_model("lenet5_modern").state_dict()) is None
    assert looks_like({}) is None


def test_a_state_dict_of_another_family_is_told() -> None:
    state = in_torchvisions_names(create_model("resnet34"))
    with pytest.raises(WeightsError, match=r'It looks like resnet34 with the names of source="torchvision"$'):
        load_weights(create_model("resnet18"), state, source="torchvision")
    with pytest.raises(WeightsError, match="It looks like resnet34"):
        load_weights(create_model("mobilenet_v2"), state)
    with pytest.raises(WeightsError, match="No network with published weights has these names and shapes"):
        load_weights(create_model("resnet18"), {"weight": torch.zeros(3)})


def test_unknown_sources_and_families() -> None:
    with pytest.raises(UsageError, match=r"unknown source 'torchvison'. Did you mean \"torchvision\""):
        load_weights(tiny(), {}, source="torchvison")  # type: ignore[arg-type]  # a slip of the pen
    with pytest.raises(UsageError, match=r"names that timm uses in LeNet5Modern are not known, only in .*ResNet, "):
        load_weights(create_model("lenet5_modern"), {}, source="timm")


def test_a_network_without_memory() -> None:
    with torch.device("meta"):
        network = tiny()
    with pytest.raises(UsageError, match="on the meta device"):
        load_weights(network, tiny().state_dict())


def test_a_set_is_not_put_into_a_network_that_is_built_otherwise() -> None:
    """The shapes fit: only the places of the strides, the padding or the epsilon differ."""
    with pytest.raises(WeightsError, match="is for resnet50 with stride_in_1x1=False, not True"):
        load_weight_set(create_model("resnet50_paper"), "torchvision/resnet50/IMAGENET1K_V2", offline=True)
    with pytest.raises(WeightsError, match=r"with norm_eps=0\.001, not 1e-05; same_padding=True, not False"):
        load_weight_set(create_model("efficientnet_b0"), "timm/tf_efficientnet_b0.in1k", offline=True)
    with pytest.raises(WeightsError, match="is for resnet18, not for LeNet5Modern"):
        load_weight_set(create_model("lenet5_modern"), "torchvision/resnet18/IMAGENET1K_V1", offline=True)


def test_the_packaged_set_with_a_new_head() -> None:
    network = create_model("efficientnet_lite0", num_classes=4)
    loaded = load_weight_set(network, "package/efficientnet_lite0", new_head=True, offline=True)
    assert loaded.fresh == ("head.fc.weight", "head.fc.bias")


# --- Files that are not what they should be


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("exploded"),))


@pytest.mark.parametrize("form", ["zip", "pickle"])
def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.pth"
    value = {"fc.weight": torch.zeros(2), "bomb": Bomb()}
    if form == "zip":
        torch.save(value, path)
    else:
        path.write_bytes(pickle.dumps({"bomb": Bomb()}, protocol=2))
    with pytest.raises(WeightsError, match=r"weights.pth: holds code \(.+\), not only tensors, and is not opened"):
        load_weights(tiny(), path)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("content", [b"", b"hello" * 99])
@pytest.mark.parametrize(("name", "said"), [("w.pth", "damaged"), ("w.safetensors", "not a whole safetensors file")])
def test_damaged_files(tmp_path: Path, name: str, said: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=f"{name}: is .*{said}"):
        read_state_dict(tmp_path / name)


def test_a_truncated_file(tmp_path: Path) -> None:
    torch.save(tiny().state_dict(), tmp_path / "w.pth")
    save_file(tiny().state_dict(), tmp_path / "w.safetensors")
    for path in (tmp_path / "w.pth", tmp_path / "w.safetensors"):
        path.write_bytes(path.read_bytes()[:-2000])
        with pytest.raises(WeightsError, match=path.name):
            read_state_dict(path)


def test_files_that_hold_something_else(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="expected named tensors, found epoch"):
        read_state_dict(tmp_path / "a.pth")
    torch.save([1, 2], tmp_path / "b.pth")
    with pytest.raises(WeightsError, match="expected named tensors, found list"):
        read_state_dict(tmp_path / "b.pth")
    with pytest.raises(WeightsError, match="there is no such file"):
        read_state_dict(tmp_path / "none.pth")
    (tmp_path / "c.h5").touch()
    with pytest.raises(UsageError, match="expected a file of weights"):
        read_state_dict(tmp_path / "c.h5")


@pytest.mark.parametrize("kernel", [(32, 1, 1), (8, 2, 2)])
def test_a_convolution_in_the_place_of_a_dense_layer_is_refused(kernel) -> None:
    state = tiny().state_dict()
    state["head.fc.weight"] = state["head.fc.weight"].reshape(5, *kernel)
    with pytest.raises(WeightsError, match=r"1 of another shape: head\.fc\.weight"):
        load_weights(tiny(), state)


def test_only_what_an_auxiliary_classifier_has_may_be_left_out() -> None:
    row = googlenet.TABLE_1[0][0]
    small = {"stem": (8, 8, 16), "stages": ((row,), (row,) * 4, (row,)), "num_classes": 5}
    with_aux, without = create_model("googlenet", aux=True, **small), create_model("googlenet", **small)
    load_weights(without, with_aux.state_dict())
    with pytest.raises(WeightsError, match=r"1 unexpected: aux1\.nonsense"):
        load_weights(without, with_aux.state_dict() | {"aux1.nonsense": torch.zeros(1)})
    sides = {name for name in with_aux.state_dict() if name.startswith("aux")}
    assert set(load_weights(with_aux, without.state_dict()).fresh) == sides
    some = {name: each for name, each in with_aux.state_dict().items() if not name.startswith("aux2")}
    with pytest.raises(WeightsError, match=r"missing: aux2\."):
        load_weights(with_aux, some)
