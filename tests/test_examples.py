"""The examples in docstrings give what they say."""

import doctest
import importlib.util
import pkgutil

import pytest

import grilly

MODULES = [module.name for module in pkgutil.walk_packages(grilly.__path__, "grilly.")]
EXAMPLES = [name for name in MODULES if ">>> " in (importlib.util.find_spec(name).loader.get_source(name) or "")]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some write files
    failed, attempted = doctest.testmod(importlib.import_module(name))
    assert attempted
    assert not failed
