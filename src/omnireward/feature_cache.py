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
from concurrent.futures import Future
from dataclasses import replace

from torch import Tensor

from omnireward.errors import MediaError, PromptError
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
        self._flights: dict[str, Future[Entry]] = {}
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
            found, kept, space = self._kept.get(digest), self._kept, self._space
            if found is not None:
                self._kept.move_to_end(digest)
        if found is None and space is not None:
            found = space.get(digest)
            if found is not None:
                self._remember(digest, found, kept)
        return found

    def put(self, digest: str, entry: Entry) -> Entry:
        """Keep what was made of a medium, and return it as it is kept; a digest that is there stays as it is."""
        with self._lock:
            kept, space = self._kept, self._space
        return self._keep(digest, entry, kept, space)

    def obtain(self, digest: str, make: Callable[[], Entry], made_so: Callable[[], object] | None = None) -> Entry:
        """What is kept of a medium, or else what `make` makes of it.

        One thread makes it, and others that want it meanwhile wait. What `make` raises is not kept: whoever asks next
        tries again. So do those who waited, if it was the medium's fault: an error names the file that was asked for,
        and theirs may have another name.

        Args:
            digest: of the medium.
            make: may be called by several threads at once.
            made_so: how entries are made now, as `fit` was told; asked once the entry is made.
        """
        with self._lock:
            found = self._kept.get(digest)
            if found is not None:
                self._kept.move_to_end(digest)
                return found
            kept, space, flights, fitted = self._kept, self._space, self._flights, self._made_so
            flight: Future[Entry] | None = flights.get(digest)
            mine = flight is None
            if flight is None:
                flight = flights[digest] = Future()

        def made() -> Entry:
            entry = make()
            if made_so is not None and made_so() != fitted:
                return _alone(entry)
            return self._keep(digest, entry, kept, space)

        if not mine:
            try:
                return flight.result()
            except (MediaError, PromptError):
                return made()
        try:
            found = None if space is None else space.get(digest)
            if found is None:
                found = made()
            else:
                self._remember(digest, found, kept)
        except BaseException as error:
            flight.set_exception(error)
            raise
        else:
            flight.set_result(found)
            return found
        finally:
            with self._lock:
                flights.pop(digest, None)

    def clear(self) -> None:
        """Forget what is in memory."""
        with self._lock:
            self._forget()

    def __len__(self) -> int:
        return len(self._kept)

    def __reduce__(self) -> tuple[type[FeatureCache], tuple[int]]:
        return type(self), (self.limit,)  # a copy of a model starts with nothing

    def _keep(self, digest: str, entry: Entry, kept: OrderedDict[str, Entry], space: Space | None) -> Entry:
        entry = _alone(entry)
        self._remember(digest, entry, kept)
        if space is not None:
            space.put(digest, entry)
        return entry

    def _remember(self, digest: str, entry: Entry, kept: OrderedDict[str, Entry]) -> None:
        with self._lock:
            if digest in self._kept or kept is not self._kept:  # made before everything was forgotten
                return
            self._kept[digest] = entry
            self._bytes += entry.nbytes
            while self._bytes > self.limit and len(self._kept) > 1:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes

    def _forget(self) -> None:
        # New ones, so that who is making an entry meanwhile cannot keep it here; who waits for it still gets it.
        self._kept, self._flights, self._bytes = OrderedDict(), {}, 0

    def _after_fork(self) -> None:
        self._lock, self._flights = (
            threading.Lock(),
            {},
        )  # a thread that is not here may hold the one and be in the other


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
