# Needs the scores of the sweep on the selection images; makes results/<study>/selection/sigma.json, which cells with a
# selected sigma are computed from, and the table that it was chosen from.


rule choose_sigma:
    """Choose the smallest sigma whose robust accuracy is not significantly below the best one's."""
    input:
        manifests=[f"{RESULTS}/selection/scores/{cell.path}/manifest.json" for cell in SPECS.sweep.cells],
        scores=[ancient(f"{RESULTS}/selection/scores/{cell.path}/scores.csv") for cell in SPECS.sweep.cells],
        images=manifest(clean_folder("selection/")),
        images_files=stack_files(clean_folder("selection/")),
    output:
        sigma=f"{RESULTS}/selection/sigma.json",
        sweep=f"{RESULTS}/selection/sweep.csv",
    log:
        f"{RESULTS}/logs/choose_sigma.log",
    benchmark:
        f"{RESULTS}/benchmarks/choose_sigma.tsv"
    container:
        IMAGES["report"]
    resources:
        mem_mb=lambda wildcards, attempt: NEEDS.whole(attempt).mem_mb,
        runtime=lambda wildcards, attempt: NEEDS.whole(attempt).runtime,
    params:
        spec=SPECS.choose_sigma(),
        code=SPECS.code("choose_sigma"),
    shell:
        "python workflow/stages/choose_sigma.py"
        " --scores $(dirname {output.sigma})/scores"
        " --images $(dirname {input.images})"
        " --spec {params.spec:q}"
        " --out $(dirname {output.sigma})"
        " 2>&1 | tee {log}"
