"""Frameworks that decide by their own configuration whether they serve or only write files."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable

from bot.detect.frameworks import Framework
from bot.detect.js_config import find_setting, top_setting
from bot.detect.model import Evidence
from bot.detect.scan import Scan, table, text_of
from bot.detect.stacks import node_frontend as frontend
from bot.detect.stacks.node_frontend import Serving, config, safe, seen_setting
from bot.detect.stacks.node_package import Package
from bot.detect.stacks.node_start import Start

_EVERYWHERE = "0.0.0.0"  # noqa: S104 - a server in a container has to listen on all addresses
_HOST = (("HOST", _EVERYWHERE),)
_PREVIEW = "vite preview --host 0.0.0.0 --port ${PORT}"
_ELSEWHERE = re.compile(r"@(?:sveltejs/adapter|astrojs/|astro)-?(vercel|netlify|cloudflare[\w-]*)")


def decide(scan: Scan, package: Package, framework: Framework | None, start: Start | None) -> Serving:
    """Server or files, from the framework's own configuration."""
    if framework is None:
        return frontend.plain(scan, package, start)
    if framework.name in _OWN:
        return _OWN[framework.name](scan, package, start)
    if not framework.serves and not frontend.own_server(start):
        return frontend.files(scan, package, framework, start)
    return Serving()


def _next(scan: Scan, package: Package, start: Start | None) -> Serving:
    path, code = config(scan, package, "next.config")
    output, dist_setting = top_setting(code, "output"), top_setting(code, "distDir")
    dist = safe(dist_setting.value if dist_setting else "", ".next")
    telemetry = (("NEXT_TELEMETRY_DISABLED", "1"),)
    exported = re.search(r"\bnext export\b", package.scripts.get("build", "")) is not None
    if exported or (output and output.value == "export"):
        folder = dist if dist != ".next" and not exported else "out"
        says = "Next.js writes files, it does not serve"
        seen = seen_setting(scan, path, output, says) if output else scan.seen(package.path, "next export", says)
        return Serving("static", folder, build_environment=telemetry, evidence=[seen])
    host = (("HOSTNAME", _EVERYWHERE),)
    if output and output.value == "standalone" and not _custom_server(start):
        says = "Next.js writes a server with only the packages that it needs"
        return Serving(
            "next-standalone",
            start=f"node {posixpath.join(package.folder, 'server.js')}",
            build_environment=telemetry,
            environment=host,
            dist_folder=dist,
            evidence=[seen_setting(scan, path, output, says)],
        )
    if not _custom_server(start):
        scan.warn('Next.js makes a much smaller image with output: "standalone" in next.config')
    return Serving(build_environment=telemetry, environment=host, dist_folder=dist)


def _custom_server(start: Start | None) -> bool:
    """Whether a server of the repository's own stands around Next.js."""
    entry = start.entry if start and frontend.own_server(start) else None
    return bool(entry and not entry.startswith((".next", "./.next")) and "standalone" not in entry)


def _nuxt(scan: Scan, package: Package, start: Start | None) -> Serving:
    path, code = config(scan, package, "nuxt.config")
    scripts = package.scripts
    old = re.match(r"[\^~>=v]*2\b", package.all.get("nuxt", "")) is not None or "nuxt-edge" in package.all
    ssr, target, preset = top_setting(code, "ssr"), top_setting(code, "target"), find_setting(code, "nitro", "preset")
    generated = re.search(r"\b(nuxt|nuxi) generate\b", scripts.get("build", "")) is not None
    generated = generated or ("generate" in scripts and "build" not in scripts)
    written = target is not None and target.value == "static"
    written = written or bool(preset and preset.value in ("static", "github-pages", "github_pages"))
    if generated or written or (ssr and ssr.value == "false"):
        named = target if written and target else ssr
        says = "Nuxt writes files only"
        seen = seen_setting(scan, path, named, says) if named and path else scan.seen(package.path, "generate", says)
        names = ("generate",) if "generate" in scripts and not generated else ("build", "generate") if generated else ()
        folder = "dist" if old else ".output/public"
        spa = bool(ssr and ssr.value == "false")
        return Serving("static", folder, spa=spa, fallback="/200.html", build_scripts=names, evidence=[seen])
    if old:
        own = frontend.own_server(start)
        return Serving(start=None if own else "nuxt start", environment=(*_HOST, ("NUXT_HOST", _EVERYWHERE)))
    return Serving(
        "nitro",
        start="node .output/server/index.mjs",
        environment=(*_HOST, ("NITRO_HOST", _EVERYWHERE)),
        build_environment=(("NITRO_PRESET", "node-server"),),
    )


