"""A number in a register of a kernel, and what is known of it."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Ref:
    """A number in a register.

    For an index more may be known: it is below `bound`, a multiple of `multiple`, `product` (x, d) with value x d,
    `split` (high, d, low) with value high d + low and low < d, `quotient` or `remainder` (x, d) of a division of x by
    d, or `shift` (base, k), base plus a constant smaller than what the base is a multiple of. `offset` (root, k) is the
    root plus any constant.
    """

    id: int
    dtype: np.dtype
    bound: int = 1 << 32
    multiple: int = 1
    product: "tuple[Ref, int] | None" = None
    split: "tuple[Index, int, Index] | None" = None
    quotient: "tuple[Ref, int] | None" = None
    remainder: "tuple[Ref, int] | None" = None
    shift: "tuple[Ref, int] | None" = None
    offset: "tuple[Ref, int] | None" = None


Index = int | Ref
