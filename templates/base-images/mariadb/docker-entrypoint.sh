#!/bin/sh
# As in the official image: root gives the data to mysql and becomes it; the first start makes user and database.
set -eu
[ "${1#-}" = "$1" ] || set -- mariadbd "$@"
if [ "$1" != mariadbd ] && [ "$1" != mysqld ]; then
  exec "$@"
fi
if [ "$(id -u)" = 0 ]; then
  find /var/lib/mysql /run/mysqld \! -user mysql -exec chown mysql: '{}' +
  exec setpriv --reuid=mysql --regid=mysql --clear-groups "$0" "$@"
fi
root=${MARIADB_ROOT_PASSWORD:-${MYSQL_ROOT_PASSWORD:-}}
random=${MARIADB_RANDOM_ROOT_PASSWORD:-${MYSQL_RANDOM_ROOT_PASSWORD:-}}
empty=${MARIADB_ALLOW_EMPTY_ROOT_PASSWORD:-${MYSQL_ALLOW_EMPTY_PASSWORD:-}}
user=${MARIADB_USER:-${MYSQL_USER:-}}
password=${MARIADB_PASSWORD:-${MYSQL_PASSWORD:-}}
database=${MARIADB_DATABASE:-${MYSQL_DATABASE:-}}
quoted() { printf "'%s'" "$(printf %s "$1" | sed -e 's/\\/\\\\/g' -e "s/'/\\\\'/g")"; }
if [ ! -d /var/lib/mysql/mysql ]; then
  if [ -z "$root$random$empty" ]; then
    echo "[ERROR] Database is uninitialized and password option is not specified: set MARIADB_ROOT_PASSWORD," \
      "MARIADB_ALLOW_EMPTY_ROOT_PASSWORD or MARIADB_RANDOM_ROOT_PASSWORD." >&2
    exit 1
  fi
  [ -z "$random" ] || root=$(head -c 24 /dev/urandom | base64)
  mariadb-install-db --skip-test-db --auth-root-authentication-method=normal >/dev/null
  {
    echo "FLUSH PRIVILEGES;"
    [ -z "$database" ] || echo "CREATE DATABASE \`$(printf %s "$database" | sed 's/`/``/g')\`;"
    if [ -n "$user" ]; then
      echo "CREATE USER $(quoted "$user")@'%' IDENTIFIED BY $(quoted "$password");"
      [ -z "$database" ] || echo "GRANT ALL ON \`$(printf %s "$database" | sed 's/`/``/g')\`.* TO $(quoted "$user")@'%';"
    fi
    echo "CREATE USER root@'%' IDENTIFIED BY $(quoted "$root");"
    echo "GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;"
    echo "ALTER USER root@localhost IDENTIFIED BY $(quoted "$root");"
  } | mariadbd --bootstrap --skip-networking
fi
exec "$@"
