"""Rewards for RL frameworks, in the form that each calls: `trl`, `ms_swift`, `verl`, `easyr1`, `flow_grpo`.

Each takes `where`: the URL of a server, or ``reward:FOLDER`` for a model that is loaded here. With `pairwise` it may be
a judge that compares two, such as ``generative:FOLDER``: responses to one prompt are then ranked. No framework is
imported.

What has no reward is never a number: it is None where the framework knows None, and otherwise an error.
"""
