package io.llamafu.flink;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.adapter.LocalAdapters;
import io.llamafu.chat.ChatMessage;
import io.llamafu.chat.ChatVariables;
import io.llamafu.chat.Thinking;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.EngineOptions.LoraBatching;
import io.llamafu.engine.EngineOptions.ModelLoading;
import io.llamafu.engine.LabelChoice;
import io.llamafu.engine.LabelChoice.Scoring;
import io.llamafu.engine.Prompt;
import io.llamafu.engine.SamplingOptions;
import io.llamafu.flink.artifact.ArtifactOptions;
import io.llamafu.flink.artifact.CacheFolder;
import io.llamafu.flink.artifact.Location;
import io.llamafu.flink.completion.EngineClient;
import io.llamafu.flink.options.ChatOptions;
import io.llamafu.grammar.JsonSchemaGrammar;
import io.llamafu.grammar.LabelGrammar;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.util.InstantiationUtil;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import java.time.LocalDate;
import java.time.temporal.ChronoUnit;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class LlamafuOptionsTest {
    private static final Map<String, String> EVERY_PROPERTY = Map.ofEntries(
            Map.entry("model", "file:///models/base.gguf"),
            Map.entry("adapters", "/models/adapters"),
            Map.entry("cache.dir", "/data/cache"),
            Map.entry("cache.max-size", "3 gb"),
            Map.entry("engine", "native"),
            Map.entry("context-size", "4096"),
            Map.entry("parallel-sequences", "8"),
            Map.entry("batch-size", "256"),
            Map.entry("threads", "3"),
            Map.entry("gpu-layers", "-1"),
            Map.entry("model-loading", "map"),
            Map.entry("packed-weights", "true"),
            Map.entry("deterministic", "false"),
            Map.entry("memory-budget", "2 gb"),
            Map.entry("adapters.memory-budget", "64 mb"),
            Map.entry("adapters.files", "tone:/other/tone.gguf"),
            Map.entry("adapters.refresh-interval", "3 s"),
            Map.entry("adapters.preload", "medical;medical:0.5+tone"),
            Map.entry("lora-batching", "grouped"),
            Map.entry("max-adapters-per-batch", "7"),
            Map.entry("prefix-sharing", "false"),
            Map.entry("answer-memo", "1 mb"),
            Map.entry("idle-timeout", "5 s"),
            Map.entry("prompt-template", "Q: {text}\nA:"),
            Map.entry("control-tokens-in-text", "true"),
            Map.entry("max-tokens", "32"),
            Map.entry("thinking", "drop"),
            Map.entry("chat-date", "2026-02-28"),
            Map.entry("temperature", "0.7"),
            Map.entry("top-k", "20"),
            Map.entry("top-p", "0.9"),
            Map.entry("min-p", "0.1"),
            Map.entry("repeat-penalty", "1.1"),
            Map.entry("seed", "7"),
            Map.entry("stop", "END;###"),
            Map.entry("grammar", "root ::= \"yes\" | \"no\""),
            Map.entry("timeout", "30 s"),
            Map.entry("on-error", "emit"),
            Map.entry("prompt-in-output", "true"));

    @Test
    void defaults() {
        LlamafuOptions options = LlamafuOptions.builder().model("base.gguf").build();

        assertThat(options.toEngineOptions())
                .isEqualTo(EngineOptions.builder(Path.of("base.gguf"))
                        .answerMemo(8L << 20)
                        .build());
        assertThat(options.sampling()).isEqualTo(SamplingOptions.greedy());
        assertThat(options.promptTemplate()).isEqualTo(new PromptTemplate("{text}"));
        assertThat(options.controlTokensInText()).isFalse();
        assertThat(options.chat())
                .isEqualTo(new ChatOptions("auto", "", List.of(), Thinking.KEEP, ChatVariables.DEFAULT_DATE));
        assertThat(options.parallelSequences()).isEqualTo(16);
        assertThat(options.maxTokens()).isEqualTo(256);
        assertThat(options.stop()).isEmpty();
        assertThat(options.timeout()).isEqualTo(Duration.ofMinutes(2));
        assertThat(options.onError()).isEqualTo(OnError.FAIL);
        assertThat(options.promptInOutput()).isFalse();
    }

    @Test
    void everyPropertyIsMapped() {
        // json-schema and labels exclude grammar, and a chat template control-tokens-in-text; they have their own tests
        Set<String> excluded = Set.of(
                "json-schema",
                "chat-template",
                "system-prompt",
                "chat-examples",
                "labels",
                "scoring",
                "min-confidence",
                "abstain-label",
                "calibration",
                "multi-label");
        assertThat(LlamafuConfigOptions.all().stream().map(ConfigOption::key).filter(key -> !excluded.contains(key)))
                .containsExactlyInAnyOrderElementsOf(EVERY_PROPERTY.keySet());

        assertEveryProperty(LlamafuOptions.fromMap(EVERY_PROPERTY));
        assertEveryProperty(LlamafuOptions.fromConfiguration(Configuration.fromMap(EVERY_PROPERTY)));
    }

    @Test
    void everySetterIsMapped() {
        assertEveryProperty(LlamafuOptions.builder()
                .model("file:///models/base.gguf")
                .adapters("/models/adapters")
                .cacheDir("/data/cache")
                .cacheMaxSize(MemorySize.parse("3 gb"))
                .engine("native")
                .contextSize(4096)
                .parallelSequences(8)
                .batchSize(256)
                .threads(3)
                .gpuLayers(-1)
                .modelLoading(ModelLoading.MAP)
                .packedWeights(true)
                .deterministic(false)
                .memoryBudget(MemorySize.parse("2 gb"))
                .adaptersMemoryBudget(MemorySize.parse("64 mb"))
                .adapter("tone", "/other/tone.gguf")
                .adaptersRefreshInterval(Duration.ofSeconds(3))
                .adaptersPreload("medical", "medical:0.5+tone")
                .loraBatching(LoraBatching.GROUPED)
                .maxAdaptersPerBatch(7)
                .prefixSharing(false)
                .answerMemo(MemorySize.parse("1 mb"))
                .idleTimeout(Duration.ofSeconds(5))
                .promptTemplate("Q: {text}\nA:")
                .controlTokensInText(true)
                .thinking(Thinking.DROP)
                .chatDate(LocalDate.of(2026, 2, 28))
                .maxTokens(32)
                .temperature(0.7f)
                .topK(20)
                .topP(0.9f)
                .minP(0.1f)
                .repeatPenalty(1.1f)
                .seed(7)
                .stop("END", "###")
                .grammar("root ::= \"yes\" | \"no\"")
                .timeout(Duration.ofSeconds(30))
                .onError(OnError.EMIT)
                .promptInOutput(true)
                .build());
    }

    private static void assertEveryProperty(LlamafuOptions options) {
        assertThat(options.toMap().keySet()).isEqualTo(EVERY_PROPERTY.keySet());
        assertThat(options.toEngineOptions())
                .isEqualTo(EngineOptions.builder(Path.of("/models/base.gguf"))
                        .adapters(Path.of("/models/adapters"))
                        .engine("native")
                        .contextSize(4096)
                        .parallelSequences(8)
                        .batchSize(256)
                        .threads(3)
                        .gpuLayers(-1)
                        .modelLoading(ModelLoading.MAP)
                        .packedWeights(true)
                        .memoryBudget(2L << 30)
                        .adapterMemoryBudget(64L << 20)
                        .adapter("tone", Path.of("/other/tone.gguf"))
                        .adapterRefreshInterval(Duration.ofSeconds(3))
                        .adapterPreload(List.of(AdapterStack.parse("medical"), AdapterStack.parse("medical:0.5+tone")))
                        .loraBatching(LoraBatching.GROUPED)
                        .maxAdaptersPerBatch(7)
                        .prefixSharing(false)
                        .answerMemo(1L << 20)
                        .idleTimeout(Duration.ofSeconds(5))
                        .build());
        assertThat(options.artifacts(Path.of("/temporary")))
                .isEqualTo(new ArtifactOptions(
                        new Location.Local(Path.of("/models/base.gguf")),
                        Optional.of(new Location.Local(Path.of("/models/adapters"))),
                        Map.of("tone", new Location.Local(Path.of("/other/tone.gguf"))),
                        CacheFolder.at(Path.of("/data/cache")),
                        3L << 30,
                        Duration.ofSeconds(3)));
        assertThat(options.sampling())
                .isEqualTo(SamplingOptions.builder()
                        .temperature(0.7f)
                        .topK(20)
                        .topP(0.9f)
                        .minP(0.1f)
                        .repeatPenalty(1.1f)
                        .seed(7)
                        .grammar("root ::= \"yes\" | \"no\"")
                        .build());
        assertThat(options.promptTemplate().render("Why?")).hasToString("Q: Why?\nA:");
        assertThat(options.controlTokensInText()).isTrue();
        assertThat(options.chat())
                .isEqualTo(new ChatOptions("none", "", List.of(), Thinking.DROP, LocalDate.of(2026, 2, 28)));
        assertThat(options.maxTokens()).isEqualTo(32);
        assertThat(options.stop()).containsExactly("END", "###");
        assertThat(options.timeout()).isEqualTo(Duration.ofSeconds(30));
        assertThat(options.onError()).isEqualTo(OnError.EMIT);
        assertThat(options.promptInOutput()).isTrue();
    }

    @Test
    void chatOptionsAreMapped() {
        ChatOptions expected = new ChatOptions(
                "chatml",
                "Be brief;",
                List.of(ChatMessage.user("Hi; [you]"), ChatMessage.assistant("Ho\n")),
                Thinking.OFF,
                ChatVariables.DEFAULT_DATE);

        LlamafuOptions built = LlamafuOptions.builder()
                .model("base.gguf")
                .chatTemplate("chatml")
                .systemPrompt("Be brief;")
                .chatExample("Hi; [you]", "Ho\n")
                .thinking(Thinking.OFF)
                .build();
        assertThat(built.chat()).isEqualTo(expected);
        assertThat(LlamafuOptions.fromMap(built.toMap()).chat()).isEqualTo(expected);
        assertThat(LlamafuOptions.fromMap(Map.of(
                                "model", "base.gguf",
                                "chat-template", "chatml",
                                "system-prompt", "Be brief;",
                                "chat-examples", "[\"Hi; [you]\", \"Ho\\n\"]",
                                "thinking", "off"))
                        .chat())
                .isEqualTo(expected);
    }

    @Test
    void chatOptionsThatContradictOthersAreRefused() {
        Map<Map<String, String>, String> refused = Map.of(
                Map.of("chat-template", "chatlm"), "one of the families chatml, llama3",
                Map.of("chat-template", "none", "system-prompt", "Be brief."), "system-prompt has no place",
                Map.of("chat-template", "none", "chat-examples", "a;b"), "chat-examples has no place",
                Map.of("chat-examples", "a;b;c"), "chat-examples has 3 texts",
                Map.of("chat-date", "28.2.2026"), "chat-date is '28.2.2026'",
                Map.of("chat-template", "model", "control-tokens-in-text", "true"), "leave one of them out",
                Map.of("thinking", "maybe"), "thinking");
        refused.forEach((options, message) -> {
            Map<String, String> all = new HashMap<>(options);
            all.put("model", "base.gguf");
            assertThatThrownBy(() -> LlamafuOptions.fromMap(all))
                    .hasMessageContaining(message)
                    .isInstanceOfSatisfying(
                            LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.INVALID_OPTION));
        });
    }

    @Test
    void everyOptionIsDescribed() {
        assertThat(LlamafuConfigOptions.all())
                .allSatisfy(
                        option -> assertThat(option.description().toString()).isNotBlank());
    }

    @Test
    void jsonSchemaBecomesTheGrammar() {
        String schema = "{\"enum\": [\"yes; 'no'\", 1]}";
        String grammar = JsonSchemaGrammar.of(schema);

        assertThat(LlamafuOptions.builder()
                        .model("base.gguf")
                        .jsonSchema(schema)
                        .build()
                        .sampling()
                        .grammar())
                .isEqualTo(grammar);
        assertThat(LlamafuOptions.fromMap(Map.of("model", "base.gguf", "json-schema", schema))
                        .sampling()
                        .grammar())
                .isEqualTo(grammar);
    }

    @Test
    void labelsHaveTheCalibrationOfTheirStack() {
        LlamafuOptions options = LlamafuOptions.fromMap(Map.of(
                "model", "base.gguf",
                "labels", "a;b c",
                "scoring", "path",
                "min-confidence", "0.6",
                "abstain-label", "none",
                "calibration", "medical=1.5;=0.5;2"));

        assertThat(choice(options, "medical"))
                .isEqualTo(new LabelChoice(List.of("a", "b c"), Scoring.PATH, 1.5, 0.6, "none"));
        assertThat(choice(options, "").calibration()).isEqualTo(0.5);
        assertThat(choice(options, "legal").calibration()).isEqualTo(2);
        assertThat(choice(
                        LlamafuOptions.builder()
                                .model("base.gguf")
                                .labels(List.of("a;b", " c"))
                                .build(),
                        ""))
                .isEqualTo(LabelChoice.of(List.of("a;b", " c")));
    }

    @Test
    void singleLabelThatLooksLikeSeveralIsRefused() {
        for (String written : List.of("invoice,complaint", "invoice|complaint", "[\"invoice;complaint\"]")) {
            assertThatThrownBy(() -> LlamafuOptions.fromMap(Map.of("model", "base.gguf", "labels", written)))
                    .hasMessageContaining("'invoice;complaint'")
                    .isInstanceOfSatisfying(
                            LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.INVALID_OPTION));
        }
        assertThat(LlamafuOptions.fromMap(Map.of("model", "base.gguf", "labels", "a,b;c"))
                        .labels()
                        .labels())
                .containsExactly("a,b", "c");
    }

    private static LabelChoice choice(LlamafuOptions options, String stack) {
        return options.toRequest(Prompt.text("x"), AdapterStack.parse(stack), options.sampling())
                .labels()
                .orElseThrow();
    }

    @Test
    void subsetOfLabelsIsAGrammar() {
        LlamafuOptions options = LlamafuOptions.builder()
                .model("base.gguf")
                .labels(List.of("a", "b"))
                .multiLabel(true)
                .build();

        assertThat(options.sampling().grammar()).isEqualTo(LabelGrammar.subsetsOf(List.of("a", "b")));
        assertThat(options.labels().choice(AdapterStack.base())).isEmpty();
    }

    @Test
    void labelsThatContradictAreRefused() {
        Map<String, String> labels = Map.of("model", "base.gguf", "labels", "a;b");
        assertInvalid(with(labels, "grammar", "root ::= \"x\""), "'labels' and 'grammar' are both set");
        assertInvalid(with(labels, "json-schema", "{\"type\": \"null\"}"), "'labels' and 'json-schema'");
        assertInvalid(with(labels, "min-confidence", "0.5"), "scoring");
        assertInvalid(with(with(labels, "scoring", "exact"), "min-confidence", "0.5"), "abstain-label");
        assertInvalid(with(labels, "min-confidence", "1.5"), "from 0 to 1");
        assertInvalid(with(labels, "calibration", "medical"), "'medical'");
        assertInvalid(with(labels, "calibration", "medical=0"), "from 0.001");
        assertInvalid(with(with(labels, "scoring", "path"), "multi-label", "true"), "no probabilities");
    }

    private static Map<String, String> with(Map<String, String> options, String key, String value) {
        Map<String, String> more = new HashMap<>(options);
        more.put(key, value);
        return more;
    }

    @Test
    void jsonSchemaExcludesGrammar() {
        assertInvalid(
                Map.of("model", "base.gguf", "json-schema", "{\"type\": \"null\"}", "grammar", "root ::= \"x\""),
                "'grammar' and 'json-schema' are both set");
    }

    @Test
    void jsonSchemaThatCannotBeEnforcedIsRefusedBeforeTheFirstRecord() {
        assertThatThrownBy(() -> LlamafuOptions.builder()
                        .model("base.gguf")
                        .jsonSchema("{\"type\": \"string\", \"pattern\": \"a+\"}")
                        .build())
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.INVALID_SCHEMA))
                .hasMessageContaining("#/pattern");
    }

    @Test
    void unknownKeyIsRefusedWithTheListOfValidOnes() {
        assertInvalid(
                Map.of("modle", "x.gguf"),
                "'modle'",
                "adapters, adapters.files, adapters.memory-budget, adapters.preload");
    }

    @Test
    void modelIsRequired() {
        assertInvalid(Map.of("model", ""), "'model' is missing");
        assertThatThrownBy(() -> LlamafuOptions.builder().build()).hasMessageContaining("'model' is missing");
    }

    @ParameterizedTest
    @CsvSource({
        "engine, '', engine is ''",
        "context-size, 1, context-size is 1",
        "context-size, many, context-size",
        "parallel-sequences, 0, parallel-sequences is 0",
        "threads, 0, threads is 0",
        "batch-size, 1048577, batch-size is 1048577",
        "model-loading, borrow, model-loading",
        "memory-budget, a lot, memory-budget",
        "adapters.refresh-interval, -1 s, adapters.refresh-interval",
        "adapters.preload, medical:much, 'much', which is no number",
        "adapters.files.../tone, /models/tone.gguf, the name '../tone'",
        "adapters.files.tone, ://tone.gguf, no URI",
        "lora-batching, shuffled, lora-batching",
        "prompt-template, Hello, {text}",
        "max-tokens, 0, max-tokens is 0",
        "temperature, -1, temperature is -1",
        "top-p, 0, top-p is 0",
        "stop, a;;b, stop is",
        "timeout, 0 s, timeout is",
        "on-error, ignore, on-error",
        "adapters, file://host/adapters, no file:// URI",
        "adapters, ://adapters, no URI",
        "cache.max-size, much, cache.max-size",
    })
    void valueOutOfItsRangeIsNamed(String key, String value, String message) {
        assertInvalid(Map.of("model", "base.gguf", key, value), message);
    }

    @ParameterizedTest
    @CsvSource({
        "/models/base.gguf, /models/base.gguf",
        "file:///models/base.gguf, /models/base.gguf",
        "file:/models/base.gguf, /models/base.gguf",
        "file:///my%20models/base.gguf, /my models/base.gguf",
        "/my models/a:b.gguf, /my models/a:b.gguf",
        "relative/base.gguf, relative/base.gguf",
    })
    void localFiles(String location, String path) {
        assertThat(LlamafuOptions.builder()
                        .model(location)
                        .build()
                        .toEngineOptions()
                        .model())
                .isEqualTo(Path.of(path));
    }

    @Test
    void remoteFilesAreFetchedByJobsOnly() {
        LlamafuOptions options = LlamafuOptions.builder()
                .model("s3://bucket/base.gguf")
                .adapters("hdfs://host:8020/adapters/")
                .adapter("tone", "s3://other/tone.gguf")
                .adaptersRefreshInterval(Duration.ofMinutes(1))
                .build();

        assertThat(options.artifacts(Path.of("/temporary")))
                .isEqualTo(new ArtifactOptions(
                        new Location.Remote(URI.create("s3://bucket/base.gguf")),
                        Optional.of(new Location.Remote(URI.create("hdfs://host:8020/adapters"))),
                        Map.of("tone", new Location.Remote(URI.create("s3://other/tone.gguf"))),
                        CacheFolder.in(Path.of("/temporary")),
                        64L << 30,
                        Duration.ofMinutes(1)));
        assertThat(options.toEngineOptions(
                                Path.of("base.gguf"),
                                options.artifacts(Path.of("")).adapterSource(),
                                OptionalInt.empty())
                        .adapterRefreshInterval())
                .as("of what was fetched")
                .isEqualTo(Duration.ofSeconds(1));
        assertThatThrownBy(options::toEngineOptions)
                .hasMessageContainingAll("model is 's3://bucket/base.gguf'", "only a job fetches");
    }

    @Test
    void gpuOfTheTaskManagerMattersOnlyToLayersThatAreOnOne() {
        Path model = Path.of("base.gguf");
        LlamafuOptions.Builder options = LlamafuOptions.builder().model("base.gguf");
        assertThat(options.build()
                        .toEngineOptions(model, LocalAdapters.of(model), OptionalInt.of(3))
                        .gpuDevice())
                .isEmpty();
        assertThat(options.gpuLayers(-1)
                        .build()
                        .toEngineOptions(model, LocalAdapters.of(model), OptionalInt.of(3))
                        .gpuDevice())
                .hasValue(3);
    }

    @Test
    void adapterFilesCanBeNamedOneByOne() {
        LlamafuOptions options = LlamafuOptions.fromMap(Map.of(
                "model", "base.gguf",
                "adapters.files.tone", "file:///other/tone.gguf",
                "adapters.files.medical.v2", "/other/medical-2.gguf"));

        assertThat(options.toEngineOptions().adapters())
                .isEqualTo(new LocalAdapters(
                        Optional.empty(),
                        Map.of(
                                "tone", Path.of("/other/tone.gguf"),
                                "medical.v2", Path.of("/other/medical-2.gguf"))));
    }

    @Test
    void adapterFilesMayBeRemote() {
        LlamafuOptions options = LlamafuOptions.fromMap(Map.of(
                "model", "base.gguf",
                "adapters.refresh-interval", "1 min",
                "adapters.files", "tone:'s3://bucket/tone.gguf',medical:/models/medical.gguf"));

        assertThat(options.artifacts(Path.of("")).adapterFiles())
                .isEqualTo(Map.of(
                        "tone", new Location.Remote(URI.create("s3://bucket/tone.gguf")),
                        "medical", new Location.Local(Path.of("/models/medical.gguf"))));
        assertThat(options.toEngineOptions(
                                Path.of("base.gguf"),
                                options.artifacts(Path.of("")).adapterSource(),
                                OptionalInt.empty())
                        .adapterRefreshInterval())
                .as("of what was fetched")
                .isEqualTo(Duration.ofSeconds(1));
        assertThatThrownBy(options::toEngineOptions)
                .hasMessageContainingAll("adapters.files is 's3://bucket/tone.gguf'", "only a job fetches");
    }

    @Test
    void survivesSerialization() throws Exception {
        LlamafuOptions options = LlamafuOptions.builder()
                .model("base.gguf")
                .stop("\n\n", "; \"")
                .promptTemplate("'{text}'\n")
                .build();

        LlamafuOptions copy = InstantiationUtil.clone(options);
        assertThat(copy.toEngineOptions()).isEqualTo(options.toEngineOptions());
        assertThat(copy.stop()).isEqualTo(List.of("\n\n", "; \""));
        assertThat(copy.promptTemplate().template()).isEqualTo("'{text}'\n");
        assertThat(LlamafuOptions.fromMap(options.toMap()).stop()).isEqualTo(options.stop());
    }

    @ParameterizedTest
    @EnumSource
    void everyWayWithErrorsSurvivesTheMap(OnError onError) {
        LlamafuOptions options =
                LlamafuOptions.builder().model("base.gguf").onError(onError).build();

        assertThat(LlamafuOptions.fromMap(options.toMap()).onError()).isEqualTo(onError);
    }

    @Test
    void bracesOfTheTextAreLeftAlone() {
        assertThat(new PromptTemplate("<{text}>{text}").render("{text}$1")).hasToString("<{text}$1>{text}$1");
    }

    private static void assertInvalid(Map<String, String> properties, String... messages) {
        assertThatThrownBy(() -> LlamafuOptions.fromMap(new HashMap<>(properties)))
                .isInstanceOfSatisfying(
                        LlamafuException.class, e -> assertThat(e.code()).isEqualTo(ErrorCode.INVALID_OPTION))
                .hasMessageContainingAll(messages);
    }

    @Test
    void anyLongTimeIsAsGoodAsForever() {
        Duration forever = ChronoUnit.FOREVER.getDuration();

        LlamafuOptions set = LlamafuOptions.builder()
                .model("/models/base.gguf")
                .timeout(forever)
                .idleTimeout(forever)
                .adaptersRefreshInterval(forever)
                .build();
        LlamafuOptions written = LlamafuOptions.fromMap(Map.of(
                "model", "/models/base.gguf",
                "timeout", "400000 d",
                "idle-timeout", "400000 d",
                "adapters.refresh-interval", "400000 d"));

        for (LlamafuOptions options : List.of(set, written)) {
            assertThat(List.of(
                            EngineClient.patience(options.timeout()),
                            options.toEngineOptions().idleTimeout(),
                            options.artifacts(Path.of("")).refreshInterval()))
                    .allSatisfy(time -> assertThat(time.toNanos())
                            .isGreaterThan(Duration.ofDays(36_499).toNanos()));
        }
    }
}
