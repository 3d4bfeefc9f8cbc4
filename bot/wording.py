"""Words for people, where a library's own are for programmers."""

from __future__ import annotations

import re

# https://docs.pydantic.dev/latest/errors/validation_errors/
_PLAINLY = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r"^(Value error|Assertion failed), ", ""),
        (r"^Input should be a valid integer, .*", "must be a whole number"),
        (r"^Input should be a valid number, .*", "must be a number"),
        (r"^Input should be a finite number", "must be a number"),
        (r"^Input should be a valid boolean, .*", "must be true or false"),
        (r"^Input should be a valid string", "must be text"),
        (r"^Input should be greater than or equal to ", "must be at least "),
        (r"^Input should be less than or equal to ", "must be at most "),
        (r"^Input should be greater than ", "must be more than "),
        (r"^Input should be less than ", "must be less than "),
        (r"^(String|List|Value) should have at least (\d+) (character|item)s?", r"must have at least \2 \3s"),
        (r"^(String|List|Value) should have at most (\d+) (character|item)s?", r"must have at most \2 \3s"),
        (r"^Field required", "is missing"),
        (r"^Extra inputs are not permitted", "is not known"),
        (r"^Input should be ", "must be "),
    )
)


def plainly(message: str) -> str:
    """A message of pydantic as the end of a sentence that begins with what it is about: ``must be a whole number``."""
    for pattern, words in _PLAINLY:
        message = pattern.sub(words, message)
    return message
