"""Render the book of one run: `python book/build.py <run folder> <build folder>`; `make book` calls it last.

The pages of book/ and the run's executed notebooks are laid side by side in a folder and rendered with execution off.
A notebook that is missing, or was executed from another source than notebooks/ holds now, fails the build.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat

from sscnb import figures
from sscnb.errors import UserError
from sscnb.files import read_json
from sscnb.report import describe_rows, ladder_table, reference_rows

ROOT = Path(__file__).resolve().parent.parent


def main(run_folder: str, build_folder: str) -> int:
    """Build `<build folder>/html` from `<build folder>/book`; return the exit code of the build."""
    run, pages, html = Path(run_folder), Path(build_folder) / "book", Path(build_folder) / "html"
    sources = sorted((ROOT / "notebooks").glob("*.ipynb"))
    for source in sources:  # before the book that is there is removed
        check_current(source, run / "notebooks" / source.name)
    # From clean: an incremental build hides warnings.
    for folder in (pages, html):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "book", pages, ignore=shutil.ignore_patterns("*.py", "__pycache__", "results"))
    shutil.copy(ROOT / "_config.yml", pages)
    (pages / "notebooks").mkdir()
    for source in sources:
        shutil.copy(run / "notebooks" / source.name, pages / "notebooks")
    (pages / "cost_table.md").write_text(cost_table(), encoding="utf-8")
    (pages / "figures").mkdir()
    for page in pages.glob("*.md"):
        for name in re.findall(r"figures/(\w+\.png)", page.read_text(encoding="utf-8")):
            copy_figure(run / "figures" / name, pages / "figures" / name)
    (pages / "run.md").write_text(run_table(run), encoding="utf-8")
    (pages / "results.md").write_text(results_table(run), encoding="utf-8")
    # jupyter-book writes to _build/html below the folder it is given.
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", str(pages)]
    command += ["--all", "-nW", "--keep-going", "-q"]
    code = subprocess.run(command, cwd=ROOT).returncode
    if code == 0:
        shutil.move(pages / "_build/html", html)
    return code


def copy_figure(source: Path, target: Path) -> None:
    """Copy a figure that a notebook saved; where the run has none, because its variants lack it, draw that instead."""
    if source.is_file():
        shutil.copy(source, target)
        return
    figure, axis = figures.plt.subplots(figsize=(6, 1))
    axis.axis("off")
    axis.text(0.5, 0.5, "not run: the variants of this run do not include it", ha="center", va="center")
    figures.save(figure, target)


def check_current(source: Path, executed: Path) -> None:
    """Compare an executed notebook with its source.

    Raises:
        UserError: it is missing, damaged, has an error in it, or its cells are not the source's.
    """
    again = f"Run `make book` or `python -m sscnb reproduce` for {executed.parent.parent}."
    if not executed.is_file():
        raise UserError(f"{executed} is missing: the notebook has not been executed. {again}")
    try:
        found = nbformat.read(executed, 4).cells
    except (ValueError, nbformat.ValidationError) as error:
        raise UserError(f"{executed} is no notebook ({type(error).__name__}). {again}") from error
    cells = [c for c in found if "injected-parameters" not in c.metadata.get("tags", [])]
    if [c.source for c in cells] != [c.source for c in nbformat.read(source, 4).cells]:
        raise UserError(f"{executed} is stale: it was executed from another version of {source}. {again}")
    if any(o.output_type == "error" for c in cells if c.cell_type == "code" for o in c.outputs):
        raise UserError(f"{executed} ends in an error. {again}")


def results_table(run: Path) -> str:
    """Return the landing page's table: the paper, this run, and the reference rows that are kept in book/results."""
    columns = {"this run": read_json(run / "report.json")["rows"]} | reference_rows()
    notes = [f"- {title}: {describe_rows(rows)}" for title, rows in columns.items()]
    return "\n".join(
        [ladder_table(columns), "", "Seed mIoU in percent, mean ± standard deviation over seeds.", "", *notes, ""]
    )


def cost_table() -> str:
    """Return the costs that are kept in book/results as tables, one for each quantity."""
    path = ROOT / "book/results/cost.json"
    if not path.is_file():
        return "Not measured."
    text = []
    for metric, unit in {"peak memory": "GiB", "seconds per step": "s", "speed-up": "times"}.items():
        rows = [row for row in read_json(path)["rows"] if row["metric"] == metric]
        if rows:
            text += [f"## {metric.capitalize()}", "", f"| variant | step | setting | {unit} |", "|---|---|---|---|"]
            text += [f"| {r['variant']} | {r['options']} | {_setting(r['setting'])} | {r['value']:.2f} |" for r in rows]
            text += ["", f"Device {rows[0]['device']}, {rows[0]['machine']}, {rows[0]['utc'][:10]}.", ""]
    return "\n".join(text)


def _setting(setting: dict) -> str:
    precision = {"no": "float32"}.get(setting["precision"], setting["precision"])
    return f"{setting['preset']}: {setting['backbone']}, batch {setting['batch']}, {setting['crop']} px, {precision}"


def run_table(run: Path) -> str:
    """Return the page that says what ran, when and with what, from the run's own rows."""
    settings, report = read_json(run / "run.json"), read_json(run / "report.json")
    rows = report["rows"]
    stages = {}
    for row in rows:
        stages[(row["stage"], row.get("variant", ""), row.get("seed", ""))] = row
    lines = [
        f"Preset `{settings['preset']}`, {'a folder of images' if settings['data_root'] else 'the embedded scenes'}.",
        "",
        "| stage | variant | seed | seconds | device | finished (UTC) | commit | configuration |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (stage, variant, seed), row in stages.items():
        lines.append(
            f"| {stage} | {variant} | {seed} | {row['seconds']:.0f} | {row['device']}, {row['machine']} "
            f"| {row['utc'][:16]} | `{row['commit']}` | `{row['config']}` |"
        )
    versions = ", ".join(f"{name} {version}" for name, version in rows[-1]["versions"].items())
    return "\n".join([*lines, "", f"Python {rows[-1]['python']}; {versions}.", ""])


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python book/build.py <run folder> <build folder>")
    try:
        sys.exit(main(*sys.argv[1:]))
    except (UserError, json.JSONDecodeError) as error:
        sys.exit(f"error: {error}")
