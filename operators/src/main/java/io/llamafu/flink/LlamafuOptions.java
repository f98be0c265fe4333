package io.llamafu.flink;

import io.llamafu.Durations;
import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterSource;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.adapter.LocalAdapters;
import io.llamafu.chat.Thinking;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.EngineOptions.LoraBatching;
import io.llamafu.engine.EngineOptions.ModelLoading;
import io.llamafu.engine.LabelChoice.Scoring;
import io.llamafu.engine.Prompt;
import io.llamafu.engine.SamplingOptions;
import io.llamafu.flink.artifact.ArtifactOptions;
import io.llamafu.flink.options.ChatOptions;
import io.llamafu.flink.options.LabelOptions;
import io.llamafu.flink.options.TextList;
import io.llamafu.grammar.JsonSchemaGrammar;
import io.llamafu.grammar.LabelGrammar;
import org.apache.flink.annotation.Internal;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.ReadableConfig;

import java.io.Serializable;
import java.nio.file.Path;
import java.time.Duration;
import java.time.LocalDate;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;

import static org.apache.flink.util.Preconditions.checkNotNull;

/**
 * The options of a job. Immutable and validated.
 *
 * <pre>{@code
 * LlamafuOptions options = LlamafuOptions.builder()
 *         .model("file:///models/base.gguf")
 *         .adapters("file:///models/adapters")
 *         .promptTemplate("### Text:\n{text}\n### Answer:\n")
 *         .build();
 * }</pre>
 *
 * <p>Keys, defaults and ranges are those of {@link LlamafuConfigOptions}. Jobs with equal engine options share one
 * model in a TaskManager.
 */
@PublicEvolving
public final class LlamafuOptions implements Serializable {
    private static final long serialVersionUID = 1L;

    private static final ConfigOption<String> STOP_AS_WRITTEN = asWritten(LlamafuConfigOptions.STOP);
    private static final ConfigOption<String> LABELS_AS_WRITTEN = asWritten(LlamafuConfigOptions.LABELS);
    private static final List<ConfigOption<List<String>>> TEXT_LISTS =
            List.of(LlamafuConfigOptions.STOP, LlamafuConfigOptions.LABELS);

    private static ConfigOption<String> asWritten(ConfigOption<?> list) {
        return ConfigOptions.key(list.key()).stringType().defaultValue("");
    }

    private final Configuration configuration;
    /** Read from the configuration when it is first needed, because every record needs it. */
    private transient volatile LabelOptions labels;

    private LlamafuOptions(Configuration configuration) {
        this.configuration = configuration;
        sanityCheck();
    }

    public static Builder builder() {
        return new Builder();
    }

    /**
     * Reads the options by their keys.
     *
     * @throws LlamafuException with {@link ErrorCode#INVALID_OPTION} if a key is unknown or a value is out of range
     */
    public static LlamafuOptions fromConfiguration(ReadableConfig configuration) {
        Map<String, String> options = new HashMap<>(configuration.toMap());
        if (configuration instanceof Configuration typed) {
            options.putAll(writtenLists(typed));
        }
        return fromMap(options);
    }

    /** Lists that were set as lists; Flink's written form of them cannot be told from a text. */
    private static Map<String, String> writtenLists(Configuration configuration) {
        Properties values = new Properties();
        configuration.addAllToProperties(values);
        Map<String, String> written = new HashMap<>();
        for (ConfigOption<List<String>> option : TEXT_LISTS) {
            if (values.get(option.key()) instanceof List<?> list) {
                written.put(option.key(), TextList.format(texts(list)));
            }
        }
        return written;
    }

    private static List<String> texts(List<?> values) {
        return values.stream().map(String::valueOf).toList();
    }

    /** Like {@link #fromConfiguration}, from the written form of each value. */
    public static LlamafuOptions fromMap(Map<String, String> options) {
        checkKeys(options.keySet());
        return new LlamafuOptions(Configuration.fromMap(options));
    }

    private static void checkKeys(Set<String> keys) {
        Set<String> valid = LlamafuConfigOptions.all().stream()
                .map(ConfigOption::key)
                .collect(Collectors.toCollection(TreeSet::new));
        for (String key : keys) {
            if (!valid.contains(key) && !LlamafuConfigOptions.isNamedAdapter(key)) {
                throw invalid("There is no option '%s'. The options are: %s.".formatted(key, String.join(", ", valid)));
            }
        }
    }

