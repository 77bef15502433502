"""The command `grilly`: its arguments, and its errors as one message."""

import argparse
import sys
from collections.abc import Sequence

from ..config import __version__
from ..errors import GrillyError
from . import devices, evaluate, train
from .interrupt import INTERRUPTED

COMMANDS = {"train": train, "evaluate": evaluate, "devices": devices}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `grilly` with the arguments given, or the process's own.

    Returns: The exit status: 2 for an error, 130 where Ctrl-C ended it.
    """
    chosen = _parser().parse_args(arguments)
    try:
        return COMMANDS[chosen.command].run(chosen)
    except GrillyError as error:
        print(f"grilly: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # before training starts, after it ends, or the second one
        print("grilly: stopped", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="grilly", description="Spiking neural networks on any Vulkan GPU.")
    parser.add_argument("--version", action="version", version=f"grilly {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        summary = (module.__doc__ or "").splitlines()[0]
        module.add_arguments(commands.add_parser(name, help=summary, description=summary))
    return parser
