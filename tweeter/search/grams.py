"""Grams: each three successive characters of a folded text, of whatever script, spaces and signs included."""

from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Integer, bindparam

LENGTH = 3  # characters; shorter queries have no grams
_ESCAPED = str.maketrans({sign: f"\\{sign}" for sign in "\\%_"})


def grams_query(words: str) -> str:
    """The query of FTS5 for texts with all grams of the words; empty if they have none.

    It has each third gram and the last one: these contain all characters, and each gram takes time.
    """
    last = len(words) - LENGTH
    grams = {words[n : n + LENGTH] for n in (*range(0, last, LENGTH), last) if n >= 0}
    return " AND ".join('"' + gram.replace('"', '""') + '"' for gram in sorted(grams))


def has(grams: ColumnElement[Any], wanted: ColumnElement[Any]) -> ColumnElement[bool]:
    """The condition of PostgreSQL that an array contains another."""
    return grams.bool_op("@>")(wanted)


def pattern(words: str) -> str:
    """The pattern of LIKE for texts that contain the words; its escape character is the backslash."""
    return f"%{words.translate(_ESCAPED)}%"


def number(name: str) -> BindParameter[int]:
    """A parameter whose value is a part of the statement, so that the planner knows it."""
    return bindparam(name, type_=Integer, literal_execute=True)