    private void sanityCheck() {
        try {
            if (configuration.get(LlamafuConfigOptions.MODEL, "").isBlank()) {
                throw invalid("The option 'model' is missing: name the GGUF file of the model.");
            }
            artifacts(Path.of(""));
            toEngineOptions(Path.of(""), new LocalAdapters(Optional.empty(), Map.of()), OptionalInt.empty());
            labels().check();
            sampling();
            promptTemplate();
            chat();
            promptInOutput();
            onError();
            require(maxTokens() >= 1, LlamafuConfigOptions.MAX_TOKENS, "1 or more");
            require(timeout().toMillis() >= 1, LlamafuConfigOptions.TIMEOUT, "1 ms or more");
            if (stop().stream().anyMatch(String::isEmpty)) {
                throw invalid(
                        "stop is '%s', but must be strings that are not empty; an empty one would end every answer at once."
                                .formatted(configuration.get(STOP_AS_WRITTEN)));
            }
        } catch (IllegalArgumentException e) {
            throw new LlamafuException(ErrorCode.INVALID_OPTION, describe(e), e);
        }
    }

    /** Flink's parse errors name the key, and their cause says what was expected. */
    private static String describe(IllegalArgumentException e) {
        return e.getCause() == null
                ? e.getMessage()
                : e.getMessage() + " " + e.getCause().getMessage();
    }

    private void require(boolean condition, ConfigOption<?> option, String range) {
        if (!condition) {
            throw invalid("%s is %s, but must be %s.".formatted(option.key(), configuration.get(option), range));
        }
    }

    private static LlamafuException invalid(String message) {
        return new LlamafuException(ErrorCode.INVALID_OPTION, message);
    }

    /**
     * The options that define the engine, as seen by this JVM: {@code threads} defaults to its processors.
     *
     * @throws LlamafuException with {@link ErrorCode#INVALID_OPTION} if the model or the adapters are remote: only a
     *     job fetches them
     */
    public EngineOptions toEngineOptions() {
        return engine().local();
    }

    private EngineSettings engine() {
        return new EngineSettings(configuration);
    }

    /**
     * Like {@link #toEngineOptions()}, wherever model and adapters come from.
     *
     * @param gpu the GPU that Flink assigned to the TaskManager; ignored without {@code gpu-layers}, so that the engine
     *     is shared
     */
    @Internal
    public EngineOptions toEngineOptions(Path model, AdapterSource adapters, OptionalInt gpu) {
        return toEngineOptions(model, Optional.empty(), adapters, gpu);
    }

    /**
     * Like {@link #toEngineOptions(Path, AdapterSource, OptionalInt)}.
     *
     * @param modelDigest the SHA-256 of the model file, if it is known
     */
    @Internal
    public EngineOptions toEngineOptions(
            Path model, Optional<String> modelDigest, AdapterSource adapters, OptionalInt gpu) {
        return engine().engineOptions(model, modelDigest, adapters, gpu);
    }

    /**
     * The files that a job needs in a TaskManager.
     *
     * @param temporaryFolder the folder of the cache unless {@code cache.dir} is set
     */
    @Internal
    public ArtifactOptions artifacts(Path temporaryFolder) {
        return engine().artifacts(temporaryFolder);
    }

    /** How tokens are chosen. */
    public SamplingOptions sampling() {
        return SamplingOptions.builder()
                .temperature(configuration.get(LlamafuConfigOptions.TEMPERATURE))
                .topK(configuration.get(LlamafuConfigOptions.TOP_K))
                .topP(configuration.get(LlamafuConfigOptions.TOP_P))
                .minP(configuration.get(LlamafuConfigOptions.MIN_P))
                .repeatPenalty(configuration.get(LlamafuConfigOptions.REPEAT_PENALTY))
                .seed(configuration.get(LlamafuConfigOptions.SEED))
                .grammar(grammar())
                .build();
    }

    private String grammar() {
        String grammar = configuration.get(LlamafuConfigOptions.GRAMMAR);
        String jsonSchema = configuration.get(LlamafuConfigOptions.JSON_SCHEMA);
        LabelOptions chosen = labels();
        if (!chosen.labels().isEmpty()) {
            if (!grammar.isEmpty() || !jsonSchema.isEmpty()) {
                throw invalid(
                        "The options 'labels' and '%s' are both set, but an answer can follow one only: leave one out."
                                .formatted(grammar.isEmpty() ? "json-schema" : "grammar"));
            }
            return chosen.multiLabel() ? LabelGrammar.subsetsOf(chosen.labels()) : "";
        }
        if (jsonSchema.isEmpty()) {
            return grammar;
        }
        if (!grammar.isEmpty()) {
            throw invalid("The options 'grammar' and 'json-schema' are both set, but an answer can follow one only:"
                    + " leave one out.");
        }
        return JsonSchemaGrammar.of(jsonSchema);
    }

