"""Small applications that are really built."""

PLAIN = {
    "Dockerfile": """\
        FROM berth.test/busybox:1
        COPY . /www
        EXPOSE 8080
        USER 1000
        CMD ["busybox", "httpd", "-f", "-p", "8080", "-h", "/www"]
        """,
    "index.html": "one\n",
}

FLASK = {
    ".python-version": "3.11\n",
    "requirements.txt": "flask==3.1.0\n",
    "app.py": """\
        import os
        from flask import Flask

        app = Flask(__name__)

        @app.get("/")
        def index():
            return "flask " + os.environ.get("GREETING", "one")
        """,
}

FASTAPI = {
    ".python-version": "3.11\n",
    "requirements.txt": "fastapi==0.115.6\nuvicorn==0.34.0\n",
    "app/main.py": """\
        from fastapi import FastAPI

        api = FastAPI()

        @api.get("/")
        def index():
            return {"stack": "fastapi"}
        """,
    "app/__init__.py": "",
}

EXPRESS = {
    "package.json": """\
        {"name": "shop", "version": "1.0.0", "scripts": {"start": "node server.js"},
         "engines": {"node": "22"}, "dependencies": {"express": "4.21.2"}}
        """,
    "server.js": """\
        const app = require("express")();
        app.get("/", (request, response) => response.send("express one"));
        app.listen(process.env.PORT || 3000, "0.0.0.0");
        """,
}

STATIC = {
    "index.html": "<!doctype html><title>static</title><h1>static one</h1>\n",
    "about.html": "<h1>about</h1>\n",
    "404.html": "<h1>not here</h1>\n",
}
