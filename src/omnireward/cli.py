"""``omnireward VERB``: finds the verb, and turns errors into exit codes, which are in `HELP`.

What is unusual: importing this, and ``--help``, load no torch. A recipe is turned into flags before parsing (see
recipes), so that one parser knows every type.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence

import omnireward
from omnireward import plugins, recipes
from omnireward.errors import OmniRewardError, StoppedError, UnknownNameError
from omnireward.sample_text import printable
from omnireward.verbs import (
    Verb,
    annotate,
    construct,
    convert,
    data,
    described,
    doctor,
    evaluate,
    experiment,
    export,
    grpo,
    push,
    quickstart,
    report,
    serve,
    sft,
    train,
    uncertainty,
)
from omnireward.verbs import list as list_verb

HELP = """\
Judge any response to any prompt, in any modality, under a criterion in plain words.

usage: omnireward VERB [--recipe NAME_OR_FILE] [flags]
       omnireward VERB --help
       omnireward --version

{verbs}

A recipe is a YAML file with flags (batch_size: 8 for --batch-size 8). Flags that are typed override it.
Recipes shipped: {recipes}.

Exit codes: 0 done, or stopped as asked with all saved; 1 a bug, with a traceback, or what doctor found broken, or an
expectation that fails under --strict; 2 something you can mend, said on stderr; 130 stopped with Ctrl-C.
"""

VERBS: dict[str, Verb] = {
    "quickstart": quickstart.run,
    "train": train.run,
    "sft": sft.run,
    "grpo": grpo.run,
    "evaluate": evaluate.run,
    "experiment": experiment.run,
    "serve": serve.run,
    "report": report.run,
    "export": export.run,
    "push": push.run,
    "convert": convert.run,
    "uncertainty": uncertainty.run,
    "data": data.run,
    "construct": construct.run,
    "annotate": annotate.run,
    "list": list_verb.run,
    "doctor": doctor.run,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code. A bug's traceback is not hidden."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(_help())
        return 0 if words else 2
    if words[0] == "--version":
        print(f"omnireward {omnireward.__version__}")
        return 0
    try:
        if words[0] not in VERBS:
            raise UnknownNameError(f"unknown verb {words[0]!r}. {plugins.suggest(words[0], sorted(VERBS))}")
        VERBS[words[0]](words[1:])
    except StoppedError as stop:
        print(printable(str(stop)))
    except BrokenPipeError:  # whoever read what is printed has had enough, such as `head`
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 # or closing it would complain
        return 0
    except (OmniRewardError, OSError) as error:
        # A folder that is a file, no permission, a full disk: the system's own words say it best. Others are bugs.
        if isinstance(error, OSError) and not error.filename and error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped.", file=sys.stderr)
        return 130
    return 0


def _help() -> str:
    verbs = "\n".join(f"  {name:<12}{described(run).splitlines()[0]}" for name, run in VERBS.items())
    return HELP.format(verbs=verbs, recipes=", ".join(recipes.names()))
