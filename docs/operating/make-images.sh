#!/bin/sh
# Makes the base images of docker-compose.yml from Debian packages, where no image registry is reached.
# As root, on Debian 12, with debootstrap and a running engine:   sh docs/operating/make-images.sh
# The page that goes with it: docs/operating/without-a-registry.md
set -eu

suite=${SUITE:-bookworm}
here=$(cd "$(dirname "$0")/../.." && pwd)
# The mirror that this machine uses itself; name another with MIRROR=…
mirror=${MIRROR:-$(sed -n 's/^URIs: *//p; s/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*\) .*/\2/p' \
	/etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null | head -n 1)}
build=$(mktemp -d "${TMPDIR:-/var/tmp}/confhub-images.XXXXXX")
trap 'rm -rf "$build"' EXIT INT TERM

say() { printf '· %s …\n' "$1"; }

# image NAME: build from the Dockerfile on stdin. The host's network, because the engine's own may
# have no way to the mirror.
image() {
	say "confhub-base/$1"
	mkdir -p "$build/$1"
	cat >"$build/$1/Dockerfile"
	docker build --quiet --network host --tag "confhub-base/$1" "$build/$1" >/dev/null
}

if ! docker image inspect confhub-base/debian >/dev/null 2>&1; then
	say "confhub-base/debian (debootstrap $suite)"
	debootstrap --variant=minbase --include=ca-certificates "$suite" "$build/debian" "$mirror" >"$build/log" ||
		{ tail -n 20 "$build/log"; exit 1; }
	# This machine's certificates and names: a mirror inside a company is signed by its own authority.
	cp /etc/ssl/certs/ca-certificates.crt "$build/debian/etc/ssl/certs/ca-certificates.crt"
	rm -rf "$build/debian/var/cache/apt/archives" "$build/debian/var/lib/apt/lists"
	mkdir -p "$build/debian/var/lib/apt/lists/partial" "$build/debian/var/cache/apt/archives/partial"
	tar -C "$build/debian" -c . | docker import \
		--change 'ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt' \
		--change 'ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt' \
		--change 'ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt' \
		--change 'CMD ["/bin/sh"]' - confhub-base/debian >/dev/null
	rm -rf "$build/debian"
fi

packages() { # packages NAME…: a line that installs them and starts nothing
	cat <<LINE
RUN echo 'exit 101' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d && apt-get update -q \\
 && apt-get install -qy --no-install-recommends $* && rm -rf /var/lib/apt/lists/*
LINE
}

image python <<DOCKERFILE
FROM confhub-base/debian
$(packages python3 python3-venv)
RUN ln -s /usr/bin/python3 /usr/local/bin/python
DOCKERFILE

mkdir -p "$build/node"
cp "$here/requirements-node.lock" "$build/node/"
image node <<'DOCKERFILE'
FROM confhub-base/python
COPY requirements-node.lock /tmp/
RUN python3 -m venv /opt/node && /opt/node/bin/pip install --quiet --require-hashes -r /tmp/requirements-node.lock
ENV PATH=/opt/node/bin:$PATH
DOCKERFILE

mkdir -p "$build/postgres"
cat >"$build/postgres/entrypoint" <<'ENTRYPOINT'
#!/bin/sh
# As the official image does: on an empty volume make the cluster, the role and the database.
set -eu
bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
data=/var/lib/postgresql/data
mkdir -p "$data" && chown postgres "$data" && chmod 700 "$data"
as() { setpriv --reuid postgres --regid postgres --init-groups "$@"; }
if [ ! -s "$data/PG_VERSION" ]; then
	printf '%s' "${POSTGRES_PASSWORD:?}" >/run/password && chown postgres /run/password
	as "$bin/initdb" -D "$data" -U "${POSTGRES_USER:-postgres}" --pwfile=/run/password \
		--auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 >/dev/null
	rm /run/password
	echo "host all all all scram-sha-256" >>"$data/pg_hba.conf"
	as "$bin/pg_ctl" -D "$data" -o "-c listen_addresses=" -w start >/dev/null
	as psql -U "${POSTGRES_USER:-postgres}" -d postgres -qc "CREATE DATABASE \"${POSTGRES_DB:-postgres}\""
	as "$bin/pg_ctl" -D "$data" -w stop >/dev/null
fi
exec setpriv --reuid postgres --regid postgres --init-groups "$bin/postgres" -D "$data" -c "listen_addresses=*"
ENTRYPOINT
image postgres <<DOCKERFILE
FROM confhub-base/debian
$(packages postgresql)
COPY entrypoint /usr/local/bin/entrypoint
RUN chmod 755 /usr/local/bin/entrypoint && mkdir -p /var/run/postgresql && chown postgres /var/run/postgresql
ENTRYPOINT ["/usr/local/bin/entrypoint"]
STOPSIGNAL SIGINT
DOCKERFILE

image redis <<DOCKERFILE
FROM confhub-base/debian
$(packages redis-server)
RUN mkdir /data && chown redis:redis /data
USER redis
WORKDIR /data
DOCKERFILE

image etcd <<DOCKERFILE
FROM confhub-base/debian
$(packages etcd-server etcd-client)
DOCKERFILE

cat <<'SETTINGS'

Made. Name them to docker compose, for instance in .env:

PYTHON_IMAGE=confhub-base/python
NODE_IMAGE=confhub-base/node
POSTGRES_IMAGE=confhub-base/postgres
REDIS_IMAGE=confhub-base/redis
ETCD_IMAGE=confhub-base/etcd
SETTINGS
