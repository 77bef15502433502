"""The benchmark of a first call counts the time in functions that there are."""

import pkgutil

import pytest

from benchmarks.first_call import STAGES

PATHS = [path for paths in STAGES.values() for path in paths]


@pytest.mark.parametrize("path", PATHS)
def test_the_stages_have_names(path):
    assert callable(pkgutil.resolve_name(f"grilly.runtime.{path}"))
