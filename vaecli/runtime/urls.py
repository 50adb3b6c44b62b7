"""Names of tables: local paths and URLs, and how a URL is shown without its secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote, unquote

_LOCAL_SCHEMES = ("file://", "local://")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.:-]+://")
# caches and archives before the URL that is read in the end; a path in them with `@`, `?` or `:` could be a password
_CHAIN = re.compile(
    r"(?:[A-Za-z][A-Za-z0-9+.-]*(?:::|://::)|(?:zip|tar|libarchive)://[^@?:]*::)+(?=[A-Za-z0-9+.-]+://)"
)
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+:/{1,2})(.*)", re.DOTALL)  # one slash: a path object joins two
_URL_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://[^\s'\"<>]+")
_SHORTEST_SECRET = 3  # characters; to blot out shorter ones would blot out half of the message


def is_url(text: str) -> bool:
    """Whether `text` names something outside the local file system: `scheme://…`, but not `file://` or `local://`."""
    return bool(_SCHEME.match(text)) and not text.lower().startswith(_LOCAL_SCHEMES)


def is_http(url: str) -> bool:
    """Whether `url` is a web address, in which `?` begins a query."""
    return url.lower().startswith(("http:/", "https:/"))


def without_file_scheme(text: str) -> str:
    """`file:///data/pump.csv` as the local path it names; anything else unchanged."""
    scheme = next((scheme for scheme in _LOCAL_SCHEMES if text.lower().startswith(scheme)), "")
    return text[len(scheme) :]


def end_of_chain(text: str) -> str:
    """What is read in the end: `s3://lake/pump.csv` of `simplecache::s3://lake/pump.csv`."""
    return text[_length_of_chain(text) :]


def in_shell(name: str) -> str:
    """The file of that name as a word of a command that a hint gives; what came on standard input comes there again."""
    from shlex import quote  # messages quote names, and few runs have one

    return "/dev/stdin" if name == "standard input" else quote(name)


def shown(name: str) -> str:
    """A source or target as messages, summaries and pages show it: without user, password and query.

    What may be part of a password is left out as well: everything up to the last `@` after a colon.
    """
    chain, link = name[: _length_of_chain(name)], end_of_chain(name)
    match = _URL.fullmatch(link)
    if not match:
        return name
    scheme, rest = chain + match[1], _without_user(match[2])
    if rest is None:
        return f"{scheme}…"
    path, _, query = rest.partition("?")
    if is_http(link):
        return scheme + path.partition("#")[0]
    # elsewhere than in a web address a question mark without an equals sign is part of a pattern
    return scheme + (path if "=" in query else rest)


def scrubbed(text: str, url: str) -> str:
    """`text`, which others wrote about `url`, without the secrets of the URL."""
    for secret in sorted(_secrets(url), key=len, reverse=True):
        text = text.replace(secret, "…")
    return _URL_IN_TEXT.sub(lambda match: shown(match[0]), text)


def _length_of_chain(text: str) -> int:
    match = _CHAIN.match(text)
    return match.end() if match else 0


def _without_user(rest: str) -> str | None:
    """What follows user and password; None where a `?` before an `@` leaves open what belongs to the password."""
    path, _, query = rest.partition("?")
    host, after_colon = path.partition("/")[0], path.partition(":")[2]
    if "@" in query and ("@" in path or ":" in path):
        return None
    if "@" in after_colon:  # a password may hold `@` and `/`
        return rest[path.rfind("@") + 1 :]
    return rest[host.rfind("@") + 1 :]


def _secrets(url: str) -> Iterator[str]:
    """The parts of a URL that `shown` leaves out, as they stand there and in other spellings."""
    rest = match[2] if (match := _URL.fullmatch(end_of_chain(url))) else ""
    # a password may hold `@` and `?` too: whatever may be user, password or query is kept back
    users = [rest[:i] for i, character in enumerate(rest) if character == "@"]
    queries = [rest[i + 1 :] for i, character in enumerate(rest) if character == "?"]
    fields = [field for query in queries for field in query.split("&")]
    parts = (*users, *(user.partition(":")[2] for user in users), *queries, *fields)
    for part in (*parts, *(field.partition("=")[2] for field in fields)):
        for secret in {part, unquote(part), quote(part, safe="")}:
            if len(secret) >= _SHORTEST_SECRET and secret not in shown(url):
                yield secret
