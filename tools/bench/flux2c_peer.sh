#!/usr/bin/env bash
# Times flux2.c (github.com/antirez/flux2.c) and Kleinscope on the same weights and cores, turn about, and prints both with their ratio.
#
#   tools/bench/flux2c_peer.sh [options] FLUX2C
#
#   FLUX2C               a checkout of flux2.c; it is copied and built elsewhere, nothing is written into it
#   -m MODEL             model folder as diffusers writes it (default: $KLEINSCOPE_MODEL); `kleinscope synth --config klein-4b` makes one
#   --size WxH,...       picture sizes (default: 256x256,512x512)
#   --rounds N           processes of each side and size (default: 3); sides take turns in beginning
#   --what LIST          encode,forward,decode (default: all)
#   --cores LIST         run both on these cores, as taskset takes them (default: all)
#   --expanded           let flux2.c expand all weights when it loads them (--no-mmap): faster, and 22 GB
#   --openblas FOLDER    folder that holds cblas.h and libopenblas.so* (default: the system's; without any, flux2.c's plain C is timed)
#   --ours "OPTIONS"     further options of `kleinscope bench`, such as "--precision bf16"
#   --raw FILE           keep every figure, as lines of: side, what, size, seconds
#
# A process of flux2.c encodes a prompt, takes two steps, of which the second counts, and decodes; one of ours runs each once unmeasured
# and once measured. Text has 512 tokens on both sides. Wants gcc, make and python3.
set -euo pipefail

root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
model=${KLEINSCOPE_MODEL:-}
sizes=256x256,512x512
rounds=3
what=encode,forward,decode
cores=
mode=
openblas=
ours_options=
raw=
flux2c=

fail() {
    echo "flux2c_peer: $*" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}"; exit 0 ;;
        --expanded) mode=--no-mmap ;;
        -m | --size | --rounds | --what | --cores | --openblas | --ours | --raw)
            [ $# -ge 2 ] || fail "$1 wants a value; --help tells which"
            case $1 in
                -m) model=$2 ;;
                --size) sizes=$2 ;;
                --rounds) rounds=$2 ;;
                --what) what=$2 ;;
                --cores) cores=$2 ;;
                --openblas) openblas=$2 ;;
                --ours) ours_options=$2 ;;
                --raw) raw=$2 ;;
            esac
            shift ;;
        -*) fail "unknown option $1; --help tells which there are" ;;
        *) [ -z "$flux2c" ] || fail "one checkout of flux2.c, not $flux2c and $1"; flux2c=$1 ;;
    esac
    shift
done
[ -n "$flux2c" ] || fail "name a checkout of flux2.c; --help tells more"
[ -f "$flux2c/flux_transformer.c" ] && [ -f "$flux2c/Makefile" ] || fail "$flux2c is no checkout of flux2.c: there is no flux_transformer.c"
[ -n "$model" ] || fail "name a model folder with -m"
[ -f "$model/model_index.json" ] || fail "$model: expected a model folder with model_index.json"
case $rounds in '' | *[!0-9]* | 0) fail "--rounds $rounds: expected a number from 1" ;; esac
for tool in gcc make python3; do
    command -v $tool >/dev/null || fail "$tool is not installed"
done
model=$(cd "$model" && pwd)

work=$(mktemp -d "${TMPDIR:-/tmp}/flux2c-peer.XXXXXX")
trap 'rm -rf "$work"' EXIT
note() {
    echo "flux2c_peer: $*" >&2
}

