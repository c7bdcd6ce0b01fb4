"""Rewards over HTTP: one queue, one model, and every request shape of `protocols` in front of it.

    body ── Route.read ──▶ Asks ──▶ the queue ──▶ rewards ── Route.write ──▶ reply

Importing this loads neither torch nor FastAPI; `app` needs the extra ``serve``.
"""
