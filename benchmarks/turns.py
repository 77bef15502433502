"""Contestants that take turns, each in a process of its own: where others use the same cores, only rounds side by side
compare.

A contestant says that it is ready, and then, for each line it is given, how many milliseconds a call takes in a round
of calls with one wait at the end.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

ROUNDS, ROUND = 20, 250.0  # of each contestant; milliseconds, enough for its threads to spread over the cores
READY = "ready"


def serve(call: Callable[[], object], wait: Callable[[object], object]) -> None:
    """A contestant's own side."""
    for _ in range(3):
        one = _round(call, wait, 1)
    print(READY, flush=True)
    for _ in sys.stdin:
        print(_round(call, wait, max(1, int(ROUND / one))), flush=True)


def _round(call: Callable[[], object], wait: Callable[[object], object], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        out = call()
    wait(out)
    return 1e3 * (time.perf_counter() - start) / calls


class _Contestant:
    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        self.process = subprocess.Popen(command, env=os.environ | environment, text=True, **pipes)
        self.rounds: list[float] = []

    def ready(self) -> bool:
        return any(line.strip() == READY for line in self.process.stdout)

    def turn(self) -> None:
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.rounds.append(float(self.process.stdout.readline()))

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait()

    def why(self) -> str:
        """The last thing that it said before it failed."""
        said = self.process.stderr.read().strip().splitlines()
        return said[-1] if said else "it failed"


def compare(commands: Mapping[str, Sequence[str]], environment: Mapping[str, str]) -> dict[str, list[float]]:
    """Milliseconds of a call of each contestant, round by round; of those that could not start, none."""
    contestants = {name: _Contestant(command, environment) for name, command in commands.items()}
    running = {name: contestant for name, contestant in contestants.items() if contestant.ready()}
    for _ in range(ROUNDS):
        for contestant in running.values():
            contestant.turn()
    for name, contestant in contestants.items():
        contestant.end()
        if name not in running:
            print(f"  {name:24s} not measured: {contestant.why()[:90]}")
    return {name: contestant.rounds for name, contestant in running.items()}


def show(measured: Mapping[str, Sequence[float]], ours: str) -> None:
    """Prints a row for each: the best round, the middle one, and its best beside the best of `ours`."""
    for name, rounds in measured.items():
        best = min(rounds)
        share = best / min(measured[ours])
        print(
            f"  {name:24s} {best:9.3f} ms at best {statistics.median(rounds):9.3f} in the middle  {share:6.2f}x {ours}"
        )
