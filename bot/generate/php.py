"""Dockerfiles for PHP: packages and extensions come from one stage; Apache serves the docroot, not as root."""

from __future__ import annotations

import posixpath

from bot.detect.facts import PhpFacts
from bot.generate import images, node, write
from bot.generate.recipe import Lines, Recipe, apt, base_user, environment, healthcheck, labels, probe_php

CONFIGURATION = ".berth/apache.conf"
_CACHE = "/root/.cache/composer"
_PHP = "/usr/local/lib/php/extensions /usr/local/etc/php/conf.d"
# an extension: Debian packages to compile it with, and those that it loads (of Debian 12, like the base image)
_LIBRARIES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "amqp": (("librabbitmq-dev",), ("librabbitmq4",)),
    "bz2": (("libbz2-dev",), ("libbz2-1.0",)),
    "ffi": (("libffi-dev",), ("libffi8",)),
    "gd": (
        ("libfreetype6-dev", "libjpeg62-turbo-dev", "libpng-dev", "libwebp-dev"),
        ("libfreetype6", "libjpeg62-turbo", "libpng16-16", "libwebp7"),
    ),
    "gmp": (("libgmp-dev",), ("libgmp10",)),
    "imagick": (("libmagickwand-dev",), ("libmagickwand-6.q16-6",)),
    "intl": (("libicu-dev",), ("libicu72",)),
    "ldap": (("libldap2-dev",), ("libldap-2.5-0",)),
    "memcached": (
        ("libmemcached-dev", "libssl-dev", "zlib1g-dev"),
        ("libmemcached11", "libmemcachedutil2"),
    ),
    "mongodb": (("libssl-dev",), ()),
    "pdo_pgsql": (("libpq-dev",), ("libpq5",)),
    "pgsql": (("libpq-dev",), ("libpq5",)),
    "soap": (("libxml2-dev",), ()),
    "swoole": (("libssl-dev",), ()),
    "openswoole": (("libssl-dev",), ()),
    "tidy": (("libtidy-dev",), ("libtidy5deb1",)),
    "xsl": (("libxslt1-dev",), ("libxslt1.1",)),
    "zip": (("libzip-dev",), ("libzip4",)),
}
_PECL = frozenset({"amqp", "apcu", "igbinary", "imagick", "memcached", "mongodb", "openswoole", "redis", "swoole"})


def dockerfile(recipe: Recipe, facts: PhpFacts) -> tuple[str, list[str]]:
    """The Dockerfile, and why it looks like that."""
    base = recipe.image(images.php(facts.version))
    why = [f"PHP {facts.version} with Apache: {base}"]
    out = Lines()
    what = " ".join(part for part in (recipe.detection.framework, f"on PHP {facts.version}") if part)
    packages = ", packages by composer" if facts.composer else ""
    out.add(write.comment(f"{what}{packages}. Written by Berth; yours to keep and change."))
    out.add(f"FROM {base} AS build", "WORKDIR /app")
    _extensions(out, facts, why)
    out.add(*recipe.arguments())
    _source(out, recipe, facts, why)
    if facts.assets:
        out.part(f"FROM {recipe.image(images.node(facts.assets.version))} AS assets", "WORKDIR /app")
        vendor = ["COPY --from=build /app/vendor ./vendor"] if facts.composer else []
        node.assets_stage(out, recipe, facts.assets, before=vendor)
        why.append(f"assets are built by Node.js: {facts.assets.build}")
    _run_stage(out, recipe, facts, base, why)
    return out.render(), why


