package io.llamafu.examples.benchmark;

import com.fasterxml.jackson.annotation.JsonIgnore;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.LabelChoice;
import io.llamafu.engine.SamplingOptions;
import io.llamafu.grammar.LabelGrammar;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

import java.io.IOException;
import java.net.URI;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;

/** Labels of short texts that follow the same long instructions. */
@Command(
        name = "label-template",
        description = {
            "Rows per second of a labelling job: 256 tokens of instructions, texts of 32 tokens, 20 labels"
                    + " of 2 to 8 tokens, four adapters in turn or one, 16 sequences.",
            "",
            "With --server, a llama-server gets the same rows, with its prefix cache and the labels as a grammar;"
                    + " 'benchmark models' prints the command that starts one."
        },
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class LabelTemplateBenchmark implements Callable<Integer> {
    private static final int RANK = 16;
    private static final int SEQUENCES = 16;
    private static final int[] ADAPTERS = {4, 1};
    private static final int INSTRUCTION_TOKENS = 256;
    private static final int TEXT_TOKENS = 32;
    private static final int ROWS = 128;
    private static final int QUICK_ROWS = 32;
    private static final Duration TIMEOUT = Duration.ofMinutes(30);
    private static final double NANOS_PER_SECOND = 1e9;

    /** The labels form this many groups; labels of one group begin alike. */
    private static final int LABEL_GROUPS = 5;

    private static final int LABELS_PER_GROUP = 4;
    private static final int LONGEST_LABEL = 8;

    @Mixin
    private BenchmarkOptions options;

    @Option(names = "--rows", paramLabel = "N", description = "Rows per round. Default: 128.")
    private Integer rows;

    @Option(
            names = "--server",
            paramLabel = "URL",
            description = "A running llama-server with 16 slots and the model of --model.")
    private URI server;

    @Option(names = "--not-packed", description = "The engine with llama.cpp's kernels: packed-weights is false.")
    private boolean plainWeights;

    @Option(
            names = "--distinct",
            description =
                    "Each row has instructions of its own: what sharing costs where prompts have nothing in common.")
    private boolean distinct;

    @Spec
    private CommandSpec spec;

    private final RandomModels files = RandomModels.inCacheFolder();
    private final List<String> labels = labels();
    private final List<Row> results = new ArrayList<>();

    /** A form of the engine that is compared with the others. */
    private enum Form {
        WHOLE("whole prompts, grammar", false) {
            @Override
            CompletionRequest constrain(CompletionRequest request, List<String> labels) {
                return request.withSampling(request.sampling().withGrammar(LabelGrammar.of(labels)));
            }
        },
        STEPWISE("shared prefixes, token by token", true) {
            @Override
            CompletionRequest constrain(CompletionRequest request, List<String> labels) {
                // With a bias, even one that changes nothing, each token is chosen in a step of its own.
                return request.withSampling(SamplingOptions.builder()
                        .grammar(LabelGrammar.of(labels))
                        .logitBias(Map.of(0, 0F))
                        .build());
            }
        },
        SHARED("shared prefixes, grammar", true) {
            @Override
            CompletionRequest constrain(CompletionRequest request, List<String> labels) {
                return WHOLE.constrain(request, labels);
            }
        },
        WHOLE_TREES("whole prompts, label trees", false) {
            @Override
            CompletionRequest constrain(CompletionRequest request, List<String> labels) {
                return TREES.constrain(request, labels);
            }
        },
        TREES("shared prefixes, label trees", true) {
            @Override
            CompletionRequest constrain(CompletionRequest request, List<String> labels) {
                return request.withLabels(Optional.of(LabelChoice.of(labels, LabelChoice.Scoring.PATH)));
            }
        },
        EXACT("shared prefixes, exact scores", true) {
            @Override
            CompletionRequest constrain(CompletionRequest request, List<String> labels) {
                return request.withLabels(Optional.of(LabelChoice.of(labels, LabelChoice.Scoring.EXACT)));
            }
        };

        private final String title;
        private final boolean sharing;

        Form(String title, boolean sharing) {
            this.title = title;
            this.sharing = sharing;
        }

        abstract CompletionRequest constrain(CompletionRequest request, List<String> labels);
    }

    /** Rows of one round: their labels, and how fast they came. */
    private record Round(
            List<String> answers, double rowsPerSecond, double millisAfterFirstToken, double cachedShare) {}

    private interface Labeller extends AutoCloseable {
        Round label(List<Question> questions) throws Exception;

        @Override
        void close();
    }

    private record Question(String prompt, int adapter) {}

    /**
     * One line of the result; medians of the rounds.
     *
     * @param millisAfterFirstToken from the first token of an answer to its end; null if not told
     * @param cachedShare of the prompt tokens that were not computed; null if not told
     * @param differentAnswers from those of the first form, in all rounds
     */
    private record Row(
            String model,
            String engine,
            int adapters,
            double rowsPerSecond,
            Double millisAfterFirstToken,
            Double cachedShare,
            int differentAnswers) {
        @JsonIgnore
        String markdown() {
            return String.format(
                    Locale.ROOT,
                    "| %s | %s | %d | %.2f | %s | %s | %d |%n",
                    model,
                    engine,
                    adapters,
                    rowsPerSecond,
                    millisAfterFirstToken == null ? "" : String.format(Locale.ROOT, "%.1f", millisAfterFirstToken),
                    cachedShare == null ? "" : String.format(Locale.ROOT, "%.2f", cachedShare),
                    differentAnswers);
        }
    }

    @Override
    public Integer call() throws Exception {
        if (server != null && options.models().size() != 1) {
            throw new ParameterException(spec.commandLine(), "A server has one model; name it with --model.");
        }
        BenchmarkOptions.warnIfBusy();
        for (RandomModel model : options.models()) {
            measure(model);
        }
        report();
        return 0;
    }

    private void report() throws IOException {
        StringBuilder table = new StringBuilder(
                """
                | model | engine | adapters | rows/s | ms after the first token | cached | other answers |
                |---|---|--:|--:|--:|--:|--:|
                """);
        BarChart chart = new BarChart("Labelling, rows per second on %d CPU threads".formatted(options.threads()));
        String group = null;
        for (Row row : results) {
            table.append(row.markdown());
            String title = "%s, %d adapters".formatted(row.model(), row.adapters());
            if (!title.equals(group)) {
                chart.group(title);
                group = title;
            }
            chart.bar(row.engine(), row.rowsPerSecond(), row.cachedShare() != null);
        }
        System.out.print(table);
        options.output().write(results, "label-template", chart);
    }

    private void measure(RandomModel model) throws Exception {
        Workload most = new Workload(SEQUENCES, SEQUENCES, INSTRUCTION_TOKENS + TEXT_TOKENS, LONGEST_LABEL + 1);
        EngineOptions.Builder engine = NativeEngine.options(
                        files.model(model), files.adapters(model, RANK, SEQUENCES), most, options.threads())
                .packedWeights(!plainWeights);
        Map<String, Labeller> labellers = new LinkedHashMap<>();
        try {
            for (Form form : Form.values()) {
                labellers.put(
                        "native, " + form.title,
                        new NativeLabeller(
                                EngineCompetitor.requiredProvider("native")
                                        .open(engine.prefixSharing(form.sharing).build()),
                                form));
            }
            if (server != null) {
                labellers.put("llama-server", new ServerLabeller());
            }
            for (int adapters : ADAPTERS) {
                results.addAll(compare(model, labellers, adapters));
            }
        } finally {
            labellers.values().forEach(Labeller::close);
        }
    }

    private List<Row> compare(RandomModel model, Map<String, Labeller> labellers, int adapters) throws Exception {
        int count = rows != null ? rows : options.isQuick() ? QUICK_ROWS : ROWS;
        Map<String, List<Round>> rounds = new LinkedHashMap<>();
        for (Labeller labeller : labellers.values()) {
            Object unused = labeller.label(questions(SEQUENCES, adapters, 0));
        }
        for (int round = 1; round <= options.rounds(); round++) {
            List<Question> questions = questions(count, adapters, round);
            for (Map.Entry<String, Labeller> entry : labellers.entrySet()) {
                Round measured = entry.getValue().label(questions);
                rounds.computeIfAbsent(entry.getKey(), name -> new ArrayList<>())
                        .add(measured);
                System.err.printf(
                        Locale.ROOT,
                        "round %2d of %2d  %s, %d adapters: %-40s %8.2f rows/s%n",
                        round,
                        options.rounds(),
                        model.title(),
                        adapters,
                        entry.getKey(),
                        measured.rowsPerSecond());
            }
        }
        List<Round> reference = rounds.values().iterator().next();
        List<Row> measured = new ArrayList<>();
        rounds.forEach((name, list) -> measured.add(new Row(
                model.title(),
                name,
                adapters,
                Contest.median(list.stream().mapToDouble(Round::rowsPerSecond).toArray()),
                told(list.stream().mapToDouble(Round::millisAfterFirstToken).toArray()),
                told(list.stream().mapToDouble(Round::cachedShare).toArray()),
                differences(reference, list))));
        return measured;
    }

    private static Double told(double... values) {
        double median = Contest.median(values);
        return Double.isNaN(median) ? null : median;
    }

    private static int differences(List<Round> expected, List<Round> actual) {
        int differences = 0;
        for (int round = 0; round < expected.size(); round++) {
            for (int row = 0; row < expected.get(round).answers().size(); row++) {
                if (!expected.get(round)
                        .answers()
                        .get(row)
                        .equals(actual.get(round).answers().get(row))) {
                    differences++;
                }
            }
        }
        return differences;
    }

    /** Instructions before texts that differ in each round. */
    private List<Question> questions(int count, int adapters, long round) {
        List<Question> questions = new ArrayList<>();
        for (int row = 0; row < count; row++) {
            long seed = 1_000_000 * (round + 1) + row;
            String instructions = RandomVocabulary.prompt(INSTRUCTION_TOKENS, distinct ? -seed : 1);
            String text = RandomVocabulary.prompt(TEXT_TOKENS + 1, seed);
            questions.add(new Question(instructions + text, row % adapters));
        }
        return questions;
    }

    /** Texts of 2 to 8 tokens; the labels of a group share the first one. */
    private static List<String> labels() {
        List<String> labels = new ArrayList<>();
        SplittableRandom random = new SplittableRandom(7);
        for (int group = 0; group < LABEL_GROUPS; group++) {
            String first = RandomVocabulary.prompt(2, group);
            for (int label = 0; label < LABELS_PER_GROUP; label++) {
                int more = random.nextInt(1, LONGEST_LABEL);
                labels.add(first + RandomVocabulary.prompt(more + 1, random.nextLong()));
            }
        }
        return labels;
    }

    private final class NativeLabeller implements Labeller {
        private final InferenceEngine engine;
        private final Form form;

        NativeLabeller(InferenceEngine engine, Form form) {
            this.engine = engine;
            this.form = form;
        }

        @Override
        public Round label(List<Question> questions) throws Exception {
            List<CompletionRequest> requests =
                    questions.stream().map(this::request).toList();
            long start = System.nanoTime();
            List<CompletableFuture<CompletionResult>> answers =
                    requests.stream().map(engine::submit).toList();
            List<CompletionResult> results = new ArrayList<>();
            for (CompletableFuture<CompletionResult> answer : answers) {
                results.add(answer.get());
            }
            double seconds = (System.nanoTime() - start) / NANOS_PER_SECOND;
            return new Round(
                    results.stream().map(CompletionResult::text).toList(),
                    questions.size() / seconds,
                    Contest.median(results.stream()
                            .mapToDouble(result -> result.timings().totalMillis()
                                    - result.timings().firstTokenMillis())
                            .toArray()),
                    results.stream()
                                    .mapToDouble(CompletionResult::cachedPromptTokens)
                                    .sum()
                            / results.stream()
                                    .mapToDouble(CompletionResult::promptTokens)
                                    .sum());
        }

        private CompletionRequest request(Question question) {
            CompletionRequest request = CompletionRequest.of(
                            question.prompt(), AdapterStack.of(RandomModels.adapterName(question.adapter()), 1))
                    .withMaxTokens(LabelGrammar.maxTokens(labels))
                    .withTimeout(TIMEOUT);
            return form.constrain(request, labels);
        }

        @Override
        public void close() {
            engine.close();
        }
    }

    private final class ServerLabeller implements Labeller {
        private final ServerCompetitor client = new ServerCompetitor(server);
        private final String grammar = LabelGrammar.of(labels);

        @Override
        public Round label(List<Question> questions) throws Exception {
            long start = System.nanoTime();
            List<String> answers = client.answers(
                    questions.stream()
                            .map(question -> new Competitor.Query(
                                    question.prompt(), question.adapter(), LabelGrammar.maxTokens(labels)))
                            .toList(),
                    grammar);
            double seconds = (System.nanoTime() - start) / NANOS_PER_SECOND;
            return new Round(answers, questions.size() / seconds, Double.NaN, Double.NaN);
        }

        @Override
        public void close() {
            client.close();
        }
    }
}
