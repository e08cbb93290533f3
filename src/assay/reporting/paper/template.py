"""The section of the report about the paper, as a Jinja template."""

TEMPLATE = """
{%- from "trust" import note -%}
<section id="paper">
<h2>The paper's claims, checked</h2>
<p class="soft">Ankile, Midgley and Weisshaar, <i>Denoising Diffusion Probabilistic Models as a Defense against
Adversarial Attacks</i>: what it claims, and what this study measures of it
{%- if subjects %}, under {{ subjects.attack }} at eps {{ eps_label(subjects.eps) }} against the bare classifier
{%- endif %}. Its numbers are single runs on 1,000 PCam images.</p>
{%- if not subjects %}
<p>This study sets no diffusion against an attack on the bare classifier, so there is nothing to compare.</p>
{%- else %}
<div class="scroll"><table class="claims"><thead><tr><th>claim</th><th>measured here</th><th>verdict</th></tr></thead>
<tbody>
{%- set tones = {"holds": "right", "does not hold": "wrong"} %}
{%- for claim, judged in claims %}
<tr{% if judged.verdict.failed %} class="doubted"{% endif %}><td>{{ claim.claim }}</td>
<td>{{ claim.measured or "–" }}{{ note(judged) }}
{%- if claim.note %}<div class="soft">{{ claim.note }}</div>{% endif %}</td>
<td class="{{ "soft" if judged.verdict.failed else tones.get(claim.verdict, "soft") }}">{{ claim.verdict }}</td></tr>
{%- endfor %}
</tbody></table></div>
<p class="soft">Brackets hold 95&nbsp;% intervals; differences are in points, paired by image. A claim holds, or does
not, where its whole interval says so.</p>

<figure>
<h3>Standard and robust accuracy</h3>
<div class="legend"><span style="--c:var(--c1)"><i></i>clean images</span>
<span style="--c:var(--c2)"><i></i>attacked images</span><span>◇ published, on PCam</span></div>
{{ bars }}
<figcaption>
{%- for subject in subjects.by_kind.values() %}{{ subject.title }}: {{ subject.name }}{{ "; " if not loop.last }}
{%- endfor %}. The adversarially trained classifier is attacked through itself, the purified one is not: the attacker
of these bars does not know of the purifier. Hatched: a check failed.
{%- if subjects.aware is not none %} One who does ({{ subjects.aware.threat }}) leaves
{{ percent(subjects.aware.accuracy) }} {{ bracket(subjects.aware.ci_low, subjects.aware.ci_high) }}.{% endif %}
</figcaption>
</figure>

{%- if noise_levels %}
<figure>
<h3>Robust accuracy against noise level</h3>
<div class="legend"><span style="--c:var(--c1)"><i></i>clean images</span>
<span style="--c:var(--c2)"><i></i>attacked images</span></div>
{{ noise_levels }}
<figcaption>On {{ sweep_images }} images that no network was trained on and no cell is measured on. The dotted line is
the sigma that is chosen: the smallest that is not significantly below the best under attack.</figcaption>
</figure>
{%- endif %}

{%- if stages %}
<figure>
<h3>One image, stage by stage</h3>
<div class="pictures" style="--n:{{ stages.columns|length }}">
{%- for shown, change in stages.columns %}<div class="head">{{ shown.column }}</div>{% endfor %}
{%- for shown, change in stages.columns %}
<div><img src="{{ shown.uri }}" alt="{{ stages.image }}, {{ shown.column }}">
{%- if shown.answer %}<p class="{{ "right" if shown.right else "wrong" }}">
<span>{{ "✓" if shown.right else "✗" }} {{ shown.answer }}</span> <span>{{ shown.share }}</span></p>{% endif %}</div>
{%- endfor %}
{%- for shown, change in stages.columns %}
<div>{% if change %}<img src="{{ change.uri }}" alt="{{ shown.column }}: {{ change.column }}">
<p class="soft">{{ change.column }}</p>{% endif %}</div>
{%- endfor %}
</div>
<figcaption>{{ stages.image }}: the classifier's answer and the share that its softmax gives it; below, the difference
from the original, drawn around grey and multiplied as given.</figcaption>
</figure>
{%- endif %}

<h3>By class: does purification erase what is looked for?</h3>
<div class="scroll"><table><thead><tr><th></th><th class="n">sensitivity, clean</th><th class="n">attacked</th>
<th class="n">specificity, clean</th><th class="n">attacked</th></tr></thead><tbody>
{%- for subject in subjects.by_kind.values() %}
<tr><td>{{ subject.title }}: {{ subject.name }}</td>
<td class="n">{{ number(subject.clean.sensitivity) }}</td><td class="n">{{ number(subject.attacked.sensitivity) }}</td>
<td class="n">{{ number(subject.clean.specificity) }}</td><td class="n">{{ number(subject.attacked.specificity) }}</td>
</tr>
{%- endfor %}
</tbody></table></div>
<p class="soft">In percent. Sensitivity: accuracy on the images of class 1 (in histopathology: with tumour). A purifier
that paints tumour over loses there first, on clean images too.</p>

{%- if boundary %}
<h3>Where the perturbations lie</h3>
<div class="scroll"><table><thead><tr><th>attack</th><th class="n">values on the ball's boundary (%)</th></tr></thead>
<tbody>
{%- for attack, share in boundary.items() %}<tr><td>{{ attack }}</td><td class="n">{{ number(share) }}</td></tr>
{% endfor %}
</tbody></table></div>
{%- endif %}
{%- endif %}
</section>
"""
