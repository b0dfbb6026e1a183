"""Channel shuffle: Zhang et al., "ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile Devices".

https://arxiv.org/abs/1707.01083
"""

from torch import Tensor


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Section 3.1: channels as a matrix of `groups` rows, transposed and read off again; (N, C, H, W) as before.

    The next layer's groups then get channels from each of this one's: with two groups 0 1 2 3 4 5 becomes 0 3 1 4 2 5.
    groups: divides C.
    """
    images, channels, height, width = x.shape
    return x.reshape(images, groups, channels // groups, height, width).transpose(1, 2).reshape(x.shape)
