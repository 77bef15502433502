"""NumPy on `grilly.Array`: jnp's function of the same name, compiled for the array's device.

What jnp lacks or grilly cannot compile, NumPy computes from downloaded values, and a NumPy array comes back.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import zip_longest
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

from ..errors import ParameterError
from .border import NARROWED

ARRAYS = (np.ndarray, np.generic, jax.Array)
SCALARS = (bool, int, float)
DESCRIBED = frozenset({"shape", "ndim"})  # what an array says of itself, without its values
NUMPY_NAMES = {"amax": "max", "amin": "min"}
# NumPy's functions of arrays to arrays that devices compute. All others see downloaded values.
ON_DEVICE = frozenset(
    getattr(np, name)
    for name in (
        *("all", "amax", "amin", "any", "argmax", "argmin", "average", "count_nonzero", "cumprod", "cumsum", "max"),
        *("mean", "median", "min", "nanmax", "nanmean", "nanmin", "nansum", "prod", "ptp", "std", "sum", "var"),
        *("atleast_1d", "atleast_2d", "broadcast_to", "concatenate", "diagonal", "expand_dims", "flip", "fliplr"),
        *("flipud", "hstack", "moveaxis", "pad", "ravel", "repeat", "reshape", "roll", "rot90", "squeeze", "stack"),
        *("swapaxes", "tile", "transpose", "tril", "triu", "vstack", "argsort", "sort", "diff"),
        *("clip", "cross", "dot", "einsum", "full_like", "inner", "kron", "nan_to_num", "ones_like", "outer"),
        *("round", "tensordot", "trace", "vdot", "where", "zeros_like", "isclose", "digitize", "interp"),
    )
)
IN_PLACE = frozenset((np.copyto, np.put, np.place, np.putmask, np.fill_diagonal, np.put_along_axis))
WHERE = frozenset(  # parameters that are positions, shapes and counts
    (
        *("axis", "axes", "axis1", "axis2", "source", "destination", "shape", "newshape", "shift"),
        *("n", "k", "reps", "repeats", "offset", "decimals"),
    )
)
IMMUTABLE = "a grilly.Array is immutable. Change a NumPy copy: b = np.array(a)."


def evaluate(name: str, args: tuple, kwargs: Mapping[str, Any] | None = None) -> Any:
    """`jnp.<name>(*args, **kwargs)` on the device of the arrays among the arguments; all else is static."""
    leaves, tree = jax.tree_util.tree_flatten((args, kwargs or {}))
    arrays = [leaf for leaf in leaves if _is_array(leaf)]
    statics = tuple(None if _is_array(leaf) else _static(leaf) for leaf in leaves)
    return _compiled(name, tree, statics)(*arrays)


def _static(leaf: Any) -> tuple:
    """A value, and what tells it from others that are equal to it: True from 1, and -0.0 from 0.0."""
    return _narrowed(leaf), type(leaf), repr(leaf) if isinstance(leaf, float) else None


def _narrowed(value: Any) -> Any:
    """A dtype as the one that devices have for it; anything else as it is."""
    if not isinstance(value, (np.dtype, type)):
        return value
    dtype = np.dtype(value)
    return NARROWED.get(dtype, dtype)


def ufunc(ufunc: np.ufunc, method: str, inputs: tuple, kwargs: dict[str, Any]) -> Any:
    """What `Array.__array_ufunc__` returns."""
    on_host = lambda: getattr(ufunc, method)(*_host(inputs), **_host(kwargs))  # noqa: E731
    name, outs = ufunc.__name__, kwargs.get("out", (None,))
    for out in outs:
        _check_writable(out)
    if method == "at" and is_ours(inputs[0]):
        raise ParameterError(IMMUTABLE)
    inputs = tuple(np.asarray(x) if isinstance(x, (list, tuple)) else x for x in inputs)
    known = all(isinstance(x, SCALARS) or _is_array(x) for x in inputs)
    if method != "__call__" or kwargs.keys() - {"out"} or len(outs) != 1 or not hasattr(jnp, name) or not known:
        return on_host()
    dtype = next(leaf.dtype for leaf in inputs if is_ours(leaf))
    inputs = tuple(_like(x, dtype) if isinstance(x, SCALARS) else x for x in inputs)
    return device_or_host(lambda: _into(outs[0], evaluate(name, inputs)), on_host)


def function(func: Callable, args: tuple, kwargs: dict[str, Any]) -> Any:
    """What `Array.__array_function__` returns."""
    on_host = lambda: func(*_host(args), **_host(kwargs))  # noqa: E731
    name = func.__name__
    if name in DESCRIBED:
        return getattr(next(leaf for leaf in (*args, *kwargs.values()) if is_ours(leaf)), name)
    if func in IN_PLACE and is_ours(args[0]):
        raise ParameterError(IMMUTABLE)
    if func not in ON_DEVICE:
        return on_host()
    passed, named, out = _without_out(func, args, kwargs)
    _check_writable(out)
    passed = tuple([_whole(p, value) for p, value in zip_longest(_positional(func)[: len(passed)], passed)])
    named = {p: _whole(p, value) for p, value in named.items()}
    if named.get("dtype") is not None:
        named["dtype"] = np.dtype(named["dtype"])
    name = NUMPY_NAMES.get(name, name)
    return device_or_host(lambda: _into(out, evaluate(name, passed, named)), on_host)


@lru_cache(maxsize=1024)
def _compiled(name: str, tree: Any, statics: tuple) -> Callable:
    """A compiled `jnp.<name>` of the arrays that fill the gaps among `statics`."""
    from .compile import jit  # what is compiled returns Arrays, and Arrays compute by compiling

    def function(*arrays: Any) -> Any:
        gaps = iter(arrays)
        leaves = [next(gaps) if static is None else static[0] for static in statics]
        args, kwargs = jax.tree_util.tree_unflatten(tree, leaves)
        return getattr(jnp, name)(*args, **kwargs)

    function.__name__ = name  # in errors and profiles
    return jit(function)


def device_or_host(on_device: Callable[[], Any], on_host: Callable[[], Any]) -> Any:
    """On the device; on the host what grilly or jnp do not take, such as a shape that depends on values.

    What is wrong for NumPy too is NumPy's own error then.
    """
    try:
        return on_device()
    except (NotImplementedError, TypeError):
        return on_host()


def is_ours(value: Any) -> bool:
    from .array import Array

    return isinstance(value, Array)


def _is_array(value: Any) -> bool:
    return isinstance(value, ARRAYS) or is_ours(value)


def downloaded(value: Any) -> Any:
    return np.asarray(value) if is_ours(value) else value


def _host(tree: Any) -> Any:
    return jax.tree.map(downloaded, tree)


def _like(scalar: bool | int | float, dtype: np.dtype) -> np.ndarray:
    """A Python number as an array of the dtype that it takes next to an array of `dtype`."""
    return np.asarray(scalar, jnp.result_type(dtype, scalar))


def _whole(parameter: str | None, value: Any) -> Any:
    """NumPy's integers that say where, and not what, as Python's: jnp asks for those."""
    if parameter in WHERE and isinstance(value, tuple | list):
        return type(value)(_whole(parameter, each) for each in value)
    return int(value) if parameter in WHERE and isinstance(value, np.integer) else value


def _without_out(func: Callable, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any], Any]:
    """The arguments less `out`, which jnp does not take, wherever it stood."""
    positional = _positional(func)
    position = positional.index("out") if "out" in positional else None
    kwargs = dict(kwargs)
    out = kwargs.pop("out", None)
    if position is not None and len(args) > position:
        out, args = args[position], (*args[:position], None, *args[position + 1 :])
    return args, kwargs, out


@lru_cache
def _positional(func: Callable) -> list[str]:
    """The parameters that may be given by position."""
    parameters = inspect.signature(func).parameters
    return [name for name, p in parameters.items() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def _check_writable(out: Any) -> None:
    if is_ours(out):
        raise ParameterError("a grilly.Array is immutable, so it cannot be `out`. Give a NumPy array, or no `out`.")


def _into(out: Any, result: Any) -> Any:
    if out is None:
        return result
    np.copyto(out, np.asarray(result))
    return out