    /** A request with the limits of these options. */
    @Internal
    public CompletionRequest toRequest(Prompt prompt, AdapterStack adapters, SamplingOptions sampling) {
        return new CompletionRequest(applyControlTokens(prompt), adapters, sampling, maxTokens(), stop(), timeout())
                .withLabels(labels().choice(adapters));
    }

    /** How records get labels. */
    @Internal
    public LabelOptions labels() {
        LabelOptions known = labels;
        if (known == null) {
            known = readLabels();
            labels = known;
        }
        return known;
    }

    private LabelOptions readLabels() {
        return LabelOptions.parse(
                TextList.parse(LlamafuConfigOptions.LABELS.key(), configuration.get(LABELS_AS_WRITTEN)),
                configuration.get(LlamafuConfigOptions.SCORING),
                configuration.get(LlamafuConfigOptions.MIN_CONFIDENCE),
                configuration.get(LlamafuConfigOptions.ABSTAIN_LABEL),
                configuration.get(LlamafuConfigOptions.CALIBRATION),
                configuration.get(LlamafuConfigOptions.MULTI_LABEL));
    }

    /** The prompt, with control tokens anywhere if these options allow them in the texts of records. */
    @Internal
    public Prompt applyControlTokens(Prompt prompt) {
        return controlTokensInText() ? Prompt.withControlTokens(prompt.toString()) : prompt;
    }

    /** Whether control strings in the texts of records become control tokens. */
    public boolean controlTokensInText() {
        return configuration.get(LlamafuConfigOptions.CONTROL_TOKENS_IN_TEXT);
    }

    /** How prompts become conversations. */
    @Internal
    public ChatOptions chat() {
        String template = configuration.get(LlamafuConfigOptions.CHAT_TEMPLATE);
        if (controlTokensInText()) {
            if (!template.equals(ChatOptions.AUTO) && !template.equals(ChatOptions.NONE)) {
                throw invalid(
                        "control-tokens-in-text is true, but chat-template is '%s', which writes the control tokens itself: leave one of them out."
                                .formatted(template));
            }
            template = ChatOptions.NONE;
        }
        return ChatOptions.parse(
                template,
                configuration.get(LlamafuConfigOptions.SYSTEM_PROMPT),
                configuration.get(LlamafuConfigOptions.CHAT_EXAMPLES),
                configuration.get(LlamafuConfigOptions.THINKING),
                configuration.get(LlamafuConfigOptions.CHAT_DATE));
    }

    public PromptTemplate promptTemplate() {
        return new PromptTemplate(configuration.get(LlamafuConfigOptions.PROMPT_TEMPLATE));
    }

    public int parallelSequences() {
        return configuration.get(LlamafuConfigOptions.PARALLEL_SEQUENCES);
    }

    public int maxTokens() {
        return configuration.get(LlamafuConfigOptions.MAX_TOKENS);
    }

    public List<String> stop() {
        return TextList.parse(LlamafuConfigOptions.STOP.key(), configuration.get(STOP_AS_WRITTEN));
    }

    public Duration timeout() {
        return Durations.countable(configuration.get(LlamafuConfigOptions.TIMEOUT));
    }

    /** Whether a {@link Completion} has its prompt. */
    public boolean promptInOutput() {
        return configuration.get(LlamafuConfigOptions.PROMPT_IN_OUTPUT);
    }

    /** Whether an answer depends on the model, the adapters and the request only. */
    public boolean deterministic() {
        return configuration.get(LlamafuConfigOptions.DETERMINISTIC);
    }

    public OnError onError() {
        return configuration.get(LlamafuConfigOptions.ON_ERROR);
    }

    /** The options that were set, by key. */
    public Map<String, String> toMap() {
        return Map.copyOf(configuration.toMap());
    }

    @Override
    public String toString() {
        return "LlamafuOptions" + configuration;
    }

    /** Mutable and not thread-safe. {@link #build()} checks ranges. */
    @PublicEvolving
    public static final class Builder {
        private final Configuration configuration = new Configuration();

        private Builder() {}

        /** A path or URI, see {@link LlamafuConfigOptions#MODEL}. Required. */
        public Builder model(String location) {
            return set(LlamafuConfigOptions.MODEL, location);
        }

        /** A folder in which every {@code NAME.gguf} is the adapter NAME. */
        public Builder adapters(String folder) {
            return set(LlamafuConfigOptions.ADAPTERS, folder);
        }

        /** The folder for remote files, see {@link LlamafuConfigOptions#CACHE_DIR}. */
        public Builder cacheDir(String folder) {
            return set(LlamafuConfigOptions.CACHE_DIR, folder);
        }

