import pytest

from convatlas.layers.round_channels import round_channels


@pytest.mark.parametrize(
    ("channels", "expected"),
    [
        (32, 32),
        (3.2, 8),  # never below the divisor
        (11.2, 16),  # 8 would lose more than a tenth
        (26.4, 24),  # a loss of 9 %
        (35.2, 32),
        (36, 40),  # half-way goes up
        (1280 * 1.1, 1408),
        (1280 * 1.4, 1792),
    ],
)
def test_to_the_nearest_multiple_of_eight_but_not_a_tenth_less(channels, expected):
    assert round_channels(channels) == expected


def test_another_divisor():
    assert round_channels(10, divisor=4) == 12
