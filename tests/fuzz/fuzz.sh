#!/bin/sh
# Coverage-guided fuzzing, FUZZ_SECONDS (600) in all: half of it on the pictures in providers'
# answers, the rest on picture files and on header values. In a .venv of its own, where what was
# found interesting is kept. Where atheris cannot be installed, it says so in one line.
venv=.venv/fuzz
seconds=${FUZZ_SECONDS:-600}
if ! cmp -s tests/fuzz/requirements.lock "$venv/fuzz.lock"; then
    echo "setting up $venv ..."
    { "${PYTHON:-python3}" -m venv --clear "$venv" &&
        "$venv/bin/python" -m pip --disable-pip-version-check install --only-binary :all: \
            --require-hashes -r tests/fuzz/requirements.lock &&
        cp tests/fuzz/requirements.lock "$venv/fuzz.lock"; } >/dev/null 2>&1 || {
        echo "atheris cannot be installed for $("${PYTHON:-python3}" --version): nothing was fuzzed"
        exit 0
    }
fi
for share in lift:$((seconds / 2)) pictures:$((seconds / 4)) headers:$((seconds / 4)); do
    echo "fuzzing ${share%%:*} for ${share##*:} s ..."
    log=$venv/${share%%:*}.log
    PYTHONPATH=src:. "$venv/bin/python" -m tests.fuzz.guided "${share%%:*}" "${share##*:}" \
        "$venv/found" >"$log" 2>&1 || { tail -n 40 "$log"; echo "all of it: $log"; exit 1; }
    grep -E '^stat::number_of_executed_units|^Done' "$log"
done
