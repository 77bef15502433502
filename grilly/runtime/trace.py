"""From a Python function to a `Graph`: the one file that reads JAX's jaxprs.

Calls are inlined, scalars known at trace time are folded by JAX itself, typed random keys become their uint32 data and
complex numbers pairs of floats, and primitives that have a composite (`composites`) become the equations it is made of.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import jax
import numpy as np
from jax.core import Tracer
from jax.extend import core as jex

from ..errors import StateError, UnsupportedPrimitiveError
from .border import COMPLEX, KNOWN, is_key_type
from .composites import KEY_KINDS, OF_KEYS, composites
from .ir import Atom, Aval, Equation, Graph, Literal, ScanParams, Value, WhileParams
from .scalars import computed
from .source import unsupported
from .words import MOVED, words_of

# Calls, and the parameters that may hold what they call: releases of JAX name it differently.
CALLS = {
    *("jit", "pjit", "closed_call", "core_call", "eval_jaxpr", "composite", "xla_metadata_call"),
    *("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr", "custom_lin", "custom_vmap_call", "linear_call"),
    *("remat2", "checkpoint", "remat_opt"),
}
CALLED = ("call_jaxpr", "jaxpr", "fun_jaxpr", "fwd_jaxpr", "call", "callee")
# What is said where a function uses a tracer that is none of its own.
KEPT = (
    "the function uses an array that an earlier call left in an attribute, a list or a global variable, and that lived "
    "as long as that call was traced. Return it, and pass it to the next call; a module keeps it in a nn.Buffer, or as "
    "the state of a nn.StatefulModule."
)
# What only says something to XLA: the outputs are the inputs.
IDENTITIES = {
    *("copy", "copy_p", "device_put", "stop_gradient", "optimization_barrier", "name"),
    *("sharding_constraint", "random_wrap", "random_unwrap", "random_clone"),
}
# What has no defined value: the residuals of the branch of a cond that was not taken, say.
UNDEFINED = {"empty", "empty2"}
# What counts random numbers, in the order that JAX's default is.
COUNTED = {"random_bits", "random_split", "random_gamma"}
# Parameters that no shader depends on.
IGNORED = {
    *("sharding", "out_sharding", "weak_type", "accuracy", "unroll", "linear", "impl"),
    "_split_transpose",
}


def trace(function: Callable[..., Sequence[Any]], avals: Sequence[Aval]) -> Graph:
    """The program of `function`, which takes flat arrays of these avals and returns a flat list of arrays.

    Raises:
        StateError: It uses what it kept of an earlier trace.
    """
    structs = [jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in avals]
    try:
        closed = jax.make_jaxpr(lambda *args: list(function(*args)))(*structs)
    except jax.errors.UnexpectedTracerError as error:
        raise StateError(KEPT) from error
    return _Translator.whole(closed)


_UNTRACED = jex.get_opaque_trace_state()


def is_tracing() -> bool:
    """Whether JAX is tracing a function now: what it computes from known values may be a tracer, too."""
    return jex.get_opaque_trace_state() != _UNTRACED


class _Translator:
    """Walks a jaxpr and collects equations. One environment a jaxpr, one list of equations a graph."""

    def __init__(self) -> None:
        self.equations: list[Equation] = []
        self.constants: dict[Value, np.ndarray] = {}

    @classmethod
    def whole(cls, closed: Any, callers: tuple[Any, ...] = ()) -> Graph:
        translator = cls()
        jaxpr, consts = _opened(closed)
        inputs = tuple(Value(_aval(var.aval)) for var in jaxpr.invars)
        outputs = translator.walk(jaxpr, consts, inputs, callers)
        return Graph(inputs, tuple(translator.equations), tuple(outputs), translator.constants)

    def walk(
        self, jaxpr: Any, consts: Sequence[Any], inputs: Sequence[Atom], callers: tuple[Any, ...] = ()
    ) -> list[Atom]:
        """Translates the equations of `jaxpr`, applied to `inputs`; gives what its outputs became."""
        env: dict[Any, Atom] = dict(zip(jaxpr.invars, inputs, strict=True))
        env.update((var, self.constant(const)) for var, const in zip(jaxpr.constvars, consts, strict=True))

        def read(atom: Any) -> Atom:
            return self.constant(_number(atom)) if isinstance(atom, jex.Literal) else env[atom]

        for eqn in jaxpr.eqns:
            outputs = self.equation(eqn, [read(atom) for atom in eqn.invars], (*callers, eqn.source_info))
            env.update(zip(eqn.outvars, outputs, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def constant(self, array: Any) -> Atom:
        if isinstance(array, Tracer):
            raise StateError(KEPT)
        if isinstance(array, jax.Ref):
            aval = Aval(array.shape, array.dtype)
            raise UnsupportedPrimitiveError(
                f"grilly cannot compile a function that closes over a jax.Ref, of {aval} here. "
                "Make its value an argument and a result, or run the function on device='cpu'."
            )
        array = np.asarray(jax.random.key_data(array) if is_key_type(array.dtype) else array)
        if array.dtype == COMPLEX:
            array = np.stack([array.real, array.imag], -1)
        if array.ndim == 0:
            return _literal(array, array.dtype)
        value = Value(Aval(array.shape, array.dtype))
        self.constants[value] = array
        return value

    def equation(self, eqn: Any, inputs: list[Atom], source: tuple[Any, ...]) -> list[Atom]:
        name = eqn.primitive.name
        if name in CALLS:
            called = next(eqn.params[key] for key in CALLED if key in eqn.params)
            return self.walk(*_opened(called), inputs, source)
        if name == "call_hi_primitive":  # from jax 0.12 on; it knows what it is made of
            return self.walk(*_opened(_expanded(eqn)), inputs, source)
        if name in IDENTITIES:
            return inputs
        if name == "scan":
            return self.scan(eqn, inputs, source)
        if name == "custom_linear_solve":
            return self.linear_solve(eqn, inputs, source)
        if name == "platform_index" and (ours := _branch_of_platforms(eqn.params["platforms"])) is not None:
            return [_literal(ours, np.int32)]
        if name in UNDEFINED:
            return [self.zeros(_aval(var.aval), source) for var in eqn.outvars]
        if name == "cond":
            return self.cond(eqn, inputs, source)
        known = inputs and all(isinstance(i, Literal) for i in inputs) and all(map(_is_number, eqn.outvars))
        if known and not eqn.effects:
            return _folded(eqn, inputs)
        if name == "while":
            return self.while_(eqn, inputs, source)
        if name in COUNTED and not eqn.ctx.threefry_partitionable:
            raise _refusal(eqn, _params(name, eqn), source, "with jax_threefry_partitionable off")
        if eqn.effects:  # a message printed, say: no result tells that it is missing
            raise _refusal(eqn, _params(name, eqn), source)
        return self.plain(name, eqn, inputs, source)

    def plain(self, name: str, eqn: Any, inputs: list[Atom], source: tuple[Any, ...]) -> list[Atom]:
        """An equation that a kernel computes, or those that its composite is made of."""
        if name == "bitcast_convert_type" and len(eqn.invars[0].aval.shape) != len(eqn.outvars[0].aval.shape):
            name = "resized_bits"
        params = _params(name, eqn)
        pairs = [var.aval.dtype == COMPLEX for var in (*eqn.invars, *eqn.outvars)]
        if any(pairs) and name not in MOVED:
            name, params["pairs"] = f"complex_{name}", tuple(pairs[: len(inputs)])
        if f"keys_{name}" in OF_KEYS and any(is_key_type(var.aval.dtype) for var in (*eqn.invars, *eqn.outvars)):
            name = f"keys_{name}"
        _check_dtypes(name, eqn, params, source)
        if name in composites:
            try:
                jaxpr = _composite(name, _key_of(inputs), _key_of(params))
            except NotImplementedError as error:
                raise _refusal(eqn, params, source, str(error)) from error
            outputs = self.walk(*_opened(jaxpr), inputs, source)
            assert [atom.aval for atom in outputs] == [_aval(var.aval) for var in eqn.outvars], name
            return outputs
        outputs = tuple(Value(_aval(var.aval)) for var in eqn.outvars)
        self.equations.append(Equation(name, tuple(inputs), outputs, params, source))
        return list(outputs)

    def zeros(self, aval: Aval, source: tuple[Any, ...]) -> Atom:
        zero = _literal(0, aval.dtype)
        if not aval.shape:
            return zero
        value = Value(aval)
        params = {"shape": aval.shape, "broadcast_dimensions": ()}
        self.equations.append(Equation("broadcast_in_dim", (zero,), (value,), params, source))
        return value

    def cond(self, eqn: Any, inputs: list[Atom], source: tuple[Any, ...]) -> list[Atom]:
        """Every branch is computed, as under `jax.vmap`, and the results of the chosen one are taken."""
        which, *operands = inputs
        branches = eqn.params["branches"]
        if isinstance(which, Literal):
            return self.walk(*_opened(branches[int(which.value)]), operands, source)
        results = [self.walk(*_opened(branch), operands, source) for branch in branches]
        outputs = []
        for var, cases in zip(eqn.outvars, zip(*results, strict=True), strict=True):
            value = Value(_aval(var.aval))
            self.equations.append(Equation("select_n", (which, *cases), (value,), {}, source))
            outputs.append(value)
        return outputs

    def linear_solve(self, eqn: Any, inputs: list[Atom], source: tuple[Any, ...]) -> list[Atom]:
        """What solves is called; what only derivatives need is not."""
        lengths, jaxprs = eqn.params["const_lengths"], eqn.params["jaxprs"]
        start = lengths.matvec + lengths.vecmat
        operands = [*inputs[start : start + lengths.solve], *inputs[sum(lengths) :]]
        return self.walk(*_opened(jaxprs.solve), operands, source)

    def scan(self, eqn: Any, inputs: list[Atom], source: tuple[Any, ...]) -> list[Atom]:
        """A scan's body is a graph of its own; arrays that it captures become further consts."""
        params = eqn.params
        consts, carries = _counts(params)
        body = _Translator.whole(params["jaxpr"], source)
        captured = {value: self.constant(array) for value, array in body.constants.items()}
        body = Graph((*body.inputs[:consts], *captured, *body.inputs[consts:]), body.equations, body.outputs)
        inputs = [*inputs[:consts], *captured.values(), *inputs[consts:]]
        scan = ScanParams(body, params["length"], params["reverse"], consts + len(captured), carries)
        outputs = tuple(Value(_aval(var.aval)) for var in eqn.outvars)
        self.equations.append(Equation("scan", tuple(inputs), outputs, {"scan": scan}, source))
        return list(outputs)

    def while_(self, eqn: Any, inputs: list[Atom], source: tuple[Any, ...]) -> list[Atom]:
        """A while's condition and body become one graph, of one list of consts."""
        params, inner = eqn.params, _Translator()
        first, second = params["cond_nconsts"], params["body_nconsts"]
        values = tuple(Value(atom.aval) for atom in inputs)
        consts, carry = values[: first + second], values[first + second :]
        (going,) = inner.walk(*_opened(params["cond_jaxpr"]), [*consts[:first], *carry], source)
        after = inner.walk(*_opened(params["body_jaxpr"]), [*consts[first:], *carry], source)
        captured = {value: self.constant(array) for value, array in inner.constants.items()}
        body = Graph((*consts, *captured, *carry), tuple(inner.equations), (*after, going))
        inputs = [*inputs[: len(consts)], *captured.values(), *inputs[len(consts) :]]
        outputs = tuple(Value(_aval(var.aval)) for var in eqn.outvars)
        params = {"while": WhileParams(body, len(consts) + len(captured))}
        self.equations.append(Equation("while", tuple(inputs), outputs, params, source))
        return list(outputs)


