"""`python -m sscnb`: doctor, data, reproduce, run, keep, predict, submit.

The floors below are imported where they are used: they bring torch, seconds that a wrong option should not cost.
"""

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sscnb import __version__
from sscnb.commands import data as cli_data
from sscnb.errors import UserError, system_errors
from sscnb.files import read_json, user_path
from sscnb.settings import PRESETS, find_variant, load_config

if TYPE_CHECKING:
    from sscnb.stages import Run

STAGES: tuple[str, ...] = ("data", "superpixels", "cam", "cams", "seeds", "ir_labels", "irn", "pseudo", "pseudo_eval")
STAGES += ("segmentation", "predictions", "segmentation_eval", "train_predictions", "train_eval")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0, or 2 after a message when something is for the user to mend."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    if rest and options.command != "reproduce":
        parser.error(f"unrecognised arguments: {' '.join(rest)}")
    signal.signal(signal.SIGTERM, _terminated)
    try:
        with system_errors():
            return options.function(options, [word for word in rest if word != "--"])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        # A line of its own: the cursor stands behind a progress bar.
        print(f"\n{error or 'interrupted'}; the same command goes on from here.", file=sys.stderr)
        return 143 if str(error) else 130


def _terminated(*_: object) -> None:
    """End like an interruption from the keyboard, so that files are whole and locks are given back."""
    raise KeyboardInterrupt("terminated")


def run_stages(options: argparse.Namespace, _: list[str]) -> int:
    """Run stages in the order given."""
    run = _open(options)
    source = options.source or options.variant
    for name in {options.variant, source} - {"truth"}:
        find_variant(name, run.config)  # a wrong name is found before the stages ahead of it have run
    from sscnb.gpus import claimed_gpu
    from sscnb.ranks import is_main
    from sscnb.stages import REFINING_STAGES, RUN_STAGES, SOURCE_STAGES, VARIANT_STAGES

    with claimed_gpu():
        for name in options.stage:
            if name in RUN_STAGES:
                result = RUN_STAGES[name](run)
            elif name in REFINING_STAGES:
                result = REFINING_STAGES[name](run, options.variant, crf=options.crf)
            elif name in SOURCE_STAGES:
                result = SOURCE_STAGES[name](run, source, crf=options.crf)
            else:
                result = VARIANT_STAGES[name](run, options.variant)
            shown = [f"{row['metric']} {row['value']:.4g}" for row in result["rows"] if row["value"] is not None]
            if is_main():
                print(f"{name}: {', '.join(shown[:8]) or result.get('note', 'done')}")
    return 0


def reproduce(options: argparse.Namespace, rest: list[str]) -> int:
    """Hand the whole DAG to Snakemake: stages, executed notebooks and, with --book, the rendered book."""
    from sscnb.commands.reproduce import reproduce_run

    if options.seed is not None:
        options.overrides = {**options.overrides, "seeds": [options.seed]}
    run = _open(options)  # which adds the overrides of the last time
    settings = {
        "build_dir": options.build_dir,
        "overrides": options.overrides,
        "gpus": _gpus() if options.gpus is None else options.gpus,
    }
    cores = options.cores or os.cpu_count() or 1
    return reproduce_run(run, settings, rest, book=options.book, dry_run=options.dry_run, cores=cores)


def keep(options: argparse.Namespace, _: list[str]) -> int:
    """Keep a run's rows with the book, as one of its reference sets."""
    from sscnb.evidence import keep_rows

    run = _open(options)
    splits = options.split or [run.config.data.seed_split, run.config.data.val_split]
    keep_rows(run, options.name, splits)
    print(f"book/results/{options.name}.json: rows of {run.folder} on split {', '.join(dict.fromkeys(splits))}")
    print("README is made of such rows: `.venv/bin/python book/readme_parts.py` writes its part anew.")
    return 0


def doctor(options: argparse.Namespace, _: list[str]) -> int:
    """Say what is here, what is missing and how to get it."""
    from sscnb.commands.doctor import report

    return report(options.data_root)


