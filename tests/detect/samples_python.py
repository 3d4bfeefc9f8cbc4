"""Python repositories: every framework in its usual layouts, every package manager, traps included."""

from __future__ import annotations

from tests.detect.samples_basic import FASTAPI_APP, FLASK_APP, MANAGE, NPM_LOCK, SETTINGS, Sample, package

Files = dict[str, str | bytes]
UVICORN = "uvicorn --host 0.0.0.0 --port ${PORT}"
GUNICORN = "gunicorn --bind 0.0.0.0:${PORT} --threads 4"
FLASK_FACTORY = "from flask import Flask\n\ndef create_app(config=None):\n    app = Flask(__name__)\n    return app\n"
WSGI = (
    "import os\nfrom django.core.wsgi import get_wsgi_application\n"
    "os.environ.setdefault('DJANGO_SETTINGS_MODULE', '{}')\napplication = get_wsgi_application()\n"
)


def project(*dependencies: str, rest: str = "") -> str:
    listed = ", ".join(f'"{name}"' for name in dependencies)
    return f'[project]\nname = "shop"\nversion = "1"\ndependencies = [{listed}]\n{rest}'


def django(settings: str = "site1.settings", **files: str) -> Files:
    """A project whose manage.py names the settings; more files by path, with / for __."""
    return {
        "requirements.txt": "django\n",
        "manage.py": MANAGE.replace("site1.settings", settings),
        **{path.replace("__", "/") + ".py": text for path, text in files.items()},
    }


FLASK: dict[str, Sample] = {
    "flask: package that makes its application": Sample(
        {
            "requirements.txt": "flask\n",
            "shop/__init__.py": FLASK_APP + "from shop import views\n",
            "shop/views.py": "",
        },
        {"framework": "flask", "start_command": f"{GUNICORN} shop:app", "port": 5000},
    ),
    "flask: run.py takes it from a package": Sample(
        {
            "requirements.txt": "flask\n",
            "run.py": "from app import app\n\nif __name__ == '__main__':\n    app.run(host='0.0.0.0', port=5001)\n",
            "app/__init__.py": FLASK_APP,
        },
        {"start_command": f"{GUNICORN} app:app", "port": 5001},
    ),
    "flask: wsgi.py calls a factory with an argument": Sample(
        {
            "requirements.txt": "flask\n",
            "wsgi.py": "from shop.factory import create_app\napplication = create_app('production')\n",
            "shop/__init__.py": "",
            "shop/factory.py": FLASK_FACTORY.replace("config=None", "config"),
        },
        {"framework": "flask", "start_command": f"{GUNICORN} wsgi:application"},
    ),
    "flask: .flaskenv names the application": Sample(
        {
            "requirements.txt": "flask\n",
            ".flaskenv": "FLASK_APP=shop.entry:site\nFLASK_DEBUG=1\n",
            "shop/__init__.py": "",
            "shop/entry.py": "from flask import Flask\nsite = Flask(__name__)\n",
            "app.py": FLASK_APP,
        },
        {"start_command": f"{GUNICORN} shop.entry:site"},
    ),
    "flask: src layout": Sample(
        {
            "pyproject.toml": project("flask", rest='[build-system]\nrequires = ["hatchling"]\n'),
            "src/shop/__init__.py": FLASK_FACTORY,
        },
        {"package_manager": "pip", "start_command": f"{GUNICORN} 'shop:create_app()'"},
    ),
    "flask: port by a constant and by a name": Sample(
        {
            "requirements.txt": "flask\n",
            "app.py": FLASK_APP + "PORT = 5099\nif __name__ == '__main__':\n    app.run(port=PORT)\n",
        },
        {"port": 5099},
    ),
    "flask: port of the environment": Sample(
        {
            "requirements.txt": "flask\n",
            "app.py": FLASK_APP + "import os\nport = int(os.environ.get('PORT', 5055))\napp.run('0.0.0.0', port)\n",
        },
        {"port": 5055},
    ),
    "flask: port of gunicorn.conf.py": Sample(
        {
            "requirements.txt": "flask\ngunicorn\n",
            "app.py": FLASK_APP,
            "gunicorn.conf.py": 'bind = "0.0.0.0:9001"\nworkers = 3\n',
        },
        {"port": 9001, "start_command": "gunicorn --bind 0.0.0.0:${PORT} app:app"},
    ),
    "flask: gunicorn's settings under another name": Sample(
        {"requirements.txt": "flask\ngunicorn\n", "app.py": FLASK_APP, "gunicorn_config.py": "workers = 3\n"},
        {"start_command": "gunicorn --config gunicorn_config.py --bind 0.0.0.0:${PORT} app:app"},
    ),
    "flask: sockets": Sample(
        {
            "requirements.txt": "flask\nflask-socketio\neventlet\n",
            "app.py": FLASK_APP + "from flask_socketio import SocketIO\nsocketio = SocketIO(app)\nsocketio.run(app)\n",
        },
        {"start_command": "gunicorn --bind 0.0.0.0:${PORT} --worker-class eventlet --workers 1 app:app"},
    ),
    "flask: waitress is there": Sample(
        {"requirements.txt": "flask\nwaitress\n", "app.py": FLASK_APP},
        {"start_command": "waitress-serve --host=0.0.0.0 --port=${PORT} app:app"},
    ),
    "flask: with assets of vite": Sample(
        {
            "requirements.txt": "flask\n",
            "app.py": FLASK_APP,
            "templates/index.html": "",
            "package.json": package(dev={"vite": "5"}, scripts={"build": "vite build"}),
        },
        {"stack": "python", "framework": "flask", "build_command": "npm run build"},
    ),
    "flask: a front end in a folder, whose output it hands out": Sample(
        {
            "requirements.txt": "flask\n",
            "app.py": "from flask import Flask\napp = Flask(__name__, static_folder='client/dist')\n",
            "client/package.json": package({"react": "18"}, dev={"vite": "5"}, scripts={"build": "vite build"}),
            "client/package-lock.json": NPM_LOCK,
        },
        {"framework": "flask", "root": ".", "build_command": "cd client && npm run build"},
    ),
    "fastapi: a front end in a folder, named part by part": Sample(
        {
            "requirements.txt": "fastapi\nuvicorn\n",
            "main.py": FASTAPI_APP + "DIST = Path(__file__).parent / 'web' / 'build'\n",
            "web/package.json": package({"react": "18"}, scripts={"build": "react-scripts build"}),
            "web/yarn.lock": "",
        },
        {"framework": "fastapi", "build_command": "cd web && yarn run build"},
    ),
    "fastapi: a front end whose output is there already": Sample(
        {
            "requirements.txt": "fastapi\nuvicorn\n",
            "main.py": FASTAPI_APP + "DIST = 'web/dist'\n",
            "web/package.json": package({"react": "18"}, scripts={"build": "vite build"}),
            "web/dist/index.html": "",
        },
        {"framework": "fastapi", "build_command": None},
    ),
    "fastapi: a front end that runs by itself": Sample(
        {
            "requirements.txt": "fastapi\nuvicorn\n",
            "main.py": FASTAPI_APP + "# pages are in web/src, see web/README\n",
            "web/package.json": package({"react": "18"}, scripts={"build": "vite build"}),
        },
        {"framework": "fastapi", "build_command": None},
    ),
    "flask: inside of what extends it": Sample(
        {"requirements.txt": "apiflask\n", "app.py": "from apiflask import APIFlask\napp = APIFlask(__name__)\n"},
        {"framework": "flask", "start_command": f"{GUNICORN} app:app"},
    ),
    "flask: beside it a test of fastapi": Sample(
        {
            "requirements.txt": "flask\n",
            "app.py": FLASK_APP,
            "tests/app.py": FASTAPI_APP,
            "examples/main.py": FASTAPI_APP,
        },
        {"framework": "flask"},
    ),
    "flask: only a constraint names django": Sample(
        {"requirements.txt": "-c constraints.txt\nflask\n", "constraints.txt": "django==5\n", "app.py": FLASK_APP},
        {"framework": "flask"},
    ),
    "flask: several dashes and cases of a name": Sample(
        {"requirements.txt": "FLASK ; python_version > '3'\nFlask_SQLAlchemy==3\n", "app.py": FLASK_APP},
        {"framework": "flask"},
    ),
}

