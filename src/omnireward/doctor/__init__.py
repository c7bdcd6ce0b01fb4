"""Says what is installed here, what works, and what to do about the rest. Works with the core alone.

What could crash while it is imported (torch beside packages built for another torch, a broken decoder library) is
imported in a child process, and what it wrote before it died is kept.
"""

from omnireward.doctor.examining import examine
from omnireward.doctor.findings import Finding, State, broken

__all__ = ["Finding", "State", "broken", "examine"]
