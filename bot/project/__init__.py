"""The compose model: what the engine executes. Data only, written to and read from ``docker-compose.yml``.

The file follows the Compose Specification (https://github.com/compose-spec/compose-spec/blob/main/spec.md). What Berth
needs to know and Compose has no word for stands in ``x-berth``, which every other tool ignores. Reading is strict: what
is not on the list is refused with the line that asks for it, because the file comes from a repository.
"""

from bot.project.model import (
    Build,
    HealthCheck,
    Mount,
    Port,
    Project,
    ProjectError,
    Protocol,
    Role,
    Service,
    Strategy,
    Template,
    interpolate,
)
from bot.project.reader import from_yaml
from bot.project.writer import to_yaml

__all__ = [
    "Build",
    "HealthCheck",
    "Mount",
    "Port",
    "Project",
    "ProjectError",
    "Protocol",
    "Role",
    "Service",
    "Strategy",
    "Template",
    "from_yaml",
    "interpolate",
    "to_yaml",
]
