package dev.kleinscope.cli;

import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** The options of every command that has a result. */
final class OutputOptions {

    @Spec(Spec.Target.MIXEE)
    private CommandSpec command;

    @Option(names = "--json", description = "Print the result as JSON on standard output, and nothing else there.")
    private boolean json;

    @Option(names = {"-q", "--quiet"}, description = "No progress and no notes on standard error.")
    private boolean quiet;

    boolean json() {
        return json;
    }

    Console console() {
        return Console.of(command.commandLine().getOut(), command.commandLine().getErr(), quiet);
    }
}
