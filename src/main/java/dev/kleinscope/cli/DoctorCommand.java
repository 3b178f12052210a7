package dev.kleinscope.cli;

import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** {@code kleinscope doctor}: what this machine offers and what a run here would use. */
@Command(
        name = "doctor",
        description = "Show what this machine offers and what a run here would use.",
        footerHeading = "%nExamples:%n",
        footer = {
            "  kleinscope doctor            a table to read, or to put in a report of a defect",
            "  kleinscope doctor --json     the same for a program",
        })
final class DoctorCommand implements Callable<Integer> {

    @Mixin
    private OutputOptions output;

    @Override
    public Integer call() {
        Doctor doctor = Doctor.examine();
        Console console = output.console();
        if (output.json()) {
            console.json(doctor);
        } else {
            table(doctor, console);
        }
        return ExitCodes.OK;
    }

    private static void table(Doctor doctor, Console console) {
        row(console, "kleinscope", doctor.kleinscope());
        row(console, "Java", doctor.jdk().version() + ", " + doctor.jdk().vendor() + ", " + doctor.jdk().path());
        row(console, "system", doctor.system());
        row(console, "cores", String.valueOf(doctor.cores()));
        row(console, "vectors", doctor.vectorBits() + " bits");
        row(console, "memory", memory(doctor.memory()));
        row(console, "tokenizers", (doctor.tokenizers().loads() ? "" : "unusable: ") + doctor.tokenizers().detail());
        library(console, doctor.oneDnn());
        row(console, "CPU products", "in " + doctor.cpuProducts());
        doctor.libraries().forEach(library -> library(console, library));
        row(console, "GPU", gpu(doctor.gpu()));
        row(console, "cache", doctor.cache().folder() + (doctor.cache().writable() ? "" : " (cannot be written)"));
        row(console, "model", "by default the bundled miniature, " + ModelOptions.bundled());
        row(console, "backend", "auto uses " + doctor.backend());
    }

    private static void library(Console console, NativeProbe.Library library) {
        row(console, library.name(), library.found() ? library.version() + ", " + library.detail() : library.detail());
    }

    private static void row(Console console, String name, String value) {
        console.result("%-12s %s".formatted(name, value));
    }

    private static String memory(Doctor.Memory memory) {
        String limit = memory.limit() < memory.total() ? ", limited to " + Doctor.bytes(memory.limit()) : "";
        return Doctor.bytes(memory.available()) + " free of " + Doctor.bytes(memory.total()) + limit
                + "; the Java heap may grow to " + Doctor.bytes(memory.heap());
    }

    private static String gpu(NativeProbe.Gpus gpus) {
        if (gpus.gpus().isEmpty()) {
            return "none: " + gpus.detail();
        }
        return gpus.gpus().stream()
                .map(gpu -> gpu.name() + ", compute capability " + gpu.computeCapability() + ", " + Doctor.bytes(gpu.memoryBytes()))
                .collect(Collectors.joining("; "));
    }
}
