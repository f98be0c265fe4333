package io.llamafu.examples.benchmark;

import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.EngineProvider;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;

/** The cost of different adapters in one batch. */
@Command(
        name = "mixed-adapters",
        description = {
            "Sequences with different adapters in one batch, compared with llama.cpp's own LoRA (one"
                    + " adapter for all), with one decode call per adapter, and with other engines.",
            "",
            "To include a llama-server, use --server; 'benchmark models' prints the command that starts one."
        },
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class MixedAdaptersBenchmark implements Callable<Integer> {
    private static final String JAVA_LLAMA_CPP = "java-llama.cpp";
    private static final String LLAMA_SERVER = "llama-server";

    private static final int RANK = 16;
    private static final int SEQUENCES = 16;
    private static final int[] ADAPTERS = {1, 8, 16};
    private static final int SOME_ADAPTERS = 8;
    private static final int PROMPT_TOKENS = 128;
    private static final int TOKENS = 64;
    private static final int QUICK_TOKENS = 16;

    private static final int MOST_SEQUENCES = 32;
    private static final int[] SWEEP = {1, 2, 4, 8, 16, 32};
    private static final int[] SWEEP_RANKS = {8, 16, 64};

    private static final double BYTES_PER_GIGABYTE = 1e9;

    @Mixin
    private BenchmarkOptions options;

    @Option(names = "--tokens", paramLabel = "N", description = "Tokens of each answer. Default: 64.")
    private Integer tokens;

    @Option(names = "--sweep", description = "Also 1 to 32 adapters, 1 to 32 sequences, and rank 8, 16, 64.")
    private boolean sweep;

    @Option(
            names = "--server",
            paramLabel = "URL",
            description = "A running llama-server with 16 slots and the model of --model.")
    private URI server;

    @Option(
            names = "--bandwidth",
            paramLabel = "GB/S",
            description = "The machine's read bandwidth in 10^9 bytes per second. Default: measured.")
    private Double bandwidth;

    @Spec
    private CommandSpec spec;

    private final RandomModels files = RandomModels.inCacheFolder();
    private final List<Result> results = new ArrayList<>();
    private final List<Result> sweepResults = new ArrayList<>();
    private double bytesPerSecond;

    /** One measurement per round: an engine with a workload. */
    private record Entry(String engine, Competitor competitor, Workload workload, int rank) {
        String key() {
            return "%s: %d adapters, %d sequences".formatted(engine, workload.adapters(), workload.sequences());
        }
    }

    @Override
    public Integer call() throws Exception {
        if (server != null && options.models().size() != 1) {
            throw new ParameterException(spec.commandLine(), "A server has one model; name it with --model.");
        }
        BenchmarkOptions.warnIfBusy();
        bytesPerSecond =
                bandwidth != null ? bandwidth * BYTES_PER_GIGABYTE : MemoryBandwidth.measure(options.threads());
        for (RandomModel model : options.models()) {
            compare(model);
            if (sweep) {
                sweepAdaptersAndSequences(model);
                sweepRanks(model);
            }
        }
        options.report(
                "mixed-adapters",
                "Decode of %d sequences on %d CPU threads".formatted(SEQUENCES, options.threads()),
                results,
                sweepResults);
        System.out.printf(
                Locale.ROOT,
                "%nThe limit: adapter bytes touched in a step at %.1f GB/s, with %d threads.%n",
                bytesPerSecond / BYTES_PER_GIGABYTE,
                options.threads());
        return 0;
    }

    private Workload workload(int sequences, int adapters) {
        int answer = tokens != null ? Math.max(2, tokens) : options.isQuick() ? QUICK_TOKENS : TOKENS;
        return new Workload(sequences, adapters, PROMPT_TOKENS, answer);
    }

    private EngineOptions.Builder engineOptions(RandomModel model, int rank, int sequences) throws IOException {
        Path adapters = files.adapters(model, rank, sequences);
        return NativeEngine.options(files.model(model), adapters, workload(sequences, sequences), options.threads());
    }

    private void compare(RandomModel model) throws Exception {
        EngineOptions.Builder engine = engineOptions(model, RANK, SEQUENCES);
        try (Competitor grouped = NativeEngine.GROUPED.open(engine);
                Competitor mixed = NativeEngine.MIXED.open(engine)) {
            List<Entry> entries = new ArrayList<>();
            entries.add(new Entry(NativeEngine.GROUPED.title(), grouped, workload(SEQUENCES, 0), RANK));
            entries.add(new Entry(NativeEngine.MIXED.title(), mixed, workload(SEQUENCES, 0), RANK));
            entries.add(new Entry(NativeEngine.GROUPED.title(), grouped, workload(SEQUENCES, 1), RANK));
            for (int adapters : ADAPTERS) {
                entries.add(new Entry(NativeEngine.MIXED.title(), mixed, workload(SEQUENCES, adapters), RANK));
            }
            entries.add(new Entry(NativeEngine.GROUPED.title(), grouped, workload(SEQUENCES, SOME_ADAPTERS), RANK));
            comparePeers(model, engine, entries);
        }
    }

    /** Adds the other available engines, each with one adapter and with several. */
    private void comparePeers(RandomModel model, EngineOptions.Builder engine, List<Entry> entries) throws Exception {
        try (Competitor java = openJavaLlamaCpp(model, engine).orElse(null);
                Competitor external = server == null ? null : new ServerCompetitor(server)) {
            for (int adapters : new int[] {1, SOME_ADAPTERS}) {
                if (java != null) {
                    entries.add(new Entry(JAVA_LLAMA_CPP, java, workload(SEQUENCES, adapters), RANK));
                }
                if (external != null) {
                    entries.add(new Entry(LLAMA_SERVER, external, workload(SEQUENCES, adapters), RANK));
                }
            }
            results.addAll(measure(model, entries));
        }
    }

    /** Only with the small model, because it is slow. */
    private static Optional<Competitor> openJavaLlamaCpp(RandomModel model, EngineOptions.Builder engine) {
        if (model != RandomModel.SMALL) {
            return Optional.empty();
        }
        Optional<EngineProvider> provider = EngineCompetitor.provider(JAVA_LLAMA_CPP);
        if (provider.isEmpty()) {
            System.err.println("Without the engine java-llama.cpp, which is not on the class path.");
        }
        return provider.map(found -> EngineCompetitor.open(found, engine.build()));
    }

    private void sweepAdaptersAndSequences(RandomModel model) throws Exception {
        EngineOptions.Builder engine = engineOptions(model, RANK, MOST_SEQUENCES);
        try (Competitor grouped = NativeEngine.GROUPED.open(engine);
                Competitor mixed = NativeEngine.MIXED.open(engine)) {
            List<Entry> entries = new ArrayList<>();
            for (int sequences : SWEEP) {
                entries.add(new Entry(NativeEngine.MIXED.title(), mixed, workload(sequences, 0), RANK));
                entries.add(new Entry(NativeEngine.GROUPED.title(), grouped, workload(sequences, 1), RANK));
                if (sequences < MOST_SEQUENCES) {
                    int adapters = Math.min(sequences, SOME_ADAPTERS);
                    entries.add(new Entry(NativeEngine.MIXED.title(), mixed, workload(sequences, adapters), RANK));
                }
            }
            for (int adapters : SWEEP) {
                entries.add(new Entry(NativeEngine.MIXED.title(), mixed, workload(MOST_SEQUENCES, adapters), RANK));
            }
            sweepResults.addAll(measure(model, entries));
        }
    }

    private void sweepRanks(RandomModel model) throws Exception {
        for (int rank : SWEEP_RANKS) {
            EngineOptions.Builder engine = engineOptions(model, rank, SEQUENCES);
            try (Competitor grouped = NativeEngine.GROUPED.open(engine);
                    Competitor mixed = NativeEngine.MIXED.open(engine)) {
                sweepResults.addAll(measure(
                        model,
                        List.of(
                                new Entry(NativeEngine.MIXED.title(), mixed, workload(SEQUENCES, 0), rank),
                                new Entry(NativeEngine.GROUPED.title(), grouped, workload(SEQUENCES, 1), rank),
                                new Entry(
                                        NativeEngine.MIXED.title(), mixed, workload(SEQUENCES, SOME_ADAPTERS), rank))));
            }
        }
    }

    private List<Result> measure(RandomModel model, List<Entry> entries) throws Exception {
        System.err.printf("%n%s, rank %d%n", model, entries.get(0).rank());
        Contest contest = new Contest();
        for (Entry entry : entries) {
            contest.add(entry.key(), entry.competitor(), entry.workload());
        }
        Map<String, Workload.Speed> speeds = contest.run(options.rounds());
        List<Result> measured = new ArrayList<>();
        for (String phase : List.of(Result.DECODE, Result.PREFILL)) {
            for (Entry entry : entries) {
                measured.add(result(phase, model, entry, entries, speeds));
            }
        }
        return measured;
    }

    private Result result(
            String phase, RandomModel model, Entry entry, List<Entry> entries, Map<String, Workload.Speed> speeds) {
        boolean decode = phase.equals(Result.DECODE);
        int sequences = entry.workload().sequences();
        int adapters = entry.workload().adapters();
        double speed = speed(decode, speeds.get(entry.key()));
        double homogeneous = speed(
                decode,
                speeds.get(find(entries, NativeEngine.GROUPED.title(), sequences, 1)
                        .orElseThrow()
                        .key()));
        Double base = find(entries, entry.engine(), sequences, 0)
                .map(alone -> speed(decode, speeds.get(alone.key())))
                .orElse(null);
        boolean oneDecodeCall = entry.engine().equals(NativeEngine.MIXED.title())
                || (entry.engine().equals(NativeEngine.GROUPED.title()) && adapters == 1);
        return new Result(
                phase,
                entry.engine(),
                model.title(),
                adapters,
                sequences,
                adapters == 0 ? 0 : entry.rank(),
                speed,
                speed / homogeneous,
                base == null ? null : speed / base,
                decode && oneDecodeCall && adapters > 0 && base != null
                        ? loraTimeOverLimit(model, entry, sequences / speed - sequences / base)
                        : null,
                null);
    }

    private static double speed(boolean decode, Workload.Speed speed) {
        return decode ? speed.decode() : speed.prefill();
    }

    private static Optional<Entry> find(List<Entry> entries, String engine, int sequences, int adapters) {
        return entries.stream()
                .filter(entry -> entry.engine().equals(engine)
                        && entry.workload().sequences() == sequences
                        && entry.workload().adapters() == adapters)
                .findFirst();
    }

    private double loraTimeOverLimit(RandomModel model, Entry entry, double loraSeconds) {
        double bytes = (double) entry.workload().adapters() * model.adapterBytes(entry.rank());
        return loraSeconds / (bytes / bytesPerSecond);
    }
}
