"""What GRILLY_DEBUG prints, on stderr: a compiled function stage by stage, and in the end where the time went."""

import atexit
import functools
import sys
from collections.abc import Collection

from ..config import STAGES
from .profile import Profile
from .stages import Stages


def show(stages: Stages, wanted: Collection[str]) -> None:
    """Prints the stages that are wanted."""
    for stage in STAGES:
        if stage in wanted:
            lines = getattr(stages, stage).splitlines()
            print(f"{stages.name}: {stage}", *(f"  {line}" for line in lines), sep="\n", file=sys.stderr)


def time_the_process() -> None:
    """Profiles everything from now on, and prints it when the process ends, before its devices are closed."""
    finish = _process_profile()
    atexit.unregister(finish)
    atexit.register(finish)  # the last to be registered is the first to run


@functools.cache
def _process_profile() -> functools.partial:
    return functools.partial(Profile(sys.stderr).__enter__().__exit__, None, None, None)
