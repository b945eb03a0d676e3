"""Secrets in the values of settings, replaced by ***."""

import re

MASK = "***"

_SECRET_NAME = re.compile(r"secret|passw|passphrase|token|credential|api_?key|private_?key", re.IGNORECASE)
# Each reaches as far as the most liberal parser reads: hiding too much is better than showing part of a password.
_USER_INFO = re.compile(r"(://[^:/]*:).*@", re.DOTALL)
_PARAMETER = re.compile(
    r"""((?:secret|passw|pwd|passphrase|token|api_?key)\w*["']?\s*[=:]\s*)"""
    r"""("(?:[^"\\]|\\.)*(?:"|$)|'(?:[^'\\]|\\.)*(?:'|$)|[^&\s]+)""",
    re.IGNORECASE | re.DOTALL,
)


def is_secret(name: str) -> bool:
    """Whether a setting of this name, for example `tweeter.cabinet.api_key`, holds nothing but a secret."""
    return _SECRET_NAME.search(name) is not None and not name.endswith("_file")


def mask(text: str) -> str:
    """The text without passwords: in URLs, in their queries, in JSON and in `name=value` lists.

    >>> mask("redis://ada:pa@ss@localhost/0?sentinel_password=x")
    'redis://ada:***@localhost/0?sentinel_password=***'
    """
    return _PARAMETER.sub(rf"\1{MASK}", _USER_INFO.sub(rf"\1{MASK}@", text))
