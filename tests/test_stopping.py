"""SIGTERM as an exception, in a block of the main thread and nowhere else; readers that leave."""

import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from accel.__main__ import main
from accel.stopping import Terminated, terminable

LIST = [sys.executable, "-m", "accel", "list"]


def test_it_is_raised_in_the_block_alone():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Terminated), terminable():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_no_error_handler_takes_it_for_an_error():
    assert not issubclass(Terminated, Exception)


def test_another_thread_leaves_signals_alone():
    def handler() -> object:
        with terminable():
            return signal.getsignal(signal.SIGTERM)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(handler).result() is signal.getsignal(signal.SIGTERM)


def test_another_broken_pipe_is_a_defect(monkeypatch, capfd):
    """Such as that of a process which accel talks to."""

    def fail(options):
        raise BrokenPipeError("not stdout")

    monkeypatch.setattr("accel.commands.list", fail)
    assert main(["list"]) == 4
    assert "BrokenPipeError: not stdout" in capfd.readouterr().err


def test_a_reader_who_has_enough_is_no_defect():
    """As in `accel list | head`."""
    pipe = subprocess.PIPE
    with subprocess.Popen(LIST, stdout=pipe, stderr=pipe, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_nor_is_one_behind_a_socket():
    ours, theirs = socket.socketpair()
    with ours, subprocess.Popen(LIST, stdout=theirs, stderr=subprocess.PIPE) as process:
        theirs.close()
        ours.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141
