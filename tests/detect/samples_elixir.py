"""Elixir repositories, traps included."""

from __future__ import annotations

from tests.detect.samples_basic import Sample, package


def mix(*dependencies: str, app: str = "shop", elixir: str = "~> 1.14", more: str = "", aliases: str = "") -> str:
    listed = ",\n      ".join(dependencies)
    return f"""\
defmodule Shop.MixProject do
  use Mix.Project

  def project do
    [
      app: :{app},
      version: "0.1.0",
      elixir: "{elixir}",
      {more}
      aliases: aliases(),
      deps: deps()
    ]
  end

  def application do
    [mod: {{Shop.Application, []}}, extra_applications: [:logger]]
  end

  defp deps do
    [
      # {{:plug_cowboy, "~> 2.0"}},
      {listed}
    ]
  end

  defp aliases do
    [{aliases}]
  end
end
"""


RUNTIME = """\
import Config

if System.get_env("PHX_SERVER") do
  config :shop, ShopWeb.Endpoint, server: true
end

if config_env() == :prod do
  database_url =
    System.get_env("DATABASE_URL") ||
      raise "environment variable DATABASE_URL is missing."

  config :shop, Shop.Repo, url: database_url, pool_size: 10

  secret_key_base =
    System.get_env("SECRET_KEY_BASE") || raise "environment variable SECRET_KEY_BASE is missing."

  host = System.get_env("PHX_HOST") || "example.com"
  port = String.to_integer(System.get_env("PORT") || "4000")

  config :shop, ShopWeb.Endpoint,
    url: [host: host, port: 443, scheme: "https"],
    http: [ip: {0, 0, 0, 0, 0, 0, 0, 0}, port: port],
    secret_key_base: secret_key_base
end
"""
PHOENIX: dict[str, str | bytes] = {
    "mix.exs": mix(
        '{:phoenix, "~> 1.7.14"}',
        '{:phoenix_ecto, "~> 4.5"}',
        '{:ecto_sql, "~> 3.10"}',
        '{:postgrex, ">= 0.0.0"}',
        '{:esbuild, "~> 0.8", runtime: Mix.env() == :dev}',
        '{:bandit, "~> 1.5"}',
        aliases='"assets.setup": ["esbuild.install --if-missing"],\n     '
        '"assets.deploy": ["esbuild shop --minify", "phx.digest"]',
    ),
    "mix.lock": '%{\n  "phoenix": {:hex, :phoenix, "1.7.14", "aa", [:mix], [], "hexpm", "bb"},\n}\n',
    "config/config.exs": 'import Config\nimport_config "#{config_env()}.exs"\n',
    "config/dev.exs": "config :shop, ShopWeb.Endpoint, http: [ip: {127, 0, 0, 1}, port: 4321]\n",
    "config/prod.exs": "import Config\n",
    "config/runtime.exs": RUNTIME,
    "lib/shop/application.ex": "defmodule Shop.Application do\n  # {Bandit, port: 9999}\nend\n",
    "lib/shop/release.ex": "defmodule Shop.Release do\n  def migrate do\n  end\nend\n",
    "lib/shop_web/router.ex": 'defmodule ShopWeb.Router do\n  scope "/" do\n    get "/health", X, :y\n  end\nend\n',
    "assets/js/app.js": "",
}
FOUND = {"stack": "elixir", "framework": "phoenix", "package_manager": "mix"}
PLUG = {"stack": "elixir", "framework": "plug", "package_manager": "mix"}

