"""What decides a training run: chosen on the command line, kept in checkpoints."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..datasets import NAMES
from ..errors import ParameterError

CHOICES = {"dataset": NAMES, "model": ("mlp", "conv"), "neuron": ("if", "lif", "plif")}
LENGTH: dict[str, dict[str, Any]] = {  # a run's, by data set
    "digits": {"epochs": 30, "batch_size": 32},
    "mnist": {"epochs": 10, "batch_size": 64},
    "fashion-mnist": {"epochs": 10, "batch_size": 64},
}
STEPS = {"mlp": 16, "conv": 4}


@dataclass(frozen=True)
class Settings:
    """Everything that a run's result depends on, but for the device's rounding."""

    dataset: str
    model: str
    neuron: str
    T: int
    epochs: int
    batch_size: int
    lr: float
    seed: int

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise _refused(name, getattr(self, name), f"one of {', '.join(choices)}")
        for name in ("T", "epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise _refused(name, getattr(self, name), "at least 1")
        if not 0 < self.lr < 1:
            raise _refused("lr", self.lr, "a learning rate between 0 and 1, such as 0.002")
        if not 0 <= self.seed < 2**32:
            raise _refused("seed", self.seed, "from 0 to 4294967295")

    @classmethod
    def chosen(cls, given: Mapping[str, Any]) -> "Settings":
        """What was given, by field, and the defaults of the rest. None stands for not given."""
        named = {name: value for name, value in given.items() if value is not None}
        dataset, model = named.get("dataset", "digits"), named.get("model", "mlp")
        defaults: dict[str, Any] = {
            "dataset": dataset,
            "model": model,
            "neuron": "lif",
            "T": STEPS[model],
            "lr": 2e-3,
            "seed": 0,
        }
        return cls(**(defaults | LENGTH[dataset] | named))

    def resumed(self, given: Mapping[str, Any]) -> "Settings":
        """These settings, or these with another number of epochs; what else is given has to be the same."""
        for name, value in given.items():
            if value is not None and name != "epochs" and value != getattr(self, name):
                option = f"--{name.replace('_', '-')}"
                raise ParameterError(
                    f"{option} {value} differs from the run to resume, which has {getattr(self, name)}. "
                    f"Leave {option} out, or start a new run without --resume."
                )
        epochs = given.get("epochs")
        return self if epochs is None else Settings(**(asdict(self) | {"epochs": epochs}))


def _refused(name: str, value: object, expected: str) -> ParameterError:
    return ParameterError(f"--{name.replace('_', '-')} is {value}: expected {expected}.")
