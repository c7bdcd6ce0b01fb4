"""Names in rows must not open files outside the folders that the user gave."""

from pathlib import Path

import pytest

from omnireward.errors import BadRowError, OutsideRootError, SourceError
from omnireward.media_files import MediaFiles, confined
from omnireward.rows import Row

ROW = Row("f.json", 2, {"image": "what the row gave"})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "secret.png").write_bytes(b"secret")
    folder = tmp_path / "root"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a.png").write_bytes(b"a")
    return folder


@pytest.mark.parametrize(
    "name",
    [
        "../secret.png",
        "sub/../../secret.png",
        "..\\secret.png",
        "sub\\..\\..\\secret.png",
        "/etc/passwd",
        "//server/share/x",
        "\\\\server\\share\\x",
        "C:\\x.png",
        "C:x.png",
        "sub/a.png\0.txt",
        "",
        ".",
    ],
)
def test_names_that_leave_the_root_are_refused(root: Path, name: str) -> None:
    with pytest.raises(OutsideRootError):
        confined(root, name)


@pytest.mark.parametrize("name", ["sub/a.png", "sub\\a.png", "./sub/a.png", "sub//a.png"])
def test_names_below_the_root_are_found(root: Path, name: str) -> None:
    assert confined(root, name).read_bytes() == b"a"


def test_absolute_name_of_a_file_below_the_root_is_refused_too(root: Path) -> None:
    with pytest.raises(OutsideRootError):
        confined(root, str(root / "sub" / "a.png"))


def test_links_out_of_the_root_are_refused(root: Path) -> None:
    (root / "link.png").symlink_to(root.parent / "secret.png")
    (root / "up").symlink_to(root.parent)
    (root / "loop").symlink_to("loop")
    (root / "inside.png").symlink_to("sub/a.png")
    for name in ("link.png", "up/secret.png"):
        with pytest.raises(OutsideRootError, match="link that leads out"):
            confined(root, name)
    assert confined(root, "inside.png").read_bytes() == b"a"
    with pytest.raises(SourceError, match="no file 'loop'"):
        MediaFiles((root,)).find("loop")


def test_root_may_itself_be_a_link(root: Path) -> None:
    (root.parent / "alias").symlink_to(root)
    assert confined(root.parent / "alias", "sub/a.png").read_bytes() == b"a"


def test_links_of_a_hub_snapshot_lead_to_its_blobs_and_nowhere_else(tmp_path: Path) -> None:
    repo = tmp_path / "datasets--o--r"
    snapshot = repo / "snapshots" / "abc"
    (snapshot / "media_data").mkdir(parents=True)
    (repo / "blobs").mkdir()
    (repo / "blobs" / "b").write_bytes(b"blob")
    (repo / "other").write_bytes(b"not a blob")
    (snapshot / "media_data" / "good").symlink_to("../../../blobs/b")
    (snapshot / "media_data" / "bad").symlink_to("../../../other")
    for root, prefix in ((snapshot, "media_data/"), (snapshot / "media_data", "")):
        assert confined(root, f"{prefix}good").read_bytes() == b"blob"
        with pytest.raises(OutsideRootError):
            confined(root, f"{prefix}bad")


def test_roots_and_spellings_are_tried_in_order(root: Path) -> None:
    (root / "a.png").write_bytes(b"nearer")
    files = MediaFiles((root / "gone", root, root / "sub"), lambda given: (given, given.removeprefix("x/")))
    assert files.find("x/a.png").read_bytes() == b"nearer"
    assert files.find("sub/a.png").read_bytes() == b"a"


def test_missing_file_says_what_was_tried(root: Path) -> None:
    with pytest.raises(SourceError, match=r"no file 'b\.png'.*root/b\.png.*sub/b\.png"):
        MediaFiles((root, root / "sub")).find("b.png")


def test_folder_is_no_file_and_a_name_can_be_too_long(root: Path) -> None:
    for name in ("sub", "x" * 5000):
        with pytest.raises(SourceError):
            MediaFiles((root,)).find(name)


def test_bytes_count_before_the_path(root: Path) -> None:
    files = MediaFiles((root,))
    assert files.source(ROW, "image", {"bytes": b"data", "path": "../secret.png"}) == b"data"
    assert files.source(ROW, "image", {"bytes": None, "path": "sub/a.png"}) == root / "sub" / "a.png"
    assert files.source(ROW, "image", "sub/a.png") == root / "sub" / "a.png"


@pytest.mark.parametrize(
    "cell",
    [None, 3, "", {}, {"bytes": None, "path": None}, {"bytes": b"", "path": ""}, ["sub/a.png"], "gone.png", "\ud800"]
    + [{"bytes": None, "path": path} for path in ("/etc/passwd", "../secret.png", "gone.png")],
)
def test_cells_without_usable_media_name_file_row_and_field(root: Path, cell: object) -> None:
    with pytest.raises(BadRowError, match=r"^f\.json, row 2, field 'image': "):
        MediaFiles((root,)).source(ROW, "image", cell)
