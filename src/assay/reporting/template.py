"""The page as a Jinja template. It stands in a module, so that the stage's code fingerprint sees it change."""

TEMPLATE = """
{%- from "trust" import status, tally, claim -%}
{%- macro mark(kind, x, y) -%}
{%- if kind == 0 %}<circle cx="{{ x }}" cy="{{ y }}" r="4"/>
{%- elif kind == 1 %}<circle cx="{{ x }}" cy="{{ y }}" r="4.5"/>
{%- else %}<svg x="{{ x }}" y="{{ y }}" overflow="visible"><path d="M0 -5L5 0L0 5L-5 0Z"/></svg>
{%- endif %}
{%- endmacro -%}

{%- macro ladder(shown) -%}
{%- set height = 15 * shown.measures|length -%}
<div class="legend">
{%- for what in shown.measures %}
<span class="m{{ loop.index0 }}"><svg class="mark m{{ loop.index0 }}">{{ mark(loop.index0, "50%", "50%") }}</svg>
{{ measure_label(what) }}</span>
{%- endfor %}
</div>
<div class="ladder">
{%- for label, marks in shown.rows %}
<div class="rung"><div class="name">{{ label }}</div>
<svg height="{{ height + 8 }}" role="img" aria-label="{{ label }}:
{%- for m in marks %} {{ m.what }} {{ percent(m.accuracy) }}{{ ", " if not loop.last }}{% endfor %}">
{%- for x in (0, 25, 50, 75, 100) %}<line class="gridline" x1="{{ x }}%" x2="{{ x }}%" y1="0" y2="100%"/>{% endfor %}
{%- for m in marks %}{% set i = shown.measures.index(m.what) %}{% set y = 4 + 15 * i + 7.5 %}
{%- set verdict = checked([m.scores]) %}
<g class="mark m{{ i }}{{ " faded" if verdict.failed }}"><title>{{ m.what }}: {{ percent(m.accuracy) }}
{{ bracket(m.low, m.high) }}{% if verdict.failed %}
✗ {{ verdict.why }}{% endif %}</title>
<line x1="{{ pct(m.low) }}" x2="{{ pct(m.high) }}" y1="{{ y }}" y2="{{ y }}"/>{{ mark(i, pct(m.accuracy), y) }}</g>
{%- endfor %}
</svg>
<div class="values">
{%- for what in shown.measures %}{% set found = marks|selectattr("what", "equalto", what)|list %}
<span class="m{{ loop.index0 }}">
{%- if found %}{{ "✗" if checked([found[0].scores]).failed }}{{ number(found[0].accuracy) }}
{%- else %}\u00a0{% endif %}</span>
{%- endfor %}</div></div>
{%- endfor %}
<div class="rung axis" aria-hidden="true"><div class="name"></div><svg height="40">
{%- for x in (0, 25, 50, 75, 100) %}<text x="{{ x }}%" y="16" text-anchor="middle">{{ x }}</text>{% endfor %}
<text x="50%" y="35" text-anchor="middle">accuracy (%)</text></svg><div></div></div>
</div>
{%- endmacro -%}

{%- macro value(row) -%}
{%- if row is none %}–{% else %}{% set verdict = checked([row.scores]) %}
<span{% if verdict.failed %} class="doubted" title="{{ verdict.why }}"{% endif %}>
{%- if verdict.failed %}✗ {% endif %}{{ percent(row.accuracy) }}
<span class="ci">{{ bracket(row.ci_low, row.ci_high) }}</span></span>
{%- endif %}
{%- endmacro -%}

<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>Assay: {{ study }}</title>
<style>{{ style }}</style>
</head>
<body>
<header>
<h1>Does purifying protect the classifier?</h1>
<p class="soft">Assay, study <b>{{ study }}</b>: {{ scale }}</p>
<nav aria-label="Parts of this page">
{%- for anchor, title in parts %}<a href="#{{ anchor }}">{{ title }}</a>{% endfor %}</nav>
</header>

<main>
<section id="answer">
<h2>The answer</h2>
<p class="soft">Checks: {{ tally(totals) }} <a href="#checks">What they found</a></p>
{%- for answer, first, told in answers %}
{%- if answers|length > 1 %}<h3>{{ answer.classifier }}</h3>{% endif %}
{%- if first %}
<p class="lead">{{ claim(first.sentence, told.headline) }}</p>
<figure class="kept">
{%- for rung in first.rungs %}{% set verdict = checked([rung.cell.scores]) %}
<div class="rung{{ " doubted" if verdict.failed }}"{% if verdict.failed %} title="{{ verdict.why }}"{% endif %}>
<div class="name">{{ "✗ " if verdict.failed }}{{ rung.name }}</div>
<svg height="26" role="img" aria-label="{{ rung.name }}: {{ percent(rung.cell.accuracy) }}">
{%- for x in (0, 25, 50, 75, 100) %}<line class="gridline" x1="{{ x }}%" x2="{{ x }}%" y1="0" y2="100%"/>{% endfor %}
<rect x="0" y="6" height="14" width="{{ pct(rung.cell.accuracy) }}"/>
<line class="whisker" x1="{{ pct(rung.cell.ci_low) }}" x2="{{ pct(rung.cell.ci_high) }}" y1="13" y2="13"/></svg>
<div class="values">{{ percent(rung.cell.accuracy) }}</div></div>
{%- endfor %}
<figcaption>Accuracy of {{ answer.classifier }} on the same test images, at eps {{ eps_label(first.eps) }} where it is
attacked; the thin line is the 95&nbsp;% interval. Of each kind of threat the attack that leaves least.</figcaption>
</figure>
{%- endif %}
<p{% if not first %} class="lead"{% endif %}>
{%- for sentence, judged in told.sentences %}{{ claim(sentence.text, judged) }} {% endfor %}</p>
{%- if told.caveats %}
<ul class="caveats">{% for caveat, judged in told.caveats %}<li>{{ claim(caveat.text, judged) }}</li>{% endfor %}</ul>
{%- endif %}
<figure>
{{ ladder(answer.ladder) }}
<figcaption>Accuracy of {{ answer.classifier }} with each defence (purifier and sigma)
{%- if answer.eps is not none %}, at eps {{ eps_label(answer.eps) }}{% endif %}
{%- if answer.attack %} of {{ answer.attack }}{% endif %}.
A mark is the accuracy over all test images and draws, its line the 95&nbsp;% interval; further right is better.
Protection that lasts keeps all marks of a row far to the right.
{%- if answer.ladder.left_out %} Rows are chosen: the defences named above and those attacked by one who knows of them,
then each purifier at the sigma that does best under transfer. {{ answer.ladder.left_out }} rows are left to the grid
below.{% endif %}</figcaption>
</figure>
{%- if answer.by_eps and answer.best is not none %}
<h3>At each eps</h3>
<div class="scroll"><table>
<thead><tr><th class="n">eps</th><th>undefended</th><th>best defence</th>
<th>under {{ "transfer" if answer.attack else answer.best.threat }}</th>
{%- if answer.attack %}<th>the same, attacked through it</th>{% endif %}</tr></thead>
<tbody>
{%- for line in answer.by_eps %}
<tr><td class="n">{{ eps_label(line.eps) }}</td><td>{{ value(line.undefended) }}</td>
<td>{{ "–" if line.best is none else defence_label(line.best.defence, line.best.sigma) }}</td>
<td>{{ value(line.best) }}</td>
{%- if answer.attack %}<td>{{ value(line.aware) }}
{%- if line.aware is not none %} <span class="soft">{{ line.aware.threat }}</span>{% endif %}</td>{% endif %}</tr>
{%- endfor %}
</tbody></table></div>
<p class="soft">At each eps the defence is the one with the highest accuracy in the fourth column,
chosen on these same test images. A dash: not measured.</p>
{%- endif %}
{%- endfor %}
</section>

<section id="grid">
<h2>The grid</h2>
<div class="maps">
{%- for map in heat_maps %}
<div><h3>{{ map.title }}</h3><div class="scroll{{ " tall" if map.rows|length > 30 }}"><table class="heat">
<thead><tr><th>eps</th>{% for column in map.columns %}<th scope="col">{{ column }}</th>{% endfor %}</tr></thead>
<tbody>
{%- for label, cells in map.rows %}
<tr><th scope="row">{{ label }}</th>
{%- for cell in cells %}{% if cell is none %}<td class="empty">·</td>{% else %}
{%- set verdict = checked([cell.scores]) %}
<td style="--a:{{ "%.3f"|format(0.04 + 0.62 * cell.accuracy) }}"
{%- if verdict.failed %} class="doubted" title="✗ {{ verdict.why }}"{% endif %}>
{{- "%.0f"|format(100 * cell.accuracy) }}</td>{% endif %}
{% endfor %}</tr>
{%- endfor %}
</tbody></table></div></div>
{%- endfor %}
</div>
<p class="soft">Accuracy in percent: a row is a defence (purifier and sigma), a column an eps (pixel
units); the deeper the colour, the more is right. A dot: not measured. Hatched: a check of this cell failed.</p>

<h3>Every cell</h3>
<div class="scroll tall" tabindex="0" role="region" aria-label="Every cell of the grid"><table class="sortable">
<thead><tr><th>classifier</th><th>attack</th><th>threat</th><th>norm</th><th class="n">eps</th><th>defence</th>
<th class="n">sigma</th>
<th class="n">accuracy</th><th class="n">interval</th><th>checks</th>
{%- for head in measured.values() %}<th class="n">{{ head }}</th>{% endfor %}
<th class="n">images</th><th class="n">draws</th></tr></thead>
<tbody>
{%- for line in lines %}{% set cell = line.cell %}{% set verdict = checked([cell.scores]) %}
<tr{% if verdict.failed %} class="doubted"{% endif %}>{% for word in line.words[:4] %}<td>{{ word }}</td>{% endfor %}
<td class="n" data-v="{{ line.eps[0] }}">{{ line.eps[1] }}</td>
<td>{{ line.words[4] }}</td><td class="n" data-v="{{ line.sigma[0] }}">{{ line.sigma[1] }}</td>
<td class="n" data-v="{{ cell.accuracy }}"><span class="bar"><i style="width:{{ pct(cell.accuracy) }}"></i>
<b style="left:{{ pct(cell.ci_low) }};width:{{ pct(cell.ci_high - cell.ci_low) }}"></b></span>
{{- number(cell.accuracy) }}</td>
<td class="n" data-v="{{ cell.ci_low }}">{{ number(cell.ci_low) }}–{{ number(cell.ci_high) }}</td>
<td data-v="{{ verdict.order }}">{{ status(verdict.status, verdict.why) }}</td>
{%- for other in line.others %}<td class="n">{{ number(other) }}</td>
{% endfor %}
<td class="n">{{ cell.images }}</td><td class="n">{{ cell.draws }}</td></tr>
{%- endfor %}
</tbody></table></div>
<p class="soft">All {{ lines|length }} cells, in percent. The bar is the accuracy, the thin dark
line its 95&nbsp;% interval.
{%- if "sensitivity" in measured %} Sens(itivity): accuracy on the images of class 1; spec(ificity):
on those of class 0.{% endif %}
{%- if "majority_accuracy" in measured %} Majority: the draws of an image vote.{% endif %}
{%- if "worst_accuracy" in measured %} Worst: an image counts as right only if every draw is.{% endif %}
 Checks: the worst of all that concern the cell.</p>
</section>

{{ worst }}

{{ beats }}

<section id="curves">
<h2>Curves</h2>
{%- if not curves %}<p>There are no curves: the study attacks nothing, or sets no defence against an attack.</p>
{% endif %}
{%- for curve in curves %}
<figure>
<h3>{{ curve.title }}</h3>
<div class="legend">
{%- for label, colour in curve.legend %}<span style="--c:var(--{{ colour }})"><i></i>{{ label }}</span>{% endfor %}
{%- for threat, key in curve.threats %}<span>{{ key }}{{ threat }}</span>{% endfor %}</div>
<div class="plots">
{%- for title, svg in curve.panels %}<div><h4>{{ title }}</h4>{{ svg }}</div>{% endfor %}</div>
<figcaption>
{%- if curve.against == "eps" %}Each panel is one purifier; colours are its sigmas. The grey line is
the classifier with no defence under transfer.
{%- else %}Each panel is one purifier; colours are eps. Dotted levels are the classifier with
no defence, under transfer, at the same eps.
{%- endif %} Marks carry their 95&nbsp;% interval, and are moved sideways a little so that they do not hide each other.
{%- for note in curve.notes %} {{ note }}{% endfor %}</figcaption>
</figure>
{%- endfor %}
{%- for note in curve_notes %}<p class="soft">{{ note }}</p>{% endfor %}
</section>

<section id="images">
<h2>Images</h2>
{%- for note in picture_notes %}<p>{{ note }}</p>{% endfor %}
{%- for panel in pictures %}
<figure>
<h3>{{ panel.title }}</h3>
<div class="pictures" style="--n:{{ panel.columns|length }}">
{%- for column in panel.columns %}<div class="head">{{ column }}</div>{% endfor %}
{%- for label, row in panel.rows %}
<div class="of">{{ label }}</div>
{%- for picture in row %}
<div><img src="{{ picture.uri }}" alt="{{ label }}, {{ picture.column }}">
{%- if picture.answer %}<p class="{{ "right" if picture.right else "wrong" }}">
<span>{{ "✓" if picture.right else "✗" }} {{ picture.answer }}</span> <span>{{ picture.share }}</span></p>{% endif %}
</div>
{%- endfor %}{% endfor %}
</div>
<figcaption>
{%- if loop.first %}The first images that are right when clean and wrong when attacked, taken from the classes
in turn (others follow where those are too few).
Under each picture stands what the classifier answers, the share that its softmax gives it, and
whether that is right (✓) or wrong (✗).
The change is the attack's perturbation, drawn around grey and multiplied by the factor that is
given; noised and purified are draw 0.
{%- else %}Read as the panel above.{% endif %}
{%- for note in panel.notes %} {{ note }}{% endfor %}</figcaption>
</figure>
{%- endfor %}
</section>

{{ paper }}

{{ checks }}

<section id="training">
<h2>Training</h2>
{%- if not trainings %}<p>There are no networks in the study's folder.</p>{% endif %}
{%- for network in trainings %}
<h3>{{ network.kind }} {{ network.name }}</h3>
{%- if network.facts %}<p class="facts">{{ network.facts }}</p>{% endif %}
<figure>
{%- if network.curves %}<div class="legend">
{%- for name, colour in network.legend.items() %}
<span style="--c:var(--{{ colour }})"><i></i>{{ name }}</span>
{%- endfor %}
</div>{% endif %}
<div class="plots">
{%- for title, svg in network.curves %}<div><h4>{{ title }}</h4>{{ svg }}</div>{% endfor %}
{%- if network.samples %}<div><h4>{{ network.name }}: denoising</h4>
<img class="sheet" src="{{ network.samples }}" alt="held-out images, noised and denoised by {{ network.name }}">
</div>{% endif %}
</div>
{%- if network.curves %}<figcaption>Validation images are never trained on; where the two curves
part, the network learns by heart.
{%- if network.samples %} The sheet has held-out images in its first row, and below them, for three
sigmas up to the highest, the noised images and the denoiser's one estimate of the clean
ones.{% endif %}</figcaption>{% endif %}
</figure>
{%- endfor %}
</section>

<section id="making">
<h2>How it was made</h2>
{%- if graphs %}
<figure>{% for graph in graphs %}{{ graph }}{% endfor %}
<figcaption>Kinds of artifacts and how many of each; an arrow where the manifest of one names
the other among its inputs, by hash.
{%- if unknown %} {{ unknown }} inputs match no artifact in this folder: their source was made anew
or deleted since.{% endif %}</figcaption></figure>
{%- else %}<p>There are no artifacts in the study's folder.</p>{% endif %}
{%- if times %}
<h3>Times</h3>
<div class="scroll"><table><thead><tr><th>stage</th><th class="n">jobs</th><th class="n">total</th><th>share</th>
<th class="n">a job</th><th class="n">peak memory</th></tr></thead><tbody>
{%- for row in times %}
<tr><td>{{ row.rule }}</td><td class="n">{{ row.jobs }}</td><td class="n">{{ row.total }}</td>
<td><span class="bar"><i style="width:{{ pct(row.share) }}"></i></span></td><td class="n">{{ row.mean }}</td>
<td class="n">{{ row.memory }}</td></tr>
{%- endfor %}
</tbody></table></div>
<p class="soft">Wall-clock time of the jobs that were timed, one after the other. Memory is that
of the largest job.</p>
{%- endif %}
<h3>Config</h3>
<details><summary>config of {{ study }}</summary><pre>{{ config }}</pre></details>
<h3>Versions and devices</h3>
<details><summary>what ran</summary><div class="scroll"><table><thead><tr><th>what</th><th>version</th>
<th>stages</th></tr></thead><tbody>
{%- for what, version, stages in makers %}<tr><td>{{ what }}</td><td>{{ version }}</td><td>{{ stages }}</td></tr>
{% endfor %}
{%- for what, version in versions.items() %}<tr><td>{{ what }}</td><td>{{ version }}</td><td>this report</td></tr>
{% endfor %}
</tbody></table></div></details>
<h3>Words</h3>
<dl>{% for word, meaning in glossary.items() %}<dt>{{ word }}</dt><dd>{{ meaning }}</dd>{% endfor %}
{%- for threat, (clause, meaning) in threats.items() %}<dt>{{ threat }}</dt><dd>{{ meaning }}</dd>{% endfor %}</dl>
</section>
</main>
<script>{{ script }}</script>
</body>
</html>
"""
