# Needs a stack and a classifier; makes results/<study>/scores/<cell>; of all of them summary.csv and two tables more.


rule classify:
    """Classify a stack: logits per image and draw."""
    input:
        images=lambda wildcards: manifest(
            scored_folder(wildcards.role, wildcards.attacked, wildcards.purifier, wildcards.sigma)
        ),
        images_files=lambda wildcards: stack_files(
            scored_folder(wildcards.role, wildcards.attacked, wildcards.purifier, wildcards.sigma)
        ),
        classifier=lambda wildcards: manifest(classifier_folder(wildcards.classifier)),
        classifier_files=lambda wildcards: classifier_files(wildcards.classifier),
    output:
        manifest=f"{RESULTS}/{{role}}scores/{{classifier}}/{{attacked}}/{{purifier}}/sigma-{{sigma}}/manifest.json",
        scores=f"{RESULTS}/{{role}}scores/{{classifier}}/{{attacked}}/{{purifier}}/sigma-{{sigma}}/scores.csv",
    log:
        f"{RESULTS}/logs/classify/{{role}}{{classifier}}/{{attacked}}/{{purifier}}/sigma-{{sigma}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/classify/{{role}}{{classifier}}/{{attacked}}/{{purifier}}/sigma-{{sigma}}.tsv"
    container:
        IMAGES["torch"]
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: NEEDS.classify(wildcards.classifier, attempt, wildcards.role).mem_mb,
        runtime=lambda wildcards, attempt: NEEDS.classify(wildcards.classifier, attempt, wildcards.role).runtime,
    params:
        spec=SPECS.classify(),
        code=SPECS.code("classify"),
    shell:
        "python workflow/stages/classify.py"
        " --images $(dirname {input.images})"
        " --classifier $(dirname {input.classifier})"
        " --spec {params.spec:q}"
        " --code {params.code}"
        " --threads {threads}"
        " --out $(dirname {output.manifest})"
        " 2>&1 | tee {log}"


rule summarise:
    """One row a cell: accuracy, its interval, and what else the scores tell; who beats whom; the worst case."""
    input:
        manifests=[f"{RESULTS}/scores/{cell.path}/manifest.json" for cell in SPECS.cells],
        scores=[ancient(f"{RESULTS}/scores/{cell.path}/scores.csv") for cell in SPECS.cells],
        images=manifest(f"{RESULTS}/images/test"),
        table=ancient(f"{RESULTS}/images/test/table.csv"),
        selected=selected_files("selected" if STUDY.selection else ""),
    output:
        summary=report(
            f"{RESULTS}/summary.csv",
            category="Results",
            labels={"what": "summary"},
            caption="../report/summary.rst",
        ),
        comparisons=report(
            f"{RESULTS}/comparisons.csv",
            category="Results",
            labels={"what": "who beats whom"},
            caption="../report/comparisons.rst",
        ),
        worst_case=report(
            f"{RESULTS}/worst_case.csv",
            category="Results",
            labels={"what": "worst case"},
            caption="../report/worst_case.rst",
        ),
    log:
        f"{RESULTS}/logs/summarise.log",
    benchmark:
        f"{RESULTS}/benchmarks/summarise.tsv"
    container:
        IMAGES["report"]
    resources:
        mem_mb=lambda wildcards, attempt: NEEDS.whole(attempt).mem_mb,
        runtime=lambda wildcards, attempt: NEEDS.whole(attempt).runtime,
    params:
        spec=SPECS.whole(),
        code=SPECS.code("summarise"),
        selected=selected_option("selected" if STUDY.selection else ""),
    shell:
        "python workflow/stages/summarise.py"
        " --scores $(dirname {output.summary})/scores"
        " --images $(dirname {input.images})"
        " {params.selected}"
        " --spec {params.spec:q}"
        " --out {output.summary}"
        " 2>&1 | tee {log}"
