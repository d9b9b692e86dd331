"""Codecs on screens of many font sizes."""

import pytest

from neural_computer.workflows.reconstruct import SweepOptions, load_codec


def test_every_font_size_meets_every_density():
    options = SweepOptions(fonts=(6, 13), densities=(0.1, 0.5), size=(96, 208))
    assert options.points == [(6, 0.1), (6, 0.5), (13, 0.1), (13, 0.5)]


@pytest.mark.parametrize("size", [(97, 208), (96, 204)])
def test_sides_are_multiples_of_eight(size):
    with pytest.raises(ValueError, match=f"size={size[0]}x{size[1]}: must be HEIGHTxWIDTH, multiples of 8"):
        SweepOptions(size=size)


def test_without_a_codec_the_flags_are_named():
    with pytest.raises(ValueError, match="--machine: is missing; .* --init"):
        load_codec()
