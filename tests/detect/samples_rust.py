"""Rust repositories, traps included."""

from __future__ import annotations

from tests.detect.samples_basic import Sample, package

MAIN = 'fn main() {\n    println!("x");\n}\n'


def cargo(*dependencies: str, name: str = "shop", more: str = "", package: str = "") -> str:
    listed = "".join(f"{one}\n" for one in dependencies)
    return (
        f'[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2021"\n{package}\n[dependencies]\n{listed}\n{more}'
    )


AXUM = 'axum = "0.7"'
AXUM_MAIN = """\
#[tokio::main]
async fn main() {
    let listener = tokio::net::TcpListener::bind("0.0.0.0:3100").await.unwrap();
    axum::serve(listener, axum::Router::new()).await.unwrap();
}
"""

RUST: dict[str, Sample] = {
    "rust: axum": Sample(
        {"Cargo.toml": cargo(AXUM), "Cargo.lock": "", "src/main.rs": AXUM_MAIN},
        {
            "stack": "rust",
            "framework": "axum",
            "package_manager": "cargo",
            "port": 3100,
            "start_command": "/app/shop",
            "build_command": "cargo build --release --locked --bin shop",
        },
    ),
    "rust: actix-web": Sample(
        {
            "Cargo.toml": cargo('actix-web = "4"'),
            "src/main.rs": 'fn main() {\n    HttpServer::new(|| App::new()).bind(("0.0.0.0", 9000));\n}\n',
        },
        {"framework": "actix-web", "port": 9000, "build_command": "cargo build --release --bin shop"},
    ),
    "rust: rocket with its file": Sample(
        {
            "Cargo.toml": cargo('rocket = "0.5"'),
            "src/main.rs": "#[rocket::launch]\nfn rocket() -> _ { rocket::build() }\nfn main() {}\n",
            "Rocket.toml": "[default]\nport = 8200\n",
            "templates/index.html.tera": "",
        },
        {"framework": "rocket", "port": 8200},
    ),
    "rust: warp": Sample(
        {
            "Cargo.toml": cargo('warp = "0.3"'),
            "src/main.rs": "fn main() { warp::serve(r).run(([0, 0, 0, 0], 3040)); }\n",
        },
        {"framework": "warp", "port": 3040},
    ),
    "rust: poem": Sample({"Cargo.toml": cargo('poem = "3"'), "src/main.rs": MAIN}, {"framework": "poem", "port": 3000}),
    "rust: tide": Sample({"Cargo.toml": cargo('tide = "0.16"'), "src/main.rs": MAIN}, {"framework": "tide"}),
    "rust: salvo": Sample({"Cargo.toml": cargo('salvo = "0.70"'), "src/main.rs": MAIN}, {"framework": "salvo"}),
    "rust: a look-alike": Sample(
        {"Cargo.toml": cargo('axum-core = "0.4"'), "src/main.rs": MAIN}, {"stack": "rust", "framework": None}
    ),
    "rust: only for tests": Sample(
        {"Cargo.toml": cargo(more='[dev-dependencies]\naxum = "0.7"\n'), "src/main.rs": MAIN}, {"framework": None}
    ),
    "rust: under another name": Sample(
        {"Cargo.toml": cargo('web = { package = "actix-web", version = "4" }'), "src/main.rs": MAIN},
        {"framework": "actix-web"},
    ),
    "rust: a table for one dependency": Sample(
        {"Cargo.toml": cargo(more='[dependencies.axum]\nversion = "0.7"\n'), "src/main.rs": MAIN}, {"framework": "axum"}
    ),
    "rust: inherited from the workspace": Sample(
        {
            "Cargo.toml": '[workspace]\nmembers = ["crates/*"]\n\n[workspace.dependencies]\naxum = "0.7"\n',
            "Cargo.lock": "",
            "crates/api/Cargo.toml": cargo("axum = { workspace = true }", name="api"),
            "crates/api/src/main.rs": AXUM_MAIN,
            "crates/core/Cargo.toml": cargo(name="core"),
            "crates/core/src/lib.rs": "",
        },
        {"stack": "rust", "framework": "axum", "start_command": "/app/api", "port": 3100},
    ),
    "rust: the one that serves": Sample(
        {
            "Cargo.toml": '[workspace]\nmembers = ["cli", "web", "worker"]\n',
            "cli/Cargo.toml": cargo(name="cli"),
            "cli/src/main.rs": MAIN,
            "web/Cargo.toml": cargo(AXUM, name="shop-web"),
            "web/src/main.rs": AXUM_MAIN,
            "worker/Cargo.toml": cargo(name="worker"),
            "worker/src/main.rs": MAIN,
        },
        {"framework": "axum", "start_command": "/app/shop-web"},
    ),
    "rust: default-run": Sample(
        {
            "Cargo.toml": cargo(AXUM, package='default-run = "server"\n'),
            "src/bin/server.rs": AXUM_MAIN,
            "src/bin/migrate.rs": MAIN,
            "src/lib.rs": "",
        },
        {"start_command": "/app/server"},
    ),
    "rust: a listed binary": Sample(
        {
            "Cargo.toml": cargo(AXUM, more='[[bin]]\nname = "shopd"\npath = "src/daemon.rs"\n'),
            "src/daemon.rs": AXUM_MAIN,
            "src/lib.rs": "",
        },
        {"start_command": "/app/shopd"},
    ),
    "rust: markers of a merge in its manifest": Sample(
        {
            "Cargo.toml": '[package]\nname = "shop"\n<<<<<<< HEAD\nedition = "2021"\n=======\nedition = "2018"\n'
            '>>>>>>> dev\n\n[dependencies]\naxum = "0.7"\n',
            "src/main.rs": "fn main() {}\n",
        },
        {"stack": "rust", "framework": "axum", "start_command": "/app/shop"},
    ),
    "rust: a line in its manifest that is no TOML": Sample(
        {
            "Cargo.toml": '[package]\nname = "shop"\nversion = 1.0.0\n\n[dependencies]\naxum = "0.7"\n',
            "src/main.rs": "fn main() {}\n",
        },
        {"framework": "axum", "start_command": "/app/shop"},
    ),
    "rust: what the Procfile has before the program": Sample(
        {
            "Cargo.toml": '[package]\nname = "shop"\nversion = "1.0.0"\n\n[dependencies]\naxum = "0.7"\n',
            "src/main.rs": "fn main() {}\n",
            "Procfile": "web: bin/start-nginx ./target/release/shop\n",
        },
        {"start_command": "/app/shop"},
    ),
    "rust: databases by features": Sample(
        {
            "Cargo.toml": '[package]\nname = "shop"\nversion = "1.0.0"\n\n[dependencies]\naxum = "0.7"\n'
            'sqlx = { version = "0.8", features = ["runtime-tokio", "postgres"] }\ndeadpool-redis = "0.18"\n',
            "src/main.rs": "fn main() {}\n",
        },
        {"services": ("postgresql", "redis")},
    ),
    "rust: databases by features of the workspace": Sample(
        {
            "Cargo.toml": '[workspace]\nmembers = ["web"]\n\n[workspace.dependencies]\n'
            'diesel = { version = "2", features = ["mysql"] }\n',
            "web/Cargo.toml": '[package]\nname = "web"\nversion = "1.0.0"\n\n[dependencies]\naxum = "0.7"\n'
            "diesel = { workspace = true }\n",
            "web/src/main.rs": "fn main() {}\n",
        },
        {"services": ("mysql",)},
    ),
    "rust: a port of its settings": Sample(
        {
            "Cargo.toml": '[package]\nname = "shop"\nversion = "1.0.0"\n\n[dependencies]\nactix-web = "4"\n',
            "src/main.rs": "fn main() {}\n",
            "configuration/base.yaml": "application:\n  port: 8000\ndatabase:\n  port: 5432\n",
            "configuration/local.yaml": "application:\n  port: 1\n",
        },
        {"port": 8000},
    ),
    "rust: the Procfile names the program": Sample(
        {
            "Cargo.toml": cargo(AXUM),
            "Procfile": "web: ./target/release/other\n",
            "src/main.rs": AXUM_MAIN,
            "src/bin/other.rs": MAIN,
        },
        {"start_command": "/app/other"},
    ),
    "rust: a library": Sample({"Cargo.toml": cargo(AXUM), "src/lib.rs": ""}, {"stack": "rust", "facts": None}),
    "rust: examples are no programs": Sample(
        {"Cargo.toml": cargo(AXUM), "src/lib.rs": "", "examples/a.rs": MAIN, "benches/b.rs": MAIN}, {"facts": None}
    ),
    "rust: a pinned toolchain": Sample(
        {"Cargo.toml": cargo(AXUM), "src/main.rs": MAIN, "rust-toolchain.toml": '[toolchain]\nchannel = "1.84.1"\n'},
        {"language_version": "1.84"},
    ),
    "rust: an old toolchain file": Sample(
        {"Cargo.toml": cargo(AXUM), "src/main.rs": MAIN, "rust-toolchain": "1.80\n"}, {"language_version": "1.80"}
    ),
    "rust: nightly has no image": Sample(
        {"Cargo.toml": cargo(AXUM), "src/main.rs": MAIN, "rust-toolchain": "nightly-2024-05-01\n"},
        {"language_version": "1.96"},
    ),
    "rust: rust-version is the oldest that will do": Sample(
        {"Cargo.toml": cargo(AXUM, package='rust-version = "1.70"\n'), "src/main.rs": MAIN},
        {"language_version": "1.96"},
    ),
    "rust: a required key and a database": Sample(
        {
            "Cargo.toml": cargo(AXUM, 'sqlx = { version = "0.8", features = ["postgres"] }'),
            "src/main.rs": 'fn main() { let url = std::env::var("DATABASE_URL").expect("set it"); }\n',
            ".env.example": "DATABASE_URL=postgres://localhost/shop\n",
        },
        {"required_env": ("DATABASE_URL",), "services": ("postgresql",)},
    ),
    "rust: a front end in its repository": Sample(
        {"Cargo.toml": cargo(AXUM), "src/main.rs": MAIN, "web/package.json": package({"react": "18"})},
        {"stack": "rust"},
    ),
    "rust: CRLF and a byte order mark": Sample(
        {"Cargo.toml": ("\ufeff" + cargo(AXUM)).replace("\n", "\r\n"), "src/main.rs": MAIN}, {"framework": "axum"}
    ),
    "rust: a broken manifest": Sample({"Cargo.toml": "[package\nname =", "src/main.rs": MAIN}, {"stack": "rust"}),
    "rust: paths that lead out": Sample(
        {
            "Cargo.toml": cargo(AXUM, more='[[bin]]\nname = "x"\npath = "../../etc/x.rs"\n'),
            "src/main.rs": AXUM_MAIN,
        },
        {"start_command": "/app/shop"},
    ),
    "rust: in a folder": Sample(
        {"README.md": "", "server/Cargo.toml": cargo(AXUM), "server/src/main.rs": AXUM_MAIN},
        {"stack": "rust", "root": "server"},
    ),
    "rust: a Dockerfile above it": Sample(
        {"Dockerfile": 'FROM scratch\nCOPY x /x\nCMD ["/x"]\n', "Cargo.toml": cargo(AXUM), "src/main.rs": AXUM_MAIN},
        {"stack": "dockerfile", "underlying_stack": "rust", "framework": "axum"},
    ),
}
