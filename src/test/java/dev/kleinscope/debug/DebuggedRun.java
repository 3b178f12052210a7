package dev.kleinscope.debug;

import com.sun.jdi.AbsentInformationException;
import com.sun.jdi.Bootstrap;
import com.sun.jdi.ClassNotLoadedException;
import com.sun.jdi.IncompatibleThreadStateException;
import com.sun.jdi.InvalidTypeException;
import com.sun.jdi.InvocationException;
import com.sun.jdi.Location;
import com.sun.jdi.Method;
import com.sun.jdi.ObjectReference;
import com.sun.jdi.ReferenceType;
import com.sun.jdi.StackFrame;
import com.sun.jdi.StringReference;
import com.sun.jdi.ThreadReference;
import com.sun.jdi.Value;
import com.sun.jdi.VMDisconnectedException;
import com.sun.jdi.VirtualMachine;
import com.sun.jdi.connect.AttachingConnector;
import com.sun.jdi.connect.Connector;
import com.sun.jdi.connect.IllegalConnectorArgumentsException;
import com.sun.jdi.event.ClassPrepareEvent;
import com.sun.jdi.event.Event;
import com.sun.jdi.event.EventSet;
import com.sun.jdi.event.LocatableEvent;
import com.sun.jdi.request.BreakpointRequest;
import com.sun.jdi.request.ClassPrepareRequest;
import com.sun.jdi.request.StepRequest;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** A command that the launcher started with {@code --debug}, and a debugger that is attached to it. */
final class DebuggedRun implements AutoCloseable {

    private static final int PATIENCE_MILLIS = 30_000;
    private static final Path SOURCES = Path.of("src", "main", "java");

    private final Process process;
    private final Thread killer;
    private final Path out;
    private final Path err;
    private VirtualMachine vm;
    private ThreadReference thread;

    /** Starts a command on the classes under test and attaches. */
    DebuggedRun(Path folder, String... command) throws Exception {
        out = folder.resolve("out");
        err = folder.resolve("err");
        int port = freePort();
        ProcessBuilder builder = launcher("--debug=" + port);
        builder.command().addAll(List.of(command));
        process = builder.redirectOutput(out.toFile()).redirectError(err.toFile()).start();
        killer = new Thread(process::destroyForcibly);
        Runtime.getRuntime().addShutdownHook(killer);
        try {
            vm = attach(port);
        } catch (Exception | Error e) {
            close();
            throw e;
        }
    }

    /** What {@code tools/kleinscope} does once it has built, with the classes under test in place of the build. */
    static ProcessBuilder launcher(String option) {
        String script = "root=$1 java_home=$2 class_path=$3; shift 3; . \"$root/tools/lib/run.sh\"; run_kleinscope \"$class_path\" \"$@\"";
        return new ProcessBuilder("bash", "-euc", script, "launcher",
                Path.of("").toAbsolutePath().toString(), System.getProperty("java.home"), System.getProperty("java.class.path"), option);
    }

