package io.llamafu.examples.benchmark;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** Only generates the files, and shows how to start other programs with them. */
@Command(
        name = "models",
        description = "Generates the models and adapters, and prints the command that starts a llama-server with them.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class GenerateModels implements Callable<Integer> {
    @Mixin
    private BenchmarkOptions options;

    @Option(
            names = "--rank",
            paramLabel = "N",
            defaultValue = "16",
            description = "Rank of the adapters. Default: ${DEFAULT-VALUE}.")
    private int rank;

    @Option(
            names = "--adapters",
            paramLabel = "N",
            defaultValue = "8",
            description = "Number of adapters. Default: ${DEFAULT-VALUE}.")
    private int count;

    @Override
    public Integer call() throws Exception {
        RandomModels files = RandomModels.inCacheFolder();
        for (RandomModel model : options.models()) {
            Path path = files.model(model);
            Path adapters = files.adapters(model, rank, count);
            System.out.printf(
                    Locale.ROOT,
                    "llama-server -m %s -c 4096 -np 16 -t %d --lora-init-without-apply --lora %s%n",
                    path,
                    options.threads(),
                    IntStream.range(0, count)
                            .mapToObj(index -> adapters.resolve(RandomModels.adapterName(index) + ".gguf")
                                    .toString())
                            .collect(Collectors.joining(",")));
        }
        return 0;
    }
}
