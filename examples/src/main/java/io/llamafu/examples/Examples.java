package io.llamafu.examples;

import io.llamafu.LlamafuException;
import picocli.CommandLine;

/** Runs the command of an example. */
public final class Examples {
    private Examples() {}

    /** Exits with the result of the command, with 1 if it throws, or with 2 if its arguments are wrong. */
    public static void runAndExit(String name, Object command, String[] arguments) {
        System.exit(new CommandLine(command)
                .setCaseInsensitiveEnumValuesAllowed(true)
                .setExecutionExceptionHandler((failure, line, parsed) -> {
                    line.getErr().println(name + " failed: " + reasonOf(failure));
                    return 1;
                })
                .execute(arguments));
    }

    /** The command of a tool; a failure is one line with its code. */
    static CommandLine tool(String name, Object command) {
        return new CommandLine(command)
                .setCaseInsensitiveEnumValuesAllowed(true)
                .setExecutionExceptionHandler((failure, line, parsed) -> {
                    line.getErr()
                            .println(name + " failed: "
                                    + (failure instanceof LlamafuException coded ? coded.getMessage() : failure));
                    return 1;
                });
    }

    private static String reasonOf(Throwable failure) {
        Throwable reason = failure;
        while (reason.getCause() != null) {
            reason = reason.getCause();
        }
        return reason.toString();
    }
}
