# Needs the train and validation stacks and what an objective needs; makes results/<study>/classifiers/<name> and
# diffusions/<name>: by training, or by importing what was published elsewhere.


rule train_classifier:
    """Train a classifier."""
    input:
        unpack(inputs_of("train_classifier")),
    output:
        **history_of("classifier"),
        manifest=manifest("classifiers/{classifier}/"),
    log:
        f"{RESULTS}/logs/train_classifier/{{classifier}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_classifier/{{classifier}}.tsv"
    wildcard_constraints:
        classifier=one_of(trained_on("classifier", several_nodes=False)),
    container:
        IMAGES["torch"]
    threads: STUDY.threads
    resources:
        **resources_of("train_classifier", **launch_of("classifier")),
    params:
        **params_of("train_classifier"),
        stage="train_classifier",
    shell:
        "ASSAY_MINUTES={resources.runtime} {resources.launch} {resources.stages:q}/{params.stage}.py {params.job}"
        " --threads {resources.torch_threads} 2>&1 | tee {log}"


use rule train_classifier as train_diffusion with:
    input:
        unpack(inputs_of("train_diffusion")),
    output:
        **history_of("diffusion"),
        **samples_of("diffusion"),
        manifest=manifest("diffusions/{diffusion}/"),
    log:
        f"{RESULTS}/logs/train_diffusion/{{diffusion}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_diffusion/{{diffusion}}.tsv"
    wildcard_constraints:
        diffusion=one_of(trained_on("diffusion", several_nodes=False)),
    resources:
        **resources_of("train_diffusion", **launch_of("diffusion")),
    params:
        **params_of("train_diffusion"),
        stage="train_diffusion",


use rule train_classifier as train_classifier_on_nodes with:
    wildcard_constraints:
        classifier=one_of(trained_on("classifier", several_nodes=True)),
    container:
        outside
    resources:
        **resources_of("train_classifier", **launch_of("classifier", several_nodes=True)),


use rule train_diffusion as train_diffusion_on_nodes with:
    wildcard_constraints:
        diffusion=one_of(trained_on("diffusion", several_nodes=True)),
    container:
        outside
    resources:
        **resources_of("train_diffusion", **launch_of("diffusion", several_nodes=True)),


rule import_classifier:
    """Import a classifier that was published elsewhere."""
    input:
        unpack(inputs_of("import_classifier")),
    output:
        manifest=manifest("classifiers/{classifier}/"),
    log:
        f"{RESULTS}/logs/import_classifier/{{classifier}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/import_classifier/{{classifier}}.tsv"
    wildcard_constraints:
        classifier=one_of(JOBS.named("classifier", published=True)),
    container:
        IMAGES["torch"]
    resources:
        **resources_of("import_classifier"),
    params:
        **params_of("import_classifier"),
        stage="import_classifier",
    shell:
        "python {resources.stages:q}/{params.stage}.py {params.job} --threads {threads} 2>&1 | tee {log}"


use rule import_classifier as import_diffusion with:
    input:
        unpack(inputs_of("import_diffusion")),
    output:
        **samples_of("diffusion"),
        manifest=manifest("diffusions/{diffusion}/"),
    log:
        f"{RESULTS}/logs/import_diffusion/{{diffusion}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/import_diffusion/{{diffusion}}.tsv"
    wildcard_constraints:
        diffusion=one_of(JOBS.named("diffusion", published=True)),
    resources:
        **resources_of("import_diffusion"),
    params:
        **params_of("import_diffusion"),
        stage="import_diffusion",