def _extensions(out: Lines, facts: PhpFacts, why: list[str]) -> None:
    build = {name for one in facts.extensions for name in _LIBRARIES.get(one, ((), ()))[0]}
    if facts.composer:
        build |= {"git", "unzip"}
    if build:
        out.add(write.comment("to compile extensions and to unpack packages; not in the final image"), apt(build))
    own = [one for one in facts.extensions if one not in _PECL]
    if facts.version < "8.5":
        own.append("opcache")  # later versions have it built in
    lines = ["docker-php-ext-configure gd --with-freetype --with-jpeg --with-webp"] if "gd" in own else []
    if own:
        lines.append(f'docker-php-ext-install -j "$(nproc)" {" ".join(own)}')
    pecl = [one for one in facts.extensions if one in _PECL]
    if pecl:
        lines.append(f"pecl install {' '.join(pecl)}")
        lines.append(f"docker-php-ext-enable {' '.join(pecl)}")
    if lines:
        out.add("RUN " + " \\\n    && ".join(lines))
    if facts.extensions:
        why.append(f"extensions: {', '.join(facts.extensions)}")


def _source(out: Lines, recipe: Recipe, facts: PhpFacts, why: list[str]) -> None:
    if not facts.composer:
        out.add("COPY . .")
        if facts.build:
            out.add(recipe.step(facts.build))
        return
    out.add(f"COPY --from={recipe.image(images.COMPOSER)} /usr/bin/composer /usr/local/bin/composer")
    out.add(*environment((("COMPOSER_ALLOW_SUPERUSER", "1"), ("COMPOSER_CACHE_DIR", _CACHE), *facts.environment)))
    cache = [recipe.cache("composer", _CACHE)]
    if facts.install_needs_source:
        out.add(write.comment("packages of this repository are installed, so its source is needed first"), "COPY . .")
    else:
        out.add(write.comment("before the source, so that only changed manifests install again"))
        out.add(write.copy(facts.manifests, "./"))
        why.append("packages are installed before the source is copied")
    install = "composer install --no-dev --no-interaction --no-progress --prefer-dist"
    if not facts.install_needs_source:
        out.add(recipe.step(f"{install} --no-scripts --no-autoloader", cache, ours=True), "COPY . .")
    folders = f"mkdir -p {' '.join(facts.writable)} && " if facts.writable else ""
    if facts.placeholder_dotenv:
        folders += "echo '<?php return [];' >.env.local.php && "
    out.add(write.comment("scripts of the project need its source, so they run here"))
    scripts = "".join(f" \\\n    && composer run-script --no-dev {one}" for one in facts.scripts)
    dump = f"{folders}composer dump-autoload --no-dev --no-interaction --optimize{scripts}"
    if facts.install_needs_source or recipe.detection.framework in ("drupal", "wordpress"):
        # plug-ins of Composer put files outside of vendor/ as well
        dump = f"{folders}{install} --optimize-autoloader"
    out.add(recipe.step(dump, cache, ours=True))
    if facts.build:
        out.add(recipe.step(facts.build))


def _run_stage(out: Lines, recipe: Recipe, facts: PhpFacts, base: str, why: list[str]) -> None:
    out.part(f"FROM {base}", *labels(recipe))
    libraries = {name for one in facts.extensions for name in _LIBRARIES.get(one, ((), ()))[1]}
    if libraries:
        out.add(write.comment("libraries that the extensions load while they run"), apt(libraries))
    for folder in _PHP.split():
        out.add(f"COPY --from=build {folder} {folder}")
    out.add(write.comment("the image's own settings for production; ports and docroot are in a file beside this one"))
    out.add(
        'RUN cp "$PHP_INI_DIR/php.ini-production" "$PHP_INI_DIR/php.ini" \\\n'
        "    && echo '# see sites-enabled' >/etc/apache2/ports.conf \\\n"
        "    && a2enmod rewrite headers expires"
    )
    out.add(write.copy([CONFIGURATION], "/etc/apache2/sites-available/000-default.conf"))
    out.add(base_user(), "WORKDIR /app")
    _files(out, recipe, facts, why)
    out.add(*environment([*facts.environment, ("PORT", str(recipe.port))]))
    out.add("USER " + images.USER, f"EXPOSE {recipe.port}", *healthcheck(probe_php(recipe.detection.health_path)))
    start = recipe.detection.start_command or facts.start or "apache2-foreground"
    if facts.prepare:
        out.add(write.comment("made at each start: an image is no place for keys"))
        start = f"{facts.prepare} && {start}"
        why.append("a key that nobody sets is made when it starts, and ends with the container")
    out.add(write.command(start))
    why.append(f"the docroot is {facts.docroot or 'the whole folder'}")
    why.append(f"started by: {recipe.detection.start_command}")


