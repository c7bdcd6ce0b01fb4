"""Names of local files and of other servers, in every spelling that may slip through, in bodies of every shape."""

from __future__ import annotations

import random
from typing import Any

from tests.serve.running import words

# Where a local file or another server could be named; HERE and PORT are replaced by those of the test.
PLACES = (
    "HERE/secret.png",
    "file://HERE/secret.png",
    "file:HERE/secret.png",
    "FILE://localhostHERE/secret.png",
    "../../../../../../../../../..HERE/secret.png",
    "..%2f..%2f..%2f..%2f..%2f..%2fHERE/secret.png",
    "/proc/self/root/HERE/secret.png",
    "/dev/stdin",
    "/etc/passwd",
    "concat:HERE/secret.png|HERE/secret.png",
    "subfile,,start,0,end,9,,:HERE/secret.png",
    "upload:../../../../../../../../HERE/secret.png",
    "upload:HERE/secret.png",
    "upload:",
    "upload:\0",
    "http://127.0.0.1:PORT/secret.png",
    "http://localhost:PORT/secret.png",
    "http://[::1]:PORT/secret.png",
    "http://[::ffff:127.0.0.1]:PORT/secret.png",
    "http://0.0.0.0:PORT/secret.png",
    "http://2130706433:PORT/secret.png",
    "http://0177.0.0.1:PORT/secret.png",
    "http://0x7f.1:PORT/secret.png",
    "http://127.1:PORT/secret.png",
    "http://ALLOWED@127.0.0.1:PORT/secret.png",
    "http://127.0.0.1:PORT#@ALLOWED/secret.png",
    "http://ALLOWED#@127.0.0.1:PORT/secret.png",
    "http://ALLOWED\\@127.0.0.1:PORT/secret.png",
    "http://ALLOWED%2f@127.0.0.1:PORT/secret.png",
    "http://ALLOWED.127.0.0.1.nip.io:PORT/secret.png",
    "http://ALLOWED:PORT/secret.png",
    "http://\uff41llowed/secret.png",
    "http://ALLOWED\r\nHost: 127.0.0.1/secret.png",
    "http://ALLOWED/to?http://127.0.0.1:PORT/secret.png",
    "http://ALLOWED/to?http://169.254.169.254/latest/meta-data/",
    "http://ALLOWED/to?file://HERE/secret.png",
    "http://ALLOWED/to?//127.0.0.1:PORT/secret.png",
    "http://ALLOWED/to?gopher://127.0.0.1:PORT/_GET",
    "http://ALLOWED/to?http://ALLOWED/to?http://127.0.0.1:PORT/secret.png",
    "http://ALLOWED/loop",
    "http://ALLOWED:99999/secret.png",
    "http://ALLOWED:x/secret.png",
    "http://169.254.169.254/latest/meta-data/",
    "http://metadata.google.internal/",
    "https://127.0.0.1:PORT/secret.png",
    "ftp://127.0.0.1:PORT/secret.png",
    "gopher://127.0.0.1:PORT/_GET",
    "//127.0.0.1:PORT/secret.png",
    "jar:http://127.0.0.1:PORT/secret.png!/",
    "data:text/html;base64,PGI+",
    "data:image/png;base64,",
    "data:image/png,%89PNG",
    "data:;base64,iVBORw0KGgo=",
    "data:image/png;charset=a;charset=b;x=" + "y" * 5000 + ";base64,iVBORw0KGgo=",
    "data:image/png;base64;base64,iVBORw0KGgo=",
    "DATA:image/png;BASE64,iVBORw0KGgo=",
)


def naming(place: str, rng: random.Random) -> tuple[str, dict[str, Any]]:
    """A body that names a place where a medium may stand."""
    kind = rng.choice(["image", "video", "audio", "mesh"])
    chat = [{"role": "user", "content": [{"type": f"{kind}_url", f"{kind}_url": rng.choice([place, {"url": place}])}]}]
    chat.append({"role": "assistant", "content": "A thing."})
    ways: list[tuple[str, dict[str, Any]]] = [
        ("/v1/rewards", words("a") | {"responses": [[{"type": kind, "url": place}]]}),
        ("/v1/rewards", words("a") | {"responses": [[{"type": kind, "upload": place}]]}),
        ("/v1/rewards", words("a") | {"responses": [[{"type": kind, "base64": place}]]}),
        ("/v1/rewards", words("a") | {"responses": [[{"type": kind, "path": place}]]}),
        ("/pooling", {"messages": chat}),
        ("/flow_grpo", {"images": [place], "prompts": ["A thing."]}),
        ("/get_reward_mllm", {"query": ["Hm? A."], "prompts": ["Hm?"], "images": [[place]]}),
        (
            "/score",
            {"requests": [{"history": [{"text": "", "video_path": place}], "required_rewards": ["omnireward"]}]},
        ),
    ]
    return rng.choice(ways)