ASGI: dict[str, Sample] = {
    "fastapi: the full-stack template": Sample(
        {
            "backend/pyproject.toml": project("fastapi[standard]"),
            "backend/app/__init__.py": "",
            "backend/app/main.py": "from fastapi import FastAPI\nfrom app.core.config import settings\n"
            "app = FastAPI()\n",
            "backend/app/core/config.py": "",
            "frontend/package.json": package({"react": "18"}, dev={"vite": "5"}, scripts={"build": "vite build"}),
            "frontend/index.html": "",
        },
        {"root": "backend", "framework": "fastapi", "start_command": f"{UVICORN} app.main:app"},
    ),
    "fastapi: backend folder, requirements at the root": Sample(
        {
            "requirements.txt": "fastapi\n",
            "backend/main.py": "from fastapi import FastAPI\nfrom database import engine\napp = FastAPI()\n",
            "backend/database.py": "",
        },
        {"root": ".", "start_command": f"{UVICORN} main:app"},
    ),
    "fastapi: modules named from the root": Sample(
        {
            "requirements.txt": "fastapi\n",
            "backend/main.py": "from fastapi import FastAPI\nfrom backend.database import engine\napp = FastAPI()\n",
            "backend/database.py": "",
        },
        {"start_command": f"{UVICORN} backend.main:app"},
    ),
    "fastapi: package with bare imports": Sample(
        {
            "requirements.txt": "fastapi\n",
            "app/__init__.py": "",
            "app/main.py": "from fastapi import FastAPI\nfrom routers import items\napp = FastAPI()\n",
            "app/routers/__init__.py": "",
        },
        {"start_command": f"{UVICORN} main:app"},
    ),
    "fastapi: runs itself": Sample(
        {
            "requirements.txt": "fastapi\nuvicorn\n",
            "main.py": FASTAPI_APP
            + "import uvicorn\nif __name__ == '__main__':\n    uvicorn.run('main:app', port=8011)\n",
        },
        {"start_command": f"{UVICORN} main:app", "port": 8011},
    ),
    "fastapi: factory": Sample(
        {
            "requirements.txt": "fastapi\n",
            "shop/__init__.py": "",
            "shop/server.py": "import fastapi\ndef get_application() -> fastapi.FastAPI:\n"
            "    return fastapi.FastAPI()\n",
        },
        {"start_command": f"{UVICORN} --factory shop.server:get_application"},
    ),
    "fastapi: own class": Sample(
        {
            "requirements.txt": "fastapi\n",
            "main.py": "from fastapi import FastAPI\nclass Api(FastAPI): ...\napi = Api()\n",
        },
        {"start_command": f"{UVICORN} main:api"},
    ),
    "fastapi: wrapped by socket.io": Sample(
        {
            "requirements.txt": "fastapi\npython-socketio\n",
            "main.py": FASTAPI_APP
            + "import socketio\nsio = socketio.AsyncServer()\nasgi = socketio.ASGIApp(sio, app)\n",
        },
        {"framework": "fastapi", "start_command": f"{UVICORN} main:asgi"},
    ),
    "fastapi: settings without defaults": Sample(
        {
            "requirements.txt": "fastapi\npydantic-settings\nasyncpg\n",
            "app/__init__.py": "",
            "app/main.py": FASTAPI_APP + "@app.get('/healthz')\ndef health(): ...\n",
            "app/config.py": "from pydantic import Field\nfrom pydantic_settings import BaseSettings\n"
            "class Settings(BaseSettings):\n    secret: str\n    debug: bool = False\n    api_key: str = Field(...)\n"
            "    model_config = {'env_prefix': 'SHOP_'}\n",
        },
        {"required_env": ("SHOP_SECRET", "SHOP_API_KEY"), "services": ("postgresql",), "health_path": "/healthz"},
    ),
    "fastapi: look-alike alone": Sample(
        {"requirements.txt": "fastapi-ipware\n", "main.py": "print(1)\n"}, {"framework": None}
    ),
    "starlette: below fastapi in a frozen list": Sample(
        {"requirements.txt": "fastapi==0.115\nstarlette==0.40\nuvicorn==0.30\n", "main.py": FASTAPI_APP},
        {"framework": "fastapi"},
    ),
    "starlette: routes in a list": Sample(
        {
            "requirements.txt": "starlette\nhypercorn\n",
            "app.py": "from starlette.applications import Starlette\nfrom starlette.routing import Route\n"
            "app = Starlette(routes=[Route('/health', None)])\n",
        },
        {
            "framework": "starlette",
            "start_command": "hypercorn --bind 0.0.0.0:${PORT} app:app",
            "health_path": "/health",
        },
    ),
    "litestar": Sample(
        {
            "pyproject.toml": project("litestar[standard]"),
            "app.py": "from litestar import Litestar, get\n\n@get('/health')\ndef h() -> str: ...\n"
            "app = Litestar([h])\n",
        },
        {"framework": "litestar", "start_command": f"{UVICORN} app:app", "port": 8000, "health_path": "/health"},
    ),
    "litestar: package in src with uv": Sample(
        {
            "pyproject.toml": project("litestar", rest='[build-system]\nrequires=["hatchling"]\n'),
            "uv.lock": "version = 1\n",
            "src/shop/__init__.py": "",
            "src/shop/asgi.py": "from litestar import Litestar\ndef create_app() -> Litestar:\n"
            "    return Litestar([])\n",
        },
        {
            "framework": "litestar",
            "package_manager": "uv",
            "start_command": f"{UVICORN} --factory shop.asgi:create_app",
        },
    ),
    "fasthtml": Sample(
        {
            "requirements.txt": "python-fasthtml\n",
            "main.py": "from fasthtml.common import *\napp, rt = fast_app()\n@rt('/')\n"
            "def get(): return P('x')\nserve()\n",
        },
        {"framework": "fasthtml", "start_command": f"{UVICORN} main:app", "port": 5001},
    ),
    "falcon: asgi": Sample(
        {"requirements.txt": "falcon\n", "app.py": "import falcon.asgi\napp = falcon.asgi.App()\n"},
        {"framework": "falcon", "start_command": f"{UVICORN} app:app"},
    ),
    "falcon: asgi by a factory of another file": Sample(
        {
            "requirements.txt": "falcon\n",
            "shop/__init__.py": "",
            "shop/asgi.py": "from .factory import create_app\napp = create_app()\n",
            "shop/factory.py": "import falcon.asgi\ndef create_app(debug=False):\n    return falcon.asgi.App()\n",
        },
        {"framework": "falcon", "start_command": f"{UVICORN} shop.asgi:app"},
    ),
    "falcon: wsgi": Sample(
        {
            "requirements.txt": "falcon\n",
            "shop/__init__.py": "",
            "shop/app.py": "import falcon\napplication = falcon.App()\n",
        },
        {"framework": "falcon", "start_command": f"{GUNICORN} shop.app:application"},
    ),
    "quart: has no name of ours": Sample(
        {"requirements.txt": "quart\n", "app.py": "from quart import Quart\napp = Quart(__name__)\n"},
        {"framework": None, "start_command": "hypercorn --bind 0.0.0.0:${PORT} app:app"},
    ),
    "dash: has no name of ours": Sample(
        {"requirements.txt": "dash\ngunicorn\n", "app.py": "import dash\napp = dash.Dash()\nserver = app.server\n"},
        {"framework": None, "start_command": f"{GUNICORN} app:server"},
    ),
}

