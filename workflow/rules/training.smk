# Needs the train and validation stacks; makes results/<study>/classifiers/<name> and diffusions/<name>: by training,
# or by importing what was published elsewhere.


rule train_classifier:
    """Train a classifier."""
    input:
        train=manifest(f"{RESULTS}/images/train"),
        train_files=stack_files(f"{RESULTS}/images/train"),
        validation=manifest(f"{RESULTS}/images/validation"),
        validation_files=stack_files(f"{RESULTS}/images/validation"),
        roles=roles(),
    output:
        manifest=f"{RESULTS}/classifiers/{{classifier}}/manifest.json",
        weights=f"{RESULTS}/classifiers/{{classifier}}/model.safetensors",
        history=report(
            f"{RESULTS}/classifiers/{{classifier}}/history.csv",
            category="Training",
            labels={"network": "{classifier}", "kind": "classifier"},
            caption="../report/history.rst",
        ),
    log:
        f"{RESULTS}/logs/train_classifier/{{classifier}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_classifier/{{classifier}}.tsv"
    wildcard_constraints:
        classifier=one_of(SPECS.classifiers("trained")),
    container:
        IMAGES["torch"]
    threads: STUDY.threads
    resources:
        torch_threads=STUDY.threads,
        gpu=1,
        mem_mb=lambda wildcards, attempt: NEEDS.classifier(wildcards.classifier, attempt).mem_mb,
        runtime=lambda wildcards, attempt: NEEDS.classifier(wildcards.classifier, attempt).runtime,
    params:
        spec=lambda wildcards: SPECS.classifier(wildcards.classifier),
        code=lambda wildcards: SPECS.code_of_classifier(wildcards.classifier),
    shell:
        "ASSAY_MINUTES={resources.runtime} python workflow/stages/train_classifier.py"
        " --train $(dirname {input.train})"
        " --validation $(dirname {input.validation})"
        " --spec {params.spec:q}"
        " --code {params.code}"
        " --threads {resources.torch_threads}"
        " --out $(dirname {output.manifest})"
        " 2>&1 | tee {log}"


rule import_classifier:
    """Import a classifier that was published elsewhere."""
    input:
        validation=manifest(f"{RESULTS}/images/validation"),
        validation_files=stack_files(f"{RESULTS}/images/validation"),
        source=lambda wildcards: classifier_source(wildcards.classifier),
    output:
        manifest=f"{RESULTS}/classifiers/{{classifier}}/manifest.json",
        weights=f"{RESULTS}/classifiers/{{classifier}}/model.safetensors",
    log:
        f"{RESULTS}/logs/import_classifier/{{classifier}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/import_classifier/{{classifier}}.tsv"
    wildcard_constraints:
        classifier=one_of(SPECS.classifiers("published")),
    container:
        IMAGES["torch"]
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: NEEDS.classifier(wildcards.classifier, attempt).mem_mb,
        runtime=lambda wildcards, attempt: NEEDS.classifier(wildcards.classifier, attempt).runtime,
    params:
        spec=lambda wildcards: SPECS.classifier(wildcards.classifier),
        code=SPECS.code("import_classifier"),
    shell:
        "python workflow/stages/import_classifier.py"
        " --validation $(dirname {input.validation})"
        " --spec {params.spec:q}"
        " --code {params.code}"
        " --threads {threads}"
        " --out $(dirname {output.manifest})"
        " 2>&1 | tee {log}"


rule train_diffusion:
    """Train a diffusion; diffusers' UNet2DModel.from_pretrained loads the folder."""
    input:
        train=manifest(f"{RESULTS}/images/train"),
        train_files=stack_files(f"{RESULTS}/images/train"),
        validation=manifest(f"{RESULTS}/images/validation"),
        validation_files=stack_files(f"{RESULTS}/images/validation"),
        roles=roles(),
    output:
        manifest=f"{RESULTS}/diffusions/{{diffusion}}/manifest.json",
        weights=f"{RESULTS}/diffusions/{{diffusion}}/diffusion_pytorch_model.safetensors",
        config=f"{RESULTS}/diffusions/{{diffusion}}/config.json",
        history=report(
            f"{RESULTS}/diffusions/{{diffusion}}/history.csv",
            category="Training",
            labels={"network": "{diffusion}", "kind": "diffusion"},
            caption="../report/history.rst",
        ),
        samples=report(
            f"{RESULTS}/diffusions/{{diffusion}}/samples.png",
            category="Training",
            labels={"network": "{diffusion}", "kind": "samples"},
            caption="../report/samples.rst",
        ),
    log:
        f"{RESULTS}/logs/train_diffusion/{{diffusion}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_diffusion/{{diffusion}}.tsv"
    wildcard_constraints:
        diffusion=one_of(SPECS.diffusions("trained")),
    container:
        IMAGES["torch"]
    threads: STUDY.threads
    resources:
        torch_threads=STUDY.threads,
        gpu=1,
        mem_mb=lambda wildcards, attempt: NEEDS.diffusion(wildcards.diffusion, attempt).mem_mb,
        runtime=lambda wildcards, attempt: NEEDS.diffusion(wildcards.diffusion, attempt).runtime,
    params:
        spec=lambda wildcards: SPECS.diffusion(wildcards.diffusion),
        code=SPECS.code("train_diffusion"),
    shell:
        "ASSAY_MINUTES={resources.runtime} python workflow/stages/train_diffusion.py"
        " --train $(dirname {input.train})"
        " --validation $(dirname {input.validation})"
        " --spec {params.spec:q}"
        " --code {params.code}"
        " --threads {resources.torch_threads}"
        " --out $(dirname {output.manifest})"
        " 2>&1 | tee {log}"


rule import_diffusion:
    """Import a diffusion that was published elsewhere; its folder is as if it had been trained here."""
    input:
        validation=manifest(f"{RESULTS}/images/validation"),
        validation_files=stack_files(f"{RESULTS}/images/validation"),
        source=lambda wildcards: diffusion_source(wildcards.diffusion),
    output:
        manifest=f"{RESULTS}/diffusions/{{diffusion}}/manifest.json",
        weights=f"{RESULTS}/diffusions/{{diffusion}}/diffusion_pytorch_model.safetensors",
        config=f"{RESULTS}/diffusions/{{diffusion}}/config.json",
        samples=report(
            f"{RESULTS}/diffusions/{{diffusion}}/samples.png",
            category="Training",
            labels={"network": "{diffusion}", "kind": "samples"},
            caption="../report/samples.rst",
        ),
    log:
        f"{RESULTS}/logs/import_diffusion/{{diffusion}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/import_diffusion/{{diffusion}}.tsv"
    wildcard_constraints:
        diffusion=one_of(SPECS.diffusions("published")),
    container:
        IMAGES["torch"]
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: NEEDS.diffusion(wildcards.diffusion, attempt).mem_mb,
        runtime=lambda wildcards, attempt: NEEDS.diffusion(wildcards.diffusion, attempt).runtime,
    params:
        spec=lambda wildcards: SPECS.diffusion(wildcards.diffusion),
        code=SPECS.code("import_diffusion"),
    shell:
        "python workflow/stages/import_diffusion.py"
        " --validation $(dirname {input.validation})"
        " --spec {params.spec:q}"
        " --code {params.code}"
        " --threads {threads}"
        " --out $(dirname {output.manifest})"
        " 2>&1 | tee {log}"
