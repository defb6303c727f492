"""Commands around a run: `data voc` and `data coco` before it, `predict` and `submit` after it."""

import argparse
import sys


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add the commands' parsers."""
    data = commands.add_parser("data", help="check and complete a data set: VOC 2012 with SBD, COCO 2014")
    sets = data.add_subparsers(dest="data_set", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--root", required=True, help="folder that the archives were unpacked in")
    common.add_argument("--partial", action="store_true", help="take a part of the data set, with notes")
    common.add_argument("--workers", type=_natural, default=0, help="processes for masks (default: all cores)")

    command = sets.add_parser("voc", parents=[common], help="VOC 2012, with SBD's masks and the split train_aug")
    command.add_argument("--download", action="store_true", help="fetch what is missing, with torchvision")
    command.add_argument("--sbd", default="", help="SBD's folder (default: looked for in the root)")
    command.set_defaults(function=_voc)

    command = sets.add_parser("coco", parents=[common], help="COCO 2014, as a VOC-layout folder with links")
    command.add_argument("--output", default="", help="where to make it (default: in the root)")
    command.set_defaults(function=_coco)

    command = commands.add_parser("predict", help="segment photographs with a run's trained network")
    command.add_argument("--run-dir", required=True, help="run folder with a trained segmentation network")
    command.add_argument("--input", required=True, help="an image, or a folder of images")
    command.add_argument("--output", required=True, help="folder for masks/ and overlays/")
    command.add_argument(
        "--source", default="", help="masks that it learned from (default: what measured best, else ssc)"
    )
    command.add_argument("--seed", type=_natural, help="random seed of the network (default: as --source)")
    command.add_argument("--backbone", default="", help="of the network, where the run has several")
    command.add_argument("--crf", choices=("dense", "none"), default="", help="refine masks (default: as in the run)")
    command.add_argument(
        "--limit", type=_natural, default=1024, help="work on larger images at this long side (default: 1024; 0: never)"
    )
    command.set_defaults(function=_predict)

    command = commands.add_parser("submit", help="pack predictions for VOC's test server")
    command.add_argument("--predictions", required=True, help="folder of palette PNGs, one an image")
    command.add_argument("--root", required=True, help="VOC 2012's folder, with the split's images")
    command.add_argument("--split", default="test", help="split that was predicted (default: test)")
    command.add_argument("--output", required=True, help="the archive to write, .tgz")
    command.set_defaults(function=_submit)


def _natural(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("expected a whole number from 0 on")
    return value


def _voc(options: argparse.Namespace, _: list[str]) -> int:
    from sscnb.datasets import prepare_voc

    folder = prepare_voc(
        options.root, sbd=options.sbd, download=options.download, partial=options.partial, workers=options.workers
    )
    print(f"ready: --preset voc --data-root {folder}")
    return 0


def _coco(options: argparse.Namespace, _: list[str]) -> int:
    from sscnb.datasets import prepare_coco

    folder = prepare_coco(options.root, output=options.output, partial=options.partial, workers=options.workers)
    print(f"ready: --preset coco --data-root {folder}")
    return 0


def _predict(options: argparse.Namespace, _: list[str]) -> int:
    from sscnb.commands.predict import predict_files

    written, errors = predict_files(
        options.run_dir,
        options.input,
        options.output,
        source=options.source,
        seed=options.seed,
        backbone=options.backbone,
        crf=options.crf,
        limit=options.limit,
    )
    print(f"{options.output}: {len(written)} masks")
    for error in errors:
        print(f"error: {error}", file=sys.stderr)
    return 2 if errors else 0


def _submit(options: argparse.Namespace, _: list[str]) -> int:
    from sscnb.commands.submit import write_submission

    number = write_submission(options.predictions, options.root, options.output, options.split)
    print(f"{options.output}: {number} predictions")
    return 0
