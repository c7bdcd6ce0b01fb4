"""``python -m omnireward``: what launchers of several processes start, such as ``torchrun -m omnireward train``."""

from __future__ import annotations

import sys

from omnireward.cli import main

if __name__ == "__main__":
    sys.exit(main())
