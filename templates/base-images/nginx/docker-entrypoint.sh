#!/bin/sh
# As in the official image: before nginx starts, templates are filled in from the environment (only variables that are
# set are replaced, so nginx's own $variables stay) and the scripts of /docker-entrypoint.d are run.
set -e

fill_templates() {
  templates=${NGINX_ENVSUBST_TEMPLATE_DIR:-/etc/nginx/templates}
  suffix=${NGINX_ENVSUBST_TEMPLATE_SUFFIX:-.template}
  output=${NGINX_ENVSUBST_OUTPUT_DIR:-/etc/nginx/conf.d}
  [ -d "$templates" ] || return 0
  if [ ! -w "$output" ]; then
    echo "$0: $templates exists, but $output is not writable" >&2
    return 0
  fi
  # shellcheck disable=SC2016
  defined=$(awk 'BEGIN { for (name in ENVIRON) if (name ~ ENVIRON["NGINX_ENVSUBST_FILTER"]) printf "${%s} ", name }')
  find "$templates" -follow -type f -name "*$suffix" -print | while read -r template; do
    relative=${template#"$templates/"}
    mkdir -p "$output/$(dirname "$relative")"
    envsubst "$defined" <"$template" >"$output/${relative%"$suffix"}"
  done
}

if [ "$1" = nginx ] || [ "$1" = nginx-debug ]; then
  fill_templates
  for script in /docker-entrypoint.d/*; do
    case $script in
      *.envsh) [ -x "$script" ] && . "$script" ;;
      *.sh) [ -x "$script" ] && "$script" ;;
    esac
  done
fi
exec "$@"
