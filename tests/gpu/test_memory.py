"""What only a GPU can show: out of memory fails one case, and the others run on."""

import pytest
import torch

from accel.core import Case
from accel.launch import Options
from accel.memory import MIB, in_use
from accel.methods import parse
from accel.models import default_request
from accel.runner import Bench
from accel.runs import RunFolder
from tests.planted import Planted

pytestmark = pytest.mark.gpu


def test_out_of_gpu_memory_fails_the_case_and_the_others_run_on(gate, tmp_path):
    gate.close()  # a gate that was judged before holds the GPU
    request = default_request("svd", "mini", frames=7, steps=3)
    methods = (Planted("hungry"), parse("fewer_steps:2"))
    cases = [Case("svd", "mini", request, method) for method in methods]
    with Bench(RunFolder(tmp_path), Options(pairs=1, device="cuda"), lambda text: None) as bench:
        records = bench.run(cases)
    assert [record.method for record in records] == ["FewerSteps(steps=2)"]
    assert bench.folder.failures()[cases[0].id].startswith("OutOfMemoryError: CUDA out of memory")
    assert records[0].metrics["memory.denoise.allocated_mib"] > 0


def test_in_use_is_what_was_asked_for_whatever_block_was_given(gate):
    """The allocator takes 34 MiB from the driver, and does not split off as little as 1 MiB."""
    gate.close()
    torch.cuda.empty_cache()
    gpu = torch.device("cuda")
    before = in_use(gpu)
    kept = torch.empty(33 * MIB, dtype=torch.uint8, device=gpu)
    assert in_use(gpu) - before == kept.numel() / MIB
