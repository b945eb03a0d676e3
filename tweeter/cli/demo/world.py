"""The demo's world: its follows and tweets. Reproducible, except for the day on which it ends."""

import math
from random import Random
from typing import NamedTuple

from tweeter.cli.demo.people import Person, free_name, make_people
from tweeter.cli.demo.texts import Filler, Texts, Words, read_texts
from tweeter.text import count_characters

SEED = 2011
DAYS = 6  # the last one is today, of which only the past is shown
MESSAGE_LIMIT = 140
HOUR = 3_600_000  # all times here are milliseconds since the beginning of the first day, UTC
END = DAYS * 24 * HOUR

_AWAKE = (2, 1, 1, 1, 1, 3, 8, 14, 16, 13, 11, 11, 14, 12, 10, 10, 11, 14, 17, 20, 21, 19, 13, 6)
_AWAKE_AT_NIGHT = (16, 15, 14, 13, 12, 12, 14, 10, 3, 1, 1, 1, 1, 1, 2, 4, 6, 8, 9, 10, 11, 14, 15, 16)


class Post(NamedTuple):
    """A tweet of the demo: the index of its author, time, text, and its parent."""

    author: int
    time: int
    text: str
    parent: "Post | None" = None
    of_circle: bool = False  # it is about the topic of the author's circle


class Act(NamedTuple):
    """A repost or a like: the index of its user, its time, and the tweet."""

    user: int
    time: int
    post: Post
    is_repost: bool


class World(NamedTuple):
    people: list[Person]
    demo: int | None  # the index of the account to sign in with
    follows: set[tuple[int, int]]
    posts: list[Post]  # in the order of time
    acts: list[Act]  # in the order of time


def make_world(taken: set[str], demo_account: str | None) -> World:
    """The whole world, up to the end of the last day. No new username (in lower case) is in `taken`."""
    rng = Random(SEED)  # noqa: S311 (reproducible on purpose)
    fill = Filler(rng, texts := read_texts())
    names = {*taken, demo_account.lower()} if demo_account else taken
    people = make_people(fill, names)
    demo = None
    follows = _make_follows(rng, people)
    if demo_account:
        demo = len(people)
        people.append(Person(free_name(demo_account, taken), "Demo", texts.demo.bio, 1, 0, 1, texts.circles[0]))
        follows |= _follows_of_demo(rng, people, demo)
    talk = _Talk(fill, people, follows, demo)
    posts = talk.posts()
    return World(people, demo, follows, posts, talk.acts(posts))


def _make_follows(rng: Random, people: list[Person]) -> set[tuple[int, int]]:
    """All people know the famous; friends share a circle or a language, and often follow back."""
    follows: set[tuple[int, int]] = set()
    for i, person in enumerate(people):
        count = min(120, int(7 + 6 * rng.paretovariate(1.3)))
        for j in _draw(rng, count, [_interest(person, other) if i != j else 0 for j, other in enumerate(people)]):
            follows.add((i, j))
            if people[j].circle is person.circle and not people[j].star and rng.random() < 0.45:
                follows.add((j, i))
    return follows


def _follows_of_demo(rng: Random, people: list[Person], demo: int) -> set[tuple[int, int]]:
    others = people[:demo]
    followees = _draw(rng, 40, [100 * p.fame if p.star else (1 + math.log(p.fame)) * (p.pace > 0.7) for p in others])
    followers = _draw(rng, 57, [1 / p.fame for p in others])
    return {(demo, j) for j in followees} | {(j, demo) for j in followers}


def _interest(person: Person, other: Person) -> float:
    near: float = 7 if other.circle is person.circle else 1
    if other.language:
        near = 25 if other.language is person.language else 0.5
    return near * other.fame


def _draw(rng: Random, count: int, weights: list[float]) -> list[int]:
    """Distinct indexes, drawn by weight."""
    keys = [(rng.random() ** (1 / weight), i) for i, weight in enumerate(weights) if weight > 0]
    return [i for _, i in sorted(keys, reverse=True)[:count]]