DJANGO_SAMPLES: dict[str, Sample] = {
    "django: settings for production": Sample(
        django(
            "config.settings.local",
            config__wsgi=WSGI.format("config.settings.production"),
            config__settings__base=SETTINGS.replace("site1", "config"),
            config__settings__local="from .base import *\n",
            config__settings__production="from .base import *\nKEY = os.environ['MAIL_KEY']\n",
        ),
        {
            "framework": "django",
            "start_command": f"python manage.py migrate --noinput && {GUNICORN} config.wsgi:application",
            "required_env": ("MAIL_KEY", "SECRET_KEY"),
        },
    ),
    "django: production beside what all files name": Sample(
        django(
            "shop.settings.dev",
            shop__wsgi=WSGI.format("shop.settings.dev"),
            shop__settings__dev="from .base import *\n",
            shop__settings__base="DATABASES = {}\n",
            shop__settings__production="from .base import *\nTOKEN = __import__('os').environ['TOKEN']\n",
        ),
        {"start_command": f"{GUNICORN} shop.wsgi:application"},
    ),
    "django: settings by django-environ": Sample(
        django(
            site1__settings="import environ\nenv = environ.Env(DEBUG=(bool, False))\nSECRET_KEY = env('SECRET_KEY')\n"
            "DEBUG = env('DEBUG')\nHOSTS = env.list('HOSTS', default=[])\n"
            "DATABASES = {'default': env.db('DATABASE_URL')}\n",
            site1__wsgi=WSGI.format("site1.settings"),
        ),
        {"required_env": ("SECRET_KEY", "DATABASE_URL")},
    ),
    "django: settings by decouple": Sample(
        django(
            site1__settings="from decouple import config\nSECRET_KEY = config('SECRET_KEY')\n"
            "DEBUG = config('DEBUG', default=False, cast=bool)\nMAIL = config('MAIL_HOST', cast=str)\n",
            site1__wsgi=WSGI.format("site1.settings"),
        ),
        {"required_env": ("SECRET_KEY", "MAIL_HOST")},
    ),
    "django: the engine names the database": Sample(
        django(
            site1__settings="DATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql', 'NAME': 'x'}}\n"
            "CELERY_BROKER_URL = 'redis://localhost:6379/0'\n",
            site1__wsgi=WSGI.format("site1.settings"),
        ),
        {"services": ("postgresql", "redis")},
    ),
    "django: channels with daphne": Sample(
        {
            **django(
                site1__settings="ASGI_APPLICATION = 'site1.asgi.application'\nINSTALLED_APPS = ['daphne', "
                "'channels']\n",
                site1__asgi="import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site1.settings')\n",
                site1__wsgi=WSGI.format("site1.settings"),
            ),
            "requirements.txt": "django\nchannels\ndaphne\nchannels-redis\n",
        },
        {"start_command": "daphne --bind 0.0.0.0 --port ${PORT} site1.asgi:application", "services": ("redis",)},
    ),
    "django: in a subfolder with requirements": Sample(
        {
            "README.md": "",
            **{
                f"src/{path}": text
                for path, text in django(site1__settings="", site1__wsgi=WSGI.format("site1.settings")).items()
            },
        },
        {"root": "src", "framework": "django", "start_command": f"{GUNICORN} site1.wsgi:application"},
    ),
    "django: settings module from the environment": Sample(
        {
            **django(site1__settings="DATABASES = {}\n", site1__wsgi=WSGI.format("site1.settings")),
            "manage.py": "import os, sys\nfrom django.core.management import execute_from_command_line\n"
            "os.environ['DJANGO_SETTINGS_MODULE'] = 'site1.settings' if not os.getenv('CI') else 'site1.ci'\n",
        },
        {"framework": "django", "start_command": f"{GUNICORN} site1.wsgi:application"},
    ),
    "django: without a server module": Sample(
        django(site1__settings="DATABASES = {}\n"),
        {"start_command": "python manage.py runserver --noreload 0.0.0.0:${PORT}"},
    ),
    "django: pipenv without a lock": Sample(
        {
            **{
                path: text
                for path, text in django(site1__settings="", site1__wsgi="").items()
                if path != "requirements.txt"
            },
            "Pipfile": '[packages]\ndjango = "*"\n[dev-packages]\nflask = "*"\n',
        },
        {"framework": "django", "package_manager": "pipenv"},
    ),
    "django: manage.py of flask-script": Sample(
        {
            "requirements.txt": "flask\nflask-script\nflask-migrate\n",
            "manage.py": "from flask_script import Manager\nfrom shop import create_app\napp = create_app()\n"
            "manager = Manager(app)\nif __name__ == '__main__':\n    manager.run()\n",
            "shop/__init__.py": FLASK_FACTORY,
        },
        {"framework": "flask", "start_command": f"{GUNICORN} 'shop:create_app()'"},
    ),
    "django: a manage.py of something else": Sample(
        {"requirements.txt": "click\n", "manage.py": "import click\n"}, {"stack": "python", "framework": None}
    ),
    "django: static files and who hands them out": Sample(
        {
            **django(site1__settings=SETTINGS, site1__wsgi=WSGI.format("site1.settings")),
            "package-lock.json": NPM_LOCK,
            "package.json": package(dev={"tailwindcss": "3"}, scripts={"build": "tailwindcss -o x.css"}),
        },
        {
            "stack": "python",
            "framework": "django",
            "build_command": "npm run build",
            "warnings": ("nothing hands out Django's static files in production: add whitenoise, also to MIDDLEWARE",),
        },
    ),
}

