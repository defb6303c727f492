"""Render the book of one run: `python book/build.py <run folder> <build folder>`; `make book` calls it last.

The pages of book/ and the run's executed notebooks are laid side by side in a folder and rendered with execution off.
A notebook that is missing, or was executed from another source than notebooks/ holds now, fails the build.
"""

import json
import re
import shutil
import sys
from collections import Counter
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
from jupyter_book.cli.main import main as jupyter_book
from matplotlib.figure import Figure
from PIL import Image
from publication import citation, configuration  # beside this file, as is
from wing_pages import wing_pages

from sscnb.errors import UserError
from sscnb.evidence import (
    MEASURED,
    alignment_table,
    check_table,
    claims_table,
    classes_table,
    commands_text,
    cost_table,
    describe_rows,
    effects_table,
    evidence_table,
    figures,
    frontier_table,
    in_words,
    interventions_table,
    ladder_table,
    measured_in_words,
    paper,
    pipeline_table,
    plan_table,
    reference_rows,
    refined_table,
    size_panels,
    speed_table,
    suppression_table,
    sweep_table,
    walks_table,
)
from sscnb.files import read_json

ROOT = Path(__file__).resolve().parent.parent
# Steps of the ladder whose page has a table of what changes them.
INTERVENTIONS = {
    "suppression": ("baseline", "drs"),
    "reconstruction": ("drs", "drs+cdr"),
    "modulation": ("drs+cdr", "ssc"),
}


def main(run_folder: str, build_folder: str) -> int:
    """Build `<build folder>/html` from `<build folder>/book`; return the exit code of the build."""
    run, pages, html = Path(run_folder), Path(build_folder) / "book", Path(build_folder) / "html"
    sources = sorted((ROOT / "notebooks").glob("*.ipynb"))
    for source in sources:  # before the book that is there is removed
        check_current(source, run / "notebooks" / source.name)
    figures.use_style()
    # From clean: an incremental build hides warnings.
    for folder in (pages, html):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "book", pages, ignore=shutil.ignore_patterns("*.py", "__pycache__", "results"))
    (pages / "_config.yml").write_text(configuration(ROOT / "_config.yml"), encoding="utf-8")
    (pages / "notebooks").mkdir()
    for source in sources:
        copy_notebook(run / "notebooks" / source.name, pages / "notebooks" / source.name)
    (pages / "figures").mkdir()
    shown = run_in_words(run)
    for page in pages.glob("*.md"):
        text = page.read_text(encoding="utf-8")
        for name in re.findall(r"figures/(\w+\.png)", text):
            copy_figure(run / "figures" / name, pages / "figures" / name)
        page.write_text(text.replace("{{ run }}", shown), encoding="utf-8")
    (pages / "generated").mkdir()
    for name, text in generated(run).items():
        (pages / "generated" / name).write_text(text, encoding="utf-8")
    for name, figure in kept_figures().items():
        figures.save(figure, pages / "generated" / name)
    (pages / "api").mkdir()
    for name, text in wing_pages().items():
        (pages / "api" / name).write_text(text, encoding="utf-8")
    for picture in walk_pictures(run).values():
        shutil.copy(picture, pages / "_static")
    code = render(pages)
    if code == 0:
        polish(pages / "_build/html", sources)
        shutil.move(pages / "_build/html", html)
    return code


def render(pages: Path) -> int:
    """Render a folder of pages to `_build/html` below it; return jupyter-book's exit code.

    It is called in this process: another one would import the whole package again, for the pages of its wings.
    """
    try:
        jupyter_book(["build", str(pages), "--all", "-nW", "--keep-going", "-q"], standalone_mode=False)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    except RuntimeError as error:  # of Sphinx, which has said what it is
        print(error, file=sys.stderr)
        return 1
    return 0


