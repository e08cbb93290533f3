"""Stages as copies of a process that has their libraries loaded: its server, and the client that is a job's `python`.

Both run on Linux only, and are of one user and of one run of Snakemake.
"""
