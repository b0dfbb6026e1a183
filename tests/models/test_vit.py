"""Vision Transformer against its paper, hand arithmetic, NumPy, and torchvision's and timm's with the same weights."""

import math

import numpy as np
import pytest
import scipy.ndimage
import timm.layers
import timm.models.vision_transformer
import torch
import torchvision.models
from benchmarks.peers import scramble
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from convatlas.arithmetic.macs import count_macs
from convatlas.catalog import card, resolve
from convatlas.data.picture_set import PictureSet
from convatlas.engine.optimizer import make_optimizer
from convatlas.engine.parts import parts
from convatlas.errors import UsageError, WeightsError
from convatlas.layers.positions import resize_positions
from convatlas.models import create_model, model_config
from convatlas.models.classify.vit import CONFIGS, SelfAttention, ViTConfig
from convatlas.models.contract import capture
from convatlas.recipes.recipe import Recipe
from convatlas.weights import default_weights, list_weights
from convatlas.weights.load import load_backbone, load_weights
from convatlas.weights.recognise import looks_like
from tests.models.counted_figures import counted
from tests.models.equality import assert_equal
from tests.models.learning import mistakes_after, sixty_four

pytestmark = pytest.mark.row("B-26")

# Multiply-accumulates of attention's two products at 224 x 224, which have no weights and are not in the card's count.
ATTENTION = {
    "vit_ti_16": 178_831_872,
    "vit_s_16": 357_663_744,
    "vit_s_32": 23_040_000,
    "vit_b_16": 715_327_488,
    "vit_b_32": 46_080_000,
    "vit_l_14": 3_246_440_448,
    "vit_l_16": 1_907_539_968,
    "vit_l_32": 122_880_000,
    "vit_h_14": 5_410_734_080,
}
# Parameters, and multiply-accumulates of dense layers, at 384 x 384: more positions, more tokens.
LARGER = {
    "vit_b_16": (86_859_496, 49_347_803_136),
    "vit_l_16": (304_715_752, 174_702_174_208),
}
# Layers, hidden size D, MLP size, heads: Table 1 of the paper; DeiT's for Ti and S.
TABLE_1 = {
    "ti": (12, 192, 768, 3),
    "s": (12, 384, 1536, 6),
    "b": (12, 768, 3072, 12),
    "l": (24, 1024, 4096, 16),
    "h": (32, 1280, 5120, 16),
}
TINY = {
    "patch_size": 8,
    "layers": 2,
    "hidden_size": 48,
    "mlp_size": 96,
    "heads": 4,
    "image_size": 32,
    "num_classes": 10,
    "dropout": 0.0,
    "survival": 1.0,
}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def on_meta(name: str, **changes: object) -> nn.Module:
    with torch.device("meta"):
        return create_model(name, **changes)


def tiny(**changes: object) -> nn.Module:
    return create_model("vit_ti_16", **{**TINY, **changes})


# --- Counts


@pytest.mark.parametrize("name", ATTENTION)
def test_the_card_states_what_attention_s_products_cost_besides(name):
    assert f"{ATTENTION[name]:,} in attention's products" in card(name).macs_source


def by_hand(config: ViTConfig) -> tuple[int, int, int]:
    size, patch = config.hidden_size, config.patch_size
    patches = (config.image_size // patch) ** 2
    tokens = patches + 1
    embedding = patch * patch * 3 * size
    attention = 4 * size * size  # to queries, keys and values, and the output
    mlp = 2 * size * config.mlp_size
    norm = 2 * size
    layer = attention + 4 * size + mlp + config.mlp_size + size + 2 * norm
    parameters = embedding + size + tokens * size + size + config.layers * layer + norm + size * 1000 + 1000
    macs = patches * embedding + config.layers * tokens * (attention + mlp) + size * 1000
    return parameters, macs, config.layers * 2 * tokens * tokens * size


@pytest.mark.parametrize("name", ATTENTION)
def test_the_figures_follow_from_table_1_by_hand(name):
    _, size, patch = name.split("_")
    config = CONFIGS[name]
    assert (config.layers, config.hidden_size, config.mlp_size, config.heads) == TABLE_1[size]
    assert (config.patch_size, config.image_size) == (int(patch), 224)
    assert by_hand(config) == (*counted(name), ATTENTION[name])


@pytest.mark.parametrize("name", LARGER)
def test_figures_at_384_pixels(name):
    network = on_meta(name, image_size=384)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    assert (parameters, count_macs(network, (3, 384, 384))) == LARGER[name] == by_hand(network.config)[:2]


def test_the_counted_layers_and_attention_s_products_are_all_that_multiplies():
    """torch counts each operation as it runs: two for a multiply-accumulate, attention's products among them."""
    network = on_meta("vit_ti_16").eval()
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, 224, 224, device="meta"))
    assert counter.get_total_flops() == 2 * (counted("vit_ti_16")[1] + ATTENTION["vit_ti_16"])


