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
        **{table: result(table, what) for table, what in TABLES.items()},
        manifest=manifest("summary."),
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