def _expanded(eqn: Any) -> Any:
    """The jaxpr of a primitive that is written in others."""
    primitive = eqn.params["_prim"]
    structs = [jax.ShapeDtypeStruct(var.aval.shape, var.aval.dtype) for var in eqn.invars]
    unflatten = partial(jax.tree.unflatten, primitive.in_tree)
    return jax.make_jaxpr(lambda *flat: jax.tree.leaves(primitive.expand(*unflatten(flat))))(*structs)


def _counts(params: Mapping[str, Any]) -> tuple[int, int]:
    """How many of a scan's operands are consts, and how many carries (from jax 0.11 on told by a tree)."""
    if "ft_in" not in params:
        return params["num_consts"], params["num_carry"]
    consts, carries, _ = params["ft_in"].unpack()
    return len(consts), len(carries)


def _opened(closed: Any) -> tuple[Any, Sequence[Any]]:
    """A jaxpr and its constants, from the closed or the bare form (jax 0.12 has only the latter)."""
    return getattr(closed, "jaxpr", closed), getattr(closed, "consts", ())


def _is_number(var: Any) -> bool:
    return var.aval.shape == () and not words_of(var.aval.dtype)


def _aval(aval: Any) -> Aval:
    if words := words_of(aval.dtype):
        return Aval((*aval.shape, words), np.dtype(np.uint32 if is_key_type(aval.dtype) else np.float32))
    return Aval(tuple(aval.shape), np.dtype(aval.dtype))


