#!/bin/bash
# Starts PostgreSQL. The first time, it makes the cluster in another place and renames it as the last step: a container
# that is killed on the way begins again the next time. Arguments are the server's.
set -euo pipefail
trap 'exit 1' INT TERM # Otherwise the first process of a container ignores them.

volume=/var/lib/postgresql
data=$volume/data
new=$volume/new

# A server looks for others in its own data directory, but it cannot see those of another container.
exec 9> "$volume/lock"
flock --nonblock 9 || { echo 'another container runs on this volume' >&2; exit 1; }

if [ ! -e "$data" ]; then
  : "${POSTGRES_PASSWORD:?must be set: the password for the superuser postgres}"
  database=${POSTGRES_DB:-postgres}
  rm -rf "$new"
  initdb --pgdata="$new" --username=postgres --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") \
    --auth-local=peer --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --data-checksums
  echo "listen_addresses = '*'" >> "$new/postgresql.conf"
  echo 'host all all all scram-sha-256' >> "$new/pg_hba.conf"

  # Nobody else can connect yet: no TCP, and the socket is in the new data directory.
  pg_ctl --pgdata="$new" --options="-c listen_addresses='' -k $new" --wait start
  if [ "$database" != postgres ]; then createdb --host="$new" -- "$database"; fi
  PGDATABASE=$database psql --no-psqlrc --host="$new" --set=ON_ERROR_STOP=1 \
    --command='CREATE EXTENSION rolecall' --command='SELECT * FROM rolecall.create_base_roles()'
  pg_ctl --pgdata="$new" --mode=fast --wait stop
  mv --no-target-directory "$new" "$data"
fi
# The new name must outlive a power failure before anything is written under it.
sync "$volume"

unset POSTGRES_PASSWORD
exec postgres -D "$data" "$@"
