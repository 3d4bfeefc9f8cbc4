"""Layouts of PHP and Ruby repositories that are easily taken for something else."""

from __future__ import annotations

from tests.detect.samples_basic import FLASK_APP, Sample, package
from tests.detect.samples_compiled_layouts import EXPRESS
from tests.detect.samples_php import INDEX, LARAVEL, composer
from tests.detect.samples_ruby import RAILS, SOURCE, gemfile

THEME: dict[str, str | bytes] = {"style.css": "/*\nTheme Name: Shop\nAuthor: Ann\n*/\n", "functions.php": INDEX}
BLOCKS = package(dev={"@wordpress/scripts": "26"}, scripts={"build": "wp-scripts build", "start": "wp-scripts start"})
CI_INDEX = "<?php\ndefine('ENVIRONMENT', 'x');\nrequire_once BASEPATH.'core/CodeIgniter.php';\n"

PHP_LAYOUTS: dict[str, Sample] = {
    "php: laravel in src": Sample(
        {"docker-compose.yml": "services: {}\n", **{f"src/{path}": text for path, text in LARAVEL.items()}},
        {"stack": "php", "framework": "laravel", "root": "src", "package_manager": "composer"},
    ),
    "php: laravel with inertia and react": Sample(
        {
            **LARAVEL,
            "package.json": package(
                {"react": "18", "@inertiajs/react": "1"},
                dev={"vite": "5", "laravel-vite-plugin": "1"},
                scripts={"build": "vite build", "dev": "vite"},
            ),
            "vite.config.js": "export default {}\n",
            "resources/js/app.jsx": "",
        },
        {"stack": "php", "framework": "laravel"},
    ),
    "php: laravel whose composer.json is broken": Sample(
        {**LARAVEL, "composer.json": '{"require": {"laravel/framework": "^11",'},
        {"stack": "php", "framework": "laravel", "package_manager": "composer"},
    ),
    "php: lumen whose composer.json is broken": Sample(
        {"composer.json": "{", "artisan": "", "bootstrap/app.php": "<?php\nnew Laravel\\Lumen\\Application();\n"},
        {"framework": "lumen"},
    ),
    "php: names in capitals": Sample(
        {"composer.json": composer("Slim/Slim"), "public/index.php": INDEX}, {"framework": "slim"}
    ),
    "php: slim's old skeleton": Sample(
        {"composer.json": composer("slim/slim"), "src/public/index.php": INDEX}, {"framework": "slim"}
    ),
    "php: codeigniter 3 without its system folder": Sample(
        {"index.php": CI_INDEX, "application/config/config.php": INDEX}, {"stack": "php", "framework": "codeigniter"}
    ),
    "php: cakephp with an index at the root": Sample(
        {"composer.json": composer("cakephp/cakephp"), "webroot/index.php": INDEX, "index.php": INDEX},
        {"framework": "cakephp"},
    ),
    "php: yii's advanced template": Sample(
        {
            "composer.json": composer("yiisoft/yii2"),
            "environments/prod/frontend/web/index.php": INDEX,
            "frontend/config/main.php": INDEX,
            "backend/config/main.php": INDEX,
        },
        {"stack": "php", "framework": "yii"},
    ),
    "php: yii 1": Sample({"framework/yii.php": INDEX, "index.php": INDEX}, {"framework": "yii"}),
    "php: drupal 7": Sample(
        {"index.php": "<?php\ndefine('DRUPAL_ROOT', getcwd());\n", "includes/bootstrap.inc": INDEX},
        {"stack": "php", "framework": "drupal"},
    ),
    "php: a theme of blocks, without PHP": Sample(
        {"style.css": THEME["style.css"], "theme.json": "{}", "templates/index.html": "<!-- wp:x -->\n"},
        {"stack": "php", "framework": "wordpress"},
    ),
    "php: a theme with Composer packages": Sample(
        {**THEME, "composer.json": composer("roots/acorn"), "package.json": BLOCKS},
        {"stack": "php", "framework": "wordpress", "package_manager": "composer"},
    ),
    "php: a plug-in with blocks": Sample(
        {"shop.php": "<?php\n/**\n * Plugin Name:       Shop\n */\n", "package.json": BLOCKS, "src/index.js": ""},
        {"stack": "php", "framework": "wordpress"},
    ),
    "php: the sources of wordpress": Sample(
        {"src/wp-load.php": INDEX, "src/index.php": INDEX, "composer.json": composer(), "package.json": package()},
        {"framework": "wordpress"},
    ),
    "php: an older symfony": Sample(
        {"composer.json": composer("symfony/symfony"), "web/app.php": INDEX}, {"framework": "symfony"}
    ),
    "php: the content folder of wordpress": Sample(
        {**{f"themes/shop/{path}": text for path, text in THEME.items()}, "plugins/a/a.php": INDEX, "index.php": INDEX},
        {"framework": "wordpress"},
    ),
    "php: a plug-in that only composer.json calls one": Sample(
        {"composer.json": '{"type": "wordpress-plugin"}', "src/shop.php": INDEX}, {"framework": "wordpress"}
    ),
    "php: wordpress by its plug-ins": Sample(
        {"composer.json": composer("wpackagist-plugin/akismet"), "index.php": INDEX}, {"framework": "wordpress"}
    ),
    "php: a module for drupal": Sample(
        {"shop.info.yml": "name: Shop\ntype: module\ncore_version_requirement: ^10\n", "shop.module": INDEX},
        {"stack": "php", "framework": "drupal", "facts": None},
    ),
    "php: magento": Sample(
        {"composer.json": composer("magento/product-community-edition"), "pub/index.php": INDEX, "index.php": INDEX},
        {"stack": "php", "framework": None},
    ),
    "php: a server that the Procfile starts": Sample(
        {"composer.json": composer("ext-swoole"), "server.php": INDEX, "Procfile": "web: php server.php\n"},
        {"stack": "php", "start_command": "php server.php", "package_manager": "composer"},
    ),
    "php: a server by its code": Sample(
        {"composer.json": composer("react/http"), "server.php": "<?php\n$http = new React\\Http\\HttpServer($f);\n"},
        {"stack": "php", "start_command": "php server.php"},
    ),
    "php: a library in a site": Sample(
        {"index.html": "<p>one</p>\n", "assets/vendor/mailer/send.php": INDEX}, {"stack": "static"}
    ),
    "php: a leftover in a Node application": Sample(
        {**EXPRESS, "public/legacy.php": INDEX}, {"stack": "node", "framework": "express"}
    ),
    "php: tools of Ruby beside it": Sample(
        {**LARAVEL, "Gemfile": gemfile("capistrano")}, {"stack": "php", "framework": "laravel"}
    ),
    "php: garbage in .php-version": Sample({".php-version": "banana\n", "index.php": INDEX}, {"stack": "php"}),
    "php: the same key twice": Sample(
        {"composer.json": '{"require": {"php": "^8"}, "require": {"slim/slim": "4"}}', "index.php": INDEX},
        {"framework": "slim"},
    ),
}

