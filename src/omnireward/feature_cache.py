"""Outputs of frozen encoders, kept so that each medium is decoded and encoded once, however many rows show it.

In memory, and behind that in a space of a store on disk, where there is one. Threads may ask at once: what one of them
is making, the others wait for. Where it fails, they fail with it if their medium has the same name, and else try
themselves, at the same time: a medium that takes its time to fail must not take it once for each, one after another.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace

from torch import Tensor

from omnireward.errors import MediaError
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
        self._turns: weakref.WeakValueDictionary[str, _Turn] = weakref.WeakValueDictionary()
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
            if digest in kept:
                kept.move_to_end(digest)
                return kept[digest]
        found = None if space is None else space.get(digest)
        if found is not None:
            self._remember(digest, found, kept)
        return found

    def obtain(
        self,
        digest: str,
        make: Callable[[], Entry],
        made_so: Callable[[], object] | None = None,
        name: Hashable | None = None,
    ) -> Entry:
        """What is kept of a medium, or else what `make` makes of it.

        One thread makes it. Others that want it meanwhile wait, and then find it; where it could not be kept, the next
        makes it. Where it could not be made, those who waited raise the same MediaError under the same name. Under
        another name, which an error must have, and after any other fault, each makes it itself, all at the same time.
        Who comes later begins anew.

        Args:
            digest: of the medium.
            make: called by one thread at a time for each digest, and by those who saw it fail.
            made_so: how entries are made now, as `fit` was told; asked once the entry is made.
            name: by which errors of `make` call the medium; None where nobody else's may be taken for its own.
        """
        with self._lock:
            turn = self._turns.setdefault(digest, _Turn())
        with turn.lock:
            found = self.get(digest)
            if found is None and not turn.failed:
                return self._first(turn, digest, make, made_so, name)
        if found is not None:
            return found
        if turn.failure is not None and name is not None and name == turn.name:
            kind, words = turn.failure
            raise kind(words)  # a new one: an error holds what its thread was doing
        return self._made(digest, make, made_so)

    def clear(self) -> None:
        """Forget what is in memory."""
        with self._lock:
            self._forget()

    def __len__(self) -> int:
        return len(self._kept)

    def __reduce__(self) -> tuple[type[FeatureCache], tuple[int]]:
        return type(self), (self.limit,)  # a copy of a model starts with nothing

    def _first(
        self,
        turn: _Turn,
        digest: str,
        make: Callable[[], Entry],
        made_so: Callable[[], object] | None,
        name: Hashable | None,
    ) -> Entry:
        """Make an entry while others wait, and leave word if it fails."""
        turn.failed = True  # whatever it is; an interrupt is not theirs, and leaves no word
        try:
            made = self._made(digest, make, made_so)
            turn.failed = False
        except MediaError as error:
            turn.failure, turn.name = (type(error), str(error)), name
            raise
        finally:
            if turn.failed:
                with self._lock:
                    if self._turns.get(digest) is turn:
                        del self._turns[digest]
        return made

    def _made(self, digest: str, make: Callable[[], Entry], made_so: Callable[[], object] | None) -> Entry:
        with self._lock:
            kept, space, fitted = self._kept, self._space, self._made_so
        made = _alone(make())
        if made_so is None or made_so() == fitted:
            self._remember(digest, made, kept)
            if space is not None:
                space.put(digest, made)
        return made

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


@dataclass(slots=True, weakref_slot=True, eq=False)
class _Turn:
    """An entry that one thread makes, holding the lock, while others wait for it; and what became of that."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    failed: bool = False
    failure: tuple[type[MediaError], str] | None = None
    name: Hashable | None = None


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
