"""What is looked at when a Redis server is opened: rights, role, and how it keeps things."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from slideloom.errors import StoreUnusable
from slideloom.stores import redis_scripts
from slideloom.stores.redis import RedisBatchStore
from slideloom.stores.redis_scripts import FIND_REFUSED
from tests.support.redis_server import RedisServer, redis_server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server whose users and settings the tests change."""
    with redis_server(tmp_path_factory.mktemp("redis"), appendfsync="everysec") as started:
        yield started


@asynccontextmanager
async def user(server: RedisServer, rules: str) -> AsyncIterator[str]:
    """The server's address for a user with these rights."""
    async with Redis.from_url(server.url) as admin:
        words = ["reset", "on", ">secret", "~*", "&*", "+@all", *rules.split()]
        # By hand: the client's own function takes commands and channels apart once more.
        await admin.execute_command("ACL", "SETUSER", "limited", *words)  # type: ignore[no-untyped-call]
        yield f"redis://limited:secret@127.0.0.1:{server.port}/0"
        await admin.acl_deluser("limited")


async def doubts_of(url: str) -> tuple[str, ...]:
    store = await RedisBatchStore.open(url)
    await store.close()
    return store.doubts


async def test_server_as_it_should_be_leaves_no_doubt(shared_redis: RedisServer) -> None:
    assert await doubts_of(shared_redis.url) == ()


async def test_server_that_keeps_nothing_or_too_late_leaves_a_doubt(server: RedisServer) -> None:
    place = f"Redis at 127.0.0.1:{server.port}"
    words = "has appendfsync everysec, not always: an answered event may be lost when it crashes"
    assert await doubts_of(server.url) == (f"{place} {words}",)
    async with Redis.from_url(server.url) as admin:
        await admin.config_set("appendonly", "no")
        try:
            assert await doubts_of(server.url) == (
                f"{place} has appendonly off: batches are lost when it restarts",
            )
        finally:
            await admin.config_set("appendonly", "yes")


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        ("-@scripting", "'eval' command"),
        ("-info", "'info' command"),
        ("-publish", r"called slideloom:\*: PUBLISH$"),
        ("-subscribe", r": SUBSCRIBE$"),
        ("resetchannels &other:*", r": PUBLISH, SUBSCRIBE$"),
        ("resetkeys ~other:*", "one of the keys"),
        ("resetkeys %R~slideloom:*", "one of the keys"),
        ("-xadd -hset -evalsha", r": HSET, XADD, EVALSHA$"),
    ],
)
async def test_user_who_may_not_do_what_is_needed_is_refused_at_once(
    server: RedisServer, rules: str, named: str
) -> None:
    async with user(server, rules) as url:
        refused = rf"Redis at 127\.0\.0\.1:{server.port} does not let this user .*{named}"
        with pytest.raises(StoreUnusable, match=refused) as caught:
            await RedisBatchStore.open(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("rules", ["resetkeys ~slideloom:* resetchannels &slideloom:*", "-@admin"])
async def test_user_with_no_more_than_is_needed_will_do(server: RedisServer, rules: str) -> None:
    async with user(server, rules) as url:
        await doubts_of(url)


async def test_how_often_it_syncs_does_not_matter_where_that_may_not_be_asked(
    server: RedisServer,
) -> None:
    async with user(server, "-config") as url:
        assert await doubts_of(url) == ()


async def test_replica_is_refused(tmp_path: Path) -> None:
    with redis_server(tmp_path, replicaof="127.0.0.1 1") as server:
        place = f"Redis at 127.0.0.1:{server.port}"
        with pytest.raises(StoreUnusable, match=f"{place} is a replica, which takes no writes"):
            await RedisBatchStore.open(server.url)


async def test_nothing_is_changed_by_looking(server: RedisServer) -> None:
    await doubts_of(server.url)
    async with Redis.from_url(server.url) as admin:
        assert await admin.keys("*") == []


def test_rights_are_asked_for_every_command_of_the_scripts() -> None:
    scripts = [text for name, text in vars(redis_scripts).items() if name.isupper()]
    used = {name for text in map(str, scripts) for name in re.findall(r"call\('(\w+)'", text)}
    asked = set(re.findall(r"^(\w+)|;(\w+)", FIND_REFUSED, re.MULTILINE))
    assert used - {name for pair in asked for name in pair} == set()
