# Needs a stack and, for a purifier that denoises, a diffusion; makes results/<study>/purified/<path>.


rule purify:
    """Purify a stack with one purifier at one sigma, once a draw."""
    input:
        images=lambda wildcards: stack_files(images_folder(wildcards.attacked)),
        diffusion=lambda wildcards: diffusion_files(
            SPECS.diffusion_of(wildcards.purifier)
        ),
    output:
        stack_output(f"{RESULTS}/purified/{{attacked}}/{{purifier}}/sigma-{{sigma}}"),
    log:
        f"{RESULTS}/logs/purify/{{attacked}}/{{purifier}}/sigma-{{sigma}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/purify/{{attacked}}/{{purifier}}/sigma-{{sigma}}.tsv"
    container:
        IMAGES["torch"]
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: NEEDS.purify(
            wildcards.purifier, attempt
        ).mem_mb,
        runtime=lambda wildcards, attempt: NEEDS.purify(
            wildcards.purifier, attempt
        ).runtime,
    params:
        spec=lambda wildcards: SPECS.purify(wildcards.purifier, wildcards.sigma),
        code=lambda wildcards: SPECS.code_of_purify(wildcards.purifier),
        diffusion=lambda wildcards: diffusion_option(
            SPECS.diffusion_of(wildcards.purifier)
        ),
    shell:
        "{PYTHON} {SCRIPTS}/purify.py"
        " --images $(dirname {input.images[0]})"
        " {params.diffusion}"
        " --spec {params.spec:q}"
        " --code {params.code}"
        " --threads {threads}"
        " --out $(dirname {output[0]})"
        " 2>&1 | tee {log}"
