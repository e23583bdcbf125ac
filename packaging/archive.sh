#!/usr/bin/env bash
# Makes an archive of the program for this kind of machine: shiftray-VERSION-TARGET.tar.gz with the program, which has its
# weights and a scene inside, completions for shells, manual pages, README and licences.
#
# usage: packaging/archive.sh [FOLDER] [options of cargo build, such as --no-default-features]
#   FOLDER  where the archive goes; dist by default
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

out=dist
if [ $# -gt 0 ] && [[ $1 != -* ]]; then
    out=$1
    shift
fi

cargo build --locked --profile dist "$@"
program=${CARGO_TARGET_DIR:-target}/dist/shiftray

version=$("$program" --version)
version=${version##* }
target=$(rustc -vV | sed -n 's/^host: //p')
name=shiftray-$version-$target

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
content=$work/$name
mkdir -p "$content/completions"
install -m 755 "$program" "$content/shiftray"
install -m 644 README.md LICENSE-APACHE LICENSE-MIT "$content"
for shell in bash zsh fish powershell elvish; do
    "$content/shiftray" completions "$shell" --out "$content/completions"
done
"$content/shiftray" man --out "$content/man/man1" >/dev/null

mkdir -p "$out"
# The same content gives the same archive, whoever makes it and when.
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$(git log -1 --format=%ct)" \
    -C "$work" -cf - "$name" | gzip -n -9 >"$out/$name.tar.gz.new"
mv "$out/$name.tar.gz.new" "$out/$name.tar.gz"
(cd "$out" && sha256sum "$name.tar.gz" | tee "$name.tar.gz.sha256")
