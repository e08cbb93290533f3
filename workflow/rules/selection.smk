# Needs the scores of the sweep on the selection images; makes results/<study>/selection/sigma.json, which cells with a
# selected sigma are computed from, and the table that it was chosen from.


rule choose_sigma:
    """Choose the smallest sigma whose robust accuracy is not significantly below the best one's."""
    input:
        unpack(inputs_of("choose_sigma")),
    output:
        manifest=manifest("selection/"),
        sigma=update(f"{RESULTS}/selection/sigma.json"),
    log:
        f"{RESULTS}/logs/choose_sigma.log",
    benchmark:
        f"{RESULTS}/benchmarks/choose_sigma.tsv"
    container:
        IMAGES["report"]
    resources:
        **resources_of("choose_sigma"),
    params:
        **params_of("choose_sigma"),
    shell:
        "python {resources.stages:q}/choose_sigma.py {params.job} 2>&1 | tee {log}"
