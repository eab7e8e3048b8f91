"""The README's tables and those of Table 1 are the accepted records, commands of all pages are
understood, links lead somewhere, and the example runs."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from accel.__main__ import main, parser
from accel.baselines import location, read
from accel.core import Case
from accel.fetch import cache_folder
from accel.methods import parse
from accel.models import default_request
from accel.report.tables import markdown, table
from tests.asking import committed

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
README = PAGES[0].read_text(encoding="utf-8")
BASELINES = ROOT / "baselines"
CACHE = cache_folder()
"""Of this machine: pytester moves the home folder."""

METHODS = (
    "reference", "int8_weight_only", "torch_compile", "fewer_steps-15", "fewer_steps-10",
    "fewer_steps-4",
)  # fmt: skip
TRAINED = ("semi_structured-tuned", "lcm")
"""What mini has weights for."""


@pytest.mark.parametrize(
    ("group", "methods"),
    [("svd-xt.untrained", METHODS), ("svd.mini", (*METHODS, *TRAINED))],
    ids=["svd-xt.untrained", "svd.mini"],
)
def test_a_table_shows_the_baselines(group, methods):
    folder = BASELINES / "nvidia-h200" / group
    records = [read(next(folder.glob(f"{method}@*-s25.json"))) for method in methods]
    assert markdown(table(records)) in README


COLUMNS = {
    "Steps": "Denoiser calls", "Time, s": "Time, s", "s/frame": "s/frame, s",
    "FPS": "FPS, frames/s", "Speed-up, x": "Speed-up vs M0, x",
    "Allocated": "Peak VRAM allocated, MiB", "Reserved": "Peak VRAM reserved, MiB",
    "Process": "Peak VRAM process, MiB", "°C": "Peak GPU temperature, °C",
    "Preparation, s": "Preparation, s", "Break-even, videos": "Break-even, videos",
}  # fmt: skip
"""Headings in docs/table1.md, and the labels of the same numbers in accel's own tables."""


def rows():
    """Each row of docs/table1.md that names a method in backticks: it, and cells by label."""
    found = []
    text = (ROOT / "docs" / "table1.md").read_text(encoding="utf-8")
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        lines = [[x.strip() for x in line.split("|")[1:-1]] for line in block.splitlines()]
        for first, *cells in lines:
            if own := re.search("`(.+)`", first):
                before = pairwise(lines[0])
                labels = [f"Δ {COLUMNS[a]}" if b == "Δ" else COLUMNS[b] for a, b in before]
                found.append((own[1], dict(zip(labels, cells, strict=True))))
    return found


def of_table_1(method):
    """The file of the record that a row is of."""
    case = Case("svd-xt", "untrained", default_request("svd-xt", "untrained"), parse(method))
    return location(BASELINES, "nvidia-h200", case.group, case.id)


@pytest.mark.parametrize(("method", "cells"), rows())
def test_a_row_of_table_1_shows_its_record(method, cells):
    printed = dict(table([read(of_table_1(method))]).rows)
    assert {label: printed.get(label) for label in cells} == cells


def test_table_1_shows_every_record_of_its_request():
    files = (BASELINES / "nvidia-h200" / "svd-xt.untrained").glob("*@576x1024x25-s25.json")
    assert sorted(of_table_1(method) for method, _ in rows()) == sorted(files)


def commands():
    """Every `accel ...` line of the pages' shell blocks."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.split("#")[0].split()[1:] for line in lines if line.startswith("accel ")]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_a_command_is_understood(words):
    assert parser().parse_args(words).command == words[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)|src=\"([^\"]+)\"", text)
    links = [link or picture for link, picture in found]
    missing = [x for x in links if "://" not in x and not (page.parent / x).exists()]
    assert not missing


@pytest.fixture
def project(pytester, tiny_folder, monkeypatch):
    """The README's example in a project of its own, at toy size."""
    monkeypatch.setenv("ACCEL_CACHE", str(CACHE))
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    small = f'path="{tiny_folder}", width=128, height=128, frames=7, steps=3'
    assert 'path="/models/svd"' in example
    pytester.makepyfile(example.replace('path="/models/svd"', small))
    return pytester


def test_the_example_of_a_gate(project, monkeypatch, capsys):
    """In a process of its own, with real workers; what it lacks is a baseline alone."""
    without = project.runpytest_subprocess("--accel-out=kept")
    without.assert_outcomes(failed=1)
    missing = "missing: no baseline for cpu; write one with `accel refresh`, then review it"
    without.stdout.fnmatch_lines(["svd.pretrained/forward_chunking@128x128x7-s3", missing])
    (folder,) = (project.path / "kept").glob("cpu-tiny*")
    assert main(["refresh", "svd", "--from", str(folder)]) == 2
    assert "put its folder on PYTHONPATH" in capsys.readouterr().err
    monkeypatch.syspath_prepend(project.path)
    assert main(["refresh", "svd", "--from", str(committed(folder))]) == 0
    project.runpytest_subprocess("--accel-out=kept").assert_outcomes(passed=1)
