import json
import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accel.baselines import dumps, find, read, write, write_file
from accel.core import SCHEMA
from accel.errors import BaselineError, OutputError
from tests.examples import record

repeatable = settings(derandomize=True, deadline=None, database=None, max_examples=50)
numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)
metrics = st.dictionaries(st.text(max_size=12), numbers | st.text(max_size=12), max_size=6)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | numbers | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
mappings = st.dictionaries(st.text(max_size=8), plain, max_size=3)
records = st.builds(
    record,
    metrics=metrics,
    reference=metrics,
    counters=st.dictionaries(st.text(max_size=8), st.integers(), max_size=3),
    samples=mappings,
    fingerprint=mappings,
    run=mappings,
)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("records") / "record.json"


@repeatable
@given(records)
def test_what_is_written_is_read_again(file, written):
    write_file(written, file)
    again = read(file)
    assert replace(again, metrics={}, reference={}) == replace(written, metrics={}, reference={})
    assert again.metrics.keys() == written.metrics.keys()
    for name, value in written.metrics.items():
        same = value if isinstance(value, str) else pytest.approx(value, rel=1e-5)
        assert again.metrics[name] == same
    assert dumps(again) == dumps(written) == file.read_text(encoding="utf-8")


def test_the_file_is_canonical(tmp_path):
    path = write(record({"clip": 0.123456789, "speedup": 2}), tmp_path)
    text = path.read_text()
    assert path == tmp_path / "nvidia-h200/svd.pretrained/fewer_steps-15@128x128x14-s15.json"
    assert '\n    "clip": 0.123457,\n' in text
    assert '\n    "speedup": 2.0,\n' in text
    assert text.endswith("}\n")
    assert list(json.loads(text)) == sorted(json.loads(text))


def test_numbers_of_an_array_library_become_plain_ones(tmp_path):
    metrics = {"clip": np.float32(0.5), "psnr": np.float64(40)}
    path = write(record(metrics, counters={"calls": np.int64(15)}, samples={"s": (1, 2)}), tmp_path)
    again = read(path)
    assert (again.metrics["clip"], again.metrics["psnr"]) == (0.5, 40)
    assert (again.counters, again.samples) == ({"calls": 15}, {"s": [1, 2]})


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"samples": {"seconds": [1.0, float("inf")]}}, r"samples.seconds\[1\] is inf"),
        ({"metrics": {"psnr": float("nan")}}, "metrics.psnr is nan; leave out"),
        ({"samples": {"frames": np.zeros(3)}}, "samples.frames is a ndarray"),
    ],
)
def test_what_json_cannot_hold_is_refused_by_name(bad, message):
    with pytest.raises(BaselineError, match=message):
        dumps(record(**bad))


def _edited(**changes):
    return json.dumps({**json.loads(dumps(record())), **changes})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON at line 1, column 1"),
        (dumps(record())[:300], "not JSON at line"),
        ("<<<<<<< HEAD\n" + dumps(record()), "not JSON at line 1, column 1"),
        ("[]", "holds a list, not a record"),
        ("{}", f"schema None found, {SCHEMA} expected"),
        (_edited(schema=99), f"schema 99 found, {SCHEMA} expected"),
        (json.dumps({"schema": SCHEMA}), r"missing keys \['case'"),
        (_edited(colour="red"), r"unknown keys \['colour'\]"),
        (_edited(metrics={"clip": None}), "metrics is .* not of the form Metrics"),
        (_edited(metrics={"clip": True}), "metrics is .* not of the form Metrics"),
        (_edited(metrics={"clip": float("nan")}), "not JSON: NaN is no JSON number"),
        (_edited(counters={"calls": 1.5}), "counters is .* not of the form Counters"),
        (_edited(fidelity="perfect"), "fidelity is 'perfect'"),
        (_edited(request=[]), "request is"),
        (_edited(case=3), "case is '3'"),
        (_edited().replace("48.5", "1e999"), "metrics is"),
    ],
)
def test_a_file_that_is_no_record_names_itself_and_the_remedy(tmp_path, text, message):
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(BaselineError, match=message) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert f"git restore {path}" in str(caught.value)
    assert "accel refresh" in str(caught.value)


def test_a_file_that_is_no_text_or_not_there(tmp_path):
    binary = tmp_path / "binary.json"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BaselineError, match=r"binary\.json: not JSON: 'utf-8' codec"):
        read(binary)
    with pytest.raises(BaselineError, match=r"absent\.json: cannot be read: No such file"):
        read(tmp_path / "absent.json")


def test_find_gives_the_baseline_or_none(tmp_path):
    one = record()
    where = (tmp_path, one.hardware, one.group, one.case)
    assert find(*where) is None
    write(one, tmp_path)
    assert find(*where) == one
    assert find(tmp_path, "nvidia-h100", one.group, one.case) is None


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "nvidia-h200").write_text("a file where a folder should be")
    with pytest.raises(OutputError, match=r"cannot write .*s15\.json: .*; make its folder"):
        write(record(), tmp_path)


@pytest.mark.parametrize("crash", [OSError("disk full"), KeyboardInterrupt()])
def test_a_crash_while_writing_leaves_the_old_file(tmp_path, monkeypatch, crash):
    path = write(record({"clip": 0.5}), tmp_path)

    def fail(*_):
        raise crash

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OutputError if isinstance(crash, OSError) else KeyboardInterrupt):
        write(record({"clip": 0.9}), tmp_path)
    assert read(path).metrics["clip"] == 0.5
    assert [file.name for file in path.parent.iterdir()] == [path.name]
