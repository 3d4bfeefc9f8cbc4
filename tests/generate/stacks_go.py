"""Programs in Go that are really built."""

from __future__ import annotations

from tests.generate.stacks import Applications, Files

IMAGES = ("golang:1.26-bookworm",)
GO_MODULE = "module example.com/shop\n\ngo 1.24\n"
GO_PAGES = """\
package main

import (
	"io/fs"
	"net/http"
	"os"

	"example.com/shop/web"
)

func main() {
	pages, _ := fs.Sub(web.Dist, "dist")
	http.Handle("/", http.FileServer(http.FS(pages)))
	http.ListenAndServe(":"+os.Getenv("PORT"), nil)
}
"""
FRONT_END = '{"name": "web", "private": true, "scripts": {"build": "node build.mjs"}}\n'
BUILD = (
    "import { copyFileSync, mkdirSync } from 'node:fs'\n"
    "mkdirSync('dist', { recursive: true })\ncopyFileSync('page.html', 'dist/index.html')\n"
)
GO_HTTP = """\
package main

import (
	"fmt"
	"net/http"
	"os"
	"time"
)

func main() {
	page, _ := os.ReadFile("templates/page.html")
	zone, err := time.LoadLocation("Europe/Berlin")
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "one ", string(page), zone, err)
	})
	http.ListenAndServe(":"+os.Getenv("PORT"), nil)
}
"""


def go_server(module: str, code: str) -> Files:
    """A program in cmd/server that needs one module; go.sum is made by the build."""
    return {"go.mod": f"{GO_MODULE}\nrequire {module}\n", "cmd/server/main.go": code}


APPLICATIONS: Applications = {
    "go, net/http": (
        IMAGES,
        {"go.mod": GO_MODULE, "main.go": GO_HTTP, "templates/page.html": "<p>page</p>\n"},
    ),
    "go, with a release and a worker of the Procfile": (
        IMAGES,
        {
            "go.mod": GO_MODULE,
            "cmd/server/main.go": GO_HTTP,
            "cmd/worker/main.go": 'package main\n\nimport "time"\n\nfunc main() { time.Sleep(time.Hour) }\n',
            "cmd/migrate/main.go": 'package main\n\nimport "os"\n\nfunc main() {\n'
            '\tif len(os.Args) != 2 || os.Args[1] != "up" {\n\t\tos.Exit(1)\n\t}\n}\n',
            "templates/page.html": "<p>page</p>\n",
            "Procfile": "web: bin/server\nworker: bin/worker\nrelease: bin/migrate up\n",
        },
    ),
    "go, with a front end that it embeds": (
        (*IMAGES, "node:22-slim"),
        {
            "go.mod": GO_MODULE,
            "cmd/server/main.go": GO_PAGES,
            "web/embed.go": 'package web\n\nimport "embed"\n\n//go:embed all:dist\nvar Dist embed.FS\n',
            "web/package.json": FRONT_END,
            "web/build.mjs": BUILD,
            "web/page.html": "one",
        },
    ),
    "go, without a module": (IMAGES, {"main.go": GO_HTTP}),
    "gin": (
        IMAGES,
        go_server(
            "github.com/gin-gonic/gin v1.10.0",
            'package main\n\nimport "github.com/gin-gonic/gin"\n\nfunc main() {\n\tr := gin.New()\n'
            '\tr.GET("/", func(c *gin.Context) { c.String(200, "one") })\n\tr.Run()\n}\n',
        ),
    ),
    "echo": (
        IMAGES,
        go_server(
            "github.com/labstack/echo/v4 v4.12.0",
            'package main\n\nimport (\n\t"os"\n\n\t"github.com/labstack/echo/v4"\n)\n\nfunc main() {\n'
            "\te := echo.New()\n"
            '\te.GET("/", func(c echo.Context) error { return c.String(200, "one") })\n'
            '\te.Start(":" + os.Getenv("PORT"))\n}\n',
        ),
    ),
    "chi": (
        IMAGES,
        go_server(
            "github.com/go-chi/chi/v5 v5.1.0",
            'package main\n\nimport (\n\t"net/http"\n\t"os"\n\n\t"github.com/go-chi/chi/v5"\n)\n\nfunc main() {\n'
            "\tr := chi.NewRouter()\n"
            '\tr.Get("/", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("one")) })\n'
            '\thttp.ListenAndServe(":"+os.Getenv("PORT"), r)\n}\n',
        ),
    ),
}
