package dev.kleinscope.cli;

import dev.kleinscope.pipeline.PromptTokenizer;
import dev.kleinscope.pipeline.Schedule;

/** What every command that takes prompts and steps asks of them. */
final class PromptChecks {

    private PromptChecks() {
    }

    /** @throws UserInputException if the text was not read as Unicode */
    static void unicode(String option, String prompt) {
        if (!PromptTokenizer.encodable(prompt)) {
            throw new UserInputException(option + ": the prompt is not valid UTF-8; write it in a terminal whose locale is UTF-8");
        }
    }

    /** @throws UserInputException if there is nothing in it either */
    static void present(String option, String prompt) {
        if (prompt.isBlank()) {
            throw new UserInputException(option + ": the prompt is empty; write one");
        }
        unicode(option, prompt);
    }

    static void tokens(String option, int tokens) {
        range(option, tokens, PromptTokenizer.MIN_TOKENS, PromptTokenizer.MAX_TOKENS);
    }

    static void steps(Integer steps) {
        if (steps != null) {
            range("--steps", steps, 1, Schedule.MAX_STEPS);
        }
    }

    static void guidance(Double guidance) {
        if (guidance != null && !(guidance >= 0 && guidance <= 1000)) {
            throw new UserInputException("--guidance " + guidance + ": expected a number from 0 to 1000");
        }
    }

    /** A whole number within bounds. @throws UserInputException naming the option */
    static void range(String option, int value, int least, int most) {
        if (value < least || value > most) {
            throw new UserInputException(option + " " + value + ": expected a whole number from " + least + " to " + most);
        }
    }
}
