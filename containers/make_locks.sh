#!/usr/bin/env bash
# Resolve containers/<kind>.in to containers/<kind>.lock: the versions of requirements/lock.txt, with hashes, for the
# images' Python 3.11 on Linux. What only torch's CUDA build needs stands apart, in torch-cuda.lock: containers/build
# installs it where the torch that it got is such a build.
set -euo pipefail
cd "$(dirname "$0")"
python -m pip install --quiet uv

# The registry has torch's CUDA build. The CPU build is the same version with another hash: this wheel's
# (torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl). A new torch in requirements/torch.txt needs a new line here.
cpu_torch="torch==2.13.0 sha256:6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b"

compile() {
  python -m uv pip compile --quiet --python-version 3.11 --python-platform x86_64-unknown-linux-gnu --generate-hashes \
    --no-header --no-annotate --no-emit-index-url --no-emit-find-links --no-config \
    -c ../requirements/lock.txt -c ../requirements/torch.txt "$@"
}

names() { grep -oE '^[a-z0-9-]+' <<< "$1"; }

write() {
  { echo "# Written by 'make lock' from $1. Do not edit."; cat; } > "$2.new"
  mv "$2.new" "$2"
}

for kind in data report; do compile "$kind.in" | write "$kind.in" "$kind.lock"; done

everything=$(compile torch.in)
cuda=() others=()
for name in $(names "$everything"); do
  case $name in
    nvidia-* | cuda-* | triton) cuda+=(--no-emit-package "$name") ;;
    *) others+=(--no-emit-package "$name") ;;
  esac
done
grep -q "^${cpu_torch% *} " <<< "$everything" || { echo "error: make_locks.sh: name the CPU build's hash of the new torch" >&2; exit 1; }
{
  compile "${cuda[@]}" torch.in | sed "s/^${cpu_torch% *} .*/&\n    --hash=${cpu_torch#* } \\\\/"
  compile --no-deps --group ../pyproject.toml:torchattacks
} | write "torch.in and pyproject.toml" torch.lock
compile "${others[@]}" torch.in | write "torch.in, what only torch's CUDA build needs" torch-cuda.lock