RUBY_LAYOUTS: dict[str, Sample] = {
    "ruby: gems.rb": Sample(
        {"gems.rb": gemfile("sinatra", "puma"), "gems.locked": "", "config.ru": "run Sinatra::Application\n"},
        {"stack": "ruby", "framework": "sinatra", "package_manager": "bundler"},
    ),
    "ruby: gems.rb without a server": Sample(
        {"gems.rb": gemfile("roda"), "config.ru": "run X\n"}, {"framework": "roda"}
    ),
    "ruby: a gem that is an application too": Sample(
        {
            "Gemfile": SOURCE + "gemspec\n",
            "x.gemspec": "Gem::Specification.new do |s|\n  s.add_dependency 'sinatra', '>= 4'\n"
            "  s.add_development_dependency 'rails'\nend\n",
            "config.ru": "run X\n",
        },
        {"framework": "sinatra"},
    ),
    "ruby: rails 6 brings Sprockets itself": Sample(
        {"Gemfile": gemfile("rails"), "config/application.rb": "", "app/assets/config/manifest.js": ""},
        {"framework": "rails", "build_command": "bundle exec rails assets:precompile"},
    ),
    "ruby: a comment of many lines": Sample(
        {
            "Gemfile": SOURCE + "=begin\ngem 'rails'\n=end\ngem 'sinatra'\n__END__\ngem 'hanami'\n",
            "app.rb": "require 'sinatra'\n",
        },
        {"framework": "sinatra"},
    ),
    "ruby: a lone program": Sample(
        {"main.rb": "puts 'one'\n"}, {"stack": "ruby", "framework": None, "start_command": "ruby main.rb"}
    ),
    "ruby: tasks of rake": Sample({"Gemfile": gemfile("rake"), "Rakefile": "task :serve\n"}, {"stack": "ruby"}),
    "ruby: a Rakefile alone": Sample({"Rakefile": "task :x\n"}, {"stack": "none"}),
    "ruby: tools for phones": Sample(
        {"Gemfile": gemfile("fastlane", "cocoapods"), "Shop.xcodeproj/project.pbxproj": ""}, {"stack": "none"}
    ),
    "ruby: tools of a Node application for phones": Sample(
        {
            "Gemfile": gemfile("cocoapods", "activesupport", "xcodeproj"),
            "package.json": package({"react-native": "0.76", "react": "18"}, scripts={"start": "react-native start"}),
            "android/build.gradle": "buildscript {}\n",
            "index.js": "",
        },
        {"stack": "node", "framework": None, "root": "."},
    ),
    "ruby: tools of a Node application": Sample(
        {**EXPRESS, "Gemfile": gemfile("cocoapods")}, {"stack": "node", "framework": "express"}
    ),
    "ruby: documents of a Node application": Sample(
        {**EXPRESS, "Gemfile": gemfile("jekyll"), "docs/_config.yml": "title: x\n"},
        {"stack": "node", "framework": "express"},
    ),
    "ruby: documents of a Python application": Sample(
        {"requirements.txt": "flask\n", "app.py": FLASK_APP, "Gemfile": gemfile("github-pages")},
        {"stack": "python", "framework": "flask"},
    ),
    "ruby: style sheets of a Python application": Sample(
        {"requirements.txt": "flask\n", "app.py": FLASK_APP, "Gemfile": gemfile("sass", "compass")},
        {"stack": "python", "framework": "flask"},
    ),
    "ruby: rails with vite": Sample(
        {
            **RAILS,
            "Gemfile": gemfile("rails", "vite_rails"),
            "package.json": package({"react": "18"}, dev={"vite-plugin-ruby": "5"}, scripts={"build": "vite build"}),
            "vite.config.ts": "export default {}\n",
        },
        {"stack": "ruby", "framework": "rails"},
    ),
    "ruby: rails beside a server of Node for streams": Sample(
        {
            **RAILS,
            "package.json": package({"express": "4", "react": "18"}, scripts={"start": "node ./streaming/index.js"}),
            "streaming/index.js": "require('express')().listen(4000)\n",
        },
        {"stack": "ruby", "framework": "rails"},
    ),
    "ruby: a theme of jekyll": Sample(
        {
            "Gemfile": SOURCE + "gemspec\n",
            "x.gemspec": "Gem::Specification.new do |s|\n  s.add_runtime_dependency 'jekyll'\nend\n",
            "_config.yml": "title: x\n",
            "_layouts/default.html": "",
        },
        {"framework": "jekyll"},
    ),
    "ruby: rails from its parts": Sample(
        {**RAILS, "Gemfile": gemfile("railties", "actionpack", "activerecord")}, {"framework": "rails"}
    ),
    "ruby: rails beside a client": Sample(
        {**RAILS, "client/package.json": package({"react": "18"}, scripts={"start": "react-scripts start"})},
        {"stack": "ruby", "framework": "rails", "root": "."},
    ),
    "ruby: rails is only tested with": Sample(
        {"Gemfile": SOURCE + "gem 'sinatra'\ngroup :test do\n  gem 'rails'\nend\n", "config.ru": "run X\n"},
        {"framework": "sinatra"},
    ),
    "ruby: another engine": Sample({**RAILS, ".ruby-version": "jruby-9.4.0.0\n"}, {"framework": "rails"}),
    "ruby: an extension of a framework": Sample(
        {"Gemfile": SOURCE + "gemspec\ngroup :test do\n  gem 'sinatra'\nend\n", "x.gemspec": "", "lib/x.rb": ""},
        {"framework": None},
    ),
}
