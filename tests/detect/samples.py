"""All small repositories with what must be said about them, by name."""

from __future__ import annotations

from tests.detect.samples_basic import DOCKERFILE, FOLDERS, NODE, NONE, PYTHON, STATIC, Sample
from tests.detect.samples_bun import BUN
from tests.detect.samples_compiled_layouts import GO_LAYOUTS, RUST_LAYOUTS
from tests.detect.samples_deno import DENO
from tests.detect.samples_dotnet import DOTNET
from tests.detect.samples_elixir import ELIXIR
from tests.detect.samples_go import GO
from tests.detect.samples_jvm import JVM
from tests.detect.samples_mixed import MIXED
from tests.detect.samples_node import NODE_MORE
from tests.detect.samples_php import PHP
from tests.detect.samples_python import PYTHON_MORE
from tests.detect.samples_ruby import RUBY
from tests.detect.samples_rust import RUST
from tests.detect.samples_static import SITES
from tests.detect.samples_web_layouts import PHP_LAYOUTS, RUBY_LAYOUTS

ALL: dict[str, Sample] = {
    **NODE,
    **PYTHON,
    **PYTHON_MORE,
    **STATIC,
    **DOCKERFILE,
    **NONE,
    **FOLDERS,
    **GO,
    **RUST,
    **PHP,
    **RUBY,
    **DOTNET,
    **ELIXIR,
    **GO_LAYOUTS,
    **RUST_LAYOUTS,
    **PHP_LAYOUTS,
    **RUBY_LAYOUTS,
    **NODE_MORE,
    **JVM,
    **SITES,
    **DENO,
    **BUN,
    **MIXED,
}
