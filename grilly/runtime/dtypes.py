"""The dtypes of numbers inside compiled code, by short names."""

import numpy as np
from jax import numpy as jnp

F16, BF16, F32 = np.dtype(np.float16), np.dtype(jnp.bfloat16), np.dtype(np.float32)
U8, U16, U32, I32, BOOL = (np.dtype(t) for t in (np.uint8, np.uint16, np.uint32, np.int32, np.bool_))
SHORT = frozenset({F16, BF16})  # held in registers as float32
