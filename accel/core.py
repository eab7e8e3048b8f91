"""The words of accel as types: request, method, case, record. Nothing here imports torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from math import inf, isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from accel.errors import BaselineError, InvalidRequestError
from accel.slugs import field_word, is_changed, own_fields, word

if TYPE_CHECKING:
    from accel.models.svd import Pipeline
    from accel.verdict import Status

__all__ = [
    "FIDELITIES", "SCHEMA", "Case", "Claim", "Counters", "Fidelity", "Method",
    "Metrics", "Record", "Request",
]  # fmt: skip

SCHEMA = 1
"""Version of the record's JSON form; a baseline of another version is refused."""

Fidelity = Literal["exact", "faithful", "new_sample"]
"""What a method promises: the reference up to rounding; near it; another good video."""

FIDELITIES: tuple[Fidelity, ...] = get_args(Fidelity)
"""From the strictest promise to the loosest."""

Weights = Literal["pretrained", "mini", "untrained"]
LEAST = {"frames": 2, "steps": 1, "seeds": 1, "decode_chunk_size": 1}
"""Of whole numbers in a request."""
LARGEST = 8192  # pixels

Pick = Callable[[float, float], float]
Counters = dict[str, int]
Metrics = dict[str, float | str]


@dataclass(frozen=True)
class Request:
    """What a generation is asked for, or one generation for each input of a set.

    image: name of a bundled photograph, or path of an image file (it is scaled and cropped to
    cover width x height); a set is "bundled", all of those, or a folder of image files. seeds: how
    many for each image, from `seed` upwards; accel.models.images.inputs takes sets apart. Sizes in
    pixels, multiples of 8 up to 8192. dtype None means float16 on a GPU and float32 on a CPU.
    Guidance rises linearly from min_guidance at the first frame to max_guidance at the last one; a
    max_guidance of 1.0 switches classifier-free guidance off.

    Raises InvalidRequestError naming the first value that cannot work.
    """

    image: str = "coffee"
    width: int = 1024
    height: int = 576
    frames: int = 14
    steps: int = 25
    seed: int = 0
    seeds: int = 1
    dtype: Literal["float16", "float32", "bfloat16"] | None = None
    min_guidance: float = 1.0
    max_guidance: float = 3.0
    motion_bucket: int = 127
    fps: float = 7
    noise_aug_strength: float = 0.02
    decode_chunk_size: int = 8
    latents_only: bool = False

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            if (size := getattr(self, name)) % 8 or not 8 <= size <= LARGEST:
                low = min(max(8, size // 8 * 8), LARGEST - 8)
                text = f"{name} {size} is not a multiple of 8 up to {LARGEST}"
                raise InvalidRequestError(f"{text}; try {low} or {low + 8}")
        for name, least in LEAST.items():
            if (value := getattr(self, name)) < least:
                raise InvalidRequestError(f"{name} is {value}; it must be at least {least}")
        if not 1 <= self.motion_bucket <= 255:
            raise InvalidRequestError(f"motion_bucket {self.motion_bucket} is outside 1 to 255")
        for name in ("fps", "min_guidance", "max_guidance", "noise_aug_strength"):
            if not isfinite(getattr(self, name)):
                raise InvalidRequestError(f"{name} is {getattr(self, name)}; give a finite number")
        for seed in (self.seed, self.seed + self.seeds - 1):
            if not 0 <= seed < 2**63:
                raise InvalidRequestError(f"seed {seed} is outside 0 to 2**63 - 1")
        if self.fps <= 0:
            raise InvalidRequestError(f"fps is {self.fps}; it must be above 0")
        if self.min_guidance > self.max_guidance:
            text = f"min_guidance {self.min_guidance} is above max_guidance {self.max_guidance}"
            raise InvalidRequestError(text)

    @property
    def slug(self) -> str:
        """Size, frames and steps, then every other field that is not the default."""
        shown = {"width", "height", "frames", "steps"}
        changed = [f for f in fields(self) if f.name not in shown and is_changed(self, f.name)]
        extra = "".join(f"-{f.name}{word(getattr(self, f.name))}" for f in changed)
        return f"{self.height}x{self.width}x{self.frames}-s{self.steps}{extra}"


@dataclass(frozen=True)
class Claim:
    """A floor or a ceiling that a method asserts without any baseline.

    metric: a key of Record.metrics. delta: the bound holds for candidate minus reference.

    A claim on time or memory binds on a GPU with full-size weights; one on quality, wherever the
    weights are trained.
    """

    metric: str
    at_least: float | None = None
    at_most: float | None = None
    delta: bool = False

    def tighter(self, other: Claim) -> Claim:
        """Both claims of one metric in one."""
        return self._joined(other, max, min)

    def looser(self, other: Claim) -> Claim:
        """What either of two claims of one metric allows; a side that one leaves open is open."""
        return self._joined(other, min, max)

    def _joined(self, other: Claim, floor: Pick, ceiling: Pick) -> Claim:
        def ends(name: str, open_end: float, pick: Pick) -> float | None:
            pair = [getattr(claim, name) for claim in (self, other)]
            end = pick(*(open_end if x is None else x for x in pair))
            return end if isfinite(end) else None

        least, most = ends("at_least", -inf, floor), ends("at_most", inf, ceiling)
        return replace(self, at_least=least, at_most=most)


class Method(ABC):
    """A configured acceleration: an edit to a freshly loaded pipeline.

    Subclasses are frozen dataclasses, so that `repr(method)` evaluates back to the method.
    """

    name: ClassVar[str]
    source: ClassVar[str]
    fidelity: ClassVar[Fidelity]
    edits_code: ClassVar[bool] = False
    """True if the edit captures the weights as they are (compilation): then it comes last."""
    sets_steps: ClassVar[bool] = False
    """True if it asks for another number of steps than the request."""
    counts_steps: ClassVar[bool] = False
    """True if what it does hangs on the number of steps: what sets them comes before it."""

    def claims(self, request: Request) -> tuple[Claim, ...]:
        """What holds without a baseline when the reference is asked for `request`."""
        return ()

    def must_fail(self) -> tuple[Status, ...]:
        """The verdicts that are allowed on its quality, of a method that is known to ruin it.

        One of them is then "as expected", and everything else, a pass too, is a failure.
        """
        return ()

    def may_fail(self, weights: Weights) -> tuple[Status, ...]:
        """Published verdicts on its quality with such weights: "as expected", others as ever."""
        return ()

    def weight_files(self, weights: Weights) -> dict[str, Path]:
        """Files that it takes parameters from, by name; their checksums go into the record."""
        return {}

    def unfit(self, request: Request) -> str | None:
        """Why such a request cannot be accelerated so, or None: what is known without weights."""
        return None

    def refuses(self, pipeline: Pipeline) -> str | None:
        """Why this pipeline cannot be accelerated so, or None."""
        return self.unfit(pipeline.request)

    def expected(self, pipeline: Pipeline) -> Counters:
        """The counters that differ from an unedited pipeline's, told before `apply`.

        Counters of its own a method puts into `pipeline.tallies`.
        """
        return {}

    def requested(self, request: Request) -> Request:
        """What this method asks of the pipeline in place of the request."""
        return request

    def foresee(self, pipeline: Pipeline) -> None:
        """Leave on a copy of the pipeline what `apply` will, as far as `expected` looks at it."""
        pipeline.request = self.requested(pipeline.request)

    @abstractmethod
    def apply(self, pipeline: Pipeline) -> None:
        """Edit the pipeline in place."""

    @property
    def slug(self) -> str:
        """Name and non-default fields, as in `fewer_steps-15`: the method's part of a case id.

        The first field goes without its name.
        """
        own = own_fields(self)
        words = [field_word(self, f.name, f is own[0]) for f in own if is_changed(self, f.name)]
        return "-".join([self.name, *words])


@dataclass(frozen=True)
class Case:
    """Model, weights, request and method: one row of every table, one pytest id, one baseline.

    path: local folder in the diffusers layout for pretrained weights; no part of the id.
    vram_cap: most GPU memory in GiB that torch may take (accel.vram); a case of its own.
    """

    model: str
    weights: Weights
    request: Request
    method: Method
    path: str | None = None
    vram_cap: float | None = None

    @property
    def id(self) -> str:
        """For example `fewer_steps-15@576x1024x25-s25`; unique within model and weights."""
        cap = "" if self.vram_cap is None else f"-vram_cap{self.vram_cap:g}"
        return f"{self.method.slug}{cap}@{self.request.slug}"

    @property
    def group(self) -> str:
        """The folder that its baselines share: `svd-xt.untrained`."""
        return f"{self.model}.{self.weights}"

    @property
    def is_reference(self) -> bool:
        """Whether it is M0 without a cap: what the others are measured against."""
        return self.method.name == "reference" and self.vram_cap is None

    @property
    def judged(self) -> bool:
        """Whether quality means anything: parameters that nobody trained make no video."""
        return self.weights != "untrained" and not self.request.latents_only


@dataclass(frozen=True)
class Record:
    """Everything known of one measured case, in the form that is written as JSON.

    metrics: the candidate's numbers by name (`seconds`, `speedup`, `lpips`,
    `memory.denoise.allocated_mib`, ...); reference: the same of M0 in the same run. A number
    that could not be had is absent, never zero. samples: the raw measurements behind them, and
    under "inputs" the scores of each input's video, candidate and reference.
    fingerprint: hardware, software, metric networks, weights; run: run id, boot id, GPU UUID, the
    modules that define the method, and the folder of its weights and the cap if they were given.
    """

    case: str
    group: str
    method: str
    request: Mapping[str, Any]
    fidelity: Fidelity
    hardware: str
    metrics: Metrics
    reference: Metrics
    counters: Counters
    samples: Mapping[str, Any]
    fingerprint: Mapping[str, Any]
    run: Mapping[str, Any]
    schema: int = SCHEMA

    @property
    def slug(self) -> str:
        """The method's part of the case id, as in `fewer_steps-15`, a cap included."""
        return self.case.partition("@")[0]

    @property
    def request_slug(self) -> str:
        """The request's part of the case id, as in `576x1024x25-s25`."""
        return self.case.partition("@")[2]

    @property
    def is_reference(self) -> bool:
        return self.slug == "reference"

    @property
    def full_request(self) -> dict[str, Any]:
        """The request, with the defaults of fields that are younger than the record."""
        return {**asdict(Request()), **self.request}

    @property
    def asked(self) -> Request:
        """The request. Raises BaselineError if this version of accel does not know it."""
        try:
            return Request(**self.request)
        except (TypeError, InvalidRequestError) as error:
            text = f"the record of {self.case} is of another accel: {error}; measure it again"
            raise BaselineError(text) from error
