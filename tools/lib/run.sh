# Runs a built Kleinscope. Sourced by the launchers; written for bash 3.2, which macOS still has.

run_lib=$(cd -P "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# Sets debugged so that Java waits for a debugger, as $1 asks: --debug or --debug=PORT. Only this machine can connect.
wait_for_debugger() {
    local port=${1#--debug}
    port=${port#=}
    [ "$1" != --debug ] || port=5005
    case $port in '' | *[!0-9]* | ??????*) port=0 ;; esac
    if [ "$((10#$port))" -lt 1 ] || [ "$((10#$port))" -gt 65535 ]; then
        echo "kleinscope: $1: expected --debug or --debug=PORT with a port from 1 to 65535" >&2
        exit 2
    fi
    debugged=("-agentlib:jdwp=transport=dt_socket,server=y,suspend=y,quiet=y,address=127.0.0.1:$port"
        # a graph is replayed without running the model's code, and frames tell which line opened them
        -Dkleinscope.cuda.graphs=false -Dkleinscope.debug=true)
    cat >&2 <<EOF
kleinscope: waiting for a debugger at localhost:$port, which only this machine can reach. Attach one of:
  IntelliJ IDEA  Run > Attach to Process, or a Remote JVM Debug configuration for localhost:$port
  VS Code        "Attach to Kleinscope" of tools/debug/vscode in the repository, port $port
  jdb            jdb -attach localhost:$port
To attach from another machine, first run on that one: ssh -N -L $port:127.0.0.1:$port ${HOSTNAME:-HOST}
EOF
}

# Turns this shell into Kleinscope: the classes in the path $1 on the Java in $java_home, with $root as Kleinscope's folder
# and the command line that follows, which may begin with --debug.
run_kleinscope() {
    local class_path=$1 options debugged=() size
    shift
    case ${1:-} in
        --debug | --debug=*)
            wait_for_debugger "$1"
            shift
            ;;
    esac

    # The tokenizer library heeds these before the settings that keep it off the network.
    unset DJL_OFFLINE OPT_OUT_TRACKING RUST_FLAVOR RUST_LIBRARY_PATH ENGINE_CACHE_DIR DJL_CACHE_DIR

    # Java decodes the command line by the locale; in any but a UTF-8 one, prompts would lose their letters.
    case ${LC_ALL:-${LC_CTYPE:-${LANG:-}}} in
        *.[Uu][Tt][Ff]-8 | *.[Uu][Tt][Ff]8) ;;
        *) export LC_ALL=C.UTF-8 ;;
    esac

    # Tensors are not on the heap, which this collector keeps as small as what is alive; others let it grow to gigabytes first.
    options=(--add-modules jdk.incubator.vector --enable-native-access=ALL-UNNAMED -XX:+UseSerialGC -Xms64m "-Dkleinscope.home=$root")
    if [ -t 2 ]; then
        options+=(-Dkleinscope.terminal=true)
        size=$(stty size <&2 2>/dev/null || :)
        case ${size#* } in '' | *[!0-9]* | 0) ;; *) options+=("-Dkleinscope.columns=${size#* }") ;; esac
    fi

    # The JVM's warnings leave standard output to the results. That a copied folder's preloaded classes count as old is none.
    options+=(-Xlog:disable -Xlog:all=warning,cds=off:stderr)

    # So does its crash, which also keeps its report out of the user's folder and says what it means.
    options+=(-XX:+DisplayVMOutputToStderr "-XX:ErrorFile=${TMPDIR:-/tmp}/kleinscope-crash-%p.log")
    export KLEINSCOPE_CRASHED=$run_lib/crashed.sh KLEINSCOPE_CRASH_LOGS=${TMPDIR:-/tmp}
    # shellcheck disable=SC2016 # the JVM's shell expands it
    options+=('-XX:OnError=sh "$KLEINSCOPE_CRASHED" %p')

    options+=(${debugged[@]+"${debugged[@]}"})
    if [ -n "${KLEINSCOPE_JAVA_OPTS:-}" ]; then
        set -f
        # shellcheck disable=SC2206 # split at blanks on purpose
        options+=($KLEINSCOPE_JAVA_OPTS)
        set +f
    fi
    exec "$java_home/bin/java" "${options[@]}" -cp "$class_path" dev.kleinscope.cli.Main "$@"
}
