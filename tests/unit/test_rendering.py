"""Tweets as HTML: rendered once for all readers, and again after any change."""

import os
import re
import shutil
import time
from pathlib import Path

import msgspec
import pytest
from jinja2 import FileSystemLoader

from tweeter.values import Page, Repost, TweetView
from tweeter.web import rendering

TWEET = TweetView(4096, 1, "wren", "Wren", "hello @robin", 1_700_000_000_000)


@pytest.fixture
def template(monkeypatch, tmp_path):
    """A modifiable copy of the tweet's template."""
    path = shutil.copy(str(rendering._templates.get_template("tweet_article.jinja2").filename), tmp_path)
    monkeypatch.setattr(rendering._templates, "loader", FileSystemLoader(tmp_path))
    rendering._tweet_template.cache_clear()
    rendering._article.cache_clear()
    yield Path(path)
    rendering._tweet_template.cache_clear()
    rendering._article.cache_clear()


def test_a_tweet_is_rendered_once_for_all_readers():
    before = rendering._article.cache_info()
    first = rendering.tweets_html([TWEET])
    assert rendering.tweets_html([TWEET]) == first
    after = rendering._article.cache_info()
    assert after.misses - before.misses <= 1 <= after.hits - before.hits


@pytest.mark.parametrize(("replies", "shown"), [(1, "1 reply"), (12, "12 replies")])
def test_another_reply_changes_the_number_and_renders_nothing_again(replies, shown):
    none = rendering.tweets_html([TWEET])
    before = rendering._article.cache_info().misses
    more = rendering.tweets_html([msgspec.structs.replace(TWEET, replies=replies)])
    assert rendering._article.cache_info().misses == before
    assert "replies" not in none
    text = re.sub("<[^>]+>", "", more)
    assert f"Reply to @wren {shown}" in text


@pytest.mark.parametrize(
    ("repost", "shown"),
    [
        (Repost(1, 2, "ann", "Ann <b>"), "Ann &lt;b&gt; reposted"),
        (Repost(1, 2, "ann", "Ann", 1), "Ann and 1 other you follow reposted"),
        (Repost(1, 2, "ann", "Ann", 3), "Ann and 3 others you follow reposted"),
        (Repost(1, 9, "me", "Me"), "You reposted"),
        (Repost(1, 9, "me", "Me", 1), "You and 1 person you follow reposted"),
        (Repost(1, 9, "me", "Me", 3), "You and 3 people you follow reposted"),
    ],
)
def test_the_line_that_tells_who_reposted(repost, shown):
    html = rendering.tweets_html([TWEET], Page((), None, {TWEET.id: repost}), 9, among="you follow")
    assert re.sub("<[^>]+>", "", html.partition('<p class="reason">')[2].partition("</p>")[0]) == shown


def test_what_the_viewer_did_and_counts_render_nothing_again():
    rendering.tweets_html([TWEET])
    before = rendering._article.cache_info().misses
    liked = msgspec.structs.replace(TWEET, likes=2, reposts=1)
    for marks, names in (
        (Page((), None), ("Repost", "Like")),
        (Page((), None, liked=frozenset([TWEET.id])), ("Repost", "Unlike")),
        (Page((), None, reposted=frozenset([TWEET.id])), ("Undo repost", "Like")),
    ):
        html = rendering.tweets_html([liked], marks, 9, "/a%20b")
        assert re.findall('"sr">([A-Z][^<]+)</span><span class="n">(.)</span><span class="sr"> (\\w+)<', html) == [
            (names[0], "1", "repost"),
            (names[1], "2", "likes"),
        ]
        assert f'formaction="/a%20b/tweets/{TWEET.id}/' in html
    rendering.tweets_html([liked], mount="/a%20b")
    assert rendering._article.cache_info().misses - before <= 1  # of the other path


def test_new_name_and_deleted_parent_show_at_once():
    assert "Wren" in rendering.tweets_html([TWEET])
    renamed = msgspec.structs.replace(TWEET, display_name="Jenny")
    assert "Jenny" in rendering.tweets_html([renamed])
    assert "Wren" not in rendering.tweets_html([renamed])
    answer = msgspec.structs.replace(TWEET, parent_id=1, parent_username="finch")
    assert "@finch" in rendering.tweets_html([answer])
    assert "a deleted tweet" in rendering.tweets_html([msgspec.structs.replace(answer, parent_username=None)])


def test_changed_template_takes_effect_at_once(template):
    before = rendering.tweets_html([TWEET])
    template.write_text(template.read_text().replace("Reply", "Answer"))
    os.utime(template, (1, 1))
    time.sleep(rendering.BLINK)
    after = rendering.tweets_html([TWEET])
    assert "Answer" in after
    assert "Answer" not in before
