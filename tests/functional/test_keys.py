"""What draws random numbers says where it was given no random key."""

import re

import numpy as np
import pytest

from grilly import ParameterError
from grilly import functional as F

DRAWS = {
    "poisson": lambda key: F.poisson(key, np.ones(2), T=2),
    "dropout": lambda key: F.dropout(np.ones((2, 3), np.float32), key, 0.5, True),
}
NO_KEY = {
    "a_seed": (0, "0"),
    "none": (None, "None"),
    "numbers": (np.zeros(2, np.float32), "an array of float32"),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
@pytest.mark.parametrize("name", NO_KEY)
def test_what_is_no_key_is_refused(draw, name):
    key, shown = NO_KEY[name]
    said = f"key is {shown}: a random key was expected. Pass jax.random.key(seed)."
    with pytest.raises(ParameterError, match=f"^{re.escape(said)}$"):
        draw(key)
