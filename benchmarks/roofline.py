"""Draws the kernels of the profiles that other benchmarks printed: operations a byte against operations a second.

    python -m benchmarks.roofline small.txt large.txt conv.txt docs/roofline.svg

A dot is a kernel of a net, as large as its share of the net's time. Bytes and operations are what the compiler
predicts of the buffers and of the useful work; so what a cache spares lies above the slope, and a product that takes
three passes of the matrix unit can reach a third of its rate.
"""

import argparse
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

HEAD = re.compile(r"grilly\.profile: .*copies ([\d.]+) GB/s")
ROW = re.compile(r" +\d+ +[\d.]+ +([\d.]+)% +[\d.]+ +([\d.]+) +([\d.]+) +[\d.]+%  \S+  (\S+)(?:  layer \"(.*?)\")?")
KINDS = {  # of kernels, by their label
    "tensor": ("product on the matrix unit", "tab:red"),
    "matmul": ("product in float32", "tab:orange"),
    "scan": ("neurons over time", "tab:green"),
    "map": ("elementwise", "tab:blue"),
    "reduction": ("sums", "tab:purple"),
}
SEEN = 0.5  # percent of a net's time that a kernel must take to be drawn
NAMED, APART = 2, 0.13  # kernels of a net that get a number, and how many decades lie between two numbers
# Measured on an H200, TFLOP/s: a product of one pass with the fastest of our tiles; cuBLAS's float32 product.
ONE_PASS, FLOAT32 = 360, 51


class Kernel(NamedTuple):
    """One row of a profile."""

    net: str
    label: str
    layer: str
    share: float  # percent
    intensity: float  # operations a byte
    rate: float  # GFLOP/s

    @property
    def kind(self) -> str:
        return self.label.split("[")[0]


def read(lines: Sequence[str]) -> tuple[list[Kernel], float]:
    """The kernels of all profiles in a benchmark's output, and the device's copy bandwidth in GB/s."""
    net, copies, kernels = "", 0.0, []
    for line in lines:
        if head := HEAD.match(line):
            copies = float(head[1])
        elif row := ROW.match(line):
            share, gb_s, gflop_s = map(float, row.groups()[:3])
            if gb_s and gflop_s:
                kernels.append(Kernel(net, row[4], row[5] or "", share, gflop_s / gb_s, gflop_s))
        elif line[:1].strip():
            net = line.strip()
    return kernels, copies


def draw(path: Path, kernels: Sequence[Kernel], copies: float) -> None:
    """Writes the picture, on a white ground for light and dark pages."""
    figure = Figure(figsize=(10, 7), layout="constrained")
    axes, below = figure.subplots(2, 1, height_ratios=(6, 1.1))
    axes.set(xscale="log", yscale="log", xlim=(0.08, 3e3), ylim=(1, 8e5))
    axes.set(xlabel="operations a byte, as predicted", ylabel="GFLOP/s of useful work")
    axes.set_title("The kernels of training steps, under what an H200 was seen to do")
    _ceilings(axes, copies)
    for kind, (meaning, colour) in KINDS.items():
        mine = [k for k in kernels if k.kind == kind]
        x, y, sizes = [k.intensity for k in mine], [k.rate for k in mine], [8 + 12 * k.share for k in mine]
        axes.scatter(x, y, sizes, colour, alpha=0.55, linewidths=0)
        axes.scatter([], [], 60, colour, label=meaning)
    axes.legend(loc="lower right")
    axes.grid(alpha=0.25)
    below.axis("off")
    _names(axes, below, largest(kernels))
    with rc_context({"svg.hashsalt": "roofline", "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _names(axes: Axes, below: Axes, kernels: Sequence[Kernel]) -> None:
    """Numbers beside dots, and below what they mean, in two columns."""
    for k, kernel in enumerate(kernels):
        axes.annotate(str(k + 1), (kernel.intensity, kernel.rate), weight="bold", ha="center", va="center")
        layer = f' of layer "{kernel.layer}"' if kernel.layer else ""
        first, *more = kernel.label.split("+")
        label = f"{first} and {len(more)} more" if more else first
        text = f"{k + 1}  {label}{layer}: {kernel.share:.0f}% of {kernel.net.split(', batch')[0]}"
        column, row = divmod(k, -(-len(kernels) // 2))
        below.text(0.53 * column, 1 - 0.17 * row, text, va="top", fontsize="x-small", in_layout=False)


def largest(kernels: Sequence[Kernel]) -> list[Kernel]:
    """The first kernels of each net (a profile has the longest first), but for those that lie on others of them."""
    found: list[Kernel] = []
    for net in dict.fromkeys(kernel.net for kernel in kernels):
        before = len(found)
        for kernel in (kernel for kernel in kernels if kernel.net == net):
            if len(found) < before + NAMED and all(_decades(kernel, other) > APART for other in found):
                found.append(kernel)
    return found


def _decades(a: Kernel, b: Kernel) -> float:
    return math.hypot(math.log10(a.intensity / b.intensity), math.log10(a.rate / b.rate))


def _ceilings(axes: Axes, copies: float) -> None:
    low, high = axes.get_xlim()
    style = {"color": "black", "linewidth": 1}
    axes.plot([low, 1e3 * ONE_PASS / copies], [low * copies, 1e3 * ONE_PASS], **style)
    axes.text(low * 1.3, 1.6 * low * copies, f"a copy's bandwidth, {copies:.0f} GB/s", rotation=34, va="bottom")
    named = {
        "matrix unit, one pass": ONE_PASS,
        "three passes": ONE_PASS / 3,
        "cuBLAS in float32": FLOAT32,
    }
    for name, rate in named.items():
        axes.plot([1e3 * rate / copies, high], [1e3 * rate, 1e3 * rate], **style, linestyle="--")
        axes.text(high * 1.1, 1e3 * rate, f"{name}\n{rate:.0f} TFLOP/s", va="center", fontsize="small")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("outputs", nargs="+", type=Path, help="what benchmarks printed")
    parser.add_argument("picture", type=Path, help="the file to write, .svg or .png")
    given = parser.parse_args()
    lines = [line for path in given.outputs for line in path.read_text().splitlines()]
    kernels, copies = read(lines)
    if not kernels:
        parser.error(
            "these files hold no profile of a Vulkan device. Give what benchmarks.train_step or .conv printed."
        )
    drawn = [kernel for kernel in kernels if kernel.share >= SEEN and "training step" in kernel.net]
    draw(given.picture, drawn, copies)


if __name__ == "__main__":
    main()
