"""Packages of PyPI that mkdocs.yml names by their plugins, themes and extensions, where no manifest lists them.

This table is the one place to update; versions are those of 2026-10. MkDocs itself has the plugin ``search`` and the
themes ``mkdocs`` and ``readthedocs``; Material brings its own plugins.
"""

from __future__ import annotations

MKDOCS = "mkdocs==1.6.1"
MATERIAL = "mkdocs-material==9.8.1"
EXTENSIONS = "pymdown-extensions==13.1"

THEMES = {
    "material": MATERIAL,
    "bootswatch": "mkdocs-bootswatch==1.1",
    "cerulean": "mkdocs-bootswatch==1.1",
    "cosmo": "mkdocs-bootswatch==1.1",
    "flatly": "mkdocs-bootswatch==1.1",
    "windmill": "mkdocs-windmill==1.0.5",
    "cinder": "mkdocs-cinder==1.2.0",
    "gitbook": "mkdocs-gitbook==0.0.1",
    "ivory": "mkdocs-ivory==0.4.6",
    "rtd-dropdown": "mkdocs-rtd-dropdown==1.0.2",
    "terminal": "mkdocs-terminal==4.8.0",
    "shadcn": "mkdocs-shadcn==0.12.2",
    "dracula": "mkdocs-dracula-theme==1.1.0",
}
# the plugins that Material brings
OF_MATERIAL = frozenset(
    {"blog", "tags", "social", "offline", "privacy", "meta", "optimize", "info", "group", "typeset"}
)
PLUGINS = {
    "minify": "mkdocs-minify-plugin==0.8.0",
    "awesome-pages": "mkdocs-awesome-pages-plugin==2.10.1",
    "macros": "mkdocs-macros-plugin==1.5.0",
    "redirects": "mkdocs-redirects==1.2.3",
    "include-markdown": "mkdocs-include-markdown-plugin==7.3.0",
    "glightbox": "mkdocs-glightbox==0.5.3",
    "section-index": "mkdocs-section-index==0.3.12",
    "literate-nav": "mkdocs-literate-nav==0.6.3",
    "gen-files": "mkdocs-gen-files==0.6.1",
    "autorefs": "mkdocs-autorefs==1.4.5",
    "monorepo": "mkdocs-monorepo-plugin==1.1.2",
    "techdocs-core": "mkdocs-techdocs-core==1.7.1",
    "exclude": "mkdocs-exclude==1.0.2",
    "table-reader": "mkdocs-table-reader-plugin==4.0.2",
    "mermaid2": "mkdocs-mermaid2-plugin==1.2.3",
    "rss": "mkdocs-rss-plugin==1.19.0",
    "swagger-ui-tag": "mkdocs-swagger-ui-tag==0.8.1",
    "mkdocstrings": "mkdocstrings[python]==1.0.8",
    "git-revision-date-localized": "mkdocs-git-revision-date-localized-plugin==1.6.3",
    "git-revision-date": "mkdocs-git-revision-date-plugin==0.3.2",
    "git-authors": "mkdocs-git-authors-plugin==0.10.0",
    "git-committers": "mkdocs-git-committers-plugin-2==2.5.0",
    "i18n": "mkdocs-static-i18n==1.3.1",
    "mkdocs-jupyter": "mkdocs-jupyter==0.27.0",
    "encryptcontent": "mkdocs-encryptcontent-plugin==3.1.0",
    "print-site": "mkdocs-print-site-plugin==2.9",
    "drawio": "mkdocs-drawio==1.16.3",
    "kroki": "mkdocs-kroki-plugin==1.8.0",
    "panzoom": "mkdocs-panzoom-plugin==0.5.3",
    "roamlinks": "mkdocs-roamlinks-plugin==0.3.2",
    "ezlinks": "mkdocs-ezlinks-plugin==0.1.14",
    "callouts": "mkdocs-callouts==1.17.1",
    "markdownextradata": "mkdocs-markdownextradata-plugin==0.2.6",
    "simple": "mkdocs-simple-plugin==4.0.2",
    "open-in-new-tab": "mkdocs-open-in-new-tab==1.0.8",
    "multirepo": "mkdocs-multirepo-plugin==0.8.3",
    "same-dir": "mkdocs-same-dir==0.1.5",
    "img2fig": "mkdocs-img2fig-plugin==0.9.3",
    "nav-weight": "mkdocs-nav-weight==0.3.0",
    "markdown-exec": "markdown-exec==1.12.6",
    "mike": "mike==2.2.0",
    "bibtex": "mkdocs-bibtex==4.4.0",
    "alias": "mkdocs-alias-plugin==0.12.0",
    "caption": "mkdocs-caption==1.3.0",
    "meta-descriptions": "mkdocs-meta-descriptions-plugin==4.1.0",
    "badges": "mkdocs-badges==0.6.0",
    "mkdocs-video": "mkdocs-video==1.5.0",
}
# extensions of Markdown by the first part of their name
MARKDOWN = {
    "pymdownx": EXTENSIONS,
    "mdx_truly_sane_lists": "mdx-truly-sane-lists==1.3",
    "markdown_include": "markdown-include==0.8.1",
    "mkdocs-click": "mkdocs-click==0.9.0",
    "callouts": "markdown-callouts==0.4.0",
    "mdx_math": "python-markdown-math==0.9",
}
NEED_HISTORY = frozenset({"git-revision-date-localized", "git-revision-date", "git-authors", "git-committers"})
