"""Assembles one SPIR-V 1.5 compute module: types, constants, decorations, the words of `main`.

It knows the binary format and the order of its sections, and nothing of arrays or kernels.
"""

import struct
from enum import IntEnum

import numpy as np

MAGIC, VERSION = 0x07230203, 0x00010500
LOGICAL, PHYSICAL_64 = 0, 5348  # addressing models
GLSL450, VULKAN = 1, 3  # memory models


class Op(IntEnum):
    """The instructions we emit, by their names in the SPIR-V specification."""

    Extension = 10
    ExtInstImport = 11
    ExtInst = 12
    MemoryModel = 14
    EntryPoint = 15
    ExecutionMode = 16
    Capability = 17
    TypeVoid = 19
    TypeBool = 20
    TypeInt = 21
    TypeFloat = 22
    TypeVector = 23
    TypeArray = 28
    TypeRuntimeArray = 29
    TypeStruct = 30
    TypePointer = 32
    TypeFunction = 33
    ConstantTrue = 41
    ConstantFalse = 42
    Constant = 43
    ConstantComposite = 44
    Function = 54
    FunctionEnd = 56
    Variable = 59
    Load = 61
    Store = 62
    AccessChain = 65
    Decorate = 71
    MemberDecorate = 72
    CompositeConstruct = 80
    CompositeExtract = 81
    CopyObject = 83
    ConvertFToU = 109
    ConvertFToS = 110
    FConvert = 115
    ConvertSToF = 111
    ConvertUToF = 112
    UConvert = 113
    SConvert = 114
    Bitcast = 124
    SNegate = 126
    FNegate = 127
    IAdd = 128
    FAdd = 129
    ISub = 130
    FSub = 131
    IMul = 132
    FMul = 133
    UDiv = 134
    SDiv = 135
    FDiv = 136
    UMod = 137
    LogicalEqual = 164
    LogicalNotEqual = 165
    LogicalOr = 166
    LogicalAnd = 167
    LogicalNot = 168
    Select = 169
    IEqual = 170
    INotEqual = 171
    UGreaterThan = 172
    SGreaterThan = 173
    UGreaterThanEqual = 174
    SGreaterThanEqual = 175
    ULessThan = 176
    SLessThan = 177
    ULessThanEqual = 178
    SLessThanEqual = 179
    FOrdEqual = 180
    FOrdNotEqual = 182
    FUnordNotEqual = 183
    FOrdLessThan = 184
    FUnordLessThan = 185
    FOrdGreaterThan = 186
    FUnordGreaterThan = 187
    FOrdLessThanEqual = 188
    FOrdGreaterThanEqual = 190
    ShiftRightLogical = 194
    ShiftRightArithmetic = 195
    ShiftLeftLogical = 196
    BitwiseOr = 197
    BitwiseXor = 198
    BitwiseAnd = 199
    Not = 200
    BitCount = 205
    ControlBarrier = 224
    Phi = 245
    LoopMerge = 246
    SelectionMerge = 247
    Label = 248
    Branch = 249
    BranchConditional = 250
    Return = 253
    TypeCooperativeMatrix = 4456
    CooperativeMatrixLoad = 4457
    CooperativeMatrixStore = 4458
    CooperativeMatrixMulAdd = 4459


class Ext(IntEnum):
    """Instructions of the GLSL.std.450 set."""

    FAbs = 4
    SAbs = 5
    Floor = 8
    Ceil = 9
    Sqrt = 31
    Fma = 50
    FindUMsb = 75


class Storage(IntEnum):
    """Storage classes."""

    Input = 1
    Workgroup = 4
    Function = 7
    PushConstant = 9
    StorageBuffer = 12
    PhysicalStorageBuffer = 5349


class Decoration(IntEnum):
    """Decorations."""

    Block = 2
    ArrayStride = 6
    BuiltIn = 11
    Aliased = 20
    Coherent = 23
    NonWritable = 24
    Binding = 33
    DescriptorSet = 34
    Offset = 35
    NoContraction = 42


