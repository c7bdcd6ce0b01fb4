"""Experiments: the paper's claims, and what goes beyond them, each rerun by one command.

    omnireward experiment table3 --out out/experiments

An experiment is a YAML file: arms (ways of training, each a few changes of a recipe), tests (benchmarks), figures and
expectations. `run` trains each arm with each seed and judges the tests; trainings are kept by what they were told, so
experiments share them and a broken-off run goes on. `results` makes figures with intervals of them, `verdicts` says
which expectations hold, and `page` shows all that a folder holds.
"""
