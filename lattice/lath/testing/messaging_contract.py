"""What every provider of wasmcloud:messaging must do: a suite of tests to subclass.

    class TestRabbit(MessagingContract):
        def make_provider(self) -> Provider:
            return Rabbit()

        def link_config(self) -> dict[str, str]:
            return {"url": self.url}

        def taking_config(self) -> dict[str, str]:
            return {"url": self.url}

Each test runs the provider on a real bus. Around it, `Inbox` stands for a component that handles messages,
and `Sends` for one that sends them. pytest-asyncio has to be in its automatic mode.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import pytest
from pytest_asyncio import fixture

from lath import telemetry
from lath.bus import Bus
from lath.codec import Record
from lath.errors import DeadlineExceeded, LinkFailed
from lath.model import LinkSelector
from lath.provider import OpError
from lath.telemetry import TraceContext
from lath.testing import eventually
from lath.testing.contract import ProviderContract
from lath.testing.messaging import Components, Sends
from lath.testing.provider import ProviderTest

TRACE: Final = TraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", "vendor=1")
HOSTILE_SUBJECTS: Final = (
    "", " ", ".", "..", ".a", "a.", "a..b", "*", ">", "a.*", "a.>", "a b", "a\tb", "a\r\nPUB b 0\r\n",
    "a\x00", "a\x7f", "a\u2028b", "s" * 65_536, "a." * 40_000 + "a",
)  # fmt: skip
"""What no message can be sent to."""


class MessagingContract(ProviderContract):
    """The suite. A subclass says what is tested, and may add tests of its own with the same fixtures."""

    body_bytes_large = 400_000
    """A large body that the broker must carry whole."""

    def link_config(self) -> dict[str, str]:
        """The target config of a link to the provider."""
        return {}

    def taking_config(self) -> dict[str, str]:
        """The source config of a link from the provider, but for `subscriptions`."""
        return {}

    @fixture
    async def components(self, bus: Bus, running: ProviderTest) -> AsyncIterator[Components]:
        """Components around it."""
        async with Components(bus, running, self.link_config(), self.taking_config()) as components:
            yield components

    @fixture
    async def app(self, components: Components) -> Sends:
        """A component that may send anywhere."""
        return await components.sender()

    # --- publish and subscribe -----------------------------------------------------------------------

    async def test_what_is_published_is_what_is_handled(self, components: Components, app: Sends) -> None:
        inbox = await components.taker("orders.new")
        await app.publish("orders.new", b"one", "answers.here")
        await inbox.has(b"one")
        assert inbox.messages == [Record(subject="orders.new", body=b"one", reply_to="answers.here")]

    async def test_bodies_are_bytes_of_any_kind_and_size(self, components: Components, app: Sends) -> None:
        inbox = await components.taker("orders.new")
        bodies = (b"", b"\x00", bytes(range(256)), b"\xff" * self.body_bytes_large)
        for body in bodies:
            await app.publish("orders.new", body)
        await inbox.has(*bodies)

    async def test_subjects_are_any_text_in_tokens(self, components: Components, app: Sends) -> None:
        subjects = ["ключ.🔑", "a-b.c_d", "a/b", "a:b", "%2E", "A", "é", "q" * 1_000]
        inbox = await components.taker(",".join(subjects))
        for subject in subjects:
            await app.publish(subject)
        await eventually(lambda: len(inbox.messages) == len(subjects))
        assert sorted(message.subject for message in inbox.messages) == sorted(subjects)

    async def test_wildcards_take_what_they_match_and_nothing_else(
        self, components: Components, app: Sends
    ) -> None:
        inbox = await components.taker("one.*, rest.>, plain")
        for subject in ("one.a", "one.a.b", "one", "rest.a", "rest.a.b", "rest", "plain", "plain.a", "Plain"):
            await app.publish(subject, subject.encode())
        await inbox.has(b"one.a", b"rest.a", b"rest.a.b", b"plain")

    async def test_each_component_gets_each_message(self, components: Components, app: Sends) -> None:
        one, other = await components.taker("orders.new"), await components.taker("orders.>")
        await app.publish("orders.new", b"1")
        await one.has(b"1")
        await other.has(b"1")

    async def test_in_a_queue_group_one_component_gets_each_message(
        self, components: Components, app: Sends
    ) -> None:
        members = [await components.taker("orders.new", queue_group="workers") for _ in range(3)]
        bodies = [b"%d" % number for number in range(60)]
        for body in bodies:
            await app.publish("orders.new", body)
        await eventually(lambda: sum(len(member.messages) for member in members) >= len(bodies))
        assert sorted(body for member in members for body in member.bodies) == sorted(bodies)
        assert all(member.messages for member in members)

    async def test_nobody_listening_is_no_error_to_a_publisher(self, app: Sends) -> None:
        await app.publish("nobody.there", b"1")

    # --- request -------------------------------------------------------------------------------------

    async def test_a_request_gets_what_is_published_to_its_reply_subject(
        self, components: Components, app: Sends
    ) -> None:
        inbox = await components.taker("double")

        async def answer(message: Record) -> None:
            await app.publish(message.reply_to, message.body * 2)

        inbox.on_message = answer
        assert (await app.request("double", b"ab")).body == b"abab"
        answers = await asyncio.gather(*(app.request("double", b"%d" % each) for each in range(20)))
        assert [each.body for each in answers] == [b"%d" % each * 2 for each in range(20)]

    async def test_a_request_that_nobody_listens_to_is_an_error_in_words(self, app: Sends) -> None:
        with pytest.raises(OpError, match=r"unavailable: .*nobody\.there"):
            await app.request("nobody.there")

    async def test_a_request_that_is_not_answered_ends_after_its_time(
        self, components: Components, app: Sends
    ) -> None:
        await components.taker("silent")
        with pytest.raises(OpError, match=r"deadline_exceeded: .*silent.*50 ms"):
            await app.request("silent", within_ms=50)

    async def test_a_request_waits_no_longer_than_its_call(self, components: Components, app: Sends) -> None:
        await components.taker("silent")
        with pytest.raises((OpError, DeadlineExceeded), match="deadline_exceeded"):
            await app.request("silent", within_ms=60_000, call_ms=400)

    async def test_a_request_says_how_long_to_wait(self, app: Sends) -> None:
        with pytest.raises(OpError, match="timeout-ms is 0"):
            await app.request("silent", within_ms=0)

    # --- rights --------------------------------------------------------------------------------------

    async def test_what_is_no_subject_is_refused_in_words_and_harms_nothing(
        self, components: Components, app: Sends
    ) -> None:
        inbox = await components.taker("fine")
        for subject in HOSTILE_SUBJECTS:
            for attempt in (
                app.publish(subject),
                app.request(subject, within_ms=1_000),
                app.publish("fine", b"", subject),
            ):
                with pytest.raises(OpError) as caught:
                    await attempt
                assert caught.value.payload.startswith("invalid_argument: ")
                assert len(caught.value.payload) < 500
        await app.publish("fine", b"1")
        await inbox.has(b"1")

    async def test_a_component_sends_only_where_its_link_allows_it(self, components: Components) -> None:
        narrow = await components.sender(publish_allow="orders.*, audit.>")
        inbox = await components.taker("orders.>, audit.>, other")
        await narrow.publish("orders.new", b"1")
        await narrow.publish("audit.a.b", b"2")
        for subject in ("other", "orders.new.deep", "orders", "audit", "Orders.new"):
            with pytest.raises(OpError, match=r"permission_denied: .*publish_allow has orders\.\*, audit"):
                await narrow.publish(subject)
            with pytest.raises(OpError, match="permission_denied"):
                await narrow.request(subject)
        await inbox.has(b"1", b"2")

    async def test_who_may_send_nowhere_may_still_answer(self, components: Components, app: Sends) -> None:
        mute = await components.sender(publish_allow="")
        inbox = await components.taker("ask")
        inbox.on_message = lambda message: mute.publish(message.reply_to, b"answer")
        assert (await app.request("ask")).body == b"answer"
        with pytest.raises(OpError, match="permission_denied"):
            await mute.publish("ask")

    # --- handling ------------------------------------------------------------------------------------

    async def test_no_more_messages_are_in_work_than_the_link_says(
        self, components: Components, app: Sends
    ) -> None:
        inbox = await components.taker("orders.*", concurrency_max="3")
        full, go_on = asyncio.Event(), asyncio.Event()

        async def wait(message: Record) -> None:
            if inbox.at_once == 3:
                full.set()
            await go_on.wait()

        inbox.on_message = wait
        for number in range(30):
            await app.publish(f"orders.{number}")
        async with asyncio.timeout(10):
            await full.wait()
        go_on.set()
        await eventually(lambda: len(inbox.messages) == 30)
        assert inbox.most_at_once == 3

    async def test_a_message_that_fails_keeps_no_other_from_being_handled(
        self, components: Components, app: Sends
    ) -> None:
        inbox = await components.taker("orders", concurrency_max="1", timeout_ms="1500")

        async def fail(message: Record) -> None:
            match message.body:
                case b"error":
                    raise OpError("cannot")
                case b"defect":
                    raise RuntimeError("broken")
                case b"hang":
                    await asyncio.Event().wait()

        inbox.on_message = fail
        for body in (b"error", b"defect", b"hang", b"fine"):
            await app.publish("orders", body)
        await inbox.has(b"error", b"defect", b"hang", b"fine")

    async def test_one_trace_leads_from_the_sender_to_the_handler(
        self, components: Components, app: Sends
    ) -> None:
        inbox = await components.taker("orders")
        with telemetry.use(TRACE):
            await app.publish("orders", b"traced")
        await inbox.has(b"traced")
        trace = inbox.traces[0]
        assert trace is not None
        assert (trace.trace_id, trace.tracestate) == (TRACE.trace_id, TRACE.tracestate)
        await app.publish("orders", b"untraced")
        await inbox.has(b"traced", b"untraced")
        assert inbox.traces[1] is None

    # --- links ---------------------------------------------------------------------------------------

    async def test_a_draining_provider_finishes_what_has_come_and_takes_no_more(
        self, components: Components, app: Sends
    ) -> None:
        inbox = await components.taker("orders", concurrency_max="1")
        go_on = asyncio.Event()
        inbox.on_message = lambda message: _wait(go_on)
        await app.publish("orders", b"in work")
        await app.publish("orders", b"waits")
        await eventually(lambda: inbox.messages)
        draining = asyncio.create_task(components.test.provider.drain())
        await app.publish("orders", b"too late")
        go_on.set()
        await draining
        assert b"in work" in inbox.bodies
        handled = inbox.bodies
        await app.publish("orders", b"much too late")
        with pytest.raises(OpError, match="unavailable"):
            await app.request("orders", within_ms=5_000)
        assert inbox.bodies == handled

    async def test_a_draining_provider_opens_no_link_that_would_take_messages(
        self, components: Components
    ) -> None:
        await components.test.provider.drain()
        with pytest.raises(LinkFailed, match="stopping"):
            await components.feed("late", subscriptions="orders")

    async def test_a_deleted_or_purged_link_takes_no_messages(
        self, components: Components, app: Sends
    ) -> None:
        name, inbox = await components.inbox()
        link = await components.feed(name, subscriptions="orders")
        await components.test.instance.purge(LinkSelector(name=name), hold=True)
        with pytest.raises(OpError, match="unavailable"):
            await app.request("orders")
        await components.test.instance.pull(LinkSelector(name=name))
        await app.publish("orders", b"1")
        await inbox.has(b"1")
        await components.remove(link)
        await eventually(lambda: not components.test.instance.held(LinkSelector(name=name)))
        with pytest.raises(OpError, match="unavailable"):
            await app.request("orders")
        assert inbox.bodies == [b"1"]

    async def test_changed_subscriptions_replace_the_old(self, components: Components, app: Sends) -> None:
        name, inbox = await components.inbox()
        await components.feed(name, subscriptions="old")
        await components.feed(name, subscriptions="new")
        with pytest.raises(OpError, match="unavailable"):
            await app.request("old")
        await app.publish("new", b"1")
        await inbox.has(b"1")

    @pytest.mark.parametrize(
        ("config", "named"),
        [
            ({}, "subscriptions"),
            ({"subscriptions": ""}, "subscriptions"),
            ({"subscriptions": "a b"}, "subscriptions"),
            ({"subscriptions": "a.>.b"}, "subscriptions"),
            ({"subscriptions": "a.*, a.b"}, "overlap"),
            ({"subscriptions": "a", "queue_group": "w *"}, "queue_group"),
            ({"subscriptions": "a", "concurrency_max": "0"}, "concurrency_max"),
            ({"subscriptions": "a", "timeout_ms": "soon"}, "timeout_ms"),
            ({"subscriptions": "a", "colour": "blue"}, "colour"),
            ({"subscriptions": "a", "interface": "consumer"}, "wasmcloud:messaging/handler"),
        ],
    )
    async def test_a_wrong_link_to_a_component_fails_naming_the_field(
        self, components: Components, config: dict[str, str], named: str
    ) -> None:
        held = await components.test.settled(await components.put_feed("nobody", **config))
        assert held.state == "failed"
        assert named in (held.error or "")

    @pytest.mark.parametrize(
        ("config", "named"), [({"publish_allow": "a.>.b"}, "publish_allow"), ({"colour": "blue"}, "colour")]
    )
    async def test_a_wrong_link_of_a_sender_fails_naming_the_field(
        self, components: Components, config: dict[str, str], named: str
    ) -> None:
        with pytest.raises(LinkFailed, match=named):
            await components.sender(**config)


async def _wait(event: asyncio.Event) -> None:
    await event.wait()
