# Needs the test images, a classifier and what its defence needs; makes results/<study>/certificates/<path>, the votes that
# certificates are told from, and results/<study>/attacked_certificates/<path>.


rule certify:
    """Count the votes of a smoothed classifier, from which its certificates are told."""
    input:
        unpack(inputs_of("certify")),
        parts=part_marks("certify", "certificates/{classifier}/{purifier}/.sigma-{sigma}"),
    output:
        manifest=manifest("certificates/{classifier}/{purifier}/sigma-{sigma}/"),
    log:
        f"{RESULTS}/logs/certify/{{classifier}}/{{purifier}}/sigma-{{sigma}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/certify/{{classifier}}/{{purifier}}/sigma-{{sigma}}.tsv"
    priority: 1  # the long jobs first: none is left to run alone at the end
    container:
        IMAGES["torch"]
    resources:
        **resources_of("certify"),
    params:
        **params_of("certify"),
        part="",
    shell:
        "python {resources.stages:q}/certify.py {params.job} --threads {threads} {params.part} 2>&1 | tee {log}"


use rule certify as certify_part with:
    input:
        unpack(inputs_of("certify")),
    output:
        temp(touch(f"{RESULTS}/certificates/{{classifier}}/{{purifier}}/.sigma-{{sigma}}.part-{{part}}")),
    log:
        f"{RESULTS}/logs/certify/{{classifier}}/{{purifier}}/sigma-{{sigma}}.part-{{part}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/certify/{{classifier}}/{{purifier}}/sigma-{{sigma}}.part-{{part}}.tsv"
    params:
        **params_of("certify"),
        part=part_option,


rule attack_certificates:
    """Attack some images inside their certified radii, where no attack may change an answer."""
    input:
        unpack(inputs_of("attack_certificates")),
    output:
        manifest=manifest("attacked_certificates/{classifier}/{purifier}/sigma-{sigma}/"),
    log:
        f"{RESULTS}/logs/attack_certificates/{{classifier}}/{{purifier}}/sigma-{{sigma}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/attack_certificates/{{classifier}}/{{purifier}}/sigma-{{sigma}}.tsv"
    container:
        IMAGES["torch"]
    resources:
        **resources_of("attack_certificates"),
    params:
        **params_of("attack_certificates"),
    shell:
        "python {resources.stages:q}/attack_certificates.py {params.job} --threads {threads} 2>&1 | tee {log}"
