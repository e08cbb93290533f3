# Needs nothing, or a data set's index (see sources.smk); makes results/<study>/images/<split>: the stacks to train on,
# to validate on, to choose sigma on and to test on (or, to train on, a list of the data set's files); and
# images/roles.json, once no image stands in two of them.

LISTED = [split for split in STUDY.counts if STACK_FILES[0] not in STUDY.images.stack_files(split)]


rule prepare_images:
    """Make one split of the study's images."""
    input:
        unpack(inputs_of("prepare_images")),
        files=lambda wildcards: [ancient(file) for file in STUDY.images.files_of(wildcards.split)],
    output:
        **stack_output(f"{RESULTS}/images/{{split}}", STUDY.images.stack_files("test")),
    log:
        f"{RESULTS}/logs/prepare_images/{{split}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/prepare_images/{{split}}.tsv"
    wildcard_constraints:
        split=one_of([split for split in STUDY.counts if split not in LISTED]),
    container:
        IMAGES["data"]
    resources:
        **resources_of("prepare_images"),
        source=source_option(),
    params:
        **params_of("prepare_images"),
    shell:
        "python {resources.stages:q}/prepare_images.py --inputs {params.inputs:q} --spec {params.spec:q}"
        " --code {params.code} --out $(dirname {output.manifest}) {resources.source} 2>&1 | tee {log}"


use rule prepare_images as list_images with:
    output:
        **stack_output(f"{RESULTS}/images/{{split}}", STUDY.images.stack_files("train")),
    wildcard_constraints:
        split=one_of(LISTED),


rule check_images:
    """Refuse a study in which an image plays two roles."""
    input:
        images=[JOBS.images(split).stands for split in STUDY.counts],
        images_files=[ancient(file) for split in STUDY.counts for file in JOBS.images(split).files],
    output:
        update(f"{RESULTS}/images/roles.json"),
    log:
        f"{RESULTS}/logs/check_images.log",
    benchmark:
        f"{RESULTS}/benchmarks/check_images.tsv"
    container:
        IMAGES["data"]
    resources:
        **resources_of("check_images"),
    params:
        code=fingerprint("workflow/stages/check_images.py"),
    shell:
        "python {resources.stages:q}/check_images.py --images $(dirname {input.images}) --out {output} 2>&1 | tee {log}"
