"""Records for tests: a healthy one on a GPU, its parts replaceable by name."""

from dataclasses import asdict, replace
from typing import Any

from accel.core import Case, Claim, Method, Record, Request
from accel.limits import LIMITS
from accel.verdict import Verdict

REQUEST = Request(width=128, height=128, frames=14, steps=15)

MEMORY = {"allocated_mib": 200.0, "reserved_mib": 260.0, "process_mib": 700.0}
QUALITY: dict[str, float | str] = {
    "sanity": "ok",
    "clip": 0.97,
    "tssim": 0.72,
    "tlpips": 0.16,
    "psnr": 48.5,
    "ssim": 0.99,
    "lpips": 0.01,
    "tof": 0.05,
    "motion_amount": 1.2,
    "motion_ratio": 1.0,
    "motion_class": "smooth",
}
METRICS: dict[str, float | str] = {
    "seconds": 1.0,
    "speedup": 1.5,
    "speedup_low": 1.46,
    "speedup_high": 1.54,
    "speedup_pairs": 3,
    "speedup_detectable": 1.008,
    **{f"memory.denoise.{kind}": mib for kind, mib in MEMORY.items()},
    **{f"memory.peak.{kind}": 1.5 * mib for kind, mib in MEMORY.items()},
    **QUALITY,
}
FASTER = Claim("speedup", at_least=1.25)
LEANER = Claim("memory.denoise.allocated_mib", at_most=-770, delta=True)
FAITHFUL = Claim("psnr", at_least=40)
GATED = sorted(n for n in METRICS if any(limit.covers(n, timed=True) for limit in LIMITS))


class FewerSteps(Method):
    """Stands for the real one, which these tests do not need."""

    name = "fewer_steps"
    source = "tests"
    fidelity = "faithful"
    slug = "fewer_steps-15"

    def apply(self, pipeline: object) -> None:
        """Nothing."""


def record(metrics: dict[str, Any] | None = None, **changes: Any) -> Record:
    """A healthy one of pretrained weights on a GPU; `metrics` replaces some, None removes one."""
    case = Case("svd", "pretrained", REQUEST, FewerSteps())
    healthy = Record(
        case=case.id,
        group=case.group,
        method="FewerSteps(steps=15)",
        request=asdict(REQUEST),
        fidelity="faithful",
        hardware="nvidia-h200",
        metrics=dict(METRICS),
        reference=METRICS
        | {"speedup": 1.0, "seconds": 1.5, "memory.denoise.allocated_mib": 1000.0},
        counters={"denoiser_calls": 15, "graph_breaks": 0},
        samples={"seconds": [1.0, 1.0, 1.0]},
        fingerprint={"versions": {"torch": "2.11.0"}, "metrics": {"clip": "sha256:1"}},
        run={"id": "a"},
    )
    return replace(healthy, metrics=changed(healthy.metrics, metrics or {}), **changes)


def on_cpu(**changes: Any) -> Record:
    """The same on a CPU: no GPU memory, a slower candidate, peak RSS."""
    gpu = {name: None for name in METRICS if name.startswith("memory.")}
    metrics = {**gpu, "speedup": 0.5, "memory.peak.rss_mib": 900.0, **changes.pop("metrics", {})}
    return record(metrics, hardware="cpu", **changes)


def changed(metrics: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`metrics` with some replaced, and those taken out whose change is None."""
    return {name: x for name, x in {**metrics, **changes}.items() if x is not None}


def failing(verdict: Verdict) -> dict[str, str]:
    """Metric and status of each check that did not simply pass."""
    return {check.metric: check.status for check in verdict.checks if check.status != "pass"}


def line_of(verdict: Verdict, metric: str) -> str:
    """The message of the first check of that metric."""
    return next(check.message for check in verdict.checks if check.metric == metric)
