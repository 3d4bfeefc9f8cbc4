"""Applications in Python that are really built: each package manager with a lock of its own, servers of every kind.

Few packages, and those without compiled parts: what is proven is how they are installed.
"""

from __future__ import annotations

from pathlib import Path

from tests.detect.samples_basic import FLASK_APP, MANAGE
from tests.generate.stacks import Application, Applications, Files
from tests.generate.stacks_go import BUILD, FRONT_END

LOCKS = Path(__file__).with_name("locks_python")
PYTHON: Files = {".python-version": "3.11\n"}
BOTTLE = "import bottle\n\napp = bottle.Bottle()\n\n\n@app.get('/')\ndef hello():\n    return 'one'\n"
STARLETTE = (
    "from starlette.applications import Starlette\nfrom starlette.responses import PlainTextResponse\n"
    "from starlette.routing import Route\n\n\nasync def hello(request):\n    return PlainTextResponse('one')\n\n\n"
    "app = Starlette(routes=[Route('/', hello)])\n"
)
BUILDS = '\n[build-system]\nrequires = ["hatchling==1.27.0"]\nbuild-backend = "hatchling.build"\n'


def lock(name: str) -> str:
    """A lock file that its own manager made."""
    return (LOCKS / name).read_text(encoding="utf-8")


def project(name: str, *dependencies: str, rest: str = "") -> str:
    listed = ", ".join(f'"{one}"' for one in dependencies)
    wanted = f"dependencies = [{listed}]\n" if dependencies else ""
    return f'[project]\nname = "{name}"\nversion = "1"\nrequires-python = ">=3.11"\n{wanted}{rest}'


MANAGERS: Applications = {
    "starlette by uv, with a lock": (
        (),
        {
            "pyproject.toml": project(
                *("shop", "starlette>=0.41", "uvicorn>=0.32"),
                rest='\n[dependency-groups]\ndev = ["iniconfig>=2"]\n' + BUILDS,
            ),
            "uv.lock": lock("uv.lock"),
            "src/shop/__init__.py": "",
            "src/shop/main.py": STARLETTE,
            ".python-version": "3.11.1\n",  # a patch that the image is not
        },
    ),
    "bottle in a workspace of uv": (
        (),
        {
            "pyproject.toml": project("shop", rest='\n[tool.uv.workspace]\nmembers = ["packages/*"]\n'),
            "uv.lock": lock("workspace.lock"),
            "packages/core/pyproject.toml": project("shop-core", rest=BUILDS),
            "packages/core/src/shop_core/__init__.py": "def word():\n    return 'one'\n",
            "packages/api/pyproject.toml": project(
                *("shop-api", "bottle>=0.13", "shop-core"),
                rest="\n[tool.uv.sources]\nshop-core = { workspace = true }\n" + BUILDS,
            ),
            "packages/api/src/shop_api/__init__.py": "",
            "packages/api/src/shop_api/main.py": BOTTLE.replace("'one'", "shop_core.word()").replace(
                "import bottle", "import bottle\nimport shop_core"
            ),
            **PYTHON,
        },
    ),
    "bottle by poetry, with a lock": Application(
        (),
        {
            "pyproject.toml": '[tool.poetry]\nname = "shop"\nversion = "1.0.0"\ndescription = ""\nauthors = []\n'
            'package-mode = false\n\n[tool.poetry.dependencies]\npython = "^3.11"\nbottle = "^0.13"\n\n'
            '[tool.poetry.group.dev.dependencies]\niniconfig = "^2.0"\n\n'
            '[build-system]\nrequires = ["poetry-core>=2.0"]\nbuild-backend = "poetry.core.masonry.api"\n',
            "poetry.lock": lock("poetry.lock"),
            "app.py": BOTTLE,
            **PYTHON,
        },
        development=("iniconfig",),
    ),
    "bottle by pdm, with a lock": (
        (),
        {
            "pyproject.toml": project(
                *("shop", "bottle>=0.13"),
                rest='\n[dependency-groups]\ndev = ["iniconfig>=2"]\n\n[tool.pdm]\ndistribution = false\n',
            ),
            "pdm.lock": lock("pdm.lock"),
            "app.py": BOTTLE,
            **PYTHON,
        },
    ),
    "bottle by pipenv, with a lock": Application(
        (),
        {
            "Pipfile": '[[source]]\nurl = "https://pypi.org/simple"\nverify_ssl = true\nname = "pypi"\n\n'
            '[packages]\nbottle = "==0.13.4"\n\n[dev-packages]\niniconfig = "==2.3.0"\n\n'
            '[requires]\npython_version = "3.11"\n',
            "Pipfile.lock": lock("Pipfile.lock"),
            "shop/__init__.py": BOTTLE,
        },
        source="shop/__init__.py",
        development=("iniconfig",),
    ),
    "flask without a manifest": (
        (),
        {"app.py": FLASK_APP + "@app.get('/')\ndef hello():\n    return 'one'\n", **PYTHON},
    ),
    "a script with its own metadata": (
        (),
        {
            "main.py": "# /// script\n# requires-python = '>=3.11,<3.12'\n# dependencies = ['bottle==0.13.4']\n# ///\n"
            + BOTTLE
        },
    ),
    "fastapi by conda": Application(
        (),
        {
            "environment.yml": "channels: [conda-forge]\ndependencies:\n  - python=3.12\n  - numpy\n  - pip\n"
            "  - pip:\n      - fastapi==0.115.4\n",
            "main.py": "from fastapi import FastAPI\n\napp = FastAPI()\n\n\n"
            "@app.get('/')\ndef hello():\n    return 'one'\n",
        },
        not_built="conda's channels and micromamba's image cannot be had",
    ),
}

