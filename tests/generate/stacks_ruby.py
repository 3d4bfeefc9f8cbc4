"""Applications in Ruby that are really built; versions are those that the stand-in has instead of a registry."""

from __future__ import annotations

from tests.generate.stacks import Application, Applications

IMAGES = ("ruby:3.1-slim-bookworm",)
SOURCE = "source 'https://rubygems.org'\n\n"
SINATRA = "require 'sinatra/base'\n\nclass Shop < Sinatra::Base\n  get('/') { \"one #{ENV['PORT']}\" }\nend\n"
RAILS = {
    ".ruby-version": "3.1\n",
    "Gemfile": SOURCE + "gem 'rails', '~> 6.1.7'\ngem 'sqlite3', '~> 1.4'\ngem 'puma'\n",
    "Rakefile": "require_relative 'config/application'\nRails.application.load_tasks\n",
    "app/assets/config/manifest.js": "//= link_directory ../stylesheets .css\n",
    "app/assets/stylesheets/application.css": "body { color: #333 }\n",
    "app/controllers/application_controller.rb": "class ApplicationController < ActionController::Base\nend\n",
    "app/controllers/visits_controller.rb": """\
class VisitsController < ApplicationController
  def index
    Visit.create!
    render plain: "visit #{Visit.count} of one, #{helpers.stylesheet_path('application')}"
  end
end
""",
    "app/models/application_record.rb": "class ApplicationRecord < ActiveRecord::Base\n"
    "  self.abstract_class = true\nend\n",
    "app/models/visit.rb": "class Visit < ApplicationRecord\nend\n",
    "bin/rails": "#!/usr/bin/env ruby\nAPP_PATH = File.expand_path('../config/application', __dir__)\n"
    "require_relative '../config/boot'\nrequire 'rails/commands'\n",
    "config.ru": "require_relative 'config/environment'\nrun Rails.application\n",
    "config/application.rb": "require_relative 'boot'\nrequire 'rails/all'\nBundler.require(*Rails.groups)\n\n"
    "module Shop\n  class Application < Rails::Application\n    config.load_defaults 6.1\n  end\nend\n",
    "config/boot.rb": "ENV['BUNDLE_GEMFILE'] ||= File.expand_path('../Gemfile', __dir__)\nrequire 'bundler/setup'\n",
    "config/database.yml": "production:\n  adapter: sqlite3\n  database: db/production.sqlite3\n",
    "config/environment.rb": "require_relative 'application'\nRails.application.initialize!\n",
    "config/environments/production.rb": """\
Rails.application.configure do
  config.cache_classes = true
  config.eager_load = true
  config.assets.compile = false
  config.public_file_server.enabled = ENV['RAILS_SERVE_STATIC_FILES'].present?
end
""",
    "config/puma.rb": "port ENV.fetch('PORT', 3000)\n",
    "config/routes.rb": "Rails.application.routes.draw do\n  root 'visits#index'\nend\n",
    "config/storage.yml": "local:\n  service: Disk\n  root: <%= Rails.root.join('storage') %>\n",
    "db/migrate/20260101000000_create_visits.rb": "class CreateVisits < ActiveRecord::Migration[6.1]\n"
    "  def change\n    create_table(:visits, &:timestamps)\n  end\nend\n",
}

APPLICATIONS: Applications = {
    "sinatra": (
        IMAGES,
        {
            ".ruby-version": "3.1\n",
            "Gemfile": SOURCE + "gem 'sinatra', '~> 3.0'\ngem 'puma'\n",
            "app.rb": SINATRA,
            "config.ru": "require './app'\n\nrun Shop\n",
        },
    ),
    # assets with a digest, a table made by a migration, a key that nobody set
    "rails": Application(
        IMAGES, RAILS, answer="of one, /assets/application-", source="app/controllers/visits_controller.rb"
    ),
    "ruby, without gems": (
        IMAGES,
        {
            ".ruby-version": "3.1\n",
            "main.rb": """\
require 'socket'

server = TCPServer.new('0.0.0.0', ENV.fetch('PORT').to_i)
trap('TERM') { exit }
loop do
  client = server.accept
  nil until client.gets.to_s.strip.empty?
  client.print "HTTP/1.0 200 OK\\r\\nContent-Length: 3\\r\\n\\r\\n", 'one'
  client.close
end
""",
        },
    ),
}
