package dev.kleinscope.cli;

import java.io.OutputStreamWriter;
import java.io.PrintWriter;
import java.util.Collection;
import java.util.Locale;
import picocli.AutoComplete;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Help;
import picocli.CommandLine.HelpCommand;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.Spec;
import picocli.CommandLine.UnmatchedArgumentException;

/** The {@code kleinscope} command. Its subcommands are listed here, in the order in which {@code --help} shows them. */
@Command(
        name = "kleinscope",
        versionProvider = Version.class,
        description = "Runs FLUX.2-klein-4B in Java and shows what happens inside.",
        synopsisSubcommandLabel = "COMMAND",
        subcommands = {
            NormsCommand.class,
            ChannelsCommand.class,
            InterpolateCommand.class,
            PatchCommand.class,
            GenerateCommand.class,
            AttentionCommand.class,
            EncodeCommand.class,
            DumpCommand.class,
            DiffCommand.class,
            ValidateCommand.class,
            InspectCommand.class,
            SynthCommand.class,
            BenchCommand.class,
            DoctorCommand.class,
            AutoComplete.GenerateCompletion.class,
            HelpCommand.class,
        },
        exitCodeListHeading = "%nExit status:%n",
        exitCodeList = {
            "0:done",
            "1:done, and the answer is a finding",
            "2:the command line or a file it names is wrong",
            "3:a device, a library or memory is not there",
            "4:the data do not allow an answer",
            "70:a defect of Kleinscope",
            "130:interrupted",
            "134:the Java VM crashed, as it may when a model file changes during a run",
        },
        footerHeading = "%nExamples:%n",
        footer = {
            "  kleinscope norms                     a harmless pair on the bundled miniature",
            "  kleinscope doctor                    what this machine offers",
            "  kleinscope help COMMAND              a command's options, with examples",
            "  kleinscope --debug norms             wait for a debugger at localhost:5005 first",
            "  source <(kleinscope generate-completion)",
            "                                       completion in this bash or zsh",
        })
public final class Main implements Runnable {

    /** When the output is coloured. */
    enum Color {
        AUTO(Help.Ansi.AUTO),
        ALWAYS(Help.Ansi.ON),
        NEVER(Help.Ansi.OFF);

        private final Help.Ansi ansi;

        Color(Help.Ansi ansi) {
            this.ansi = ansi;
        }

        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    private static final String HELP = "Show this help and exit.";

    @Spec
    private CommandSpec spec;

    @Option(names = "--debug-trace", scope = ScopeType.INHERIT, description = "Print the stack trace of a defect.")
    private boolean debugTrace;

    @Option(names = {"-h", "--help"}, usageHelp = true, description = HELP)
    private boolean help;

    @Option(names = {"-V", "--version"}, versionHelp = true, description = "Print the version and exit.")
    private boolean version;

    /** Set while the line is parsed, hence before any help is printed. */
    @Option(names = "--color", scope = ScopeType.INHERIT, paramLabel = "WHEN",
            description = "Colour: ${COMPLETION-CANDIDATES}. auto, the default, also heeds NO_COLOR.")
    private void color(Color when) {
        spec.root().commandLine().setColorScheme(Help.defaultColorScheme(when.ansi));
    }

    /** Runs the command line and ends the JVM with its exit status. */
    public static void main(String[] args) {
        // Contact sheets are drawn, never shown; otherwise Java would connect to a display, perhaps on another machine.
        System.setProperty("java.awt.headless", "true");
        Interrupts interrupts = Interrupts.watch();
        int exitCode;
        try {
            exitCode = run(args);
        } finally {
            interrupts.done();
        }
        System.exit(exitCode);
    }