def test_queries_keys_and_values_are_one_dense_layer_that_hooks_see():
    network = tiny().eval()
    with capture(network, ["stages.0.1.attention.qkv"]) as outputs:
        network(torch.randn(2, 3, 32, 32))
    assert outputs["stages.0.1.attention.qkv"].shape == (2, 17, 3 * 48)


# --- The same weights give the same answers elsewhere


@pytest.mark.parametrize(
    "name",
    ["vit_b_32"]
    + [pytest.param(f"vit_{each}", marks=pytest.mark.every_variant) for each in ("b_16", "l_16", "l_32", "h_14")],
)
def test_two_layers_of_each_answer_as_torchvisions(name):
    config = model_config(name, layers=2, num_classes=7)
    network = create_model(name, layers=2, num_classes=7).double().eval()
    peer = torchvision.models.VisionTransformer(
        image_size=224,
        patch_size=config.patch_size,
        num_layers=2,
        num_heads=config.heads,
        hidden_dim=config.hidden_size,
        mlp_dim=config.mlp_size,
        num_classes=7,
    )
    peer = scramble(peer)
    assert load_weights(network, peer.state_dict(), source="torchvision").fresh == ()
    x = torch.randn(1, 3, 224, 224, dtype=torch.float64)
    with torch.no_grad():
        assert_equal(network(x), peer(x))


@pytest.mark.every_variant
def test_two_layers_of_l_14_answer_as_timms():
    """torchvision has no such network, and nobody a classifier's weights for it."""
    network = create_model("vit_l_14", layers=2, num_classes=7).double().eval()
    peer = scramble(
        timm.models.vision_transformer.VisionTransformer(
            patch_size=14, embed_dim=1024, depth=2, num_heads=16, num_classes=7
        )
    )
    assert load_weights(network, peer.state_dict(), source="timm").fresh == ()
    x = torch.randn(1, 3, 224, 224, dtype=torch.float64)
    with torch.no_grad():
        assert_equal(network(x), peer(x))


@pytest.mark.parametrize(("heads", "channels", "image_size"), [(4, 3, 32), (2, 1, 40), (1, 5, 8)])
def test_answers_as_timms_does_with_the_same_weights(heads, channels, image_size):
    network = tiny(heads=heads, in_channels=channels, image_size=image_size).double().eval()
    peer = timm.models.vision_transformer.VisionTransformer(
        img_size=image_size,
        patch_size=8,
        in_chans=channels,
        num_classes=10,
        embed_dim=48,
        depth=2,
        num_heads=heads,
        mlp_ratio=2,
    )
    peer = scramble(peer)
    assert load_weights(network, peer.state_dict(), source="timm").fresh == ()
    x = torch.randn(2, channels, image_size, image_size, dtype=torch.float64)
    with torch.no_grad():
        assert_equal(network(x), peer(x))
        (feature,) = network.features(x)
        assert_equal(feature, peer.forward_intermediates(x, indices=[1], norm=False, intermediates_only=True)[0])


def test_torchvisions_files_with_the_older_names_of_mlp_layers():
    """Its published files were written as `mlp.linear_1`; its own network renames them when it loads."""
    peer = torchvision.models.VisionTransformer(32, 8, 2, 4, 48, 96, num_classes=10)
    peer = scramble(peer)
    older = {
        key.replace("mlp.0", "mlp.linear_1").replace("mlp.3", "mlp.linear_2"): each
        for key, each in peer.state_dict().items()
    }
    network = tiny().double().eval()
    assert load_weights(network, older, source="torchvision").fresh == ()
    x = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        assert_equal(network(x), peer(x))