SERVERS: Applications = {
    "tornado": (
        (),
        {
            "requirements.txt": "tornado==6.5.2\n",
            "requirements-dev.txt": "iniconfig\n",
            "server.py": "import asyncio\nimport os\nimport tornado.web\n\n\nclass Hello(tornado.web.RequestHandler):\n"
            "    def get(self):\n        self.write('one')\n\n\nasync def main():\n"
            "    tornado.web.Application([(r'/', Hello)]).listen(int(os.environ.get('PORT', 8888)))\n"
            "    await asyncio.Event().wait()\n\n\nif __name__ == '__main__':\n    asyncio.run(main())\n",
            **PYTHON,
        },
    ),
    "pyramid, the project itself in its requirements": Application(
        (),
        {
            "requirements.txt": "pyramid==2.0.2\nsetuptools<80\n-e .\n",
            "setup.py": "from setuptools import find_packages, setup\n\nsetup(\n    name='shop',\n    version='1',\n"
            "    packages=find_packages(),\n    install_requires=['pyramid'],\n"
            "    entry_points={'paste.app_factory': ['main = shop:main']},\n)\n",
            "development.ini": "[app:main]\nuse = egg:shop\n\n[server:main]\nuse = egg:waitress#main\n"
            "listen = localhost:6543\n",
            "shop/__init__.py": "from pyramid.config import Configurator\nfrom pyramid.response import Response\n\n\n"
            "def hello(request):\n    return Response('one')\n\n\ndef main(global_config, **settings):\n"
            "    config = Configurator(settings=settings)\n    config.add_route('hello', '/')\n"
            "    config.add_view(hello, route_name='hello')\n    return config.make_wsgi_app()\n",
            **PYTHON,
        },
        compiled=True,  # its build backend makes a wheel of every change
    ),
    "flask with a front end in a folder": Application(
        (),
        {
            "requirements.txt": "flask==3.0.3\n",
            "app.py": "from flask import Flask\napp = Flask(__name__, static_folder='web/dist', static_url_path='/')\n"
            "\n\n@app.get('/')\ndef hello():\n    return app.send_static_file('index.html')\n",
            "web/package.json": FRONT_END,
            "web/build.mjs": BUILD,
            "web/page.html": "one",
            **PYTHON,
        },
    ),
    "flask with assets by Node.js": Application(
        (),
        {
            "requirements.txt": "flask==3.0.3\n",
            "package.json": '{"name": "shop", "private": true, "scripts": {"build": "node build.mjs"}}\n',
            "build.mjs": "import { mkdirSync, writeFileSync } from 'node:fs'\n"
            "mkdirSync('static', { recursive: true })\nwriteFileSync('static/built.txt', 'built')\n",
            "app.py": FLASK_APP + "@app.get('/')\ndef hello():\n    return 'one ' + open('static/built.txt').read()\n",
            **PYTHON,
        },
        answer="one built",
    ),
}

SETTINGS = """\
import os
import dj_database_url
SECRET_KEY = os.environ['SECRET_KEY']
ALLOWED_HOSTS = ['*']
INSTALLED_APPS = ['django.contrib.contenttypes', 'django.contrib.staticfiles']
MIDDLEWARE = ['whitenoise.middleware.WhiteNoiseMiddleware']
STATIC_URL = '/static/'
STATICFILES_DIRS = ['/app/assets']
STATIC_ROOT = '/app/collected'
STORAGES = {'staticfiles': {'BACKEND': 'whitenoise.storage.CompressedManifestStaticFilesStorage'}}
DATABASES = {'default': dj_database_url.config(default='sqlite:////app/db.sqlite3')}
ROOT_URLCONF = 'config.urls'
WSGI_APPLICATION = 'config.wsgi.application'
"""
URLS = """\
from django.contrib.contenttypes.models import ContentType
from django.http import HttpResponse
from django.templatetags.static import static
from django.urls import path


def hello(request):
    tables = ContentType.objects.count()  # asks the database
    return HttpResponse('one ' + static('shop.css') + (' migrated' if tables >= 0 else ''))


urlpatterns = [path('', hello)]
"""
DJANGO: Files = {
    "requirements/base.txt": "Django==5.2.8\ndj-database-url==3.0.1\nwhitenoise==6.11.0\n",
    "requirements/production.txt": "-r base.txt\npsycopg[binary]==3.2.13\n",
    "manage.py": MANAGE.replace("site1.settings", "config.settings.local") + "main()\n",
    "config/__init__.py": "",
    "config/urls.py": URLS,
    "config/wsgi.py": "import os\nfrom django.core.wsgi import get_wsgi_application\n"
    "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'config.settings.production')\n"
    "application = get_wsgi_application()\n",
    "config/settings/__init__.py": "",
    "config/settings/base.py": SETTINGS,
    "config/settings/local.py": "from .base import *\nDEBUG = True\n",
    "config/settings/production.py": "from .base import *\nDEBUG = False\n",
    "assets/shop.css": "body { color: green }\n",
    **PYTHON,
}

APPLICATIONS: Applications = {
    **MANAGERS,
    **SERVERS,
    "django with its database and static files": Application(
        (), DJANGO, answer="one /static/shop.", source="config/urls.py"
    ),
}
