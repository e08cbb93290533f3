# Needs the summary, the tables beside it, and the artifacts that it rests on; makes results/<study>/report.html.


rule report:
    """The report: one self-contained page."""
    input:
        unpack(inputs_of("report")),
    output:
        manifest=manifest("report."),
        page=shown("report.html", category="Results", labels={"what": "report"}, caption="../report/report.rst"),
    log:
        f"{RESULTS}/logs/report.log",
    benchmark:
        f"{RESULTS}/benchmarks/report.tsv"
    container:
        IMAGES["report"]
    resources:
        **resources_of("report"),
    params:
        **params_of("report"),
    shell:
        "python {resources.stages:q}/report.py {params.job} 2>&1 | tee {log}"
