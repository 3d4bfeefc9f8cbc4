"""Static files behind nginx, as a user without rights and on a port that needs none."""

from __future__ import annotations

from bot.detect.facts import StaticFacts
from bot.generate import images, write
from bot.generate.recipe import Lines, Recipe, environment, labels

CONFIGURATION = ".berth/nginx.conf"


def dockerfile(recipe: Recipe, facts: StaticFacts) -> tuple[str, list[str]]:
    """The Dockerfile, and why it looks like that."""
    out = Lines()
    out.add(write.comment("Static files served by nginx. Written by Berth; yours to keep and change."))
    nginx_stage(out, recipe, [write.copy([facts.folder or "."], "/usr/share/nginx/html/")], first=True)
    folder = f"the folder {facts.folder}" if facts.folder else "the repository"
    return out.render(), [f"{folder} is served by nginx as it is: {recipe.image(images.NGINX)}"]


def nginx_stage(out: Lines, recipe: Recipe, copies: list[str], *, first: bool = False) -> None:
    """The final stage: files, configuration, and a command that fills in the port."""
    lines = [f"FROM {recipe.image(images.NGINX)}", *labels(recipe)]
    if first:
        out.add(*lines)
    else:
        out.part(*lines)
    out.add(write.copy([CONFIGURATION], "/etc/nginx/berth.conf"))
    # the image's own pages would answer where a site has none
    out.add("RUN rm -rf /usr/share/nginx/html && mkdir -p /usr/share/nginx/html", *copies)
    out.add(*environment([("PORT", str(recipe.port))]), "USER " + images.USER, f"EXPOSE {recipe.port}")
    out.add(write.comment("no HEALTHCHECK: the image has no program for it; the platform probes from outside"))
    start = (
        f'sed "s/listen {recipe.port};/listen ${{PORT}};/" /etc/nginx/berth.conf >/tmp/nginx.conf'
        " && exec nginx -e stderr -c /tmp/nginx.conf"
    )
    out.add("STOPSIGNAL SIGQUIT", f"CMD {write.words(['/bin/sh', '-c', start])}")


def nginx_configuration(
    recipe: Recipe,
    *,
    spa: bool,
    hashed: tuple[str, ...],
    not_found_page: str | None,
    first_page: str = "",
    fallback: str = "/index.html",
) -> str:
    """A whole nginx.conf that needs no root, writes only below /tmp, and serves no hidden file.

    ``spa``: unknown paths belong to the page ``fallback``.
    ``hashed``: folders of files that are named after their content.
    ``first_page``: what answers for a folder that has no index.html.
    https://nginx.org/en/docs/http/ngx_http_core_module.html#try_files
    """
    lines = _HEAD.splitlines()
    names = "|".join(hashed)
    lines += [
        "    map $uri $caching {",
        "        default no-cache;  # ask each time; unchanged files are not sent again",
    ]
    if hashed:
        lines.append("        # names with a hash of their content never change")
        lines.append(f'        "~^/({names})/" "public, max-age=31536000, immutable";')
    lines += ["    }", "", "    server {", f"        listen {recipe.port};", "        root /usr/share/nginx/html;"]
    index = "index.html index.htm"
    if first_page and write.plain_path(first_page):
        index += f" {first_page}"
    lines += [f"        index {index};"]
    if not_found_page:
        lines.append(f"        error_page 404 {not_found_page};")
    lines += ["        add_header Cache-Control $caching;", "        add_header X-Content-Type-Options nosniff;", ""]
    if spa:
        lines += ["        # paths without a file belong to the application's own router"]
        lines += ["        location / {", f"            try_files $uri $uri/ {fallback};", "        }"]
    else:
        lines += ["        location / {", "            try_files $uri $uri.html $uri/ =404;", "        }"]
    if hashed:
        lines += ["", "        # a missing script must not be answered with a page"]
        lines += [f"        location ~ ^/({names})/ {{", "            try_files $uri =404;", "        }"]
    return "\n".join([*lines, *_TAIL.splitlines()]) + "\n"


_HEAD = """\
# Written by Berth; yours to keep and change.
worker_processes 2;
daemon off;
pid /tmp/nginx.pid;
error_log stderr;

events {
    worker_connections 1024;
}

http {
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    access_log /dev/stdout;
    server_tokens off;
    sendfile on;
    absolute_redirect off;  # the port in here is not the one outside

    # the only folder that an unprivileged user can write to
    client_body_temp_path /tmp/client_body;
    proxy_temp_path /tmp/proxy;
    fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi;
    scgi_temp_path /tmp/scgi;

    gzip on;
    gzip_vary on;
    gzip_min_length 1024;
    gzip_types text/css text/plain text/xml text/javascript application/javascript application/json application/xml
               application/manifest+json application/wasm image/svg+xml;
"""
_TAIL = """
        # hidden files are not for the public, except those of RFC 8615
        location ~ /\\.(?!well-known/) {
            return 404;
        }
    }
}
"""
