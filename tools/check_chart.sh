#!/usr/bin/env bash
# Lints, renders and validates helm/alphapulse for each values file under ci/, shows that bad values are refused, and holds the
# compose files against the compose specification. Needs no cluster, no container engine and no network once helm is there.
set -euo pipefail
cd "$(dirname "$0")/.."
HELM_VERSION=v3.19.0
CHART=helm/alphapulse
KUBERNETES=1.31.0
BIN=${BIN:-.venv/bin}

find_helm() {
    if command -v helm >/dev/null; then
        command -v helm
    elif [ -x .build/bin/helm ]; then
        echo .build/bin/helm
    elif command -v go >/dev/null; then
        echo "helm is not on PATH: building $HELM_VERSION into .build/bin, which takes some minutes the first time ..." >&2
        mkdir -p .build/bin
        GOBIN=$PWD/.build/bin GOFLAGS=-buildvcs=false CGO_ENABLED=0 go install "helm.sh/helm/v3/cmd/helm@$HELM_VERSION" >&2
        echo .build/bin/helm
    else
        echo "the chart cannot be checked: neither helm nor go (which could build it) is on PATH; install one of them" >&2
        return 1
    fi
}

helm=$(find_helm)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

echo "chart, with $("$helm" version --short)"
for values in "$CHART"/ci/*-values.yaml; do
    name=$(basename "$values" -values.yaml)
    "$helm" lint --strict --quiet --kube-version "$KUBERNETES" "$CHART" --values "$values"
    "$helm" template check "$CHART" --namespace check --kube-version "$KUBERNETES" --values "$values" >"$work/$name.yaml"
    "$BIN/python" tools/validate_manifests.py --name "$name" <"$work/$name.yaml"
done

# refused WHY ARGUMENT...: rendering fails, and says why.
refused() {
    local why=$1
    shift
    if "$helm" template check "$CHART" --kube-version "$KUBERNETES" "$@" >/dev/null 2>"$work/error"; then
        echo "not refused: $*" >&2
        return 1
    fi
    grep -qi -- "$why" "$work/error" || { echo "refused for another reason: $*" >&2; cat "$work/error" >&2; return 1; }
}
minimal=(--values "$CHART/ci/minimal-values.yaml")
refused "database.url or database.existingSecret"
refused "not allowed" "${minimal[@]}" --set relay.replcas=2
refused "common.logLevel\|/common/logLevel" "${minimal[@]}" --set common.logLevel=LOUD
refused "relay.port\|/relay/port" "${minimal[@]}" --set relay.port=70000
refused "transport" "${minimal[@]}" --set collectors[0].transport=guessed,collectors[0].name=a
refused "database.url\|/database/url" --set database.url=mysql://u@h/d
echo "bad values are refused"

"$BIN/check-jsonschema" --builtin-schema vendor.compose-spec --quiet docker-compose.yml deploy/compose.*.yml
echo "compose files follow the compose specification"
if docker compose version >/dev/null 2>&1; then
    docker compose --file docker-compose.yml config --quiet
    echo "docker compose reads them"
fi

HELM=$helm "$BIN/python" -m pytest --quiet tests/deploy/test_rendered_chart.py