ADDRESSES = "PhysicalStorageBufferAddresses"
STRICT = "SignedZeroInfNanPreserve"  # no driver may take NaN, infinity or the sign of a zero for what never occurs
CAPABILITY = {
    STRICT: 4466,
    "DenormPreserve": 4464,
    "Shader": 1,
    "Float16": 9,
    "Int16": 22,
    "Int8": 39,
    "GroupNonUniform": 61,
    "StorageBuffer16BitAccess": 4433,
    "StorageBuffer8BitAccess": 4448,
    "VulkanMemoryModel": 5345,
    ADDRESSES: 5347,
    "CooperativeMatrixKHR": 6022,
}
# The execution modes that go with a capability: number, and the width of the floats that it is for.
MODES = {STRICT: (4461, 32), "DenormPreserve": (4459, 16)}
# What a scalar type needs before it may be declared.
NEEDS = {
    np.dtype(np.int16): ("Int16", "StorageBuffer16BitAccess"),
    np.dtype(np.uint16): ("Int16", "StorageBuffer16BitAccess"),
    np.dtype(np.int8): ("Int8", "StorageBuffer8BitAccess"),
    np.dtype(np.uint8): ("Int8", "StorageBuffer8BitAccess"),
}


def words(op: int, *operands: int) -> list[int]:
    """One instruction."""
    return [((len(operands) + 1) << 16) | op, *operands]


def text(string: str) -> list[int]:
    """A string literal: UTF-8, ended by a zero, padded to whole words."""
    raw = string.encode() + b"\0"
    raw += b"\0" * (-len(raw) % 4)
    return list(struct.unpack(f"<{len(raw) // 4}I", raw))