class _Talk:
    def __init__(self, fill: Filler, people: list[Person], follows: set[tuple[int, int]], demo: int | None) -> None:
        self._fill = fill
        self._rng = fill.rng
        self._texts = fill.texts
        self._people = people
        self._demo = demo
        self._said: set[str] = set()
        self._followers: list[list[int]] = [[] for _ in people]
        self._friends: list[list[int]] = [[] for _ in people]
        for i, j in sorted(follows):
            self._followers[j].append(i)
            if not people[j].star and j != demo:
                self._friends[i].append(j)

    def posts(self) -> list[Post]:
        roots = [post for i in range(len(self._people)) for post in self._of_person(i)]
        if self._demo is not None:
            roots += self._around_demo(self._demo)
        roots.sort(key=lambda post: post.time)
        posts = list(roots)
        for root in roots:
            posts += self._answers(root)
        return sorted((post for post in posts if post.time < END), key=lambda post: post.time)

    def acts(self, posts: list[Post]) -> list[Act]:
        """Followers like a tweet, and some repost it; so do the followers of those who reposted it."""
        rng = self._rng
        acts = []
        for post in posts:
            audience = [(follower, post.time) for follower in self._followers[post.author]]
            done = {post.author}
            while audience:
                user, time = audience.pop(rng.randrange(len(audience)))
                interest = (0.09 if post.of_circle else 0.05) / (1 + math.log1p(len(self._followers[post.author])) / 2)
                if user in done or rng.random() > interest:
                    continue
                done.add(user)
                time += int(rng.lognormvariate(math.log(40), 1.2) * 60_000) + 2_000
                if time < END:
                    acts.append(Act(user, time, post, is_repost=False))
                    if rng.random() < 0.3 and user != self._demo:
                        acts.append(Act(user, time + 1_000, post, is_repost=True))
                        audience += [(follower, time) for follower in self._followers[user][:40]]
        return sorted(acts, key=lambda act: act.time)

    def _of_person(self, i: int) -> list[Post]:
        person, rng = self._people[i], self._rng
        hours = _AWAKE_AT_NIGHT if person.circle.nocturnal and not person.star else _AWAKE
        posts = []
        for _ in range(int(person.pace * DAYS + rng.random())):
            local = rng.choices(range(24), hours)[0]
            hour = (local - person.hours) % 24
            time = int((rng.randrange(DAYS) * 24 + hour + rng.random()) * HOUR) % END
            texts, words = self._topic(person)
            if text := self._say(i, time, texts, words):
                posts.append(Post(i, time, text, of_circle=texts is person.circle.texts))
        return posts

    def _topic(self, person: Person) -> tuple[Texts, Words]:
        dice = self._rng.random()
        if person.star:
            return person.star.texts, person.star.words
        if person.language and dice < 0.8:
            return person.language.texts, person.language.words
        return (
            (person.circle.texts, person.circle.words) if dice < 0.82 else (self._texts.small_talk, self._texts.words)
        )

    def _answers(self, root: Post) -> list[Post]:
        """A conversation: followers reply, the author replies to some of them, and so on."""
        rng = self._rng
        audience = self._followers[root.author]
        if not audience:
            return []
        count = min(12, int(rng.expovariate(1 / (0.2 + len(audience) / 70))))
        if root.author == self._demo:
            count = rng.randrange(2, 7)
        thread = [root]
        texts: Texts
        for _ in range(count):
            parent = thread[-1] if rng.random() < 0.6 else rng.choice(thread)
            if parent.author != root.author and rng.random() < 0.5 and root.author != self._demo:
                author, texts, words = root.author, self._texts.rejoinders, self._texts.words
            else:
                author = rng.choice(audience)
                texts, words = self._texts.small_answers, self._texts.words
                if root.of_circle and parent is root and rng.random() < 0.7:
                    circle = self._people[root.author].circle
                    texts, words = circle.answers, circle.words
            if author in (parent.author, self._demo):
                continue
            time = parent.time + int(rng.lognormvariate(math.log(11), 1.1) * 60_000) + 4_000
            to = f"@{self._people[parent.author].username} " if rng.random() < 0.8 else ""
            if text := self._say(author, time, texts, words, to):
                thread.append(Post(author, time, text, parent))
        return thread[1:]

    def _around_demo(self, demo: int) -> list[Post]:
        name = self._people[demo].username
        posts = [Post(demo, END - int(hours * HOUR), text) for hours, text in self._texts.demo.tweets]
        for (hours, template), author in zip(self._texts.demo.mentions, self._followers[demo], strict=False):
            time = END - int(hours * HOUR)
            if text := self._say(author, time, (template,), self._texts.words, demo=name):
                posts.append(Post(author, time, text))
        return posts

    def _say(self, i: int, time: int, texts: Texts, words: Words, to: str = "", **given: str) -> str | None:
        """A text that was not used before; None if none is found."""
        rng, person = self._rng, self._people[i]
        friends = [j for j in self._friends[i] if self._people[j].circle is person.circle] or self._friends[i]
        given["friend"] = "@" + self._people[rng.choice(friends)].username if friends else "somebody"
        given["daypart"] = _daypart((time / HOUR + person.hours) % 24)
        for _ in range(12):
            text = to + self._fill(rng.choice(texts), words, given)
            if text in self._said or count_characters(text) > MESSAGE_LIMIT - 3:
                continue
            self._said.add(text)
            if not person.star and rng.random() < 0.05:
                text += " " + rng.choice(self._texts.emoji)
            return text
        return None


def _daypart(hour: float) -> str:
    return "night" if hour < 5 else "morning" if hour < 12 else "afternoon" if hour < 17.5 else "evening"
