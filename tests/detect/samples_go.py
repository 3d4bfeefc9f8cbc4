"""Go repositories, traps included."""

from __future__ import annotations

from tests.detect.samples_basic import Sample, package

GIN = (
    "module example.com/shop\n\ngo 1.24\n\n"
    "require (\n\tgithub.com/gin-gonic/gin v1.10.0\n\tgithub.com/x/y v1.0.0 // indirect\n)\n"
)
PLAIN = "module example.com/shop\n\ngo 1.22\n"
HTTP = 'package main\n\nimport "net/http"\n\nfunc main() {\n\thttp.ListenAndServe(":9090", nil)\n}\n'
TOOL = 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("x") }\n'


def main(*imports: str, body: str = "") -> str:
    listed = "".join(f'\t"{name}"\n' for name in imports)
    return f"package main\n\nimport (\n{listed})\n\nfunc main() {{\n{body}\n}}\n"


def module(*requirements: str, go: str = "1.24") -> str:
    return f"module example.com/shop\n\ngo {go}\n\n" + "".join(f"require {one}\n" for one in requirements)


GO: dict[str, Sample] = {
    "go: gin": Sample(
        {"go.mod": GIN, "go.sum": "x\n", "main.go": main("github.com/gin-gonic/gin", body="\tgin.Default().Run()")},
        {"stack": "go", "framework": "gin", "package_manager": "go", "port": 8080, "start_command": "/app/shop"},
    ),
    "go: echo of a later major version": Sample(
        {
            "go.mod": module("github.com/labstack/echo/v4 v4.12.0"),
            "main.go": main("github.com/labstack/echo/v4", body='\te := echo.New()\n\te.Start(":1323")'),
        },
        {"framework": "echo", "port": 1323},
    ),
    "go: fiber stands on fasthttp": Sample(
        {
            "go.mod": module("github.com/gofiber/fiber/v2 v2.52.5", "github.com/valyala/fasthttp v1.55.0"),
            "main.go": main("github.com/gofiber/fiber/v2", body='\tfiber.New().Listen(":3000")'),
        },
        {"framework": "fiber", "port": 3000},
    ),
    "go: chi in cmd/server": Sample(
        {
            "go.mod": module("github.com/go-chi/chi/v5 v5.1.0"),
            "cmd/server/main.go": main("net/http", "github.com/go-chi/chi/v5"),
            "cmd/migrate/main.go": TOOL,
        },
        {"framework": "chi", "start_command": "/app/server", "build_command": "go build -o /out/server ./cmd/server"},
    ),
    "go: gorilla mux": Sample(
        {"go.mod": module("github.com/gorilla/mux v1.8.1"), "main.go": main("net/http", "github.com/gorilla/mux")},
        {"framework": "gorilla-mux"},
    ),
    "go: beego": Sample(
        {"go.mod": module("github.com/beego/beego/v2 v2.3.0"), "main.go": main("github.com/beego/beego/v2/server/web")},
        {"framework": "beego"},
    ),
    "go: fasthttp alone": Sample(
        {"go.mod": module("github.com/valyala/fasthttp v1.55.0"), "main.go": main("github.com/valyala/fasthttp")},
        {"framework": "fasthttp"},
    ),
    "go: an indirect requirement is no framework": Sample(
        {"go.mod": module("github.com/gin-gonic/gin v1.10.0 // indirect"), "main.go": HTTP},
        {"stack": "go", "framework": None, "port": 9090},
    ),
    "go: a mark that nobody tidied, and a package that imports it": Sample(
        {
            "go.mod": module("github.com/valyala/fasthttp v1.55.0 // indirect", "example.com/own v1.0.0"),
            "main.go": main("example.com/shop/server", body="\tserver.Run()"),
            "server/server.go": 'package server\n\nimport "github.com/valyala/fasthttp"\n\nfunc Run() {}\n',
        },
        {"framework": "fasthttp"},
    ),
    "go: a look-alike": Sample(
        {"go.mod": module("github.com/gin-gonic/gin-extras v1.0.0"), "main.go": HTTP}, {"framework": None}
    ),
    "go: the one that the program imports": Sample(
        {
            "go.mod": module("github.com/gin-gonic/gin v1.10.0", "github.com/labstack/echo/v4 v4.12.0"),
            "main.go": main("github.com/labstack/echo/v4"),
        },
        {"framework": "echo"},
    ),
    "go: net/http": Sample({"go.mod": PLAIN, "main.go": HTTP}, {"stack": "go", "framework": None, "port": 9090}),
    "go: without a module": Sample(
        {"main.go": HTTP}, {"stack": "go", "package_manager": "go", "start_command": "/app/app"}
    ),
    "go: a module without a program": Sample(
        {"go.mod": PLAIN, "shop.go": "package shop\n"}, {"stack": "go", "facts": None}
    ),
    "go: tests and generators are no programs": Sample(
        {
            "go.mod": PLAIN,
            "main_test.go": "package main\n\nfunc main() {}\n",
            "gen.go": "//go:build ignore\n\npackage main\n\nfunc main() {}\n",
            "tools/x/main.go": TOOL,
            "cmd/api/main.go": HTTP,
        },
        {"start_command": "/app/api"},
    ),
    "go: the one that serves": Sample(
        {"go.mod": PLAIN, "cmd/importer/main.go": TOOL, "cmd/shopd/main.go": HTTP, "cmd/zzz/main.go": TOOL},
        {"start_command": "/app/shopd"},
    ),
    "go: the Procfile names the program": Sample(
        {"go.mod": PLAIN, "Procfile": "web: bin/importer\n", "cmd/importer/main.go": TOOL, "cmd/server/main.go": HTTP},
        {"start_command": "/app/importer"},
    ),
    "go: a daemon among its tools": Sample(
        {
            "go.mod": PLAIN,
            "cmd/shop/main.go": TOOL,
            "cmd/shop-preview/main.go": HTTP,
            "cmd/shopd/main.go": TOOL,
        },
        {"start_command": "/app/shopd"},
    ),
    "go: a port of a flag": Sample(
        {
            "go.mod": PLAIN,
            "main.go": 'package main\n\nimport "net/http"\n\nfunc main() {\n'
            '\taddr := flag.String("addr", ":4000", "where")\n\thttp.ListenAndServe(*addr, nil)\n}\n',
        },
        {"port": 4000},
    ),
    "go: a port of a listener": Sample(
        {
            "go.mod": PLAIN,
            "main.go": 'package main\n\nimport "net/http"\n\nfunc main() {\n'
            '\tl, _ := net.Listen("tcp", "0.0.0.0:5151")\n\thttp.Serve(l, nil)\n}\n',
        },
        {"port": 5151},
    ),
    "go: a port of its settings": Sample(
        {"go.mod": PLAIN, "main.go": TOOL, "config.toml.sample": '[app]\naddress = "localhost:9000"\n'}, {"port": 9000}
    ),
    "go: a port of its settings, and those of databases": Sample(
        {
            "go.mod": PLAIN,
            "main.go": TOOL,
            "config/config.json": '{"Database": {"Port": 3306}, "Mail": {"port": 587}, "Server": {"HTTPPort": 8123}}',
        },
        {"port": 8123},
    ),
    "go: copies of godep": Sample(
        {
            "cmd/shop/main.go": HTTP.replace(
                'import "net/http"', 'import "example.com/shop/Godeps/_workspace/src/github.com/gin-gonic/gin"'
            ),
            "Godeps/Godeps.json": "{}",
        },
        {"stack": "go", "framework": "gin"},
    ),
    "go: arguments of the Procfile": Sample(
        {"go.mod": PLAIN, "Procfile": "web: bin/shop serve --port=$PORT\n", "main.go": HTTP},
        {"start_command": "/app/shop serve --port=$PORT"},
    ),
    "go: the Procfile's name for the only program": Sample(
        {"go.mod": PLAIN, "Procfile": "web: ./bin/main serve\n", "main.go": HTTP}, {"start_command": "/app/shop serve"}
    ),
    "go: a script of the Procfile is no program": Sample(
        {"go.mod": PLAIN, "Procfile": "web: ./bin/start\n", "bin/start": "#!/bin/sh\n", "main.go": HTTP},
        {"start_command": "/app/shop"},
    ),
    "go: toolchain goes before go": Sample(
        {"go.mod": "module m\ngo 1.22\ntoolchain go1.27.1\n", "main.go": HTTP}, {"language_version": "1.27"}
    ),
    "go: an older module is built by a newer compiler": Sample(
        {"go.mod": module(go="1.17"), "main.go": HTTP}, {"language_version": "1.26"}
    ),
    "go: services by dependency": Sample(
        {
            "go.mod": module("github.com/jackc/pgx/v5 v5.7.1", "github.com/redis/go-redis/v9 v9.7.0"),
            "main.go": HTTP,
        },
        {"services": ("postgresql", "redis")},
    ),
    "go: a required key": Sample(
        {
            "go.mod": PLAIN,
            "main.go": HTTP,
            "config.go": 'package main\n\ntype C struct {\n\tKey string `env:"API_KEY,required"`\n}\n',
        },
        {"required_env": ("API_KEY",)},
    ),
    "go: a front end in its repository": Sample(
        {"go.mod": GIN, "main.go": HTTP, "web/package.json": package({"react": "18"}), "web/index.html": ""},
        {"stack": "go", "framework": "gin"},
    ),
    "go: asset tools beside it": Sample(
        {"go.mod": GIN, "main.go": HTTP, "package.json": package(dev={"tailwindcss": "3"})}, {"stack": "go"}
    ),
    "go: CRLF and a byte order mark": Sample(
        {"go.mod": ("\ufeff" + GIN).replace("\n", "\r\n"), "main.go": HTTP.replace("\n", "\r\n")},
        {"stack": "go", "framework": "gin"},
    ),
    "go: UTF-16": Sample({"go.mod": GIN.encode("utf-16"), "main.go": HTTP}, {"framework": "gin"}),
    "go: a broken go.mod": Sample({"go.mod": "module\nrequire (\n\x01 ((\n", "main.go": HTTP}, {"stack": "go"}),
    "go: a workspace": Sample(
        {
            "go.work": "go 1.24\n\nuse (\n\t./api\n\t./lib\n)\n",
            "api/go.mod": "module example.com/api\n\ngo 1.24\n",
            "api/main.go": HTTP,
            "lib/go.mod": "module example.com/lib\n",
            "lib/lib.go": "package lib\n",
        },
        {"stack": "go", "build_command": "go build -o /out/api ./api"},
    ),
    "go: in a folder": Sample(
        {"README.md": "", "backend/go.mod": GIN, "backend/main.go": HTTP}, {"stack": "go", "root": "backend"}
    ),
    "go: a Dockerfile above it": Sample(
        {"Dockerfile": 'FROM scratch\nCOPY x /x\nCMD ["/x"]\n', "go.mod": GIN, "main.go": HTTP},
        {"stack": "dockerfile", "underlying_stack": "go", "framework": "gin"},
    ),
    "go: a start command that needs a shell": Sample(
        {
            "go.mod": PLAIN,
            "main.go": HTTP,
            "templates/index.html": "",
            "view.go": 'package main\n\nvar f = "templates/x"\n',
        },
        {"start_command": "/app/shop -v && true"},
        {"start_command": "/app/shop -v && true"},
    ),
    "go: SQLite needs a C compiler": Sample(
        {"go.mod": module("github.com/mattn/go-sqlite3 v1.14.24"), "go.sum": "x\n", "main.go": HTTP}, {"stack": "go"}
    ),
    "go: vendored": Sample(
        {"go.mod": GIN, "go.sum": "", "vendor/modules.txt": "# x\n", "vendor/a/main.go": TOOL, "main.go": HTTP},
        {"stack": "go", "start_command": "/app/shop"},
    ),
}
