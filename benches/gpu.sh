#!/usr/bin/env bash
# Proves and measures the CUDA engine on a machine with a GPU: one command, under ten minutes, no Rust needed.
#
#   benches/gpu.sh [--binary PATH] [--gnt FOLDER] [--out FOLDER] [--device NAME] [--tiny] [--dry-run]
#   benches/gpu.sh --train MINUTES --run FOLDER --data FOLDER [--binary PATH] [--out FOLDER] [-- TRAIN OPTIONS]
#
# The first form tests the device (`shiftray selftest`), times frames of the official sizes and of the built-in models,
# with --gnt times and checks the official PyTorch code on the same weights, compares a frame and the classes of
# photographs with the processor's, and runs compute-sanitizer where it is installed. Each step has a time limit; one that fails is recorded and the others go
# on. The second form tests briefly, then trains for as many minutes: a run that is there already is gone on with, and
# its files are copied to the out folder.
#
#   --binary PATH    the program; by default target/release/shiftray
#   --gnt FOLDER     the official source tree, the folder with gnt/transformer_network.py in it; needs PyTorch
#   --out FOLDER     for gpu-DATE-DEVICE.json and .md and a folder of logs; by default $OUT, else benches/results
#   --device NAME    cuda, cuda:N, or cpu to try the script itself
#   --tiny           sizes that a processor finishes in a minute, to try the script itself
#   --minutes N      stop starting steps after so many minutes, 9 by default
#   --dry-run        print the commands only
#
# Needs bash, coreutils and python3; NVRTC is found inside PyTorch's packages where the system has none.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")

usage() {
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
}

die() {
    echo "gpu.sh: $*" >&2
    exit 2
}

binary=$root/target/release/shiftray gnt='' out=${OUT:-$here/results} device=cuda tiny='' dry='' minutes=9
train='' run='' data='' train_options=()
while [ $# -gt 0 ]; do
    case $1 in
        --binary | --gnt | --out | --device | --minutes | --train | --run | --data)
            [ $# -ge 2 ] || die "$1: expected a value"
            name=${1#--}
            printf -v "$name" %s "$2"
            shift
            ;;
        --tiny) tiny=1 ;;
        --dry-run) dry=1 ;;
        -h | --help) usage && exit ;;
        --) shift && train_options=("$@") && break ;;
        *) die "unknown option $1; see --help" ;;
    esac
    shift
done
[[ $minutes =~ ^[0-9]+$ ]] || die "--minutes: expected a whole number, found $minutes"
[ -z "$train" ] || [[ $train =~ ^[0-9]+(\.[0-9]+)?$ ]] || die "--train: expected minutes, found $train"
if [ -n "$train" ] && { [ -z "$run" ] || [ -z "$data" ]; }; then die "--train: expected --run and --data"; fi
if [ -z "$train" ] && [ -n "$run$data${train_options[*]-}" ]; then die "--run, --data and -- belong to --train"; fi
[ -n "$dry" ] || [ -x "$binary" ] || die "$binary: no such program; cargo build --release makes it, --binary names it"
[ -z "$gnt" ] || [ -f "$gnt/gnt/transformer_network.py" ] || die "--gnt $gnt: found no gnt/transformer_network.py"

python=${PYTHON:-python3}
command -v "$python" >/dev/null || die "$python: not found; PYTHON names another"
tool=("$python" "$here/gpu_report.py")
began=$(date +%s)
if [ -n "$dry" ]; then
    logs=LOGS
else
    logs=$out/gpu-$(date +%F-%H%M%S)-logs
    mkdir -p "$logs" || die "--out $out: cannot be written"
fi

# Commands run by their limits; what is left of all minutes bounds each, but for the training leg.
step() { # name, seconds, command...
    local name=$1 limit=$2 left start end code
    shift 2
    if [ -n "$dry" ]; then
        printf '%s (at most %s s):' "$name" "$limit" && printf ' %q' "$@" && echo
        return 0
    fi
    left=$((began + 60 * minutes - $(date +%s)))
    if [ "$name" != train ] && [ "$limit" -gt "$left" ]; then limit=$left; fi
    start=$(date +%s.%N)
    if [ "$limit" -lt 5 ]; then
        code=skipped
        echo "no time left" >"$logs/$name.err"
    else
        echo "[$(($(date +%s) - began)) s] $name" >&2
        timeout -k 5 "$limit" "$@" >"$logs/$name.out" 2>"$logs/$name.err" </dev/null
        code=$?
    fi
    end=$(date +%s.%N)
    "${tool[@]}" step "$logs/steps.jsonl" "$name" "$code" "$start" "$end" "$limit" "$@"
    if [ "$code" != 0 ]; then
        echo "    $code: $(tail -n 1 "$logs/$name.err")" >&2
        return 1
    fi
}

