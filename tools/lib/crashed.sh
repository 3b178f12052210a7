# Run by a JVM that is about to die, with its process id: says in one sentence why.
log=$KLEINSCOPE_CRASH_LOGS/kleinscope-crash-$1.log
if grep -q '^#  SIGBUS' "$log" 2>/dev/null; then
    echo "kleinscope: a model file changed while it was in use: leave the model folder alone during a run, and start again." >&2
else
    echo "kleinscope: the Java VM or a native library crashed; please report it with $log." >&2
fi
