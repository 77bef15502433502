"""Which of JAX's primitives compile, and how: `python -m grilly.runtime.primitives > docs/primitives.md`."""

import inspect
from collections.abc import Iterator

from .composites import composites
from .kernels import elementwise, reduction
from .kernels.pull import RULES
from .trace import CALLS, IDENTITIES, UNDEFINED

KINDS = {
    "element": "Computed in registers wherever its value is needed, one instruction or a few; exact.",
    "view": "No computation: its elements are found by index arithmetic, in whatever kernel reads them.",
    "composite": "Written out in simpler primitives before anything else happens.",
    "reduction": "A kernel, which siblings of the same shape share; the order of additions is always the same.",
    "product": "A kernel of tiles; sums in float32, in a fixed order.",
    "scan": "One kernel where its body is elementwise, else the body's kernels recorded once for each step.",
    "while": "A loop in registers where its body is elementwise; else the host looks after each step whether to go on.",
    "choice": "All branches are computed, and the results of one are taken.",
    "call": "Inlined, with its custom derivative if it has one.",
    "nothing": "Takes no part in what runs.",
}
# What no jaxpr has.
OWN = {
    *("conv_patches", "exponent", "far_apart", "half_scale", "if_needed", "multiply_add", "needs_two"),
    *("ordered_fold", "shallow_product", "span", "window_choice", "scatter_chosen"),
}


def _names(text: str) -> set[str]:
    return set(text.split())


FLOATS = _names("""
    acos acosh asin asinh atan atan2 atanh bessel_i0e bessel_i1e cbrt ceil cos cosh digamma erf erf_inv erfc exp exp2
    expm1 floor igamma igamma_grad_a igammac is_finite lgamma log log1p log2 logistic nextafter one_minus_square
    polygamma polynomial pow random_gamma reduce_precision regularized_incomplete_beta round rsqrt sin sinh sqrt tan
    tanh zeta cumlogsumexp cholesky eigh geqrf householder_product lu qr svd triangular_solve tridiagonal_solve
    custom_linear_solve le_to lt_to eq_to
""")
INTEGERS = _names("population_count clz mulhi shift_left shift_right_arithmetic shift_right_logical")
BITS = _names("and or xor not reduce_and reduce_or reduce_xor")
KEYS = {name for name in composites if name.startswith(("random_", "threefry", "rng_", "keys_"))}
KEYS = KEYS - {"random_gamma"} | {"random_clone"}
FLAT = _names("""
    eq ne lt le gt ge eq_to lt_to le_to is_finite sign floor ceil round nextafter argmax argmin iota iota_2x32_shape
    platform_index empty empty2 stop_gradient lu_pivots_to_permutation bitcast_convert_type composite pmax pmin
""")  # their derivative is 0, or there is none
TITLE = """# Primitives

What `grilly.jit` compiles. Written by `python -m grilly.runtime.primitives`; a test compares.

All take float32, int32, uint32 and bool; float16, bfloat16 and shorter integers where the device has them in memory.
complex64 is a pair of float32: what views do not move, the rows `complex_...` compute, under that name here alone.
Typed random keys are arrays of uint32 with one axis more; the rows `keys_...` are of them in the same way.
Gradients are JAX's own, made of primitives of this table: `-` where there is none or it is 0. Anything else raises
`UnsupportedPrimitiveError` with the line of your code, when the function is traced.
"""


def rows() -> Iterator[tuple[str, str, str]]:
    """Name, kind and remark of every primitive, by name."""
    kinds: dict[str, tuple[str, str]] = {}
    kinds.update((name, ("element", "")) for name in elementwise.rules if name not in {*composites, *OWN})
    kinds.update((name, ("view", "")) for name in (*RULES, "select_and_scatter_add") if name not in OWN)
    kinds.update((name, ("reduction", "")) for name in reduction.COMBINE)
    kinds.update((name, ("composite", _summary(function))) for name, function in composites.items())
    kinds.update((name, ("product", "")) for name in ("dot_general", "conv_general_dilated"))
    kinds.update({"scan": ("scan", ""), "while": ("while", ""), "cond": ("choice", "")})
    kinds.update((name, ("call", "")) for name in (*CALLS, "custom_linear_solve", "call_hi_primitive"))
    kinds.update((name, ("nothing", "")) for name in IDENTITIES | UNDEFINED | {"platform_index"})
    for name in sorted(kinds):
        yield name, *kinds[name]


def _summary(function: object) -> str:
    """The first sentence of a docstring."""
    text = inspect.getdoc(function) or ""
    return " ".join(text.split("\n\n")[0].split())


def dtypes_of(name: str) -> str:
    """What a primitive takes."""
    if name.startswith("complex_"):
        return "complex64"
    if name in KEYS:
        return "keys, uint32"
    if name in BITS:
        return "integers, bool"
    return "floats" if name in FLOATS else "integers" if name in INTEGERS else "all"


def gradient_of(name: str) -> str:
    """Whether JAX differentiates it."""
    if name in ("while", "custom_vmap_call"):
        return "forward"
    return "-" if name in FLAT | INTEGERS | BITS | KEYS else "yes"


def page() -> str:
    """The whole of docs/primitives.md."""
    kinds = "\n".join(f"- **{kind}**: {what}" for kind, what in KINDS.items())
    table = "\n".join(
        f"| `{name}` | {dtypes_of(name)} | {kind} | {gradient_of(name)} | {remark.replace('|', chr(92) + '|')} |"
        for name, kind, remark in rows()
    )
    head = "| primitive | dtypes | kind | gradient | what it computes, and how accurately |\n|---|---|---|---|---|"
    return f"{TITLE}\n{kinds}\n\n{head}\n{table}\n"


if __name__ == "__main__":
    print(page(), end="")
