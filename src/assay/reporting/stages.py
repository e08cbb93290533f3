"""How the study was made: the graph of its stages, their times, and what ran them."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup

from assay.reporting.read import Artifact
from assay.reporting.words import duration

WIDTH, HEIGHT = 112, 48  # of a node, in the drawing's units
GAP, SIDE = 44, 26  # between nodes along the flow, and across it
LANE = 13  # between the lines that go around nodes
PAGES = ("summary", "report")  # what is made of the scores, and has no manifest


@dataclass(frozen=True)
class Graph:
    """Kinds of artifacts with their counts, and which is made from which."""

    counts: dict[str, int]
    edges: list[tuple[str, str]]
    unknown: int


def graph(artifacts: list[Artifact]) -> Graph:
    """The graph that the manifests tell: an edge where an input's hash is that of another artifact's manifest."""
    by_hash = {artifact.hash: artifact.stage for artifact in artifacts}
    counts: dict[str, int] = {}
    edges: set[tuple[str, str]] = set()
    unknown = 0
    for artifact in artifacts:
        counts[artifact.stage] = counts.get(artifact.stage, 0) + 1
        for label, read in artifact.manifest.get("inputs", {}).items():
            source = "selection" if label == "sigma" else by_hash.get(read)
            unknown += source is None
            if source not in (None, artifact.stage):
                edges.add((source, artifact.stage))
    if "scores" in counts:
        edges |= {("scores", "summary"), ("summary", "report")}
        counts |= dict.fromkeys(PAGES, 1)
    return Graph(counts, sorted(edges), unknown)


def drawing(made: Graph, upright: bool) -> Markup:
    """The graph as SVG: from left to right, or from top to bottom where the screen is narrow."""
    columns = _columns(made)
    long, broad = (HEIGHT, WIDTH) if upright else (WIDTH, HEIGHT)
    height = max(len(column) for column in columns) * (broad + SIDE) - SIDE
    boxes = {}
    for level, column in enumerate(columns):
        for index, stage in enumerate(column):
            aside = (index - (len(column) - 1) / 2) * (broad + SIDE)
            boxes[stage] = _Box(level, level * (long + GAP), aside, long, broad)
    pen = _Pen(upright)
    straight = [edge for edge in made.edges if boxes[edge[1]].level - boxes[edge[0]].level == 1]
    lanes = _lanes([edge for edge in made.edges if edge not in straight], boxes)
    parts = [pen.straight(boxes[source], boxes[target]) for source, target in straight]
    parts += [
        pen.around(boxes[lane.source], [boxes[target] for target in lane.targets], lane, height) for lane in lanes
    ]
    parts += [pen.node(boxes[stage], stage, made.counts[stage]) for stage in made.counts]
    margin = height / 2 + LANE * (max((abs(lane.place) for lane in lanes), default=0) + 1)
    left, top = pen.point(-4, -margin)
    width, tall = pen.point(len(columns) * (long + GAP) - GAP + 8, 2 * margin)
    shape = "upright" if upright else "along"
    return Markup(
        f'<svg class="graph {shape}" viewBox="{left:g} {top:g} {width:g} {tall:g}" style="max-width:{width:g}px" '
        f'role="img" aria-label="graph of the stages">{"".join(parts)}</svg>'
    )


@dataclass(frozen=True)
class _Box:
    """Where a node stands: its column, its start along the flow, and its middle across it."""

    level: int
    start: float
    middle: float
    long: float
    broad: float


@dataclass(frozen=True)
class _Lane:
    """A line around other nodes, from one stage to all that use it further on; on the side of `place`'s sign."""

    source: str
    targets: list[str]
    place: int


def _lanes(edges: list[tuple[str, str]], boxes: dict[str, _Box]) -> list[_Lane]:
    """One lane a source: on its own side if it stands on one, else where there are fewer; the longest outermost."""
    targets: dict[str, list[str]] = {}
    for source, target in edges:
        targets.setdefault(source, []).append(target)
    sides: dict[int, list[str]] = {-1: [], 1: []}
    for source in sorted(targets, key=lambda source: (boxes[source].middle == 0, boxes[source].level)):
        middle = boxes[source].middle
        fewer = 1 if len(sides[1]) <= len(sides[-1]) else -1
        sides[(middle > 0) - (middle < 0) or fewer].append(source)

    def length(source: str) -> int:
        return max(boxes[target].level for target in targets[source]) - boxes[source].level

    return [
        _Lane(source, targets[source], side * (index + 1))
        for side, sources in sides.items()
        for index, source in enumerate(sorted(sources, key=length))
    ]


