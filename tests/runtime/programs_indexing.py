"""Indexing, order and cumulation, and their gradients, as users write them: a row gets every law of test_programs."""

import jax
import numpy as np
from jax import lax, random
from jax import numpy as jnp
from programs import F32, Program

I32, U32, U8 = np.int32, np.uint32, np.uint8
X = (5, 7)
INDEX = ((4,), I32)  # -100 to 99: taken modulo an extent where that matters


def with_nan(x):
    """NaN of both signs, both zeros and both infinities among the elements."""
    x = jnp.where(x > 3, jnp.nan, jnp.where(x < -3, -jnp.nan, x))
    return jnp.where(abs(x) < 1, jnp.where(x < 0, -0.0, 0.0), jnp.where(abs(x) < 1.5, x * jnp.inf, x))


def squares(function):
    """The sum of squares of all that a function returns, to take gradients of."""
    return lambda *args: sum(jnp.square(leaf).sum() for leaf in jax.tree.leaves(function(*args)))


def gradient(function):
    return jax.grad(squares(function))


def updated(x, i, u):
    """Every way to update at an index."""
    at = x.at[i % 9 - 3]  # some are out of bounds
    return at.add(u), at.subtract(u), at.multiply(u), at.min(u), at.max(u), at.set(u), at.set(u, mode="clip")


def taken(x, i):
    modes = [jnp.take(x, i, axis=1, mode=mode) for mode in ("fill", "clip", "wrap")]
    return *modes, jnp.take(x, jnp.zeros((2, 0), I32))


def indexed(x, i):
    return x[i % 5], x[:, i % 7 - 7], x[i % 5, i % 7]


def taken_of_types(x, i):
    return [jnp.take(x.astype(dtype), i, axis=0).astype(F32) for dtype in (I32, U8, np.bool_, jnp.bfloat16)]


def windows_at(x, i):
    return jax.vmap(lambda k: lax.dynamic_slice(x, (k, k % 3), (3, 2)))(i % 5)


def slices(x, i):
    row = lax.dynamic_slice(x, (i[0], i[1]), (2, 3))
    return row, lax.dynamic_slice(x, (i[2].astype(U8), i[3].astype(U8)), (1, 7)), lax.dynamic_index_in_dim(x, i[0])


def slice_updates(x, i):
    return (
        lax.dynamic_update_slice(x, x[:2, :3] * 2, (i[0], i[1])),
        x.at[1:3].set(0),
        x.at[:, ::2].add(2),
        x.at[2, 3].set(9),
    )


def sorts(x):
    return jnp.sort(x, 0), jnp.argsort(x, 1), jnp.sort(x, 1, descending=True), jnp.argsort(x, 0, descending=True)


def sorted_by_two(x, y, u):
    return lax.sort((x % 3, y % 3, u), dimension=1, num_keys=2)


def sorted_types(x):
    return [jnp.sort(x.astype(t), 1) for t in (np.int8, U8, np.int16, I32, U32, np.bool_, jnp.bfloat16, np.float16)]


def cumulated(x):
    sums = jnp.cumsum(x, 1), jnp.cumprod(x, 0), lax.cumsum(x, 0, reverse=True), lax.cumlogsumexp(x, 1)
    return *sums, lax.cummax(x, 0), lax.cummin(x, 1, reverse=True)


def folded(x):
    """Reductions by functions of the user's own."""
    number = lax.broadcasted_iota(I32, x.shape, 1)
    larger = lambda a, b: tuple(jnp.where(a[0] >= b[0], p, q) for p, q in zip(a, b, strict=True))  # noqa: E731
    return (
        lax.reduce(x, F32(3), lax.add, (0,)),
        lax.reduce((x, number), (F32(-np.inf), I32(0)), larger, (1,)),
        lax.reduce_window(x, F32(1), lax.mul, (2, 3), (1, 2), "SAME"),
        lax.reduce_window((x, -x), (F32(-9), F32(0)), lambda a, b: (lax.max(a[0], b[0]), a[1] + b[1]), X, X, "SAME"),
    )


