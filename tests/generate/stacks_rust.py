"""Programs in Rust that are really built."""

from __future__ import annotations

from tests.generate.stacks import Applications

IMAGES = ("rust:1.96-slim-bookworm",)
APPLICATIONS: Applications = {
    "axum": (
        IMAGES,
        {
            "Cargo.toml": '[package]\nname = "shop"\nversion = "0.1.0"\nedition = "2021"\n\n[dependencies]\n'
            'axum = "0.8"\ntokio = { version = "1", features = ["rt", "net", "macros", "signal"] }\n',
            "src/main.rs": """\
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let port = std::env::var("PORT").unwrap_or("3000".into());
    let listener = tokio::net::TcpListener::bind(format!("0.0.0.0:{port}")).await.unwrap();
    let app = axum::Router::new().route("/", axum::routing::get(|| async { "one" }));
    axum::serve(listener, app).await.unwrap();
}
""",
        },
    ),
    "actix-web": (
        IMAGES,
        {
            "Cargo.toml": '[workspace]\nmembers = ["web"]\nresolver = "2"\n\n[workspace.dependencies]\n'
            'actix-web = { version = "4", default-features = false, features = ["macros"] }\n',
            "web/Cargo.toml": '[package]\nname = "shop-web"\nversion = "0.1.0"\nedition = "2021"\n\n[dependencies]\n'
            "actix-web = { workspace = true }\n",
            "web/src/main.rs": """\
use actix_web::{get, App, HttpServer};

#[get("/")]
async fn index() -> &'static str {
    "one"
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let port = std::env::var("PORT").ok().and_then(|text| text.parse().ok()).unwrap_or(8080);
    HttpServer::new(|| App::new().service(index)).workers(1).bind(("0.0.0.0", port))?.run().await
}
""",
        },
    ),
    "rocket": (
        IMAGES,
        {
            "Cargo.toml": '[package]\nname = "shop"\nversion = "0.1.0"\nedition = "2021"\n\n[dependencies]\n'
            'rocket = { version = "0.5", default-features = false }\n',
            "src/main.rs": """\
#[rocket::get("/")]
fn index() -> &'static str {
    "one"
}

#[rocket::launch]
fn rocket() -> _ {
    rocket::build().mount("/", rocket::routes![index])
}
""",
        },
    ),
}
