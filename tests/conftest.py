"""What every test runs under: exact JAX on the CPU, and Vulkan's validation layer, which must keep silent."""

import os

# Before JAX is imported: no fused multiply-adds, no division by multiplying; so == may be asked for.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_cpu_max_isa=AVX --xla_disable_hlo_passes=algsimp"
).strip()
os.environ.setdefault("GRILLY_VALIDATION", "1")
# Synchronization validation looks from one submission to the next, too.
os.environ.setdefault("VK_LAYER_ENABLES", "VALIDATION_CHECK_ENABLE_SYNCHRONIZATION_VALIDATION_QUEUE_SUBMIT")
os.environ["GRILLY_CACHE"] = "off"  # every test compiles what it runs, and the user's cache is none of ours

import pytest

from grilly.runtime.devices import _default, find_device, validation_messages


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true", help="write the plans of tests/golden/plans anew")
    parser.addoption("--programs", type=int, default=25, help="how many random programs to compare with jax.jit")
    parser.addoption("--seed", type=int, default=0, help="which random programs")


@pytest.fixture(scope="session")
def device():
    """The Vulkan device under test: the best there is, be it on the CPU. Without one, tests fail."""
    return find_device("vulkan")


@pytest.fixture
def no_default():
    """Nobody has asked for the default device yet, nor will have after the test."""
    _default.cache_clear()
    yield
    _default.cache_clear()


@pytest.fixture(autouse=True)
def silent_validation():
    """Fails a test during which the validation layer warned."""
    validation_messages().clear()
    yield
    said = validation_messages()
    assert not said, "\n".join(f"{message.name}: {message.text}" for message in said)
