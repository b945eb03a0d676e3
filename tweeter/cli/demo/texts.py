"""The demo's names and texts, which are TOML files of this folder, and the filling of their templates."""

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from random import Random

import msgspec

Texts = tuple[str, ...]
Words = dict[str, Texts]
FILES = ("circles.toml", "languages.toml", "names.toml", "stars.toml", "talk.toml")
_SLOT = re.compile(r"\{(\w+)\}")


class Topic(msgspec.Struct):
    """Texts of some people: templates, and the words to fill them with."""

    texts: Texts
    words: Words


class Circle(Topic, kw_only=True):
    """People with a common interest. `share` is their number relative to the other circles."""

    key: str
    share: int
    bios: Texts
    answers: Texts
    nocturnal: bool = False


class Language(Topic):
    """People (username, display name) who mostly write in another language. `hours` is their UTC offset."""

    people: tuple[tuple[str, str], ...]
    bio: str
    hours: float


class Star(Topic):
    """A famous person. `fame` is a weight of followers, `pace` is tweets a day."""

    username: str
    name: str
    bio: str
    fame: int
    pace: float


class Culture(msgspec.Struct):
    """Names that go together."""

    hours: float
    given: Texts
    family: Texts


class DemoAccount(msgspec.Struct):
    """Tweets of the account to sign in with, and tweets that mention it: hours before the end, and the text."""

    bio: str
    tweets: tuple[tuple[float, str], ...]
    mentions: tuple[tuple[float, str], ...]


class DemoTexts(msgspec.Struct):
    """All files together."""

    circles: tuple[Circle, ...]
    languages: tuple[Language, ...]
    cultures: tuple[Culture, ...]
    stars: tuple[Star, ...]
    small_talk: Texts
    small_answers: Texts
    rejoinders: Texts
    emoji: Texts
    slugs: Texts
    words: Words
    demo: DemoAccount


@cache
def read_texts() -> DemoTexts:
    tables: dict[str, object] = {}
    for name in FILES:
        tables |= tomllib.loads(files(__package__).joinpath(name).read_text(encoding="utf-8"))
    return msgspec.convert(tables, DemoTexts)


class Filler:
    """Fills templates: words in braces are replaced at random, until none is left.

    A slot that occurs twice in a text (`{bread} … {bread}`) gets the same word.
    """

    def __init__(self, rng: Random, texts: DemoTexts) -> None:
        self.rng = rng
        self.texts = texts

    def __call__(self, template: str, words: Words, given: Mapping[str, str] | None = None) -> str:
        drawn = dict(given or {})

        def draw(slot: re.Match[str]) -> str:
            key = slot[1]
            if key not in drawn:
                drawn[key] = self._link() if key == "link" else self.rng.choice(words.get(key) or self.texts.words[key])
            return drawn[key]

        text = template
        while _SLOT.search(text):
            text = _SLOT.sub(draw, text)
        # Some people write in lower case only; a sentence that begins with a slot is capitalized.
        return text[0].upper() + text[1:] if template.startswith("{") else text

    def _link(self) -> str:
        return f"https://example.org/{self.rng.choice(self.texts.slugs)}/{self.rng.randrange(100, 999)}"
