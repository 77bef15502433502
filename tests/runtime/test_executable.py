"""Plans on a device: what they compute, what they share, and that repeating a call costs no memory."""

import gc
import threading

import numpy as np
import pytest
from device_plans import CHAIN, FLOATS, RAMP, SIMPLE, SIZE, SUM, UPDATE, plan

import grilly
from grilly.runtime.gpu.executable import Executable
from grilly.runtime.plan import Argument, Constant, Output

A = np.arange(SIZE, dtype=np.float32)
B = np.full(SIZE, 3, np.float32)


def run(device, executable, *values):
    return [device.get(buffer, FLOATS) for buffer in executable(values)]


def test_one_dispatch_of_numpy_arguments_and_of_buffers(device):
    executable = Executable(device, SIMPLE)

    (from_numpy,) = run(device, executable, A, B)
    (from_buffers,) = run(device, executable, device.put(A), device.put(B))
    (mixed,) = run(device, executable, device.put(A), B)

    for result in (from_numpy, from_buffers, mixed):
        np.testing.assert_array_equal(result, 2 * A + B)


def test_a_chain_through_the_arena_with_a_constant(device):
    (result,) = run(device, Executable(device, CHAIN), A, B)

    np.testing.assert_array_equal(result, 2 * (2 * A + B) + RAMP)


def test_many_addresses_go_through_a_table(device):
    values = [np.full(SIZE, k, np.float32) for k in range(20)]

    (result,) = run(device, Executable(device, SUM), *values)

    np.testing.assert_array_equal(result, np.full(SIZE, 190))


def test_calls_do_not_wait_for_each_other_and_each_keeps_its_own_values(device):
    executable = Executable(device, SIMPLE)
    argument = np.empty(SIZE, np.float32)
    results = []
    for k in range(20):
        argument[:] = k  # changed while earlier calls may still be running
        results += executable([argument, B])

    for k, result in enumerate(results):
        np.testing.assert_array_equal(device.get(result, FLOATS), np.full(SIZE, 2 * k + 3))


def test_a_donated_argument_is_updated_in_place(device):
    executable = Executable(device, UPDATE)
    state = device.put(A)

    (first,) = executable([state, B])
    (second,) = executable([first, B])

    assert first is state
    assert second is state
    np.testing.assert_array_equal(device.get(state, FLOATS), 2 * (2 * A + B) + B)


def test_what_others_see_is_copied_before_it_is_updated(device):
    keep = Executable(device, plan([], [Argument(0)]))
    update = Executable(device, UPDATE)
    state = device.put(A)

    (same,) = keep([state, B])
    (updated,) = update([state, B])
    (twice,) = update([updated, updated])

    assert same is state
    assert updated is not state
    np.testing.assert_array_equal(device.get(same, FLOATS), A)
    np.testing.assert_array_equal(device.get(updated, FLOATS), 2 * A + B)
    np.testing.assert_array_equal(device.get(twice, FLOATS), 3 * (2 * A + B))


def test_numpy_arguments_that_are_results_get_memory_of_their_own(device):
    update, keep = Executable(device, UPDATE), Executable(device, plan([], [Argument(0), Argument(0)]))

    updated = [update([A + k, B])[0] for k in range(4)]
    kept = [keep([A + k, B]) for k in range(4)]

    for k in range(4):
        np.testing.assert_array_equal(device.get(updated[k], FLOATS), 2 * (A + k) + B)
        np.testing.assert_array_equal(device.get(kept[k][0], FLOATS), A + k)
        assert kept[k][0] is kept[k][1]
        assert kept[k][0].shared


def test_results_that_are_constants_or_each_other_are_shared(device):
    dispatches = SIMPLE.dispatches
    executable = Executable(device, plan(dispatches, [Output(0), Output(0), Constant(0)], constants=[RAMP]))

    first, same, ramp = executable([A, B])

    assert first is same
    assert first.shared
    assert ramp.shared
    np.testing.assert_array_equal(device.get(ramp, FLOATS), RAMP)


def test_a_call_is_one_submit(device):
    executable = Executable(device, CHAIN)
    executable([A, B])
    before = device.submits

    executable([A, B])

    assert device.submits == before + 1


@pytest.mark.parametrize("donate", [False, True])
def test_a_thousand_calls_allocate_nothing_and_leak_nothing(device, donate):
    executable = Executable(device, UPDATE if donate else SIMPLE)
    state = device.put(A)

    def loop(times):
        nonlocal state
        for _ in range(times):
            (state,) = executable([state, B])
            device.wait(state)

    loop(10)
    gc.collect()  # what earlier tests left must not be freed midway
    counts, allocations, used = device.counts(), device.allocations, device.heap.used
    loop(1000)

    assert device.counts() == counts
    assert device.allocations == allocations
    assert device.heap.used == used


def test_a_loop_that_never_waits_has_few_recordings(device):
    executable = Executable(device, SIMPLE)
    state, step = device.put(A), device.put(-A)
    gc.collect()  # what earlier tests left must not be freed midway
    before = device.counts()["CommandBuffer"]
    for _ in range(50):
        (state,) = executable([state, step])  # 2 a - a0 stays a0
    device.wait(state)

    assert device.counts()["CommandBuffer"] <= before + 4
    np.testing.assert_array_equal(device.get(state, FLOATS), A)


def test_memory_that_was_given_back_and_came_again_is_another_buffer(own_device):
    own_device.heap._block_bytes = 1 << 16  # x has a block of its own
    program = grilly.jit(lambda x, y: (x, y + x[0]), device=own_device)  # x is uploaded into the result itself
    for k in range(6):
        kept, total = program(np.full(1 << 22, k, np.float32), np.full(3, k, np.float32))
        np.testing.assert_array_equal(kept, np.full(1 << 22, k))
        np.testing.assert_array_equal(total, np.full(3, 2 * k))
        del kept, total
        own_device.trim()


def test_an_executable_takes_its_memory_with_it(device):
    Executable(device, CHAIN)([A, B])
    device.wait_idle()
    gc.collect()  # what earlier tests left must not be freed midway
    counts, used, host = device.counts(), device.heap.used, device.host_heap.used
    for _ in range(3):
        executable = Executable(device, CHAIN)
        executable([A, B])
        executable([device.put(A), B])
        device.wait_idle()
        del executable

    assert device.counts() == counts
    assert (device.heap.used, device.host_heap.used) == (used, host)


def test_threads_may_call_at_the_same_time(device):
    executable = Executable(device, CHAIN)
    wrong = []

    def work(k):
        for _ in range(20):
            (result,) = run(device, executable, np.full(SIZE, k, np.float32), B)
            if not np.array_equal(result, 2 * (2 * np.float32(k) + B) + RAMP):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
