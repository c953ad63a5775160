#!/bin/sh
# What the tests need beyond our own packages: installed where that can be done (Debian, root, PyPI),
# otherwise named in one line; the tests that need them then skip. In CI it must not fail.
# With SLIDELOOM_ONLY, a command's name, only that one.
missing=""
for pair in jq:jq node:nodejs strace:strace faketime:faketime chromium:chromium \
    redis-server:redis-server ${SLIDELOOM_LONG:+wrk:wrk} ${SLIDELOOM_ONLY:+wrk:wrk}; do
    [ "${SLIDELOOM_ONLY:-${pair%%:*}}" = "${pair%%:*}" ] || continue
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair##*:}"
done
# Without it Chromium draws boxes for Chinese; only screenshots show them.
[ -n "${SLIDELOOM_ONLY:-}" ] || fc-list :lang=zh 2>/dev/null | grep -q . || missing="$missing fonts-noto-cjk"
# 270 MB, for `make test-long` alone: no other run wants it.
office=""
[ -z "${SLIDELOOM_LONG:-}" ] || command -v soffice >/dev/null 2>&1 || office=" libreoffice-impress"
if [ -n "$missing$office" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086  # lists of package names
    { apt-get update -qq && { [ -z "$missing" ] || apt-get install -y -qq $missing; } &&
        { [ -z "$office" ] || apt-get install -y -qq --no-install-recommends $office; }; } >/dev/null 2>&1 &&
        missing="" office=""
fi
# A server that speaks S3; its two dozen packages are kept apart from ours.
moto=.venv/moto
if [ -z "${SLIDELOOM_ONLY:-}" ] && ! cmp -s tests/moto.lock "$moto/moto.lock"; then
    echo "setting up $moto ..."
    { "${PYTHON:-python3}" -m venv --clear "$moto" &&
        "$moto/bin/python" -m pip --disable-pip-version-check install --require-hashes -r tests/moto.lock &&
        cp tests/moto.lock "$moto/moto.lock"; } >/dev/null 2>&1 || missing="$missing moto"
fi
[ -n "$missing$office" ] || exit 0
[ -z "${SLIDELOOM_ONLY:-}" ] || { echo "$SLIDELOOM_ONLY is needed; install it first"; exit 1; }
echo "not installed, so the tests that need it are skipped:$missing$office"
[ -z "${SLIDELOOM_CI:-}" ]