# --- build
mkdir "$work/flux2c"
cp "$flux2c"/*.[ch] "$flux2c/Makefile" "$work/flux2c/"
flags="-O3 -march=native -ffast-math"
if [ -n "$openblas" ]; then
    header=$(find "$openblas" -name cblas.h -print -quit)
    library=$(find "$openblas" -name 'libopenblas.so*' -print -quit)
    [ -n "$header" ] && [ -n "$library" ] || fail "--openblas $openblas: expected cblas.h and libopenblas.so* in it"
    folder=$(cd "$(dirname "$library")" && pwd)
    blas=(CFLAGS_BASE="$flags -I$(cd "$(dirname "$header")" && pwd)"
        LDFLAGS="-lm -L$folder -l:$(basename "$library") -Wl,-rpath,$folder -Wl,-rpath-link,$folder")
elif echo 'int main(void){return 0;}' | gcc -x c - -o "$work/probe" -lopenblas 2>/dev/null; then
    blas=(CFLAGS_BASE="$flags" LDFLAGS="-lm -lopenblas")
else
    blas=()
    note "no OpenBLAS was found: flux2.c is timed in plain C, about 30 times slower; --openblas names one"
fi
if ! make -C "$work/flux2c" "$([ ${#blas[@]} -gt 0 ] && echo blas || echo generic)" ${blas[@]+"${blas[@]}"} >"$work/make.log" 2>&1; then
    tail -n 20 "$work/make.log" >&2
    fail "flux2.c could not be built"
fi

# flux2.c looks for the words "is_distilled": true, spelled just so; without them it runs the model twice a step
mkdir "$work/model"
for part in "$model"/*; do
    ln -s "$part" "$work/model/"
done
rm "$work/model/model_index.json"
python3 -c 'import json, sys; json.dump(json.load(open(sys.argv[1])), open(sys.argv[2], "w"))' "$model/model_index.json" \
    "$work/model/model_index.json"

# --- measure
pinned=()
[ -z "$cores" ] || pinned=(taskset -c "$cores")
figures=${raw:-$work/figures}
: >"$figures"
has() {
    case ,$what, in *,"$1",*) return 0 ;; *) return 1 ;; esac
}

peer() {
    local size=$1 line
    if ! ${pinned[@]+"${pinned[@]}"} "$work/flux2c/flux" -d "$work/model" -p "A bucket of red paint spilled on a wooden floor" \
        -W "${size%x*}" -H "${size#*x}" -s 2 -S 1 -v $mode -o "$work/peer.png" >"$work/peer.log" 2>&1; then
        tail -n 5 "$work/peer.log" >&2
        fail "flux2.c failed at $size"
    fi
    sed -nE "s/.*Encoding text\.\.\..* done \(([0-9.]+)s\).*/flux2.c encode - \1/p
        s/^ *Step 2: ([0-9.]+) ms.*/flux2.c forward $size \1 ms/p
        s/.*Decoding image\.\.\..* done \(([0-9.]+)s\).*/flux2.c decode $size \1/p" "$work/peer.log" |
        while read -r line; do
            set -- $line
            ! has "$2" || echo "$1 $2 $3 $(awk -v s="$4" -v ms="${5:-}" 'BEGIN {print ms == "" ? s : s / 1000}')"
        done >>"$figures"
}

ours() {
    local size=$1
    # shellcheck disable=SC2086 # options are split at blanks on purpose
    ${pinned[@]+"${pinned[@]}"} "$root/tools/kleinscope" bench -m "$model" --backend cpu --what "$what" --size "$size" --warmup 1 --repeat 1 \
        $ours_options --json --quiet >"$work/ours.json"
    python3 - "$work/ours.json" >>"$figures" <<'PYTHON'
import json, sys
for timing in json.load(open(sys.argv[1]))["timings"]:
    print("kleinscope", timing["what"], timing["size"] or "-", timing["median"])
PYTHON
}

for ((round = 1; round <= rounds; round++)); do
    for size in ${sizes//,/ }; do
        note "round $round of $rounds, $size"
        if ((round % 2)); then
            peer "$size" && ours "$size"
        else
            ours "$size" && peer "$size"
        fi
    done
done

python3 - "$figures" <<'PYTHON'
import statistics, sys
figures = {}
for line in open(sys.argv[1]):
    side, what, size, seconds = line.split()
    figures.setdefault((what, size), {}).setdefault(side, []).append(float(seconds))

def cell(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f}, {len(values)})" if values else "-"

print("| seconds: median (least to most, runs) | kleinscope | flux2.c | ours / flux2.c |")
print("|---|---|---|---|")
for (what, size), sides in figures.items():
    ours, peer = sides.get("kleinscope", []), sides.get("flux2.c", [])
    ratio = f"{statistics.median(ours) / statistics.median(peer):.2f}" if ours and peer else "-"
    print(f"| {what}{'' if size == '-' else ' ' + size} | {cell(ours)} | {cell(peer)} | {ratio} |")
PYTHON
