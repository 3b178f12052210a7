# Runs a built Kleinscope. Sourced by the launchers; written for bash 3.2, which macOS still has.

run_lib=$(cd -P "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# Turns this shell into Kleinscope: the classes in the path $1 on the Java in $java_home, with $root as Kleinscope's folder
# and the command line that follows.
run_kleinscope() {
    local class_path=$1 options size
    shift

    # The tokenizer library heeds these before the settings that keep it off the network.
    unset DJL_OFFLINE OPT_OUT_TRACKING RUST_FLAVOR RUST_LIBRARY_PATH ENGINE_CACHE_DIR DJL_CACHE_DIR

    # Java decodes the command line by the locale; in any but a UTF-8 one, prompts would lose their letters.
    case ${LC_ALL:-${LC_CTYPE:-${LANG:-}}} in
        *.[Uu][Tt][Ff]-8 | *.[Uu][Tt][Ff]8) ;;
        *) export LC_ALL=C.UTF-8 ;;
    esac

    options=(--add-modules jdk.incubator.vector --enable-native-access=ALL-UNNAMED -XX:+UseParallelGC "-Dkleinscope.home=$root")
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

    if [ -n "${KLEINSCOPE_JAVA_OPTS:-}" ]; then
        set -f
        # shellcheck disable=SC2206 # split at blanks on purpose
        options+=($KLEINSCOPE_JAVA_OPTS)
        set +f
    fi
    exec "$java_home/bin/java" "${options[@]}" -cp "$class_path" dev.kleinscope.cli.Main "$@"
}
