package dev.kleinscope.cli;

/** A program that runs until it is interrupted; with {@code deaf} it does not listen. */
final class LongRun {

    private LongRun() {}

    public static void main(String[] args) {
        Interrupts interrupts = Interrupts.watch();
        System.out.println("running");
        boolean deaf = args.length > 0;
        while (true) {
            try {
                Thread.sleep(60_000);
            } catch (InterruptedException _) {
                System.out.println("interrupted");
                if (!deaf) {
                    break;
                }
            }
        }
        System.out.println("cleaned up");
        interrupts.done();
        System.exit(ExitCodes.INTERRUPTED);
    }
}
