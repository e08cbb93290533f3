# The study, its specs, and the places of its artifacts. What the other rules files share.

import os
import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

from assay.planning.bring import plan_study
from assay.planning.configs import check_configs
from assay.planning.containers import RECIPES, image, require_images
from assay.files import AssayError
from assay.planning.fingerprint import ROOT
from assay.planning.freshness import Freshness, now_wanted
from assay.planning.interpreter import provide_python, warm_prefix
from assay.planning.jobs import Jobs
from assay.planning.locks import clear_stale_locks
from assay.planning.outside import check_outside
from assay.planning.requests import Requests
from assay.planning.site import GPU_STAGES
from assay.planning.trials import check_networks
from assay.study.training import Ranks

DEMO = ROOT / "config" / "config.yaml"
IN_CONTAINERS = DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method

try:
    check_configs(workflow.configfiles or [DEMO])
except AssayError as error:
    raise WorkflowError(str(error))

if not workflow.overwrite_configfiles:

    configfile: DEMO


try:
    CONFIGS = ", ".join(map(str, workflow.configfiles)) or "--config"
    STUDY = plan_study(config, CONFIGS)
    JOBS = Jobs(STUDY)
    check_outside(JOBS, CONFIGS)
    if not IN_CONTAINERS:  # their libraries may be others
        check_networks(JOBS, CONFIGS)
    clear_stale_locks(Path(".snakemake"))
    if IN_CONTAINERS:
        require_images()
except (AssayError, OSError) as error:
    raise WorkflowError(str(error))

provide_python(in_containers=IN_CONTAINERS)


onstart:
    # Only now is it known where jobs run.
    if workflow.is_main_process and workflow.local_exec and not IN_CONTAINERS and (prefix := warm_prefix()):
        shell.prefix(prefix)


# What is there is looked at once, by the run that plans; jobs that it starts on a cluster do not look again.
FRESHNESS = Freshness(JOBS, lambda: workflow.dag_settings.forcerun) if workflow.is_main_process else None
NOW_WANTED = now_wanted(Path(".snakemake"), touch=workflow.is_main_process)
REQUESTS = Requests(JOBS, lambda: workflow.non_local_exec or workflow.remote_exec)
RESULTS = f"results/{STUDY.study}"
# Relative, because Snakemake looks an image up in the working directory; which may be another than the Snakefile's.
STAGES = os.path.relpath(ROOT / "workflow" / "stages")
IMAGES = {kind: os.path.relpath(image(kind)) for kind in RECIPES}


wildcard_constraints:
    split="train|validation|selection|test",
    role="(selection/)?",
    file="[^/]+",
    classifier="[^/]+",
    diffusion="[^/]+",
    attack="[^/]+",
    part="[0-9]+-of-[0-9]+",
    purifier="[^/]+",
    attacked=r"clean|[^/]+/[^/]+/eps-[^/]+/[^/]+",
    attacked_path=r"[^/]+/[^/]+/eps-[^/]+/[^/]+",
    sigma="[^/]+",


def one_of(names):
    """The pattern of a wildcard that is one of these names; of none where there are none."""
    return "|".join(names) or "(?!)"


# An artifact's manifest stands for it, as input and as output: its other files come with it, and it says what they must
# be. Outputs are `update`: else Snakemake would delete what is there before a job starts, and it stays until all of the
# new is there.


def manifest(place):
    """The manifest of an artifact as output."""
    return update(f"{RESULTS}/{place}manifest.json")


def shown(file, **told):
    """A file of an artifact as output, in a Snakemake report too."""
    return update(report(f"{RESULTS}/{file}", **told))


def _of_network(kind, file, what):
    """A file of a network that a Snakemake report shows."""
    labels = {"network": f"{{{kind}}}", "kind": what}
    caption = f"../report/{file.split('.')[0]}.rst"
    return shown(f"{kind}s/{{{kind}}}/{file}", category="Training", labels=labels, caption=caption)


# A study that may record networks without weights declares neither of these, for such networks have not both.
RECORDS = any(
    getattr(network, "on_divergence", "fail") == "record"
    for network in [*STUDY.classifiers.values(), *STUDY.diffusions.values()]
)


def history_of(kind):
    """A training's history as output."""
    return {} if RECORDS else {"history": _of_network(kind, "history.csv", kind)}


def samples_of(kind):
    """What a diffusion makes of images, as output."""
    return {} if RECORDS else {"samples": _of_network(kind, "samples.png", "samples")}


# What the rules ask of a job: each of these gives a function of the wildcards.


def job_of(stage, wildcards):
    """The job of a stage; the number of a part is no part of it."""
    return JOBS.job(stage, **{name: value for name, value in wildcards.items() if name != "part"})


