"""The command line: `accel COMMAND`; `accel --help` lists them."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from textwrap import fill

from accel.advise import GOALS
from accel.arguments import folder, measured, requested, typed
from accel.errors import AccelError
from accel.methods import METHODS
from accel.models import MODELS, WEIGHTS
from accel.stopping import Terminated, stopped, terminable, unread

__all__ = ["main", "parser"]

EXIT_CODES = """\
exit codes: 0 pass, improved or as expected, 1 regressed or collapsed,
2 a bad argument or a folder that cannot be written, 3 missing, incomparable or inconclusive,
4 a defect of accel, 130 interrupted, 143 terminated"""

MEASURED_CODES = """\
exit codes: 0 every case was measured, 1 a case failed, 2 a bad argument, a busy GPU, or a folder
that is busy or cannot be written, 4 a defect of accel, 130 interrupted (Ctrl-C), 143 terminated;
the same command with --out measures what is missing
(the verdicts decide the exit code of `accel compare`)"""

REFRESHED_CODES = """\
exit codes: 0 every case has its baseline, 1 a case failed and has none (the others have),
2 a bad argument, a busy GPU or folder, or a refusal: then nothing was written, 4 a defect of
accel, 130 interrupted (Ctrl-C), 143 terminated"""

PROVED_CODES = """\
exit codes: 0 every check that can be shown here caught its defect, and the healthy cases pass,
1 not so, 2 a bad argument"""

METHOD_HELP = f"""\
{fill(f"methods: {', '.join(METHODS)}.", 96)}
A method's fields follow a colon, in order or by name: fewer_steps:15,
int8_weight_only:backend=torchao. A plus makes a chain: fewer_steps:10+torch_compile."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. An AccelError is one line and code 2."""
    words = sys.argv[1:] if arguments is None else arguments
    options = parser().parse_args(words)
    options.typed = typed(words)
    try:
        with terminable():
            code: int = getattr(import_module(options.module), options.command)(options)
        sys.stdout.flush()
    except AccelError as error:
        print(f"accel: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, Terminated) as stop:
        return stopped(stop, resumes=not vars(options).get("base"))
    except Exception as error:  # Python's own exit code for it, 1, would say "regressed"
        if isinstance(error, BrokenPipeError) and unread():
            return 141  # 128 + SIGPIPE, as of any program before `head`
        traceback.print_exc()
        return 4
    return code


def parser() -> argparse.ArgumentParser:
    """Every command with its options."""
    root = argparse.ArgumentParser(
        prog="accel",
        description="Accelerations of diffusion models, and the gates that keep them honest.",
    )
    root.set_defaults(module="accel.commands")
    commands = root.add_subparsers(dest="command", required=True, metavar="command")
    _list(commands)
    _measuring(commands, "bench", "measure methods and show one table of what each did")
    _measuring(commands, "refresh", "measure repeats, and accept them as calibrated baselines")
    _compare(commands)
    _advise(commands)
    _prove(commands)
    _report(commands)
    _fetch(commands)
    _doctor(commands)
    return root


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    summary: str,
    epilog: str | None = None,
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _list(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = _add(commands, "list", "list models, weights, methods, metrics and photographs")
    command.add_argument("--json", action="store_true", help="as JSON, for other programs")


def _measuring(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, summary: str
) -> None:
    codes = REFRESHED_CODES if name == "refresh" else MEASURED_CODES
    command = _add(commands, name, summary, f"{METHOD_HELP}\n\n{codes}")
    command.add_argument("model", metavar="MODEL", help=" | ".join(MODELS))
    measured(command)
    command.add_argument(
        "--baselines", type=Path, default=Path("baselines"), help="folder (default: %(default)s)"
    )
    command.add_argument(
        "--cold",
        action="store_true",
        default=None,
        help="of methods that compile, measure the start of a fresh process and three sizes, too",
    )
    if name == "refresh":
        command.add_argument(
            "--from",
            dest="source",
            type=Path,
            help="accept the records of this run of MODEL; nothing is measured but planted "
            "defects, where a limit is wider than the table's",
        )
        command.add_argument(
            "--repeats",
            type=int,
            metavar="N",
            help="measure all so often, each time with fresh workers; the spread sets the limits, "
            "and one repeat leaves them to the table (default: 3)",
        )
        command.add_argument(
            "--reason",
            metavar="TEXT",
            help="why a baseline may be worse than the old one, or its limits wider; it is kept",
        )


def _compare(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = _add(
        commands,
        "compare",
        "give the verdicts of a run against the baselines or another run, or of two accels",
        EXIT_CODES,
    )
    command.add_argument(
        "run",
        type=Path,
        metavar="DIR|MODEL",
        help="run folder to judge; with OTHER, the old one; with --base and --head, the model",
    )
    command.add_argument("other", type=Path, nargs="?", metavar="OTHER", help="the new run folder")
    where = (
        "a commit of the repository here, a virtual environment's folder, or . for the tree here"
    )
    command.add_argument("--base", metavar="REF|ENV", help=f"measure against this accel: {where}")
    command.add_argument("--head", metavar="REF|ENV", help="measure this one, in turns with --base")
    command.add_argument(
        "--baselines", type=Path, help="folder to judge one run against (default: baselines)"
    )
    command.add_argument(
        "--allow-inconclusive", action="store_true", help="turn exit code 3 into 0"
    )
    command.add_argument("--verbose", action="store_true", help="show the checks that pass, too")
    measured(command)


def _advise(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = _add(commands, "advise", "say which measured method to use, and why")
    command.add_argument(
        "folder", type=Path, metavar="DIR", help="run folder, or baselines/HARDWARE/GROUP"
    )
    command.add_argument("--goal", choices=GOALS, required=True, help="what matters")
    command.add_argument("--max-vram", type=float, metavar="GiB", help="most peak memory")
    command.add_argument(
        "--min-quality",
        action="extend",
        nargs="+",
        type=_bound,
        default=[],
        metavar="METRIC=VALUE",
        help="worst value allowed: lpips=0.05 is a ceiling, psnr=30 a floor",
    )
    command.add_argument(
        "--quality",
        type=Path,
        metavar="DIR",
        help="where the quality of the same methods is taken from, for untrained weights",
    )
    command.add_argument(
        "--request", help="of the cases, as after the @ (default: the most cases')"
    )
    command.add_argument(
        "--baselines", type=Path, default=Path("baselines"), help="folder (default: %(default)s)"
    )


def _bound(text: str) -> tuple[str, float]:
    """`lpips=0.05` as a metric and its bound."""
    metric, _, value = text.partition("=")
    try:
        return metric, float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not METRIC=VALUE, as lpips=0.05") from None


def _prove(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = _add(
        commands,
        "prove",
        "plant defects, and show that the gate catches each by its own check",
        PROVED_CODES,
    )
    command.set_defaults(module="accel.prove.command")
    command.add_argument("--model", default="svd", help=" | ".join(MODELS) + " (default: svd)")
    command.add_argument(
        "--weights", help=" | ".join(WEIGHTS) + " (default: mini; with --timing untrained)"
    )
    command.add_argument("--path", help="folder of pretrained weights in the diffusers layout")
    command.add_argument(
        "--out",
        type=folder,
        help="run folder; one that exists is resumed (default: a new one below runs/)",
    )
    command.add_argument("--device", choices=("cpu", "cuda"), help="default: a GPU if there is one")
    command.add_argument(
        "--repeats",
        type=int,
        default=20,
        help="of the healthy case, for the rate of false alarms (default: %(default)s)",
    )
    command.add_argument(
        "--blocks",
        type=int,
        default=0,
        metavar="N",
        help="time single calls, too, in up to N blocks of turns, for the defects that only those "
        "show (default: none; 40 with --timing)",
    )
    command.add_argument("--cold", action="store_true", help="plant those of a cold start, too")
    command.add_argument(
        "--timing",
        action="store_true",
        help="on a GPU, and nothing else: how often M0 against M0 passes, and 5 %% of sleep is "
        "regressed; of 512x512, 14 frames, 4 steps, if nothing else is asked for; it resumes, too",
    )
    requested(command)


def _report(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = _add(
        commands,
        "report",
        "write table, contact sheet and videos of a run folder anew, or show how baselines changed",
    )
    command.add_argument("run", type=Path, nargs="?", metavar="DIR", help="run folder")
    command.add_argument(
        "--trend",
        nargs="?",
        const="",
        metavar="MODEL|PATTERN",
        help="the history of the baselines in git, a table each: of all, of a model, or of those "
        "with the pattern in hardware/model.weights/case",
    )
    command.add_argument("--markdown", action="store_true", help="--trend as Markdown")
    command.add_argument(
        "--baselines", type=Path, default=Path("baselines"), help="folder (default: %(default)s)"
    )


def _fetch(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = _add(commands, "fetch", "get third-party files, by checksum, into the cache folder")
    command.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="lpips-alexnet | rife-v4 | bikes, a clip for `python -m accel.models.rife_proof` "
        "(default: the weights alone)",
    )


def _doctor(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = _add(
        commands, "doctor", "say what works on this machine, what is missing, how to get it"
    )
    command.add_argument("--pretrained", action="store_true", help="check the hub's weights, too")


if __name__ == "__main__":
    sys.exit(main())