def reductions(x):
    operations = lax.reduce_and, lax.reduce_or, lax.reduce_xor, lax.reduce_prod, lax.reduce_max, lax.reduce_min
    numbers = [operation(x.astype(t), (1,)) for t in (np.int8, U8, np.int16, U32) for operation in operations]
    return *numbers, *(operation(x > 0, (0,)) for operation in operations[:3])


def pooled(x, function=lax.max, **params):
    start = -jnp.inf if function is lax.max else jnp.inf
    return lax.reduce_window(x, start, function, (3, 2), (2, 1), "SAME", **params)


def pool_tangents(x, t):
    dilated = lambda x: pooled(x, window_dilation=(2, 2))  # noqa: E731
    return [jax.jvp(f, (x,), (t,))[1] for f in (pooled, dilated, lambda x: pooled(x, lax.min))]


def large_windows(x):
    sums = lax.reduce_window(x, 0.0, lax.add, (11, 9), (3, 3), "SAME")
    return sums, lax.reduce_window(x, -jnp.inf, lax.max, (11, 9), (3, 3), "SAME")


def padded(x):
    return [lax.pad(x, F32(9), config) for config in (((-1, 2, 1), (1, -2, 0)), ((-2, -1, 2), (-3, 1, 1)))]


def joined(x):
    return jnp.concatenate([x[:, :k] for k in range(8)] * 3, 1), jnp.stack([x, -x], 1), jnp.hstack([x, x[:, :0]])


def arranged(x):
    moved = jnp.roll(x, 2, 1), jnp.roll(x, x[0, 0].astype(I32), 0), jnp.flip(x), jnp.rot90(x), jnp.tile(x, (2, 1))
    chosen = lax.platform_dependent(x, cpu=jnp.abs, default=jnp.negative)
    parts = jnp.diag(x[:5, :5]), jnp.repeat(x, 3, 1), jnp.where(x > 0, x, 0)
    return *moved, chosen, *parts, jnp.diff(x), jnp.tril(x)


def searched(x, y):
    table = jnp.sort(x)
    sides = [jnp.searchsorted(table, y, side=side) for side in ("left", "right")]
    others = [jnp.searchsorted(table, y, method=method) for method in ("sort", "compare_all")]
    return *sides, *others, jnp.digitize(y, table), jnp.interp(y, table, table * 2)


def counted(i, u):
    index = i % 9
    counts = jnp.bincount(index, length=9), jnp.bincount(index, weights=u, length=5), jnp.histogram(u, 10, (-4, 4))
    return *counts, jax.ops.segment_sum(u, index, 9), jax.ops.segment_max(u, index, 9), jax.nn.one_hot(index, 9)


def found(i):
    """Results of a size that the user names."""
    sets = jnp.unique(i % 9, size=12, return_index=True, return_inverse=True, return_counts=True)
    return *sets, *jnp.nonzero(i % 3, size=30, fill_value=-1), jnp.argwhere(i > 0, size=50)


def statistics(x):
    return jnp.median(x, 1), jnp.percentile(x, 30.0, axis=0), jnp.quantile(x, 0.7), jnp.ptp(x, 1), jnp.trace(x)


def drawn(data):
    key = random.wrap_key_data(data)
    picked = random.choice(key, 20, (8,)), random.choice(key, 10, (4,), replace=False), random.permutation(key, 50)
    keys = random.split(key, 5)
    return *picked, random.categorical(key, jnp.zeros((3, 5))), [random.key_data(keys[k]) for k in picked[0][:2] % 5]


def walked(x, i):
    """Steps that look up where the last one says, in a table: still one kernel."""
    table = x.astype(I32) + 50
    return lax.scan(lambda at, _: (table[at] % 35, at), i % 35, None, length=6)


def filled(x):
    """Steps that write into their carry."""
    return lax.scan(lambda c, x: (lax.dynamic_update_slice(c, x[:2], (1,)).at[x[0].astype(I32)].add(1), None), x[0], x)[
        0
    ]


def empty(x):
    none = x[:0]
    ordered = jnp.sort(none), jnp.sort(none, 0), jnp.cumsum(none), lax.top_k(none, 2), lax.sort((none.T, none.T))
    joined = jnp.concatenate([none, none]), jnp.concatenate([none, x]), none.at[jnp.zeros(3, I32)].set(1.0)
    return (
        *ordered,
        *joined,
        x[jnp.zeros(0, I32)],
        x.at[jnp.zeros(0, I32)].set(1.0),
        lax.pad(none, F32(1), ((1, 1, 0),) * 2),
    )