def _number(literal: Any) -> np.ndarray:
    return np.asarray(literal.val, literal.aval.dtype)


def _literal(value: Any, dtype: Any) -> Literal:
    return Literal(np.asarray(value, dtype))


def _branch_of_platforms(platforms: Sequence[Any]) -> int | None:
    """Which branch of `lax.platform_dependent` is ours: the CPU's, which is plain JAX, or else the one for all."""
    named = [k for k, names in enumerate(platforms) if names is not None and "cpu" in names]
    return next(iter([*named, *(k for k, names in enumerate(platforms) if names is None)]), None)


def _folded(eqn: Any, inputs: Sequence[Atom]) -> list[Atom]:
    """An equation of known scalars, computed now; by JAX, where an ulp is left open."""
    values = [i.value for i in inputs if isinstance(i, Literal)]
    known = computed(eqn.primitive.name, values, eqn.outvars[0].aval.dtype)
    if known is not None:
        return [Literal(known)]
    with jax.ensure_compile_time_eval():
        results = eqn.primitive.bind(*values, **eqn.params)
    results = results if eqn.primitive.multiple_results else [results]
    return [_literal(result, var.aval.dtype) for result, var in zip(results, eqn.outvars, strict=True)]


def _check_dtypes(name: str, eqn: Any, params: dict[str, Any], source: tuple[Any, ...]) -> None:
    """No kernel computes integers and floats of strange widths, or keys of a user's own kind; few complex numbers."""
    dtypes = [var.aval.dtype for var in (*eqn.invars, *eqn.outvars)]
    of_words = name in OF_KEYS or name.startswith(("random_", "complex_"))
    written = name in MOVED or (name in composites and of_words)
    strange = [dtype for dtype in dtypes if dtype not in KNOWN and not (words_of(dtype) and written)]
    if params.get("kind", "key<fry>") not in KEY_KINDS:
        strange.append(params["kind"])
    if strange:
        raise _refusal(eqn, params, source, f"of {strange[0]}")


