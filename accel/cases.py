"""From the options of the command line to the cases that are measured. Imports no torch."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from accel.arguments import refuse, settle
from accel.core import Case, Method, Record, Request
from accel.errors import InvalidRequestError, MissingWeightsError
from accel.launch import Options
from accel.methods import method_of, parse
from accel.methods.reference import Reference
from accel.models import default_request
from accel.models.images import load_image, pictures
from accel.models.layout import MINI, check_size, multiple_of
from accel.plugin import gpu_count
from accel.runner import reference_of
from accel.standard import FILES, REMEDY, standard, unshipped
from accel.vram import check_cap

__all__ = ["REQUEST_OPTIONS", "case_of", "cases_of", "request_of"]

REQUEST_OPTIONS = (
    "image", "frames", "steps", "seed", "seeds", "fps", "motion_bucket", "min_guidance",
    "max_guidance", "decode_chunk_size",
)  # fmt: skip

A_DAY = 86400
"""Seconds; no answer of a worker takes longer."""


def request_of(options: Namespace) -> Request:
    """The model's own request, with what the options change of it.

    Raises InvalidRequestError for a size that the mini models cannot halve; others tell it when
    they are loaded.
    """
    given = vars(options)
    changes = {n: given[n] for n in REQUEST_OPTIONS if given[n] is not None}
    if options.size:
        changes |= _size(options.size)
    request = default_request(options.model, options.weights, **changes)
    if options.weights == "mini":
        check_size(request, multiple_of(MINI))
    return request


def cases_of(options: Namespace) -> Sequence[Case]:
    """The cases that the options of `accel bench` ask for, the reference first.

    Fills in the defaults of what was not asked for.
    Raises InvalidRequestError, MissingWeightsError or UnknownNameError for what cannot be measured.
    """
    settle(options)
    request = request_of(options)
    _check_options(options)
    _check_inputs(request, options.weights)
    if options.methods:
        refuse(
            options,
            dict.fromkeys(FILES.values()),
            "--methods says all: name a file as in lcm:weights=FILE",
        )
        methods = [parse(text) for text in options.methods]
    else:
        methods = _standard(options, request)
    if (cap := options.vram_cap) is not None:
        methods = [Reference(), *methods]
    cases = [Case(options.model, options.weights, request, m, options.path, cap) for m in methods]
    return [*dict.fromkeys((reference_of(cases[0]), *cases))]


def case_of(record: Record) -> Case:
    """The case that a record of a run folder was measured of."""
    model, _, weights = record.group.rpartition(".")
    given = record.run.get("path"), record.run.get("vram_cap")
    return Case(model, weights, record.asked, method_of(record), *given)  # type: ignore[arg-type]


def _check_options(options: Namespace) -> None:
    """What would otherwise show only after minutes of measuring, or not at all."""
    if options.pairs < 1:
        raise InvalidRequestError(f"--pairs is {options.pairs}; it must be at least 1")
    Options(blocks=options.blocks, fresh=options.fresh)  # refuses what does not go together
    if options.blocks < 0:
        raise InvalidRequestError(f"--blocks is {options.blocks}; it must be 0 or more")
    if not 0 < options.timeout <= A_DAY:
        raise InvalidRequestError(
            f"--timeout is {options.timeout:g}; give seconds above 0, and at most {A_DAY}"
        )
    check_cap(options.vram_cap, on_cpu=options.device == "cpu" or not gpu_count())
    check_place(options)


def check_place(options: Namespace) -> None:
    """Whether there is the device that was asked for, and weights at the path."""
    if options.device == "cuda" and not gpu_count():
        raise InvalidRequestError("--device cuda: NVML finds no GPU here; choose --device cpu")
    if options.path is None:
        return
    if options.weights != "pretrained":
        raise InvalidRequestError(
            f"--path {options.path} goes with --weights pretrained, not with {options.weights}"
        )
    if not (Path(options.path) / "model_index.json").is_file():
        raise MissingWeightsError(
            f"{options.path} has no model_index.json; give --path a folder of Stable Video "
            "Diffusion in the diffusers layout, as save_pretrained writes it"
        )


def _check_inputs(request: Request, weights: str) -> None:
    """Every picture can be read, and many inputs have a quality to be judged."""
    found = pictures(request.image)
    for image in found:
        load_image(image, request.width, request.height)
    count = len(found) * request.seeds
    if weights == "untrained" and count > 1:
        raise InvalidRequestError(
            f"{count} inputs are for quality, and untrained weights have none; give one --image "
            "and no --seeds"
        )


def _standard(options: Namespace, request: Request) -> list[Method]:
    """The standard methods that fit the request; what is left out is printed with its reason."""
    on_gpu = options.device != "cpu" and gpu_count() > 0
    where = options.model, options.weights, on_gpu, _files(options)
    methods = {text: parse(text) for text in standard(*where)}
    unfit: dict[str, list[str]] = {}
    for text, method in methods.items():
        if reason := method.unfit(request):
            unfit.setdefault(reason, []).append(text)
    if unfit:
        parts = (f"{', '.join(texts)} ({reason})" for reason, texts in unfit.items())
        print(f"left out, for they do not fit the request: {', '.join(parts)}")
    if filed := unshipped(*where):
        print(f"left out, for their weights are not shipped: {', '.join(filed)}; {REMEDY}")
    return [method for method in methods.values() if not method.unfit(request)]


def _files(options: Namespace) -> dict[str, str]:
    """The files of methods whose weights are not shipped, by option; all of them are there.

    Raises InvalidRequestError for one that no method takes, or that a method's text cannot hold.
    """
    names = dict.fromkeys(FILES.values())
    found = {n: path for n in names if (path := getattr(options, n)) is not None}
    if options.weights == "untrained":
        refuse(options, found, "untrained weights take no file")
    if options.model != "svd-xt":
        refuse(options, found, f"what is measured of {options.model} takes no file")
    for path in found.values():
        if not Path(path).is_file():
            raise MissingWeightsError(f"{path!r} is not there; give the path of the weights")
        if "+" in path or vars(parse(f"distilled:weights={path}"))["weights"] != path:
            raise InvalidRequestError(
                f"{path!r} cannot be a word of a method's text; link it under a plainer name"
            )
    return found


def _size(text: str) -> dict[str, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise InvalidRequestError(f"--size {text!r} is not WxH in pixels, as in 1024x576")
    return {"width": int(width), "height": int(height)}
