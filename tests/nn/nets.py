"""The nets that several tests train, their data, and how an error reads as a whole."""

import contextlib

import numpy as np
import pytest

from grilly import nn

T, N, D, C = 4, 3, 6, 2  # time steps, batch, inputs, outputs of the nets here


def mlp(node=nn.LIFNode, step_mode="m"):
    """The page's net, small."""
    return nn.Sequential(
        nn.SeqToANNContainer(nn.Linear(D, 5), step_mode=step_mode),
        node(step_mode=step_mode),
        nn.SeqToANNContainer(nn.Linear(5, C), step_mode=step_mode),
        node(step_mode=step_mode),
    )


def spikes(*shape, seed=0):
    """Random zeros and ones, float32."""
    return (np.random.default_rng(seed).random(shape) < 0.5).astype(np.float32)


def dyadic(*shape, seed=0):
    """Multiples of 1/256 in [-1, 3]: with tau = 2 they stay exact in float32 for twelve steps."""
    return np.random.default_rng(seed).integers(-256, 769, shape).astype(np.float32) / 256


@contextlib.contextmanager
def raises(kind, text, layer=None):
    """Expects an error by its whole text; and by its note, which says in which layer, if it was in one."""
    with pytest.raises(kind) as caught:
        yield
    assert str(caught.value) == text
    notes = [note for note in getattr(caught.value, "__notes__", []) if note.startswith("in layer")]
    assert notes == ([] if layer is None else [f"in layer {layer}"])
