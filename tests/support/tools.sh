#!/bin/sh
# What the tests need beyond PyPI: installed where that can be done (Debian, root),
# otherwise named in one line; the tests that need them then skip. In CI it must not fail.
missing=""
for pair in jq:jq node:nodejs strace:strace faketime:faketime chromium:chromium; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair##*:}"
done
# Without it Chromium draws boxes for Chinese; only screenshots show them.
fc-list :lang=zh 2>/dev/null | grep -q . || missing="$missing fonts-noto-cjk"
# Half a gigabyte, for `make test-long` alone.
[ -z "${SLIDELOOM_LONG:-}" ] || command -v soffice >/dev/null 2>&1 || missing="$missing libreoffice-impress"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    # shellcheck disable=SC2086  # a list of package names
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $missing; } >/dev/null 2>&1 && exit 0
fi
echo "not installed, so the tests that need it are skipped:$missing"
[ -z "${SLIDELOOM_CI:-}" ]
