#!/usr/bin/env bash
# Proves and measures the CUDA engine on a machine with a GPU, or trains on it: one command, no Rust needed.
#
#   benches/gpu.sh check [--minutes N] [--gnt FOLDER] [OPTIONS]
#   benches/gpu.sh train --minutes N [--config NAME|FILE] [--data FOLDER] [--textures FOLDER] [OPTIONS] [-- TRAIN OPTIONS]
#   benches/gpu.sh join FOLDER
#
# check tests the device (`shiftray selftest`) and stops there if that fails; then it looks for wrong accesses and races with
# compute-sanitizer where it is installed, compares frames and the classes of photographs with the processor's, times frames
# of the official sizes and of the built-in models with the usual and with other numbers of warps and registers, and with
# --gnt times and checks the official PyTorch code on the same weights. Each step has a time limit, and none begins after N
# minutes (8).
#
# train makes scenes on all cores while the device is tested, then trains until N minutes after its start, with a rate that has
# fallen to its end by then. A leg that was cut off goes on where the out folder has it; after one that is whole, or whose state
# was too large to be kept, a new one starts from its weights.
#
# What there is so far lies in the out folder at every moment, in at most eight files of at most 16 MB each: a report, an
# archive of logs, and weights in parts. `join FOLDER` puts parts together, and so does cat.
#
#   --binary PATH     the program; by default target/release/shiftray
#   --gnt FOLDER      the official source tree, the folder with gnt/transformer_network.py in it; needs PyTorch
#   --out FOLDER      for the results; by default $OUT, else benches/results
#   --config NAME     the network to train: medium (the default), compact, full, or a JSON file
#   --data FOLDER     scenes to train on; by default they are made
#   --textures FOLDER pictures of materials for scenes that are made
#   --scenes N        how many are made, 240 by default
#   --device NAME     cuda, cuda:N, or cpu to try the script itself
#   --tiny            sizes that a processor finishes in a minute, to try the script itself
#   --dry-run         print the commands only, each with the seconds that it is expected to take
#
# Needs bash, coreutils, flock, tar and python3; NVRTC is found inside PyTorch's packages where the system has none.
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

# Puts the parts of files in a folder together, beside them or in another folder, and checks that they belong together.
join_parts() { # folder, folder of the whole files
    local first whole name
    [ -d "$1" ] || die "join $1: no such folder"
    for first in "$1"/*.part-aa; do
        [ -e "$first" ] || die "join $1: no file whose name ends with .part-aa"
        whole=${first%.part-aa} name=${first##*/}
        name=${name%.part-aa}
        cat "$whole".part-* >"$2/$name.new" || die "join $1: $name cannot be written"
        if [ "$(sha256sum <"$2/$name.new" | cut -c1-64)" != "$(cat "$whole.sha256" 2>/dev/null)" ]; then
            rm -f "$2/$name.new"
            die "join $1: the parts of $name are not those of one file, as $name.sha256 has it"
        fi
        mv "$2/$name.new" "$2/$name" && echo "$2/$name"
    done
}

