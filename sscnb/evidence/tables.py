"""The paper's tables as Markdown, each with what was measured here beside it: data in, no number typed by hand.

What has no result row reads "not run". `sets` are result rows by the title of where they come from: "this run", and the
reference rows of `report.py`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from torch import nn

from sscnb.evidence import paper
from sscnb.evidence.cost_tables import memory_table
from sscnb.evidence.metrics import describe
from sscnb.evidence.report import NOT_RUN, by_rule, ladder_table, markdown_table, one_kind, own_split, value_text
from sscnb.method import ReconstructionNet
from sscnb.settings import LADDER, VARIANTS

Rows = Sequence[dict[str, Any]]
Sets = Mapping[str, Rows]

_SUPERVISION = {"I": "labels", "I+S": "labels, saliency", "I+O": "labels, other images", "I+L": "labels, language"}
_BACKBONES = {"R50": "ResNet-50", "R101": "ResNet-101", "WR38": "WideResNet-38", "VIT-B": "ViT-B", "VGG16": "VGG-16"}
_HEADS = {"seed": "seed", "with_irn": "with IRN", "val": "val", "test": "test", "miou": "mIoU", "gpu_gb": "GB"}
LOSSES = {"drs": "none", "cdr_l1": "L1", "cdr_l2": "L2", "drs+cdr": "perceptual"}  # Table VIII


def evidence_table(number: int, sets: Sets, costs: Rows = ()) -> str:
    """Return one of the paper's tables, I to IX as 1 to 9, as Markdown, with its counterpart from result rows.

    Args:
        costs: rows of memory and time, for Table IX.

    Raises:
        UserError: the paper has no such table.
    """
    if number == 1:
        parts = [_decoder_table()]
    elif number == 7:
        parts = [ladder_table(sets), _errors_table(sets)]
    elif number == 8:
        parts = [_loss_table(sets)]
    elif number == 9:
        parts = [memory_table(costs)]
    else:
        ours = {title: _of_table(number, rows) for title, rows in sets.items()}
        parts = [
            _comparison(number),
            "**Measured here**",
            _seed_table(sets) if number == 2 else segmentation_table(ours),
        ]
    return "\n\n".join([*parts, *_notes(number)]) + "\n"


def pipeline_table(sets: Sets) -> str:
    """Return the way of the masks as Markdown: seed, pseudo-mask, segmentation; baseline and full method.

    The column "CRF" is that of the labels of the relation network; where both kinds were measured, both have lines. A
    heading names the split; a value of another one names its own.
    """
    printed, full = paper.load(2).set_index("method"), paper.load(4).query("ours").iloc[0]
    head = ["data", "method", "CRF", "seed on train", "pseudo-mask on train"]
    head += ["segmentation on train", "segmentation on val"]
    lines: list[list[str]] = []
    for method, row, predicted_val in (("baseline", "IRN", "not printed"), ("SSC", "SSC", f"{full['val']:.1f}")):
        values = [*(f"{printed.loc[row, column]:.1f}" for column in ("seed", "with_irn")), "not printed", predicted_val]
        lines.append(["" if lines else "paper: VOC 2012", method, "dense", *values])
    for title, rows in sets.items():
        lines += [[title, *_way(rows, "baseline")], ["", *_way(rows, "ssc")]]
        if {"dense", "none"} <= {row["crf"] for row in rows if row["metric"] == "pseudo/mIoU"}:
            without = [row for row in rows if row.get("pseudo_crf", row.get("crf")) != "dense"]
            lines += [["", *_way(without, "baseline")], ["", *_way(without, "ssc")]]
    return markdown_table(head, lines, numbers=4)


def _way(rows: Rows, variant: str) -> list[str]:
    """Return a variant's cells of `pipeline_table`, from its name on."""
    seeds = own_split(rows, "seed/mIoU", variant=variant)
    masks, predicted = one_kind(rows, "pseudo/mIoU", variant), one_kind(rows, "segmentation/mIoU", variant)
    of_seeds = [row for row in rows if seeds and row.get("split") == seeds[0]["split"]]
    learned = one_kind(of_seeds, "segmentation/mIoU", variant)
    if learned and predicted[0]["split"] == learned[0]["split"]:  # no images are kept back
        predicted = []
    values = [*(_on("train", found) for found in (seeds, masks, learned)), _on("val", predicted)]
    return [{"ssc": "SSC"}.get(variant, variant), masks[0]["crf"] if masks else "-", *values]


