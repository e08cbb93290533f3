# Needs nothing; makes results/<study>/images/<split>: the stacks to train on, to validate on and to test on.


rule prepare_images:
    """Make one split of the study's images."""
    output:
        **stack_output(f"{RESULTS}/images/{{split}}"),
    log:
        f"{RESULTS}/logs/prepare_images/{{split}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/prepare_images/{{split}}.tsv"
    container:
        IMAGES["data"]
    resources:
        mem_mb=lambda wildcards, attempt: NEEDS.images(wildcards.split, attempt).mem_mb,
        runtime=lambda wildcards, attempt: NEEDS.images(wildcards.split, attempt).runtime,
    params:
        spec=lambda wildcards: SPECS.images(wildcards.split),
        code=SPECS.code_of_images(),
    shell:
        "python scripts/prepare_images.py"
        " --spec {params.spec:q}"
        " --code {params.code}"
        " --out $(dirname {output.manifest})"
        " 2>&1 | tee {log}"
