"""Who holds device memory: the report agrees with the driver, and an error that it ran out says who and what helps."""

import gc

import jax
import numpy as np
import pytest
from jax import numpy as jnp

import grilly
from grilly import functional as F
from grilly.errors import DeviceMemoryError
from grilly.runtime.gpu.device import DEVICE_BLOCK, MIB
from grilly.runtime.gpu.physical import Budget, PhysicalDevice

X = np.ones((16, 1000), np.float32)


def both_ways(x_seq, g_spikes, v):
    spikes, vjp = jax.vjp(lambda x_seq: F.sequence(F.lif_step, x_seq, v, F.LIFParams())[0], x_seq)
    return spikes, vjp(g_spikes)[0]


def test_the_parts_of_a_call():
    table = np.ones((30, 1000), np.float32)

    def update(state, x):
        return {"v": state["v"] + x}, jnp.asarray(table) @ x, x.reshape(10, 100)

    found = grilly.jit(update, donate_argnums=0, device="cpu").memory({"v": X[0]}, x=X[1])

    assert (found.name, found.in_place) == ("grilly.jit(update)", ("argument 0['v']",))
    assert (found.arguments, found.outputs, found.constants) == (2 * 4000, 30 * 4, 30 * 4000)
    assert found.peak == found.arguments + found.outputs + found.constants + found.arena


def test_residuals_are_what_the_forward_scan_keeps_for_its_twin():
    found = grilly.jit(both_ways, device="cpu").memory(X, X, X[0])
    assert found.outputs == 2 * X.nbytes
    assert 0 < found.residuals <= found.arena
    assert grilly.jit(lambda x: x + 1, device="cpu").memory(X).residuals == 0


def test_it_reads_as_a_table():
    update = grilly.jit(lambda v, x: v / 2 + x, donate_argnums=0, device="cpu")
    assert str(update.memory(np.ones(1 << 20), np.ones(1 << 20))).splitlines() == [
        "grilly.jit(<lambda>): device memory in bytes",
        "  arguments     8388608  8.0 MiB, in place: argument 0",
        "  outputs             0",
        "  constants           0",
        "  prepared            0",
        "  arena               0",
        "  peak          8388608  8.0 MiB",
    ]


def test_nothing_runs(device):
    before = (device.submits, device.allocations, device.heap.used)
    assert grilly.jit(both_ways, device="vulkan").memory(X, X, X[0]).peak
    assert (device.submits, device.allocations, device.heap.used) == before


def in_use(device):
    """Bytes of device memory: what the driver says, where it says something; else what was got from it."""
    told = device.physical.budget(device.heap.memory_type)
    return told.used if told else sum(block.space.size for block in device.heap.blocks)


