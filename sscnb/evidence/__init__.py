"""From result rows to tables, claims and figures, with the paper's own beside them."""

from sscnb.evidence import comparison, figures, paper, selection, shares, views
from sscnb.evidence.again import commands_text
from sscnb.evidence.claims import claims_table
from sscnb.evidence.cost import example_batch, measure_step, prepare_step
from sscnb.evidence.cost_tables import cost_table, speed_table
from sscnb.evidence.effects import alignment_table, effects_table, sweep_table
from sscnb.evidence.explorer import write_explorer
from sscnb.evidence.figures import overlay_mask
from sscnb.evidence.hours import check_table, plan_table, plan_text
from sscnb.evidence.image_groups import (
    LOWER,
    classes_table,
    groups_by_classes,
    groups_by_share,
    object_share,
    refined_table,
    size_panels,
)
from sscnb.evidence.interventions import STEPS, interventions_table, suppression_table
from sscnb.evidence.memory import estimate_step
from sscnb.evidence.metrics import METRICS, titled, values_table
from sscnb.evidence.plan import images_of_run, plan_of_run
from sscnb.evidence.premise import peaks, premise_table
from sscnb.evidence.report import (
    describe_rows,
    keep_rows,
    ladder_table,
    mean_and_deviation,
    reference_rows,
    replace_rows,
    write_report,
)
from sscnb.evidence.tables import evidence_table, frontier_table, pipeline_table, segmentation_table
from sscnb.evidence.takeaways import MEASURED, measured_in_words
from sscnb.evidence.walks import walks_table
from sscnb.evidence.words import in_words

__all__ = [
    "LOWER",
    "MEASURED",
    "METRICS",
    "STEPS",
    "alignment_table",
    "check_table",
    "claims_table",
    "classes_table",
    "commands_text",
    "comparison",
    "cost_table",
    "describe_rows",
    "effects_table",
    "estimate_step",
    "evidence_table",
    "example_batch",
    "figures",
    "frontier_table",
    "groups_by_classes",
    "groups_by_share",
    "images_of_run",
    "in_words",
    "interventions_table",
    "keep_rows",
    "ladder_table",
    "mean_and_deviation",
    "measure_step",
    "measured_in_words",
    "object_share",
    "overlay_mask",
    "paper",
    "peaks",
    "pipeline_table",
    "premise_table",
    "plan_of_run",
    "plan_table",
    "plan_text",
    "prepare_step",
    "reference_rows",
    "refined_table",
    "replace_rows",
    "segmentation_table",
    "selection",
    "shares",
    "size_panels",
    "speed_table",
    "suppression_table",
    "sweep_table",
    "titled",
    "values_table",
    "views",
    "walks_table",
    "write_explorer",
    "write_report",
]