def _refusal(eqn: Any, params: dict[str, Any], source: tuple[Any, ...], why: str = "") -> UnsupportedPrimitiveError:
    inputs, outputs = (
        tuple(Value(Aval(var.aval.shape, var.aval.dtype)) for var in side) for side in (eqn.invars, eqn.outvars)
    )
    shown = {name: value for name, value in params.items() if name != "pairs"}
    return unsupported(Equation(eqn.primitive.name, inputs, outputs, shown, source), why)


def _params(name: str, eqn: Any) -> dict[str, Any]:
    """The parameters that matter. What moves keys or complex numbers moves their further axis, too."""
    params = {k: v for k, v in eqn.params.items() if k not in IGNORED and v is not None}
    params.update((k, v.name) for k, v in params.items() if isinstance(v, jex.Primitive))
    moved = [v.aval for v in (*eqn.invars, *eqn.outvars)]
    kind = next((aval.dtype for aval in moved if words_of(aval.dtype)), None)
    if kind is not None and name in MOVED:
        MOVED[name](params, eqn.invars[0].aval.ndim, eqn.outvars[0].aval.ndim, words_of(kind))
    elif kind is not None and name.startswith("random_"):
        params["kind"] = kind.name
    return params


def _key_of(thing: Mapping[str, Any] | Sequence[Atom]) -> tuple[Any, ...]:
    return tuple(sorted(thing.items())) if isinstance(thing, Mapping) else tuple(a.aval for a in thing)


@lru_cache(maxsize=1024)
def _composite(name: str, avals: tuple[Aval, ...], params: tuple[tuple[str, Any], ...]) -> Any:
    structs = [jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in avals]
    return jax.make_jaxpr(lambda *args: composites[name](*args, **dict(params)))(*structs)
