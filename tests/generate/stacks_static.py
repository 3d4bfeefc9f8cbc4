"""Sites that are really built: pages as they are, Hugo, MkDocs."""

from __future__ import annotations

from tests.generate.stacks import Application, Applications

PYTHON = {".python-version": "3.11\n"}  # the one that a stand-in for the image has
IMAGES = ("python:3.11-slim", "nginx:stable")

APPLICATIONS: Applications = {
    "pages without an index": (("nginx:stable",), {"home.html": "<p>one</p>", "about.html": "<p>about</p>"}),
    "hugo": Application(
        IMAGES,
        {
            **PYTHON,
            "hugo.toml": 'baseURL = "https://example.org/"\ntitle = "shop"\nenableGitInfo = true\n',
            "content/posts/first.md": "---\ntitle: first\n---\n\nfirst\n",
            "layouts/index.html": '{{ $style := resources.Get "main.scss" | toCSS }}'
            '<link rel="stylesheet" href="{{ $style.RelPermalink }}">\n'
            '<p>one</p>{{ range .Site.RegularPages }}<a href="{{ .Permalink }}">{{ .Title }}</a>{{ end }}\n',
            "layouts/_default/single.html": "<article>{{ .Content }}</article>\n",
            "layouts/404.html": "not here\n",
            "assets/main.scss": "$colour: red;\np { color: $colour; }\n",
        },
        source="layouts/index.html",
        compiled=True,
    ),
    "mkdocs": Application(
        IMAGES,
        {
            **PYTHON,
            "mkdocs.yml": "site_name: shop\ntheme:\n  name: material\nplugins:\n  - search\n  - minify:\n"
            "      minify_html: true\nmarkdown_extensions:\n  - pymdownx.emoji:\n"
            "      emoji_index: !!python/name:material.extensions.emoji.twemoji\n",
            "docs/index.md": "# Shop\n\none\n",
        },
        compiled=True,
    ),
    "mkdocs, a list of packages": Application(
        IMAGES,
        {
            **PYTHON,
            "mkdocs.yml": "site_name: shop\n",
            "docs/index.md": "# one\n",
            "requirements.txt": "mkdocs==1.6.1\n",
        },
        compiled=True,
    ),
    "zola": Application(
        ("debian:bookworm-slim", "nginx:stable"),
        {
            "config.toml": 'base_url = "https://example.org"\n',
            "content/_index.md": "+++\n+++\n",
            "templates/index.html": "<p>one</p>\n",
        },
        not_built="Zola is in no package of a registry, only in its project's image",
    ),
}
