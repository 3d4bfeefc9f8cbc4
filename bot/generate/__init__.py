"""Plan to files: Dockerfile, .dockerignore and docker-compose.yml. Synchronous and pure."""

from typing import TYPE_CHECKING, Any

__all__ = ["Generated", "generate"]

if TYPE_CHECKING:
    from bot.generate.files import Generated, generate
else:

    def __getattr__(name: str) -> Any:
        """What writes the files, when it is wanted: the server leaves that to its workers."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from bot.generate import files  # noqa: PLC0415

        return getattr(files, name)
