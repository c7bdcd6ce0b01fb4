"""What every test runs under: one thread, and no network. Set before anything that reads it is imported."""

from __future__ import annotations

import os

# Several threads on busy cores are several times slower than one.
os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
# No test reads or fills the features that its user keeps; those about them have a folder of their own.
os.environ |= {"OMNIREWARD_CACHE_GB": "0"}

try:
    import torch
except ImportError:  # the core is tested without it
    pass
else:
    torch.set_num_threads(1)