# NVRTC of PyTorch, unless the system has its own.
if ! ldconfig -p 2>/dev/null | grep 'libnvrtc\.so' >/dev/null; then
    if nvrtc=$("${tool[@]}" nvrtc); then
        export LD_LIBRARY_PATH=$nvrtc${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    else
        echo "gpu.sh: no NVRTC here: prebuilt kernels only" >&2
    fi
fi

# Numbers and options by size.
scene=$root/scenes/still-life
sizes=(1008x756 504x378) samples=(192 64) views=10
repeat=(--repeat 3 --seconds 1.5) small=(--size 40x30 --samples 24 --views 3) frame=(--views 10)
quick=() baseline=()
if [ -n "$tiny" ]; then
    sizes=(24x18 21x17) samples=(6 4) views=2
    repeat=(--repeat 1 --seconds 0.05) frame=(--size 24x18 --samples 6 --views 3)
    quick=(--quick) baseline=(--tiny)
fi
# Networks with their precisions. The processor has no bf16; its own fastest precision takes the place.
fast=bf16 nets=(full:f32 full:bf16 full-shiftadd:bf16 full-shiftadd:int8 full-shiftadd:packed)
models=(gnt-dense:bf16 gnt-shiftadd:bf16 gnt-shiftadd:int8)
tuned=(full:bf16 full-shiftadd:int8)
if [ "$device" = cpu ]; then
    fast=auto nets=(full:f32 full-shiftadd:f32 full-shiftadd:auto) models=(gnt-dense:auto gnt-shiftadd:auto)
fi

facts() {
    if command -v nvidia-smi >/dev/null || [ -n "$dry" ]; then
        step smi 20 nvidia-smi --query-gpu=index,name,uuid,driver_version,vbios_version,memory.total,power.limit,clocks.max.sm,clocks.max.mem,clocks.sm,clocks.mem,temperature.gpu,mig.mode.current,ecc.mode.current --format=csv
        step smi-full 20 nvidia-smi -q
    fi
    step cpu 10 lscpu
    step info 30 "$binary" info --json
}

sanitizer() {
    local tool_name model
    if ! command -v compute-sanitizer >/dev/null && [ -z "$dry" ]; then
        echo "gpu.sh: no compute-sanitizer here" >&2
        return
    fi
    for tool_name in memcheck racecheck; do
        for model in gnt-dense gnt-shiftadd; do
            step "$tool_name-$model" 40 compute-sanitizer --tool "$tool_name" --error-exitcode 9 "$binary" render \
                --scene "$scene" --model "$model" --frames 1 "${small[@]}" --device "$device" --json \
                --out "$logs/frames/$tool_name-$model"
        done
    done
}

timings() {
    local smi='' size count net precision model
    if command -v nvidia-smi >/dev/null && [ -z "$dry" ] && [ "$device" != cpu ]; then
        nvidia-smi --query-gpu=timestamp,index,clocks.sm,clocks.mem,power.draw,temperature.gpu \
            --format=csv,noheader,nounits -lms 200 >"$logs/clocks.csv" 2>/dev/null &
        smi=$!
    fi
    for size in "${sizes[@]}"; do
        for count in "${samples[@]}"; do
            for net in "${nets[@]}"; do
                precision=${net#*:}
                step "bench-${net%:*}-$precision-$size-s$count" 45 "$binary" bench --random "${net%:*}" \
                    --precision "$precision" --size "$size" --samples "$count" --views "$views" \
                    --device "$device" "${repeat[@]}" --json
            done
        done
        for net in "${models[@]}"; do
            model=${net%:*} precision=${net#*:}
            step "bench-$model-$precision-$size" 30 "$binary" bench --model "$model" --precision "$precision" \
                --size "$size" --device "$device" "${repeat[@]}" --json
        done
    done
    if [ -n "$smi" ]; then kill "$smi" && wait "$smi" 2>/dev/null; fi
}

# Other numbers of warps and registers than the defaults, on the largest frame.
tuning() {
    local warps registers net
    for registers in 128 168 255; do
        for warps in 6 12; do
            for net in "${tuned[@]}"; do
                step "bench-${net%:*}-${net#*:}-tune-$warps-$registers" 40 env "SHIFTRAY_CUDA_WARPS=$warps" \
                    "SHIFTRAY_CUDA_REGISTERS=$registers" "$binary" bench --random "${net%:*}" --precision "${net#*:}" \
                    --size "${sizes[0]}" --samples "${samples[0]}" --views "$views" --device "$device" \
                    --repeat 1 --seconds 1 --json
            done
        done
    done
}

# The device's frame of the bundled scene against the processor's, both as 8-bit files.
likeness() {
    local model net precision want
    for model in gnt-dense gnt-shiftadd; do
        want=$logs/frames/$model-cpu
        step "frame-$model-cpu" 90 "$binary" render --scene "$scene" --model "$model" --frames 1 "${frame[@]}" \
            --device cpu --precision f32 --json --out "$want" || continue
        for net in "$model:f32" "${models[@]}"; do
            if [ "${net%:*}" != "$model" ]; then continue; fi
            precision=${net#*:}
            step "frame-$model-$precision" 45 "$binary" render --scene "$scene" --model "$model" --frames 1 \
                "${frame[@]}" --device "$device" --precision "$precision" --json --out "$logs/frames/$model-$precision" &&
                step "likeness-$model-$precision" 60 "${tool[@]}" psnr "$logs/frames/$model-$precision" "$want"
        done
    done
}

# What the device's classifiers say of the bundled scene's photographs, against the processor.
classifiers() {
    local model of
    for model in vit-dense vit-shiftadd; do
        for of in "$device" cpu; do
            step "classify-$model-${of%%:*}" 60 "$binary" classify "$scene"/images/*.jpg --model "$model" --device "$of" \
                --precision f32 --top 10 --json || continue 2
            if [ "$device" = cpu ]; then continue 2; fi
        done
        step "classes-$model" 30 "${tool[@]}" classes "$logs/classify-$model-${device%%:*}.out" \
            "$logs/classify-$model-cpu.out"
    done
}

# The official code: its speed, and its colours with the same weights.
official() {
    local work=$logs/gnt precision where=cuda
    if [ "$device" = cpu ]; then where=cpu; fi
    local script=("$python" "$here/gpu_baseline.py" --gnt "$gnt" --work "$work" --device "$where" "${baseline[@]}")
    step gnt-prepare 60 "${script[@]}" prepare &&
        step gnt-import 30 "$binary" import "$work/checkpoint.pth" --out "$work/model.safetensors" &&
        for precision in f32 "$fast"; do
            step "gnt-render-$precision" 60 "$binary" render --scene "$work/scene" --path "$work/path.json" \
                --model "$work/model.safetensors" --samples 192 --views 10 --device "$device" \
                --precision "$precision" --json --out "$work/$precision"
        done
    step gnt-compare 60 "${script[@]}" compare "$work/f32" "$work/$fast"
    step gnt-time 150 "${script[@]}" time
}

training() {
    local files
    if [ -e "$run/state.safetensors" ]; then
        files=(--resume "$run" --data "$data")
    else
        files=(--out "$run" --data "$data" "${train_options[@]}")
    fi
    # A checkpoint and the reading of the data come on top of the minutes.
    step train "$(awk -v m="$train" 'BEGIN { print int(60 * m) + 120 }')" \
        "$binary" train "${files[@]}" --minutes "$train" --device "$device"
    if [ -z "$dry" ] && [ -d "$run" ]; then
        mkdir -p "$out/run" && find "$run" -maxdepth 1 -type f -exec cp -u {} "$out/run/" \;
    fi
}

facts
if [ -n "$train" ]; then
    step selftest 120 "$binary" selftest --device "$device" --quick --json
    training
else
    step selftest 180 "$binary" selftest --device "$device" "${quick[@]}" --json
    timings
    if [ -n "$gnt" ]; then official; fi
    likeness
    classifiers
    if [ "$device" != cpu ]; then tuning; fi
    sanitizer
fi
if [ -n "$dry" ]; then exit; fi
"${tool[@]}" write "$logs" "$out"
