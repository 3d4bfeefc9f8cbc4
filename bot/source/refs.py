"""Which branch names and commit ids are accepted. Light to import: every push waits for the git hooks, which use it."""

from __future__ import annotations

from bot.errors import BerthError

ZERO_SHA = "0" * 40
BRANCH_PREFIX = "refs/heads/"
TAG_PREFIX = "refs/tags/"
MAX_PUSHED = 100  # branches in one push
MAX_BYTES = 255  # also the longest name of a file, which is what git makes of a branch

_HEX = frozenset("0123456789abcdef")
_FORBIDDEN = frozenset(" ~^:?*[\\\u2028\u2029")


def validate_sha(text: str) -> str:
    """``text``, if it is a full commit id: 40 lower-case hex digits, not all zero. Raises BerthError."""
    if len(text) == 40 and text != ZERO_SHA and _HEX.issuperset(text):
        return text
    raise BerthError(f"{_shown(text)} is not a full commit id (40 hexadecimal digits).")


def validate_ref(text: str) -> str:
    """``text``, if it is a branch name (without ``refs/heads/``) that Berth accepts.

    The rules are those of https://git-scm.com/docs/git-check-ref-format with ``--branch``, and ours on top: no control
    character of Unicode, nothing that is not valid UTF-8, at most 255 bytes, not ``@`` alone. Raises BerthError that
    names the broken rule.
    """
    broken = _broken_rule(text)
    if broken:
        raise BerthError(
            f"The branch name {_shown(text)} {broken}.", "Rename the branch (git branch -m) and push it again."
        )
    return text


def validate_pushed(refs: list[str]) -> None:
    """Raises BerthError unless the full names of a push are branches and tags, all with names that Berth accepts."""
    if sum(ref.startswith(BRANCH_PREFIX) for ref in refs) > MAX_PUSHED:
        raise BerthError(f"Berth accepts at most {MAX_PUSHED} branches in one push.", "Push fewer at a time.")
    for ref in refs:
        prefix = next((prefix for prefix in (BRANCH_PREFIX, TAG_PREFIX) if ref.startswith(prefix)), "")
        if not prefix:
            raise BerthError(f"Berth accepts branches and tags, not {_shown(ref)}.", "Push to a branch.")
        validate_ref(ref.removeprefix(prefix))


def validate_deleted(refs: list[str], repository: dict[str, object]) -> None:
    """Raises BerthError where the default branch is among the full names of deleted refs.

    ``repository``: the payload's object of that name, of which ``name`` and ``default_branch`` are read.
    """
    branch = repository.get("default_branch")
    if branch and f"{BRANCH_PREFIX}{branch}" in refs:
        raise BerthError(
            f"{_shown(str(branch))} is the default branch, and what runs of it is production.",
            f"`berth rm {repository.get('name')}` removes that, the branch stays.",
        )


def _broken_rule(text: str) -> str:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return "is not valid UTF-8"
    if not size or size > MAX_BYTES:
        return f"is longer than {MAX_BYTES} bytes" if size else "is empty"
    if text in {"@", "HEAD"}:
        return "is reserved by git"
    if text.startswith("-"):
        return "starts with a dash, which programs would take for an option"
    for character in text:
        if character < " " or "\x7f" <= character <= "\x9f" or character in _FORBIDDEN:
            return f"contains {character!a}"
    for sequence in ("..", "@{"):
        if sequence in text:
            return f"contains {sequence!r}"
    if text.endswith("."):
        return "ends with a dot"
    return next(filter(None, map(_broken_part, text.split("/"))), "")


def _broken_part(part: str) -> str:
    if not part:
        return "has an empty part between slashes"
    if part.startswith("."):
        return "has a part that starts with a dot"
    return "has a part that ends with .lock" if part.endswith(".lock") else ""


def printable(text: str, length: int = 200) -> str:
    """One line of hostile text without control characters, cut to ``length`` characters."""
    return "".join(character for character in text if character.isprintable())[:length]


def _shown(text: str) -> str:
    """Hostile text made fit for a message: escaped and cut."""
    return ascii(text if len(text) <= 80 else text[:77] + "...")
