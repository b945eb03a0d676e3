"""User texts: cleaned, counted, and parsed into links, mentions and hashtags."""

import time
import unicodedata
from itertools import pairwise

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from tweeter import text

# Texts that are likely to trigger the rules, besides arbitrary text.
SCRAPS = [
    "@", "#", "http://", "https://", "@bob", "#tag", "a", "é", "e\u0301", " ", "\n", "\r\n", "\r", "\t", ".", ",", ")",
    "(", "]", "[", "\u202e", "\u2066", "\u200d", "\u200b", "\u2800", "\ufeff", "\x00", "\x85", "\u2028",
    "👩‍👩‍👧‍👦", "🇩🇪",
    "/", ":", "&", "_", "1", "example.org", "”", "…", "＠", "＃", "元", "ん", "。", "、", "（", "）", "؟", "।", "'",
    "’", "*", "~", "~~", "·", "・", "\ufe0f", "\u20e3", "\u200c", "\ufffc", "\U0001d159", "\u3164", "שלום", "می", "Я",
    "ß", "Σ", "ς", "ﷺ",
]  # fmt: skip
messages = st.one_of(st.text(), st.lists(st.sampled_from(SCRAPS)).map("".join))


def found(message: str, kind: str) -> list[str]:
    return [segment.value for segment in text.segments(message) if segment.kind == kind]


# cleaning


@given(messages)
def test_cleaning_is_idempotent(message: str) -> None:
    clean = text.clean_message(message)
    assert text.clean_message(clean) == clean
    line = text.clean_line(message)
    assert text.clean_line(line) == line


@given(messages)
def test_clean_message_has_no_deceptive_characters(message: str) -> None:
    clean = text.clean_message(message)
    assert not set(clean) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029\ufeff")
    assert all(unicodedata.category(character) not in {"Cc", "Cs"} for character in clean.replace("\n", ""))
    assert clean == clean.strip()
    lines = clean.split("\n")
    blank = [nothing_is_seen(line) for line in lines]
    assert not any(one and other for one, other in pairwise(blank))
    assert all(line == "" for line, nothing in zip(lines, blank, strict=True) if nothing)
    assert clean == "" or not (blank[0] or blank[-1])
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
        ("\u0301", ""),
        ("\U0001d159", ""),
        ("\U00013441\U00013442", ""),
        ("\ufffc \u115f\u1160\uffa0", ""),
        ("\ufe0f\u20e3", ""),
        ("\n".join("\u200b" * 60), ""),
        ("a" + "\n\u200b" * 60 + "\nb", "a\n\nb"),
        ("\u2800\n\u3164\n\u0301\na\n\ufffc\nb\n\u200d\n\U0001d159", "a\n\nb"),
        ("", ""),
        ("👩‍👩‍👧‍👦", "👩‍👩‍👧‍👦"),
        ("\u200fשלום", "\u200fשלום"),
    ],
)
def test_message_cleaning(written: str, kept: str) -> None:
    assert text.clean_message(written) == kept


def test_names_are_one_line() -> None:
    assert text.clean_line("  Ada\r\n  Lovelace\u2028 ") == "Ada Lovelace"


INVISIBLE = regex.compile(
    r"[\s\p{Default_Ignorable_Code_Point}\p{Cc}\p{Cf}\p{M}\u2800\ufffc\U0001d159\U00013441\U00013442]*", regex.V1
)


def nothing_is_seen(line: str) -> bool:
    return bool(INVISIBLE.fullmatch(line))


# counting


@pytest.mark.parametrize(
    "character",
    [
        "a", "é", "e\u0301", "🇩🇪", "👩‍👩‍👧‍👦", "👍🏽", "1️⃣", "한", "\u1112\u1161\u11ab", "நி",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "\r\n",
    ],
)  # fmt: skip
def test_grapheme_clusters_count_as_one_character(character: str) -> None:
    assert text.count_characters(character) == 1
    assert text.count_characters(f"x{character}x{character}x") == 5


