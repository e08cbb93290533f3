# Needs scores, adversarial stacks and, where the study asks for them, probes; makes results/<study>/probes/<attacked path>
# and results/<study>/checks.csv.


rule probe:
    """Probe an attack on a few images: its gradients, its convergence, and an image that is known to be there."""
    input:
        unpack(inputs_of("probe")),
    output:
        manifest=manifest("probes/{attacked_path}/"),
    log:
        f"{RESULTS}/logs/probe/{{attacked_path}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/probe/{{attacked_path}}.tsv"
    priority: 1  # the long jobs first: none is left to run alone at the end
    container:
        IMAGES["torch"]
    resources:
        **resources_of("probe"),
    params:
        **params_of("probe"),
    shell:
        "python {resources.stages:q}/probe.py {params.job} --threads {threads} 2>&1 | tee {log}"


rule check:
    """Hold the attacks and the scores against what must be true of them: one row per check and what it is about."""
    input:
        unpack(inputs_of("check")),
    output:
        manifest=manifest("checks."),
        table=result("checks", "checks"),
    log:
        f"{RESULTS}/logs/check.log",
    benchmark:
        f"{RESULTS}/benchmarks/check.tsv"
    container:
        IMAGES["report"]
    resources:
        **resources_of("check"),
    params:
        **params_of("check"),
    shell:
        "python {resources.stages:q}/check.py {params.job} 2>&1 | tee {log}"
