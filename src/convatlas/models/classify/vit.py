"""ViT, the Vision Transformer: Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021.

https://arxiv.org/abs/2010.11929 -- network: Equations 1 to 4, Figure 1; attention: Appendix A, Equations 5 to 8;
variants: Table 1 (Ti and S: DeiT, Touvron et al., https://arxiv.org/abs/2012.12877, Table 1; S/32: Steiner et al.,
https://arxiv.org/abs/2106.10270; L/14: the size of CLIP's largest, Radford et al., https://arxiv.org/abs/2103.00020,
whose other details it has not); pictures of another size: Section 3.2. The head is the single layer of fine-tuning,
which starts at zero (Section 3.2); for pre-training the paper has a hidden layer before it.
From the authors' code (google-research/vision_transformer): LayerNorm's epsilon of 1e-6 and the initialisation.
Dropout follows every dense layer but the projections to queries, keys and values, and the position embeddings
(Appendix B.1): 0.1 on ImageNet (Table 3). Ti and S have stochastic depth instead, as DeiT trains them: 0.1 at the last
layer, 0 at the first.
Weight decay: the paper does not say of what. As in the authors' code (google-research/big_vision) and DeiT's it is for
the weights of the dense layers and the patches' projection, not for the class token and the position embeddings.
Deviation, to match public weights: GELU is exact; the authors' code approximates it by tanh.
Shapes: N images, C channels, H = W = image_size pixels, K classes; patches of P x P pixels; T = 1 + (H/P)^2 tokens of D
values.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convatlas.errors import UsageError
from convatlas.layers.stochastic_depth import StochasticDepth
from convatlas.models.contract import FeatureInfo, check_at_least, check_fraction, check_images, check_share


@dataclass(frozen=True, kw_only=True)
class ViTConfig:
    """A row of Table 1, by its column titles, and P. Raises UsageError naming the field when a value is impossible.

    image_size: pixels a side, a multiple of patch_size: the network has a position embedding for each patch.
    """

    patch_size: int
    layers: int
    hidden_size: int
    mlp_size: int
    heads: int
    image_size: int = 224
    dropout: float = 0.1
    survival: float = 1.0  # the probability that the deepest layer's branches are kept in training
    in_channels: int = 3
    num_classes: int = 1000

    def __post_init__(self) -> None:
        sizes = ("patch_size", "layers", "hidden_size", "mlp_size", "heads", "image_size")
        check_at_least(self, 1, *sizes, "in_channels", "num_classes")
        check_fraction(self, "dropout")
        check_share(self, "survival")
        if self.hidden_size % self.heads:
            raise UsageError(
                f"ViTConfig.hidden_size must be a multiple of heads={self.heads}, which share it, not "
                f"{self.hidden_size!r}"
            )
        if self.image_size % self.patch_size:
            raise UsageError(
                f"ViTConfig.image_size must be a multiple of patch_size={self.patch_size}, not {self.image_size!r}"
            )


CONFIGS = {
    "vit_ti_16": ViTConfig(patch_size=16, layers=12, hidden_size=192, mlp_size=768, heads=3, dropout=0.0, survival=0.9),
    "vit_s_16": ViTConfig(patch_size=16, layers=12, hidden_size=384, mlp_size=1536, heads=6, dropout=0.0, survival=0.9),
    "vit_s_32": ViTConfig(patch_size=32, layers=12, hidden_size=384, mlp_size=1536, heads=6, dropout=0.0, survival=0.9),
    "vit_b_16": ViTConfig(patch_size=16, layers=12, hidden_size=768, mlp_size=3072, heads=12),
    "vit_b_32": ViTConfig(patch_size=32, layers=12, hidden_size=768, mlp_size=3072, heads=12),
    "vit_l_14": ViTConfig(patch_size=14, layers=24, hidden_size=1024, mlp_size=4096, heads=16),
    "vit_l_16": ViTConfig(patch_size=16, layers=24, hidden_size=1024, mlp_size=4096, heads=16),
    "vit_l_32": ViTConfig(patch_size=32, layers=24, hidden_size=1024, mlp_size=4096, heads=16),
    "vit_h_14": ViTConfig(patch_size=14, layers=32, hidden_size=1280, mlp_size=5120, heads=16),
}


class PatchEmbedding(nn.Module):
    """Equation 1: images (N, C, H, W) -> tokens (N, T, D), of which the first is the class token.

    A convolution whose stride is its kernel is the linear projection E of each flattened patch.
    """

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        grid = config.image_size // config.patch_size
        self.proj = nn.Conv2d(config.in_channels, config.hidden_size, config.patch_size, config.patch_size)
        self.class_token = nn.Parameter(torch.zeros(1, 1, config.hidden_size))
        self.positions = nn.Parameter(torch.empty(1, 1 + grid * grid, config.hidden_size))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        patches = self.proj(x).flatten(2).transpose(1, 2)  # (N, T - 1, D), row by row
        tokens = torch.cat([self.class_token.expand(x.shape[0], -1, -1), patches], dim=1) + self.positions
        embedded: Tensor = self.dropout(tokens)
        return embedded


class SelfAttention(nn.Module):
    """MSA, Equations 5 to 8: (N, T, D) -> (N, T, D). Each head works on D / heads values of each token."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.out = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        # Three times (N, heads, T, D / heads).
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind()
        weighted = F.scaled_dot_product_attention(q, k, v)  # softmax(q k^T / sqrt(D / heads)) v
        mixed: Tensor = self.out(weighted.transpose(1, 2).flatten(2))
        return mixed


