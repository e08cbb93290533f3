# Needs the summary, the tables beside it, and the artifacts that it rests on; makes results/<study>/report.html.


rule report:
    """The report: one self-contained page."""
    input:
        summary=f"{RESULTS}/summary.csv",
        comparisons=f"{RESULTS}/comparisons.csv",
        worst_case=f"{RESULTS}/worst_case.csv",
        checks=f"{RESULTS}/checks.csv",
    output:
        report(
            f"{RESULTS}/report.html",
            category="Results",
            labels={"what": "report"},
            caption="../report/report.rst",
        ),
    log:
        f"{RESULTS}/logs/report.log",
    benchmark:
        f"{RESULTS}/benchmarks/report.tsv"
    container:
        IMAGES["report"]
    resources:
        mem_mb=lambda wildcards, attempt: NEEDS.whole(attempt).mem_mb,
        runtime=lambda wildcards, attempt: NEEDS.whole(attempt).runtime,
    params:
        spec=SPECS.whole(),
        code=SPECS.code("report"),
    shell:
        "python workflow/stages/report.py"
        " --results $(dirname {output})"
        " --spec {params.spec:q}"
        " --out {output}"
        " 2>&1 | tee {log}"
