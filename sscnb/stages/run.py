"""The run folder: where everything of a run lies, whether a stage is done, and where a number comes from.

<run>/run.json                     preset and data set that the folder belongs to
<run>/dataset/                     the embedded scenes, or a link to data_root
<run>/cam/<variant>/seed<k>/       checkpoint, history, cams/*.npz
<run>/irn/<variant>/seed<k>/<crf>/ checkpoint, ir_labels/, walks/, pseudo_masks/, confidence/
<run>/segmentation/<backbone>/<source>/seed<k>/  checkpoint, predictions/, evaluation/
<run>/notebooks/                   executed notebooks
<stage folder>/settings.json       what the stage was started with
<stage folder>/results.json        what it measured, written last: the stage is done
"""

import os
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sscnb.datasets import Dataset, label_files, mask_files, open_dataset, remembered_digest, subset_splits
from sscnb.errors import UserError
from sscnb.files import made_again, read_json, user_path, write_json
from sscnb.settings import Config, find_variant, load_config, settings_dict, settings_hash
from sscnb.stages.provenance import project_root
from sscnb.stages.stage import NotFinished, Stage, difference, read_results

_ELSEWHERE = "Choose another run folder with run_dir."


@dataclass(frozen=True)
class Run:
    """One run folder with its settings.

    Attributes:
        seed: the one that single-seed views (the notebooks) look at.
        looking: stages only look whether they are done, and raise `NotFinished` where there is work to do.
    """

    folder: Path
    config: Config
    data_root: str = ""
    seed: int = 0
    looking: bool = False

    @property
    def dataset_folder(self) -> Path:
        """Where the run's VOC-layout folder is, or a link to it."""
        return self.folder / "dataset"

    def dataset(self) -> Dataset:
        """Open the run's data set.

        Raises:
            UserError: data preparation has not run yet.
        """
        if self.dataset_folder.is_symlink() and not self.dataset_folder.exists():
            raise UserError(
                f"{self.dataset_folder} points to {self.dataset_folder.readlink()}, which is gone: put the data set "
                "back there, or choose another run folder with run_dir."
            )
        if not self.dataset_folder.exists():
            raise NotFinished(
                f"{self.dataset_folder} is missing: run notebook 01_data_preparation or "
                f"`python -m sscnb run data --preset {self.config.preset} --run-dir {self.folder}` first."
            )
        return open_dataset(self.dataset_folder)

    def cam_folder(self, variant: str, seed: int | None = None) -> Path:
        """Where a variant's CAM network, its curves and its CAMs lie."""
        return self.folder / "cam" / variant / f"seed{self.seed if seed is None else seed}"

    def irn_folder(self, variant: str, seed: int | None = None, crf: str = "") -> Path:
        """Where the relation network of a variant's CAMs lies, and its pseudo-masks; `crf` as in `irn.crf`."""
        seed = self.seed if seed is None else seed
        return self.folder / "irn" / variant / f"seed{seed}" / (crf or self.config.irn.crf)

    def segmentation_folder(self, source: str, seed: int | None = None, crf: str = "") -> Path:
        """Where the segmentation network lies that learned from a variant's pseudo-masks, or from the "truth".

        `crf` is that of the pseudo-masks; another one than the settings' stands in the folder's name.
        """
        seed, other = self.seed if seed is None else seed, source != "truth" and crf not in ("", self.config.irn.crf)
        name = f"{source}@irn.crf={crf}" if other else source
        return self.folder / "segmentation" / self.config.segmentation.backbone / name / f"seed{seed}"

    def stage(
        self, folder: Path, name: str, settings: Any, inputs: dict[str, str] | None = None, **labels: Any
    ) -> Stage:
        """Describe a stage of this run; `labels` (variant, seed, split) go into each of its result rows."""
        return Stage(folder, name, settings, self.config.preset, labels, inputs or {}, on_begin=self._begin)

    def _begin(self, stage: Stage) -> None:
        """Let a stage write, unless this run only looks; the first one makes the folder this configuration's."""
        if self.looking:
            raise NotFinished(f"{stage.folder} is not finished.")
        path = self.folder / "run.json"
        if not path.is_file():
            fixed = _fixed(self.config)
            write_json(path, {"preset": self.config.preset, "data_root": self.data_root, "settings": fixed})

    def data_hash(self) -> str:
        """Return a hash of the prepared data: its settings, and what training reads of it.

        Raises:
            NotFinished: data preparation has not run.
        """
        settings = self.done_hash(self.folder / "data", "01_data_preparation")
        content = read_results(self.folder / "data").get("content")
        return settings_hash({"settings": settings, "content": content}) if content else settings

    def content(self, dataset: Dataset) -> tuple[str, list[str]]:
        """Return a digest of what training reads of the data set, and the files that changed since it was prepared."""
        data = self.config.data
        splits = [split for split in (data.train_split, data.seed_split, data.val_split) if split in dataset.splits]
        paths = label_files(dataset, dict.fromkeys(splits))
        if data.source == "scenes":  # nobody edits those
            paths += [path for split in splits for path in mask_files(dataset, split)]
        return remembered_digest(dataset.root, paths, self.folder / "data/files.json", update=False)

    def masks_hash(self, split: str) -> str:
        """Return a digest of the true masks of a split; a measure that was taken against others is taken again."""
        dataset = self.dataset()
        return remembered_digest(dataset.root, mask_files(dataset, split), self.folder / f"data/masks_{split}.json")[0]

    def tuning_split(self, split: str) -> str:
        """Return the split that a threshold for another is chosen on: the validation split, if it has masks, or ""."""
        dataset, val = self.dataset(), self.config.data.val_split
        return val if val != split and val in dataset.splits and dataset.has_masks(val) else ""

    def check_content(self) -> None:
        """Compare the data set with what it was when it was prepared.

        Raises:
            UserError: files have changed since.
        """
        results = self.folder / "data/results.json"
        if not results.is_file() or not self.dataset_folder.exists():
            return  # for data preparation to make
        before = read_results(results.parent).get("content")
        if not before:
            return
        if self.config.data.source == "scenes" and self.stage(results.parent, "data", {}).missing():
            return  # data preparation makes them whole again
        with made_again(self.dataset_folder) if self.config.data.source == "scenes" else nullcontext():
            dataset = self.dataset()
            now, changed = self.content(dataset)
        if now != before:
            more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
            names = ", ".join(str(dataset.root / name) for name in changed[:5]) or "which files is not known"
            cure = "Put that back, or choose another run folder with run_dir."
            if self.config.data.source == "scenes":
                cure = f"Delete {self.dataset_folder} to have it made again."
            raise UserError(
                f"the data set is not what {self.folder} was made from; changed since: {names}{more}. {cure}"
            )

    def done_hash(self, folder: Path, written_by: str) -> str:
        """Return the configuration hash of a finished stage that another one builds on.

        Raises:
            NotFinished: it is not finished; `written_by` names the notebook that finishes it.
        """
        if not (folder / "results.json").is_file():
            raise NotFinished(f"{folder} is not finished: run notebook {written_by} first.")
        if not (folder / "settings.json").is_file():
            raise NotFinished(f"{folder} has no settings.json: delete it, and run notebook {written_by} again.")
        return read_json(folder / "settings.json", {"hash": str})["hash"]

    def rows(self) -> list[dict[str, Any]]:
        """Return every result row of the run, in the order of the folders."""
        paths = sorted(
            p for p in self.folder.glob("**/results.json") if "dataset" not in p.relative_to(self.folder).parts
        )
        return [row for path in paths for row in read_results(path.parent)["rows"]]