def test_the_report_agrees_with_the_driver(own_device):
    rows = 24 * MIB // 4
    x = np.ones((16, rows // 16), np.float32)

    def step(x, w):
        h = jnp.cumsum(x, axis=0)
        return (h * w).sum(axis=1), jax.lax.scan(lambda v, h: (v + h, v), x[0], h)[1]

    run = grilly.jit(step, device=own_device)
    told, before = run.memory(x, x), in_use(own_device)

    a, b = (grilly.put(x, own_device) for _ in range(2))
    result = run(a, b)
    jax.tree.map(lambda r: r.block_until_ready(), result)

    assert told.arguments == 2 * x.nbytes
    assert own_device.heap.used == pytest.approx(told.peak, abs=256 * 20)
    assert told.peak <= in_use(own_device) - before <= told.peak + 3 * DEVICE_BLOCK


# Running out ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def small(own_device, monkeypatch):
    """A device of 128 MiB, in blocks of 1 MiB where no more is asked for, whose driver tells no budget."""
    sizes, create, destroy = {}, own_device.create, own_device.destroy

    def limited(kind, info):
        if kind == "DeviceMemory" and sum(sizes.values()) + info.allocationSize > 128 * MIB:
            raise DeviceMemoryError("vkAllocateMemory failed: VK_ERROR_OUT_OF_DEVICE_MEMORY.")
        handle = create(kind, info)
        sizes.update({str(handle): info.allocationSize} if kind == "DeviceMemory" else {})
        return handle

    def destroyed(kind, handle):
        sizes.pop(str(handle), None)
        destroy(kind, handle)

    monkeypatch.setattr(own_device, "create", limited)
    monkeypatch.setattr(own_device, "destroy", destroyed)
    monkeypatch.setattr(PhysicalDevice, "budget", lambda self, memory_type: None)
    for heap in (own_device.heap, own_device.host_heap):
        monkeypatch.setattr(heap, "_block_bytes", MIB)
    return own_device


def ones(mib):
    return np.ones(mib * MIB // 4, np.float32)


def message(call, *arguments):
    with pytest.raises(DeviceMemoryError) as error:
        call(*arguments)
    return str(error.value).splitlines()


def goes_on(device):
    """The process computes as before."""
    gc.collect()
    x = grilly.put(ones(20), device)
    assert float(grilly.jit(lambda x: x.max(), device=device)(x)) == 1


LESS = "             A smaller batch or fewer time steps take less of everything."


def test_arrays_that_hold_it(small):
    kept = [grilly.put(ones(30), small) for _ in range(3)]
    assert message(grilly.put, ones(40), small) == [
        f"{small.name} has no memory left: 40.0 MiB were asked for, for an array.",
        "  arrays     90.0 MiB",
        "  arenas     0 bytes",
        "  constants  0 bytes",
        "  staging    0 bytes that the host sees",
        "  free       0 bytes, at most 0 bytes in one piece",
        "  fix        Delete arrays that are no longer needed, or donate those that a call replaces (donate_argnums).",
        LESS,
    ]
    del kept[:]
    goes_on(small)


def through_the_arena(x):
    return jnp.cumsum(jnp.cumsum(x))[-1]


def test_the_arena_of_a_function_that_holds_it(small):
    run, x = grilly.jit(through_the_arena, device=small), grilly.put(ones(16), small)
    run(x)
    arena = run.memory(x).arena
    said = message(grilly.put, ones(100), small)
    assert said[:4] == [
        f"{small.name} has no memory left: 100.0 MiB were asked for, for an array.",
        "  arrays     16.0 MiB",
        f"  arenas     {arena / MIB:.1f} MiB: grilly.jit(through_the_arena) {arena / MIB:.1f} MiB",
        "  constants  0 bytes",
    ]
    assert said[-2:] == [
        "  fix        Use a smaller batch or fewer time steps (T), or delete compiled functions that are no longer "
        "needed.",
        LESS,
    ]
    del run
    goes_on(small)


def test_an_arena_that_does_not_fit_says_whose_it_is(small):
    kept, x = grilly.put(ones(60), small), grilly.put(ones(30), small)
    run = grilly.jit(through_the_arena, device=small)
    asked = run.memory(x).arena / MIB
    for _ in range(2):  # the second call tries again
        (first, *_) = message(run, x)
        assert first == (
            f"{small.name} has no memory left: {asked:.1f} MiB were asked for, for the arena of "
            "grilly.jit(through_the_arena)."
        )
    del kept
    gc.collect()
    assert float(run(x)) > 0


def test_constants_that_hold_it(small):
    table = ones(20)
    run = grilly.jit(lambda x: x[0] + jnp.asarray(table).sum(), device=small)
    run(1.0 + ones(1))
    said = message(grilly.put, ones(110), small)
    assert said[3] == "  constants  20.0 MiB: grilly.jit(<lambda>) 20.0 MiB"
    assert said[-2].startswith("  fix        Pass large arrays as arguments instead of capturing them in a function")
    del run
    goes_on(small)


def test_upload_slots_stand_in_nobodys_way(small):
    first = grilly.jit(lambda x: x[0], device=small)
    for k in (1, 2):
        assert float(first(k * ones(20))) == k  # two slots, 20 MiB each, there and on the host
        assert float(grilly.put(ones(60), small)[0]) == 1


def test_free_memory_in_pieces_and_what_the_driver_says(small, monkeypatch):
    monkeypatch.setattr(PhysicalDevice, "budget", lambda self, memory_type: Budget(100 * MIB, 128 * MIB))
    monkeypatch.setattr(small.heap, "_block_bytes", 40 * MIB)
    pieces = [grilly.put(ones(10), small) for _ in range(8)]
    del pieces[::2]
    said = message(grilly.put, ones(60), small)
    assert said[5:7] == [
        "  free       40.0 MiB, at most 10.0 MiB in one piece",
        "  driver     100.0 MiB in use by this process, of 128.0 MiB that it may have",
    ]


def test_memory_that_a_cycle_holds_is_found(small):
    cycle = [grilly.put(ones(60), small)]
    cycle.append(cycle)
    gc.disable()
    try:
        del cycle
        grilly.put(ones(40), small)
    finally:
        gc.enable()


def test_what_cycles_hold_is_used_again_before_memory_grows(own_device, monkeypatch):
    """Compiling switches Python's own looks for garbage off, and nets hold themselves."""
    monkeypatch.setattr(own_device.heap, "_grown", 3 * DEVICE_BLOCK)
    gc.disable()
    try:
        for _ in range(20):
            cycle = [own_device.heap.allocate(DEVICE_BLOCK)]
            cycle.append(cycle)
    finally:
        gc.enable()
    assert len(own_device.heap.blocks) == 3


def test_unused_blocks_are_given_back_first(own_device, monkeypatch):
    refuse, create = {"left": 1}, own_device.create

    def refusing(kind, info):
        if kind == "DeviceMemory" and refuse["left"]:
            refuse["left"] -= 1
            raise DeviceMemoryError("vkAllocateMemory failed: VK_ERROR_OUT_OF_DEVICE_MEMORY.")
        return create(kind, info)

    monkeypatch.setattr(own_device, "create", refusing)
    own_device.heap.allocate(10)
    refuse["left"] = 2
    first, *_ = message(own_device.host_heap.allocate, 10, "a transfer")
    assert first == (
        f"{own_device.name} has no memory that the host sees left: 256 bytes were asked for, for a transfer."
    )
    assert own_device.counts()["Buffer"] == own_device.counts()["DeviceMemory"] == 0  # all given back
