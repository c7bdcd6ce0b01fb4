"""Laws that every request shape keeps: `read` and `write` without a server, on the shape's own examples.

Rewards here are sevenths: no example holds one, so a number that stands in a reply and was not given was made up.
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from tests.serve.protocols.plain import SERVED, PlainInline, fractions, route_ids

from omnireward import plugins
from omnireward.serve.asking import Ask, Problem, RequestError, Reward, Route, Shape
from omnireward.serve.protocols import by_path, choose, shape, shapes

BROKEN = Problem("media", "the picture is broken.")
WRONG: list[Any] = [None, True, 7, 0.5, "x", "", [], {}, [7], [None], [[]], [{}], {"x": 7}, [["a", "b", "c"]]]

POSTS = [(n, r) for n, s in shapes().items() for r in s.routes if r.method == "POST"]
GETS = [(n, r) for n, s in shapes().items() for r in s.routes if r.method == "GET"]


each_post = pytest.mark.parametrize(("name", "route"), POSTS, ids=route_ids(POSTS))


def _example(name: str, route: Route) -> dict[str, Any]:
    return copy.deepcopy(dict(shape(name).example[route.path]))


def _rewards(asks: Sequence[Ask]) -> list[list[Reward]]:
    """Another seventh for each response."""
    numbers = iter(range(1, 1000))
    return [[next(numbers) / 7 for _ in ask.responses] for ask in asks]


def _flat(rewards: Sequence[Sequence[Reward]]) -> list[float]:
    return [one for each in rewards for one in each if isinstance(one, float)]


@pytest.mark.parametrize("name", plugins.names("serve.protocols"))
def test_it_is_a_shape_that_describes_itself_in_one_line(name: str) -> None:
    assert isinstance(plugins.load("serve.protocols", name), Shape)
    summary = shape(name).summary
    assert summary
    assert "\n" not in summary


@pytest.mark.parametrize("name", plugins.names("serve.protocols"))
def test_it_has_an_example_for_each_path_of_a_post_and_no_other(name: str) -> None:
    found = shape(name)
    assert sorted(found.example) == sorted(route.path for route in found.routes if route.method == "POST")


@each_post
def test_its_example_asks_for_rewards_of_answers_to_a_user(name: str, route: Route) -> None:
    asks = route.read(_example(name, route), PlainInline())
    assert asks
    for ask in asks:
        assert ask.responses
        assert all(ask.responses)
        assert ask.prompt[-1].role == "user"


@each_post
def test_its_reply_is_json_and_holds_each_reward_unchanged_and_no_other_number(name: str, route: Route) -> None:
    """More often than once where the shape says a reward twice."""
    body = _example(name, route)
    given = _rewards(route.read(body, PlainInline()))
    reply = json.loads(json.dumps(route.write(body, given, SERVED), allow_nan=False))
    assert set(fractions(reply)) == set(_flat(given))


@each_post
def test_a_response_without_a_reward_has_no_number(name: str, route: Route) -> None:
    """It has a place of its own, which says why, or the request fails, which says why."""
    body = _example(name, route)
    given = _rewards(route.read(body, PlainInline()))
    given[0][0] = BROKEN
    if shape(name).on_problem == "whole request fails":
        with pytest.raises(RequestError, match=r"response 0 has no reward \(media\): the picture is broken"):
            route.write(body, given, SERVED)
    else:
        reply = json.loads(json.dumps(route.write(body, given, SERVED), allow_nan=False))
        assert set(fractions(reply)) == set(_flat(given))
        assert "media: the picture is broken." in json.dumps(reply)


@each_post
def test_a_criterion_reaches_every_response(name: str, route: Route) -> None:
    body = _example(name, route) | {"criterion": "It should be red."}
    assert {ask.criterion for ask in route.read(body, PlainInline())} == {"It should be red."}
    assert {ask.criterion for ask in route.read(_example(name, route), PlainInline())} == {""}


@each_post
def test_reading_and_writing_leave_the_body_alone(name: str, route: Route) -> None:
    body = _example(name, route)
    route.write(body, _rewards(route.read(body, PlainInline())), SERVED)
    assert body == _example(name, route)


def _places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The way to everything in a body, and to a key ``criterion`` that it does not have."""
    if not path:
        yield ("criterion",)
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from _places(child, (*path, key))


def _changed(body: Any, path: tuple[str | int, ...], change: Callable[[Any, Any], None]) -> Any:
    body = copy.deepcopy(body)
    holder = body
    for key in path[:-1]:
        holder = holder[key]
    change(holder, path[-1])
    return body


def _put(value: object) -> Callable[[Any, Any], None]:
    def put(holder: Any, key: Any) -> None:
        holder[key] = value

    return put


def _drop(holder: Any, key: Any) -> None:
    if isinstance(holder, list) or key in holder:
        del holder[key]


@each_post
def test_a_broken_body_is_refused_with_a_client_error_or_understood(name: str, route: Route) -> None:
    """Everything in the example is taken away or replaced by each of `WRONG`, one at a time: no other exception."""
    example, refused = _example(name, route), []
    for path in _places(example):
        for change in (_drop, *map(_put, WRONG)):
            body = _changed(example, path, change)
            try:
                route.write(body, _rewards(route.read(body, PlainInline())), SERVED)
            except RequestError as error:
                refused.append(error)
    assert refused  # at least what is required was missing once
    assert all(400 <= error.status < 500 and str(error) for error in refused)


def test_an_empty_body_is_refused() -> None:
    for _, route in POSTS:
        with pytest.raises(RequestError):
            route.read({}, PlainInline())


@pytest.mark.parametrize(("name", "route"), GETS, ids=route_ids(GETS))
def test_a_get_asks_nothing_and_is_answered(name: str, route: Route) -> None:
    assert list(route.read({}, PlainInline())) == []
    assert json.dumps(route.write({}, [], SERVED), allow_nan=False) != "null"


def test_shapes_that_share_a_path_are_told_apart_by_keys_that_none_of_them_shares() -> None:
    shared = {key: routes for key, routes in by_path(shapes()).items() if len(routes) > 1}
    assert ("POST", "/score") in shared  # of vLLM and UniRL
    for (method, _), routes in shared.items():
        assert method == "POST"
        assert all(route.keys for route in routes.values())
        assert max(Counter(key for route in routes.values() for key in route.keys).values()) == 1


@each_post
def test_its_example_finds_it_among_all_shapes(name: str, route: Route) -> None:
    assert choose(by_path(shapes())["POST", route.path], _example(name, route)) == name


@pytest.mark.parametrize("body", [{}, {"input": "a", "text": "b"}, {"neither": 1}])
def test_a_body_that_could_be_of_no_shape_or_of_several_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match=r"text \(sglang\); input, messages \(vllm\)"):
        choose(by_path(shapes())["POST", "/classify"], body)
