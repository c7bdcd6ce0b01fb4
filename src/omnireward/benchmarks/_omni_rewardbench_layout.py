"""How Omni-RewardBench lies on disk: names, labels, and how many rows were published.

Two forms exist. Raw JSON: one ``<task>_preferences.json`` per task, media named by paths below ``media_data/``.
Parquet: nine configs named after the tasks, images and sounds inside the rows, videos still named by paths.

Source: the dataset's card and loader (HongbangYuan/OmniRewardBench, HongbangYuan/OmniReward); paper tables 8 to 10.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from omnireward.errors import SourceError
from omnireward.parquet_files import parquet_files
from omnireward.plugins import suggest
from omnireward.types import PAPER_TASKS, MediaKind, Modality, Preference, Task

MEDIA_FOLDER = "media_data"
MEDIA_ARCHIVE = "media_data.zip"
_ROWS = "_preferences.json"
LABELS: dict[str, Preference] = {"response1": "a", "response2": "b", "tie": "tie"}
RESPONSES = ("response1", "response2")

# (rows, ties). Rows are stated by the authors and sum to 3,725; ties are solved from the percentages of paper table 10.
PUBLISHED: dict[Task, tuple[int, int]] = {
    Task.T2T: (417, 51),
    Task.TI2T: (528, 98),
    Task.TV2T: (443, 63),
    Task.TA2T: (357, 23),
    Task.T2I: (509, 68),
    Task.T2V: (529, 63),
    Task.T2A: (411, 15),
    Task.T23D: (302, 38),
    Task.TI2I: (229, 22),
}


def json_name(task: Task) -> str:
    """The file of a task in the JSON form."""
    return f"{task.value}{_ROWS}"


def prompt_medium(task: Task) -> MediaKind | None:
    """The kind of the prompt's medium, which is also the name of its column; None when the prompt is text alone."""
    return medium(task.inputs[-1])


def medium(modality: Modality) -> MediaKind | None:
    """A modality as a kind of media; None for text."""
    return None if modality == "text" else modality


def find_files(root: Path) -> dict[Task, tuple[Path, ...]]:
    """The files of each task present below a folder, in the order of the tasks; shards of one task in name order.

    The names of the Parquet files are not documented, so a config is recognised by its name anywhere in the path. Where
    both forms of a task are there, Parquet is read: it holds most media itself.

    Raises:
        SourceError: a path names two configs.
    """
    shards: dict[Task, list[Path]] = {}
    for path in parquet_files(root):
        relative = PurePosixPath(path.relative_to(root).as_posix())
        named = [task for task in PAPER_TASKS if task.value.lower() in str(relative).lower()]
        if len(named) > 1:
            raise SourceError(f"{path} names {' and '.join(task.value for task in named)}; it must name one config.")
        if named:
            shards.setdefault(named[0], []).append(path)
    found = {}
    for task in PAPER_TASKS:
        if task in shards:
            found[task] = tuple(shards[task])
        elif (root / json_name(task)).is_file():
            found[task] = (root / json_name(task),)
    return found


def strangers(root: Path) -> list[tuple[str, str]]:
    """Entries named as a task's rows are but read by nobody, as (name, why): a mistyped task must not vanish."""
    known = [json_name(task) for task in PAPER_TASKS]
    return [
        (path.name, "is not a file." if path.name in known else f"names no task. {suggest(path.name, known)}")
        for path in sorted(root.glob(f"*{_ROWS}"))
        if path.name not in known or not path.is_file()
    ]
