# Needs nothing, or a data set's index (see sources.smk); makes results/<study>/images/<split>: the stacks to train on,
# to validate on, to choose sigma on and to test on (or, to train on, a list of the data set's files); and
# images/roles, once no image stands in two of them.


rule prepare_images:
    """Make one split of the study's images."""
    input:
        unpack(inputs_of("prepare_images")),
        files=lambda wildcards: [ancient(file) for file in STUDY.images.files_of(wildcards.split)],
    output:
        manifest=manifest("images/{split}/"),
    log:
        f"{RESULTS}/logs/prepare_images/{{split}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/prepare_images/{{split}}.tsv"
    container:
        IMAGES["data"]
    resources:
        **resources_of("prepare_images"),
        source=source_option(),
    params:
        **params_of("prepare_images"),
    shell:
        "python {resources.stages:q}/prepare_images.py {params.job} {resources.source} 2>&1 | tee {log}"


rule check_images:
    """Refuse a study in which an image plays two roles."""
    input:
        unpack(inputs_of("check_images")),
    output:
        manifest=manifest("images/roles/"),
    log:
        f"{RESULTS}/logs/check_images.log",
    benchmark:
        f"{RESULTS}/benchmarks/check_images.tsv"
    container:
        IMAGES["data"]
    resources:
        **resources_of("check_images"),
    params:
        **params_of("check_images"),
    shell:
        "python {resources.stages:q}/check_images.py {params.job} 2>&1 | tee {log}"