def generated(run: Path) -> dict[str, str]:
    """Return the parts of pages that are made from result rows, by the file name that the pages include."""
    sets = {"this run": read_json(run / "report.json", {"rows": list})["rows"]} | reference_rows()
    costs, full_size = kept_rows("cost"), kept_rows("voc_check")
    parts = {f"table_{n}.md": evidence_table(n, sets, costs) for n in paper.CAPTIONS}
    parts |= {"results.md": results_table(sets), "pipeline.md": pipeline_table(sets), "sweep.md": sweep_table(sets)}
    parts |= {"effects.md": effects_table(sets), "claims.md": claims_table(sets), "frontier.md": frontier_table()}
    parts["words.md"] = in_words(reference_rows())
    grouped = kept_rows("image_groups")
    parts |= {"classes.md": classes_table(grouped), "refined.md": refined_table(grouped)}
    parts["walks.md"] = walks_table(kept_rows("walks"))
    parts["suppression_small.md"] = suppression_table(kept_rows("suppression"), "small")
    changed, chosen = kept_rows("interventions"), reference_rows()["VOC photographs"]
    for page, step in INTERVENTIONS.items():
        parts[f"interventions_{page}.md"] = interventions_table(changed, chosen, *step)
    parts["alignment.md"] = alignment_table(chosen)
    parts |= {f"measured_{page}.md": measured_in_words(page, reference_rows()) for page in MEASURED}
    parts |= {"run.md": run_table(run), "kept.md": kept_table(reference_rows()), "cost.md": cost_table(costs)}
    parts["speed.md"] = speed_table(kept_rows("speed"))
    parts |= {"commands.md": commands_text(), "cite.md": citation(ROOT)}
    parts |= {"voc_check.md": check_table(full_size), "hours.md": plan_table(full_size)}
    parts["campaign.md"] = campaign_table(ROOT / "book/results/campaign.json")
    return parts | {"threshold.html": threshold_part(run), "walk.html": walk_part(run)}


def kept_figures() -> dict[str, Figure]:
    """Return the figures that are drawn from the rows of benchmarks, by the file name that the pages include."""
    return {"object_size.png": figures.size_curves(size_panels(kept_rows("image_groups")))}


def run_in_words(run: Path) -> str:
    """Say whose pictures a caption stands under, as it follows "of": the run's data and the networks' backbone."""
    made = read_json(run / "run.json", {"preset": str, "data_root": str, "settings": dict})
    data = "the photographs" if made["data_root"] else "the generated scenes"
    # Few steps on few images: such networks show that all runs, and nothing of what a caption tells to look for.
    only = " (which only checks that everything runs: its networks have learned next to nothing)"
    preset = f"preset `{made['preset']}`" + (only if made["preset"] == "tiny" else "")
    return f"{data} of {preset}, backbone {made['settings']['cam']['backbone']}"


def kept_rows(name: str) -> list[dict]:
    """Return the rows of a benchmark that are kept in book/results."""
    path = ROOT / f"book/results/{name}.json"
    return read_json(path)["rows"] if path.is_file() else []


# Jupyter Book loads twice what a live kernel would need; MathJax, being in _static, on every page and once more where
# there are formulas; the list of works has a role that its entries do not answer to; and the arguments of a function
# are a list of definitions without anything defined.
_MENDED = [
    (r"<script>const THEBE_JS_URL.*?</script>", ""),
    (r'<script async="async" src="[^"]*sphinx-thebe\.js[^"]*"></script>', ""),
    (r'<script src="[^"]*tex-svg\.js[^"]*"></script>', ""),
    (r'<div role="list" class="citation-list">', '<div class="citation-list">'),
    (r'<dl>(\s*<dd><em class="sig-param">.*?)</dl>', r"<span>\1</span>"),
    (r'<dd>(<em class="sig-param">.*?)</dd>', r'<span class="argument">\1</span>'),
]


