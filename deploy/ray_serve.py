"""The server on many machines, with Ray Serve: docs/how-to/deploy.md shows it running.

    pip install 'omnireward[train,serve]' 'ray[serve]==2.60.*'          # on each machine
    OMNIREWARD_API_KEYS=... ray start --head --disable-usage-stats      # and on the others: --address=HEAD:6379
    serve run ray_serve:rewards judge=reward:/models/run replicas=8

A replica is a process with the judge, on a GPU of its own where there are any. Ray's proxy, on each machine, passes
requests to the replica with the fewest; one that dies or no longer computes is replaced. Keys come from the environment
of `ray start`; the checkpoint must be in the same place on each machine.

Uploads stay with the replica that has them, and Ray chooses another for the next request: send media inline.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel
from ray import serve
from ray.serve import Application

from omnireward.judges import open_judge
from omnireward.serve.app import create_app
from omnireward.serve.config import ServeConfig, read_keys


class Arguments(BaseModel):
    """What follows ``serve run ray_serve:rewards``, as NAME=VALUE."""

    judge: str
    replicas: int = 2
    gpus: float = 1.0
    """Of each replica; 0 for CPUs."""


@serve.deployment(
    # More than that many requests wait in Ray's proxy, where they would have no deadline; so few do.
    max_ongoing_requests=256,
    max_queued_requests=64,
    health_check_period_s=5.0,
    health_check_timeout_s=10.0,
    graceful_shutdown_timeout_s=30.0,  # as `omnireward serve --drain`
)
@serve.ingress()
class Rewards:
    """One replica."""

    def __init__(self, judge: str) -> None:
        # Ray's proxy is what listens; this host says that others can reach it, so keys are needed.
        config = ServeConfig(judge=judge, host="0.0.0.0")
        self._app = create_app(config, open_judge(judge), read_keys(config))

    def __serve_build_asgi_app__(self) -> object:
        """What answers requests."""
        return self._app

    def check_health(self) -> None:
        """Raises where nothing is computed any more: Ray then starts another."""
        if not self._app.state.service.alive:
            raise RuntimeError("the queue has ended")

    def __del__(self) -> None:
        """Uploads are removed."""
        if hasattr(self, "_app"):
            self._app.state.service.close()


def rewards(words: Mapping[str, str]) -> Application:
    """The application."""
    given = Arguments.model_validate(words)
    replicas = Rewards.options(num_replicas=given.replicas, ray_actor_options={"num_gpus": given.gpus})
    bound: Application = replicas.bind(given.judge)
    return bound