ELIXIR: dict[str, Sample] = {
    "elixir: phoenix": Sample(
        PHOENIX,
        {
            **FOUND,
            "language_version": "1.18",
            "port": 4000,
            "services": ("postgresql",),
            "required_env": ("DATABASE_URL", "PHX_HOST"),
            "health_path": "/health",
            "start_command": "bin/shop start",
            "build_command": "mix release",
        },
    ),
    "elixir: phoenix with packages of Node.js": Sample(
        {
            **PHOENIX,
            "assets/package.json": package({"alpinejs": "3"}),
            "assets/package-lock.json": '{"lockfileVersion": 3}\n',
            "package.json": package(dev={"prettier": "3"}),
        },
        FOUND,
    ),
    "elixir: phoenix with webpack": Sample(
        {
            "mix.exs": mix('{:phoenix, "~> 1.5"}', '{:plug_cowboy, "~> 2.0"}', elixir="~> 1.7"),
            "config/prod.exs": 'config :shop, ShopWeb.Endpoint, http: [port: {:system, "PORT"}], server: true\n',
            "assets/package.json": package(
                {"phoenix": "file:../deps/phoenix"},
                dev={"webpack": "4"},
                scripts={"deploy": "webpack --mode production"},
            ),
        },
        {**FOUND, "port": 4000},
    ),
    "elixir: an umbrella": Sample(
        {
            "mix.exs": 'defmodule Shop.MixProject do\n  def project do\n    [apps_path: "apps", deps: []]\n  '
            "end\nend\n",
            "mix.lock": "%{}\n",
            "apps/shop/mix.exs": mix('{:ecto_sql, "~> 3.0"}', '{:myxql, ">= 0.0.0"}'),
            "apps/shop_web/mix.exs": mix('{:phoenix, "~> 1.7"}', "{:shop, in_umbrella: true}", app="shop_web"),
            "apps/shop_web/assets/package.json": package({"alpinejs": "3"}),
        },
        {**FOUND, "services": ("mysql",), "start_command": "bin/shop_web start"},
    ),
    "elixir: an umbrella with a release": Sample(
        {
            "mix.exs": 'defmodule S do\n  def project do\n    [apps_path: "apps", releases: releases()]\n  end\n'
            "  defp releases do\n    [\n      all: [applications: [shop_web: :permanent]]\n    ]\n  end\nend\n",
            "apps/shop_web/mix.exs": mix('{:phoenix, "~> 1.7"}', app="shop_web"),
        },
        {**FOUND, "start_command": "bin/all start"},
    ),
    "elixir: plug and cowboy": Sample(
        {
            "mix.exs": mix('{:plug_cowboy, "~> 2.0"}', '{:redix, "~> 1.1"}'),
            "lib/shop/application.ex": "children = [{Plug.Cowboy, scheme: :http, plug: Shop, options: [port: 4001]}]\n",
            "lib/shop/router.ex": 'defmodule R do\n  use Plug.Router\n  get "/healthz" do\n  end\nend\n',
        },
        {**PLUG, "port": 4001, "services": ("redis",), "health_path": "/healthz"},
    ),
    "elixir: bandit": Sample(
        {
            "mix.exs": mix('{:bandit, "~> 1.0"}'),
            "lib/shop/application.ex": '{Bandit, plug: Shop, port: to_port(System.get_env("PORT", "4040"))}\n',
        },
        {**PLUG, "port": 4040},
    ),
    "elixir: phoenix for tests alone": Sample(
        {"mix.exs": mix('{:phoenix, "~> 1.7", only: [:dev, :test]}', '{:plug, "~> 1.0", optional: true}')},
        {"stack": "elixir", "framework": None},
    ),
    "elixir: a dependency that only sounds like it": Sample(
        {"mix.exs": mix('{:phoenix_pubsub, "~> 2.0"}', '{:plug_crypto, "~> 2.0"}')},
        {"stack": "elixir", "framework": None},
    ),
    "elixir: without a framework": Sample(
        {"mix.exs": mix(), "lib/shop.ex": ":gen_tcp.listen(8081, [:binary])\n"},
        {
            "stack": "elixir",
            "framework": None,
            "package_manager": "mix",
            "port": 8081,
            "start_command": "bin/shop start",
        },
    ),
    "elixir: versions of asdf": Sample(
        {"mix.exs": mix('{:bandit, "~> 1.0"}'), ".tool-versions": "erlang 26.2.5\nelixir 1.16.3-otp-26\n"},
        {"language_version": "1.16"},
    ),
    "elixir: versions of a buildpack": Sample(
        {
            "mix.exs": mix('{:bandit, "~> 1.0"}'),
            "elixir_buildpack.config": "erlang_version=25.3\nelixir_version=1.15.7\nalways_rebuild=false\n",
        },
        {"language_version": "1.15"},
    ),
    "elixir: a pinned requirement": Sample({"mix.exs": mix(elixir="~> 1.15.0")}, {"language_version": "1.15"}),
    "elixir: alternatives": Sample({"mix.exs": mix(elixir=">= 1.12.0 and < 1.17.0")}, {"language_version": "1.16"}),
    "elixir: local packages": Sample(
        {
            "mix.exs": mix('{:bandit, "~> 1.0"}', '{:rules, path: "packages/rules"}'),
            "packages/rules/mix.exs": mix(app="rules"),
        },
        PLUG,
    ),
    "elixir: a script": Sample(
        {"server.exs": 'Mix.install([{:bandit, "~> 1.0"}])\n\nBandit.start_link(plug: X)\n'},
        {"stack": "elixir", "framework": "plug", "start_command": "elixir server.exs", "package_manager": "mix"},
    ),
    "elixir: a script alone": Sample(
        {"count.exs": "IO.puts(1)\n"}, {"stack": "elixir", "framework": None, "start_command": "elixir count.exs"}
    ),
    "elixir: a front end beside it": Sample(
        {
            "backend/mix.exs": mix('{:phoenix, "~> 1.7"}'),
            "frontend/package.json": package({"react": "18"}, dev={"vite": "5"}, scripts={"build": "vite build"}),
        },
        {**FOUND, "root": "backend"},
    ),
    "elixir: its pages are not a static site": Sample({**PHOENIX, "public/index.html": "", "index.html": ""}, FOUND),
    "elixir: erlang with a mix.exs": Sample(
        {"mix.exs": mix(), "rebar.config": "{deps, []}.\n", "src/shop.erl": "-module(shop).\n"}, {"stack": "none"}
    ),
    "elixir: erlang": Sample({"rebar.config": "{deps, [cowboy]}.\n", "src/shop.erl": ""}, {"stack": "none"}),
    "elixir: gleam": Sample({"gleam.toml": 'name = "shop"\n', "src/shop.gleam": ""}, {"stack": "none"}),
    "elixir: broken": Sample(
        {"mix.exs": 'defmodule X do\n  def project, do: [app: :shop, deps: [{:phoenix, "~> 1.7"}\n  "never closed\n'},
        FOUND,
    ),
    "elixir: windows line ends and a mark": Sample(
        {"mix.exs": b"\xef\xbb\xbf" + mix('{:phoenix, "~> 1.7"}').replace("\n", "\r\n").encode()}, FOUND
    ),
    "elixir: its own Dockerfile": Sample(
        {**PHOENIX, "Dockerfile": "FROM debian:bookworm-slim\nEXPOSE 4000\nCMD bin/server\n"},
        {"stack": "dockerfile", "underlying_stack": "elixir", "framework": "phoenix", "package_manager": "mix"},
    ),
}
