"""Applications in PHP that are really built."""

from __future__ import annotations

from tests.detect.samples import ALL
from tests.detect.samples_basic import package
from tests.detect.samples_php import composer
from tests.generate.stacks import Application, Applications, Files

_REGISTRY = "Composer's packages come from a registry that no stand-in replaces"


def _texts(files: dict[str, str | bytes]) -> Files:
    return {path: text for path, text in files.items() if isinstance(text, str)}


APPLICATIONS: Applications = {
    "php": (
        ("php:8.2-apache-bookworm",),
        {
            ".php-version": "8.2\n",
            "public/index.php": "<?php\n$db = class_exists('PDO') ? PDO::getAvailableDrivers() : [];\n"
            "echo 'one ', $_SERVER['REQUEST_URI'], ' ', getenv('PORT'), ' ', extension_loaded('intl') ? 'intl' : '';\n"
            "$format = fn() => new NumberFormatter('de', 1);\n",
            "public/style.css": "body {}\n",
            "public/.secret": "hidden\n",
            "src/inside.php": "<?php\necho 'private';\n",
        },
    ),
    "laravel": Application(
        (),
        _texts(ALL["php: laravel"].files)
        | {
            "package.json": package({}, dev={"vite": "5", "laravel-vite-plugin": "1"}, scripts={"build": "vite build"}),
            "vite.config.js": "export default {}\n",
        },
        not_built=_REGISTRY,
        instructions=(
            r"FROM php:8\.\d-apache-bookworm AS build",
            r"RUN apt-get update .*'git=\*' 'libpq-dev=\*' 'unzip=\*'",
            r"RUN docker-php-ext-install .*pdo_pgsql opcache$",
            r"COPY --from=composer:2 /usr/bin/composer",
            r"COPY composer\.json composer\.lock \./$",
            r"RUN --mount=type=cache,\S+ +composer install --no-dev .*--no-scripts --no-autoloader$",
            r"COPY \. \.$",
            r"RUN .*mkdir -p storage/\S+ .*composer dump-autoload --no-dev .*--optimize$",
            r"FROM node:\d+-slim AS assets",
            r"COPY package\.json \./$",
            r"RUN .*npm install",
            r"COPY --from=build /app/vendor",
            r"RUN npm run build",
            r"FROM php:8\.\d-apache-bookworm$",
            r"RUN apt-get .*'libpq5=\*'",
            r"COPY --from=build /usr/local/lib/php/extensions",
            r"COPY \.berth/apache\.conf",
            r"COPY --chown=1000:1000 --from=build /app \./",
            r"COPY --chown=1000:1000 --from=assets /app/public \./public",
            r"RUN install --directory --owner=1000 --group=1000 storage/app/public",
            r"ENV APP_ENV=production .*PORT=8080",
            r"USER 1000:1000",
            r"CMD .*APP_KEY=.*php artisan migrate --force && php artisan config:cache && exec apache2-foreground",
        ),
    ),
    "symfony": Application(
        (),
        _texts(ALL["php: symfony"].files) | {"composer.lock": '{"packages": []}'},
        not_built=_REGISTRY,
        instructions=(
            r"FROM php:8\.\d-apache-bookworm AS build",
            r"RUN docker-php-ext-install .*intl pdo_mysql opcache$",
            r"COPY composer\.json composer\.lock symfony\.lock \./$",
            r"RUN .*composer install --no-dev .*--no-scripts --no-autoloader$",
            r"COPY \. \.$",
            r"RUN .*composer dump-autoload .*--optimize .*composer run-script --no-dev post-install-cmd$",
            r"FROM php:8\.\d-apache-bookworm$",
            r"RUN install --directory --owner=1000 --group=1000 var/cache var/log$",
            r"ENV APP_ENV=prod .*APP_DEBUG=0",
            r"USER 1000:1000",
            r"CMD .*APP_SECRET=.*exec apache2-foreground",
        ),
    ),
    "drupal": Application(
        (),
        {
            "composer.json": composer(
                "drupal/core-recommended", extra={"drupal-scaffold": {"locations": {"web-root": "web/"}}}
            ),
            "composer.lock": '{"packages": []}',
        },
        not_built=_REGISTRY,
        instructions=(
            r"RUN docker-php-ext-configure gd .*docker-php-ext-install .*gd pdo_mysql opcache$",
            r"RUN .*composer install .*--no-scripts --no-autoloader$",
            r"COPY \. \.$",
            r"RUN .*composer install .*--optimize-autoloader$",  # which puts Drupal itself into web/
            r"FROM php:8\.\d-apache-bookworm$",
            r"COPY --chown=1000:1000 --from=build /app \./",
            r"USER 1000:1000",
        ),
    ),
    "wordpress, a theme with blocks": Application(
        (),
        {
            "style.css": "/*\nTheme Name: Shop\n*/\n",
            "functions.php": "<?php\n",
            "package.json": package(dev={"@wordpress/scripts": "26"}, scripts={"build": "wp-scripts build"}),
        },
        not_built="WordPress itself comes from its official image, which has no stand-in",
        instructions=(
            r"FROM node:\d+-slim AS assets",
            r"RUN npm run build",
            r"FROM php:8\.\d-apache-bookworm$",
            r"COPY --chown=1000:1000 --from=wordpress:6-apache /usr/src/wordpress \./$",
            r"COPY --chown=1000:1000 --from=build /app \./wp-content/themes/app/$",
            r"COPY --chown=1000:1000 --from=assets /app \./wp-content/themes/app/$",
        ),
    ),
}