def _files(out: Lines, recipe: Recipe, facts: PhpFacts, why: list[str]) -> None:
    owner = f"--chown={images.USER} --from="
    wordpress = recipe.image(images.WORDPRESS)
    if facts.core == "all":
        out.add(write.comment("WordPress itself, configured by WORDPRESS_DB_* variables; the repository is a part"))
        out.add(f"COPY {owner}{wordpress} /usr/src/wordpress ./")
        out.add(f"COPY {owner}{wordpress} /usr/src/wordpress/wp-config-docker.php ./wp-config.php")
        why.append(f"WordPress itself comes from {wordpress}")
    target = f"./{facts.core_target}/" if facts.core_target else "./"
    out.add(f"COPY {owner}build /app {target}")
    if facts.core == "config":
        place = posixpath.join(facts.docroot, "wp-config.php")
        out.add(write.comment("there is no wp-config.php: this one reads WORDPRESS_DB_* variables"))
        source = "/usr/src/wordpress/wp-config-docker.php"
        out.add(f"COPY {owner}{wordpress} {write.copy([source], f'./{place}').removeprefix('COPY ')}")
        why.append(f"wp-config.php comes from {wordpress}")
    if facts.assets:
        built = facts.docroot
        if built:
            out.add(write.copy([f"/app/{built}"], f"./{built}", options=f"{owner}assets"))
        else:
            out.add(f"COPY {owner}assets /app {target}")
    if facts.writable:
        folders = " ".join(facts.writable)
        out.add(f"RUN install --directory --owner=1000 --group=1000 {folders}")


def apache_configuration(facts: PhpFacts) -> str:
    """A virtual host that listens on ``$PORT``, obeys .htaccess files and hands out no hidden file.

    Without an .htaccess file, paths that are no file belong to index.php: the front controller of every framework.
    https://httpd.apache.org/docs/2.4/mod/core.html, https://httpd.apache.org/docs/2.4/mod/mod_dir.html#fallbackresource
    """
    folder = posixpath.join("/app", facts.docroot).rstrip("/")
    quoted = folder.replace("\\", "\\\\").replace('"', '\\"')
    return f"""\
# Written by Berth; yours to keep and change.
Listen ${{PORT}}
ServerName localhost
ServerTokens Prod
ServerSignature Off

<VirtualHost *:${{PORT}}>
    DocumentRoot "{quoted}"
    ErrorLog /proc/self/fd/2
    CustomLog /proc/self/fd/1 combined
    # the platform ends TLS; applications ask PHP whether it was there
    SetEnvIf X-Forwarded-Proto "^https$" HTTPS=on

    <Directory "{quoted}">
        Options FollowSymLinks
        AllowOverride All
        Require all granted
        DirectoryIndex index.php index.html
        FallbackResource /index.php
    </Directory>

    # what lies beside the pages is not for the public, nor are hidden files, except those of RFC 8615
    <LocationMatch "^/(?:.*/)?\\.(?!well-known/)">
        Require all denied
    </LocationMatch>
    <LocationMatch "^/(?:vendor/|composer\\.(?:json|lock)$|package(?:-lock)?\\.json$)">
        Require all denied
    </LocationMatch>
</VirtualHost>
"""


def probe(recipe: Recipe, _facts: PhpFacts) -> list[str]:
    """The words of a check from inside."""
    return probe_php(recipe.detection.health_path)


def ignored(facts: PhpFacts) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What stays out of the build."""
    installed = ("installed in the image", (*(["vendor"] if facts.composer else []), "**/node_modules"))
    dotenv = ("defaults without secrets, which Symfony reads at run time", ("!.env",))
    return (installed, dotenv) if facts.dotenv else (installed,)
