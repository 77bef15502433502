"""What is asked of compiled programs in several tests."""

import pathlib
import shutil
import subprocess
from collections.abc import Iterator

import jax
import numpy as np
from programs import Program
from stale import stale_memory

import grilly
from grilly.runtime.ir import Aval
from grilly.runtime.lower import Lowered, lower
from grilly.runtime.target import Target


def gives_jaxs_values(program: Program, device) -> None:
    arguments = program.arguments()
    with stale_memory(device):
        got = jax.tree.leaves(grilly.jit(program.function, device=device)(*arguments))
    expected = jax.tree.leaves(jax.jit(program.function)(*arguments))
    for ours, theirs in zip(got, expected, strict=True):
        ours, theirs = np.asarray(ours), np.asarray(theirs)
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        if program.error:
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=program.error * np.abs(theirs).max())
        else:
            np.testing.assert_array_equal(ours, theirs)


def validate(spirv: bytes, folder: pathlib.Path) -> None:
    validator = shutil.which("spirv-val")
    assert validator, "spirv-val is not installed: ./setup.sh test installs it (Debian's spirv-tools)"
    path = folder / "shader.spv"
    path.write_bytes(spirv)
    done = subprocess.run([validator, "--target-env", "vulkan1.2", str(path)], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def lowered(program: Program, target: Target = Target()) -> Lowered:
    avals = [Aval(a.shape, a.dtype) for a in program.arguments()]
    return lower(lambda *args: jax.tree.leaves(program.function(*args)), avals, program.donated, target)


def instructions(spirv: bytes) -> Iterator[tuple[int, np.ndarray]]:
    """The opcode and the operands of each instruction."""
    words = np.frombuffer(spirv, np.uint32)
    start = 5
    while start < len(words):
        count, opcode = int(words[start]) >> 16, int(words[start]) & 0xFFFF
        yield opcode, words[start + 1 : start + count]
        start += count
