#!/usr/bin/env bash
# Holds proto/ against the last commit of main: in a clone whose HEAD is main, against the commit before it.
#   tools/breaking.sh PATH_TO_BUF
set -euo pipefail
buf=$1
base=$(git rev-parse --verify --quiet origin/main || git rev-parse --verify --quiet main || true)
if [ -z "$base" ] || { [ "$base" = "$(git rev-parse HEAD)" ] && git diff --quiet HEAD -- proto; }; then
  base=$(git rev-parse --verify --quiet HEAD~1 || true)
fi
if [ -z "$base" ] || ! git cat-file -e "$base:proto" 2>/dev/null; then
  echo "no earlier protos to hold these against"
  exit 0
fi
before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
git archive "$base" proto buf.yaml | tar -x -C "$before"
"$buf" breaking --against "$before"
echo "no breaking change against $(git rev-parse --short "$base")"
