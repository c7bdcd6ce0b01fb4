"""Media of requests: bytes or an upload, never a path; uploads that are bounded, private and end."""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
import stat
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.serve.running import Running, picture, serving, words

from omnireward.judges.reward import RewardJudge
from omnireward.serve.asking import OverloadedError, RequestError
from omnireward.serve.bodies import Held
from omnireward.serve.media import RequestMedia
from omnireward.serve.uploads import Uploads
from omnireward.types import Media

RAW = {"Content-Type": "application/octet-stream"}


@pytest.fixture
def uploads() -> Iterator[Uploads]:
    one = Uploads(most_bytes=10, most_bytes_kept=16, seconds=60.0)
    yield one
    one.close()


def _inline(uploads: Uploads, held: list[int] | None = None, most: int = 99) -> RequestMedia:
    return RequestMedia(uploads, (held if held is not None else []).append, None, most)


def _free(_size: int) -> None:
    """There is always room."""


def _send(uploads: Uploads, *pieces: bytes) -> str:
    async def chunks() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    return asyncio.run(uploads.receive(chunks())).id


def test_base64_is_strict_and_may_stand_in_a_data_url(uploads: Uploads) -> None:
    inline = _inline(uploads)
    assert inline.base64("image", "dGVh", "x") == Media("image", b"tea")
    assert inline.base64("image", "data:image/png;base64,dGVh", "x") == Media("image", b"tea")
    assert inline.url("audio", "data:audio/wav;rate=8;base64,dGVh", "x") == Media("audio", b"tea")
    for wrong in ("dGV", "dGV h", "dGVh!", "dGVh\n", "ä", "data:,dGVh", "dGVh==dGVh", ""):
        with pytest.raises(RequestError, match=r"parts\.3"):
            inline.base64("image", wrong, "parts.3")


def test_no_path_is_read_however_it_is_spelled(uploads: Uploads, running: Running, tmp_path: Path) -> None:
    """The file is there and is a picture: whoever read it would find nothing wrong with it."""
    (data,) = picture(5).pieces()
    assert isinstance(data, bytes)
    file = tmp_path / "tea.png"
    file.write_bytes(data)
    upload = _send(uploads, b"tea")
    (uploads._folder / "x").symlink_to(file)
    spellings = [
        str(file),
        f"file://{file}",
        f"FILE://{file}",
        f"file:{file}",
        f"upload:{file}",
        f"upload:../{file.name}",
    ]
    spellings += [f"upload:{upload}/../x", "upload:x", "upload:", f"upload:{upload}\0", f"ftp://localhost{file}", ""]
    for spelling in spellings:
        with pytest.raises(RequestError) as caught:
            _inline(uploads).url("image", spelling, "where")
        assert caught.value.status == 422
        body = {**words("x"), "responses": [[{"type": "image", "url": spelling}]]}
        assert running.client.post("/v1/rewards", json=body).status_code == 422
    for part in ({"upload": str(file)}, {"base64": str(file)}, {"path": str(file)}):
        body = {**words("x"), "responses": [[{"type": "image", **part}]]}
        assert running.client.post("/v1/rewards", json=body).status_code == 422


def test_urls_are_not_fetched_and_the_refusal_says_what_to_do(running: Running) -> None:
    body = {**words("x"), "responses": [[{"type": "image", "url": "http://127.0.0.1:1/tea.png"}]]}
    reply = running.client.post("/v1/rewards", json=body)
    assert (reply.status_code, reply.json()["error"]["field"]) == (422, "responses.0.0.url")
    assert "/v1/uploads" in reply.json()["error"]["message"]


def test_media_are_counted_and_what_several_responses_show_is_held_once(uploads: Uploads) -> None:
    held: list[int] = []
    inline = _inline(uploads, held, most=3)
    for name in ("dGVh", "dGVh"):
        inline.base64("image", name, "x")
    inline.url("image", f"upload:{_send(uploads, b'12', b'345')}", "x")
    assert held == [3, 5]
    with pytest.raises(RequestError, match="at most 3 media") as caught:
        inline.base64("image", "dGVh", "x")
    assert caught.value.status == 413


def test_uploads_are_bounded_one_and_all_and_leave_nothing_when_refused(uploads: Uploads) -> None:
    """10 bytes each, 16 together: by hand."""
    with pytest.raises(RequestError, match="at most 10 bytes"):
        _send(uploads, b"12345", b"678901")
    with pytest.raises(RequestError, match="empty"):
        _send(uploads)
    first = _send(uploads, b"1234567890")
    with pytest.raises(OverloadedError, match="no room"):
        _send(uploads, b"1234567")
    _send(uploads, b"123456")
    assert sorted(path.stat().st_size for path in uploads._folder.iterdir()) == [6, 10]
    assert uploads.read(first, "x", _free) == b"1234567890"


