#!/bin/sh
# scripts/setup against a pretended Debian: it installs what is missing and only that, once, says so first, goes through
# sudo when not root, fetches package lists only when it must, and lives without optional parts.
#
#   setup.sh SOURCE_DIR

set -eu
setup=$1/scripts/setup
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/bin"
calls=$dir/calls
failed=0

fake()
{
    printf '#!/bin/sh\n%s\n' "$2" >"$dir/bin/$1"
    chmod +x "$dir/bin/$1"
}

# $dir/have lists the installed packages, $dir/offer the installable ones; apt-get update offers those of $dir/remote.
fake dpkg-query 'for p; do :; done; grep -qx "$p" "'"$dir"'/have" && printf "install ok installed"'
fake apt-get 'echo "apt-get $*" >>"'"$calls"'"
[ "$DEBIAN_FRONTEND" = noninteractive ] || exit 99
for word; do
    case $word in
    update) cat "'"$dir"'/remote" >>"'"$dir"'/offer"; exit 0 ;;
    install) installing=1 ;;
    [a-z]*) [ -z "${installing:-}" ] || grep -qx "$word" "'"$dir"'/offer" || exit 100 ;;
    esac
done
installing=
for word; do
    case $word in install) installing=1 ;; -*) ;; *) [ -z "$installing" ] || echo "$word" >>"'"$dir"'/have" ;; esac
done'
fake sudo 'echo "sudo" >>"'"$calls"'"; [ "$1" = -n ] || exit 98; shift; exec "$@"'
fake id 'echo "$(cat "'"$dir"'/uid")"'

all='gcc libc6-dev meson ninja-build pkg-config libhwloc-dev node-llhttp'

# world UID HAVE OFFER REMOTE
world()
{
    echo "$1" >"$dir/uid"
    printf '%s\n' $2 >"$dir/have"
    printf '%s\n' $3 >"$dir/offer"
    printf '%s\n' $4 >"$dir/remote"
    : >"$calls"
}

run()
{
    status=0
    PATH=$dir/bin:$PATH "$setup" "$@" >"$dir/out" 2>&1 || status=$?
}

expect()
{
    if ! eval "$2"; then
        echo "$1: not so: $2; status $status; output and calls:"
        cat "$dir/out" "$calls"
        failed=1
    fi
}

world 0 "$all" '' ''
run build
expect 'nothing missing' '[ $status -eq 0 ] && [ ! -s "$calls" ] && [ ! -s "$dir/out" ]'

world 0 'gcc libc6-dev ninja-build pkg-config' "$all" ''
run build
expect 'some missing' '[ $status -eq 0 ] && grep -q "meson: the build system" "$dir/out"'
expect 'some missing' '[ "$(grep -c install "$calls")" -eq 1 ] && ! grep -q update "$calls" && ! grep -q sudo "$calls"'
expect 'some missing' 'grep -qw meson "$calls" && ! grep -qw gcc "$calls"'
run build
expect 'the second time' '[ $status -eq 0 ] && [ "$(grep -c install "$calls")" -eq 1 ]'

world 1000 'gcc' "$all" ''
run build
expect 'not root' '[ $status -eq 0 ] && grep -q sudo "$calls" && grep -qx meson "$dir/have"'

world 0 'gcc' '' "$all"
run build
expect 'no package lists' '[ $status -eq 0 ] && grep -q update "$calls" && grep -qx meson "$dir/have"'

world 0 'gcc libc6-dev ninja-build pkg-config' 'meson' ''
run build
expect 'optional parts unavailable' '[ $status -eq 0 ] && grep -q "going on without" "$dir/out"'
expect 'optional parts unavailable' 'grep -qx meson "$dir/have"'

world 0 'gcc' 'libhwloc-dev' ''
run build
expect 'a necessity unavailable' '[ $status -eq 1 ] && grep -q "could not install" "$dir/out"'

world 0 'gcc' "$all" ''
run -n build
expect 'only asked' '[ $status -eq 0 ] && [ ! -s "$calls" ] && grep -q meson "$dir/out"'

run nonsense
expect 'an unknown group' '[ $status -eq 2 ]'

exit $failed