def segmentation_table(sets: Sets) -> str:
    """Return every measured segmentation as Markdown, with interval and retention: its share of the upper bound."""
    heading = describe("segmentation/mIoU").heading
    head = ["data", "masks learned from", "backbone", "split", "CRF", heading, "95 % interval", "retention"]
    names = ("variant", "backbone", "pseudo_crf", "crf", "split")
    lines = []
    for title, rows in sets.items():
        found = [r for r in rows if r["metric"] == "segmentation/mIoU" and r["value"] is not None]
        kind: tuple[Any, ...]
        for kind in dict.fromkeys(tuple(r.get(name) for name in names) for r in found):
            labels = dict(zip(names, kind, strict=True))
            source, backbone, pseudo_crf, crf, split = kind
            name = VARIANTS[source.partition("@")[0]].title if source != "truth" else _bound_title(found)
            value, low, high = (own_split(rows, f"segmentation/mIoU{end}", **labels) for end in ("", "_low", "_high"))
            interval = f"{100 * _mean(low):.1f} to {100 * _mean(high):.1f}" if low and high else ""
            bound = own_split(rows, "segmentation/mIoU", variant="truth", backbone=backbone, crf=crf, split=split)
            crfs = f"{pseudo_crf or '-'}, {crf}"
            lines.append([title, name, backbone, split, crfs, value_text(value), interval, _retention(value, bound)])
    if not lines:
        return f"{NOT_RUN.capitalize()}."
    note = (
        "CRF: first of the labels of the relation network, then of the predictions. The interval is over images, its "
        "ends are means over random seeds. Retention: mIoU divided by that of true masks, over the same random seeds. "
        "The upper bound is that of the preset's own network and schedule; another schedule has another one."
    )
    return markdown_table(head, lines, numbers=3) + "\n\n" + note


def frontier_table() -> str:
    """Return SSC and what later works report, as Markdown."""
    seed, voc, coco = (paper.load(n).query("ours").iloc[0] for n in (2, 4, 6))
    ours = {"method": "**SSC**", "seed": seed["seed"], "val": voc["val"], "test": voc["test"], "coco": coco["val"]}
    head = ["method", "seed (VOC train)", "VOC val", "VOC test", "COCO val"]
    lines = [
        [row["method"], *("" if pd.isna(v) else f"{v:.1f}" for v in list(row.values())[1:])]
        for row in [ours, *paper.load_frontier().to_dict("records")]
    ]
    return "\n".join(["::::{div} sortable", markdown_table(head, lines, numbers=4), "::::"])


def _on(split: str, rows: Rows) -> str:
    """Return rows as text, with their split where it is not the one of the heading."""
    return value_text(rows) + (f" ({rows[0]['split']})" if rows and rows[0]["split"] != split else "")


def _value(rows: Rows, metric: str, **labels: Any) -> str:
    return value_text(own_split(rows, metric, **labels))


def _mean(rows: Rows) -> float:
    return sum(r["value"] for r in rows) / len(rows)


def _retention(rows: Rows, bound: Rows) -> str:
    """Return the mean of the rows as a share of that of the upper bound, in percent, over the seeds of both."""
    both = {r["seed"] for r in rows} & {r["seed"] for r in bound}
    if not both or rows[0]["variant"] == "truth":
        return ""
    weak, full = ([r for r in part if r["seed"] in both] for part in (rows, bound))
    return f"{100 * _mean(weak) / _mean(full):.0f} %"


def _bound_title(rows: Rows) -> str:
    return f"true masks (upper bound, schedule of `{rows[0]['preset']}`)"


def _comparison(number: int) -> str:
    table = paper.load(number)
    keys = paper.references()
    texts = [c for c in ("sup", "backbone") if c in table]
    values = [c for c in ("seed", "with_irn", "val", "test") if c in table]
    head = ["method", "work", "venue", *({"sup": "supervision"}.get(c, c) for c in texts), *(_HEADS[c] for c in values)]
    lines = []
    for row in table.to_dict("records"):
        # Where the paper's own list lacks a work, its number stands for another one.
        known = not pd.isna(row["citation"]) and "list of references has none" not in row["note"]
        work = f"{{cite:t}}`{keys[row['citation']]}`" if known else "{cite:t}`chen2024ssc`" if row["ours"] else ""
        named = [{"sup": _SUPERVISION, "backbone": _BACKBONES}[c].get(row[c], row[c]) for c in texts]
        cells = [row["method"], work, row["venue"], *named, *(f"{row[c]:.1f}" for c in values)]
        lines.append([f"**{cell}**" if row["ours"] and cell and "{" not in cell else cell for cell in cells])
    # The class is what _static/tables.js looks for.
    return "\n".join(["::::{div} sortable", markdown_table(head, lines, numbers=len(values)), "::::"])


