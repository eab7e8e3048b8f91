"""What `accel list` and each `--help` say, and how soon."""

import json
import re
import resource
import subprocess
import sys

import pytest

from accel.__main__ import main, parser


def test_list_as_text(capsys):
    assert main(["list"]) == 0
    printed = capsys.readouterr().out
    assert "  fewer_steps          M3: the same sampler with fewer denoising steps\n" in printed
    assert [line for line in printed.splitlines() if line.endswith(":")] == [
        "models:", "weights:", "methods:", "metrics:", "photographs:",
    ]  # fmt: skip
    assert not re.search(" $", printed, re.MULTILINE)


def test_list_as_json(capsys, snapshot):
    assert main(["list", "--json"]) == 0
    printed = capsys.readouterr().out
    assert json.dumps(json.loads(printed), indent=2) + "\n" == printed
    assert printed == snapshot


COMMANDS = ("list", "bench", "refresh", "compare", "prove", "report", "fetch", "doctor")


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help(capsys, monkeypatch, snapshot, command):
    """All but the usage lines, which Python's versions wrap differently."""
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as stopped:
        main([*command.split(), "--help"])
    usage, _, rest = capsys.readouterr().out.partition("\n\n")
    assert stopped.value.code == 0
    assert usage.startswith(f"usage: accel {command}".rstrip())
    assert rest == snapshot


def test_the_commands_are_those_of_the_help():
    for command in COMMANDS:
        needed = {"bench": ["svd"], "refresh": ["svd"], "compare": ["a"], "report": ["a"]}
        assert parser().parse_args([command, *needed.get(command, [])]).command == command


def test_list_answers_within_a_second():
    """CPU seconds, so that a busy machine does not fail it; the best of three."""
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "accel", "list"], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) < 1


def test_list_imports_no_torch():
    code = (
        "import sys; from accel.__main__ import main; main(['list', '--json']);"
        "sys.exit('torch' in sys.modules or 'diffusers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
