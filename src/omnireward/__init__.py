"""Judge any response to any prompt, in any modality, under a criterion in plain words.

Importing the package loads neither torch nor transformers.
"""

__version__ = "0.1.0"
