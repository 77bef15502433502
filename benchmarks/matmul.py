"""One product by itself: general operands, spikes times weights, and with the accuracy of TF32.

On cooperative matrices an operand is two half floats, spikes are one: a product takes three passes, two or one of the
matrix unit, after one over each operand to scale and split it.
"""

import argparse

import numpy as np
from jax import lax
from jax import numpy as jnp

import grilly

from .measure import PROFILED, peer, timed

SIZES = [8192, 4096, 4096, 4096, 1024, 784, 512, 256, 784, 4096, 4096, 8192]
ROWS = 64  # of the result, whose error is measured


def spikes(x, w):
    return (x > 0.5).astype(jnp.float32) @ w


def coarse(x, w):
    return jnp.matmul(x, w, precision=lax.Precision.HIGH)


FORMS = {"general": (jnp.matmul, 3, 0), "spikes": (spikes, 2, 0), "tf32": (coarse, 1, 1)}


def measure(rows: int, columns: int, depth: int) -> None:
    """Prints the rows of one shape."""
    device = grilly.runtime.find_device("vulkan")
    random = np.random.default_rng(0)
    x, w = random.standard_normal((rows, depth), np.float32), random.standard_normal((depth, columns), np.float32)
    operations, moved = 2 * rows * columns * depth, 4 * (rows * depth + depth * columns + rows * columns)
    print(f"{rows} x {depth} x {columns}: {operations / 1e9:.1f} GFLOP, at least {moved / 1e6:.0f} MB")
    placed = grilly.put(x, device), grilly.put(w, device)
    for name, (function, passes, is_tf32) in FORMS.items():
        run = grilly.jit(function, device=device)
        times = timed(lambda run=run: run(*placed), lambda out: out.block_until_ready())
        title = f"{name}, {passes} {'passes' if passes > 1 else 'pass'} on matrices"
        print(f"  {title:32s} {times.pipelined:8.4f} ms {operations / times.pipelined / 1e9:7.1f} TFLOP/s", end="")
        print(f"  error {error(run(*placed), function, x, w):.1e}", end="")
        theirs = peer("torch", "matmul", rows, columns, depth, is_tf32)
        if theirs:
            share = theirs.pipelined / times.pipelined
            print(f"  cuBLAS {theirs.pipelined:8.4f} ms, {share:5.2f}x ours, error {theirs.error:.1e}")
        with grilly.profile():
            for _ in range(PROFILED):
                run(*placed)


def error(got: grilly.Array, function, x: np.ndarray, w: np.ndarray) -> float:
    """The root mean square error of the first rows against float64, relative to them."""
    first = x[:ROWS] > 0.5 if function is spikes else x[:ROWS]
    exact = first.astype(np.float64) @ w.astype(np.float64)
    off = np.asarray(got[:ROWS], np.float64) - exact
    return float(np.sqrt(np.mean(off**2) / np.mean(exact**2)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=SIZES, help="ROWS COLUMNS DEPTH, ...")
    sizes = parser.parse_args().sizes
    for shape in zip(sizes[::3], sizes[1::3], sizes[2::3], strict=True):
        measure(*shape)
