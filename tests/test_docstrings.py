"""The examples in docstrings give what they say, where running them takes no TensorFlow."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

ROOMS = ("bopkit.rules", "bopkit.errors", "bopkit._text", "bopkit.experiments")


def modules():
    for name in ROOMS:
        yield name
        path = getattr(importlib.import_module(name), "__path__", ())
        yield from (f"{name}.{module.name}" for module in pkgutil.iter_modules(path))


@pytest.mark.parametrize("name", list(modules()))
def test_examples_are_right(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_every_public_function_of_the_rules_has_an_example():
    rules = [importlib.import_module(n) for n in modules() if n.startswith("bopkit.rules.")]
    functions = {
        f.__name__: f.__doc__
        for module in rules
        for f in vars(module).values()
        if inspect.isfunction(f) and f.__module__ == module.__name__ and f.__name__[0] != "_"
    }
    assert len(functions) >= 11
    assert [name for name, text in functions.items() if ">>>" not in text] == []