def _seed_table(sets: Sets) -> str:
    head = ["data", "method", "seed on train, fixed", "seed on train, tuned"]
    head += ["with IRN on train, no CRF", "with IRN on train, dense CRF"]
    lines = []
    for title, rows in sets.items():
        variants = [v for v in LADDER if own_split(rows, "seed/mIoU", variant=v)]
        for variant in variants or ["ssc"]:
            found = [own_split(rows, f"seed/{rule}mIoU", variant=variant) for rule in ("", "tuned_")]
            found += [own_split(rows, "pseudo/mIoU", variant=variant, crf=crf) for crf in ("none", "dense")]
            lines.append([title, VARIANTS[variant].title, *(_on("train", of_kind) for of_kind in found)])
    return markdown_table(head, lines, numbers=4)


def _of_table(number: int, rows: Rows) -> Rows:
    """Return the rows of segmentations for Tables III to VI: COCO's belong to the last two, VGG's to III and V."""
    found = [r for r in rows if r["metric"].startswith("segmentation/")]
    return [
        r for r in found if (r["preset"] == "coco") == (number > 4) and ("vgg" in r["backbone"]) == (number % 2 == 1)
    ]


def _errors_table(sets: Sets) -> str:
    """Tabulate in which direction the seeds of the ladder fail, and what the best threshold would have given."""
    metrics = ("seed/{}over", "seed/{}under", "seed/best_mIoU")
    head = ["data", "method", *(describe(metric.format("")).heading for metric in metrics)]
    lines = [
        [title, VARIANTS[v].title, *(_value(rows, metric.format(rule), variant=v) for metric in metrics)]
        for title, (rule, rows) in by_rule(sets).items()
        for v in LADDER
        if own_split(rows, "seed/mIoU", variant=v)
    ]
    note = "\n\nThe best threshold is known only with ground truth."
    return markdown_table(head, lines, numbers=3) + note if lines else ""


def _loss_table(sets: Sets) -> str:
    columns = by_rule(sets)
    head = ["reconstruction loss", "paper: VOC 2012 train", *columns]
    lines = [
        [name, f"{value:.1f}", *(_value(rows, f"seed/{rule}mIoU", variant=variant) for rule, rows in columns.values())]
        for (variant, name), value in zip(LOSSES.items(), paper.load(8)["miou"], strict=True)
    ]
    return markdown_table(head, lines, numbers=len(head) - 1)


def _decoder_table() -> str:
    """Tabulate the decoder's blocks as printed, with the parameters and shapes of the network that is built here."""
    classes, cells = 20, 32  # VOC, and a crop of 512 at stride 16
    layers = list(ReconstructionNet(classes).layers.to("meta"))
    blocks = [layers[:3], layers[3:4], layers[4:8], layers[8:]]
    side, lines = cells, []
    for row, block in zip(paper.load(1).to_dict("records"), blocks, strict=True):
        count = sum(p.numel() for layer in block for p in layer.parameters())
        ups = [m for layer in block for m in layer.modules() if isinstance(m, nn.ConvTranspose2d)]
        side *= 2 ** len(ups)
        outputs = [m for layer in block for m in layer.modules() if isinstance(m, nn.Conv2d)][-1].out_channels
        size = f"{outputs} x {side} x {side}"
        lines.append([row["block"], str(row["number"]), row["specification"], size, f"{count:,}"])
    total = sum(p.numel() for layer in layers for p in layer.parameters())
    lines.append(["**all**", "", "", "", f"**{total:,}**"])
    head = ["block", "number", "paper: layers", "here: output for 20 x 32 x 32", "here: parameters"]
    return markdown_table(head, lines, numbers=2)


def _notes(number: int) -> list[str]:
    notes = [
        f"- {row['method' if number > 1 else 'block']}: {row['note']}."
        for row in paper.load(number).to_dict("records")
        if row["note"]
    ]
    return ["As printed:", "\n".join(notes)] if notes else []