task=check
case ${1:-} in
    check | train) task=$1 && shift ;;
    join) [ $# = 2 ] || die "join: expected a folder" && join_parts "$2" "$2" && exit ;;
esac
binary=$root/target/release/shiftray gnt='' out=${OUT:-$here/results} device=cuda tiny='' dry='' minutes=''
config=medium data='' textures='' scenes='' train_options=()
while [ $# -gt 0 ]; do
    case $1 in
        --binary | --gnt | --out | --device | --minutes | --config | --data | --textures | --scenes)
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
[ "$task" = check ] && minutes=${minutes:-8}
[[ $minutes =~ ^[0-9]+(\.[0-9]+)?$ ]] || die "--minutes: expected a number of minutes, found '$minutes'"
[ "$task" = train ] || [ -z "$data$textures$scenes${train_options[*]-}" ] ||
    die "--data, --textures, --scenes and -- belong to gpu.sh train"
[ "$task" = check ] || [ -z "$gnt" ] || die "--gnt belongs to gpu.sh check"
scenes=${scenes:-240}
[[ $scenes =~ ^[0-9]+$ ]] || die "--scenes: expected a number, found $scenes"
[ -n "$dry" ] || [ -x "$binary" ] || die "$binary: no such program; cargo build --release makes it, --binary names it"
[ -z "$gnt" ] || [ -f "$gnt/gnt/transformer_network.py" ] || die "--gnt $gnt: found no gnt/transformer_network.py"
[ -z "$data" ] || [ -n "$dry" ] || [ -d "$data" ] || die "--data $data: no such folder"

python=${PYTHON:-python3}
command -v "$python" >/dev/null || die "$python: not found; PYTHON names another"
tool=("$python" "$here/gpu_report.py")
began=$(date +%s)
end=$(awk -v b="$began" -v m="$minutes" 'BEGIN { printf "%d", b + 60 * m }')
stem=gpu-$task expected_in_all=0
run=$out/$stem-run
if [ -n "$dry" ]; then
    work=WORK
else
    mkdir -p "$out" && [ -w "$out" ] || die "--out $out: cannot be written"
    work=$(mktemp -d "${TMPDIR:-/tmp}/shiftray-gpu-XXXXXX") || die "no folder for temporary files"
    mkdir -p "$work/logs" "$work/frames"
    touch "$work/logs/steps.jsonl"
fi
logs=$work/logs

# Largest file of the results, in bytes.
part=15000000

# Brings what there is so far to the out folder, one call at a time; a file is whole or not there. New files are made on the
# same file system under one name that does not count as a result.
keep() {
    [ -n "$dry" ] && return
    (
        flock 9
        local new=$out/.gpu-new file one code
        rm -rf "$new" && mkdir -p "$new"
        # 1: a log grew while it was read.
        tar -czf "$new/logs" -C "$work" logs 2>/dev/null
        code=$?
        if [ $code -le 1 ] && [ "$(stat -c %s "$new/logs")" -le "$part" ]; then mv "$new/logs" "$out/$stem-logs.tar.gz"; fi
        "${tool[@]}" write "$logs" "$new/$stem" >"$work/report.txt" 2>&1
        for one in json md; do [ -e "$new/$stem.$one" ] && mv "$new/$stem.$one" "$out/$stem.$one"; done
        if [ -e "$work/run/model.safetensors" ]; then
            mkdir -p "$run"
            cp "$work/run/log.jsonl" "$logs/train.jsonl" 2>/dev/null
            # The state comes last: a leg goes on only where all the rest is there. A network whose weights have parts has a
            # state that is too large, and needs nothing of what goes with it.
            local kept=(options.json log.jsonl model.safetensors state.safetensors)
            if [ "$(stat -c %s "$work/run/model.safetensors")" -gt "$part" ]; then kept=(model.safetensors); fi
            for file in "${kept[@]}"; do
                [ -e "$work/run/$file" ] || continue
                if [ "$(stat -c %s "$work/run/$file")" -le "$part" ]; then
                    cp "$work/run/$file" "$new/$file" && mv "$new/$file" "$run/$file"
                elif [ "$file" = model.safetensors ]; then
                    # The sum of the whole tells whether parts belong together: a kill may leave some of two checkpoints.
                    rm -rf "$work/parts" && mkdir "$work/parts" && cp "$work/run/$file" "$work/whole"
                    split -b "$part" "$work/whole" "$work/parts/$file.part-"
                    sha256sum <"$work/whole" | cut -c1-64 >"$work/parts/$file.sha256"
                    rm -f "$run/$file.sha256"
                    for one in "$work/parts/$file".part-* "$work/parts/$file.sha256"; do
                        cp "$one" "$new/part" && mv "$new/part" "$run/${one##*/}"
                    done
                fi
            done
        fi
        rm -rf "$new"
    ) 9>"$work/lock"
}
finish() {
    jobs -p | xargs -r kill 2>/dev/null
    wait 2>/dev/null
    keep
    if [ -z "$dry" ]; then rm -rf "$work"; fi
}
trap finish EXIT
trap 'exit 143' INT TERM

# Runs a command by its limit; what is left of all minutes bounds each.
step() { # name, seconds at most, seconds expected, command...
    local name=$1 limit=$2 expected=$3 left start stop code
    shift 3
    expected_in_all=$((expected_in_all + expected))
    if [ -n "$dry" ]; then
        printf '%s (about %s s, at most %s):' "$name" "$expected" "$limit" && printf ' %q' "$@" && echo
        return 0
    fi
    left=$((end - $(date +%s)))
    # A run that trains keeps to its own time; a checkpoint comes on top.
    if [ "$name" != train ] && [ "$limit" -gt "$left" ]; then limit=$left; fi
    start=$(date +%s.%N)
    if [ "$limit" -lt 5 ]; then
        code=skipped
        echo "no time left" >"$logs/$name.err"
    else
        echo "[$(($(date +%s) - began)) s] $name" >&2
        timeout -k 5 "$limit" "$@" >"$logs/$name.out" 2>"$logs/$name.err" </dev/null &
        wait $!
        code=$?
    fi
    stop=$(date +%s.%N)
    "${tool[@]}" step "$logs/steps.jsonl" "$name" "$code" "$start" "$stop" "$limit" "$@"
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
repeat=(--repeat 3 --seconds 1.5) frame=(--views 10) seconds=8
quick=() baseline=() made=() shape=() between=10 reserve=20
if [ -n "$tiny" ]; then
    sizes=(24x18 21x17) samples=(6 4) views=2
    repeat=(--repeat 1 --seconds 0.05) frame=(--size 24x18 --samples 6 --views 3) seconds=1
    quick=(--quick) baseline=(--tiny) made=(--size 48x36 --views 4) shape=(--rays 16 --views 2 3 --save-every 2 --log-every 1)
    scenes=2 config=compact between=1 reserve=2
fi
# Networks with their precisions. The processor has no bf16; its own fastest precision takes the place.
fast=bf16 nets=(full:f32 full:bf16 full-shiftadd:bf16 full-shiftadd:int8 full-shiftadd:packed medium:bf16)
models=(gnt-dense:bf16 gnt-shiftadd:bf16 gnt-shiftadd:int8)
tuned=(full:bf16 full-shiftadd:int8)
if [ "$device" = cpu ]; then
    fast=auto nets=(full:f32 full-shiftadd:f32 full-shiftadd:auto medium:auto) models=(gnt-dense:auto gnt-shiftadd:auto)
fi

facts() {
    if command -v nvidia-smi >/dev/null || [ -n "$dry" ]; then
        step smi 20 1 nvidia-smi --query-gpu=index,name,uuid,driver_version,vbios_version,memory.total,power.limit,clocks.max.sm,clocks.max.mem,clocks.sm,clocks.mem,temperature.gpu,mig.mode.current,ecc.mode.current --format=csv
        step smi-full 20 1 nvidia-smi -q
    fi
    step cpu 10 0 lscpu
    step info 30 1 "$binary" info --json
}

# At 176 samples a ray has as many tiles as a block has warps.
sanitizer() {
    local tool_name model
    if ! command -v compute-sanitizer >/dev/null && [ -z "$dry" ]; then
        echo "gpu.sh: no compute-sanitizer here" >&2
        return
    fi
    for tool_name in memcheck racecheck synccheck; do
        for model in gnt-dense gnt-shiftadd; do
            step "$tool_name-$model" 40 12 compute-sanitizer --tool "$tool_name" --error-exitcode 9 "$binary" render \
                --scene "$scene" --model "$model" --frames 1 --size 16x12 --samples 176 --views 3 --device "$device" --json \
                --out "$work/frames/$tool_name-$model"
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
                step "bench-${net%:*}-$precision-$size-s$count" 45 "$seconds" "$binary" bench --random "${net%:*}" \
                    --precision "$precision" --size "$size" --samples "$count" --views "$views" \
                    --device "$device" "${repeat[@]}" --json
            done
        done
        for net in "${models[@]}"; do
            model=${net%:*} precision=${net#*:}
            step "bench-$model-$precision-$size" 30 "$seconds" "$binary" bench --model "$model" --precision "$precision" \
                --size "$size" --device "$device" "${repeat[@]}" --json
        done
        keep
    done
    if [ -n "$smi" ]; then kill "$smi" && wait "$smi" 2>/dev/null; fi
}

# Other numbers of warps and registers than the defaults, on the largest frame.
tuning() {
    local warps registers net
    for warps in 6 12; do
        for registers in 168 255; do
            for net in "${tuned[@]}"; do
                step "bench-${net%:*}-${net#*:}-tune-$warps-$registers" 40 5 env "SHIFTRAY_CUDA_WARPS=$warps" \
                    "SHIFTRAY_CUDA_REGISTERS=$registers" "$binary" bench --random "${net%:*}" --precision "${net#*:}" \
                    --size "${sizes[0]}" --samples "${samples[0]}" --views "$views" --device "$device" \
                    --repeat 1 --seconds 1 --json
            done
        done
    done
}

# Where a warm launch spends its time, where the driver lets counters be read.
counters() {
    local net
    if ! command -v ncu >/dev/null && [ -z "$dry" ]; then return; fi
    for net in "${tuned[@]}"; do
        step "ncu-${net%:*}-${net#*:}" 60 20 ncu --kernel-name render_rays --launch-skip 1 --launch-count 1 \
            --section SpeedOfLight --section MemoryWorkloadAnalysis --section Occupancy --section WarpStateStats \
            --section SourceCounters "$binary" bench --random "${net%:*}" --precision "${net#*:}" --size "${sizes[1]}" \
            --samples "${samples[0]}" --views "$views" --device "$device" --repeat 1 --seconds 0.1 --json
    done
}

# The device's frame of the bundled scene against the processor's, both as 8-bit files.
likeness() {
    local model net precision want
    for model in gnt-dense gnt-shiftadd; do
        want=$work/frames/$model-cpu
        step "frame-$model-cpu" 90 4 "$binary" render --scene "$scene" --model "$model" --frames 1 "${frame[@]}" \
            --device cpu --precision f32 --json --out "$want" || continue
        for net in "$model:f32" "${models[@]}"; do
            if [ "${net%:*}" != "$model" ]; then continue; fi
            precision=${net#*:}
            step "frame-$model-$precision" 45 3 "$binary" render --scene "$scene" --model "$model" --frames 1 \
                "${frame[@]}" --device "$device" --precision "$precision" --json --out "$work/frames/$model-$precision" &&
                step "likeness-$model-$precision" 60 1 "${tool[@]}" psnr "$work/frames/$model-$precision" "$want"
        done
    done
}

# What the device's classifiers say of the bundled scene's photographs, against the processor.
classifiers() {
    local model of
    for model in vit-dense vit-shiftadd; do
        for of in "$device" cpu; do
            step "classify-$model-${of%%:*}" 60 2 "$binary" classify "$scene"/images/*.jpg --model "$model" --device "$of" \
                --precision f32 --top 10 --json || continue 2
            if [ "$device" = cpu ]; then continue 2; fi
        done
        step "classes-$model" 30 0 "${tool[@]}" classes "$logs/classify-$model-${device%%:*}.out" \
            "$logs/classify-$model-cpu.out"
    done
}

# The official code: its speed, and its colours with the same weights.
official() {
    local gnt_work=$work/gnt precision where=cuda
    if [ "$device" = cpu ]; then where=cpu; fi
    local script=("$python" "$here/gpu_baseline.py" --gnt "$gnt" --work "$gnt_work" --device "$where" "${baseline[@]}")
    step gnt-prepare 60 15 "${script[@]}" prepare &&
        step gnt-import 30 1 "$binary" import "$gnt_work/checkpoint.pth" --out "$gnt_work/model.safetensors" &&
        for precision in f32 "$fast"; do
            step "gnt-render-$precision" 60 5 "$binary" render --scene "$gnt_work/scene" --path "$gnt_work/path.json" \
                --model "$gnt_work/model.safetensors" --samples 192 --views 10 --device "$device" \
                --precision "$precision" --json --out "$gnt_work/$precision"
        done
    step gnt-compare 60 1 "${script[@]}" compare "$gnt_work/f32" "$gnt_work/$fast"
    step gnt-time 150 60 "${script[@]}" time
}

# Whether the run in the out folder has had all of its time.
over() {
    "$python" - "$run/state.safetensors" <<'PYTHON'
import json, struct, sys
with open(sys.argv[1], "rb") as file:
    (length,) = struct.unpack("<Q", file.read(8))
    state = json.loads(json.loads(file.read(length))["__metadata__"]["training"])
sys.exit(0 if state.get("seconds", 0) >= (state["options"].get("seconds") or 1e18) else 1)
PYTHON
}

# Trains for what is left of the minutes; what there is so far is kept every few seconds.
training() {
    local files left keeper
    # The program counts steps alone: it starts, writes checkpoints and looks at a scene beside.
    left=$((end - $(date +%s) - reserve))
    if [ -n "$dry" ]; then left=$(awk -v m="$minutes" -v r="$reserve" 'BEGIN { print int(60 * m) - 60 - r }'); fi
    if [ "$left" -lt 5 ]; then
        echo "gpu.sh: no time left to train" >&2
        return 1
    fi
    local more=("${shape[@]}" "${train_options[@]}")
    files=(--out "$work/run" --data "$data" --config "$config" "${more[@]}")
    if [ -e "$run/state.safetensors" ] && ! over; then
        mkdir -p "$work/run" && cp "$run"/*.* "$work/run/"
        files=(--resume "$work/run" --data "$data" "${more[@]}")
    elif [ -e "$run/model.safetensors" ] || [ -e "$run/model.safetensors.part-aa" ]; then
        if [ -e "$run/model.safetensors" ]; then
            cp "$run/model.safetensors" "$work/before.safetensors"
        else
            mkdir "$work/before" && join_parts "$run" "$work/before" >/dev/null &&
                mv "$work/before/model.safetensors" "$work/before.safetensors" || return 1
        fi
        echo "gpu.sh: a new leg from the weights in $run" >&2
        files=(--out "$work/run" --data "$data" --from "$work/before.safetensors" "${more[@]}")
    fi
    if [ -z "$dry" ]; then
        while sleep "$between"; do keep; done &
        keeper=$!
    fi
    step train $((left + 120)) "$left" "$binary" train "${files[@]}" \
        --minutes "$(awk -v s="$left" 'BEGIN { print s / 60 }')" --device "$device"
    local code=$?
    if [ -z "$dry" ]; then
        kill "$keeper" 2>/dev/null
        wait "$keeper" 2>/dev/null
    fi
    return $code
}

selftest() {
    step selftest 180 45 "$binary" selftest --device "$device" "${quick[@]}" --json
}

facts
keep
failed=0
if [ "$task" = train ]; then
    maker=''
    if [ -z "$data" ]; then
        # In one place, so that a later leg on this machine has them already.
        data=${TMPDIR:-/tmp}/shiftray-gpu-scenes-$scenes${tiny:+-tiny}
        if [ -n "$textures" ]; then data=$data-$(cd "$textures" && pwd | cksum | cut -d' ' -f1); fi
        made=(--out "$data" --scenes "$scenes" --capture real "${made[@]}")
        if [ -n "$textures" ]; then made+=(--textures "$textures"); fi
        if [ -n "$dry" ]; then
            printf 'scenes (about %s s on 16 cores, beside the test):' $((scenes / 12)) && printf ' %q' "$binary" synth "${made[@]}" && echo
        else
            timeout "$((end - $(date +%s)))" "$binary" synth "${made[@]}" >"$logs/synth.out" 2>"$logs/synth.err" &
            maker=$!
        fi
    fi
    # Kernels that are wrong would train nothing.
    if ! selftest; then
        echo "gpu.sh: the device failed its test; nothing else is done" >&2
        exit 1
    fi
    keep
    if [ -n "$maker" ] && ! wait "$maker"; then
        echo "gpu.sh: scenes could not be made: $(tail -n 1 "$logs/synth.err")" >&2
        exit 1
    fi
    training || failed=1
else
    if ! selftest; then
        echo "gpu.sh: the device failed its test; nothing else is done" >&2
        exit 1
    fi
    keep
    if [ "$device" != cpu ]; then sanitizer; fi
    likeness
    classifiers
    keep
    timings
    if [ -n "$gnt" ]; then official; fi
    if [ "$device" != cpu ]; then
        tuning
        counters
    fi
fi
if [ -n "$dry" ]; then
    echo "about $expected_in_all s in all, of $minutes minutes"
    exit
fi
keep
cat "$work/report.txt"
# What a machine may lack or refuse is no failure of the program.
if grep -v -e '"name": "ncu' -e '"name": "smi' "$logs/steps.jsonl" | grep -v '"code": "skipped"' | grep -q '"code": *[^0 ,]'; then
    failed=1
fi
exit $failed
