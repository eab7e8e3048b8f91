"""Records as one table: methods are columns, metrics are rows.

The form is that of Table 1 in D. N. Hauryk, "Comparative analysis of neural network optimization
methods" (2026), with the rows that it lacks: closeness to the reference, motion, preparation,
energy and the verdict. `LINES` is the only place that knows a metric's label, unit and format.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from accel.core import Metrics, Record
from accel.limits import MIN_PAIRS
from accel.summary import of_inputs

__all__ = ["ABSENT", "LINES", "Line", "Table", "column_label", "markdown", "show", "table"]

ABSENT = "–"  # noqa: RUF001 - the en dash is meant
"""Stands for a number that could not be had; zero is a number."""

NUMBERS = {
    "reference": "M0",
    "int8_weight_only": "M1",
    "torch_compile": "M2",
    "fewer_steps": "M3",
    "distilled": "M4",
    "semi_structured": "M5",
    "keyframes": "M6",
    "lcm": "M7",
}
"""The numbers that Table 1 gives to methods; other methods go by their name alone."""

WIDEST, PADDING = 32, 3
"""Characters: the longest line of a cell in the console, and the space beside each column."""

Cells = tuple[str, ...]

_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


class Line(NamedTuple):
    """One metric's row. delta adds a second row, its difference to M0 in the same run.

    A metric `key` with `key_low`, `key_high` and at least MIN_PAIRS `key_pairs` shows its interval:
    of fewer pairs none covers 95 %. Of many inputs a mean `key` with `key_sd` shows its spread, a
    word with `key_share` how many of them it holds for.
    """

    key: str
    label: str
    unit: str = ""
    form: str = ".3f"
    delta: bool = False


LINES = (
    Line("denoiser_calls", "Denoiser calls", "", ".0f"),
    Line("seconds", "Time", "s", ".2f"),
    Line("seconds.interpolate", "Interpolation", "s"),
    Line("s_per_frame", "s/frame", "s"),
    Line("fps", "FPS", "frames/s"),
    Line("speedup", "Speed-up vs M0", "x", ".2f"),
    Line("memory.peak.allocated_mib", "Peak VRAM allocated", "MiB", ".0f", delta=True),
    Line("memory.peak.reserved_mib", "Peak VRAM reserved", "MiB", ".0f", delta=True),
    Line("memory.peak.process_mib", "Peak VRAM process", "MiB", ".0f", delta=True),
    Line("memory.denoise.allocated_mib", "Denoise VRAM allocated", "MiB", ".0f", delta=True),
    Line("memory.decode.allocated_mib", "Decode VRAM allocated", "MiB", ".0f", delta=True),
    Line("memory.interpolate.allocated_mib", "Interpolation VRAM allocated", "MiB", ".0f"),
    Line("memory.peak.rss_mib", "Peak RSS", "MiB", ".0f", delta=True),
    Line("temperature_c", "Peak GPU temperature", "°C", ".0f", delta=True),
    Line("inputs", "Inputs", "", ".0f"),
    Line("clip", "CLIP similarity"),
    Line("tssim", "tSSIM"),
    Line("tlpips", "tLPIPS"),
    Line("psnr", "PSNR to M0", "dB", ".1f"),
    Line("ssim", "SSIM to M0"),
    Line("lpips", "LPIPS to M0", "", ".4f"),
    Line("tof", "tOF to M0", "px"),
    Line("motion_amount", "Motion amount", "px/frame"),
    Line("motion_class", "Motion class"),
    Line("sanity", "Sanity"),
    Line("preparation_seconds", "Preparation", "s", ".1f"),
    Line("break_even_videos", "Break-even", "videos", ".0f"),
    Line("energy_j", "Energy per video", "J", ".0f"),
)


@dataclass(frozen=True)
class Table:
    """Text, ready to be rendered. Each row starts with its label; the first heading is of labels.

    notes: one line per failed case, in the order of the marks in the headings.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Column:
    case: str
    heading: str
    numbers: Metrics
    reference: Metrics
    verdict: str = ABSENT


def table(
    records: Sequence[Record],
    verdicts: Mapping[str, str] | None = None,
    failures: Mapping[str, str] | None = None,
) -> Table:
    """The table of `records` in their order, M0 first; failed cases without a record come last.

    verdicts: case id -> word of the last row. failures: case id -> error text, which becomes a
    footnote; whatever was measured of a failed case is not shown. A row that no case has is left
    out.
    """
    failures = failures or {}
    columns = [_column(record, (verdicts or {}).get(record.case, ABSENT)) for record in records]
    known = {column.case for column in columns}
    columns += [_Column(case, "", {}, {}) for case in failures if case not in known]
    notes: list[str] = []
    for index, column in enumerate(columns):
        if column.case in failures:
            mark = str(len(notes) + 1).translate(_SUPERSCRIPT)
            notes.append(f"{mark} {column.case}: {' '.join(failures[column.case].split())}")
            heading = f"{column_label(column.case)} {mark}"
            columns[index] = _Column(column.case, heading, {}, {}, "failed")
    headings = ("Metric", *(column.heading for column in columns))
    return Table(_title(records), headings, tuple(_rows(columns)), tuple(notes))