OWN: dict[str, Sample] = {
    "aiohttp: factory and main": Sample(
        {
            "requirements.txt": "aiohttp\n",
            "shop/__init__.py": "",
            "shop/main.py": "from aiohttp import web\nfrom shop.views import index\n"
            "async def init():\n    return web.Application()\nif __name__ == '__main__':\n"
            "    web.run_app(init(), port=8088)\n",
            "shop/views.py": "",
        },
        {"framework": "aiohttp", "start_command": "python -m shop.main", "port": 8088},
    ),
    "aiohttp: only a client": Sample(
        {
            "requirements.txt": "aiohttp\ndiscord.py\n",
            "bot.py": "import aiohttp, discord, os\nclient = discord.Client()\nclient.run(os.environ['TOKEN'])\n",
        },
        {"stack": "python", "framework": None, "start_command": "python bot.py", "required_env": ("TOKEN",)},
    ),
    "aiohttp: never run by itself": Sample(
        {"requirements.txt": "aiohttp\n", "app.py": "from aiohttp import web\napp = web.Application()\n"},
        {"start_command": "gunicorn --bind 0.0.0.0:${PORT} --worker-class aiohttp.GunicornWebWorker app:app"},
    ),
    "tornado": Sample(
        {
            "requirements.txt": "tornado\n",
            "server.py": "import tornado.web, tornado.ioloop\n"
            "from tornado.options import define, options\ndefine('port', default=8899)\n"
            "class Application(tornado.web.Application): ...\n"
            "if __name__ == '__main__':\n    Application([(r'/health', None)]).listen(options.port)\n",
        },
        {"framework": "tornado", "start_command": "python server.py", "port": 8899, "health_path": "/health"},
    ),
    "tornado: comes with something else": Sample(
        {"requirements.txt": "notebook\ntornado\n", "train.py": "print(1)\n", "other.py": "print(2)\n"},
        {"framework": None},
    ),
    "sanic: factory": Sample(
        {
            "requirements.txt": "sanic\n",
            "shop/__init__.py": "",
            "shop/server.py": "from sanic import Sanic\ndef create_app() -> Sanic:\n    app = Sanic('x')\n"
            "    return app\n",
        },
        {"framework": "sanic", "start_command": "sanic shop.server:create_app --factory --host=0.0.0.0 --port=${PORT}"},
    ),
    "bottle: no object": Sample(
        {
            "requirements.txt": "bottle\n",
            "app.py": "from bottle import route, run\n@route('/')\ndef i(): ...\n"
            "if __name__ == '__main__':\n    run(host='localhost', port=8085)\n",
        },
        {"framework": "bottle", "start_command": "python -m bottle --bind 0.0.0.0:${PORT} app", "port": 8085},
    ),
    "bottle: listens on all addresses": Sample(
        {"bottle_app.py": "from bottle import route, run\n@route('/')\ndef i(): ...\nrun(host='0.0.0.0', port=8086)\n"},
        {"framework": "bottle", "start_command": "python bottle_app.py", "port": 8086},
    ),
    "bottle: object": Sample(
        {"requirements.txt": "bottle\n", "app.py": "import bottle\napp = bottle.Bottle()\n"},
        {"start_command": f"{GUNICORN} app:app", "port": 8080},
    ),
    "bottle: its one file lies beside": Sample(
        {"bottle.py": "class Bottle: ...\n", "index.py": "from bottle import Bottle\napp = Bottle()\n"},
        {"framework": "bottle"},
    ),
    "pyramid: production.ini": Sample(
        {
            "setup.py": "from setuptools import setup\nrequires = ['pyramid', 'waitress']\n"
            "setup(install_requires=requires)\n",
            "shop/__init__.py": "from pyramid.config import Configurator\ndef main(global_config, **settings): ...\n",
            "production.ini": "[app:main]\nuse = egg:shop\n[server:main]\nuse = egg:waitress#main\nlisten = *:6544\n",
            "development.ini": "[app:main]\nuse = egg:shop\n[server:main]\nlisten = localhost:6543\n",
        },
        {"framework": "pyramid", "start_command": "pserve production.ini", "port": 6544},
    ),
    "pyramid: listens on this machine only": Sample(
        {
            "requirements.txt": "pyramid\n-e .\n",
            "setup.py": "from setuptools import setup\nsetup(name='shop')\n",
            "shop/__init__.py": "from pyramid.config import Configurator\n",
            "development.ini": "[app:main]\nuse = egg:shop\n[server:main]\nlisten = localhost:6543\n",
        },
        {
            "framework": "pyramid",
            "start_command": "gunicorn --paste development.ini --bind 0.0.0.0:${PORT} --threads 4",
        },
    ),
    "pyramid: one file": Sample(
        {
            "requirements.txt": "pyramid\nwaitress\n",
            "app.py": "from pyramid.config import Configurator\nfrom waitress import serve\n"
            "if __name__ == '__main__':\n    serve(Configurator().make_wsgi_app(), host='0.0.0.0', port=6547)\n",
        },
        {"framework": "pyramid", "start_command": "python app.py", "port": 6547},
    ),
    "streamlit: in a folder, port in its settings": Sample(
        {
            "requirements.txt": "streamlit\n",
            "app/dashboard.py": "import streamlit as st\nst.title('x')\n",
            "app/pages/one.py": "import streamlit as st\n",
            ".streamlit/config.toml": "[server]\nport = 8600\n",
        },
        {
            "framework": "streamlit",
            "port": 8600,
            "start_command": "streamlit run app/dashboard.py --server.port ${PORT} --server.address 0.0.0.0"
            " --server.headless true",
        },
    ),
    "streamlit: a page beside an API": Sample(
        {
            "requirements.txt": "fastapi\nstreamlit\n",
            "main.py": FASTAPI_APP,
            "ui/page.py": "import streamlit as st\n",
        },
        {"framework": "fastapi"},
    ),
    "gradio: by its README": Sample(
        {
            "README.md": "---\nsdk: gradio\nsdk_version: 4.44.0\napp_file: app.py\n---\n",
            "requirements.txt": "torch\n",
            "app.py": "import gradio as gr\ngr.Interface(lambda x: x, 'text', 'text').launch()\n",
        },
        {
            "framework": "gradio",
            "port": 7860,
            "start_command": "GRADIO_SERVER_NAME=0.0.0.0 GRADIO_SERVER_PORT=${PORT} python app.py",
        },
    ),
    "gradio: mounted on fastapi": Sample(
        {
            "requirements.txt": "gradio\nfastapi\n",
            "main.py": FASTAPI_APP + "import gradio as gr\napp = gr.mount_gradio_app(app, gr.Blocks(), path='/ui')\n",
        },
        {"framework": "fastapi", "start_command": f"{UVICORN} main:app"},
    ),
    "standard library's server": Sample(
        {
            "server.py": "from http.server import HTTPServer, BaseHTTPRequestHandler\n"
            "HTTPServer(('', 8123), BaseHTTPRequestHandler).serve_forever()\n"
        },
        {"stack": "python", "framework": None, "start_command": "python server.py", "port": 8123},
    ),
    "celery without a web server": Sample(
        {
            "requirements.txt": "celery[redis]\n",
            "shop/__init__.py": "",
            "shop/tasks.py": "from celery import Celery\napp = Celery('x')\n",
        },
        {"framework": None, "start_command": "celery --app shop.tasks worker --loglevel info", "services": ("redis",)},
    ),
    "telegram bot": Sample(
        {"requirements.txt": "python-telegram-bot\n", "src/bot.py": "from telegram.ext import Application\n"},
        {"framework": None, "start_command": "python src/bot.py"},
    ),
}

