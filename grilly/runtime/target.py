"""A target: the limits and features of a device that code generation may read, and nothing else of it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """What shaders are generated for. Two devices with equal targets get equal bytes.

    The defaults are the null target of the tests: what lavapipe, the least of the drivers we support, offers.
    """

    name: str = "null"
    subgroup_size: int = 8
    max_groups_x: int = 65535  # larger grids are folded into two dimensions
    shared_bytes: int = 32768
    push_constant_bytes: int = 128
    bindings: int = 0  # storage buffers that a kernel may bind; 0 where kernels take their buffers' addresses
    float16: bool = False  # denormal numbers of float16 are kept
    strict_floats: bool = True  # NaN, infinities and the signs of zeros can be asked for
    forgets_zeros: bool = True  # lavapipe: where it sees a constant 0, it loses NaN and the signs of zeros
    exact_division: bool = True  # OpFDiv and Sqrt are correctly rounded, as IEEE asks
    software: bool = True  # a CPU driver: few, long-running invocations pay there
    matrix: tuple[int, int, int] | None = None  # rows, columns, depth of cooperative float16 matrices, float32 sums