@given(messages)
def test_characters_are_at_most_code_points(message: str) -> None:
    assert 0 <= text.count_characters(message) <= len(message)


@pytest.mark.parametrize(
    ("words", "length"),
    [
        ("", 0), ("abc", 3), ("👩‍👩‍👧‍👦" * 140, 140), ("e\u0301" * 140, 140),
        ("🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f" * 9, 9),
        ("e" + "\u0301" * 7, 1), ("e" + "\u0301" * 8, 2), ("e" + "\u0301" * 79, 10),
    ],
)  # fmt: skip
def test_character_of_many_code_points_counts_as_several(words: str, length: int) -> None:
    assert text.length(words) == length


@pytest.mark.parametrize(
    ("words", "direction"),
    [("abc", "ltr"), ("1 שלום abc", "rtl"), ("سلام", "rtl"), ("元気", "ltr"), ("😀 12 !", ""), ("", ""), ("12", ""),
     ("\u200f1", "rtl")],
)  # fmt: skip
def test_the_first_letter_decides_the_direction(words: str, direction: str) -> None:
    assert text.direction(words) == direction


# taking apart


@given(messages)
def test_segments_join_to_the_message(message: str) -> None:
    segments = list(text.segments(message))
    assert "".join(segment.text for segment in segments) == message
    assert all(segment.text for segment in segments)


@given(messages)
def test_segments_alternate_and_have_a_kind(message: str) -> None:
    segments = list(text.segments(message))
    for one, other in pairwise(segments):
        assert not one.kind == other.kind == "text"
    for segment in segments:
        assert segment.kind in {"text", "link", "mention", "hashtag"}
        if segment.kind == "link":
            assert segment.text == segment.value
            assert segment.value.lower().startswith(("http://", "https://"))
            assert not set(segment.value) & set('<>" \n\u200b。、（）؟।＠＃')
            assert segment.value[-1] not in ".,;:!?'’*…"
        if segment.kind == "mention":
            assert segment.text[0] in "@＠"
            assert segment.text[1:] == segment.value
            assert text.USERNAME.fullmatch(segment.value)
        if segment.kind == "hashtag":
            assert segment.text[0] in "#＃"
            assert segment.text[1:] == segment.value
            assert segment.value[0].isalnum() or segment.value[0] == "_"
            assert len(text.fold(segment.value)) <= text.LONGEST_HASHTAG


@given(messages)
def test_entities_match_the_shown_segments(message: str) -> None:
    mentions, hashtags = text.entities(message)
    assert mentions == {name.lower() for name in found(message, "mention")}
    assert hashtags == {text.fold(name) for name in found(message, "hashtag")}


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
        ("＠bob", ["bob"]),
        ("﹫bob", ["bob"]),
        ("a＠bob", []),
        ("@bob＠example.org", []),
        ("@bob@", []),
        ("@1\ufe0f\u20e3", []),
        ("@bob\u0301", []),
        ("x\u0302@bob", []),
        ("❤️@bob❤️", ["bob"]),
        ("@bobｗｗｗ", ["bob"]),
        ("用户@example.com", []),
        ("و@bob", ["bob"]),
        ("@annさん、@bobさん", ["ann", "bob"]),
        ("https://example.org/a。@bob", ["bob"]),
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
        ("＃テスト", ["テスト"]),
        ("﹟a", ["a"]),
        ("#می‌خواهم", ["می‌خواهم"]),
        ("#क्‍ष है", ["क्‍ष"]),
        ("#a\u200d\u200c #\u200ca", ["a"]),
        ("#\ufe0f\u20e3 #\u20e3 #1\ufe0f\u20e3 #\ufe0f\u20e3a #\u0301a", []),
        ("#a1\ufe0f\u20e3", ["a"]),
        ("1\ufe0f\u20e3#a ❤️#b", ["a", "b"]),
        ("#col·legi #ドラゴン・ボール #צה״ל", ["col·legi", "ドラゴン・ボール", "צה״ל"]),
        ("#テスト・ #a·", ["テスト", "a"]),
        ("#葛\U000e0100城", ["葛\U000e0100城"]),
        ("#" + "x" * 100, ["x" * 100]),
        ("#" + "x" * 101, []),
        ("#" + "ﷺ" * 6, []),  # 18 letters each
    ],
)
def test_hashtags(message: str, tags: list[str]) -> None:
    assert found(message, "hashtag") == tags


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("#Straße", "#STRASSE"), ("#python", "#Python"), ("#Привет", "#привет"), ("#οδος", "#ΟΔΟΣ"),
        ("#οδός", "#ΟΔΌΣ"),
        ("#テスト", "＃ﾃｽﾄ"), ("#ＡＢＣ", "#abc"), ("#می‌خواهم", "#میخواهم"), ("#Հայ", "#հայ"),
        ("#Ⴀბ", "#ⴀბ"), ("#ŉa", "#ʼNA"),
    ],
)  # fmt: skip
def test_hashtags_ignore_case_and_width(one: str, other: str) -> None:
    assert text.entities(f"{one} {other}").hashtags == {text.fold(one)[1:]}
    assert text.entities(one) == text.entities(other) != text.entities("")
    assert text.hashtag(one[1:]) == text.hashtag(other[1:]) != ""


