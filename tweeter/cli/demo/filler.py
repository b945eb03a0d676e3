"""Renders templates: words in braces are replaced at random, until none is left."""

import re
from collections.abc import Mapping
from random import Random

from tweeter.cli.demo.talk import WORDS

_SLOT = re.compile(r"\{(\w+)\}")
_SLUGS = (
    "on-patience", "notes", "field-notes", "how-it-went", "the-long-version", "gallery", "a-small-guide", "lessons",
    "before-and-after", "recipe", "postcards", "logbook", "part-two", "found-things",
)  # fmt: skip


class Filler:
    """Fills templates. A slot that occurs twice in a text (`{bread} … {bread}`) gets the same word."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng

    def __call__(self, template: str, words: Mapping[str, tuple[str, ...]], **given: str) -> str:
        drawn = dict(given)

        def draw(slot: re.Match[str]) -> str:
            key = slot[1]
            if key not in drawn:
                drawn[key] = self._link() if key == "link" else self._rng.choice(words.get(key) or WORDS[key])
            return drawn[key]

        text = template
        while _SLOT.search(text):
            text = _SLOT.sub(draw, text)
        # Some people write in lower case only; a sentence that begins with a slot is capitalized.
        return text[0].upper() + text[1:] if template.startswith("{") else text

    def _link(self) -> str:
        return f"https://example.org/{self._rng.choice(_SLUGS)}/{self._rng.randrange(100, 999)}"
