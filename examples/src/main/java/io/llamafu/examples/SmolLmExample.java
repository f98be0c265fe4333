package io.llamafu.examples;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.flink.AdapterRoute;
import io.llamafu.flink.CompletionBuilder;
import io.llamafu.flink.Llamafu;
import io.llamafu.flink.LlamafuOptions;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;

/**
 * Labels real texts of several domains in one stream with SmolLM2-135M-Instruct, each with the adapter of its domain, and
 * compares the accuracy with that of the base model and of one stack for all texts.
 */
@Command(
        name = "examples/run smollm",
        description = {
            "Labels real texts of several domains in one stream, each with the adapter of its domain,",
            "and again with the base model and with one adapter for all. The last line is a JSON object.",
            "Exit code: 0 if every text was answered by the stack asked for."
        },
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        sortOptions = false)
public final class SmolLmExample implements ExampleCommand<SmolLmReport> {
    static final String SYSTEM = "Answer with one word.";

    @Option(
            names = "--data",
            paramLabel = "FOLDER",
            defaultValue = "${sys:llamafu.examples:-examples}/data",
            description = "The folder with domains.jsonl and texts.jsonl.")
    private Path data;

    @Mixin
    private final RealModelOptions model = new RealModelOptions();

    @Option(
            names = "--texts",
            paramLabel = "N",
            defaultValue = "1000",
            description = "The most texts of each domain. There are about a hundred.")
    private int most;

    @Option(
            names = "--all",
            paramLabel = "STACK",
            defaultValue = "reviews",
            description = "A stack that also labels the texts of all domains; may be repeated.")
    private List<String> forAll = new ArrayList<>();

    @Option(
            names = "--scale",
            paramLabel = "SCALE",
            description = "Also labels each text with the adapter of its domain at this scale; may be repeated.")
    private List<Float> scales = new ArrayList<>();

    public static void main(String[] arguments) {
        Examples.runAndExit("smollm", new SmolLmExample(), arguments);
    }

    @Override
    public SmolLmReport run() throws Exception {
        Path domainFile = data.resolve("domains.jsonl");
        Path textFile = data.resolve("texts.jsonl");
        ModelOptions.requireReadable(List.of(domainFile, textFile));
        List<Domain> domains = JsonLines.of(Domain.class).readAll(domainFile);
        List<DomainText> texts =
                firstOfEachDomain(JsonLines.of(DomainText.class).readAll(textFile));
        Runs runs = new Runs(domains, texts, model.toLlamafuOptions(SYSTEM).build());

        List<SmolLmReport.Run> results = new ArrayList<>();
        results.add(runs.routed("own adapter", Optional.empty()));
        results.add(runs.sameForAll("base model", ""));
        for (String stack : forAll) {
            results.add(runs.sameForAll(stack, stack));
        }
        for (float scale : scales) {
            results.add(runs.routed("own adapter at scale " + scale, Optional.of(scale)));
        }
        return new SmolLmReport(texts.size(), results);
    }

    private List<DomainText> firstOfEachDomain(List<DomainText> texts) {
        Map<String, Integer> seen = new HashMap<>();
        return texts.stream()
                .filter(text -> seen.merge(text.domain(), 1, Integer::sum) <= most)
                .toList();
    }

    /** Runs over the same texts. */
    private record Runs(List<Domain> domains, List<DomainText> texts, LlamafuOptions options) {

        /** Each text with the adapter of its domain, at a scale if one is given. */
        SmolLmReport.Run routed(String name, Optional<Float> scale) throws Exception {
            Map<String, String> stacks = new HashMap<>();
            for (Domain domain : domains) {
                stacks.put(
                        domain.domain(),
                        domain.stack() + scale.map(value -> ":" + value).orElse(""));
            }
            List<AdapterRoute> routes = new ArrayList<>();
            stacks.forEach((domain, stack) -> routes.add(new AdapterRoute(domain, stack, 0L, null)));
            // In event time, so that no text is answered before its route has arrived.
            return run(name, text -> stacks.get(text.domain()), (env, completions) -> completions
                    .routes(env.fromData(routes))
                    .eventTime());
        }

        SmolLmReport.Run sameForAll(String name, String stack) throws Exception {
            return run(name, text -> stack, (env, completions) -> completions.defaultRoute(AdapterStack.parse(stack)));
        }

        private SmolLmReport.Run run(String name, Function<DomainText, String> stackOf, Routing routing)
                throws Exception {
            Map<String, List<String>> labels = new HashMap<>();
            Map<String, String> questions = new HashMap<>();
            for (Domain domain : domains) {
                labels.put(domain.domain(), domain.labels());
                questions.put(domain.domain(), domain.question());
            }
            StreamExecutionEnvironment env = LocalJob.environment();
            // A bounded stream: its end is the watermark that releases the texts.
            DataStream<DomainText> stream = env.fromData(texts)
                    .assignTimestampsAndWatermarks(
                            WatermarkStrategy.<DomainText>noWatermarks().withTimestampAssigner((text, time) -> 0L));
            CompletionBuilder<DomainText> completions = Llamafu.complete(stream)
                    .id(DomainText::id)
                    .keyBy(DomainText::domain)
                    .prompt(text -> questions.get(text.domain()) + "\n" + text.text())
                    .labels(text -> labels.get(text.domain()))
                    .with(options);
            routing.apply(env, completions);

            long start = System.nanoTime();
            List<Answer> answers = LocalJob.answersOf(completions.build(), "smollm: " + name, texts.size());
            Duration duration = Duration.ofNanos(System.nanoTime() - start);
            System.err.println("%s: %d texts in %.1f s".formatted(name, texts.size(), duration.toMillis() / 1000.0));
            return SmolLmReport.Run.of(name, texts, stackOf, answers, duration);
        }
    }

    /** Says which stacks answer the texts. */
    private interface Routing {
        void apply(StreamExecutionEnvironment env, CompletionBuilder<DomainText> completions);
    }
}
