"""The report's sections about trust, as Jinja templates: the checks, who beats whom, and the worst case."""

# Macros of all sections. A status is never told by colour alone: it has a mark and a word.
TRUST = """
{%- macro status(what, why="") -%}
{%- set mark, word = marks[what] -%}
<span class="status {{ word|replace(" ", "") }}"{% if why %} title="{{ why }}"{% endif %}>
{{- mark }} {{ word }}</span>
{%- endmacro -%}

{%- macro tally(counts) -%}
<span class="tally">
{%- for what, count in counts.items() if count %}{% set mark, word = marks[what] %}
<span class="status {{ word|replace(" ", "") }}">{{ mark }} {{ count }} {{ word }}</span>
{%- endfor %}</span>
{%- endmacro -%}

{%- macro note(judged) -%}
{%- if judged.note %} <span class="note {{ "fail" if judged.verdict.failed else "warn" }}">
{{- "✗" if judged.verdict.failed else "!" }} {{ judged.note }}</span>{% endif %}
{%- endmacro -%}

{%- macro claim(text, judged) -%}
{%- if judged.verdict.failed %}<span class="doubted">{{ text }}</span>{% else %}{{ text }}{% endif %}
{{- note(judged) }}
{%- endmacro -%}
"""

CHECKS = """
{%- from "trust" import status, tally -%}
<section id="checks">
<h2>Checks</h2>
{%- if not families %}
<p>Nothing was checked: the study has no cells.</p>
{%- else %}
<p>{{ tally(totals) }}</p>
<p class="soft">A check asks whether a number is what it seems. What rests on a check that fails is greyed on this page.
Families in which nothing failed or warned are folded.</p>
{%- for family in families %}
<details class="family"{% if family.status in ("FAIL", "WARN") %} open{% endif %}>
<summary>{{ family.name }} <span class="soft">{{ family.asks }}</span> {{ tally(family.counts) }}</summary>
<div class="scroll"><table class="checks"><thead><tr><th>status</th><th>check</th>
<th class="n">pass</th><th class="n">warn</th><th class="n">fail</th><th class="n">not run</th>
<th class="n">found</th><th class="n">limit</th></tr></thead><tbody>
{%- for check in family.checks %}
<tr{% if check.told or check.why_not %} class="told"{% endif %}><td>{{ status(check.status) }}</td>
<td>{{ check.name }}</td>
{%- for count in check.counts.values() %}<td class="n">{{ count or "" }}</td>{% endfor %}
<td class="n">{{ check.number }}</td><td class="n">{{ check.threshold }}</td></tr>
{%- if check.told %}
<tr class="findings{{ " told" if check.why_not }}"><td></td><td colspan="7">
{%- if not check.few %}<details><summary>{{ check.told|length }} findings</summary>{% endif %}
<ul>
{%- for found in check.told %}
<li>{{ status(found.status) }} {{ found.meaning }}
{%- if found.places|length > 1 %}
<details><summary>{{ found.places|length }} places</summary>
{%- for place in found.places %}<code>{{ place }}</code>{% endfor %}</details>
{%- else %}{% for place in found.places %}<code>{{ place }}</code>{% endfor %}{% endif %}</li>
{%- endfor %}
</ul>
{%- if not check.few %}</details>{% endif %}</td></tr>
{%- endif %}
{%- if check.why_not %}
<tr class="findings"><td></td><td colspan="7" class="soft"><ul>
{%- for why in check.why_not %}<li>Not run: {{ why }}</li>{% endfor %}</ul></td></tr>
{%- endif %}
{%- endfor %}
</tbody></table></div>
</details>
{%- endfor %}
<p class="soft">Found: the least and the greatest number of the check over all that it was made on; limit: where it
begins to warn, or else to fail.</p>
{%- endif %}
</section>
"""

