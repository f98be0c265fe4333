package io.llamafu.examples.benchmark;

import picocli.CommandLine;
import picocli.CommandLine.Command;

/** {@code examples/run benchmark NAME}. A new benchmark is a class in the list of subcommands. */
@Command(
        name = "examples/run benchmark",
        description =
                "Measures speed with models of random weights, which are generated and kept in the cache" + " folder.",
        subcommands = {
            MixedAdaptersBenchmark.class,
            EngineBenchmark.class,
            KernelsBenchmark.class,
            AdapterLoadBenchmark.class,
            AdapterChurnBenchmark.class,
            AdapterOverheadBenchmark.class,
            SharedDocumentBenchmark.class,
            PipelineBenchmark.class,
            CancelBenchmark.class,
            AffinityBenchmark.class,
            SqlBenchmark.class,
            LabelTemplateBenchmark.class,
            GenerateModels.class
        },
        synopsisSubcommandLabel = "NAME",
        mixinStandardHelpOptions = true)
public final class Benchmarks implements Runnable {
    public static void main(String[] arguments) {
        System.exit(new CommandLine(new Benchmarks())
                .setCaseInsensitiveEnumValuesAllowed(true)
                .setExecutionExceptionHandler((failure, command, parsed) -> {
                    command.getErr().println("benchmark failed: " + failure);
                    failure.printStackTrace(command.getErr());
                    return 1;
                })
                .execute(arguments));
    }

    /** Without a name: lists the benchmarks. */
    @Override
    public void run() {
        CommandLine.usage(this, System.out);
    }
}