@dataclass(frozen=True)
class _Pen:
    """Draws in terms of along and across the flow; `upright` says which of them is x."""

    upright: bool

    def point(self, along: float, across: float) -> tuple[float, float]:
        return (across, along) if self.upright else (along, across)

    def path(self, text: str, *points: tuple[float, float]) -> str:
        """A path whose `{}` stand for points."""
        return text.format(*("{:g} {:g}".format(*self.point(*point)) for point in points))

    def straight(self, source: _Box, target: _Box) -> str:
        """An edge to the next column."""
        a, b = source.start + source.long, target.start
        half = (a + b) / 2
        points = ((a, source.middle), (half, source.middle), (half, target.middle), (b, target.middle))
        return f'<path d="{self.path("M{}C{} {} {}", *points)}{self._head(b, target.middle, 1, 0)}"/>'

    def around(self, source: _Box, targets: list[_Box], lane: _Lane, height: float) -> str:
        """Edges to later columns: out of the node's side, along the lane, and into each target's side."""
        side = 1 if lane.place > 0 else -1
        across = side * height / 2 + LANE * lane.place
        leave = source.start + source.long * 0.7
        edge = source.middle + side * source.broad / 2
        text = ""
        for target in targets:
            enter = target.start + target.long * (0.12 + 0.13 * abs(lane.place))
            end = target.middle + side * target.broad / 2
            bend = 8
            text += self.path(
                "M{}L{}Q{} {}L{}Q{} {}L{}",
                *((leave, edge), (leave, across - side * bend), (leave, across), (leave + bend, across)),
                *((enter - bend, across), (enter, across), (enter, across - side * bend), (enter, end)),
            )
            text += self._head(enter, end, 0, -side)
        return f'<path d="{text}"/>'

    def _head(self, along: float, across: float, forward: int, aside: int) -> str:
        """An arrow's head that points along the flow, or aside."""
        back = (along - 6 * forward, across - 6 * aside)
        wings = [(back[0] + 4 * aside * sign, back[1] + 4 * forward * sign) for sign in (-1, 1)]
        return self.path("M{}L{}L{}", wings[0], (along, across), wings[1])

    def node(self, box: _Box, stage: str, count: int) -> str:
        x, y = self.point(box.start, box.middle - box.broad / 2)
        middle = x + WIDTH / 2
        if stage in PAGES:
            text = f'<text x="{middle:g}" y="{y + 29:g}">{stage}</text>'
        else:
            text = f'<text x="{middle:g}" y="{y + 21:g}">{stage}</text>'
            text += f'<text x="{middle:g}" y="{y + 38:g}" class="count">{count}</text>'
        return f'<rect x="{x:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="5"/>{text}'


def _columns(made: Graph) -> list[list[str]]:
    """Stages by how many others lie before them on the longest way."""
    depth = dict.fromkeys(made.counts, 0)
    for _ in made.counts:
        for source, target in made.edges:
            depth[target] = max(depth[target], min(depth[source] + 1, len(made.counts) - 1))
    columns: dict[int, list[str]] = {}
    for stage in made.counts:
        columns.setdefault(depth[stage], []).append(stage)
    return [columns[level] for level in sorted(columns)]


@dataclass(frozen=True)
class Times:
    """What one rule's jobs took."""

    rule: str
    jobs: int
    total: str
    mean: str
    memory: str
    share: float


def times(benchmarks: pd.DataFrame) -> list[Times]:
    """Jobs, seconds and peak memory of each rule, the longest first; none where nothing was timed."""
    whole = benchmarks["s"].sum()
    found = []
    for rule, rows in benchmarks.groupby("rule"):
        total = rows["s"].sum()
        memory = rows["max_rss"].max()
        found.append(
            (
                total,
                Times(
                    rule=rule,
                    jobs=len(rows),
                    total=duration(total),
                    mean=duration(rows["s"].mean()),
                    memory="–" if pd.isna(memory) else f"{memory:,.0f} MB",
                    share=total / whole if whole else 0.0,
                ),
            )
        )
    return [row for _, row in sorted(found, key=lambda pair: (-pair[0], pair[1].rule))]


def makers(artifacts: list[Artifact]) -> list[tuple[str, str, str]]:
    """(what, value, stages): each library's versions and the devices, with the stages that they made."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for artifact in artifacts:
        manifest = artifact.manifest
        pairs = [*sorted(manifest.get("versions", {}).items()), ("device", str(manifest.get("device", "unknown")))]
        for pair in pairs:
            found.setdefault(pair, {})[artifact.stage] = None
    return [(what, value, ", ".join(stages)) for (what, value), stages in sorted(found.items())]
