"""The loss curve: which rows of a log are drawn, where, and that a picture is replaced whole."""

import json

import pytest
from PIL import Image

from accel.zoo.curve import LINE, SIZE, Axis, curve, read_log, write


def row(step, loss=1.0, resumed_at=0):
    return {
        "step": step, "loss": loss, "minutes": step / 60, "share": 0.5, "resumed_at": resumed_at,
    }  # fmt: skip


def logged(folder, *rows):
    path = folder / "unet.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def steps(path):
    return [row["step"] for row in read_log(path)]


def test_resumed_runs_are_joined_and_what_was_done_again_counts_once(tmp_path):
    first = [row(10), row(20), row(30)]
    assert steps(logged(tmp_path, *first, row(40, resumed_at=30))) == [10, 20, 30, 40]
    killed = [*first, row(25, resumed_at=20), row(35, resumed_at=20)]
    assert steps(logged(tmp_path, *killed)) == [10, 20, 25, 35]


def test_a_training_that_began_anew_leaves_the_old_one_out(tmp_path):
    assert steps(logged(tmp_path, row(10), row(30, resumed_at=20), row(15), row(40))) == [15, 40]


def test_a_log_without_the_step_it_resumed_at_and_one_cut_short_are_read(tmp_path):
    old = [{key: value for key, value in row(n).items() if key != "resumed_at"} for n in (1, 2, 2)]
    path = logged(tmp_path, *old)
    path.write_text(path.read_text() + '{"step": 3, "lo')
    assert steps(path) == [1, 2]
    assert read_log(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize(
    ("axis", "most", "expected"),
    [
        (Axis(0, 4280, 0, 1), 10, [0, 500, 1000, 1500, 2000, 2500, 3000, 3500, 4000]),
        (Axis(0.083, 0.121, 0, 1), 5, [0.09, 0.1, 0.11, 0.12]),
        (Axis(0.04, 3, 0, 1, logarithmic=True), 10, [0.05, 0.1, 0.2, 0.5, 1, 2]),
        (Axis(1e-6, 2, 0, 1, logarithmic=True), 10, [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1]),
    ],
)
def test_ticks_are_round_and_in_the_range(axis, most, expected):
    assert axis.ticks(most) == pytest.approx(expected)


def test_an_axis_ends_where_its_pixels_do():
    for axis in (Axis(0.1, 10, 500, 100), Axis(0.1, 10, 500, 100, logarithmic=True)):
        assert (axis.place(0.1), axis.place(10)) == pytest.approx((500, 100))
    assert axis.place(1) == pytest.approx(300)


@pytest.mark.parametrize("losses", [[1.0], [0.5, 0.5], [0.0, 0.0], [4.0, 1.0, 0.01], [2.0, 1.9]])
def test_any_losses_make_a_picture_with_a_line(losses):
    image = curve([row(10 * n + 1, loss) for n, loss in enumerate(losses)], "Training of unet")
    assert image.size == SIZE
    blue = [colour for _, colour in image.getcolors(1 << 20)]
    assert LINE in blue


def test_a_picture_that_cannot_be_written_whole_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "state" / "unet.png"
    write(Image.new("RGB", (2, 2), LINE), path)
    before = path.read_bytes()

    def save(self, target, form):
        target.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(Image.Image, "save", save)
    with pytest.raises(OSError, match="no space"):
        write(Image.new("RGB", (2, 2)), path)
    assert path.read_bytes() == before
