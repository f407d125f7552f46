# What the findings share: `in_a_fresh_environment PACKAGE==VERSION ... <<'CODE'` runs Python code with nothing but pinned
# public packages, in a folder that is removed afterwards. Its exit code is the code's.
in_a_fresh_environment() {
    local folder code
    folder=$(mktemp -d)
    "${PYTHON:-python3}" -m venv "$folder/environment"
    "$folder/environment/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
    code=0
    (cd "$folder" && "$folder/environment/bin/python" -W ignore -) || code=$?
    rm -rf "$folder"
    return "$code"
}
