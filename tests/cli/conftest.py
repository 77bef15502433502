"""One short run, for all tests of the command line."""

import subprocess

import pytest
from commands import PIPES, SHORT, grilly


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The directory of a short run, and what it printed."""
    out = tmp_path_factory.mktemp("runs") / "digits"
    process = subprocess.run(grilly(*SHORT, "--out", out), check=False, **PIPES)
    assert process.returncode == 0, process.stderr
    return out, process.stdout, process.stderr
