"""Options that would be ignored are refused by name, others have their defaults; what is kept."""

import argparse

import pytest

from accel.__main__ import main, parser
from accel.arguments import DEFAULTS, measured, settle, typed


def options():
    """Every option of a measurement, with a value if it takes one."""
    found = []
    command = argparse.ArgumentParser(add_help=False)
    measured(command)
    for action in command._actions:
        value = [] if action.nargs == 0 else [next(iter(action.choices or ["1"]))]
        words = [action.option_strings[0], *value]
        found.append(pytest.param(words, action.dest, id=action.dest))
    return found


@pytest.mark.parametrize(("words", "name"), options())
@pytest.mark.parametrize("command", ["compare runs/x", "refresh svd --from runs/x"])
def test_where_nothing_is_measured_each_is_refused(command, words, name, capsys):
    assert main([*command.split(), *words]) == 2
    assert f"leave out --{name.replace('_', '-')}\n" in capsys.readouterr().err


def test_what_is_not_asked_for_has_its_default():
    found = parser().parse_args(["bench", "svd", "--pairs", "7"])
    settle(found)
    assert {name: getattr(found, name) for name in DEFAULTS} == {**DEFAULTS, "pairs": 7}


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (["refresh", "svd", "--from", "runs/mine"], "accel refresh svd --from runs/mine"),
        (["bench", "svd", "--out", "/home/me/run"], "accel bench svd --out run"),
        (["bench", "svd", "--path=/models/svd/"], "accel bench svd --path=svd/"),
        (["x", "lcm:4,weights=/a/b/c.st+y:z=/d/e"], "accel x lcm:4,weights=c.st+y:z=e"),
        (["x", "--reason", "a/b and /c"], "accel x --reason 'a/b and /c'"),
    ],
)
def test_no_folder_of_the_machine_is_kept(words, kept):
    assert typed(words) == kept