def polish(html: Path, sources: list[Path]) -> None:
    """Mend the rendered pages, and take out what no reader loads: outputs of notebooks to download, maps of styles."""
    smaller = smaller_pictures(html / "_images")
    for page in html.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        text = re.sub(r"(?<=_images/)[\w.-]+", lambda name: smaller.get(name[0], name[0]), text)
        for wrong, right in _MENDED:
            text = re.sub(wrong, right, text, flags=re.DOTALL)
        page.write_text(text, encoding="utf-8")
    for source in sources:  # the page holds the outputs already
        shutil.copy(source, html / "_sources/notebooks")
    for path in (html / "_static").rglob("*.map"):
        path.unlink()


def smaller_pictures(folder: Path, above: int = 100_000) -> dict[str, str]:
    """Turn PNG files of more than `above` bytes into WebP, a fraction of that; return the new name of each."""
    names = {}
    for path in folder.glob("*.png"):
        if path.stat().st_size > above:
            with Image.open(path) as picture:
                picture.save(path.with_suffix(".webp"), quality=90)
            path.unlink()
            names[path.name] = path.with_suffix(".webp").name
    return names


def walk_pictures(run: Path) -> dict[int, Path]:
    """Return the pictures of the random walk that the run has, `figures/walk_<steps>.png`, by the number of steps."""
    found = {int(path.stem[5:]): path for path in run.glob("figures/walk_*.png") if path.stem[5:].isdigit()}
    return dict(sorted(found.items()))


def walk_part(run: Path) -> str:
    """Return the slider over the steps of the random walk, as far as the run has pictures of it."""
    steps = list(walk_pictures(run))
    if not steps:
        return "<p>Not run: this run has no pictures of the random walk.</p>"
    return (
        f'<div class="explorer walk-explorer" data-steps="{",".join(map(str, steps))}" data-source="_static/walk_">'
        f'<img src="_static/walk_{steps[0]}.png" alt="Activation after {steps[0]} steps of the random walk"></div>'
    )


def threshold_part(run: Path) -> str:
    """Return the slider over the threshold with the images that notebook 07 chose."""
    path = run / "figures/explorer.json"
    if not path.is_file():
        return "<p>Not run: notebook 07 of this run has written no images to try.</p>"
    text = json.dumps(read_json(path), separators=(",", ":")).replace("</", "<\\/")  # no end of the script in a name
    return f'<div class="explorer threshold-explorer"><script type="application/json">{text}</script></div>'


def copy_notebook(source: Path, target: Path) -> None:
    """Copy an executed notebook; the cell with a run's parameters, which papermill added, is not shown."""
    notebook = nbformat.read(source, 4)
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata["tags"].append("remove-cell")
    nbformat.write(notebook, target)


def copy_figure(source: Path, target: Path) -> None:
    """Copy a figure that a notebook saved; where the run has none, because its variants lack it, draw that instead."""
    if source.is_file():
        shutil.copy(source, target)
        return
    figure, ((axis,),) = figures.canvas(1, 1, 0.6)
    axis.axis("off")
    axis.text(0.5, 0.5, "not run: the variants of this run do not include it", ha="center", va="center")
    figures.save(figure, target)
    plt.close(figure)


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


def results_table(sets: dict[str, list[dict]]) -> str:
    """Return the landing page's table: the paper, this run, and the reference rows that are kept in book/results."""
    notes = [f"- {title}: {describe_rows(rows)}" for title, rows in sets.items()]
    return "\n".join(
        [ladder_table(sets), "", "Seed mIoU in percent, mean ± standard deviation over random seeds.", "", *notes, ""]
    )


