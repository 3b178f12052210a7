# Finds a Java and a Maven that are new enough. Sourced by the tools; written for bash 3.2, which macOS still has.

java_min=25

# Sets java_version to the version of the Java at $1, as the number MMmmmppp (25.0.3 is 25000003); fails if none is there.
java_version_of() {
    java_version=0
    [ -x "$1/bin/java" ] || return 1
    local text='' line major minor patch
    if [ -r "$1/release" ]; then
        # much cheaper than starting a JVM to ask it
        while IFS= read -r line || [ -n "$line" ]; do
            case $line in JAVA_VERSION=*) text=${line#*=}; break ;; esac
        done <"$1/release"
    fi
    if [ -z "$text" ]; then
        text=$("$1/bin/java" -version 2>&1 | sed -n 's/.* version "\([^"]*\)".*/\1/p') || return 1
    fi
    IFS='.+_-' read -r major minor patch _ <<EOF
${text//\"/}
EOF
    case $major in '' | *[!0-9]*) return 1 ;; esac
    case ${minor:-} in '' | *[!0-9]*) minor=0 ;; esac
    case ${patch:-} in '' | *[!0-9]*) patch=0 ;; esac
    java_version=$((10#$major * 1000000 + 10#$minor * 1000 + 10#$patch))
}

# Whether the Java at $1 is new enough and has the program $2.
java_suits() {
    java_version_of "$1" && [ "$java_version" -ge $((java_min * 1000000)) ] && [ -x "$1/bin/$2" ]
}

# Sets java_path_home to the home of the java on PATH.
java_on_path() {
    local file link
    file=$(command -v java) || return 1
    while [ -L "$file" ]; do
        link=$(readlink "$file")
        case $link in /*) file=$link ;; *) file=${file%/*}/$link ;; esac
    done
    java_path_home=${file%/bin/java}
}

# Sets java_home to a Java that has the program $1 (java to run, javac to build); ends the script with 3 if there is none.
find_java() {
    local need=$1 home best=0
    java_home=
    if [ -n "${KLEINSCOPE_JAVA_HOME:-}" ]; then
        if java_suits "$KLEINSCOPE_JAVA_HOME" "$need"; then
            java_home=$KLEINSCOPE_JAVA_HOME
            return
        fi
        echo "kleinscope: KLEINSCOPE_JAVA_HOME=$KLEINSCOPE_JAVA_HOME holds no JDK $java_min or later with bin/$need: set it to one that does, or unset it." >&2
        exit 3
    fi
    if [ -n "${JAVA_HOME:-}" ] && java_suits "$JAVA_HOME" "$need"; then
        java_home=$JAVA_HOME
        return
    fi
    if java_on_path && java_suits "$java_path_home" "$need"; then
        java_home=$java_path_home
        return
    fi
    for home in /usr/lib/jvm/* /opt/*jdk* /opt/java/* "${HOME:-/}"/.sdkman/candidates/java/* "${HOME:-/}"/.jdks/* \
        /Library/Java/JavaVirtualMachines/*/Contents/Home; do
        if java_suits "$home" "$need" && [ "$java_version" -gt "$best" ]; then
            best=$java_version
            java_home=$home
        fi
    done
    if [ -z "$java_home" ]; then
        echo "kleinscope: no JDK $java_min or later was found: install one (Eclipse Temurin $java_min from adoptium.net, or 'sdk install java'), or set KLEINSCOPE_JAVA_HOME to the folder of one." >&2
        exit 3
    fi
}

# Sets maven to an installed Maven of 3.8 or later, else to the wrapper in $1/tools, which fetches one.
find_maven() {
    local version major minor
    maven=$1/tools/mvnw
    version=$(JAVA_HOME=$java_home mvn -v 2>/dev/null | sed -n 's/.*Apache Maven \([0-9][0-9.]*\).*/\1/p')
    IFS=. read -r major minor _ <<EOF
${version:-0}
EOF
    minor=${minor:-0}
    if [ "$major" -gt 3 ] || { [ "$major" -eq 3 ] && [ "$minor" -ge 8 ]; }; then
        maven=mvn
    elif ! command -v unzip >/dev/null; then
        # the wrapper would take another archive, whose checksum is not the one it knows
        echo "kleinscope: building needs Maven 3.8 or later, or unzip to unpack one: install either." >&2
        exit 3
    fi
}
