package io.llamafu.flink.label;

import io.llamafu.LlamafuException;
import io.llamafu.flink.LlamafuConfigOptions;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.streaming.api.environment.LocalStreamEnvironment;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

import java.io.PrintStream;

/**
 * Labels the rows of files: {@code flink run -c io.llamafu.flink.label.LabelJob flink-llamafu-connector.jar --input ...}, or
 * {@code examples/run label}. See {@code docs/labelling.md}.
 *
 * <p>Exit codes: 0 if every row has an answer; 1 if some have an error, a file could not be read, or the job failed; 2 for
 * wrong options; 3 if another run works on the output.
 */
@PublicEvolving
public final class LabelJob {
    static final int ANSWERED = 0;
    static final int FAILED = 1;
    static final int WRONG_OPTIONS = 2;
    static final int BUSY = 3;

    private LabelJob() {}

    /**
     * Ends the process with an exit code.
     *
     * @throws IllegalStateException in place of an exit code other than 0 if Flink's client runs this
     */
    public static void main(String... arguments) {
        int code = run(
                System.out,
                new Progress(System.err, Boolean.getBoolean("llamafu.terminal"), System::nanoTime),
                arguments);
        if (code != ANSWERED) {
            if (!(StreamExecutionEnvironment.getExecutionEnvironment() instanceof LocalStreamEnvironment)) {
                throw new IllegalStateException(
                        "The label job ended with the exit code %d, see above.".formatted(code));
            }
            System.exit(code);
        }
    }

    static int run(PrintStream out, Progress progress, String... written) {
        try {
            LabelArguments arguments = LabelArguments.parse(written);
            if (arguments.has(LabelOption.HELP) || written.length == 0) {
                printHelp(out);
                return ANSWERED;
            }
            return run(out, progress, arguments);
        } catch (LlamafuException e) {
            progress.say("label failed: " + e.getMessage());
            return switch (e.code()) {
                case INVALID_OPTION, INVALID_SCHEMA, INVALID_GRAMMAR, INVALID_REQUEST -> WRONG_OPTIONS;
                default -> FAILED;
            };
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            progress.say("label was interrupted; run again to go on.");
            return FAILED;
        }
    }

    private static int run(PrintStream out, Progress progress, LabelArguments arguments) throws InterruptedException {
        if (arguments.has(LabelOption.GOLD)) {
            return new Review(new LabelStore(LabelRun.output(arguments)))
                    .judge(arguments.require(LabelOption.GOLD), out);
        }
        LabelRun run = new LabelRun(arguments, progress);
        if (arguments.has(LabelOption.EXPLAIN)) {
            return run.explain(out);
        }
        return arguments.has(LabelOption.SCHEDULE)
                ? new Schedule(arguments, progress).run(() -> run.run(out))
                : run.run(out);
    }

    private static void printHelp(PrintStream out) {
        out.println("Labels the rows of files: asks a model about each, and writes them back with its answers.");
        out.println("Usage: --input FILE|DIR|URI... --text-field FIELD --output DIR --model FILE [options]");
        out.println();
        for (LabelOption option : LabelOption.values()) {
            out.println(option.usage());
        }
        out.println();
        out.println("Options of the engine, as in docs/configuration.md:");
        LlamafuConfigOptions.all().forEach(option -> out.println("  --" + option.key()));
    }
}