MANIFESTS: dict[str, Sample] = {
    "manifests: uv over requirements": Sample(
        {"pyproject.toml": project("fastapi"), "uv.lock": "", "requirements.txt": "fastapi\n", "main.py": FASTAPI_APP},
        {"package_manager": "uv", "warnings": ("there are also manifests of pip; uv is used: uv.lock",)},
    ),
    "manifests: uv without a lock": Sample(
        {"pyproject.toml": project("fastapi", rest="[tool.uv]\ndev-dependencies = []\n"), "main.py": FASTAPI_APP},
        {"package_manager": "uv"},
    ),
    "manifests: a lock goes before a table": Sample(
        {"pyproject.toml": project("fastapi", rest="[tool.uv]\n"), "poetry.lock": "", "main.py": FASTAPI_APP},
        {"package_manager": "poetry"},
    ),
    "manifests: uv workspace": Sample(
        {
            "pyproject.toml": project(rest='[tool.uv.workspace]\nmembers = ["packages/*"]\n'),
            "uv.lock": "",
            "packages/core/pyproject.toml": project().replace("shop", "core"),
            "packages/api/pyproject.toml": project("fastapi").replace("shop", "api"),
            "packages/api/src/api/__init__.py": "",
            "packages/api/src/api/main.py": FASTAPI_APP,
        },
        {"package_manager": "uv", "framework": "fastapi", "start_command": f"{UVICORN} api.main:app"},
    ),
    "manifests: poetry 2": Sample(
        {
            "pyproject.toml": project(
                "flask (>=3,<4)", rest='[build-system]\nbuild-backend = "poetry.core.masonry.api"\n'
            ),
            "app.py": FLASK_APP,
        },
        {"package_manager": "poetry", "framework": "flask"},
    ),
    "manifests: poetry only configures nothing": Sample(
        {"pyproject.toml": "[tool.black]\nline-length = 100\n", "requirements.txt": "flask\n", "app.py": FLASK_APP},
        {"package_manager": "pip", "warnings": ()},
    ),
    "manifests: poetry's development group": Sample(
        {
            "pyproject.toml": '[tool.poetry.dependencies]\npython = "^3.11"\nflask = "^3"\n'
            '[tool.poetry.group.dev.dependencies]\ndjango = "^5"\n',
            "app.py": FLASK_APP,
        },
        {"package_manager": "poetry", "framework": "flask"},
    ),
    "manifests: pdm": Sample(
        {"pyproject.toml": project("flask", rest="[tool.pdm]\ndistribution = false\n"), "app.py": FLASK_APP},
        {"package_manager": "pdm"},
    ),
    "manifests: pdm only builds": Sample(
        {"pyproject.toml": project("flask", rest='[tool.pdm.version]\nsource = "scm"\n'), "app.py": FLASK_APP},
        {"package_manager": "pip"},
    ),
    "manifests: hatch": Sample(
        {
            "pyproject.toml": project(
                "flask", rest='[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
            ),
            "shop/__init__.py": FLASK_APP,
        },
        {"package_manager": "pip", "framework": "flask"},
    ),
    "manifests: conda": Sample(
        {
            "environment.yml": "name: x\nchannels: [conda-forge]\ndependencies:\n  - python=3.12\n"
            "  - conda-forge::numpy\n"
            "  - pip:\n      - fastapi==0.115\n      - uvicorn\n",
            "main.py": FASTAPI_APP,
        },
        {
            "package_manager": "conda",
            "framework": "fastapi",
            "language_version": "3.12",
            "start_command": f"{UVICORN} main:app",
        },
    ),
    "manifests: conda's flask, no server": Sample(
        {"environment.yaml": "dependencies:\n- flask>=2\n- python >=3.10\n", "app.py": FLASK_APP},
        {"package_manager": "conda", "framework": "flask", "start_command": f"{GUNICORN} app:app"},
    ),
    "manifests: conda beside requirements": Sample(
        {"environment.yml": "dependencies: [flask]\n", "requirements.txt": "flask\n", "app.py": FLASK_APP},
        {"package_manager": "pip", "warnings": ("there are also manifests of conda; pip is used: requirements.txt",)},
    ),
    "manifests: broken environment.yml": Sample(
        {"environment.yml": "dependencies:\n - a: [\n", "app.py": FLASK_APP}, {"stack": "python", "framework": "flask"}
    ),
    "manifests: setup.py": Sample(
        {
            "setup.py": "from setuptools import setup\nsetup(name='shop', install_requires=['flask>=2'], "
            "python_requires='>=3.11,<3.12')\n",
            "shop/__init__.py": FLASK_APP,
        },
        {"package_manager": "pip", "framework": "flask", "language_version": "3.11"},
    ),
    "manifests: setup.cfg": Sample(
        {
            "setup.cfg": "[metadata]\nname = x\n[options]\ninstall_requires =\n    fastapi\n    uvicorn\n",
            "main.py": FASTAPI_APP,
        },
        {"package_manager": "pip", "framework": "fastapi"},
    ),
    "manifests: setup.cfg of tools": Sample(
        {"setup.cfg": "[flake8]\nmax-line-length = 100\n", "app.py": FLASK_APP}, {"framework": "flask"}
    ),
    "manifests: requirements in a folder": Sample(
        {
            "requirements/dev.txt": "-r base.txt\npytest\n",
            "requirements/base.txt": "django\nflask\n",
            "app.py": FLASK_APP,
        },
        {"package_manager": "pip"},
    ),
    "manifests: requirements with another ending": Sample(
        {"requirements-web.txt": "flask\n", "requirements-dev.txt": "pytest\n", "app.py": FLASK_APP},
        {"framework": "flask"},
    ),
    "manifests: misspelt": Sample(
        {"requirement.txt": "flask\n", "app.py": FLASK_APP},
        {
            "package_manager": "pip",
            "framework": "flask",
            "warnings": ("requirement.txt is taken for requirements.txt; rename it, so that other tools find it",),
        },
    ),
    "manifests: not compiled": Sample(
        {"requirements.in": "flask\n", "app.py": FLASK_APP},
        {"warnings": ("requirements.in is not locked: add the requirements.txt that pip-compile makes of it",)},
    ),
    "manifests: UTF-16 little endian without a mark": Sample(
        {"requirements.txt": "flask==3.0\r\npandas\r\n".encode("utf-16-le"), "app.py": FLASK_APP},
        {"framework": "flask"},
    ),
    "manifests: pyproject.toml knows more": Sample(
        {"pyproject.toml": project("flask", "redis"), "requirements.txt": "gunicorn\n", "app.py": FLASK_APP},
        {
            "framework": "flask",
            "services": ("redis",),
            "warnings": ("requirements.txt lacks flask, redis, which pyproject.toml depends on: both are installed",),
        },
    ),
    "manifests: hashes, markers, options, comments": Sample(
        {
            "requirements.txt": "--require-hashes\nflask==3.0.0 \\\n    --hash=sha256:aa \\\n"
            "    --hash=sha256:bb  # via -r x\n"
            "--find-links ./none\ncolorama==0.4 ; sys_platform == 'win32'\n",
            "app.py": FLASK_APP,
        },
        {"framework": "flask", "warnings": ()},
    ),
    "manifests: private index": Sample(
        {
            "requirements.txt": "--extra-index-url https://u:${PIP_TOKEN}@pypi.example.com/simple\nflask\n",
            "app.py": FLASK_APP,
        },
        {"warnings": ("requirements.txt takes packages from pypi.example.com: set PIP_TOKEN as build secret",)},
    ),
    "manifests: git by SSH": Sample(
        {"requirements.txt": "flask\ngit+ssh://git@example.com/x.git\n", "app.py": FLASK_APP},
        {"warnings": ("requirements.txt fetches packages by SSH, which has no key while building: use https",)},
    ),
    "manifests: inside of a script": Sample(
        {
            "app.py": "# /// script\n# requires-python = '>=3.12,<3.13'\n# dependencies = ['flask>=3', "
            "'gunicorn']\n# ///\n" + FLASK_APP
        },
        {"framework": "flask", "language_version": "3.12", "package_manager": "pip"},
    ),
    "manifests: a script for uv": Sample(
        {
            "main.py": "#!/usr/bin/env -S uv run --script\n# /// script\n# dependencies = ['fastapi']\n# ///\n"
            + FASTAPI_APP,
        },
        {"framework": "fastapi", "package_manager": "uv"},
    ),
    "manifests: imports alone": Sample(
        {
            "server.py": "import requests, yaml, unknownthing\nimport helper\n" + FLASK_APP,
            "helper.py": "import redis\n",
        },
        {
            "framework": "flask",
            "package_manager": "pip",
            "warnings": (
                "there is no requirements.txt; installed, because the code imports them:"
                " flask~=3.0, redis~=5.2, requests~=2.32, pyyaml~=6.0. Add the file",
                "the code imports unknownthing, and no manifest says which packages these are: add a requirements.txt",
            ),
        },
    ),
    "manifests: a name of an environment is no version": Sample(
        {
            "requirements.txt": "flask\n",
            ".python-version": "shop-env\n",
            "pyproject.toml": '[project]\nname="x"\nrequires-python="==3.12.*"\n',
            "app.py": FLASK_APP,
        },
        {"language_version": "3.12"},
    ),
    "manifests: version of mise": Sample(
        {"requirements.txt": "flask\n", "mise.toml": '[tools]\npython = "3.12"\n', "app.py": FLASK_APP},
        {"language_version": "3.12"},
    ),
    "manifests: version of runtime.txt": Sample(
        {"requirements.txt": "flask\n", "runtime.txt": "python-3.12.x\n", "app.py": FLASK_APP},
        {"language_version": "3.12"},
    ),
    "manifests: the Procfile fixes a port": Sample(
        {
            "requirements.txt": "flask\n",
            "app.py": FLASK_APP,
            "Procfile": "web: gunicorn -b 0.0.0.0:8765 app:app\nworker: celery -A app worker\n",
        },
        {
            "port": 8765,
            "start_command": "gunicorn -b 0.0.0.0:8765 app:app",
            "processes": (("worker", "celery -A app worker"),),
        },
    ),
}