def column_label(case: str) -> str:
    """The heading of a case: `M0`, `M3 fewer_steps-15`, or the method's slug."""
    slug = case.partition("@")[0]
    if slug == "reference":
        return NUMBERS[slug]
    number = "" if "+" in slug else NUMBERS.get(slug.partition("-")[0], "")
    return f"{number} {slug}".strip()


def markdown(table: Table) -> str:
    """The table as GitHub Markdown, its columns aligned for reading as plain text, too."""
    lines = [[_escaped(cell) for cell in row] for row in (table.headings, *table.rows)]
    widths = [max(3, *(len(line[i]) for line in lines)) for i in range(len(table.headings))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    body = [_aligned(line, widths) for line in [lines[0], rule, *lines[1:]]]
    parts = [f"**{table.title}**" if table.title else "", "\n".join(body), *table.notes]
    return "\n\n".join(part for part in parts if part) + "\n"


def show(table: Table, console: Console | None = None) -> None:
    """Print the table to `console`, the standard output by default.

    Columns that do not fit beside the others follow below, with their labels again: a number is
    never broken.
    """
    console = console or Console()
    columns = list(zip(table.headings, *table.rows, strict=True))
    if table.title:
        console.print(Text(table.title, style="bold"))
    for block in _blocks(columns[1:], console.width - _width(columns[0]) - 1):
        console.print(_view(columns[0], block))
    for note in table.notes:
        console.print(Text(note))


def _column(record: Record, verdict: str) -> _Column:
    """M0 is its own reference, and its speed-up is 1 without an interval, by definition."""
    numbers: Metrics = {**record.counters, **record.metrics}
    reference = record.reference
    if record.is_reference:
        numbers = reference = {k: v for k, v in numbers.items() if not k.startswith("speedup")}
        numbers["speedup"] = 1.0
    return _Column(record.case, column_label(record.case), numbers, reference, verdict)


def _title(records: Sequence[Record]) -> str:
    groups = dict.fromkeys(record.group for record in records)
    requests = dict.fromkeys(record.request_slug for record in records)
    hardware = dict.fromkeys(record.hardware for record in records)
    return " · ".join(", ".join(words) for words in (groups, requests, hardware) if words)


def _rows(columns: Sequence[_Column]) -> list[tuple[str, ...]]:
    rows = []
    for line in LINES:
        heading = f"{line.label}, {line.unit}" if line.unit else line.label
        rows.append((heading, *(_value(line, column) for column in columns)))
        if line.delta:
            rows.append((f"Δ {heading}", *(_delta(line, column) for column in columns)))
    rows.append(("Verdict", *(column.verdict for column in columns)))
    return [row for row in rows if any(cell != ABSENT for cell in row[1:])]


def _value(line: Line, column: _Column) -> str:
    keys = (line.key, f"{line.key}_low", f"{line.key}_high")
    value, low, high = (_text(column.numbers.get(key), line.form) for key in keys)
    if spread := of_inputs(column.numbers, line.key, lambda number: _text(number, line.form)):
        return f"{value} {spread}"
    enough = float(column.numbers.get(f"{line.key}_pairs", 0)) >= MIN_PAIRS
    return f"{value} [{low}, {high}]" if enough and ABSENT not in (low, high) else value


def _text(value: float | str | None, form: str) -> str:
    if value is None or isinstance(value, str):
        return value or ABSENT
    return format(value, form).replace("inf", "∞")


def _delta(line: Line, column: _Column) -> str:
    value, base = column.numbers.get(line.key), column.reference.get(line.key)
    if not isinstance(value, int | float) or not isinstance(base, int | float):
        return ABSENT
    text = format(value - base, f"+{line.form}")
    return text if math.isnan(float(text)) or float(text) else text.lstrip("+-")


def _blocks(columns: Sequence[Cells], room: int) -> list[list[Cells]]:
    """The columns in blocks, each as many as fit into `room` characters, at least one."""
    blocks: list[list[Cells]] = [[]]
    left = room
    for column in columns:
        if blocks[-1] and _width(column) > left:
            blocks.append([])
            left = room
        blocks[-1].append(column)
        left -= _width(column)
    return blocks


def _view(labels: Cells, columns: Sequence[Cells]) -> RichTable:
    view = RichTable(box=SIMPLE_HEAD)
    view.add_column(labels[0], no_wrap=True)
    for column in columns:
        heading = Text("\n".join(_lines(column[0], heading=True)))
        view.add_column(heading, justify="right", width=_width(column) - PADDING, overflow="fold")
    for label, *cells in zip(labels[1:], *(column[1:] for column in columns), strict=True):
        view.add_row(Text(label), *(Text("\n".join(_lines(cell))) for cell in cells))
    return view


def _width(column: Cells) -> int:
    lines = [*_lines(column[0], heading=True), *(x for cell in column[1:] for x in _lines(cell))]
    return min(WIDEST, max(map(len, lines))) + PADDING if lines else 0


def _lines(cell: str, heading: bool = False) -> list[str]:
    """Where a cell may be broken: a heading at the joints of its name, an interval before it."""
    return re.split(r"(?<=^M\d) |(?<=[_+-])" if heading else r" (?=\[)", cell)


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cells[0].ljust(widths[0])]
    padded += [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
    return f"| {' | '.join(padded)} |"
