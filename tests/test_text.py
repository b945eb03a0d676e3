"""What people write: cleaned, counted, and taken apart into links, mentions and hashtags."""

import time
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tweeter import text

# Texts that are likely to meet the rules, beside any text at all.
SCRAPS = [
    "@", "#", "http://", "https://", "@bob", "#tag", "a", "é", "e\u0301", " ", "\n", "\r\n", "\r", "\t", ".", ",", ")",
    "(", "]", "[", "\u202e", "\u2066", "\u200d", "\u200b", "\u2800", "\ufeff", "\x00", "\x85", "\u2028",
    "👩‍👩‍👧‍👦", "🇩🇪",
    "/", ":", "&", "_", "1", "example.org", "”", "…",
]  # fmt: skip
messages = st.one_of(st.text(), st.lists(st.sampled_from(SCRAPS)).map("".join))


def found(message: str, kind: str) -> list[str]:
    return [segment.value for segment in text.segments(message) if segment.kind == kind]


# cleaning


@given(messages)
def test_cleaning_twice_changes_nothing_more(message: str) -> None:
    clean = text.clean_message(message)
    assert text.clean_message(clean) == clean
    line = text.clean_line(message)
    assert text.clean_line(line) == line


@given(messages)
def test_a_clean_message_holds_nothing_that_deceives(message: str) -> None:
    clean = text.clean_message(message)
    assert not set(clean) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029\ufeff")
    assert all(unicodedata.category(character) not in {"Cc", "Cs"} for character in clean.replace("\n", ""))
    assert clean == clean.strip()
    assert "\n\n\n" not in clean
    assert unicodedata.is_normalized("NFC", clean)
    clean.encode()  # a lone surrogate could not be stored


@given(messages)
def test_a_clean_line_is_one_line(message: str) -> None:
    line = text.clean_line(message)
    assert len(line.splitlines()) <= 1
    assert "  " not in line


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("  hello\t", "hello"),
        ("one\r\ntwo\rthree", "one\ntwo\nthree"),
        ("a\n\n \n\n\nb", "a\n\nb"),
        ("a\n\nb", "a\n\nb"),
        ("e\u0301", "é"),
        ("to\x00ny\x07", "tony"),
        ("abc\u202edef\u2066", "abcdef"),
        ("\u200b\u200d \u2800 \u00ad\ufe0f", ""),
        ("\u3164", ""),
        ("", ""),
        ("👩‍👩‍👧‍👦", "👩‍👩‍👧‍👦"),
        ("\u200fשלום", "\u200fשלום"),
    ],
)
def test_what_is_kept_of_a_message(written: str, kept: str) -> None:
    assert text.clean_message(written) == kept


def test_a_name_stands_on_one_line() -> None:
    assert text.clean_line("  Ada\r\n  Lovelace\u2028 ") == "Ada Lovelace"


# counting


@pytest.mark.parametrize(
    "character",
    [
        "a", "é", "e\u0301", "🇩🇪", "👩‍👩‍👧‍👦", "👍🏽", "1️⃣", "한", "\u1112\u1161\u11ab", "நி",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "\r\n",
    ],
)  # fmt: skip
def test_what_a_person_takes_for_one_character_counts_as_one(character: str) -> None:
    assert text.count_characters(character) == 1
    assert text.count_characters(f"x{character}x{character}x") == 5


@given(messages)
def test_there_are_no_more_characters_than_code_points(message: str) -> None:
    assert 0 <= text.count_characters(message) <= len(message)


# taking apart


@given(messages)
def test_segments_join_to_the_message(message: str) -> None:
    segments = list(text.segments(message))
    assert "".join(segment.text for segment in segments) == message
    assert all(segment.text for segment in segments)


@given(messages)
def test_segments_alternate_and_say_what_they_are(message: str) -> None:
    segments = list(text.segments(message))
    for one, other in pairwise(segments):
        assert not one.kind == other.kind == "text"
    for segment in segments:
        assert segment.kind in {"text", "link", "mention", "hashtag"}
        if segment.kind == "link":
            assert segment.text == segment.value
            assert segment.value.lower().startswith(("http://", "https://"))
            assert not set(segment.value) & set("<>\"' \n")
        if segment.kind == "mention":
            assert segment.text == "@" + segment.value
            assert text.USERNAME.fullmatch(segment.value)
        if segment.kind == "hashtag":
            assert segment.text == "#" + segment.value


