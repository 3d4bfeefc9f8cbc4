"""The one exception whose text is meant for people."""


class BerthError(Exception):
    """Something a person can understand and mend.

    ``reason`` says in one sentence what was found and why it is not enough; ``fix`` says what to do about it (may be
    empty where nothing can be done). ``str(error)`` joins the two.
    """

    def __init__(self, reason: str, fix: str = "") -> None:
        super().__init__(reason, fix)
        self.reason = reason
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.reason} {self.fix}".strip()


class NotFoundError(BerthError):
    """The thing named does not exist (or may not be seen): 404."""


class UnavailableError(BerthError):
    """Nothing is wrong with what was asked, but it cannot be done now: 503."""


class ConflictError(BerthError):
    """The thing exists but its state does not allow this now: 409."""
