"""Scaled channel counts, rounded as the mobile networks round them."""


def round_channels(channels: float, divisor: int = 8) -> int:
    """The multiple of `divisor` nearest to `channels`, but at least `divisor` and at least 90 % of `channels`.

    channels: a count times a width, above 0. As in the code of MobileNetV2 and EfficientNet: 11.2 gives 16, since 8
    would lose more than a tenth.
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    if rounded < 0.9 * channels:
        rounded += divisor
    return rounded