def _nitro(_scan: Scan, _package: Package, _start: Start | None) -> Serving:
    return Serving(
        "nitro",
        start="node .output/server/index.mjs",
        environment=_HOST,
        build_environment=(("NITRO_PRESET", "node-server"),),
    )


def _tanstack(scan: Scan, package: Package, start: Start | None) -> Serving:
    brings = ("nitro", "nitropack", "vinxi", "@tanstack/nitro-v2-vite-plugin", "@tanstack/start")
    if any(name in package.all for name in brings) or (start and ".output/" in start.text):
        return _nitro(scan, package, start)
    if frontend.own_server(start):
        return Serving(environment=_HOST)
    scan.warn("TanStack Start is served by Vite's preview: add the plugin nitro() for a server without it")
    return Serving(start=_PREVIEW, environment=_HOST)


def _sveltekit(scan: Scan, package: Package, start: Start | None) -> Serving:
    path, code = config(scan, package, "svelte.config")
    if "@sveltejs/adapter-static" in code:
        fallback, pages = find_setting(code, "fallback"), find_setting(code, "pages")
        spa = fallback is not None and fallback.value not in ("404.html", "false")
        return Serving(
            "static",
            safe(pages.value if pages else "", "build"),
            spa=spa,
            fallback=_page(fallback.value) if fallback and spa else "/index.html",
            evidence=[scan.seen(path, "@sveltejs/adapter-static", "SvelteKit writes files only")],
        )
    if "@sveltejs/adapter-node" in code:
        out = find_setting(code, "out")
        seen = scan.seen(path, "@sveltejs/adapter-node", "SvelteKit writes a Node server")
        start_command = None if frontend.own_server(start) else f"node {safe(out.value if out else '', 'build')}"
        return Serving(start=start_command, environment=_HOST, evidence=[seen])
    if elsewhere := _ELSEWHERE.search(code):
        scan.warn(
            f"SvelteKit's adapter is made for {elsewhere[1]}, so Vite's preview serves it:"
            " name @sveltejs/adapter-node in svelte.config.js"
        )
        return Serving(start=_PREVIEW, environment=_HOST)
    # adapter-auto takes adapter-node where it sees this variable (packages/adapter-auto/adapters.js of SvelteKit)
    scan.warn(
        "SvelteKit's adapter-auto is made to choose adapter-node; name @sveltejs/adapter-node in svelte.config.js"
    )
    return Serving(start="node build", environment=_HOST, build_environment=(("GCP_BUILDPACKS", "1"),))


def _page(name: str) -> str:
    """A page of the output; what a server's configuration could misread is not one."""
    return f"/{name.lstrip('/')}" if re.fullmatch(r"/?[\w-][\w./-]{0,80}", name) else "/index.html"


def _astro(scan: Scan, package: Package, start: Start | None) -> Serving:
    path, code = config(scan, package, "astro.config")
    out, output = top_setting(code, "outDir"), top_setting(code, "output")
    folder = safe(out.value if out else "", "dist")
    if "@astrojs/node" in code:
        seen = scan.seen(path, "@astrojs/node", "Astro writes a Node server")
        own = frontend.own_server(start)
        return Serving(start=None if own else f"node {folder}/server/entry.mjs", environment=_HOST, evidence=[seen])
    elsewhere = _ELSEWHERE.search(code)
    if output and output.value in ("server", "hybrid"):
        made_for = f" is made for {elsewhere[1]}" if elsewhere else " is missing"
        scan.warn(f"Astro's adapter{made_for}: its pages are rendered on demand; run `npx astro add node`")
    return Serving("static", folder)


