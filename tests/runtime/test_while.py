"""Whiles that the host ends: how often it submits, and that calls leave nothing behind."""

import gc
import threading

import numpy as np
import pytest
from jax import lax

import grilly
from grilly.runtime.gpu.executable import Executable
from grilly.runtime.gpu.recordings import RECORDINGS

HALF = np.eye(3, dtype=np.float32) / 2


def shrunk(x, a=HALF):
    """A product in each turn; from 2 ** n times the unit matrix, n turns."""
    return lax.while_loop(lambda x: x.max() > 1, lambda x: x @ a, x)


def scaled(turns):
    return np.eye(3, dtype=np.float32) * np.float32(2) ** turns


@pytest.mark.parametrize("turns", [0, 1, 2, 5])
def test_each_turn_is_one_submit(turns, device):
    function = grilly.jit(shrunk, device=device)
    function(scaled(0))
    before = device.submits

    result = function(scaled(turns))

    after_odd_turns = turns % 2
    assert device.submits - before == 1 + turns + after_odd_turns + 1
    np.testing.assert_array_equal(np.asarray(result), scaled(0))


def test_calls_allocate_nothing_and_leak_nothing(device):
    function = grilly.jit(lambda x: lax.scan(lambda c, _: (shrunk(c * 8), c), x, None, length=2), device=device)
    x = grilly.put(scaled(3), device)

    def loop(times):
        for _ in range(times):
            function(x)[0].block_until_ready()

    loop(10)
    gc.collect()  # what earlier tests left must not be freed midway
    counts, allocations, used = device.counts(), device.allocations, device.heap.used
    loop(50)

    after = device.counts()
    recordings = after.pop("CommandBuffer") - counts.pop("CommandBuffer")
    assert recordings <= RECORDINGS  # of the sets of addresses that it met, which depend on the tests before
    assert after == counts
    assert device.allocations == allocations
    assert device.heap.used == used


def test_an_executable_takes_its_memory_with_it(device):
    plan = grilly.jit(shrunk, device=device).lower(scaled(3)).lowered.plan

    def remains():
        """Of calling it once."""
        device.wait(Executable(device, plan, "shrunk")([scaled(3)])[0])
        gc.collect()
        return device.counts(), device.heap.used, device.host_heap.used

    first = remains()
    assert [remains() for _ in range(3)] == [first] * 3


def test_what_is_done_with_a_result_waits_for_the_last_turn(device):
    shrink, double = grilly.jit(shrunk, device=device), grilly.jit(lambda x: x + x, device=device)

    results = [double(shrink(double(scaled(turns)))) for turns in (3, 0, 6)]

    for result in results:
        np.testing.assert_array_equal(np.asarray(result), scaled(1))


def test_threads_may_end_their_whiles_at_the_same_time(device):
    function, wrong = grilly.jit(lambda x: (shrunk(x), x.max()), device=device), []

    def work(turns):
        for _ in range(10):
            shrunken, largest = function(scaled(turns))
            if not (np.array_equal(np.asarray(shrunken), scaled(0)) and float(largest) == 2.0**turns):
                wrong.append(turns)

    threads = [threading.Thread(target=work, args=(turns,)) for turns in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_profile_times_a_loop_that_the_host_ends_as_one(device):
    function = grilly.jit(shrunk, device=device)
    expected = np.asarray(function(scaled(4)))
    with grilly.profile() as p:
        got = function(scaled(4))
    np.testing.assert_array_equal(got, expected)
    assert [(row.kernel, row.calls) for row in p.rows] == [("ended by the host", 1)]