def _open(options: argparse.Namespace) -> "Run":
    from sscnb.stages import open_run, project_root

    if not options.preset:
        folder = project_root() / user_path(options.run_dir)
        if options.run_dir and (folder / "run.json").is_file():  # it goes on as it was
            options.preset = read_json(folder / "run.json", {"preset": str})["preset"]
            options.overrides = {**_kept(folder, options.preset), **options.overrides}
        else:
            options.preset = "small"
    return open_run(options.preset, options.run_dir, options.data_root, options.seed or 0, options.overrides)


def _kept(folder: Path, preset: str) -> dict[str, Any]:
    """Return the overrides that a run folder was last reproduced with: none where only `run` has worked in it."""
    path = folder / "reproduce.json"
    if not os.path.lexists(path):
        return {}
    try:
        kept = read_json(path, {"overrides": dict})["overrides"]
        load_config(preset, kept)
    except UserError as error:
        why = str(error).partition(" Delete it")[0].rstrip(".")
        raise UserError(
            f"{path} does not tell how the run was made ({why}). Name that, and it is written anew: --preset {preset}, "
            "and --overrides if there were any."
        ) from error
    return kept


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()


def _overrides(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON ({error}): {text}") from error
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f'expected a JSON object such as {{"cam.epochs": 2}}, not {text}')
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sscnb", description="SSC-NB: the research book on SSC, and its runs."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)

    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--preset", default="", help=f"one of {', '.join(PRESETS)} (default: the run folder's, or small)"
    )
    common.add_argument(
        "--run-dir", default="", help="run folder, from the project's folder on (default: runs/<preset>)"
    )
    common.add_argument("--data-root", default="", help="VOC-layout folder, for presets that read one")
    common.add_argument("--overrides", type=_overrides, default={}, metavar="JSON", help="as '{\"cam.epochs\": 2}'")

    command = commands.add_parser("doctor", help="what is here, what is missing and how to get it")
    command.add_argument("--data-root", default="", help="a VOC-layout folder to look at as well")
    command.set_defaults(function=doctor)

    command = commands.add_parser(
        "reproduce",
        parents=[common],
        help="all stages and notebooks of a preset",
        epilog="Further options go to Snakemake, such as --executor slurm --jobs 8.",
    )
    command.add_argument("--book", action="store_true", help="render the book as well and print its landing page")
    command.add_argument("--build-dir", default="_build", help="where the book is rendered (default: _build)")
    command.add_argument(
        "--dry-run", action="store_true", help="only say what would run: jobs, networks, steps, memory, estimated hours"
    )
    command.add_argument("--cores", type=int, default=0, help="cores to use (default: all)")
    command.add_argument("--gpus", type=int, help="GPUs that jobs may hold at once (default: those of this machine)")
    command.add_argument("--seed", type=int, help="random seed (default: the preset's)")
    command.set_defaults(function=reproduce)

    command = commands.add_parser("run", parents=[common], help="one or more stages, in the order given")
    command.add_argument("stage", nargs="+", choices=STAGES, metavar="stage", help=", ".join(STAGES))
    command.add_argument("--variant", default="baseline", help="variant of the CAM network (default: baseline)")
    command.add_argument("--seed", type=int, default=0, help="random seed (default: 0)")
    command.add_argument(
        "--crf", choices=("dense", "none"), default="", help="of the relation labels (default: irn.crf)"
    )
    command.add_argument(
        "--source", default="", help="of segmentation: a variant, or truth, the true masks (default: the variant)"
    )
    command.set_defaults(function=run_stages)

    command = commands.add_parser("keep", parents=[common], help="keep a run's rows with the book, as reference rows")
    command.add_argument("--name", required=True, help="which set they are: voc_animals, scenes")
    command.add_argument("--split", action="append", help="a split whose rows are kept (default: the run's own)")
    command.set_defaults(function=keep, seed=0)

    cli_data.add_commands(commands)
    return parser
