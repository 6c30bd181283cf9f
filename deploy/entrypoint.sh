#!/bin/sh
# Starts the process the first argument names. What runs takes this shell's place, so that signals reach it.
set -eu

# numba wants to write beside what it reads, and the image may be read-only: the kernel compiled at build is copied.
if [ -n "${NUMBA_CACHE_DIR:-}" ] && [ ! -d "$NUMBA_CACHE_DIR" ] && [ -d /opt/alphapulse/numba ]; then
    cp -Rp /opt/alphapulse/numba "$NUMBA_CACHE_DIR"
fi

case "${1:-}" in
    instrument | venue | synthetic) exec python -m registry_service "$@" ;;
    relay | collector)
        service=$1
        shift
        exec python -m "${service}_service" "$@"
        ;;
    strategy)
        shift
        exec python -m strategy_sdk.run "$@"
        ;;
    "")
        echo "usage: instrument|venue|synthetic|relay|collector, strategy FILE.py:CLASS, or any other command" >&2
        exit 2
        ;;
    *) exec "$@" ;;
esac
