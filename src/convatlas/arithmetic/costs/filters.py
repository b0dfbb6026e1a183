"""What the ways of building one convolution cost: small filters for large ones, separable, grouped, shared or not.

Each function compares two of them, with the numbers of the notes unless others are given. Biases are left out, as the
notes leave them out. Raises UsageError for a count below 1.
"""

from convatlas.arithmetic import notes
from convatlas.arithmetic.axes import whole
from convatlas.arithmetic.costs.comparison import Comparison, Side, side
from convatlas.arithmetic.layers import check_groups, convolution
from convatlas.errors import UsageError


def two_3x3_or_5x5(channels: int = 1) -> Comparison:
    """Two 3x3 filters see 5x5 pixels, with 18 weights for 25; `channels` in and out make it C² times as many."""
    square = _square(channels)
    return Comparison(
        name="two-3x3",
        title="Two 3x3 filters instead of one 5x5",
        counted="weights",
        dearer=side("one 5x5", (5, 5, *square)),
        cheaper=side("two 3x3", (2, 3, 3, *square)),
        said=f"18 and 25 in {notes.MODELS}; both see 5x5 pixels, and two have two activations",
    )


def three_3x3_or_7x7(channels: int = 1) -> Comparison:
    """Three 3x3 filters see 7x7 pixels, with 27 weights for 49; `channels` in and out make it C² times as many."""
    square = _square(channels)
    return Comparison(
        name="three-3x3",
        title="Three 3x3 filters instead of one 7x7",
        counted="weights",
        dearer=side("one 7x7", (7, 7, *square)),
        cheaper=side("three 3x3", (3, 3, 3, *square)),
        said=f"27C and 49C in {notes.ARCHITECTURES}; C channels in and out make it 27C² and 49C², as in VGG's paper",
    )


def separable_or_full(
    in_channels: int = 8, out_channels: int = 16, kernel: int = 3, *, multiplier: int = 1
) -> Comparison:
    """A depthwise separable convolution for a full one: k² C m + C m M weights for k² C M."""
    taps = _area(kernel)
    deep = whole("in_channels", in_channels, 1) * whole("multiplier", multiplier, 1)
    out = whole("out_channels", out_channels, 1)
    return Comparison(
        name="separable",
        title=f"Depthwise {kernel}x{kernel} and 1x1 instead of full {kernel}x{kernel}, {in_channels} to {out} channels",
        counted="weights",
        dearer=side("full", (*taps, in_channels, out)),
        cheaper=side("separable", (*taps, deep), (deep, out)),
        said=f"1152 and 200 in {notes.MODELS}",
    )


def depthwise_or_full(channels: int = 32, kernel: int = 3) -> Comparison:
    """One filter for each channel, for one over all channels for each map: k² C weights for k² C²."""
    taps = _area(kernel)
    return Comparison(
        name="depthwise",
        title=f"A depthwise {kernel}x{kernel} instead of a full one, {channels} channels in and out",
        counted="weights",
        dearer=side("full", (*taps, *_square(channels))),
        cheaper=side("depthwise", (*taps, channels)),
        said=f"3*3*32 in {notes.COURSE}",
    )


def mobilenet_layer(in_channels: int = 512, out_channels: int = 512, size: int = 14, kernel: int = 3) -> Comparison:
    """MobileNet's cost formula: Dk² M Df² + M N Df² for Dk² M N Df², so 1/N + 1/Dk² of it."""
    taps, places = _area(kernel), _area(size, "size")
    m, n = whole("in_channels", in_channels, 1), whole("out_channels", out_channels, 1)
    return Comparison(
        name="mobilenet",
        title=f"MobileNet's layer: {m} to {n} channels on {size} x {size} places",
        counted="multiply-accumulates",
        dearer=side("full", (n, *taps, m, *places)),
        cheaper=side("separable", (*taps, m, *places), (n, m, *places)),
        said=f"the formula is in {notes.ARCHITECTURES}; MobileNet's paper has 462 M and 52.3 M in Table 3",
    )


def width_multiplier(width: float = 0.75, channels: int = 512, size: int = 14, kernel: int = 3) -> Comparison:
    """MobileNet's first multiplier: all channels times `width`, above 0 and at most 1, cost nearly width² as much."""
    thin = _scaled("width", width, whole("channels", channels, 1))
    return Comparison(
        name="width-multiplier",
        title=f"Width multiplier {width:g}: {thin} channels instead of {channels}",
        counted="multiply-accumulates",
        dearer=_separable(f"{channels} channels", channels, size, kernel),
        cheaper=_separable(f"{thin} channels", thin, size, kernel),
        said=f"named in {notes.OVERVIEW}; Table 3 of MobileNet's paper: 52.3 M and 29.6 M",
    )