class Module:
    """The sections of a module, filled in any order and assembled in the one that SPIR-V asks for."""

    def __init__(self, strict: bool = False, addressed: bool = True) -> None:
        self.ids = 0
        needed = (*((ADDRESSES,) if addressed else ()), *((STRICT,) if strict else ()))
        self.capabilities: dict[str, None] = dict.fromkeys(("Shader", *needed), None)
        self.extensions: dict[str, None] = {}
        self.memory_model = GLSL450
        self.decorations: list[int] = []
        self.globals: list[int] = []  # types, constants, module variables
        self.variables: list[int] = []  # of main
        self.code: list[int] = []  # the body of main, which begins with a label
        self.interface: list[int] = []
        self.known: dict[tuple, int] = {}
        self.glsl = self.new()

    def new(self) -> int:
        self.ids += 1
        return self.ids

    def emit(self, op: Op, kind: int, *operands: int) -> int:
        """An instruction of `main` with a result of type `kind`."""
        result = self.new()
        self.code += words(op, kind, result, *operands)
        return result

    def declared(self, op: Op, *operands: int) -> int:
        """A type or constant without a result type, declared once."""
        name = (op, operands)
        if name not in self.known:
            self.known[name] = self.new()
            self.globals += words(op, self.known[name], *operands)
        return self.known[name]

    def type(self, dtype: np.dtype) -> int:
        """A scalar type, in registers: shorter floats live there as float32."""
        for capability in NEEDS.get(dtype, ()):
            self.capabilities.setdefault(capability)
        if dtype.kind == "b":
            return self.declared(Op.TypeBool)
        if dtype.kind in "fV":
            return self.declared(Op.TypeFloat, max(32, dtype.itemsize * 8))
        return self.declared(Op.TypeInt, dtype.itemsize * 8, int(dtype.kind == "i"))

    def half(self) -> int:
        """The type of float16 as the hardware has it, denormal numbers included."""
        for capability in ("Float16", "DenormPreserve"):
            self.capabilities.setdefault(capability)
        return self.declared(Op.TypeFloat, 16)

    def vector(self, dtype: np.dtype, width: int) -> int:
        return self.declared(Op.TypeVector, self.type(dtype), width)

    def pointer(self, storage: Storage, pointee: int) -> int:
        return self.declared(Op.TypePointer, storage, pointee)

    def constant(self, value: np.ndarray) -> int:
        """A scalar constant, of `value`'s dtype."""
        if value.dtype.kind in "fV" and value.dtype.itemsize == 2:
            value = value.astype(np.float32)
        kind, name = self.type(value.dtype), (value.dtype.str, value.tobytes())
        if name not in self.known:
            result = self.known[name] = self.new()
            if value.dtype.kind == "b":
                self.globals += words(Op.ConstantTrue if value else Op.ConstantFalse, kind, result)
            else:
                self.globals += words(Op.Constant, kind, result, _literal_word(value))
        return self.known[name]

    def composite(self, kind: int, part: int) -> int:
        """A constant all of whose parts are `part`."""
        name = (Op.ConstantComposite, kind, part)
        if name not in self.known:
            self.known[name] = self.new()
            self.globals += words(Op.ConstantComposite, kind, self.known[name], part)
        return self.known[name]

    def block(self, dtype: np.dtype, width: int, coherent: bool) -> int:
        """The type `struct { T items[]; }` that an address points at, or a binding is."""
        key = ("block", dtype.str, width, coherent)
        if key not in self.known:
            item = self.type(dtype) if width == 1 else self.vector(dtype, width)
            array, block = self.new(), self.new()
            self.globals += words(Op.TypeRuntimeArray, array, item) + words(Op.TypeStruct, block, array)
            self.decorate(array, Decoration.ArrayStride, dtype.itemsize * width)
            self.decorate(block, Decoration.Block)
            self.decorate_member(block, 0, Decoration.Offset, 0)
            if coherent:
                self.decorate_member(block, 0, Decoration.Coherent)
            self.known[key] = block
        return self.known[key]

    def record(self, members: tuple[int, ...], nbytes: int = 8) -> int:
        """The type of a block of 64-bit addresses, or other members of `nbytes` each, one after another."""
        key = ("record", *members)
        if key not in self.known:
            record = self.known[key] = self.new()
            self.globals += words(Op.TypeStruct, record, *members)
            self.decorate(record, Decoration.Block)
            for k in range(len(members)):
                self.decorate_member(record, k, Decoration.Offset, nbytes * k)
        return self.known[key]

    def decorate(self, target: int, decoration: Decoration, *operands: int) -> None:
        self.decorations += words(Op.Decorate, target, decoration, *operands)

    def decorate_member(self, target: int, member: int, decoration: Decoration, *operands: int) -> None:
        self.decorations += words(Op.MemberDecorate, target, member, decoration, *operands)

    def variable(self, storage: Storage, pointee: int) -> int:
        """A module variable; every one belongs to the entry point's interface."""
        kind, result = self.pointer(storage, pointee), self.new()
        self.globals += words(Op.Variable, kind, result, storage)
        self.interface.append(result)
        return result

    def local(self, kind: int) -> int:
        """A variable of `main`: an invocation's own."""
        result = self.new()
        self.variables += words(Op.Variable, self.pointer(Storage.Function, kind), result, Storage.Function)
        return result

    def builtin(self, number: int, width: int = 3) -> int:
        """An input of so many components, such as WorkgroupId."""
        uint = np.dtype(np.uint32)
        variable = self.variable(Storage.Input, self.vector(uint, width) if width > 1 else self.type(uint))
        self.decorate(variable, Decoration.BuiltIn, number)
        return variable

    def assembled(self, local_size: int) -> bytes:
        """The module as bytes, with `code` as the body of `main`."""
        void = self.declared(Op.TypeVoid)
        function = self.declared(Op.TypeFunction, void)
        main = self.new()
        head = [w for name in self.capabilities for w in words(Op.Capability, CAPABILITY[name])]
        head += [w for name in self.extensions for w in words(Op.Extension, *text(name))]
        head += words(Op.ExtInstImport, self.glsl, *text("GLSL.std.450"))
        head += words(Op.MemoryModel, PHYSICAL_64 if ADDRESSES in self.capabilities else LOGICAL, self.memory_model)
        head += words(Op.EntryPoint, 5, main, *text("main"), *self.interface)
        head += words(Op.ExecutionMode, main, 17, local_size, 1, 1)
        head += [w for name in self.capabilities if name in MODES for w in words(Op.ExecutionMode, main, *MODES[name])]
        label, code = self.code[:2], self.code[2:]
        body = [*words(Op.Function, void, main, 0, function), *label, *self.variables, *code, *words(Op.FunctionEnd)]
        stream = [MAGIC, VERSION, 0, self.ids + 1, 0, *head, *self.decorations, *self.globals, *body]
        return struct.pack(f"<{len(stream)}I", *stream)


def _literal_word(value: np.ndarray) -> int:
    """A number's bits, in one word; narrow signed integers are sign-extended."""
    if value.dtype.kind == "f":
        return int(value.reshape(1).view(f"uint{value.dtype.itemsize * 8}")[0])
    return int(value) & 0xFFFFFFFF
