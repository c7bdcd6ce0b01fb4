"""omnireward serve: rewards over HTTP."""

from __future__ import annotations

import logging
import sys
from functools import partial
from importlib.util import find_spec

from omnireward.errors import MissingExtraError
from omnireward.judges import open_judge
from omnireward.listening import address
from omnireward.serve.config import ServeConfig, read_keys
from omnireward.verbs import parse


def run(words: list[str]) -> None:
    """Serve a judge over HTTP.

    POST /v1/rewards gives raw rewards, /v1/judgements compares two responses, /v1/rankings ranks more of them by
    comparing, and there are the paths that RL frameworks call. It listens to this machine only, unless it has API keys
    (OMNIREWARD_API_KEYS).

    Examples:
      omnireward serve --judge reward:out/run
      omnireward serve --judge generative:out/r1 --samples 8 --swap-half --temperature 1
      omnireward serve --judge reward:out/run --replicas 4
      OMNIREWARD_API_KEYS=... omnireward serve --judge reward:out/run --host 0.0.0.0
    """
    config = parse("serve", run, ServeConfig, words)
    keys = read_keys(config)
    for module in ("fastapi", "prometheus_client", "uvicorn"):
        if find_spec(module) is None:
            raise MissingExtraError("a server", "serve")
    from omnireward.serve import replicas
    from omnireward.serve.app import create_app
    from omnireward.serve.run import bound, server

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    if config.replicas > 1:
        replicas.serve(config, keys, partial(print, flush=True))
    else:
        with bound(config) as taken:
            app = create_app(config, open_judge(config.judge, config.options), keys)
            said = f"{config.model_name} is served at {address(config.host, taken.getsockname()[1])}"
            server(app, partial(print, said, flush=True)).run([taken])
    print("ended.", flush=True)
