"""Every figure of the report as text of the page: SVG and tables that a style sheet colours.

A mark can be reached by keyboard and has an accessible name, which the page's script shows as its tooltip. Colours are
the page's own variables (`c1` … `c6` for kinds, `s0` … `s5` for ordered things, `soft`, `ink`), so that light, dark and
print need no figure of their own. The same numbers give the same bytes.
"""
