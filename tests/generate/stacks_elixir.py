"""Applications in Elixir: without packages they are really built; Hex has no stand-in."""

from __future__ import annotations

from tests.detect.samples import ALL
from tests.generate.stacks import Application, Applications

IMAGES = ("elixir:1.14-otp-25-slim",)
MIX = """\
defmodule Shop.MixProject do
  use Mix.Project

  def project do
    [app: :shop, version: "0.1.0", elixir: "~> 1.14.0", deps: []]
  end

  def application do
    [mod: {Shop.Application, []}, extra_applications: [:logger]]
  end
end
"""
RUNTIME = 'import Config\n\nconfig :shop, port: String.to_integer(System.get_env("PORT", "4000"))\n'
SOCKET = """\
defmodule Shop.Server do
  def start_link(port) do
    {:ok, listening} = :gen_tcp.listen(port, [:binary, packet: :http_bin, active: false, reuseaddr: true])
    {:ok, spawn_link(fn -> accept(listening) end)}
  end

  def child_spec(port), do: %{id: __MODULE__, start: {__MODULE__, :start_link, [port]}}

  defp accept(listening) do
    {:ok, socket} = :gen_tcp.accept(listening)
    spawn(fn -> answer(socket) end)
    accept(listening)
  end

  defp answer(socket) do
    case :gen_tcp.recv(socket, 0) do
      {:ok, :http_eoh} ->
        :gen_tcp.send(socket, "HTTP/1.0 200 OK\\r\\nContent-Length: 3\\r\\n\\r\\n" <> "one")
        :gen_tcp.close(socket)

      {:ok, _} ->
        answer(socket)

      {:error, _} ->
        :ok
    end
  end
end
"""
APPLICATION = """\
defmodule Shop.Application do
  use Application

  def start(_type, _arguments) do
    children = [{Shop.Server, Application.fetch_env!(:shop, :port)}]
    Supervisor.start_link(children, strategy: :one_for_one)
  end
end
"""
UMBRELLA = """\
defmodule Shop.Umbrella.MixProject do
  use Mix.Project

  def project do
    [apps_path: "apps", version: "0.1.0", elixir: "~> 1.14.0", deps: []]
  end
end
"""
CHILD = """\
defmodule ShopWeb.MixProject do
  use Mix.Project

  def project do
    [
      app: :shop_web,
      version: "0.1.0",
      build_path: "../../_build",
      config_path: "../../config/config.exs",
      deps_path: "../../deps",
      lockfile: "../../mix.lock",
      deps: [{:shop_rules, in_umbrella: true}]
    ]
  end

  def application do
    [mod: {Shop.Application, []}]
  end
end
"""

APPLICATIONS: Applications = {
    "elixir, a release": (
        IMAGES,
        {"mix.exs": MIX, "config/runtime.exs": RUNTIME, "lib/application.ex": APPLICATION, "lib/server.ex": SOCKET},
    ),
    "elixir, an umbrella": Application(
        IMAGES,
        {
            ".tool-versions": "elixir 1.14.5-otp-25\n",
            "mix.exs": UMBRELLA,
            "config/config.exs": "import Config\n",
            "config/runtime.exs": RUNTIME,
            "apps/shop_rules/mix.exs": CHILD.replace("ShopWeb", "Rules")
            .replace("shop_web", "shop_rules")
            .replace("{:shop_rules, in_umbrella: true}", "")
            .replace("mod: {Shop.Application, []}", ""),
            "apps/shop_rules/lib/rules.ex": 'defmodule Rules do\n  def answer, do: "one"\nend\n',
            "apps/shop_web/mix.exs": CHILD,
            "apps/shop_web/lib/application.ex": APPLICATION,
            "apps/shop_web/lib/server.ex": SOCKET.replace('"one")', "Rules.answer())"),
        },
    ),
    # Phoenix needs Hex; what can be read of its Dockerfile is
    "phoenix": Application(
        (),
        {path: text for path, text in ALL["elixir: phoenix"].files.items() if isinstance(text, str)},
        not_built="Hex has no stand-in",
        instructions=(
            r"FROM elixir:1\.18-otp-27-slim AS build",
            "RUN mix local.hex --force && mix local.rebar --force",
            r"COPY mix\.exs mix\.lock \./",
            "RUN .*mix deps.get --only prod",
            r"COPY config/config\.exs config/prod\.exs \./config/",
            "RUN .*mix deps.compile.*mix assets.setup",
            r"COPY \. \.",
            "RUN .*mix compile.*mix assets.deploy.*mix release --path /out",
            "FROM debian:bookworm-slim",
            "COPY --chown=1000:1000 --from=build /out ./",
            "USER 1000:1000",
            r"CMD .*SECRET_KEY_BASE.*Shop\.Release\.migrate.*exec bin/shop start",
        ),
    ),
}
