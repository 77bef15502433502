"""What is shown of an epoch: means over the steps that were looked at, whether or not it was stopped."""

import json

import numpy as np
import pytest
from tqdm import tqdm

from grilly.cli.measure import Watch

STEPS = 250  # every third one is looked at: at most 100 are
LOSSES = np.random.default_rng(0).random(STEPS)
RATES = np.random.default_rng(1).random((STEPS, 4, 10), np.float32)
LABELS = np.random.default_rng(2).integers(0, 10, (STEPS, 4))


def watched(first, end, sums):
    """The means after the steps from `first` to `end`, where `sums` are those before."""
    with tqdm(disable=True) as bar:
        watch = Watch(bar, STEPS, first, sums)
        for step in range(first, end):
            watch(LOSSES[step], RATES[step], LABELS[step])
        return watch.means()


def test_means_are_those_of_every_third_step():
    means = watched(0, STEPS, {})
    assert means.keys() == {"loss", "accuracy", "firing_rate"}
    assert means["loss"] == pytest.approx(LOSSES[::3].mean())
    assert means["accuracy"] == (RATES.argmax(axis=2) == LABELS)[::3].mean()
    assert means["firing_rate"] == pytest.approx(RATES[::3].mean(), rel=1e-6)


@pytest.mark.parametrize("stop", [1, 100, 249])
def test_means_of_a_stopped_epoch_go_on_bit_for_bit(stop):
    sums = {}
    watched(0, stop, sums)
    assert watched(stop, STEPS, json.loads(json.dumps(sums))) == watched(0, STEPS, {})
