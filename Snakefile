# The one DAG: stages of every variant and seed, notebooks, book. `python -m sscnb reproduce` calls it; a cluster is
# reached through Snakemake's own options, such as --executor slurm. All it keeps is in the run folder.

import json
import shlex
import sys
from pathlib import Path

from sscnb.settings import load_config
from sscnb.datasets import open_dataset
from sscnb.settings import long_trunk, predicted_splits, refined_variants, segmentation_sources

ROOT = Path(workflow.basedir)
RUN = Path(config["run_dir"])
BUILD = Path(config["build_dir"])
OVERRIDES = config["overrides"]
SETTINGS = load_config(config["preset"], OVERRIDES)
PYTHON = shlex.quote(sys.executable)
OPTIONS = " ".join(
    f"{name} {shlex.quote(str(value))}"
    for name, value in {
        "--preset": config["preset"],
        "--run-dir": RUN,
        "--data-root": config["data_root"],
        "--overrides": json.dumps(OVERRIDES),
    }.items()
).replace("{", "{{").replace("}", "}}")  # Snakemake formats commands
PARAMETERS = {
    "preset": config["preset"],
    "run_dir": str(RUN),
    "data_root": config["data_root"],
    "seed": SETTINGS.seeds[0],
    "overrides": OVERRIDES,
}
NETWORKS = [(variant, seed) for variant in SETTINGS.variants for seed in SETTINGS.seeds]
# One network alone gets all cores; several are trained side by side, which uses them better.
THREADS = max(1, workflow.cores // len(NETWORKS)) if workflow.cores else 1
# A notebook seldom uses more than one core: two are executed side by side.
HALF = max(1, workflow.cores // 2) if workflow.cores else 1
GPU = min(1, int(config.get("gpus", 0)))
CODE = config["code"]  # newer when the package has changed: notebooks are executed again then
NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
DATA = [f"{RUN}/data/results.json", f"{RUN}/superpixels/results.json"]
SEEDS = [f"{RUN}/cam/{variant}/seed{seed}/seeds/results.json" for variant, seed in NETWORKS]
CRF = SETTINGS.irn.crf
PSEUDO = [
    f"{RUN}/irn/{variant}/seed{seed}/{CRF}/evaluation/results.json"
    for variant in refined_variants(SETTINGS)
    for seed in SETTINGS.seeds
]
LEARNED = f"{RUN}/segmentation/{SETTINGS.segmentation.backbone}"
DATASET = open_dataset(config["data_root"]) if config["data_root"] else None
# The split that is kept back, and the one whose seeds are measured where that is another.
MEASURED = ["evaluation", *(f"evaluation_{split}" for split in predicted_splits(SETTINGS, DATASET)[1:])]
SEGMENTATION = [
    f"{LEARNED}/{source}/seed{seed}/{evaluation}/results.json"
    for source in segmentation_sources(SETTINGS, DATASET)
    for seed in SETTINGS.seeds
    for evaluation in MEASURED
]
SEGMENT = "segmentation predictions segmentation_eval" + " train_predictions train_eval" * (len(MEASURED) - 1)


def begins_with(wildcards):
    """Return the results of the variant whose training this one's begins with."""
    trunk = long_trunk(wildcards.variant, SETTINGS)
    return [f"{RUN}/cam/{trunk[0]}/seed{wildcards.seed}/seeds/results.json"] if trunk else []


def read_by(notebook):
    """Return the results that a notebook looks at."""
    if notebook < "02":
        return DATA
    return [*SEEDS, *(PSEUDO if notebook >= "05" else []), *(SEGMENTATION if notebook >= "06" else [])]


wildcard_constraints:
    variant="[^/]+",
    seed="[0-9]+",
    notebook="[0-9]{2}_[a-z_]+",


# Results are targets too: a notebook that is there does not stand in for one that is gone.
rule all:
    input:
        *DATA,
        *SEEDS,
        *PSEUDO,
        *SEGMENTATION,
        expand(f"{RUN}/notebooks/{{notebook}}.ipynb", notebook=NOTEBOOKS),


rule data:
    output:
        *DATA,
    threads: workflow.cores
    shell:
        f"{PYTHON} -m sscnb run data superpixels {OPTIONS}"


rule network:
    priority: 1
    input:
        ancient(DATA),
        ancient(begins_with),
    output:
        f"{RUN}/cam/{{variant}}/seed{{seed}}/seeds/results.json",
    threads: THREADS
    resources:
        gpu=GPU,
    shell:
        f"OMP_NUM_THREADS={{threads}} {PYTHON} -m sscnb run cam cams seeds {OPTIONS}"
        " --variant {wildcards.variant:q} --seed {wildcards.seed}"


# Others may begin with what these have learned, so that no core waits at the end; the baseline's is of no use to any.
use rule network as lonely_network with:
    wildcard_constraints:
        variant="baseline",
    priority: 0


ruleorder: lonely_network > network


# What comes after a variant's seeds is one job: the pseudo-masks, and the network that learns from them.
rule masks:
    input:
        ancient(f"{RUN}/cam/{{variant}}/seed{{seed}}/seeds/results.json"),
    output:
        f"{RUN}/irn/{{variant}}/seed{{seed}}/{CRF}/evaluation/results.json",
        *(f"{LEARNED}/{{variant}}/seed{{seed}}/{evaluation}/results.json" for evaluation in MEASURED),
    threads: THREADS
    resources:
        gpu=GPU,
    shell:
        f"OMP_NUM_THREADS={{threads}} {PYTHON} -m sscnb run ir_labels irn pseudo pseudo_eval {SEGMENT}"
        f" {OPTIONS} --variant {{wildcards.variant:q}} --seed {{wildcards.seed}}"


rule from_true_masks:
    input:
        ancient(DATA[0]),
    output:
        *(f"{LEARNED}/truth/seed{{seed}}/{evaluation}/results.json" for evaluation in MEASURED),
    threads: THREADS
    resources:
        gpu=GPU,
    shell:
        f"OMP_NUM_THREADS={{threads}} {PYTHON} -m sscnb run {SEGMENT} {OPTIONS}"
        " --source truth --seed {wildcards.seed}"


ruleorder: from_true_masks > masks


rule notebook:
    input:
        ROOT / "notebooks/{notebook}.ipynb",
        CODE,
        lambda wildcards: read_by(wildcards.notebook),
    output:
        f"{RUN}/notebooks/{{notebook}}.ipynb",
    # A failed job's output is deleted, so papermill writes to the log, which is kept for looking at the error. What is
    # copied from there is renamed, so that a notebook is whole or not there.
    log:
        f"{RUN}/logs/{{notebook}}.ipynb",
    threads: HALF
    params:
        values=lambda wildcards: json.dumps(PARAMETERS),
    shell:
        f"echo executing {{wildcards.notebook}} && {PYTHON} -m papermill {{input[0]:q}} {{log:q}} --cwd {shlex.quote(str(ROOT / 'notebooks'))}"
        " --kernel python3 --no-progress-bar --log-level WARNING -y {params.values:q}"
        " && cp {log:q} {output:q}.part && mv {output:q}.part {output:q}"


rule book:
    input:
        rules.all.input,
        expand(f"{RUN}/notebooks/{{notebook}}.ipynb", notebook=NOTEBOOKS),
        [str(path) for path in (ROOT / "book").rglob("*") if path.is_file() and "__pycache__" not in path.parts],
        str(ROOT / "_config.yml"),
    output:
        f"{BUILD}/html/index.html",
    threads: workflow.cores
    shell:
        f"{PYTHON} {shlex.quote(str(ROOT / 'book/build.py'))} {shlex.quote(str(RUN))} {shlex.quote(str(BUILD))}"
