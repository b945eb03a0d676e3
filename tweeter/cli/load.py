"""`tweeter load`: loads users, follows, tweets, reposts and likes from files."""

import argparse
from pathlib import Path

from tweeter.bulk.load import load
from tweeter.console.commands import add_ini, open_site
from tweeter.console.progress import progress
from tweeter.services.checks import check_password

DESCRIPTION = """
Loads users, follows, tweets, reposts and likes from files, plain or gzipped. Loading is idempotent: existing
rows are not changed, and the same command completes an interrupted load. Bad lines are skipped and reported;
the exit code is 1 if every line of a file is bad. With --user, the files are what one user brings from
Twitter or Mastodon.
"""

FORMATS = """
follows: one `follower followee` per line; a # starts a comment.
tweets: one JSON object per line, {"user": …, "date": …, "message": …, "id": …, "parent": …}.
The date is seconds since 1970, or ISO 8601 (UTC if it has no offset), from 2006 to tomorrow. id and parent
are optional: a reply names the id of its parent, which may be in another file, loaded before or after.
Tweets of the same millisecond are ordered by id if ids are numbers, else by line; replies come after their parents.
A name of digits is prefixed with `u`.
A message may have ten times the characters and code points of the site's limit for posts.
reposts and likes are lines of the same file, {"user": …, "date": …, "repost": …} and {"user": …, "date": …, "like": …},
with the id of a tweet of this file or of an earlier one. A repost of a repost counts as one of its tweet. Skipped
and reported are those of unknown tweets, those dated before their tweet, those between users of whom one blocks
the other, and those of tweets of suspended users (load the file again after the suspension).
twitter-archive: tweets.js, or tweet.js of older archives; a large archive has several, loaded one after the other.
Links replace Twitter's short ones. Retweets become tweets with their text, RT @name: …, because the archive
lacks the ids of the originals. In messages about bad lines, the number is that of the tweet.
mastodon-follows: following_accounts.csv. An account name@server is the user called name here, whatever the
server; accounts without such a user are reported, and nobody is added.
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    parser = subparsers.add_parser(
        "load",
        help="load people, follows and tweets from files",
        description=DESCRIPTION,
        epilog=FORMATS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_ini(parser)
    parser.add_argument("--follows", metavar="FILE", type=_file, help="follows; - is stdin")
    parser.add_argument("--tweets", metavar="FILE", type=_file, help="tweets, reposts, likes as JSON lines; - is stdin")
    parser.add_argument("--user", metavar="NAME", help="the user whose files the next two are")
    parser.add_argument("--twitter-archive", metavar="FILE", type=_file, help="the tweets.js of a Twitter archive")
    parser.add_argument("--mastodon-follows", metavar="FILE", type=_file, help="a following_accounts.csv of Mastodon")
    parser.add_argument("--password", metavar="P", help="the password of all new users; without it they cannot sign in")
    parser.add_argument(
        "--strict",
        action="store_true",
        help="load nothing if any line is bad: all files are checked before anything is written",
    )
    parser.set_defaults(usage_error=parser.error)
    return parser


def run(args: argparse.Namespace) -> int:
    own, brought = (args.follows, args.tweets), (args.mastodon_follows, args.twitter_archive)
    if not any(own) and not any(brought):
        args.usage_error("give at least one of --follows, --tweets, --twitter-archive and --mastodon-follows")
    if any(own) and any(brought):
        args.usage_error("load --follows and --tweets by a command of their own")
    if any(brought) == (args.user is None):
        args.usage_error("--user goes with --twitter-archive and --mastodon-follows")
    if args.password is not None:
        check_password(args.password)
    with open_site(args.ini) as site, progress() as bar:
        password_hash = "" if args.password is None else site.passwords.hash(args.password)
        lines = load(site, bar, *(brought if args.user else own), password_hash, args.strict, args.user)
    print("\n".join(lines))
    return 0


def _file(name: str) -> Path:
    return Path("/dev/stdin" if name == "-" else name)
