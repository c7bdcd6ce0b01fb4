"""Outputs of frozen encoders, kept so that each medium is decoded and encoded once, however many rows show it.

In memory, and behind that in a space of a store on disk, where there is one. Threads may ask at once: what one of them
is making, the others wait for.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from omnireward.feature_shards import Entry
from omnireward.feature_store import Space


class FeatureCache:
    """Entries by content digest, the least recently used dropped from memory first; on the CPU.

    Right only for one way of making them, which the owner tells with `fit` before each use. Where that changes while an
    entry is made, the entry is given and not kept: nobody knows which way it was made.

    Attributes:
        limit: bytes to keep in memory.
    """

    def __init__(self, limit: int = 2 << 30) -> None:
        self.limit = limit
        self._made_so: object = None
        self._space: Space | None = None
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Entry] = OrderedDict()
        self._turns: weakref.WeakValueDictionary[str, threading.Lock] = weakref.WeakValueDictionary()
        self._bytes = 0
        _caches.add(self)

    def fit(self, made_so: object, find: Callable[[], Space | None]) -> None:
        """Say how entries are made now. If that is new, forget those in memory, and look in the space that is found."""
        with self._lock:
            if self._made_so != made_so:
                self._forget()
                self._space, self._made_so = find(), made_so

    def get(self, digest: str) -> Entry | None:
        """What is kept of a medium, in memory or on disk."""
        with self._lock:
            kept, space = self._kept, self._space
        return self._found(digest, kept, space)

    def obtain(self, digest: str, make: Callable[[], Entry], made_so: Callable[[], object] | None = None) -> Entry:
        """What is kept of a medium, or else what `make` makes of it.

        One thread makes it. Others that want it meanwhile wait for their turn, and then find it. Where it could not be
        made, or not be kept, each makes it itself: an error names the file that was asked for, and theirs may have
        another name.

        Args:
            digest: of the medium.
            make: called by one thread at a time for each digest.
            made_so: how entries are made now, as `fit` was told; asked once the entry is made.
        """
        with self._lock:
            turn = self._turns.setdefault(digest, threading.Lock())
        with turn:
            with self._lock:
                kept, space, fitted = self._kept, self._space, self._made_so
            found = self._found(digest, kept, space)
            if found is None:
                found = _alone(make())
                if made_so is None or made_so() == fitted:
                    self._remember(digest, found, kept)
                    if space is not None:
                        space.put(digest, found)
            return found

    def clear(self) -> None:
        """Forget what is in memory."""
        with self._lock:
            self._forget()

    def __len__(self) -> int:
        return len(self._kept)

    def __reduce__(self) -> tuple[type[FeatureCache], tuple[int]]:
        return type(self), (self.limit,)  # a copy of a model starts with nothing

    def _found(self, digest: str, kept: OrderedDict[str, Entry], space: Space | None) -> Entry | None:
        with self._lock:
            if digest in kept:
                kept.move_to_end(digest)
                return kept[digest]
        found = None if space is None else space.get(digest)
        if found is not None:
            self._remember(digest, found, kept)
        return found

    def _remember(self, digest: str, entry: Entry, kept: OrderedDict[str, Entry]) -> None:
        with self._lock:
            if digest in self._kept or kept is not self._kept:  # made before everything was forgotten
                return
            self._kept[digest] = entry
            self._bytes += entry.nbytes
            while self._bytes > self.limit and len(self._kept) > 1:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes

    def _forget(self) -> None:
        self._kept, self._bytes = OrderedDict(), 0  # a new one: who is making an entry meanwhile cannot keep it here

    def _after_fork(self) -> None:
        # A thread that is not here may hold them.
        self._lock, self._turns = threading.Lock(), weakref.WeakValueDictionary()


def _alone(entry: Entry) -> Entry:
    """The entry on the CPU, sharing memory with nothing larger: a view would keep its whole batch alive."""
    if entry.embeddings is not None:
        # Its inputs have been read.
        return Entry(replace(entry.prepared, inputs=None), entry.embeddings.detach().to("cpu", copy=True))
    inputs = tuple(_own(tensor) for tensor in entry.prepared.inputs or ())
    return Entry(replace(entry.prepared, inputs=inputs))


def _own(tensor: Tensor) -> Tensor:
    return tensor if tensor.untyped_storage().nbytes() == tensor.nbytes else tensor.clone()


_caches: weakref.WeakSet[FeatureCache] = weakref.WeakSet()


def _after_fork() -> None:
    for cache in list(_caches):
        cache._after_fork()


os.register_at_fork(after_in_child=_after_fork)
