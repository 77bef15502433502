"""The laws of every compiled program: JAX's values, few kernels, valid and exact shaders, the same bytes every time."""

import functools
import pathlib
import shutil
import subprocess

import jax
import numpy as np
import pytest
from programs import PROGRAMS, Program
from programs_complex import COMPLEX
from programs_found import FOUND
from programs_indexing import INDEXING
from programs_linear import LINEAR
from programs_loop import LOOPS
from programs_math import MATH
from programs_recompute import RECOMPUTED
from programs_while import WHILES
from stale import stale_memory
from targets import MATRIX_GPU

import grilly
from grilly.runtime.fingerprint import fingerprint
from grilly.runtime.ir import Aval
from grilly.runtime.lower import Lowered, lower
from grilly.runtime.packing import packed, unpacked
from grilly.runtime.plan import Output
from grilly.runtime.target import Target

ALL = PROGRAMS | LOOPS | MATH | INDEXING | RECOMPUTED | WHILES | LINEAR | COMPLEX | FOUND
each = pytest.mark.parametrize("program", ALL.values(), ids=ALL.keys())
FLOAT_OPERATIONS = {127: "FNegate", 129: "FAdd", 131: "FSub", 133: "FMul", 136: "FDiv", 140: "FRem", 141: "FMod"}
DECORATE, NO_CONTRACTION = 71, 42


@each
def test_it_gives_jaxs_values(program, device):
    gives_jaxs_values(program, device)


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


@each
def test_it_takes_few_kernels(program):
    assert len(once(program).plan.dispatches) in (program.kernels, program.elsewhere)


@each
def test_every_result_is_written_on_a_gpu_too(program):
    plan = lowered(program, MATRIX_GPU).plan
    touched = {slot for dispatch in plan.dispatches for slot in dispatch.slots if isinstance(slot, Output)}
    assert {slot.index for slot in touched} == {slot.index for slot in plan.outputs if isinstance(slot, Output)}


@each
def test_its_shaders_are_valid_and_contract_nothing(program, tmp_path):
    for dispatch in once(program).plan.dispatches:
        spirv = dispatch.shader.spirv
        validate(spirv, tmp_path)
        if "matmul" not in dispatch.label:  # a product's error is bounded: it may fuse its multiply-adds
            assert _float_operations(spirv) <= _not_contracted(spirv)


def validate(spirv: bytes, folder: pathlib.Path) -> None:
    validator = shutil.which("spirv-val")
    assert validator, "spirv-val is not installed: ./setup.sh test installs it (Debian's spirv-tools)"
    path = folder / "shader.spv"
    path.write_bytes(spirv)
    done = subprocess.run([validator, "--target-env", "vulkan1.2", str(path)], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


@each
def test_it_compiles_to_the_same_bytes_every_time_and_is_known_again(program):
    """The graph by its fingerprint, the plan after a way through the cache."""
    first, second = once(program), lowered(program)
    (known,) = {fingerprint(one.graph, program.donated, Target()) for one in (first, second)}
    assert known
    plan = packed(first.plan)
    assert plan == packed(second.plan) == packed(unpacked(plan))


@functools.cache
def once(program: Program) -> Lowered:
    """For the laws that ask the same compiled program."""
    return lowered(program)


def lowered(program: Program, target: Target = Target()) -> Lowered:
    avals = [Aval(a.shape, a.dtype) for a in program.arguments()]
    return lower(lambda *args: jax.tree.leaves(program.function(*args)), avals, program.donated, target)


def instructions(spirv: bytes):
    words = np.frombuffer(spirv, np.uint32)
    start = 5
    while start < len(words):
        count, opcode = int(words[start]) >> 16, int(words[start]) & 0xFFFF
        yield opcode, words[start + 1 : start + count]
        start += count


def _float_operations(spirv: bytes) -> set[int]:
    """The results of all operations that a driver might contract."""
    return {int(operands[1]) for opcode, operands in instructions(spirv) if opcode in FLOAT_OPERATIONS}


def _not_contracted(spirv: bytes) -> set[int]:
    """The results that are marked NoContraction."""
    marks = (operands for opcode, operands in instructions(spirv) if opcode == DECORATE)
    return {int(operands[0]) for operands in marks if operands[1] == NO_CONTRACTION}
