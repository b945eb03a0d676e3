"""A large fan-out that workers do, as a stream of the holder of the lease."""

from collections import deque

from tweeter.delivery.chunks import FanOuts, Part
from tweeter.delivery.messages import LARGE, SMALL
from tweeter.timelines import followers
from tweeter.timelines.streams import Stream
from tweeter.values import TweetCreated

AT_ONCE = 8  # chunks that one step gives
_EVERYONE = 2**53 - 1  # above every id of a user


class ChunkedStream(Stream):
    """A large fan-out that workers do in chunks, as a stream of the holder."""

    def __init__(self, fan_outs: FanOuts, event: TweetCreated, resume: int) -> None:
        self.event: TweetCreated = event
        self.resume = resume
        self._fan_outs = fan_outs
        self._own: Stream | None = None  # while this process does it itself
        self._begin()

    def _begin(self) -> None:
        self._epoch = self._fan_outs.epoch
        self._given = self.resume  # the follower up to whom chunks were given
        self._all = False  # chunks were given to the end
        self._queue = ""  # not known yet
        self._parts: deque[Part] = deque()

    @property
    def waits(self) -> bool:  # type: ignore[override]  # an attribute of other streams
        if self._own is not None or self._epoch != self._fan_outs.epoch or (self._parts and self._parts[0].over):
            return False
        return self._all or (self._fan_outs.usable and bool(self._queue) and self._fan_outs.room(self._queue) <= 0)

    def step(self) -> bool:
        if self._own is not None:
            return self._step_myself(self._own)
        while self._parts and self._parts[0].over:
            self.resume = self._parts.popleft().chunk.last
        if self._epoch != self._fan_outs.epoch:
            self._begin()
        if self._all:
            return bool(self._parts)
        if self._fan_outs.usable:
            self._give()
        elif not self._parts:
            self._own = self._fan_outs.own_stream(self.event, self.resume)
        return True

    def _step_myself(self, own: Stream) -> bool:
        going_on = own.step()
        self.resume = own.resume
        if going_on and self._fan_outs.usable:
            own.close()
            self._own = None
            self._begin()
        return going_on

    def _give(self) -> None:
        size = self._fan_outs.limits.size
        ranges: list[tuple[int, int]] = []
        with self._fan_outs.sessions() as session:
            if not self._queue:
                one = not self._given and followers.nth(session, self.event.user_id, 0, size) is None
                self._queue = SMALL if one else LARGE
            while not self._all and len(ranges) < min(AT_ONCE, self._fan_outs.room(self._queue)):
                following = followers.nth(session, self.event.user_id, self._given, size)
                self._all = following is None
                last = _EVERYONE if following is None else following - 1
                ranges.append((self._given + 1, last))
                self._given = last
        if ranges:
            self._parts += self._fan_outs.give(self._queue, self.event, ranges)

    def close(self) -> None:
        if self._own is not None:
            self._own.close()