@given(messages)
def test_mentions_are_those_that_are_shown_as_mentions(message: str) -> None:
    assert text.mentions(message) == {name.lower() for name in found(message, "mention")}
    assert text.hashtags(message) == {name.casefold() for name in found(message, "hashtag")}


@pytest.mark.parametrize(
    ("message", "names"),
    [
        ("@bob hi", ["bob"]),
        ("hi @Bob!", ["Bob"]),
        ("(@bob_2)", ["bob_2"]),
        ("@bob, @alice.", ["bob", "alice"]),
        ("@bob's", ["bob"]),
        (".@bob", ["bob"]),
        ("bob@example.org", []),
        ("first.last@example.org", []),
        ("@bob@example.org", []),
        ("@@bob", []),
        ("@", []),
        ("@ bob", []),
        ("a@bob", []),
        ("@" + "x" * 20, ["x" * 20]),
        ("@" + "x" * 21, []),
        ("@bobé", []),
        ("https://example.org/@bob", []),
        ("日本語 @bob", ["bob"]),
    ],
)
def test_mentions(message: str, names: list[str]) -> None:
    assert found(message, "mention") == names


@pytest.mark.parametrize(
    ("message", "tags"),
    [
        ("#python", ["python"]),
        ("#Python! #web_2.0", ["Python", "web_2"]),
        ("#日本語", ["日本語"]),
        ("#Straße", ["Straße"]),
        ("#2026", []),
        ("#2026a", ["2026a"]),
        ("# heading", []),
        ("##twice", []),
        ("a#b", []),
        ("&#39;", []),
        ("https://example.org/#part", []),
        ("(#python)", ["python"]),
    ],
)
def test_hashtags(message: str, tags: list[str]) -> None:
    assert found(message, "hashtag") == tags


def test_hashtags_are_the_same_whatever_the_case() -> None:
    assert text.hashtags("#Straße #STRASSE #python #Python") == {"strasse", "python"}


@pytest.mark.parametrize(
    ("message", "links"),
    [
        ("https://example.org", ["https://example.org"]),
        ("see HTTP://EXAMPLE.ORG/a now", ["HTTP://EXAMPLE.ORG/a"]),
        ("see https://example.org/a.", ["https://example.org/a"]),
        ("see https://example.org/a...", ["https://example.org/a"]),
        ("really, https://example.org/a?!", ["https://example.org/a"]),
        ("(https://example.org/a)", ["https://example.org/a"]),
        ("(see https://example.org/a).", ["https://example.org/a"]),
        ("https://example.org/a_(b)", ["https://example.org/a_(b)"]),
        ("(https://example.org/a_(b))", ["https://example.org/a_(b)"]),
        ("[https://example.org/a]", ["https://example.org/a"]),
        ("“https://example.org/a”", ["https://example.org/a"]),
        ("<https://example.org/a>", ["https://example.org/a"]),
        ("https://example.org/a?b=c&d=e#f", ["https://example.org/a?b=c&d=e#f"]),
        ("https://example.org:8080/ä/日本", ["https://example.org:8080/ä/日本"]),
        ("https://a.example https://b.example", ["https://a.example", "https://b.example"]),
        ("https://", []),
        ("http://...", []),
        ("javascript:alert(1)", []),
        ("javascript://example.org/%0aalert(1)", []),
        ("data:text/html,x", []),
        ("ftp://example.org", []),
        ("www.example.org", []),
    ],
)
def test_links(message: str, links: list[str]) -> None:
    assert found(message, "link") == links


def test_no_scheme_but_http_is_ever_a_link() -> None:
    for scheme in ("javascript", "JaVaScRiPt", "vbscript", "data", "file", "about", "\tjavascript", "java\nscript"):
        assert found(f"{scheme}:alert(1)//", "link") == []


@pytest.mark.parametrize(
    "scrap",
    [
        "@", "#", "http://", "https://a", "@a", "#a", "#1", "(", ")", "http://a)",
        "\n ", "\n", " ", "\u0301", "👩‍", "🇩", "@a@", "a.", "&#", "1",
    ],
)  # fmt: skip
def test_no_text_takes_long(scrap: str) -> None:
    message = scrap * (100_000 // len(scrap))
    for variant in (message, "http://a" + message, "#" + message):
        began = time.process_time()
        list(text.segments(variant))
        text.mentions(variant)
        text.hashtags(variant)
        text.clean_message(variant)
        text.clean_line(variant)
        text.count_characters(variant)
        assert time.process_time() - began < 2, repr(variant[:20])