        public Builder cacheMaxSize(MemorySize size) {
            return set(LlamafuConfigOptions.CACHE_MAX_SIZE, size);
        }

        /** {@code auto}, {@code native} or {@code java-llama.cpp}. */
        public Builder engine(String engine) {
            return set(LlamafuConfigOptions.ENGINE, engine);
        }

        public Builder contextSize(int tokens) {
            return set(LlamafuConfigOptions.CONTEXT_SIZE, tokens);
        }

        public Builder parallelSequences(int sequences) {
            return set(LlamafuConfigOptions.PARALLEL_SEQUENCES, sequences);
        }

        public Builder batchSize(int tokens) {
            return set(LlamafuConfigOptions.BATCH_SIZE, tokens);
        }

        public Builder threads(int threads) {
            return set(LlamafuConfigOptions.THREADS, threads);
        }

        public Builder gpuLayers(int layers) {
            return set(LlamafuConfigOptions.GPU_LAYERS, layers);
        }

        public Builder modelLoading(ModelLoading loading) {
            return set(LlamafuConfigOptions.MODEL_LOADING, loading);
        }

        public Builder packedWeights(boolean packed) {
            return set(LlamafuConfigOptions.PACKED_WEIGHTS, packed);
        }

        public Builder deterministic(boolean deterministic) {
            return set(LlamafuConfigOptions.DETERMINISTIC, deterministic);
        }

        public Builder memoryBudget(MemorySize budget) {
            return set(LlamafuConfigOptions.MEMORY_BUDGET, budget);
        }

        public Builder adaptersMemoryBudget(MemorySize budget) {
            return set(LlamafuConfigOptions.ADAPTERS_MEMORY_BUDGET, budget);
        }

        /** Adds an adapter from outside the folder, by the path or URI of its GGUF file. */
        public Builder adapter(String name, String location) {
            Map<String, String> files = new HashMap<>(configuration.get(LlamafuConfigOptions.ADAPTERS_FILES));
            files.put(checkNotNull(name, "name is null"), checkNotNull(location, "location is null"));
            return set(LlamafuConfigOptions.ADAPTERS_FILES, files);
        }

        public Builder adaptersRefreshInterval(Duration interval) {
            return set(LlamafuConfigOptions.ADAPTERS_REFRESH_INTERVAL, interval);
        }

        /** Adapters or stacks that are loaded when the model is opened, all together. */
        public Builder adaptersPreload(String... stacks) {
            return set(LlamafuConfigOptions.ADAPTERS_PRELOAD, List.of(stacks));
        }

        public Builder loraBatching(LoraBatching batching) {
            return set(LlamafuConfigOptions.LORA_BATCHING, batching);
        }

        /** {@link LlamafuConfigOptions#MAX_ADAPTERS_PER_BATCH}. */
        public Builder maxAdaptersPerBatch(int adapters) {
            return set(LlamafuConfigOptions.MAX_ADAPTERS_PER_BATCH, adapters);
        }

        /** {@link LlamafuConfigOptions#PREFIX_SHARING}. */
        public Builder prefixSharing(boolean shared) {
            return set(LlamafuConfigOptions.PREFIX_SHARING, shared);
        }

        /** {@link LlamafuConfigOptions#ANSWER_MEMO}. */
        public Builder answerMemo(MemorySize size) {
            return set(LlamafuConfigOptions.ANSWER_MEMO, size);
        }

        public Builder idleTimeout(Duration timeout) {
            return set(LlamafuConfigOptions.IDLE_TIMEOUT, timeout);
        }

        /** The prompt, with {@code {text}} where the record's text goes. */
        public Builder promptTemplate(String template) {
            return set(LlamafuConfigOptions.PROMPT_TEMPLATE, template);
        }

        /** {@link LlamafuConfigOptions#CONTROL_TOKENS_IN_TEXT}. */
        public Builder controlTokensInText(boolean allowed) {
            return set(LlamafuConfigOptions.CONTROL_TOKENS_IN_TEXT, allowed);
        }

        /** Puts the prompt into each {@link Completion}, where it is personal data more often than the answer. */
        public Builder promptInOutput(boolean output) {
            return set(LlamafuConfigOptions.PROMPT_IN_OUTPUT, output);
        }

        /** {@link LlamafuConfigOptions#CHAT_TEMPLATE}. */
        public Builder chatTemplate(String template) {
            return set(LlamafuConfigOptions.CHAT_TEMPLATE, template);
        }

        public Builder systemPrompt(String prompt) {
            return set(LlamafuConfigOptions.SYSTEM_PROMPT, prompt);
        }

