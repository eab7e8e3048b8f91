"""From two measured sides to the record of a case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from accel.core import Case, Record
from accel.limits import MIN_PAIRS
from accel.methods import modules_of
from accel.models.images import image_digest
from accel.side import Side
from accel.summary import Samples, cost_metrics, pair_metrics
from accel.turns import Block, block_metrics

__all__ = ["digest_of", "record_of"]


def record_of(
    side: Side,
    reference: Side,
    pairs: Samples,
    blocks: Sequence[Block],
    run: Mapping[str, Any],
    clip: str,
) -> Record:
    """Metrics and scores of both sides, and the raw samples behind them.

    pairs: the reference's samples beside the side's. blocks: of single calls, which tell the
    speed-up in the place of fewer than MIN_PAIRS pairs. run: what tells the run. clip: model of the
    CLIP metric.
    """
    case = side.case
    costs = side.metrics
    reference_costs = cost_metrics(pairs, case.request.frames, reference.preparation)
    ratio = pair_metrics(side.samples, pairs, costs, reference_costs)
    own = pair_metrics(pairs, pairs, reference_costs, reference_costs)
    if blocks:
        told = block_metrics(blocks, (float(reference_costs["seconds"]), float(costs["seconds"])))
        ratio = told | ratio if len(pairs) >= MIN_PAIRS else ratio | told
    return Record(
        case=case.id,
        group=case.group,
        method=repr(case.method),
        request=asdict(case.request),
        fidelity=case.method.fidelity,
        hardware=side.fingerprint["hardware"],
        metrics={**costs, **ratio, **side.scores},
        reference={**reference_costs, **own, **reference.scores},
        counters=side.counters,
        samples={
            "candidate": side.samples,
            "reference": [] if side is reference else list(pairs),
            "preparation": side.preparation,
            "blocks": list(blocks),
            "inputs": _input_rows(side, reference),
        },
        fingerprint={
            **side.fingerprint,
            "metrics": _metric_networks(case, clip),
            "image": digest_of(case),
        },
        run={
            **run,
            "gpu": side.gpu,
            "modules": modules_of(case.method),
            "path": case.path,
            "vram_cap": case.vram_cap,
        },
    )


def digest_of(case: Case) -> str | None:
    """What tells the case's pictures, where their names do not."""
    return image_digest(case.request.image, case.request.width, case.request.height)


def _metric_networks(case: Case, clip: str) -> dict[str, str]:
    if not case.judged:
        return {}
    from accel.metrics import fingerprint

    return fingerprint(clip)


def _input_rows(side: Side, reference: Side) -> list[dict[str, Any]]:
    """Each input of a judged case with its scores, for statistics that pair by input."""
    if not side.rows:
        return []
    return [
        {
            "image": Path(asked.image).name,
            "digest": image_digest(asked.image, asked.width, asked.height),
            "seed": asked.seed,
            "scores": scores,
            "reference": beside,
        }
        for asked, scores, beside in zip(side.inputs, side.rows, reference.rows, strict=True)
    ]