def open_run(
    preset: str = "small",
    run_dir: str = "",
    data_root: str = "",
    seed: int = 0,
    overrides: dict[str, Any] | None = None,
) -> Run:
    """Open a run folder, or describe a new one: it is made when the first stage begins.

    A relative `run_dir` is taken from the project's folder, not from the current one, so that JupyterLab, papermill
    and a cluster job find the same place; empty, it is `runs/<preset>`. A relative `data_root` is taken from there too.

    Raises:
        UserError: an unknown preset, override or variant, a folder that belongs to another preset or data set or
            cannot be written to, a missing or superfluous data_root.
    """
    config = load_config(preset, overrides)
    for variant in config.variants:
        find_variant(variant, config)
    for name, value in (("run_dir", run_dir), ("data_root", data_root)):
        if not isinstance(value, str | os.PathLike):  # papermill makes a number of -p run_dir 2026
            raise UserError(f"{name} must be a path in quotes, not {value!r}.")
    if type(seed) is not int or seed < 0:
        raise UserError(f"seed, the random seed, must be a whole number from 0 on, not {seed!r}.")
    # Not resolve(), which a loop of links breaks.
    folder = Path(os.path.realpath(project_root() / user_path(run_dir or f"runs/{preset}")))
    root = os.path.realpath(project_root() / user_path(data_root)) if data_root else ""
    path = folder / "run.json"
    found = read_json(path, {"preset": str, "data_root": str, "settings": dict}) if path.is_file() else None
    if found:
        if found["preset"] != preset:
            raise UserError(f"{folder} belongs to preset {found['preset']!r}, not {preset!r}. {_ELSEWHERE}")
        if root and root != found["data_root"]:
            raise UserError(
                f"{folder} was made from {found['data_root'] or 'embedded scenes'}, not {root}. {_ELSEWHERE}"
            )
        if found["settings"] != _fixed(config):
            changed = difference(found["settings"], _fixed(config))
            raise UserError(
                f"{folder} was made with other settings ({changed}). Name those as overrides, or choose another run "
                "folder with run_dir."
            )
        root = found["data_root"]
    if config.data.source == "scenes" and root:
        raise UserError(f"preset {preset!r} makes its own scenes and takes no data_root; preset 'folder' does.")
    if config.data.source == "folder" and not root:
        raise UserError(f"preset {preset!r} needs data_root, the path of a VOC-layout folder.")
    if config.data.subset:
        subset_splits(config.data.subset)  # one that is not there is found before anything is written
    if not found and root:
        open_dataset(root)  # a wrong path is found before anything is written
    there = next(p for p in (folder, *folder.parents) if p.exists())
    if not (there.is_dir() and os.access(there, os.W_OK)):
        raise UserError(f"cannot write to {folder}. {_ELSEWHERE}")
    run = Run(folder=folder, config=config, data_root=root, seed=seed)
    run.check_content()
    return run


def only_looking(run: Run) -> Run:
    """Return the run with stages that do no work: each is done, or raises."""
    return replace(run, looking=True)


def data_settings(config: Config) -> dict[str, Any]:
    """Return the settings that a run's data depend on; how scenes are drawn says nothing about photographs."""
    settings = settings_dict(config.data)
    if config.data.source != "scenes":
        settings.pop("scenes")
    return settings


def _fixed(config: Config) -> dict[str, Any]:
    """Return the settings that a run folder holds to: those of the CAM networks, without how many of them or workers.

    What comes after the seeds is cheap to make again, and each stage refuses another setting's output itself.
    """
    settings = settings_dict(config) | {"data": data_settings(config)}
    for name in ("preset", "variants", "refined", "seeds", "irn", "pseudo", "segmentation"):
        settings.pop(name)
    for part in settings.values():
        part.pop("workers", None)
    settings["inference"].pop("batch_size")
    return settings