class MLP(nn.Sequential):
    """Two dense layers with a GELU between them, each token by itself: (N, T, D) -> (N, T, D)."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.mlp_size)
        self.gelu = nn.GELU()
        self.dropout1 = nn.Dropout(config.dropout)
        self.fc2 = nn.Linear(config.mlp_size, config.hidden_size)
        self.dropout2 = nn.Dropout(config.dropout)


class EncoderLayer(nn.Module):
    """Equations 2 and 3: (N, T, D) -> (N, T, D). drop: the probability that training skips a branch."""

    def __init__(self, config: ViTConfig, *, drop: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.hidden_size, eps=1e-6)
        self.attention = SelfAttention(config)
        self.dropout = nn.Dropout(config.dropout)
        self.norm2 = nn.LayerNorm(config.hidden_size, eps=1e-6)
        self.mlp = MLP(config)
        self.stochastic_depth = StochasticDepth(drop)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = x + self.stochastic_depth(self.dropout(self.attention(self.norm1(x))))
        encoded: Tensor = x + self.stochastic_depth(self.mlp(self.norm2(x)))
        return encoded


class Head(nn.Module):
    """Equation 4 and the classifier: tokens (N, T, D) -> logits (N, K), from the class token alone."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.hidden_size, eps=1e-6)
        self.fc = nn.Linear(config.hidden_size, config.num_classes)

    def forward(self, tokens: Tensor) -> Tensor:
        """See the class."""
        logits: Tensor = self.fc(self.norm(tokens[:, 0]))
        return logits


class ViT(nn.Module):
    """Images (N, C, H, W) of H = W = image_size -> logits (N, K).

    The feature is the map of the patches' tokens after the last layer: (N, D, H/P, W/P). The class token, which alone
    the head reads, is no part of it. `capture(network, ["stages.0.5"])` gives all tokens (N, T, D) of the sixth layer.
    After the last layer no patch's token has a part in the logits any more: their gradient there is zero, and a class
    activation map of this feature blank.
    """

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = config
        self.smallest = config.image_size  # and the largest
        self.stem = PatchEmbedding(config)
        drops = [(1 - config.survival) * index / max(1, config.layers - 1) for index in range(config.layers)]
        # The paper knows no stages: all layers are alike.
        self.stages = nn.ModuleList([nn.Sequential(*(EncoderLayer(config, drop=drop) for drop in drops))])
        self.feature_info = (FeatureInfo("stages.0", config.hidden_size, config.patch_size),)
        self.head = Head(config)
        self._initialise()

    def _initialise(self) -> None:
        if self.stem.positions.is_meta:  # drawing nothing is slow there
            return
        fan_in = self.stem.proj.weight[0].numel()
        # The deviation of a normal that is cut at two deviations is 0.88 of what it was.
        deviation = math.sqrt(1 / fan_in) / 0.87962566103423978
        nn.init.trunc_normal_(self.stem.proj.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
        nn.init.zeros_(self.stem.proj.bias)  # type: ignore[arg-type]  # built with a bias
        nn.init.normal_(self.stem.positions, std=0.02)
        for module in self.stages.modules():
            if isinstance(module, SelfAttention):
                limit = math.sqrt(6 / (2 * self.config.hidden_size))  # Glorot's, for each of q, k and v by itself
                nn.init.uniform_(module.qkv.weight, -limit, limit)
                nn.init.zeros_(module.qkv.bias)
                nn.init.xavier_uniform_(module.out.weight)
                nn.init.zeros_(module.out.bias)
            elif isinstance(module, MLP):
                for dense in (module.fc1, module.fc2):
                    nn.init.xavier_uniform_(dense.weight)
                    nn.init.normal_(dense.bias, std=1e-6)
        nn.init.zeros_(self.head.fc.weight)
        nn.init.zeros_(self.head.fc.bias)

    def tokens(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) -> the tokens (N, T, D) after the last layer, the class token first."""
        side = self.config.image_size
        check_images(x, network="ViT", channels=self.config.in_channels, smallest=1)
        height, width = x.shape[2:]
        if (height, width) != (side, side):
            possible = height == width and height % self.config.patch_size == 0
            hint = f": create it with image_size={height}" if possible else ""
            raise UsageError(f"this ViT works on {side}x{side} images only, got {height}x{width}{hint}")
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return x

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) -> the one feature of `feature_info`: (N, D, H/P, W/P)."""
        grid = self.config.image_size // self.config.patch_size
        tokens = self.tokens(x)
        return (tokens[:, 1:].transpose(1, 2).reshape(tokens.shape[0], tokens.shape[2], grid, grid),)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, K)."""
        logits: Tensor = self.head(self.tokens(x))
        return logits
