#!/bin/sh
# As in the official image: arguments that are not a command are given to bun.
set -e
if [ "${1#-}" != "$1" ] || [ -z "$(command -v "$1")" ] || { [ -f "$1" ] && ! [ -x "$1" ]; }; then
  set -- bun "$@"
fi
exec "$@"
