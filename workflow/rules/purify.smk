# Needs a stack and, for a purifier that denoises, a diffusion; makes results/<study>/purified/<path>.


rule purify_part:
    """Compute one part of a purified stack that is too large for one job."""
    input:
        images=lambda wildcards: manifest(images_folder(wildcards.attacked)),
        images_files=lambda wildcards: stack_files(images_folder(wildcards.attacked)),
        diffusion=lambda wildcards: diffusion_manifest(SPECS.diffusion_of(wildcards.purifier)),
        diffusion_files=lambda wildcards: diffusion_files(SPECS.diffusion_of(wildcards.purifier)),
    output:
        temp(touch(f"{RESULTS}/purified/{{attacked}}/{{purifier}}/.sigma-{{sigma}}.part-{{part}}")),
    log:
        f"{RESULTS}/logs/purify/{{attacked}}/{{purifier}}/sigma-{{sigma}}.part-{{part}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/purify/{{attacked}}/{{purifier}}/sigma-{{sigma}}.part-{{part}}.tsv"
    container:
        IMAGES["torch"]
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: NEEDS.purify(wildcards.purifier, attempt).mem_mb,
        runtime=lambda wildcards, attempt: NEEDS.purify(wildcards.purifier, attempt).runtime,
    params:
        out=lambda wildcards: f"{RESULTS}/purified/{wildcards.attacked}/{wildcards.purifier}/sigma-{wildcards.sigma}",
        spec=lambda wildcards: SPECS.purify(wildcards.attacked, wildcards.purifier, wildcards.sigma),
        code=lambda wildcards: SPECS.code_of_purify(wildcards.purifier),
        diffusion=lambda wildcards: diffusion_option(SPECS.diffusion_of(wildcards.purifier)),
    shell:
        "python scripts/purify.py"
        " --images $(dirname {input.images})"
        " {params.diffusion}"
        " --spec {params.spec:q}"
        " --code {params.code}"
        " --threads {threads}"
        " --part {wildcards.part}"
        " --out {params.out}"
        " 2>&1 | tee {log}"


rule purify:
    """Purify a stack with one purifier at one sigma, once a draw."""
    input:
        images=lambda wildcards: manifest(images_folder(wildcards.attacked)),
        images_files=lambda wildcards: stack_files(images_folder(wildcards.attacked)),
        diffusion=lambda wildcards: diffusion_manifest(SPECS.diffusion_of(wildcards.purifier)),
        diffusion_files=lambda wildcards: diffusion_files(SPECS.diffusion_of(wildcards.purifier)),
        parts=lambda wildcards: part_marks(
            f"{RESULTS}/purified/{wildcards.attacked}/{wildcards.purifier}/.sigma-{wildcards.sigma}.part-"
        ),
    output:
        **stack_output(f"{RESULTS}/purified/{{attacked}}/{{purifier}}/sigma-{{sigma}}"),
    log:
        f"{RESULTS}/logs/purify/{{attacked}}/{{purifier}}/sigma-{{sigma}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/purify/{{attacked}}/{{purifier}}/sigma-{{sigma}}.tsv"
    container:
        IMAGES["torch"]
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: NEEDS.purify(wildcards.purifier, attempt).mem_mb,
        runtime=lambda wildcards, attempt: NEEDS.purify(wildcards.purifier, attempt).runtime,
    params:
        spec=lambda wildcards: SPECS.purify(wildcards.attacked, wildcards.purifier, wildcards.sigma),
        code=lambda wildcards: SPECS.code_of_purify(wildcards.purifier),
        diffusion=lambda wildcards: diffusion_option(SPECS.diffusion_of(wildcards.purifier)),
    shell:
        "python scripts/purify.py"
        " --images $(dirname {input.images})"
        " {params.diffusion}"
        " --spec {params.spec:q}"
        " --code {params.code}"
        " --threads {threads}"
        " --out $(dirname {output.manifest})"
        " 2>&1 | tee {log}"
