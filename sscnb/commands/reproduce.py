"""`reproduce`: the whole DAG by Snakemake, with nothing called done that is not."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

from sscnb.commands.doctor import check_packaged
from sscnb.errors import UserError
from sscnb.files import write_json
from sscnb.locks import Lock, locks_given_back
from sscnb.stages import Run, look, project_root, stamp_code

PATIENCE = 20.0  # seconds between being asked to stop and being made to


def reproduce_run(
    run: Run, settings: dict[str, Any], rest: Sequence[str], *, book: bool, dry_run: bool, cores: int
) -> int:
    """Run all stages and notebooks of a run that have work left, and render the book if wanted.

    Args:
        settings: what the Snakefile takes besides the run: `build_dir`, `overrides`, `gpus`.
        rest: further options of Snakemake.
        dry_run: only say what would run, with what it takes, and write nothing.

    Returns:
        0 when everything is there, 130 or 143 when it was interrupted.

    Raises:
        UserError: parts of the run were made with other settings, weights of a package are not installed, a step
            failed, or another process is at work.
    """
    work, conflicts = look(run)
    if conflicts:
        raise UserError("\n".join(conflicts))
    if work and not dry_run:
        check_packaged(run.config)
    check_executor(rest)
    if dry_run:
        print_plan(run)
    root = project_root()
    settings = {
        "preset": run.config.preset,
        "run_dir": str(run.folder),
        "data_root": run.data_root,
        **settings,
        "build_dir": str(root / settings["build_dir"]),
    }
    with _records(run, dry_run) as records:
        # A file, since Snakemake reads values on its command line as text: 2 would become "2".
        write_json(records / "reproduce.json", {**settings, "code": str(stamp_code(records))})
        target = "book" if book else "all"
        command = [sys.executable, "-m", "snakemake", target, "--snakefile", str(root / "Snakefile")]
        command += ["--directory", str(root), "--cores", str(cores), "--resources", f"gpu={settings['gpus']}"]
        # Jobs write their last output when all else is whole, so an output that is there is complete whatever
        # Snakemake remembers of the job; and files are whole, so a lock that a killed run left guards nothing.
        command += ["--rerun-triggers", "mtime", "--ignore-incomplete", "--nolock"]
        quiet = ["host"] if dry_run else ["host", "reason", "rules", "progress"]
        command += ["--quiet", *quiet, *(["--dry-run"] if dry_run else []), *rest]
        code = run_group([*command, "--configfile", str(records / "reproduce.json")], root)
    if code < 0 or code >= 128:
        raise KeyboardInterrupt("terminated" if code in (-signal.SIGTERM, 143) else "interrupted")
    if code:
        raise UserError(f"a step failed; its message is above, and a failed notebook is kept in {run.folder / 'logs'}.")
    if not dry_run:
        page = Path(settings["build_dir"]) / "html/index.html"
        check_there(run, root, page if book else None)
        if book:
            print(page)
    return 0


def print_plan(run: Run) -> None:
    """Print what a run's preset runs, and what it takes."""
    from sscnb.evidence import images_of_run, plan_of_run, plan_text

    images = images_of_run(run)
    print("Counting the operations of a step of each network: a minute or more.", file=sys.stderr, flush=True)
    text = plan_text(plan_of_run(run))
    learns = f"{images.train:,} images to learn from and {images.val:,} of {run.config.data.val_split}"
    print(f"All that preset {run.config.preset} runs here, on {learns}, done or not:\n\n{text}\n")
    print("The jobs that are left, as Snakemake sees them:\n", flush=True)


def check_executor(rest: Sequence[str]) -> None:
    """Look for the plugin of the executor that Snakemake's options name.

    Raises:
        UserError: it is not installed.
    """
    for option, after in pairwise([*rest, ""]):
        option, name = option.partition("=")[::2] if "=" in option else (option, after)
        plugin = f"snakemake-executor-plugin-{name}"
        inbuilt = name in ("local", "dryrun", "touch")
        if option in ("--executor", "-e") and not inbuilt and find_spec(plugin.replace("-", "_")) is None:
            raise UserError(
                f"executor {name!r} is a plugin of Snakemake that is not here. Install it with "
                f"'{sys.executable} -m pip install {plugin}', or leave --executor out to run on this machine."
            )


@contextmanager
def _records(run: Run, dry_run: bool) -> Iterator[Path]:
    """Yield the folder for what Snakemake is told: the run's own, locked, or for a dry run a temporary one."""
    if dry_run:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
        return
    with locks_given_back():
        Lock(run.folder).acquire()
        yield run.folder


def check_there(run: Run, root: Path, page: Path | None) -> None:
    """Look at what should be there now: every stage, every executed notebook, and the landing page if there is to be.

    Raises:
        UserError: something is not.
    """
    work, _ = look(run)
    notebooks = [run.folder / "notebooks" / path.name for path in sorted((root / "notebooks").glob("*.ipynb"))]
    lacking = [*work, *(str(path) for path in [*notebooks, *([page] if page else [])] if not path.is_file())]
    if lacking:
        more = f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""
        raise UserError(f"this is not there yet: {', '.join(lacking[:5])}{more}. Call the same command again.")


def run_group(command: Sequence[str], folder: Path) -> int:
    """Run a command with all that it starts as one group, hand on interruptions to it, and return its exit code.

    Who asks this process alone to stop, as a scheduler does, stops the jobs too: first kindly, after `PATIENCE`
    seconds for good.
    """
    started: list[subprocess.Popen] = []
    asked: list[int] = []

    def hand_on(number: int, _: object) -> None:
        asked.append(number)
        for process in started:
            _signal_group(process.pid, number)

    before = {number: signal.signal(number, hand_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        started.append(process := subprocess.Popen(command, cwd=folder, start_new_session=True))
        if asked:  # while it was started
            _signal_group(process.pid, asked[0])
        while True:
            try:
                code = process.wait(timeout=1.0 if not asked else PATIENCE)
                break
            except subprocess.TimeoutExpired:
                if asked:
                    _signal_group(process.pid, signal.SIGKILL)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for process in started:
            _signal_group(process.pid, signal.SIGKILL)  # what outlived the leader
    return -asked[0] if asked else code


def _signal_group(leader: int, number: int) -> None:
    try:
        os.killpg(leader, number)
    except ProcessLookupError:
        pass
