"""PHP repositories, traps included."""

from __future__ import annotations

import json
from typing import Any

from tests.detect.samples_basic import Sample, package

INDEX = "<?php\necho 'one';\n"


def composer(*names: str, php: str = "", **rest: Any) -> str:
    required = ({"php": php} if php else {}) | dict.fromkeys(names, "*")
    return json.dumps({"name": "acme/shop", "require": required} | rest, indent=2)


LARAVEL: dict[str, str | bytes] = {
    "composer.json": composer("laravel/framework", php="^8.2"),
    "composer.lock": '{"packages": []}',
    "artisan": "#!/usr/bin/env php\n",
    "public/index.php": INDEX,
    ".env.example": "APP_KEY=\nDB_CONNECTION=pgsql\nREDIS_HOST=127.0.0.1\nAWS_BUCKET=\nSTRIPE_SECRET=\n",
}
SYMFONY: dict[str, str | bytes] = {
    "composer.json": composer("symfony/framework-bundle", php=">=8.2", scripts={"post-install-cmd": ["@auto-scripts"]}),
    "public/index.php": INDEX,
    "symfony.lock": "{}",
    ".env": "APP_SECRET=x\nDATABASE_URL=mysql://a:b@c/d\n",
}
WORDPRESS: dict[str, str | bytes] = {
    "index.php": INDEX,
    "wp-load.php": INDEX,
    "wp-config-sample.php": INDEX,
    "wp-includes/version.php": INDEX,
}

