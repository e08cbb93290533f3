"""The embedded data set: H&E tissue drawn on the spot, one module a task, each a source of images of its own.

An image is drawn in two steps. A *scene* (which nuclei, which texture, which stains) follows from (seed, split, id)
alone, in micrometres on a field of 96 µm; *rendering* samples it at any size. So images of 32 and of 96 pixels with
the same id show the same tissue.
"""
