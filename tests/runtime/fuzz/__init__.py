"""Random pure functions, compared with `jax.jit`: `program` is one, `strategy` draws it, `noise` bounds its error.

`table` holds what it is made of; `elementwise`, `places`, `folds` and `control` fill it.
"""

from . import control as control
from . import elementwise as elementwise
from . import folds as folds
from . import places as places
from .noise import granted as granted
from .noise import noisy as noisy
from .program import SMALL as SMALL
from .program import RandomProgram as RandomProgram
from .strategy import random_programs as random_programs
from .table import THEMES as THEMES
