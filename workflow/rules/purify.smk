# Needs a stack and, for a purifier that denoises, a diffusion; makes results/<study>/purified/<path>.


rule purify_part:
    """Compute one part of a purified stack that is too large for one job."""
    input:
        images=lambda wildcards: manifest(images_folder(wildcards.role, wildcards.attacked)),
        images_files=lambda wildcards: stack_files(images_folder(wildcards.role, wildcards.attacked)),
        diffusion=lambda wildcards: diffusion_manifest(SPECS.diffusion_of(wildcards.purifier)),
        diffusion_files=lambda wildcards: diffusion_files(SPECS.diffusion_of(wildcards.purifier)),
        selected=lambda wildcards: selected_files(wildcards.sigma),
    output:
        temp(touch(f"{RESULTS}/{{role}}purified/{{attacked}}/{{purifier}}/.sigma-{{sigma}}.part-{{part}}")),
    log:
        f"{RESULTS}/logs/purify/{{role}}{{attacked}}/{{purifier}}/sigma-{{sigma}}.part-{{part}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/purify/{{role}}{{attacked}}/{{purifier}}/sigma-{{sigma}}.part-{{part}}.tsv"
    container:
        IMAGES["torch"]
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: NEEDS.purify(wildcards.purifier, attempt, wildcards.role).mem_mb,
        runtime=lambda wildcards, attempt: NEEDS.purify(wildcards.purifier, attempt, wildcards.role).runtime,
    params:
        out=lambda wildcards: f"{RESULTS}/{wildcards.role}purified/{wildcards.attacked}/{wildcards.purifier}/sigma-{wildcards.sigma}",
        spec=lambda wildcards: SPECS.purify(wildcards.attacked, wildcards.purifier, wildcards.sigma, wildcards.role),
        code=lambda wildcards: SPECS.code_of_purify(wildcards.purifier),
        diffusion=lambda wildcards: diffusion_option(SPECS.diffusion_of(wildcards.purifier)),
        selected=lambda wildcards: selected_option(wildcards.sigma),
    shell:
        "python workflow/stages/purify.py"
        " --images $(dirname {input.images})"
        " {params.diffusion}"
        " {params.selected}"
        " --spec {params.spec:q}"
        " --code {params.code}"
        " --threads {threads}"
        " --part {wildcards.part}"
        " --out {params.out}"
        " 2>&1 | tee {log}"


rule purify:
    """Purify a stack with one purifier at one sigma, once a draw."""
    input:
        images=lambda wildcards: manifest(images_folder(wildcards.role, wildcards.attacked)),
        images_files=lambda wildcards: stack_files(images_folder(wildcards.role, wildcards.attacked)),
        diffusion=lambda wildcards: diffusion_manifest(SPECS.diffusion_of(wildcards.purifier)),
        diffusion_files=lambda wildcards: diffusion_files(SPECS.diffusion_of(wildcards.purifier)),
        selected=lambda wildcards: selected_files(wildcards.sigma),
        parts=lambda wildcards: part_marks(
            wildcards.role,
            f"{RESULTS}/{wildcards.role}purified/{wildcards.attacked}/{wildcards.purifier}/.sigma-{wildcards.sigma}.part-",
        ),
    output:
        **stack_output(f"{RESULTS}/{{role}}purified/{{attacked}}/{{purifier}}/sigma-{{sigma}}"),
    log:
        f"{RESULTS}/logs/purify/{{role}}{{attacked}}/{{purifier}}/sigma-{{sigma}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/purify/{{role}}{{attacked}}/{{purifier}}/sigma-{{sigma}}.tsv"
    container:
        IMAGES["torch"]
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: NEEDS.purify(wildcards.purifier, attempt, wildcards.role).mem_mb,
        runtime=lambda wildcards, attempt: NEEDS.purify(wildcards.purifier, attempt, wildcards.role).runtime,
    params:
        spec=lambda wildcards: SPECS.purify(wildcards.attacked, wildcards.purifier, wildcards.sigma, wildcards.role),
        code=lambda wildcards: SPECS.code_of_purify(wildcards.purifier),
        diffusion=lambda wildcards: diffusion_option(SPECS.diffusion_of(wildcards.purifier)),
        selected=lambda wildcards: selected_option(wildcards.sigma),
    shell:
        "python workflow/stages/purify.py"
        " --images $(dirname {input.images})"
        " {params.diffusion}"
        " {params.selected}"
        " --spec {params.spec:q}"
        " --code {params.code}"
        " --threads {threads}"
        " --out $(dirname {output.manifest})"
        " 2>&1 | tee {log}"
