# Needs a stack and a classifier; makes results/<study>/scores/<cell>; of all of them summary.csv and the tables beside it.


rule classify:
    """Classify a stack: logits per image and draw."""
    input:
        unpack(inputs_of("classify")),
    output:
        manifest=manifest("{role}scores/{classifier}/{attacked}/{purifier}/sigma-{sigma}/"),
    log:
        f"{RESULTS}/logs/classify/{{role}}{{classifier}}/{{attacked}}/{{purifier}}/sigma-{{sigma}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/classify/{{role}}{{classifier}}/{{attacked}}/{{purifier}}/sigma-{{sigma}}.tsv"
    container:
        IMAGES["torch"]
    resources:
        **resources_of("classify"),
    params:
        **params_of("classify"),
    shell:
        "python {resources.stages:q}/classify.py {params.job} --threads {threads} 2>&1 | tee {log}"


rule summarise:
    """One row per cell: accuracy and more; the strongest attack; who beats whom; the worst case; resubmission; by class."""
    input:
        unpack(inputs_of("summarise")),
    output:
        **results_of(CERTIFIED),
        manifest=manifest("summary."),
        summary=result("summary", "summary"),
        strongest=result("strongest", "strongest attack"),
        comparisons=result("comparisons", "who beats whom"),
        worst_case=result("worst_case", "worst case"),
        resubmission=result("resubmission", "resubmission risk"),
        black_box=result("black_box", "black box, all or nothing"),
        per_class=result("per_class", "accuracy by class"),
        confusion=result("confusion", "confusion matrix"),
        trainings=result("trainings", "spread between trainings"),
        equivalence=result("equivalence", "as good as the reference"),
        trajectories=result("trajectories", "accuracy against attack steps"),
        untrained=result("untrained", "what could not be trained"),
    log:
        f"{RESULTS}/logs/summarise.log",
    benchmark:
        f"{RESULTS}/benchmarks/summarise.tsv"
    container:
        IMAGES["report"]
    resources:
        **resources_of("summarise"),
    params:
        **params_of("summarise"),
    shell:
        "python {resources.stages:q}/summarise.py {params.job} 2>&1 | tee {log}"
