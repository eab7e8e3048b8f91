"""How a command ends before its end.

SIGTERM ends it as Ctrl-C does: what was measured is kept, drafts are removed.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

__all__ = ["Terminated", "stopped", "terminable", "unread"]


class Terminated(BaseException):
    """Somebody asked this process to end; like KeyboardInterrupt, no error of what it did."""


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM raises Terminated in the block. Python takes signals in the main thread alone; in
    another one nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _raise(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated


def stopped(stop: BaseException, resumes: bool) -> int:
    """Say on stderr how a command was ended, and whether it can go on; the exit code."""
    how, number = ("terminated", 15) if isinstance(stop, Terminated) else ("interrupted", 2)
    again = "with --out resumes it" if resumes else "measures anew"
    print(f"accel: {how}; the same command {again}", file=sys.stderr)
    return 128 + number


def unread() -> bool:
    """Whether nobody reads stdout any more, as `head` does not when it has enough.

    Then what is still to be flushed goes nowhere, or Python would complain at its end.
    """
    stdout = sys.stdout.fileno()
    poll = select.poll()
    poll.register(stdout, 0)
    gone = any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    if gone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout)
    return gone
