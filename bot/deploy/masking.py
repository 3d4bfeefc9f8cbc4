"""Keeps secrets out of logs and reports."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

MASK = "••••••"
_SHORTEST = 6  # masking shorter values would make logs unreadable, and guessing them is easy anyway
_FEW = 50  # forms
_ODD = "surrogatepass"
_COMMON = {"production", "development", "staging", "testing", "default", "enabled", "disabled", "undefined"}
_COMMON |= {"localhost", "postgres", "127.0.0.1", "0.0.0.0"}  # noqa: S104 (no address is opened here)
# GitHub's tokens (installation tokens are JWTs after the prefix: dots and dashes), and the password in a URL
_TOKENS = re.compile(r"gh[pousr]_[A-Za-z0-9._-]{36,}|github_pat_[A-Za-z0-9_]{22,}|(?<=://)[^\s/:@]*:[^\s/@]+(?=@)")


class Masker:
    """Replaces secrets in text by ``••••••``.

    These are the given ones in the forms in which programs print them, GitHub's tokens, and passwords in URLs. Values
    of fewer than six characters and words that are everywhere (``production``) are left alone. A value of several
    lines is masked line by line too, so that text can be masked as it comes.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets for form in _forms(secret)}
        # by their first characters, the longest first: a key of fifty lines has a thousand forms, and an expression of
        # so many alternatives would be tried one by one at every place of a text
        self._by_head: dict[str, list[str]] = {}
        for form in sorted(forms, key=lambda form: (-len(form), form)):
            self._by_head.setdefault(form[:_SHORTEST], []).append(form)
        # of a few it is the quickest way to see that there is none
        self._any = re.compile("|".join(map(re.escape, forms))) if 0 < len(forms) <= _FEW else None

    def mask(self, text: str) -> str:
        """``text`` with every secret in it replaced. Takes time in proportion to its length."""
        spans = [_password(text, *match.span()) for match in _TOKENS.finditer(text)]
        spans += self._found(text)
        if not spans:
            return text
        parts, done = [], 0
        for start, end in _merged(sorted(spans)):
            parts += [text[done:start], MASK]
            done = end
        return "".join(parts) + text[done:]

    def _found(self, text: str) -> Iterator[tuple[int, int]]:
        """Where secrets are. One may end with the beginning of another, so they are looked for at every place."""
        known = self._by_head
        if self._any is not None and not self._any.search(text):
            return
        for start in range(len(text) - _SHORTEST + 1 if known else 0):
            for form in known.get(text[start : start + _SHORTEST], ()):
                if text.startswith(form, start):
                    yield start, start + len(form)
                    break


def _password(text: str, start: int, end: int) -> tuple[int, int]:
    """What to hide of a match: of ``user:password`` before an ``@`` the password only."""
    return (text.index(":", start) + 1 if text[start - 3 : start] == "://" else start), end


def _merged(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    begun, ended = -1, -1
    for start, end in spans:
        if start > ended:
            if ended >= 0:
                yield begun, ended
            begun, ended = start, end
        ended = max(end, ended)
    if ended >= 0:
        yield begun, ended


def _forms(secret: str) -> Iterator[str]:
    """The secret as it may be printed: plain, within something in base64, in a URL, in JSON, and line by line."""
    for value in {secret, secret.strip(), *(line.strip() for line in secret.splitlines())}:
        if len(value) < _SHORTEST or value in _COMMON:
            continue
        yield value
        yield from _base64(value.encode(errors=_ODD))
        for encoded in (
            quote(value, safe="", errors=_ODD),
            quote(value, errors=_ODD),
            quote_plus(value, errors=_ODD),
        ):
            yield encoded
            yield re.sub("%..", lambda match: match[0].lower(), encoded)
        yield json.dumps(value)[1:-1]
        yield json.dumps(value, ensure_ascii=False)[1:-1]


def _base64(value: bytes) -> Iterator[str]:
    """The characters that depend on ``value`` alone, for each of the three places where it can begin in a group."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + value).decode()
        inner = encoded[(8 * before + 5) // 6 : 8 * (before + len(value)) // 6]
        yield inner
        yield inner.translate(str.maketrans("+/", "-_"))
