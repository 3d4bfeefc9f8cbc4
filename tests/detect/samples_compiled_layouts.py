"""Layouts of Go and Rust repositories that are easily taken for something else."""

from __future__ import annotations

from tests.detect.samples_basic import Sample, package
from tests.detect.samples_rust import MAIN, cargo


def module(*required: str, name: str = "example.com/shop") -> str:
    return f"module {name}\n\ngo 1.24\n\nrequire (\n" + "".join(f"\t{one} v1.2.3\n" for one in required) + ")\n"


def program(*imported: str, package_name: str = "main") -> str:
    paths = "".join(f'\t"{one}"\n' for one in imported)
    main = "func main() {}\n" if package_name == "main" else ""
    return f"package {package_name}\n\nimport (\n{paths})\n\n{main}"


GIN, ECHO, CHI = "github.com/gin-gonic/gin", "github.com/labstack/echo/v4", "github.com/go-chi/chi/v5"
EXPRESS: dict[str, str | bytes] = {
    "package.json": package({"express": "4"}, scripts={"start": "node server.js"}),
    "server.js": "require('express')().listen(3000)\n",
}
VITE: dict[str, str | bytes] = {
    "package.json": package({"react": "18"}, dev={"vite": "5"}, scripts={"build": "vite build", "dev": "vite"}),
    "vite.config.ts": "export default {}\n",
    "index.html": "<div id=root></div>\n",
}

GO_LAYOUTS: dict[str, Sample] = {
    "go: tools of a Node application": Sample(
        {
            **EXPRESS,
            "go.mod": module("github.com/golangci/golangci-lint"),
            "tools.go": '//go:build tools\n\npackage tools\n\nimport _ "github.com/golangci/golangci-lint"\n',
        },
        {"stack": "node", "framework": "express"},
    ),
    "go: only a go.mod, for a theme's modules": Sample(
        {**EXPRESS, "go.mod": module("github.com/google/docsy")}, {"stack": "node", "framework": "express"}
    ),
    "go: of two frameworks the one that its packages import": Sample(
        {
            "go.mod": module(GIN, CHI),
            "cmd/app/main.go": program("example.com/shop/internal"),
            "internal/router.go": program(CHI, package_name="internal"),
            "internal/router_test.go": program(GIN, package_name="internal"),
        },
        {"framework": "chi"},
    ),
    "go: an old address of the framework": Sample(
        {"main.go": program("gopkg.in/gin-gonic/gin.v1")}, {"stack": "go", "framework": "gin"}
    ),
    "go: the framework is used further inside": Sample(
        {
            "go.mod": module(CHI),
            "cmd/api/main.go": program("example.com/shop/internal/server"),
            "internal/server/server.go": program(CHI, package_name="server"),
        },
        {"stack": "go", "framework": "chi", "start_command": "/app/api"},
    ),
    "go: a front end at its root": Sample(
        {**VITE, "go.mod": module(GIN), "main.go": program(GIN)}, {"stack": "go", "framework": "gin"}
    ),
    "go: an embedded front end in a folder": Sample(
        {
            "go.mod": module(ECHO),
            "main.go": program("embed", ECHO) + "\n//go:embed frontend/dist\nvar files embed.FS\n",
            **{f"frontend/{path}": text for path, text in VITE.items()},
        },
        {"stack": "go", "framework": "echo", "root": "."},
    ),
    "go: a back end beside a front end": Sample(
        {
            "backend/go.mod": module(GIN),
            "backend/main.go": program(GIN),
            **{f"frontend/{path}": text for path, text in VITE.items()},
        },
        {"stack": "go", "framework": "gin", "root": "backend"},
    ),
    "go: a workspace with a library and a program": Sample(
        {
            "go.work": "go 1.24\n\nuse ./pkg\nuse ./cmd/web\n",
            "pkg/go.mod": module(name="example.com/pkg"),
            "pkg/pkg.go": "package pkg\n",
            "cmd/web/go.mod": module(CHI, name="example.com/web"),
            "cmd/web/main.go": program(CHI),
        },
        {"stack": "go", "framework": "chi"},
    ),
    "go: excluded, replaced and commented out": Sample(
        {
            "go.mod": f"module x\n\ngo 1.24\n\nexclude (\n\t{GIN} v1.0.0\n)\n\n// require {ECHO} v4.0.0\n"
            f"replace (\n\t{CHI} => ../chi\n)\n",
            "main.go": program("net/http"),
        },
        {"stack": "go", "framework": None},
    ),
    "go: migrations beside the server": Sample(
        {"go.mod": module(ECHO), "cmd/migrate/main.go": program("fmt"), "cmd/server/main.go": program(ECHO)},
        {"framework": "echo", "start_command": "/app/server"},
    ),
    "go: a version that is no version": Sample(
        {"go.mod": "module x\n\ngo banana\n", "main.go": program("net/http")}, {"stack": "go"}
    ),
    "go: vendored sources without a module": Sample(
        {"main.go": program("github.com/gorilla/mux"), "vendor/github.com/gorilla/mux/mux.go": "package mux\n"},
        {"stack": "go", "framework": "gorilla-mux"},
    ),
}

