"""What the layers refuse, and what they say then."""

import re

import numpy as np
import pytest

from grilly import ParameterError, ShapeError
from grilly import functional as F

IMAGE, ROWS = np.zeros((2, 3, 6, 5)), np.zeros((4, 3))
LINEAR = "linear takes x of shape (*, in) and a weight of shape (out, in) with the same number of inputs."
CONV = (
    "conv2d takes x of shape (N, C, H, W) and a weight of shape (O, C / groups, kH, kW), with O a multiple of groups."
)
WRAP = "Wrap the layer in nn.SeqToANNContainer, which merges T and N."
FIT = "Use larger images, a smaller window or more padding."
WINDOW = "an integer of at least 1 was expected, or a pair of them."


def conv2d(shape=(4, 3, 3, 3), x=IMAGE, bias=None, **choices):
    return F.conv2d(x, np.zeros(shape), bias, **choices)


def batch_norm(x=ROWS, scale=3, bias=3, mean=3, var=3, training=True, **choices):
    return F.batch_norm(x, *map(np.ones, (scale, bias, mean, var)), training=training, **choices)


SHAPES = {
    "linear_inputs": (lambda: F.linear(ROWS, np.zeros((2, 4))), f"x has shape (4, 3), weight (2, 4): {LINEAR}"),
    "linear_weight": (lambda: F.linear(ROWS, np.zeros(3)), f"x has shape (4, 3), weight (3,): {LINEAR}"),
    "linear_scalar": (lambda: F.linear(1.0, np.zeros((2, 1))), f"x has shape (), weight (2, 1): {LINEAR}"),
    "linear_bias": (
        lambda: F.linear(ROWS, np.zeros((2, 3)), np.zeros((1, 2))),
        "bias has shape (1, 2): (2,) was expected, one number for each output.",
    ),
    "linear_dtype": (
        lambda: F.linear(ROWS + 1j, np.zeros((2, 3))),
        "x has dtype complex64: floats, or spikes as booleans or integers, were expected.",
    ),
    "linear_none": (lambda: F.linear(None, np.zeros((2, 3))), "x is a NoneType: an array was expected."),
    "linear_name": (lambda: F.linear("x", np.zeros((2, 3))), "x is a str: an array was expected."),
    "linear_dict": (lambda: F.linear({"x": ROWS}, np.zeros((2, 3))), "x is a dict: an array was expected."),
    "linear_function": (lambda: F.linear(F.relu, np.zeros((2, 3))), "x is a function: an array was expected."),
    "linear_ragged": (lambda: F.linear([[1.0], [1.0, 2.0]], np.zeros((2, 3))), "x is a list: an array was expected."),
    "linear_objects": (
        lambda: F.linear(ROWS.astype(object), np.zeros((2, 3))), "x is an array of object: an array was expected."
    ),
    "conv2d_image": (
        lambda: conv2d(x=IMAGE[0]), "x has shape (3, 6, 5): conv2d takes images of shape (N, C, H, W)."
    ),
    "conv2d_sequence": (
        lambda: conv2d(x=IMAGE[None]),
        f"x has shape (1, 2, 3, 6, 5): conv2d takes images of shape (N, C, H, W). {WRAP}",
    ),
    "conv2d_channels": (
        lambda: conv2d((4, 2, 3, 3)), f"x has shape (2, 3, 6, 5), weight (4, 2, 3, 3), groups is 1: {CONV}"
    ),
    "conv2d_groups": (
        lambda: conv2d((4, 1, 3, 3), groups=3),
        f"x has shape (2, 3, 6, 5), weight (4, 1, 3, 3), groups is 3: {CONV}",
    ),
    "conv2d_weight": (
        lambda: conv2d((4, 3, 3)), f"x has shape (2, 3, 6, 5), weight (4, 3, 3), groups is 1: {CONV}"
    ),
    "conv2d_window": (
        lambda: conv2d(padding=(0, 1), dilation=(3, 1)),
        "x has shape (2, 3, 6, 5), with padding its images are 6 x 7: "
        f"the 7 x 3 window of conv2d does not fit. {FIT}",
    ),
    "conv2d_bias": (
        lambda: conv2d(bias=np.zeros(3)), "bias has shape (3,): (4,) was expected, one number for each output."
    ),
    "max_pool2d_image": (
        lambda: F.max_pool2d(ROWS, 2), "x has shape (4, 3): max_pool2d takes images of shape (N, C, H, W)."
    ),
    "max_pool2d_window": (
        lambda: F.max_pool2d(IMAGE, (2, 6)),
        "x has shape (2, 3, 6, 5), with padding its images are 6 x 5: "
        f"the 2 x 6 window of max_pool2d does not fit. {FIT}",
    ),
    "avg_pool2d_sequence": (
        lambda: F.avg_pool2d(IMAGE[None], 2),
        f"x has shape (1, 2, 3, 6, 5): avg_pool2d takes images of shape (N, C, H, W). {WRAP}",
    ),
    "batch_norm_axis": (
        lambda: batch_norm(np.zeros(3)),
        "x has shape (3,): batch_norm takes (N, C, *) with the channels along axis 1.",
    ),
    **{
        f"batch_norm_{name}": (
            lambda name=name: batch_norm(**{name: 4}),
            f"{name} has shape (4,), x (4, 3): (3,) was expected, one number for each channel.",
        )
        for name in ("scale", "bias", "mean", "var")
    },
    "batch_norm_of_one": (
        lambda: batch_norm(ROWS[:1]),
        "x has shape (1, 3): in training batch_norm needs at least 2 values of each channel.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_that_does_not_fit_is_refused(name):
    call, said = SHAPES[name]
    with pytest.raises(ShapeError, match=f"^{re.escape(said)}$"):
        call()


CHOICES = {
    "stride": (lambda: conv2d(stride=0), f"stride is 0: {WINDOW}"),
    "stride_pair": (lambda: conv2d(stride=(1, 2, 3)), f"stride is (1, 2, 3): {WINDOW}"),
    "padding": (
        lambda: conv2d(padding=-1), "padding is -1: an integer of at least 0 was expected, or a pair of them."
    ),
    "dilation": (lambda: conv2d(dilation=1.5), f"dilation is 1.5: {WINDOW}"),
    "flag": (lambda: conv2d(stride=True), f"stride is True: {WINDOW}"),
    "groups": (lambda: conv2d(groups=0), "groups is 0: an integer of at least 1 was expected."),
    "groups_true": (lambda: conv2d(groups=True), "groups is True: an integer of at least 1 was expected."),
    "kernel": (lambda: F.max_pool2d(IMAGE, 0), f"kernel is 0: {WINDOW}"),
    "pool_stride": (lambda: F.avg_pool2d(IMAGE, 2, (1, 0)), f"stride is (1, 0): {WINDOW}"),
    "pool_padding": (
        lambda: F.max_pool2d(IMAGE, (3, 2), padding=(1, 2)),
        "padding is (1, 2), kernel (3, 2): at most half of the window can be padding.",
    ),
    "start_dim": (lambda: F.flatten(ROWS, 2), "start_dim is 2: x has shape (4, 3), so 0 to 1 is possible."),
    "start_dim_negative": (lambda: F.flatten(ROWS, -1), "start_dim is -1: x has shape (4, 3), so 0 to 1 is possible."),
}  # fmt: skip


@pytest.mark.parametrize("name", CHOICES)
def test_a_choice_out_of_range_is_refused(name):
    call, said = CHOICES[name]
    with pytest.raises(ParameterError, match=f"^{re.escape(said)}$"):
        call()
