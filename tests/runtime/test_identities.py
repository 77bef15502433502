"""What the compiler must not write shorter. Newer versions of XLA do, so NumPy says what is right."""

import numpy as np

import grilly


def test_the_signs_of_zeros_and_what_is_no_number_stay(device):
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5], np.float32)

    def function(x):
        return x - 0.0, (x > 1) * np.float32(np.inf)

    with np.errstate(invalid="ignore"):
        expected = function(x)
    for ours, theirs in zip(grilly.jit(function, device=device)(x), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        known = ~np.isnan(theirs)
        np.testing.assert_array_equal(np.signbit(ours)[known], np.signbit(theirs)[known])
