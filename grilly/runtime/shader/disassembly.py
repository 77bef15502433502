"""SPIR-V as text: by `spirv-dis` where it is installed and knows all instructions (older ones know no cooperative
matrices), else by a listing of our own, names and numbers alone.
"""

import shutil
import struct
import subprocess
from collections.abc import Iterator

from .spirv import Ext, Op

# Instructions that make no value, and those that make one of no type; all others have a type and a result.
SILENT = {
    *(Op.MemoryModel, Op.EntryPoint, Op.ExecutionMode, Op.Capability, Op.Decorate),
    *(Op.MemberDecorate, Op.FunctionEnd, Op.Store, Op.ControlBarrier, Op.LoopMerge, Op.SelectionMerge),
    *(Op.Branch, Op.BranchConditional, Op.Return),
}
HEADER = 5  # words


def disassembled(spirv: bytes) -> str:
    """One line an instruction."""
    if tool := shutil.which("spirv-dis"):
        done = subprocess.run([tool, "--no-color", "--no-header", "-"], input=spirv, capture_output=True, check=False)
        if done.returncode == 0:
            return done.stdout.decode().rstrip()
    return "\n".join(listing(spirv))


def listing(spirv: bytes) -> Iterator[str]:
    """The instructions that `spirv` knows: `%result = name operands`, where a type is the first operand."""
    words = struct.unpack(f"<{len(spirv) // 4}I", spirv)
    start = HEADER
    while start < len(words):
        length, op = words[start] >> 16, words[start] & 0xFFFF
        yield _instruction(Op(op), words[start + 1 : start + length])
        start += length


def _instruction(op: Op, operands: tuple[int, ...]) -> str:
    if op in SILENT:
        return " ".join([f"{'':>6}   Op{op.name}", *map(str, operands)])
    typeless = op.name.startswith("Type") or op in (Op.Label, Op.ExtInstImport)
    kind, (result, *rest) = ((), operands) if typeless else (operands[:1], operands[1:])
    name = f"Op{op.name}" if op != Op.ExtInst else f"OpExtInst {Ext(rest.pop(1)).name}"
    return " ".join([f"{f'%{result}':>6} = {name}", *map(str, kind), *map(str, rest)])
