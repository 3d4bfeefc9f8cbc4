"""The applications of :mod:`tests.generate.test_builds`, which are built by `make test` as well."""

from __future__ import annotations

from tests.generate import test_builds
from tests.generate.stacks import Applications

APPLICATIONS: Applications = {name: (test_builds.IMAGES, files) for name, files in test_builds.APPLICATIONS.items()}