def test_the_aliases_of_other_libraries():
    assert resolve("vit_base_patch16_224") == resolve("deit_base_patch16_224") == "vit_b_16"
    assert resolve("vit_tiny_patch16_224") == "vit_ti_16"
    assert resolve("vit_huge_patch14_224") == "vit_h_14"
    assert resolve("vit_large_patch14_224") == "vit_l_14"


# --- Attention, tokens and features


def test_self_attention_by_hand():
    layer = SelfAttention(ViTConfig(**{**TINY, "hidden_size": 6, "heads": 2})).double()
    x = torch.randn(1, 5, 6, dtype=torch.float64)
    (w, b), (w_out, b_out) = (
        [each.detach().numpy() for each in (dense.weight, dense.bias)] for dense in (layer.qkv, layer.out)
    )
    z, heads = x[0].numpy(), []
    for head in range(2):
        rows = [slice(6 * part + 3 * head, 6 * part + 3 * head + 3) for part in range(3)]
        q, k, v = (z @ w[row].T + b[row] for row in rows)
        scores = np.exp(q @ k.T / math.sqrt(3))
        heads.append(scores / scores.sum(axis=1, keepdims=True) @ v)
    wanted = np.concatenate(heads, axis=1) @ w_out.T + b_out
    with torch.no_grad():
        np.testing.assert_allclose(layer(x)[0].numpy(), wanted, rtol=1e-10, atol=1e-12)


