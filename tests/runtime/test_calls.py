"""Calls of a known signature: however many there are, and from however many threads, they leave nothing behind."""

import copy
import gc
import pickle
import threading
import tracemalloc

import jax
import numpy as np
import pytest

import grilly
from grilly.runtime.gpu.recordings import RECORDINGS

CALLS = 10_000
X = np.arange(6, dtype=np.float32)


def halve(tree):
    return jax.tree.map(lambda leaf: leaf * 0.5, tree)


def dropped(device):
    """Results that nobody keeps."""
    increment, x = grilly.jit(lambda x: x + 1, device=device), grilly.put(X, device)
    return lambda: increment(x)


def held(device):
    """The last ten results are kept, and the oldest of them is looked at."""
    increment, x, kept = grilly.jit(lambda x: x + 1, device=device), grilly.put(X, device), []

    def call():
        kept.append(increment(x))
        if len(kept) > 10:
            kept.pop(0).block_until_ready()

    return call


def from_numpy(device):
    increment = grilly.jit(lambda x: x + 1, device=device)
    return lambda: increment(X)


def donated(device):
    """A pytree that each call hands over to the next."""
    step = grilly.jit(halve, device=device, donate_argnums=0)
    tree = step({"w": X, "b": (X + 1, X + 2)})

    def call():
        nonlocal tree
        tree = step(tree)

    return call


def mixed(device):
    """A donated argument, a NumPy argument, and a result that is looked at now and then."""
    step = grilly.jit(lambda v, x: (v * 0.5 + x, v.sum()), device=device, donate_argnums=0)
    v, turn = grilly.put(X, device), 0

    def call():
        nonlocal v, turn
        v, total = step(v, X)
        turn += 1
        if turn % 100 == 0:
            float(total)

    return call


def census(device):
    """What a leak would show in: Vulkan's objects, device and host memory, allocations; Python's objects and bytes."""
    gc.collect()
    device.wait_idle()
    vulkan = device.counts()
    recordings = vulkan.pop("CommandBuffer")
    memory = device.heap.used, device.host_heap.used, device.allocations
    return (vulkan, memory), recordings, len(gc.get_objects()), tracemalloc.get_traced_memory()[0]


@pytest.mark.parametrize("kind", [dropped, held, from_numpy, donated, mixed])
def test_ten_thousand_calls_leak_nothing(kind, device):
    call = kind(device)
    for _ in range(1000):
        call()
    tracemalloc.start()
    try:
        submits, before = device.submits, census(device)
        for _ in range(CALLS):
            call()
        after = census(device)
    finally:
        tracemalloc.stop()

    assert device.submits >= submits + CALLS
    assert after[0] == before[0]
    assert after[1] <= before[1] + RECORDINGS  # of the sets of addresses that it met
    assert after[2] <= before[2] + 50
    assert after[3] <= before[3] + 100_000


# Threads ----------------------------------------------------------------------------------------------------


def in_threads(work, count=8):
    """Runs `work(k)` in threads that begin at the same moment; gives what each returned."""
    start, results = threading.Barrier(count), [None] * count

    def run(k):
        start.wait()
        results[k] = work(k)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.parametrize("where", ["cpu", "vulkan"])
def test_threads_that_meet_a_new_signature_at_once_compile_it_once(where):
    traces = []

    def function(x, y):
        traces.append(1)
        return {"sum": x + y, "product": [x * y]}

    run = grilly.jit(function, device=where)
    results = in_threads(lambda k: run(X + k, np.float32(k)))

    assert len(traces) == 1 or where == "cpu"  # where JAX may trace in each
    for k, result in enumerate(results):
        np.testing.assert_array_equal(result["sum"], X + k + k)
        np.testing.assert_array_equal(result["product"][0], (X + k) * k)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda run: pickle.loads(pickle.dumps(run))])
@pytest.mark.parametrize("where", ["cpu", "vulkan"])
def test_a_function_can_be_copied(copied, where):
    run = grilly.jit(halve, device=where, donate_argnums=0)
    for _ in range(2):  # before it was called, and after
        other, x = copied(run), grilly.put(X, where)
        np.testing.assert_array_equal(other(x), X / 2)
        assert repr(x) == "Array(donated, shape=(6,), dtype=float32)"
        np.testing.assert_array_equal(run(X), X / 2)


def test_threads_share_a_function_each_with_values_of_its_own(device):
    """NumPy arguments, arrays, donated ones; results handed on and looked at."""
    step = grilly.jit(lambda v, x: (v * 0.5 + x, v + x), device=device, donate_argnums=0)

    def work(k):
        v, expected, wrong = grilly.put(X + k, device), X + k, 0
        for turn in range(50):
            x = np.full(6, k * turn, np.float32)
            v, total = step(v, x if turn % 2 else grilly.put(x, device))
            wrong += not np.array_equal(total, expected + x)
            expected = expected * np.float32(0.5) + x
        return wrong + (not np.array_equal(v, expected))

    assert in_threads(work) == [0] * 8