def inputs_of(stage):
    """The manifests that a job waits for.

    Of a job whose artifact is there as wanted, all of them are ancient: neither their age nor that they are made anew
    is a reason to run it. Of any other job none is; one more input is younger than all that it ever made, and it waits
    for what must be there before it, too.
    """

    def inputs(wildcards):
        job = job_of(stage, wildcards)
        is_there = FRESHNESS and not FRESHNESS.reason(job)
        age, before = (ancient, {}) if is_there else (str, job.after)
        one = {role: age(artifact.manifest) for role, artifact in {**before, **job.inputs}.items()}
        many = {role: [age(artifact.manifest) for artifact in some.values()] for role, some in job.each.items()}
        return one | many | {"wanted": age(NOW_WANTED)}

    return inputs


def params_of(stage):
    """What a job's program is told of it: its options, as a shell reads them."""
    return {"job": lambda wildcards: shlex.join(JOBS.options(job_of(stage, wildcards)))}


def resources_of(stage, **more):
    """What a job asks a cluster for, each attempt after the first for twice; and where its stage's program lies."""

    def ask(what):
        return lambda wildcards, attempt: getattr(REQUESTS.of(stage, attempt, **dict(wildcards.items())), what)

    asked = {what: ask(what) for what in ("mem_mb", "runtime")} | ({"gpu": 1} if stage in GPU_STAGES else {})
    return {"stages": STAGES} | asked | more


# Where a training runs is no param: it changes no artifact.


def trained_on(kind, several_nodes):
    """The networks that are trained on several nodes of a cluster, or those that are not."""
    return [name for name in JOBS.named(kind, False) if (ranks_of(kind, name).nodes > 1) == several_nodes]


def ranks_of(kind, name):
    """The processes that a network is trained on."""
    return getattr(STUDY, f"{kind}s")[name].ranks or Ranks()


def launch_of(kind, several_nodes=False):
    """How a training is started: by Python, or on each of several nodes; and what that takes."""
    within = ["apptainer", "exec", *shlex.split(workflow.deployment_settings.apptainer_args), IMAGES["torch"]]
    inside = ["--within", shlex.join(within)] if IN_CONTAINERS and several_nodes else []
    python = sys.executable if several_nodes else "python"

    def launch(wildcards):
        ranks = ranks_of(kind, wildcards[kind])
        told = ["-m", "assay.training.launch", f"--nodes={ranks.nodes}", f"--ranks={ranks.gpus}", *inside]
        return shlex.join([python, *told] if ranks.nodes * ranks.gpus > 1 else [python])

    def count(of_ranks):
        return lambda wildcards: of_ranks(ranks_of(kind, wildcards[kind]))

    found = {"launch": launch, "torch_threads": STUDY.threads, "gpu": count(lambda ranks: ranks.nodes * ranks.gpus)}
    if several_nodes:
        found |= {"mpi": "srun", "nodes": count(lambda ranks: ranks.nodes), "tasks_per_gpu": 0}
        found |= {"tasks": count(lambda ranks: ranks.nodes)}
    return found


def outside(wildcards):
    """No container: srun is outside, and starts each node's processes in one."""
    return None


def part_option(wildcards):
    """The option of a stage that computes one part of a stack."""
    return f"--part {wildcards.part}"


def part_marks(stage, place):
    """The marks of the parts that an artifact is put together from; none where one job computes it whole."""

    def marks(wildcards):
        parts = JOBS.parts(job_of(stage, wildcards))
        return [f"{RESULTS}/{place}.part-{part}".format(**dict(wildcards.items())) for part in parts]

    return marks


def result(table, what):
    """A table of results as output."""
    return shown(f"{table}.csv", category="Results", labels={"what": what}, caption=f"../report/{table}.rst")


# The tables of results beside checks.csv, and what each is called in Snakemake's report.
TABLES = {
    "summary": "summary",
    "strongest": "strongest attack",
    "comparisons": "who beats whom",
    "worst_case": "worst case",
    "resubmission": "resubmission risk",
    "black_box": "black box, all or nothing",
    "per_class": "accuracy by class",
    "confusion": "confusion matrix",
    "trainings": "spread between trainings",
    "equivalence": "as good as the reference",
    "trajectories": "accuracy against attack steps",
    "untrained": "what could not be trained",
}
if STUDY.certificates:
    TABLES |= {
        "certificates": "certificates",
        "certified_accuracy": "certified accuracy",
        "sequential": "sequential certificates",
    }


# Where a data set's files lie, and how it is fetched, are no params: they change no artifact.


def source_option():
    """The option that names the folder of the data set's files to a stage, if it has files; as a shell reads it."""
    return f"--folder={shlex.quote(STUDY.images.folder)}" if STUDY.images.folder else ""


# Where files are fetched to. A folder of other data may have a name that Snakemake takes for a pattern.
FETCHED = STUDY.images.folder if STUDY.images.files else f"{RESULTS}/images/fetched"
