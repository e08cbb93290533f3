# Needs the test stack, a classifier and, for a defended victim, a diffusion; makes results/<study>/adversarial/<path>.


rule attack:
    """Attack the test images at one eps against one victim."""
    input:
        images=stack_files(f"{RESULTS}/images/test"),
        classifier=lambda wildcards: classifier_files(
            wildcards.attacked_path.split("/")[0]
        ),
        diffusion=lambda wildcards: diffusion_files(
            SPECS.diffusion_of_attack(wildcards.attacked_path)
        ),
    output:
        stack_output(f"{RESULTS}/adversarial/{{attacked_path}}"),
    log:
        f"{RESULTS}/logs/attack/{{attacked_path}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/attack/{{attacked_path}}.tsv"
    container:
        IMAGES["torch"]
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: NEEDS.attack(
            wildcards.attacked_path, attempt
        ).mem_mb,
        runtime=lambda wildcards, attempt: NEEDS.attack(
            wildcards.attacked_path, attempt
        ).runtime,
    params:
        spec=lambda wildcards: SPECS.attack(wildcards.attacked_path),
        code=lambda wildcards: SPECS.code_of_attack(wildcards.attacked_path),
        diffusion=lambda wildcards: diffusion_option(
            SPECS.diffusion_of_attack(wildcards.attacked_path)
        ),
    shell:
        "{PYTHON} {SCRIPTS}/attack.py"
        " --images $(dirname {input.images[0]})"
        " --classifier $(dirname {input.classifier[0]})"
        " {params.diffusion}"
        " --spec {params.spec:q}"
        " --code {params.code}"
        " --threads {threads}"
        " --out $(dirname {output[0]})"
        " 2>&1 | tee {log}"
