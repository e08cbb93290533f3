# For a data set that has files. Needs them in the study's `images.folder`, where PCam's are fetched to; makes
# results/<study>/images/index: where each image stands, and which may be drawn.


rule fetch_images:
    """Fetch one file of the data set; one that is there already is only verified."""
    output:
        update(f"{FETCHED}/{{file}}"),
    log:
        f"{RESULTS}/logs/fetch_images/{{file}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fetch_images/{{file}}.tsv"
    localrule: True
    container:
        IMAGES["data"]
    resources:
        stages=STAGES,
        mirrors=" ".join(getattr(STUDY.images, "mirrors", [])),
    params:
        spec=lambda wildcards: job_of("fetch_images", wildcards).text,
    shell:
        "python {resources.stages:q}/fetch_images.py --mirrors {resources.mirrors:q} --spec {params.spec:q}"
        ' --out "$(dirname -- {output:q})" 2>&1 | tee {log:q}'


rule index_images:
    """Hash every image of the data set's files."""
    input:
        unpack(inputs_of("index_images")),
        files=[ancient(file) for file in STUDY.images.files],
    output:
        manifest=manifest("images/index/"),
    log:
        f"{RESULTS}/logs/index_images/index.log",
    benchmark:
        f"{RESULTS}/benchmarks/index_images/index.tsv"
    container:
        IMAGES["data"]
    resources:
        **resources_of("index_images"),
        source=source_option(),
    params:
        **params_of("index_images"),
    shell:
        "python {resources.stages:q}/index_images.py {params.job} {resources.source} 2>&1 | tee {log}"
