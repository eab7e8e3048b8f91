"""The proof that the gate can fail: planted defects, and what must catch each of them."""

from accel.prove.costs import (
    Copied,
    Doubled,
    Dragging,
    Hoarding,
    Idle,
    Leaking,
    Off,
    Slower,
    Twice,
)
from accel.prove.defect import Defect
from accel.prove.inputs import (
    Cached,
    FewerThanSaid,
    LostBias,
    LostMotion,
    Untuned,
    WrongImage,
    WrongSeed,
)
from accel.prove.machine import Crowded, Hidden
from accel.prove.starts import Forgetful, Recompiling, Sluggish
from accel.prove.videos import (
    Black,
    Flicker,
    Frozen,
    Grey,
    NotFinite,
    OneStill,
    Shuffled,
    Tinted,
)

__all__ = ["DEFECTS", "OF_STARTS"]

DEFECTS: tuple[Defect, ...] = (
    Off(), Twice(), Idle(), Copied(),
    Black(), Grey(), Tinted(), NotFinite(), Frozen(), OneStill(), Shuffled(), Flicker(),
    WrongSeed(), WrongImage(), LostMotion(), Cached(), Untuned(), LostBias(), FewerThanSaid(),
    Doubled(), Hoarding(), Leaking(), Slower(), Dragging(), Crowded(), Hidden(),
)  # fmt: skip
"""Every planted defect but OF_STARTS, in the order of the table."""

OF_STARTS: tuple[Defect, ...] = (Recompiling(), Forgetful(), Sluggish())
"""What `--cold` adds: it compiles, which takes minutes."""