def resolution_multiplier(
    resolution: float = 0.714, channels: int = 384, size: int = 14, kernel: int = 3
) -> Comparison:
    """MobileNet's second multiplier: sides times `resolution`, above 0 and at most 1, cost resolution² as much."""
    small = _scaled("resolution", resolution, whole("size", size, 1))
    return Comparison(
        name="resolution-multiplier",
        title=f"Resolution multiplier {resolution:g}: {small} x {small} places instead of {size} x {size}",
        counted="multiply-accumulates",
        dearer=_separable(f"{size} x {size} places", channels, size, kernel),
        cheaper=_separable(f"{small} x {small} places", channels, small, kernel),
        said=f"named in {notes.OVERVIEW}; Table 3 of MobileNet's paper: 29.6 M and 15.1 M",
    )


def grouped_or_full(in_channels: int = 96, out_channels: int = 256, kernel: int = 5, *, groups: int = 2) -> Comparison:
    """A convolution in groups for one over all channels: an output sees only the inputs of its group."""
    taps = _area(kernel)
    check_groups(groups, in_channels, out_channels)
    return Comparison(
        name="grouped",
        title=f"{groups} groups instead of one: {in_channels} to {out_channels} channels, {kernel}x{kernel}",
        counted="weights",
        dearer=side("one group", (*taps, in_channels, out_channels)),
        cheaper=side(f"{groups} groups", (*taps, in_channels // groups, out_channels)),
        said=f"{notes.OVERVIEW} names them at AlexNet, whose second convolution this is",
    )


def one_by_one_reduction(
    in_channels: int = 192, reduced: int = 16, out_channels: int = 32, size: int = 28, kernel: int = 5
) -> Comparison:
    """A 1x1 convolution that narrows before a large kernel: GoogLeNet's way to make 5x5 affordable."""
    taps, places = _area(kernel), _area(size, "size")
    for field, channels in (("in_channels", in_channels), ("reduced", reduced), ("out_channels", out_channels)):
        whole(field, channels, 1)
    return Comparison(
        name="one-by-one",
        title=f"1x1 to {reduced} channels before {kernel}x{kernel}: {in_channels} to {out_channels}",
        counted="multiply-accumulates",
        dearer=side(f"{kernel}x{kernel} alone", (*places, *taps, in_channels, out_channels)),
        cheaper=side("1x1 first", (*places, in_channels, reduced), (*places, *taps, reduced, out_channels)),
        said=f"told without numbers in {notes.ARCHITECTURES}; these are of GoogLeNet's first module (3a)",
    )


def dense_or_convolution(
    size: int = 32, in_channels: int = 3, out_channels: int = 12, kernel: int = 5, *, count: str = "weights"
) -> Comparison:
    """The notes' table: a dense layer from map to map of the same size, for a convolution that keeps the size.

    count: "weights" (W² H² C M and K² C M) or "connections" (W² H² C M and W H K² C M, without biases).
    """
    if count not in ("weights", "connections"):
        raise UsageError(f'count must be "weights" or "connections", not {count!r}')
    channels = (whole("in_channels", in_channels, 1), whole("out_channels", out_channels, 1))
    places, taps = _area(size, "size"), _area(kernel)
    return Comparison(
        name="shared-weights" if count == "weights" else "sparse-connections",
        title=f"A convolution instead of a dense layer, {in_channels} to {out_channels} maps of {size} x {size}",
        counted=count,
        dearer=side("dense", (*places, *places, *channels)),
        cheaper=side("convolution", *([(*taps, *channels)] if count == "weights" else [(*places, *taps, *channels)])),
        said=f"the formulas are in {notes.OVERVIEW}",
    )


def unshared_or_shared(size: int = 32, in_channels: int = 3, out_channels: int = 12, kernel: int = 5) -> Comparison:
    """One set of filters for all places, for others at each place (a locally connected layer)."""
    layer = convolution((size, size), in_channels=in_channels, out_channels=out_channels, kernel=kernel, bias=False)
    filters = (*_area(kernel), in_channels, out_channels)
    return Comparison(
        name="same-filter",
        title=f"The same {out_channels} filters of {kernel}x{kernel} at each place of {size} x {size} x {in_channels}",
        counted="weights",
        dearer=side("others at each place", (*layer.outputs[1:], *filters)),
        cheaper=side("the same at each place", filters),
        said=f"told in {notes.LECTURES}, with 5*5*3 = 75 weights a filter and 12 filters",
    )


def _separable(name: str, channels: int, size: int, kernel: int) -> Side:
    maps, places = whole("channels", channels, 1), _area(size, "size")
    return side(name, (*_area(kernel), maps, *places), (maps, maps, *places))


def _scaled(field: str, factor: float, count: int) -> int:
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 < factor <= 1:
        raise UsageError(f"{field} must be above 0 and at most 1, not {factor!r}")
    return max(round(factor * count), 1)


def _area(side_length: int, field: str = "kernel") -> tuple[int, int]:
    return (whole(field, side_length, 1),) * 2


def _square(channels: int) -> tuple[int, ...]:
    """C·C, or nothing for one channel, so that formulas stay as the notes print them."""
    count = whole("channels", channels, 1)
    return (count, count) if count > 1 else ()