PROGRAMS: dict[str, Sample] = {
    "program: a command of the project that serves": Sample(
        {
            "pyproject.toml": project(
                "flask", rest='[project.scripts]\nshop = "shop.cli:main"\n[build-system]\nrequires = []\n'
            ),
            "shop/__init__.py": "",
            "shop/cli.py": "def main():\n    import waitress\n    waitress.serve(make(), port=8200)\n",
        },
        {"framework": "flask", "start_command": "shop", "port": 8200},
    ),
    "program: command line tool": Sample(
        {
            "pyproject.toml": project(
                "click", rest='[project.scripts]\ntool = "tool.cli:main"\n[build-system]\nrequires = []\n'
            ),
            "tool/__init__.py": "",
            "tool/cli.py": "import click\n@click.command()\ndef main(): ...\n",
        },
        {"stack": "python", "framework": None, "package_manager": "pip", "start_command": None},
    ),
    "program: library": Sample(
        {"setup.py": "from setuptools import setup\nsetup(name='lib')\n", "lib/__init__.py": "", "tests/test_a.py": ""},
        {"stack": "python", "framework": None, "start_command": None},
    ),
    "program: package that is run": Sample(
        {
            "pyproject.toml": project("aiohttp"),
            "shop/__init__.py": "",
            "shop/__main__.py": "from aiohttp import web\nweb.run_app(None)\n",
        },
        {"framework": "aiohttp", "start_command": "python -m shop", "port": 8080},
    ),
    "program: training without a server": Sample(
        {"requirements.txt": "torch\nnumpy\n", "train.py": "import torch\n", "model.py": "", "README.md": ""},
        {"stack": "python", "framework": None, "start_command": None},
    ),
    "program: only notebooks": Sample(
        {"requirements.txt": "pandas\n", "study.ipynb": "{}"},
        {"stack": "python", "framework": None, "start_command": None},
    ),
    "program: notebooks without anything": Sample({"study.ipynb": "{}", "README.md": ""}, {"stack": "none"}),
    "program: says that it does not serve": Sample(
        {"requirements.txt": "requests\n", "main.py": "print('x')\n"},
        {
            "start_command": "python main.py",
            "warnings": (
                "python main.py: nothing in the code was seen to listen for HTTP requests, "
                "which a deployment waits for",
            ),
        },
    ),
    "program: listens on this machine only": Sample(
        {
            "requirements.txt": "tornado\n",
            "main.py": "import tornado.web\napp = tornado.web.Application([])\napp.listen(8000, address='x')\n"
            "from http.server import HTTPServer\nHTTPServer(('localhost', 8000), None)\n",
        },
        {
            "framework": "tornado",
            "warnings": (
                "main.py listens on localhost only, where nothing reaches it from outside of its container:"
                " let it listen on 0.0.0.0",
            ),
        },
    ),
    "program: keys that are guarded": Sample(
        {
            "requirements.txt": "flask\n",
            "app.py": FLASK_APP
            + "import os\nA = os.environ['A_KEY']\nif 'B_KEY' in os.environ:\n    B = os.environ['B_KEY']\n"
            "try:\n    C = os.environ['C_KEY']\nexcept KeyError:\n    C = ''\nos.environ.setdefault('D_KEY', 'x')\n"
            "D = os.environ['D_KEY']\nos.environ['E_KEY'] = '1'\nH = os.environ['HOME']\n",
        },
        {"required_env": ("A_KEY",)},
    ),
    "program: a file that does not parse": Sample(
        {"requirements.txt": "flask\n", "app.py": "def (:\n", "main.py": FLASK_APP},
        {"framework": "flask", "start_command": f"{GUNICORN} main:app"},
    ),
    "program: drives a browser": Sample(
        {"requirements.txt": "flask\nplaywright\ngeopandas\nopencv-python\n", "app.py": FLASK_APP},
        {"framework": "flask", "warnings": ()},
    ),
    "program: file names that are no modules": Sample(
        {"requirements.txt": "flask\n", "my app.py": FLASK_APP},
        {"framework": "flask", "start_command": "python ./'my app.py'"},
    ),
}

PYTHON_MORE: dict[str, Sample] = {**FLASK, **ASGI, **DJANGO_SAMPLES, **OWN, **MANIFESTS, **PROGRAMS}