def _react_router(scan: Scan, package: Package, _start: Start | None) -> Serving:
    path, code = config(scan, package, "react-router.config")
    ssr, build = top_setting(code, "ssr"), top_setting(code, "buildDirectory")
    if ssr and ssr.value == "false":
        fallback = "/__spa-fallback.html" if re.search(r"\bprerender\b", code) else "/index.html"
        folder = f"{safe(build.value if build else '', 'build')}/client"
        seen = seen_setting(scan, path, ssr, "React Router writes files only")
        return Serving("static", folder, spa=True, fallback=fallback, evidence=[seen])
    return Serving(environment=_HOST)


def _remix(scan: Scan, package: Package, _start: Start | None) -> Serving:
    path, code = config(scan, package, "vite.config")
    ssr = find_setting(code, "ssr")
    if ssr and ssr.value == "false":
        seen = seen_setting(scan, path, ssr, "Remix writes files only")
        return Serving("static", "build/client", spa=True, evidence=[seen])
    return Serving(environment=_HOST)


def _angular(scan: Scan, package: Package, start: Start | None) -> Serving:
    """``outputPath`` of the default project; the application builder writes to ``browser`` and ``server`` in it."""
    path = package.in_folder("angular.json")
    name, options, kind = _angular_build(scan, package, path)
    output = options.get("outputPath")
    base = text_of(output) or text_of(table(output).get("base")) or f"dist/{name}"
    parts = table(output)
    browser = text_of(parts["browser"]) if "browser" in parts else "browser"
    modern = kind.endswith(":application")
    rendered = modern and bool(options.get("ssr")) and text_of(options.get("outputMode")) != "static"
    own = frontend.own_server(start) and start is not None and "server" in (start.entry or "")
    rendered = rendered or bool(own and "@angular/platform-server" in package.all)
    if rendered and not (own and start and scan.has(package.in_folder(start.entry or ""))):
        server = posixpath.join(safe(base, "dist"), text_of(parts.get("server")) or "server")
        seen = scan.seen(path, '"ssr"', "Angular renders on the server") if scan.has(path) else None
        command = None if own else f"node {server}/server.mjs"
        # https://angular.dev/guide/ssr: it answers only to the names that it is told, or to all of them
        hosts = (("NG_ALLOWED_HOSTS", "*"),)
        return Serving(start=command, environment=hosts, evidence=[seen] if seen else [])
    if own:
        return Serving()
    folder = posixpath.join(base, browser) if modern and browser else base
    says = "the output path of the Angular project"
    evidence: list[Evidence] = [scan.seen(path, text_of(output) or name, says)] if scan.has(path) else []
    return Serving("static", safe(folder, "dist"), spa=True, evidence=evidence)


def _angular_build(scan: Scan, package: Package, path: str) -> tuple[str, dict[str, object], str]:
    """Name of the project that is the application, the options of its build, and its builder."""
    projects = table((scan.json(path) or {}).get("projects")) if scan.has(path) else {}
    default = text_of((scan.json(path) or {}).get("defaultProject")) if scan.has(path) else ""
    applications = [key for key in sorted(projects) if table(projects[key]).get("projectType") == "application"]
    name = default if default in projects else next(iter(applications or sorted(projects)), "")
    project = table(projects.get(name))
    build = table((table(project.get("architect")) or table(project.get("targets"))).get("build"))
    named = name or text_of(package.data.get("name")) or "app"
    return named, dict(table(build.get("options"))), text_of(build.get("builder"))


_OWN: dict[str, Callable[[Scan, Package, Start | None], Serving]] = {
    "next.js": _next,
    "nuxt": _nuxt,
    "nitro": _nitro,
    "solidstart": _nitro,
    "tanstack-start": _tanstack,
    "sveltekit": _sveltekit,
    "astro": _astro,
    "react-router": _react_router,
    "remix": _remix,
    "angular": _angular,
}
