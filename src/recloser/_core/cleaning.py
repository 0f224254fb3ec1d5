"""Cleans texts that others wrote, so that they can be shown: no secrets, one line, a bounded length.

Messages of exceptions quote what a call was about. What is left out, each time with `...` in its place:

- of a URL all but its scheme, its host and its port; of anything else the query string, and words with an `@`;
- the value of a header or setting whose name says that it is a secret, and the credentials of an `Authorization`;
- words that look like a key: those with a well-known prefix, and long ones that mix letters and digits;
- a statement and all that follows it: statements are followed by their values;
- literals of bytes, which a peer has sent, and all that follows them;
- numbers that are as long as those of a card or a telephone.

What it can't recognise, such as a name in a sentence, stays.
"""

from __future__ import annotations

import re
from functools import cache

LONGEST_TEXT = 200
"""The longest cleaned text, in characters."""
LONGEST_READ = 1000
"""How much of a text is looked at, in characters."""
GONE = "..."

_STATEMENT = r"""(?xs)
    \[(?:SQL|parameters?|params)\b.*
    | \b(?:DETAIL|CONTEXT|STATEMENT|QUERY):.*
    | \bFailing\ row\ contains\b.*
    | \b(?:SELECT|COPY|CALL|EXEC|EXECUTE)\s.*
    | \b(?i:select\s[^;]{0,400}?\sfrom\s | insert\s+(?:or\s+\w+\s+)?into\s | replace\s+into\s | delete\s+from\s
        | merge\s+into\s | update\s+\S{1,100}\s+(?:as\s+\w+\s+)?set\s | with\s+\S{1,100}\s+as\s*\( | values\s*\().*
    """
_BYTES = r"(?s)(?:bytearray\(|memoryview\()?\bb\\*['\"].*"
_CREDENTIALS = r"(?i)\b((?:proxy-)?authori[sz]ation|(?:set-)?cookie)([\\'\"]*\s*[:=,]\s*)[^\r\n]*"
_SCHEME_OF_AUTHORIZATION = r"(?i)\b(bearer|basic|digest|negotiate|apikey|token)(\s+)[^\s'\",;]{6,}"
_SETTING = r"""(?xi)
    (passw(?:or)?d | passphrase | pwd | secret | token | credential | signature | session
        | (?<![a-z])(?:key | sig | auth) | api_?key )
    ([\w.-]{0,40}[\\'"]*\s*(?:=>|[:=])[^\S\r\n]*)
    (?:(?:bearer|basic|digest|negotiate|apikey|token)\s+)?
    \\*(?:'(?:[^'\\\r\n]|\\.)*'? | "(?:[^"\\\r\n]|\\.)*"? | [^\s,;&'"]+)
    """
_ADDRESS = r"[^\s'\"<>()\[\]{},;]*@[^\s'\"<>()\[\]{},;]+"
_QUERY = r"[?#][^\s'\"<>?#]*=[^\s'\"<>]*"
_KNOWN_KEY = (
    r"\b(?:(?:sk|pk|rk|gh[opusr]|glpat|xox[a-z]|hf|whsec|shpat)[_-]|github_pat_|AKIA|ASIA|AIza|ya29\.|eyJ)[\w.-]{6,}"
)
_LONG_NUMBER = r"(?<![\w.])\+?(?:\d{9,}|\d{4}([ -])\d{4}\1\d{4}\1\d{1,7})(?!\w|\.\d)"
_RULES = {
    _STATEMENT: GONE,
    _CREDENTIALS: rf"\1\2{GONE}",
    _SETTING: rf"\1\2{GONE}",
    _SCHEME_OF_AUTHORIZATION: rf"\1\2{GONE}",
    _BYTES: GONE,
    _ADDRESS: GONE,
    _QUERY: GONE,
    _KNOWN_KEY: GONE,
    _LONG_NUMBER: GONE,
}
_HARMLESS = (
    r"(?!(?i:.*(?:select|copy|call|exec|insert|replace|delete|merge|update|with|values|bearer|basic|digest|negotiate"
    r"|apikey|token|eyj|akia|asia|aiza|row)))[A-Za-z ,.()!]{0,100}"
)
"""Short texts that no rule applies to; most are."""
_URL = r"(?i)\b([a-z][a-z0-9+.-]{0,30})://([^\s/?#\\'\"<>`]*)([^\s'\"<>`]*)"
_HOST = r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.%]+\])(?::\d{1,5})?"
_LONG_WORD = r"[\w+/=~-]{20,}"
_RUN = r"[^\W_]{20,}"
LONG_KEY = 32


class _Patterns:
    """The patterns, compiled when the first text is cleaned: most programs import recloser for long before that."""

    def __init__(self) -> None:
        self.harmless = re.compile(_HARMLESS)
        self.url = re.compile(_URL)
        self.host = re.compile(_HOST)
        self.long_word = re.compile(_LONG_WORD)
        self.run = re.compile(_RUN)
        self.rules = [(re.compile(pattern), left) for pattern, left in _RULES.items()]


_patterns = cache(_Patterns)


def clean(text: str) -> str:
    """Return a text without what may be secret in it, on one line of at most 200 characters."""
    if len(text) > LONGEST_READ:
        text = text[:LONGEST_READ].rpartition(" ")[0] + GONE  # a secret that is cut in two is not recognised
    patterns = _patterns()
    if patterns.harmless.fullmatch(text):
        return shortened(text)
    for escaped in (r"\n", r"\r", r"\t"):  # as in the text of a KeyError
        text = text.replace(escaped, "\n")
    text = patterns.long_word.sub(_unless_key, patterns.url.sub(_without_secrets, text))
    for pattern, left in patterns.rules:
        text = pattern.sub(left, text)
    return shortened(text)


def shortened(text: str) -> str:
    """Return a text on one line of at most 200 characters, without characters that can't be seen."""
    if not text.isprintable():
        text = "".join([char if char.isprintable() else " " for char in text])
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - len(GONE)]}{GONE}"


def _without_secrets(url: re.Match[str]) -> str:
    """Return the scheme, the host and the port of a URL; the scheme only, where it is not certain what the host is."""
    scheme, authority, rest = url.groups()
    host = authority.rpartition("@")[2].rstrip(",;:.)]}" if not authority.endswith("]") else ",;:.)}")
    if "@" in rest or _patterns().host.fullmatch(host) is None:
        return f"{scheme}://{GONE}"
    return f"{scheme}://{host}/{GONE}" if rest.strip("/.,;:)]}") else f"{scheme}://{host}"


def _unless_key(word: re.Match[str]) -> str:
    """Return a long word, unless it looks like a key."""
    text = word[0]
    if not any(map(str.isdigit, text)) or not any(map(str.isalpha, text)):
        return text
    is_mixed = text.lower() != text != text.upper()
    return GONE if is_mixed or len(text) >= LONG_KEY or _patterns().run.search(text) else text
