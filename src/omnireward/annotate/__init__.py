"""People write criteria and vote under them, on a page served here (paper appendix D).

    samples ── intake ──▶ database ◀── queue, answers ◀── app ◀── a browser
                              └── figures ──▶ export: samples, votes, report

Two stages, as in the paper. In the first, one annotator writes a sample's criteria, and another says of each whether it
is valid. In the second, annotators who do not see each other vote a, b or tie under each valid criterion. Everything
that anybody answered is kept in one SQLite file (`tables`), which one thread of one server writes (`store`).

Importing this loads neither FastAPI nor a media library; `app`, `playable` and `run` do.
"""
