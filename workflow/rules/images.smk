# Needs nothing, or a data set's index (see sources.smk); makes results/<study>/images/<split>: the stacks to train on,
# to validate on, to choose sigma on and to test on; and images/roles.json, once no image stands in two of them.


rule prepare_images:
    """Make one split of the study's images."""
    input:
        index=index_files(),
        files=lambda wildcards: [ancient(file) for file in STUDY.images.files_of(wildcards.split)],
    output:
        **stack_output(f"{RESULTS}/images/{{split}}", masked=STUDY.images.masked),
    log:
        f"{RESULTS}/logs/prepare_images/{{split}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/prepare_images/{{split}}.tsv"
    container:
        IMAGES["data"]
    resources:
        source=source_options(),
        mem_mb=lambda wildcards, attempt: NEEDS.images(wildcards.split, attempt).mem_mb,
        runtime=lambda wildcards, attempt: NEEDS.images(wildcards.split, attempt).runtime,
    params:
        spec=lambda wildcards: SPECS.images(wildcards.split),
        code=SPECS.code_of_images(),
    shell:
        "python workflow/stages/prepare_images.py"
        " {resources.source}"
        " --spec {params.spec:q}"
        " --code {params.code}"
        " --out $(dirname {output.manifest})"
        " 2>&1 | tee {log}"


rule check_images:
    """Refuse a study in which an image plays two roles."""
    input:
        images=[manifest(f"{RESULTS}/images/{split}") for split in STUDY.counts],
        images_files=[stack_files(f"{RESULTS}/images/{split}") for split in STUDY.counts],
    output:
        update(f"{RESULTS}/images/roles.json"),
    log:
        f"{RESULTS}/logs/check_images.log",
    benchmark:
        f"{RESULTS}/benchmarks/check_images.tsv"
    container:
        IMAGES["data"]
    resources:
        mem_mb=lambda wildcards, attempt: NEEDS.check(attempt).mem_mb,
        runtime=lambda wildcards, attempt: NEEDS.check(attempt).runtime,
    params:
        code=SPECS.code("check_images"),
    shell:
        "python workflow/stages/check_images.py"
        " --images $(dirname {input.images})"
        " --out {output}"
        " 2>&1 | tee {log}"
