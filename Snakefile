# Loads the study, includes the rules, names the targets.


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/images.smk"


if STUDY.images.folder:

    include: "workflow/rules/sources.smk"


include: "workflow/rules/training.smk"
include: "workflow/rules/attack.smk"
include: "workflow/rules/purify.smk"
include: "workflow/rules/classify.smk"
include: "workflow/rules/certify.smk"
include: "workflow/rules/selection.smk"
include: "workflow/rules/check.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        [f"{RESULTS}/{table}.csv" for table in [*TABLES, "checks"]],
        f"{RESULTS}/report.html",