BEATS = """
{%- macro ranking(table) -%}
<div class="ranking"><h3>{{ table.title }}</h3>
<table><thead><tr><th class="n"></th><th>defence</th><th class="n" colspan="2">accuracy</th><th class="n">beats</th>
<th class="n">loses to</th></tr></thead><tbody>
{%- for place in table.places %}
<tr{% if place.verdict.failed %} class="doubted" title="{{ place.verdict.why }}"{% endif %}>
<td class="n soft">{{ place.rank }}</td><td>{{ place.name }}{% if place.verdict.failed %} ✗{% endif %}</td>
<td><span class="bar"><i style="width:{{ pct(place.accuracy) }}"></i></span></td>
<td class="n">{{ number(place.accuracy) }}</td>
<td class="n">{{ place.beats or "·" }}</td><td class="n">{{ place.loses or "·" }}</td></tr>
{%- endfor %}
</tbody></table>
{%- if not table.decided %}<p class="soft">No difference is significant.</p>{% endif %}
<details><summary>differences</summary>
<div class="scroll"><table class="matrix"><thead><tr><th></th>
{%- for place in table.places[1:] %}<th class="n" title="{{ place.name }}">{{ place.rank }}
{%- if place.verdict.failed %} ✗{% endif %}</th>{% endfor %}</tr></thead>
<tbody>
{%- for place in table.places[:-1] %}{% set row = loop.index0 %}
<tr><th scope="row">{{ place.rank }} {{ place.name }}{% if place.verdict.failed %} ✗{% endif %}</th>
{%- for other in table.places[1:] %}{% set found = table.differences.get((row, loop.index)) %}
{%- set doubted = place.verdict.failed or other.verdict.failed %}
{%- if found is none %}<td></td>{% else %}
<td class="n{{ " won" if found.significant }}{{ " doubted" if doubted }}"
 title="{{ place.name }} against {{ other.name }}:
{{- " %+.1f points [%+.1f, %+.1f], p = %.2g"|format(found.points, found.low, found.high, found.p) }}">
{{- "%.1f"|format(found.points) }}{{ "*" if found.significant }}</td>{% endif %}
{%- endfor %}</tr>
{%- endfor %}
</tbody></table></div></details></div>
{%- endmacro -%}
<section id="beats">
<h2>Who beats whom</h2>
{%- if not first and not others %}
<p>There is nothing to compare: no images were shown to two defences.</p>
{%- else %}
<p class="soft">The defences in the order of their accuracy, with how many of the others each beats and loses to: those
from which it differs on the same images by more than chance, all pairs of a table counted together. Differences are
in points, of the defence of the row over that of the column; a star marks a winner.</p>
<div class="rankings">{% for table in first %}{{ ranking(table) }}{% endfor %}</div>
{%- if others %}
<details>
<summary>{{ "The other table" if others|length == 1 else "The other %d tables"|format(others|length) }}</summary>
<div class="rankings">{% for table in others %}{{ ranking(table) }}{% endfor %}</div></details>
{%- endif %}
{%- endif %}
</section>
"""

WORST = """
{%- from "trust" import status -%}
{%- macro pair(found, interval="") -%}
{{ number(found.attacked) }}
{%- if interval %} <span class="ci">{{ interval }}</span>{% endif %}
{%- if found.measured %} <span class="soft">/ {{ number(found.clean) }}</span>{% endif %}
{%- endmacro -%}
{%- macro table(ball) -%}
<h3>{{ ball.title }}</h3>
<div class="scroll"><table class="worst"><thead>
<tr><th></th><th colspan="{{ ball.measures|length + 1 }}">under the strongest attack</th>
<th colspan="3">under every attack</th><th></th></tr>
<tr><th>defence</th><th>attack</th>{% for head in ball.measures %}<th class="n">{{ head }}</th>{% endfor %}
<th class="n">majority</th><th class="n">all or nothing</th><th class="n">kept</th><th>checks</th></tr></thead><tbody>
{%- for row in ball.rows %}
<tr{% if row.verdict.failed %} class="doubted"{% endif %}><td>{{ row.name }}</td><td>{{ row.strongest }}</td>
{%- for found in row.single %}<td class="n">{{ pair(found) }}</td>{% endfor %}
<td class="n">{{ pair(row.majority) }}</td>
<td class="n">{{ pair(row.every, bracket(row.low, row.high)) }}</td>
<td class="n">{{ number(row.kept) }}</td><td>{{ status(row.verdict.status, row.verdict.why) }}</td></tr>
{%- endfor %}
</tbody></table></div>
<p class="soft">Attacks: {{ ball.attacks|join(", ") }}.</p>
{%- endmacro -%}
<section id="worst">
<h2>The worst case</h2>
{%- if not first and not others %}
<p>There is no worst case: the study attacks nothing.</p>
{%- else %}
<p class="soft">In percent; after the stroke the same measure on clean images. A defence that draws afresh can be asked
again, so one draw flatters it: worst of k is the chance that k draws are all right. All or nothing counts an image only
if every draw is right under every attack; kept is its share of the same on clean images. The strongest attack is the
one that leaves least in one draw, of those that do not know the noise, if there are any.</p>
{%- for ball in first %}{{ table(ball) }}{% endfor %}
{%- if others %}
<details><summary>{{ "The other ball" if others|length == 1 else "The other %d balls"|format(others|length) }}</summary>
{%- for ball in others %}{{ table(ball) }}{% endfor %}</details>
{%- endif %}
{%- endif %}
</section>
"""
