"""Frameworks of Go: rows are found by module path, whatever its major version."""

from __future__ import annotations

from bot.detect.frameworks.model import Framework


def _go(name: str, *modules: str, port: int, weight: int, supersedes: tuple[str, ...] = ()) -> Framework:
    return Framework(name, "go", modules, supersedes=supersedes, port=port, weight=weight)


GO: tuple[Framework, ...] = (
    _go("gin", "github.com/gin-gonic/gin", "gopkg.in/gin-gonic/gin", port=8080, weight=30),
    _go("echo", "github.com/labstack/echo", port=8080, weight=30),
    _go("fiber", "github.com/gofiber/fiber", port=3000, weight=30, supersedes=("fasthttp",)),
    _go("beego", "github.com/beego/beego", "github.com/astaxie/beego", port=8080, weight=35),
    _go("chi", "github.com/go-chi/chi", "github.com/pressly/chi", port=8080, weight=20),
    _go("gorilla-mux", "github.com/gorilla/mux", port=8080, weight=18),
    _go("fasthttp", "github.com/valyala/fasthttp", port=8080, weight=10),
)