        /** Adds an example: what a user says and how the assistant answers. */
        public Builder chatExample(String user, String assistant) {
            String key = LlamafuConfigOptions.CHAT_EXAMPLES.key();
            List<String> turns =
                    new ArrayList<>(TextList.parse(key, configuration.get(LlamafuConfigOptions.CHAT_EXAMPLES)));
            turns.add(checkNotNull(user, "user is null"));
            turns.add(checkNotNull(assistant, "assistant is null"));
            return set(LlamafuConfigOptions.CHAT_EXAMPLES, TextList.format(turns));
        }

        /** {@link LlamafuConfigOptions#THINKING}. */
        public Builder thinking(Thinking thinking) {
            return set(LlamafuConfigOptions.THINKING, thinking);
        }

        /** {@link LlamafuConfigOptions#CHAT_DATE}. */
        public Builder chatDate(LocalDate date) {
            return set(LlamafuConfigOptions.CHAT_DATE, date.toString());
        }

        public Builder maxTokens(int tokens) {
            return set(LlamafuConfigOptions.MAX_TOKENS, tokens);
        }

        public Builder temperature(float temperature) {
            return set(LlamafuConfigOptions.TEMPERATURE, temperature);
        }

        public Builder topK(int topK) {
            return set(LlamafuConfigOptions.TOP_K, topK);
        }

        public Builder topP(float topP) {
            return set(LlamafuConfigOptions.TOP_P, topP);
        }

        public Builder minP(float minP) {
            return set(LlamafuConfigOptions.MIN_P, minP);
        }

        public Builder repeatPenalty(float penalty) {
            return set(LlamafuConfigOptions.REPEAT_PENALTY, penalty);
        }

        public Builder seed(int seed) {
            return set(LlamafuConfigOptions.SEED, seed);
        }

        public Builder stop(String... strings) {
            return set(STOP_AS_WRITTEN, TextList.format(List.of(strings)));
        }

        public Builder grammar(String gbnf) {
            return set(LlamafuConfigOptions.GRAMMAR, gbnf);
        }

        /** Makes every answer satisfy this JSON schema, see {@link JsonSchemaGrammar}. */
        public Builder jsonSchema(String schema) {
            return set(LlamafuConfigOptions.JSON_SCHEMA, schema);
        }

        /** Makes every answer one of these texts. */
        public Builder labels(List<String> labels) {
            return set(LABELS_AS_WRITTEN, TextList.format(labels));
        }

        /** {@link LlamafuConfigOptions#SCORING}. */
        public Builder scoring(Scoring scoring) {
            return set(LlamafuConfigOptions.SCORING, scoring);
        }

        /** Answers whose label is less probable than this, from 0 to 1, are the abstain label. Needs a scoring. */
        public Builder minConfidence(double probability, String abstainLabel) {
            return set(LlamafuConfigOptions.MIN_CONFIDENCE, probability)
                    .set(LlamafuConfigOptions.ABSTAIN_LABEL, abstainLabel);
        }

        /** {@link LlamafuConfigOptions#CALIBRATION}. */
        public Builder calibration(String calibration) {
            return set(LlamafuConfigOptions.CALIBRATION, calibration);
        }

        /** {@link LlamafuConfigOptions#MULTI_LABEL}. */
        public Builder multiLabel(boolean anySubset) {
            return set(LlamafuConfigOptions.MULTI_LABEL, anySubset);
        }

        public Builder timeout(Duration timeout) {
            return set(LlamafuConfigOptions.TIMEOUT, timeout);
        }

        public Builder onError(OnError onError) {
            return set(LlamafuConfigOptions.ON_ERROR, onError);
        }

        /** Sets any option of {@link LlamafuConfigOptions}. */
        public <V> Builder set(ConfigOption<V> option, V value) {
            checkNotNull(option, "option is null");
            if (TEXT_LISTS.contains(option) && value instanceof List<?> strings) {
                return set(asWritten(option), TextList.format(texts(strings)));
            }
            if (value instanceof Enum<?> constant) {
                configuration.setString(option.key(), constant.name()); // Flink would write NULL with quotes, in toMap
                return this;
            }
            configuration.set(option, checkNotNull(value, "%s is null", option.key()));
            return this;
        }

        /**
         * Checks every value.
         *
         * @throws LlamafuException with {@link ErrorCode#INVALID_OPTION} if a value is out of range, or with {@link
         *     ErrorCode#INVALID_SCHEMA} if the JSON schema cannot be enforced
         */
        public LlamafuOptions build() {
            checkKeys(configuration.keySet());
            return new LlamafuOptions(new Configuration(configuration));
        }
    }
}
