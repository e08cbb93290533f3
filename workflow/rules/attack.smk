# Needs a stack, a classifier and, for a defended victim, a diffusion; makes results/<study>/adversarial/<path>.


rule attack_part:
    """Compute one part of an adversarial stack that is too large for one job."""
    input:
        images=lambda wildcards: manifest(clean_folder(wildcards.role)),
        images_files=lambda wildcards: stack_files(clean_folder(wildcards.role)),
        roles=roles(),
        classifier=lambda wildcards: manifest(classifier_folder(SPECS.classifier_of_attack(wildcards.attacked_path))),
        classifier_files=lambda wildcards: classifier_files(SPECS.classifier_of_attack(wildcards.attacked_path)),
        diffusion=lambda wildcards: diffusion_manifest(SPECS.diffusion_of_attack(wildcards.attacked_path)),
        diffusion_files=lambda wildcards: diffusion_files(SPECS.diffusion_of_attack(wildcards.attacked_path)),
        selected=lambda wildcards: selected_files(SPECS.sigma_of_attack(wildcards.attacked_path)),
    output:
        temp(touch(f"{RESULTS}/{{role}}adversarial/{{attacked_path}}.part-{{part}}")),
    log:
        f"{RESULTS}/logs/attack/{{role}}{{attacked_path}}.part-{{part}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/attack/{{role}}{{attacked_path}}.part-{{part}}.tsv"
    priority: 1  # the long jobs first: none is left to run alone at the end
    container:
        IMAGES["torch"]
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: NEEDS.attack(wildcards.attacked_path, attempt, wildcards.role).mem_mb,
        runtime=lambda wildcards, attempt: NEEDS.attack(wildcards.attacked_path, attempt, wildcards.role).runtime,
    params:
        out=lambda wildcards: f"{RESULTS}/{wildcards.role}adversarial/{wildcards.attacked_path}",
        spec=lambda wildcards: SPECS.attack(wildcards.attacked_path),
        code=lambda wildcards: SPECS.code_of_attack(wildcards.attacked_path),
        diffusion=lambda wildcards: diffusion_option(SPECS.diffusion_of_attack(wildcards.attacked_path)),
        selected=lambda wildcards: selected_option(SPECS.sigma_of_attack(wildcards.attacked_path)),
    shell:
        "python workflow/stages/attack.py"
        " --images $(dirname {input.images})"
        " --classifier $(dirname {input.classifier})"
        " {params.diffusion}"
        " {params.selected}"
        " --spec {params.spec:q}"
        " --code {params.code}"
        " --threads {threads}"
        " --part {wildcards.part}"
        " --out {params.out}"
        " 2>&1 | tee {log}"


rule attack:
    """Attack the test images at one eps against one victim."""
    input:
        images=lambda wildcards: manifest(clean_folder(wildcards.role)),
        images_files=lambda wildcards: stack_files(clean_folder(wildcards.role)),
        roles=roles(),
        classifier=lambda wildcards: manifest(classifier_folder(SPECS.classifier_of_attack(wildcards.attacked_path))),
        classifier_files=lambda wildcards: classifier_files(SPECS.classifier_of_attack(wildcards.attacked_path)),
        diffusion=lambda wildcards: diffusion_manifest(SPECS.diffusion_of_attack(wildcards.attacked_path)),
        diffusion_files=lambda wildcards: diffusion_files(SPECS.diffusion_of_attack(wildcards.attacked_path)),
        selected=lambda wildcards: selected_files(SPECS.sigma_of_attack(wildcards.attacked_path)),
        parts=lambda wildcards: part_marks(
            wildcards.role, f"{RESULTS}/{wildcards.role}adversarial/{wildcards.attacked_path}.part-"
        ),
    output:
        **stack_output(f"{RESULTS}/{{role}}adversarial/{{attacked_path}}"),
    log:
        f"{RESULTS}/logs/attack/{{role}}{{attacked_path}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/attack/{{role}}{{attacked_path}}.tsv"
    priority: 1  # the long jobs first: none is left to run alone at the end
    container:
        IMAGES["torch"]
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: NEEDS.attack(wildcards.attacked_path, attempt, wildcards.role).mem_mb,
        runtime=lambda wildcards, attempt: NEEDS.attack(wildcards.attacked_path, attempt, wildcards.role).runtime,
    params:
        spec=lambda wildcards: SPECS.attack(wildcards.attacked_path),
        code=lambda wildcards: SPECS.code_of_attack(wildcards.attacked_path),
        diffusion=lambda wildcards: diffusion_option(SPECS.diffusion_of_attack(wildcards.attacked_path)),
        selected=lambda wildcards: selected_option(SPECS.sigma_of_attack(wildcards.attacked_path)),
    shell:
        "python workflow/stages/attack.py"
        " --images $(dirname {input.images})"
        " --classifier $(dirname {input.classifier})"
        " {params.diffusion}"
        " {params.selected}"
        " --spec {params.spec:q}"
        " --code {params.code}"
        " --threads {threads}"
        " --out $(dirname {output.manifest})"
        " 2>&1 | tee {log}"
