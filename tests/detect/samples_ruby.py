"""Ruby repositories, traps included."""

from __future__ import annotations

from tests.detect.samples_basic import Sample, package

SOURCE = "source 'https://rubygems.org'\n"
RACKUP = "require './app'\nrun Shop\n"
APP = "require 'sinatra'\n\nget('/') { 'one' }\n"
BASE = "require 'sinatra/base'\n\nclass Shop < Sinatra::Base\nend\n"


def gemfile(*names: str, ruby: str = "") -> str:
    return SOURCE + (f"ruby {ruby}\n" if ruby else "") + "".join(f"gem '{name}'\n" for name in names)


RAILS: dict[str, str | bytes] = {
    "Gemfile": gemfile("rails", "pg", "puma", "propshaft", "bootsnap"),
    "Gemfile.lock": "GEM\n  specs:\n    rails (8.0.1)\n    rack (3.1.8)\n    puma (6.4.3)\n",
    "config.ru": "require_relative 'config/environment'\nrun Rails.application\n",
    "config/application.rb": "require 'rails/all'\n",
    "config/database.yml": "production:\n  url: <%= ENV['DATABASE_URL'] %>\n",
    "config/routes.rb": 'Rails.application.routes.draw do\n  get "up" => "rails/health#show"\nend\n',
}

