#!/bin/sh
# Writes .env from .env.example with random secrets in the places that must not stay empty.
set -eu
cd "$(dirname "$0")/../.."
if [ -e .env ]; then
	echo ".env is there already and stays as it is. Remove it to have another one made."
	exit 0
fi
umask 077
secret() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
while IFS= read -r line; do
	case $line in
	SECRET_KEY= | POSTGRES_PASSWORD= | REDIS_PASSWORD=) printf '%s%s\n' "$line" "$(secret)" ;;
	*) printf '%s\n' "$line" ;;
	esac
done <.env.example >.env.new
mv .env.new .env
echo ".env is written, for you alone to read. Next: docker compose up"