def test_what_there_is_no_room_for_is_not_read(uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    """Room is one byte short for each, by hand. The upload is a hole of 2**40 bytes, which no memory takes."""
    upload = _send(uploads, b"tea")
    os.truncate(uploads._folder / upload, 2**40)
    monkeypatch.setattr(binascii, "a2b_base64", lambda *_args, **_more: pytest.fail("decoded"))
    urls = [(f"upload:{upload}", 2**40)]
    urls += [(f"data:image/png;base64,{data}", size) for data, size in (("dGVh", 3), ("dGU=", 2), ("dA==", 1))]
    for url, size in urls:
        inline = RequestMedia(uploads, Held(size - 1).share().add, None, 9)
        with pytest.raises(OverloadedError, match="as many bytes"):
            inline.url("image", url, "x")


def test_an_upload_expires_and_makes_room(uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    first = _send(uploads, b"1234567890")
    later = time.time() + 61
    monkeypatch.setattr("omnireward.serve.uploads.time.time", lambda: later)
    with pytest.raises(RequestError, match="expired") as caught:
        uploads.read(first, "x", _free)
    assert caught.value.status == 410
    assert list(uploads._folder.iterdir()) == []
    _send(uploads, b"1234567890")


def test_uploads_are_bounded_in_number_too(uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three of one byte, those on their way counted. What is refused or breaks off leaves its place."""
    monkeypatch.setattr("omnireward.serve.uploads._MOST_KEPT", 3)
    _send(uploads, b"1")

    async def chunks(meanwhile: bytes = b"") -> AsyncIterator[bytes]:
        if meanwhile:
            await uploads.receive(chunks())
            with pytest.raises(OverloadedError, match="3 uploads are kept"):
                await uploads.receive(chunks())
        yield b"x"

    for _ in range(4):
        with pytest.raises(RequestError, match="empty"):
            _send(uploads)
    asyncio.run(uploads.receive(chunks(b"y")))
    with pytest.raises(OverloadedError, match="3 uploads are kept"):
        _send(uploads, b"4")
    assert len(list(uploads._folder.iterdir())) == 3


def test_a_piece_of_an_upload_costs_the_same_however_many_are_kept(tmp_path: Path) -> None:
    """Of 300, 150 have expired, in no order that the folder knows. Eleven times one is looked at that stays."""
    for number in range(300):
        path = tmp_path / f"0-{number:032d}"
        path.write_bytes(b"1")
        received = time.time() - 60 + 100 * (number * 7 % 300 - 149.5)
        os.utime(path, (received, received))
    one = Uploads(10, 1000, 60.0, tmp_path, 0)
    looked: list[str] = []
    one._kept = Watched(one._kept, looked)
    _send(one, *[b"x"] * 10)
    assert len(one._kept) == 151
    assert len(looked) == 150 + 11


class Watched(dict[str, Any]):
    """Knows which of its values were looked at."""

    def __init__(self, kept: dict[str, Any], looked: list[str]) -> None:
        super().__init__(kept)
        self._looked = looked

    def values(self) -> Any:
        for name, value in list(super().items()):
            self._looked.append(name)
            yield value


def test_replicas_share_a_folder_each_counting_its_own_and_finding_it_again(tmp_path: Path) -> None:
    """16 bytes for each, 10 of which the first has: by hand."""
    one, two = (Uploads(10, 16, 60.0, tmp_path, number) for number in range(2))
    first = _send(one, b"1234567890")
    _send(two, b"1234567890")
    assert two.read(first, "x", _free) == b"1234567890"
    (tmp_path / "0-cut.unfinished").touch()
    (tmp_path / "1-going-on.unfinished").touch()
    one.close()
    again = Uploads(10, 16, 60.0, tmp_path, 0)
    assert again.read(first, "x", _free) == b"1234567890"
    assert [path.name for path in tmp_path.glob("*.unfinished")] == ["1-going-on.unfinished"]
    with pytest.raises(OverloadedError, match="no room"):
        _send(again, b"1234567")


def test_what_another_replica_should_have_removed_is_not_read(tmp_path: Path) -> None:
    one, two = (Uploads(10, 16, 60.0, tmp_path, number) for number in range(2))
    first = _send(one, b"tea")
    long_ago = time.time() - 61
    os.utime(tmp_path / first, (long_ago, long_ago))
    with pytest.raises(RequestError, match="expired"):
        two.read(first, "x", _free)


def test_the_folder_of_uploads_is_private_and_goes(judge: RewardJudge) -> None:
    with serving(judge) as one:
        assert one.client.post("/v1/uploads", content=b"x", headers=RAW).status_code == 201
        folder = one.service.uploads._folder
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert len(list(folder.iterdir())) == 1
    assert not folder.exists()


@pytest.mark.parametrize("kind", ["text/plain", "", "multipart/form-data; boundary=x", "image/", "x-image/png"])
def test_an_upload_says_that_it_is_a_medium(running: Running, kind: str) -> None:
    reply = running.client.post("/v1/uploads", content=b"x", headers={"Content-Type": kind})
    assert reply.status_code == 415


def test_base64_that_is_no_medium_is_a_problem_of_its_response(running: Running) -> None:
    for kind in ("image", "video", "audio", "mesh"):
        part = {"type": kind, "base64": base64.b64encode(b"no medium at all").decode()}
        body = {**words("x"), "responses": [[part], "tea"]}
        (row,) = running.client.post("/v1/rewards", json=body).json()["rewards"]
        assert row[0]["problem"]["kind"] == "media"
        assert "value" in row[1]