def test_a_token_is_the_projection_of_its_patch_plus_its_position():
    network = scramble(tiny())
    x = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        tokens = network.stem(x)[0]
        stem = network.stem
        patch = x[0, :, 8:16, 24:32].flatten()  # the second row, the fourth column: number 7 of 16
        wanted = stem.proj.weight.flatten(1) @ patch + stem.proj.bias + stem.positions[0, 1 + 7]
    torch.testing.assert_close(tokens[1 + 7], wanted, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(tokens[0], (stem.class_token + stem.positions[:, :1])[0, 0])


def test_the_feature_is_the_map_of_the_patches_tokens():
    network = tiny(image_size=40).eval()
    assert [(info.name, info.channels, info.stride) for info in network.feature_info] == [("stages.0", 48, 8)]
    x = torch.randn(2, 3, 40, 40)
    with torch.no_grad(), capture(network, ["stages.0"]) as outputs:
        (feature,) = network.features(x)
    assert feature.shape == (2, 48, 5, 5)
    assert torch.equal(feature[:, :, 2, 3], outputs["stages.0"][:, 1 + 2 * 5 + 3])


def test_the_head_reads_the_class_token_alone():
    network = scramble(tiny())
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        tokens = network.tokens(x)
        assert torch.equal(network.head(tokens), network(x))
        assert torch.equal(network.head(tokens[:, :1]), network(x))


def test_the_patches_tokens_after_the_last_layer_have_no_part_in_the_logits():
    network = scramble(tiny())
    with capture(network, ["stages.0.0", "stages.0.1"]) as tokens:
        logits = network(torch.randn(1, 3, 32, 32, dtype=torch.float64))
    before, last = torch.autograd.grad(logits[0, 3], list(tokens.values()))
    assert last[:, 0].any()
    assert not last[:, 1:].any()
    assert before[:, 1:].any()


# --- Pictures of another size


def test_positions_are_resized_as_by_hand():
    """Corners stay where they are; between two patches the value lies between theirs."""
    grid = torch.tensor([[0.0, 1.0], [10.0, 11.0]], dtype=torch.float64)
    positions = torch.cat([torch.tensor([99.0], dtype=torch.float64), grid.flatten()])[None, :, None]
    resized = resize_positions(positions, 3)[0, :, 0]
    assert resized[0] == 99  # the class token has no place in the picture
    assert resized[1:].reshape(3, 3).tolist() == [[0, 0.5, 1], [5, 5.5, 6], [10, 10.5, 11]]


@pytest.mark.parametrize(("before", "after"), [(3, 5), (14, 24), (7, 4), (4, 4)])
def test_positions_are_resized_as_in_the_authors_code(before, after):
    """It is scipy's zoom of order 1, here by its own name; timm has the same mode among others."""
    positions = torch.randn(1, 1 + before * before, 6, dtype=torch.float64)
    resized = resize_positions(positions, after)
    maps = positions[0, 1:].reshape(before, before, 6).numpy()
    zoomed = scipy.ndimage.zoom(maps, (after / before, after / before, 1), order=1)
    np.testing.assert_allclose(resized[0, 1:].numpy(), zoomed.reshape(after * after, 6), rtol=1e-10, atol=1e-12)
    timms = timm.layers.resample_abs_pos_embed(
        positions.float(), [after, after], interpolation="bilinear", antialias=False, align_corners=True
    )
    torch.testing.assert_close(resized.float(), timms, rtol=1e-5, atol=1e-5)  # it works in float32


@pytest.mark.parametrize("image_size", [48, 24])
def test_weights_for_another_size_are_loaded_with_resized_positions(image_size):
    source, target = scramble(tiny()), tiny(image_size=image_size).double()
    loaded = load_weights(target, source.state_dict())
    assert (loaded.fresh, loaded.adapted) == ((), ("stem.positions",))
    wanted = source.state_dict() | {"stem.positions": resize_positions(source.stem.positions, image_size // 8)}
    assert all(torch.equal(each, wanted[name]) for name, each in target.state_dict().items())


def test_other_sizes_channels_and_classes_together():
    source, target = tiny(), tiny(image_size=64, in_channels=1, num_classes=3)
    loaded = load_backbone(target, source.state_dict())
    assert loaded.fresh == ("head.fc.weight", "head.fc.bias")
    assert loaded.adapted == ("stem.proj.weight", "stem.positions")


def test_a_smooth_map_of_positions_stays_what_it_was_at_its_corners_when_there_and_back():
    positions = torch.randn(1, 1 + 9, 4, dtype=torch.float64)
    there = resize_positions(positions, 5)  # every second place is one that was there
    torch.testing.assert_close(resize_positions(there, 3), positions, rtol=1e-12, atol=1e-12)


def test_positions_that_are_no_grid_are_refused(monkeypatch):
    monkeypatch.setattr("convatlas.weights.load.looks_like", lambda _state: None)  # it tries every network: seconds
    state = tiny().state_dict()
    state["stem.positions"] = torch.zeros(1, 1 + 15, 48)
    with pytest.raises(WeightsError, match=r"1 of another shape: stem\.positions \(1, 16, 48\)"):
        load_weights(tiny(), state)
    state["stem.positions"] = torch.zeros(1, 1 + 25, 32)
    with pytest.raises(WeightsError, match=r"1 of another shape: stem\.positions \(1, 26, 32\)"):
        load_weights(tiny(), state)


@pytest.mark.every_variant  # it tries every network: seconds
def test_a_network_for_another_size_is_recognised():
    assert looks_like(on_meta("vit_ti_16", image_size=384, num_classes=2).state_dict()) == ("vit_ti_16", "convatlas")


@pytest.mark.parametrize(("size", "crop"), [(224, 224), (384, 384), (256, 224)])
def test_the_default_weights_are_those_for_the_size_or_the_name_s_own(size, crop):
    found = default_weights("vit_s_16", {"image_size": size})
    assert found is not None
    assert found.transform.crop == crop
    if crop == 224:
        assert found == default_weights("vit_s_16")


def test_weights_for_that_size_that_exclude_commercial_use_are_not_the_default():
    """torchvision's SWAG weights are alone in being for 512 pixels."""
    keys = [each.key for each in list_weights(model="vit_l_16") if each.changes.get("image_size") == 512]
    assert keys == ["torchvision/vit_l_16/IMAGENET1K_SWAG_E2E_V1"]
    found = default_weights("vit_l_16", {"image_size": 512})
    assert found is not None
    assert "-NC" not in found.licence


def test_a_picture_of_another_size_is_refused_and_told_what_to_do():
    with pytest.raises(UsageError, match=r"224x224 images only, got 384x384: create it with image_size=384"):
        on_meta("vit_ti_16")(torch.zeros(1, 3, 384, 384, device="meta"))
    with pytest.raises(UsageError, match=r"224x224 images only, got 224x384$"):
        on_meta("vit_ti_16")(torch.zeros(1, 3, 224, 384, device="meta"))
    with pytest.raises(UsageError, match=r"224x224 images only, got 250x250$"):  # no network has 250 / 16 patches
        on_meta("vit_ti_16")(torch.zeros(1, 3, 250, 250, device="meta"))


# --- Regularisation, initialisation and training


def test_dropout_follows_every_dense_layer_but_qkv_and_the_positions():
    network = on_meta("vit_b_16", layers=2)
    rates = {name: module.p for name, module in network.named_modules() if isinstance(module, nn.Dropout)}
    parts = ("dropout", "mlp.dropout1", "mlp.dropout2")
    assert rates == {"stem.dropout": 0.1} | {f"stages.0.{index}.{part}": 0.1 for index in range(2) for part in parts}


def test_ti_and_s_drop_branches_as_deit_and_the_paper_s_own_none():
    drops = [layer.stochastic_depth.drop for layer in on_meta("vit_ti_16").stages[0]]
    assert drops == pytest.approx([0.1 * index / 11 for index in range(12)])
    assert model_config("vit_s_16").dropout == model_config("vit_ti_16").dropout == 0
    assert not any(layer.stochastic_depth.drop for layer in on_meta("vit_b_16").stages[0])
    assert tiny(layers=1, survival=0.5).stages[0][0].stochastic_depth.drop == 0


def test_class_token_positions_norms_and_biases_do_not_decay():
    """big_vision decays what is called a kernel, DeiT and timm list the two among what does not decay."""
    network = tiny()
    optimizer = make_optimizer(network, parts(network), Recipe(lr=0.1, weight_decay=0.1))
    decayed = {id(each) for group in optimizer.param_groups if group["weight_decay"] for each in group["params"]}
    dense = {name for name, each in network.named_modules() if isinstance(each, nn.Linear | nn.Conv2d)}
    assert {name for name, each in network.named_parameters() if id(each) in decayed} == {
        f"{name}.weight" for name in dense
    }
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(network.parameters()))


def test_a_new_network_answers_zero_and_its_weights_are_the_authors():
    network = create_model("vit_ti_16")
    assert not network(torch.randn(1, 3, 224, 224)).any()  # Section 3.2: the classifier starts at zero
    assert not network.stem.class_token.any()
    assert network.stem.positions.std().item() == pytest.approx(0.02, rel=0.02)
    # Normal of variance 1 / fan-in, cut at two deviations of the normal that is cut.
    weight = network.stem.proj.weight
    assert weight.std().item() == pytest.approx(math.sqrt(1 / (16 * 16 * 3)), rel=0.02)
    assert weight.abs().max().item() <= 2 * math.sqrt(1 / (16 * 16 * 3)) / 0.879
    layer = network.stages[0][3]
    limits = [(layer.attention.qkv, 192 + 192), (layer.attention.out, 192 + 192), (layer.mlp.fc1, 192 + 768)]
    for dense, fans in limits:
        limit = math.sqrt(6 / fans)
        assert 0.99 * limit < dense.weight.abs().max().item() <= limit
    assert not layer.attention.qkv.bias.any()
    assert 0 < layer.mlp.fc2.bias.abs().max().item() < 1e-5


def test_it_learns_64_digits_by_heart(digits: PictureSet):
    network = tiny(in_channels=1)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    assert mistakes_after(60, network, *sixty_four(digits, 32), optimizer) == 0


# --- What is refused


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("patch_size", 0),
        ("layers", 0),
        ("hidden_size", 2.5),
        ("hidden_size", 50),
        ("mlp_size", -1),
        ("heads", "3"),
        ("image_size", 0),
        ("image_size", 230),
        ("dropout", 1.0),
        ("survival", 0),
        ("in_channels", 0),
        ("num_classes", True),
    ],
)
def test_an_impossible_config_names_its_field(field, value):
    with pytest.raises(UsageError, match=rf"ViTConfig\.{field} must be"):
        model_config("vit_ti_16", **{field: value})
