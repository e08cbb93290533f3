# Needs a stack, a classifier and what its defence needs; makes results/<study>/adversarial/<path>.


rule attack:
    """Attack the images of a role at one eps against one victim."""
    input:
        unpack(inputs_of("attack")),
        parts=part_marks("attack", "{role}adversarial/{attacked_path}"),
    output:
        manifest=manifest("{role}adversarial/{attacked_path}/"),
    log:
        f"{RESULTS}/logs/attack/{{role}}{{attacked_path}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/attack/{{role}}{{attacked_path}}.tsv"
    priority: 1  # the long jobs first: none is left to run alone at the end
    container:
        IMAGES["torch"]
    resources:
        **resources_of("attack"),
    params:
        **params_of("attack"),
        part="",
    shell:
        "python {resources.stages:q}/attack.py {params.job} --threads {threads} {params.part} 2>&1 | tee {log}"


use rule attack as attack_part with:
    input:
        unpack(inputs_of("attack")),
    output:
        temp(touch(f"{RESULTS}/{{role}}adversarial/{{attacked_path}}.part-{{part}}")),
    log:
        f"{RESULTS}/logs/attack/{{role}}{{attacked_path}}.part-{{part}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/attack/{{role}}{{attacked_path}}.part-{{part}}.tsv"
    params:
        **params_of("attack"),
        part=part_option,
