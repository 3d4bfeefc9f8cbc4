"""Pages and sites that a generator makes, traps included."""

from __future__ import annotations

from tests.detect.samples_basic import FLASK_APP, Sample, package

HUGO: dict[str, str | bytes] = {
    "hugo.toml": 'baseURL = "https://example.org/"\ntitle = "x"\ntheme = "plain"\n',
    "content/posts/one.md": "---\ntitle: one\n---\n",
    "layouts/index.html": "one",
}
HUGO_IS = {
    "stack": "static",
    "framework": "hugo",
    "package_manager": None,
    "port": 8080,
    "start_command": None,
    "build_command": "hugo --gc --minify",
    "output_dir": "public",
}
MKDOCS = "site_name: x\ntheme:\n  name: material\n  palette:\n    primary: !ENV [COLOR, blue]\nplugins:\n  - search\n"

SITES: dict[str, Sample] = {
    "hugo": Sample(HUGO, HUGO_IS),
    "hugo: the older config.toml": Sample(
        {
            "config.toml": 'baseURL = "https://example.org/"\n',
            "archetypes/default.md": "",
            "content/a.md": "",
            ".gitmodules": '[submodule "themes/x"]\n\tpath = themes/x\n\turl = https://github.com/someone/x.git\n',
        },
        HUGO_IS | {"language_version": "0.168.0"},
    ),
    "hugo: config.yaml": Sample(
        {"config.yaml": "baseURL: /\ntheme: x\n", "content/a.md": "", "themes/x/theme.toml": "", "static/x.css": ""},
        HUGO_IS,
    ),
    "hugo: a folder of configuration": Sample(
        {"config/_default/hugo.yaml": "title: x\npublishDir: dist/site\n", "content/a.md": ""},
        HUGO_IS | {"output_dir": "dist/site"},
    ),
    "hugo: PostCSS and modules beside it": Sample(
        {
            **HUGO,
            "go.mod": "module example.com/x\n\ngo 1.22\n\nrequire github.com/imfing/hextra v0.9.0 // indirect\n",
            "go.sum": "",
            "package.json": package(dev={"postcss-cli": "11", "autoprefixer": "10"}, scripts={"start": "hugo server"}),
        },
        HUGO_IS,
    ),
    "hugo: npm builds it": Sample(
        {
            **HUGO,
            "package.json": package(dev={"tailwindcss": "4", "vite": "6"}, scripts={"build": "vite build && hugo"}),
        },
        HUGO_IS | {"build_command": "npm run build"},
    ),
    "hugo: netlify.toml names the version": Sample(
        {**HUGO, "netlify.toml": '[build.environment]\nHUGO_VERSION = "0.139.2"\n'}, {"language_version": "0.139.*"}
    ),
    "hugo: a workflow names the version": Sample(
        {
            **HUGO,
            ".github/workflows/pages.yml": "env:\n  X: 1\njobs:\n  a:\n    steps:\n      - uses: x\n        with:\n"
            "          hugo-version: '0.128.0'\n",
        },
        {"language_version": "0.128.*"},
    ),
    "hugo: a version that is too old": Sample({**HUGO, ".hugo-version": "0.80.0\n"}, {"language_version": "0.124.*"}),
    "hugo: an output folder outside": Sample(
        {**HUGO, "hugo.toml": 'publishDir = "../public"\n'},
        {"build_command": "hugo --gc --minify --destination public", "output_dir": "public"},
    ),
    "hugo: with built pages": Sample({**HUGO, "public/index.html": "", "docs/index.html": ""}, HUGO_IS),
    "hugo: in a folder": Sample(
        {"README.md": "", **{f"site/{path}": text for path, text in HUGO.items()}},
        HUGO_IS | {"root": "site"},
    ),
    "hugo: among documents": Sample(
        {"README.md": "", **{f"docs/{path}": text for path, text in HUGO.items()}}, HUGO_IS | {"root": "docs"}
    ),
    "hugo: documents of a C library": Sample(
        {"CMakeLists.txt": "", "x.c": "", **{f"docs/{path}": text for path, text in HUGO.items()}}, {"stack": "none"}
    ),
    "hugo: a broken configuration": Sample({**HUGO, "hugo.toml": "= = ="}, HUGO_IS),
    "hugo: a hostile submodule": Sample(
        {
            **HUGO,
            ".gitmodules": '[submodule "a"]\n\tpath = ../up\n\turl = https://x/y\n[submodule "b"]\n\tpath = themes/b\n'
            '\turl = --upload-pack=evil\n[submodule "c"]\n\tpath = themes/c;id\n\turl = https://x.example/$(id)\n',
        },
        HUGO_IS,
    ),
    "zola": Sample(
        {
            "config.toml": 'base_url = "https://example.org"\ncompile_sass = true\n[markdown]\nhighlight_code = true\n',
            "content/_index.md": "+++\n+++\n",
            "templates/index.html": "one",
            "sass/site.scss": "",
        },
        {
            "stack": "static",
            "framework": "zola",
            "package_manager": None,
            "build_command": "zola build",
            "output_dir": "public",
            "language_version": "0.21.0",
        },
    ),
    "zola: a theme and a version": Sample(
        {
            "config.toml": 'base_url = "/"\ntheme = "after-dark"\noutput_dir = "out"\n',
            "content/a.md": "",
            "themes/after-dark/theme.toml": "",
            ".tool-versions": "zola 0.19.2\n",
        },
        {"framework": "zola", "language_version": "0.19.2", "output_dir": "out"},
    ),
    "mkdocs": Sample(
        {"mkdocs.yml": "site_name: x\n", "docs/index.md": "# x\n"},
        {
            "stack": "static",
            "framework": "mkdocs",
            "package_manager": None,
            "build_command": "mkdocs build",
            "output_dir": "site",
        },
    ),
    "mkdocs: Material and tags of Python": Sample(
        {
            "mkdocs.yml": MKDOCS + "  - minify:\n      minify_html: true\nmarkdown_extensions:\n"
            "  - pymdownx.emoji:\n      emoji_index: !!python/name:material.extensions.emoji.twemoji\n",
            "docs/index.md": "",
            "requirements.txt": "mkdocs-material==9.5.0\n",
        },
        {"stack": "static", "framework": "mkdocs", "package_manager": "pip"},
    ),
    "mkdocs: a list for the documents": Sample(
        {"mkdocs.yml": "site_name: x\nsite_dir: out/html\n", "docs/a.md": "", "docs/requirements.txt": "mkdocs\n"},
        {"framework": "mkdocs", "package_manager": "pip", "output_dir": "out/html"},
    ),
    "mkdocs: by uv": Sample(
        {
            "mkdocs.yml": MKDOCS,
            "docs/index.md": "",
            "pyproject.toml": '[project]\nname = "docs"\nversion = "0"\ndependencies = ["mkdocs-material>=9"]\n',
            "uv.lock": "version = 1\n",
        },
        {"stack": "static", "framework": "mkdocs", "package_manager": "uv"},
    ),
    "mkdocs: documents of an application": Sample(
        {"mkdocs.yml": MKDOCS, "docs/index.md": "", "requirements.txt": "flask\n", "app.py": FLASK_APP},
        {"stack": "python", "framework": "flask"},
    ),
    "mkdocs: documents of a library": Sample(
        {
            "mkdocs.yml": MKDOCS,
            "docs/index.md": "",
            "pyproject.toml": '[project]\nname = "shop"\n[build-system]\nrequires = ["hatchling"]\n',
            "shop/__init__.py": "",
        },
        {"stack": "python"},
    ),
    "mkdocs: a plugin that reads the history": Sample(
        {"mkdocs.yml": "site_name: x\nplugins:\n  - git-revision-date-localized\n", "docs/index.md": ""},
        {"framework": "mkdocs"},
    ),
    "mkdocs: broken": Sample({"mkdocs.yml": "a: [\n", "docs/index.md": ""}, {"stack": "static", "framework": "mkdocs"}),
    "pages: an extension for browsers": Sample(
        {"manifest.json": '{"manifest_version": 3}', "popup.html": "", "popup.js": ""}, {"stack": "none"}
    ),
    "pages: jekyll without folders of its own": Sample(
        {"_config.yml": "title: x\n", "index.md": "---\ntitle: x\n---\n"}, {"stack": "static", "framework": "jekyll"}
    ),
    "pages: Jupyter Book is no jekyll": Sample(
        {"_config.yml": "title: x\n", "_toc.yml": "format: jb-book\n", "intro.md": "# x"}, {"framework": None}
    ),
    "pages: several without an index": Sample(
        {"home.html": "", "about.html": "", "style.css": ""}, {"stack": "static", "output_dir": "."}
    ),
    "pages: an index in capitals": Sample({"INDEX.HTM": ""}, {"stack": "static"}),
    "pages: a template of a mail is no site": Sample({"README.md": "", "templates/mail.html": ""}, {"stack": "none"}),
    "pages: an old config.toml of a program": Sample(
        {"config.toml": 'title = "x"\n', "static/index.html": "", "data/x.json": "{}"}, {"framework": None}
    ),
    "pages: a Staticfile with quotes": Sample(
        {"Staticfile": "root: './out'\n", "out/index.html": ""}, {"stack": "static", "output_dir": "out"}
    ),
}
