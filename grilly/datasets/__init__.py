"""Small image data sets, ready to train on: `load("digits")`."""

from .dataset import Dataset as Dataset
from .dataset import Split as Split
from .idx import read_idx as read_idx
from .load import NAMES as NAMES
from .load import load as load

__all__ = ["NAMES", "Dataset", "Split", "load", "read_idx"]
