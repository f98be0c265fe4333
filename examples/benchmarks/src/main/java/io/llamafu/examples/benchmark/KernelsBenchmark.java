package io.llamafu.examples.benchmark;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.llamafu.engine.EngineOptions;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;

/** What our kernels save: the engine with packed weights beside the engine without, and beside upstream's programs. */
@Command(
        name = "kernels",
        description = {
            "The engine with packed weights and without, on the same models: prefill of one prompt of 512 tokens, decode of"
                    + " one sequence and of 16, after prompts of 128 tokens. Prints a table and, as its last line, the same"
                    + " as JSON.",
            "",
            "With --llama-cpp also upstream's llama-bench (-p 512 -n 0) and llama-batched-bench (-npp 128 -ntg 64 -npl 1"
                    + " and 16), in the same rounds. Build them from the same llama.cpp without our patches, for the same"
                    + " instruction set (GGML_NATIVE=ON). With --ik-llama-cpp the same programs of ik_llama.cpp, its fork for"
                    + " CPUs."
        },
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class KernelsBenchmark implements Callable<Integer> {
    private static final String PACKED = "packed";
    private static final String NOT_PACKED = "not packed";
    private static final String UPSTREAM = "llama.cpp";
    private static final String FORK = "ik_llama.cpp";

    private static final int SEQUENCES = 16;
    private static final int TOKENS = 64;
    private static final int QUICK_TOKENS = 16;
    private static final int PROMPT = 128;
    private static final int LONG_PROMPT = 512;

    @Mixin
    private BenchmarkOptions options;

    @Option(
            names = "--llama-cpp",
            paramLabel = "FOLDER",
            description = "The folder with llama-bench and llama-batched-bench, which take part.")
    private Path upstream;

    @Option(
            names = "--ik-llama-cpp",
            paramLabel = "FOLDER",
            description = "The folder with the same programs of ik_llama.cpp.")
    private Path fork;

    private final RandomModels files = RandomModels.inCacheFolder();
    private final List<Line> lines = new ArrayList<>();

    /** A line of the table, in tokens per second. */
    private record Line(String model, String engine, double prefill512, double decode1, double decode16) {}

    private enum Case {
        PREFILL_512(1, LONG_PROMPT),
        DECODE_1(1, PROMPT),
        DECODE_16(SEQUENCES, PROMPT);

        private final int sequences;
        private final int promptTokens;

        Case(int sequences, int promptTokens) {
            this.sequences = sequences;
            this.promptTokens = promptTokens;
        }

        Workload workload(boolean quick) {
            int tokens = this == PREFILL_512 ? 2 : quick ? QUICK_TOKENS : TOKENS;
            return new Workload(sequences, 0, promptTokens, tokens);
        }

        String key(String engine) {
            return engine + ", " + name();
        }

        double speed(Workload.Speed speed) {
            return this == PREFILL_512 ? speed.prefill() : speed.decode();
        }
    }

    @Override
    public Integer call() throws Exception {
        BenchmarkOptions.warnIfBusy();
        for (RandomModel model : options.models()) {
            measure(model);
        }
        System.out.print(table(lines));
        options.output().write(lines, "kernels", chart(lines));
        Map<String, Object> result = new LinkedHashMap<>();
        result.put("benchmark", "kernels");
        result.put("threads", options.threads());
        result.put("rounds", options.rounds());
        result.put("results", lines);
        System.out.println(new ObjectMapper().writeValueAsString(result));
        return 0;
    }

    private void measure(RandomModel model) throws Exception {
        System.err.printf("%n%s%n", model);
        Path file = files.model(model);
        Contest contest = new Contest();
        List<String> engines = new ArrayList<>(List.of(PACKED, NOT_PACKED));
        EngineOptions.Builder engineOptions =
                NativeEngine.options(file, new Workload(SEQUENCES, 0, LONG_PROMPT, TOKENS), options.threads());
        try (Competitor packed = NativeEngine.MIXED.open(engineOptions);
                Competitor notPacked = NativeEngine.NOT_PACKED.open(engineOptions)) {
            for (Case one : Case.values()) {
                Workload workload = one.workload(options.isQuick());
                contest.add(one.key(PACKED), packed, workload);
                contest.add(one.key(NOT_PACKED), notPacked, workload);
                peers().forEach((name, folder) -> addPeer(contest, name, folder, one, workload, file));
            }
            engines.addAll(peers().keySet());
            Map<String, Workload.Speed> speeds = contest.run(options.rounds());
            for (String engine : engines) {
                lines.add(new Line(
                        model.title(),
                        engine,
                        Case.PREFILL_512.speed(speeds.get(Case.PREFILL_512.key(engine))),
                        Case.DECODE_1.speed(speeds.get(Case.DECODE_1.key(engine))),
                        Case.DECODE_16.speed(speeds.get(Case.DECODE_16.key(engine)))));
            }
        }
    }

    /** The folders of the programs that take part, by name; the last one is what the others are compared with. */
    private Map<String, Path> peers() {
        Map<String, Path> peers = new LinkedHashMap<>();
        if (fork != null) {
            peers.put(FORK, fork);
        }
        if (upstream != null) {
            peers.put(UPSTREAM, upstream);
        }
        return peers;
    }

    private void addPeer(Contest contest, String name, Path folder, Case one, Workload workload, Path model) {
        if (one == Case.PREFILL_512) {
            LlamaBench bench = new LlamaBench(folder.resolve(LlamaBench.NAME), model, options.threads());
            Contest.Run run = seed -> new Workload.Speed(bench.prefill(LONG_PROMPT), Double.NaN);
            contest.add(one.key(name), run, run);
        } else {
            BatchedBench bench = new BatchedBench(folder.resolve(BatchedBench.NAME), model, options.threads());
            contest.add(one.key(name), seed -> bench.measure(workload.withTokens(2)), seed -> bench.measure(workload));
        }
    }

    /** Ratios are to the last engine of the model: upstream if it takes part, else the engine without packed weights. */
    private static String table(List<Line> lines) {
        StringBuilder table = new StringBuilder(
                """
                | model | engine | prefill of 512, tokens/s | x | decode of 1, tokens/s | x | decode of 16, tokens/s | x |
                |---|---|--:|--:|--:|--:|--:|--:|
                """);
        for (Line line : lines) {
            Line peer = peer(line, lines);
            table.append(String.format(
                    Locale.ROOT,
                    "| %s | %s | %.1f | %.2f | %.1f | %.2f | %.1f | %.2f |%n",
                    line.model(),
                    line.engine(),
                    line.prefill512(),
                    line.prefill512() / peer.prefill512(),
                    line.decode1(),
                    line.decode1() / peer.decode1(),
                    line.decode16(),
                    line.decode16() / peer.decode16()));
        }
        return table.toString();
    }

    private static Line peer(Line line, List<Line> lines) {
        return lines.stream()
                .filter(other -> other.model().equals(line.model()))
                .reduce((first, second) -> second)
                .orElseThrow();
    }

    private static BarChart chart(List<Line> lines) {
        BarChart chart = new BarChart("Tokens per second with packed weights and without");
        for (String model : lines.stream().map(Line::model).distinct().toList()) {
            List<Line> ofModel =
                    lines.stream().filter(line -> line.model().equals(model)).toList();
            chart.group(model + ", prefill of 512 tokens");
            ofModel.forEach(line -> chart.bar(line.engine(), line.prefill512(), isOurs(line)));
            chart.group(model + ", decode of one sequence");
            ofModel.forEach(line -> chart.bar(line.engine(), line.decode1(), isOurs(line)));
            chart.group(model + ", decode of 16 sequences");
            ofModel.forEach(line -> chart.bar(line.engine(), line.decode16(), isOurs(line)));
        }
        return chart;
    }

    private static boolean isOurs(Line line) {
        return line.engine().equals(PACKED);
    }
}
