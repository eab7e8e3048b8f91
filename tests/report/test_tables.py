"""The table: what it shows, what it leaves out, and both of its renderers."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from accel.core import Metrics, Record
from accel.report.tables import ABSENT, LINES, Table, column_label, markdown, show, table

REQUEST = "576x1024x25-s25"
M0: Metrics = {
    "seconds": 342.5,
    "speedup": 1.0,
    "speedup_low": 1.0,
    "speedup_high": 1.0,
    "speedup_pairs": 6,
    "s_per_frame": 13.7,
    "fps": 0.073,
    "memory.peak.allocated_mib": 15517.0,
    "memory.peak.reserved_mib": 31130.0,
    "temperature_c": 59.0,
    "clip": 0.977,
    "tssim": 0.72,
    "tlpips": 0.164,
    "motion_amount": 2.1,
    "motion_class": "smooth",
    "energy_j": 91000.0,
}
M1: Metrics = M0 | {
    "seconds": 269.9,
    "speedup": 1.27,
    "speedup_low": 1.25,
    "speedup_high": 1.29,
    "speedup_pairs": 6,
    "memory.peak.allocated_mib": 14849.0,
    "memory.peak.reserved_mib": 31558.0,
    "temperature_c": 57.0,
    "psnr": float("inf"),
    "lpips": 0.004,
    "preparation_seconds": 12.0,
    "break_even_videos": 1,
}
M3: Metrics = {"seconds": 166.8, "speedup": 2.05, "clip": float("nan"), "motion_class": "static"}


def record(slug: str, metrics: Metrics, calls: int = 25) -> Record:
    return Record(
        case=f"{slug}@{REQUEST}",
        group="svd-xt.untrained",
        method=slug,
        request={},
        fidelity="faithful",
        hardware="nvidia-h200",
        metrics=metrics,
        reference={} if slug == "reference" else M0,
        counters={"denoiser_calls": calls},
        samples={},
        fingerprint={},
        run={},
    )


RECORDS = [record("reference", M0), record("int8_weight_only", M1), record("fewer_steps-4", M3, 4)]
FAILED = f"torch_compile@{REQUEST}"
VERDICTS = {RECORDS[0].case: "pass", RECORDS[1].case: "improved"}
FAILURES = {FAILED: "WorkerDiedError: exit code -9\nout of memory | killed"}


def row(table: Table, start: str) -> tuple[str, ...]:
    return next(row[1:] for row in table.rows if row[0].startswith(start))


def test_markdown_is_as_accepted(snapshot):
    assert markdown(table(RECORDS, VERDICTS, FAILURES)) == snapshot


def test_methods_are_columns_under_the_numbers_of_table_1():
    headings = table(RECORDS).headings
    assert headings == ("Metric", "M0", "M1 int8_weight_only", "M3 fewer_steps-4")


@pytest.mark.parametrize(
    ("slug", "label"),
    [
        ("reference", "M0"),
        ("fewer_steps-15", "M3 fewer_steps-15"),
        ("int8_weight_only+torch_compile", "int8_weight_only+torch_compile"),
        ("token_merging-0.5", "token_merging-0.5"),
    ],
)
def test_column_label(slug, label):
    assert column_label(f"{slug}@{REQUEST}") == label


def test_m0_is_the_unit_of_speed_up_and_has_no_delta():
    shown = table(RECORDS)
    assert row(shown, "Speed-up") == ("1.00", "1.27 [1.25, 1.29]", "2.05")
    assert row(shown, "Δ Peak VRAM allocated") == ("0", "-668", ABSENT)
    assert row(shown, "Δ Peak VRAM reserved") == ("0", "+428", ABSENT)


def test_a_delta_is_taken_to_the_reference_of_the_same_run():
    other_run = replace(RECORDS[1], reference=M0 | {"temperature_c": 50.0})
    assert row(table([RECORDS[0], other_run]), "Δ Peak GPU") == ("0", "+7")


def test_a_delta_that_rounds_to_zero_has_no_sign():
    near = replace(RECORDS[1], metrics=M0 | {"temperature_c": 58.7})
    assert row(table([near]), "Δ Peak GPU") == ("0",)


def test_absent_numbers_are_dashes_and_nan_is_not_absent():
    shown = table(RECORDS)
    assert row(shown, "CLIP") == ("0.977", "0.977", "nan")
    assert row(shown, "PSNR") == (ABSENT, "∞", ABSENT)


def test_rows_that_no_case_has_are_left_out():
    labels = [line[0] for line in table(RECORDS).rows]
    assert not any("RSS" in label or "process" in label or "Verdict" in label for label in labels)


def test_interpolation_has_rows_where_somebody_interpolates():
    made = {"seconds.interpolate": 0.4812, "memory.interpolate.allocated_mib": 2210.4}
    shown = table([RECORDS[0], record("keyframes", M1 | made)])
    assert row(shown, "Interpolation, s") == (ABSENT, "0.481")
    assert row(shown, "Interpolation VRAM allocated, MiB") == (ABSENT, "2210")
    assert "| Interpolation, s " in markdown(shown)
    assert not any("Interpolation" in line[0] for line in table(RECORDS).rows)


def test_a_failed_case_keeps_its_column_and_gets_a_footnote():
    shown = table(RECORDS, VERDICTS, FAILURES)
    assert shown.headings[-1] == "M2 torch_compile ¹"
    assert row(shown, "Verdict") == ("pass", "improved", ABSENT, "failed")
    assert row(shown, "Time")[-1] == ABSENT
    assert shown.notes == (f"¹ {FAILED}: WorkerDiedError: exit code -9 out of memory | killed",)


def test_a_failed_case_with_a_record_keeps_its_place_and_shows_no_number():
    shown = table(RECORDS, failures={RECORDS[1].case: "NoEffectError: 0 int8_linears"})
    assert shown.headings[2] == "M1 int8_weight_only ¹"
    assert row(shown, "Time")[1] == ABSENT
    assert row(shown, "Verdict") == (ABSENT, "failed", ABSENT)


def test_every_case_may_fail():
    shown = table([], failures=FAILURES)
    assert shown.rows == (("Verdict", "failed"),)
    assert "torch_compile" in markdown(shown)


def test_markdown_escapes_its_own_separator():
    text = markdown(Table("", ("Metric", "a|b"), (("x", "1"),)))
    assert text.splitlines()[0] == "| Metric | a\\|b |"
    assert {line.count("|") - line.count("\\|") for line in text.splitlines()} == {3}


def test_the_console_shows_every_cell_of_the_same_rows():
    shown = table(RECORDS, VERDICTS, FAILURES)
    stream = io.StringIO()
    show(shown, Console(file=stream, width=120))
    words = stream.getvalue().split()
    assert all(word in words for line in shown.rows for cell in line for word in cell.split())
    assert shown.notes[0] in stream.getvalue()


def test_a_narrow_console_gets_blocks_and_unbroken_numbers():
    shown = table(RECORDS, VERDICTS, FAILURES)
    stream = io.StringIO()
    show(shown, Console(file=stream, width=50))
    text = stream.getvalue()
    assert max(map(len, text.splitlines())) <= 50
    assert all(cell in text for cell in ("[1.25, 1.29]", "342.50", "improved", "failed"))
    assert text.count("Time, s") > 1


def test_a_metric_has_one_row():
    assert len({line.key for line in LINES}) == len({line.label for line in LINES}) == len(LINES)


def test_fewer_pairs_than_an_interval_needs_show_none():
    few = table([record("reference", M0), record("int8_weight_only", M1 | {"speedup_pairs": 5})])
    assert next(row for row in few.rows if row[0].startswith("Speed-up"))[2] == "1.27"


def test_many_inputs_show_mean_and_spread():
    many = M1 | {"inputs": 32, "clip_sd": 0.0312, "motion_class_share": 0.75}
    text = table([record("reference", M0), record("int8_weight_only", many)])
    rows = {row[0]: row[1:] for row in text.rows}
    assert rows["Inputs"] == (ABSENT, "32")
    assert rows["CLIP similarity"] == ("0.977", "0.977 ± 0.031")
    assert rows["Motion class"] == ("smooth", "smooth in 75 %")


def test_one_input_has_no_row_of_inputs():
    assert "Inputs" not in [row[0] for row in table([record("reference", M0)]).rows]
