"""`--vram-cap`: a smaller card, played by a larger one.

What: in the worker of a candidate torch's allocator may take so many GiB of GPU memory, and no
more: what asks for more is out of memory, as on a card of that size. M0 is tried under the cap as
a candidate of its own, beside the reference without a cap, which the speed-ups are told against.
How: torch.cuda.set_per_process_memory_fraction, before anything is loaded. The allocator gives back
what it only caches before it gives up, so that a capped case may be slower, and reserve less, than
the same case without a cap. Hence the cap is a part of the case's id, and its record is compared
with no other.
Not capped: what torch's allocator does not hand out. The CUDA context (some hundred MiB), and what
libraries allocate themselves, come on top of the cap; a real card has to hold them, too.
"""

from __future__ import annotations

from math import isfinite

from accel.errors import InvalidRequestError

__all__ = ["check_cap", "limit", "out_of_memory"]

GIB = 2**30


def check_cap(gib: float | None, on_cpu: bool) -> None:
    """Raises InvalidRequestError for a cap that is no positive number, or one on a CPU."""
    if gib is None:
        return
    if not (isfinite(gib) and gib > 0):
        raise InvalidRequestError(f"--vram-cap is {gib:g}; give GiB above 0, as in 8, 16 or 24")
    if on_cpu:
        raise InvalidRequestError(
            f"--vram-cap {gib:g} caps the memory of a GPU, and the run is on a CPU; leave it out"
        )


def limit(device: str, gib: float) -> None:
    """Cap this process on its current GPU; call it before anything is loaded.

    device: "cpu" or "cuda". Raises InvalidRequestError as check_cap does, and if the GPU has less
    memory than that.
    """
    import torch

    check_cap(gib, on_cpu=device == "cpu")
    total = torch.cuda.mem_get_info()[1]
    if gib * GIB > total:
        raise InvalidRequestError(
            f"--vram-cap {gib:g}: the GPU has {total / GIB:.2f} GiB; choose less, or leave it out"
        )
    torch.cuda.set_per_process_memory_fraction(gib * GIB / total)


def out_of_memory(gib: float | None, message: str) -> str:
    """What an out-of-memory error says: the cap first, if there is one, and the remedy."""
    cap = "" if gib is None else f"out of memory under a cap of {gib:g} GiB: "
    less = f"{cap}{message}; ask for less: --size, --frames, --decode-chunk-size"
    return less if cap else f"{less}; or --fresh, with which M0's process does not lie beside it"