def run_table(run: Path) -> str:
    """Return the page that says what ran, when and with what, from the run's own rows."""
    settings = read_json(run / "run.json", {"preset": str, "data_root": str})
    rows = read_json(run / "report.json", {"rows": list})["rows"]
    stages = {}
    for row in rows:
        stages[tuple(row.get(key, "") for key in ("stage", "variant", "seed", "split", "crf"))] = row
    lines = [
        f"Preset `{settings['preset']}`, {'a folder of images' if settings['data_root'] else 'the embedded scenes'}; "
        f"{sum(row['seconds'] for row in stages.values()) / 60:.0f} minutes of stages in all.",
        "",
        "| stage | variant | random seed | split | seconds | device | finished (UTC) | commit | configuration |",
        "|---|---|---|---|---:|---|---|---|---|",
    ]
    for (stage, variant, seed, split, _), row in stages.items():
        lines.append(
            f"| {stage} | {variant} | {seed} | {split} | {row['seconds']:.0f} | {row['device']}, {row['machine']} "
            f"| {row['utc'][:16].replace('T', ' ')} | `{row['commit']}` | `{row['config']}` |"
        )
    return "\n".join([*lines, "", _versions(rows[-1]), ""])


def kept_table(sets: dict[str, list[dict]]) -> str:
    """Return what the reference rows were measured with: one line a data set, variant and commit."""
    lines = [
        "| data | variant | stages | random seeds | device | from | to (UTC) | commit |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for title, rows in sets.items():
        groups = {}
        for row in rows:
            groups.setdefault((row.get("variant", ""), row["commit"]), []).append(row)
        for (variant, commit), group in groups.items():
            stages, seeds = (sorted({str(row[key]) for row in group if key in row}) for key in ("stage", "seed"))
            times = sorted(row["utc"][:16].replace("T", " ") for row in group)
            device = f"{group[0]['device']}, {group[0]['machine']}"
            cells = [title, variant, ", ".join(stages), ", ".join(seeds), device, times[0], times[-1], f"`{commit}`"]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""]) if len(lines) > 2 else "None are kept."


def campaign_table(path: Path) -> str:
    """Return the counts of the last campaign of bad inputs and kills, which `make campaign` writes."""
    found = read_json(path) if path.is_file() else {}
    return "\n\n".join([_cases_table(found.get("cases")), _kills_text(found.get("kills")), ""])


def _cases_table(found: dict | None) -> str:
    if not found:
        return "Bad inputs: not run."
    good = ("refused", "mended", "healed", "accepted")
    lines = [
        "| kind of input | cases | refused | mended as told | made again unasked | rightly taken | failed |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for kind, outcomes in found["kinds"].items():
        counts = [outcomes.get(name, 0) for name in good]
        total = sum(outcomes.values())
        lines.append(f"| {kind} | " + " | ".join(map(str, [total, *counts, total - sum(counts)])) + " |")
    cases = sum(sum(outcomes.values()) for outcomes in found["kinds"].values())
    return "\n".join([*lines, "", f"{cases} cases. {_ran(found)}{_ran_again(found)}"])


def _kills_text(found: dict | None) -> str:
    if not found:
        return "Kills: not run."
    ways = ", ".join(f"{n} of `{name}`" for name, n in Counter(kill["command"] for kill in found["kills"]).items())
    return (
        f"{len(found['kills'])} kills ({ways}) at random moments, the same command again after each: "
        f"{found['differ']} runs ended otherwise than an undisturbed one. Two processes at once, signals, full disks: "
        f"{sum(found['others'].values())} of {len(found['others'])} as they should. {_ran(found)}{_ran_again(found)}"
    )


def _ran_again(found: dict) -> str:
    """Say what `make campaign` was asked to enter afterwards."""
    times = ", ".join(f"{one['cases']} at `{one['commit']}`" for one in found.get("again", []))
    return f" Tried again after they had failed, or new since: {times}." if times else ""


def _ran(found: dict) -> str:
    return (
        f"Commit `{found['commit']}`, {found['machine']}, Python {found['python']}, {found['utc'][:10]}, "
        f"{found['seconds'] / 60:.0f} minutes."
    )


def _versions(row: dict) -> str:
    return (
        f"Python {row['python']}; " + ", ".join(f"{name} {version}" for name, version in row["versions"].items()) + "."
    )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python book/build.py <run folder> <build folder>")
    try:
        sys.exit(main(*sys.argv[1:]))
    except (UserError, json.JSONDecodeError) as error:
        sys.exit(f"error: {error}")
