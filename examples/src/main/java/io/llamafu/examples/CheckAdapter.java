package io.llamafu.examples;

import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterCard;
import io.llamafu.adapter.AdapterInfo;
import io.llamafu.adapter.AdapterName;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.adapter.CompatibilityReport;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.EngineOptions.ModelLoading;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.LoadedAdapter;
import io.llamafu.engine.SharedEngines;
import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.completion.ChatFormats;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletionException;
import java.util.stream.Collectors;

/** Says, before an adapter is published, whether a model takes it, and what it gains and costs. */
@Command(
        name = "examples/run check-adapter",
        description =
                "Loads an adapter as a job would: prints all reasons why it would be refused, its memory, rank and"
                        + " modules, and with --eval its accuracy beside the base model's and its cost per token. The exit code"
                        + " is 0 if it is accepted, 1 if it is refused.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
public final class CheckAdapter implements Callable<Integer> {
    private static final String SUFFIX = ".gguf";
    private static final String CARD_SUFFIX = ".json";
    /** All texts are asked at once, so the last one waits for all others. */
    private static final Duration PATIENCE = Duration.ofHours(1);
    /** In place of one that is malformed. */
    private static final String ANY_NAME = "adapter";

    @Parameters(index = "0", paramLabel = "FILE", description = "The adapter, a GGUF file NAME.gguf.")
    private Path file;

    @Option(names = "--model", required = true, paramLabel = "FILE", description = "The GGUF model that will answer.")
    private Path model;

    @Option(
            names = "--eval",
            paramLabel = "FILE",
            description =
                    "Lines of JSON with the fields text and expected: asks the base model and the adapter, and counts"
                            + " the answers that are exactly as expected. Other fields are ignored.")
    private Optional<Path> eval = Optional.empty();

    @Option(
            names = "--prompt-template",
            paramLabel = "TEMPLATE",
            defaultValue = "{text}",
            description = "The prompt around {text}. Default: ${DEFAULT-VALUE}.")
    private String template;

    @Option(
            names = "--chat-template",
            paramLabel = "TEMPLATE",
            defaultValue = "auto",
            description =
                    "As the option chat-template of a job: auto, model, none, a family or a file. Default: ${DEFAULT-VALUE}.")
    private String chatTemplate;

    @Option(
            names = "--system-prompt",
            paramLabel = "TEXT",
            defaultValue = "",
            description = "As the option system-prompt of a job.")
    private String systemPrompt;

    @Option(
            names = "--label",
            paramLabel = "LABEL",
            description = "A possible answer; may be repeated. Then every answer is one of them.")
    private List<String> labels = new ArrayList<>();

    @Option(
            names = "--scale",
            paramLabel = "SCALE",
            description = "The scale of the adapter. Default: that of its card, or 1.")
    private Optional<Float> scale = Optional.empty();

    @Option(
            names = "--max-tokens",
            paramLabel = "N",
            defaultValue = "64",
            description = "The most tokens of an answer. Default: ${DEFAULT-VALUE}.")
    private int maxTokens;

    @Option(
            names = "--sequences",
            paramLabel = "N",
            defaultValue = "16",
            description = "Texts answered at a time. Default: ${DEFAULT-VALUE}.")
    private int sequences;

    @Option(
            names = "--context",
            paramLabel = "N",
            defaultValue = "2048",
            description = "The most tokens of a prompt with its answer. Default: ${DEFAULT-VALUE}.")
    private int context;

    @Option(names = "--threads", paramLabel = "N", description = "CPU threads. Default: all processors.")
    private Optional<Integer> threads = Optional.empty();

    @CommandLine.Spec
    private CommandLine.Model.CommandSpec spec;

    public static void main(String[] arguments) {
        Examples.runAndExit("check-adapter", new CheckAdapter(), arguments);
    }

    @Override
    public Integer call() throws IOException {
        PrintWriter out = spec.commandLine().getOut();
        List<String> refusals = new ArrayList<>();
        String name = stem();
        if (!AdapterName.isValid(name)) {
            refusals.add(
                    "its file name: expected NAME.gguf, where NAME has 1 to 128 letters, digits, '.', '_' or '-' and begins with a letter or digit, but is '%s'"
                            .formatted(file.getFileName()));
            name = ANY_NAME;
        }
        List<LabelledText> texts =
                eval.isPresent() ? JsonLines.of(LabelledText.class).readAll(eval.get()) : List.of();
        try (SharedEngines.Lease lease = SharedEngines.acquire(options(name))) {
            out.println(file);
            refusals.addAll(check(lease.engine(), out));
            if (refusals.isEmpty()) {
                load(lease.engine(), name).ifPresent(refusals::add);
            }
            describe(lease.engine(), name, out);
            if (refusals.isEmpty() && !texts.isEmpty()) {
                evaluate(lease.engine(), name, texts, out);
            }
        }
        out.println(refusals.isEmpty() ? "accepted" : "refused");
        refusals.forEach(reason -> out.println("  " + reason));
        out.flush();
        return refusals.isEmpty() ? 0 : 1;
    }

    private String stem() {
        String fileName = String.valueOf(file.getFileName());
        return fileName.endsWith(SUFFIX) ? fileName.substring(0, fileName.length() - SUFFIX.length()) : "";
    }

    /** Maps the model, so that a check need not wait for a copy of it. */
    private EngineOptions options(String name) {
        EngineOptions.Builder options = EngineOptions.builder(model)
                .adapter(name, file)
                .modelLoading(ModelLoading.MAP)
                .contextSize(context)
                .parallelSequences(sequences)
                .idleTimeout(Duration.ZERO);
        threads.ifPresent(options::threads);
        return options.build();
    }

    private List<String> check(InferenceEngine engine, PrintWriter out) {
        List<String> refusals = new ArrayList<>();
        try {
            CompatibilityReport report = engine.check(file);
            report.reasons().forEach(reason -> refusals.add(reason.code() + " " + reason));
            report.trainedOn()
                    .ifPresent(base -> print(
                            out,
                            "trained on",
                            report.isOfAnotherBase()
                                    ? "%s, but the model is %s: check that they are the same"
                                            .formatted(base, report.base().orElse("without a name"))
                                    : base));
        } catch (LlamafuException e) {
            refusals.add(text(e));
        }
        Path card = file.resolveSibling(stem() + CARD_SUFFIX);
        try {
            AdapterCard unused = AdapterCard.read(Optional.of(card).filter(Files::exists), stem());
        } catch (LlamafuException e) {
            refusals.add(text(e));
        } catch (IOException e) {
            refusals.add("its card '%s' cannot be read: %s".formatted(card, e));
        }
        return refusals;
    }

    /** What only shows when it is loaded. */
    private static Optional<String> load(InferenceEngine engine, String name) {
        try {
            engine.preload(AdapterStack.of(name)).join();
            return Optional.empty();
        } catch (CompletionException e) {
            return Optional.of(e.getCause() instanceof LlamafuException failure ? text(failure) : e.toString());
        }
    }

    private static String text(LlamafuException failure) {
        return failure.code() + " " + failure.sentence();
    }

    private static void describe(InferenceEngine engine, String name, PrintWriter out) {
        engine.adapters().stream()
                .filter(known -> known.name().equals(name))
                .findFirst()
                .ifPresent(adapter -> describe(adapter, out));
    }

    private static void describe(LoadedAdapter adapter, PrintWriter out) {
        AdapterInfo info = adapter.info();
        adapter.digest().ifPresent(digest -> print(out, "sha256", digest));
        if (!info.equals(AdapterInfo.NONE)) {
            print(out, "architecture", info.architecture());
            print(out, "rank", info.ranks().stream().map(String::valueOf).collect(Collectors.joining(", ")));
            print(out, "alpha", String.valueOf(info.alpha()));
            print(out, "modules", String.join(", ", info.targetModules()));
            print(out, "parameters", String.valueOf(info.parameters()));
            print(out, "scale", String.valueOf(adapter.card().defaultScale()));
            print(out, "memory", adapter.bytes() + " bytes");
        }
    }

    private void evaluate(InferenceEngine engine, String name, List<LabelledText> texts, PrintWriter out) {
        LlamafuOptions job = job();
        ChatFormats chats = new ChatFormats(engine.modelChat(), new HashMap<>());
        chats.check(job.chat(), true);
        AdapterTrial trial = new AdapterTrial(engine, chats, job, texts);
        AdapterTrial.Score unused = trial.warmUp(sequences);
        AdapterTrial.Score base = trial.run(AdapterStack.parse(""));
        AdapterTrial.Score adapter =
                trial.run(scale.map(factor -> AdapterStack.of(name, factor)).orElse(AdapterStack.of(name)));
        print(out, "base", base.toString());
        print(
                out,
                "adapter",
                String.format(
                        Locale.ROOT, "%s, %.2f times the base", adapter, adapter.tokenMillis() / base.tokenMillis()));
    }

    /** Of a job that asks the questions. */
    private LlamafuOptions job() {
        LlamafuOptions.Builder job = LlamafuOptions.builder()
                .model(model.toUri().toString())
                .promptTemplate(template)
                .chatTemplate(chatTemplate)
                .systemPrompt(systemPrompt)
                .timeout(PATIENCE);
        return (labels.isEmpty() ? job.maxTokens(maxTokens) : job.labels(labels)).build();
    }

    private static void print(PrintWriter out, String key, String value) {
        out.println("  %-13s %s".formatted(key, value));
    }
}
