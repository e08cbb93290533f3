"""The kinds of colorectal tissue, one module each: `draw(rng, canvas)` gives how much of the two stains lies where.

What is drawn from `rng` never depends on the canvas's size, so that every size shows the same tissue.
"""
