#!/bin/sh
# Installs the Debian packages that building and testing need, or says which ones when we may not.
# `deps.sh node`: those of a real node and its images. `deps.sh fuzz`: those of the fuzzers.
set -eu

# package, then what shows that it is there: a pkg-config module (name:), a Python module (import:name), a file, or a command
wanted='
pkg-config        pkg-config
gcc               gcc
lua5.4            lua5.4
liblua5.4-dev     lua5.4:
libcurl4-openssl-dev libcurl:
libyaml-dev       yaml-0.1:
libcjson-dev      libcjson:
libuv1-dev        libuv:
libssl-dev        openssl:
librabbitmq-dev   librabbitmq:
libhttp-parser-dev /usr/include/http_parser.h
libcmocka-dev     cmocka:
lua-busted        busted
lua-yaml          /usr/share/lua/5.4/lyaml
lua-check         luacheck
luarocks          luarocks
clang-format-14   clang-format-14
valgrind          valgrind
cppcheck          cppcheck
python3           python3
python3-venv      import:ensurepip
curl              curl
zsh               zsh
fish              fish
openssl           openssl
rabbitmq-server   /usr/lib/rabbitmq/bin/rabbitmq-server
'

[ "${1:-}" != node ] || wanted='
containerd        containerd
runc              runc
containernetworking-plugins /usr/lib/cni/bridge
iproute2          ip
docker.io         dockerd
docker-registry   docker-registry
debootstrap       debootstrap
libc6-dev         /usr/include/stdlib.h
'

[ "${1:-}" != fuzz ] || wanted='
clang-14          clang-14
libclang-rt-14-dev /usr/lib/llvm-14/lib/clang/14.0.6/lib/linux
'

present() {
	case "$1" in
	import:*) python3 -c "import ${1#*:}" 2>/dev/null ;;
	*:) pkg-config --exists "${1%:}" 2>/dev/null ;;
	/*) [ -e "$1" ] ;;
	*) command -v "$1" >/dev/null 2>&1 ;;
	esac
}

missing=$(echo "$wanted" | while read -r package proof; do
	[ -z "$package" ] || present "$proof" || printf '%s ' "$package"
done)
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
	echo "missing packages; as root: apt-get install --no-install-recommends $missing" >&2
	exit 1
fi
echo "installing missing packages: $missing" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # a list of names
apt-get install -y -qq --no-install-recommends $missing >/dev/null
