"""The laws of every compiled program: JAX's values, few kernels, valid and exact shaders, the same bytes every time."""

import functools

import pytest
from checks import gives_jaxs_values, instructions, lowered, validate
from programs import Program
from programs_all import ALL
from targets import MATRIX_GPU

from grilly.runtime.fingerprint import fingerprint
from grilly.runtime.lower import Lowered
from grilly.runtime.packing import packed, unpacked
from grilly.runtime.plan import Output
from grilly.runtime.target import Target

each = pytest.mark.parametrize("program", ALL.values(), ids=ALL.keys())
FLOAT_OPERATIONS = {127: "FNegate", 129: "FAdd", 131: "FSub", 133: "FMul", 136: "FDiv", 140: "FRem", 141: "FMod"}
DECORATE, NO_CONTRACTION = 71, 42


@each
def test_it_gives_jaxs_values(program, device):
    gives_jaxs_values(program, device)


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


def _float_operations(spirv: bytes) -> set[int]:
    """The results of all operations that a driver might contract."""
    return {int(operands[1]) for opcode, operands in instructions(spirv) if opcode in FLOAT_OPERATIONS}


def _not_contracted(spirv: bytes) -> set[int]:
    """The results that are marked NoContraction."""
    marks = (operands for opcode, operands in instructions(spirv) if opcode == DECORATE)
    return {int(operands[0]) for operands in marks if operands[1] == NO_CONTRACTION}
