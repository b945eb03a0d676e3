"""The demo's people: their names, usernames and habits."""

import unicodedata
from random import Random
from typing import NamedTuple

from tweeter.cli.demo.texts import Circle, Filler, Language, Star

PEOPLE = 300


class Person(NamedTuple):
    """A person without an id. `fame` is a weight of followers, `pace` is tweets a day, `hours` is the UTC offset."""

    username: str
    display_name: str
    bio: str
    hours: float
    pace: float
    fame: float
    circle: Circle
    language: Language | None = None
    star: Star | None = None


_BY_HAND = str.maketrans({"ł": "l", "ø": "o", "ð": "d", "þ": "th", "ı": "i", "ß": "ss", "đ": "d", "'": "", "’": ""})


def make_people(fill: Filler, taken: set[str]) -> list[Person]:
    """The stars, people who write in other languages, and all others. No username (in lower case) is in `taken`."""
    rng, texts = fill.rng, fill.texts
    people: list[Person] = []
    used = set(taken)

    def add(person: Person) -> None:
        username = free_name(person.username, used)
        used.add(username.lower())
        people.append(person._replace(username=username))

    circles = [circle for circle in texts.circles for _ in range(circle.share)]
    for star in texts.stars:
        add(Person(star.username, star.name, star.bio, 1, star.pace, star.fame, rng.choice(circles), star=star))
    for language in texts.languages:
        for username, name in language.people:
            pace, fame = rng.uniform(0.8, 2.2), 3 + 25 * rng.random()
            add(Person(username, name, language.bio, language.hours, pace, fame, rng.choice(circles), language))
    couples = [(given, family, c.hours) for c in texts.cultures for given in c.given for family in c.family]
    rng.shuffle(couples)
    dealt = circles * (PEOPLE // len(circles) + 1)
    rng.shuffle(dealt)
    for (given, family, hours), circle in zip(couples, dealt[: PEOPLE - len(people)], strict=False):
        bio = fill(rng.choice(circle.bios), circle.words) if rng.random() < 0.85 else ""
        name = f"{given} {family}" if rng.random() < 0.8 else given
        # Popularity and activity both have long tails: a few chatty and famous people, many who mostly read.
        pace = min(14.0, 0.55 * rng.paretovariate(1.15)) if rng.random() < 0.86 else 0.0
        fame = rng.paretovariate(0.9)
        add(Person(_username(rng, given, family, circle), name, bio, hours, pace, min(fame, 90), circle))
    return people


def free_name(username: str, used: set[str]) -> str:
    """The username, with a number appended if it is taken."""
    name, number = username, 1
    while name.lower() in used:
        number += 1
        name = f"{username[: 19 - len(str(number))]}_{number}"
    return name


def _username(rng: Random, given: str, family: str, circle: Circle) -> str:
    given, family = _ascii(given), _ascii(family)
    shape = rng.randrange(6)
    name = (
        f"{given}_{family}",
        f"{given}{family[0]}",
        f"{given}_{circle.key}",
        f"{given[0]}{family}",
        f"{given}{rng.randrange(70, 99)}",
        f"{family}_{circle.key}",
    )[shape]
    return name[:20]


def _ascii(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name.lower().translate(_BY_HAND))
    return "".join(letter for letter in plain if letter.isascii() and letter.isalnum())
