import pytest
import torch

from convatlas.layers.channel_shuffle import channel_shuffle


@pytest.mark.row("B-21")
@pytest.mark.parametrize(
    ("channels", "groups", "wanted"),
    [
        (6, 2, [0, 3, 1, 4, 2, 5]),
        (6, 3, [0, 2, 4, 1, 3, 5]),
        (4, 1, [0, 1, 2, 3]),  # one group: nothing to mix
        (4, 4, [0, 1, 2, 3]),
    ],
)
def test_channels_are_dealt_out_in_turn(channels, groups, wanted):
    x = torch.arange(channels).reshape(1, channels, 1, 1).expand(2, channels, 3, 4)
    y = channel_shuffle(x, groups)
    assert y.shape == x.shape
    assert y[1, :, 2, 3].tolist() == wanted