INDEXING = {
    # Places that are computed
    "take": Program(taken, (X, INDEX), 1),
    "take_of_types": Program(taken_of_types, (X, INDEX), 1),
    "take_along": Program(lambda x, i: jnp.take_along_axis(x, i % 7, 1), (X, ((5, 3), I32)), 1),
    "take_one": Program(lambda x, i: x[i[0] % 5], (X, ((1,), I32)), 1),
    "take_windows": Program(windows_at, (X, INDEX), 1),
    "take_gradient": Program(gradient(taken), (X, INDEX), 1, 1e-6),
    "index": Program(indexed, (X, INDEX), 1),
    "index_gradient": Program(gradient(indexed), (X, INDEX), 1, 1e-6),
    "take_windows_gradient": Program(gradient(windows_at), (X, ((9,), I32)), 1, 1e-6),
    "dynamic_slices": Program(slices, (X, INDEX), 1),
    "dynamic_slices_gradient": Program(gradient(slices), (X, INDEX), 1, 1e-6),
    "dynamic_updates": Program(slice_updates, (X, INDEX), 1),
    "dynamic_updates_gradient": Program(gradient(slice_updates), (X, INDEX), 1, 1e-6),
    "update_few": Program(updated, (X, INDEX, (4, 7)), 1),
    "update_some": Program(updated, (X, ((40,), I32), (40, 7)), 1, 1e-6),
    "update_some_gradient": Program(
        lambda x, i, u: jax.grad(lambda x, u: squares(lambda x, u: x.at[i % 9].add(u))(x, u), (0, 1))(x, u),
        (X, ((40,), I32), (40, 7)),
        1,
        1e-6,
    ),
    "update_integers": Program(
        lambda x, i: (x.at[i % 35].add(1), x.at[i % 35].max(i)), (((35,), I32), ((90,), I32)), 1
    ),
    "update_many": Program(
        lambda x, i, u: [op(u) for at in [x.at[abs(i * i * i) % 2100 - 50]] for op in (at.add, at.max, at.set)],
        ((2000, 4), ((2100,), I32), (2100, 4)),
        9,
        1e-6,
    ),
    "update_by_a_function": Program(
        lambda x, i: (x.at[i % 5].apply(jnp.square), x.at[i[:3] % 5].apply(lambda v: v / 2 + 1)), (X, ((20,), I32)), 2
    ),
    "update_each_row": Program(
        lambda x, i: jax.vmap(lambda r, k: r.at[k % 7].add(1.5))(x, i), (X, ((5, 9), I32)), 1, 1e-6
    ),
    "embedding_gradient": Program(
        lambda w, i: jax.grad(lambda w: jnp.square(w[abs(i * i) % 1500]).sum())(w), ((1500, 8), ((1500,), I32)), 4, 1e-6
    ),
    "walk": Program(walked, ((35,), INDEX), 1),
    "fill_in_a_scan": Program(filled, (X,), 1, 1e-6),
    # Order
    "sort": Program(sorts, (X,), 4),
    "sort_nan": Program(lambda x: (*sorts(with_nan(x)), lax.top_k(with_nan(x), 7)), (X,), 6),
    "sort_one": Program(sorts, ((1, 1),), 4),
    "sort_types": Program(sorted_types, (X,), 8),
    "sort_by_two": Program(sorted_by_two, (((6, 50), I32), ((6, 50), I32), (6, 50)), 1),
    "sort_by_many": Program(lambda x: jnp.lexsort(x % 2), (((9, 50), I32),), 2),
    "sort_blocks": Program(lambda x: jnp.argsort(x, 1), (((3, 2500), I32),), 2),
    "sort_columns_of_blocks": Program(lambda x: jnp.sort(jnp.round(x), 0), ((4500, 2),), 5),
    "sort_long": Program(jnp.sort, (((1 << 17) + 3,),), 9),
    "sort_gradient": Program(
        gradient(lambda x: (jnp.sort(x, 1)[:, :3], lax.top_k(x, 2)[0], jnp.max(x, 0))), (X,), 3, 1e-6
    ),
    "top_k": Program(lambda x: (lax.top_k(x, 3), lax.approx_max_k(x, 2), lax.approx_min_k(x, 2)), (X,), 3),
    "argmax": Program(lambda x: (jnp.argmax(x, 0), jnp.argmin(x, 1), jnp.argmax(x), jnp.argmax(x > 0, 1)), (X,), 1),
    "argmax_ties": Program(lambda x: (jnp.argmax(x // 60, 0), jnp.argmin(x // 60, 1)), ((X, I32),), 1),
    "argmax_nan": Program(lambda x: (jnp.argmax(with_nan(x), 0), jnp.argmin(with_nan(x), 1)), (X,), 1),
    "search": Program(searched, ((33,), (20,)), 9, 1e-6),
    "count": Program(counted, (((77,), I32), (77,)), 3, 1e-6),
    "find": Program(found, (((50,), I32),), 13),
    "statistics": Program(statistics, (X,), 5, 1e-6),
    "draw": Program(drawn, (((2,), U32),), 4),
    # Cumulation
    "cumulate": Program(cumulated, (X,), 7, 1e-6),
    "cumulate_nan": Program(lambda x: cumulated(with_nan(x))[4:], (X,), 4),
    "cumulate_integers": Program(lambda x: (jnp.cumsum(x), lax.cummax(x), jnp.cumsum(x > 0)), (((300,), I32),), 7),
    "cumulate_long": Program(lambda x: (jnp.cumsum(x), lax.cumsum(x, reverse=True)), (((30011,), I32),), 7),
    "cumulate_long_floats": Program(lambda x: (jnp.cumsum(x), lax.cumlogsumexp(x)), ((5000,),), 5, 1e-6, low=0.0),
    "cumulate_gradient": Program(gradient(cumulated), (X,), 5, 1e-5, low=0.5, high=2.0),
    "cumulate_gradient_long": Program(gradient(lambda x: (lax.cummax(x), jnp.cumsum(x))), ((300,),), 5, 1e-6),
    "associative_scan": Program(
        lambda x, y: lax.associative_scan(lambda a, b: (a[0] * b[0], a[1] * b[0] + b[1]), (x, y)), ((33,), (33,)), 1
    ),
    # Folds and windows
    "fold": Program(folded, (X,), 3, 1e-6),
    "fold_long": Program(
        lambda x: lax.reduce(x, F32(0), lambda a, b: jnp.maximum(a, b) + 0 * a, (0,)), ((3000,),), 2, low=0.0
    ),
    "reduce_types": Program(reductions, ((X, I32),), 1),
    "pool_tangents": Program(pool_tangents, (X, X), 1),
    "pool_gradient": Program(lambda x: [gradient(f)(x) for f in (pooled, lambda x: pooled(x, lax.min))], (X,), 1, 1e-6),
    "pool_gradient_ties": Program(lambda x: gradient(pooled)(jnp.round(x / 2)), (X,), 1, 1e-6),
    "pool_gradient_nan": Program(
        lambda x, g: jax.vjp(pooled, jnp.where(x > 3, jnp.nan, x))[1](g), (X, (3, 7)), 1, 1e-6
    ),
    "pool_second_derivative": Program(lambda x, t: jax.jvp(gradient(pooled), (x,), (t,))[1], (X, X), 1, 1e-6),
    "large_windows_from_a_number": Program(
        lambda x: [lax.reduce_window(x, F32(0.5), f, (1, 401), (1, 160), "VALID") for f in (lax.min, lax.max)],
        ((1, 1600),),
        1,
        low=-1.0,
    ),
    "large_windows": Program(large_windows, ((20, 30),), 1, 1e-6),
    "large_windows_gradient": Program(gradient(large_windows), ((20, 30),), 1, 1e-5),
    # Pieces
    "pad_inside_and_away": Program(padded, (X,), 1),
    "pad_gradient": Program(gradient(padded), (X,), 1, 1e-6),
    "join": Program(joined, (X,), 1),
    "join_gradient": Program(gradient(joined), (X,), 1, 1e-6),
    "arrange": Program(arranged, (X,), 1),
    "empty": Program(empty, (X,), 1),
}
