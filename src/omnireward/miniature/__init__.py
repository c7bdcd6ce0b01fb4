"""A small made-up world with known truth in all nine tasks: the offline default for training and benchmark.

Drawn pictures, short clips, sounds, solid objects and plain texts are made from attributes whose values are known, so
every criterion's right answer is known too. What is made: `pictures`, `clips`, `sounds`, `solids`, `texts`; what is
asked of it: `families`; how pairs, criteria and preferences come about: `world`.

Nothing here says how good a judge is on real data. It shows that a judge reads media and criteria at all, and it lets
an experiment run in minutes.
"""