    private static int freePort() throws IOException {
        try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            return socket.getLocalPort();
        }
    }

    private VirtualMachine attach(int port) throws IOException, IllegalConnectorArgumentsException, InterruptedException {
        AttachingConnector connector = Bootstrap.virtualMachineManager().attachingConnectors().stream()
                .filter(candidate -> candidate.name().equals("com.sun.jdi.SocketAttach")).findFirst().orElseThrow();
        Map<String, Connector.Argument> arguments = connector.defaultArguments();
        arguments.get("hostname").setValue("127.0.0.1");
        arguments.get("port").setValue(String.valueOf(port));
        arguments.get("timeout").setValue(String.valueOf(PATIENCE_MILLIS));
        long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(PATIENCE_MILLIS);
        while (true) {
            try {
                return connector.attach(arguments);
            } catch (IOException e) {
                if (!process.isAlive() || System.nanoTime() > end) {
                    throw new IOException("nothing to attach to: " + Files.readString(err), e);
                }
                Thread.sleep(20);
            }
        }
    }

    /**
     * Runs to the line after the statement that begins with {@code start}.
     *
     * @param hits how many times it is to come there
     */
    void runTo(Class<?> ofPackage, String type, String method, String start, int hits) throws Exception {
        String name = ofPackage.getPackageName() + "." + type;
        ClassPrepareRequest prepared = vm.eventRequestManager().createClassPrepareRequest();
        prepared.addClassFilter(name);
        prepared.enable();
        vm.resume();
        ReferenceType loaded = ((ClassPrepareEvent) await(ClassPrepareEvent.class)).referenceType();
        prepared.disable();
        Path source = SOURCES.resolve(name.replaceFirst("\\$.*", "").replace('.', '/') + ".java");
        Location stop = after(loaded.methodsByName(method).getFirst(), source, start);
        BreakpointRequest breakpoint = vm.eventRequestManager().createBreakpointRequest(stop);
        breakpoint.addCountFilter(hits);
        breakpoint.enable();
        vm.resume();
        thread = ((LocatableEvent) await(LocatableEvent.class)).thread();
    }

    private static Location after(Method method, Path source, String start) throws IOException, AbsentInformationException {
        List<String> lines = Files.readAllLines(source);
        int line = 0;
        while (!lines.get(line).strip().startsWith(start)) {
            line++;
        }
        while (!lines.get(line).strip().endsWith(";")) {
            line++;
        }
        int end = line + 1;
        return method.allLineLocations().stream().filter(location -> location.lineNumber() > end)
                .min(Comparator.comparingInt(Location::lineNumber)).orElseThrow();
    }

    /** Goes on to the next line, or into the caller. @param depth of {@link StepRequest} */
    void step(int depth) throws Exception {
        StepRequest step = vm.eventRequestManager().createStepRequest(thread, StepRequest.STEP_LINE, depth);
        step.enable();
        vm.resume();
        await(LocatableEvent.class);
        step.disable();
    }

    private Event await(Class<? extends Event> kind) throws InterruptedException, IOException {
        while (true) {
            EventSet events = vm.eventQueue().remove(PATIENCE_MILLIS);
            if (events == null) {
                throw new IOException("no " + kind.getSimpleName() + " came: " + Files.readString(err));
            }
            for (Event event : events) {
                if (kind.isInstance(event)) {
                    return event;
                }
            }
            events.resume();
        }
    }

    /** Where the thread stands. */
    Location location() throws IncompatibleThreadStateException {
        return thread.frame(0).location();
    }

    /** The object in a local variable of the frame on top. */
    ObjectReference local(String name) throws IncompatibleThreadStateException, AbsentInformationException {
        StackFrame frame = thread.frame(0);
        ObjectReference object = (ObjectReference) frame.getValue(frame.visibleVariableByName(name));
        object.disableCollection();
        return object;
    }

    /** Calls a method as a debugger's expression does, while every other thread stands still. */
    Value evaluate(ObjectReference object, String method, String signature, Value... arguments)
            throws InvalidTypeException, ClassNotLoadedException, IncompatibleThreadStateException, InvocationException {
        Method called = object.referenceType().methodsByName(method, signature).getFirst();
        return object.invokeMethod(thread, called, List.of(arguments), ObjectReference.INVOKE_SINGLE_THREADED);
    }

    String text(ObjectReference object) throws Exception {
        return ((StringReference) evaluate(object, "toString", "()Ljava/lang/String;")).value();
    }

    Value number(long value) {
        return vm.mirrorOf(value);
    }

    /** Detaches and waits for the end. @return the exit status */
    int finish() throws InterruptedException {
        vm.dispose();
        if (!process.waitFor(PATIENCE_MILLIS, TimeUnit.MILLISECONDS)) {
            throw new IllegalStateException("still running after the debugger detached");
        }
        return process.exitValue();
    }

    String output() throws IOException {
        return Files.readString(out);
    }

    String messages() throws IOException {
        return Files.readString(err);
    }

    @Override
    public void close() {
        process.destroyForcibly();
        Runtime.getRuntime().removeShutdownHook(killer);
        if (vm != null) {
            try {
                vm.dispose();
            } catch (VMDisconnectedException e) {
                return;
            }
        }
    }
}