@pytest.mark.parametrize("name", ["", "foo bar", "foo#bar", "#foo", "foo-bar", "123", "a/b", "a\x00b c", "x" * 101])
def test_a_name_that_is_not_one_hashtag_has_none(name: str) -> None:
    assert text.hashtag(name) == ""


@given(st.text())
def test_folding_is_idempotent(words: str) -> None:
    assert text.fold(text.fold(words)) == text.fold(words)


# ı has no small form of its own capital; the three have a capital of two letters that is written in another order.
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="ıᾷῇῷ")))
def test_case_makes_no_difference(words: str) -> None:
    assert text.fold(words.upper()) == text.fold(words.lower()) == text.fold(words)


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
        ("https://例え.jp/パス", ["https://例え.jp/パス"]),
        ("https://[::1]:8080/a", ["https://[::1]:8080/a"]),
        ("https://example.org/Rubik's_Cube", ["https://example.org/Rubik's_Cube"]),
        ("https://example.org/L’Île", ["https://example.org/L’Île"]),
        ("https://example.org's", ["https://example.org"]),
        ("https://web.archive.org/web/*/example.org", ["https://web.archive.org/web/*/example.org"]),
        ("https://example.org/ドラゴン・ボール・", ["https://example.org/ドラゴン・ボール"]),
        ("https://example.org/می‌خواهم\u200c", ["https://example.org/می‌خواهم"]),
        ("https://example.org/a_[b](c(d))", ["https://example.org/a_[b](c(d))"]),
        ("https://example.org/a)(b)", ["https://example.org/a"]),
        ("(https://example.org/a)です", ["https://example.org/a"]),
        ("https://example.org/a（説明）", ["https://example.org/a"]),
        ("https://example.org/a—and", ["https://example.org/a"]),
        ("https://example.org/a–b", ["https://example.org/a–b"]),
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


# Text around a link: before it, and directly after it, with more text behind.
OPENING = ["", "**", "__", "~~", *"([（「『【〈《［｛＜“‘«‹„'\"`*_<、元\u200b"]
CLOSING = [
    "",
    *')]）」』】〉》］｝＞”»›“"`>。，、？！：；．｡､…؟،؛۔।॥։።፣፧၊။។༎᠃—',
    *"\u200b\u2060\u00ad\u200e\u200f\u2800\u3000\ufffc\u3164\n",
]
ADDRESSES = ["https://example.org", "https://example.org/a", "http://例え.jp/パス?x=y#z", "https://example.org/Foo_(bar)",
             "https://example.org/Rubik's_Cube"]  # fmt: skip


