#!/usr/bin/env bash
# Resolve what pyproject.toml names to lock.txt: exact versions with hashes for every Python >= 3.11 and platform.
# Left out: torch and what only its CUDA build needs (torch pins those itself, exactly).
# torchattacks is locked without its own requirements: its `requests~=2.25.1` is stale and never imported.
set -euo pipefail
cd "$(dirname "$0")"
python -m pip install --quiet uv
compile() { python -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --no-config "$@"; }
everything() { compile --constraint torch.txt --group ../pyproject.toml:dev "$@" ../pyproject.toml; }
torch_only=(torch triton cuda-bindings cuda-pathfinder cuda-toolkit)
for name in $(everything | grep -oE '^nvidia-[a-z0-9-]+' | sort -u); do torch_only+=("$name"); done
omit=()
for name in "${torch_only[@]}"; do omit+=(--no-emit-package "$name"); done
{
  echo "# Written by 'make lock' from pyproject.toml. Do not edit."
  everything "${omit[@]}"
  compile --no-deps --group ../pyproject.toml:torchattacks
} > lock.txt.new
mv lock.txt.new lock.txt
../containers/make_locks.sh
