import time

import pytest
import torch

from accel.calls import MOST, Calls, kind_of

CPU = torch.device("cpu")


def kept(*shapes):
    """Calls of the given shapes, in their order, and what they were called with."""
    seen = []
    calls = Calls(CPU, lambda: None)
    for shape in shapes:
        x = torch.ones(shape)
        calls.keep(
            kind_of("denoise", (x,), {}), lambda *a, **k: seen.append((a, k)), (x,), {"n": 1}
        )
    return calls, seen


def test_a_call_of_each_shape_is_made():
    calls, seen = kept((2, 3), (1, 3), (2, 3))
    assert list(calls.seconds()) == ["denoise 2x3", "denoise 1x3"]
    assert [a[0].shape for a, _ in seen] == [(2, 3)] * MOST + [(1, 3)] * MOST
    assert all(k == {"n": 1} for _, k in seen)


@pytest.mark.parametrize(
    ("taken", "seconds"),
    [
        ([0.3], 0.3),
        ([0.1], 0.1),
        ([0.09, 0.03, 0.03, 0.08], 0.055),
        ([0.025, 0.5, 0.03, 0.024, 0.026], 0.026),
        ([0.001] * 4 + [0.3], 0.001),
    ],
)
def test_short_calls_are_repeated_and_their_median_counts(monkeypatch, taken, seconds):
    """So that one which the machine held up is not what the block says."""
    left = list(taken)
    monkeypatch.setattr(Calls, "_seconds", lambda self, inner, arguments: left.pop(0))
    calls = Calls(CPU, lambda: None)
    calls.keep("encode", lambda: None, (), {})
    assert calls.seconds() == {"encode": pytest.approx(seconds)}
    assert not left


def test_a_call_that_was_held_up_does_not_end_the_repeats(monkeypatch):
    """Not from the second timing on, when it is known how fast the call can be."""
    left = [0.025, 0.025, 0.025, 0.025, 0.5, 0.03, 0.02, 0.025, 0.04]
    monkeypatch.setattr(Calls, "_seconds", lambda self, inner, arguments: left.pop(0))
    calls = Calls(CPU, lambda: None)
    calls.keep("encode", lambda: None, (), {})
    found = [calls.seconds()["encode"] for _ in range(2)]
    assert found == pytest.approx([0.025, 0.03])
    assert not left


def test_one_stage_leaves_out_the_others():
    calls, seen = kept((2, 3), (1, 3))
    calls.keep("decode 7", lambda: seen.append("decode"), (), {})
    assert list(calls.seconds("denoise")) == ["denoise 2x3", "denoise 1x3"]
    assert "decode" not in seen
    assert list(calls.seconds()) == ["denoise 2x3", "denoise 1x3", "decode 7"]


def test_each_timing_gets_its_own_copy_of_what_was_kept():
    """A call may write into its inputs, and the caller into its own afterwards."""
    calls = Calls(CPU, lambda: None)
    x, seen = torch.zeros(2), []
    calls.keep("add", lambda parts: seen.append(parts[0].add_(1).clone()), ([x],), {})
    x.fill_(9)
    calls.seconds()
    calls.seconds()
    assert [s.tolist() for s in seen] == [[1, 1]] * 2 * MOST


def test_seconds_wait_for_the_device():
    waits = []
    calls = Calls(CPU, lambda: waits.append(time.sleep(0.01)))
    calls.keep("nap", lambda: time.sleep(0.1), (), {})
    (seconds,) = calls.seconds().values()
    assert 0.11 <= seconds < 0.3
    assert len(waits) == 2


def test_calls_track_no_gradients():
    calls, seen = Calls(CPU, lambda: None), []
    weight = torch.ones(1, requires_grad=True)
    calls.keep("product", lambda: seen.append(weight * 2), (), {})
    calls.seconds()
    assert not seen[0].requires_grad


@pytest.mark.parametrize(
    ("positional", "named", "kind"),
    [
        ((torch.ones(2, 4, 8),), {}, "denoise 2x4x8"),
        ((None, torch.ones(3)), {"x": torch.ones(5)}, "denoise 3"),
        (("cuda",), {"x": torch.ones(5)}, "denoise 5"),
        ((1.5,), {}, "denoise"),
    ],
)
def test_the_first_tensor_tells_the_kind(positional, named, kind):
    assert kind_of("denoise", positional, named) == kind
