#!/bin/sh
# Writes .env from .env.example with random secrets in the places that must not stay empty.
set -eu
cd "$(dirname "$0")/../.."
master_key() { printf 'compose-%s:%s' "$(od -An -N3 -tx1 /dev/urandom | tr -d ' \n')" "$(head -c 32 /dev/urandom | base64)"; }
if [ -e .env ] && ! grep -q '^CONFHUB_MASTER_KEYS=.' .env; then
	umask 077
	{ grep -v '^CONFHUB_MASTER_KEYS=' .env || true; } >.env.new
	printf 'CONFHUB_MASTER_KEYS=%s\n' "$(master_key)" >>.env.new
	mv .env.new .env
	echo ".env had no CONFHUB_MASTER_KEYS; one is in it now. Keep a copy: without it secrets are lost."
	exit 0
fi
if [ -e .env ]; then
	echo ".env is there already and stays as it is. Remove it to have another one made."
	exit 0
fi
umask 077
secret() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
while IFS= read -r line; do
	case $line in
	CONFHUB_MASTER_KEYS=) printf '%s%s\n' "$line" "$(master_key)" ;;
	SECRET_KEY= | POSTGRES_PASSWORD= | REDIS_PASSWORD=) printf '%s%s\n' "$line" "$(secret)" ;;
	*) printf '%s\n' "$line" ;;
	esac
done <.env.example >.env.new
mv .env.new .env
echo ".env is written, for you alone to read. Next: docker compose up"