RUBY: dict[str, Sample] = {
    "ruby: rails": Sample(
        RAILS,
        {
            "stack": "ruby",
            "framework": "rails",
            "package_manager": "bundler",
            "language_version": "3.4",
            "port": 3000,
            "health_path": "/up",
            "services": ("postgresql",),
            "build_command": "bundle exec rails assets:precompile",
            "start_command": "bundle exec rails server -b 0.0.0.0 -p ${PORT}",
        },
    ),
    "ruby: rails with esbuild": Sample(
        {
            **RAILS,
            "Gemfile": gemfile("rails", "sqlite3", "jsbundling-rails"),
            "package.json": package({"react": "18"}, dev={"esbuild": "0.24"}, scripts={"build": "esbuild a"}),
            "yarn.lock": "# yarn lockfile v1\n",
        },
        {"stack": "ruby", "framework": "rails"},
    ),
    "ruby: rails without assets": Sample(
        {"Gemfile": gemfile("rails", "mysql2"), "config/application.rb": "", "config.ru": ""},
        {"framework": "rails", "build_command": None, "services": ("mysql",)},
    ),
    "ruby: rails only asks for a key": Sample(
        {**RAILS, "config/environments/production.rb": "  config.require_master_key = true\n"},
        {"required_env": ("RAILS_MASTER_KEY",)},
    ),
    "ruby: grape and sidekiq's pages inside rails": Sample(
        {**RAILS, "Gemfile": gemfile("rails", "grape", "sinatra", "sidekiq")},
        {"framework": "rails", "services": ("redis",)},
    ),
    "ruby: a bin/rails over sinatra": Sample(
        {
            "Gemfile": gemfile("sinatra", "puma"),
            "bin/rails": "#!/usr/bin/env ruby\n",
            "app.rb": BASE,
            "config.ru": RACKUP,
        },
        {"framework": "sinatra", "start_command": "bundle exec puma -b tcp://0.0.0.0:${PORT}"},
    ),
    "ruby: sinatra without config.ru": Sample(
        {"Gemfile": gemfile("sinatra"), "app.rb": APP},
        {"framework": "sinatra", "port": 4567, "start_command": "bundle exec ruby app.rb"},
    ),
    "ruby: sinatra without a manifest": Sample(
        {"app.rb": APP}, {"stack": "ruby", "framework": "sinatra", "package_manager": "bundler"}
    ),
    "ruby: sinatra in a file of another name": Sample(
        {"shop.rb": "require 'sinatra'\nset :port, 8081\n"}, {"framework": "sinatra", "port": 8081}
    ),
    "ruby: unicorn": Sample(
        {"Gemfile": gemfile("sinatra", "unicorn"), "config.ru": RACKUP},
        {"start_command": "bundle exec unicorn -o 0.0.0.0 -p ${PORT}"},
    ),
    "ruby: webrick alone": Sample(
        {"server.rb": "require 'webrick'\nWEBrick::HTTPServer.new(Port: 8000).start\n"},
        {"stack": "ruby", "framework": None, "port": 8000},
    ),
    "ruby: hanami": Sample(
        {"Gemfile": gemfile("hanami", "puma"), "config.ru": RACKUP}, {"framework": "hanami", "port": 2300}
    ),
    "ruby: roda": Sample({"Gemfile": gemfile("roda", "puma"), "config.ru": RACKUP}, {"framework": "roda"}),
    "ruby: grape": Sample({"Gemfile": gemfile("grape", "rack"), "config.ru": RACKUP}, {"framework": "grape"}),
    "ruby: rack": Sample(
        {"Gemfile": gemfile("rack", "puma"), "config.ru": "run ->(e) { [200, {}, ['one']] }\n"},
        {"framework": "rack", "port": 9292},
    ),
    "ruby: only a config.ru": Sample(
        {"config.ru": "run ->(e) { [200, {}, ['one']] }\n"}, {"stack": "ruby", "framework": "rack"}
    ),
    "ruby: jekyll": Sample(
        {"Gemfile": gemfile("jekyll"), "_config.yml": "title: x\n", "index.html": "---\n---\n", "404.html": ""},
        {
            "stack": "ruby",
            "framework": "jekyll",
            "output_dir": "_site",
            "port": 8080,
            "start_command": None,
            "build_command": "bundle exec jekyll build",
        },
    ),
    "ruby: a theme of jekyll": Sample(
        {"Gemfile": SOURCE + "gemspec\n", "minimal.gemspec": "", "_config.yml": "", "_layouts/default.html": ""},
        {"stack": "ruby", "framework": "jekyll"},
    ),
    "ruby: jekyll as a site for GitHub": Sample(
        {"Gemfile": SOURCE + 'gem "github-pages", group: :jekyll_plugins\n', "_config.yml": "", "index.md": ""},
        {"framework": "jekyll"},
    ),
    "ruby: jekyll without a Gemfile": Sample(
        {"_config.yml": "theme: minima\n", "_posts/2026-01-01-one.md": "", "index.html": ""},
        {"stack": "static", "framework": "jekyll", "output_dir": "_site"},
    ),
    "ruby: jekyll with tools of Node.js": Sample(
        {"_config.yml": "", "_posts/2026-01-01-one.md": "", "package.json": package(dev={"prettier": "3"})},
        {"stack": "static", "framework": "jekyll"},
    ),
    "ruby: a page for a program": Sample(
        {
            "_config.yml": "theme: jekyll-theme-cayman\n",
            "setup.py": "",
            "shop/__init__.py": "",
            "README.md": "",
        },
        {"stack": "python", "framework": None},
    ),
    "ruby: hexo has a _config.yml as well": Sample(
        {"_config.yml": "theme: landscape\n", "package.json": package({"hexo": "7"}), "source/_posts/a.md": ""},
        {"stack": "node", "framework": "hexo"},
    ),
    "ruby: a look-alike": Sample(
        {"Gemfile": gemfile("rails-html-sanitizer", "sinatra-contrib", "puma"), "config.ru": RACKUP},
        {"framework": "rack"},
    ),
    "ruby: only for development": Sample(
        {
            "Gemfile": gemfile("roda", "puma")
            + "group :development, :test do\n  if true\n    gem 'rails'\n  end\nend\n",
            "config.ru": RACKUP,
        },
        {"framework": "roda"},
    ),
    "ruby: a group of one line": Sample(
        {
            "Gemfile": gemfile("grape") + "gem 'rails', '~> 8', group: %i[test]\ngem 'x', groups: [:test]\n",
            "config.ru": "",
        },
        {"stack": "ruby"},
    ),
    "ruby: commented out": Sample(
        {"Gemfile": gemfile("sinatra") + "# gem 'rails'\n", "app.rb": APP}, {"framework": "sinatra"}
    ),
    "ruby: tools of another language": Sample(
        {"Gemfile": gemfile("fastlane", "cocoapods"), "README.md": ""}, {"stack": "none"}
    ),
    "ruby: checks of a plain site": Sample(
        {"Gemfile": gemfile("html-proofer", "rake"), "index.html": ""}, {"stack": "static", "framework": None}
    ),
    "ruby: .ruby-version": Sample({**RAILS, ".ruby-version": "ruby-3.3.6\n"}, {"language_version": "3.3"}),
    "ruby: the Gemfile insists on a patch": Sample(
        {"Gemfile": gemfile("sinatra", ruby="'3.3.5'"), "app.rb": APP, ".ruby-version": "3.3\n"},
        {"language_version": "3.3.5"},
    ),
    "ruby: the Gemfile reads .ruby-version": Sample(
        {"Gemfile": gemfile("sinatra", ruby="file: '.ruby-version'"), "app.rb": APP, ".ruby-version": "3.4.1\n"},
        {"language_version": "3.4.1"},
    ),
    "ruby: a range": Sample(
        {"Gemfile": gemfile("sinatra", ruby="'>= 3.2', '< 3.4'"), "app.rb": APP}, {"language_version": "3.3"}
    ),
    "ruby: the version of the lock": Sample(
        {"Gemfile": gemfile("sinatra"), "Gemfile.lock": "RUBY VERSION\n   ruby 3.2.2p53\n", "app.rb": APP},
        {"language_version": "3.2"},
    ),
    "ruby: a version that has ended": Sample(
        {"Gemfile": gemfile("sinatra", ruby="'~> 2.7.0'"), "app.rb": APP}, {"stack": "ruby", "language_version": "3.3"}
    ),
    "ruby: garbage in .ruby-version": Sample(
        {**RAILS, ".ruby-version": "\x01 latest please\n"}, {"framework": "rails"}
    ),
    "ruby: the Procfile": Sample(
        {**RAILS, "Procfile": "web: bundle exec puma -C config/puma.rb\nrelease: rails db:migrate\n"},
        {"start_command": "bundle exec puma -C config/puma.rb", "processes": (("release", "rails db:migrate"),)},
    ),
    "ruby: keys that are fetched": Sample(
        {"Gemfile": gemfile("sinatra"), "app.rb": APP + "a = ENV.fetch('API_KEY')\nb = ENV.fetch('X') { 1 }\n"},
        {"required_env": ("API_KEY",)},
    ),
    "ruby: services": Sample(
        {"Gemfile": gemfile("sinatra", "mongoid", "redis", "aws-sdk-s3"), "app.rb": APP},
        {"services": ("mongodb", "redis", "s3")},
    ),
    "ruby: gems of its own": Sample(
        {"Gemfile": gemfile("sinatra") + "gem 'lib', path: 'lib'\n", "lib/lib.gemspec": "", "app.rb": APP},
        {"framework": "sinatra"},
    ),
    "ruby: a library": Sample(
        {"Gemfile": SOURCE + "gemspec\n", "x.gemspec": "", "lib/x.rb": ""}, {"stack": "ruby", "facts": None}
    ),
    "ruby: CRLF and a byte order mark": Sample(
        {"Gemfile": "\ufeff" + gemfile("roda").replace("\n", "\r\n"), "config.ru": RACKUP}, {"framework": "roda"}
    ),
    "ruby: UTF-16": Sample({"Gemfile": gemfile("roda").encode("utf-16"), "config.ru": RACKUP}, {"framework": "roda"}),
    "ruby: a broken Gemfile": Sample(
        {"Gemfile": "gem 'sinatra\ngem(((\nend\nend\n\x01", "app.rb": APP}, {"stack": "ruby"}
    ),
    "ruby: in a folder": Sample(
        {"README.md": "", "api/Gemfile": gemfile("sinatra"), "api/app.rb": APP}, {"stack": "ruby", "root": "api"}
    ),
    "ruby: a Dockerfile above it": Sample(
        {**RAILS, "Dockerfile": 'FROM ruby:3.4\nCMD ["rails", "s"]\n'},
        {"stack": "dockerfile", "underlying_stack": "ruby", "framework": "rails"},
    ),
    "ruby: a start command and quotes": Sample(
        {"app.rb": APP}, {"start_command": "ruby app.rb 'a b' $(id)"}, {"start_command": "ruby app.rb 'a b' $(id)"}
    ),
    "ruby: a build command": Sample(
        {**RAILS}, {"build_command": "make 'all of it'"}, {"build_command": "make 'all of it'"}
    ),
}
