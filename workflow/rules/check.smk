# Needs scores, adversarial stacks and, where the study asks for them, probes; makes results/<study>/probes/<attacked path>
# and results/<study>/checks.csv.


rule probe:
    """Probe an attack on a few images: its gradients, its convergence, and an image that is known to be there."""
    input:
        images=manifest(f"{RESULTS}/images/test"),
        images_files=stack_files(f"{RESULTS}/images/test"),
        attacked=manifest(f"{RESULTS}/adversarial/{{attacked_path}}"),
        attacked_files=stack_files(f"{RESULTS}/adversarial/{{attacked_path}}"),
        classifier=lambda wildcards: manifest(classifier_folder(SPECS.classifier_of_attack(wildcards.attacked_path))),
        classifier_files=lambda wildcards: classifier_files(SPECS.classifier_of_attack(wildcards.attacked_path)),
        diffusion=lambda wildcards: diffusion_manifest(SPECS.diffusion_of_attack(wildcards.attacked_path)),
        diffusion_files=lambda wildcards: diffusion_files(SPECS.diffusion_of_attack(wildcards.attacked_path)),
        selected=lambda wildcards: selected_files(SPECS.sigma_of_attack(wildcards.attacked_path)),
    output:
        manifest=f"{RESULTS}/probes/{{attacked_path}}/manifest.json",
        probe=f"{RESULTS}/probes/{{attacked_path}}/probe.json",
    log:
        f"{RESULTS}/logs/probe/{{attacked_path}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/probe/{{attacked_path}}.tsv"
    priority: 1  # the long jobs first: none is left to run alone at the end
    container:
        IMAGES["torch"]
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: NEEDS.probe(wildcards.attacked_path, attempt).mem_mb,
        runtime=lambda wildcards, attempt: NEEDS.probe(wildcards.attacked_path, attempt).runtime,
    params:
        spec=lambda wildcards: SPECS.probe(wildcards.attacked_path),
        code=lambda wildcards: SPECS.code_of_probe(wildcards.attacked_path),
        diffusion=lambda wildcards: diffusion_option(SPECS.diffusion_of_attack(wildcards.attacked_path)),
        selected=lambda wildcards: selected_option(SPECS.sigma_of_attack(wildcards.attacked_path)),
    shell:
        "python workflow/stages/probe.py"
        " --images $(dirname {input.images})"
        " --attacked $(dirname {input.attacked})"
        " --classifier $(dirname {input.classifier})"
        " {params.diffusion}"
        " {params.selected}"
        " --spec {params.spec:q}"
        " --code {params.code}"
        " --threads {threads}"
        " --out $(dirname {output.manifest})"
        " 2>&1 | tee {log}"


rule check:
    """Hold the attacks and the scores against what must be true of them: one row a check and what it is about."""
    input:
        manifests=[f"{RESULTS}/scores/{cell.path}/manifest.json" for cell in SPECS.cells],
        scores=[ancient(f"{RESULTS}/scores/{cell.path}/scores.csv") for cell in SPECS.cells],
        stacks=[manifest(f"{RESULTS}/adversarial/{attacked.path}") for attacked in SPECS.attacked],
        stacks_files=[stack_files(f"{RESULTS}/adversarial/{attacked.path}") for attacked in SPECS.attacked],
        images=manifest(f"{RESULTS}/images/test"),
        images_files=stack_files(f"{RESULTS}/images/test"),
        roles=roles(),
        worst_case=f"{RESULTS}/worst_case.csv",
        probes=[manifest(f"{RESULTS}/probes/{attacked.path}") for attacked in SPECS.probed],
        probes_files=[ancient(f"{RESULTS}/probes/{attacked.path}/probe.json") for attacked in SPECS.probed],
        selected=selected_files("selected" if STUDY.selection else ""),
    output:
        report(
            f"{RESULTS}/checks.csv",
            category="Results",
            labels={"what": "checks"},
            caption="../report/checks.rst",
        ),
    log:
        f"{RESULTS}/logs/check.log",
    benchmark:
        f"{RESULTS}/benchmarks/check.tsv"
    container:
        IMAGES["report"]
    resources:
        mem_mb=lambda wildcards, attempt: NEEDS.whole(attempt).mem_mb,
        runtime=lambda wildcards, attempt: NEEDS.whole(attempt).runtime,
    params:
        spec=SPECS.whole(),
        code=SPECS.code("check"),
        selected=selected_option("selected" if STUDY.selection else ""),
    shell:
        "python workflow/stages/check.py"
        " --results $(dirname {output})"
        " {params.selected}"
        " --spec {params.spec:q}"
        " --out {output}"
        " 2>&1 | tee {log}"
