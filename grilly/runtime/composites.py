from jax import lax


def _ipow(x, y):
    n = abs(y)
    acc = None
    while n:
        if n & 1:
            acc = x if acc is None else lax.mul(acc, x)
        n >>= 1
        if n:
            x = lax.mul(x, x)
    return acc if y >= 0 else lax.div(lax.full_like(acc, 1), acc)


composites = {"integer_pow": _ipow}
