"""The demo's people: characters, names and time zones."""

import unicodedata
from random import Random
from typing import NamedTuple

from tweeter.cli.demo.circles import CIRCLES, Circle
from tweeter.cli.demo.filler import Filler
from tweeter.cli.demo.talk import LANGUAGES, STARS, Language, Star

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


# Given names, family names, hours from UTC.
CULTURES: tuple[tuple[str, str, float], ...] = (
    ("Agnieszka Łukasz Zofia Paweł Kasia", "Wójcik Nowak Zieliński Dąbrowska Mazur", 1),
    ("Björn Astrid Søren Freja Þóra Linnea", "Lindgren Østergaard Hauge Björnsdóttir Nyström", 1),
    ("Siobhán Cormac Niamh Rhys Morag Ewan", "Byrne Ó'Neill Pritchard MacLeod Kavanagh", 0),
    ("Chidi Adaeze Folake Tunde Ngozi Emeka", "Okafor Adeyemi Eze Balogun Nwosu", 1),
    ("Kwame Ama Wanjiru Otieno Akinyi Kofi", "Mensah Kamau Odhiambo Boateng Njoroge", 2),
    ("Selam Dawit Hiwot Abebe", "Tesfaye Bekele Haile Alemu", 3),
    ("Priya Arjun Kavya Sanjay Meera Farhan", "Nair Iyer Banerjee Kulkarni Qureshi Das", 5.5),
    ("Linh Minh Thảo Quang", "Nguyễn Trần Phạm Lê", 7),
    ("Putri Bayu Sari Dewi Rizal", "Santoso Wijaya Hartono Lestari", 7),
    ("Maricel Jun Althea Paolo", "Santos Reyes Bautista Dizon", 8),
    ("Giulia Matteo Chiara Enzo Fiorella", "Ricci Moretti Galli Esposito", 1),
    ("Inès Théo Maëlle Gaspard Aïcha", "Lefèvre Girard Morel Diallo", 1),
    ("Zeynep Emre Deniz Çağla", "Yıldız Demir Öztürk Şahin", 3),
    ("Aroha Tāne Mere Wiremu", "Ngata Parata Tamihana Walker", 12),
    ("Ruth Marcus Imani Walter June Desmond", "Ellison Whitfield Greer Baptiste Holloway", -5),
    ("Marisol Joaquín Itzel Rafael Xochitl", "Herrera Castillo Domínguez Vargas", -6),
    ("Beatriz Thiago Luana Caetano", "Almeida Barros Figueiredo Prado", -3),
    ("Ilse Joost Femke Daan", "de Vries Bakker van Dijk Smit", 1),
    ("Ioana Mircea Zsófia Bence", "Popescu Ionescu Szabó Horváth", 2),
    ("Kalinda Nizhoni Ahanu Leilani", "Begay Kealoha Littlefeather Yazzie", -7),
)
_BY_HAND = str.maketrans({"ł": "l", "ø": "o", "ð": "d", "þ": "th", "ı": "i", "ß": "ss", "đ": "d", "'": "", "’": ""})


def make_people(rng: Random, fill: Filler, taken: set[str]) -> list[Person]:
    """The stars, people who write in other languages, and all others. No username (in lower case) is in `taken`."""
    people: list[Person] = []
    used = set(taken)

    def add(person: Person) -> None:
        username = free_name(person.username, used)
        used.add(username.lower())
        people.append(person._replace(username=username))

    circles = [circle for circle in CIRCLES for _ in range(circle.share)]
    for star in STARS:
        add(Person(star.username, star.name, star.bio, 1, star.pace, star.fame, rng.choice(circles), star=star))
    for language in LANGUAGES:
        for username, name in language.names:
            pace, fame = rng.uniform(0.8, 2.2), 3 + 25 * rng.random()
            add(Person(username, name, language.bio, language.hours, pace, fame, rng.choice(circles), language))
    couples = _couples()
    rng.shuffle(couples)
    for (given, family, hours), circle in zip(couples, _deal(rng, circles), strict=False):
        if len(people) == PEOPLE:
            break
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


def _couples() -> list[tuple[str, str, float]]:
    return [
        (given, family, hours)
        for givens, families, hours in CULTURES
        for given in givens.split()
        for family in _families(families)
    ]


def _families(families: str) -> list[str]:
    """Words, with "de" and "van" joined to their name."""
    return families.replace("de ", "de~").replace("van ", "van~").replace("~", "\u00a0").split(" ")


def _deal(rng: Random, circles: list[Circle]) -> list[Circle]:
    dealt = circles * (PEOPLE // len(circles) + 1)
    rng.shuffle(dealt)
    return dealt


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
