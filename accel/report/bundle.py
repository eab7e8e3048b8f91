"""The table, the contact sheet and the videos of a run, each written whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from accel.core import Record
from accel.errors import BaselineError, OutputError
from accel.report.pictures import Strip, caption, contact_sheet, open_picture
from accel.report.tables import column_label, markdown, table
from accel.report.video import write_video
from accel.summary import input_name

__all__ = ["write_report"]

Frames = Path | NDArray[Any]


def write_report(
    run_dir: Path,
    records: Sequence[Record],
    frames: Mapping[str, Frames],
    image: Path | Image.Image | NDArray[Any] | None = None,
    verdicts: Mapping[str, str] | None = None,
    failures: Mapping[str, str] | None = None,
) -> list[Path]:
    """Write `table.md`, `contact.png` and `videos/<case id>.mp4`, and return their paths.

    frames: case id -> [T, H, W, 3] in [0, 1], or the .npy file of it; a case without frames has
    no row in the contact sheet and no video, and without any frames there is no sheet. image: the
    input, shown at the top; an array is [H, W, 3] in [0, 1]. Of many inputs, frames and image are
    the first one's, and the sheet says so. verdicts and failures as in `tables.table`. Raises
    OutputError naming the file that cannot be written, BaselineError for torn frames.
    """
    text = table(records, verdicts, failures)
    written = [run_dir / "table.md"]
    with _replacing(written[0]) as path:
        path.write_text(markdown(text), encoding="utf-8")
    strips = []
    for record in (record for record in records if record.case in frames):
        video = _video(frames[record.case])
        strips.append(_strip(record, video))
        written.append(run_dir / "videos" / f"{record.case}.mp4")
        with _replacing(written[-1]) as path:
            write_video(path, video, record.request.get("fps", 7))
    if strips:
        written.insert(1, run_dir / "contact.png")
        picture = open_picture(image) if image is not None else None
        with _replacing(written[1]) as path:
            contact_sheet(strips, picture, text.title, _first(records)).save(path, format="PNG")
    return written


def _video(frames: Frames) -> NDArray[Any]:
    """Mapped, not read: the contact sheet wants three frames, the video one at a time."""
    if not isinstance(frames, Path):
        return frames
    try:
        return np.asarray(np.load(frames, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise BaselineError(
            f"{frames} holds no whole video: {error}; delete it and the record of its case, and "
            "measure that again with --out"
        ) from error


def _strip(record: Record, video: NDArray[Any]) -> Strip:
    return Strip(column_label(record.case), caption(record.metrics), video)


def _first(records: Sequence[Record]) -> str:
    """Which of many inputs the pictures show; nothing where there is one."""
    rows = records[0].samples.get("inputs", ())
    if len(rows) < 2:
        return ""
    name = input_name(rows[0]["image"], rows[0]["seed"])
    return f"{name}: the first of {len(rows)} inputs; the scores are means over all"


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A place to write to; what was written there replaces `path` if the block succeeds."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=path.parent, prefix=".writing-") as folder:
            yield Path(folder) / path.name
            (Path(folder) / path.name).replace(path)
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}; choose another output folder, or "
            "make room in this one"
        ) from error
