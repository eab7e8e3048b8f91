"""What a GPU does while it works: temperature, clock, throttling, energy, other processes.

Read through NVML (nvidia-ml-py), which sees what torch cannot: the CUDA context, workspaces,
other allocators and other people's processes. A reading that this GPU, driver or container does
not give is absent, never zero. It only looks: clocks and limits are left as they are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from statistics import median
from threading import Event, Thread
from types import TracebackType
from typing import Any, TypeVar

__all__ = ["Telemetry", "disturbed", "driver_version", "nvml_uuid"]

T = TypeVar("T")
MIB = 2**20

REASONS = {
    0x2: "application_clocks",
    0x4: "power_cap",
    0x8: "hardware_slowdown",
    0x10: "sync_boost",
    0x20: "software_thermal",
    0x40: "hardware_thermal",
    0x80: "power_brake",
    0x100: "display_clocks",
}
"""NVML's clocks-event-reason bits (nvml.h). Bit 0x1, an idle GPU, is no throttling."""


SLOWED = {"hardware_slowdown", "software_thermal", "hardware_thermal", "power_brake"}
"""Throttle reasons that make time tell nothing. A power cap is the normal state of a busy GPU."""


class Telemetry:
    """Watches one GPU from a thread of its own while the `with` block runs.

    uuid: the GPU, with or without NVML's "GPU-" prefix; None watches nothing. pids: the processes
    whose memory is counted. ours: further processes of this run, such as the partner of a pair;
    they and this process itself are not foreign. interval: seconds between two readings; the
    first one is taken on entry and the last one on exit.

    The block's own clock belongs inside it: the first entry of a process loads NVML.
    """

    def __init__(
        self,
        uuid: str | None,
        pids: Iterable[int] = (),
        ours: Iterable[int] = (),
        interval: float = 0.1,
    ) -> None:
        self._uuid = uuid
        self._pids = frozenset(pids)
        self._ours = self._pids | {*ours, os.getpid()}
        self._interval = interval
        self._readings: dict[str, list[int]] = {}
        self._device: Any = None

    def __enter__(self) -> Telemetry:
        self._readings, self._device = {}, None
        self._stop = Event()
        self._thread = Thread(target=self._watch, name="accel-telemetry", daemon=True)
        if self._uuid is not None and (nvml := _nvml()):
            uuid = nvml_uuid(self._uuid)
            self._device = _reading(lambda: nvml.nvmlDeviceGetHandleByUUID(uuid))
        if self._device is not None:
            self._count()
            self._sample()
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._device is not None:
            self._stop.set()
            self._thread.join()
            self._sample()
            self._count()

    def result(self) -> dict[str, float | list[str]]:
        """What was seen, as far as it could be; call it after the block.

        `temperature_c`: peak. `sm_clock_mhz`: median. `throttle`: names of all reasons seen.
        `energy_j`: of the whole board, over the block; the counter moves about ten times a
        second, so a block of less than some seconds is imprecise. `ecc_errors`: memory errors that
        could not be corrected, over the block. `process_mib`: peak sum of `pids`.
        `foreign_processes`: most at one time. The last two are absent where NVML lists no process
        of ours, as in containers, whose process ids are not the host's.
        """
        readings, found = self._readings, dict[str, float | list[str]]()
        if temperatures := readings.get("temperature"):
            found["temperature_c"] = float(max(temperatures))
        if clocks := readings.get("clock"):
            found["sm_clock_mhz"] = float(median(clocks))
        if masks := readings.get("reasons"):
            found["throttle"] = [REASONS[bit] for bit in REASONS if any(m & bit for m in masks)]
        energy = readings.get("energy_mj", [])
        if len(energy) == 2 and energy[1] > energy[0]:
            found["energy_j"] = (energy[1] - energy[0]) / 1000
        ecc = readings.get("ecc", [])
        if len(ecc) == 2:
            found["ecc_errors"] = float(ecc[1] - ecc[0])
        if used := readings.get("process"):
            found["process_mib"] = max(used) / MIB
        if foreign := readings.get("foreign"):
            found["foreign_processes"] = float(max(foreign))
        return found

    def _count(self) -> None:
        """What only rises: once on entry and once on exit."""
        self._note("energy_mj", _read_energy)
        self._note("ecc", _read_ecc)

    def _watch(self) -> None:
        while not self._stop.wait(self._interval):
            self._sample()

    def _sample(self) -> None:
        self._note("temperature", _read_temperature)
        self._note("clock", _read_clock)
        self._note("reasons", _read_reasons)
        nvml, device = _nvml(), self._device
        listed = _reading(lambda: nvml.nvmlDeviceGetComputeRunningProcesses(device)) or []
        if any(process.pid in self._ours for process in listed):
            foreign = sum(process.pid not in self._ours for process in listed)
            self._readings.setdefault("foreign", []).append(foreign)
        used = [process.usedGpuMemory for process in listed if process.pid in self._pids]
        if used and None not in used:
            self._readings.setdefault("process", []).append(sum(used))

    def _note(self, name: str, read: Callable[[Any, Any], int]) -> None:
        nvml, device = _nvml(), self._device
        value = _reading(lambda: read(nvml, device))
        if value is not None:
            self._readings.setdefault(name, []).append(value)


def disturbed(seen: Iterable[Mapping[str, Any]]) -> str:
    """What was wrong with the GPU in any of these results: hot, shared or failing; or nothing."""
    for turn in seen:
        if slowed := SLOWED.intersection(turn.get("throttle", ())):
            return f"the GPU was slowed down: {', '.join(sorted(slowed))}"
        if turn.get("foreign_processes"):
            return f"{turn['foreign_processes']:.0f} foreign processes were on the GPU"
        if turn.get("ecc_errors"):
            return f"{turn['ecc_errors']:.0f} ECC errors that could not be corrected"
    return ""


def nvml_uuid(uuid: str) -> str:
    """A GPU's uuid as NVML writes it; torch's lacks the prefix."""
    return uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}"


def driver_version() -> str | None:
    """The NVIDIA driver's version, such as "570.86.15", or None without one."""
    nvml = _nvml()
    return _reading(nvml.nvmlSystemGetDriverVersion) if nvml else None


@cache
def _nvml() -> Any:
    """NVML, loaded and started once per process, or None where there is none."""
    try:
        import pynvml
    except ModuleNotFoundError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml


def _reading(read: Callable[[], T]) -> T | None:
    """What `read` returns, or None where NVML does not support it or cannot tell now."""
    try:
        return read()
    except _nvml().NVMLError:
        return None


def _read_temperature(nvml: Any, device: Any) -> int:
    return int(nvml.nvmlDeviceGetTemperature(device, nvml.NVML_TEMPERATURE_GPU))


def _read_clock(nvml: Any, device: Any) -> int:
    return int(nvml.nvmlDeviceGetClockInfo(device, nvml.NVML_CLOCK_SM))


def _read_reasons(nvml: Any, device: Any) -> int:
    return int(nvml.nvmlDeviceGetCurrentClocksEventReasons(device))


def _read_energy(nvml: Any, device: Any) -> int:
    return int(nvml.nvmlDeviceGetTotalEnergyConsumption(device))


def _read_ecc(nvml: Any, device: Any) -> int:
    kind, since = nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC
    return int(nvml.nvmlDeviceGetTotalEccErrors(device, kind, since))
