#!/bin/sh
# As in the official image: arguments that are not a program are given to deno.
set -e
if [ "${1#-}" != "$1" ] || [ -z "$(command -v "$1")" ] || [ "$1" = eval ]; then
  set -- deno "$@"
fi
exec "$@"
