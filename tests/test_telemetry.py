"""Telemetry against an NVML that is played by a fake: what is there, and what is absent."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import namedtuple

import pytest

from accel import telemetry
from accel.telemetry import Telemetry, driver_version, nvml_uuid

Process = namedtuple("Process", "pid usedGpuMemory")
ME = os.getpid()


class FakeNvml:
    """One GPU, `GPU-ab`. Each reading walks through its values and stays at the last one."""

    class NVMLError(Exception):
        pass

    class NVMLError_NotSupported(NVMLError):
        pass

    NVML_TEMPERATURE_GPU, NVML_CLOCK_SM = 0, 1
    NVML_MEMORY_ERROR_TYPE_UNCORRECTED, NVML_VOLATILE_ECC = 1, 0

    def __init__(self, **values):
        self.values = {name: iter(many) for name, many in values.items()}
        self.last = {}

    def _next(self, name):
        if name in self.values:
            self.last[name] = next(self.values[name], self.last.get(name))
        if self.last.get(name) is None:
            raise self.NVMLError_NotSupported
        return self.last[name]

    def nvmlInit(self):
        pass

    def nvmlSystemGetDriverVersion(self):
        return "570.86.15"

    def nvmlDeviceGetHandleByUUID(self, uuid):
        if uuid != "GPU-ab":
            raise self.NVMLError
        return "handle"

    def nvmlDeviceGetTemperature(self, device, sensor):
        return self._next("temperature")

    def nvmlDeviceGetClockInfo(self, device, clock):
        return self._next("clock")

    def nvmlDeviceGetCurrentClocksEventReasons(self, device):
        return self._next("reasons")

    def nvmlDeviceGetTotalEnergyConsumption(self, device):
        return self._next("energy")

    def nvmlDeviceGetTotalEccErrors(self, device, kind, since):
        assert (kind, since) == (1, 0)
        return self._next("ecc")

    def nvmlDeviceGetComputeRunningProcesses(self, device):
        return self._next("processes")


@pytest.fixture
def nvml(monkeypatch):
    """Install a fake NVML with the given values."""

    def install(fake):
        monkeypatch.setitem(sys.modules, "pynvml", fake)
        telemetry._nvml.cache_clear()
        return fake

    yield install
    telemetry._nvml.cache_clear()


def watch(uuid="ab", **options):
    """Two samples: the one on entry and the one on exit."""
    with Telemetry(uuid, interval=60, **options) as watcher:
        pass
    return watcher.result()


def test_everything_is_told(nvml):
    nvml(
        FakeNvml(
            temperature=[61, 58],
            clock=[1980, 1935],
            reasons=[0x1 | 0x4, 0x40],
            energy=[5_000_000, 5_412_500],
            ecc=[7, 9],
            processes=[[Process(ME, 300 * 2**20), Process(7, 2**20)], [Process(ME, 200 * 2**20)]],
        )
    )
    assert watch(pids=[ME]) == {
        "temperature_c": 61.0,
        "sm_clock_mhz": 1957.5,
        "throttle": ["power_cap", "hardware_thermal"],
        "energy_j": 412.5,
        "ecc_errors": 2.0,
        "process_mib": 300.0,
        "foreign_processes": 1.0,
    }


def test_a_gpu_that_is_not_throttled_says_so(nvml):
    nvml(FakeNvml(reasons=[0x1]))
    assert watch() == {"throttle": []}


@pytest.mark.parametrize("uuid", [None, "cd"])
def test_an_unknown_gpu_gives_nothing(nvml, uuid):
    nvml(FakeNvml(temperature=[61]))
    assert watch(uuid) == {}


def test_readings_that_are_not_supported_are_absent(nvml):
    nvml(FakeNvml(clock=[1980]))
    assert watch() == {"sm_clock_mhz": 1980.0}


def test_a_machine_without_nvml_gives_nothing(nvml, monkeypatch):
    nvml(None)  # None in sys.modules: the import fails
    assert watch() == {}
    assert driver_version() is None


def test_a_driver_that_is_not_loaded_gives_nothing(nvml):
    fake = FakeNvml(temperature=[61])

    def fail():
        raise fake.NVMLError

    fake.nvmlInit = fail
    nvml(fake)
    assert watch() == {}


def test_an_energy_counter_that_stands_still_is_absent(nvml):
    nvml(FakeNvml(energy=[9, 9]))
    assert watch() == {}


def test_workers_are_not_foreign(nvml):
    nvml(FakeNvml(processes=[[Process(11, 5 * 2**20), Process(12, 6 * 2**20)]]))
    assert watch(pids=[11], ours=[12]) == {"process_mib": 5.0, "foreign_processes": 0.0}


def test_a_list_without_ours_tells_nothing(nvml):
    nvml(FakeNvml(processes=[[Process(4711, 2**20)]]))
    assert watch(pids=[11]) == {}


def test_memory_that_is_not_available_is_absent(nvml):
    nvml(FakeNvml(processes=[[Process(11, None)]]))
    assert watch(pids=[11]) == {"foreign_processes": 0.0}


def test_it_samples_while_the_block_runs_and_then_stops(nvml):
    temperatures = iter([40, 50, 75, 60])
    seen = threading.Event()

    class Heating(FakeNvml):
        def nvmlDeviceGetTemperature(self, device, sensor):
            value = next(temperatures, None)
            if value is None:
                seen.set()
            return value or 30

    nvml(Heating())
    with Telemetry("GPU-ab", interval=0.001) as watcher:
        assert seen.wait(10)
    assert watcher.result() == {"temperature_c": 75.0}
    assert not any(thread.name == "accel-telemetry" for thread in threading.enumerate())


def test_a_second_block_starts_anew(nvml):
    nvml(FakeNvml(temperature=[80, 80, 50, 50]))
    watcher = Telemetry("ab", interval=60)
    for expected in (80.0, 50.0):
        with watcher:
            pass
        assert watcher.result() == {"temperature_c": expected}


def test_stopping_does_not_wait_for_the_interval(nvml):
    nvml(FakeNvml(temperature=[40]))
    start = time.perf_counter()
    watch()
    assert time.perf_counter() - start < 5


def test_the_driver_is_asked(nvml):
    nvml(FakeNvml())
    assert driver_version() == "570.86.15"


@pytest.mark.parametrize("uuid", ["ab-12", "GPU-ab-12"])
def test_uuids_get_nvmls_prefix(uuid):
    assert nvml_uuid(uuid) == "GPU-ab-12"
    assert nvml_uuid("MIG-ab") == "MIG-ab"
