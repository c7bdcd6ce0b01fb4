"""Bodies from strangers: their size as it comes, their time, and JSON that means one thing."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serve.running import Running, serving, words

from omnireward.judges.reward import RewardJudge
from omnireward.serve import schema
from omnireward.serve.asking import OverloadedError, RequestError
from omnireward.serve.bodies import DEEPEST, MOST_VALUES, Held, parse
from omnireward.serve.media import RequestMedia


@pytest.fixture(scope="module")
def small(judge: RewardJudge) -> Iterator[Running]:
    with serving(judge, max_body_mb=1, max_upload_mb=1, body_seconds=0.3) as one:
        yield one


def _pieces(count: int) -> Iterator[bytes]:
    """`count` times 64 KiB, without a length said before."""
    for _ in range(count):
        yield b" " * 2**16


@pytest.mark.parametrize("path", ["/v1/rewards", "/v1/judgements", "/v1/uploads", "/get_reward"])
def test_a_body_is_counted_as_it_comes(small: Running, path: str) -> None:
    """4 MiB in chunks, where 1 MiB is taken."""
    kind = "application/octet-stream" if path == "/v1/uploads" else "application/json"
    reply = small.client.post(path, content=_pieces(64), headers={"Content-Type": kind})
    assert "content-length" not in reply.request.headers
    assert (reply.status_code, reply.json()["error"]["kind"]) == (413, "too large")
    stated = small.client.post(path, content=b" " * (2**20 + 1), headers={"Content-Type": kind})
    assert stated.status_code == 413
    assert small.client.post("/v1/rewards", json=words("tea")).status_code == 200


def test_a_body_that_does_not_come_is_given_up(small: Running) -> None:
    head = (
        b"POST /v1/rewards HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
    )
    with socket.create_connection(("127.0.0.1", small.port), timeout=20) as slow:
        slow.sendall(head)
        assert slow.recv(4096).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": ""},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
def test_only_plain_json_is_taken(small: Running, headers: dict[str, str]) -> None:
    body = json.dumps(words("tea")).encode()
    assert small.client.post("/v1/rewards", content=body, headers=headers).status_code == 415
    charset = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert small.client.post("/v1/rewards", content=body, headers=charset).status_code == 200


def _deep(depth: int) -> bytes:
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": [Infinity]}', "Infinity is not JSON"),
        (b'{"a": -Infinity}', "-Infinity is not JSON"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "not JSON"),
        (b"", "not JSON"),
        (b'{"a": 1} {"b": 2}', "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b'{"a": "\\ud800"}', "half of a surrogate pair"),
        (b'{"\\udfff": 1}', "half of a surrogate pair"),
        (b"[]", "must be a JSON object, not list"),
        (b'"text"', "must be a JSON object, not str"),
        (b"null", "must be a JSON object, not NoneType"),
        (_deep(DEEPEST + 1), "inside each other"),
        (_deep(100_000), "inside each other"),
        (b'{"a": [' + b"[]," * MOST_VALUES + b"[]]}", "more than 1,000,000 values"),
    ],
    ids=range(17),
)
def test_what_is_not_plain_json_is_refused(body: bytes, says: str) -> None:
    with pytest.raises(RequestError, match=says) as caught:
        parse(body)
    assert caught.value.status in (400, 413)


def test_what_is_plain_json_is_read() -> None:
    value = {"a": [1, -2.5, "ü 💧", None, True, {"b": []}]}
    assert parse(json.dumps(value).encode()) == value
    assert parse(_deep(DEEPEST))


def test_numbers_that_are_none_are_refused_over_http(small: Running) -> None:
    body = json.dumps(words("tea", deadline_s=float("nan"))).encode()
    reply = small.client.post("/v1/rewards", content=body, headers={"Content-Type": "application/json"})
    assert (reply.status_code, "NaN is not JSON" in reply.text) == (400, True)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"prompt": "Which drink?"}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [{"role": "tool", "content": "x"}]}, "prompt.0.role"),
        ({"prompt": [{"role": "user", "content": 1}]}, "prompt.0.content"),
        ({"responses": []}, "responses"),
        ({"responses": "tea"}, "responses"),
        ({"responses": ["tea", []]}, "responses.1"),
        ({"responses": [[{"type": "text"}]]}, "responses.0.0.text"),
        ({"responses": [[{"type": "image"}]]}, "responses.0.0"),
        ({"responses": [[{"type": "image", "base64": "eA==", "url": "x"}]]}, "responses.0.0"),
        ({"responses": [[{"type": "image", "base64": "e A="}]]}, "responses.0.0.base64"),
        ({"responses": [[{"type": "image", "base64": ""}]]}, "responses.0.0.base64"),
        ({"responses": [[{"type": "text", "text": "x", "path": "/etc/passwd"}]]}, "responses.0.0.path"),
        ({"responses": [[{"type": "smell", "base64": "eA=="}]]}, "responses.0.0.type"),
        ({"criterion": 3}, "criterion"),
        ({"criteria": []}, "criteria"),
        ({"criterion": "a", "criteria": ["b"]}, ""),
        ({"n": 3}, "n"),
    ],
)
def test_a_field_of_another_kind_is_named(running: Running, change: dict[str, object], field: str) -> None:
    reply = running.client.post("/v1/rewards", json={**words("tea"), **change})
    assert (reply.status_code, reply.json()["error"]["field"]) == (422, field), reply.text


def test_an_object_of_very_many_keys_is_refused_at_once() -> None:
    """Each unknown key is an error of its own; a million of them kept the process busy for seconds."""
    assert len(parse(json.dumps(dict.fromkeys(map(str, range(1000)))).encode())) == 1000
    with pytest.raises(RequestError, match="more than 1,000 keys"):
        parse(json.dumps({"a": [dict.fromkeys(map(str, range(1001)))]}).encode())


def test_of_a_list_the_first_error_is_enough(running: Running) -> None:
    """Two fields are wrong, and one of them 4000 times: by hand, one more error than the first."""
    reply = running.client.post("/v1/rewards", json={"prompt": 1, "responses": [1] * 4000})
    assert reply.json()["error"]["message"].endswith("(and 1 more).")


def test_what_is_held_is_given_back_once() -> None:
    held = Held(10)
    one, two = held.share(), held.share()
    one.add(6)
    with pytest.raises(OverloadedError):
        two.add(5)
    two.add(4)
    one.release()
    one.release()
    two.add(6)
    with pytest.raises(OverloadedError):
        one.add(1)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "base64", "upload", "url", "role", "content"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@given(st.sampled_from(["prompt", "responses", "criterion", "criteria", "deadline_s", "x"]), _JSON)
def test_whatever_stands_in_a_field_it_is_read_or_refused(running: Running, field: str, value: object) -> None:
    inline = RequestMedia(running.service.uploads, lambda _size: None, None, 4)
    try:
        asks = schema.REWARDS.read({**words("tea"), field: value}, inline)
    except RequestError:
        return
    assert all(ask.prompt and ask.responses for ask in asks)
