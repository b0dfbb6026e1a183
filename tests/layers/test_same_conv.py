import pytest
import torch

from convatlas.layers.same_conv import SameConv2d


@pytest.mark.parametrize(
    ("kernel", "stride", "row", "expected"),
    [
        (3, 1, [1, 2, 3, 4], [3, 6, 9, 7]),
        (3, 2, [1, 2, 3, 4], [6, 7]),  # one pixel of padding: on the right
        (3, 2, [1, 2, 3, 4, 5], [3, 9, 9]),  # two: one on either side
        (5, 2, [1, 2, 3, 4], [10, 9]),  # three: one on the left, two on the right
        (5, 2, [1, 2, 3, 4, 5], [6, 15, 12]),
        (3, 2, [7], [7]),
    ],
)
def test_sums_of_windows_by_hand(kernel, stride, row, expected):
    layer = SameConv2d(1, 1, kernel, stride=stride, bias=False).double()
    x = torch.tensor(row, dtype=torch.float64)
    with torch.no_grad():
        # On a picture one pixel high only the kernel's middle row lies on pixels, so this sums along the row.
        layer.weight.zero_()[0, 0, kernel // 2, :] = 1
        assert layer(x[None, None, None, :]).flatten().tolist() == expected
        layer.weight.zero_()[0, 0, :, kernel // 2] = 1
        assert layer(x[None, None, :, None]).flatten().tolist() == expected


@pytest.mark.parametrize("size", [(8, 9), (1, 5), (12, 33)])
def test_the_output_is_the_input_over_the_stride_rounded_up(size):
    layer = SameConv2d(4, 6, 5, stride=2, groups=2)
    assert layer(torch.zeros(2, 4, *size)).shape == (2, 6, -(-size[0] // 2), -(-size[1] // 2))
