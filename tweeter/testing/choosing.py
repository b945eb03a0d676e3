"""What the steps of the property test of law 1 share: they choose a process, a user or a tweet by a number."""

from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition

from tweeter.errors import Refused
from tweeter.testing.process import Process
from tweeter.testing.site import Site

whom = st.integers(0, 1_000_000)  # chooses a process, a user or a tweet
somebody = precondition(lambda self: bool(self.site.model.names))
something_said = precondition(lambda self: bool(self.site.model.tweets))


class Chooser(RuleBasedStateMachine):
    """Chooses on `site` and in its model."""

    site: Site

    def _user(self, number: int) -> int:
        users = sorted(self.site.model.names)
        return users[number % len(users)]

    def _tweet(self, number: int) -> int:
        tweets = sorted(self.site.model.tweets, reverse=True)
        return tweets[number % len(tweets)]

    def _process(self, number: int) -> Process:
        return self.site.processes[number % len(self.site.processes)]


@contextmanager
def refused(expected: bool) -> Iterator[None]:
    """The action within the block must be refused, or must not."""
    try:
        yield
    except Refused:
        assert expected
    else:
        assert not expected
