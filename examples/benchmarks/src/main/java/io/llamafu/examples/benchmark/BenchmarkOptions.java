package io.llamafu.examples.benchmark;

import picocli.CommandLine;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;

/** The options of every benchmark. */
final class BenchmarkOptions {
    private static final int ROUNDS = 3;
    private static final int QUICK_ROUNDS = 1;

    /** Processes that run or wait, as the mean of the last minute. */
    private static final double BUSY_LOAD = 0.5;

    @Option(
            names = "--quick",
            description = "The 135M model, one round and short answers: checks that the benchmark works; the"
                    + " figures mean little.")
    private boolean quick;

    @Option(names = "--rounds", paramLabel = "N", description = "Rounds; the result is their median. Default: 3.")
    private Integer rounds;

    @Option(
            names = "--model",
            paramLabel = "NAME",
            split = ",",
            converter = ModelConverter.class,
            description = "135M (in Q8_0), 1.1B (in Q4_0) or 1.1B-Q4_K_M, or several, separated by commas. Default:"
                    + " 135M,1.1B.")
    private List<RandomModel> models;

    @Option(names = "--threads", paramLabel = "N", description = "CPU threads. Default: all processors.")
    private int threads = Runtime.getRuntime().availableProcessors();

    @Mixin
    private OutputOptions output;

    private static final class ModelConverter implements CommandLine.ITypeConverter<RandomModel> {
        @Override
        public RandomModel convert(String title) {
            try {
                return RandomModel.ofTitle(title);
            } catch (IllegalArgumentException e) {
                throw new CommandLine.TypeConversionException(e.getMessage());
            }
        }
    }

    /** Other load slows some rounds more than others. */
    static void warnIfBusy() {
        double load = ManagementFactory.getOperatingSystemMXBean().getSystemLoadAverage();
        if (load > BUSY_LOAD) {
            System.err.printf(
                    Locale.ROOT, "This machine is busy (load %.1f); figures to keep need a quiet one.%n", load);
        }
    }

    boolean isQuick() {
        return quick;
    }

    int rounds() {
        if (rounds != null) {
            return Math.max(1, rounds);
        }
        return quick ? QUICK_ROUNDS : ROUNDS;
    }

    List<RandomModel> models() {
        if (models != null) {
            return models;
        }
        return quick ? List.of(RandomModel.SMALL) : List.of(RandomModel.SMALL, RandomModel.LARGE);
    }

    int threads() {
        return threads;
    }

    OutputOptions output() {
        return output;
    }

    /**
     * Prints the tables and writes the requested files.
     *
     * @param results shown in the chart
     * @param sweep further results; may be empty
     */
    void report(String name, String chartTitle, List<Result> results, List<Result> sweep) throws IOException {
        System.out.print(Results.markdown(results));
        if (!sweep.isEmpty()) {
            System.out.println();
            System.out.print(Results.markdown(sweep));
        }
        output.write(
                Stream.concat(results.stream(), sweep.stream()).toList(), name, Results.chart(chartTitle, results));
    }
}
