"""Rewards from an omnireward server: for each response a float or a `Problem`, in order.

    client = Client("http://127.0.0.1:8000")
    good, bad = client.rewards("Name a colour.", ["Red.", "A table."], "It should be short.")

What is unusual:

* A failure raises `CallError`. There is no default reward, and nothing that is not a finite number becomes one.
* A try is repeated where that can help: after 408, 429, a 5xx other than 501, or a broken connection. Tries and time
  have ceilings, and a ``Retry-After`` is kept or, where it is longer than the time that is left, ends the call.
* Rewards depend on nothing but the request, so a repeated try asks for the same again.
* A client has rewards of one model. The first reply says of which; one of another raises `CallFailedError`.
* Each try has an id, which its reply must name. A process that was forked has connections of its own.
* Files are read here and sent as bytes; a server never reads a path. What is too much for one request is uploaded
  ahead.
"""

from __future__ import annotations

from importlib.util import find_spec

from omnireward.errors import MissingExtraError

if find_spec("httpx") is None:
    raise MissingExtraError("the client", "serve")

from omnireward.client.calls import AsyncClient, Client
from omnireward.client.replies import Pair, Ranked
from omnireward.client.tries import CallLimits

__all__ = ["AsyncClient", "CallLimits", "Client", "Pair", "Ranked"]
