"""Optimizers over optax's transformations: they hold parameters and state, and update them in one call."""

from .adam import Adam as Adam
from .adam import AdamW as AdamW
from .optimizer import Optimizer as Optimizer
from .schedule import cosine as cosine
from .sgd import SGD as SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "cosine"]
