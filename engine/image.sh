#!/bin/sh
# Puts a binary and all it needs at run time into a folder that becomes the image: image.sh BINARY FOLDER EPOCH
#
# Libraries are those the loader resolves, each under the path it is looked for; times are set to EPOCH, so that the same input gives the
# same layer. sbom.spdx.json names the packages they came from.
set -eu
binary=$1 out=$2 epoch=$3
mkdir -p "$out/etc/ssl/certs" "$out/tmp" "$out/lib" "$out/usr/lib"
strip -o "$out/manager" "$binary"
libraries=$(ldd "$binary" | grep -o '/[^ ]*')
for library in $libraries /lib/*/libnss_dns.so.2 /lib/*/libnss_files.so.2 /lib/*/libresolv.so.2; do
	mkdir -p "$out$(dirname "$library")"
	cp -L "$library" "$out$library"
done
cp -L /etc/ssl/certs/ca-certificates.crt "$out/etc/ssl/certs/"
echo 'hosts: files dns' >"$out/etc/nsswitch.conf"
echo 'nonroot:x:65532:65532::/:/none' >"$out/etc/passwd"
echo 'nonroot:x:65532:' >"$out/etc/group"
chmod 1777 "$out/tmp"
{
	printf '{"spdxVersion":"SPDX-2.3","dataLicense":"CC0-1.0","SPDXID":"SPDXRef-DOCUMENT","name":"asya-operator",'
	printf '"documentNamespace":"https://asya.sh/sbom/asya-operator","creationInfo":{"created":"%s","creators":["Tool: engine/image.sh"]},' \
		"$(date -u -d "@$epoch" +%Y-%m-%dT%H:%M:%SZ)"
	printf '"packages":[{"SPDXID":"SPDXRef-operator","name":"asya-operator","downloadLocation":"NOASSERTION","licenseDeclared":"Apache-2.0"}'
	for library in $libraries; do dpkg -S "$(readlink -f "$library")" 2>/dev/null || dpkg -S "$library" 2>/dev/null || true; done |
		cut -d: -f1 | sort -u | while read -r package; do
		printf ',\n{"SPDXID":"SPDXRef-%s","name":"%s","versionInfo":"%s","downloadLocation":"NOASSERTION","supplier":"Organization: Debian"}' \
			"$package" "$package" "$(dpkg-query -W -f '${Version}' "$package" 2>/dev/null | head -1)"
	done
	printf ']}\n'
} >"$out/sbom.spdx.json"
find "$out" -exec touch -h -d "@$epoch" {} +
