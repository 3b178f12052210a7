package dev.kleinscope.cli;

/** The command line, or a file that it names, is wrong: exit status 2. The message says what was expected. */
public class UserInputException extends RuntimeException {

    private static final long serialVersionUID = 1L;

    public UserInputException(String message) {
        super(message);
    }

    public UserInputException(String message, Throwable cause) {
        super(message, cause);
    }
}
