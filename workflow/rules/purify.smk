# Needs a stack and what the purifier needs; makes results/<study>/purified/<path>.


rule purify:
    """Purify a stack with one purifier at one sigma, once per draw."""
    input:
        unpack(inputs_of("purify")),
        parts=part_marks("purify", "{role}purified/{attacked}/{purifier}/.sigma-{sigma}"),
    output:
        manifest=manifest("{role}purified/{attacked}/{purifier}/sigma-{sigma}/"),
    log:
        f"{RESULTS}/logs/purify/{{role}}{{attacked}}/{{purifier}}/sigma-{{sigma}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/purify/{{role}}{{attacked}}/{{purifier}}/sigma-{{sigma}}.tsv"
    container:
        IMAGES["torch"]
    resources:
        **resources_of("purify"),
    params:
        **params_of("purify"),
        part="",
    shell:
        "python {resources.stages:q}/purify.py {params.job} --threads {threads} {params.part} 2>&1 | tee {log}"


use rule purify as purify_part with:
    input:
        unpack(inputs_of("purify")),
    output:
        temp(touch(f"{RESULTS}/{{role}}purified/{{attacked}}/{{purifier}}/.sigma-{{sigma}}.part-{{part}}")),
    log:
        f"{RESULTS}/logs/purify/{{role}}{{attacked}}/{{purifier}}/sigma-{{sigma}}.part-{{part}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/purify/{{role}}{{attacked}}/{{purifier}}/sigma-{{sigma}}.part-{{part}}.tsv"
    params:
        **params_of("purify"),
        part=part_option,