RUST_LAYOUTS: dict[str, Sample] = {
    "rust: only outside of browsers": Sample(
        {
            "Cargo.toml": cargo(
                more='[target.\'cfg(not(target_arch = "wasm32"))\'.dependencies]\naxum = "0.7"\n',
            ),
            "src/main.rs": MAIN,
        },
        {"framework": "axum", "port": 3000},
    ),
    "rust: an optional dependency": Sample(
        {
            "Cargo.toml": cargo('axum = { version = "0.7", optional = true }', more='[features]\nssr = ["dep:axum"]\n'),
            "src/main.rs": MAIN,
            "src/lib.rs": "",
        },
        {"framework": "axum"},
    ),
    "rust: the framework is in a library of the workspace": Sample(
        {
            "Cargo.toml": '[workspace]\nmembers = ["server", "app", "cli"]\n',
            "Cargo.lock": "",
            "server/Cargo.toml": cargo('axum = "0.7"', name="server"),
            "server/src/lib.rs": 'pub async fn serve() { bind("0.0.0.0:4100").await }\n',
            "app/Cargo.toml": cargo('server = { path = "../server" }', name="app"),
            "app/src/main.rs": MAIN,
            "cli/Cargo.toml": cargo('clap = "4"', name="cli"),
            "cli/src/main.rs": MAIN,
        },
        {"framework": "axum", "start_command": "/app/app", "port": 4100},
    ),
    "rust: crates that are named by their path alone": Sample(
        {
            "Cargo.toml": cargo('api = { path = "api" }', more="[workspace]\n"),
            "src/main.rs": MAIN,
            "api/Cargo.toml": cargo('poem = "3"\ncore = { path = "../core" }', name="api"),
            "api/src/lib.rs": "",
            "core/Cargo.toml": cargo('api = { path = "../api" }', name="core"),
            "core/src/lib.rs": "",
        },
        {"framework": "poem", "start_command": "/app/shop"},
    ),
    "rust: migrations are a member of the workspace": Sample(
        {
            "Cargo.toml": cargo(
                'axum = "0.7"\nmigration = { path = "migration" }', more='[workspace]\nmembers = [".", "migration"]\n'
            ),
            "src/main.rs": MAIN,
            "migration/Cargo.toml": cargo('sea-orm-migration = "1"', name="migration"),
            "migration/src/main.rs": MAIN,
            "migration/src/lib.rs": "",
        },
        {"framework": "axum", "start_command": "/app/shop"},
    ),
    "rust: a desktop shell around a front end": Sample(
        {
            **VITE,
            "package.json": package(
                {"react": "18", "@tauri-apps/api": "2"},
                dev={"vite": "5", "@tauri-apps/cli": "2"},
                scripts={"build": "vite build", "tauri": "tauri"},
            ),
            "src-tauri/Cargo.toml": cargo('tauri = "2"'),
            "src-tauri/src/main.rs": MAIN,
        },
        {"stack": "node", "framework": "react"},
    ),
    "rust: an extension of a Node application": Sample(
        {**EXPRESS, "Cargo.toml": cargo('napi = "2"', more='[lib]\ncrate-type = ["cdylib"]\n'), "src/lib.rs": ""},
        {"stack": "node", "framework": "express"},
    ),
    "rust: an extension of a Python application": Sample(
        {
            "Cargo.toml": cargo('pyo3 = "0.22"', more='[lib]\ncrate-type = ["cdylib"]\n'),
            "src/lib.rs": "",
            "requirements.txt": "fastapi\n",
            "main.py": "from fastapi import FastAPI\napp = FastAPI()\n",
        },
        {"stack": "python", "framework": "fastapi"},
    ),
    "rust: a back end beside a front end": Sample(
        {
            "backend/Cargo.toml": cargo('axum = "0.7"'),
            "backend/src/main.rs": MAIN,
            **{f"frontend/{path}": text for path, text in VITE.items()},
        },
        {"stack": "rust", "framework": "axum", "root": "backend"},
    ),
    "rust: a front end at its root": Sample(
        {**VITE, "Cargo.toml": cargo('actix-web = "4"'), "src/main.rs": MAIN},
        {"stack": "rust", "framework": "actix-web"},
    ),
    "rust: garbage in rust-toolchain": Sample(
        {"Cargo.toml": cargo('warp = "0.3"'), "rust-toolchain": "banana\n", "src/main.rs": MAIN}, {"framework": "warp"}
    ),
    "rust: of two frameworks the one that the code speaks of": Sample(
        {"Cargo.toml": cargo('actix-web = "4"\nwarp = "0.3"'), "src/main.rs": "use warp::Filter;\n" + MAIN},
        {"framework": "warp"},
    ),
    "rust: for browsers, by Trunk": Sample(
        {"Cargo.toml": cargo('yew = "0.21"'), "src/main.rs": MAIN, "index.html": "<link data-trunk rel=rust>\n"},
        {"stack": "rust", "framework": None, "facts": None},
    ),
    "rust: a lone program": Sample({"main.rs": MAIN}, {"stack": "rust", "framework": None, "facts": None}),
    "rust: UTF-16": Sample(
        {"Cargo.toml": cargo('warp = "0.3"').encode("utf-16"), "src/main.rs": MAIN}, {"framework": "warp"}
    ),
}
