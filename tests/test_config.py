"""What the environment may say, and that JAX is kept off the GPU."""

import os
import re
import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest

from grilly.config import Config, config
from grilly.errors import ParameterError


def test_the_environment_is_read():
    kept = platformdirs.user_cache_path("grilly") / "compiled"
    assert Config.read({}) == Config(cache=kept)
    said = {"GRILLY_DEVICE": "vulkan:1", "GRILLY_DEBUG": "plan,time", "GRILLY_VALIDATION": "1", "GRILLY_CACHE": "/kept"}
    assert Config.read(said) == Config("vulkan:1", frozenset({"plan", "time"}), True, cache=Path("/kept"))
    assert Config.read({"GRILLY_BINDINGS": "1"}) == Config(bindings=True, cache=kept)


@pytest.mark.parametrize("said", ["off", ""])
def test_the_cache_can_be_switched_off(said):
    assert Config.read({"GRILLY_CACHE": said}).cache is None
    assert config.cache is None  # in this suite


def test_what_it_cannot_mean_is_an_error():
    with pytest.raises(ParameterError) as error:
        Config.read({"GRILLY_DEBUG": "plan,ptx"})
    assert str(error.value) == (
        "GRILLY_DEBUG names the unknown stages ptx. "
        "Give some of jaxpr, kernels, spirv, plan, time, separated by commas."
    )
    with pytest.raises(ParameterError, match=re.escape("GRILLY_VALIDATION is 'yes'. Give 0 or 1.")):
        Config.read({"GRILLY_VALIDATION": "yes"})
    with pytest.raises(ParameterError, match=re.escape("GRILLY_BINDINGS is '2'. Give 0 or 1.")):
        Config.read({"GRILLY_BINDINGS": "2"})


@pytest.mark.parametrize(
    ("before", "platforms"), [("", "cpu"), ("jax.config.update('jax_platforms', 'cuda,cpu')", "cuda,cpu")]
)
def test_jax_stays_on_the_cpu_unless_the_user_chose(before, platforms):
    code = f"import jax; {before}\nimport grilly; print(jax.config.jax_platforms)"
    environment = {k: v for k, v in os.environ.items() if k != "JAX_PLATFORMS"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == platforms
