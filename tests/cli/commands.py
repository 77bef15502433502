"""The command line in tests: in this process, or as one of its own."""

import subprocess
import sys

from grilly.cli.main import main

SHORT = ("train", "--device", "cpu", "--epochs", "3", "--T", "6")
TESTED = r"test accuracy (\S+) with the best weights, (\S+) with the last"
PIPES = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}


def grilly(*arguments):
    """The command line of `grilly` as a process of its own."""
    return [sys.executable, "-m", "grilly", *map(str, arguments)]


def run(*arguments):
    """`grilly` with these arguments, here; its exit status."""
    return main([str(argument) for argument in arguments])
