"""A look at a GLB's JSON before a loader believes it: what it counts, what it names, and what it needs.

A few hundred bytes of JSON can announce an accessor of billions of zeros, a tree of nodes that contains itself, or a
buffer called ../../etc/passwd. Layout: glTF 2.0 specification, section 4 (GLB).
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from typing import Any

from omnireward.errors import MediaLimitError, UnreadableMediaError
from omnireward.media.image import check_image
from omnireward.media.limits import Limits
from omnireward.media.sidecars import Sidecars

MAGIC = b"glTF"

_HEADER = struct.Struct("<4sIIII")  # magic, version, length; length and type of the first chunk
_JSON_CHUNK = 0x4E4F534A
_LARGEST_JSON = 32 * 2**20  # bytes
_LARGEST_LIST = 100_000  # nodes, accessors, ...: far above what exporters write
_COLUMNS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}

# What a file may require: these change how light falls, which our shader ignores. Compression, texture transforms
# and quantisation would make a wrong shape.
_HARMLESS = ("KHR_materials_", "KHR_lights_", "EXT_texture_webp", "KHR_xmp")


def check_glb(data: bytes, name: str, sidecars: Sidecars, limits: Limits) -> None:
    """Refuse a GLB that asks for too much, names files outside its folder, or needs what the loader lacks.

    Raises:
        MediaLimitError: counts beyond `limits`.
        UnreadableMediaError: anything else that is wrong.
    """
    tree = _json_chunk(data, name)
    try:
        _check_extensions(tree, name)
        for kind in ("nodes", "meshes", "accessors", "bufferViews", "buffers", "images", "materials", "textures"):
            if len(tree.get(kind, [])) > _LARGEST_LIST:
                raise MediaLimitError(f"{name}: {len(tree[kind]):,} {kind}; at most {_LARGEST_LIST:,}.")
        _check_nodes(tree, name)
        _check_accessors(tree, name, limits)
        for buffer in tree.get("buffers", []):
            if "uri" in buffer and not buffer["uri"].startswith("data:"):
                sidecars.path_of(buffer["uri"])
        for image in tree.get("images", []):
            _check_image(image, tree, data, name, sidecars, limits)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise UnreadableMediaError(f"{name}: not valid glTF ({type(error).__name__}: {error}).") from error


def _json_chunk(data: bytes, name: str) -> dict[str, Any]:
    try:
        _, version, length, json_length, chunk = _HEADER.unpack_from(data)
        if version != 2 or chunk != _JSON_CHUNK:
            raise UnreadableMediaError(f"{name}: not a glTF 2.0 binary.")
        if length > len(data):
            raise UnreadableMediaError(f"{name}: truncated; {len(data):,} of {length:,} bytes.")
        if json_length > _LARGEST_JSON:
            raise MediaLimitError(f"{name}: {json_length:,} bytes of JSON; at most {_LARGEST_JSON:,}.")
        tree = json.loads(data[_HEADER.size : _HEADER.size + json_length])
    except (struct.error, json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableMediaError(f"{name}: not a readable GLB ({error}).") from error
    if not isinstance(tree, dict):
        raise UnreadableMediaError(f"{name}: not valid glTF; its JSON is not an object.")
    return tree


def _check_extensions(tree: dict[str, Any], name: str) -> None:
    needed = [e for e in tree.get("extensionsRequired", []) if not e.startswith(_HARMLESS)]
    if needed:
        raise UnreadableMediaError(
            f"{name}: needs {', '.join(needed)}, which cannot be read. Export it again without compression."
        )


def _check_nodes(tree: dict[str, Any], name: str) -> None:
    """Each node has at most one parent (specification 3.5.2), and roots none: then no walk from a root can loop."""
    seen: set[int] = set()
    children = [child for node in tree.get("nodes", []) for child in node.get("children", [])]
    roots = [root for scene in tree.get("scenes", []) for root in set(scene.get("nodes", []))]
    for child in children:
        if child in seen:
            raise UnreadableMediaError(f"{name}: node {child} has two parents; a glTF scene must be a tree.")
        seen.add(child)
    if seen.intersection(roots):
        raise UnreadableMediaError(f"{name}: a root of its scene is another node's child; it must be a tree.")


def _check_accessors(tree: dict[str, Any], name: str, limits: Limits) -> None:
    views = tree.get("bufferViews", [])
    largest = max(limits.vertices, 3 * limits.faces)
    total = 0
    for accessor in tree.get("accessors", []):
        count = accessor["count"]
        if type(count) is not int or count < 0:
            raise UnreadableMediaError(f"{name}: an accessor counts {count!r} items.")
        if count > largest:
            raise MediaLimitError(
                f"{name}: an accessor counts {count:,} items; at most {limits.vertices:,} vertices "
                f"and {limits.faces:,} faces are read."
            )
        if "bufferView" in accessor:
            views[accessor["bufferView"]]
        else:
            total += count * _COLUMNS[accessor["type"]]  # zeros that no byte of the file backs
    if total > 16 * limits.vertices:
        raise MediaLimitError(f"{name}: {total:,} numbers without data; at most {16 * limits.vertices:,}.")


def _check_image(
    image: dict[str, Any], tree: dict[str, Any], data: bytes, name: str, sidecars: Sidecars, limits: Limits
) -> None:
    if "bufferView" in image:
        view = tree["bufferViews"][image["bufferView"]]
        buffer = tree["buffers"][view["buffer"]]
        if "uri" in buffer:
            raise UnreadableMediaError(f"{name}: a texture lies in a second file; export one self-contained GLB.")
        start = _binary_start(data) + view.get("byteOffset", 0)
        check_image(data[start : start + view["byteLength"]], limits.texture_pixels)
    elif image["uri"].startswith("data:"):
        try:
            check_image(base64.b64decode(image["uri"].partition("base64,")[2]), limits.texture_pixels)
        except binascii.Error as error:
            raise UnreadableMediaError(f"{name}: a texture is not valid base64 ({error}).") from error
    else:
        check_image(sidecars.path_of(image["uri"]), limits.texture_pixels)


def _binary_start(data: bytes) -> int:
    """Where the binary chunk's content begins: after the JSON chunk and its own 8-byte head."""
    json_length: int = _HEADER.unpack_from(data)[3]
    return _HEADER.size + json_length + 8
