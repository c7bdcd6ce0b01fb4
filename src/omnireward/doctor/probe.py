"""What runs in a child process: ``python -m omnireward.doctor.probe core|torch``. Each line of its output is a finding.

A line is written as soon as it is known, so that a crash in a library loses only what comes after it.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from omnireward import plugins
from omnireward.doctor.findings import Finding

# By the decoders' own names: what the tasks' media are usually made of.
CODECS = ("h264", "hevc", "vp9", "av1", "aac", "mp3", "opus", "flac", "pcm_s16le")
GIB = 2**30


def _core() -> Iterator[Finding]:
    """Media libraries, then the smallest whole job: judge made-up samples and write the report."""
    import av
    from PIL import features

    lacking = [name for name in CODECS if name not in av.codecs_available]
    says = f"PyAV {av.__version__}: {', '.join(name for name in CODECS if name not in lacking)}"
    yield Finding(
        "media",
        "video and audio",
        "problem" if "h264" in lacking else "note" if lacking else "ok",
        says + (f"; not: {', '.join(lacking)}" if lacking else ""),
        "pip install --force-reinstall av (its own wheel)" if lacking else "",
    )
    without = [name for name in ("jpg", "zlib", "webp") if not features.check(name)]
    yield Finding(
        "media",
        "pictures",
        "problem" if without else "ok",
        f"Pillow without {', '.join(without)}" if without else "Pillow: JPEG, PNG, WebP",
        "pip install --force-reinstall pillow" if without else "",
    )
    yield _meshes()
    yield _job()


def _meshes() -> Finding:
    try:
        import embreex
        import trimesh
    except ModuleNotFoundError as error:
        says = f"3D cannot be seen: {error.name} is not installed"
        return Finding("media", "meshes", "missing", says, "pip install 'omnireward[mesh]'")
    return Finding("media", "meshes", "ok", f"trimesh {trimesh.__version__}, {embreex.__name__}")


def _job() -> Finding:
    from omnireward import report
    from omnireward.evaluate import EvaluateConfig, evaluate

    with TemporaryDirectory() as folder:
        out = Path(folder) / "report"
        outcome = evaluate(EvaluateConfig(judge="longer", benchmark="miniature", out=out, tasks=("T2T",), limit=6))
        found = report.read(out)
        built = report.build(found.run, found.records)
        report.write(built, found.shown, out)
    if outcome.failed or built.samples != 6:
        return Finding("core", "a report", "problem", f"{outcome.failed} of 6 samples failed: {outcome.first_error}")
    return Finding("core", "a report", "ok", "judged 6 made-up samples and wrote the report")


def _torch() -> Iterator[Finding]:
    """The build of torch and its devices, transformers, then each backbone."""
    import torch

    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU only"
    yield Finding("device", "torch", "ok", f"{torch.__version__}, {build}, {torch.get_num_threads()} threads")
    if torch.cuda.is_available():
        for i in range(torch.cuda.device_count()):
            told = torch.cuda.get_device_properties(i)
            bf16 = "bfloat16" if told.major >= 8 else "no bfloat16: train without --bf16"
            says = f"{told.name}, {told.total_memory / GIB:.0f} GiB, {bf16}"
            yield Finding("device", f"GPU {i}", "ok", says)
    elif torch.version.cuda:
        mend = "nvidia-smi shows whether the driver is there, and whether it is new enough for this build of torch"
        yield Finding("device", "GPU", "note", "torch was built for CUDA, but sees no GPU", mend)
    import transformers
    from transformers import PreTrainedModel, Trainer

    says = f"{transformers.__version__}: {PreTrainedModel.__name__} and {Trainer.__name__} can be imported"
    yield Finding("device", "transformers", "ok", says)
    for name in plugins.names("backbones"):
        try:
            plugins.load("backbones", name)
        except ImportError as error:
            yield Finding("backbones", name, "missing", str(error), "pip install 'omnireward[train]'")
        else:
            yield Finding("backbones", name, "ok", "can be loaded")


PROBES: dict[str, Callable[[], Iterator[Finding]]] = {"core": _core, "torch": _torch}


def main() -> None:
    """Write findings as they come. Whatever is raised is the examiner's business: it reads the last line of stderr."""
    logging.disable(logging.WARNING)
    out = os.fdopen(os.dup(1), "w")  # libraries and progress write where they like
    os.dup2(2, 1)
    for finding in PROBES[sys.argv[1]]():
        out.write(json.dumps(asdict(finding)) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