    /** Runs the command line on the process's own streams; returns the exit status, one of {@link ExitCodes}. */
    public static int run(String... args) {
        StandardOutput standard = new StandardOutput();
        PrintWriter out = new PrintWriter(new OutputStreamWriter(standard, System.out.charset()), true);
        PrintWriter err = new PrintWriter(System.err, true);
        int exitCode = run(out, err, args);
        out.flush();
        boolean answered = exitCode == ExitCodes.OK || exitCode == ExitCodes.FINDING || exitCode == ExitCodes.INCONCLUSIVE;
        if (answered && standard.failure() != null) {
            err.println("kleinscope: standard output could not be written (" + standard.failure() + "): what was printed is incomplete; "
                    + "send it elsewhere");
            return ExitCodes.BAD_INPUT;
        }
        return exitCode;
    }

    /** Runs the command line with other streams; returns the exit status, one of {@link ExitCodes}. */
    public static int run(PrintWriter out, PrintWriter err, String... args) {
        return execute(commandLine(out, err), args);
    }

    static int execute(CommandLine line, String... args) {
        try {
            return line.execute(args);
        } catch (Error e) {
            // picocli hands only exceptions to its handler
            return line.<Main>getCommand().report(e, line);
        }
    }

    static CommandLine commandLine(PrintWriter out, PrintWriter err) {
        Main main = new Main();
        CommandLine line = new CommandLine(main);
        line.setOut(out);
        line.setErr(err);
        line.setUsageHelpAutoWidth(false);
        line.setUsageHelpWidth(Integer.getInteger("kleinscope.columns", 80));
        line.setCaseInsensitiveEnumValuesAllowed(true);
        line.setExecutionStrategy(Main::runLast);
        line.setExecutionExceptionHandler((e, failed, _) -> main.report(e, failed));
        line.setParameterExceptionHandler((e, _) -> usage(e));
        line.getSubcommands().values().forEach(Main::offerHelp);
        return line;
    }

    /** Not an inherited option, since two of picocli's own commands bring theirs. */
    private static void offerHelp(CommandLine command) {
        if (command.getCommandSpec().findOption("--help") == null) {
            command.getCommandSpec().addOption(
                    OptionSpec.builder("-h", "--help").usageHelp(true).description(HELP).build());
        }
    }

    @Override
    public void run() {
        throw new ParameterException(spec.commandLine(), "a command is missing");
    }

    /** Runs the subcommand, unless an option that takes a list was given one without entries: no command has a meaning for that. */
    private static int runLast(ParseResult parsed) {
        ParseResult last = parsed;
        while (last.hasSubcommand()) {
            last = last.subcommand();
        }
        for (OptionSpec option : last.matchedOptions()) {
            Object value = option.getValue();
            if (value instanceof Collection<?> list && list.isEmpty() || value instanceof Object[] array && array.length == 0) {
                throw new ParameterException(last.commandSpec().commandLine(), option.longestName()
                        + ": expected values separated by commas, found none");
            }
        }
        return new CommandLine.RunLast().execute(parsed);
    }

    private static int usage(ParameterException e) {
        CommandLine failed = e.getCommandLine();
        String command = failed.getCommandSpec().qualifiedName();
        failed.getErr().println(failed.getColorScheme().errorText("kleinscope: " + what(e)));
        UnmatchedArgumentException.printSuggestions(e, failed.getErr());
        failed.getErr().println("See: " + command + " --help");
        failed.getErr().flush();
        return ExitCodes.BAD_INPUT;
    }

    private static String what(ParameterException e) {
        if (e instanceof UnmatchedArgumentException unmatched
                && !unmatched.isUnknownOption()
                && !e.getCommandLine().getSubcommands().isEmpty()) {
            return "there is no command '" + unmatched.getUnmatched().getFirst() + "'";
        }
        return e.getMessage();
    }

    private int report(Throwable thrown, CommandLine failed) {
        Failures failure = Failures.of(thrown, debugTrace);
        failed.getErr().println(failed.getColorScheme().errorText("kleinscope: " + failure.message()));
        failed.getErr().flush();
        return failure.exitCode();
    }
}