PHP: dict[str, Sample] = {
    "php: laravel": Sample(
        LARAVEL,
        {
            "stack": "php",
            "framework": "laravel",
            "package_manager": "composer",
            "language_version": "8.4",
            "port": 8080,
            "start_command": "apache2-foreground",
            "required_env": ("APP_KEY", "STRIPE_SECRET"),
            "services": ("postgresql",),
        },
    ),
    "php: laravel stands on symfony": Sample(
        {"composer.json": composer("symfony/framework-bundle", "laravel/framework"), "public/index.php": INDEX},
        {"framework": "laravel"},
    ),
    "php: laravel with vite": Sample(
        {**LARAVEL, "package.json": package(dev={"vite": "5", "vue": "3"}, scripts={"build": "vite build"})},
        {"stack": "php", "framework": "laravel", "build_command": "npm run build"},
    ),
    "php: laravel with mix and a React front end": Sample(
        {
            **LARAVEL,
            "package.json": package({"react": "18"}, dev={"laravel-mix": "6"}, scripts={"production": "mix -p"}),
        },
        {"stack": "php", "framework": "laravel"},
    ),
    "php: laravel says where its health is": Sample(
        {**LARAVEL, "bootstrap/app.php": "<?php\n$x->withRouting(\n  health: '/up',\n);\n"}, {"health_path": "/up"}
    ),
    "php: lumen": Sample(
        {"composer.json": composer("laravel/lumen-framework"), "public/index.php": INDEX}, {"framework": "lumen"}
    ),
    "php: symfony": Sample(SYMFONY, {"framework": "symfony", "language_version": "8.4"}),
    "php: symfony without .env": Sample(
        {path: text for path, text in SYMFONY.items() if path != ".env"}, {"framework": "symfony"}
    ),
    "php: components of symfony are not the framework": Sample(
        {"composer.json": composer("symfony/console", "symfony/http-foundation"), "index.php": INDEX},
        {"stack": "php", "framework": None},
    ),
    "php: a look-alike": Sample(
        {"composer.json": composer("laravel/framework-extras", "slim/slim-skeleton"), "index.php": INDEX},
        {"framework": None},
    ),
    "php: only needed for development": Sample(
        {
            "composer.json": json.dumps({"require-dev": {"laravel/framework": "^11"}, "autoload": {}}),
            "public/index.php": INDEX,
        },
        {"stack": "php", "framework": None},
    ),
    "php: slim": Sample({"composer.json": composer("slim/slim"), "public/index.php": INDEX}, {"framework": "slim"}),
    "php: wordpress, the whole of it": Sample(
        WORDPRESS,
        {
            "stack": "php",
            "framework": "wordpress",
            "package_manager": None,
            "services": ("mysql",),
            "required_env": ("WORDPRESS_DB_HOST", "WORDPRESS_DB_USER", "WORDPRESS_DB_PASSWORD", "WORDPRESS_DB_NAME"),
        },
    ),
    "php: wordpress, a theme": Sample(
        {"style.css": "/*\nTheme Name: Shop\n*/\n", "functions.php": INDEX, "index.php": INDEX},
        {"framework": "wordpress"},
    ),
    "php: wordpress, a plug-in": Sample(
        {"shop.php": "<?php\n/**\n * Plugin Name: Shop\n */\n", "readme.txt": ""}, {"framework": "wordpress"}
    ),
    "php: wordpress, only wp-content": Sample(
        {"wp-content/themes/shop/style.css": "", "wp-content/themes/shop/index.php": INDEX}, {"framework": "wordpress"}
    ),
    "php: bedrock": Sample(
        {
            "composer.json": composer("roots/wordpress", extra={"wordpress-install-dir": "web/wp"}),
            "web/index.php": INDEX,
            "web/wp-config.php": INDEX,
        },
        {"framework": "wordpress", "package_manager": "composer"},
    ),
    "php: drupal before anything is installed": Sample(
        {
            "composer.json": composer(
                "drupal/core-recommended", extra={"drupal-scaffold": {"locations": {"web-root": "web/"}}}
            )
        },
        {"stack": "php", "framework": "drupal", "services": ("mysql",)},
    ),
    "php: codeigniter 4": Sample(
        {"composer.json": composer("codeigniter4/framework"), "public/index.php": INDEX, "spark": ""},
        {"framework": "codeigniter"},
    ),
    "php: codeigniter 3": Sample(
        {"index.php": INDEX, "system/core/CodeIgniter.php": INDEX, "application/config/config.php": INDEX},
        {"framework": "codeigniter"},
    ),
    "php: cakephp": Sample(
        {"composer.json": composer("cakephp/cakephp"), "webroot/index.php": INDEX, "index.php": INDEX},
        {"framework": "cakephp"},
    ),
    "php: yii": Sample({"composer.json": composer("yiisoft/yii2"), "web/index.php": INDEX}, {"framework": "yii"}),
    "php: laminas": Sample(
        {"composer.json": composer("laminas/laminas-mvc"), "public/index.php": INDEX}, {"framework": "laminas"}
    ),
    "php: plain": Sample(
        {"index.php": "<?php\n$db = new PDO(\"mysql:host=\" . getenv('DB'));\n"},
        {"stack": "php", "framework": None, "package_manager": None, "services": ("mysql",), "port": 8080},
    ),
    "php: only in htdocs": Sample({"README.md": "", "htdocs/index.php": INDEX}, {"stack": "php", "root": "."}),
    "php: no index": Sample({"hello.php": INDEX}, {"stack": "php"}),
    "php: a form beside pages": Sample({"index.html": "", "send.php": INDEX}, {"stack": "php"}),
    "php: the Procfile names the docroot": Sample(
        {
            "composer.json": composer("monolog/monolog"),
            "Procfile": "web: vendor/bin/heroku-php-apache2 www/\n",
            "www/index.php": INDEX,
            "public/index.php": INDEX,
        },
        {"stack": "php", "start_command": "apache2-foreground"},
    ),
    "php: its own server": Sample(
        {"composer.json": composer("react/http"), "Procfile": "web: php server.php\n", "server.php": INDEX},
        {"stack": "php", "start_command": "php server.php"},
    ),
    "php: PHP's server for development is not used": Sample(
        {"Procfile": "web: php -S 0.0.0.0:$PORT -t web\n", "web/index.php": INDEX},
        {"stack": "php", "start_command": "apache2-foreground"},
    ),
    "php: extensions, also of locked packages": Sample(
        {
            "composer.json": composer("a/b", "ext-intl", "ext-redis", "ext-mbstring"),
            "composer.lock": json.dumps({"packages": [{"name": "a/b", "require": {"ext-gd": "*", "php": ">=7"}}]}),
            "public/index.php": INDEX,
        },
        {"stack": "php", "services": ("redis",)},
    ),
    "php: a version that has ended": Sample(
        {"composer.json": composer(php="~8.1.0"), "index.php": INDEX}, {"language_version": "8.1"}
    ),
    "php: a version without an image": Sample(
        {"composer.json": composer(php="^7.4"), "index.php": INDEX}, {"stack": "php", "language_version": "8.2"}
    ),
    "php: the platform is pinned": Sample(
        {"composer.json": composer(php=">=8.1", config={"platform": {"php": "8.3.4"}}), "index.php": INDEX},
        {"language_version": "8.3"},
    ),
    "php: alternatives of versions": Sample(
        {"composer.json": composer(php="^7.3|~8.2.0 || ~8.3.0"), "index.php": INDEX}, {"language_version": "8.3"}
    ),
    "php: a broken composer.json": Sample({"composer.json": "{,", "index.php": INDEX}, {"stack": "php"}),
    "php: everything in composer.json is of the wrong kind": Sample(
        {"composer.json": '{"require": [1], "extra": 7, "config": [], "repositories": "x"}', "index.php": INDEX},
        {"stack": "php", "framework": None},
    ),
    "php: UTF-16": Sample(
        {"composer.json": composer("slim/slim").encode("utf-16"), "public/index.php": INDEX}, {"framework": "slim"}
    ),
    "php: CRLF and a byte order mark": Sample(
        {"composer.json": "\ufeff" + composer("slim/slim").replace("\n", "\r\n"), "public/index.php": INDEX},
        {"framework": "slim"},
    ),
    "php: packages of its own": Sample(
        {
            "composer.json": composer("acme/lib", repositories=[{"type": "path", "url": "packages/*"}]),
            "packages/lib/composer.json": composer(),
            "public/index.php": INDEX,
        },
        {"stack": "php"},
    ),
    "php: a library": Sample(
        {"composer.json": composer("psr/log", type="library"), "src/Shop.php": "<?php class Shop {}"},
        {"stack": "php", "facts": None},
    ),
    "php: a docroot that leads outside": Sample(
        {
            "composer.json": composer("symfony/framework-bundle", extra={"public-dir": "../../etc"}),
            "public/index.php": INDEX,
        },
        {"framework": "symfony"},
    ),
    "php: in a folder": Sample(
        {"README.md": "", "backend/composer.json": composer("slim/slim"), "backend/public/index.php": INDEX},
        {"stack": "php", "root": "backend"},
    ),
    "php: a Dockerfile above it": Sample(
        {**LARAVEL, "Dockerfile": 'FROM php:8.3-apache\nCMD ["apache2-foreground"]\n'},
        {"stack": "dockerfile", "underlying_stack": "php", "framework": "laravel"},
    ),
    "php: a start command and quotes": Sample(
        {"index.php": INDEX},
        {"start_command": "php -S 0.0.0.0:$PORT 'a b'"},
        {"start_command": "php -S 0.0.0.0:$PORT 'a b'"},
    ),
    "php: scripts of a Node application": Sample(
        {
            "package.json": package({"express": "4"}, scripts={"start": "node server.js"}),
            "server.js": "require('express')().listen(3000)\n",
            "tools/deploy.php": INDEX,
        },
        {"stack": "node", "framework": "express"},
    ),
}