@pytest.mark.parametrize("link", ADDRESSES)
@given(st.sampled_from(OPENING), st.sampled_from(CLOSING), st.sampled_from(["", "次の文", "a", "שלום", ".", "@"]))
def test_a_link_ends_before_the_marks_of_any_script(link: str, before: str, after: str, more: str) -> None:
    if after or more in ("", "."):
        assert found(f"{before}{link}{after}{more}", "link") == [link]


@pytest.mark.parametrize("mark", ["'", "*", "**", "_", "__", "~~", "`", '"'])
@pytest.mark.parametrize("link", ADDRESSES)
@pytest.mark.parametrize("after", ["", ".", "。", ")", " more", ", and", "です"])
def test_quotes_and_emphasis_around_a_link_are_excluded(mark: str, link: str, after: str) -> None:
    if after != "です" or mark[0] not in "_~":  # may be part of an address
        assert found(mark + link + mark + after, "link") == [link]


# Letters of other scripts, whose words can't continue a name.
LETTERS = st.characters(categories=["Lo"], exclude_characters="ªº")


@given(LETTERS, LETTERS)
def test_letters_of_other_scripts_may_touch_a_mention(before: str, after: str) -> None:
    before, after = unicodedata.normalize("NFC", before), unicodedata.normalize("NFC", after)
    if not regex.search(r"\p{Latin}", before + after):
        assert text.entities(f"{before}@ann{after}＠bob").mentions == {"ann", "bob"}


@given(st.characters(categories=["Lu", "Ll", "Lo", "Nd"]), st.sampled_from(["", "\u0301", "\u0302"]))
def test_a_latin_letter_may_not_touch_a_mention(letter: str, mark: str) -> None:
    if regex.fullmatch(r"[\p{Latin}0-9]", letter) and unicodedata.east_asian_width(letter) != "F":
        assert text.entities(f"{letter}{mark}@ann").mentions == set()
        assert "ann" not in text.entities(f"@ann{letter}{mark}").mentions


@given(
    st.text(st.characters(categories=["Lo", "Ll", "Mn", "Mc"], exclude_characters="\u20e3"), min_size=1, max_size=20)
)
def test_a_hashtag_of_any_script_is_whole(word: str) -> None:
    word = unicodedata.normalize("NFC", "a" + word)
    if not regex.search("[\ufe00-\ufe0f]", word):
        assert found(f"#{word}", "hashtag") == [word]
        for joiner in ("\u200c", "\u200d"):
            assert found(f"＃{word}{joiner}{word}。", "hashtag") == [f"{word}{joiner}{word}"]


def test_no_scheme_but_http_is_ever_a_link() -> None:
    for scheme in ("javascript", "JaVaScRiPt", "vbscript", "data", "file", "about", "\tjavascript", "java\nscript"):
        assert found(f"{scheme}:alert(1)//", "link") == []


@pytest.mark.parametrize(
    "scrap",
    [
        "@", "#", "http://", "https://a", "@a", "#a", "#1", "(", ")", "http://a)",
        "\n ", "\n", " ", "\u0301", "👩‍", "🇩", "@a@", "a.", "&#", "1", "http://a(", "http://a/(", "http://a/(()", "http://a/[(",
        "*http://a/*", "'http://a/b'", "_http://a/_", "http://a。", "·", "#a·", "\u200c", "\n\u200b", "ﷺ",
        "#ﷺ", "元@a.b", "#1\ufe0f\u20e3",
    ],
)  # fmt: skip
def test_long_texts_are_parsed_in_linear_time(scrap: str) -> None:
    """They take a tenth of a second. In quadratic time they would take minutes."""
    message = scrap * (100_000 // len(scrap))
    for variant in (message, "http://a" + message, "#" + message):
        began = time.thread_time()
        list(text.segments(variant))
        text.entities(variant)
        text.fold(variant)
        text.direction(variant)
        text.clean_message(variant)
        text.clean_line(variant)
        text.count_characters(variant)
        assert time.thread_time() - began < 20, repr(variant[:20])
